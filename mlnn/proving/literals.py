"""Numbers as code holds them: √2, π and ln 2 as floats, which are off by their last bits. What is meant is the number, as 0.1 is
meant to be a tenth."""

from bisect import bisect_left
from fractions import Fraction
from functools import lru_cache
from itertools import product
from operator import itemgetter

from flint import arb, fmpq

from mlnn.proving.algebra import exp, inv, log, mul, power
from mlnn.proving.balls import digits
from mlnn.proving.core import pi
from mlnn.proving.exact import SIMPLE, exact
from mlnn.proving.graph import Graph, Id
from mlnn.proving.roots import HALF

SMALL = 100
"""Numerators and denominators of what is meant: of multiples of π and 1/π, of the squares of roots."""
LAST_BITS = Fraction(3, 2**53)
"""How far a float may be from the number that it stands for, relative to that: code may have rounded twice."""
PI = Fraction("3.14159265358979323846264338327950288419716939937510")
E = Fraction("2.71828182845904523536028747135266249775724709369996")
FEW = 20
"""Numerators and denominators of what is meant by a logarithm, but of whole numbers up to `SMALL`."""
BITS = 128


def constant(g: Graph, value: Fraction | float) -> Id:
    """A number that code holds: `exact`, or what it is the rounding of where that is e or 1/e, the root of a small number, a small
    multiple of π or 1/π, the root of one, the logarithm of any of these or 1 over it. Raises ValueError for one that is not
    finite."""
    found = exact(value)
    if found.denominator <= SIMPLE:
        return g.const(found)
    for exponent in (1, -1):
        if abs(found - E**exponent) <= LAST_BITS * E**exponent:
            return exp(g, g.const(exponent))
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
    rows, value = _logarithms(), float(found)
    at = bisect_left(rows, value, key=itemgetter(0))
    for size, share, exponent, times, is_under_1 in rows[max(at - 1, 0) : at + 1]:
        if abs(value - size) <= LAST_BITS * abs(value):
            logs = g.scale(times, log(g, mul(g, g.const(share), power(g, pi(g), exponent))))
            return inv(g, logs) if is_under_1 else logs
    return g.const(found)


@lru_cache(maxsize=1)
def _logarithms() -> list[tuple[float, Fraction, int, Fraction, bool]]:
    """(itself, the number, its power of π, 1 or ½, whether it is under 1) of the logarithms of few numbers, times 1 or ½, and of 1
    over them, in order."""
    few = {Fraction(top, bottom) for top in range(1, FEW + 1) for bottom in range(1, FEW + 1)}
    rows = []
    with digits(BITS, 1):
        for share, exponent in product({*few, *map(Fraction, range(1, SMALL + 1))}, (-1, 0, 1)):
            logarithm = (arb(fmpq(share.numerator, share.denominator)) * arb.pi() ** exponent).log()
            for times in (Fraction(1), HALF) if not logarithm.is_zero() else ():
                size = logarithm * arb(fmpq(times.numerator, times.denominator))
                rows += [(float(size), share, exponent, times, False), (float(1 / size), share, exponent, times, True)]
    return sorted(rows)


def _near(value: Fraction, bits: Fraction) -> Fraction | None:
    """The small fraction that a number is, but for its last bits."""
    near = value.limit_denominator(SMALL)
    return near if 0 < abs(near.numerator) <= SMALL and abs(value - near) <= bits * abs(near) else None
