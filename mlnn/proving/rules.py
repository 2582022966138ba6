"""Each operation of the core on power series whose coefficients are balls: an enclosure of the Taylor coefficients.

Source of the arithmetic: Arb (F. Johansson, 2017), through python-flint. A series at a point gives that point's coefficients; a
series at a ball encloses those of all of its points. Only what the library does not have is made here.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

from flint import arb, arb_series, ctx, fmpq

from mlnn.proving.graph import Node

Series = arb_series


class OutsideError(Exception):
    """An operation has no finite value anywhere on the ball: a logarithm of what is at most 0. `op`: which."""

    def __init__(self, op: str) -> None:
        super().__init__(op)
        self.op = op


class VagueError(Exception):
    """The ball is too wide, or has too few digits, for an operation to be finite on all of it."""


def number(value: Fraction) -> arb:
    """A rational number as a ball."""
    return arb(fmpq(value.numerator, value.denominator))


def first(x: Series) -> arb:
    """The value of a series: its constant coefficient."""
    return x[0]


def _lin(node: Node, args: Sequence[Series], terms: int) -> Series:
    constant, *factors = node.numbers
    total = arb_series([number(constant)], terms)
    for factor, one in zip(factors, args, strict=True):
        if factor == 1:
            total = total + one
        elif factor == -1:
            total = total - one
        else:
            total = total + one * number(factor)
    return total


def _mul(node: Node, args: Sequence[Series], terms: int) -> Series:
    found = args[0]
    for other in args[1:]:
        found = found * other
    return found


def _square(node: Node, args: Sequence[Series], terms: int) -> Series:
    """x·x, of which the value is at least 0 even where x may have either sign."""
    (x,) = args
    found = (x * x).coeffs()
    if found:
        size = abs(x[0])
        low, high = size.abs_lower(), size.abs_upper()
        found[0] = (low * low).union(high * high) if not x[0].is_exact() else found[0]
    return arb_series(found, terms)


def _inv(node: Node, args: Sequence[Series], terms: int) -> Series:
    (x,) = args
    if x[0].is_zero():
        raise OutsideError("a division by 0")
    if x[0].contains(0):
        raise VagueError
    return arb_series([1], terms) / x


def _exp(node: Node, args: Sequence[Series], terms: int) -> Series:
    return args[0].exp()


def _log(node: Node, args: Sequence[Series], terms: int) -> Series:
    (x,) = args
    if x[0] <= 0:
        raise OutsideError("a logarithm of a number that is not above 0")
    if not x[0] > 0:
        raise VagueError
    return x.log()


def _power(node: Node, args: Sequence[Series], terms: int) -> Series:
    """x^a for x above 0, as e^(a log x); at 0 itself, alone, 0 for a > 0."""
    (x,) = args
    (exponent,) = node.numbers
    if exponent.denominator == 1:
        return _whole_power(x, int(exponent), terms)
    if x[0].is_zero() and exponent > 0 and terms == 1:
        return arb_series([0], terms)
    if x[0] < 0:
        raise OutsideError("a root of a number below 0")
    if not x[0] > 0:
        raise VagueError
    return (x.log() * number(exponent)).exp()


def _whole_power(x: Series, exponent: int, terms: int) -> Series:
    found = arb_series([1], terms)
    squared, left = x, abs(exponent)
    while left:
        found = found * squared if left % 2 else found
        left //= 2
        squared = squared * squared if left else squared
    if exponent > 0:
        return found
    if x[0].is_zero():
        raise OutsideError("a division by 0")
    if found[0].contains(0):
        raise VagueError
    return arb_series([1], terms) / found


STRIP, BOUND = 3, fmpq(71, 10)
"""Of the half-width π of the strip around the real line on which σ is regular. At w = x + iy there, |1 + e^(−w)| ≥ |sin y|, so on a
disc of radius 3 around a real number |σ| ≤ 1/sin 3 < 7.1; where x < −4 it is at most e^(x+3)/(1 − e^(−1)) < 2 e^(x+3). By Cauchy's
estimate the k-th coefficient is at most that over 3^k. Balls alone overestimate it by the k-th power of their width."""


def _sigmoid_coefficients(u: arb, terms: int) -> list[arb]:
    """Taylor coefficients of σ at every point of a ball."""
    if u > 0:  # σ(u) = 1 − σ(−u)
        other = _sigmoid_coefficients(-u, terms)
        return [1 - other[0], *(one if place % 2 else -one for place, one in enumerate(other[1:], 1))]
    if u.is_exact():
        return _sigmoid_by_balls(u, terms)
    size = 2 * (u.upper() + STRIP).exp() if u.upper() < -STRIP - 1 else arb(BOUND)
    bounds = [(size / arb(STRIP) ** place).upper() for place in range(terms)]
    try:
        found = _sigmoid_by_balls(u, terms)
    except ValueError:  # a ball around e^u holds −1
        found = [arb(0, bound) for bound in bounds]
    found[0] = _sigmoid_by_balls(u.lower(), 1)[0].union(_sigmoid_by_balls(u.upper(), 1)[0])
    return [one if not place or abs(one) <= bounds[place] else arb(0, bounds[place]) for place, one in enumerate(found)]


def _sigmoid_by_balls(u: arb, terms: int) -> list[arb]:
    grown = arb_series([u, 1], terms).exp()
    found = (grown / (grown + 1)).coeffs()
    return found + [arb(0)] * (terms - len(found))


def composed(outer: list[arb], x: Series, terms: int) -> Series:
    """A function of a series, from the function's coefficients at the series' value."""
    inner = x.coeffs()[1:]
    if len(inner) == 1:  # a straight line
        power, found = arb(1), []
        for one in outer:
            found.append(one * power)
            power = power * inner[0]
        return arb_series(found, terms)
    step = arb_series([0, *inner], terms)
    return arb_series(outer, terms)(step) if step.coeffs() else arb_series(outer[:1], terms)


def _sigmoid(node: Node, args: Sequence[Series], terms: int) -> Series:
    return composed(_sigmoid_coefficients(args[0][0], terms), args[0], terms)


def _softplus(node: Node, args: Sequence[Series], terms: int) -> Series:
    """log(1 + e^u), whose slope is σ."""
    u = args[0][0]
    value = _softplus_at(u.lower()).union(_softplus_at(u.upper())) if not u.is_exact() else _softplus_at(u)
    slopes = _sigmoid_coefficients(u, max(terms - 1, 1))
    return composed([value, *(one / place for place, one in enumerate(slopes, 1))][:terms], args[0], terms)


def _softplus_at(u: arb) -> arb:
    return u + (-u).exp().log1p() if u > 0 else u.exp().log1p()


def _sin(node: Node, args: Sequence[Series], terms: int) -> Series:
    return args[0].sin()


def _cos(node: Node, args: Sequence[Series], terms: int) -> Series:
    return args[0].cos()


def _atan(node: Node, args: Sequence[Series], terms: int) -> Series:
    return args[0].atan()


def _erf(node: Node, args: Sequence[Series], terms: int) -> Series:
    return args[0].erf()


def _erfc(node: Node, args: Sequence[Series], terms: int) -> Series:
    return args[0].erfc()


def _lgamma(node: Node, args: Sequence[Series], terms: int) -> Series:
    """log |Γ(x)|, here for x above 0 only."""
    (x,) = args
    if not x[0] > 0:
        raise VagueError
    return x.lgamma()


def _polygamma(node: Node, args: Sequence[Series], terms: int) -> Series:
    """The (n+1)-th derivative of log Γ, for x above 0: its series from that of log Γ at the value, then composed."""
    (x,) = args
    order = int(node.numbers[0]) + 1
    if not x[0] > 0:
        raise VagueError
    before, ctx.cap = ctx.cap, terms + order  # no series is longer than the cap
    try:
        outer = arb_series([x[0], 1], terms + order).lgamma()
        for _ in range(order):
            outer = outer.derivative()
    finally:
        ctx.cap = before
    return composed([outer[place] for place in range(terms)], x, terms)


def _hyp0f1(node: Node, args: Sequence[Series], terms: int) -> Series:
    """₀F₁(; b; w), whose k-th Taylor coefficient is ₀F₁(; b + k; w) / (k! (b)_k) (DLMF 16.3.1); it rises with w from 0 on."""
    (x,), b = args, number(node.numbers[0])
    outer, scale = list[arb](), arb(1)
    for place in range(terms):
        outer.append(_rising(x[0], b + place) * scale)
        scale = scale / ((b + place) * (place + 1))
    return composed(outer, x, terms)


def _rising(w: arb, b: arb) -> arb:
    if w.is_exact() or not w >= 0:
        return w.hypgeom_0f1(b)
    return w.lower().hypgeom_0f1(b).union(w.upper().hypgeom_0f1(b))


def _gammaincc(node: Node, args: Sequence[Series], terms: int) -> Series:
    """Γ(s, x) / Γ(s) for x above 0, s the same everywhere."""
    s, x = args
    if not x[0] > 0 or not s[0] > 0 or not all(one.is_zero() for one in s.coeffs()[1:]):
        raise VagueError
    return Series.gamma_upper(s[0], x, 1)


def _null(node: Node, args: Sequence[Series], terms: int) -> Series:
    """0 wherever its argument has a value."""
    return arb_series([0], terms)


def _undefined(node: Node, args: Sequence[Series], terms: int) -> Series:
    raise OutsideError("a constant that is not finite")


RULES: dict[str, Callable[[Node, Sequence[Series], int], Series]] = {
    "lin": _lin,
    "mul": _mul,
    "square": _square,
    "inv": _inv,
    "exp": _exp,
    "log": _log,
    "power": _power,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "sin": _sin,
    "cos": _cos,
    "atan": _atan,
    "erf": _erf,
    "erfc": _erfc,
    "lgamma": _lgamma,
    "polygamma": _polygamma,
    "hyp0f1": _hyp0f1,
    "gammaincc": _gammaincc,
    "null": _null,
    "undefined": _undefined,
}
"""(node, its arguments, how many coefficients) → series. What a switch does is `mlnn.proving.balls`' matter."""
COSTS = {
    "lgamma": 30,
    "polygamma": 40,
    "hyp0f1": 40,
    "gammaincc": 40,
    "sigmoid": 10,
    "softplus": 10,
    "erf": 4,
    "erfc": 4,
    "power": 4,
}
"""Of operations that take as long as several products of series do, how many, as measured on wide balls."""
