"""An integral of a function of one variable, enclosed: Taylor models on boxes, and the tails by the slope of the exponent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from flint import arb, fmpq

from mlnn.proving.algebra import exp
from mlnn.proving.balls import Evaluation, States, UnsureError, ball, digits
from mlnn.proving.boxes import BITS, EQUAL, ORDERS, TERMS, Box, Question
from mlnn.proving.graph import Graph, Id
from mlnn.proving.paving import Tile, paved
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.span import Span
from mlnn.proving.spans import MORE, Spans

LARGE = fmpq(10) ** 30
"""A bound of the density, under which its boxes are only split where a switch changes."""
GOAL = 2.0**-68
"""Half the width of a piece's integral at which it is not halved further, 3e-21."""
NARROWEST = fmpq(1, 2**60)
TAIL = 1e-20
"""Up to which a tail may be left as an interval from 0."""
FEW = 64
FARTHEST = 48
"""Doublings of a place on the line, and steps of its logarithm, at which a tail is begun."""
V = ("z", 0)
"""The variable of an exponent."""


@dataclass(frozen=True)
class Piece:
    """A box of one integral, with the states of its switches."""

    low: fmpq
    high: fmpq
    states: tuple[tuple[Id, int], ...] = ()


Part: TypeAlias = tuple[Graph, Id, tuple[Piece, ...]]
"""A graph, an exponent, and the pieces that the integral of e^(−exponent) was made of."""


@dataclass(frozen=True)
class Side:
    """A tail: e^(−exponent) from `start` on, where the exponent's slope is at least `slope`, above 0. `log`: the variable is the
    logarithm of the distance, and the exponent has it taken off. `sign`: of the side."""

    graph: Graph
    exponent: Id
    sign: int
    log: bool
    start: fmpq
    slope: arb
    bound: arb


@dataclass(frozen=True)
class Integral:
    """`value`: a ball around it. `parts`: what it was added up from; `sides`: the tails. `unit`: what the variable is measured in,
    and the sum is multiplied with."""

    value: arb
    parts: tuple[Part, ...]
    sides: tuple[Side, ...] = ()
    unit: int = 1

    @property
    def boxes(self) -> int:
        return sum(len(pieces) for _, _, pieces in self.parts)


def over_the_line(graph: Graph, exponent: Id, budget: int) -> Integral:
    """∫ e^(−exponent) over all real numbers. Raises VagueError where the tails, or the boxes, do not settle it."""
    unit = _unit(graph, exponent)
    into = Graph()
    (exponent,) = rebuilt(graph, (exponent,), into, {V: into.scale(unit, into.var(*V))})
    graph, sides = into, tuple(_side(into, exponent, sign) for sign in (-1, 1))
    inner = [fmpq(1) if side.log else side.start for side in sides]
    parts = [(graph, exponent, -inner[0], inner[1])]
    parts += [(side.graph, side.exponent, fmpq(0), side.start) for side in sides if side.log]
    total, found = arb(0), list[Part]()
    for where, root, low, high in parts:
        value, pieces = between(where, root, low, high, budget - sum(len(one[2]) for one in found))
        total, found = total + value, [*found, (where, root, pieces)]
    with digits(BITS, 2):
        for side in sides:
            total = total + arb(0).union(side.bound)
        total = total * unit
    return Integral(total, tuple(found), sides, unit)


def _unit(graph: Graph, exponent: Id) -> int:
    """A power of 2 by which to measure the variable: so that tails begin within some dozens of it."""
    starts = [side.start for side in (_side(graph, exponent, sign) for sign in (-1, 1)) if not side.log]
    return max(1, int(max(starts, default=fmpq(1))) // FEW)


def grows(graph: Graph, exponent: Id) -> Side | None:
    """A side on which e^(−exponent) has an infinite integral: it falls no faster than 1/distance. None where none is found."""
    for sign in (-1, 1):
        into, root = _by_log(graph, exponent, sign)
        for start in (fmpq(2), fmpq(8), fmpq(32)):
            slope = _slope(into, root, start)
            if slope is not None and slope.high <= 0:
                return Side(into, root, sign, True, start, slope.high, MORE)
    return None


def _side(graph: Graph, exponent: Id, sign: int) -> Side:
    for log, (into, root) in ((False, _turned(graph, exponent, sign)), (True, _by_log(graph, exponent, sign))):
        for step in range(FARTHEST):
            start = fmpq(step + 1) if log else fmpq(2) ** step
            slope = _slope(into, root, start)
            if slope is None or not slope.low > 0:
                continue
            with digits(BITS, 2):
                value = Spans(into, {V: Span.of(arb(start))}, V)[root][0]
                bound = ((-value.ball).exp() / slope.low).upper()
            if bound < TAIL:
                return Side(into, root, sign, log, start, slope.low, bound)
    raise VagueError


def _slope(graph: Graph, root: Id, start: fmpq) -> Span | None:
    """Of a node from `start` on, up to infinity."""
    try:
        with digits(BITS, 2):
            found = Spans(graph, {V: Span(arb(start), MORE)}, V)[root][1]
    except (VagueError, OutsideError):
        return None
    return None if found.low.is_nan() or found.high.is_nan() else found


def _turned(graph: Graph, exponent: Id, sign: int) -> tuple[Graph, Id]:
    """The exponent by the distance on one side."""
    into = Graph()
    (root,) = rebuilt(graph, (exponent,), into, {V: into.scale(sign, into.var(*V))})
    return into, root


def _by_log(graph: Graph, exponent: Id, sign: int) -> tuple[Graph, Id]:
    """The exponent by t = log of the distance, with t taken off: dv = e^t dt."""
    into = Graph()
    t = into.var(*V)
    (root,) = rebuilt(graph, (exponent,), into, {V: into.scale(sign, exp(into, t))})
    return into, into.sub(root, t)


def between(graph: Graph, exponent: Id, low: fmpq, high: fmpq, budget: int) -> tuple[arb, tuple[Piece, ...]]:
    """∫ e^(−exponent) from low to high, and the boxes that it took. Raises VagueError where the budget does not suffice."""
    density = exp(graph, graph.neg(exponent))
    asked = Question("value", density, graph.zero)
    looked = paved(graph, [asked], (low, high), LARGE, budget)
    todo = [_piece(tile) for tile in reversed(looked.tiles["value"]) if tile.low < tile.high]
    total, done = arb(0), list[Piece]()
    while todo:
        piece = todo.pop()
        if len(done) + len(todo) > budget:
            raise VagueError
        found = _narrow(graph, density, piece) if piece.states == NARROW else _modelled(graph, density, piece)
        if found is None:
            todo += _halves(piece)
            continue
        done.append(piece)
        with digits(2 * BITS, 2):
            total = total + found
    return total, tuple(done)


NARROW = ((-1, 0),)
"""Of a piece around a place where a switch changes."""


def _piece(tile: Tile) -> Piece:
    if tile.place:
        return Piece(tile.low, tile.high, NARROW)
    if tile.answer != EQUAL:
        raise VagueError
    return Piece(tile.low, tile.high, tile.states)


def _halves(piece: Piece) -> Iterator[Piece]:
    if piece.high - piece.low < NARROWEST:
        raise VagueError
    middle = (piece.low + piece.high) / 2
    yield Piece(middle, piece.high, piece.states)
    yield Piece(piece.low, middle, piece.states)


def _narrow(graph: Graph, density: Id, piece: Piece) -> arb:
    """A narrow interval, whatever state a switch is in there."""
    with digits(2 * BITS, 2):
        place = Span(arb(piece.low).lower(), arb(piece.high).upper())
        return Spans(graph, {V: place}, V)[density][0].ball * arb(piece.high - piece.low)


def _modelled(graph: Graph, density: Id, piece: Piece) -> arb | None:
    """By a Taylor model: of even powers the integral, of the remainder its bound; None where that is too wide."""
    box = Box(piece.low, piece.high)
    with digits(box.bits, TERMS + 2):
        states: States = dict(piece.states)
        try:
            wide = Evaluation(graph, ball(box.low, box.high), states, TERMS + 2)[density]
            at = Evaluation(graph, arb(box.middle), states, TERMS + 2)[density]
        except (VagueError, UnsureError, OutsideError):
            return None
        radius = arb(box.width / 2)
        best = 2 * radius * wide[0]
        for order in ORDERS:
            inner = sum((2 * at[k] * radius ** (k + 1) / (k + 1) for k in range(0, order, 2)), arb(0))
            rest = (2 * abs(wide[order]) * radius ** (order + 1) / (order + 1)).upper()
            found = inner + arb(0, rest)
            best = found if found.rad() < best.rad() else best
        return best if best.rad() <= GOAL else None
