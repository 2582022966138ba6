"""What of the two sides of a comparison does not change from step to step."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlnn.objectives import Objective, Step
from mlnn.training import Lane, Lockstep, dtype_name


@dataclass(frozen=True)
class Sides:
    """What of the two sides does not change from step to step.

    `parameters`: right's names with their numbers of entries, in the order of its flat vectors. `optimizers_differ`: in
    kind, setting or prior. `decay`: each side's weight decay and prior, in words, where the priors differ. `unlooked`: why
    optimiser steps are not compared, where they are not.
    """

    left: Objective | Step
    right: Objective | Step
    own: str
    parameters: Sequence[tuple[str, int]]
    optimizers_differ: bool
    decay: str | None
    rowwise: bool = True
    unlooked: str | None = None

    @staticmethod
    def of(lockstep: Lockstep) -> "Sides":
        """Those of a lockstep."""
        left, right = lockstep.lanes["left"], lockstep.lanes["right"]
        sizes = [(name, weight.numel()) for name, weight in zip(right.names, right.weights, strict=True)]
        return Sides(
            left.recipe.objective, right.recipe.objective, dtype_name(lockstep.recipe.dtype), sizes,
            lockstep.optimizers_differ, _decay(left, right), lockstep.rowwise,
            None if lockstep.compares_steps else "L-BFGS evaluates its objective again in each",
        )  # fmt: skip


def _decay(left: Lane, right: Lane) -> str | None:
    """What pulls each side's weights towards 0, in words; None where both have the same prior, or none."""
    if left.recipe.prior == right.recipe.prior:
        return None
    told = []
    for lane in (left, right):
        pulls = {"weight_decay": lane.optimizer.defaults.get("weight_decay", 0), "prior": lane.recipe.prior}
        words = [type(lane.optimizer).__name__, *(f"{name} {size:.12g}" for name, size in pulls.items() if size)]
        told.append(f"{lane.name} ({', '.join(words)})")
    return " and ".join(told)
