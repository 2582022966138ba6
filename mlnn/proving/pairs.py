"""σ(u) + σ(−u) is 1, and softplus(u) − softplus(−u) is u: pairs of them brought down to what they are."""

from fractions import Fraction

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
