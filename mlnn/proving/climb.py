"""From a place at which two losses differ to one at which they differ the most nearby, which tells more."""

from flint import arb, fmpq

from mlnn.proving.balls import UnsureError, digits
from mlnn.proving.boxes import BITS, PER_UNIT, float_of
from mlnn.proving.graph import Graph, Id
from mlnn.proving.patch import At, Patch, Place, constant
from mlnn.proving.rules import OutsideError, VagueError

STEPS = 60


def highest(graph: Graph, node: Id, patch: Patch, ends: tuple[fmpq, fmpq], close: arb) -> Place | None:
    """A place at which a difference is no smaller than where a box is asked for it: uphill from there, one step along either axis
    at a time, twice as long after each that leads up, half as long after none does. None where it is within `close` there."""
    place, steps = patch.probe, (patch.high - patch.low, patch.end - patch.start)
    best = _size(graph, node, place)
    if not best > close:
        return None
    for _ in range(STEPS):
        beside = [one for one in _beside(place, steps) if ends[0] <= one[0] <= ends[1] and 0 < one[1] < 1]
        sizes = [_size(graph, node, one) for one in beside]
        if sizes and max(sizes) > best:
            best, place = max(sizes), beside[sizes.index(max(sizes))]
            steps = steps[0] * 2, steps[1] * 2
        else:
            steps = steps[0] / 2, steps[1] / 2
    return place


def _beside(place: Place, steps: tuple[fmpq, fmpq]) -> list[Place]:
    z, y = place
    return [(z - steps[0], y), (z + steps[0], y), (z, y - steps[1]), (z, y + steps[1])]


def _size(graph: Graph, node: Id, place: Place) -> float:
    """How large a difference is at least at a place; below 0 where that is not certain."""
    with digits(2 * BITS + int(PER_UNIT * abs(float_of(place[0]))), 1):
        try:
            at = At(graph, constant(arb(place[0])), constant(arb(place[1])), 1)
            return float(at[node][0].abs_lower())
        except (UnsureError, VagueError, OutsideError):
            return -1.0
