"""Both sides of a proof once more, as they were traced: at random raw outputs, by mpmath's numbers, whichever way the proof went.

Nothing of the prover is imported: a form, a residual or log-odds that a proof rests on are not known here.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mpmath import mp

from mlnn.proving.replay_numbers import UNKNOWN, rational, values_of

PLACES = 12
"""Of raw outputs for each target; every other one near 0."""
NEAR = 6.0
DIGITS, PER_UNIT = 40, 0.9
"""Of the numbers, and more for each unit of a raw output: 1 − σ(z) loses 0.43 of them, its square twice as many."""
SLACK = Fraction(1, 2**40)
"""Share of the tolerance that rounding may take."""


def checked_sides(part: Mapping[str, Any]) -> str | bool | None:
    """None where values and gradients are alike at random raw outputs of the domain, words where they are not; False where there
    are too few places at which both have a value that is known here."""
    low, high = (Fraction(end) for end in part["domain"])
    with mp.workdps(DIGITS + int(PER_UNIT * max(abs(low), abs(high)))):
        draws, seen, asked = random.Random(4), 0, 0
        for pair in part["pairs"]:
            for places in _places(part, pair, (low, high), draws):
                found = _apart(part, pair, places)
                asked, seen = asked + 1, seen + (found is not None)
                if found is not None and not found <= rational(part["tolerance"]) * (1 + rational(str(SLACK))):
                    shown = ", ".join(mp.nstr(one, 8) for name, one in sorted(places.items()) if name != "y0")
                    return f"the two sides are {mp.nstr(found, 4)} apart at y = {pair[0]}, raw outputs {shown}"
    return None if 2 * seen >= asked > 0 else False


def _places(
    part: Mapping[str, Any], pair: Sequence[Any], ends: tuple[Fraction, Fraction], draws: random.Random
) -> Iterator[dict[str, Any]]:
    """Raw outputs, or such that the residual lies in the domain, and the target."""
    names = {f"z{place}" for place in range(len(pair[2]))}
    low, high = map(float, ends)
    inner = (low, high) if high < -NEAR or low > NEAR else (max(low, -NEAR), min(high, NEAR))
    target = rational(pair[0])
    for count in range(PLACES):
        outputs = {name: mp.mpf(draws.uniform(*((low, high) if count % 2 else inner))) for name in sorted(names)}
        yield {name: one + (target if part["residual"] else 0) for name, one in outputs.items()} | {"y0": target}


def _apart(part: Mapping[str, Any], pair: Sequence[Any], places: Mapping[str, Any]) -> Any:
    """The largest distance of values and of gradients; None where a side has no number that is known here."""
    _, left, left_gradient, right, right_gradient = pair
    try:
        found = values_of(part["nodes"], [left, *left_gradient, right, *right_gradient], places)
    except UNKNOWN:
        return None
    if any(mp.im(one) for one in found):
        return None
    half = len(found) // 2
    return max(abs(one - other) for one, other in zip(found[:half], found[half:], strict=True))
