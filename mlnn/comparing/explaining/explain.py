"""What is said of a difference beside its size: the cause that was borne out, and where it lies."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from mlnn.comparing.explaining.cause import LEAST, drawn, find_cause
from mlnn.comparing.explaining.trial import Cause, trial_of
from mlnn.comparing.explaining.where import NOTHING, Place, locate
from mlnn.comparing.sample import Sample, in_parts
from mlnn.objectives import Objective
from mlnn.objectives.grid import MANY
from mlnn.objectives.promotion import promoted
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe

ROWS, SCALE = 211, 3.0
"""Of the batch drawn to see where two differ: enough rows to part one region from another."""


@dataclass(frozen=True)
class Explained:
    """`cause`: None where no test held; `place`: None where gradients in the raw outputs do not differ beyond a factor."""

    cause: Cause | None = None
    place: Place | None = None


T = TypeVar("T")
Explain = Callable[[Sample | None], Explained]


def explainer(left: LaneRecipe, right: LaneRecipe, targets: TargetSpace | None) -> Explain | None:
    """A function of the training batch with the largest gap, if there is one. None where a side cannot be asked for rows of raw
    outputs, or not in float64, or where a row has so many that the tests would take the memory: then no cause is put to one."""
    if (
        targets is None
        or targets.outputs > MANY
        or any(side.objective.inside and side.objective.inside.sealed for side in (left, right))
    ):
        return None
    one, two = (in_parts(lane.objective, lane.accumulate) for lane in (left, right))
    parts = max(left.accumulate, right.accumulate)
    promotes = any(side.objective.inside and side.objective.inside.promotes for side in (left, right))

    def explain(witness: Sample | None) -> Explained:
        with (
            promoted() if promotes else nullcontext()
        ):  # some faults are tried on autograd's tape, beyond a single answer
            cause = _quietly(lambda: _accumulation(left, right) or find_cause(one, two, targets, witness))
            return Explained(cause, _quietly(lambda: _place(one, two, targets, witness, parts)))

    return explain


def _quietly(ask: Callable[[], T]) -> T | None:
    """What is found; None where the user's own code raises, asked in ways that it need not know."""
    try:
        return ask()
    except Exception:
        return None


def _accumulation(left: LaneRecipe, right: LaneRecipe) -> Cause | None:
    """The cause that one side accumulates over micro-batches what cannot be: with whole batches the two agree."""
    if left.accumulate == right.accumulate:
        return None
    samples = [sample for rows in (11, 23) if (sample := drawn(left.objective, rows, 1.0))]
    whole = [trial_of(left.objective, right.objective, sample) for sample in samples]
    parts = [
        trial_of(in_parts(left.objective, left.accumulate), in_parts(right.objective, right.accumulate), sample)
        for sample in samples
    ]
    after = [trial.gap for trial in whole if trial]
    before = [trial.gap for trial in parts if trial]
    if len(after) < len(samples) or len(before) < len(samples):
        return None
    if max(before) < LEAST or max(after) > NOTHING * max(before):
        return None
    name, count = ("right", right.accumulate) if right.accumulate > 1 else ("left", left.accumulate)
    words = (
        f"{name} accumulates over {count} micro-batches, and the objective's value of a batch is not the mean of theirs"
    )
    return Cause(words, max(before), max(after))


def _place(left: Objective, right: Objective, targets: TargetSpace, witness: Sample | None, parts: int) -> Place | None:
    """Where the gap of the training batch lies, or that of a batch drawn; a region only where the two agree on its kind."""
    made = drawn(left, ROWS, SCALE)
    other = locate(left, right, made, targets, parts) if made else None
    if witness is None:
        return other
    found = locate(left, right, witness.to(torch.float64), targets, parts)
    if found is None or other is None or found.region is None:
        return found or other
    return replace(found, region=other.region if _kind(found.region) == _kind(other.region) else None)


def _kind(region: str | None) -> str:
    """A region's words without its numbers."""
    return re.sub(r"[-+.\de]*\d", "#", region or "")
