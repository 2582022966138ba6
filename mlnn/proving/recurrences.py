"""Taylor coefficients on balls by their recurrences, for replaying a proof: written apart from the prover's rules.

Each takes jets (coefficients of a function around a place) and the numbers that an operation is stored with.
"""

import math
from fractions import Fraction
from functools import lru_cache

from flint import arb, ctx, fmpq

ORDER = 16
MOST_ARGUMENT = 4 * 10**7
"""Of Σ w^k/(k! (b)_k), which takes as many terms as √w, and of the first of Γ(s, x): i0 of 1e4 has half of it."""
Jet = list[arb]


class WideError(Exception):
    """The box is too wide to tell."""


@lru_cache(maxsize=4096)
def _rational(text: str) -> fmpq:
    value = Fraction(text)
    return fmpq(value.numerator, value.denominator)


def number(text: str) -> arb:
    return arb(_rational(text))


def _terms(a: Jet) -> list[tuple[int, arb]]:
    """The value, and the coefficients that are not exactly 0, each with its place: few of what hangs on little."""
    return [(at, one) for at, one in enumerate(a) if not at or not one.is_zero()]


def _steps(a: Jet) -> list[tuple[int, arb]]:
    """Those of a′, each times its place, without the first."""
    return [(at, at * one) for at, one in _terms(a) if at]


def _lin(args: list[Jet], numbers: list[str]) -> Jet:
    length = len(args[0]) if args else ORDER + 2
    total = [number(numbers[0])] + [arb(0)] * (length - 1)
    for factor, one in zip(numbers[1:], args, strict=True):
        share = number(factor)
        for at, right in _terms(one):
            total[at] = total[at] + share * right
    return total


def _mul(args: list[Jet], numbers: list[str]) -> Jet:
    found = args[0]
    for other in args[1:]:
        terms, length = _terms(other), len(found)
        total = [arb(0)] * length
        for at, one in _terms(found):
            for beside, right in terms:
                if at + beside >= length:
                    break
                total[at + beside] = total[at + beside] + one * right
        found = total
    return found


def _square(args: list[Jet], numbers: list[str]) -> Jet:
    found = _mul([args[0], args[0]], numbers)
    return [found[0].nonnegative_part(), *found[1:]]


def _inv(args: list[Jet], numbers: list[str]) -> Jet:
    (a,) = args
    if a[0].contains(0):
        raise WideError
    found, terms = [1 / a[0]], [term for term in _terms(a) if term[0]]
    for place in range(1, len(a)):
        found.append(-sum((one * found[place - at] for at, one in terms if at <= place), arb(0)) / a[0])
    return found


def _grown(first: arb, a: Jet) -> Jet:
    """f with f′ = f·a′."""
    found, steps = [first], _steps(a)
    for place in range(1, len(a)):
        found.append(sum((step * found[place - at] for at, step in steps if at <= place), arb(0)) / place)
    return found


def _exp(args: list[Jet], numbers: list[str]) -> Jet:
    return _grown(args[0][0].exp(), args[0])


def _gathered(first: arb, slope: Jet, a: Jet) -> Jet:
    """f with f′ = slope·a′."""
    found, steps = [first], _steps(a)
    for place in range(1, len(a)):
        found.append(sum((step * slope[place - at] for at, step in steps if at <= place), arb(0)) / place)
    return found


def _log(args: list[Jet], numbers: list[str]) -> Jet:
    if not args[0][0] > 0:
        raise WideError
    return _gathered(args[0][0].log(), _inv(args, numbers), args[0])


def _power(args: list[Jet], numbers: list[str]) -> Jet:
    power = number(numbers[0])
    exponent = [power * one for one in _log(args, numbers)]
    return _exp([exponent], numbers)


def _sigmoid(args: list[Jet], numbers: list[str]) -> Jet:
    (a,) = args
    if a[0] > 0:
        fall = _exp([[-one for one in a]], numbers)
        return _inv([[1 + fall[0], *fall[1:]]], numbers)
    rise = _exp([a], numbers)
    return _mul([rise, _inv([[1 + rise[0], *rise[1:]]], numbers)], numbers)


def _softplus(args: list[Jet], numbers: list[str]) -> Jet:
    (a,) = args
    value = a[0] + (1 + (-a[0]).exp()).log() if a[0] > 0 else (1 + a[0].exp()).log()
    return _gathered(value, _sigmoid([a], numbers), a)


def _turned(args: list[Jet]) -> tuple[Jet, Jet]:
    """sin and cos of a jet."""
    (a,) = args
    sine, cosine, steps = [a[0].sin()], [a[0].cos()], _steps(a)
    for place in range(1, len(a)):
        terms = [(step, place - at) for at, step in steps if at <= place]
        up = sum((step * cosine[at] for step, at in terms), arb(0)) / place
        down = -sum((step * sine[at] for step, at in terms), arb(0)) / place
        sine.append(up)
        cosine.append(down)
    return sine, cosine


def _sin(args: list[Jet], numbers: list[str]) -> Jet:
    return _turned(args)[0]


def _cos(args: list[Jet], numbers: list[str]) -> Jet:
    return _turned(args)[1]


def _atan(args: list[Jet], numbers: list[str]) -> Jet:
    squared = _mul([args[0], args[0]], numbers)
    return _gathered(args[0][0].atan(), _inv([[1 + squared[0], *squared[1:]]], numbers), args[0])


def _erf(args: list[Jet], numbers: list[str], sign: int = 1) -> Jet:
    fall = _exp([[-one for one in _mul([args[0], args[0]], numbers)]], numbers)
    slope = [2 * sign * one / arb.pi().sqrt() for one in fall]
    return _gathered(args[0][0].erf() if sign > 0 else args[0][0].erfc(), slope, args[0])


def _log_erfc(args: list[Jet], numbers: list[str], squares: int) -> Jet:
    """log erfc(u) + squares·u². The k-th coefficient of e^(u²) erfc(u) is (−2)^k e^(u²) iᵏerfc(u) (DLMF 7.18.2), an integral of
    (−2t)^k e^(−t² − 2ut) over t > 0, of which the size falls in u. Far below 0 erfc itself is nearly constant."""
    (a,) = args
    low, high = a[0].lower(), a[0].upper()
    is_tail = low >= -2
    u = [a[0], arb(1), *[arb(0)] * (len(a) - 1)][: len(a)]
    if is_tail:
        found = [one.union(other) for one, other in zip(_tails(low, len(a)), _tails(high, len(a)), strict=True)]
    else:
        found = _erf([u], numbers, -1)
        found[0] = low.erfc().union(high.erfc())
    logs, squared = _log([found], numbers), _mul([u, u], numbers)
    return _composed([one + (squares - is_tail) * other for one, other in zip(logs, squared, strict=True)], a)


def _tails(u: arb, length: int) -> Jet:
    """e^(u²) erfc(u) at a point, by DLMF 7.18.7, of which each step loses about four bits and twice those of u."""
    before, (_, bits) = ctx.prec, math.frexp(float(u))
    ctx.prec = before + length * (4 + 2 * max(bits, 0))
    try:
        found = [-1 / arb.pi().sqrt(), (u * u).exp() * u.erfc()]
        for place in range(1, length):
            found.append(2 * (u * found[-1] + found[-2]) / place)
        return found[1:]
    finally:
        ctx.prec = before


def _composed(outer: Jet, a: Jet) -> Jet:
    """f(a), from the Taylor coefficients of f at the value of a."""
    if all(one.is_zero() for one in a[2:]):
        return [one * a[1] ** place for place, one in enumerate(outer)]
    step = [arb(0), *a[1:]]
    total = [outer[-1], *[arb(0)] * (len(a) - 1)]
    for one in reversed(outer[:-1]):
        total = _mul([total, step], [])
        total[0] = total[0] + one
    return total


def _lgamma(args: list[Jet], numbers: list[str]) -> Jet:
    """log Γ, whose k-th coefficient at x is (−1)^k ζ(k, x)/k (DLMF 5.15.1, 25.11.12)."""
    (a,) = args
    if not a[0] > 0:
        raise WideError
    found = [a[0].lgamma(), a[0].digamma()]
    found += [(-1) ** place * arb(place).zeta(a[0]) / place for place in range(2, len(a))]
    return _composed(found, a)


def _polygamma(args: list[Jet], numbers: list[str]) -> Jet:
    """ψ and its derivatives, by Hurwitz' ζ again: the k-th coefficient of ψ^(m) is (−1)^(m+k+1) (m+k)!/k! ζ(m+k+1, x)."""
    (a,), order = args, int(Fraction(numbers[0]))
    if not a[0] > 0:
        raise WideError
    found = []
    for place in range(len(a)):
        at = order + place
        size = arb(math.factorial(at)) / math.factorial(place)
        found.append((-1) ** (at + 1) * size * arb(at + 1).zeta(a[0]) if at else a[0].digamma())
    return _composed(found, a)


def _hyp0f1(args: list[Jet], numbers: list[str]) -> Jet:
    """Σ w^k / (k! (b)_k) added up, and its derivatives likewise."""
    (a,), b = args, number(numbers[0])
    found, scale = [], arb(1)
    for place in range(len(a)):
        found.append(scale * _added_up(a[0], b + place))
        scale = scale / ((b + place) * (place + 1))
    return _composed(found, a)


def _added_up(w: arb, b: arb) -> arb:
    """The series to where a term is less than 2^−prec and each further one less than half of the one before."""
    if not abs(w) < MOST_ARGUMENT:
        raise WideError
    total, term, place = arb(0), arb(1), 0
    while True:
        total, place = total + term, place + 1
        term = term * w / (place * (b + place - 1))
        size = abs(term).upper()
        if not size.is_finite():
            raise WideError
        if size * arb(2) ** ctx.prec < 1 and 2 * abs(w) < place * (b + place - 1):
            return total + arb(0, 2 * size)


def _gammaincc(args: list[Jet], numbers: list[str]) -> Jet:
    """Γ(s, x)/Γ(s), of which the slope is −x^(s−1) e^(−x)/Γ(s)."""
    s, a = args
    if not a[0] > 0 or not 0 < s[0] < MOST_ARGUMENT or not all(one.is_zero() for one in s[1:]):
        raise WideError
    logs = [(s[0] - 1) * one - other for one, other in zip(_log([a], numbers), a, strict=True)]
    logs[0] = logs[0] - s[0].lgamma()
    slope = [-one for one in _exp([logs], numbers)]
    return _gathered(a[0].gamma_upper(s[0], 1), slope, a)


def _null(args: list[Jet], numbers: list[str]) -> Jet:
    return [0 * one for one in args[0]]


OPERATIONS = {
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
    "erfc": lambda args, numbers: _erf(args, numbers, -1),
    "log_erfc": lambda args, numbers: _log_erfc(args, numbers, 0),
    "log_erfcx": lambda args, numbers: _log_erfc(args, numbers, 1),
    "lgamma": _lgamma,
    "polygamma": _polygamma,
    "hyp0f1": _hyp0f1,
    "gammaincc": _gammaincc,
    "null": _null,
}
