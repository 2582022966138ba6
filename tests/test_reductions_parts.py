"""How a side adds up its rows, read off its gradients: their weights, what is kept, and the name of the reduction."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_columns import side
from torch import Tensor
from torch.nn import functional as F

from mlnn.comparing.explaining.reductions import NAMES, kept, reduction_of, reductions, told
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import trial_of
from mlnn.comparing.sample import Sample

f64 = torch.float64
_draws = torch.Generator().manual_seed(1)
LABELS = torch.tensor([[0, -1, 2], [1, 2, -1], [-1, -1, -1], [2, 1, 0]])
LOGITS = torch.randn(4, 3, 3, generator=_draws, dtype=f64)
AT = Sample(LOGITS, LABELS)
FLAT = Sample(LOGITS[:, 0], torch.tensor([0, -1, 2, 1]))
SPACE = "classes(3, ignore=-1)"


def summed(by: Callable[[Tensor], Any]) -> Callable[[Tensor, Tensor], Tensor]:
    """The sum over what is kept, over a number that is made of the mask."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z.reshape(-1, 3), y.flatten(), ignore_index=-1, reduction="sum") / by((y != -1).double())  # type: ignore[no-any-return]

    return loss


def each(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.reshape(-1, 3), y.flatten(), ignore_index=-1, reduction="none").reshape(y.shape)


@pytest.mark.parametrize(("loss", "weight"), [
    (summed(lambda k: k.sum()), 1 / 7), (summed(lambda k: k.numel()), 1 / 12), (summed(lambda _: 1), 1.0), (each, 1 / 7),
])  # fmt: skip
def test_the_weight_of_each_position(loss: Any, weight: float) -> None:
    """A position alone is worth its own value; of what is ignored nothing."""
    one, mask = side(loss, SPACE), (LABELS != -1).double()
    found = one.weights(AT)
    assert found is not None
    torch.testing.assert_close(found * mask, weight * mask)
    assert torch.equal(kept(one, AT), mask)
    assert one.weights(AT) is found, "asked once a batch"
    moved = replace(AT, target=LABELS.clone())
    assert one.weights(moved) is not found


def test_rows_that_are_coupled_have_no_weights() -> None:
    one = side(lambda z, y: (each(z, y) * (y != -1)).sum() + 1e-6 * z.mean(), SPACE)
    assert one.weights(AT) is None
    assert reduction_of(one, [AT]) is None
    with pytest.raises(ValueError, match="couples the rows"):
        one.added(torch.ones(4, 3), AT)
    squares = side(lambda f, y: ((f - y) ** 2).mean(), "real")
    rows = Sample(torch.tensor([1.0, 2.0], dtype=f64), torch.zeros(2, dtype=f64))
    assert float(squares.added(torch.tensor([3.0, 5.0], dtype=f64), rows)) == 4.0


@pytest.mark.parametrize(("loss", "space", "positions"), [
    (summed(lambda k: k.sum()), SPACE, True), (each, SPACE, True), (lambda f, y: ((f - y) ** 2).mean(), "real", False),
    (lambda f, y: ((f - y) ** 2), "real", False),
])  # fmt: skip
def test_the_value_of_each_row_alone(loss: Any, space: str, positions: bool) -> None:
    at = AT if positions else Sample(torch.tensor([1.0, 2.0], dtype=f64), torch.tensor([0.0, 5.0], dtype=f64))
    wanted = each(LOGITS, LABELS) if positions else torch.tensor([1.0, 9.0], dtype=f64)
    torch.testing.assert_close(side(loss, space).rows(at), wanted)


def test_a_side_that_refuses_what_is_kept_refuses_and_of_what_is_ignored_has_nothing() -> None:
    def picky(z: Tensor, y: Tensor) -> Tensor:
        if not bool((y != -1).any()):
            raise ValueError("nothing is kept")
        if len(z) == 1 and bool((y == 2).any()):
            raise ValueError("not alone")
        return summed(lambda k: k.sum())(z, y)

    none_of_class_2 = torch.where(LABELS == 2, 1, LABELS)
    found = side(picky, SPACE).rows(replace(AT, target=none_of_class_2))
    torch.testing.assert_close(found, each(LOGITS, none_of_class_2))
    with pytest.raises(ValueError, match="not alone"):
        side(picky, SPACE).rows(AT)


def test_rows_asked_one_by_one_are_known_until_the_outputs_move() -> None:
    calls: list[int] = []

    def counted(f: Tensor, y: Tensor) -> Tensor:
        calls.append(len(f))
        return ((f - y) ** 2).mean()

    one, at = side(counted, "real"), Sample(torch.tensor([1.0, 2.0], dtype=f64), torch.zeros(2, dtype=f64))
    for sample, times in ((at, 2), (at, 0), (replace(at, output=at.output + 1), 2)):
        calls.clear()
        torch.testing.assert_close(one.rows(sample), sample.output**2)
        assert calls.count(1) == times


MASKS = [
    torch.tensor(rows, dtype=f64) for rows in ([[1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]], [[1, 1, 1], [0, 0, 1]])
]


@pytest.mark.parametrize(("number", "weights"), list(enumerate([
    [[torch.nan] * 3], [[1 / 12] * 3], [[1 / 7] * 3], [[1 / 6] * 3, [1 / 6] * 3, [0] * 3, [1 / 9] * 3],
    [[2 / 17] * 3, [2 / 17] * 3, [0] * 3, [3 / 17] * 3], [[1.0] * 3], [[1 / 4] * 3],
])))  # fmt: skip
def test_the_weights_of_each_reduction(number: int, weights: Any) -> None:
    mask = MASKS[0]
    found = list(NAMES.values())[number](mask) * mask
    torch.testing.assert_close(found, torch.tensor(weights, dtype=f64).expand(4, 3) * mask, equal_nan=True)
    plain = next(iter(NAMES.values()))(torch.ones(5, dtype=f64))
    assert plain.tolist() == pytest.approx([0.2] * 5)


@pytest.mark.parametrize(("loss", "unit", "name"), [
    (summed(lambda k: k.sum()), 1.0, "the mean over 7 kept positions"),
    (summed(lambda k: k.numel()), 1.0, "the mean over all 12 positions, ignored"),
    (summed(lambda _: 1), 1.0, "the sum over 7 kept positions"),
    (summed(lambda k: len(k)), 1.0, "the sum over 7 kept positions, divided by 4 rows"),
    (summed(lambda _: 1), 0.01, "the sum divided by a count of 100"),
])  # fmt: skip
def test_a_reduction_by_its_name(loss: Any, unit: float, name: str) -> None:
    found = reduction_of(side(loss, SPACE), [AT], unit)
    assert found is not None
    assert told(found[0], MASKS[0]).startswith(name)
    assert told("the mean over {kept} kept positions", MASKS[0][0]) == "the mean over 2 kept rows"


@pytest.mark.parametrize(("left", "right", "words"), [
    (summed(lambda k: k.sum()), summed(lambda k: k.numel()), "left is the mean over 7 kept positions, right"),
    (summed(lambda k: k.sum()), summed(lambda k: k.sum()), None),
    (summed(lambda k: k.sum()), lambda z, y: summed(lambda k: k.sum())(z, y) ** 2 + 1e-3 * z.mean(), None),
    (lambda z, y: summed(lambda k: k.sum())(z, y) + 1e-3 * z.mean(), summed(lambda k: k.sum()), None),
    (summed(lambda k: k.sum()), lambda z, y: summed(lambda k: k.sum())(z, y) if len(z) == 4 else z[9].sum(), None),
])  # fmt: skip
def test_two_reductions_with_names_are_told_and_planted(left: Any, right: Any, words: str | None) -> None:
    one, other = side(left, SPACE), side(right, SPACE)
    trial = trial_of(one.objective, other.objective, AT)
    assert trial is not None
    found = list(reductions("right", one, other, [trial]))
    assert list(reductions("left", one, other, [trial])) == []
    assert len(found) == (words is not None)
    for said, fault in found:
        assert said.startswith(words or "-")
        ratio = float(trial.other_gradient.norm()) / float(trial.gradient.norm())
        assert f"gradient is {ratio:.3g} times left's" in said
        assert float(fault(one, AT, 0.0)) == pytest.approx(trial.other_value)


def test_a_sum_over_a_count_is_told_by_what_a_position_is_worth_on_the_other_side() -> None:
    one, other = side(summed(lambda k: k.sum()), SPACE), side(summed(lambda _: 100), SPACE)
    for first, second, words in (
        (one, other, "right the sum divided by a count of 100"),
        (other, one, "left is the sum divided by a count of 100"),
    ):
        trial = trial_of(first.objective, second.objective, AT)
        assert trial is not None
        [(said, fault)] = reductions("right", first, second, [trial])
        assert words in said
        assert float(fault(first, AT, 0.0)) == pytest.approx(trial.other_value)
    assert isinstance(one, Side)
    assert kept(side(summed(lambda k: k.sum()), SPACE), FLAT).tolist() == [1.0, 0.0, 1.0, 1.0]
