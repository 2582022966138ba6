"""What a check would have caught: faults of falling size, planted into right at left's weights, judged like the real thing.

A PASS without this is worth nothing: a check that sees nothing passes everything.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from mlnn.comparing.evidence import FLOOR, SMALL, Evidence, allowed
from mlnn.comparing.gaps import common_gap
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.training import Batch, Lane, Lockstep

EXPONENTS = tuple(range(-13, 0))
ACTS_AT = 0.5
"""A fault of this size that moves the gradient by no more than rounding cannot be planted here: nothing is asked of it."""
Plant = Callable[[Objective, Tensor, Tensor, float], Tensor]


def _scale(objective: Objective, output: Tensor, target: Tensor, size: float) -> Tensor:
    return (1 + size) * objective(output, target)


def _smoothing(objective: Objective, output: Tensor, target: Tensor, size: float) -> Tensor:
    """A share of every row's target is another row's: label smoothing, for any target space."""
    return (1 - size) * objective(output, target) + size * objective(output, target.roll(1))


def _clip(objective: Objective, output: Tensor, target: Tensor, size: float) -> Tensor:
    """A share of every output's part beyond the batch's median size is lost."""
    bound = output.detach().abs().median()
    return objective((1 - size) * output + size * output.clamp(-bound, bound), target)


def _dropped_row(objective: Objective, output: Tensor, target: Tensor, size: float) -> Tensor:
    """A share of the first row's weight is lost; at size 1 the row is dropped."""
    return (1 - size) * objective(output, target) + size * objective(output[1:], target[1:])


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
        f"{objective.name} with {kind} {size:g}", lambda o, t: plant(objective, o, t, size), "raw", objective.targets
    )


class Planter:
    """Keeps, per kind of fault, the smallest size caught so far, at the batches that `look` is shown.

    `ladder`: per kind, (size, relative gradient gap in float64, gap allowed as rounding) at the first look, for the page.
    """

    def __init__(self) -> None:
        self.caught: dict[str, float | None] = {}
        self.ladder: dict[str, list[tuple[float, float, float]]] = {}

    def look(self, lockstep: Lockstep, batch: Batch, evidence: Evidence) -> None:
        """Plant into right at left's present weights; call it while left's own gradient of the batch is in place."""
        if not evidence.gradient.steps or lockstep.leader("float64").stopped is not None:
            return
        for kind in PLANTS:  # on one row a smoothing, a dropped row or a clip at the median changes nothing
            if kind not in self.caught and _gap(kind, ACTS_AT, lockstep, batch, evidence) > FLOOR:
                self.caught[kind] = None
        if not self.ladder:
            floor = allowed(evidence.gradient.coarse)
            for kind in self.caught:
                sizes = [10.0**exponent for exponent in EXPONENTS]
                self.ladder[kind] = [(size, _gap(kind, size, lockstep, batch, evidence), floor) for size in sizes]
        for kind, best in list(self.caught.items()):
            low, high = 0, len(EXPONENTS) if best is None else EXPONENTS.index(round(math.log10(best)))
            while low < high:  # bisect: a larger fault is seen whenever a smaller one is
                middle = (low + high) // 2
                gap = _gap(kind, 10.0 ** EXPONENTS[middle], lockstep, batch, evidence)
                if gap > allowed(evidence.gradient.coarse):
                    high = middle
                else:
                    low = middle + 1
            if low < len(EXPONENTS):
                self.caught[kind] = 10.0 ** EXPONENTS[low]


def _gap(kind: str, size: float, lockstep: Lockstep, batch: Batch, evidence: Evidence) -> float:
    """The relative float64 gradient gap that the fault makes, measured as the evidence measures it; 0 where it cannot be."""
    leader, follower = lockstep.leader("float64"), lockstep.followers["float64"]
    sound = follower.recipe.objective
    factor = evidence.factors.get(len(batch.rows), 1.0)
    if evidence.gradient.real:  # right is at fault already: plant into left, or every size would seem to be caught
        sound, factor = leader.recipe.objective, 1.0
    try:
        faulty = _with(follower, leader, sound, kind, size, batch)
    except ConfigError:  # an objective tied to its rows (a weight for each of them) cannot lose one
        return 0.0
    gap = common_gap(leader, faulty)
    scale = max(factor * float(gap.left_gradient.norm()), SMALL * evidence.gradient.scale)
    residual = gap.residual(factor)
    return residual / scale if scale and math.isfinite(residual) else 0.0


def _with(follower: Lane, leader: Lane, objective: Objective, kind: str, size: float, batch: Batch) -> Lane:
    own = follower.recipe
    follower.recipe = replace(own, objective=planted(objective, kind, size))
    try:
        follower.follow(leader)
        with torch.enable_grad():
            follower.evaluate(batch)
    finally:
        follower.recipe = own
        follower.stopped = None
    return follower
