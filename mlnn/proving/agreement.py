"""Whether two losses are one function for all raw outputs that there are: by the forms of their nodes, case by case of switches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial, reduce

from mlnn.proving.core import absolute, maximum
from mlnn.proving.emitting import Emitter, MixedError
from mlnn.proving.forms import Forms
from mlnn.proving.graph import ABOVE, AT, BELOW, Graph, Id, Variable
from mlnn.proving.kinks import is_thin, looks
from mlnn.proving.linear import Reach, line_of
from mlnn.proving.quotients import Factor, Quotient, of_factor
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.thin import ANY, Labels, Plane, Thin

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
    """`apart`: of each two, plus − minus, which is a number, as a node. `kinks`: whether any two part at kinks.

    Of nodes that read one variable, `places`: (place, what each two are apart there) of the kinks, all of them unless `elsewhere`.
    `whole`: whether all nodes have a value everywhere, as far as their forms tell, but for `lost`: places, where those were asked
    for, at which one of them has none by its form, of which nothing else is said.
    """

    apart: tuple[Id, ...]
    kinks: bool
    places: tuple[tuple[Fraction, tuple[Id, ...]], ...] = ()
    elsewhere: bool = False
    whole: bool = True
    lost: tuple[Fraction, ...] = ()


@dataclass(frozen=True)
class _Asked:
    """Pairs of nodes in some states of switches. `thin`: whether they are asked of a thin set only, a variable put in terms of
    others; `place`: of the one variable that there was, where that has become a number."""

    pairs: tuple[Compared, ...]
    told: Mapping[object, int] = field(default_factory=dict)
    thin: bool = False
    place: Fraction | None = None


@dataclass(frozen=True)
class _Undecided:
    """A switch on whose state something hangs."""

    looks_at: object
    states: tuple[int, ...] = (BELOW, AT, ABOVE)


@dataclass
class _Found:
    """What the cases say: `seen`, of each two. `thin`: of kinks; `lost`: places without a value, where they are asked for."""

    seen: list[set[Id]]
    thin: Thin
    places: dict[Fraction, tuple[Id, ...]] = field(default_factory=dict)
    whole: bool = True
    lost: set[Fraction] | None = None


def agreed(
    graph: Graph,
    compared: Sequence[Compared],
    into: Graph,
    reach: Reach | None = None,
    lost: bool = False,
    labels: Labels = ANY,
) -> Agreed | None:
    """The numbers that two nodes each are apart for all raw outputs, of an interval if one is given; None where it is not certain
    that they are numbers.

    lost: whether places at which one has no value are asked for, of nodes of one variable. labels: what targets may be. Raises
    LargeError.

    Each state of each switch is looked at until nothing hangs on those that are left. Where what one looks at is
    0 and a line in the variables, one of them is put in terms of the others, in which the form may say more; `graph`, which may be
    `into`, gets nodes for it. Where it is 0 at a target for all raw outputs, nodes are asked at that target by itself.
    """
    found = _Found([set() for _ in compared], Thin(labels), lost=set() if lost else None)
    todo, planes = [_Asked(tuple(compared))], set[Plane]()
    met = set[tuple[Compared, ...]]()
    for _ in range(MOST_CASES):  # of a case that cannot be there is nothing to note
        asked = todo.pop()
        here = _case(graph, asked, into, found, reach)
        if here is None:
            return None
        if isinstance(here, _Asked):
            todo += [here] if here.pairs not in met else []
            met.add(here.pairs)
        elif isinstance(here, _Undecided):
            todo += [replace(asked, told={**asked.told, here.looks_at: state}) for state in here.states]
        elif here:
            _note(found, asked, here)
        if not todo:
            todo = [
                _Asked(_with(graph, compared, {one: graph.const(at)})) for one, at in sorted(found.thin.met - planes)
            ]
            planes |= found.thin.met
        if not todo:
            return _together(compared, found, into)
    return None


def _with(graph: Graph, compared: Sequence[Compared], instead: Mapping[Variable, Id]) -> tuple[Compared, ...]:
    nodes = rebuilt(graph, tuple(one for pair in compared for one in (pair.plus, pair.minus)), graph, instead)
    rows = zip(compared, nodes[::2], nodes[1::2], strict=True)
    return tuple(replace(pair, plus=plus, minus=minus) for pair, plus, minus in rows)


_KINK = -1
"""In place of a number: two nodes part, at a kink."""


def _note(found: _Found, asked: _Asked, here: Sequence[frozenset[Id]]) -> None:
    twice, alone = False, asked.place is not None
    if asked.place is not None:
        numbers = tuple(min(one) for one in here)
        twice = found.places.setdefault(asked.place, numbers) != numbers
    for seen, pair, one in zip(found.seen, asked.pairs, here, strict=True):
        if not alone or not pair.kinked or _KINK in one:
            seen |= one
        elif twice:
            seen.add(_KINK)


def _together(compared: Sequence[Compared], found: _Found, into: Graph) -> Agreed | None:
    """What all cases say: of values one number; of gradients the largest size, as constants that code rounds are a little off.
    Where some cases say more than that, there may be no such case."""
    apart = []
    for one, seen in zip(compared, found.seen, strict=True):
        numbers = sorted(seen - {_KINK})
        if len(numbers) > 1 and not (one.kinked and all(_small(into, number) for number in numbers)):
            return None
        sizes = [absolute(into, number) for number in numbers] if len(numbers) > 1 else numbers
        apart.append(reduce(partial(maximum, into), sizes, into.zero) if len(sizes) != 1 else sizes[0])
    parted = any(
        one not in (_KINK, own) for here in found.places.values() for one, own in zip(here, apart, strict=True)
    )
    elsewhere = any(_KINK in seen for seen in found.seen)
    return Agreed(tuple(apart), parted or elsewhere, tuple(sorted(found.places.items())), elsewhere, found.whole,
                  tuple(sorted(found.lost or ())))  # fmt: skip


def _case(
    graph: Graph, asked: _Asked, into: Graph, all_of: _Found, reach: Reach | None
) -> "list[frozenset[Id]] | _Undecided | _Asked | None":
    forms, found = Forms(graph, asked.told, reach=reach), list[frozenset[Id]]()
    quotients = [(forms[one.plus], forms[one.minus]) for one in asked.pairs]
    at = [forms.quotients[name] for name, state in asked.told.items() if state == AT and name in forms.quotients]
    if forms.order.contradicts:
        return []
    several = len(_variables(graph, asked))
    if several == 1 and (moved := _moved(graph, forms, asked, at, all_of.thin)) is not None:
        return moved
    needs = {need for pair in quotients for one in pair for need in one.needs}
    if all_of.lost is not None and asked.place is not None and any(_never(need) for need in needs):
        all_of.lost.add(asked.place)
        return []
    if all_of.lost is not None and several == 1 and needs and (split := _split(forms, quotients, needs)) is not None:
        return split
    state = _State(forms, Emitter(forms, into), all_of.thin, at, asked.thin, asked.place is not None, several > 1)
    for one, (plus, minus) in zip(asked.pairs, quotients, strict=True):
        here = _apart(state, one, plus, minus)
        if isinstance(here, _Undecided):
            return here
        if here is None:
            return _moved(graph, forms, asked, at, all_of.thin)
        found.append(here)
    all_of.whole &= not needs
    return found


def _never(need: object) -> bool:
    return isinstance(need, tuple) and need[0] == "never"


def _split(forms: Forms, quotients: Iterable[tuple[Quotient, Quotient]], needs: Iterable[object]) -> _Undecided | None:
    """What has to be above 0, or not 0, for a value, asked as a switch is, and after those."""
    looked = next(looks(forms, [one for pair in quotients for one in pair]), None)
    if looked is not None:
        return _undecided(forms, looked)
    asked = [need for need in needs if isinstance(need, tuple) and need[0] in ("above 0", "not 0")]
    name = next((need[1] for need in asked if need[1] not in forms.told), None)
    return None if name is None else _undecided(forms, name)


def _undecided(forms: Forms, name: object) -> _Undecided:
    """The states that have to be asked of what a switch looks at."""
    never_below = not (look := forms.quotients[name]).bottom and forms.at_least_0(look.top)
    return _Undecided(name, (AT, ABOVE) if never_below else (BELOW, AT, ABOVE))


def _variables(graph: Graph, asked: _Asked) -> frozenset[Variable]:
    nodes = [one for pair in asked.pairs for one in (pair.plus, pair.minus)]
    return frozenset[Variable]().union(*(graph.reads[one] for one in nodes))


def _moved(
    graph: Graph, forms: Forms, asked: _Asked, at: Sequence[Quotient], thin: Thin
) -> "_Asked | list[frozenset[Id]] | None":
    """The same where what a switch looks at is 0, with one of the variables of that put in terms of the others; None where it is no
    line, nothing where no target is on it. What is known of other switches is left to be asked again."""
    line = next((line for look in at if (line := line_of(forms.named, _root(look))) is not None), None)
    if line is None:
        return None
    variable, others, constant = line.solved()
    if variable[0] == "y" and not others and not thin.labels.holds(constant):
        return []
    instead = graph.linear([(factor, graph.var(*name)) for name, factor in others], constant)
    of_outputs = any(kind == "z" for (kind, _), _ in line.terms)  # at a target that it is 0 at all raw outputs are met
    alone = of_outputs and not asked.thin and not others and len(_variables(graph, asked)) == 1
    pairs = _with(graph, asked.pairs, {variable: instead})
    return _Asked(pairs, {}, asked.thin or of_outputs, constant if alone else None)


def _root(look: Quotient) -> Quotient:
    """Of a power, which is 0 where that is of which it is one; anything else itself."""
    monomial = next(iter(look.top), ())
    plain = len(look.top) == len(monomial) == 1 and not look.bottom and monomial[0][1] > 0
    return of_factor(monomial[0][0]) if plain else look


@dataclass(frozen=True)
class _State:
    """`at`: what is 0 in the states that switches are in. `on_thin`: whether that is so on a thin set only; `alone`: at one place,
    of which a number is told; `several`: whether there are several variables, so that places are not."""

    forms: Forms
    emitter: Emitter
    thin: Thin
    at: Sequence[Quotient]
    on_thin: bool
    alone: bool
    several: bool


def _apart(state: _State, one: Compared, plus: Quotient, minus: Quotient) -> "frozenset[Id] | _Undecided | None":
    """The number that two quotients are apart, `_KINK` where they part at kinks; None where it is not certain that it is one."""
    forms = state.forms
    whole = forms.arithmetic.sum([(1, plus), (-1, minus)])
    if any(forms.vanishes(Quotient(whole.top), look) for look in state.at):
        whole = Quotient({})
    apart = _off_kinks(state, whole) if one.kinked and state.several else whole
    number = _number(state.emitter, Quotient(apart.top, apart.bottom))
    unclear = number is None or plus.needs != minus.needs
    looked = next(looks(forms, (apart, plus, minus)), None) if unclear else None
    if looked is not None:
        return _undecided(forms, looked)
    if number is not None and not unclear and (state.alone or _small(state.emitter.into, number)):
        return frozenset({number} if apart == whole else {number, _KINK})
    if one.kinked and (state.on_thin or any(is_thin(forms, look, state.thin) for look in state.at)):
        return frozenset({_KINK})
    return None if number is None or unclear else frozenset({number})


def _off_kinks(state: _State, one: Quotient) -> Quotient:
    """A quotient without the terms that are 0 but for a thin set, where what a switch looks at is exactly 0."""
    top = {
        monomial: value for monomial, value in one.top.items() if not any(_at_kink(state, part) for part, _ in monomial)
    }
    return one if len(top) == len(one.top) else Quotient(top, one.bottom, one.needs)


def _at_kink(state: _State, factor: Factor) -> bool:
    forms = state.forms
    named = forms.named[factor[1]]
    told = factor[0] == "x" and named.op == "is" and named.numbers == (AT,)
    return told and is_thin(forms, forms.quotients[named.of], state.thin)


def _small(into: Graph, one: Id) -> bool:
    """Whether a number is no more than a constant's rounding."""
    number = into.number(one)
    return number is not None and abs(number) <= ROUNDING


def _number(emitter: Emitter, one: Quotient) -> Id | None:
    try:
        return emitter(one)
    except MixedError:
        return None
