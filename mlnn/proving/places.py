"""Questions at single places: where a switch is exactly zero, and what its sides say of it."""

from collections.abc import Mapping, Sequence

from flint import arb

from mlnn.proving.balls import Evaluation, UnsureError, ball, digits, sign
from mlnn.proving.boxes import DIFFERS, EQUAL, OPEN, VOID, Box, Question, difference
from mlnn.proving.graph import ABOVE, AT, BELOW, Graph, Id
from mlnn.proving.rules import OutsideError, VagueError

POINT = "point"
"""Of a place: the question holds on both sides of it, and not where the switch is exactly zero."""
MOST_TOGETHER = 3
"""Switches that change at one place, of which all combinations are looked at."""
MORE_BITS = 256


def asked_at(
    graph: Graph, box: Box, questions: Sequence[Question], tolerance: arb
) -> dict[str, tuple[str, arb | None]]:
    """By question: EQUAL, DIFFERS, POINT, OPEN or VOID at a point, or on an interval of 2^−100; and the size of the difference.

    A gradient is right at a kink where it is one of the slopes of the two sides or lies between them.
    """
    with digits(box.bits + MORE_BITS, 3):
        return {one.name: _asked(graph, box, one, tolerance) for one in questions}


def _asked(graph: Graph, box: Box, question: Question, tolerance: arb) -> tuple[str, arb | None]:
    if box.low != box.high:
        found = _forked(graph, box, question, {}, MOST_TOGETHER)
        if found is None:
            return OPEN, None
        sides = [one for one in found if AT not in one.values()]
        middle = [one for one in found if AT in one.values()]
        return _judged(graph, box, question, sides or found, middle, tolerance)
    beside = [_side(graph, box, question, side) for side in (BELOW, ABOVE)]
    return _judged(graph, box, question, [one for one in beside if one is not None], [{}], tolerance)


def _forked(graph: Graph, box: Box, question: Question, states: dict[Id, int], left: int) -> list[dict[Id, int]] | None:
    """All combinations of states that there may be on a narrow interval; None for too many, or without a value."""
    evaluation = Evaluation(graph, ball(box.low, box.high), states, 3)
    try:
        difference(evaluation, question)
    except VagueError:
        return None
    except UnsureError as unsure:
        if not left:
            return None
        parts = [
            _forked(graph, box, question, states | {unsure.looks_at: state}, left - 1) for state in (BELOW, AT, ABOVE)
        ]
        return None if None in parts else [one for part in parts for one in part or []]
    return [states]


def _side(graph: Graph, box: Box, question: Question, side: int) -> dict[Id, int] | None:
    """States of the switches just below or above a point; None where they cannot be told."""
    states: dict[Id, int] = {}
    while True:
        evaluation = Evaluation(graph, ball(box.low, box.high), states, 3, beside=True)
        try:
            difference(evaluation, question)
        except UnsureError as unsure:
            series = evaluation[unsure.looks_at]
            slope = sign(series[1])
            if not series[0].is_zero() or not slope:
                return None
            states[unsure.looks_at] = side * slope
        except VagueError:
            return None
        else:
            return states


def _judged(
    graph: Graph,
    box: Box,
    question: Question,
    sides: list[dict[Id, int]],
    middle: list[dict[Id, int]],
    tolerance: arb,
) -> tuple[str, arb | None]:
    try:
        if question.slope:
            return _judged_slope(graph, box, question, sides, middle, tolerance)
        beside = [_size(graph, box, question, one) for one in sides]
        here = [_size(graph, box, question, one) for one in middle] or beside
    except (VagueError, UnsureError, OutsideError):
        return OPEN, None
    return _said(beside, here, tolerance, box.low == box.high, _is_told(graph, question))


def _is_told(graph: Graph, question: Question) -> bool:
    """Whether a question's functions have nothing but numbers, and 1/0 where a side is no number: any other function that has no
    value here may have one in code, as e to log 0 does."""
    nodes = [graph.nodes[one] for one in graph.needed([question.plus, question.minus])]
    return all(
        node.op in ("var", "lin", "switch") or (node.op == "inv" and graph.number(node.args[0]) == 0) for node in nodes
    )


def _said(
    beside: list[arb | str], here: list[arb | str], tolerance: arb, exact: bool, none: bool = False
) -> tuple[str, arb | None]:
    """From the differences on the sides, and where switches are zero; a point that is exact is judged by the latter alone. none:
    whether a side without a value certainly has none."""
    if any(isinstance(one, str) for one in (*beside, *here)):
        alike = {one if isinstance(one, str) else "" for one in here}
        if none and alike == {DIFFERS} and all(not isinstance(one, str) and bool(one <= tolerance) for one in beside):
            return POINT, arb.pos_inf()
        return (VOID, None) if alike == {VOID} else (OPEN, None)
    fine = [bool(one <= tolerance) for one in here]  # type: ignore[operator]
    worst = max(here, key=lambda one: float(one.abs_upper()), default=None)  # type: ignore[union-attr]
    if all(fine) and (exact or all(bool(one <= tolerance) for one in beside)):  # type: ignore[operator]
        return EQUAL, None
    if all(bool(one > tolerance) for one in here):  # type: ignore[operator]
        if all(bool(one <= tolerance) for one in beside):  # type: ignore[operator]
            return POINT, worst  # type: ignore[return-value]
        if exact or all(bool(one > tolerance) for one in beside):  # type: ignore[operator]
            return DIFFERS, worst  # type: ignore[return-value]
    return OPEN, worst  # type: ignore[return-value]


def _size(graph: Graph, box: Box, question: Question, states: Mapping[Id, int]) -> arb | str:
    found = difference(Evaluation(graph, ball(box.low, box.high), states, 3), question)
    return found if isinstance(found, str) else abs(found[0])


def _judged_slope(
    graph: Graph,
    box: Box,
    question: Question,
    sides: list[dict[Id, int]],
    middle: list[dict[Id, int]],
    tolerance: arb,
) -> tuple[str, arb | None]:
    """Whether the code's gradient is the slope on each side, and between the slopes where switches are zero."""
    beside, slopes = [], []
    for states in sides:
        evaluation = Evaluation(graph, ball(box.low, box.high), states, 3)
        slope = evaluation[question.minus].derivative()[0]
        slopes.append(slope)
        beside.append(abs(evaluation[question.plus][0] - slope))
    if not slopes:
        return OPEN, None
    least, most = slopes[0], slopes[0]
    for slope in slopes[1:]:
        least, most = least.min(slope), most.max(slope)
    own = [Evaluation(graph, ball(box.low, box.high), states, 3)[question.plus][0] for states in middle]
    here = [arb(0).max(one - most).max(least - one) for one in own] or beside
    return _said(list(beside), list(here), tolerance, box.low == box.high)
