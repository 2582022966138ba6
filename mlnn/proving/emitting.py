"""Quotients back into nodes: of those that hang on some variables alone."""

from collections.abc import Mapping
from fractions import Fraction

from mlnn.proving.algebra import exp, inv, log, power, product, square
from mlnn.proving.forms import Forms
from mlnn.proving.graph import ABOVE, AT, BELOW, Graph, Id, Variable
from mlnn.proving.quotients import Factor, Monomial, Number, Polynomial, Quotient


class MixedError(Exception):
    """Something hangs on other variables too, or has a value only where a condition holds that cannot be written."""


class Emitter:
    """Writes the quotients of some forms into a graph. `known`: the variables that they may hang on."""

    def __init__(self, forms: Forms, into: Graph, known: frozenset[Variable] = frozenset()) -> None:
        self.forms, self.into, self.known = forms, into, known
        self._written: dict[object, Id] = {}

    def __call__(self, one: Quotient) -> Id:
        """The node of a quotient, which has a value where that has one. Raises MixedError."""
        found = self._quotient(one)
        for need in sorted(one.needs, key=repr):
            found = self.into.add(found, self.into.make("null", (self._condition(need),)))
        return found

    def _condition(self, need: object) -> Id:
        """A node that has a value only where something holds."""
        if not isinstance(need, tuple) or need[0] not in ("where", "above 0", "not 0"):
            raise MixedError
        if need[0] == "where":  # in one state of a switch
            _, look, held, inner = need
            asked = self.into.make("null", (self._condition(inner),))
            states = [asked if state == held else self.into.zero for state in (BELOW, AT, ABOVE)]
            return self.into.switch(self._named(look), *states)
        looked = self._named(need[1])
        if need[0] == "not 0":
            return inv(self.into, looked)
        return log(self.into, self.into.neg(looked) if need[2] else looked)

    def _quotient(self, one: Quotient) -> Id:
        factors = [self._polynomial(one.top)]
        for key, count in one.bottom:
            factors += [inv(self.into, self._polynomial(dict(key)))] * count
        return product(self.into, factors)

    def _polynomial(self, top: Polynomial) -> Id:
        squares = [(one, place) for one in top if (place := self._squared(one)) is not None]
        if len(squares) != 1:
            return self._added(top, 0)
        ((square_, place),) = squares
        line: Monomial = ((("x", place), 1),)
        rest = {one: value for one, value in top.items() if one not in (square_, line)}
        a, b = (Fraction(top.get(one, 0)) for one in (square_, line))
        return self.into.linear(
            [(Fraction(1), self._added(rest, -(b**2) / (4 * a))), (a, self._moved(self._number(place), b / (2 * a)))]
        )

    def _added(self, top: Polynomial, constant: Fraction | int) -> Id:
        terms = [(Fraction(value), self._monomial(one)) for one, value in sorted(top.items())]
        return self.into.linear(terms, constant)

    def _squared(self, one: Monomial) -> int | None:
        """The variable of which a monomial is the square."""
        if len(one) != 1 or one[0][0][0] != "x" or one[0][1] != 2:
            return None
        place = one[0][0][1]
        return place if self.forms.named[place].op == "var" else None

    def _moved(self, x: Id, by: Fraction) -> Id:
        """(x + by)², as a square: where x is in a ball, the terms of a narrow bump far from 0 would each move by more than their
        sum does."""
        return square(self.into, self.into.linear([(Fraction(1), x), (by, self.into.one)]))

    def _monomial(self, one: Monomial) -> Id:
        grown = {place: Fraction(power) for (kind, place), power in one if kind == "e"}
        factors = [exp(self.into, self._sum(grown))] if grown else []
        factors += [self._factor(factor, power) for factor, power in one if factor[0] == "x"]
        return product(self.into, factors)

    def _sum(self, grown: Mapping[int, Fraction]) -> Id:
        """Σ factor·number; a square a x² + b x + c as a (x + b/2a)² + c − b²/4a."""
        degrees = {place: self._degree(place) for place in grown}
        variables = {degree[0] for degree in degrees.values() if degree is not None and degree[1]}
        if None in degrees.values() or len(variables) != 1:
            return self.into.linear([(factor, self._exponent(place)) for place, factor in grown.items()])
        by_degree = {degree[1]: grown[place] for place, degree in degrees.items() if degree is not None}
        c, b, a = (by_degree.get(degree, Fraction(0)) for degree in range(3))
        (x,) = (self._number(place) for place in variables)
        if not a:
            return self.into.linear([(c, self.into.one), (b, x)])
        return self.into.linear([(a, self._moved(x, b / (2 * a))), (c - b**2 / (4 * a), self.into.one)])

    def _degree(self, place: int) -> tuple[int, int] | None:
        """The variable, and its power of 0 to 2, that a number is; None for any other."""
        named = self.forms.named[place]
        if named.op in ("one", "var"):
            return (place, int(named.op == "var"))
        if named.op != "product":
            return None
        of = self.forms.quotients[named.of]
        ((monomial, value),) = [*of.top.items()] if len(of.top) == 1 else [((), 0)]
        plain = value == 1 and not of.bottom and len(monomial) == 1 and monomial[0][0][0] == "x" and monomial[0][1] == 2
        return (monomial[0][0][1], 2) if plain and self.forms.named[monomial[0][0][1]].op == "var" else None

    def _exponent(self, place: int) -> Id:
        named = self.forms.named[place]
        if named.op == "one":
            return self.into.one
        return self._named(named.of) if named.op == "product" else self._number(place)

    def _factor(self, factor: Factor, times: Number) -> Id:
        return power(self.into, self._number(factor[1]), Fraction(times))

    def _named(self, key: object) -> Id:
        """What something is a function of."""
        if key not in self._written:
            self._written[key] = self(self.forms.quotients[key])
        return self._written[key]

    def _number(self, place: int) -> Id:
        named, into = self.forms.named[place], self.into
        if named.op == "var":
            if named.variable is None or named.variable not in self.known:
                raise MixedError
            return into.var(*named.variable)
        if named.op == "node":
            raise MixedError
        of = self._named(named.of)
        if named.op == "is":
            states = [into.one if state == named.numbers[0] else into.zero for state in (BELOW, AT, ABOVE)]
            return into.switch(of, *states)
        if named.op == "log":
            return log(into, of)
        if named.op == "power":
            return power(into, of, Fraction(named.numbers[0]))
        return into.make(named.op, (of,), tuple(Fraction(value) for value in named.numbers))
