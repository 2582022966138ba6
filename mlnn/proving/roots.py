"""Roots of numbers, in one form: 2/√2 and √8/2 are √2."""

from fractions import Fraction

from mlnn.proving.graph import Graph, Id, Node

HALF = Fraction(1, 2)
LARGEST = 10**6
"""Of numbers whose roots are brought into one form: the largest numerator times denominator."""


def root(g: Graph, number: Fraction) -> Id | None:
    """The root of a number above 0: a fraction, times that of a whole number which no square divides; None of one that is too
    large, or not above 0."""
    whole, outside, factor = number.numerator * number.denominator, Fraction(1, number.denominator), 2
    if not 0 < whole <= LARGEST:
        return None
    while factor * factor <= whole:
        if whole % factor**2:
            factor += 1
        else:
            whole, outside = whole // factor**2, outside * factor
    return g.scale(outside, g.one if whole == 1 else g.make("power", (g.const(whole),), (HALF,)))


def is_root(g: Graph, node: Node) -> bool:
    """Whether a node is the root of what is above 0 by its form."""
    return node.op == "power" and node.numbers[0] == HALF and g.positive[node.args[0]]
