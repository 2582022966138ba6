"""Each operation of the core on power series whose coefficients are balls: an enclosure of the Taylor coefficients.

Source of the arithmetic: Arb (F. Johansson, 2017), through python-flint. A series at a point gives that point's coefficients; a
series at a ball encloses those of all of its points. Only what the library does not have is made here.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from flint import arb, arb_series, fmpq

from mlnn.proving.coefficients import lgamma_coefficients, sigmoid_coefficients, softplus_at
from mlnn.proving.error_tails import log_erfc_coefficients, log_erfcx_coefficients
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
    if all(part.is_zero() for part in x.coeffs()):  # 0 on all of the ball
        if exponent < 0:
            raise OutsideError("a division by 0")
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


def composed(outer: list[arb], x: Series, terms: int) -> Series:
    """A function of a series, from the function's coefficients at the series' value."""
    inner = x.coeffs()[1:]
    if len(inner) == 1 and inner[0] == 1:
        return arb_series(outer, terms)
    if len(inner) == 1:  # a straight line
        power, found = arb(1), []
        for one in outer:
            found.append(one * power)
            power = power * inner[0]
        return arb_series(found, terms)
    step = arb_series([0, *inner], terms)
    return arb_series(outer, terms)(step) if step.coeffs() else arb_series(outer[:1], terms)


def _sigmoid(node: Node, args: Sequence[Series], terms: int) -> Series:
    u = args[0][0]
    if not u.is_finite():
        raise VagueError
    return composed(sigmoid_coefficients(u, terms), args[0], terms)


def _softplus(node: Node, args: Sequence[Series], terms: int) -> Series:
    """log(1 + e^u), whose slope is σ."""
    u = args[0][0]
    if not u.is_finite():
        raise VagueError
    value = softplus_at(u.lower()).union(softplus_at(u.upper())) if not u.is_exact() else softplus_at(u)
    slopes = sigmoid_coefficients(u, terms)
    return composed([value, *(one / place for place, one in enumerate(slopes, 1))][:terms], args[0], terms)


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


def _log_erfc(node: Node, args: Sequence[Series], terms: int) -> Series:
    """log erfc(u), or u² more."""
    u = args[0][0]
    if not u.is_finite():
        raise VagueError
    known = log_erfc_coefficients if node.op == "log_erfc" else log_erfcx_coefficients
    return composed(known(u, terms), args[0], terms)


def _lgamma(node: Node, args: Sequence[Series], terms: int) -> Series:
    """log |Γ(x)|, here for x above 0 only."""
    return composed(_of_gamma(args[0][0], terms)[:terms], args[0], terms)


def _polygamma(node: Node, args: Sequence[Series], terms: int) -> Series:
    """The (n+1)-th derivative of log Γ, for x above 0: its series from that of log Γ at the value, then composed."""
    order = int(node.numbers[0]) + 1
    known = _of_gamma(args[0][0], terms + order - 1)
    outer = [known[place + order] * math.perm(place + order, order) for place in range(terms)]
    return composed(outer, args[0], terms)


def _of_gamma(x: arb, terms: int) -> list[arb]:
    """One coefficient more than is asked for, as the first derivative needs it."""
    if not x > 0 or not x.is_finite():
        raise VagueError
    return lgamma_coefficients(x, terms + 1)


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
    "log_erfc": _log_erfc,
    "log_erfcx": _log_erfc,
    "lgamma": _lgamma,
    "polygamma": _polygamma,
    "hyp0f1": _hyp0f1,
    "gammaincc": _gammaincc,
    "null": _null,
    "undefined": _undefined,
}
"""(node, its arguments, how many coefficients) → series. What a switch does is `mlnn.proving.balls`' matter."""
FINITE = frozenset({"lin", "mul", "square", "null"})
"""Operations whose coefficients are finite wherever those of their arguments are."""
COSTS = {
    "lgamma": 30,
    "polygamma": 40,
    "hyp0f1": 40,
    "gammaincc": 40,
    "sigmoid": 10,
    "softplus": 10,
    "erf": 4,
    "erfc": 4,
    "log_erfc": 10,
    "log_erfcx": 10,
    "power": 4,
}
"""Of operations that take as long as several products of series do, how many, as measured on wide balls."""
