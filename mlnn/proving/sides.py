"""The two sides of a proof on paper: their values and their own gradients at one target, as nodes of one graph.

A loss is traced at two raw outputs and as a batch of two rows: what is no function of a row's raw outputs and target alone is told.
"""

from collections.abc import Mapping, Sequence
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
from mlnn.proving.memory import kept_between_calls
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
ROWS = 7
"""Of a batch that is looked at beside one of two: odd, no multiple of 4 or 5, so that rows that are dropped or packed show."""


@dataclass(frozen=True)
class Side:
    """One loss at one target. `value`: its node; `gradient`: those of its own gradient, one a raw output. `target`: the one whose
    numbers the loss read (a branch, a choice of class); None where the graph is that of any target."""

    value: Id
    gradient: tuple[Id, ...]
    target: float | None = None


@dataclass(frozen=True)
class Both:
    """Left and right by target. `left_summed`, `right_summed`: whether a batch is worth its rows' sum, not their mean."""

    sides: dict[float, tuple[Side, Side]]
    left_summed: bool
    right_summed: bool


def side_of(objective: Objective, target: float, graph: Graph) -> Side:
    """A loss of one row; variables ("z", k) for its raw outputs and ("y", 0) for its target.

    Raises UntracedError, with the reason, for a loss that is no such graph.
    """
    asked = unreduced(objective)
    found = [_alone(asked, target, place, graph) for place in range(len(PLACES))]
    if any(one != found[0] for one in found):
        raise UntracedError(
            "what it computes hangs on the raw output otherwise than through torch's operations (a branch in Python, numpy)"
        )
    return found[0]


def both_sides(left: Objective, right: Objective, space: TargetSpace, graph: Graph) -> "Both":
    """Both sides at the targets of a space, or at some of an endless one. Raises UntracedError with the side and the reason."""
    targets, sides, summed = _looked_at(space), [], []
    for name, objective in (("left", left), ("right", right)):
        try:
            before = kept_between_calls(objective.function)
            found = {target: side_of(objective, target, graph) for target in targets}
            summed.append(
                is_summed(unreduced(objective), found, graph) or getattr(objective.function, "reduction", None) == "sum"
            )
            if kept_between_calls(objective.function) != before:
                raise UntracedError("it keeps something between calls, which its next value may hang on")
        except UntracedError as reason:
            raise UntracedError(f"{name}: {reason}") from None
        sides.append(found)
    return Both({target: (sides[0][target], sides[1][target]) for target in targets}, summed[0], summed[1])


def _looked_at(space: TargetSpace) -> list[float]:
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
        PLACES[row % len(PLACES)][place % len(PLACES[0])] + place // len(PLACES[0]) + row // len(PLACES)
        for row in rows
        for place in range(several)
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


def is_summed(objective: Objective, alone: Mapping[float, Side], graph: Graph) -> bool:
    """Whether a batch is worth the sum of what its rows are worth alone; else it is their mean, or told row by row.

    Raises UntracedError where a batch is worth anything else: its rows are coupled.
    """
    several, found = objective.targets.outputs, list[bool]()
    for rows in (2, ROWS):
        targets = [[*alone][place] for place in _mixed(rows, len(alone))]
        values, *_ = _trace(objective, _outputs(objective, range(rows)), _targets(objective, targets), graph)
        wanted = [_of_row(alone[target], row, several, graph) for row, target in enumerate(targets)]
        mean, total = (graph.linear([(Fraction(1, share), one) for one in wanted]) for share in (rows, 1))
        if values not in (wanted, [mean], [total]):
            raise UntracedError(f"rows of a batch are coupled: {rows} rows are not worth what each is worth alone")
        found.append(values == [total])
    return any(found)


def _mixed(rows: int, several: int) -> list[int]:
    """Targets of a batch by their number: unequally many of each, neighbours unlike."""
    return [(0 if row % 3 == 2 else row) % several for row in range(rows)]


def _of_row(side: Side, row: int, several: int, graph: Graph) -> Id:
    moved = {("z", place): graph.var("z", row * several + place) for place in range(several)} | {
        ("y", 0): graph.var("y", row)
    }
    return rebuilt(graph, (side.value,), graph, moved)[0]
