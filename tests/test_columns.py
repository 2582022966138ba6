"""Outputs that one side weighs otherwise: each weight is told, and planting it gives the other side's gradient."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mlnn.comparing.explaining.columns import MOST_COLUMNS, columns
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.sample import Sample, answer
from mlnn.objectives import Objective
from mlnn.objectives.reduction import drawn_rows
from mlnn.targets import TargetSpace

Loss = Callable[[Tensor, Tensor], Tensor]


def labels(*weights: float, positive: tuple[float, ...] | None = None) -> Loss:
    """The log-loss of several yes-or-no answers, each with a weight (or one where it is yes)."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        parts = F.binary_cross_entropy_with_logits(z, y, reduction="none")
        weight = torch.tensor(weights, dtype=z.dtype)
        return (
            parts * (weight if positive is None else torch.where(y > 0, torch.tensor(positive, dtype=z.dtype), weight))
        ).mean()

    return loss


def numbers(*weights: float) -> Loss:
    return lambda f, y: (torch.tensor(weights, dtype=f.dtype) * (f - y) ** 2).mean()


def side(loss: Loss, space: str) -> Side:
    targets = TargetSpace.parse(space)
    return Side(Objective.of(loss, targets), targets)


def told(sound: Loss, odd: Loss, space: str) -> list[str]:
    """The words; and each fault, planted into the sound side, has the odd one's gradient."""
    one, other = side(sound, space), side(odd, space)
    found = list(columns("right", one, other))
    for _, fault in found:
        sample = Sample(*drawn_rows(one.objective, 16))
        output = sample.output.clone().requires_grad_()
        (slope,) = torch.autograd.grad(fault(one, Sample(output, sample.target), 1.0), output)
        torch.testing.assert_close(slope, answer(other.objective, sample)[1], rtol=1e-9, atol=1e-15)
    return [words for words, _ in found]


@pytest.mark.parametrize(("odd", "words"), [
    (labels(1.0, 2.0, 1.0), ["right gives output 1 a weight of 2"]),
    (labels(0.5, 1.0, 3.0), ["right gives output 0 a weight of 0.5, output 2 a weight of 3"]),
    (labels(1.0, 1.0, 0.0), ["right leaves out output 2, but counts it in its divisor"]),
    (labels(1.5, 0.0, 1.5), ["right leaves out output 1"]),
    (labels(1.5, 0.0, 1.0), ["right gives output 0 a weight of 1.5, output 1 a weight of 0"]),
    (labels(0.0, 0.0, 1.0), ["right gives output 0 a weight of 0, output 1 a weight of 0"]),
    (labels(1.0, 1.0, 1.0, positive=(1.0, 3.0, 1.0)), ["right gives output 1 a weight of 3 where the target is 1"]),
    (labels(1.0, 2.0, 1.0, positive=(1.0, 1.0, 1.0)), ["right gives output 1 a weight of 2 where the target is 0"]),
    (labels(2.0, 1.0, 1.0, positive=(1.0, 3.0, 1.0)),
     ["right gives output 0 a weight of 2 where the target is 0, gives output 1 a weight of 3 where the target is 1"]),
    (labels(1.0, 1.0, 1.0), []), (labels(2.0, 2.0, 2.0), []),  # one factor of all is no weight of an output's own
])  # fmt: skip
def test_weights_of_labels_are_told(odd: Loss, words: list[str]) -> None:
    assert told(labels(1.0, 1.0, 1.0), odd, "multilabel(3)") == words


@pytest.mark.parametrize(("odd", "words"), [
    (numbers(1.0, 4.0), ["right gives output 1 a weight of 4"]),
    (numbers(1.0, 0.0), ["right leaves out output 1, but counts it in its divisor"]),
    (numbers(1.0, -1.0), ["right gives output 1 a weight of -1"]),
    (numbers(1.0, 1.0 + 0.5 * 1e-9), []), (numbers(1.0, 1.0 + 2.0 * 1e-9), ["right gives output 1 a weight of 1"]),
    (lambda f, y: ((f - y) ** 2).mean() + 0.1 * ((f - y) ** 4).mean(), []),  # no weight: another loss
    (lambda f, y: numbers(1.0, 2.0)(f, y) + 1e-6 * ((f - y) ** 4).mean(), []),
    (lambda f, y: ((f - y) ** 2).mean() + 0 * f.sum() * y.sum(), []),
])  # fmt: skip
def test_weights_of_numbers_are_told(odd: Loss, words: list[str]) -> None:
    assert told(numbers(1.0, 1.0), odd, "real(2)") == words


def test_a_side_that_gives_weight_where_the_other_has_none_is_not_explained_by_one() -> None:
    assert told(numbers(1.0, 0.0), numbers(1.0, 1.0), "real(2)") == []


def test_a_side_that_refuses_has_no_weights() -> None:
    def refuses(f: Tensor, y: Tensor) -> Tensor:
        raise ValueError(f"{f}, {y}")

    assert told(numbers(1.0, 1.0), refuses, "real(2)") == []


@pytest.mark.parametrize(("space", "odd", "explained"), [
    (f"real({MOST_COLUMNS})", MOST_COLUMNS, True), (f"real({MOST_COLUMNS + 1})", MOST_COLUMNS + 1, False),
])  # fmt: skip
def test_of_many_outputs_no_weights_are_told(space: str, odd: int, explained: bool) -> None:
    plain, weighed = numbers(*[1.0] * odd), numbers(*[1.0] * (odd - 1), 2.0)
    assert bool(list(columns("right", side(plain, space), side(weighed, space)))) is explained


def test_shares_and_single_numbers_have_no_outputs_with_weights_of_their_own() -> None:
    def shares(weight: float) -> Loss:
        return lambda f, y: -(torch.tensor([1.0, 1.0, weight], dtype=f.dtype) * y * F.log_softmax(f, -1)).sum(-1).mean()

    assert told(shares(1.0), shares(2.0), "simplex(3)") == []
    assert told(lambda f, y: ((f - y) ** 2).mean(), lambda f, y: 2 * ((f - y) ** 2).mean(), "real") == []
