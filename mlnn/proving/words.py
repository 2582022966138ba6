"""A proof in one sentence, and the record of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mlnn.proving.answers import Interval, Part
from mlnn.proving.boxes import VALUE
from mlnn.proving.cases import GRADIENT, INNER, RESIDUAL
from mlnn.proving.constants import written
from mlnn.proving.odds import ODDS
from mlnn.proving.proof import Proof
from mlnn.proving.relation import Related

MOST_NAMED = 3
"""Intervals or points that a sentence names; the rest are counted."""


@dataclass(frozen=True)
class Said:
    """All that a sentence is made of."""

    parts: tuple[Part, ...]
    domain: Interval
    tolerance: float
    covers: str = ""
    whole: bool = False
    related: Related | None = None
    looks: int = 0
    paper: tuple[dict[str, object], ...] = ()
    reason: str | None = None
    note: str | None = None
    summed: str | None = None


def said(given: Said) -> Proof:
    """The record of a proof."""
    found = _by_row(given)
    return found if given.summed is None else _of_batches(found, given.summed)


def _of_batches(by_row: Proof, summed: str) -> Proof:
    """What two losses are to each other of which one adds rows up and the other averages them."""
    other = {"left": "right", "right": "left"}[summed]
    told = f"{summed} adds up the rows of a batch, {other} averages them"
    if by_row.answer == "undecided":
        return replace(by_row, findings=(*by_row.findings, told))
    same = by_row.answer == "proved"
    factor = {"left": "n", "right": "1/n"}[summed]
    started = f"{told}: left is {factor} times right in a batch of n rows" if same else told
    return replace(
        by_row, answer="differs", sentence=f"{started}; row by row {by_row.sentence}", findings=(*by_row.findings, told),
        relation="scaled" if same else None, scale=factor if same else by_row.scale,
    )  # fmt: skip


def _by_row(given: Said) -> Proof:
    """The record of a proof, row by row."""
    asked = [part for part in given.parts if part.question in (VALUE, GRADIENT)]
    answers = {part.answer for part in asked}
    answer = (
        "undecided"
        if not asked
        else "differs"
        if "differs" in answers
        else "proved"
        if answers == {"proved"}
        else "undecided"
    )
    if answer == "proved" and not given.whole:
        answer = "undecided"
    worst = _worst(asked)
    related = given.related
    reason = given.reason or (_open(given, asked) if answer == "undecided" else None)
    return Proof(
        answer=answer,
        sentence=_sentence(given, asked, answer, reason),
        domain=given.domain,
        tolerance=given.tolerance,
        relation=related.name if related else "equal" if answer == "proved" else None,
        targets=given.covers,
        variable=asked[0].variable if asked else "raw output",
        where=union([one for part in asked for one in part.differs]),
        size=worst.size if worst else None,
        points=_points_of(asked),
        boxes=given.looks,
        reason=reason,
        shift=tuple((target, written(value)) for target, value in related.shift) if related else (),
        scale=written(related.factor) if related and related.factor != 1 else None,
        findings=(*_findings(given.parts), *([given.note] if given.note else [])),
        parts=given.parts,
        paper=given.paper,
    )


def _points_of(asked: Sequence[Part]) -> tuple[tuple[float, float], ...]:
    """Isolated places, each with the largest size of the fault there."""
    found: dict[float, float] = {}
    for place, size in (point for part in asked for point in part.points):
        found[place] = max(size, found.get(place, 0.0))
    return tuple(sorted(found.items()))


def _void(asked: Sequence[Part]) -> str:
    """Where neither side has a value, of which nothing is said."""
    found = union([one for part in asked for one in part.void])
    return f"; neither side has a value on {intervals(found)}" if found else ""


def _worst(asked: Sequence[Part]) -> Part | None:
    """The part with the largest difference of values, else of gradients."""
    for name in (VALUE, GRADIENT):
        sized = [part for part in asked if part.question == name and part.size is not None]
        if sized:
            return max(sized, key=lambda part: part.size[0] if part.size else 0.0)
    return None


def union(some: Sequence[Interval]) -> tuple[Interval, ...]:
    """Intervals in order, those that meet as one."""
    found: list[Interval] = []
    for low, high in sorted(some):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return tuple(found)


def _sentence(given: Said, asked: Sequence[Part], answer: str, reason: str | None) -> str:
    inside = f"on [{placed(given.domain[0])}, {placed(given.domain[1])}]"
    variable = asked[0].variable if asked else ""
    if variable == RESIDUAL:
        inside = f"for residuals in [{placed(given.domain[0])}, {placed(given.domain[1])}]"
    elif variable in (ODDS, INNER):
        inside = f"for raw outputs in [{placed(given.domain[0])}, {placed(given.domain[1])}]"
    if answer == "undecided":
        return f"undecided: {reason}"
    if answer == "proved":
        start = f"proved equal {inside} for {given.covers}, values and gradients to {given.tolerance:g}"
        return start + "".join(f"; {one}" for one in _points(asked)) + _void(asked) + f" ({given.looks} boxes)"
    related = _related(given.related, given.covers, inside)
    inside += "" if given.whole else f" for {given.covers}"
    parts = [related] if related else [_differs(asked, name, inside) for name in (VALUE, GRADIENT)]
    return "; ".join([*parts, *_points(asked)])


def _related(related: Related | None, covers: str, inside: str) -> str:
    if related is None:
        return ""
    if related.name == "scaled":
        return f"proved {inside} for {covers}: left is {written(related.factor)} times right" + _apart(related)
    return f"proved {inside} for {covers}: left is right" + _apart(related)


def _apart(related: Related) -> str:
    """The constants, in words."""
    told = [(target, written(value)) for target, value in related.shift]
    shifts = {value for _, value in told}
    if shifts == {"0"}:
        return ""
    if len(shifts) == 1:
        return f" plus {shifts.pop()}"
    sizes = [abs(value) for _, value in related.shift]
    largest = sorted(sorted(range(len(told)), key=lambda at: (-sizes[at], at))[:MOST_NAMED])
    more = len(told) - len(largest)
    named = ", ".join(f"{value} at {target}" for target, value in (told[at] for at in largest))
    return f" plus {named}" + (f" (no larger at {more} others)" if more else "")


def _differs(asked: Sequence[Part], name: str, inside: str) -> str:
    """What is said of the values, or of the gradients."""
    mine = [part for part in asked if part.question == name]
    apart = [part for part in mine if part.answer == "differs"]
    if not apart:
        open_ = any(part.answer == "undecided" for part in mine)
        return f"{name}s are " + ("undecided in part" if open_ else f"proved equal {inside}")
    told = []
    for part in apart[:MOST_NAMED]:
        where = intervals(part.differs)
        size = part.size or (0.0, 0.0)
        by = (
            "one side has no value" if size[0] == float("inf") else f"by {sized(size)} near {placed(part.place or 0.0)}"
        )
        told.append(f"{part.target}: {where}, {by}")
    more = f"; and {len(apart) - MOST_NAMED} more targets" if len(apart) > MOST_NAMED else ""
    return f"{name}s differ at " + "; ".join(told) + more


def sized(size: Interval) -> str:
    """The largest difference, as far as its bounds tell it."""
    return f"up to {size[0]:.4g}" if size[1] <= size[0] * 1.001 else f"at least {size[0]:.4g}"


def intervals(found: Sequence[Interval]) -> str:
    """The first few of some intervals, the rest counted."""
    named = ", ".join(f"[{placed(low)}, {placed(high)}]" for low, high in found[:MOST_NAMED])
    return named + (f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else "")


def placed(value: float) -> str:
    """A raw output to the digits that it is known to."""
    return f"{value:.12g}".replace("-", "−")


def _points(asked: Sequence[Part]) -> list[str]:
    """Isolated places where values or gradients differ."""
    found: dict[float, tuple[str, float]] = {}
    for part in asked:
        for place, size in part.points:
            found[place] = part.question, max(size, found.get(place, ("", 0.0))[1])
    of = "u = " if asked and asked[0].variable == INNER else ""
    named = [
        f"at {of}{placed(place)} alone "
        + (f"{name}s differ by {size:.4g}" if size < math.inf else f"the {name} of one side is no number")
        for place, (name, size) in sorted(found.items())
    ]
    return named[:MOST_NAMED] + ([f"and at {len(named) - MOST_NAMED} more points"] if len(named) > MOST_NAMED else [])


def _findings(parts: Sequence[Part]) -> Iterator[str]:
    """Of each side, where its own gradient is not the slope of its value."""
    for part in parts:
        if part.question in (VALUE, GRADIENT):
            continue
        if part.differs:
            size = f", by {sized(part.size)}" if part.size else ""
            yield f"{part.question} is not the slope of its value at {part.target}: {intervals(part.differs)}{size}"
        for place, size_there in part.points:
            by = f", by {size_there:.4g}" if size_there < math.inf else ": it is no number"
            yield f"{part.question} is wrong at {placed(place)} alone{by} ({part.target})"
        if part.undecided:
            where = f"around {intervals(part.undecided)} ({part.target})"
            yield f"whether {part.question} is the slope of its value is undecided {where}"


def _open(given: Said, asked: Sequence[Part]) -> str:
    """Why nothing is decided, though there was something to look at."""
    left = [part for part in asked if part.undecided]
    if left:
        part = left[0]
        return f"the {part.question} at {part.target} on {intervals(part.undecided)} after {given.looks} boxes"
    return f"equal for {given.covers}; nothing is proved of others"
