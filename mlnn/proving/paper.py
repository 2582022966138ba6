"""A proof as plain data: the functions, and on which boxes which question was decided; `mlnn.proving.replay` checks it."""

from collections.abc import Mapping, Sequence

from flint import fmpq

from mlnn.proving.boxes import Question
from mlnn.proving.cases import Case
from mlnn.proving.paving import Tile


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


def _box(tile: Tile, places: Mapping[int, int]) -> list[object]:
    """[from, to, answer, states of switches by the node that they look at]."""
    states = [[places[looks_at], state] for looks_at, state in tile.states if looks_at in places]
    return [str(tile.low), str(tile.high), tile.answer, states]
