"""Losses of several raw outputs: proved where their forms are one and the same, refuted on lines through the raw outputs."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from flint import fmpq

from mlnn.proving.agreement import Compared, agreed
from mlnn.proving.algebra import rebuilt
from mlnn.proving.boxes import VALUE, Question
from mlnn.proving.cases import GRADIENT, Case, Cases
from mlnn.proving.core import absolute
from mlnn.proving.graph import Graph, Id
from mlnn.proving.odds import by_odds
from mlnn.proving.quotients import LargeError
from mlnn.proving.sides import Side
from mlnn.proving.structure import at_target
from mlnn.targets import TargetSpace

MOST_AXES, MOST_TARGETS = 1, 4
LINE = "place on a line"
STARTS = (Fraction(3, 8), Fraction(-7, 8), Fraction(5, 4), Fraction(1, 16))
STEPS = (Fraction(1), Fraction(-1, 2), Fraction(3, 4), Fraction(-1, 4))
"""Of the lines: start + t·step for each raw output, over again for more of them."""


def ways_of_several(
    graph: Graph, found: dict[float, tuple[Side, Side]], space: TargetSpace, ends: tuple[fmpq, fmpq]
) -> Iterator[Cases]:
    """Ways to the answer for losses of several raw outputs: by the form, by the log-odds of the target's class, on lines."""
    placed = {target: _placed(graph, sides, target) for target, sides in found.items()} if space.finite else {}
    form = by_form(graph, found, placed)
    if form is not None:
        yield form
    if placed and len(next(iter(found.values()))[0].gradient) == len(found):
        try:
            odds = by_odds(placed, ends)
        except LargeError:
            odds = None
        if odds is not None:
            yield odds
    yield on_lines(graph, found)


def _placed(graph: Graph, sides: tuple[Side, Side], target: float) -> tuple[Graph, tuple[Side, Side]]:
    """Both sides with the number of a target in its place, in a graph of their own."""
    roots = [node for side in sides for node in (side.value, *side.gradient)]
    into, found = at_target(graph, roots, Fraction(target))
    half = len(found) // 2
    return into, (Side(found[0], found[1:half], target), Side(found[half], found[half + 1 :], target))


def by_form(
    graph: Graph, found: dict[float, tuple[Side, Side]], placed: dict[float, tuple[Graph, tuple[Side, Side]]]
) -> Cases | None:
    """Proved for every raw output there is: values are a number apart, and gradients are the same, by the forms of both sides.

    placed: by target, where there are finitely many. None where it is not certain.
    """
    first = next(iter(found.values()))
    read = any(side.target is not None for side in first)
    if not placed and (read or any(sides != first for sides in found.values())):
        return None
    asked = {_named(target): one for target, one in placed.items()} or {"every target": (graph, first)}
    cases, kinks = [], False
    for name, (own, sides) in asked.items():
        try:
            case = _apart(own, sides, name)
        except LargeError:
            return None
        if case is None:
            return None
        cases.append(case[0])
        kinks |= case[1]
    covers = f"all {len(cases)} targets" if placed else "every target"
    note = "where a kink is met exactly, the two sides may take other slopes" if kinks else None
    return Cases(tuple(cases), f"{covers}, by the form", True, note=note)


def _apart(graph: Graph, sides: tuple[Side, Side], name: str) -> tuple[Case, bool] | None:
    """A problem of numbers: by how much the two sides are apart; and whether gradients part at kinks."""
    left, right = sides
    pairs = [Compared(left.value, right.value)]
    pairs += [Compared(one, other, True) for one, other in zip(left.gradient, right.gradient, strict=True)]
    into = Graph()
    found = agreed(graph, pairs, into)
    if found is None:
        return None
    value, *slopes = found.apart
    apart = into.linear([(Fraction(1), absolute(into, one)) for one in slopes])
    questions = (Question(VALUE, value, into.zero), Question(GRADIENT, apart, into.zero))
    return Case(name, into, questions), found.kinks


def on_lines(graph: Graph, found: dict[float, tuple[Side, Side]]) -> Cases:
    """Values and slopes on a few lines; what is equal on them is not proved elsewhere."""
    cases = []
    for target, (left, right) in list(found.items())[:MOST_TARGETS]:
        for number, steps in enumerate(_directions(len(left.gradient))):
            cases.append(_line(graph, (left, right), steps, target, number + 1))
    return Cases(tuple(cases), f"{len(cases)} lines through the raw outputs", False)


def _named(target: float) -> str:
    return f"y = {target:g}"


def _directions(several: int) -> list[list[Fraction]]:
    axes = [[Fraction(int(one == axis)) for one in range(several)] for axis in range(min(several, MOST_AXES))]
    return [[STEPS[one % len(STEPS)] for one in range(several)], *axes]


def _line(graph: Graph, sides: Sequence[Side], steps: Sequence[Fraction], target: float, number: int) -> Case:
    into = Graph()
    t = into.var("z", 0)
    moved = {("z", one): into.linear([(step, t)], STARTS[one % len(STARTS)]) for one, step in enumerate(steps)}
    moved[("y", 0)] = into.const(target)
    pairs: list[tuple[Id, Id]] = []
    for side in sides:
        value, *gradient = rebuilt(graph, (side.value, *side.gradient), into, moved)
        pairs.append((value, into.linear(zip(steps, gradient, strict=True))))
    (left, left_slope), (right, right_slope) = pairs
    questions = (Question(VALUE, left, right), Question(GRADIENT, left_slope, right_slope))
    return Case(f"{_named(target)}, line {number}", into, questions, LINE)
