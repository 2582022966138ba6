"""Nodes made anew: in another graph, with other nodes in place of some, each in its one form again."""

from collections.abc import Callable, Mapping, Sequence

from mlnn.proving.algebra import exp, inv, log, product, square
from mlnn.proving.graph import Graph, Id, Node, Variable


def rebuilt(graph: Graph, roots: tuple[Id, ...], into: Graph, values: Mapping[Variable, Id]) -> tuple[Id, ...]:
    """Some nodes of a graph in another one, with nodes of that in place of variables."""

    def valued(one: Id, _args: tuple[Id, ...]) -> Id | None:
        name = graph.nodes[one].name
        return None if name is None else values[name] if name in values else into.var(*name)

    return remade(graph, roots, into, valued)


def remade(
    graph: Graph, roots: Sequence[Id], into: Graph, other: Callable[[Id, tuple[Id, ...]], Id | None]
) -> tuple[Id, ...]:
    """Some nodes of a graph made anew in `into`, which may be the same, from their variables up.

    other: of a node and what its arguments have become, the node that takes its place; None where it stays what it is. In another
    graph it has to tell of the variables.
    """
    found: dict[Id, Id] = {}
    for one in graph.needed(roots):
        node = graph.nodes[one]
        args = tuple(found[inner] for inner in node.args)
        taken = other(one, args)
        if taken is not None:
            found[one] = taken
        elif node.op == "var":
            found[one] = one
        elif node.op == "lin":
            constant, *factors = node.numbers
            found[one] = into.linear(zip(factors, args, strict=True), constant)
        else:
            found[one] = _again(into, node, args)
    return tuple(found[root] for root in roots)


def _again(into: Graph, node: Node, args: tuple[Id, ...]) -> Id:
    if node.op == "mul":
        return product(into, args)
    if node.op == "switch":
        return into.switch(*args)
    if node.op in ALONE:
        return ALONE[node.op](into, args[0])
    if node.op == "null" and into.total[args[0]]:
        return into.zero
    return into.make(node.op, args, node.numbers)


ALONE: dict[str, Callable[[Graph, Id], Id]] = {"inv": inv, "exp": exp, "log": log, "square": square}
"""Operations of one number that have a form of their own."""
