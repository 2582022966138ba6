"""Each operation on intervals that may be endless contains what mpmath says, and its slope; change any one, and this is noticed."""

import random
from collections.abc import Callable
from fractions import Fraction

import mpmath
import pytest
from flint import arb
from test_proof_rules import KNOWN, as_mp

from mlnn.proving import integral, spans
from mlnn.proving.algebra import exp, log, square
from mlnn.proving.balls import digits
from mlnn.proving.core import absolute, cosh, huber
from mlnn.proving.graph import Graph, Id, Node
from mlnn.proving.integral import grows, over_the_line
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.span import Span, least, most, times
from mlnn.proving.spans import ALONE, MORE, SEVERAL, Spans

BITS = 128
OPS = [op for op in KNOWN if op in ALONE or op in SEVERAL]
Z = ("z", 0)


def test_every_operation_is_here() -> None:
    assert set(OPS) == (set(ALONE) | set(SEVERAL)) - {"undefined"}


def within(value: mpmath.mpf, span: Span) -> bool:
    """Whether a number lies in an interval, but for mpmath's own rounding."""
    slack = mpmath.mpf(2) ** -100 * (1 + abs(value))
    low = -mpmath.inf if not span.low.is_finite() else as_mp(span.low)
    high = mpmath.inf if not span.high.is_finite() else as_mp(span.high)
    return bool(low - slack <= value <= high + slack)


def escapes(op: str) -> bool:
    """Whether a value or a slope lies outside of what is said of an interval, somewhere on a few of them, the last one endless."""
    node, function, (low, high) = KNOWN[op]
    draws = random.Random(op)
    for size in (0.0, 1e-6, 0.4, None):
        lows = [draws.uniform(max(low, 0.6), high - 0.5) for _ in node.args]
        highs = [None if size is None else one + size for one in lows]
        with digits(BITS, 2):
            args = [
                (Span(arb(one), MORE if other is None else arb(other)), spans.UNIT if not place else spans.NONE)
                for place, (one, other) in enumerate(zip(lows, highs, strict=True))
            ]
            value, slope = joined(node, args)
        for share in (0.0, 0.37, 0.99):
            width = 60.0 if size is None else size
            point = [mpmath.mpf(one) + mpmath.mpf(width) * share for one in lows]
            rise = mpmath.diff(lambda t, point=point: function(t, *point[1:]), point[0])
            if not within(function(*point), value) or not within(rise, slope):
                return True
    return False


def joined(node: Node, args: list[tuple[Span, Span]]) -> tuple[Span, Span]:
    if node.op in SEVERAL:
        return SEVERAL[node.op](node, args)
    value, slope = ALONE[node.op](node, args[0][0])
    return value, times(slope, args[0][1])


@pytest.mark.parametrize("op", OPS)
def test_an_operation_contains_what_mpmath_says(op: str) -> None:
    assert not escapes(op)


@pytest.mark.parametrize("what", [0, 1])
@pytest.mark.parametrize("op", OPS)
def test_an_operation_that_is_off_by_little_is_noticed(op: str, what: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = SEVERAL if op in SEVERAL else ALONE
    rule = table[op]

    def mutated(node: Node, given: object) -> tuple[Span, Span]:
        found = list(rule(node, given))  # type: ignore[arg-type]
        nudge = arb(2) ** -40 * (1 + abs(found[what].low if found[what].low.is_finite() else arb(0)))
        found[what] = Span((found[what].low + nudge).lower(), (found[what].high + nudge).upper())
        return found[0], found[1]

    monkeypatch.setitem(table, op, mutated)
    assert escapes(op)


def test_a_switch_is_in_one_state_or_in_any() -> None:
    g = Graph()
    z = g.var(*Z)
    one = g.switch(z, g.const(-3), g.const(2), square(g, z))
    value, slope = Spans(g, {Z: Span(arb(2), arb(3))}, Z)[one]
    assert (value.low, value.high, slope.low, slope.high) == (4, 9, 4, 6)
    value, slope = Spans(g, {Z: Span(arb(-1), arb(3))}, Z)[one]
    assert (value.low, value.high) == (-3, 9)
    assert not slope.low.is_finite()


def test_what_has_no_value_or_is_too_wide_says_so() -> None:
    g = Graph()
    z = g.var(*Z)
    for node, low, high, raised in (
        (log(g, z), -2, -1, OutsideError), (log(g, z), -1, 2, VagueError), (g.make("inv", (z,)), -1, 1, VagueError),
        (g.make("undefined", (z,)), 0, 1, OutsideError),
    ):  # fmt: skip
        with pytest.raises(raised):
            Spans(g, {Z: Span(arb(low), arb(high))}, Z)[node]


def test_ends_in_order() -> None:
    assert (least([arb(3), arb(-1), arb(2)]), most([arb(3), arb(-1), arb(2)])) == (-1, 3)
    nothing = times(Span(arb(0), arb(0)), Span(arb(0), MORE))
    assert (nothing.low, nothing.high) == (0, 0)


Exponent = Callable[[Graph, Id], Id]
INTEGRALS: dict[str, tuple[Exponent, mpmath.mpf]] = {
    "normal": (lambda g, v: g.scale(Fraction(1, 2), square(g, v)), mpmath.sqrt(2 * mpmath.pi)),
    "laplace": (lambda g, v: absolute(g, v), mpmath.mpf(2)),
    "wide": (lambda g, v: g.scale(Fraction(1, 10**6), absolute(g, v)), mpmath.mpf(2 * 10**6)),
    "cauchy": (lambda g, v: log(g, g.linear([(Fraction(1), square(g, v))], 1)), mpmath.pi),
    "sech": (lambda g, v: log(g, cosh(g, v)), mpmath.pi),
    "gumbel": (lambda g, v: g.sub(exp(g, v), v), mpmath.mpf(1)),
    "huber": (lambda g, v: huber(g, v, g.zero, g.one),
              mpmath.sqrt(2 * mpmath.pi) * mpmath.erf(mpmath.sqrt(mpmath.mpf(1) / 2)) + 2 * mpmath.exp(mpmath.mpf(-1) / 2)),
}  # fmt: skip


def contains(name: str) -> bool:
    make, wanted = INTEGRALS[name]
    g = Graph()
    found = over_the_line(g, make(g, g.var(*Z)), 3000).value
    low, high = as_mp(found.lower()), as_mp(found.upper())
    assert high - low < mpmath.mpf(10) ** -13 * wanted
    return bool(low - mpmath.mpf(10) ** -60 <= wanted <= high + mpmath.mpf(10) ** -60)


@pytest.mark.parametrize("name", INTEGRALS)
def test_an_integral_is_enclosed(name: str) -> None:
    assert contains(name)


def test_a_tail_whose_slope_is_overrated_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    slope = integral._slope

    def steeper(graph: Graph, root: Id, start: object) -> Span | None:
        found = slope(graph, root, start)  # type: ignore[arg-type]
        return found and Span(found.low * arb(10) ** 15, found.high)

    monkeypatch.setattr(integral, "_slope", steeper)
    assert not contains("laplace")


def test_a_remainder_that_is_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integral, "arb", lambda *args: arb(args[0]))
    monkeypatch.setattr(integral, "ORDERS", (2,))
    monkeypatch.setattr(integral, "GOAL", 1.0)
    assert not contains("normal")


def test_an_integral_without_end_has_a_side() -> None:
    g = Graph()
    v = g.var(*Z)
    slow = g.scale(Fraction(1, 2), log(g, g.linear([(Fraction(1), square(g, v))], 1)))
    assert grows(g, slow) is not None
    assert grows(g, g.one) is not None
    assert grows(g, log(g, g.linear([(Fraction(1), square(g, v))], 1))) is None
    with pytest.raises(VagueError):
        over_the_line(g, slow, 100)
