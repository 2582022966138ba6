"""Resolution: planted faults of falling size are caught down to a size, and a check that sees nothing decides nothing."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from objective_cases import binary
from torch import Tensor
from training_cases import ADAM, compare, lane_recipe, recipe, verdict

from mlnn.comparing.evidence import Evidence
from mlnn.comparing.gaps import CommonGap
from mlnn.comparing.planted_steps import gaps_of_faults
from mlnn.comparing.resolution import PLANTS, SIZES, Planter, _with_fault, planted
from mlnn.objectives import Objective, bce_with_logits, bernoulli_nll_log1p
from mlnn.targets import TargetSpace
from mlnn.training import StepRecord, make_lockstep
from mlnn.training.step import Stop

TARGETS = TargetSpace("binary")

Z = torch.linspace(-3, 3, 12, dtype=torch.float64)
Y = (torch.arange(12) % 2).double()


def test_a_plant_of_size_zero_changes_nothing_and_of_size_one_does_what_it_says() -> None:
    sound = binary(bernoulli_nll_log1p)
    for kind in PLANTS:
        assert torch.equal(planted(sound, kind, 0.0)(Z, Y), sound(Z, Y))
    assert torch.equal(planted(sound, "scale", 1.0)(Z, Y), 2 * sound(Z, Y))
    assert torch.equal(planted(sound, "dropped row", 1.0)(Z, Y), sound(Z[1:], Y[1:]))
    assert torch.equal(planted(sound, "label smoothing", 1.0)(Z, Y), sound(Z, Y.roll(1)))
    bound = float(Z.abs().median())
    assert torch.equal(planted(sound, "clip", 1.0)(Z, Y), sound(Z.clamp(-bound, bound), Y))


def test_every_kind_of_fault_is_caught_far_below_float32_rounding() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        found = verdict(bce_with_logits, bernoulli_nll_log1p, optimizer=ADAM, dtype=dtype)
        assert set(found.resolutions) == set(PLANTS)
        assert found.resolution == max(size for size in found.resolutions.values() if size is not None)
        assert found.resolution <= 1e-9


@pytest.mark.slow
def test_the_stated_resolution_is_kept_a_fault_ten_times_larger_is_caught() -> None:
    stated = verdict(bce_with_logits, bernoulli_nll_log1p).resolutions
    for kind, size in stated.items():
        assert size is not None
        fault = planted(binary(bernoulli_nll_log1p), kind, 10 * size)
        assert verdict(bce_with_logits, fault.function).relation not in ("bitwise", "equal"), kind


def test_a_check_whose_float32_yardstick_is_coarse_says_so() -> None:
    """A right whose float32 gradient is off by 1e-3 lets float64 differences up to 1e-9 pass; the resolution shows it."""

    def rough(z: Tensor, y: Tensor) -> Tensor:
        value = bce_with_logits(z, y)
        return value * (1 + 1e-3 * torch.tanh(z)) if z.dtype == torch.float32 else value

    found = verdict(bce_with_logits, rough)
    assert found.relation == "different"
    assert found.resolution is not None
    assert found.resolution >= 1e-11


def test_no_fault_of_a_size_is_planted_twice_at_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str]] = []

    def seen(record: StepRecord, faulty: Objective, dtype: str) -> CommonGap | None:
        asked.append((record.step, faulty.name))
        return _with_fault(record, faulty, dtype)

    monkeypatch.setattr("mlnn.comparing.resolution._with_fault", seen)
    verdict(bce_with_logits, bernoulli_nll_log1p, looks=3, mode="verdict")
    assert {step for step, _ in asked} == {0, 4, 7}
    assert len(asked) == len(set(asked)) > len(PLANTS) * len(SIZES)


def test_the_ladder_for_the_page_has_every_size_and_what_was_allowed() -> None:
    ladder = compare(bce_with_logits, bernoulli_nll_log1p).planted
    assert set(ladder) == set(PLANTS)
    for points in ladder.values():
        sizes = [size for size, _, _ in points]
        assert sizes == sorted(sizes)
        assert points[-1][1] > points[-1][2] >= 1e-14  # the largest is far above what counts as rounding


def test_nothing_is_planted_where_no_gradient_was_compared_or_a_side_did_not_answer() -> None:
    """Of a step that told nothing a fault that is told would be one of another step."""
    record = looked_at()
    sides = Objective.of(bce_with_logits, TARGETS), Objective.of(bernoulli_nll_log1p, TARGETS)
    unseen = Planter(*sides)
    unseen.look(record, Evidence("float32", 1))
    assert (unseen.caught, unseen.ladder) == ({}, {})
    seen = Evidence("float32", 1)
    seen.gradient.steps = 1
    unanswered = Planter(*sides)
    unanswered.look(dataclasses.replace(record, common={}), seen)
    assert (unanswered.caught, unanswered.ladder) == ({}, {})
    planter = Planter(*sides)
    planter.look(record, seen)
    assert planter.caught.keys() == planter.ladder.keys() == set(PLANTS)


def looked_at() -> StepRecord:
    sides = lane_recipe(bce_with_logits), lane_recipe(bernoulli_nll_log1p)
    return next(make_lockstep(recipe(24, batch_size=12, steps=1), *sides, 0).steps(looks=(0,)))


def step_gaps(
    left: Tensor,
    right: Tensor,
    half: Tensor | None = None,
    factor: float | None = None,
    real: float = 0.0,
    stopped: bool = False,
) -> Callable[[str, float], float]:
    """The gaps of faults of a side without raw outputs, from its gradients, where no larger gradient was seen before."""
    record = looked_at()
    common, stop = record.common["float64"], Stop(0, "loss") if stopped else None
    here = dataclasses.replace(common, gradient=left, right=dataclasses.replace(common.right, gradient=right))
    found = None if half is None else dataclasses.replace(common.right, gradient=half, stop=stop)
    assert record.look is not None
    look = dataclasses.replace(record.look, half=lambda: found)
    evidence = Evidence("float32", 1)
    evidence.gradient.real = real
    if factor is not None:
        evidence.factors[len(record.batch.rows)] = factor
    return gaps_of_faults(dataclasses.replace(record, common={"float64": here}, look=look), evidence)


SLOPES = torch.tensor([3.0, 0.0, -4.0], dtype=torch.float64)
HALVES = torch.tensor([3.0, 5.0, -4.0], dtype=torch.float64)


def test_a_fault_of_a_gradient_has_the_size_that_it_says() -> None:
    gaps = step_gaps(SLOPES, SLOPES, HALVES)
    assert gaps("scale", 0.0) == 0.0
    assert gaps("scale", 1e-3) == pytest.approx(1e-3, rel=1e-9)
    assert gaps("half batch", 1e-3) == pytest.approx(1e-3, rel=1e-9), "5 more, of a gradient of length 5"
    assert gaps("clip of the gradient", 1.0) == pytest.approx(0.2, rel=1e-9), "the 4 to 3"
    scaled = step_gaps(SLOPES, 2 * SLOPES, factor=2.0)
    assert scaled("scale", 1e-3) == pytest.approx(1e-3, rel=1e-9)
    faulty = step_gaps(SLOPES, 7 * SLOPES, factor=2.0, real=1e-2)
    assert faulty("scale", 1e-3) == pytest.approx(7e-3, rel=1e-9), "planted into left, where right is at fault already"


@pytest.mark.parametrize("stopped", [False, True])
def test_no_half_of_one_row_is_lost_nor_one_that_was_not_finite(stopped: bool) -> None:
    gaps = step_gaps(SLOPES, SLOPES, HALVES * torch.nan if stopped else None, stopped=stopped)
    assert gaps("half batch", 1.0) == 0.0


def test_a_fault_that_cannot_be_measured_is_not_seen() -> None:
    nothing = torch.zeros(3, dtype=torch.float64)
    assert step_gaps(nothing, nothing)("scale", 1.0) == 0.0, "there is nothing to compare it with"
    assert step_gaps(SLOPES, SLOPES * torch.inf)("scale", 1.0) == 0.0
