"""A loss asked on paper: traced at rows of raw outputs and targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from mlnn.arguments import first_line
from mlnn.objectives import Objective
from mlnn.proving.graph import Graph, Id
from mlnn.proving.tracing import UntracedError, traced
from mlnn.world import plain_tensors

Target: TypeAlias = float | tuple[float, ...]
"""One target: a number, or several."""
PLACES = (
    (0.3719, -1.117, 0.871, 2.13),
    (-2.6131, 0.593, -0.244, -3.07),
    (11.93, -4.81, 7.77, 0.31),
    (-23.7, 17.3, -8.21, 5.5),
    (71.3, -66.1, 51.9, -33.3),
    (-79.9, 3.3, 47.1, 60.7),
)
"""Raw outputs at which a loss is traced, near and far; what it does at all of them is one graph."""


@dataclass(frozen=True)
class Side:
    """One loss at one target. `value`: its node; `gradient`: those of its own gradient, one a raw output. `target`: the one whose
    numbers the loss read (a branch, a choice of class); None where the graph is that of any target."""

    value: Id
    gradient: tuple[Id, ...]
    target: Target | None = None


def outputs_of(objective: Objective, rows: Sequence[int]) -> Tensor:
    """Raw outputs (n[, m]) to trace with."""
    several = objective.targets.outputs
    flat = [
        PLACES[row % len(PLACES)][place % len(PLACES[0])] + place // len(PLACES[0]) + row // len(PLACES)
        for row in rows
        for place in range(several)
    ]
    found = torch.tensor(flat, dtype=torch.float64)
    return found.reshape(len(rows), several) if several > 1 else found


def targets_of(objective: Objective, targets: Sequence[Target]) -> Tensor:
    return objective.targets.cast(torch.tensor(targets, dtype=torch.float64))


def trace(
    call: Callable[[Tensor, Tensor], Tensor],
    output: Tensor,
    target: Tensor,
    graph: Graph,
    weights: Sequence[float] = (),
) -> tuple[list[Id], list[Id], bool]:
    """See `mlnn.proving.tracing.traced`. Raises UntracedError for whatever the loss raises."""
    try:
        with plain_tensors():
            return traced(call, output, target, graph, weights)
    except UntracedError:
        raise
    except Exception as problem:  # a loss may refuse a target, or this way of calling it, with any exception
        raise UntracedError(f"{type(problem).__name__}: {first_line(problem)[:160]}") from None


def rows_of(objective: Objective, output: Tensor, target: Tensor) -> Tensor:
    """A number a row, or one for the batch."""
    value = objective.rows(output, target)
    return objective.per_row(value, target) if value.ndim else value
