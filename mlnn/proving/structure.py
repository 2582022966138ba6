"""What a graph's form says of all targets at once: a function of the residual, or a polynomial in the target plus its own terms."""

from collections.abc import Sequence
from fractions import Fraction

from mlnn.proving.algebra import rebuilt
from mlnn.proving.graph import Graph, Id

OUTPUT, TARGET = ("z", 0), ("y", 0)


def at_target(graph: Graph, roots: Sequence[Id], target: Fraction) -> tuple[Graph, tuple[Id, ...]]:
    """Some nodes with a number for the target, in a graph of their own."""
    into = Graph()
    return into, rebuilt(graph, tuple(roots), into, {TARGET: into.const(target)})


def of_residual(graph: Graph, roots: Sequence[Id]) -> tuple[Graph, tuple[Id, ...]] | None:
    """Some nodes as functions of the raw output minus the target alone, the variable ("z", 0) of a graph of their own; None where
    the target stays."""
    into = Graph()
    z, y = into.var(*OUTPUT), into.var(*TARGET)
    found = rebuilt(graph, tuple(roots), into, {OUTPUT: into.add(z, y)})
    return None if any(TARGET in into.reads[one] for one in found) else (into, found)


def degree(graph: Graph, one: Id) -> int | None:
    """The degree of a node as a polynomial in the target, None where it is none by its form."""
    found: dict[Id, int | None] = {}
    for here in graph.needed([one]):
        node = graph.nodes[here]
        below = [found[other] for other in node.args]
        if TARGET not in graph.reads[here]:
            found[here] = 0
        elif node.op == "var":
            found[here] = 1
        elif None in below or (node.op == "switch" and below[0]):
            found[here] = None
        elif node.op in ("lin", "switch"):
            found[here] = max(below)  # type: ignore[type-var]
        elif node.op in ("mul", "square"):
            found[here] = sum(below) * (2 if node.op == "square" else 1)  # type: ignore[arg-type]
        else:
            found[here] = None
    return found[one]


def parted(graph: Graph, one: Id) -> tuple[Id, Id]:
    """(the rest, the terms of the target alone) of a sum."""
    node = graph.nodes[one]
    if node.op != "lin":
        return one, graph.zero
    constant, *factors = node.numbers
    terms = list(zip(factors, node.args, strict=True))
    own = [term for term in terms if graph.reads[term[1]] == {TARGET}]
    return graph.linear([term for term in terms if term not in own], constant), graph.linear(own)
