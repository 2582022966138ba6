"""σ(u) + σ(−u) is 1, softplus(u) − softplus(−u) is u, and (1 − y)·f + y·f is f: pairs of them brought down to what they are."""

from fractions import Fraction
from itertools import product as each
from math import prod

from mlnn.proving.algebra import product
from mlnn.proving.graph import Graph, Id
from mlnn.proving.rebuilding import remade


def oriented(graph: Graph, root: Id) -> Id:
    """A node with softplus(u) + −u in place of softplus(−u) throughout, so that what is left of a pair cancels."""

    def turned(one: Id, args: tuple[Id, ...]) -> Id | None:
        if graph.nodes[one].op != "softplus" or not _falls(graph, args[0]):
            return None
        return graph.add(args[0], graph.make("softplus", (graph.neg(args[0]),)))

    return remade(graph, [root], graph, turned)[0]


def _falls(graph: Graph, one: Id) -> bool:
    """Whether a sum begins with a factor below 0."""
    node = graph.nodes[one]
    return node.op == "lin" and bool(node.args) and node.numbers[1] < 0


def paired(graph: Graph, one: Id) -> Id:
    """A sum with 1 − σ(u) in place of σ(−u) wherever both stand in it."""
    node = graph.nodes[one]
    if node.op != "lin":
        return one
    constant, *factors = node.numbers
    terms, total = dict(zip(node.args, factors, strict=True)), constant
    for inner in node.args:
        other = _mirror(graph, inner)
        if other in terms and inner in terms and inner < other:
            factor = terms.pop(other)
            total, terms[inner] = total + factor, terms[inner] - factor
    return graph.linear(((factor, inner) for inner, factor in terms.items() if factor != Fraction(0)), total)


def _mirror(graph: Graph, one: Id) -> Id:
    """σ(−u) of σ(u); the node itself of any other."""
    node = graph.nodes[one]
    return graph.make("sigmoid", (graph.neg(node.args[0]),)) if node.op == "sigmoid" else one


MOST_SPREAD = 16
"""Products that one is spread out to."""


def spread(graph: Graph, one: Id) -> Id:
    """A sum with its products of sums multiplied out, where that leaves less of it."""
    node = graph.nodes[one]
    if node.op != "lin":
        return one
    constant, *factors = node.numbers
    terms = [
        (factor * share, inner)
        for factor, arg in zip(factors, node.args, strict=True)
        for share, inner in _multiplied(graph, arg)
    ]
    found = graph.linear(terms, constant)
    return found if len(graph.needed([found])) < len(graph.needed([one])) else one


def _multiplied(graph: Graph, one: Id) -> list[tuple[Fraction, Id]]:
    node = graph.nodes[one]
    if node.op != "mul":
        return _summands(graph, one)
    rows = [_summands(graph, inner) for inner in node.args]
    if prod(map(len, rows)) > MOST_SPREAD:
        return [(Fraction(1), one)]
    return [
        (prod((share for share, _ in row), start=Fraction(1)), product(graph, [inner for _, inner in row]))
        for row in each(*rows)
    ]


def _summands(graph: Graph, one: Id) -> list[tuple[Fraction, Id]]:
    """A sum's terms; of σ(−u) those of 1 − σ(u)."""
    node = graph.nodes[one]
    if node.op == "sigmoid" and _falls(graph, node.args[0]):
        return [(Fraction(1), graph.one), (Fraction(-1), _mirror(graph, one))]
    if node.op != "lin" or not node.args:
        return [(Fraction(1), one)]
    constant, *factors = node.numbers
    return [*zip(factors, node.args, strict=True), *([(constant, graph.one)] if constant else [])]
