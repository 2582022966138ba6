"""Each operation's rule on balls contains what mpmath says at every point of the ball; change any one, and this is noticed."""

import random
from collections.abc import Callable
from fractions import Fraction

import mpmath
import pytest
from flint import arb, arb_series, fmpq

from mlnn.proving import coefficients
from mlnn.proving.balls import ball, digits
from mlnn.proving.graph import Node
from mlnn.proving.rules import RULES, OutsideError, VagueError

TERMS, BITS = 6, 128
mpmath.mp.prec = 240
HALF = Fraction(1, 2)
Function = Callable[..., mpmath.mpf]
# op: (node, what it is, from where to where its arguments may lie)
KNOWN: dict[str, tuple[Node, Function, tuple[float, float]]] = {
    "lin": (Node("lin", (0, 1), (HALF, Fraction(3), Fraction(-2, 7))), lambda x, y: mpmath.mpf(1) / 2 + 3 * x - 2 * y / 7, (-9, 9)),
    "mul": (Node("mul", (0, 1)), lambda x, y: x * y, (-9, 9)),
    "square": (Node("square", (0,)), lambda x: x * x, (-9, 9)),
    "inv": (Node("inv", (0,)), lambda x: 1 / x, (0.5, 9)),
    "exp": (Node("exp", (0,)), mpmath.exp, (-40, 40)),
    "log": (Node("log", (0,)), mpmath.log, (0.5, 40)),
    "power": (Node("power", (0,), (Fraction(-5, 2),)), lambda x: x ** (mpmath.mpf(-5) / 2), (0.5, 9)),
    "sigmoid": (Node("sigmoid", (0,)), lambda x: 1 / (1 + mpmath.exp(-x)), (-60, 60)),
    "softplus": (Node("softplus", (0,)), lambda x: mpmath.log1p(mpmath.exp(x)), (-60, 60)),
    "sin": (Node("sin", (0,)), mpmath.sin, (-9, 9)),
    "cos": (Node("cos", (0,)), mpmath.cos, (-9, 9)),
    "atan": (Node("atan", (0,)), mpmath.atan, (-9, 9)),
    "erf": (Node("erf", (0,)), mpmath.erf, (-5, 5)),
    "erfc": (Node("erfc", (0,)), mpmath.erfc, (-5, 5)),
    "log_erfc": (Node("log_erfc", (0,)), lambda x: mpmath.log(mpmath.erfc(x)), (-6, 9)),
    "log_erfcx": (Node("log_erfcx", (0,)), lambda x: x * x + mpmath.log(mpmath.erfc(x)), (-6, 9)),
    "lgamma": (Node("lgamma", (0,)), mpmath.loggamma, (0.7, 30)),
    "polygamma": (Node("polygamma", (0,), (Fraction(1),)), lambda x: mpmath.psi(1, x), (0.7, 30)),
    "null": (Node("null", (0,)), lambda x: 0 * x, (-9, 9)),
    "hyp0f1": (Node("hyp0f1", (0,), (Fraction(3, 2),)), lambda x: mpmath.hyp0f1(mpmath.mpf(3) / 2, x), (-30, 60)),
    "gammaincc": (Node("gammaincc", (0,)), lambda x: mpmath.gammainc(2.5, x, regularized=True), (0.7, 20)),
}  # fmt: skip
RADII = (0.0, 1e-9, 0.05, 0.5)
"""Of the balls of each operation; each is looked at in two points."""


def test_every_rule_is_known_here() -> None:
    assert set(KNOWN) == set(RULES) - {"undefined"}


def inner(places: list[mpmath.mpf], t: mpmath.mpf) -> list[mpmath.mpf]:
    """The arguments around a place: curved, so that composing is tested too."""
    return [place + (1 + number) * t - t * t / 3 for number, place in enumerate(places)]


def as_mp(value: arb) -> mpmath.mpf:
    mantissa, exponent = value.man_exp()
    return mpmath.mpf(int(mantissa)) * mpmath.mpf(2) ** int(exponent)


def holds(found: arb, value: mpmath.mpf) -> bool:
    """Whether a ball contains a number that mpmath has to thirty digits."""
    slack = mpmath.mpf(2) ** -110 * (1 + abs(value))
    with digits(400, 2):
        return bool(as_mp(found.lower()) - slack <= value <= as_mp(found.upper()) + slack)


def escapes(op: str, seed: int = 0) -> bool:
    """Whether any coefficient of an operation lies outside of its ball, somewhere on a few random balls."""
    node, function, (least, most) = KNOWN[op]
    draws = random.Random(f"{op} {seed}")
    for size in RADII:
        radius = size * min(1.0, (most - least) / 8)
        centres = [draws.uniform(least + radius, most - radius) for _ in node.args]
        lows, highs = ([fmpq(*(c + s * radius).as_integer_ratio()) for c in centres] for s in (-1, 1))
        with digits(BITS, TERMS):
            third = [-arb(1) / 3] if TERMS > 2 else []
            args = [
                arb_series([ball(low, high), 1 + place, *third], TERMS)
                for place, (low, high) in enumerate(zip(lows, highs, strict=True))
            ]
            args = ([arb_series([2.5], TERMS)] if op == "gammaincc" else []) + args
            try:
                series = RULES[node.op](node, args, TERMS)
            except VagueError:
                continue
            found = [series[place] for place in range(TERMS)]
        if not all(one.is_finite() for one in found):  # as vague
            continue
        for share in (0.0, 0.83):
            points = [
                mpmath.mpf(int(low.p)) / int(low.q) * (1 - share) + mpmath.mpf(int(high.p)) / int(high.q) * share
                for low, high in zip(lows, highs, strict=True)
            ]
            wanted = mpmath.taylor(lambda t, points=points: function(*inner(points, t)), 0, TERMS - 1)
            if not all(holds(one, value) for one, value in zip(found, wanted, strict=True)):
                return True
    return False


@pytest.mark.sampled(3)
@pytest.mark.parametrize("op", KNOWN)
def test_a_rule_contains_what_mpmath_says(op: str) -> None:
    assert not escapes(op)


@pytest.mark.parametrize("place", [0, TERMS - 1])
@pytest.mark.parametrize("op", KNOWN)
def test_a_rule_that_is_off_by_little_in_one_coefficient_is_noticed(
    op: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = RULES[op]

    def mutated(node: Node, args: list[arb_series], terms: int) -> arb_series:
        found = rule(node, args, terms)
        bump = [arb(0)] * place + [arb(2) ** -60 + abs(found[place]) * arb(2) ** -60]
        return found + arb_series(bump, terms)

    monkeypatch.setitem(RULES, op, mutated)
    assert escapes(op)


WIDE = [(-88, 88), (-700, -50), (-20, -3.9), (2, 30), (-5.5, -4.5)]


def escapes_wide(low: float, high: float) -> bool:
    """The same of σ on a wide ball, whose coefficients are bounded by Cauchy's estimate."""
    node, function, _ = KNOWN["sigmoid"]
    with digits(BITS, TERMS):
        wide = ball(fmpq(*float(low).as_integer_ratio()), fmpq(*float(high).as_integer_ratio()))
        series = RULES["sigmoid"](node, [arb_series([wide, 1], TERMS)], TERMS)
    for share in range(5):
        point = mpmath.mpf(low) + mpmath.mpf(high - low) * share / 4
        wanted = mpmath.taylor(function, point, TERMS - 1)
        if not all(holds(series[place], value) for place, value in enumerate(wanted)):
            return True
    return False


@pytest.mark.parametrize(("low", "high"), WIDE)
def test_the_sigmoid_is_contained_on_wide_balls(low: float, high: float) -> None:
    assert not escapes_wide(low, high)


def test_a_bound_on_the_sigmoid_that_is_too_small_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coefficients, "BOUND", fmpq(1, 20))
    monkeypatch.setattr(coefficients, "_known", {})
    assert escapes_wide(-88, 88)


@pytest.mark.parametrize(
    ("op", "value", "raised"),
    [
        ("log", -1, OutsideError), ("log", 0, OutsideError), ("inv", 0, OutsideError), ("power", -1, OutsideError),
        ("lgamma", -1, VagueError), ("polygamma", 0, VagueError), ("undefined", 1, OutsideError),
    ],
)  # fmt: skip
def test_what_has_no_value_says_so(op: str, value: int, raised: type[Exception]) -> None:
    node = KNOWN[op][0] if op in KNOWN else Node(op)
    with digits(BITS, 4), pytest.raises(raised):
        RULES[op](node, [arb_series([value, 1], 4)], 4)


@pytest.mark.parametrize("op", ["log", "inv", "power"])
def test_a_ball_that_touches_the_edge_is_vague(op: str) -> None:
    with digits(BITS, 4), pytest.raises(VagueError):
        RULES[op](KNOWN[op][0], [arb_series([ball(fmpq(-1), fmpq(2)), 1], 4)], 4)
