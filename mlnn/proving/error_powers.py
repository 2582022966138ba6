"""Products of erfc(u) and powers of e as one power: erfc(u) = e^(−u²)·erfcx(u), of which log erfcx(u) keeps its digits far out.

That is written where u² is in the exponent and goes, and the other way round; elsewhere erfc(u), flat below 0, is kept.
"""

from collections.abc import Callable
from fractions import Fraction

from mlnn.proving.graph import Graph, Id


def _error_of(g: Graph, one: Id) -> tuple[Id, int] | None:
    """(u, 1) of a node erfc(u), (u, −1) of 1 over it; None of others."""
    node, sign = g.nodes[one], 1
    if node.op == "inv":
        node, sign = g.nodes[node.args[0]], -1
    return (node.args[0], sign) if node.op == "erfc" else None


def joined(g: Graph, exponent: Id, factor: Id, square: Callable[[Id], Id]) -> Id | None:
    """w of e^w = e^exponent·factor, where that is erfc(u), or 1 over it, and u² or log erfcx(u) goes; None elsewhere."""
    of = _error_of(g, factor)
    if of is None:
        return None
    u, sign = of
    tail = g.make("log_erfcx", (u,))
    rest = g.linear([(Fraction(1), exponent), (Fraction(-sign), square(u))])
    found = g.linear([(Fraction(1), rest), (Fraction(sign), tail)])
    fewer = _terms(g, rest) < _terms(g, exponent) or _terms(g, found) < _terms(g, rest)
    return found if fewer else None


def apart(g: Graph, exponent: Id, tail: Id, sign: int, squared: Id) -> Id | None:
    """w of e^exponent = e^w·erfc(u)^sign, where that takes u² out; `tail`: log erfcx(u), which is in the exponent `sign` times."""
    with_square = g.linear([(Fraction(1), exponent), (Fraction(sign), squared)])
    if _terms(g, with_square) >= _terms(g, exponent):
        return None
    return g.linear([(Fraction(1), with_square), (Fraction(-sign), tail)])


def _terms(g: Graph, one: Id) -> int:
    node = g.nodes[one]
    return len(node.args) + (node.numbers[0] != 0) if node.op == "lin" else 1
