"""The rectangle of raw outputs and labels paved with boxes of both, until differences of two losses are small on all of it.

On a box a difference D is held along each of its two variables by a series of that variable alone, the other one a ball. In the
label it is interpolated at m Chebyshev nodes y_j: |D(z, y)| ≤ Λ·max_j |D(z, y_j)| + 2·(r_y/2)^m·|D's m-th coefficient in y|, with
Λ ≤ (2/π)·log m + 1 (T. Rivlin, 1974, theorem 1.2); at each node |D| ≤ Σ_{k<n} |c_k| r_z^k + |D's n-th coefficient in z|·r_z^n,
where equal functions have coefficients c_k of 0 to all digits. So neither bound needs the two losses to look alike.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flint import arb, arb_series, ctx, fmpq

from mlnn.proving.balls import Evaluation, UnsureError, ball, digits, sign
from mlnn.proving.boxes import BITS, MOST_BITS, ORDERS, PER_UNIT, TERMS, Box, float_of
from mlnn.proving.graph import AT, Graph, Id
from mlnn.proving.paving import WORK, finest
from mlnn.proving.rules import OutsideError, Series, VagueError
from mlnn.proving.structure import OUTPUT, TARGET

COUNTS = (1, 2, 4, 8, 12, 16, TERMS)
"""Of nodes of which the least is taken that will do."""
NARROWEST = fmpq(1, 2**200)
"""Of labels: a logarithm of one has a scale of its own at each."""
GLANCES = 8
"""Parts that each side of the rectangle is cut into, for switches that have two states on it."""
LOST = 1e3
"""What is left to do, in powers of e, where a series has no bound."""
AXES = Z, Y = "raw output", "label"


@dataclass(frozen=True)
class Patch:
    """The raw outputs from `low` to `high` and the labels from `start` to `end`, exact."""

    low: fmpq
    high: fmpq
    start: fmpq
    end: fmpq

    @property
    def middle(self) -> tuple[fmpq, fmpq]:
        return (self.low + self.high) / 2, (self.start + self.end) / 2

    @property
    def radii(self) -> tuple[fmpq, fmpq]:
        return (self.high - self.low) / 2, (self.end - self.start) / 2

    @property
    def bits(self) -> int:
        return BITS + int(PER_UNIT * max(abs(float_of(self.low)), abs(float_of(self.high))))

    def halves(self, axis: str) -> "tuple[Patch, Patch]":
        z, y = self.middle
        if axis == Z:
            return Patch(self.low, z, self.start, self.end), Patch(z, self.high, self.start, self.end)
        return Patch(self.low, self.high, self.start, y), Patch(self.low, self.high, y, self.end)

    @property
    def finest(self) -> bool:
        """Whether it is too narrow to be halved."""
        z, y = self.radii
        return bool(z < finest(Box(self.low, self.high)) or y < NARROWEST)


@dataclass
class Plane:
    """`boxes`: by name, those on which a difference is at most the tolerance. `left`: the names that are not decided on all of the
    rectangle. `place`: (raw output, label) at which a difference is certainly above it; with one, nothing else is said."""

    boxes: dict[str, list[Patch]]
    left: set[str] = field(default_factory=set)
    place: tuple[fmpq, fmpq] | None = None
    looks: int = 0


def paved_plane(
    graph: Graph, asked: Mapping[str, Id], domain: tuple[fmpq, fmpq], tolerance: fmpq, budget: int
) -> Plane:
    """Whether each of some nodes is 0 on a whole rectangle, the largest box first, within a budget of boxes and of work on them."""
    found, whole = Plane({name: [] for name in asked}), Patch(*domain, fmpq(0), fmpq(1))
    looker = _Looker(graph, asked, tolerance)
    todo: list[tuple[float, int, Patch, tuple[str, ...]]] = [(-1.0, 0, whole, tuple(asked))]
    while todo:
        size, _, patch, names = heapq.heappop(todo)
        if patch.finest or looker.looks >= budget or looker.work >= WORK * budget:
            found.left = {name for *_, some in [*todo, (0, 0, patch, names)] for name in some}
            break
        seen = looker.look(patch, names)
        if seen.place is not None:
            found.place = seen.place
            break
        for name in set(names) - set(seen.left):
            found.boxes[name].append(patch)
        for part in patch.halves(seen.axis) if seen.left else ():
            heapq.heappush(todo, (size / 2, len(todo) + 2 * looker.looks, part, seen.left))
    found.looks = looker.looks
    return found


def is_crossed(graph: Graph, roots: Sequence[Id], domain: tuple[fmpq, fmpq]) -> bool:
    """Whether some switch has two states on the rectangle for certain: no box on what parts them can be decided."""
    looks = {graph.nodes[one].args[0] for one in graph.needed(roots) if graph.nodes[one].op == "switch"}
    if not looks:
        return False
    seen: dict[Id, set[int]] = {one: set() for one in looks}
    low, high = domain
    with digits(2 * Patch(low, high, fmpq(0), fmpq(1)).bits, 1):
        for row in range(1, GLANCES):
            for column in range(1, GLANCES):
                z, y = arb(low + (high - low) * row / GLANCES), arb(fmpq(column, GLANCES))
                here = At(graph, _constant(z), _constant(y), 1)
                for one in looks:
                    try:
                        state = sign(here[one][0])
                    except (UnsureError, VagueError, OutsideError):
                        continue
                    seen[one] |= set() if state is None else {state}
    return any(len(states) > 1 or AT in states for states in seen.values())


def _constant(value: arb) -> Series:
    return arb_series([value], ctx.cap)


def _moving(value: arb) -> Series:
    return arb_series([value, 1], ctx.cap)


class At(Evaluation):
    """A graph of a raw output and a label, both series of one variable."""

    def __init__(self, graph: Graph, z: Series, y: Series, terms: int) -> None:
        super().__init__(graph, arb(0), {}, terms)
        self.places = {OUTPUT: z, TARGET: y}

    def _make(self, one: Id) -> Series:
        node = self.graph.nodes[one]
        if node.name is not None:
            self.cost += 1
            return self.places[node.name]
        return super()._make(one)


@dataclass(frozen=True)
class _Seen:
    left: tuple[str, ...]
    axis: str = Z
    place: tuple[fmpq, fmpq] | None = None


@dataclass(frozen=True)
class _Rest:
    """What the two series leave over: `order` terms along the raw output, `count` nodes of the label."""

    order: int
    count: int
    z: arb
    y: arb

    @property
    def total(self) -> arb:
        return lebesgue(self.count) * self.z + self.y


def lebesgue(count: int) -> arb:
    """A bound of max_s Σ_j |ℓ_j(s)| for interpolation at so many Chebyshev nodes."""
    return 2 / arb.pi() * arb(count).log() + 1


class _FewDigitsError(Exception):
    """A box at more digits may be decided."""


class _Looker:
    """`looks`: how many boxes were looked at; `work`: see `Evaluation.cost`, times the digits."""

    def __init__(self, graph: Graph, asked: Mapping[str, Id], tolerance: fmpq) -> None:
        self.graph, self.asked, self.tolerance = graph, asked, arb(tolerance)
        self.looks, self.work = 0, 0.0
        self._kept: dict[tuple[Patch, int], dict[str, _Rest] | None] = {}

    def look(self, patch: Patch, names: Sequence[str]) -> _Seen:
        """What is left of some names, by which variable the box is to be halved for them, and a place of a difference."""
        self.looks += 1
        bits = patch.bits
        while bits <= MOST_BITS:
            with digits(bits, TERMS + 1):
                try:
                    left = self._left(patch, names)
                except _FewDigitsError:
                    bits *= 2
                    continue
                if left and self._differs(patch, left):
                    return _Seen(left, place=patch.middle)
                return _Seen(left, self._axis(patch, left) if left else Z)
        return _Seen(tuple(names), Z)

    def _at(self, z: Series, y: Series, terms: int, names: Sequence[str]) -> dict[str, Series]:
        here = At(self.graph, z, y, terms)
        try:
            return {name: here[self.asked[name]] for name in names}
        finally:
            self.work += here.cost * ctx.prec / BITS * (terms + 2) / (TERMS + 2)

    def _rests(self, patch: Patch, names: Sequence[str]) -> "dict[str, _Rest] | None":
        """What the series leave over on a box; None where it is too wide for some operation. Asked of halves before they are
        looked at, so kept."""
        if (patch, ctx.prec) not in self._kept:
            z, y = ball(patch.low, patch.high), ball(patch.start, patch.end)
            radii = arb(patch.radii[0]), arb(patch.radii[1])
            try:
                rises = self._at(_moving(z), _constant(y), TERMS + 1, names)
                falls = self._at(_constant(z), _moving(y), TERMS + 1, names)
                self._kept[patch, ctx.prec] = {name: self._rest(rises[name], falls[name], radii) for name in names}
            except (UnsureError, VagueError, OutsideError):
                self._kept[patch, ctx.prec] = None
        return self._kept[patch, ctx.prec]

    def _left(self, patch: Patch, names: Sequence[str]) -> tuple[str, ...]:
        """The names of differences that may be large on a box."""
        rests = self._rests(patch, names)
        self._kept.pop((patch, ctx.prec))
        if rests is None:
            return tuple(names)
        near = [name for name in names if rests[name].total <= self.tolerance]
        left = [name for name in names if name not in near]
        centre, radius = _moving(arb(patch.middle[0])), arb(patch.radii[0])
        for count in {rests[name].count for name in near}:
            mine = [name for name in near if rests[name].count == count]
            terms = max(rests[name].order for name in mine)
            nodes = [self._at(centre, at, terms, mine) for at in _nodes(patch, count)]
            left += [name for name in mine if not self._holds([one[name] for one in nodes], rests[name], radius)]
        return tuple(name for name in names if name in left)

    def _axis(self, patch: Patch, names: Sequence[str]) -> str:
        """The variable by which halving leaves least to do."""
        scores = {axis: sum(self._score(half, names) for half in patch.halves(axis)) for axis in AXES}
        wider = Z if patch.radii[0] >= patch.radii[1] else Y
        axis = wider if scores[Z] == scores[Y] else min(AXES, key=lambda one: scores[one])
        for half in patch.halves(Y if axis == Z else Z):
            self._kept.pop((half, ctx.prec), None)
        return axis

    def _score(self, patch: Patch, names: Sequence[str]) -> float:
        """By how many powers of e a box leaves too much."""
        rests = self._rests(patch, names)
        if rests is None:
            return LOST
        shares = (
            float(((rests[name].total / self.tolerance).log()).abs_upper())
            if not rests[name].total <= self.tolerance
            else 0.0
            for name in names
        )
        return min(sum(shares), LOST)

    def _rest(self, rise: Series, fall: Series, radii: tuple[arb, arb]) -> _Rest:
        """The fewest terms and nodes that leave next to nothing over, else those that leave least."""
        along = [((abs(rise[order]) * radii[0] ** order).abs_upper(), order) for order in ORDERS]
        across = [((2 * (radii[1] / 2) ** count * abs(fall[count])).abs_upper(), count) for count in COUNTS]
        z, order = next((one for one in along if one[0] * 16 <= self.tolerance), min(along, key=_first))
        y, count = next((one for one in across if one[0] * 4 <= self.tolerance), min(across, key=_first))
        return _Rest(order, count, z, y)

    def _holds(self, nodes: Sequence[Series], rest: _Rest, radius: arb) -> bool:
        """Whether a difference is small on all of a box."""
        sizes = [sum((abs(one[order]) * radius**order for order in range(rest.order)), arb(0)) for one in nodes]
        if lebesgue(rest.count) * (max(sizes, key=_upper).upper() + rest.z) + rest.y <= self.tolerance:
            return True
        if max(float(one[0].rad()) for one in nodes) * 16 > float(self.tolerance):
            raise _FewDigitsError
        return False

    def _differs(self, patch: Patch, names: Sequence[str]) -> bool:
        """Whether some difference in the middle of a box is certainly above the tolerance."""
        z, y = (_constant(arb(one)) for one in patch.middle)
        try:
            return any(bool(abs(one[0]) > self.tolerance) for one in self._at(z, y, 1, names).values())
        except (UnsureError, VagueError, OutsideError):
            return False


def _first(one: tuple[arb, int]) -> float:
    return float(one[0])


def _upper(one: arb) -> float:
    return float(one.abs_upper())


def _nodes(patch: Patch, count: int) -> list[Series]:
    """Balls of the Chebyshev nodes of a box's labels: as narrow as the digits allow, each with its node in it."""
    middle, radius = arb(patch.middle[1]), arb(patch.radii[1])
    return [_constant(middle + radius * (arb.pi() * (2 * place + 1) / (2 * count)).cos()) for place in range(count)]
