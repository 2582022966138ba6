"""Whether the functions that boxes are of are those of the two sides: at random places, by mpmath.

Nothing of the prover is imported. The words are those of `Proof`: they are read again here.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mpmath import mp

from mlnn.proving.replay_inner import drawn, numbers_in, weight
from mlnn.proving.replay_numbers import UNKNOWN, rational, values_of
from mlnn.proving.replay_plane import COVERS
from mlnn.visible import shown

RAW, RESIDUAL, ODDS = "raw output", "raw output − target", "log-odds of the target's class"
VALUE, GRADIENT = "value", "gradient"
OWN = {VALUE: (0, 2), GRADIENT: (1, 3), "left's gradient": (1, 0), "right's gradient": (3, 2)}
"""By question, which of (left's value, left's gradient, right's value, right's gradient) its two nodes are."""
CLOSE = 1e-12
"""Relative distance at which a function of a box is that of a side."""
NARROW = Fraction(1, 2**38)
"""Width, relative to the place or 1, of a box that is no more than a place."""
SIMPLE = 1000
"""Denominators up to which a float stands for a fraction."""
ONE_NODE = 8
"""Places at which two sides that are one node, and have no boxes, are held against each other."""
MOST = 1000
"""Targets up to which coefficients of powers of the target are proved of."""
COUNTED = re.compile(r"(both|all (\d{1,4})) targets(, and every soft label between)?(, by the form)?")
ENDLESS = re.compile(
    r"every target(, by the residual|, by the form|, on the rectangle|, by u = [0-9.e()yz ·+−]{1,80}| up to ±?1000)?"
)
TERMS = re.compile(r"what is (free of [yw]|times [yw](\^(\d{1,3}))?)")


def named(pair: Sequence[Any]) -> str:
    return f"y = {float(Fraction(pair[0])):g}"


def targets_in(part: Mapping[str, Any], told: Sequence[str]) -> list[str]:
    """The targets of a part of boxes."""
    if part["target"] == "every target":
        return [*told]
    return [f"y = {one}" for one in part["target"].removeprefix("y = ").split(", ")]


def power_of(name: str) -> int:
    found = TERMS.fullmatch(name)
    assert found is not None
    return 0 if found[1].startswith("free") else int(found[3] or 1)


def power_in(name: str) -> int | None:
    """The same; None of a part that is no coefficient."""
    return power_of(name) if TERMS.fullmatch(name) else None


def _meant(text: str) -> Any:
    """A target as boxes have it: a float next to a fraction with a small denominator stands for that."""
    value = Fraction(text)
    near = value.limit_denominator(SIMPLE)
    return rational(str(near if float(near) == float(value) else value))


def tied(found: Mapping[str, Any], part: Mapping[str, Any], sides: Mapping[str, Any]) -> Iterator[str | bool | None]:
    """Whether the functions of boxes are those of the two sides, at a random place of every box."""
    if TERMS.fullmatch(part["target"]):
        return
    nodes = [[*node, "x"] for node in part["nodes"]]
    told = {named(pair): pair for pair in sides["pairs"]}
    draws, asked, seen = random.Random(7), 0, 0
    for question in [*part["questions"], *_absent(found, part)]:
        for low, high, answer, _ in question["boxes"]:
            pair = told.get(draws.choice(targets_in(part, [*told])))
            if pair is None or question["name"] not in OWN:
                yield f"boxes of {part['target']}, {shown(question['name'], 40)}: of no target, or question, that is recorded"
                return
            if low != high and _is_place(low, high) and question["name"] not in (VALUE, GRADIENT):
                continue  # around a kink, where nothing is claimed of an own gradient
            x = rational(low) + (rational(high) - rational(low)) * mp.mpf(draws.uniform(0.01, 0.99))
            wrong = _is_other(found, (nodes, question, pair), sides, x, draws)
            asked, seen = asked + 1, seen + (wrong is not None)
            if answer == "void" and wrong is not None:
                yield f"{question['name']} at {part['target']} on [{low}, {high}]: there are values"
            if wrong:
                yield f"{question['name']} at {part['target']} on [{low}, {high}]: not of the two sides"
                return
    yield None if 2 * seen >= asked else False


def _is_place(low: str, high: str) -> bool:
    return Fraction(high) - Fraction(low) <= NARROW * max(Fraction(1), abs(Fraction(low)))


def _absent(found: Mapping[str, Any], part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of values and gradients that have no boxes, as both sides are one node; of targets beside a form slopes alone are asked."""
    edges = found["targets"] == COVERS
    beside = not COUNTED.fullmatch(found["targets"]) and part["target"] != "every target" and not edges
    names = {question["name"] for question in part["questions"]}
    box = [*part["domain"], "equal", []]
    missing = [] if beside else [one for one in (VALUE, GRADIENT) if one not in names]
    return [{"name": one, "plus": None, "boxes": [box] * ONE_NODE} for one in missing]


Tie = tuple[Sequence[Any], Mapping[str, Any], Sequence[Any]]


def _is_other(
    found: Mapping[str, Any], tie: Tie, sides: Mapping[str, Any], x: Any, draws: random.Random
) -> bool | None:
    """Whether a question's two functions at x are not those of the sides; None where there is no value."""
    nodes, question, pair = tie
    least = rational(sides["tolerance"])
    try:
        own = _four(found, sides, pair, x, draws)
        if question["plus"] is None:  # one node on both sides, which needs no box
            return not _same(own[OWN[question["name"]][0]], own[OWN[question["name"]][1]], least)
        known = values_of(nodes, [question["plus"], question["minus"]], {"x": x})
    except UNKNOWN:
        return None
    if any(mp.im(one) for one in (*own, *known)):
        return None
    wanted = [own[place] for place in OWN[question["name"]]]
    apart = found["targets"].endswith("by the form") or known[1] == 0  # boxes of how far the two sides are apart
    if apart and not question["slope"]:
        return not abs(wanted[0] - wanted[1]) <= abs(known[0] - known[1]) + CLOSE * rational(sides["tolerance"])
    return not all(_same(one, other, least) for one, other in zip(known, wanted, strict=True))


def _same(one: Any, other: Any, least: Any) -> bool:
    """least: a size below which two numbers are both 0, as mpmath has it."""
    return bool(abs(one - other) <= CLOSE * max(abs(one), abs(other), least))


def _four(
    found: Mapping[str, Any], sides: Mapping[str, Any], pair: Sequence[Any], x: Any, draws: random.Random
) -> list[Any]:
    """Left's value and gradient and right's at a target, where the variable is x."""
    target, left, slopes, right, others = pair
    y, several = _meant(target), len(slopes)
    outputs = [x if not place else mp.mpf(draws.uniform(-3, 3)) for place in range(several)]
    own = 0
    if found["variable"] == ODDS:
        own = int(Fraction(target))
        outputs = [mp.mpf(draws.uniform(-3, 3)) for _ in range(several)]
        outputs[own] = x + mp.log(mp.fsum(mp.exp(one) for place, one in enumerate(outputs) if place != own))
    elif sides["residual"]:
        outputs[0] = x + y
    places = {f"z{place}": one for place, one in enumerate(outputs)} | {"y0": y}
    found_here = values_of(sides["nodes"], [left, slopes[own], right, others[own]], places)
    return list(found_here)


def soft_labels(found: Mapping[str, Any], sides: Mapping[str, Any]) -> Iterator[str | None]:
    """Every label between two, where that is claimed: both sides are lines in it."""
    if "soft label" not in found["targets"]:
        return
    first, draws = sides["pairs"][0], random.Random(9)
    if any(pair[1:] != first[1:] for pair in sides["pairs"]):
        yield "claimed: every soft label; the two sides are recorded for the targets alone"
        return
    ends = [Fraction(end) for end in found["domain"]]
    roots = [first[1], *first[2], first[3], *first[4]]
    for _ in range(12):
        y, z = mp.mpf(draws.uniform(0, 1)), mp.mpf(draws.uniform(*map(float, ends)))
        try:
            rows = [values_of(sides["nodes"], roots, {"z0": z, "y0": at}) for at in (mp.mpf(0), mp.mpf(1), y)]
        except UNKNOWN:
            continue
        if not all(
            abs((1 - y) * low + y * high - one) <= CLOSE * max(1, abs(one))
            for low, high, one in zip(*rows, strict=True)
        ):
            yield "claimed: every soft label; the two sides are no lines in it"
            return
    yield None


def added_up(parts: Sequence[Mapping[str, Any]], sides: Mapping[str, Any]) -> Iterator[str | bool | None]:
    """Functions that are times powers of the target, added up: the difference of the two sides, at a place of every box."""
    terms = [part for part in parts if TERMS.fullmatch(part["target"])]
    draws: random.Random = random.Random(8)
    for name, (plus, minus) in ((VALUE, (1, 3)), (GRADIENT, (2, 4))) if terms else ():
        boxes = [box for part in terms for one in part["questions"] if one["name"] == name for box in one["boxes"]]
        seen = 0
        for low, high, *_ in boxes or [[*terms[0]["domain"]]]:
            pair = draws.choice(sides["pairs"])
            at = _drawn(sides, pair, (low, high), draws)
            if at is None:
                continue
            z, y, x = at
            roots = [one if isinstance(one, int) else one[0] for one in (pair[plus], pair[minus])]
            try:
                left, right = values_of(sides["nodes"], roots, {"z0": z, "y0": y})
                times = weight(numbers_in(sides), y)
                whole = mp.fsum(_term(part, name, x) * times ** power_of(part["target"]) for part in terms)
            except UNKNOWN:
                continue
            seen += 1
            if not abs(left - right - whole) <= CLOSE * rational(sides["tolerance"]):
                yield f"{name} at y = {mp.nstr(y, 6)} on [{low}, {high}]: the boxes' functions do not add up to the two sides"
                return
        yield None if seen else False


def _drawn(
    sides: Mapping[str, Any], pair: Sequence[Any], box: Sequence[Any], draws: random.Random
) -> tuple[Any, Any, Any] | None:
    """(raw output, target, what functions are of) at a random place of a box; None where none is met in it."""
    numbers, low = numbers_in(sides), rational(box[0])
    if numbers is not None:
        ends = Fraction(sides["domain"][0]), Fraction(sides["domain"][1])
        return drawn(numbers, box, ends, draws)
    x = low + (rational(box[1]) - low) * mp.mpf(draws.uniform(0.01, 0.99))
    return x, _meant(pair[0]), x


def _term(part: Mapping[str, Any], name: str, x: Any) -> Any:
    for one in part["questions"]:
        if one["name"] == name:
            plus, minus = values_of([[*node, "x"] for node in part["nodes"]], [one["plus"], one["minus"]], {"x": x})
            return plus - minus
    return mp.mpf(0)  # one node on both sides
