"""The bits of one step, and its stops: each from a record of two equal sides with some of it changed by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from observe_cases import LOSS, WEIGHTS, two_equal_sides, with_lanes
from torch import Tensor
from training_cases import lane_recipe

from mlnn.comparing.evidence import Evidence
from mlnn.comparing.measures import FOLLOWER
from mlnn.comparing.observe import _right_after, _see_answers, _see_stops, _see_weights
from mlnn.comparing.sides import Sides
from mlnn.objectives import bce
from mlnn.training import Evaluated, StepRecord, Stop

SAME = {"control", "right", FOLLOWER}
BY_LANE = [
    (False, {"right"}, True), (False, {FOLLOWER}, False), (True, {FOLLOWER}, True), (True, {"right"}, False),
]  # fmt: skip
"""Whether right's lane has gone, which lanes have left's bits, and whether the two sides are bitwise then."""


@pytest.fixture(scope="module")
def seen() -> tuple[StepRecord, Sides]:
    return two_equal_sides()


def blown(z: Tensor, y: Tensor) -> Tensor:
    return bce(z, y) * math.inf


# Stops.
@pytest.mark.parametrize(("rowwise", "objective", "diverged"), [
    (True, True, {"left"}), (True, False, set()), (False, True, set()), (False, False, set()),
])  # fmt: skip
def test_the_other_side_is_asked_itself_where_it_is_an_objective_of_rows(
    seen: tuple[StepRecord, Sides], rowwise: bool, objective: bool, diverged: set[str]
) -> None:
    """It is not finite at left's raw outputs, while the step has a finite answer of right at left's weights."""
    right = lane_recipe(blown).objective if objective else SimpleNamespace()
    sides = replace(seen[1], right=right, rowwise=rowwise)  # type: ignore[arg-type]
    evidence, record = Evidence("float32"), with_lanes(seen[0], left={"stop": LOSS}, control={"stop": LOSS})
    _see_stops(evidence, record, sides)
    assert evidence.stops.keys() == {"left", "control"}
    assert evidence.diverged == diverged


def test_the_first_stop_of_a_lane_is_kept_and_answers_come_before_weights(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    evidence = Evidence("float32", stops={"left": Stop(0, "gradient")})
    _see_stops(evidence, with_lanes(record, left={"stop": Stop(3, "loss")}), sides)
    assert (evidence.stops["left"], evidence.diverged) == (Stop(0, "gradient"), set())
    evidence = Evidence("float32")
    _see_stops(evidence, with_lanes(record, left={"stop": WEIGHTS}, right={"stop": LOSS}), sides)
    assert list(evidence.stops.items()) == [("right", LOSS), ("left", WEIGHTS)]


# Bits of answers.
def answers(evidence: Evidence, record: StepRecord, sides: Sides, same: set[str]) -> Evidence:
    _see_answers(evidence, record, SimpleNamespace(same_answers=same), sides)  # type: ignore[arg-type]
    return evidence


def test_a_control_of_other_bits_is_told_once(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    assert answers(Evidence("float32"), record, sides, SAME).control is None
    odd = answers(Evidence("float32"), record, sides, SAME - {"control"})
    assert (odd.control, odd.bitwise) == ("control differs from left in loss or gradient at step 0", True)
    assert answers(Evidence("float32", control="before"), record, sides, set()).control == "before"
    assert answers(Evidence("float32"), with_lanes(record, control=None), sides, {"right"}).control is None


@pytest.mark.parametrize(("gone", "same", "bitwise"), BY_LANE)
def test_right_is_its_own_lane_or_the_one_at_lefts_weights(
    seen: tuple[StepRecord, Sides], gone: bool, same: set[str], bitwise: bool
) -> None:
    record, sides = seen
    record = with_lanes(record, control=None, **({"right": None} if gone else {}))
    found = answers(Evidence("float32"), record, sides, same)
    assert found.bitwise is bitwise
    assert (found.first_difference is None) is bitwise
    assert bitwise or (found.first_difference or {})["step"] == 0


def test_where_bits_have_differed_or_right_was_not_asked_nothing_more_is_said(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    known = Evidence("float32", bitwise=False)
    assert answers(known, record, sides, set()).first_difference is None
    silent = replace(with_lanes(record, right=None), common={})
    assert answers(Evidence("float32"), silent, sides, {"control"}).bitwise
    earlier = Evidence("float32", first_difference={"step": -1})
    assert answers(earlier, record, sides, {"control"}).first_difference == {"step": -1}
    assert not earlier.bitwise


def test_the_parameter_is_found_beside_lefts_gradient_in_rights_coordinates(seen: tuple[StepRecord, Sides]) -> None:
    """At the common weights, else as the record has it, else the lane's own: elsewhere all that differs is the loss."""
    record, sides = seen
    told = record.lanes["right"].answer
    other = told.gradient + torch.eye(len(told.gradient))[0]
    common = record.common["float32"]
    here = {**record.common, "float32": replace(common, gradient=other)}
    first = sides.parameters[0][0]
    cases = [
        (replace(record, common=here, gradient=told.gradient), first),
        (replace(record, common={}, gradient=other), first),
        (replace(record, common=here | {"float32": replace(common, gradient=told.gradient)}, gradient=other), "loss"),
        (replace(with_lanes(record, left={"answer": replace(record.lanes["left"].answer, gradient=other)}), common={},
                 gradient=None), first),
    ]  # fmt: skip
    for changed, parameter in cases:
        found = answers(Evidence("float32"), changed, replace(sides, rowwise=False), {"control"})
        assert found.first_difference == {"step": 0, "parameter": parameter}


NAN = Stop(0, "loss", None, math.nan)


@pytest.mark.parametrize(("left", "right", "bitwise"), [
    ({}, {}, True), ({}, {"loss": 7.0}, False), ({}, {"gradient": torch.ones(49)}, False),
    ({"stop": NAN, "loss": math.nan}, {"stop": NAN, "loss": math.nan}, True), ({"stop": LOSS}, {}, False),
])  # fmt: skip
def test_two_that_answer_alone_are_held_to_their_bits(
    seen: tuple[StepRecord, Sides], left: dict[str, Any], right: dict[str, Any], bitwise: bool
) -> None:
    record, sides = seen
    answer: Evaluated = record.lanes["left"].answer
    assert len(answer.gradient) == 49
    alone = replace(answer, **left), replace(answer, **right)
    found = answers(Evidence("float32"), replace(record, alone=alone), replace(sides, rowwise=False), SAME)
    assert found.bitwise is bitwise
    assert (found.first_difference is None) is bitwise


# Weights.
def weights(evidence: Evidence, record: StepRecord, sides: Sides, same: set[str], moved: bool = True) -> Evidence:
    _see_weights(evidence, record, SimpleNamespace(same_weights=same, moved=moved), sides)  # type: ignore[arg-type]
    return evidence


def test_left_has_moved_once_it_has_at_any_step(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    for before, now in ((False, False), (False, True), (True, False)):
        assert weights(Evidence("float32", moved=before), record, sides, SAME, now).moved is (before or now)
    dead = weights(Evidence("float32"), with_lanes(record, left={"stop": WEIGHTS}), sides, set())
    assert (dead.moved, dead.control, dead.bitwise) == (True, None, True), (
        "of a left that has stopped no bits are asked"
    )


def test_a_controls_weights_are_asked_while_it_is_bitwise_and_steps_are_compared(
    seen: tuple[StepRecord, Sides],
) -> None:
    record, sides = seen
    rest = SAME - {"control"}
    told = "control's weights differ from left's after step 0"
    assert weights(Evidence("float32"), record, sides, rest).control == told
    assert weights(Evidence("float32"), record, sides, SAME).control is None
    assert weights(Evidence("float32"), with_lanes(record, control=None), sides, rest).control is None
    assert weights(Evidence("float32"), replace(record, unlooked="L-BFGS"), sides, rest).control is None
    assert weights(Evidence("float32", control="before"), record, sides, rest).control == "before"


@pytest.mark.parametrize(("gone", "same", "bitwise"), BY_LANE)
def test_rights_weights_are_those_of_its_lane_or_where_it_arrives(
    seen: tuple[StepRecord, Sides], gone: bool, same: set[str], bitwise: bool
) -> None:
    record, sides = seen
    name = sides.parameters[0][0]
    away = torch.eye(49)[0]
    stride = record.common["float32"].stride
    assert stride is not None
    common = replace(record.common["float32"], stride=replace(stride, right=record.lanes["left"].shared + away))
    record = replace(
        with_lanes(record, right={"after": record.lanes["left"].shared + away}), common={"float32": common}
    )
    record = with_lanes(record, right=None) if gone else record
    found = weights(Evidence("float32"), record, sides, {"control", *same})
    assert found.bitwise is bitwise
    assert found.first_difference == (None if bitwise else {"step": 0, "parameter": name})
    assert weights(Evidence("float32", bitwise=False), record, sides, set()).first_difference is None


def test_where_right_was_not_asked_it_has_no_weights(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    assert _right_after(record, sides) is record.lanes["right"].after
    alone = with_lanes(record, right=None)
    stride = record.common["float32"].stride
    assert stride is not None
    assert _right_after(alone, sides) is stride.right
    assert _right_after(replace(alone, common={}), sides) is None
    still = {"float32": replace(record.common["float32"], stride=None)}
    assert _right_after(replace(alone, common=still), sides) is None
    assert weights(Evidence("float32"), replace(alone, common=still), sides, {"control"}).bitwise
