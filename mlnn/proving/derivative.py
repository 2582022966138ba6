"""The derivative of a node along one of its variables, as a node: what a side's own gradient is held against where the slope of a
series, along that variable alone, is not enough."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from mlnn.proving.algebra import div, inv, mul, power, product, square
from mlnn.proving.core import pi
from mlnn.proving.graph import Graph, Id, Node, Variable
from mlnn.proving.roots import HALF


def derivative(graph: Graph, root: Id, along: Variable) -> Id | None:
    """∂root/∂along wherever root is smooth; of a switch it is that of the branch. None where an operation has no rule."""
    found: dict[Id, Id] = {}
    for one in graph.needed([root]):
        node = graph.nodes[one]
        if along not in graph.reads[one]:
            found[one] = graph.zero
            continue
        inner = [found[other] for other in node.args]
        if node.op == "var":
            here: Id | None = graph.one
        elif node.op in WHOLE:
            here = WHOLE[node.op](graph, node, inner)
        else:
            here = _chained(graph, one, node, inner)
        if here is None:
            return None
        found[one] = here
    return found[root]


def _chained(graph: Graph, one: Id, node: Node, inner: Sequence[Id]) -> Id | None:
    rule = ALONE.get(node.op)
    return None if rule is None else mul(graph, rule(graph, one, node), inner[0])


def _lin(graph: Graph, node: Node, inner: Sequence[Id]) -> Id:
    return graph.linear(zip(node.numbers[1:], inner, strict=True))


def _mul(graph: Graph, node: Node, inner: Sequence[Id]) -> Id:
    terms = []
    for place, slope in enumerate(inner):
        others = [other for at, other in enumerate(node.args) if at != place]
        terms.append((Fraction(1), product(graph, [*others, slope])))
    return graph.linear(terms)


def _switch(graph: Graph, node: Node, inner: Sequence[Id]) -> Id:
    return graph.switch(node.args[0], *inner[1:])


def _null(graph: Graph, node: Node, _inner: Sequence[Id]) -> Id:
    return graph.make("null", node.args)


WHOLE: dict[str, Callable[[Graph, Node, Sequence[Id]], Id]] = {
    "lin": _lin,
    "mul": _mul,
    "switch": _switch,
    "null": _null,
}
"""(node, the derivatives of its arguments) → its own."""


def _other(graph: Graph, node: Node) -> Id:
    """σ(−u)."""
    return graph.make("sigmoid", (graph.neg(node.args[0]),))


def _bell(graph: Graph, node: Node, sign: int) -> Id:
    """±2/√π · e^(−u²)."""
    fall = graph.make("exp", (graph.neg(square(graph, node.args[0])),))
    return graph.scale(2 * sign, mul(graph, power(graph, pi(graph), -HALF), fall))


def _far_bell(graph: Graph, node: Node) -> Id:
    """−2/√π · e^(−u²)/erfc(u), without its loss of digits far out."""
    rest = graph.make("exp", (graph.neg(graph.make("log_erfcx", node.args)),))
    return graph.scale(-2, mul(graph, power(graph, pi(graph), -HALF), rest))


def _power(graph: Graph, node: Node) -> Id:
    (exponent,) = node.numbers
    return graph.scale(exponent, power(graph, node.args[0], exponent - 1))


ALONE: dict[str, Callable[[Graph, Id, Node], Id]] = {
    "square": lambda g, _one, node: g.scale(2, node.args[0]),
    "inv": lambda g, one, _node: g.neg(square(g, one)),
    "exp": lambda _g, one, _node: one,
    "log": lambda g, _one, node: inv(g, node.args[0]),
    "power": lambda g, _one, node: _power(g, node),
    "sigmoid": lambda g, one, node: mul(g, one, _other(g, node)),
    "softplus": lambda g, _one, node: g.make("sigmoid", node.args),
    "sin": lambda g, _one, node: g.make("cos", node.args),
    "cos": lambda g, _one, node: g.neg(g.make("sin", node.args)),
    "atan": lambda g, _one, node: inv(g, g.linear([(Fraction(1), square(g, node.args[0]))], 1)),
    "erf": lambda g, _one, node: _bell(g, node, 1),
    "erfc": lambda g, _one, node: _bell(g, node, -1),
    "log_erfc": lambda g, _one, node: _far_bell(g, node),
    "log_erfcx": lambda g, _one, node: g.add(g.scale(2, node.args[0]), _far_bell(g, node)),
    "lgamma": lambda g, _one, node: g.make("polygamma", node.args, (Fraction(0),)),
    "polygamma": lambda g, _one, node: g.make("polygamma", node.args, (node.numbers[0] + 1,)),
    "hyp0f1": lambda g, _one, node: div(
        g, g.make("hyp0f1", node.args, (node.numbers[0] + 1,)), g.const(node.numbers[0])
    ),
}
"""Of a function of one number its slope at that number."""
