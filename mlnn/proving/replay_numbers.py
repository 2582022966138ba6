"""A stored node at numbers of mpmath: written apart from the prover's rules."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp


def rational(text: str) -> Any:
    value = Fraction(text)
    return mp.mpf(value.numerator) / value.denominator


NUMBERS: dict[str, Callable[..., Any]] = {
    "exp": mp.exp,
    "log": mp.log,
    "inv": lambda x: 1 / x,
    "square": lambda x: x * x,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x)),
    "sin": mp.sin,
    "cos": mp.cos,
    "atan": mp.atan,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "lgamma": mp.loggamma,
    "null": lambda x: 0 * x,
}


def value_of(nodes: Sequence[Any], root: int, places: Mapping[str, Any]) -> Any:
    """A stored node at places of its variables, by mpmath."""
    found: dict[int, Any] = {}

    def at(place: int) -> Any:
        if place not in found:
            op, args, numbers, name = nodes[place]
            if op == "var":
                found[place] = places[name]
            elif op == "switch":
                looked = at(args[0])
                found[place] = at(args[2 + (looked > 0) - (looked < 0)])
            else:
                found[place] = _number(op, [at(one) for one in args], numbers)
        return found[place]

    return at(root)


def _number(op: str, args: Sequence[Any], numbers: Sequence[str]) -> Any:
    if op == "lin":
        return rational(numbers[0]) + sum(
            (rational(one) * arg for one, arg in zip(numbers[1:], args, strict=True)), mp.mpf(0)
        )
    if op == "mul":
        return mpmath.fprod(args)
    if op == "power":
        return args[0] ** rational(numbers[0])
    if op == "polygamma":
        return mp.psi(int(numbers[0]), args[0])
    return NUMBERS[op](*args)
