"""Losses of several raw outputs: proved where their forms are one and the same, refuted on lines through the raw outputs."""

from collections.abc import Sequence
from fractions import Fraction

from mlnn.proving.algebra import rebuilt
from mlnn.proving.boxes import VALUE, Question
from mlnn.proving.cases import GRADIENT, Case, Cases
from mlnn.proving.graph import Graph, Id
from mlnn.proving.sides import Side

MOST_AXES, MOST_TARGETS = 1, 4
LINE = "place on a line"
STARTS = (Fraction(3, 8), Fraction(-7, 8), Fraction(5, 4), Fraction(1, 16))
STEPS = (Fraction(1), Fraction(-1, 2), Fraction(3, 4), Fraction(-1, 4))
"""Of the lines: start + t·step for each raw output, over again for more of them."""


def by_structure(graph: Graph, found: dict[float, tuple[Side, Side]], finite: bool) -> Cases | None:
    """Proved for every raw output there is: gradients are the same nodes, and values too, or differ by a number."""
    first = next(iter(found.values()))
    read = any(side.target is not None for side in first)
    if not finite and (read or any(sides != first for sides in found.values())):
        return None
    cases = []
    for target, (left, right) in found.items():
        apart = graph.sub(left.value, right.value)
        if left.gradient != right.gradient or graph.number(apart) is None:
            return None
        gradients = Question(GRADIENT, left.gradient[0], right.gradient[0])
        name = _named(target) if finite else "every target"
        cases.append(Case(name, graph, (Question(VALUE, apart, graph.zero), gradients)))
    covers = f"all {len(cases)} targets" if finite else "every target"
    return Cases(tuple(cases if finite else cases[:1]), f"{covers}, by the form", True)


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
