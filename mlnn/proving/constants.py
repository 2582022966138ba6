"""Constants by their names: a number to thirty digits, and what it is known as."""

import math
from collections.abc import Iterator
from fractions import Fraction

from flint import arb, fmpq

from mlnn.proving.balls import digits

DIGITS = 30
NEAR = 1e-14
"""Relative distance to a known constant, which code may hold as a float."""
LARGEST_FACTORIAL = 20
BITS = 192
SMALL = 1000
"""Denominators up to it are written out: 1/2."""


def simple(value: arb) -> fmpq:
    """The rational number that a ball may be: one of a small denominator within 1e-25 if there is one, else its middle."""
    middle = _fraction(value)
    plain = middle.limit_denominator(10**6)
    close = abs(plain - middle) * 10**25 <= max(Fraction(1), abs(middle))
    found = plain if close else middle
    return fmpq(found.numerator, found.denominator)


def _fraction(value: arb) -> Fraction:
    mantissa, exponent = value.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def written(value: fmpq) -> str:
    """A number to thirty digits, and its name where it has one: "0.693147180559945309417232121458 (ln 2)"."""
    if abs(int(value.q)) <= SMALL:
        return str(value)
    with digits(BITS, 2):
        ball = arb(value)
        text = ball.str(DIGITS, radius=False)
        name = next((name for name, known in _known() if abs(ball - known) <= abs(known) * NEAR), None)
    return text if name is None or name == text else f"{text} ({name})"


def _known() -> Iterator[tuple[str, arb]]:
    """Constants that losses are shifted by, with both signs."""
    pi = arb.pi()
    plain = [("ln 2", arb(2).log()), ("½ ln 2π", (2 * pi).log() / 2), ("ln π", pi.log()), ("ln 2π", (2 * pi).log())]
    plain += [("½ ln π", pi.log() / 2), ("½ ln 2", arb(2).log() / 2), ("ln 3", arb(3).log()), ("ln 10", arb(10).log())]
    plain += [(f"ln {count}!", arb(math.factorial(count)).log()) for count in range(3, LARGEST_FACTORIAL)]
    for name, value in plain:
        yield name, value
        yield f"−{name}", -value
