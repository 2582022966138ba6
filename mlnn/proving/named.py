"""A number that is known as a float, as an exact node of a graph: a simple fraction, or a constant with a name."""

from fractions import Fraction

from flint import arb

from mlnn.proving.algebra import inv, log, mul
from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.graph import Graph, Id

SIMPLE = 1000
"""Denominators up to it."""
NEAR = 1e-9
"""Relative distance, or absolute below 1, to which an audit knows a temperature or the log of a base measure."""
LOGARITHMS = (2, 3, 5, 7, 10)
FACTORS = (Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-1, 2), Fraction(2), Fraction(-2))


def as_nodes(graph: Graph, value: float) -> list[Id]:
    """Exact numbers that a float may stand for, the likeliest first: the float nearest to a fraction of a small denominator, as code
    holds it, that fraction itself, ± the logarithm of a small number or its inverse, and the float as it is."""
    close = NEAR * max(1.0, abs(value))
    found = []
    plain = Fraction(value).limit_denominator(SIMPLE)
    if abs(float(plain) - value) <= close / SIMPLE:
        found += [graph.const(float(plain)), graph.const(plain)]
    for node in _candidates(graph):
        for factor in FACTORS:
            if abs(float(factor) * _float(graph, node) - value) <= close / SIMPLE:
                found.append(graph.scale(factor, node))
    return list(dict.fromkeys([*found, graph.const(value)]))


def as_node(graph: Graph, value: float) -> Id:
    """The likeliest of them."""
    return as_nodes(graph, value)[0]


def _candidates(graph: Graph) -> list[Id]:
    logs = [log(graph, graph.const(number)) for number in LOGARITHMS]
    return [*logs, *(inv(graph, one) for one in logs), mul(graph, logs[0], logs[0])]


def _float(graph: Graph, one: Id) -> float:
    """A constant node's value, nearly."""
    with digits(96, 1):
        return float(Evaluation(graph, arb(0), {}, 1)[one][0].mid())
