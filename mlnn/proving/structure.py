"""What a graph's form says of all targets at once: a function of the residual, or a polynomial in the target plus its own terms."""

from collections.abc import Sequence
from fractions import Fraction

from mlnn.proving.algebra import mul
from mlnn.proving.graph import Graph, Id, Node
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rows import Target

OUTPUT, TARGET = ("z", 0), ("y", 0)


def numbers_of(target: Target) -> tuple[float, ...]:
    """The numbers that a target is."""
    return target if isinstance(target, tuple) else (target,)


def at_target(graph: Graph, roots: Sequence[Id], target: Target) -> tuple[Graph, tuple[Id, ...]]:
    """Some nodes with numbers for the target, in a graph of their own."""
    into = Graph()
    values = {("y", place): into.const(number) for place, number in enumerate(numbers_of(target))}
    return into, rebuilt(graph, tuple(roots), into, values)


def of_residual(graph: Graph, roots: Sequence[Id]) -> tuple[Graph, tuple[Id, ...]] | None:
    """Some nodes as functions of the raw output minus the target alone, the variable ("z", 0) of a graph of their own; None where
    the target stays."""
    into = Graph()
    z, y = into.var(*OUTPUT), into.var(*TARGET)
    found = rebuilt(graph, tuple(roots), into, {OUTPUT: into.add(z, y)})
    return None if any(TARGET in into.reads[one] for one in found) else (into, found)


def polynomial(graph: Graph, one: Id) -> list[Id] | None:
    """The coefficients of a node as a polynomial in the target, from the constant one on; None where it is none by its form."""
    found: dict[Id, list[Id] | None] = {}
    for here in graph.needed([one]):
        node = graph.nodes[here]
        below = [found[other] for other in node.args]
        if TARGET not in graph.reads[here]:
            found[here] = [here]
        elif node.op == "var":
            found[here] = [graph.zero, graph.one]
        elif any(part is None for part in below):
            found[here] = None
        else:
            found[here] = _combined(graph, node, [part for part in below if part is not None])
    return found[one]


def _combined(graph: Graph, node: Node, below: list[list[Id]]) -> list[Id] | None:
    if node.op == "lin":
        constant, *factors = node.numbers
        rows = [
            [part[place] if place < len(part) else graph.zero for part in below] for place in range(_longest(below))
        ]
        starts = [constant, *([Fraction(0)] * len(rows))]
        return [graph.linear(zip(factors, row, strict=True), start) for row, start in zip(rows, starts, strict=False)]
    if node.op in ("mul", "square"):
        return _multiplied(graph, below * 2 if node.op == "square" else below)
    if node.op == "switch" and len(below[0]) == 1:
        padded = [part + [graph.zero] * (_longest(below) - len(part)) for part in below[1:]]
        return [graph.switch(below[0][0], *row) for row in zip(*padded, strict=True)]
    return None


def _longest(parts: list[list[Id]]) -> int:
    return max(map(len, parts))


def _multiplied(graph: Graph, parts: list[list[Id]]) -> list[Id]:
    total = [graph.one]
    for part in parts:
        rows: list[list[Id]] = [[] for _ in range(len(total) + len(part) - 1)]
        for place, left in enumerate(total):
            for other, right in enumerate(part):
                rows[place + other].append(mul(graph, left, right))
        total = [graph.linear([(Fraction(1), one) for one in row]) for row in rows]
    return total


def parted(graph: Graph, one: Id) -> tuple[Id, Id]:
    """(the rest, the terms of the target alone that are no polynomials in it) of a sum; without those that are 0, see `lost_in`."""
    node = graph.nodes[one]
    if node.op != "lin":
        return one, graph.zero
    constant, *factors = node.numbers
    terms = list(zip(factors, node.args, strict=True))
    own = [term for term in terms if graph.reads[term[1]] == {TARGET} and polynomial(graph, term[1]) is None]
    kept = [term for term in own if graph.nodes[term[1]].op != "null"]
    return graph.linear([term for term in terms if term not in own], constant), graph.linear(kept)


def lost_in(graph: Graph, one: Id) -> set[Id]:
    """What a sum has 0 times, of the target alone: it has no value where that has none."""
    node = graph.nodes[one]
    terms = node.args if node.op == "lin" else (one,)
    return {
        graph.nodes[term].args[0] for term in terms if graph.nodes[term].op == "null" and graph.reads[term] == {TARGET}
    }
