"""An interval of raw outputs paved with boxes, halved until each question is decided on each, within a budget of boxes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flint import arb, fmpq

from mlnn.proving.boxes import OPEN, Box, Looker, Question, Split, float_of
from mlnn.proving.graph import Graph, Id
from mlnn.proving.places import asked_at

FINEST = fmpq(1, 2**44)
"""Width, relative to the raw output or 1, below which no box is halved: 13 digits of a place."""


def finest(box: Box) -> fmpq:
    """The width below which a box is not halved."""
    return FINEST * max(1, math.ceil(abs(float_of(box.low))), math.ceil(abs(float_of(box.high))))


@dataclass(frozen=True)
class Tile:
    """A box, or a place (low = high, or 2^−100 apart), with what is certain of one question on it."""

    low: fmpq
    high: fmpq
    answer: str
    states: tuple[tuple[Id, int], ...] = ()
    place: bool = False
    size: arb | None = None


@dataclass
class Paving:
    """Tiles by question, in order; `looks`: how many boxes were looked at."""

    tiles: dict[str, list[Tile]] = field(default_factory=dict)
    looks: int = 0


def paved(
    graph: Graph, questions: Sequence[Question], domain: tuple[fmpq, fmpq], tolerance: fmpq, budget: int
) -> Paving:
    """Every question on the whole interval. What the budget of boxes did not reach is OPEN."""
    looker = Looker(graph, tolerance)
    found = Paving({one.name: [] for one in questions})
    places: dict[fmpq, set[str]] = {}
    todo: list[tuple[Box, tuple[Question, ...], bool]] = [(Box(*domain), tuple(questions), False)]
    while todo:
        box, asked, place = todo.pop()
        if place:
            _ask_place(graph, found, box, asked, looker)
        elif looker.looks >= budget:
            _note(found, box, {one.name: OPEN for one in asked}, {})
        else:
            todo += _looked(looker, found, box, asked, places)
    for end, names in places.items():
        _ask_place(graph, found, Box(end, end), [one for one in questions if one.name in names], looker)
    for tiles in found.tiles.values():
        tiles.sort(key=lambda tile: (tile.low, tile.high))
    found.looks = looker.looks
    return found


def _looked(
    looker: Looker, found: Paving, box: Box, asked: tuple[Question, ...], places: dict[fmpq, set[str]]
) -> Iterator[tuple[Box, tuple[Question, ...], bool]]:
    """Note what is certain on a box; give what is to be looked at yet."""
    seen = looker.look(box, asked)
    if isinstance(seen, Split):
        parts = [(Box(box.low, seen.low), asked, False), (Box(seen.high, box.high), asked, False)]
        yield from (part for part in parts if part[0].low < part[0].high)
        yield Box(seen.low, seen.high), asked, True
        return
    answers, left = {}, asked
    if seen is not None:
        for end in seen.ends:
            places.setdefault(end, set()).update(one.name for one in asked)
        answers = {name: answer for name, answer in seen.answers.items() if answer != OPEN}
        left = tuple(one for one in asked if one.name not in answers)
    if left and box.width <= finest(box):
        answers, left = answers | {one.name: OPEN for one in left}, ()
    _note(found, box, answers, seen.states if seen else {})
    if left:
        yield Box(box.middle, box.high), left, False
        yield Box(box.low, box.middle), left, False


def _note(found: Paving, box: Box, answers: dict[str, str], states: dict[Id, int]) -> None:
    for name, answer in answers.items():
        found.tiles[name].append(Tile(box.low, box.high, answer, tuple(states.items())))


def _ask_place(graph: Graph, found: Paving, box: Box, asked: Sequence[Question], looker: Looker) -> None:
    looker.looks += 1
    for name, (answer, size) in asked_at(graph, box, asked, looker.tolerance).items():
        if not any(tile.place and tile.low == box.low for tile in found.tiles[name]):
            found.tiles[name].append(Tile(box.low, box.high, answer, place=True, size=size))
