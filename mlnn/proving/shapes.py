"""What a sum is by its form: 1 + e^u, exponentials alone, −∞ and more."""

from fractions import Fraction

from mlnn.proving.graph import Graph, Id, Node

ONES = (Fraction(1), Fraction(1))


def is_lost(g: Graph, one: Id) -> bool:
    """Whether a node is −∞, or that and more."""
    node = g.nodes[one]
    terms = list(zip(node.args, node.numbers[1:], strict=True)) if node.op == "lin" else [(one, Fraction(1))]
    return any(factor > 0 and other == g.lost for other, factor in terms)


def is_exponentials(g: Graph, node: Node) -> bool:
    """Whether a node is a sum of several exponentials and nothing else."""
    plain = node.op == "lin" and node.numbers[0] == 0 and len(node.args) > 1 and set(node.numbers[1:]) == {1}
    return plain and all(g.nodes[one].op == "exp" for one in node.args)


def one_plus_exp(g: Graph, one: Id) -> Id | None:
    """u, of a node 1 + e^u."""
    node = g.nodes[one]
    if node.op != "lin" or node.numbers != ONES or g.nodes[node.args[0]].op != "exp":
        return None
    return g.nodes[node.args[0]].args[0]
