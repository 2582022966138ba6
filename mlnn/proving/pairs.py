"""σ(u) + σ(−u) is 1, and softplus(u) − softplus(−u) is u: pairs of them brought down to what they are."""

from fractions import Fraction

from mlnn.proving.algebra import again
from mlnn.proving.graph import Graph, Id


def oriented(graph: Graph, root: Id) -> Id:
    """A node with softplus(u) + −u in place of softplus(−u) throughout, so that what is left of a pair cancels."""
    found: dict[Id, Id] = {}
    for one in graph.needed([root]):
        node = graph.nodes[one]
        args = tuple(found[other] for other in node.args)
        if node.op == "var":
            found[one] = one
        elif node.op == "lin":
            constant, *factors = node.numbers
            found[one] = graph.linear(zip(factors, args, strict=True), constant)
        elif node.op == "softplus" and _falls(graph, args[0]):
            found[one] = graph.add(args[0], graph.make("softplus", (graph.neg(args[0]),)))
        else:
            found[one] = again(graph, node, args)
    return found[root]


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
