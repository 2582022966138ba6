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


def contradict(told: Sequence[tuple[Line, int]]) -> bool:
    """Whether lines cannot be in these states together, as far as those that are parallel tell."""
    least = dict[tuple[tuple[Variable, Fraction], ...], Fraction]()
    most, exactly = dict(least), dict(least)
    for line, state in told:
        lead = line.terms[0][1]
        along = tuple((name, factor / lead) for name, factor in line.terms)
        place = -line.constant / lead
        side = state if lead > 0 else -state
        if side == AT and exactly.setdefault(along, place) != place:
            return True
        if side == ABOVE:
            least[along] = max(place, least.get(along, place))
        if side == BELOW:
            most[along] = min(place, most.get(along, place))
    empty = any(least[along] >= most[along] for along in least.keys() & most.keys())
    over = any(least[along] >= exactly[along] for along in least.keys() & exactly.keys())
    return empty or over or any(most[along] <= exactly[along] for along in most.keys() & exactly.keys())
