"""Parts of a proof that are no boxes, as plain data: nodes, identities by form, integrals, and temperatures at places."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from flint import arb

from mlnn.proving.balls import digits
from mlnn.proving.graph import Graph, Id
from mlnn.proving.integral import Integral, Piece, Side

Paper: TypeAlias = dict[str, object]
BITS, DIGITS, MARGIN = 256, 30, 80
"""Of stored decimals, and the bits at which their rounding is made room for."""


def nodes_of(graph: Graph, roots: Sequence[Id]) -> tuple[list[list[object]], dict[Id, int]]:
    """The nodes that some rest on as [operation, places of arguments, numbers, variable], and where each stands."""
    needed = graph.needed(roots)
    places = {one: place for place, one in enumerate(needed)}
    rows: list[list[object]] = []
    for one in needed:
        node = graph.nodes[one]
        name = None if node.name is None else f"{node.name[0]}{node.name[1]}"
        rows.append([node.op, [places[other] for other in node.args], [str(value) for value in node.numbers], name])
    return rows, places


def identity(graph: Graph, left: Id, right: Id, inside: str = "any") -> Paper:
    """Two nodes that are equal by their form, whatever their variables are. `inside`: where these may lie: "any", "above 0",
    "counts"."""
    rows, places = nodes_of(graph, [left, right])
    return {"kind": "identity", "nodes": rows, "left": places[left], "right": places[right], "inside": inside}


def ends(value: arb) -> list[str]:
    """Bounds of a ball, as decimals that are outside of it."""
    with digits(BITS, 1):
        room = abs(value).upper() * arb(2) ** -MARGIN
        return [decimal(value.lower() - room), decimal(value.upper() + room)]


def decimal(value: arb) -> str:
    """A number to thirty digits."""
    with digits(BITS, 1):
        return str(value.mid().str(DIGITS, radius=False))


def integral(found: Integral) -> Paper:
    """An integral with its pieces and tails."""
    return {
        "kind": "integral",
        "unit": found.unit,
        "parts": [_part(*part) for part in found.parts],
        "sides": [_side(side) for side in found.sides],
        "total": ends(found.value),
    }


def _part(graph: Graph, exponent: Id, pieces: Sequence[Piece]) -> Paper:
    watched = sorted({looks_at for piece in pieces for looks_at, _ in piece.states if looks_at >= 0})
    rows, places = nodes_of(graph, [exponent, *watched])
    return {"nodes": rows, "exponent": places[exponent], "pieces": [_piece(piece, places) for piece in pieces]}


def _piece(piece: Piece, places: Mapping[Id, int]) -> list[object]:
    states = [[places.get(looks_at, -1), state] for looks_at, state in piece.states]
    return [str(piece.low), str(piece.high), states]


def _side(side: Side) -> Paper:
    rows, places = nodes_of(side.graph, [side.exponent])
    return {
        "nodes": rows,
        "exponent": places[side.exponent],
        "sign": side.sign,
        "log": side.log,
        "start": str(side.start),
        "slope": decimal(side.slope),
        "bound": decimal(side.bound),
    }


def endless(side: Side) -> Paper:
    """A side on which an integral is infinite."""
    return {**_side(side), "kind": "endless"}
