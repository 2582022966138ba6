"""Losses of classes that hang on the raw outputs through the probability of the target's class alone: problems of one variable.

With t = z_y − log Σ_{k≠y} e^(z_k), the log-odds of the target's class, and the shares w_k = e^(z_k)/Σ_{j≠y} e^(z_j) of the others,
z_k = z_y − t + log w_k. A loss is g(t) if, written so, neither z_y nor any share is left; its slope along z_y is g′(t), and along
z_k −g′(t) w_k, with 0 < w_k < 1: gradients that keep to this differ by no more than those of z_y do.
"""

import math
from collections.abc import Mapping

from flint import fmpq

from mlnn.proving.cases import Case, Cases, questions_of
from mlnn.proving.emitting import Emitter, MixedError
from mlnn.proving.forms import Forms
from mlnn.proving.graph import Graph, Id, Variable
from mlnn.proving.named import Named
from mlnn.proving.quotients import ONE, Polynomial, Quotient, of_factor
from mlnn.proving.rows import Side, Target
from mlnn.proving.structure import numbers_of

ODDS = "log-odds of the target's class"
LOG_ODDS: Variable = ("z", 0)


def by_odds(placed: Mapping[Target, tuple[Graph, tuple[Side, Side]]], ends: tuple[fmpq, fmpq]) -> Cases | None:
    """One problem for all targets that are alike; None where a side is no function of the log-odds alone. Raises LargeError.

    For raw outputs in [a, b]^K the log-odds are exactly those in [a − b − log(K−1), b − a − log(K−1)], here rounded outwards.
    """
    into, several = Graph(), len(placed)
    alike: dict[tuple[Id, ...], list[str]] = {}
    for target, (graph, sides) in placed.items():
        own = int(numbers_of(target)[0])
        forms, shares = _by_target(graph, own, several)
        emit = Emitter(forms, into, frozenset({LOG_ODDS}))
        try:
            roots = tuple(emit(forms[node]) for side in sides for node in (side.value, side.gradient[own]))
        except MixedError:
            return None
        if not all(_follows(forms, side, own, shares) for side in sides):
            return None
        alike.setdefault(roots, []).append(f"{own}")
    cases = [
        Case(_named(targets, len(placed)), into, questions_of(roots), ODDS, domain=_reach(ends, several))
        for roots, targets in alike.items()
    ]
    return Cases(tuple(cases), f"all {len(placed)} targets", True)


def _named(targets: list[str], of: int) -> str:
    """Targets of which the two losses are the same two functions of the log-odds."""
    return "every target" if len(targets) == of else "y = " + ", ".join(targets)


def _reach(ends: tuple[fmpq, fmpq], several: int) -> tuple[fmpq, fmpq]:
    """The log-odds that there are."""
    wide, others = ends[1] - ends[0], math.log(several - 1)
    return -wide - _rational(math.nextafter(others, math.inf)), wide - _rational(math.nextafter(others, -math.inf))


def _rational(value: float) -> fmpq:
    return fmpq(*value.as_integer_ratio())


def _by_target(graph: Graph, target: int, several: int) -> tuple[Forms, dict[int, Quotient]]:
    """The nodes with the target's raw output, the log-odds and the shares of the others as their variables; and the shares."""
    others = [one for one in range(several) if one != target]

    def base(forms: Forms, name: Variable) -> Quotient:
        kind, place = name
        if kind != "z":
            return forms.variable(name)
        own = forms.variable(("level", 0))
        if place == target:
            return own
        return forms.arithmetic.sum([(1, own), (-1, forms.variable(LOG_ODDS)), (1, forms.log(share(forms, place)))])

    def share(forms: Forms, place: int) -> Quotient:
        if place != others[-1]:
            return of_factor(("x", forms.place(_share(place))))
        rest: Polynomial = {ONE: 1}
        rest |= {((("x", forms.place(_share(one))), 1),): -1 for one in others[:-1]}
        forms.above.add(frozenset(rest.items()))
        return Quotient(rest)

    forms = Forms(graph, base=base)
    forms.above |= {_share(one) for one in others[:-1]}
    return forms, {place: share(forms, place) for place in others}


def _share(place: int) -> Named:
    return Named("var", variable=("share", place))


def _follows(forms: Forms, side: Side, target: int, shares: dict[int, Quotient]) -> bool:
    """Whether the slope along each other raw output is minus its share of that along the target's."""
    own, value = forms[side.gradient[target]], forms[side.value]
    for place, share in shares.items():
        other = forms[side.gradient[place]]
        both = forms.arithmetic.sum([(1, other), (1, forms.arithmetic.product(share, own))])
        if both.top or not other.needs <= own.needs | value.needs:
            return False
    return True
