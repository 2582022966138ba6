"""`mlnn.prove`: two losses equal on paper, on a whole interval of raw outputs, or where they part."""

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from flint import fmpq

from mlnn.arguments import interval, number, shown, sides, whole
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.proving.answers import Part, part_of
from mlnn.proving.boxes import VALUE, Question, float_of
from mlnn.proving.cases import GRADIENT, Case, Cases, ways_of
from mlnn.proving.graph import Graph
from mlnn.proving.paper import on_paper, sides_on_paper
from mlnn.proving.paving import Paving, Tile, paved
from mlnn.proving.proof import Proof
from mlnn.proving.rectangle import by_one_number, on_rectangle, through_rectangle
from mlnn.proving.relation import Related, by_form, by_target, refuted, related
from mlnn.proving.settled import settled
from mlnn.proving.several import LINE, of_batches, of_every_target, ways_of_several
from mlnn.proving.sides import Both, both_sides, looked_at
from mlnn.proving.surface import COVERS, Surface, on_surface, with_edges
from mlnn.proving.tracing import CoupledError, UntracedError
from mlnn.proving.words import Said, said
from mlnn.targets import TargetSpace

MOST_BOXES = 6000
"""Boxes that one target may take; Bernoulli forms on [−700, 700] take 60 to 1100."""
ON_LINES = 2000
"""Boxes that a line through several raw outputs may take, on which losses are only refuted; a bump 1e-8 wide takes up to 1500."""
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
    found: _Found | None = None
    try:
        both = _both(objectives, space, graph := Graph(space.facts.support))
        for way in _ways(both, space, ends, graph, close):
            if way.own and refuted(way.cases, ends, close):
                continue  # coefficients that differ say nothing of where losses do
            here = _decided(way if slopes else _without_slopes(way), ends, close, boxes)
            found = here if found is None or here.settled or not way.beside else found
            if found.settled:
                break
    except CoupledError as reason:
        return _of_batches(objectives, given, tolerance, boxes, str(reason))
    except UntracedError as reason:
        return said(Said((), given, tolerance, reason=str(reason)))
    assert found is not None
    wide = None if found.settled else on_surface(graph, both.sides, space, ends, close, boxes, slopes)
    if wide is not None:
        found = _on_surface(wide, found, ends, close, boxes, slopes)
    answer = said(
        Said(found.parts, given, tolerance, found.covers, found.way.whole, found.related, found.looks, found.paper,
             note=found.way.note, summed=_summed(both))
    )  # fmt: skip
    recorded = both.sides if found.way.covers != COVERS else with_edges(both.sides)
    return replace(
        answer, paper=(*answer.paper, *sides_on_paper(graph, recorded, ends, close, answer, found.way.inner))
    )


def _of_batches(
    objectives: Sequence[Objective], given: tuple[float, float], tolerance: float, boxes: int, reason: str
) -> Proof:
    """Of losses whose rows are coupled: refuted where whole batches differ, else undecided for that reason."""
    try:
        way = of_batches(objectives[0], objectives[1], looked_at(objectives[0].targets))
    except UntracedError as untraced:
        return said(Said((), given, tolerance, reason=str(untraced)))
    found = _decided(way, (_rational(given[0]), _rational(given[1])), _rational(tolerance), boxes)
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


@dataclass(frozen=True)
class _Found:
    """What one way to the answer came to."""

    way: Cases
    parts: tuple[Part, ...]
    related: Related | None
    looks: int
    paper: tuple[dict[str, object], ...]

    @property
    def answers(self) -> set[str]:
        """Of the values and of the gradients."""
        return {part.answer for part in self.parts if part.question in (VALUE, GRADIENT)}

    @property
    def covers(self) -> str:
        """The targets that are spoken of: those of a relation that holds by the form, where that is all that is proved."""
        form = self.way.form
        return self.way.covers if form is None or self.related is None else form.covers

    @property
    def settled(self) -> bool:
        """Whether no other way need be tried: coefficients that differ say nothing of where losses do."""
        certain = self.answers == {"proved"} and self.way.whole
        return certain or self.related is not None or ("differs" in self.answers and not self.way.own)


def _on_surface(
    wide: Surface, before: _Found, ends: tuple[fmpq, fmpq], close: fmpq, boxes: int, slopes: bool
) -> _Found:
    """What was found before, unless the rectangle says more."""
    way = wide.line if wide.edges is None else wide.edges
    assert way is not None
    found = _decided(way if slopes else _without_slopes(way), ends, close, boxes)
    looks = before.looks + wide.looks + found.looks
    if wide.paper is None or found.answers != {"proved"}:
        sizes = [part.size for part in found.parts if part.answer == "differs" and part.question in (VALUE, GRADIENT)]
        # Of an endless size log 0 may be a case of its own.
        told = bool(sizes) and all(size is not None and size[0] < math.inf for size in sizes)
        found = replace(found, way=replace(way, covers=", ".join(case.target for case in way.cases), whole=False))
        return replace(found if told else before, related=None, looks=looks)
    return replace(found, parts=(*wide.parts, *found.parts), looks=looks, paper=(wide.paper, *found.paper))


def _without_slopes(way: Cases) -> Cases:
    """The same, asked of values and gradients alone."""
    cases = (
        replace(case, questions=tuple(one for one in case.questions if one.name in (VALUE, GRADIENT)))
        for case in way.cases
    )
    return replace(way, cases=tuple(cases))


def _decided(way: Cases, ends: tuple[fmpq, fmpq], close: fmpq, boxes: int) -> _Found:
    parts: list[Part] = []
    paper, looks = [], 0
    for given in way.cases:
        mine = given.domain or ends
        case, simple = settled(given, mine) if given.variable != LINE else (given, frozenset[str]())  # no form had it
        asked = [one for one in case.questions if not one.trivial]
        looked = _paved(
            case, asked, simple, mine, close / case.stricter, min(boxes, ON_LINES) if case.variable == LINE else boxes
        )
        looks += looked.looks
        for one in case.questions:
            parts.append(_part(case, one, looked.tiles.get(one.name), mine))
        paper.append(on_paper(case, asked, looked.tiles, mine, close / case.stricter))
        if _enough(way, parts):
            break
    answers = {name: {part.answer for part in parts if part.question == name} for name in (VALUE, GRADIENT)}
    relation, on_lines = None, any(case.variable == LINE for case in way.cases)
    if way.form is not None and way.factor is not None:
        relation = by_form(way.form, way.factor, close)
    elif (
        not on_lines
        and not _narrow(way, parts)
        and ("differs" in answers[VALUE] | answers[GRADIENT] or any(left != right for _, left, right in way.own))
    ):
        relation = related(way.cases, ends, close, boxes, answers[GRADIENT] == {"proved"})
    if relation is not None:
        relation = by_target(way, relation)
        parts += _apart(relation, ends) if way.own and relation.factor == 1 else []
    return _Found(way, tuple(parts), relation, looks + (relation.boxes if relation else 0), tuple(paper))


def _enough(way: Cases, parts: Sequence[Part]) -> bool:
    """Whether other cases can say no more: of a line one difference is all, of functions of one number all have to be equal."""
    if way.inner is not None:
        return _narrow(way, parts)
    return any(case.variable == LINE for case in way.cases) and any(part.answer == "differs" for part in parts)


def _narrow(way: Cases, parts: Sequence[Part]) -> bool:
    """Whether functions of one number are equal on a part of it alone, or undecided, so that no relation holds of them either."""
    asked = [part for part in parts if part.question in (VALUE, GRADIENT) and part.answer != "proved"]
    return way.inner is not None and any(part.equal or part.undecided for part in asked)


def _paved(
    case: Case, asked: Sequence[Question], simple: Set[str], ends: tuple[fmpq, fmpq], close: fmpq, budget: int
) -> Paving:
    """Questions that are all but answered by themselves, as a box is halved for all of those that are asked together."""
    found = Paving()
    for group in ([one for one in asked if (one.name in simple) == first] for first in (True, False)):
        if group:
            here = paved(case.graph, group, ends, close, budget)
            found.tiles |= here.tiles
            found.looks += here.looks
    return found


def _apart(found: Related, ends: tuple[fmpq, fmpq]) -> list[Part]:
    """The values at targets at which two losses with the same coefficients differ by a number."""
    whole_domain = ((float_of(ends[0]), float_of(ends[1])),)
    sizes = [(target, abs(float_of(shift))) for target, shift in found.shift if shift != 0]
    return [
        Part(VALUE, target, "differs", differs=whole_domain, size=(size, size), place=whole_domain[0][0])
        for target, size in sizes
    ]


def _part(case: Case, question: Question, tiles: Sequence[Tile] | None, ends: tuple[fmpq, fmpq]) -> Part:
    """The part of one question; the same node on both sides needs no box."""
    if tiles is None:
        whole_domain = ((float_of(ends[0]), float_of(ends[1])),)
        return Part(question.name, case.target, "proved", case.variable, equal=whole_domain)
    return part_of(case.graph, question, tiles, case.target, case.variable)
