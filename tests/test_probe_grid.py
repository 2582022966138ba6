"""The grid of a comparison: all entries together, many classes, sums as long as a vocabulary; and what backward is asked."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlnn.comparing.probe import probe
from mlnn.comparing.probed import Probe
from mlnn.comparing.relations import weakest
from mlnn.objectives import Objective
from mlnn.objectives.grid import STRENGTHS, WHOLE, make_grid, wide_grid
from mlnn.objectives.habits import follows_upstream, written_into
from mlnn.targets import TargetSpace
from mlnn.testing import assert_same_objective

BCE, BINARY = nn.BCEWithLogitsLoss(), TargetSpace("binary")
Function = Callable[[Tensor, Tensor], Tensor]


def picked(z: Tensor, y: Tensor) -> Tensor:
    return z.gather(1, y[:, None])[:, 0]


def chunked(size: int) -> Function:
    """Logsumexp of chunks, and of their logsumexps."""
    return lambda z, y: torch.stack([c.logsumexp(1) for c in z.split(size, 1)], 1).logsumexp(1) - picked(z, y)


def online(size: int) -> Function:
    """A running maximum and a running sum, chunk after chunk."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        top = torch.full_like(z[:, 0], -math.inf)
        total = torch.zeros_like(top)
        for chunk in z.split(size, 1):
            now = torch.maximum(top, chunk.amax(1))
            total = total * torch.exp(top - now) + torch.exp(chunk - now[:, None]).sum(1)
            top = now
        return top + total.log() - picked(z, y)

    return loss


def probed(left: Function, right: Function, classes: int) -> Probe:
    space = TargetSpace("classes", classes)
    return probe(Objective.of(left, space), Objective.of(right, space), space, torch.float32)


def relation(found: Probe) -> str:
    return weakest(found.value.relation, found.gradient.relation)


rowwise = nn.CrossEntropyLoss(reduction="none")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("right", [chunked(32), online(20), online(1)], ids=["chunked", "online", "one by one"])
def test_rounding_grows_with_the_length_of_a_sum(right: Function) -> None:
    assert relation(probed(rowwise, right, 120)) == "equal"


def weighted(z: Tensor, y: Tensor) -> Tensor:
    """One class of 300 counts for a hundredth more."""
    return rowwise(z, y) * (1 + 0.01 * (y == 217))


class _DeadEntry(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, z: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(z, y)
        return rowwise(z, y)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, upstream: Tensor) -> tuple[Tensor, None]:
        z, y = ctx.saved_tensors
        slope = torch.softmax(z, 1) - F.one_hot(y, z.shape[1])
        slope[:, 1003] = 0
        return upstream[:, None] * slope, None


def dead_entry(z: Tensor, y: Tensor) -> Tensor:
    return _DeadEntry.apply(z, y)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("right", "classes", "expected"),
    [
        (lambda z, y: F.cross_entropy(z, y, label_smoothing=1e-6, reduction="none"), 300, "different"),
        (lambda z, y: rowwise(1.0005 * z, y), 300, "different"),
        (lambda z, y: (1 + 1e-5) * chunked(128)(z, y), 300, "scaled"),
        (lambda z, y: F.cross_entropy(z, y, label_smoothing=1e-6, reduction="none"), WHOLE + 1, "different"),
        (dead_entry, WHOLE + 1, "different"),  # of so many entries sums are kept, and each entry is in them
    ],
    ids=["smoothing", "temperature", "scale", "smoothing, many", "one entry of many"],
)
def test_the_smallest_faults_of_many_classes_are_still_caught(right: Function, classes: int, expected: str) -> None:
    assert relation(probed(rowwise, right, classes)) == expected


def test_a_class_that_no_row_of_the_grid_has_is_met_by_a_whole_batch() -> None:
    found = probed(rowwise, weighted, 300)
    assert 217 not in found.grid.target.tolist()
    assert relation(found) == "bitwise"
    assert found.whole is not None
    assert found.whole.gradient > 1e-4
    assert probed(rowwise, chunked(128), 300).whole.gradient == 0  # type: ignore[union-attr]


@pytest.mark.rest
def test_the_bound_is_that_of_the_length() -> None:
    """Twice the measured rounding passes, ten times does not, in float64 where nothing else explains it."""
    eps = torch.finfo(torch.float64).eps

    def off(by: float) -> Function:
        return lambda z, y: rowwise(z, y) * (1 + by * eps * torch.cos(z[:, 0]).detach())

    allowed = 0.5 * 1000
    space = TargetSpace("classes", 1000)
    sizes = []
    for by in (0.5 * allowed, 10 * allowed):
        pair = Objective.of(rowwise, space), Objective.of(off(by), space)
        sizes.append(probe(*pair, space, torch.float32).value.size)
    assert sizes[0] == 0
    assert sizes[1] > allowed * eps


def capped(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(30 * torch.tanh(z / 30), y)


def padded_then_capped(z: Tensor, y: Tensor) -> Tensor:
    """Entries that were masked with −100 before a soft cap come back at −30."""
    return capped(torch.cat([z, z.new_full((len(z), 3), -100.0)], 1), y)


def test_all_entries_move_together_too() -> None:
    grid = wide_grid(TargetSpace("classes", 5))
    apart = (grid.output - grid.output[:, :1]).abs().amax(1)
    assert bool(((apart < 0.01) & (grid.strength.abs() > 99)).any())
    assert bool(((grid.output[:, :-1].abs() < 0.01).all(1) & (grid.output[:, -1].abs() > 99)).any())
    assert not bool((grid.output == 0).any())
    with pytest.raises(AssertionError) as caught:
        assert_same_objective(capped, padded_then_capped, "classes(5)", require="indistinguishable")
    low, high = caught.value.verdict.domain  # type: ignore[attr-defined]
    assert -100 < low < -1
    assert 1 < high < 100


def test_of_many_classes_a_sample_is_asked() -> None:
    grid = wide_grid(TargetSpace("classes", 50_000))
    assert {0, 25_000, 49_999} < set(grid.target.tolist())
    assert len(grid.target) == 5
    assert grid.output.numel() < 4_000_000
    few = TargetSpace("classes", 4)
    assert wide_grid(few).target.tolist() == make_grid(few).target.tolist() == [0, 1, 2, 3]
    assert torch.equal(wide_grid(BINARY).output, make_grid(BINARY).output)


class _Upstream(torch.autograd.Function):
    """Binary cross-entropy, per row or as its mean, whose backward does with the upstream gradient what `how` says."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, z: Tensor, y: Tensor, how: str, reduction: str) -> Tensor:
        ctx.save_for_backward(z, y)
        ctx.how = how  # type: ignore[attr-defined]
        ctx.share = len(z) if reduction == "mean" else 1  # type: ignore[attr-defined]
        return F.binary_cross_entropy_with_logits(z, y, reduction=reduction)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        z, y = ctx.saved_tensors
        seen = {"right": upstream, "first": upstream.reshape(-1)[0], "none": torch.ones(())}[ctx.how]
        return seen * (torch.sigmoid(z) - y) / ctx.share, None, None, None


def upstream(how: str, reduction: str) -> Function:
    return lambda z, y: _Upstream.apply(z, y, how, reduction)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("how", "reduction", "follows"),
    [
        ("right", "none", True),
        ("right", "mean", True),
        ("first", "none", False),
        ("none", "none", False),
        ("none", "mean", False),
        ("none", "sum", False),
    ],
)
def test_a_backward_pass_follows_its_upstream_gradient(how: str, reduction: str, follows: bool) -> None:
    loss = upstream(how, reduction)
    assert follows_upstream(Objective.of(loss, BINARY)) is follows
    if follows:
        assert assert_same_objective(BCE, loss).relation == "equal"
        return
    for pair, side in (((BCE, loss), "right"), ((loss, BCE), "left")):
        with pytest.raises(AssertionError, match=f"{side}'s backward does not follow the upstream gradient") as caught:
            assert_same_objective(*pair)
        assert caught.value.verdict.gradient_relation == "different"  # type: ignore[attr-defined]
        assert "Likely cause" not in str(caught.value)


def test_the_reduction_that_the_probe_found_is_not_sought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sought: list[Objective] = []
    monkeypatch.setattr("mlnn.objectives.habits.reduction", sought.append)
    assert assert_same_objective(BCE, upstream("right", "none")).relation == "equal"
    assert sought == []
    assert follows_upstream(Objective.of(upstream("none", "none"), BINARY)), "nothing is known where nothing is found"
    assert len(sought) == 1


class Averaging(torch.autograd.Function):
    """Cross-entropy whose backward takes every row's upstream gradient for the mean of all."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(z, y)
        return F.binary_cross_entropy_with_logits(z, y, reduction="none")

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        z, y = ctx.saved_tensors
        return slopes[0].mean() * (torch.sigmoid(z) - y), None


def test_a_mean_of_upstream_gradients_is_not_each_row_s_own() -> None:
    assert not follows_upstream(Objective.of(lambda z, y: Averaging.apply(z, y), BINARY))


def test_both_backward_passes_astray_alike_are_no_difference() -> None:
    assert assert_same_objective(upstream("none", "mean"), upstream("none", "mean")).relation == "bitwise"


def test_a_gradient_that_is_clipped_on_its_way_is_another_gradient() -> None:
    def clipped(z: Tensor, y: Tensor) -> Tensor:
        z = z * 1.0
        z.register_hook(lambda slope: slope.clamp(-0.1, 0.1))
        return F.binary_cross_entropy_with_logits(z, y, reduction="none")

    told = probe(Objective.of(BCE, BINARY), Objective.of(clipped, BINARY), BINARY, torch.float32)
    assert (told.gradient.relation, told.upstream) == ("different", None)


def low(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z.bfloat16(), y.bfloat16(), reduction="none").to(z)


def constant(_: Tensor, y: Tensor) -> Tensor:
    return 1.0 * y.sum()


def coupled(z: Tensor, _: Tensor) -> Tensor:
    return (z - z.mean()).square()


@pytest.mark.parametrize("loss", [low, constant, coupled])
def test_rounding_constants_and_coupled_rows_are_not_astray(loss: Function) -> None:
    assert follows_upstream(Objective.of(loss, BINARY))


def in_target(z: Tensor, y: Tensor) -> Tensor:
    y.mul_(2).sub_(1)
    return -F.logsigmoid(y * z).mean()


def in_output(z: Tensor, y: Tensor) -> Tensor:
    return -F.logsigmoid(z.mul_(2 * y - 1)).mean()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("loss", "what"), [(in_target, "target"), (in_output, "output")])
def test_writing_into_what_was_given_is_a_habit_and_no_fault(loss: Function, what: str) -> None:
    assert written_into(Objective.of(loss, BINARY)) == (what,)
    found = assert_same_objective(BCE, loss)
    assert found.relation == "equal"
    assert f"Right writes into its {what}" in found.sentence
    assert found.evidence["notes"] == [f"right writes into its {what}"]
    assert written_into(Objective.of(BCE, BINARY)) == ()
    assert "notes" not in assert_same_objective(BCE, BCE).evidence


@pytest.mark.parametrize("edge", [6.23, 8.32, 11.1, 16.64, 27.63, 36.74, 88.7, 709.8])
def test_raw_outputs_lie_on_both_sides_of_where_something_rounds_or_overflows(edge: float) -> None:
    for side in (1, -1):
        assert any(0.9 * edge < side * one < edge for one in STRENGTHS)
        assert any(edge < side * one < 1.1 * edge for one in STRENGTHS)
    assert max(STRENGTHS) == -min(STRENGTHS) == pytest.approx(1000, rel=0.01)
    assert min(abs(one) for one in STRENGTHS) == pytest.approx(1e-4, rel=0.01)
