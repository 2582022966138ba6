"""Boxes of functions of one number of raw output and label, u = (a + b·y)·z + c·y: what they say of raw outputs and labels.

Nothing of the prover is imported. A record of both sides has a, b and c where the boxes are of u, each function times a power of
w = a + b·y, or of y where b is 0.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mpmath import mp

from mlnn.proving.replay_numbers import rational

INNER = "one number of raw output and target"
NARROW = 38
"""Bits of the width, relative to the place or 1, of a box that is no more than a place."""
TRIES = 60
"""Labels that are drawn for a box, until one has a raw output in the domain at which u is in the box."""
Numbers = tuple[Fraction, Fraction, Fraction]


def numbers_in(sides: Mapping[str, Any]) -> Numbers | None:
    """a, b and c; None where boxes are of the raw output or the residual."""
    if "inner" not in sides:
        return None
    start, rise, own = map(Fraction, sides["inner"])
    return start, rise, own


def inner_off(
    sides: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], power_in: Callable[[str], int | None]
) -> str | None:
    """How boxes are none of what u and w are: every power is at most 1, gradients hold at a label at which u is one number.
    power_in: the power that a part's functions are times, by its name; None where they are functions of their own."""
    numbers = numbers_in(sides)
    letter = "w" if numbers is not None and numbers[1] else "y"
    powers = [power_in(part["target"]) for part in parts]
    wrong = [name for part in parts if power_in(name := part["target"]) is not None and _letter(name) != letter]
    if wrong:
        return f"claimed: boxes of {wrong[0]}; the two sides are recorded of {letter}"
    if numbers is None:
        return None
    start, rise, _ = numbers
    if (rise and max(abs(start), abs(start + rise)) > 1) or (not rise and not start):
        return f"claimed: boxes of powers of {letter}, which is larger than 1 or 0 everywhere"
    if 0 not in powers or None in powers:
        return "claimed: boxes of one number of raw output and target; there are some of another"
    return _not_still(numbers, parts[powers.index(0)])


def _letter(name: str) -> str:
    return name.removeprefix("what is free of ").removeprefix("what is times ")[0]


def _not_still(numbers: Numbers, free: Mapping[str, Any]) -> str | None:
    """Where w is 0 for one label, u is one number at all of its raw outputs: a gradient fails there at no single place."""
    start, rise, own = numbers
    at = -start / rise if rise else Fraction(-1)
    if not 0 <= at <= 1:
        return None
    boxes = [box for one in free["questions"] if one["name"] == "gradient" for box in one["boxes"]]
    if any(box[2] != "equal" and Fraction(box[0]) <= own * at <= Fraction(box[1]) for box in boxes):
        return f"claimed: proved; the gradient at y = {float(at):g} fails for all raw outputs"
    return None


def reach(numbers: Numbers, ends: tuple[Fraction, Fraction]) -> tuple[Fraction, Fraction]:
    """The least and the largest u of the rectangle: at corners, as it is a line in each of two variables."""
    start, rise, own = numbers
    found = [(start + rise * y) * z + own * y for z in ends for y in (0, 1)]
    return min(found), max(found)


def weight(numbers: Numbers | None, y: Any) -> Any:
    """What functions are times powers of."""
    if numbers is None or not numbers[1]:
        return y
    return rational(str(numbers[0])) + rational(str(numbers[1])) * y


def drawn(
    numbers: Numbers, box: Sequence[Any], ends: tuple[Fraction, Fraction], draws: random.Random
) -> tuple[Any, Any, Any] | None:
    """(z, y, u) with u in a box; None where none is met."""
    start, rise, own = (rational(str(one)) for one in numbers)
    low, high = (rational(str(one)) for one in ends)
    width = rational(box[1]) - rational(box[0])
    if width * 2**NARROW <= max(1, abs(rational(box[0]))):
        return None  # rounding would leave the place
    for _ in range(TRIES):
        u = rational(box[0]) + width * mp.mpf(draws.uniform(0.01, 0.99))
        y = mp.mpf(draws.uniform(0, 1))
        across = start + rise * y
        if across and low <= (z := (u - own * y) / across) <= high:
            return z, y, u
    return None
