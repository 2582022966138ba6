"""What was followed held against what the code computed: nodes at the very numbers at which they were traced."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from flint import arb_series
from torch import Tensor

from mlnn.proving.balls import Placed, UnsureError, digits
from mlnn.proving.graph import Graph, Id, Variable
from mlnn.proving.rules import OutsideError, VagueError, number

BITS = 128
NEAR = 4
"""Raw outputs within ± it are asked: further out floats lose what numbers keep."""
CLOSE = 1e-4
"""How far apart the two may be, relative to the larger or 1: rounding in float64 is far less, another operation more."""


def unlike(
    graph: Graph, nodes: Sequence[Id], numbers: Tensor | None, places: Mapping[Variable, Fraction]
) -> tuple[float, float] | None:
    """(what a node is, what the code computed) where they are apart; None where they are not, or one is no number."""
    if numbers is None or any(kind == "z" and abs(value) > NEAR for (kind, _), value in places.items()):
        return None
    with digits(BITS, 1):
        at = Placed(graph, {name: arb_series([number(value)], 1) for name, value in places.items()}, 1)
        for node, computed in zip(nodes, numbers.detach().double().flatten().tolist(), strict=True):
            found = _number(at, node)
            size = max(1.0, abs(found), abs(computed))
            if abs(found - computed) > CLOSE * size and size < float("inf"):
                return found, computed
    return None


def _number(at: Placed, node: Id) -> float:
    try:
        return float(at[node][0].mid())
    except (UnsureError, VagueError, OutsideError, KeyError):
        return float("nan")
