"""Special functions of torch, entry by entry: by torch's name, with its arguments by torch's names, as nodes of a graph."""

from collections.abc import Callable

from mlnn.proving.algebra import div
from mlnn.proving.core import (
    acosh,
    asin,
    asinh,
    atan2,
    atanh,
    faded,
    gammaincc,
    hypot,
    i0,
    i1,
    logaddexp2,
    pi,
    sinc,
)
from mlnn.proving.graph import Id
from mlnn.proving.roots import HALF

SPECIAL: dict[str, Callable[..., Id]] = {
    "asin": lambda g, self: asin(g, self),
    "acos": lambda g, self: g.sub(g.scale(HALF, pi(g)), asin(g, self)),
    "atan2": lambda g, self, other: atan2(g, self, other),
    "tan": lambda g, self: div(g, g.make("sin", (self,)), g.make("cos", (self,))),
    "asinh": lambda g, self: asinh(g, self),
    "acosh": lambda g, self: acosh(g, self),
    "atanh": lambda g, self: atanh(g, self),
    "hypot": lambda g, self, other: hypot(g, self, other),
    "logaddexp2": lambda g, self, other: logaddexp2(g, self, other),
    "sinc": lambda g, self: sinc(g, self),
    "i0": lambda g, self: i0(g, self),
    "special_i0e": lambda g, self: faded(g, i0(g, self), self),
    "special_i1": lambda g, self: i1(g, self),
    "special_i1e": lambda g, self: faded(g, i1(g, self), self),
    "igamma": lambda g, self, other: g.sub(g.one, gammaincc(g, self, other)),
    "igammac": lambda g, self, other: gammaincc(g, self, other),
}
