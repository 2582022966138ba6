"""A stored node at numbers of mpmath: written apart from the prover's rules."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp
from mpmath.libmp import NoConvergence

from mlnn.proving.recurrences import WideError
from mlnn.proving.replay_work import spend

LARGEST = 200_000
"""Of an exponent; e to it has 87 thousand digits, and a sine of that takes as many of π."""
SLOW = {
    "lgamma": 50,
    "polygamma": 200,
    "hyp0f1": 200,
    "gammaincc": 200,
    "erf": 20,
    "erfc": 20,
    "log_erfc": 20,
    "log_erfcx": 20,
}
UNKNOWN = (ArithmeticError, ValueError, TypeError, WideError, NoConvergence)
"""What is raised where there is no number."""


def rational(text: str) -> Any:
    value = Fraction(text)
    return mp.mpf(value.numerator) / value.denominator


def exponential(x: Any) -> Any:
    """e^x. Raises WideError where that has more digits than are worth an answer."""
    if abs(x) > LARGEST:
        raise WideError
    return mp.exp(x)


NUMBERS: dict[str, Callable[..., Any]] = {
    "exp": exponential,
    "log": mp.log,
    "inv": lambda x: 1 / x,
    "square": lambda x: x * x,
    "sigmoid": lambda x: 1 / (1 + exponential(-x)),
    "softplus": lambda x: mp.log1p(exponential(x)) if x < 0 else x + mp.log1p(exponential(-x)),
    "sin": mp.sin,
    "cos": mp.cos,
    "atan": mp.atan,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "log_erfc": lambda x: mp.log(mp.erfc(x)),
    "log_erfcx": lambda x: mp.log(exponential(x * x) * mp.erfc(x)),
    "lgamma": mp.loggamma,
    "null": lambda x: 0 * x,
}


def value_of(nodes: Sequence[Any], root: int, places: Mapping[str, Any]) -> Any:
    """A stored node at places of its variables, by mpmath. Raises one of `UNKNOWN` where it has no finite value here; it
    may be complex."""
    return values_of(nodes, [root], places)[0]


def values_of(nodes: Sequence[Any], roots: Sequence[int], places: Mapping[str, Any]) -> list[Any]:
    """Several nodes, each that they share made once."""
    found: dict[int, Any] = {}

    def at(place: int) -> Any:
        if place not in found:
            op, args, numbers, name = nodes[place]
            spend(SLOW.get(op, 1 + len(args) + len(numbers)), mp.prec)
            if op == "var":
                found[place] = places[name]
            elif op == "switch":
                looked = at(args[0])
                found[place] = at(args[2 + (looked > 0) - (looked < 0)])
            else:
                found[place] = _number(op, [at(one) for one in args], numbers)
            if not mp.isfinite(found[place]):
                raise WideError
        return found[place]

    return [at(root) for root in roots]


def _number(op: str, args: Sequence[Any], numbers: Sequence[str]) -> Any:
    if op == "lin":
        return rational(numbers[0]) + sum(
            (rational(one) * arg for one, arg in zip(numbers[1:], args, strict=True)), mp.mpf(0)
        )
    if op == "mul":
        return mpmath.fprod(args)
    if op == "power":
        return args[0] ** rational(numbers[0])
    if op == "hyp0f1":
        return mp.hyp0f1(rational(numbers[0]), args[0])
    if op == "gammaincc":
        return mp.gammainc(*args, regularized=True)
    if op == "polygamma":
        return mp.psi(int(numbers[0]), args[0])
    if op not in NUMBERS:
        raise WideError
    return NUMBERS[op](*args)
