"""A proof as plain data: the functions, and on which boxes which question was decided; `mlnn.proving.replay` checks it."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from flint import fmpq

from mlnn.proving.boxes import Question
from mlnn.proving.cases import RESIDUAL, Case
from mlnn.proving.graph import Graph
from mlnn.proving.inner import Inner
from mlnn.proving.paving import Tile
from mlnn.proving.proof import Proof
from mlnn.proving.rows import Side, Target
from mlnn.proving.sketch import nodes_of

MOST_NODES = 2000
"""Of the two sides as they were traced; more are not stored: cross-entropy of 32 classes has 191."""


def on_paper(
    case: Case, asked: Sequence[Question], tiles: Mapping[str, Sequence[Tile]], ends: tuple[fmpq, fmpq], tolerance: fmpq
) -> dict[str, object]:
    """A case as plain data; fractions as "3/8". Nodes are [operation, places of its arguments, numbers]."""
    watched = {looks_at for rows in tiles.values() for tile in rows for looks_at, _ in tile.states}
    needed = case.graph.needed([one for question in asked for one in (question.plus, question.minus)] + sorted(watched))
    places = {one: place for place, one in enumerate(needed)}
    nodes = [case.graph.nodes[one] for one in needed]
    return {
        "target": case.target,
        "domain": [str(end) for end in ends],
        "tolerance": str(tolerance),
        "nodes": [
            [node.op, [places[one] for one in node.args], [str(value) for value in node.numbers]] for node in nodes
        ],
        "questions": [
            {
                "name": one.name,
                "plus": places[one.plus],
                "minus": places[one.minus],
                "slope": one.slope,
                "boxes": [_box(tile, places) for tile in tiles[one.name]],
            }
            for one in asked
        ],
    }


def sides_on_paper(
    graph: Graph,
    sides: Mapping[Target, tuple[Side, Side]],
    ends: tuple[fmpq, fmpq],
    tolerance: fmpq,
    found: Proof,
    inner: Inner | None = None,
) -> tuple[dict[str, object], ...]:
    """Both sides of what is proved equal as they were traced, before any form of them was found, target by target, with what
    their functions were of; nothing of large ones, and of targets of several numbers."""
    of_numbers = {target: pair for target, pair in sides.items() if not isinstance(target, tuple)}
    if found.answer != "proved" or len(of_numbers) < len(sides):
        return ()
    roots = [one for pair in of_numbers.values() for side in pair for one in (side.value, *side.gradient)]
    rows, at = nodes_of(graph, roots)
    if len(rows) > MOST_NODES:
        return ()
    pairs = []
    for target, pair in of_numbers.items():
        told = [told for side in pair for told in (at[side.value], [at[one] for one in side.gradient])]
        pairs.append([str(Fraction(target)), *told])
    part: dict[str, object] = {
        "kind": "sides",
        "residual": found.variable == RESIDUAL,
        "domain": [str(end) for end in ends],
        "tolerance": str(tolerance),
        "nodes": rows,
        "pairs": pairs,
    }
    if inner is not None:
        part["inner"] = [str(one) for one in (inner.start, inner.rise, inner.own)]
    return (part,)


def _box(tile: Tile, places: Mapping[int, int]) -> list[object]:
    """[from, to, answer, states of switches by the node that they look at]."""
    states = [[places[looks_at], state] for looks_at, state in tile.states if looks_at in places]
    return [str(tile.low), str(tile.high), tile.answer, states]
