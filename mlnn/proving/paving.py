"""An interval of raw outputs paved with boxes, halved until each question is decided on each, within a budget of boxes."""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flint import arb, fmpq

from mlnn.proving.boxes import OPEN, Box, Looker, Question, Split, float_of
from mlnn.proving.graph import Graph, Id
from mlnn.proving.places import asked_at

FINEST = fmpq(1, 2**44)
"""Width, relative to the raw output or 1, below which no box is halved: 13 digits of a place."""
WORK = 100
"""What a box of a budget may cost, in products of series at the least precision: a form of Bernoulli's likelihood takes 70 a box,
and 50 boxes of the 6000. So no budget is without end where a box takes thousands of digits or values of log Γ."""
SLOPES = 0.25
"""Of a budget that slopes of a side's own value may take, which change no answer."""


def finest(box: Box) -> fmpq:
    """The width below which a box is not halved."""
    return FINEST * max(1, math.ceil(abs(float_of(box.low))), math.ceil(abs(float_of(box.high))))


@dataclass(frozen=True)
class Tile:
    """A box, or a place (low = high, or 2^−100 apart), with what is certain of one question on it. `size`: of the difference at a
    place; `sizes`: what it is at least somewhere on a box, and at most."""

    low: fmpq
    high: fmpq
    answer: str
    states: tuple[tuple[Id, int], ...] = ()
    place: bool = False
    size: arb | None = None
    sizes: tuple[float, float] | None = None


@dataclass
class Paving:
    """Tiles by question, in order; `looks`: how many boxes were looked at."""

    tiles: dict[str, list[Tile]] = field(default_factory=dict)
    looks: int = 0


@dataclass(frozen=True)
class _Task:
    """A box, or a place, with what is to be asked of it."""

    box: Box
    asked: tuple[Question, ...]
    place: bool = False

    def __lt__(self, other: "_Task") -> bool:
        return bool((-self.box.width, self.box.low) < (-other.box.width, other.box.low))


def paved(
    graph: Graph, questions: Sequence[Question], domain: tuple[fmpq, fmpq], tolerance: fmpq, budget: int
) -> Paving:
    """Every question on the whole interval, the widest box first. What the budget of boxes, or of work on them, did not reach is
    OPEN."""
    looker = Looker(graph, tolerance)
    found = Paving({one.name: [] for one in questions})
    places: dict[fmpq, set[str]] = {}
    todo = [_Task(Box(*domain), tuple(questions))]
    while todo:
        task = heapq.heappop(todo)
        box, asked, place = task.box, task.asked, task.place
        if place:
            _ask_place(graph, found, box, asked, looker)
        elif _spent(looker, asked, budget):
            _note(found, box, {one.name: OPEN for one in asked}, {}, {})
        else:
            for one in _looked(looker, found, box, asked, places):
                heapq.heappush(todo, one)
    for end, names in places.items():
        _ask_place(graph, found, Box(end, end), [one for one in questions if one.name in names], looker)
    for tiles in found.tiles.values():
        tiles.sort(key=lambda tile: (tile.low, tile.high))
    found.looks = looker.looks
    return found


def _spent(looker: Looker, asked: Sequence[Question], budget: int) -> bool:
    """Whether a budget does not reach some questions any more."""
    most = budget * (SLOPES if all(one.slope for one in asked) else 1)
    return looker.looks >= most or looker.work >= WORK * most


def _looked(
    looker: Looker, found: Paving, box: Box, asked: tuple[Question, ...], places: dict[fmpq, set[str]]
) -> Iterator[_Task]:
    """Note what is certain on a box; give what is to be looked at yet."""
    seen = looker.look(box, asked)
    if isinstance(seen, Split):
        parts = [Box(box.low, seen.low), Box(seen.high, box.high)]
        yield from (_Task(part, asked) for part in parts if part.low < part.high)
        yield _Task(Box(seen.low, seen.high), asked, True)
        return
    answers, left = {}, asked
    if seen is not None:
        for end in seen.ends:
            places.setdefault(end, set()).update(one.name for one in asked)
        answers = {name: answer for name, answer in seen.answers.items() if answer != OPEN}
        left = tuple(one for one in asked if one.name not in answers)
    if left and box.width <= finest(box):
        answers, left = answers | {one.name: OPEN for one in left}, ()
    _note(found, box, answers, seen.states if seen else {}, seen.sizes if seen else {})
    if left:
        yield _Task(Box(box.low, box.middle), left)
        yield _Task(Box(box.middle, box.high), left)


def _note(
    found: Paving, box: Box, answers: dict[str, str], states: dict[Id, int], sizes: dict[str, tuple[float, float]]
) -> None:
    for name, answer in answers.items():
        found.tiles[name].append(Tile(box.low, box.high, answer, tuple(states.items()), sizes=sizes.get(name)))


def _ask_place(graph: Graph, found: Paving, box: Box, asked: Sequence[Question], looker: Looker) -> None:
    looker.looks += 1
    for name, (answer, size) in asked_at(graph, box, asked, looker.tolerance).items():
        if not any(tile.place and tile.low == box.low for tile in found.tiles[name]):
            found.tiles[name].append(Tile(box.low, box.high, answer, place=True, size=size))
