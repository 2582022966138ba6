"""`mlnn.prove`: two losses equal on paper, on a whole interval of raw outputs, or where they part."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from flint import fmpq

from mlnn.arguments import interval, number, shown, sides, whole
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.proving.cases import Cases, ways_of
from mlnn.proving.decided import Found, decided, without_slopes
from mlnn.proving.graph import Graph
from mlnn.proving.paper import sides_on_paper
from mlnn.proving.proof import Proof
from mlnn.proving.rectangle import by_one_number, on_rectangle, through_rectangle
from mlnn.proving.relation import glanced, refuted
from mlnn.proving.several import of_batches, of_every_target, ways_of_several
from mlnn.proving.sides import Both, both_sides, looked_at
from mlnn.proving.soft_labels import OnRectangle
from mlnn.proving.surface import COVERS, with_edges
from mlnn.proving.tracing import CoupledError, UntracedError
from mlnn.proving.words import Said, said
from mlnn.targets import TargetSpace

MOST_BOXES = 6000
"""Boxes that one target may take; Bernoulli forms on [−700, 700] take 60 to 1100."""
FARTHEST = 1e4
"""Ends of a domain: beyond, e^z has more digits than are worth an answer."""


def prove(
    left: Any,
    right: Any,
    targets: str | TargetSpace = "binary",
    *,
    domain: tuple[float, float] = (-88, 88),
    tolerance: float = 1e-15,
    outputs: str | tuple[str, str] = "raw",
    boxes: int = MOST_BOXES,
    slopes: bool = True,
) -> Proof:
    """Prove that two losses are equal on paper for every raw output of an interval, or show where they are not.

    left, right, targets, outputs: as `mlnn.testing.assert_same_objective` takes them. domain: raw outputs (low, high), both ends
    included; for losses of a residual, residuals. tolerance: nats per row; equal is |left − right| ≤ tolerance. boxes: the budget
    for each target; what it does not reach is undecided. slopes: whether each gradient is held against the slope of its own value
    too, which takes as many boxes again.

    The losses are read as real functions: casts and rounding are left out, constants, clamps and thresholds are what they are in
    the code. Their code's own gradients are compared too. Raises ConfigError for bad arguments.
    """
    space = TargetSpace.parse(targets)
    given = interval("domain", domain)
    if given is None or not all(abs(end) <= FARTHEST for end in given):
        raise ConfigError(
            f"domain: {shown(domain)}; two finite raw outputs within ±{FARTHEST:g} are needed, e.g. (-88, 88)"
        )
    if number("tolerance", tolerance, 0.0) == 0:
        raise ConfigError("tolerance: 0; a number above 0 is needed, e.g. 1e-15")
    whole("boxes", boxes, 1)
    kinds = sides("outputs", outputs)
    objectives = [Objective.of(one, space, kind) for one, kind in zip((left, right), kinds, strict=True)]
    ends, close = (_rational(given[0]), _rational(given[1])), _rational(tolerance)
    rectangle = OnRectangle(graph := Graph(space.facts.support), ends, close, boxes, slopes)
    try:
        both = _both(objectives, space, graph)
        found = _found(both, space, rectangle)
    except CoupledError as reason:
        return _of_batches(objectives, given, tolerance, boxes, str(reason))
    except UntracedError as reason:
        return said(Said((), given, tolerance, reason=str(reason)))
    answer = said(
        Said(found.parts, given, tolerance, found.covers, found.way.whole, found.related, found.looks, found.paper,
             note=found.way.note, summed=_summed(both))
    )  # fmt: skip
    recorded = both.sides if found.way.covers != COVERS else with_edges(both.sides, rectangle.wrong)
    return replace(
        answer, paper=(*answer.paper, *sides_on_paper(graph, recorded, ends, close, answer, found.way.inner))
    )


def _found(both: Both, space: TargetSpace, asked: OnRectangle) -> Found:
    """What the ways to an answer come to, up to the first that settles it. Of soft labels the rectangle is asked before lines
    through it, which can only refute, unless the two losses are apart at a glance."""
    found: Found | None = None
    for way in _ways(both, space, asked.ends, asked.graph, asked.close):
        if way.own and refuted(way.cases, asked.ends, asked.close):
            continue  # coefficients that differ say nothing of where losses do
        if not way.whole and not way.own and not glanced(way.cases, asked.ends, asked.close):
            found = asked.proved(both.sides, space) or found
            if found is not None and found.settled:
                break
        here = decided(way if asked.slopes else without_slopes(way), asked.ends, asked.close, asked.boxes)
        found = here if found is None or here.settled or not way.beside else found
        if found.settled:
            break
    assert found is not None
    return asked.beside(both.sides, space, found)


def _of_batches(
    objectives: Sequence[Objective], given: tuple[float, float], tolerance: float, boxes: int, reason: str
) -> Proof:
    """Of losses whose rows are coupled: refuted where whole batches differ, else undecided for that reason."""
    try:
        way = of_batches(objectives[0], objectives[1], looked_at(objectives[0].targets))
    except UntracedError as untraced:
        return said(Said((), given, tolerance, reason=str(untraced)))
    found = decided(way, (_rational(given[0]), _rational(given[1])), _rational(tolerance), boxes)
    if "differs" not in found.answers:
        return said(Said((), given, tolerance, reason=f"{reason}; equal on {way.covers}", looks=found.looks))
    return said(Said(found.parts, given, tolerance, way.covers, False, None, found.looks, found.paper, note=reason))


def _rational(value: float) -> fmpq:
    return fmpq(*float(value).as_integer_ratio())


def _both(objectives: Sequence[Objective], space: TargetSpace, graph: Graph) -> Both:
    counts = {one.targets.outputs for one in objectives}
    if len(counts) > 1:
        raise UntracedError(f"one side takes {min(counts)} raw outputs a position, the other {max(counts)}")
    return both_sides(objectives[0], objectives[1], space, graph)


def _summed(both: Both) -> str | None:
    """The one side of which a batch is worth its rows' sum, where the other's is worth their mean."""
    if both.left_summed == both.right_summed:
        return None
    return "left" if both.left_summed else "right"


def _ways(both: Both, space: TargetSpace, ends: tuple[fmpq, fmpq], graph: Graph, close: fmpq) -> Iterator[Cases]:
    """Ways to an answer, the one that says most first; the next is asked for where one settles nothing."""
    several = len(next(iter(both.sides.values()))[0].gradient)
    if several == 1:
        sides = on_rectangle(graph, both.sides, space, ends)
        *ways, listed = ways_of(graph, sides, space)
        yield from ways
        form = of_every_target(graph, sides, space, ends, listed)
        yield from [*by_one_number(graph, sides, space, ends, close), listed] if form is None else [form]
        lines = None if form is not None else through_rectangle(graph, sides, space, ends, listed.covers)
        yield from [] if lines is None else [lines]
    else:
        yield from ways_of_several(graph, both.sides, space, ends)
