"""Probits far out: log erfc(u) and e^(u²)·erfc(u), of which balls around erfc(u) itself tell nothing."""

import math

import pytest
import torch
import torch.nn.functional as F
from flint import arb, arb_series
from torch import Tensor

import mlnn
from mlnn.proving.algebra import exp, inv, log, mul, square
from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.graph import Graph, Node
from mlnn.proving.recurrences import OPERATIONS
from mlnn.proving.replay import replay
from mlnn.proving.rules import RULES
from mlnn.proving.span import Span
from mlnn.proving.spans import ALONE, MORE


def probit(z: Tensor, y: Tensor) -> Tensor:
    return -torch.special.log_ndtr((2 * y - 1) * z)


def by_hand(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log(0.5 * torch.erfc((1 - 2 * y) * z / math.sqrt(2)))


def by_probability(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy(torch.distributions.Normal(0.0, 1.0).cdf(z), y, reduction="none")


def test_a_probit_is_proved_far_out() -> None:
    found = mlnn.prove(probit, by_hand, "binary")
    assert (found.answer, found.relation) == ("proved", "equal")
    assert found.boxes < 500
    again = replay(found)
    assert again.holds
    assert again.unchecked == 0


def test_the_clamp_is_where_a_probit_differs_from_a_cross_entropy() -> None:
    found = mlnn.prove(probit, by_probability, "binary")
    said = str(found)
    assert found.answer == "differs"
    assert found.boxes < 4000
    assert "values differ at y = 0: [13.888476033, 88], by up to 3777 near 88; y = 1: [−88, −13.888476033]" in said
    assert "undecided" not in said


@pytest.mark.parametrize("place", [-30, -1, 0, 2, 40])
@pytest.mark.parametrize("sign", [-1, 1])
def test_powers_of_e_and_error_functions_are_the_same_number_however_they_are_put(place: int, sign: int) -> None:
    g = Graph()
    u = g.scale(sign, g.var("z", 0))
    error, grown = g.make("erfc", (u,)), exp(g, square(g, u))
    tail = mul(g, grown, error)
    assert log(g, tail) == g.make("log_erfcx", (u,))
    assert mul(g, exp(g, g.neg(square(g, u))), inv(g, error)) == inv(g, tail)
    assert mul(g, exp(g, g.neg(square(g, u))), tail) == error
    assert exp(g, log(g, error)) == error
    assert mul(g, tail, inv(g, error)) == grown
    assert g.nodes[mul(g, exp(g, u), error)].op == "mul"
    twice = mul(g, mul(g, mul(g, exp(g, u), error), exp(g, g.sub(square(g, u), u))), error)
    other = g.sub(g.const(2), error)
    assert other == g.make("erfc", (g.neg(u),))
    with digits(256, 2):
        at = Evaluation(g, arb(place), {}, 2)
        value = arb(sign * place).erfc()
        assert at[twice][0].overlaps(value * value * (arb(place) ** 2).exp())
        assert at[other][0].overlaps(2 - value)
        assert at[twice][0].rel_accuracy_bits() > 100


def coefficients(op: str, place: float, bits: int = 400) -> list[arb]:
    """What log erfc, or log erfcx, is around a point, from erfc's own series with many digits."""
    with digits(bits + int(4 * place * place), 6):
        u = arb_series([arb(place), 1])
        return (u.erfc().log() + (u * u if op == "log_erfcx" else 0)).coeffs()


@pytest.mark.parametrize("op", ["log_erfc", "log_erfcx"])
@pytest.mark.parametrize(
    ("low", "high"), [(-40, -39.5), (-1.3, -0.7), (-2.4, -0.9), (0, 0.01), (0.3, 4), (9, 9.25), (60, 62), (5, 5)]
)
def test_balls_hold_what_is_at_their_points_and_narrow_ones_little_more(op: str, low: float, high: float) -> None:
    with digits(200, 6):
        wide = arb(low).union(high)
        found = RULES[op](Node(op, (0,)), [arb_series([wide, 1])], 6).coeffs()
        again = OPERATIONS[op]([[wide, arb(1), *[arb(0)] * 4]], [])
        value, slope = ALONE[op](Node(op, (0,)), Span(arb(low), arb(high)))
        endless = ALONE[op](Node(op, (0,)), Span(arb(low), MORE))
        for share in (0, 0.3, 1):
            exact = coefficients(op, low + share * (high - low))
            assert all(one.overlaps(other) for one, other in zip(found, exact, strict=True))
            assert all(one.overlaps(other) for one, other in zip(again, exact, strict=True))
            assert value.ball.overlaps(exact[0])
            assert slope.ball.overlaps(exact[1])
            assert endless[1].low <= exact[1].upper()
            assert exact[1].lower() <= endless[1].high
        slack = 40 * (high - low) * (1 + max(abs(low), abs(high)) ** 2) + 1e-40
        assert all(one.rad() < slack for one in (*found[:3], *again[:3]))
