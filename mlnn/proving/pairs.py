"""σ(u) + σ(−u) is 1: sums of sigmoids brought down to numbers where they are in pairs."""

from fractions import Fraction

from mlnn.proving.graph import Graph, Id


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
