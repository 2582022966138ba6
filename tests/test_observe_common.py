"""What one step adds to the evidence where right is asked at left's weights, by a record changed and a domain made by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from observe_cases import LOSS, two_equal_sides, with_lanes
from torch import Tensor
from training_cases import lane_recipe

from mlnn.comparing.evidence import Evidence
from mlnn.comparing.gaps import gap_between
from mlnn.comparing.measures import measure
from mlnn.comparing.observe import _gap_without, _see_causes, _see_common, _see_null, _spared, observe
from mlnn.comparing.sample import Sample
from mlnn.comparing.sides import Sides
from mlnn.training import StepRecord
from mlnn.training.step import Stride


@pytest.fixture(scope="module")
def seen() -> tuple[StepRecord, Sides]:
    return two_equal_sides()


# Causes.
class Kept:
    """What rates, or a carried gradient, were shown."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def see(self, *told: Any) -> None:
        self.calls.append(told)

    def see_none(self, rates: Any) -> None:
        self.calls.append(("none", rates))


def causes(
    record: StepRecord, sides: Sides, gaps: dict[str, Any], stride: float = 1.0, own_update: bool = False
) -> Any:
    evidence, rates, carried = Evidence("float32", own_update=own_update), Kept(), Kept()
    evidence.rates, evidence.carried = rates, (carried,)  # type: ignore[assignment]
    _see_causes(evidence, record, SimpleNamespace(gaps=gaps, strides={"float64": (stride, 1.0)}), sides)  # type: ignore[arg-type]
    return rates.calls, carried.calls


def test_rates_are_shown_the_steps_of_two_at_the_same_weights(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = replace(seen[0], rates=(0.1, 0.2), rates_before=(0.3, 0.4)), seen[1]
    lane, common = record.lanes["left_float64"], record.common["float64"]
    assert common.stride is not None
    (call,), _ = causes(record, sides, {})
    assert (call[0], call[1], call[5]) == (0, (0.1, 0.2), (0.3, 0.4))
    assert all(map(lambda one, two: one is two, call[2:5], (lane.before, common.stride.left, common.stride.right)))
    assert causes(record, sides, {}, stride=0.0)[0] == [("none", (0.1, 0.2))]
    turned = with_lanes(record, left_float64={"shared": lane.after.clone()})
    assert causes(turned, sides, {})[0] == [], "right is met in coordinates of its own"
    assert causes(replace(record, common={}), sides, {})[0] == []
    still = {"float64": replace(common, stride=None)}
    assert causes(replace(record, common=still), sides, {})[0] == []
    own = {"float64": replace(common, stride=Stride(torch.ones(49), torch.zeros(49)))}
    (call,), _ = causes(replace(record, common=own), replace(sides, own="float64"), {})
    assert call[2] is record.lanes["left"].before


@pytest.mark.parametrize(("exact", "own_update", "shown"), [
    (True, True, 1), (True, False, 0), (False, True, 0), (False, False, 0),
])  # fmt: skip
def test_what_is_carried_over_is_asked_of_updates_of_ones_own(
    seen: tuple[StepRecord, Sides], exact: bool, own_update: bool, shown: int
) -> None:
    gap = gap_between(1.0, 1.0, torch.ones(2), torch.zeros(2))
    assert len(causes(*seen, {"float64": gap} if exact else {}, own_update=own_update)[1]) == shown


# Right at left's weights.
class Domain:
    """A probe with no points and no proof, whose domain holds raw outputs up to `reach`, in float64 up to `reach64`; `known`: the
    rows that lie inside the ends that have a reason, by precision."""

    points: tuple[()] = ()
    paper = None

    def __init__(self, reach: float, reach64: float = math.inf, known: Any = None) -> None:
        self.reach, self.reach64, self.known, self.shift = reach, reach64, known or {}, {0.0: 0.0}

    def covers(self, low: float, high: float, double: bool = False) -> bool:
        return max(abs(low), abs(high)) <= (self.reach64 if double else self.reach)

    def inside(self, output: Tensor, _target: Tensor, double: bool = False, known: bool = False) -> Tensor:
        assert not known or output.dtype == (torch.float64 if double else torch.float32)
        return self.known[double] if known else output.abs() <= self.reach


def common(seen: tuple[StepRecord, Sides], domain: Domain, **outputs: tuple[float, float] | None) -> Evidence:
    record, sides = seen
    measures = measure(record, "float32", None)
    ranges = {"": (-1.0, 1.0), "float32": (-1.0, 1.0), "float64": (-1.0, 1.0)} | outputs
    told = replace(measures, outputs={name: span for name, span in ranges.items() if span is not None})
    evidence = Evidence("float32")
    _see_common(evidence, record, told, sides, domain)  # type: ignore[arg-type]
    return evidence


ROWS = torch.arange(96)
EVERY, NONE = ROWS >= 0, ROWS < 0
FEW = ROWS >= 2


def test_rows_outside_are_counted_where_the_outputs_are_not_covered(seen: tuple[StepRecord, Sides]) -> None:
    inside = common(seen, Domain(2.0))
    assert (inside.rows, inside.rows_outside, inside.gradient.steps, inside.spared) == (96, 0, 1, 0)
    beyond = common(seen, Domain(1e-9, known={False: EVERY, True: EVERY}), **{"": (-9.0, 9.0)})
    assert (beyond.rows, beyond.rows_outside, beyond.gradient.steps) == (96, 96, 1)
    untold = common(seen, Domain(1e-9, known={False: EVERY, True: EVERY}), **{"": None})
    assert (untold.rows, untold.rows_outside) == (96, 0)
    record, sides = seen
    part = replace(record.lanes["left"].answer, output=torch.zeros(0), target=torch.zeros(0))
    bare = common((with_lanes(record, left={"answer": part}), sides), Domain(2.0))
    assert bare.rows == 96, "of a step that tells no raw outputs"


@pytest.mark.parametrize(("low", "double", "spared", "left_out", "steps"), [
    (EVERY, EVERY, 0, 0, 1), (NONE, EVERY, 0, 1, 0), (EVERY, NONE, 0, 1, 0), (FEW, EVERY, 1, 0, 1), (EVERY, FEW, 1, 0, 1),
])  # fmt: skip
def test_a_step_is_judged_without_the_rows_that_a_reason_excuses_and_left_out_where_it_excuses_all(
    seen: tuple[StepRecord, Sides], low: Tensor, double: Tensor, spared: int, left_out: int, steps: int
) -> None:
    found = common(seen, Domain(0.5, known={False: low, True: double}))
    assert (found.spared, found.left_out, found.gradient.steps) == (spared, left_out, steps)
    record = seen[0]
    mask = _spared(record, Domain(0.5, known={False: low, True: double}))  # type: ignore[arg-type]
    assert torch.equal(mask, ~(low & double))


def test_each_precision_is_held_to_a_domain_of_its_own(seen: tuple[StepRecord, Sides]) -> None:
    known = {False: NONE, True: NONE}
    assert common(seen, Domain(2.0, 2.0, known)).left_out == 0
    assert common(seen, Domain(2.0, 0.5, known)).left_out == 1
    assert common(seen, Domain(2.0, 2.0, known), float64=(-3.0, 1.0)).left_out == 1
    assert common(seen, Domain(0.5, 2.0, known)).left_out == 1
    assert common(seen, Domain(2.0, 4.0, known), float64=(-3.0, 1.0)).left_out == 0


def test_without_float32_and_float64_nothing_is_judged_and_the_witness_is_of_whole_batches(
    seen: tuple[StepRecord, Sides],
) -> None:
    record, sides = seen
    measures = measure(record, "float32", None)
    gap = gap_between(1.0, 1.0, torch.ones(49), 2 * torch.ones(49))
    for names, steps in ((("float32",), 0), (("float64",), 0), (("float32", "float64"), 1)):
        evidence = Evidence("float32")
        told = replace(measures, gaps=dict.fromkeys(names, gap))
        _see_common(evidence, record, told, sides, Domain(math.inf))  # type: ignore[arg-type]
        assert evidence.gradient.steps == steps
        assert (evidence.witness is not None) is (steps == 1)
    for known, witness in ((EVERY, True), (FEW, False)):
        evidence = Evidence("float32")
        told = replace(measures, gaps=dict.fromkeys(("float32", "float64"), gap))
        _see_common(evidence, record, told, sides, Domain(1e-9, known=dict.fromkeys((False, True), known)))  # type: ignore[arg-type]
        assert (evidence.witness is not None) is witness
    evidence = Evidence("float32")
    _see_common(evidence, record, told, replace(sides, rowwise=False), Domain(1e-9))  # type: ignore[arg-type]
    assert (evidence.witness, evidence.gradient.steps) == (None, 1), "a step's outputs are not held to a domain here"


def test_rows_that_are_spared_are_brought_back_to_one_and_the_others_stay(seen: tuple[StepRecord, Sides]) -> None:
    mean = lane_recipe(lambda z, _: z.mean()).objective
    steep = lane_recipe(lambda z, _: torch.where(z.abs() > 2, 3 * z, z).mean()).objective
    sides = replace(seen[1], left=mean, right=steep)
    sample = Sample(torch.tensor([-5.0, 0.5, 1.5], dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    held = _gap_without(torch.tensor([True, True, False]), sample, sides)
    assert (held.left, held.right, held.apart) == pytest.approx((1.0 / 3, 1.0 / 3, 0.0))
    kept = _gap_without(torch.tensor([False, True, True]), sample, sides)
    assert (kept.left, kept.apart) == pytest.approx((-3.5 / 3, 2.0 / 3))


@pytest.mark.parametrize(("dtype", "slope", "drawn"), [
    (torch.bfloat16, 1.0, True), (torch.float16, 1.0, True), (torch.float32, 1.0, False), (torch.bfloat16, 0.0, False),
])  # fmt: skip
def test_null_draws_are_made_in_a_half_precision_where_there_is_a_gradient(
    seen: tuple[StepRecord, Sides], dtype: torch.dtype, slope: float, drawn: bool
) -> None:
    record, sides = seen
    here = record.common["float32"]
    part = replace(
        here, left=replace(here.left, output=torch.linspace(-1, 1, 96).to(dtype), target=torch.ones(96).to(dtype))
    )
    loss = lane_recipe(lambda z, y: slope * (z * z * y).mean()).objective
    evidence = Evidence("float32")
    _see_null(evidence, replace(record, common={"float32": part}), replace(sides, left=loss, right=loss))
    assert (evidence.gradient.drawn[1] > 0) is drawn
    assert evidence.gradient.drawn[0] == 0.0


def observed(evidence: Evidence, record: StepRecord, sides: Sides, **changes: Any) -> Evidence:
    observe(evidence, record, replace(measure(record, "float32", None), **changes), sides, Domain(math.inf))  # type: ignore[arg-type]
    return evidence


def test_a_step_is_taken_in_part_by_part(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    found = observed(Evidence("float32", steps=4, trained=4), record, sides)
    assert (found.trained, found.steps, found.unlooked, found.settings, found.moved) == (1, 5, None, None, True)
    assert [one.steps for one in (found.gradient, found.value, found.update, found.prediction)] == [1] * 4
    assert record.look is not None
    for look in (None, replace(record.look, predictions=None)):
        bare = observed(
            Evidence("float32"), replace(record, look=look, asked=False), sides, strides={"float64": (0.0, 1.0)}
        )
        assert (bare.steps, bare.prediction.steps, bare.update.steps) == (0, 0, 0)
    odd = replace(record, unlooked="L-BFGS", settings_apart="lr")
    told = observed(Evidence("float32"), odd, sides)
    assert (told.unlooked, told.settings) == ("L-BFGS", (0, "lr"))
    told = observed(Evidence("float32", unlooked="before", settings=(7, "momentum")), odd, sides)
    assert (told.unlooked, told.settings) == ("before", (7, "momentum"))
    gone = with_lanes(replace(record, batch=replace(record.batch, step=1)), left={"stop": LOSS})
    late = observed(Evidence("float32"), gone, sides)
    assert (late.trained, late.gradient.steps, late.rows) == (2, 0, 0), "left had stopped before this step"


def test_a_side_that_is_not_finite_alone_is_told_at_the_first_step_that_it_is(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    gap = gap_between(1.0, math.inf, torch.ones(49), torch.ones(49))
    evidence = observed(Evidence("float32"), record, sides, gaps=dict.fromkeys(("float32", "float64"), gap))
    assert evidence.one_sided == (0, "float32", "right")
    _see_common(evidence, record, measure(record, "float32", None), sides, Domain(math.inf))  # type: ignore[arg-type]
    assert evidence.one_sided == (0, "float32", "right")
