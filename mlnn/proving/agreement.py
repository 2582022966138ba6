"""Whether two losses are one function for all raw outputs that there are: by the forms of their nodes, case by case of switches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial, reduce

from mlnn.proving.core import absolute, maximum
from mlnn.proving.emitting import Emitter, MixedError
from mlnn.proving.forms import Forms
from mlnn.proving.graph import ABOVE, AT, BELOW, Graph, Id
from mlnn.proving.quotients import Quotient, factors_of

MOST_CASES = 300
"""Of the states that switches are in together."""

ROUNDING = Fraction(1, 2**52)


@dataclass(frozen=True)
class Compared:
    """Two nodes. `kinked`: whether they may part where what a switch looks at is exactly 0, as gradients may."""

    plus: Id
    minus: Id
    kinked: bool = False


@dataclass(frozen=True)
class Agreed:
    """`apart`: of each two, plus − minus, which is a number, as a node. `kinks`: whether any two part at kinks."""

    apart: tuple[Id, ...]
    kinks: bool


def agreed(graph: Graph, compared: Sequence[Compared], into: Graph) -> Agreed | None:
    """The numbers that two nodes each are apart for all raw outputs; None where it is not certain that they are numbers.

    Raises LargeError. Each state of each switch is looked at until nothing hangs on those that are left.
    """
    found: list[set[Id]] = [set() for _ in compared]
    todo: list[Mapping[object, int]] = [{}]
    for _ in range(MOST_CASES):
        told = todo.pop()
        here = _case(graph, compared, into, told)
        if here is None:
            return None
        if isinstance(here, _Undecided):
            todo += [{**told, here.looks_at: state} for state in (BELOW, AT, ABOVE)]
        else:
            for seen, one in zip(found, here, strict=True):
                seen.add(one)
        if not todo:
            return _together(compared, found, into)
    return None


def _together(compared: Sequence[Compared], found: Sequence[set[Id]], into: Graph) -> Agreed | None:
    """What all cases say: of values one number; of gradients the largest size, as constants that code rounds are a little off."""
    apart = []
    for one, seen in zip(compared, found, strict=True):
        numbers = sorted(seen - {_KINK})
        if len(numbers) > 1 and not one.kinked:
            return None
        sizes = [absolute(into, number) for number in numbers] if len(numbers) > 1 else numbers
        apart.append(reduce(partial(maximum, into), sizes, into.zero) if len(sizes) != 1 else sizes[0])
    return Agreed(tuple(apart), any(_KINK in seen for seen in found))


_KINK = -1
"""In place of a number: two nodes part, at a kink."""


@dataclass(frozen=True)
class _Undecided:
    """A switch on whose state something hangs."""

    looks_at: object


def _case(
    graph: Graph, compared: Sequence[Compared], into: Graph, told: Mapping[object, int]
) -> "tuple[Id, ...] | _Undecided | None":
    forms = Forms(graph, told)
    emitter, found = Emitter(forms, into), []
    for one in compared:
        plus, minus = forms[one.plus], forms[one.minus]
        apart = forms.arithmetic.sum([(1, plus), (-1, minus)])
        at = [forms.quotients[name] for name, state in told.items() if state == AT and name in forms.quotients]
        if any(forms.vanishes(Quotient(apart.top), look) for look in at):
            apart = Quotient({})
        number = _number(emitter, Quotient(apart.top, apart.bottom))
        kink = one.kinked and any(_thin(forms, look) for look in at)
        if number is None or plus.needs != minus.needs:
            looked = next(_looks(forms, (apart, plus, minus)), None)
            if looked is not None:
                return _Undecided(looked)
            if not kink:
                return None
            number = _KINK
        elif kink and number != into.zero and not _small(into, number):
            number = _KINK
        found.append(number)
    return tuple(found)


def _small(into: Graph, one: Id) -> bool:
    """Whether a number is no more than a constant's rounding."""
    number = into.number(one)
    return number is not None and abs(number) <= ROUNDING


def _number(emitter: Emitter, one: Quotient) -> Id | None:
    try:
        return emitter(one)
    except MixedError:
        return None


def _looks(forms: Forms, all_of: Sequence[Quotient]) -> Iterator[object]:
    """What switches look at that something hangs on, innermost first."""
    for one in all_of:
        for _, place in factors_of(one):
            yield from _within(forms, place)
    for need in {need for one in all_of for need in one.needs}:
        if isinstance(need, tuple) and need[0] == "where":
            yield from _looks(forms, [forms.quotients[need[1]]])
            yield need[1]


def _within(forms: Forms, place: int) -> Iterator[object]:
    named = forms.named[place]
    if named.op not in ("var", "node", "one"):
        for _, other in factors_of(forms.quotients[named.of]):
            yield from _within(forms, other)
    if named.op == "is":
        yield named.of


def _thin(forms: Forms, look: Quotient) -> bool:
    """Whether something is 0 on a thin set only: it is no number, and made of what has no flat pieces."""
    return (
        look.number is None
        and not any(True for _ in _looks(forms, [look]))
        and all(forms.named[place].op != "node" for _, place in factors_of(look))
    )
