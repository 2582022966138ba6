"""Proofs of losses of which the value or the gradient is no number at a place: 0/0 where a residual is 0."""

from collections.abc import Callable
from fractions import Fraction
from math import inf, isnan

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.proving import prove
from mlnn.proving.graph import Graph
from mlnn.proving.infinities import at_place
from mlnn.proving.replay import replay

Loss = Callable[[Tensor, Tensor], Tensor]
Pair = tuple[Loss, Loss, str, float]


def size(z: Tensor, y: Tensor) -> Tensor:
    return (z - y).abs()


AT_ZERO: dict[str, Pair] = {
    "a root": (lambda z, y: ((z - y) ** 2).sqrt(), size, "real", 0.0),
    "a power": (lambda z, y: ((z - y) ** 2) ** 0.5, size, "real", 0.0),
    "a fourth root": (lambda z, y: ((z - y) ** 4) ** 0.25, size, "real", 0.0),
    "a root of a fourth power": (lambda z, y: ((z - y) ** 4).sqrt(), lambda z, y: (z - y) ** 2, "real", 0.0),
    "a hypotenuse": (lambda z, y: torch.hypot(z - y, torch.zeros_like(z)), size, "real", 0.0),
    "where": (lambda z, y: torch.where(z == y, torch.zeros_like(z), ((z - y) ** 2).sqrt()), size, "real", 0.0),
    "a root at a third": (
        lambda z, y: ((z - 1 / 3) ** 2).sqrt() - y * z, lambda z, y: (z - 1 / 3).abs() - y * z, "binary", 1 / 3,
    ),
    "within a logarithm": (
        lambda z, y: F.relu(z) - y * z + torch.log1p(torch.exp(-((z**2).sqrt()))),
        lambda z, y: F.softplus(z, threshold=1e9) - y * z, "binary", 0.0,
    ),
}  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", AT_ZERO)
def test_the_one_place_where_a_gradient_is_no_number_is_told(name: str) -> None:
    left, right, targets, place = AT_ZERO[name]
    found = prove(left, right, targets, slopes=False)
    assert (found.answer, found.relation) == ("proved", "equal"), found.sentence
    assert found.points == ((place, inf),), found.points
    assert "the gradient of one side is no number" in found.sentence
    assert replay(found).holds, replay(found)
    assert prove(right, left, targets, slopes=False).points == found.points
    at = torch.full((1,), place, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(left(at, torch.zeros(1, dtype=torch.float64)).sum(), at)
    assert isnan(slope.item())


@pytest.mark.sampled(8, 6)
@pytest.mark.parametrize("name", AT_ZERO)
def test_a_narrow_bump_beside_such_a_place_is_not_proved_away(name: str) -> None:
    left, right, targets, place = AT_ZERO[name]

    def bumped(z: Tensor, y: Tensor) -> Tensor:
        return right(z, y) + 1e-9 * torch.exp(-(((z - y * (targets == "real") - place - 1e-6) / 1e-6) ** 2))

    assert prove(left, bumped, targets, slopes=False).answer == "differs"


VALUES: dict[str, Pair] = {
    "over its size": (lambda z, y: (z - y) ** 2 / (z - y).abs(), size, "real", 0.0),
    "over itself": (lambda z, y: (z - y) * (z - y) / (z - y), lambda z, y: z - y, "real", 0.0),
    "0 log 0": (
        lambda z, y: (z - y) ** 2 * torch.log((z - y) ** 2), lambda z, y: torch.xlogy((z - y) ** 2, (z - y) ** 2), "real", 0.0,
    ),
}  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_no_number_at_a_place_differs_there(name: str) -> None:
    left, right, targets, place = VALUES[name]
    found = prove(left, right, targets, slopes=False)
    assert (found.answer, found.where) == ("differs", ((place, place),)), found.sentence
    zero = torch.zeros(1, dtype=torch.float64)
    assert isnan(left(zero, zero).item())
    assert not isnan(right(zero, zero).item())


@pytest.mark.rest
def test_where_neither_side_has_a_number_is_told_and_what_code_computes_is_never_called_none() -> None:
    found = prove(
        lambda z, y: (z - y) ** 2 * torch.log((z - y) ** 2),
        lambda z, y: 2 * (z - y) ** 2 * torch.log((z - y).abs()),
        "real",
    )
    assert found.answer == "proved", found.sentence
    assert "neither side has a value on [0, 0]" in found.sentence
    inside = prove(lambda z, y: torch.exp(torch.log((z - y) ** 2) / 2), size, "real", slopes=False)
    assert inside.answer == "undecided", inside.sentence  # e to −∞ is 0


def test_a_place_is_asked_as_code_has_it() -> None:
    graph = Graph()
    x = graph.var("z", 0)
    over, logarithm = graph.make("inv", (x,)), graph.make("log", (x,))
    asked = {
        "1/0": (over, inf),
        "log 0": (logarithm, -inf),
        "e^(log 0)": (graph.make("exp", (logarithm,)), Fraction(0)),
        "1/(1/0)": (graph.make("inv", (over,)), Fraction(0)),
        "1/0 + 3": (graph.linear([(Fraction(1), over)], 3), inf),
        "erfc(1/0)": (graph.make("erfc", (over,)), Fraction(0)),
        "erfc(log 0)": (graph.make("erfc", (logarithm,)), Fraction(2)),
        "erf(log 0)": (graph.make("erf", (logarithm,)), Fraction(-1)),
        "log erfc(1/0)": (graph.make("log_erfc", (over,)), -inf),
    }
    for name, (node, value) in asked.items():
        assert at_place(graph, node, Fraction(0)) == value, name
    for node in (
        graph.make("mul", (x, over)),
        graph.make("lin", (over, logarithm), (Fraction(0), Fraction(1), Fraction(1))),
    ):
        assert isnan(at_place(graph, node, Fraction(0)) or 0.0)
    assert at_place(graph, graph.make("null", (over,)), Fraction(0)) is None
    assert at_place(graph, over, Fraction(1, 3)) == 3
