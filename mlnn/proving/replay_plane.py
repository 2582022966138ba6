"""Boxes of raw outputs and labels checked again, by code of its own: that they leave nothing of the rectangle out, that what they
are of is at most the tolerance on each, and that it is what the two sides are apart.

Nothing of the prover is imported. The bound is that of interpolation at m Chebyshev nodes of the label (T. Rivlin, 1974, theorem
1.2) and of a series in the raw output at each, both made by recurrences on single balls.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from flint import arb, ctx
from mpmath import mp

from mlnn.proving.recurrences import OPERATIONS, Jet, WideError, number
from mlnn.proving.replay_numbers import UNKNOWN, rational, values_of
from mlnn.proving.replay_work import spend
from mlnn.visible import shown

COVERS = "every target, on the rectangle"
EDGES = ["y = 0", "y = 1"]
NEEDED = ("value", "gradient")
PLACES = {"value": (1, 3), "gradient": (2, 4), "left's gradient": (2, 1), "right's gradient": (4, 3)}
"""By question, which two of a record of both sides it is the difference of; of a side's own gradient the second one's slope."""
ORDERS, COUNTS = (1, 2, 4, 8, 12, 16, 24), (1, 2, 4, 8, 12, 16, 24)
MOST_HALVINGS = 7
FORM_PLACES = 40
"""Places at which what is 0 by its form is asked."""
CLOSE = 1e-12
"""Share of the tolerance that what boxes are of may be from what the sides are apart."""
STEP, MORE_DIGITS = 25, 60
"""Of a central difference: 10^−25 apart, with so many digits more."""
Box = tuple[Fraction, Fraction, Fraction, Fraction]


def checked_rectangle(part: Mapping[str, Any]) -> Iterator[str | None]:
    """None of each box, or question by its form, that holds, words of what does not."""
    low, high = (Fraction(end) for end in part["domain"])
    whole = low, high, Fraction(0), Fraction(1)
    for one in part["asked"]:
        boxes = [_box(row) for row in one["boxes"]]
        gap = _uncovered(whole, boxes)
        if gap is not None:
            yield f"{shown(one['name'], 40)} at every target: nothing is said of {_told(gap)}"
        if one["by"] == "form":
            yield _by_form(part, one, whole)
            continue
        for box in boxes:
            fine = _is_small(part, one["node"], box)
            yield None if fine else f"{shown(one['name'], 40)} at every target on {_told(box)}: not equal"


def _box(row: Sequence[str]) -> Box:
    low, high, start, end = map(Fraction, row)
    return low, high, start, end


def _told(box: Box) -> str:
    low, high, start, end = map(float, box)
    return f"[{low:g}, {high:g}], y in [{start:g}, {end:g}]"


def _uncovered(whole: Box, boxes: Sequence[Box]) -> Box | None:
    """A part of the rectangle that is in no box: it is cut along their edges until each part is in one, or meets none."""
    todo = [(whole, [*boxes])]
    while todo:
        part, near = todo.pop()
        spend(1 + len(near))
        if any(_holds(one, part) for one in near):
            continue
        cuts = [(axis, cut) for one in near for axis, cut in enumerate(one) if _is_within(part, axis, cut)]
        if not cuts:
            return part
        axis, cut = min(cuts, key=lambda one: abs(_share(part, *one) - Fraction(1, 2)))
        for half in _cut(part, axis, cut):
            todo.append((half, [one for one in near if _meets(one, half)]))
    return None


def _holds(box: Box, part: Box) -> bool:
    return box[0] <= part[0] and part[1] <= box[1] and box[2] <= part[2] and part[3] <= box[3]


def _meets(box: Box, part: Box) -> bool:
    return box[0] < part[1] and part[0] < box[1] and box[2] < part[3] and part[2] < box[3]


def _is_within(part: Box, axis: int, cut: Fraction) -> bool:
    first = axis // 2 * 2
    return part[first] < cut < part[first + 1]


def _share(part: Box, axis: int, cut: Fraction) -> Fraction:
    first = axis // 2 * 2
    return (cut - part[first]) / (part[first + 1] - part[first])


def _cut(part: Box, axis: int, cut: Fraction) -> tuple[Box, Box]:
    low, high, start, end = part
    if axis < 2:
        return (low, cut, start, end), (cut, high, start, end)
    return (low, high, start, cut), (low, high, cut, end)


def _is_small(part: Mapping[str, Any], node: int, box: Box) -> bool:
    before = ctx.prec
    ctx.prec = 160 + int(3 * max(abs(box[0]), abs(box[1])))
    try:
        return _halved(part, node, box, MOST_HALVINGS)
    finally:
        ctx.prec = before


def _halved(part: Mapping[str, Any], node: int, box: Box, left: int) -> bool:
    """Whether a node is at most the tolerance on a box, or on the halves of it."""
    tolerance, axis = number(part["tolerance"]), 0 if box[1] - box[0] > box[3] - box[2] else 2
    try:
        if _size(part["nodes"], node, box, _nodes(box, 1)[0], 1, lower=True) > tolerance:
            return False  # in the middle of the box, already
        along, across = _rests(part["nodes"], node, box)
        z, order = next((one for one in along if one[0] * 16 <= tolerance), min(along, key=_first))
        y, count = next((one for one in across if one[0] * 4 <= tolerance), min(across, key=_first))
        rest = _factor(count) * z + y
        axis = 0 if _factor(count) * z >= y else 2
        if rest <= tolerance:
            most = max((_size(part["nodes"], node, box, at, order) for at in _nodes(box, count)), key=float)
            if _factor(count) * most + rest <= tolerance:
                return True
    except WideError:
        pass
    middle = (box[axis] + box[axis + 1]) / 2
    return left > 0 and all(_halved(part, node, half, left - 1) for half in _cut(box, axis, middle))


def _first(one: tuple[arb, int]) -> float:
    return float(one[0])


def _factor(count: int) -> arb:
    """Of how much larger an interpolation is than what it goes through."""
    return arb(count).log() * 2 / arb.pi() + 1


def _rests(nodes: Sequence[Any], node: int, box: Box) -> tuple[list[tuple[arb, int]], list[tuple[arb, int]]]:
    """(bound, coefficients) along the raw output and (bound, nodes) along the label."""
    low, high, start, end = (number(str(one)) for one in box)
    z, y, wide, tall = low.union(high), start.union(end), (high - low) / 2, (end - start) / 2
    rise = Coefficients(nodes, [z, arb(1)], [y], max(ORDERS) + 1)(node)
    fall = Coefficients(nodes, [z], [y, arb(1)], max(COUNTS) + 1)(node)
    along = [((abs(rise[order]) * wide**order).upper(), order) for order in ORDERS]
    across = [((abs(fall[count]) * 2 * (tall / 2) ** count).upper(), count) for count in COUNTS]
    if not all(one.is_finite() for one, _ in (*along, *across)):
        raise WideError
    return along, across


def _nodes(box: Box, count: int) -> list[arb]:
    middle, radius = number(str((box[2] + box[3]) / 2)), number(str((box[3] - box[2]) / 2))
    return [middle + radius * (arb.pi() * (2 * place + 1) / (2 * count)).cos() for place in range(count)]


def _size(nodes: Sequence[Any], node: int, box: Box, y: arb, order: int, lower: bool = False) -> arb:
    """Of a node at a label the most that its first coefficients in the raw output allow; or the least, of one coefficient."""
    middle, radius = number(str((box[0] + box[1]) / 2)), number(str((box[1] - box[0]) / 2))
    found = Coefficients(nodes, [middle, arb(1)], [y], order + 1)(node)
    total = sum((abs(one) * radius**place for place, one in enumerate(found[:order])), arb(0))
    if not total.is_finite():
        raise WideError
    return total.lower() if lower else total.upper()


class Coefficients:
    """The Taylor coefficients of nodes of a raw output and a label, one of which moves."""

    def __init__(self, nodes: Sequence[Any], z: Jet, y: Jet, terms: int) -> None:
        terms = max(terms, 2)
        self.nodes, self.terms = nodes, terms
        self.places = {"z0": z + [arb(0)] * (terms - len(z)), "y0": y + [arb(0)] * (terms - len(y))}
        self.known: dict[int, Jet] = {}

    def __call__(self, place: int) -> Jet:
        if place not in self.known:
            op, args, numbers, name = self.nodes[place]
            spend(SLOW if op in SLOWER else 1 + len(args) + len(numbers), ctx.prec)
            self.known[place] = self._made(op, args, numbers, name)
        return self.known[place]

    def _made(self, op: str, args: Sequence[int], numbers: list[str], name: str | None) -> Jet:
        if op == "var" and name in self.places:
            return self.places[name]
        if op == "switch":
            looked = self(args[0])[0]
            if not (looked > 0 or looked < 0):
                raise WideError
            return self(args[3] if looked > 0 else args[1])
        if op == "lin" and not args:
            return [number(numbers[0])] + [arb(0)] * (self.terms - 1)
        if op not in OPERATIONS:
            raise WideError
        return OPERATIONS[op]([self(one) for one in args], numbers)


SLOW, SLOWER = 200, frozenset({"lgamma", "polygamma", "hyp0f1", "gammaincc"})


def _by_form(part: Mapping[str, Any], one: Mapping[str, Any], whole: Box) -> str | None:
    draws = random.Random(5)
    with mp.workdps(40 + int(max(abs(whole[0]), abs(whole[1])))):
        for _ in range(FORM_PLACES):
            z, y = mp.mpf(draws.uniform(*map(float, whole[:2]))), mp.mpf(draws.random())
            try:
                (found,) = values_of(part["nodes"], [one["node"]], {"z0": z, "y0": y})
            except UNKNOWN:
                return f"{shown(one['name'], 40)} at every target: no value at {mp.nstr(z, 6)}, y = {mp.nstr(y, 6)}"
            if not abs(found) <= rational(part["tolerance"]):
                return f"{shown(one['name'], 40)} at every target: {mp.nstr(found, 4)} at {mp.nstr(z, 6)}, y = {mp.nstr(y, 6)}"
    return None


def rectangle_off(found: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> str | None:
    """How rectangle and edges are not those that are claimed. parts: of boxes of one variable."""
    wide = [part for part in found["paper"] if part.get("kind") == "rectangle"]
    if len(wide) != 1:
        return f"claimed: {COVERS}; {len(wide)} of those are recorded"
    names = [one["name"] for one in wide[0]["asked"]]
    if len(names) != len(set(names)) or not {*NEEDED} <= {*names} <= {*PLACES}:
        return f"claimed: {COVERS}; there are boxes of {', '.join(shown(name, 40) for name in names)}"
    if sorted(part["target"] for part in parts) != EDGES:
        return "claimed: every target; labels of 0 and 1 have no boxes, or twice"
    low, high = (Fraction(end) for end in wide[0]["domain"])
    if low > Fraction(found["domain"][0]) or high < Fraction(found["domain"][1]):
        return f"claimed: the domain {list(found['domain'])}; the rectangle is of another"
    if any(Fraction(part["tolerance"]) > Fraction(found["tolerance"]) for part in (*wide, *parts)):
        return f"claimed: to {found['tolerance']}; boxes are of a wider tolerance"
    return None


def tied_rectangle(part: Mapping[str, Any], sides: Mapping[str, Any]) -> Iterator[str | bool | None]:
    """Whether what boxes are of is what the two sides are apart, at a random place of every box."""
    draws = random.Random(6)
    for one in part["asked"]:
        seen, boxes = 0, one["boxes"] * (FORM_PLACES if one["by"] == "form" else 1)
        for row in boxes:
            low, high, start, end = map(float, _box(row))
            places = {"z0": mp.mpf(draws.uniform(low, high)), "y0": mp.mpf(draws.uniform(start, end))}
            try:
                (known,) = values_of(part["nodes"], [one["node"]], places)
                apart = _apart(sides, one["name"], places)
            except UNKNOWN:
                continue
            seen += 1
            if not abs(known - apart) <= CLOSE * rational(sides["tolerance"]):
                yield f"{one['name']} at every target on {_told(_box(row))}: not of the two sides"
                return
        yield None if 2 * seen >= len(boxes) else False


def _apart(sides: Mapping[str, Any], name: str, places: Mapping[str, Any]) -> Any:
    """What the two sides are apart, or a side's own gradient from the slope of its value."""
    pair = sides["pairs"][0]
    first, second = ((one if isinstance(one, int) else one[0]) for one in (pair[place] for place in PLACES[name]))
    if name in NEEDED:
        left, right = values_of(sides["nodes"], [first, second], places)
        return left - right
    with mp.workdps(mp.dps + MORE_DIGITS):
        step = mp.mpf(10) ** -STEP
        (own,) = values_of(sides["nodes"], [first], places)
        ends = [values_of(sides["nodes"], [second], {**places, "z0": places["z0"] + way * step})[0] for way in (1, -1)]
        return own - (ends[0] - ends[1]) / (2 * step)
