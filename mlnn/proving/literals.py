"""Numbers as code holds them: √2 and π as floats, which are off by their last bits. What is meant is the number, as 0.1 is meant to
be a tenth."""

from fractions import Fraction

from mlnn.proving.algebra import mul, power
from mlnn.proving.core import HALF, pi
from mlnn.proving.exact import SIMPLE, exact
from mlnn.proving.graph import Graph, Id

SMALL = 100
"""Numerators and denominators of what is meant: of multiples of π and 1/π, of the squares of roots."""
LAST_BITS = Fraction(3, 2**53)
"""How far a float may be from the number that it stands for, relative to that: code may have rounded twice."""
PI = Fraction("3.14159265358979323846264338327950288419716939937510")


def constant(g: Graph, value: Fraction | float) -> Id:
    """A number that code holds: `exact`, or what it is the rounding of where that is the root of a small number, a small multiple
    of π or 1/π, or the root of one. Raises ValueError for one that is not finite."""
    found = exact(value)
    if found.denominator <= SIMPLE:
        return g.const(found)
    for exponent in (1, -1):
        share = _near(found / PI**exponent, LAST_BITS)
        if share is not None:
            return g.scale(share, power(g, pi(g), exponent))
    for exponent in (0, 1, -1):
        square = _near(found * found / PI**exponent, 2 * LAST_BITS)
        if square is None:
            continue
        meant = mul(g, power(g, g.const(square), HALF), power(g, pi(g), exponent * HALF))
        if g.number(meant) is None:  # 1 − 2e-16 is not meant to be √1
            return meant if found > 0 else g.neg(meant)
    return g.const(found)


def _near(value: Fraction, bits: Fraction) -> Fraction | None:
    """The small fraction that a number is, but for its last bits."""
    near = value.limit_denominator(SMALL)
    return near if 0 < abs(near.numerator) <= SMALL and abs(value - near) <= bits * abs(near) else None
