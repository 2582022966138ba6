"""Equal losses that might be taken for others, and what is said of those that are: masks, steps, long rows, one position."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mlnn
from mlnn.testing import assert_same_objective, assert_same_step

DRAWS = torch.Generator().manual_seed(0)
X, Y = torch.randn(48, 4, generator=DRAWS), torch.randint(0, 3, (48,), generator=DRAWS)
MASK = torch.rand(48, generator=DRAWS) < 0.6
BATCHES = [{"x": X[i : i + 12], "y": Y[i : i + 12]} for i in range(0, 48, 12)]
Loss = Callable[..., Tensor]


def picked(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return F.cross_entropy(z[mask], y[mask])


def averaged(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (F.cross_entropy(z, y, reduction="none") * mask).sum() / mask.sum()


def clamped(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (F.cross_entropy(z, y, reduction="none") * mask).sum() / mask.sum().clamp(min=1)


def by_logsumexp(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return ((torch.logsumexp(z, 1) - z.gather(1, y[:, None])[:, 0]) * mask).sum() / mask.sum()


def over_all(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (F.cross_entropy(z, y, reduction="none") * mask).mean()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "same"),
    [(picked, averaged, True), (picked, clamped, True), (averaged, by_logsumexp, True), (picked, over_all, False)],
)
def test_a_row_that_is_masked_says_nothing(left: Loss, right: Loss, same: bool) -> None:
    found = mlnn.compare(
        partial(nn.Linear, 4, 3), left, right, (X, Y, {"mask": MASK}), optimizer=partial(torch.optim.SGD, lr=0.1), steps=6,
        batch_size=12, targets="classes(3)", null_twins=0,
    ).verdict  # fmt: skip
    if not same:
        assert found.relation == "different"
        return
    assert found.relation in ("bitwise", "equal"), found.sentence
    assert found.domain == "all"


def plain(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch["x"]), batch["y"])


def test_a_step_may_ask_its_model_for_other_rows_or_in_another_order() -> None:
    turned = lambda m, b: F.cross_entropy(m(b["x"].flip(0)), b["y"].flip(0))  # noqa: E731
    assert assert_same_step(partial(nn.Linear, 4, 3), plain, turned, BATCHES).relation == "equal"
    mixed = lambda m, b: F.cross_entropy(m(b["x"].flip(0)), b["y"])  # noqa: E731
    with pytest.raises(AssertionError, match="found 'different'"):
        assert_same_step(partial(nn.Linear, 4, 3), plain, mixed, BATCHES)


def test_a_step_under_autocast_is_the_same_mathematics() -> None:
    def lowered(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return plain(model, batch)

    found = assert_same_step(partial(nn.Linear, 4, 3), plain, lowered, BATCHES, require="indistinguishable")
    assert found.computes_in == {"right": "bfloat16"}


def flattened(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, 1), y.flatten())


def turned(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.transpose(1, 2), y)


@pytest.mark.rest
def test_sequences_of_one_position() -> None:
    assert assert_same_objective(flattened, turned, "classes(6, ignore=-100)", shape=(1,)).relation in (
        "bitwise",
        "equal",
    )


@pytest.mark.slow
def test_long_rows_round_more_and_are_the_same() -> None:
    found = assert_same_objective(flattened, turned, "classes(1000, ignore=-100)", shape=(16,))
    assert found.relation == "equal"
    smoothed: Any = lambda z, y: F.cross_entropy(z.flatten(0, 1), y.flatten(), label_smoothing=1e-6)  # noqa: E731
    with pytest.raises(AssertionError, match="found 'different'"):
        assert_same_objective(flattened, smoothed, "classes(1000, ignore=-100)", shape=(4,))


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, z: Tensor) -> Tensor:
        return z.clone()

    @staticmethod
    def backward(_ctx: Any, upstream: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * upstream


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("right", "space", "shape", "words"),
    [
        (lambda z, y: F.binary_cross_entropy_with_logits(Twice.apply(z), y), "binary", (),
         "right's gradient is 2 times left's, while the values are the same"),
        (lambda z, y: flattened(z[:, :-1], y[:, :-1]), "classes(6, ignore=-100)", (6,), "is confined to positions from 5 on"),
        (lambda z, y: flattened(z, y.clamp(min=0)), "classes(6, ignore=-100)", (6,), "Apart from a factor of 0.7"),
        (lambda z, y: F.cross_entropy(z.clamp(-50, 50), y), "classes(4)", (), "Beyond it right clips and right saturates"),
    ],
)  # fmt: skip
def test_what_differs_is_told_as_it_is(right: Loss, space: str, shape: tuple[int, ...], words: str) -> None:
    left = flattened if shape else nn.BCEWithLogitsLoss() if space == "binary" else nn.CrossEntropyLoss()
    with pytest.raises(AssertionError) as caught:
        assert_same_objective(left, right, space, shape=shape)
    assert words in str(caught.value)
    assert "gradients agree, values" not in str(caught.value)
