"""What is certain of differences of two losses on one box of raw outputs and labels, kinks that go through it included.

On a box a difference D is held along each of its two variables by a series of that variable alone, the other one a ball. In the
label it is interpolated at m Chebyshev nodes y_j: |D(z, y)| ≤ Λ·max_j |D(z, y_j)| + 2·(r_y/2)^m·|D's m-th coefficient in y|, with
Λ ≤ (2/π)·log m + 1 (T. Rivlin, 1974, theorem 1.2); at each node |D| ≤ Σ_{k<n} |c_k| r_z^k + |D's n-th coefficient in z|·r_z^n,
where equal functions have coefficients c_k of 0 to all digits. So neither bound needs the two losses to look alike.

Where a switch may be in several states on a box, the difference is asked in each of them, as if it were in that one on all of the
box: what is small in each is small. |u| and relu(u) + relu(−u) have the same function on either side of the curve of their kink.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flint import arb, ctx, fmpq

from mlnn.proving.balls import States, UnsureError, ball, digits
from mlnn.proving.boxes import BITS, MOST_BITS, ORDERS, PER_UNIT, TERMS, VALUE
from mlnn.proving.graph import ABOVE, AT, BELOW, Graph, Id
from mlnn.proving.patch import AXES, At, Patch, Place, Y, Z, chebyshev, constant, lebesgue, moving
from mlnn.proving.rules import OutsideError, Series, VagueError

COUNTS = (1, 2, 4, 8, 12, 16, TERMS)
"""Of nodes of which the least is taken that will do."""
GROWING = frozenset({"exp", "sigmoid", "softplus", "erf", "erfc", "lgamma", "hyp0f1", "gammaincc"})
"""Operations that are next to 0, or to 1, far out."""
LOST = 1e3
"""What is left to do, in powers of e, where a series has no bound."""
MOST_BRANCHES = 12
"""States that switches are in together on one box; where there are more, it is halved."""


@dataclass(frozen=True)
class Seen:
    """`left`: the names that are not decided on a box; `axis`: the variable to halve it by. `place`: where one of them is certainly
    above the tolerance."""

    left: tuple[str, ...]
    axis: str = Z
    place: Place | None = None


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


@dataclass(frozen=True)
class _Branch:
    """States that switches are in, and what the series of each difference leave over in them."""

    states: States
    rests: Mapping[str, _Rest]


class _FewDigitsError(Exception):
    """A box at more digits may be decided."""


class PatchLooker:
    """Looks at boxes for some differences, by name. `looks`: how many; `work`: see `Evaluation.cost`, times the digits. `kinked`:
    whether a gradient was left out where what a switch looks at is 0, which single raw outputs meet at each label."""

    def __init__(self, graph: Graph, asked: Mapping[str, Id], tolerance: fmpq) -> None:
        self.graph, self.asked, self.tolerance = graph, asked, arb(tolerance)
        self.looks, self.work, self.kinked = 0, 0.0, False
        self._grown = any(graph.nodes[one].op in GROWING for one in graph.needed(asked.values()))
        self._alone = {name: _with_own_state(graph, one) for name, one in asked.items()}
        self._kept: dict[tuple[Patch, int], tuple[_Branch, ...] | None] = {}

    def look(self, patch: Patch, names: Sequence[str]) -> Seen:
        """What is left of some names, by which variable the box is to be halved for them, and a place of a difference."""
        self.looks += 1
        bits = self._bits(patch)
        while bits <= MOST_BITS:
            with digits(bits, TERMS + 1):
                try:
                    left = self._left(patch, names)
                except _FewDigitsError:
                    bits *= 2
                    continue
                if left and self._differs(patch, left):
                    return Seen(left, place=patch.probe)
                return Seen(left, self._axis(patch, left) if left else Z)
        return Seen(tuple(names), Z)

    def score(self, patch: Patch, names: Sequence[str]) -> float:
        """By how many powers of e a box leaves too much."""
        with digits(self._bits(patch), TERMS + 1):
            return self._score(patch, names)

    def _bits(self, patch: Patch) -> int:
        """The precision that a box is first looked at with: more where e^−z vanishes beside 1."""
        return BITS + int(PER_UNIT * patch.far) * self._grown

    def _at(self, z: Series, y: Series, terms: int, states: States) -> At:
        return At(self.graph, z, y, terms, states)

    def _made(self, here: At, names: Sequence[str]) -> dict[str, Series]:
        try:
            return {name: here[self.asked[name]] for name in names}
        finally:
            self.work += here.cost * ctx.prec / BITS * (here.terms + 2) / (TERMS + 2)

    def _branches(self, patch: Patch, names: Sequence[str]) -> tuple[_Branch, ...] | None:
        """What the series leave over on a box, in each state of switches; None where it is too wide for some operation, or meets
        too many. Asked of halves before they are looked at, so kept."""
        key = patch, ctx.prec
        if key not in self._kept:
            found, todo = list[_Branch](), [(dict[Id, int](), tuple(names))]
            while todo and len(found) + len(todo) <= MOST_BRANCHES:
                states, mine = todo.pop()
                try:
                    found.append(self._branch(patch, mine, states))
                except UnsureError as unsure:
                    todo += self._parted(patch, unsure.looks_at, states, mine)
                except (VagueError, OutsideError):
                    break
            else:
                if not todo:
                    self._kept[key] = tuple(found)
            self._kept.setdefault(key, None)
        return self._kept[key]

    def _branch(self, patch: Patch, names: Sequence[str], states: States) -> _Branch:
        z, y = ball(patch.low, patch.high), ball(patch.start, patch.end)
        radii = arb(patch.radii[0]), arb(patch.radii[1])
        rising = self._at(moving(z), constant(y), TERMS + 1, states)
        rises = self._made(rising, names)
        falling = self._at(constant(z), moving(y), TERMS + 1, rising.decided)
        falls = self._made(falling, names)
        rests = {name: self._rest(rises[name], falls[name], radii) for name in names}
        return _Branch(falling.decided, rests)

    def _parted(
        self, patch: Patch, look: Id, states: Mapping[Id, int], names: tuple[str, ...]
    ) -> Iterator[tuple[dict[Id, int], tuple[str, ...]]]:
        """The states of a switch that have to be asked, each with the names that it has to be asked of. A gradient need not be
        right where what it looks at is 0, if that is at one raw output of each label at most."""
        for state in (BELOW, ABOVE):
            yield {**states, look: state}, names
        own = [name for name in names if look in self._alone[name]]
        at = self._at(moving(ball(patch.low, patch.high)), constant(ball(patch.start, patch.end)), 2, states)
        thin = not at[look][1].contains(0)
        self.kinked |= thin and any(name != VALUE for name in own)
        asked = tuple(name for name in own if name == VALUE or not thin)
        if asked:
            yield {**states, look: AT}, asked

    def _left(self, patch: Patch, names: Sequence[str]) -> tuple[str, ...]:
        """The names of differences that may be large on a box."""
        branches = self._branches(patch, names)
        self._kept.pop((patch, ctx.prec))
        if branches is None:
            return tuple(names)
        left = {name for one in branches for name, rest in one.rests.items() if not rest.total <= self.tolerance}
        for branch in branches:
            left |= self._large(patch, branch, [name for name in branch.rests if name not in left])
        return tuple(name for name in names if name in left)

    def _large(self, patch: Patch, branch: _Branch, near: Sequence[str]) -> set[str]:
        """Of differences whose series leave little over, those that may be large."""
        centre, radius, left = moving(arb(patch.middle[0])), arb(patch.radii[0]), set[str]()
        for count in {branch.rests[name].count for name in near}:
            mine = [name for name in near if branch.rests[name].count == count]
            terms = max(branch.rests[name].order for name in mine)
            try:
                nodes = [self._made(self._at(centre, at, terms, branch.states), mine) for at in chebyshev(patch, count)]
            except UnsureError:  # what is certain on all of a box is so at a node of it, digits allowing
                raise _FewDigitsError from None
            left |= {name for name in mine if not self._holds([one[name] for one in nodes], branch.rests[name], radius)}
        return left

    def _axis(self, patch: Patch, names: Sequence[str]) -> str:
        """The variable by which halving leaves least to do."""
        scores = {axis: sum(self._score(half, names) for half in patch.halves(axis)) for axis in AXES}
        wider = Z if patch.radii[0] >= patch.radii[1] else Y
        axis = wider if scores[Z] == scores[Y] else min(AXES, key=lambda one: scores[one])
        for half in patch.halves(Y if axis == Z else Z):
            self._kept.pop((half, ctx.prec), None)
        return axis

    def _score(self, patch: Patch, names: Sequence[str]) -> float:
        branches = self._branches(patch, names)
        if branches is None:
            return LOST
        shares = (
            float(((rest.total / self.tolerance).log()).abs_upper()) if not rest.total <= self.tolerance else 0.0
            for one in branches
            for rest in one.rests.values()
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
        """Whether some difference at a place of a box is certainly above the tolerance; of gradients beside kinks."""
        z, y = (constant(arb(one)) for one in patch.probe)
        here = self._at(z, y, 1, {})
        try:
            found = self._made(here, names)
        except (UnsureError, VagueError, OutsideError):
            return False
        on_kink = AT in here.decided.values()
        return any(bool(abs(one[0]) > self.tolerance) and (name == VALUE or not on_kink) for name, one in found.items())


def _with_own_state(graph: Graph, root: Id) -> set[Id]:
    """What switches look at whose case of exactly 0 is neither that of above it, for all of them, nor that of below."""
    found: dict[Id, set[int]] = {}
    for one in graph.needed([root]):
        node = graph.nodes[one]
        if node.op == "switch":
            look, below, at, above = node.args
            same = {state for state, branch in ((BELOW, below), (ABOVE, above)) if branch == at}
            found[look] = found.get(look, same) & same
    return {look for look, same in found.items() if not same}


def _first(one: tuple[arb, int]) -> float:
    return float(one[0])


def _upper(one: arb) -> float:
    return float(one.abs_upper())
