"""A graph evaluated on a ball of raw outputs: series of its nodes, with each switch in a state that is certain, or was told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from flint import arb, arb_series, ctx, fmpq

from mlnn.proving.graph import ABOVE, AT, BELOW, Graph, Id, Node, Variable
from mlnn.proving.rules import COSTS, FINITE, RULES, Series, VagueError

States = Mapping[Id, int]
"""By the node that a switch looks at: BELOW, AT or ABOVE."""


_constant: WeakKeyDictionary[Graph, dict[tuple[Id, int, int], Series]] = WeakKeyDictionary()
"""Nodes that read no variable, by the digits and the coefficients that they were made with."""


class UnsureError(Exception):
    """A switch may be in more than one state on the ball. `looks_at`: the node that it looks at."""

    def __init__(self, looks_at: Id) -> None:
        super().__init__(looks_at)
        self.looks_at = looks_at


@contextmanager
def digits(bits: int, terms: int) -> Iterator[None]:
    """Arithmetic of so many bits, and series of so many coefficients; the library's settings are as before afterwards."""
    before = ctx.prec, ctx.cap
    ctx.prec, ctx.cap = bits, terms
    try:
        yield
    finally:
        ctx.prec, ctx.cap = before


def ball(low: fmpq, high: fmpq) -> arb:
    """A ball around [low, high]: a little wider where its radius has many digits."""
    return arb((low + high) / 2, arb((high - low) / 2).upper())


class Evaluation:
    """The nodes of a graph as series around a place, those that are asked for.

    `decided`: the states that switches were in, certain on the whole ball, or told. `beside`: what is exactly zero at the place,
    but not around it, is not sure either: its state is asked for on one side of the place. `cost`: of the nodes made so far, a
    product's being 1.
    """

    def __init__(self, graph: Graph, place: arb, states: States, terms: int, beside: bool = False) -> None:
        self.graph, self.terms, self.beside = graph, terms, beside
        self.x = arb_series([place, 1], terms)
        self.decided = dict(states)
        self.cost = 0
        self._found: dict[Id, Series] = {}

    def __getitem__(self, one: Id) -> Series:
        """The series of a node. Raises UnsureError, VagueError or `OutsideError`."""
        found = self._found.get(one)
        if found is None:
            found = self._found[one] = self._make(one)
        return found

    def _make(self, one: Id) -> Series:
        node = self.graph.nodes[one]
        if node.op == "var":
            return self.x
        if node.op == "switch":
            return self[node.args[2 + self._state(node.args[0])]]
        if not self.graph.reads[one]:
            return self._fixed(one)
        self.cost += COSTS.get(node.op, 1)
        return self._ruled(node)

    def _fixed(self, one: Id) -> Series:
        """A number, such as √(2π), which is made once for all boxes."""
        known = _constant.setdefault(self.graph, {})
        found = known.get((one, ctx.prec, self.terms))
        if found is None:
            found = known[one, ctx.prec, self.terms] = self._ruled(self.graph.nodes[one])
        return found

    def _ruled(self, node: Node) -> Series:
        found = RULES[node.op](node, [self[other] for other in node.args], self.terms)
        if node.op not in FINITE and not all(map(arb.is_finite, found.coeffs())):
            raise VagueError
        return found

    def _state(self, looks_at: Id) -> int:
        state = self.decided.get(looks_at)
        if state is None:
            series = self[looks_at]
            state = sign(series[0])
            if state is None or (state == AT and self.beside and not _is_zero(series)):
                raise UnsureError(looks_at)
            self.decided[looks_at] = state
        return state


class Placed(Evaluation):
    """A graph at series for all its variables, whatever they are."""

    def __init__(
        self, graph: Graph, places: Mapping[Variable, Series], terms: int, states: States | None = None
    ) -> None:
        super().__init__(graph, arb(0), states or {}, terms)
        self.places = places

    def _make(self, one: Id) -> Series:
        node = self.graph.nodes[one]
        if node.name is not None:
            self.cost += 1
            return self.places[node.name]
        return super()._make(one)


def _is_zero(series: Series) -> bool:
    return all(part.is_zero() for part in series.coeffs())


def sign(value: arb) -> int | None:
    """BELOW, AT (exactly zero) or ABOVE; None where the ball does not tell."""
    if value > 0:
        return ABOVE
    if value < 0:
        return BELOW
    return AT if value.is_zero() else None
