"""Quotients of polynomials with exact coefficients, in numbers and in powers of e: what two forms of a loss are compared as.

A factor ("x", a) is the number with name a, a factor ("e", a) is e to it; powers are exact, those of e may be below 0 and broken.
Two quotients are one function where both have a value if and only if their difference has nothing on top.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple, TypeAlias

Number: TypeAlias = int | Fraction
Factor: TypeAlias = tuple[str, int]
Monomial: TypeAlias = tuple[tuple[Factor, Number], ...]
"""Factors in order, each with its power."""
Key: TypeAlias = frozenset[tuple[Monomial, Number]]
"""A polynomial as a name."""
Polynomial: TypeAlias = dict[Monomial, Number]
ONE: Monomial = ()
MOST_TERMS = 1500
"""Of a polynomial; beyond, products take longer than an answer is worth."""


MOST_POWER = 64
"""Of a quotient; more factors are no form that somebody wrote, and 1e14 of them, from a width of 1e-7, would never end."""


class LargeError(Exception):
    """A form has more terms, or factors, than are worth an answer."""


def bounded(power: int) -> int:
    """How many factors a power has. Raises LargeError beyond `MOST_POWER`."""
    if abs(power) > MOST_POWER:
        raise LargeError
    return abs(power)


@dataclass(frozen=True)
class Quotient:
    """top over the product of `bottom`'s polynomials to their powers. `needs`: what must hold where it has a value."""

    top: Polynomial
    bottom: tuple[tuple[Key, int], ...] = ()
    needs: frozenset[object] = field(default_factory=frozenset)

    @property
    def number(self) -> Number | None:
        """The number that it is, None where it is none."""
        if self.bottom or set(self.top) - {ONE}:
            return None
        return self.top.get(ONE, 0)

    @property
    def key(self) -> object:
        """A name: equal ones are one function."""
        return frozenset(self.top.items()), frozenset(self.bottom)


def constant(value: Number) -> Quotient:
    return Quotient({ONE: value} if value else {})


def of_factor(factor: Factor, power: Number = 1) -> Quotient:
    return Quotient({((factor, power),): 1})


def times(left: Monomial, right: Monomial) -> Monomial:
    """Two monomials in one."""
    if not left or not right:
        return left or right
    powers = dict(left)
    for factor, power in right:
        powers[factor] = powers.get(factor, 0) + power
    return tuple(sorted((factor, _plain(power)) for factor, power in powers.items() if power))


def _plain(value: Number) -> Number:
    return value.numerator if value.denominator == 1 else value


class Arithmetic:
    """Sums, products and inverses of quotients. `alone`: what a monomial is worth, None where it is 0 by what its factors are.
    `sines`: the factor that is the cosine of each that is a sine, of which no square stays: sin² is 1 − cos²."""

    def __init__(self, alone: Callable[[Monomial], Monomial | None]) -> None:
        self.alone = alone
        self.sines: dict[Factor, Factor] = {}

    def multiplied(self, left: Mapping[Monomial, Number], right: Mapping[Monomial, Number]) -> Polynomial:
        if len(left) * len(right) > 16 * MOST_TERMS:
            raise LargeError
        found: Polynomial = {}
        for one, factor in left.items():
            for other, more in right.items():
                product = self.alone(times(one, other))
                if product is not None:
                    found[product] = found.get(product, 0) + factor * more
        if len(found) > MOST_TERMS:
            raise LargeError
        left_over = {one: value for one, value in found.items() if value}
        return self._turned(left_over) if self.sines else left_over

    def _turned(self, top: Polynomial) -> Polynomial:
        """The same without a square of a sine."""
        found: Polynomial = {}
        for monomial, value in top.items():
            sine = next((one for one in monomial if one[0] in self.sines and one[1] >= 2), None)
            if sine is None:
                found[monomial] = found.get(monomial, 0) + value
                continue
            rest, cosine = times(monomial, ((sine[0], -2),)), self.sines[sine[0]]
            squared = self._turned({rest: value, times(rest, ((cosine, 2),)): -value})
            for one, part in squared.items():
                found[one] = found.get(one, 0) + part
        if len(found) > MOST_TERMS:
            raise LargeError
        return {one: value for one, value in found.items() if value}

    def power(self, base: Mapping[Monomial, Number], exponent: int) -> Polynomial:
        found: Polynomial = {ONE: 1}
        for _ in range(bounded(exponent)):
            found = self.multiplied(found, base)
        return found

    def sum(self, parts: Iterable[tuple[Number, Quotient]]) -> Quotient:
        """Σ factor·quotient over what all bottoms have in common."""
        listed = [(factor, one) for factor, one in parts]
        needs = frozenset[object]().union(*(one.needs for _, one in listed))
        common: dict[Key, int] = {}
        for _, one in listed:
            for key, power in one.bottom:
                common[key] = max(common.get(key, 0), power)
        total: Polynomial = {}
        for factor, one in listed:
            have = dict(one.bottom)
            top: Polynomial = one.top
            for key, power in common.items():
                top = self.multiplied(top, self.power(dict(key), power - have.get(key, 0)))
            for monomial, value in top.items():
                total[monomial] = total.get(monomial, 0) + factor * value
        return self.reduced({one: value for one, value in total.items() if value}, common, needs)

    def product(self, left: Quotient, right: Quotient) -> Quotient:
        bottom = dict(left.bottom)
        for key, power in right.bottom:
            bottom[key] = bottom.get(key, 0) + power
        return self.reduced(self.multiplied(left.top, right.top), bottom, left.needs | right.needs)

    def inverse(self, one: Quotient) -> Quotient:
        """1 over it. Raises ZeroDivisionError for 0."""
        lead, monomial, rest = content(one.top)
        top: Polynomial = {tuple((factor, -power) for factor, power in monomial): Fraction(1) / lead}
        for key, power in one.bottom:
            top = self.multiplied(top, self.power(dict(key), power))
        bottom = {} if rest == {ONE: 1} else {frozenset(rest.items()): 1}
        return self.reduced(top, bottom, one.needs)

    def reduced(self, top: Polynomial, bottom: Mapping[Key, int], needs: frozenset[object]) -> Quotient:
        """With no polynomial of the bottom left that divides the top."""
        if not top:
            return Quotient({}, (), needs)
        kept = dict[Key, int]()
        for key, power in bottom.items():
            while power and (found := divided(top, dict(key))) is not None:
                top, power = found, power - 1
            if power:
                kept[key] = power
        return Quotient(top, tuple(sorted(kept.items(), key=lambda item: sorted(item[0]))), needs)


def content(top: Mapping[Monomial, Number]) -> tuple[Number, Monomial, Polynomial]:
    """(number, monomial, polynomial) whose product it is: the last with no factor in all of its terms, its first term times 1.

    Raises ZeroDivisionError for 0.
    """
    if not top:
        raise ZeroDivisionError
    least: dict[Factor, Number] = dict(next(iter(top)))
    for monomial in top:
        powers = dict(monomial)
        for factor in [*least]:
            least[factor] = min(least[factor], powers.get(factor, 0))
        for factor, power in powers.items():
            if factor not in least and power < 0:
                least[factor] = power
    shared = tuple(sorted((factor, power) for factor, power in least.items() if power))
    off = tuple((factor, -power) for factor, power in shared)
    moved = {times(one, off): value for one, value in top.items()}
    lead = moved[min(moved)]
    return lead, shared, {one: _plain(Fraction(value) / lead) for one, value in moved.items()}


class _Last(NamedTuple):
    """A monomial by its degrees, the largest first in a heap."""

    key: tuple[tuple[Number, ...], Monomial]

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.key > other[0])


def _popped(todo: list[_Last]) -> Iterator[Monomial]:
    while todo:
        yield heappop(todo).key[1]


def divided(top: Polynomial, by: Polynomial) -> Polynomial | None:
    """top over by, None where that is no polynomial (times powers of what all of top's terms have)."""
    if len(by) > len(top):
        return None
    first, shared, rest = content(top)
    _, own, divisor = content(by)
    have = dict(shared)
    if any(factor[0] == "x" and have.get(factor, 0) < power for factor, power in own):
        return None  # a number may be 0, and what is over it is no polynomial; a power of e never is
    factors = sorted({factor for one in divisor for factor, _ in one})

    def degree(monomial: Monomial) -> tuple[Number, ...]:
        powers = dict(monomial)
        return tuple(powers.get(factor, 0) for factor in factors)

    lead = max(divisor, key=degree)
    if sum(degree(one) == degree(lead) for one in divisor) > 1:
        return None
    found: Polynomial = {}
    off = tuple((factor, -power) for factor, power in lead)
    todo = [_Last((degree(one), one)) for one in rest]
    heapify(todo)
    while rest:
        here = next(one for one in _popped(todo) if one in rest)
        step = times(here, off)
        if any(power < 0 for _, power in step) or len(found) > len(top):
            return None
        value = Fraction(rest[here]) / divisor[lead]
        found[step] = value
        for one, factor in divisor.items():
            place = times(step, one)
            left = rest.get(place, 0) - value * factor
            if left:
                if place not in rest:
                    heappush(todo, _Last((degree(place), place)))
                rest[place] = left
            else:
                rest.pop(place, None)
    back = times(shared, tuple((factor, -power) for factor, power in own))
    lead_of_by = content(by)[0]
    return {times(one, back): _plain(Fraction(first) * value / lead_of_by) for one, value in found.items()}


def factors_of(one: Quotient) -> Iterator[Factor]:
    """Every factor that occurs."""
    for polynomial in (one.top, *(dict(key) for key, _ in one.bottom)):
        for monomial in polynomial:
            for factor, _ in monomial:
                yield factor
