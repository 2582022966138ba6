"""Taylor coefficients on balls by their recurrences, for replaying a proof: written apart from the prover's rules.

Each takes jets (coefficients of a function around a place) and the numbers that an operation is stored with.
"""

from fractions import Fraction

from flint import arb, fmpq

ORDER = 16
Jet = list[arb]


class WideError(Exception):
    """The box is too wide to tell."""


def number(text: str) -> arb:
    value = Fraction(text)
    return arb(fmpq(value.numerator, value.denominator))


def _lin(args: list[Jet], numbers: list[str]) -> Jet:
    length = len(args[0]) if args else ORDER + 2
    total = [number(numbers[0])] + [arb(0)] * (length - 1)
    for factor, one in zip(numbers[1:], args, strict=True):
        total = [left + number(factor) * right for left, right in zip(total, one, strict=True)]
    return total


def _mul(args: list[Jet], numbers: list[str]) -> Jet:
    found = args[0]
    for other in args[1:]:
        found = [sum((found[at] * other[place - at] for at in range(place + 1)), arb(0)) for place in range(len(found))]
    return found


def _square(args: list[Jet], numbers: list[str]) -> Jet:
    found = _mul([args[0], args[0]], numbers)
    return [found[0].nonnegative_part(), *found[1:]]


def _inv(args: list[Jet], numbers: list[str]) -> Jet:
    (a,) = args
    if a[0].contains(0):
        raise WideError
    found = [1 / a[0]]
    for place in range(1, len(a)):
        found.append(-sum((a[at] * found[place - at] for at in range(1, place + 1)), arb(0)) / a[0])
    return found


def _grown(first: arb, a: Jet) -> Jet:
    """f with f′ = f·a′."""
    found = [first]
    for place in range(1, len(a)):
        found.append(sum((at * a[at] * found[place - at] for at in range(1, place + 1)), arb(0)) / place)
    return found


def _exp(args: list[Jet], numbers: list[str]) -> Jet:
    return _grown(args[0][0].exp(), args[0])


def _gathered(first: arb, slope: Jet, a: Jet) -> Jet:
    """f with f′ = slope·a′."""
    found = [first]
    for place in range(1, len(a)):
        found.append(sum((at * a[at] * slope[place - at] for at in range(1, place + 1)), arb(0)) / place)
    return found


def _log(args: list[Jet], numbers: list[str]) -> Jet:
    if not args[0][0] > 0:
        raise WideError
    return _gathered(args[0][0].log(), _inv(args, numbers), args[0])


def _power(args: list[Jet], numbers: list[str]) -> Jet:
    exponent = [number(numbers[0]) * one for one in _log(args, numbers)]
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
    sine, cosine = [a[0].sin()], [a[0].cos()]
    for place in range(1, len(a)):
        terms = [(at * a[at], place - at) for at in range(1, place + 1)]
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
    "null": _null,
}
"""Without Γ, whose proofs are not replayed."""
