"""A number that is known as a float, as an exact node of a graph: a simple fraction, or a constant with a name."""

from fractions import Fraction

from flint import arb

from mlnn.proving.algebra import inv, log, mul
from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.graph import Graph, Id

SIMPLE = 1000
"""Denominators up to it."""
NEAR = 1e-12
"""Distance, relative above 1, to which an audit knows a temperature or the log of a base measure that has a name."""
LOGARITHMS = (2, 3, 5, 7, 10)
FACTORS = (Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-1, 2), Fraction(2), Fraction(-2))


def as_node(graph: Graph, value: float) -> Id:
    """The exact number that a float stands for, most likely: the float nearest to a fraction of a small denominator, as code holds
    it; else ± the logarithm of a small number, or its inverse; else the float as it is."""
    close = NEAR * max(1.0, abs(value))
    plain = float(Fraction(value).limit_denominator(SIMPLE))
    if abs(plain - value) <= close:
        return graph.const(plain)
    for node in _candidates(graph):
        for factor in FACTORS:
            if abs(float(factor) * _float(graph, node) - value) <= close:
                return graph.scale(factor, node)
    return graph.const(value)


def _candidates(graph: Graph) -> list[Id]:
    logs = [log(graph, graph.const(number)) for number in LOGARITHMS]
    return [*logs, *(inv(graph, one) for one in logs), mul(graph, logs[0], logs[0])]


def _float(graph: Graph, one: Id) -> float:
    """A constant node's value, nearly."""
    with digits(96, 1):
        return float(Evaluation(graph, arb(0), {}, 1)[one][0].mid())
