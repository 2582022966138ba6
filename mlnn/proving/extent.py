"""Where two losses differ and by how much at most: the largest size of a difference, enclosed from both sides."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from flint import arb, fmpq

from mlnn.proving.balls import Evaluation, UnsureError, ball, digits
from mlnn.proving.boxes import EQUAL, TERMS, VOID, Box, Question, deviation, difference, float_of
from mlnn.proving.graph import Graph
from mlnn.proving.paving import Tile
from mlnn.proving.rules import OutsideError, VagueError

MOST_PIECES = 400
"""Boxes that the largest difference is looked for in."""
CLOSE = 1e-9
"""Relative distance of its two bounds at which the search ends."""
EXTRA_BITS = 64


@dataclass(frozen=True)
class Largest:
    """The supremum of a difference lies between `low` and `high`; near `place` it is at least `low`."""

    low: float
    high: float
    place: float


@dataclass(order=True)
class _Piece:
    """A box, by what the difference is at most there."""

    minus_high: float
    number: int
    low: float
    place: float
    box: Box
    states: dict[int, int]
    done: bool


def largest(graph: Graph, question: Question, tiles: Sequence[Tile]) -> Largest:
    """Over the tiles on which the question is neither EQUAL nor VOID."""
    pieces = [
        _piece(graph, question, tile, number) for number, tile in enumerate(tiles) if tile.answer not in (EQUAL, VOID)
    ]
    heapq.heapify(pieces)
    best = max(pieces, key=lambda piece: piece.low)
    for number in range(MOST_PIECES):
        top = pieces[0]
        if top.done or -top.minus_high <= best.low * (1 + CLOSE):
            break
        heapq.heappop(pieces)
        box = top.box
        for at, half in enumerate((Box(box.low, box.middle), Box(box.middle, box.high))):
            piece = _sized(graph, question, half, top.states, len(tiles) + 2 * number + at)
            heapq.heappush(pieces, piece)
            best = max(best, piece, key=lambda one: one.low)
    return Largest(_down(best.low), _up(max(best.low, -pieces[0].minus_high)), best.place)


def _piece(graph: Graph, question: Question, tile: Tile, number: int) -> _Piece:
    box = Box(tile.low, tile.high)
    if not tile.place:
        return _sized(graph, question, box, dict(tile.states), number)
    place = float_of(tile.low)
    if tile.size is None:
        return _Piece(-math.inf, number, 0.0, place, box, {}, True)
    low, high = float(tile.size.abs_lower()), float(tile.size.abs_upper())
    return _Piece(-high, number, low, place, box, {}, True)


def _sized(graph: Graph, question: Question, box: Box, states: dict[int, int], number: int) -> _Piece:
    """What the difference is at least, somewhere on a box, and at most; where it is monotone, at the ends."""
    middle = float_of(box.middle)
    try:
        with digits(box.bits + EXTRA_BITS, TERMS + 2):
            wide = Evaluation(graph, ball(box.low, box.high), states, TERMS + 2)
            series = difference(wide, question)
            if isinstance(series, str):  # one side has no value
                return _Piece(-math.inf, number, math.inf, middle, box, states, True)
            at = Evaluation(graph, arb(box.middle), wide.decided, TERMS + 2)
            centre = difference(at, question)
            assert not isinstance(centre, str)
            radius = arb(box.width / 2)
            slope = deviation(centre.derivative(), series.derivative(), radius)
            if abs(centre[1]) > slope:
                return _at_ends(graph, question, box, dict(wide.decided), number)
            value = abs(centre[0])
            high = float((value + deviation(centre, series, radius)).abs_upper())
            return _Piece(-high, number, float(value.abs_lower()), middle, box, dict(wide.decided), False)
    except (UnsureError, VagueError, OutsideError):
        return _Piece(-math.inf, number, 0.0, middle, box, states, True)


def _at_ends(graph: Graph, question: Question, box: Box, states: dict[int, int], number: int) -> _Piece:
    ends: list[tuple[float, float, fmpq]] = []
    for end in (box.low, box.high):
        found = difference(Evaluation(graph, arb(end), states, 2), question)
        assert not isinstance(found, str)
        size = abs(found[0])
        ends.append((float(size.abs_lower()), float(size.abs_upper()), end))
    low, high, end = max(ends)
    return _Piece(-max(high, *(one for _, one, _ in ends)), number, low, float_of(end), box, states, True)


def _down(value: float) -> float:
    return value if math.isinf(value) else math.nextafter(value, 0.0)


def _up(value: float) -> float:
    return math.nextafter(value, math.inf)
