"""Losses of several raw outputs: proved where their forms are one and the same, refuted on lines through the raw outputs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from flint import fmpq

from mlnn.objectives import Objective
from mlnn.proving.agreement import Compared, agreed
from mlnn.proving.batches import batches
from mlnn.proving.boxes import VALUE, Question
from mlnn.proving.cases import AT_KINKS, GRADIENT, Case, Cases
from mlnn.proving.core import absolute
from mlnn.proving.graph import Graph, Id, Variable
from mlnn.proving.linear import reach_of
from mlnn.proving.odds import by_odds
from mlnn.proving.quotients import LargeError
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.relation import factor_of
from mlnn.proving.rows import Side, Target
from mlnn.proving.structure import at_target, numbers_of
from mlnn.proving.thin import ANY, Labels
from mlnn.targets import TargetSpace

MOST_AXES, MOST_TARGETS = 1, 4
LINE = "place on a line"
STARTS = (Fraction(3, 8), Fraction(-7, 8), Fraction(5, 4), Fraction(1, 16))
STEPS = (Fraction(1), Fraction(-1, 2), Fraction(3, 4), Fraction(-1, 4))
"""Of the lines: start + t·step for each raw output, over again for more of them."""


def ways_of_several(
    graph: Graph, found: dict[Target, tuple[Side, Side]], space: TargetSpace, ends: tuple[fmpq, fmpq]
) -> Iterator[Cases]:
    """Ways to the answer for losses of several raw outputs: by the form, by the log-odds of the target's class, on lines."""
    if space.kind == "simplex":
        found = {target: _on_simplex(graph, sides) for target, sides in found.items()}
    placed = {target: _placed(graph, sides, target) for target, sides in found.items()}
    form = by_form(graph, found, placed, space, ends)
    if form is not None:
        yield form
    if space.finite and len(next(iter(found.values()))[0].gradient) == len(found):
        try:
            odds = by_odds(placed, ends)
        except LargeError:
            odds = None
        if odds is not None:
            yield odds
    yield _with_factor(on_lines(graph, found), graph, found, space, ends)


def _placed(graph: Graph, sides: tuple[Side, Side], target: Target) -> tuple[Graph, tuple[Side, Side]]:
    """Both sides with the numbers of a target in its place, in a graph of their own."""
    roots = [node for side in sides for node in (side.value, *side.gradient)]
    into, found = at_target(graph, roots, target)
    return into, _sides_of(found, target)


def _sides_of(found: Sequence[Id], target: Target | None) -> tuple[Side, Side]:
    half = len(found) // 2
    return Side(found[0], tuple(found[1:half]), target), Side(found[half], tuple(found[half + 1 :]), target)


def _on_simplex(graph: Graph, sides: tuple[Side, Side]) -> tuple[Side, Side]:
    """Both sides with 1 minus the other parts of a target in place of its last, as they add up to 1."""
    last, read = len(sides[0].gradient) - 1, sides[0].target if sides[1].target is None else sides[1].target
    others = [(Fraction(-1), graph.var("y", place)) for place in range(last)]
    roots = tuple(node for side in sides for node in (side.value, *side.gradient))
    return _sides_of(rebuilt(graph, roots, graph, {("y", last): graph.linear(others, 1)}), read)


def by_form(
    graph: Graph,
    found: Mapping[Target, tuple[Side, Side]],
    placed: Mapping[Target, tuple[Graph, tuple[Side, Side]]],
    space: TargetSpace,
    ends: tuple[fmpq, fmpq],
) -> Cases | None:
    """Proved for every raw output there is, or for those between two ends where a threshold lies beyond them: values
    are a number apart, and gradients are the same, by the forms of both sides.

    placed: both sides by target. Where there are targets without end, of all of them at once, else of those. None where it is not
    certain.
    """
    if space.finite:
        return _all_apart(placed, f"all {len(placed)} targets", True, ends)
    first = next(iter(found.values()))
    read = any(side.target is not None for side in first)
    alike = not read and all(sides == first for sides in found.values())
    labels = Labels.of(space.facts)
    form = _all_apart({"every target": (graph, first)}, "every target", True, ends, labels) if alike else None
    if form is not None or not placed:
        return form
    return _all_apart(placed, f"{len(placed)} targets that were looked at", False, ends)


def of_every_target(
    graph: Graph, found: Mapping[Target, tuple[Side, Side]], space: TargetSpace, ends: tuple[fmpq, fmpq], listed: Cases
) -> Cases | None:
    """Of losses of one raw output and targets without end: proved by the form for all of them, and each side's slopes as they are
    asked of some targets. None where it is not certain."""
    form = None if space.finite else by_form(graph, found, {}, space, ends)
    if form is None:
        return None
    slopes = (replace(case, questions=tuple(one for one in case.questions if one.slope)) for case in listed.cases)
    return replace(form, cases=(*form.cases, *slopes))


def _all_apart(
    asked: Mapping[Target, tuple[Graph, tuple[Side, Side]]] | Mapping[str, tuple[Graph, tuple[Side, Side]]],
    covers: str,
    whole: bool,
    ends: tuple[fmpq, fmpq],
    labels: Labels = ANY,
) -> Cases | None:
    cases, kinks = [], False
    for target, (own, sides) in asked.items():
        try:
            case = _apart(own, sides, target if isinstance(target, str) else named(target), ends, labels)
        except LargeError:
            return None
        if case is None:
            return None
        cases.append(case[0])
        kinks |= case[1]
    note = AT_KINKS if kinks else None
    return Cases(tuple(cases), f"{covers}, by the form", whole, note=note)


def _with_factor(
    lines: Cases, graph: Graph, found: Mapping[Target, tuple[Side, Side]], space: TargetSpace, ends: tuple[fmpq, fmpq]
) -> Cases:
    """Lines, and with them the factor between the two sides that lines ask for, where the form of both has it everywhere."""
    factor = factor_of(lines.cases, ends)
    if factor in (None, 0, 1):
        return lines
    times = Fraction(int(factor.p), int(factor.q))
    scaled = {target: (left, _scaled(graph, right, times)) for target, (left, right) in found.items()}
    placed = {target: _placed(graph, sides, target) for target, sides in scaled.items()}
    form = by_form(graph, scaled, placed, space, ends)
    return lines if form is None else replace(lines, factor=factor, form=form)


def _scaled(graph: Graph, side: Side, factor: Fraction) -> Side:
    return replace(
        side, value=graph.scale(factor, side.value), gradient=tuple(graph.scale(factor, one) for one in side.gradient)
    )


def _apart(
    graph: Graph, sides: tuple[Side, Side], name: str, ends: tuple[fmpq, fmpq], labels: Labels
) -> tuple[Case, bool] | None:
    """A problem of numbers: by how much the two sides are apart; and whether gradients part at kinks."""
    left, right = sides
    pairs = [Compared(left.value, right.value)]
    pairs += [Compared(one, other, True) for one, other in zip(left.gradient, right.gradient, strict=True)]
    into = Graph()
    found = agreed(graph, pairs, into, reach_of(ends), labels=labels)
    if found is None:
        return None
    value, *slopes = found.apart
    apart = into.linear([(Fraction(1), absolute(into, one)) for one in slopes])
    questions = (Question(VALUE, value, into.zero), Question(GRADIENT, apart, into.zero))
    return Case(name, into, questions), found.kinks


def on_lines(graph: Graph, found: Mapping[Target, tuple[Side, Side]]) -> Cases:
    """Values and slopes on a few lines; what is equal on them is not proved elsewhere."""
    cases = []
    for target, sides in list(found.items())[:MOST_TARGETS]:
        for number, steps in enumerate(_directions(len(sides[0].gradient))):
            cases.append(_line(graph, sides, steps, numbers_of(target), f"{named(target)}, line {number + 1}"))
    return Cases(tuple(cases), f"{len(cases)} lines through the raw outputs", False)


def of_batches(left: Objective, right: Objective, targets: Sequence[Target]) -> Cases:
    """Values and slopes of whole batches on a few lines through the raw outputs of all of their rows. Raises UntracedError."""
    cases = []
    for name, batch, graph, sides in batches(left, right, targets):
        numbers = [number for target in batch for number in numbers_of(target)]
        for number, steps in enumerate(_directions(len(sides[0].gradient))):
            cases.append(_line(graph, sides, steps, numbers, f"{name}, line {number + 1}"))
    return Cases(tuple(cases), f"{len(cases)} lines through the raw outputs of batches", False)


def named(target: Target) -> str:
    """A target in words."""
    told = ", ".join(f"{one:g}" for one in numbers_of(target))
    return f"y = ({told})" if isinstance(target, tuple) else f"y = {told}"


def _directions(several: int) -> list[list[Fraction]]:
    axes = [[Fraction(int(one == axis)) for one in range(several)] for axis in range(min(several, MOST_AXES))]
    return [[STEPS[one % len(STEPS)] for one in range(several)], *axes]


def _line(graph: Graph, sides: Sequence[Side], steps: Sequence[Fraction], target: Sequence[float], name: str) -> Case:
    into = Graph()
    t = into.var("z", 0)
    moved: dict[Variable, Id] = {
        ("z", one): into.linear([(step, t)], STARTS[one % len(STARTS)]) for one, step in enumerate(steps)
    }
    moved |= {("y", place): into.const(number) for place, number in enumerate(target)}
    pairs: list[tuple[Id, Id]] = []
    for side in sides:
        value, *gradient = rebuilt(graph, (side.value, *side.gradient), into, moved)
        pairs.append((value, into.linear(zip(steps, gradient, strict=True))))
    (left, left_slope), (right, right_slope) = pairs
    questions = (Question(VALUE, left, right), Question(GRADIENT, left_slope, right_slope))
    return Case(name, into, questions, LINE)
