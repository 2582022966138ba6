"""Questions about functions of one variable that the forms of both sides answer, so that few boxes are left to look at."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from flint import fmpq

from mlnn.proving.agreement import Compared, agreed
from mlnn.proving.boxes import VALUE, Question
from mlnn.proving.cases import GRADIENT, Case
from mlnn.proving.graph import Graph, Id
from mlnn.proving.infinities import at_place
from mlnn.proving.linear import Reach, reach_of
from mlnn.proving.quotients import LargeError

OUTPUT = ("z", 0)


def settled(case: Case, ends: tuple[fmpq, fmpq]) -> tuple[Case, frozenset[str]]:
    """A case, on an interval, with nodes that are as far apart and have next to nothing to look at; and which questions have them.

    That is 0 where the forms of both sides are one, and what gradients are apart at the kinks that they differ at. Where values are
    one function, the slope of either is asked of the simpler one, and so with gradients. Of two sums what both have is left out.
    """
    graph, reach, simple, found = case.graph, reach_of(ends), dict[str, Id](), dict[str, Question]()
    for one in case.questions:
        if one.slope or one.trivial:
            continue
        apart = _apart(graph, one, reach)
        if apart is None:
            continue
        found[one.name] = replace(one, plus=apart[0], minus=apart[1])
        if apart == (graph.zero, graph.zero):
            simple[one.name] = min((one.plus, one.minus), key=lambda node: (len(graph.needed([node])), node))
    questions = tuple(
        _of_slope(one, simple) if one.slope else found.get(one.name) or _without_shared(graph, one)
        for one in case.questions
    )
    return replace(case, questions=questions), frozenset(found)


def _without_shared(graph: Graph, one: Question) -> Question:
    """How far two sums are apart, against 0, where both have terms in common, which balls do not see."""
    if one.slope or one.trivial or not (graph.total[one.plus] and graph.total[one.minus]):
        return one
    apart = graph.sub(one.plus, one.minus)
    fewer = len(graph.nodes[apart].args) < len(graph.nodes[one.plus].args) + len(graph.nodes[one.minus].args)
    sums = graph.nodes[one.plus].op == graph.nodes[one.minus].op == "lin"
    return replace(one, plus=apart, minus=graph.zero) if sums and fewer else one


def _of_slope(one: Question, simple: dict[str, Id]) -> Question:
    return replace(one, plus=simple.get(GRADIENT, one.plus), minus=simple.get(VALUE, one.minus))


def _apart(graph: Graph, one: Question, reach: Reach) -> tuple[Id, Id] | None:
    """What is left to compare of two functions that are one but for some places; None where that is not certain."""
    try:
        found = agreed(graph, [Compared(one.plus, one.minus, one.name == GRADIENT)], graph, reach, lost=True)
    except LargeError:
        return None
    if found is None or found.elsewhere or not found.whole or found.apart[0] != graph.zero:
        return None
    lost = {place: _at(graph, one, place) for place in found.lost}
    if None in lost.values():
        return None
    alone = {place: (number, graph.zero) for place, (number,) in found.places} | lost
    left, right = ([(place, pair[side]) for place, pair in alone.items() if pair] for side in (0, 1))
    return _at_places(graph, left), _at_places(graph, right)


def _at(graph: Graph, one: Question, place: Fraction) -> tuple[Id, Id] | None:
    """What stands for the two functions at a place at which one of them is no number by its form: 1/0 for what is none in code too.
    None where both are numbers, and not the same."""
    left, right = (at_place(graph, side, place) for side in (one.plus, one.minus))
    if left is None or right is None:
        return None
    nowhere = graph.make("inv", (graph.zero,))
    lost = (nowhere if isinstance(left, float) else graph.zero, nowhere if isinstance(right, float) else graph.zero)
    if lost == (nowhere, nowhere):
        return nowhere, graph.scale(2, nowhere)  # two nodes, so that it is looked at and told
    return lost if nowhere in lost or left == right else None


def _at_places(graph: Graph, places: Sequence[tuple[Fraction, Id]]) -> Id:
    terms = []
    for place, apart in places:
        look = graph.linear([(Fraction(1), graph.var(*OUTPUT))], -place)
        terms.append((Fraction(1), graph.switch(look, graph.zero, apart, graph.zero)))
    return graph.linear(terms)
