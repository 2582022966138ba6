"""Questions at single places: where a switch is exactly zero, and what its sides say of it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

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
        combinations = _combinations(graph, box, questions)
        if combinations is None:
            return {one.name: (OPEN, None) for one in questions}
        return {one.name: _judged(graph, box, one, combinations, tolerance) for one in questions}


def _combinations(graph: Graph, box: Box, questions: Sequence[Question]) -> list[dict[Id, int]] | None:
    """States of the switches that are not certain: at a point those of its two sides and its own, else all there may be."""
    unsure: dict[Id, int] = {}
    exact = box.low == box.high
    while True:
        trial = dict(unsure) if exact else dict.fromkeys(unsure, ABOVE)
        found = next(_unsure(graph, box, questions, trial), None)
        if found is None:
            break
        slope = _slope(graph, box, found, trial)
        if found in unsure or slope is None or len(unsure) >= MOST_TOGETHER:
            return None
        unsure[found] = slope
    if exact:
        return [{one: side * slope for one, slope in unsure.items()} for side in (BELOW, AT, ABOVE)]
    return [dict(zip(unsure, states, strict=True)) for states in product((BELOW, AT, ABOVE), repeat=len(unsure))]


def _unsure(graph: Graph, box: Box, questions: Sequence[Question], states: Mapping[Id, int]) -> Iterator[Id]:
    """Switches that are neither told nor certain; at a point those that are exactly zero too."""
    evaluation = Evaluation(graph, ball(box.low, box.high), states, 3)
    for one in questions:
        try:
            difference(evaluation, one)
        except UnsureError as unsure:
            yield unsure.looks_at
        except VagueError:
            continue
    if box.low == box.high:
        yield from (one for one, state in evaluation.decided.items() if state == AT and one not in states)


def _slope(graph: Graph, box: Box, looks_at: Id, states: Mapping[Id, int]) -> int | None:
    """Whether a switch's node rises or falls there; AT for one that is zero all around."""
    try:
        series = Evaluation(graph, ball(box.low, box.high), states, 3)[looks_at]
    except (UnsureError, VagueError, OutsideError):
        return None
    if all(part.is_zero() for part in series.coeffs()):
        return AT
    return sign(series[1]) or None


def _judged(
    graph: Graph, box: Box, question: Question, combinations: list[dict[Id, int]], tolerance: arb
) -> tuple[str, arb | None]:
    sides = [one for one in combinations if AT not in one.values()]
    middle = [one for one in combinations if one not in sides]
    try:
        if question.slope:
            return _judged_slope(graph, box, question, sides or combinations, middle, tolerance)
        beside = [_size(graph, box, question, one) for one in sides]
        here = [_size(graph, box, question, one) for one in middle] or beside
    except (VagueError, UnsureError, OutsideError):
        return OPEN, None
    return _said(beside, here, tolerance, box.low == box.high)


def _said(beside: list[arb | str], here: list[arb | str], tolerance: arb, exact: bool) -> tuple[str, arb | None]:
    """From the differences on the sides, and where switches are zero; a point that is exact is judged by the latter alone."""
    if any(isinstance(one, str) for one in (*beside, *here)):
        alike = {one if isinstance(one, str) else "" for one in here}
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
    hull = slopes[0]
    for slope in slopes[1:]:
        hull = hull.union(slope)
    own = [Evaluation(graph, ball(box.low, box.high), states, 3)[question.plus][0] for states in middle]
    here = [_outside(one, hull) for one in own] or beside
    return _said(list(beside), list(here), tolerance, box.low == box.high)


def _outside(value: arb, hull: arb) -> arb:
    """How far a number is from an interval; 0 inside."""
    above, below = value - hull.upper(), hull.lower() - value
    return above if above > 0 else below if below > 0 else arb(0).union(above).union(below).nonnegative_part()
