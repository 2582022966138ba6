"""Targets at which the code of a loss begins something else, those of y == 5, y > 50 or a clamp, and their neighbours.

Of an endless space a few targets are looked at; what code does at others shows in what its switches look at.
"""

import math
from collections.abc import Iterator
from fractions import Fraction

import torch

from mlnn.proving.graph import Graph
from mlnn.proving.structure import TARGET
from mlnn.targets import TargetSpace
from mlnn.targets.facts import COUNTS, HALF_LINE, LINE, UNIT_INTERVAL

MOST_BREAKS = 9
"""Targets that are looked at for them."""
BESIDE = Fraction(1, 8)
"""How far on either side of one that is no count another is, relative to it or 1."""


def breaks(graph: Graph, space: TargetSpace) -> list[float]:
    """Such targets of all nodes, branches of Python's among them, the nearest to 0 first; none of a space that is finite or
    of several numbers."""
    if space.event or space.finite or space.facts.support not in (COUNTS, HALF_LINE, LINE, UNIT_INTERVAL):
        return []
    found = {float(one) for edge in set(_edges(graph)) for one in _around(edge, space)}
    inside = [one for one in found if bool(space.facts.inside(torch.tensor(one, dtype=torch.float64)))]
    return sorted(inside, key=lambda one: (abs(one), one))[:MOST_BREAKS]


def _edges(graph: Graph) -> Iterator[Fraction]:
    """Numbers that a target alone is held against."""
    for node in graph.nodes:
        if node.op != "switch":
            continue
        looks_at = graph.nodes[node.args[0]]
        if looks_at.name == TARGET:
            yield Fraction(0)
        elif looks_at.op == "lin" and len(looks_at.args) == 1 and graph.nodes[looks_at.args[0]].name == TARGET:
            yield -looks_at.numbers[0] / looks_at.numbers[1]


def _around(edge: Fraction, space: TargetSpace) -> list[Fraction]:
    if space.facts.support != COUNTS:
        apart = BESIDE * max(Fraction(1), abs(edge))
        return [edge - apart, edge, edge + apart]
    return [Fraction(one) for one in {math.ceil(edge) - 1, math.floor(edge), math.ceil(edge), math.floor(edge) + 1}]
