"""Boxes of raw outputs and labels checked again, by code of its own: that they leave nothing of the rectangle out, that what they
are of is at most the tolerance on each, and that it is what the two sides are apart.

Nothing of the prover is imported.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mpmath import mp

from mlnn.proving.replay_boxes import VALUE, Box, cut_at, is_small
from mlnn.proving.replay_numbers import UNKNOWN, rational, values_of
from mlnn.proving.replay_work import spend
from mlnn.visible import shown

COVERS = "every target, on the rectangle"
EDGES = ["y = 0", "y = 1"]
NEEDED = (VALUE, "gradient")
PLACES = {VALUE: (1, 3), "gradient": (2, 4), "left's gradient": (2, 1), "right's gradient": (4, 3)}
"""By question, which two of a record of both sides it is the difference of; of a side's own gradient the second one's slope."""
FORM_PLACES = 40
"""Places at which what is 0 by its form is asked."""
CLOSE = 1e-12
"""Share of the tolerance that what boxes are of may be from what the sides are apart."""
STEP, MORE_DIGITS = 25, 60
"""Of a central difference: 10^−25 apart, with so many digits more."""


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
            fine = is_small(part, one, box)
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
        for half in cut_at(part, axis, cut):
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
    beside = [part for part in parts if part["target"] not in EDGES and _is_of_slopes(part)]
    if sorted(part["target"] for part in parts if part not in beside) != EDGES:
        return "claimed: every target; labels of 0 and 1 have no boxes, or twice"
    low, high = (Fraction(end) for end in wide[0]["domain"])
    if low > Fraction(found["domain"][0]) or high < Fraction(found["domain"][1]):
        return f"claimed: the domain {list(found['domain'])}; the rectangle is of another"
    if any(Fraction(part["tolerance"]) > Fraction(found["tolerance"]) for part in (*wide, *parts)):
        return f"claimed: to {found['tolerance']}; boxes are of a wider tolerance"
    return None


def _is_of_slopes(part: Mapping[str, Any]) -> bool:
    """Whether boxes are of own gradients alone, of which nothing is claimed."""
    return bool(part["questions"]) and all(one["name"] not in NEEDED for one in part["questions"])


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
