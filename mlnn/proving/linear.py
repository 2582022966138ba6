"""Quotients that are lines in the variables: where they are 0, and their sign on an interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import fmpq

from mlnn.proving.graph import ABOVE, AT, BELOW, Variable
from mlnn.proving.named import Named
from mlnn.proving.quotients import ONE, Quotient

Reach = tuple[Fraction, Fraction]
"""Ends of an interval, both included."""


def reach_of(ends: tuple[fmpq, fmpq]) -> Reach:
    low, high = (Fraction(int(end.p), int(end.q)) for end in ends)
    return low, high


@dataclass(frozen=True)
class Line:
    """constant + Σ factor·variable, of one variable at least."""

    terms: tuple[tuple[Variable, Fraction], ...]
    constant: Fraction

    def solved(self) -> tuple[Variable, list[tuple[Variable, Fraction]], Fraction]:
        """Its first variable where it is 0, in terms of the others: (the variable, the others with their factors, a constant)."""
        (first, lead), *others = self.terms
        return first, [(name, -factor / lead) for name, factor in others], -self.constant / lead

    def sign(self, reach: Reach) -> int | None:
        """BELOW or ABOVE zero for all raw outputs of an interval; None where that is not so, or it has targets in it."""
        if any(kind != "z" for (kind, _), _ in self.terms):
            return None
        ends = [sorted(factor * end for end in reach) for _, factor in self.terms]
        low, high = (self.constant + sum(pair[place] for pair in ends) for place in (0, 1))
        return ABOVE if low > 0 else BELOW if high < 0 else None


def line_of(named: Sequence[Named], one: Quotient) -> Line | None:
    """A quotient as a line; None of what is none. named: the numbers of its factors."""
    if one.bottom:
        return None
    terms, constant = list[tuple[Variable, Fraction]](), Fraction(0)
    for monomial, value in sorted(one.top.items()):
        if monomial == ONE:
            constant = Fraction(value)
            continue
        (kind, place), power = monomial[0]
        variable = named[place].variable
        if len(monomial) > 1 or kind != "x" or power != 1 or variable is None:
            return None
        terms.append((variable, Fraction(value)))
    return Line(tuple(terms), constant) if terms else None


_Bound = tuple[Fraction, int]
"""Of a difference: at most so much, 1; below it, 0. The smaller tuple says more."""
_NONE: _Bound = (Fraction(0), 1)


class Order:
    """Lines in known states, and what they say together: x < y and y < z that x < z. Known are differences of two variables,
    variables by themselves, and others as far as they are parallel. `contradicts`: whether there is no such place."""

    def __init__(self) -> None:
        self.contradicts = False
        self._most: dict[object, dict[object, _Bound]] = {}

    def tell(self, line: Line, state: int) -> None:
        plus, minus, place, sign = _difference(line)
        side, strict = state * sign, int(state == AT)
        if side <= 0:
            self._add(plus, minus, (place, strict))
        if side >= 0:
            self._add(minus, plus, (-place, strict))

    def state(self, line: Line) -> int | None:
        """The state of a line, where it follows."""
        plus, minus, place, sign = _difference(line)
        high, low = (self._most.get(one, {}).get(other) for one, other in ((plus, minus), (minus, plus)))
        if high is not None and high < (place, 1):
            return BELOW * sign
        if low is not None and low < (-place, 1):
            return ABOVE * sign
        return AT if high == (place, 1) and low == (-place, 1) else None

    def _add(self, plus: object, minus: object, bound: _Bound) -> None:
        for one in (plus, minus):
            self._most.setdefault(one, {one: _NONE})
        into = [(one, row[plus]) for one, row in self._most.items() if plus in row]
        out = [*self._most[minus].items()]
        for first, before in into:
            row = self._most[first]
            for last, after in out:
                found = before[0] + bound[0] + after[0], min(before[1], bound[1], after[1])
                if last not in row or found < row[last]:
                    row[last] = found
                    self.contradicts |= first == last


def _difference(line: Line) -> tuple[object, object, Fraction, int]:
    """(what, minus what, is to be compared with which number, -1 if the other way round)."""
    lead = line.terms[0][1]
    along = tuple((name, factor / lead) for name, factor in line.terms)
    place, sign = -line.constant / lead, 1 if lead > 0 else -1
    if len(along) == 2 and along[1][1] == -1:
        return along[0][0], along[1][0], place, sign
    return along[0][0] if len(along) == 1 else along, None, place, sign
