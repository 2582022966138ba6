"""What one way to the answer comes to: its questions on boxes, as parts, with the relation that holds where they differ."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from flint import fmpq

from mlnn.proving.answers import Part, part_of
from mlnn.proving.boxes import VALUE, Question, float_of
from mlnn.proving.cases import GRADIENT, Case, Cases
from mlnn.proving.paper import on_paper
from mlnn.proving.paving import Paving, Tile, paved
from mlnn.proving.relation import Related, by_form, by_target, related
from mlnn.proving.settled import settled
from mlnn.proving.several import LINE

ON_LINES = 2000
"""Boxes that a line through several raw outputs may take, on which losses are only refuted; a bump 1e-8 wide takes up to 1500."""


@dataclass(frozen=True)
class Found:
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


def without_slopes(way: Cases) -> Cases:
    """The same, asked of values and gradients alone."""
    cases = (
        replace(case, questions=tuple(one for one in case.questions if one.name in (VALUE, GRADIENT)))
        for case in way.cases
    )
    return replace(way, cases=tuple(cases))


def decided(way: Cases, ends: tuple[fmpq, fmpq], close: fmpq, boxes: int) -> Found:
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
    return Found(way, tuple(parts), relation, looks + (relation.boxes if relation else 0), tuple(paper))


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
