"""A step of two equal sides, and some of its lanes changed by hand."""

from dataclasses import replace
from functools import cache
from typing import Any

from training_cases import SGD, lane_recipe, recipe

from mlnn.comparing.sides import Sides
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.training import LaneStep, StepRecord, Stop, make_lockstep

LOSS, WEIGHTS = Stop(0, "loss"), Stop(0, "weights")


@cache
def two_equal_sides() -> tuple[StepRecord, Sides]:
    """The first step, on all 96 rows, of 49 weights; and what the two sides are."""
    lockstep = make_lockstep(recipe(batch_size=None), lane_recipe(bce), lane_recipe(bernoulli_nll_log1p, SGD))
    return next(iter(lockstep.steps(looks=[0]))), Sides.of(lockstep)


def with_lanes(record: StepRecord, **changes: dict[str, Any] | None) -> StepRecord:
    """Some lanes changed, or left out."""
    lanes: dict[str, LaneStep] = {
        name: replace(lane, **(changes.get(name) or {}))
        for name, lane in record.lanes.items()
        if changes.get(name, {}) is not None
    }
    return replace(record, lanes=lanes)
