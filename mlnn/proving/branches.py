"""A function taken apart at its switches: it is made anew in each state of each of them, where its form may say more."""

from collections.abc import Callable, Sequence

from mlnn.proving.graph import ABOVE, AT, BELOW, Graph, Id
from mlnn.proving.rebuilding import remade

MOST = 3
"""Switches that are taken apart; each makes three of one."""


def by_branch(graph: Graph, roots: Sequence[Id], make: Callable[[Sequence[Id]], Id], left: int = MOST) -> Id:
    """What `make` makes of some nodes, with the switches among them outside of it."""
    looks_at = _first(graph, roots)
    if looks_at is None or not left:
        return make(roots)
    branches = [by_branch(graph, _under(graph, roots, looks_at, state), make, left - 1) for state in (BELOW, AT, ABOVE)]
    return graph.switch(looks_at, *branches)


def _first(graph: Graph, roots: Sequence[Id]) -> Id | None:
    """What the first switch looks at, in which there is no other."""
    for one in graph.needed(roots):
        if graph.nodes[one].op == "switch":
            return graph.nodes[one].args[0]
    return None


def _under(graph: Graph, roots: Sequence[Id], looks_at: Id, state: int) -> list[Id]:
    """Nodes where it is known in which state the switches are that look at one node."""

    def known(one: Id, args: tuple[Id, ...]) -> Id | None:
        node = graph.nodes[one]
        return args[2 + state] if node.op == "switch" and node.args[0] == looks_at else None

    return list(remade(graph, roots, graph, known))
