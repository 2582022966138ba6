"""What switches look at, where it is 0: and on which sets that is."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from flint import arb

from mlnn.proving.balls import Evaluation, UnsureError, digits
from mlnn.proving.emitting import Emitter, MixedError
from mlnn.proving.forms import Forms
from mlnn.proving.graph import Graph, Id
from mlnn.proving.quotients import Number, Quotient, factors_of
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.thin import Thin

SOMEWHERE = (Fraction(3, 8), Fraction(7, 16), Fraction(11, 16), Fraction(13, 64))
"""Numbers in place of variables, at which a function that is 0 on a thin set only is asked for one that is not 0."""
BITS = 256
OF_POSITIVE = frozenset({"log", "power", "lgamma", "polygamma"})
"""Functions that are analytic above 0 only."""


def looks(forms: Forms, all_of: Sequence[Quotient]) -> Iterator[object]:
    """What switches look at that something hangs on, innermost first."""
    for one in all_of:
        for _, place in factors_of(one):
            yield from _within(forms, place)
    for need in {need for one in all_of for need in one.needs}:
        yield from _needed(forms, need)


def _needed(forms: Forms, need: object) -> Iterator[object]:
    if not isinstance(need, tuple) or need[0] not in ("where", "above 0", "not 0"):
        return
    yield from looks(forms, [forms.quotients[need[1]]])
    if need[0] == "where":
        yield need[1]


def _within(forms: Forms, place: int) -> Iterator[object]:
    named = forms.named[place]
    if named.of is not None:
        for _, other in factors_of(forms.quotients[named.of]):
            yield from _within(forms, other)
    if named.of is not None and named.op in ("is", "node"):
        yield named.of


def is_thin(forms: Forms, look: Quotient, thin: Thin) -> bool:
    """Whether something is 0 on a thin set only, at every target but those that are noted in `thin`: it is analytic for all raw
    outputs, and is not 0 at some place."""
    if not _analytic(forms, look):
        return False
    variables = sorted({one.variable for one in forms.named if one.variable is not None})
    written, numbers = thin.graph, Graph()
    try:
        own = Emitter(forms, written, frozenset(variables))(look)
        (found,) = rebuilt(
            written, (own,), numbers,
            {name: numbers.const(SOMEWHERE[place % len(SOMEWHERE)] + place) for place, name in enumerate(variables)},
        )  # fmt: skip
        with digits(BITS, 1):
            somewhere = not Evaluation(numbers, arb(0), {}, 1)[found][0].contains(0)
    except (MixedError, UnsureError, VagueError, OutsideError):
        return False
    return somewhere and thin.but_at_planes(own)


def _analytic(forms: Forms, one: Quotient) -> bool:
    """Whether something has no kink and no pole, by its form. √(1 + 1/x²)·x − √(1 + x²) has one, and is 0 above 0, not below."""
    if not all(forms.positive(dict(key)) for key, _ in one.bottom):
        return False
    factors = {factor for top in (one.top, *(dict(key) for key, _ in one.bottom)) for each in top for factor in each}
    return all(_smooth(forms, place, 0 if kind == "e" else power) for (kind, place), power in factors)


def _smooth(forms: Forms, place: int, power: Number) -> bool:
    """Of a number to a power; of 0, of the number."""
    named = forms.named[place]
    if named.op in ("var", "one"):
        return power == int(power) and power >= 0
    if named.op in ("node", "is"):
        return False
    of = forms.quotients[named.of]
    whole = power == int(power) and power >= 0
    return whole and (named.op not in OF_POSITIVE or forms.positive(of.top)) and _analytic(forms, of)


def continued(graph: Graph, one: Id) -> Id:
    """A switch with one of its other cases where it looks at 0, if that is the same number there: their difference is a multiple of
    what it looks at."""
    node = graph.nodes[one]
    if node.op != "switch":
        return one
    look, below, at, above = node.args
    for other in (above, below):
        if _is_0_with(graph, graph.sub(at, other), look):
            return graph.switch(look, below, other, above)
    return one


def _is_0_with(graph: Graph, one: Id, look: Id) -> bool:
    """Whether a sum is 0 wherever something is: each term is that, or it times what has a value everywhere."""
    node = graph.nodes[one]
    lead = node.numbers[1] if node.op == "lin" and node.args else Fraction(1)
    if one == graph.zero or graph.scale(1 / lead, one) == look:
        return True
    terms = node.args if node.op == "lin" and node.numbers[0] == 0 else (one,)
    return all(
        term == look
        or (graph.nodes[term].op in ("mul", "square") and look in graph.nodes[term].args and graph.total[term])
        for term in terms
    )
