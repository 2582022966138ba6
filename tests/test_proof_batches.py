"""Proofs of whole batches, of targets that are several numbers, and of budgets that end."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.likelihoods.beta import Beta
from mlnn.proving import prove
from mlnn.proving.exact import exact
from mlnn.proving.rules import COSTS, RULES

Loss = Callable[[Tensor, Tensor], Tensor]


def bce(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(z, threshold=100.0) - y * z


class Unmultiplied(torch.autograd.Function):
    """A Bernoulli NLL whose backward pass takes what comes from above for 1."""

    @staticmethod
    def forward(ctx, z, y):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(z, y)
        return bce(z, y)

    @staticmethod
    def backward(ctx, upstream):  # type: ignore[no-untyped-def]
        z, y = ctx.saved_tensors
        return torch.ones_like(upstream) * (torch.sigmoid(z) - y), None


class FirstRows(Unmultiplied):
    """The same, with what comes from above to the first row."""

    @staticmethod
    def backward(ctx, upstream):  # type: ignore[no-untyped-def]
        z, y = ctx.saved_tensors
        return upstream.flatten()[0] * (torch.sigmoid(z) - y), None


COUPLED: dict[str, Loss] = {
    "broadcast": lambda z, y: (F.softplus(z, threshold=100.0)[:, None] - y[None, :] * z[:, None]).mean(),
    "the first row dropped": lambda z, y: bce(z[-6:], y[-6:]).sum() / len(z),
    "root of the mean": lambda z, y: bce(z, y).mean().sqrt(),
    "not multiplied": lambda z, y: Unmultiplied.apply(z, y),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", COUPLED)
def test_whole_batches_refute_a_loss_whose_rows_are_coupled(name: str) -> None:
    found = prove(bce, COUPLED[name], "binary")
    assert (found.answer, found.relation) == ("differs", None), found.sentence
    assert found.parts[-1].target.startswith("a batch of ")


def test_a_gradient_of_another_row_is_never_proved() -> None:
    found = prove(bce, lambda z, y: FirstRows.apply(z, y), "binary")
    assert found.answer == "undecided"
    assert "under weights" in str(found.reason)


def test_a_mean_that_a_batch_writes_otherwise_is_its_rows_mean() -> None:
    def einsum(z: Tensor, y: Tensor) -> Tensor:
        return torch.einsum("i,i->", bce(z, y), torch.full_like(z, 1 / len(z)))

    def variance(z: Tensor, y: Tensor) -> Tensor:
        return (z - y).var(correction=0) + (z - y).mean() ** 2

    assert prove(bce, einsum, "binary").answer == "proved"
    assert prove(torch.nn.MSELoss(), variance, "real").answer == "proved"


@pytest.mark.parametrize(("over_kept", "answer"), [(True, "proved"), (False, "differs")])
def test_rows_that_are_ignored_are_looked_at(over_kept: bool, answer: str) -> None:
    def by_hand(z: Tensor, y: Tensor) -> Tensor:
        kept = y != -100
        picked = torch.log_softmax(z, -1).gather(-1, y.clamp(min=0)[:, None])[:, 0]
        return -(picked * kept).sum() / (kept.sum() if over_kept else len(y))

    assert prove(F.cross_entropy, by_hand, "classes(3, ignore=-100)").answer == answer


def soft(z: Tensor, y: Tensor) -> Tensor:
    return -(y * torch.log_softmax(z, -1)).sum(-1)


SEVERAL: dict[str, tuple[str, Loss, Loss, str, str | None]] = {
    "labels": (
        "multilabel(3)",
        lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").mean(-1),
        lambda z, y: -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z)).mean(-1),
        "proved", "equal",
    ),
    "labels summed": (
        "multilabel(3)",
        lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").mean(-1),
        lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(-1),
        "differs", "scaled",
    ),
    "a label dropped": (
        "multilabel(3)",
        lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(-1),
        lambda z, y: F.binary_cross_entropy_with_logits(z[:, 1:], y[:, 1:], reduction="none").sum(-1),
        "differs", None,
    ),
    "soft rows": (
        "simplex(3)", soft, lambda z, y: torch.logsumexp(z, -1) - (y * z).sum(-1), "proved", "equal",
    ),
    "divergence": (
        "simplex(3)", soft, lambda z, y: F.kl_div(torch.log_softmax(z, -1), y, reduction="none").sum(-1), "differs", "shifted",
    ),
    "squares": ("real(3)", lambda z, y: ((z - y) ** 2).mean(-1), F.mse_loss, "proved", "equal"),
    "squares rolled": (
        "real(3)", lambda z, y: ((z - y) ** 2).mean(-1), lambda z, y: ((z - y.roll(1, -1)) ** 2).mean(-1), "differs", None,
    ),
    "squared probabilities doubled": (
        "classes(3)",
        lambda z, y: 2 * (torch.softmax(z, -1) - F.one_hot(y, 3)).square().sum(-1),
        lambda z, y: (torch.softmax(z, -1) - F.one_hot(y, 3)).square().sum(-1),
        "differs", "scaled",
    ),
}  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", SEVERAL)
def test_targets_and_outputs_that_are_several_numbers(name: str) -> None:
    targets, left, right, answer, relation = SEVERAL[name]
    found = prove(left, right, targets)
    assert (found.answer, found.relation) == (answer, relation), found.sentence
    if relation is not None:
        assert found.targets.endswith("by the form")


@pytest.mark.rest
def test_a_loss_is_itself_at_every_target_and_its_slopes_take_part_of_the_budget() -> None:
    loss = Beta().nll
    found = prove(loss, loss, "unit")
    assert found.answer == "proved"
    assert found.targets == "every target, by the form"
    assert found.boxes < 3000
    assert any("is the slope of its value is undecided" in one for one in found.findings)


def test_a_float_beside_a_simple_fraction_stands_for_it() -> None:
    assert exact(0.1) == Fraction(1, 10)
    assert exact(1 / 7) == Fraction(1, 7)
    assert exact(1e-7) == Fraction(*(1e-7).as_integer_ratio())
    assert exact(torch.tensor(0.1).item()) != Fraction(1, 10)
    assert exact(0.0) == 0


def test_what_costs_are_told_of_are_operations() -> None:
    assert COSTS.keys() <= RULES.keys()


def running_mean(rows: Tensor, start: int = 1, off: float = 0.0) -> Tensor:
    mean = torch.zeros((), dtype=rows.dtype)
    for count, one in enumerate(rows, start):
        mean = mean + (one - mean) / (count + off * (count == 5))
    return mean


def averaged_again(rows: Tensor) -> Tensor:
    mean = rows[0]
    for place in range(1, len(rows)):
        mean = mean * (place / (place + 1)) + rows[place] / (place + 1)
    return mean


def leant(rows: Tensor) -> Tensor:
    mean = torch.zeros((), dtype=rows.dtype)
    for count, one in enumerate(rows, 1):
        mean = torch.lerp(mean, one, 1 / count)
    return mean


def by_norm(rows: Tensor) -> Tensor:
    weights = torch.ones(len(rows), dtype=rows.dtype)
    weights = weights / weights.norm()
    return (weights / weights.sum() * rows).sum()


MEANS: dict[str, Callable[[Tensor], Tensor]] = {
    "running": running_mean,
    "averaged again": averaged_again,
    "leant": leant,
    "by a norm": by_norm,
    "the last of cumulative means": lambda rows: (rows.cumsum(0) / torch.arange(1, len(rows) + 1))[-1],
}


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_that_is_taken_another_way_couples_no_rows(name: str) -> None:
    found = prove(bce, lambda z, y: MEANS[name](bce(z, y)), "binary")
    assert found.answer == "proved", found.sentence


@pytest.mark.sampled(2)
@pytest.mark.parametrize("off", [1e-9, 1e-13])
def test_a_running_mean_that_is_a_little_off_is_told(off: float) -> None:
    found = prove(bce, lambda z, y: running_mean(bce(z, y), off=off), "binary")
    assert found.answer == "differs", found.sentence
    assert prove(bce, lambda z, y: running_mean(bce(z, y), start=2), "binary").answer == "differs"
    assert prove(bce, lambda z, y: bce(z, y).cumsum(0) / torch.arange(1, len(z) + 1), "binary").answer == "differs"


class BySize(Unmultiplied):
    """A backward pass that is a little more than multiplied by what comes from above, where that is large."""

    @staticmethod
    def backward(ctx, upstream):  # type: ignore[no-untyped-def]
        z, y = ctx.saved_tensors
        return torch.where(upstream > 3.5, 1 + 1e-10, 1.0) * upstream * (torch.sigmoid(z) - y), None


@pytest.mark.rest
def test_a_backward_pass_by_logarithms_is_multiplied_and_one_by_size_is_not() -> None:
    def cumulated(z: Tensor, y: Tensor) -> Tensor:
        return torch.logcumsumexp(torch.stack([torch.zeros_like(z), z], -1), -1)[:, -1] - y * z

    def of_classes(z: Tensor, y: Tensor) -> Tensor:
        return torch.logcumsumexp(z, -1)[:, -1] - z.gather(-1, y[:, None])[:, 0]

    assert prove(bce, cumulated, "binary").answer == "proved"
    assert prove(bce, lambda z, y: running_mean(cumulated(z, y)), "binary").answer == "proved"
    assert prove(F.cross_entropy, of_classes, "classes(3)").answer == "proved"
    lifted = prove(F.cross_entropy, lambda z, y: of_classes(z, y) + 1e-9 * torch.tanh(z[:, 0]), "classes(3)")
    assert lifted.answer == "differs", lifted.sentence
    off = prove(bce, lambda z, y: BySize.apply(z, y), "binary")
    assert "not multiplied by what comes from above" in (off.reason or "")
