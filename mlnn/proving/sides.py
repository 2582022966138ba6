"""The two sides of a proof on paper: their values and their own gradients at one target, as nodes of one graph.

A loss is traced at two raw outputs and as a batch of two rows: what is no function of a row's raw outputs and target alone is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from mlnn.arguments import first_line
from mlnn.objectives import Objective
from mlnn.objectives.rowwise import unreduced
from mlnn.proving.algebra import rebuilt
from mlnn.proving.graph import Graph, Id
from mlnn.proving.tracing import UntracedError, traced
from mlnn.targets import TargetSpace
from mlnn.world import plain_tensors

PLACES = (
    (0.3719, -1.117, 0.871, 2.13),
    (-2.6131, 0.593, -0.244, -3.07),
    (11.93, -4.81, 7.77, 0.31),
    (-23.7, 17.3, -8.21, 5.5),
    (71.3, -66.1, 51.9, -33.3),
    (-79.9, 3.3, 47.1, 60.7),
)
"""Raw outputs at which a loss is traced, near and far; what it does at all of them is one graph."""


MOST_CLASSES = 32


@dataclass(frozen=True)
class Side:
    """One loss at one target. `value`: its node; `gradient`: those of its own gradient, one a raw output. `target`: the one whose
    numbers the loss read (a branch, a choice of class); None where the graph is that of any target."""

    value: Id
    gradient: tuple[Id, ...]
    target: float | None = None


def side_of(objective: Objective, target: float, beside: float, graph: Graph) -> Side:
    """A loss of one row; variables ("z", k) for its raw outputs and ("y", 0) for its target. `beside`: the target of another row.

    Raises UntracedError, with the reason, for a loss that is no such graph.
    """
    asked = unreduced(objective)
    found = [_alone(asked, target, place, graph) for place in range(len(PLACES))]
    if any(one != found[0] for one in found):
        raise UntracedError(
            "what it computes hangs on the raw output otherwise than through torch's operations (a branch in Python, numpy)"
        )
    _check_rows(asked, (target, beside), (found[0], _alone(asked, beside, 1, graph)), graph)
    return found[0]


def both_sides(left: Objective, right: Objective, space: TargetSpace, graph: Graph) -> dict[float, tuple[Side, Side]]:
    """Both sides at the targets of a space, or at some of an endless one. Raises UntracedError with the side and the reason."""
    found = {}
    targets = looked_at(space)
    for number, target in enumerate(targets):
        beside = targets[(number + 1) % len(targets)]
        sides = []
        for name, objective in (("left", left), ("right", right)):
            try:
                sides.append(side_of(objective, target, beside, graph))
            except UntracedError as reason:
                raise UntracedError(f"{name}: {reason}") from None
        found[target] = sides[0], sides[1]
    return found


def looked_at(space: TargetSpace) -> list[float]:
    if space.event:
        raise UntracedError(f"targets '{space}' are several numbers, which proofs are not made of yet")
    values = space.facts.values
    if values is not None and len(values) > MOST_CLASSES:
        raise UntracedError(f"{len(values)} targets; at most {MOST_CLASSES} are proved one by one")
    return [float(one) for one in (space.inner_points.tolist() if values is None else values)]


def _outputs(objective: Objective, rows: Sequence[int]) -> Tensor:
    """Raw outputs (n[, m]) to trace with."""
    several = objective.targets.outputs
    flat = [
        PLACES[row][place % len(PLACES[row])] + place // len(PLACES[row]) for row in rows for place in range(several)
    ]
    found = torch.tensor(flat, dtype=torch.float64)
    return found.reshape(len(rows), several) if several > 1 else found


def _targets(objective: Objective, targets: Sequence[float]) -> Tensor:
    return objective.targets.cast(torch.tensor(targets, dtype=torch.float64))


def _trace(objective: Objective, output: Tensor, target: Tensor, graph: Graph) -> tuple[list[Id], list[Id], bool]:
    try:
        with plain_tensors():
            return traced(partial(_rows, objective), output, target, graph)
    except UntracedError:
        raise
    except Exception as problem:  # a loss may refuse a target, or this way of calling it, with any exception
        raise UntracedError(f"{type(problem).__name__}: {first_line(problem)[:160]}") from None


def _rows(objective: Objective, output: Tensor, target: Tensor) -> Tensor:
    value = objective.rows(output, target)
    return objective.per_row(value, target) if value.ndim else value


def _alone(objective: Objective, target: float, place: int, graph: Graph) -> Side:
    values, gradient, read = _trace(objective, _outputs(objective, [place]), _targets(objective, [target]), graph)
    return Side(values[0], tuple(gradient), target if read else None)


def _check_rows(objective: Objective, targets: Sequence[float], alone: Sequence[Side], graph: Graph) -> None:
    """Raise UntracedError unless two rows are worth what each is worth alone, or their mean or sum."""
    several = objective.targets.outputs
    values, *_ = _trace(objective, _outputs(objective, [0, 1]), _targets(objective, targets), graph)
    moved = {("z", place): graph.var("z", several + place) for place in range(several)} | {("y", 0): graph.var("y", 1)}
    first = alone[0].value
    (other,) = rebuilt(graph, (alone[1].value,), graph, moved)
    sums = [graph.linear([(Fraction(1, share), first), (Fraction(1, share), other)]) for share in (1, 2)]
    if values != [first, other] and not (len(values) == 1 and values[0] in sums):
        raise UntracedError("rows of a batch are coupled: two rows are not worth what each is worth alone")
