"""The rules of the verdict one by one, on evidence made by hand: each threshold holds on both of its sides."""

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from objective_cases import BINARY as binary
from torch import Tensor
from training_cases import SGD, lane_recipe, recipe

from mlnn.comparing.decide import _explained, _on_batches, _seen, decide, steady
from mlnn.comparing.differences import see_both
from mlnn.comparing.evidence import Evidence, Judged, allowed
from mlnn.comparing.explaining.explain import Explained
from mlnn.comparing.explaining.trial import Cause
from mlnn.comparing.explaining.where import Place
from mlnn.comparing.gaps import gap_between
from mlnn.comparing.observe import _would_stop
from mlnn.comparing.probe import probe
from mlnn.comparing.probed import Part, Probe
from mlnn.comparing.undefined import LeftOut
from mlnn.comparing.verdict import Verdict
from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.objectives.grid import make_grid
from mlnn.objectives.promotion import Inside
from mlnn.objectives.reduction import Reduction
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


@pytest.mark.parametrize(
    ("changes", "caught", "relation"),
    [
        ({}, 1.0, "different"),  # what was found needs no check that could have found it
        ({"domain": dict.fromkeys((0.0, 1.0), (-0.9, 0.9))}, 1e-12, "different"),
        ({"value": Part("equal"), "domain": dict.fromkeys((0.0, 1.0), (-0.9, 0.9))}, 1e-12, "undecided"),
        ({"value": Part("equal"), "domain": dict.fromkeys((0.0, 1.0), (-1.1, 1.1))}, 1e-12, "equal"),
    ],
)
def test_only_what_passes_needs_a_domain_and_checks_that_see(
    changes: dict[str, Any], caught: float, relation: str
) -> None:
    different = Part("different", 1.0, 0.3, 1.0)
    seen = replace(probed(), **({"value": different, "gradient": Part("equal")} | changes))
    assert decide(seen, evidence(), {"scale": caught}).relation == relation


def test_factors_of_two_sizes_or_a_gap_that_rounding_does_not_explain_are_different_each_alone() -> None:
    for changes in ({"factors": {8: 1.0, 16: 2.0}}, {"gradient": rough()}, {"value": rough()}):
        assert decide(probed(), evidence(**changes)).relation == "different"  # type: ignore[arg-type]


def rough() -> Judged:
    """Off by 4900 float32 ulps on one of 100 steps."""
    judged = Judged()
    for step in range(100):
        judged.see(step, {"float32": 4900 * EPS if step == 50 else 0.0, "float64": 0.0}, 1.0)
    return judged


@pytest.mark.parametrize(
    ("own", "factors", "loss_factors", "value", "gradient"),
    [
        ("float32", 2.0, 1.0, "equal", "scaled"), ("float32", 1.0, 2.0, "scaled", "equal"),
        ("float64", 1 + 1e-13, 1.0, "equal", "scaled"),
    ],
)  # fmt: skip
def test_losses_and_gradients_have_factors_of_their_own(
    own: str, factors: float, loss_factors: float, value: str, gradient: str
) -> None:
    run = evidence(own=own, factors={8: factors}, loss_factors={8: loss_factors})
    verdict = decide(probed(dtype=getattr(torch, own)), run)
    assert (verdict.value_relation, verdict.gradient_relation) == (value, gradient)


@pytest.mark.parametrize(
    ("gradient", "beyond", "relation"),
    [
        ("equal", None, "equal"), ("equal", 0.5, "different"), ("scaled", 0.5, "different"), ("different", 0.5, "different"),
    ],
)  # fmt: skip
def test_a_domain_that_ends_for_no_reason_is_none(gradient: str, beyond: float | None, relation: str) -> None:
    seen = replace(probed(), gradient=Part(gradient, 0.1, 0.3, 1.0), domain=dict.fromkeys((0.0, 1.0), (-9.0, 9.0)))
    part = None if beyond is None else Part("different", beyond, 12.0, 1.0)
    verdict = decide(replace(seen, beyond=part))
    assert verdict.gradient_relation == relation
    assert ("outside [-9, 9] gradients differ by 0.5, at raw output 12" in verdict.sentence) == (
        beyond is not None and gradient != "different"
    )


WHOLE = SAME.whole
KEPT = Reduction("mean over kept rows")
HALF = float(torch.finfo(torch.bfloat16).eps)
ALONE = LeftOut(torch.ones(1, 1, dtype=torch.bool), alone=True)
SEALED = Inside(torch.bfloat16, False, "its kernel is closed")


@pytest.mark.parametrize(
    ("whole", "changes", "value", "gradient"),
    [
        ({}, {}, "bitwise", "bitwise"),
        ({"gradient": 1.9 * EPS}, {}, "bitwise", "indistinguishable"),
        ({"gradient": 2.1 * EPS}, {}, "bitwise", "different"),
        ({"value": 1.9 * EPS}, {}, "indistinguishable", "bitwise"),
        ({"value": 2.1 * EPS}, {}, "different", "bitwise"),
        ({"gradient": 1e-15}, {"dtype": torch.float64}, "bitwise", "different"),
        ({"gradient": 1.9 * HALF}, {"computing": (SEALED, Inside())}, "bitwise", "indistinguishable"),
        ({"gradient": 1.9 * HALF}, {"computing": (replace(SEALED, sealed=None), Inside())}, "bitwise", "different"),
        ({"factors": {7: 1 + 1.9 * EPS}}, {}, "indistinguishable", "indistinguishable"),
        ({"factors": {7: 1.0, 37: 1 + 2.1 * EPS}}, {}, "scaled", "scaled"),
        ({"rough": 1e-9}, {}, "different", "different"),
        ({"left": KEPT}, {}, "bitwise", "bitwise"),
        ({"left": KEPT, "gradient": 1e-15}, {}, "different", "different"),
        ({"left": KEPT, "value": 1e-15}, {}, "different", "different"),
        ({"right": KEPT, "factors": {7: 1 + EPS}}, {}, "different", "different"),
        ({"left": KEPT, "right": KEPT, "gradient": 1e-15}, {}, "bitwise", "indistinguishable"),
        ({}, {"upstream": "right"}, "bitwise", "different"),
        ({"left": None, "gradient": 1.0}, {}, "bitwise", "bitwise"),
        ({"right": None, "gradient": 1.0}, {}, "bitwise", "bitwise"),
        ({"left": None}, {"left_out": ALONE}, "undecided", "undecided"),
        ({"answered": 0}, {"left_out": ALONE}, "undecided", "undecided"),
        ({"answered": 0}, {}, "bitwise", "bitwise"),
        ({"answered": 4, "same_bits": True}, {"left_out": ALONE}, "bitwise", "bitwise"),
        ({"answered": 4, "same_bits": False}, {"left_out": ALONE}, "equal", "equal"),
        ({"same_bits": False}, {}, "bitwise", "bitwise"),
    ],
)  # fmt: skip
def test_what_whole_batches_allow(whole: dict[str, Any], changes: dict[str, Any], value: str, gradient: str) -> None:
    assert WHOLE is not None
    seen = replace(probed(), whole=replace(WHOLE, **whole), **changes)
    assert (_on_batches(seen, seen.value), _on_batches(seen, seen.gradient)) == (value, gradient)
    assert [_on_batches(replace(seen, whole=None), part) for part in (seen.value,)] == [
        "undecided" if "left_out" in changes else "bitwise"
    ]


@pytest.mark.parametrize(
    ("interval", "relation", "domain"),
    [
        ((-0.9, 5.0), "different", "none"), ((-5.0, 0.9), "different", "none"), ((-1.0, 1.0), "different", (-1.0, 1.0)),
        ((-5.0, 5.0), "equal", (-5.0, 5.0)), ((-math.inf, math.inf), "equal", "all"), ((-math.inf, math.inf), "different", "all"),
    ],
)  # fmt: skip
def test_a_domain_is_told_where_there_is_one(interval: tuple[float, float], relation: str, domain: object) -> None:
    value = Part("equal") if relation == "equal" else Part("different", 1.0, 0.3, 1.0)
    seen = replace(probed(), value=value, domain=dict.fromkeys((0.0, 1.0), interval))
    verdict = decide(seen)
    assert (verdict.relation, verdict.domain) == (relation, domain)


ASTRAY, RATES, TAPE = Cause("backward"), Cause("rates"), Cause("kept")
GRADIENT = Verdict("different", "equal", "different", "")
SMOOTHED = Cause("smoothed", 1.0, 0.0)
BY_FACTOR = Cause("twice", 1.0, 0.0, scales=True)


def with_causes(**changes: Any) -> Evidence:
    """A run that has shown a cause of its own in rates and in what is carried from step to step."""
    run = evidence(**changes)
    run.rates = SimpleNamespace(cause=RATES)  # type: ignore[assignment]
    run.carried = (SimpleNamespace(cause=None), SimpleNamespace(cause=TAPE))  # type: ignore[assignment]
    return run


@pytest.mark.parametrize(
    ("verdict", "changes", "run", "cause"),
    [
        (GRADIENT, {"upstream": "left"}, None, "left's backward pass does not follow the upstream gradient"),
        (GRADIENT, {"backward": ASTRAY}, None, "backward"),
        (GRADIENT, {}, None, None),
        (replace(GRADIENT, relation="scaled"), {"backward": ASTRAY}, None, None),
        (replace(GRADIENT, value_relation="different"), {"backward": ASTRAY}, None, None),
        (GRADIENT, {"backward": ASTRAY}, {}, "backward"),
        (GRADIENT, {}, {"gradient": rough()}, "kept"),
        (GRADIENT, {}, {}, "rates"),
        (GRADIENT, {"gradient": Part("different", 1.0, 0.3, 1.0)}, {}, None),
        (GRADIENT, {}, {"factors": {8: 2.0}}, None),
    ],
)
def test_a_cause_that_has_shown_itself(
    verdict: Verdict, changes: dict[str, Any], run: dict[str, Any] | None, cause: str | None
) -> None:
    found = _seen(verdict, replace(probed(), **changes), None if run is None else with_causes(**run))
    assert (found.words if found else None) == cause


CLIPPED = {
    "domain": dict.fromkeys((0.0, 1.0), (-9.0, 9.0)),
    "ends": dict.fromkeys((0.0, 1.0), ("left clips", "left clips")),
}
ROUNDS = CLIPPED | {"ends": dict.fromkeys((0.0, 1.0), ("left rounds", "left rounds"))}
POINT = {"output": 0.0, "rows": 3}


@pytest.mark.parametrize(
    ("verdict", "changes", "cause"),
    [
        (Verdict("different", "different", "different", ""), {}, "smoothed"),
        (Verdict("different", "different", "different", ""), {"found": BY_FACTOR}, None),
        (Verdict("scaled", "scaled", "scaled", ""), {"found": BY_FACTOR}, "twice"),
        (Verdict("different", "different", "different", "", points=[POINT]), {}, None),
        (Verdict("bitwise", "bitwise", "bitwise", ""), {}, None),
        (Verdict("undecided", "undecided", "undecided", ""), {}, None),
        (Verdict("equal", "equal", "equal", "", domain=(-9.0, 9.0)), CLIPPED, "smoothed"),
        (Verdict("equal", "equal", "equal", "", domain=(-9.0, 9.0)), ROUNDS, None),
        (Verdict("equal", "equal", "equal", "", domain=(-9.0, 9.0)), {}, "smoothed"),
        (Verdict("equal", "equal", "equal", ""), {}, None),
    ],
)
def test_a_cause_is_asked_for_where_there_is_a_difference_without_one(
    verdict: Verdict, changes: dict[str, Any], cause: str | None
) -> None:
    told = Explained(changes.get("found", SMOOTHED), Place(3, 0.5, 1.0))
    seen = replace(probed(), **{name: part for name, part in changes.items() if name != "found"})
    found = _explained(verdict, seen, None, lambda _sample: told)
    assert (found.cause.words if found.cause else None) == cause
    assert _explained(verdict, seen, None, None) == Explained()


def test_the_facts_of_a_verdict_are_there_where_there_is_something_to_say() -> None:
    always = {"probe_value", "probe_gradient", "nearer"}
    assert WHOLE is not None
    table: list[tuple[dict[str, Any], set[str]]] = [
        ({"whole": None}, set()),
        ({"whole": replace(WHOLE, left=None)}, set()),
        ({}, {"reductions", "batch_factors"}),
        ({"whole": None, "lowered": (0.0, 1e-3)}, {"lowered"}),
        ({"whole": None, "notes": ["a"]}, {"notes"}),
        ({"whole": None, "writes": ["b"]}, {"notes"}),
        ({"whole": None, "left_out": LeftOut(torch.zeros(1, 1, dtype=torch.bool))}, set()),
        ({"whole": None, "left_out": replace(ALONE, alone=False)}, {"left_out"}),
        ({"whole": None} | CLIPPED, {"domain_ends"}),
    ]
    for changes, more in table:
        assert set(decide(replace(probed(), **changes)).evidence) == always | more, changes
    part = decide(replace(probed(), whole=None, value=Part("indistinguishable", 1e-9))).evidence["probe_value"]
    assert part == {"relation": "indistinguishable", "size": 1e-9}, "no place was told"


def test_a_training_run_tells_the_share_of_rows_outside_and_whether_it_had_a_control() -> None:
    run = evidence(rows=0, rows_outside=0)
    assert decide(probed(), run).left_domain is None
    assert decide(probed(), evidence(rows_outside=5)).left_domain == 0.5
    assert decide(probed()).left_domain is None
    assert [decide(probed(), evidence(control=one)).control for one in (None, "differs")] == ["bitwise", "differs"]


SLOPE = torch.tensor([3.0, 4.0], dtype=torch.float64)
ASIDE = torch.tensor([-4.0, 3.0], dtype=torch.float64)


def common(
    seen: Evidence,
    left: Tensor,
    right: Tensor,
    losses: tuple[float, float] = (1.0, 1.0),
    rows: int = 8,
    shifted: bool = False,
) -> Evidence:
    """One step of these gradients and losses, in float64; float32 sees the same."""
    seen.see_common(0, rows, dict.fromkeys(("float32", "float64"), gap_between(*losses, left, right)), shifted)
    return seen


@pytest.mark.parametrize(
    ("right", "factor"),
    [
        (2 * SLOPE, 2.0),
        (0.25 * SLOPE, 0.25),
        (-2 * SLOPE, 1.0),  # uphill is no factor
        (2 * SLOPE + 1.9e-3 * ASIDE, 2.0),
        (2 * SLOPE + 2.1e-3 * ASIDE, 1.0),  # by more than a factor
        (0 * SLOPE, 1.0),
    ],
)
def test_a_factor_of_gradients_is_one_where_it_leaves_more_than_a_thousandth(right: Tensor, factor: float) -> None:
    assert common(Evidence("float32"), SLOPE, right).factors == {8: pytest.approx(factor, rel=1e-9)}


def test_what_a_step_adds_to_the_evidence() -> None:
    nothing, seen = 0 * SLOPE, Evidence("float32")
    common(seen, SLOPE, SLOPE * math.inf)
    assert (seen.gradient.steps, seen.idle) == (0, 0), "one that is not finite is told elsewhere"
    common(seen, nothing, nothing)
    assert (seen.gradient.steps, seen.idle) == (0, 1), "two that do not train agree about nothing"
    common(seen, nothing, SLOPE)
    assert (seen.gradient.steps, seen.idle, seen.gradient.real) == (1, 2, math.inf)
    seen = common(Evidence("float32"), SLOPE, 2 * SLOPE, (1.0, 2.0))
    assert (seen.factors, seen.loss_factors, seen.value.steps, seen.value.real) == ({8: 2.0}, {8: 2.0}, 1, 0.0)
    assert not seen.values_alike
    common(seen, SLOPE, 3 * SLOPE, (1.0, 3.0))
    assert seen.factors == {8: 2.0}, "that of the first batch of its size"
    assert seen.gradient.real == pytest.approx(0.5)
    common(seen, SLOPE, 3 * SLOPE, (1.0, 3.0), rows=5)
    assert (seen.factors, seen.loss_factors) == ({8: 2.0, 5: 3.0}, {8: 2.0, 5: 3.0})
    seen = common(Evidence("float32"), SLOPE, SLOPE, (1.0, 2.0), shifted=True)
    assert (seen.gradient.steps, seen.value.steps, seen.loss_factors, seen.values_alike) == (1, 0, {}, True)


@pytest.mark.parametrize(
    ("rowwise", "losses", "factor"),
    [(True, (1.0, 1.0), 2.0), (False, (1.0, 1.0), 1.0), (False, (1.0, 2.0), 2.0), (False, (1.0, 1.4), 1.0)],
)
def test_of_steps_a_clip_may_scale_the_gradient_alone(
    rowwise: bool, losses: tuple[float, float], factor: float
) -> None:
    seen = common(Evidence("float32", rowwise=rowwise), SLOPE, 2 * SLOPE, losses)
    assert seen.loss_factors == {8: factor}


def test_evidence_counts_rows_and_is_told_what_the_sides_compute_in() -> None:
    seen = Evidence("float32", steps=5, trained=5)
    assert not seen.thinned
    assert Evidence("float32", steps=4, trained=5).thinned
    for rows, outside, outputs in ((4, 1, (-1.0, 2.0)), (4, 0, (-3.0, 1.0)), (2, 2, None)):
        seen.see_rows(rows, outside, outputs)
    assert (seen.rows, seen.rows_outside, seen.raw_low, seen.raw_high) == (10, 3, -3.0, 2.0)
    for outputs, length in ((1, 0), (2, 2)):
        seen.computes_in([Inside(), replace(SEALED, sealed=None)], outputs)
        assert [(one.floor, one.alone, one.length) for one in (seen.gradient, seen.value)] == [
            (HALF, False, length)
        ] * 2
    seen.computes_in([SEALED, Inside()], 1)
    assert (seen.gradient.alone, seen.value.alone, seen.update.alone) == (True, True, False)
    seen.computes_in([], 1)
    assert (seen.gradient.floor, seen.gradient.alone) == (0.0, False)


@pytest.mark.parametrize(
    ("gap", "null", "explained"), [(3.9, 1.0, True), (4.9, 1.0, True), (5.1, 1.0, False), (1e3, 0.0, True)]
)
def test_in_a_half_precision_five_null_draws_are_rounding(gap: float, null: float, explained: bool) -> None:
    judged = Judged()
    for step in range(10):
        judged.see(step, {"bfloat16": 1e-3, "float32": 1e-9, "float64": 1e-17}, 1.0)
        judged.see_draw(gap * 1e-3, null * 1e-3)
    assert (judged.unexplained("bfloat16") is None) is explained
    assert judged.unexplained("float64") is None


def test_the_batch_furthest_apart_is_the_witness() -> None:
    run, gap = Evidence("float32"), gap_between(1.0, 1.0, torch.ones(2), torch.ones(2))
    for size in (0.1, 0.5, 0.3, math.nan):
        run.see_witness({"float32": replace(gap, gradient=size)}, lambda size=size: size)  # type: ignore[misc]
    assert (run.witnessed, run.witness) == (0.5, 0.5)


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
