"""The rectangle of raw outputs and labels paved with boxes of both, until differences of two losses are small on all of it."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from flint import fmpq

from mlnn.proving.graph import Graph, Id
from mlnn.proving.patch import Patch, Place
from mlnn.proving.patches import PatchLooker
from mlnn.proving.paving import WORK

CHASED = 64
"""Boxes after which it is asked whether more of them can come to an end."""
DEEPEST = fmpq(1, 2**44)
"""Share of the rectangle at which a box that is undecided yet shows that they cannot: a curve of such takes endless ones."""
LEFT_OVER = 64
"""Boxes that are looked at beyond that, for a difference."""
_Task = tuple[float, int, Patch, tuple[str, ...]]


@dataclass
class Plane:
    """`boxes`: by name, those on which a difference is at most the tolerance. `left`: the names that are not decided on all of the
    rectangle. `place`: (raw output, label) at which a difference is certainly above it, with the `patch` that it is in; with one,
    nothing else is said. `kinked`: see `PatchLooker`."""

    boxes: dict[str, list[Patch]]
    left: set[str] = field(default_factory=set)
    place: Place | None = None
    patch: Patch | None = None
    looks: int = 0
    kinked: bool = False


def paved_plane(
    graph: Graph, asked: Mapping[str, Id], domain: tuple[fmpq, fmpq], tolerance: fmpq, budget: int
) -> Plane:
    """Whether each of some nodes is 0 on a whole rectangle, the largest box first, within a budget of boxes and of work on them."""
    found, whole = Plane({name: [] for name in asked}), Patch(*domain, fmpq(0), fmpq(1))
    looker = PatchLooker(graph, asked, tolerance)
    todo: list[_Task] = [(-1.0, 0, whole, tuple(asked))]
    most, chased = budget, False
    while todo and found.place is None:
        if looker.looks >= CHASED and not chased:
            chased = True
            if _is_endless(looker, found, todo[0], whole):
                most = min(budget, looker.looks + LEFT_OVER)
            continue
        size, _, patch, names = heapq.heappop(todo)
        if patch.finest or looker.looks >= most or looker.work >= WORK * budget:
            found.left = {name for *_, some in [*todo, (0, 0, patch, names)] for name in some}
            break
        left, parts = _looked(looker, found, patch, names)
        for name in set(names) - set(left):
            found.boxes[name].append(patch)
        for part in parts:
            heapq.heappush(todo, (size / 2, len(todo) + 2 * looker.looks, part, left))
    found.looks, found.kinked = looker.looks, looker.kinked
    return found


def _looked(
    looker: PatchLooker, found: Plane, patch: Patch, names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[Patch, ...]]:
    """What is left of some names on a box, and its halves for those; a place of a difference is noted."""
    seen = looker.look(patch, names)
    if seen.place is not None:
        found.place, found.patch = seen.place, patch
    return seen.left, patch.halves(seen.axis) if seen.left else ()


def _is_endless(looker: PatchLooker, found: Plane, task: _Task, whole: Patch) -> bool:
    """Whether the half of a box that leaves most to do, and the half of that, and so on, stay undecided."""
    _, _, patch, names = task
    while found.place is None:
        share = patch.radii[0] * patch.radii[1] / (whole.radii[0] * whole.radii[1])
        if patch.finest or share < DEEPEST:
            return True
        names, parts = _looked(looker, found, patch, names)
        if not names:
            return False
        patch = max(parts, key=lambda one: looker.score(one, names))
    return False
