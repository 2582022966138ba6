"""Single labels at which what a switch looks at is 0 for all raw outputs: (1 − 2y)·z at 1/2. A form that leaves kinks out, as
places that are met exactly, is to leave no whole label out."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from flint import fmpq

from mlnn.proving.agreement import Compared, agreed
from mlnn.proving.algebra import rebuilt
from mlnn.proving.cases import alike
from mlnn.proving.graph import Graph, Id
from mlnn.proving.inner import Powers, polynomials
from mlnn.proving.linear import reach_of
from mlnn.proving.quotients import LargeError
from mlnn.proving.rows import Side, Target
from mlnn.proving.structure import TARGET
from mlnn.targets import TargetSpace
from mlnn.targets.facts import UNIT_INTERVAL


def alike_at_labels(
    graph: Graph, sides: Mapping[Target, tuple[Side, Side]], space: TargetSpace, ends: tuple[fmpq, fmpq]
) -> bool:
    """Whether gradients are certainly the same at each such label of [0, 1]; of lines in the raw output and the label alone."""
    pair = alike(sides) if space.facts.support == UNIT_INTERVAL else None
    if pair is None:
        return True
    roots = [side.gradient[0] for side in pair]
    return all(_alike(graph, roots, label, ends) for label in {*_labels(graph, roots)} if 0 <= label <= 1)


def _labels(graph: Graph, roots: Sequence[Id]) -> Iterator[Fraction]:
    known = polynomials(graph, roots)
    for one in graph.needed(roots):
        node = graph.nodes[one]
        label = _label(known.get(node.args[0], {})) if node.op == "switch" else None
        if label is not None:
            yield label


def _label(powers: Powers) -> Fraction | None:
    """Where (a + b·y)·z + c·y + d is 0 whatever z is; None where that is nowhere, or for other polynomials."""
    if any(z > 1 or y > 1 for z, y in powers):
        return None
    lines = [(powers.get((z, 0), Fraction(0)), powers.get((z, 1), Fraction(0))) for z in (0, 1)]
    found = next((-start / rise for start, rise in lines if rise), None)
    return found if found is not None and all(start + rise * found == 0 for start, rise in lines) else None


def _alike(graph: Graph, roots: Sequence[Id], label: Fraction, ends: tuple[fmpq, fmpq]) -> bool:
    into = Graph()
    left, right = rebuilt(graph, tuple(roots), into, {TARGET: into.const(label)})
    try:
        found = agreed(into, [Compared(left, right, True)], into, reach_of(ends))
    except LargeError:
        return False
    return found is not None and found.apart[0] == into.zero
