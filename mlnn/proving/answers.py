"""What the tiles of one question say: the intervals on which it holds, on which it does not, and where nothing is certain."""

from collections.abc import Sequence
from dataclasses import dataclass

from flint import fmpq

from mlnn.proving.boxes import DIFFERS, EQUAL, OPEN, VALUE, VOID, Box, Question, float_of
from mlnn.proving.extent import largest
from mlnn.proving.graph import Graph
from mlnn.proving.paving import Tile, finest
from mlnn.proving.places import POINT

Interval = tuple[float, float]
NARROW = 64
"""Finest boxes side by side that are still the boundary of what lies beside them, and no interval of their own."""


@dataclass(frozen=True)
class Part:
    """One question at one target.

    `question`: "value", "gradient", "left's gradient" or "right's gradient" (whether it is the slope of that side's own value).
    `target`: in words. `equal`, `differs`, `undecided`, `void` (no value on either side): intervals of `variable`. `points`:
    (place, size) where it fails at a single place only. `size`: bounds of the largest difference
    on `differs`, of single places nothing, and `place` where it is.
    `boxes`: how many it took.
    """

    question: str
    target: str
    answer: str
    variable: str = "raw output"
    equal: tuple[Interval, ...] = ()
    differs: tuple[Interval, ...] = ()
    undecided: tuple[Interval, ...] = ()
    void: tuple[Interval, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    size: Interval | None = None
    place: float | None = None
    boxes: int = 0


@dataclass
class _Run:
    low: fmpq
    high: fmpq
    answer: str
    size: float = 0.0
    places: bool = False


def part_of(graph: Graph, question: Question, tiles: Sequence[Tile], target: str, variable: str) -> Part:
    """The part of an answer that tiles, in order, give; the largest difference is looked for where there is one."""
    runs = _joined(_settled(_joined([_run(tile) for tile in tiles]), question.name == VALUE))
    by = {
        answer: tuple((float_of(run.low), float_of(run.high)) for run in runs if run.answer == answer)
        for answer in ANSWERS
    }
    alone = {run.low: run.size for run in runs if run.answer == POINT}
    points = tuple((float_of(place), size) for place, size in alone.items())
    answer = "differs" if by[DIFFERS] else "undecided" if by[OPEN] else "proved"
    wide = [tile for tile in tiles if not (tile.place and tile.low in alone)]
    size = largest(graph, question, _large(wide)) if by[DIFFERS] else None
    return Part(
        question.name, target, answer, variable, by[EQUAL], by[DIFFERS], by[OPEN], by[VOID], points,
        None if size is None else (size.low, size.high), None if size is None else size.place, len(tiles),
    )  # fmt: skip


ROUNDED = 1e-12
"""What floats may be off, relative to their size, before a box is left out."""


def _large(tiles: Sequence[Tile]) -> list[Tile]:
    """Those on which the difference may be largest, as far as is known: most of a proof's boxes need no second look."""
    least = max((tile.sizes[0] for tile in tiles if tile.sizes and tile.answer != EQUAL), default=0.0)
    return [tile for tile in tiles if tile.sizes is None or tile.sizes[1] >= least * (1 - ROUNDED)]


ANSWERS = (EQUAL, DIFFERS, OPEN, VOID)


def _run(tile: Tile) -> _Run:
    return _Run(tile.low, tile.high, tile.answer, 0.0 if tile.size is None else float(tile.size.mid()), tile.place)


def _joined(runs: list[_Run]) -> list[_Run]:
    """Neighbours of one answer as one run; points stay what they are."""
    found: list[_Run] = []
    for run in runs:
        if found and found[-1].answer == run.answer != POINT:
            found[-1].high = max(found[-1].high, run.high)
            found[-1].size = max(found[-1].size, run.size)
        else:
            found.append(run)
    return found


def _settled(runs: list[_Run], decides: bool) -> list[_Run]:
    """A narrow run of which nothing is certain is the boundary of a difference beside it; a point beside one belongs to it, and
    one that `decides` is a difference itself."""
    for place, run in enumerate(runs):
        near = [runs[other] for other in (place - 1, place + 1) if 0 <= other < len(runs)]
        beside = {
            one.answer for one in near if one.answer != VOID or one.low < one.high
        }  # one place is no end of values
        narrow = run.high - run.low <= NARROW * finest(Box(run.low, run.high))
        if (run.answer in (OPEN, POINT) and narrow and DIFFERS in beside) or (run.answer == POINT and decides):
            run.answer = DIFFERS
        elif run.answer == OPEN and narrow and VOID in beside:  # the end of where there are values
            run.answer = VOID
    return runs
