"""Losses of one raw output and a label in [0, 1], seen on the rectangle of both: which switches have one state on all of it, losses
that hang on one number of both, and lines through it on which two losses may be refuted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from flint import arb, fmpq

from mlnn.proving.balls import Evaluation, UnsureError, digits
from mlnn.proving.boxes import BITS, VALUE, Question, difference
from mlnn.proving.cases import (
    GRADIENT,
    INNER,
    LEFT,
    RIGHT,
    Case,
    Cases,
    alike,
    named_term,
    padded,
    roots_of,
    void_alike,
)
from mlnn.proving.graph import Graph, Id
from mlnn.proving.inner import Inner, by_inner, inners
from mlnn.proving.linear import Reach, reach_of
from mlnn.proving.rebuilding import rebuilt, remade
from mlnn.proving.rows import Side, Target
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.several import LINE
from mlnn.proving.span import Span
from mlnn.proving.spans import Spans
from mlnn.proving.structure import OUTPUT, TARGET, numbers_of, parted, polynomial
from mlnn.targets import TargetSpace
from mlnn.targets.facts import UNIT_INTERVAL

ALONG = (Fraction(3, 8), Fraction(-7, 8), Fraction(21, 4), Fraction(-45, 4))
"""Raw outputs at which every label is looked at."""
ACROSS = ((Fraction(0), Fraction(1)), (Fraction(1), Fraction(0)), (Fraction(5, 13), Fraction(8, 13)))
"""Lines from the first raw output to the last: the label that each begins with and ends with."""

MOST_INNERS = 6
"""Numbers that two losses may hang on, of which each is tried."""

Sides = dict[Target, tuple[Side, Side]]


def on_rectangle(graph: Graph, sides: Sides, space: TargetSpace, ends: tuple[fmpq, fmpq]) -> Sides:
    """Both sides without the switches that have one state at all raw outputs of an interval and labels of [0, 1]: a threshold of
    (1 − 2y)·z beyond them."""
    if space.facts.support != UNIT_INTERVAL:
        return sides
    with digits(BITS, 2):
        places = {OUTPUT: Span(arb(ends[0]).lower(), arb(ends[1]).upper()), TARGET: Span(arb(0), arb(1))}
        spans = Spans(graph, places, OUTPUT)

        def chosen(one: Id, args: tuple[Id, ...]) -> Id | None:
            node = graph.nodes[one]
            state = _sign(spans, node.args[0]) if node.op == "switch" else None
            return None if state is None else args[2 + state]

        def without(side: Side) -> Side:
            value, *gradient = remade(graph, (side.value, *side.gradient), graph, chosen)
            return Side(value, tuple(gradient), side.target)

        return {target: (without(left), without(right)) for target, (left, right) in sides.items()}


def _sign(spans: Spans, one: Id) -> int | None:
    try:
        return spans[one][0].sign
    except (VagueError, OutsideError, KeyError):  # too wide, without a value, or of an operation without a rule
        return None


def by_one_number(
    graph: Graph, sides: Sides, space: TargetSpace, ends: tuple[fmpq, fmpq], close: fmpq
) -> Iterator[Cases]:
    """Losses that hang on one number of the raw output and the label, apart from powers of the label and terms of it alone: their
    coefficients are functions of that number, of all that it may be on the rectangle."""
    pair = alike(sides) if space.facts.support == UNIT_INTERVAL else None
    if pair is None:
        return
    value, gradient, other, other_gradient = roots_of(pair)
    (value, own), (other, others) = parted(graph, value), parted(graph, other)
    roots = value, gradient, other, other_gradient
    if own != others or not void_alike(graph, pair, space):
        return
    for inner in inners(graph, roots)[:MOST_INNERS]:
        moved = by_inner(graph, roots, inner)
        rows = [] if moved is None else [polynomial(moved[0], one) for one in moved[1]]
        if moved is None or None in rows:
            continue
        way = _coefficients(moved[0], [row for row in rows if row is not None], inner, reach_of(ends))
        if _is_still_alike(way, inner, close):
            yield replace(way, own=tuple((numbers_of(target)[0], fmpq(0), fmpq(0)) for target in sides))
            return


def _coefficients(graph: Graph, rows: Sequence[list[Id]], inner: Inner, ends: Reach) -> Cases:
    """A problem for each power of w: the slope along z is w times that along u, so it is asked of the power before."""
    most, before = max(map(len, rows)), int(inner.rise != 0)
    value, gradient, other, other_gradient = (padded(graph, row, most) for row in rows)
    cases = []
    for power in range(most):
        of, of_other = (row[power - before] if power >= before else graph.zero for row in (value, other))
        questions = (
            Question(VALUE, value[power], other[power]),
            Question(GRADIENT, gradient[power], other_gradient[power]),
            Question(LEFT, gradient[power], of, slope=True),
            Question(RIGHT, other_gradient[power], of_other, slope=True),
        )
        name = named_term(power, inner.letter)
        cases.append(Case(name, graph, questions, INNER, most, power, inner.reach(ends)))
    return Cases(tuple(cases), f"every target, by {inner.told}", True, inner=inner)


def _is_still_alike(way: Cases, inner: Inner, close: fmpq) -> bool:
    """Whether gradients agree at the label at which u is one number for all raw outputs, where that is no single place."""
    place, case = inner.still(), way.cases[0]
    asked = next(one for one in case.questions if one.name == GRADIENT)
    if place is None or asked.trivial:
        return True
    try:
        with digits(2 * BITS, 2):
            at = Evaluation(case.graph, arb(fmpq(place.numerator, place.denominator)), {}, 2)
            found = difference(at, asked)
            return not isinstance(found, str) and bool(abs(found[0]) <= arb(close / case.stricter))
    except (UnsureError, VagueError):
        return False


def through_rectangle(
    graph: Graph, sides: Mapping[Target, tuple[Side, Side]], space: TargetSpace, ends: tuple[fmpq, fmpq], covers: str
) -> Cases | None:
    """Values and gradients on a few lines through the raw outputs and the labels, the place on each from 0 to 1; what is equal on
    them is not proved elsewhere. covers: what was proved already. None for other targets."""
    pair = alike(sides) if space.facts.support == UNIT_INTERVAL else None
    if pair is None:
        return None
    low, high = reach_of(ends)
    lines = [(z, z, Fraction(0), Fraction(1)) for z in ALONG if low <= z <= high]
    lines += [(low, high, *labels) for labels in ACROSS]
    told = f"{covers} and {len(lines)} lines through the raw outputs and the targets"
    return Cases(tuple(_line(graph, pair, line) for line in lines), told, False, beside=True)


def _line(graph: Graph, pair: tuple[Side, Side], line: tuple[Fraction, Fraction, Fraction, Fraction]) -> Case:
    into, (low, high, first, last) = Graph(), line
    t = into.var(*OUTPUT)
    moved = {OUTPUT: into.linear([(high - low, t)], low), TARGET: into.linear([(last - first, t)], first)}
    left, right = pair
    roots = left.value, right.value, left.gradient[0], right.gradient[0]
    value, other, slope, other_slope = rebuilt(graph, roots, into, moved)
    name = f"raw output {_told(low, high)}, y = {_told(first, last)}"
    questions = (Question(VALUE, value, other), Question(GRADIENT, slope, other_slope))
    return Case(name, into, questions, LINE, domain=(fmpq(0), fmpq(1)))


def _told(first: Fraction, last: Fraction) -> str:
    """What a number is at place t of a line."""
    if first == last:
        return f"{float(first):g}"
    begins = f"{float(first):g} + " if first else ""
    return f"{begins}{float(last - first):g}t" if last - first != 1 else f"{begins}t"
