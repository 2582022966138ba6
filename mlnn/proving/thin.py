"""Where what a switch looks at is 0, seen at each target by itself: at single raw outputs, or at all of them for some targets.

A gradient may be any of the slopes at a kink that single raw outputs meet. A target at which what a switch looks at is 0 whatever
the raw outputs are, (1 − 2y)·z at ½ or y − ¼ at ¼, is met by all of its rows: there two losses are asked once more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, fmpq, fmpq_poly

from mlnn.proving.balls import digits
from mlnn.proving.graph import Graph, Id, Variable
from mlnn.proving.infinities import at_place
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rules import OutsideError, VagueError, number
from mlnn.proving.span import Span
from mlnn.proving.spans import Spans
from mlnn.proving.structure import TARGET, polynomial
from mlnn.targets.facts import COUNTS, HALF_LINE, UNIT_INTERVAL, Facts

Plane = tuple[Variable, Fraction]
"""A number of a target, and what it is."""
SOMEWHERE = (Fraction(3, 8), Fraction(-7, 16), Fraction(11, 4), Fraction(-13, 64))
"""Raw outputs at three of which a look is asked: one that is 0 for all of them is 0 there."""
LOOKS = 3
FAR, NARROW, MOST_SPANS = Fraction(1024), Fraction(1, 2**20), 400
"""Targets beyond which all are one span, how narrow one is in the end, and how many are looked at."""
BITS, SIMPLE = 192, 1000


@dataclass(frozen=True)
class Labels:
    """What one number of a target may be: from `low` to `high`, None where there is no end; `whole`: no broken ones."""

    low: Fraction | None = None
    high: Fraction | None = None
    whole: bool = False

    @staticmethod
    def of(facts: Facts) -> "Labels":
        zero, one = Fraction(0), Fraction(1)
        if facts.support in (COUNTS, HALF_LINE):
            return Labels(zero, None, facts.support == COUNTS)
        if facts.support == UNIT_INTERVAL or facts.support.startswith("the simplex"):
            return Labels(zero, one)
        return Labels(zero, one, True) if facts.support.startswith("{0, 1}") else Labels()

    def holds(self, value: Fraction) -> bool:
        inside = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        return inside and (not self.whole or value.denominator == 1)

    @property
    def span(self) -> Span:
        return _span(self.low, self.high)

    def pieces(self) -> list[tuple[Fraction | None, Fraction | None]]:
        """All of them: what is far on either side, and the rest."""
        low, high = (-FAR if self.low is None else self.low), (FAR if self.high is None else self.high)
        found: list[tuple[Fraction | None, Fraction | None]] = [(low, high)]
        found += [(None, low)] if self.low is None else []
        return found + ([(high, None)] if self.high is None else [])


ANY = Labels()


def _span(low: Fraction | None, high: Fraction | None) -> Span:
    return Span(
        arb.neg_inf() if low is None else number(low).lower(), arb.pos_inf() if high is None else number(high).upper()
    )


class Thin:
    """Looks, as nodes of `graph`, that are analytic and not 0 everywhere. `met`: the targets at which some of them are 0 for all
    raw outputs, or may be."""

    def __init__(self, labels: Labels = ANY) -> None:
        self.graph, self.labels, self.met = Graph(), labels, set[Plane]()
        self._known: dict[Id, frozenset[Plane] | None] = {}

    def but_at_planes(self, look: Id) -> bool:
        """Whether it is 0 at single raw outputs for every target but those that are noted in `met`; False where that is unsure."""
        if look not in self._known:
            with digits(BITS, 2):
                self._known[look] = self._planes(look)
        planes = self._known[look]
        self.met |= planes or set()
        return planes is not None

    def _planes(self, look: Id) -> frozenset[Plane] | None:
        graph = self.graph
        if all(kind != "y" for kind, _ in graph.reads[look]):
            return frozenset()
        asked = [one for one in self._asked(look) if graph.number(one) != 0]
        if any(graph.number(one) is not None or self._is_never_0(one) for one in asked):
            return frozenset()
        alone = [one for one in asked if len(graph.reads[one]) == 1]
        name = min((*graph.reads[one],)[0] for one in alone) if alone else None
        if name is None:
            return None
        mine = [one for one in alone if graph.reads[one] == {name}]
        moved = rebuilt(graph, tuple(mine), graph, {name: graph.var(*TARGET)})
        found = _labels(graph, moved, self.labels)
        return None if found is None else frozenset((name, value) for value in found)

    def _asked(self, look: Id) -> list[Id]:
        """Nodes of the target alone that are 0 wherever the look is 0 for all raw outputs."""
        outputs = sorted(name for name in self.graph.reads[look] if name[0] == "z")
        found = list[Id]()
        for turn in range(LOOKS if outputs else 1):
            places = {
                name: self.graph.const(SOMEWHERE[(place + turn) % len(SOMEWHERE)] + place)
                for place, name in enumerate(outputs)
            }
            found += rebuilt(self.graph, (look,), self.graph, places)
        return [*(self.graph.sub(one, found[0]) for one in found[1:]), *found]

    def _is_never_0(self, one: Id) -> bool:
        return _sign(self.graph, one, dict.fromkeys(self.graph.reads[one], self.labels.span)) in (1, -1)


def _sign(graph: Graph, one: Id, places: dict[Variable, Span]) -> int | None:
    try:
        return Spans(graph, places, TARGET)[one][0].sign
    except (VagueError, OutsideError, KeyError):
        return None


def have_values(graph: Graph, some: Sequence[Id], labels: Labels) -> bool:
    """Whether nodes of the target alone certainly have a value at every label; of numbers above 0 as powers of e."""
    above = labels.low == 0 and labels.high is None and not labels.whole
    if above:
        some = rebuilt(graph, tuple(some), graph, {TARGET: graph.make("exp", (graph.var(*TARGET),))})
    pieces = ANY.pieces() if above else labels.pieces()
    with digits(BITS, 2):
        return all(graph.total[one] or all(_has_value(graph, one, _span(*piece)) for piece in pieces) for one in some)


def _has_value(graph: Graph, one: Id, span: Span) -> bool:
    try:
        return bool(Spans(graph, {TARGET: span}, TARGET)[one])
    except (VagueError, OutsideError, KeyError):
        return False


def _labels(graph: Graph, asked: Sequence[Id], labels: Labels) -> set[Fraction] | None:
    """All labels at which each of some nodes is 0, and maybe others; None where they are not certain."""
    if labels.whole and labels.low is not None and labels.high is not None:
        return {*map(Fraction, range(int(labels.low), int(labels.high) + 1))}
    polynomials = [row for one in asked if (row := _numbers(graph, one)) is not None]
    found = _roots(min(polynomials, key=len)) if polynomials else None
    return {one for one in found if labels.holds(one)} if found is not None else _searched(graph, asked, labels)


def _numbers(graph: Graph, one: Id) -> list[Fraction] | None:
    row = polynomial(graph, one)
    numbers = [graph.number(each) for each in row or ()]
    return None if row is None or None in numbers else [each for each in numbers if each is not None]


def _roots(row: Sequence[Fraction]) -> set[Fraction] | None:
    """The zeros of a polynomial, None where some may be broken for ever."""
    found = set[Fraction]()
    for factor, _ in fmpq_poly([fmpq(one.numerator, one.denominator) for one in row]).factor()[1]:
        if factor.degree() > 1:
            return None
        root = -factor[0] / factor[1]
        found.add(Fraction(int(root.p), int(root.q)))
    return found


def _searched(graph: Graph, asked: Sequence[Id], labels: Labels) -> set[Fraction] | None:
    """By spans of the target that are halved, until one of some nodes is not 0 on each or it is narrow."""
    todo, left = labels.pieces(), list[tuple[Fraction, Fraction]]()
    for _ in range(MOST_SPANS):
        if not todo:
            break
        low, high = todo.pop()
        if any(_sign(graph, one, {TARGET: _span(low, high)}) in (1, -1) for one in asked):
            continue
        if low is None or high is None:
            return None
        if high - low <= NARROW:
            left.append((low, high))
        else:
            todo += [(low, (low + high) / 2), ((low + high) / 2, high)]
    if todo:
        return None
    found = [*_found(graph, asked, left, labels)]
    return None if None in found else {one for one in found if one is not None and labels.holds(one)}


def _found(
    graph: Graph, asked: Sequence[Id], left: Sequence[tuple[Fraction, Fraction]], labels: Labels
) -> Iterator[Fraction | None]:
    """Of spans that meet the one label in them at which some nodes are 0; None where it is not certain that it is one."""
    joined = list[tuple[Fraction, Fraction]]()
    for low, high in sorted(left):
        meets = bool(joined) and low <= joined[-1][1]
        joined[-1:] = [(joined[-1][0], high)] if meets else [*joined[-1:], (low, high)]
    for low, high in joined:
        place = ((low + high) / 2).limit_denominator(1 if labels.whole else SIMPLE)
        inside = low <= place <= high
        if labels.whole:
            yield from [place] if inside else []
        elif inside and any(_is_only(graph, one, place, _span(low, high)) for one in asked):
            yield place
        else:
            yield None


def _is_only(graph: Graph, one: Id, place: Fraction, around: Span) -> bool:
    """Whether a node is 0 at a place, and at no other one around it, where it rises or falls."""
    here = at_place(graph, one, place)
    zero = here == 0 if isinstance(here, Fraction) else isinstance(here, arb) and bool(here.is_zero())
    try:
        return zero and Spans(graph, {TARGET: around}, TARGET)[one][1].sign in (1, -1)
    except (VagueError, OutsideError, KeyError):
        return False
