"""What a check would have caught: faults of falling size, planted into right at left's weights, judged like the real thing.

A PASS without this is worth nothing: a check that sees nothing passes everything.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

from torch import Tensor

from mlnn.comparing.evidence import FLOOR, SMALL, Evidence
from mlnn.comparing.gaps import CommonGap, common_gap
from mlnn.comparing.planted_steps import STEP_PLANTS, gaps_of_faults
from mlnn.errors import ConfigError
from mlnn.objectives import Objective, Step
from mlnn.objectives.layout import Extras, sliced
from mlnn.training import StepRecord

SIZES = tuple(10.0**exponent for exponent in range(-13, 0))
"""Of planted faults, relative: from below float64's rounding of a gradient to what anybody would see."""
ACTS_AT = 0.5
"""A fault of this size that moves the gradient by no more than rounding cannot be planted here: nothing is asked of it."""
Plant = Callable[[Objective, Tensor, Tensor, Extras, float], Tensor]


def _scale(objective: Objective, output: Tensor, target: Tensor, extras: Extras, size: float) -> Tensor:
    return (1 + size) * objective(output, target, **extras)


def _smoothing(objective: Objective, output: Tensor, target: Tensor, extras: Extras, size: float) -> Tensor:
    """A share of every row's target is another row's: label smoothing, for any target space."""
    other = objective(output, target.roll(1, 0), **extras)
    return (1 - size) * objective(output, target, **extras) + size * other


def _clip(objective: Objective, output: Tensor, target: Tensor, extras: Extras, size: float) -> Tensor:
    """A share of every output's part beyond the batch's median size is lost."""
    bound = output.detach().abs().median()
    return objective((1 - size) * output + size * output.clamp(-bound, bound), target, **extras)


def _dropped_row(objective: Objective, output: Tensor, target: Tensor, extras: Extras, size: float) -> Tensor:
    """A share of the first row's weight is lost; at size 1 the row is dropped."""
    rest = sliced(extras, slice(1, None), len(target))
    return (1 - size) * objective(output, target, **extras) + size * objective(output[1:], target[1:], **rest)


PLANTS: dict[str, Plant] = {
    "scale": _scale,
    "label smoothing": _smoothing,
    "clip": _clip,
    "dropped row": _dropped_row,
}


def planted(objective: Objective, kind: str, size: float) -> Objective:
    """The objective with a fault of a relative size."""
    plant = PLANTS[kind]
    return Objective(
        f"{objective.name} with {kind} {size:g}",
        lambda output, target, **extras: plant(objective, output, target, extras, size),
        "raw",
        replace(objective.targets, axis=None),  # the objective itself puts its raw outputs where it wants them
        takes=None,
        layout=objective.layout,
        inside=objective.inside,
    )


class Planter:
    """Keeps, per kind of fault, the smallest size caught so far, at the steps that `look` is shown.

    `ladder`: per kind, (size, relative gradient gap in float64, gap allowed as rounding) at the first look, for the page.
    """

    def __init__(self, left: Objective | Step, right: Objective | Step, rowwise: bool = True) -> None:
        self.left, self.right, self.rowwise = left, right, rowwise
        self.caught: dict[str, float | None] = {}
        self.ladder: dict[str, list[tuple[float, float, float]]] = {}

    def look(self, record: StepRecord, evidence: Evidence) -> None:
        """Plant into right at left's weights of a step; `evidence` has seen that step, and right's own gap with it."""
        if not evidence.gradient.steps or not _answered(record):
            return
        gap = cache(self._gaps(record, evidence) if self.rowwise else gaps_of_faults(record, evidence))
        floor = evidence.gradient.allowed
        for kind in PLANTS if self.rowwise else STEP_PLANTS:
            # On one row a smoothing, a dropped row or a clip at the median changes nothing.
            if kind not in self.caught and gap(kind, ACTS_AT) > max(FLOOR, floor if evidence.gradient.alone else 0.0):
                self.caught[kind] = None
        self.ladder = self.ladder or {kind: [(size, gap(kind, size), floor) for size in SIZES] for kind in self.caught}
        for kind, best in self.caught.items():
            self.caught[kind] = _smallest(partial(gap, kind), floor, best)

    def _gaps(self, record: StepRecord, evidence: Evidence) -> Callable[[str, float], float]:
        """A function of (kind, size): the gap that the fault makes, measured as the evidence measures it; 0 where it cannot be."""
        sound, factor = self.right, evidence.factors.get(len(record.batch.rows), 1.0)
        dtype = "float32" if evidence.gradient.alone else "float64"
        if evidence.gradient.real:  # right is at fault already: plant into left, or every size would seem to be caught
            sound, factor = self.left, 1.0

        def gap(kind: str, size: float) -> float:
            assert isinstance(sound, Objective)
            found = _with_fault(record, planted(sound, kind, size), dtype)
            if found is None:
                return 0.0
            scale = max(factor * float(found.left_gradient.norm()), SMALL * evidence.gradient.scale)
            residual = found.residual(factor)
            return residual / scale if scale and math.isfinite(residual) else 0.0

        return gap


def _answered(record: StepRecord) -> bool:
    """Whether left in float64 gave a finite answer in this step, so that faults can be measured against it."""
    common = record.common.get("float64")
    return record.look is not None and common is not None and common.left.stop is None


def _with_fault(record: StepRecord, faulty: Objective, dtype: str) -> CommonGap | None:
    """The gap at left's weights of right's model under a faulty objective in a dtype; None where it cannot be asked."""
    assert record.look is not None
    try:
        answer = record.look.ask(faulty, dtype)
    except ConfigError:  # an objective tied to its rows (a weight for each of them) cannot lose one
        return None
    return common_gap(replace(record.common[dtype], right=answer))


def _smallest(gap: Callable[[float], float], floor: float, best: float | None) -> float | None:
    """The smallest size caught, not above `best`, by bisection: a larger fault is seen whenever a smaller one is."""
    sizes = SIZES if best is None else SIZES[: SIZES.index(best)]
    place = bisect_left(sizes, True, key=lambda size: gap(size) > floor)
    return sizes[place] if place < len(sizes) else best
