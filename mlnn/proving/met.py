"""What was followed held against what the code computed: nodes at the very numbers at which they were traced."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from flint import arb, arb_series, fmpq
from torch import Tensor

from mlnn.proving.balls import Evaluation, UnsureError, digits
from mlnn.proving.graph import Graph, Id, Variable
from mlnn.proving.rules import OutsideError, Series, VagueError

BITS = 128
NEAR = 4
"""Raw outputs within ± it are asked: further out floats lose what numbers keep."""
CLOSE = 1e-4
"""How far apart the two may be, relative to the larger or 1: rounding in float64 is far less, another operation more."""


class _At(Evaluation):
    """A graph at numbers of all its variables."""

    def __init__(self, graph: Graph, places: Mapping[Variable, Fraction]) -> None:
        super().__init__(graph, arb(0), {}, 1)
        self.places = places

    def _make(self, one: Id) -> Series:
        name = self.graph.nodes[one].name
        if name is None:
            return super()._make(one)
        value = self.places[name]
        return arb_series([arb(fmpq(value.numerator, value.denominator))], 1)


def unlike(
    graph: Graph, nodes: Sequence[Id], numbers: Tensor | None, places: Mapping[Variable, Fraction]
) -> tuple[float, float] | None:
    """(what a node is, what the code computed) where they are apart; None where they are not, or one is no number."""
    if numbers is None or any(kind == "z" and abs(value) > NEAR for (kind, _), value in places.items()):
        return None
    at = _At(graph, places)
    with digits(BITS, 1):
        for node, number in zip(nodes, numbers.detach().double().flatten().tolist(), strict=True):
            found = _number(at, node)
            size = max(1.0, abs(found), abs(number))
            if abs(found - number) > CLOSE * size and size < float("inf"):
                return found, number
    return None


def _number(at: _At, node: Id) -> float:
    try:
        return float(at[node][0].mid())
    except (UnsureError, VagueError, OutsideError, KeyError):
        return float("nan")
