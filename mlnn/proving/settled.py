"""Questions about functions of one variable that the forms of both sides answer, so that few boxes are left to look at."""

from dataclasses import replace
from fractions import Fraction

from flint import fmpq

from mlnn.proving.agreement import Agreed, Compared, agreed
from mlnn.proving.boxes import VALUE, Question
from mlnn.proving.cases import GRADIENT, Case
from mlnn.proving.graph import Graph, Id
from mlnn.proving.linear import Reach, reach_of
from mlnn.proving.quotients import LargeError

OUTPUT = ("z", 0)


def settled(case: Case, ends: tuple[fmpq, fmpq]) -> tuple[Case, frozenset[str]]:
    """A case, on an interval, with nodes that are as far apart and have next to nothing to look at; and which questions have them.

    That is 0 where the forms of both sides are one, and what gradients are apart at the kinks that they differ at. Where values are
    one function, the slope of either is asked of the simpler one, and so with gradients.
    """
    graph, reach, simple, found = case.graph, reach_of(ends), dict[str, Id](), dict[str, Question]()
    for one in case.questions:
        if one.slope or one.trivial:
            continue
        apart = _apart(graph, one, reach)
        if apart is None:
            continue
        found[one.name] = replace(one, plus=apart, minus=graph.zero)
        if apart == graph.zero:
            simple[one.name] = min((one.plus, one.minus), key=lambda node: (len(graph.needed([node])), node))
    if not found:
        return case, frozenset()
    questions = tuple(_of_slope(one, simple) if one.slope else found.get(one.name, one) for one in case.questions)
    return replace(case, questions=questions), frozenset(found)


def _of_slope(one: Question, simple: dict[str, Id]) -> Question:
    return replace(one, plus=simple.get(GRADIENT, one.plus), minus=simple.get(VALUE, one.minus))


def _apart(graph: Graph, one: Question, reach: Reach) -> Id | None:
    """What two functions are apart: 0, but for some places; None where that is not certain."""
    try:
        found = agreed(graph, [Compared(one.plus, one.minus, one.name == GRADIENT)], graph, reach)
    except LargeError:
        return None
    if found is None or found.elsewhere or not found.whole or found.apart[0] != graph.zero:
        return None
    return _at_places(graph, found)


def _at_places(graph: Graph, found: Agreed) -> Id:
    terms = []
    for place, (apart,) in found.places:
        look = graph.linear([(Fraction(1), graph.var(*OUTPUT))], -place)
        terms.append((Fraction(1), graph.switch(look, graph.zero, apart, graph.zero)))
    return graph.linear(terms)
