"""A graph on intervals that may reach to infinity: what its nodes, and their slopes along one variable, are at least and at most.

Interval arithmetic with the slope carried along. It is wide where balls are narrow, and good where balls are none: at the ends of
the line, where a tail is bounded by the slope of its exponent.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from flint import arb, arb_series

from mlnn.proving.graph import Graph, Id, Node, Variable
from mlnn.proving.rules import RULES, OutsideError, VagueError, number
from mlnn.proving.span import ANY, NONE, UNIT, Dual, Span, inverse, least, most, plus, times

LEAST_RISING = 2
"""From here on log Γ rises."""


class Spans:
    """The nodes of a graph as (value, slope), those that are asked for. `places`: the spans of variables; `along`: the variable
    that slopes are taken by.

    Raises VagueError where a span is too wide for an operation, `OutsideError` where there is no value on all of it. Where a switch
    may be in several states the value may be any of them, and nothing is said of the slope.
    """

    def __init__(self, graph: Graph, places: Mapping[Variable, Span], along: Variable) -> None:
        self.graph, self.places, self.along = graph, places, along
        self._found: dict[Id, Dual] = {}

    def __getitem__(self, one: Id) -> Dual:
        found = self._found.get(one)
        if found is None:
            found = self._found[one] = self._make(self.graph.nodes[one])
        return found

    def _make(self, node: Node) -> Dual:
        if node.op == "var":
            assert node.name is not None
            return self.places[node.name], UNIT if node.name == self.along else NONE
        if node.op == "switch":
            return self._switched(node)
        shares = _shares(self.graph, node) if node.op == "log" else None
        if shares is not None:
            return _log(node, self[node.args[0]][0])[0], self._led(*shares)
        args = [self[one] for one in node.args]
        if node.op in SEVERAL:
            return SEVERAL[node.op](node, args)
        ((inner, slope),) = args
        outer, steepness = ALONE[node.op](node, inner)
        return outer, times(steepness, slope)

    def _led(self, exponents: Sequence[Id], shares: Sequence[Fraction]) -> Span:
        """The slope of log Σ share·e^exponent: the mean of the exponents' slopes, each with its weight in the sum."""
        found = NONE
        for one, share in zip(exponents, shares, strict=True):
            others = UNIT
            for other, beside in zip(exponents, shares, strict=True):
                if other != one:
                    grown = _exp(NODE, self[self.graph.sub(other, one)][0])[0]
                    others = plus(others, times(Span.of(number(beside / share)), grown))
            found = plus(found, times(inverse(others), self[one][1]))
        return found

    def _switched(self, node: Node) -> Dual:
        looked, below, at, above = node.args
        sign = self[looked][0].sign
        if sign is not None:
            return self[(at, above, below)[sign]]
        return Span.hull(self[one][0] for one in (below, at, above)), ANY


NODE = Node("exp", (0,))


def _shares(graph: Graph, node: Node) -> tuple[list[Id], list[Fraction]] | None:
    """(exponents, shares) of the logarithm of a sum of exponentials, a number above 0 among them as one of 0; None for others."""
    inner = graph.nodes[node.args[0]]
    if inner.op != "lin" or not inner.args or any(share < 0 for share in inner.numbers):
        return None
    if any(graph.nodes[one].op != "exp" for one in inner.args):
        return None
    constant, *shares = inner.numbers
    exponents = [graph.nodes[one].args[0] for one in inner.args]
    return ([*exponents, graph.zero], [*shares, constant]) if constant else (exponents, shares)


def _lin(node: Node, args: Sequence[Dual]) -> Dual:
    constant, *factors = node.numbers
    value, slope = Span.of(number(constant)), NONE
    for factor, (one, rise) in zip(factors, args, strict=True):
        share = Span.of(number(factor))
        value, slope = plus(value, times(share, one)), plus(slope, times(share, rise))
    return value, slope


def _mul(node: Node, args: Sequence[Dual]) -> Dual:
    value, slope = args[0]
    for other, rise in args[1:]:
        value, slope = times(value, other), plus(times(slope, other), times(value, rise))
    return value, slope


def _square(node: Node, args: Sequence[Dual]) -> Dual:
    ((value, slope),) = args
    size = times(value, value)
    twice = times(Span.of(arb(2)), times(value, slope))
    return Span(arb(0) if size.low < 0 else size.low, size.high), twice


SEVERAL: dict[str, Callable[[Node, Sequence[Dual]], Dual]] = {"lin": _lin, "mul": _mul, "square": _square}
"""Operations of several nodes, or with more to say than a rule for one."""


def _at(node: Node, end: arb, limits: tuple[arb | None, arb | None]) -> arb:
    """A function at an end; at infinity its limit."""
    if end.is_finite():
        return RULES[node.op](node, [arb_series([end], 1)], 1)[0]
    found = limits[1] if end > 0 else limits[0]
    if found is None:
        raise VagueError
    return found


def _monotone(node: Node, x: Span, low: arb | None, high: arb | None) -> Span:
    """A function that rises, or falls, over all of a span; `low`, `high`: its limits at −∞ and ∞."""
    ends = [_at(node, end, (low, high)) for end in (x.low, x.high)]
    return Span(least(one.lower() for one in ends), most(one.upper() for one in ends))


def _negative(x: Span) -> Span:
    return Span(-x.high, -x.low)


ZERO, ONE, MORE = arb(0), arb(1), arb.pos_inf()


def _exp(node: Node, x: Span) -> Dual:
    found = _monotone(Node("exp", (0,)), x, ZERO, MORE)
    return found, found


def _above(x: Span) -> Span:
    """Of numbers above 0 alone."""
    if x.high <= 0:
        raise OutsideError("a function of numbers above 0")
    if not x.low > 0:
        raise VagueError
    return x


def _log(node: Node, x: Span) -> Dual:
    return _monotone(Node("log", (0,)), _above(x), None, MORE), inverse(x)


def _inv(node: Node, x: Span) -> Dual:
    found = inverse(x)
    return found, _negative(times(found, found))


def _power(node: Node, x: Span) -> Dual:
    """x^a of numbers above 0, as e^(a log x)."""
    (exponent,) = node.numbers
    logs = _log(node, x)[0]
    value, below = (_exp(node, times(Span.of(number(one)), logs))[0] for one in (exponent, exponent - 1))
    return value, times(Span.of(number(exponent)), below)


def _sigmoid(node: Node, x: Span) -> Dual:
    sigmoid = Node("sigmoid", (0,))
    value, other = (_monotone(sigmoid, one, ZERO, ONE) for one in (x, _negative(x)))
    return value, times(value, other)


def _softplus(node: Node, x: Span) -> Dual:
    return _monotone(node, x, ZERO, MORE), _sigmoid(node, x)[0]


def _wave(node: Node, x: Span) -> Dual:
    """A sine or cosine."""
    bounds = Span(arb(-1), ONE)
    if not x.ball.is_finite():
        return bounds, bounds
    sine, cosine = x.ball.sin(), x.ball.cos()
    value, slope = (sine, cosine) if node.op == "sin" else (cosine, -sine)
    return Span.of(value), Span.of(slope)


def _atan(node: Node, x: Span) -> Dual:
    quarter = arb.pi() / 2
    squared = plus(UNIT, _square(node, [(x, NONE)])[0])
    return _monotone(node, x, -quarter, quarter), inverse(squared)


def _erf(node: Node, x: Span) -> Dual:
    ends = (arb(-1), ONE) if node.op == "erf" else (arb(2), ZERO)
    fall = _exp(node, _negative(_square(node, [(x, NONE)])[0]))[0]
    lead = 2 / arb.pi().sqrt()
    return _monotone(node, x, *ends), times(Span.of(lead if node.op == "erf" else -lead), fall)


def _log_erfc(node: Node, x: Span) -> Dual:
    """Both fall, log erfcx with a slope that rises to 0; that of log erfc is −2/(√π erfcx), which falls from 0."""
    rest = Node("log_erfcx", (0,))
    value = _monotone(node, x, MORE if node.op == "log_erfcx" else arb(2).log(), -MORE)
    if node.op == "log_erfc":
        fall = _exp(NODE, _negative(_monotone(rest, x, MORE, -MORE)))[0]
        return value, times(Span.of(-2 / arb.pi().sqrt()), fall)
    ends = [
        RULES[node.op](rest, [arb_series([end, 1], 2)], 2)[1] if end.is_finite() else limit
        for end, limit in ((x.low, -MORE), (x.high, ZERO))
    ]
    return value, Span(ends[0].lower(), ends[1].upper())


def _lgamma(node: Node, x: Span) -> Dual:
    if not x.low >= LEAST_RISING:
        if not x.ball.is_finite() or not x.low > 0:
            raise VagueError
        return Span.of(x.ball.lgamma()), _digamma(x)
    return _monotone(node, x, None, MORE), _digamma(x)


def _digamma(x: Span) -> Span:
    return _polygamma(Node("polygamma", (0,), (Fraction(0),)), x)[0]


def _polygamma(node: Node, x: Span) -> Dual:
    """Monotone for numbers above 0; all but the first go to 0."""
    (order,) = node.numbers
    more = Node("polygamma", (0,), (order + 1,))
    limits = (MORE if order == 0 else ZERO, ZERO)
    value, slope = (_monotone(one, _above(x), None, limit) for one, limit in zip((node, more), limits, strict=True))
    return value, slope


def _null(node: Node, x: Span) -> Dual:
    return NONE, NONE


def _undefined(node: Node, x: Span) -> Dual:
    raise OutsideError("a constant that is not finite")


ALONE: dict[str, Callable[[Node, Span], Dual]] = {
    "exp": _exp,
    "log": _log,
    "inv": _inv,
    "power": _power,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "sin": _wave,
    "cos": _wave,
    "atan": _atan,
    "erf": _erf,
    "erfc": _erf,
    "log_erfc": _log_erfc,
    "log_erfcx": _log_erfc,
    "lgamma": _lgamma,
    "polygamma": _polygamma,
    "null": _null,
    "undefined": _undefined,
}
"""(node, its argument) → its value and its slope by the argument."""
