"""Quotients back into nodes: of those that hang on some variables alone."""

from fractions import Fraction

from mlnn.proving.algebra import exp, inv, log, power, product
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
        if not isinstance(need, tuple) or need[0] not in ("above 0", "not 0"):
            raise MixedError
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
        terms = [(Fraction(value), self._monomial(one)) for one, value in sorted(top.items())]
        return self.into.linear(terms)

    def _monomial(self, one: Monomial) -> Id:
        grown = [(Fraction(power), self._exponent(place)) for (kind, place), power in one if kind == "e"]
        factors = [exp(self.into, self.into.linear(grown))] if grown else []
        factors += [self._factor(factor, power) for factor, power in one if factor[0] == "x"]
        return product(self.into, factors)

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
