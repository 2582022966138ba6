"""Intervals that may reach to infinity, with the arithmetic of their ends rounded outwards."""

from collections.abc import Iterable
from dataclasses import dataclass

from flint import arb

from mlnn.proving.rules import VagueError


@dataclass(frozen=True)
class Span:
    """The real numbers from `low` to `high`, both exact, −∞ and ∞ among them."""

    low: arb
    high: arb

    @staticmethod
    def of(value: arb) -> "Span":
        """The ends of a ball."""
        return Span(value.lower(), value.upper())

    @staticmethod
    def hull(spans: Iterable["Span"]) -> "Span":
        found = list(spans)
        return Span(least(one.low for one in found), most(one.high for one in found))

    @property
    def ball(self) -> arb:
        """A ball around a span; infinite where it is."""
        return self.low.union(self.high)

    @property
    def sign(self) -> int | None:
        """Of all of its numbers: −1, 0 or 1; None where they do not share one."""
        if self.low > 0:
            return 1
        if self.high < 0:
            return -1
        return 0 if self.low.is_zero() and self.high.is_zero() else None


Dual = tuple[Span, Span]
"""A value and its slope."""
NONE, UNIT = Span(arb(0), arb(0)), Span(arb(1), arb(1))
ANY = Span(arb.neg_inf(), arb.pos_inf())


def plus(left: Span, right: Span) -> Span:
    return Span((left.low + right.low).lower(), (left.high + right.high).upper())


def times(left: Span, right: Span) -> Span:
    """All products; 0 times a number without bound is 0."""
    ends = [_end(one, other) for one in (left.low, left.high) for other in (right.low, right.high)]
    return Span(least(one.lower() for one in ends), most(one.upper() for one in ends))


def _end(left: arb, right: arb) -> arb:
    return arb(0) if left.is_zero() or right.is_zero() else left * right


def least(ends: Iterable[arb]) -> arb:
    found, *rest = ends
    for one in rest:
        found = one if one < found else found
    return found


def most(ends: Iterable[arb]) -> arb:
    found, *rest = ends
    for one in rest:
        found = one if one > found else found
    return found


def inverse(span: Span) -> Span:
    """1/x of numbers of one sign."""
    if span.sign not in (1, -1):
        raise VagueError
    return Span((1 / span.high).lower(), (1 / span.low).upper())
