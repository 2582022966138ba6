"""Nodes of a graph as quotients of polynomials: what a softmax, a shift by the largest or a product write differently is one.

What is no sum, product, power of e or logarithm is a number with a name of its own, alike wherever it is the same function of the
same things: a switch is a sum over its three states, each 0 or 1.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial

from mlnn.proving.graph import ABOVE, AT, BELOW, Graph, Id, Node, Variable
from mlnn.proving.linear import Order, Reach, line_of
from mlnn.proving.named import ABOVE_ZERO, EVEN, NEEDS_ABOVE, ODD, WITH_ITS_SIGN, Named, alone
from mlnn.proving.quotients import (
    MOST_POWER,
    ONE,
    Arithmetic,
    Factor,
    Monomial,
    Number,
    Polynomial,
    Quotient,
    bounded,
    constant,
    content,
    divided,
    of_factor,
)

MOST_CASES = 24
"""Terms of a switch that is written out; one with more is a number by itself."""


class Forms:
    """The nodes of a graph as quotients. `told`: states of switches, by the name of what they look at. `base`: what is put in place
    of variables. `reach`: of raw outputs; nothing is asked of others."""

    def __init__(
        self,
        graph: Graph,
        told: Mapping[object, int] | None = None,
        base: "Callable[[Forms, Variable], Quotient] | None" = None,
        reach: Reach | None = None,
    ) -> None:
        self.graph, self.told, self.base, self.reach = graph, dict(told or {}), base, reach
        self.named: list[Named] = []
        self.order = Order()
        self.quotients, self.above, self.never_below = dict[object, Quotient](), set[object](), set[Named]()
        self._places, self._found = dict[Named, int](), dict[Id, Quotient]()
        self.arithmetic = Arithmetic(partial(alone, self.named))

    def __getitem__(self, one: Id) -> Quotient:
        for here in self.graph.needed([one]):
            if here not in self._found:
                self._found[here] = self._made(self.graph.nodes[here], here)
        return self._found[one]

    def place(self, named: Named) -> int:
        """The number by which something goes."""
        if named not in self._places:
            self._places[named] = len(self.named)
            self.named.append(named)
        return self._places[named]

    def keep(self, one: Quotient) -> object:
        """The name of a quotient that something is a function of."""
        self.quotients[one.key] = one
        return one.key

    def positive(self, top: Polynomial) -> bool:
        """Whether a polynomial is above zero by its form."""
        if frozenset(top.items()) in self.above:
            return True
        signs = [self._sign(one) if value > 0 else None for one, value in top.items()]
        return bool(signs) and None not in signs and any(signs)

    def at_least_0(self, top: Polynomial) -> bool:
        """Whether a polynomial is not below zero by its form."""
        return all(value > 0 and self._sign(part) is not None for part, value in top.items())

    def _sign(self, monomial: Monomial) -> bool | None:
        """True for a monomial above zero, False for one that is not below, None where it may be."""
        strict = True
        for (kind, place), power in monomial:
            if kind == "e":
                continue
            named = self.named[place]
            if named.op == "is":
                strict = False
            elif not (named.op in ABOVE_ZERO or named in self.above):
                if power < 0 or ((power != int(power) or power % 2) and named not in self.never_below):
                    return None
                strict = False
        return strict

    def _made(self, node: Node, here: Id) -> Quotient:
        args = [self._found[other] for other in node.args]
        if node.op == "var":
            assert node.name is not None
            return (self.base or Forms.variable)(self, node.name)
        if node.op == "lin":
            return self.arithmetic.sum([(node.numbers[0], constant(1)), *zip(node.numbers[1:], args, strict=True)])
        if node.op == "switch":
            return self._switch(args, here)
        if node.op in ("null", "undefined"):
            return Quotient({}, (), args[0].needs if args else frozenset({("never", here)}))
        if node.op == "power":
            return self.power(args[0], node.numbers[0])
        if node.op in RULES:
            return RULES[node.op](self, args)
        return self._by_itself(here) if len(args) > 1 else self.function(node, args[0])

    def variable(self, name: Variable) -> Quotient:
        named = Named("var", variable=name)
        self.above |= {named} if self.graph.positive[one := self.graph.var(*name)] else set()
        self.never_below |= {named} if self.graph.is_at_least_0(one) else set()
        return of_factor(("x", self.place(named)))

    def product(self, args: list[Quotient]) -> Quotient:
        found = args[0]
        for other in args[1:]:
            found = self.arithmetic.product(found, other)
        return found

    def inverse(self, one: Quotient) -> Quotient:
        """1 over it, which needs it not to be 0 where its form does not tell."""
        if not one.top:
            return Quotient({}, (), one.needs | {("never", "1/0")})
        return self._needing(self.arithmetic.inverse(one), "not 0", one)

    def _needing(self, found: Quotient, what: str, one: Quotient) -> Quotient:
        """A quotient that has a value only where another one is `what`."""
        known, name, turned = self._looked(one)
        need: object = ("never", what) if known is not None else (what, name, turned and what != "not 0")
        holds = known == (BELOW if turned else ABOVE) or (what == "not 0" and known in (BELOW, ABOVE))
        return found if holds else Quotient(found.top, found.bottom, found.needs | {need})

    def exp(self, one: Quotient) -> Quotient:
        """e to a sum is a product: powers of e, and of what a logarithm in the sum is of."""
        if one.bottom:
            factor: Factor = ("e", self.place(Named("product", self.keep(one))))
            return Quotient({((factor, 1),): 1}, (), one.needs)
        grown, found = list[tuple[Factor, Number]](), constant(1)
        for monomial, value in one.top.items():
            logarithm = self._logarithm(monomial)
            if logarithm is None:
                grown.append((("e", self._exponent(monomial)), value))
                continue
            whole = int(value // 1) if -MOST_POWER <= value <= MOST_POWER else 0
            if value - whole:
                grown.append((("e", monomial[0][0][1]), value - whole))
            for _ in range(abs(whole)):
                found = self.arithmetic.product(found, logarithm if whole > 0 else self.inverse(logarithm))
        return self.arithmetic.product(found, Quotient({tuple(sorted(grown)): 1}, (), one.needs))

    def _logarithm(self, monomial: Monomial) -> Quotient | None:
        """Of a logarithm alone, what it is of."""
        if len(monomial) != 1 or monomial[0][1] != 1:
            return None
        named = self.named[monomial[0][0][1]]
        return self.quotients[named.of] if named.op == "log" else None

    def _exponent(self, monomial: Monomial) -> int:
        if monomial == ONE:
            return self.place(Named("one"))
        if len(monomial) == 1 and monomial[0][1] == 1:
            return monomial[0][0][1]
        return self.place(Named("product", self.keep(Quotient({monomial: 1}))))

    def log(self, one: Quotient) -> Quotient:
        """Of a product of what is above zero a sum."""
        if not one.top:
            return Quotient({}, (), one.needs | {("never", "log 0")})
        if not all(self.positive(part) for part in (one.top, *(dict(key) for key, _ in one.bottom))):
            named = Named("log", self.keep(one))
            return self._needing(self._by_name(named, one), "above 0", one)
        lead, monomial, rest = content(one.top)
        terms: list[tuple[Number, Quotient]] = [(1, self._plain_log({ONE: lead})), (1, self._plain_log(rest))]
        terms += [(power, self._log_of(factor)) for factor, power in monomial]
        terms += [(-power, self._plain_log(dict(key))) for key, power in one.bottom]
        found = self.arithmetic.sum(terms)
        return Quotient(found.top, found.bottom, found.needs | one.needs)

    def _log_of(self, factor: Factor) -> Quotient:
        kind, place = factor
        if kind == "x":
            return self._plain_log({((factor, 1),): 1})
        named = self.named[place]
        if named.op == "one":
            return constant(1)
        return self.quotients[named.of] if named.op == "product" else of_factor(("x", place))

    def _plain_log(self, top: Polynomial) -> Quotient:
        if top == {ONE: 1}:
            return Quotient({})
        return of_factor(("x", self.place(Named("log", self.keep(Quotient(top))))))

    def power(self, one: Quotient, exponent: Fraction) -> Quotient:
        if exponent.denominator == 1:
            found = self.product([one] * bounded(int(exponent)))
            return found if exponent > 0 else self.inverse(found)
        if not one.top and exponent > 0:
            return one
        logs = self.log(one)
        if logs.needs == one.needs:
            return self.exp(self.arithmetic.sum([(exponent, logs)]))
        if exponent < 0:
            return self.inverse(self.power(one, -exponent))
        if exponent > 1:
            return self.product([one] * bounded(int(exponent)) + [self.power(one, exponent % 1)])
        named = Named("power", self.keep(one), (exponent,))
        return self._needing(self._by_name(named, one), "above 0", one)

    def _by_name(self, named: Named, one: Quotient, sign: int = 1) -> Quotient:
        return Quotient({((("x", self.place(named)), 1),): sign}, (), one.needs)

    def one_and(self, one: Quotient) -> Quotient:
        return self.arithmetic.sum([(1, constant(1)), (1, one)])

    def function(self, node: Node, one: Quotient) -> Quotient:
        """A function that is no more than its name: of −u as of u, where that is known."""
        sign = 1
        if node.op in ODD | EVEN and one.top and min(one.top.items())[1] < 0:
            sign = -1 if node.op in ODD else 1
            one = self.arithmetic.sum([(-1, one)])
        if node.op in ODD | EVEN and not one.top:
            return Quotient({} if node.op in ODD else {ONE: 1}, (), one.needs)
        found = self._by_name(named := Named(node.op, self.keep(one), tuple(node.numbers)), one, sign)
        self.above |= {named} if node.op in WITH_ITS_SIGN and not one.bottom and self.positive(one.top) else set()
        if node.op == "sin":
            self.arithmetic.sines["x", self.place(named)] = ("x", self.place(Named("cos", self.keep(one))))
        return self._needing(found, "above 0", one) if node.op in NEEDS_ABOVE else found

    def _switch(self, args: list[Quotient], here: Id) -> Quotient:
        look, *branches = args
        known, name, turned = self._looked(look)
        branches = branches[::-1] if turned else branches
        if known is not None:
            chosen = branches[known + 1]
            return Quotient(chosen.top, chosen.bottom, chosen.needs | look.needs)
        states = [of_factor(("x", self.place(Named("is", name, (state,))))) for state in (BELOW, AT, ABOVE)]
        below, at, above = branches
        by_state = zip((BELOW, AT, ABOVE), branches, strict=True)
        needs = look.needs | {("where", name, state, need) for state, one in by_state for need in one.needs}
        if sum(len(one.top) for one in branches) > MOST_CASES:
            return self._by_itself(here, name)
        apart = [self.arithmetic.sum([(1, one), (-1, above)]) for one in (below, at)]
        apart[1] = Quotient({}, (), apart[1].needs) if self.vanishes(apart[1], self.quotients[name]) else apart[1]
        found = self.arithmetic.sum(
            [(1, above)] + [(1, self.arithmetic.product(state, one)) for state, one in zip(states, apart, strict=False)]
        )
        return Quotient(found.top, found.bottom, needs)

    def _by_itself(self, here: Id, look: object = None) -> Quotient:
        """A node that is written out nowhere; of a switch, with what that looks at."""
        named = Named("node", look, node=here)
        if self.graph.positive[here]:
            self.above.add(named)
        needs = frozenset[object]() if self.graph.total[here] else frozenset({("node", here)})
        return Quotient({((("x", self.place(named)), 1),): 1}, (), needs)

    def vanishes(self, one: Quotient, look: Quotient) -> bool:
        """Whether something is 0 where another thing is: the one is the other, times something."""
        return not one.top or (not look.bottom and divided(one.top, look.top) is not None)

    def _looked(self, look: Quotient) -> tuple[int | None, object, bool]:
        """(the state of a switch where it is certain, the name of what it looks at, whether below and above are turned round).

        What is above zero by its form is left out of what it looks at.
        """
        if not look.top:
            return AT, None, False
        lead, monomial, rest = content(look.top)
        other = tuple((factor, power) for factor, power in monomial if self._sign(((factor, power),)) is not True)
        bottom = tuple((key, power) for key, power in look.bottom if power % 2 and not self.positive(dict(key)))
        plain = Quotient(self.arithmetic.multiplied(rest, {other: 1}), bottom)
        if not bottom and self.positive(plain.top):
            return (ABOVE if lead > 0 else BELOW), None, False
        line = line_of(self.named, plain)
        state = line.sign(self.reach) if line and self.reach else None
        if state is not None:
            return (state if lead > 0 else -state), None, False
        name = self.keep(plain)
        if line and name in self.told:
            self.order.tell(line, self.told[name])
        return self.told.get(name, self.order.state(line) if line else None), name, lead < 0


ERFC = Node("erfc", (0,))
RULES: dict[str, Callable[[Forms, list[Quotient]], Quotient]] = {
    "mul": lambda at, args: at.product(args),
    "square": lambda at, args: at.product(args * 2),
    "inv": lambda at, args: at.inverse(args[0]),
    "exp": lambda at, args: at.exp(args[0]),
    "log": lambda at, args: at.log(args[0]),
    "sigmoid": lambda at, args: at.product([grown := at.exp(args[0]), at.inverse(at.one_and(grown))]),
    "softplus": lambda at, args: at.log(at.one_and(at.exp(args[0]))),
    "log_erfc": lambda at, args: at.log(at.function(ERFC, args[0])),
    "log_erfcx": lambda at, args: at.log(at.product([at.exp(at.product(args * 2)), at.function(ERFC, args[0])])),
}
