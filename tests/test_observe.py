"""What one step adds to the evidence: stops, bits, and where the first bits differ, each from a record made by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from training_cases import SGD, lane_recipe, recipe

from mlnn.comparing.measures import measure
from mlnn.comparing.observe import (
    _alike,
    _first,
    _halted,
    _slope,
    _stops_alike,
    _where,
    _would_stop,
)
from mlnn.comparing.sides import Sides
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.training import Evaluated, StepRecord, Stop, make_lockstep

BIG = 1e-6 * torch.finfo(torch.float32).max
LOSS, GRADIENT, WEIGHTS = (Stop(0, what) for what in ("loss", "gradient", "weights"))


@pytest.fixture(scope="module")
def seen() -> tuple[StepRecord, Sides]:
    """A step of two equal sides."""
    lockstep = make_lockstep(recipe(batch_size=None), lane_recipe(bce), lane_recipe(bernoulli_nll_log1p, SGD))
    return next(iter(lockstep.steps(looks=[0]))), Sides.of(lockstep)


def with_common(record: StepRecord, **changes: Any) -> StepRecord:
    """Left's answer at the common weights in float32 with some of it changed; `right`: right's."""
    common = record.common["float32"]
    right = replace(common.right, **changes.pop("right", {}))
    return replace(
        record, common={**record.common, "float32": replace(common, left=replace(common.left, **changes), right=right)}
    )


def test_the_first_parameter_that_differs_is_named() -> None:
    parameters = [("weight", 2), ("bias", 1), ("scale", 1)]
    place = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert _first(parameters, place, place.clone()) is None
    assert _first(parameters, place, torch.tensor([1.0, 2.0, 3.5, 4.5])) == "bias"
    assert _first(parameters, place, torch.tensor([1.0, 2.5, 3.0, 4.0])) == "weight"


def test_a_value_that_does_not_depend_on_the_outputs_has_a_slope_of_zero() -> None:
    output = torch.tensor([1.0, 2.0], requires_grad=True)
    assert _slope((3 * output).sum(), output).tolist() == [3.0, 3.0]
    assert _slope(torch.tensor(1.0), output).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("differ", [False, True])
def test_where_the_other_side_cannot_be_asked_weights_stop_alike_where_the_optimisers_are_alike(
    seen: tuple[StepRecord, Sides], differ: bool
) -> None:
    record, sides = seen[0], replace(seen[1], optimizers_differ=differ)
    assert _stops_alike(record, "left", WEIGHTS, sides) is not differ
    assert _stops_alike(record, "right", WEIGHTS, sides) is not differ
    assert (
        _stops_alike(replace(record, common={}), "left", LOSS, sides) is not differ
    )  # right was not asked at left's weights
    assert _stops_alike(record, "left", LOSS, sides) is False


def test_left_stops_alike_where_right_does_at_its_weights(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    assert _stops_alike(with_common(record, right={"stop": LOSS}), "left", LOSS, sides)
    assert not _stops_alike(with_common(record, stop=LOSS), "left", LOSS, sides)


@pytest.mark.parametrize(("loss", "slope", "alike"), [
    (0.99 * BIG, 0.99 * BIG, False), (1.01 * BIG, 1.0, True), (1.0, 1.01 * BIG, True), (-1.01 * BIG, 1.0, True),
    (math.nan, 1.0, True), (1.0, math.nan, True),
])  # fmt: skip
def test_right_stops_alike_where_left_is_on_its_way_to_overflow(
    seen: tuple[StepRecord, Sides], loss: float, slope: float, alike: bool
) -> None:
    record, sides = seen
    gradient = torch.zeros_like(record.common["float32"].left.gradient)
    gradient[0] = -slope
    assert _stops_alike(with_common(record, loss=loss, gradient=gradient), "right", LOSS, sides) is alike


@pytest.mark.parametrize(("loss", "slope", "alike"), [
    (0.99, 0.99, False), (1.01, 0.0, True), (-1.01, 0.0, True), (0.0, 1.01, True), (0.0, -1.01, True), (math.nan, 0.0, True),
])  # fmt: skip
def test_a_side_would_stop_where_its_value_or_slope_is_on_its_way_to_overflow(
    seen: tuple[StepRecord, Sides], loss: float, slope: float, alike: bool
) -> None:
    """By value or by slope alone, on both sides of the line."""
    side = lane_recipe(lambda z, _: loss * BIG + slope * BIG * (z - z.detach()).sum()).objective
    record, _ = seen
    answer = record.lanes["left"].answer
    assert _would_stop(side, answer, LOSS, False) is alike
    assert _would_stop(side, answer, WEIGHTS, False)
    assert not _would_stop(side, answer, WEIGHTS, True)


def test_a_side_that_refuses_would_stop(seen: tuple[StepRecord, Sides]) -> None:
    def refuses(z: Tensor, y: Tensor) -> Tensor:
        raise ValueError(f"not finite: {z}, {y}")

    assert _would_stop(lane_recipe(refuses).objective, seen[0].lanes["left"].answer, LOSS, False)


def test_a_stop_is_alike_by_its_words_and_an_answer_by_its_bits() -> None:
    nan, other = Stop(1, "loss", 2, math.nan), Stop(1, "gradient", 2, math.nan)
    assert _alike(nan, Stop(1, "loss", 2, math.nan), False)  # NaN is not NaN, but it is the same stop
    assert not _alike(nan, other, True)
    assert not _alike(nan, None, True)
    assert _alike(None, None, True)
    assert not _alike(None, other, False)


def test_a_lane_is_halted_by_what_it_met_in_this_step_or_by_its_end_before(seen: tuple[StepRecord, Sides]) -> None:
    record, _ = seen
    lane = record.lanes["left"]
    assert _halted(record, lane) is None
    assert _halted(record, replace(lane, stop=WEIGHTS)) is None  # it answered; its weights came after
    assert _halted(record, replace(lane, answer=replace(lane.answer, stop=LOSS))) == LOSS
    later = replace(record, batch=replace(record.batch, step=5))
    assert _halted(later, replace(lane, stop=WEIGHTS)) == WEIGHTS


def bent(at: int, by: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The log-loss with another slope in one row: by so much, or infinitely."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        none = (z - z.detach())[at]
        return bce(z, y) + (torch.sqrt(none) if by == math.inf else by * none)

    return loss


@pytest.mark.parametrize("by", [1.5, math.inf])
def test_the_row_whose_slopes_are_furthest_apart_is_named(seen: tuple[StepRecord, Sides], by: float) -> None:
    record, sides = seen
    left = record.lanes["left"].answer
    sides = replace(sides, right=lane_recipe(bent(3, by)).objective)
    right: Evaluated = replace(left, gradient=left.gradient + torch.eye(len(left.gradient))[-1])
    found = _where(record, right, left.gradient, sides)
    assert found["parameter"] == sides.parameters[-1][0]
    assert (found["row"], found["output"]) == (int(left.batch.rows[3]), left.output[3].tolist())
    assert found["target"] == left.target[3].tolist()


def test_where_no_row_differs_none_is_named(seen: tuple[StepRecord, Sides]) -> None:
    record, sides = seen
    left = record.lanes["left"].answer
    sides = replace(sides, right=sides.left)
    assert _where(record, left, left.gradient, sides) == {"step": 0, "parameter": "loss"}
    assert measure(record, "float32", None).moved
