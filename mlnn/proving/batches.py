"""Batches on paper: whether one is worth what its rows are worth alone, and where two losses of batches part."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import TypeAlias

from torch import Tensor

from mlnn.objectives import Objective
from mlnn.proving.agreement import ROUNDING, Compared, agreed
from mlnn.proving.forms import Forms
from mlnn.proving.graph import Graph, Id, Variable
from mlnn.proving.memory import kept_between_calls
from mlnn.proving.multiplied import check_multiplied
from mlnn.proving.quotients import LargeError
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rows import Side, Target, outputs_of, rows_of, targets_of, trace
from mlnn.proving.tracing import CoupledError, UntracedError
from mlnn.targets import TargetSpace

ROWS = 7
"""Of a batch that is looked at beside one of two: odd, no multiple of 4 or 5, so that rows that are dropped or packed show."""
LEFT_OUT = (1, 4)
"""Its rows that are ignored, in a third batch, where a space has a label for that."""
WEIGHTS = (2.0, 3.0, 2.0, 3.0, 3.0, 2.0, 3.0)
"""What a batch's rows, or its one number, count: a backward pass that is not multiplied by what comes from above shows."""
LAST_BITS = Fraction(1, 2**50)
"""What a product of a batch's few shares may be off, relative to what it is."""

_Slopes: TypeAlias = dict[tuple[Target, float], tuple[Id, ...]]
"""The gradient of a row alone by its target and what it counts."""


def batches_of(targets: Sequence[Target], space: TargetSpace) -> list[list[Target]]:
    """Targets of the batches that are looked at: unequally many of each, neighbours unlike."""
    found = [[targets[(0 if row % 3 == 2 else row) % len(targets)] for row in range(rows)] for rows in (2, ROWS)]
    if space.ignore is not None:
        found.append([float(space.ignore) if row in LEFT_OUT else one for row, one in enumerate(found[-1])])
    return found


def is_summed(objective: Objective, alone: Mapping[Target, Side], graph: Graph) -> bool:
    """Whether a batch is worth the sum of what its rows are worth alone; else it is their mean, or told row by row.

    Raises CoupledError where a batch, or its gradient under weights, is worth anything else: its rows are coupled.
    """
    for target in alone:
        check_multiplied(objective, target)
    known: _Slopes = {}
    found = [_is_sum(objective, alone, one, graph, known) for one in batches_of([*alone], objective.targets)]
    return any(found)


def _is_sum(
    objective: Objective, alone: Mapping[Target, Side], targets: Sequence[Target], graph: Graph, known: _Slopes
) -> bool:
    rows, space = len(targets), objective.targets
    kept = [row for row, target in enumerate(targets) if target in alone]
    weights = [WEIGHTS[row] if row in kept else 0.0 for row in range(rows)]
    asked = outputs_of(objective, range(rows)), targets_of(objective, targets)
    values, gradient, _ = trace(partial(rows_of, objective), *asked, graph, weights)
    labels = {("y", row): graph.const(one) for row, one in enumerate(targets) if not isinstance(one, tuple)}
    labels = labels if space.finite else {}  # how many rows of a batch count may hang on its labels
    values, gradient = (list(rebuilt(graph, tuple(some), graph, labels)) for some in (values, gradient))

    def placed(row: int, nodes: tuple[Id, ...]) -> tuple[Id, ...]:
        return rebuilt(graph, _of_row(nodes, row, space, graph), graph, labels)

    each = {row: placed(row, (alone[targets[row]].value,))[0] for row in kept}
    if len(values) == rows:
        share, summed = Fraction(1), False
        worth = [Compared(values[row], each[row]) for row in kept]
        counts = {row: weights[row] for row in kept}
    else:
        found = _share(values[0], [*each.values()], graph)
        if found is None:
            raise _coupled(rows, "are not worth what each is worth alone")
        share, summed, worth = found, found == 1, []
        counts = dict.fromkeys(kept, float(share * Fraction(weights[0])))
    several = len(gradient) // rows
    for row in kept:
        asked_for = targets[row], counts[row]
        if asked_for not in known:  # other batches ask for the same rows
            known[asked_for] = _slopes(objective, *asked_for, graph)
    slopes = {row: placed(row, known[targets[row], counts[row]]) for row in kept}
    for place, one in enumerate(gradient):
        row, entry = divmod(place, several)
        worth.append(Compared(one, slopes[row][entry] if row in kept else graph.zero, True))
    if not same(graph, worth):
        raise _coupled(rows, "do not have, under weights, the values or gradients that each has alone")
    return summed


def _slopes(objective: Objective, target: Target, weight: float, graph: Graph) -> tuple[Id, ...]:
    """The gradient of a row alone, of its value times a number."""
    asked = outputs_of(objective, [0]), targets_of(objective, [target])
    return tuple(trace(partial(rows_of, objective), *asked, graph, [weight])[1])


def _coupled(rows: int, what: str) -> CoupledError:
    return CoupledError(f"rows of a batch are coupled: {rows} rows {what}")


def _share(value: Id, each: Sequence[Id], graph: Graph) -> Fraction | None:
    """What each row counts in a batch that is one number: 1 or 1/n; None where it is neither."""
    n = len(each)
    shares = (Fraction(1, n), Fraction(1))
    totals = {share: graph.linear([(share, one) for one in each]) for share in shares}
    alike = next((share for share, total in totals.items() if total == value), None)
    if alike is not None:
        return alike
    return next((share for share in shares if same(graph, [Compared(value, totals[share])])), None)


def same(graph: Graph, compared: Sequence[Compared]) -> bool:
    """Whether two nodes each are the same at all raw outputs, by their form."""
    return all(one.plus == one.minus or _alike(graph, one) for one in compared)


def _alike(graph: Graph, one: Compared) -> bool:
    into = Graph()
    try:
        if _but_for_rounding(graph, one):
            return True
        found = agreed(graph, [one], into)
    except LargeError:
        return False
    number = into.number(found.apart[0]) if found else None
    return number is not None and abs(number) <= ROUNDING


def _but_for_rounding(graph: Graph, one: Compared) -> bool:
    """Whether two forms are term by term alike, but for their numbers' last bits: a running mean takes (1 − 1/7)·(1 − 1/6)·…"""
    forms = Forms(graph)
    plus, minus = forms[one.plus], forms[one.minus]
    return (plus.bottom, plus.needs, plus.top.keys()) == (minus.bottom, minus.needs, minus.top.keys()) and all(
        abs(Fraction(plus.top[term]) - number) <= LAST_BITS * abs(Fraction(number))
        for term, number in minus.top.items()
    )


def _of_row(nodes: tuple[Id, ...], row: int, space: TargetSpace, graph: Graph) -> tuple[Id, ...]:
    """Nodes of one row as those of a row of a batch."""
    numbers = space.facts.event or 1
    moved: dict[Variable, Id] = {
        ("z", place): graph.var("z", row * space.outputs + place) for place in range(space.outputs)
    }
    moved |= {("y", place): graph.var("y", row * numbers + place) for place in range(numbers)}
    return rebuilt(graph, nodes, graph, moved)


def batches(
    left: Objective, right: Objective, targets: Sequence[Target]
) -> list[tuple[str, list[Target], Graph, tuple[Side, Side]]]:
    """Whole batches, in words, with their targets, and what each of two losses is worth there, of the raw outputs of all rows.

    Raises UntracedError, with the side and the reason, for a loss that is no graph.
    """
    found = []
    for batch in batches_of(targets, left.targets):
        graph, pair = Graph(), []
        for name, objective in (("left", left), ("right", right)):
            try:
                pair.append(_whole(objective, batch, graph))
            except UntracedError as reason:
                raise UntracedError(f"{name}: {reason}") from None
        found.append((f"a batch of {len(batch)} rows", batch, graph, (pair[0], pair[1])))
    return found


def _whole(objective: Objective, targets: Sequence[Target], graph: Graph) -> Side:
    rows, before = len(targets), kept_between_calls(objective.function)

    def call(output: Tensor, target: Tensor) -> Tensor:
        return objective.reduced(output, target)

    traces = [
        trace(call, outputs_of(objective, range(start, start + rows)), targets_of(objective, targets), graph)[:2]
        for start in (0, ROWS)
    ]
    if kept_between_calls(objective.function) != before:
        raise UntracedError("it keeps something between calls, which its next value may hang on")
    if traces[0] != traces[1]:
        raise UntracedError("what it computes hangs on the raw output otherwise than through torch's operations")
    (value,), gradient = traces[0]
    return Side(value, tuple(gradient))
