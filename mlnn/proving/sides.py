"""The two sides of a proof on paper: their values and their own gradients at one target, as nodes of one graph.

A loss is traced at two raw outputs and as a batch of two rows: what is no function of a row's raw outputs and target alone is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import MethodType

from mlnn.objectives import Objective
from mlnn.objectives.rowwise import unreduced
from mlnn.proving.batches import is_summed
from mlnn.proving.breaks import breaks
from mlnn.proving.graph import Graph
from mlnn.proving.memory import kept_between_calls
from mlnn.proving.rows import PLACES, Side, Target, outputs_of, rows_of, targets_of, trace
from mlnn.proving.tracing import CoupledError, UntracedError
from mlnn.targets import TargetSpace

MOST_CLASSES = 32
FEW_TARGETS = 4
"""Up to so many are each traced at every place; of more, each at every other one, by turns."""


@dataclass(frozen=True)
class Both:
    """Left and right by target. `left_summed`, `right_summed`: whether a batch is worth its rows' sum, not their mean."""

    sides: dict[Target, tuple[Side, Side]]
    left_summed: bool
    right_summed: bool


def side_of(objective: Objective, target: Target, graph: Graph, places: Sequence[int] = range(len(PLACES))) -> Side:
    """A loss of one row; variables ("z", k) for its raw outputs and ("y", 0) for its target. `places`: to trace it at.

    Raises UntracedError, with the reason, for a loss that is no such graph.
    """
    asked = unreduced(objective)
    found = [_alone(asked, target, place, graph) for place in places]
    if any(one != found[0] for one in found):
        raise UntracedError(
            "what it computes hangs on the raw output otherwise than through torch's operations (a branch in Python, numpy)"
        )
    return found[0]


def sides_of(objective: Objective, targets: Sequence[Target], graph: Graph) -> tuple[dict[Target, Side], bool]:
    """A loss of one row by target, and whether a batch is worth its rows' sum, not their mean.

    Raises UntracedError, with the reason, for a loss whose rows are coupled or that keeps something between calls, too.
    """
    before = kept_between_calls(objective.function)
    places = range(len(PLACES))
    found = {
        target: side_of(objective, target, graph, places if len(targets) <= FEW_TARGETS else places[turn % 2 :: 2])
        for turn, target in enumerate(targets)
    }
    coupled: CoupledError | None = None
    try:
        summed = (
            is_summed(unreduced(objective), found, graph) or getattr(objective.function, "reduction", None) == "sum"
        )
    except CoupledError as problem:
        coupled = problem
    if kept_between_calls(objective.function) != before:
        raise UntracedError("it keeps something between calls, which its next value may hang on")
    if coupled is not None:
        raise coupled
    return found, summed


def both_sides(left: Objective, right: Objective, space: TargetSpace, graph: Graph) -> "Both":
    """Both sides at the targets of a space, or at some of an endless one. Raises UntracedError with the side and the reason."""
    asked = (left,) if _is_one(left, right) else (left, right)
    sides, summed = list[dict[Target, Side]](), list[bool]()
    for name, objective in zip(("left", "right"), asked, strict=False):
        found, is_sum = _named(name, objective, looked_at(space), graph)
        sides.append(found)
        summed.append(is_sum)
    more = [target for target in breaks(graph, space) if target not in sides[0]]
    for name, objective, found in zip(("left", "right"), asked, sides, strict=False):
        found |= _named(name, objective, more, graph)[0] if more else {}
    first, last = sides[0], sides[-1]
    targets = sorted(first) if more else list(first)
    return Both({target: (first[target], last[target]) for target in targets}, summed[0], summed[-1])


def _named(name: str, objective: Objective, targets: Sequence[Target], graph: Graph) -> tuple[dict[Target, Side], bool]:
    """See `sides_of`. Raises UntracedError with the side and the reason."""
    try:
        return sides_of(objective, targets, graph)
    except UntracedError as reason:
        raise type(reason)(f"{name}: {reason}") from None


def _is_one(left: Objective, right: Objective) -> bool:
    """Whether both sides are the same callable, asked in the same way: then one is traced for both."""
    own, other = left.function, right.function
    if isinstance(own, MethodType) and isinstance(other, MethodType):
        same = own.__self__ is other.__self__ and own.__func__ is other.__func__
    else:
        same = own is other
    return same and (left.outputs, left.targets) == (right.outputs, right.targets)


def looked_at(space: TargetSpace) -> list[Target]:
    """The targets of a space, those that are ignored left out, or some of an endless one. Raises UntracedError for what no proof is
    made of."""
    values = space.facts.values
    if values is not None and len(values) > MOST_CLASSES:
        raise UntracedError(f"{len(values)} targets; at most {MOST_CLASSES} are proved one by one")
    if values is None:
        return [tuple(one) if isinstance(one, list) else float(one) for one in space.inner_points.tolist()]
    return [float(one) for one in values if one != space.ignore]


def _alone(objective: Objective, target: Target, place: int, graph: Graph) -> Side:
    call, output = partial(rows_of, objective), outputs_of(objective, [place])
    values, gradient, read = trace(call, output, targets_of(objective, [target]), graph)
    return Side(values[0], tuple(gradient), target if read else None)
