"""The rules of the verdict one by one, on evidence made by hand: each threshold holds on both of its sides."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from objective_cases import BINARY as binary
from torch import Tensor
from training_cases import SGD, lane_recipe, recipe

from mlnn.comparing.decide import decide, steady
from mlnn.comparing.differences import see_both
from mlnn.comparing.evidence import Evidence, Judged, allowed
from mlnn.comparing.gaps import gap_between
from mlnn.comparing.observe import _would_stop
from mlnn.comparing.probe import probe
from mlnn.comparing.probed import Part, Probe
from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.objectives.grid import make_grid
from mlnn.training import Batch, Evaluated, Stop, make_lockstep

EPS = float(torch.finfo(torch.float32).eps)
NLL = Objective.of(bernoulli_nll_log1p, binary)
SAME = probe(NLL, NLL, binary, torch.float32)


def probed(**changes: Any) -> Probe:
    """A probe that found two sides equal but for rounding."""
    return replace(SAME, value=Part("equal"), gradient=Part("equal"), **changes)


def evidence(coarse: float = 1e-7, fine: float = 1e-16, steps: int = 10, **changes: Any) -> Evidence:
    """A run whose gaps at common weights are `coarse` in float32 and `fine` in float64 at every step."""
    found = Evidence("float32", steps, steps, bitwise=False, moved=True, rows=10, factors={8: 1.0})
    for step in range(steps):
        for judged in (found.gradient, found.value):
            judged.see(step, {"float32": coarse, "float64": fine}, 1.0)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("coarse", "fine", "factor", "relation"),
    [
        (1e-7, 1e-16, 1.0, "equal"),
        (1e-7, 1e-9, 1.0, "indistinguishable"),
        (1e-7, 1e-16, 1 + 1e-9, "indistinguishable"),
        (1e-7, 1.9 * EPS, 1.0, "indistinguishable"),
        (3e-7, 2.1 * EPS, 1.0, "different"),
        (1e-7, 1e-16, 1 + 1.9 * EPS, "indistinguishable"),
        (1e-7, 1e-16, 1 + 2.1 * EPS, "scaled"),
    ],
)
def test_what_float32_can_resolve(coarse: float, fine: float, factor: float, relation: str) -> None:
    assert decide(probed(), evidence(coarse, fine, factors={8: factor})).relation == relation


@pytest.mark.parametrize(
    ("changes", "relation", "words"),
    [
        ({"control": "control differs"}, "undecided", "the machine or the code"),
        ({"moved": False}, "undecided", "never moved"),
        ({"stops": {"right": Stop(3, "loss")}}, "broken", "right's loss is not finite from step 3"),
        ({"stops": {"right": Stop(3, "loss")}, "diverged": {"right"}}, "equal", "Training diverged"),
        ({"one_sided": (2, "float32", "left")}, "broken", "left is not finite at step 2 in float32"),
        ({"one_sided": (2, "float32", "left"), "stops": {"left": Stop(2, "loss"), "right": Stop(2, "loss")}}, "equal", "diverged"),
        ({"bitwise": True}, "bitwise", ""),
        ({"planned": 101}, "undecided", "only 10 of 101 steps could be compared"),
        ({"planned": 100}, "equal", ""),
        ({"planned": 101, "left_out": 1}, "undecided", "on the others every row left the domain"),
        ({"planned": 101, "idle": 91}, "undecided", "gradient is exactly 0 on 91 of 10 steps"),
    ],
)  # fmt: skip
def test_the_rules_that_come_before_the_gaps(changes: dict[str, Any], relation: str, words: str) -> None:
    seen = SAME if changes.get("bitwise") else probed()
    verdict = decide(seen, evidence(**changes))
    assert verdict.relation == relation
    assert words in verdict.sentence


@pytest.mark.parametrize(
    ("which", "words"), [("update", "the optimizers take steps"), ("prediction", "in evaluation mode")]
)
def test_other_steps_or_predictions_are_different(which: str, words: str) -> None:
    odd = Judged()
    odd.see(4, {"float32": 1e-3, "float64": 1e-3}, 1.0)
    verdict = decide(probed(), evidence(**{which: odd}))
    assert verdict.relation == "different"
    assert words in verdict.sentence
    assert "at step 4" in verdict.sentence


@pytest.mark.parametrize(("caught", "relation"), [(0.0099, "equal"), (0.0101, "undecided"), (None, "undecided")])
def test_a_check_that_sees_no_fault_of_a_hundredth_decides_nothing(caught: float | None, relation: str) -> None:
    assert decide(probed(), evidence(), {"scale": 1e-12, "clip": caught}).relation == relation


def test_what_a_float32_gap_explains() -> None:
    assert allowed(1e-7) == pytest.approx(1e-13, rel=1e-12)
    assert allowed(1e-9) == allowed(math.nan) == 1e-14
    assert allowed(1.0) == allowed(1e-3) == 1e-9


def test_gaps_are_measured_against_a_thousandth_of_the_largest_gradient_at_least() -> None:
    judged = Judged()
    judged.see(0, {"float32": 0.0, "float64": 0.0}, 1.0)
    judged.see(1, {"float32": 1e-9, "float64": 0.0}, 1e-6)
    assert judged.largest["float32"] == pytest.approx(1e-6)


@pytest.mark.parametrize(("ulps", "explained"), [(4700, True), (4900, False)])
def test_one_step_may_be_off_by_three_hundred_times_the_ulps_of_float64(ulps: float, explained: bool) -> None:
    judged = Judged()
    for step in range(100):
        judged.see(step, {"float32": ulps * EPS if step == 50 else 0.0, "float64": 0.0}, 1.0)
    assert (judged.unexplained("float32") is None) == explained
    if not explained:
        assert judged.unexplained("float32") == (50, pytest.approx(ulps * EPS))


@pytest.mark.parametrize(("ulps", "explained"), [(19, True), (21, False)])
def test_all_steps_may_be_off_by_twenty_times_the_ulps_of_float64(ulps: float, explained: bool) -> None:
    judged = Judged()
    for step in range(100):
        judged.see(step, {"float32": ulps * EPS, "float64": 0.0}, 1.0)
    assert (judged.unexplained("float32") is None) == explained


@pytest.mark.parametrize(("off", "found"), [(5e-13, 1.0), (5e-12, 1 + 5e-12)])
def test_a_factor_within_float64_rounding_of_one_is_one(off: float, found: float) -> None:
    left = torch.ones(4, dtype=torch.float64)
    gap = gap_between(1.0, 1 + off, left, (1 + off) * left)
    seen = Evidence("float32")
    seen.see_common(0, 8, {"float32": replace(gap, gradient=0.0), "float64": gap}, shifted=False)
    assert seen.factors == {8: found}


@pytest.mark.parametrize(("off", "one"), [(0.9e-11, True), (1.1e-11, False)])
def test_factors_of_two_batch_sizes_are_one_within_their_rounding(off: float, one: bool) -> None:
    assert steady(evidence(factors={8: 1.0, 16: 1 + off})) == one


@pytest.mark.parametrize(("off", "one"), [(5e-13, True), (5e-12, False)])
def test_shifts_that_agree_over_the_targets_are_one_number(off: float, one: bool) -> None:
    shift = decide(probed(shift={0.0: 1.0, 1.0: 1 + off})).shift
    assert isinstance(shift, float) == one


@pytest.mark.parametrize(("bend", "factor"), [(1e-16, 1.5), (3e-12, 1.0)])
def test_a_factor_is_one_number_over_all_outputs_or_none(bend: float, factor: float) -> None:
    bent = Objective.of(lambda z, y: 1.5 * bernoulli_nll_log1p(z, y) + bend * z.square() / 2, binary)
    both = see_both(NLL, bent, make_grid(binary), {torch.float32, torch.float64})
    assert both.factor == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(("share", "stops"), [(2e-6, True), (5e-7, False)])
@pytest.mark.parametrize("what", ["value", "slope"])
def test_a_side_on_its_way_to_overflow_would_have_stopped_too(what: str, share: float, stops: bool) -> None:
    large = share * torch.finfo(torch.float32).max

    def steep(output: Tensor, target: Tensor) -> Tensor:
        return large * (output if what == "slope" else output - output.detach() + 1).mean() + 0 * target.mean()

    answer = Evaluated(batch(), math.inf, torch.zeros(1), torch.ones(1), torch.zeros(1))
    assert _would_stop(Objective.of(steep, binary), answer, Stop(0, "loss"), False) == stops
    assert _would_stop(NLL, answer, Stop(0, "weights"), optimizers_differ=False)
    assert not _would_stop(NLL, answer, Stop(0, "weights"), optimizers_differ=True)


def batch() -> Batch:
    return Batch(0, torch.arange(1), 0, recipe())


def lbfgs(weights: Any) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(weights)


@pytest.mark.parametrize(
    ("left", "right", "differ"),
    [
        ({}, {}, False),
        ({}, {"optimizer": partial(torch.optim.SGD, lr=0.2)}, True),
        ({"optimizer": torch.optim.Adam}, {"optimizer": torch.optim.AdamW}, True),
        ({}, {"prior": 0.1}, True),
        ({"prior": 0.1}, {"prior": 0.1}, False),
        ({"optimizer": lbfgs}, {"optimizer": lbfgs}, None),
    ],
)
def test_optimizers_are_compared_throughout(left: dict[str, Any], right: dict[str, Any], differ: bool | None) -> None:
    lanes = [lane_recipe(optimizer=SGD) for _ in range(2)]
    lockstep = make_lockstep(
        recipe(), *(replace(lane, **own) for lane, own in zip(lanes, (left, right), strict=True)), 0
    )
    assert lockstep.optimizers_differ == bool(differ)
    assert lockstep.compares_steps == (differ is not None)
