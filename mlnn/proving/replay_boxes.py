"""Whether a stored function of a raw output and a label is at most a tolerance on a box, by code of its own.

Nothing of the prover is imported. The bound is that of interpolation at m Chebyshev nodes of the label (T. Rivlin, 1974, theorem
1.2) and of a series in the raw output at each, both made by recurrences on single balls. Where a switch may be in several states
on a box, the function has to be small in each of them; of a gradient the state in which it looks at exactly 0 is left out if that
is so at one raw output of each label at most.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from flint import arb, ctx

from mlnn.proving.recurrences import OPERATIONS, Jet, WideError, number
from mlnn.proving.replay_work import jet_steps, spend

VALUE = "value"
ORDERS, COUNTS = (1, 2, 4, 8, 12, 16, 24), (1, 2, 4, 8, 12, 16, 24)
MOST_HALVINGS = 7
MOST_OPEN = 3
"""Switches that may be in several states on a box."""
BELOW, EXACT, ABOVE = -1, 0, 1
GROWING = frozenset({"exp", "sigmoid", "softplus", "erf", "erfc", "lgamma", "hyp0f1", "gammaincc"})
"""Operations that need more digits far out."""
Box = tuple[Fraction, Fraction, Fraction, Fraction]
"""From raw output, to raw output, from label, to label."""
States = Mapping[int, int]
"""By the place of the node that a switch looks at."""


class OpenError(Exception):
    """A switch may be in several states. `look`: the place of what it looks at."""

    def __init__(self, look: int) -> None:
        super().__init__(look)
        self.look = look


def cut_at(part: Box, axis: int, cut: Fraction) -> tuple[Box, Box]:
    """The two parts of a box; axis: 0 of raw outputs, 2 of labels."""
    low, high, start, end = part
    if axis < 2:
        return (low, cut, start, end), (cut, high, start, end)
    return (low, high, start, cut), (low, high, cut, end)


def is_small(part: Mapping[str, Any], asked: Mapping[str, Any], box: Box) -> bool:
    """Whether what is asked is at most the tolerance on a box, or on parts of it that it is halved to."""
    grown = any(node[0] in GROWING for node in part["nodes"])
    before = ctx.prec
    ctx.prec = 160 + int(3 * max(abs(box[0]), abs(box[1]))) * grown
    try:
        return _halved(_Asked(part, asked), box, MOST_HALVINGS)
    finally:
        ctx.prec = before


class _Asked:
    """A stored function. `own`: what its switches look at that have a case of their own for exactly 0."""

    def __init__(self, part: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        self.nodes, self.root, self.tolerance = part["nodes"], asked["node"], number(part["tolerance"])
        self.smooth = asked["name"] != VALUE
        self.own = _own_cases(self.nodes, self.root)


def _own_cases(nodes: Sequence[Any], root: int) -> set[int]:
    todo, seen, same = [root], set[int](), dict[int, set[int]]()
    while todo:
        place = todo.pop()
        if place in seen:
            continue
        seen.add(place)
        op, args, *_ = nodes[place]
        todo += args
        if op == "switch":
            alike = {branch for branch in (1, 3) if args[branch] == args[2]}
            same[args[0]] = same.get(args[0], alike) & alike
    return {look for look, alike in same.items() if not alike}


def _halved(asked: _Asked, box: Box, left: int) -> bool:
    axis = 0 if box[1] - box[0] > box[3] - box[2] else 2
    try:
        if _is_large(asked, box):
            return False
        fits, axis = _fits(asked, box, {})
        if fits:
            return True
    except WideError:
        pass
    middle = (box[axis] + box[axis + 1]) / 2
    return left > 0 and all(_halved(asked, half, left - 1) for half in cut_at(box, axis, middle))


def _is_large(asked: _Asked, box: Box) -> bool:
    """Whether it is above the tolerance in the middle of a box already."""
    try:
        found = Coefficients(asked.nodes, [_middle(box, 0), arb(1)], [_nodes(box, 1)[0]], 2, {})
        return bool(abs(found(asked.root)[0]).lower() > asked.tolerance) and not found.at_kink
    except OpenError:
        return False


def _fits(asked: _Asked, box: Box, states: States) -> tuple[bool, int]:
    """Whether it is small in all states that switches may be in, and by which axis to halve the box if not."""
    try:
        return _bounded(asked, box, states)
    except OpenError as met:
        if len(states) >= MOST_OPEN:
            raise WideError from None
        axis = 0
        for state in _needed(asked, box, states, met.look):
            fits, axis = _fits(asked, box, {**states, met.look: state})
            if not fits:
                return False, axis
        return True, axis


def _needed(asked: _Asked, box: Box, states: States, look: int) -> Iterator[int]:
    """The states of a switch that have to be looked at."""
    yield from (BELOW, ABOVE)
    if look not in asked.own:
        return
    z, y = _whole(box)
    slope = Coefficients(asked.nodes, [z, arb(1)], [y], 2, states)(look)[1]
    if not (asked.smooth and (slope > 0 or slope < 0)):
        yield EXACT


def _bounded(asked: _Asked, box: Box, states: States) -> tuple[bool, int]:
    along, across = _rests(asked, box, states)
    z, order = next((one for one in along if one[0] * 16 <= asked.tolerance), min(along, key=_first))
    y, count = next((one for one in across if one[0] * 4 <= asked.tolerance), min(across, key=_first))
    rest, axis = _factor(count) * z + y, 0 if _factor(count) * z >= y else 2
    if not rest <= asked.tolerance:
        return False, axis
    most = max((_size(asked, box, at, order, states) for at in _nodes(box, count)), key=float)
    return bool(_factor(count) * most + rest <= asked.tolerance), axis


def _first(one: tuple[arb, int]) -> float:
    return float(one[0])


def _factor(count: int) -> arb:
    """Of how much larger an interpolation is than what it goes through."""
    return arb(count).log() * 2 / arb.pi() + 1


def _whole(box: Box) -> tuple[arb, arb]:
    low, high, start, end = (number(str(one)) for one in box)
    return low.union(high), start.union(end)


def _middle(box: Box, axis: int) -> arb:
    return number(str((box[axis] + box[axis + 1]) / 2))


def _radius(box: Box, axis: int) -> arb:
    return number(str((box[axis + 1] - box[axis]) / 2))


def _rests(asked: _Asked, box: Box, states: States) -> tuple[list[tuple[arb, int]], list[tuple[arb, int]]]:
    """(bound, coefficients) along the raw output and (bound, nodes) along the label."""
    z, y = _whole(box)
    wide, tall = _radius(box, 0), _radius(box, 2)
    rise = Coefficients(asked.nodes, [z, arb(1)], [y], max(ORDERS) + 1, states)(asked.root)
    fall = Coefficients(asked.nodes, [z], [y, arb(1)], max(COUNTS) + 1, states)(asked.root)
    along = [((abs(rise[order]) * wide**order).upper(), order) for order in ORDERS]
    across = [((abs(fall[count]) * 2 * (tall / 2) ** count).upper(), count) for count in COUNTS]
    if not all(one.is_finite() for one, _ in (*along, *across)):
        raise WideError
    return along, across


def _nodes(box: Box, count: int) -> list[arb]:
    middle, radius = _middle(box, 2), _radius(box, 2)
    return [middle + radius * (arb.pi() * (2 * place + 1) / (2 * count)).cos() for place in range(count)]


def _size(asked: _Asked, box: Box, y: arb, order: int, states: States) -> arb:
    """At a label the most that the first coefficients in the raw output allow."""
    radius = _radius(box, 0)
    found = Coefficients(asked.nodes, [_middle(box, 0), arb(1)], [y], order + 1, states)(asked.root)
    total = sum((abs(one) * radius**place for place, one in enumerate(found[:order])), arb(0))
    if not total.is_finite():
        raise WideError
    return total.upper()


class Coefficients:
    """The Taylor coefficients of nodes of a raw output and a label, one of which moves, in some states of switches. `at_kink`:
    whether one was met that looks at exactly 0. Raises OpenError, or WideError."""

    def __init__(self, nodes: Sequence[Any], z: Jet, y: Jet, terms: int, states: States) -> None:
        terms = max(terms, 2)
        self.nodes, self.terms, self.states, self.at_kink = nodes, terms, states, False
        self.places = {"z0": z + [arb(0)] * (terms - len(z)), "y0": y + [arb(0)] * (terms - len(y))}
        self.known: dict[int, Jet] = {}

    def __call__(self, place: int) -> Jet:
        if place not in self.known:
            op, args, numbers, name = self.nodes[place]
            spend(jet_steps(op, args, numbers), ctx.prec)
            self.known[place] = self._made(op, args, numbers, name)
        return self.known[place]

    def _made(self, op: str, args: Sequence[int], numbers: list[str], name: str | None) -> Jet:
        if op == "var" and name in self.places:
            return self.places[name]
        if op == "switch":
            return self(args[2 + self._state(args[0])])
        if op == "lin" and not args:
            return [number(numbers[0])] + [arb(0)] * (self.terms - 1)
        if op not in OPERATIONS:
            raise WideError
        return OPERATIONS[op]([self(one) for one in args], numbers)

    def _state(self, look: int) -> int:
        if look in self.states:
            return self.states[look]
        value = self(look)[0]
        if value > 0 or value < 0:
            return ABOVE if value > 0 else BELOW
        if value.is_zero():
            self.at_kink = True
            return EXACT
        raise OpenError(look)
