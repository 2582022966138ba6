"""Proofs of losses that part at some targets only: at those, all raw outputs are met, and no kink excuses a gradient."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.proving import prove
from mlnn.proving.algebra import exp, mul, square
from mlnn.proving.graph import Graph
from mlnn.proving.thin import Labels, Thin

Loss = Callable[[Tensor, Tensor], Tensor]


def off(loss: Loss, at: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """The same values, with gradients 0.1 off where `at` is 0."""

    def one(z: Tensor, y: Tensor) -> Tensor:
        more = 0.1 * (z - z.detach()) * (at(z, y).detach() == 0)
        return loss(z, y) + (more.sum(-1) if loss is of_two else more)

    return one


def squared(z: Tensor, y: Tensor) -> Tensor:
    return (torch.sigmoid(z) - y) ** 2


def grown(z: Tensor, y: Tensor) -> Tensor:
    return torch.exp(y) * F.softplus((1 - 2 * y) * z, threshold=1e9)


def rate(z: Tensor, y: Tensor) -> Tensor:
    return torch.exp(z) - y * z


def residual(z: Tensor, y: Tensor) -> Tensor:
    return (z - y) ** 2


def of_two(z: Tensor, y: Tensor) -> Tensor:
    return residual(z, y).sum(-1)


QUARTER: dict[str, tuple[Loss, str, Callable[[Tensor, Tensor], Tensor]]] = {
    "a cube": (squared, "unit", lambda _, y: (y - 0.25) ** 3),
    "two labels": (grown, "unit", lambda z, y: (y - 0.25) * (y - 0.6) * z),
    "both ends": (squared, "unit", lambda _, y: y * (1 - y)),
    "a hyperbolic tangent": (squared, "unit", lambda z, y: torch.tanh((y - 0.25) * z)),
    "an exponential": (grown, "unit", lambda z, y: torch.exp((y - 0.25) * z) - 1),
    "a sine that is 0 next to it": (grown, "unit", lambda z, y: torch.sin(4 * torch.pi * y) * z),
    "times what is above 0": (grown, "unit", lambda z, y: (y - 0.25) * torch.exp(z)),
    "a count": (rate, "counts", lambda z, y: (y - 5) * z),
    "a real target": (residual, "real", lambda z, y: (y - 0.25) * (z * z + 1)),
    "a positive one": (rate, "positive", lambda _, y: y * y - 0.25),
    "one of two": (of_two, "real(2)", lambda _, y: y - 0.25),
}  # fmt: skip


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", QUARTER)
def test_a_gradient_that_is_off_at_a_whole_target_is_not_proved(name: str) -> None:
    loss, targets, look = QUARTER[name]
    found = prove(loss, off(loss, look), targets, domain=(-3, 2), slopes=False, boxes=50)
    assert found.answer != "proved", found.sentence


ELSEWHERE: dict[str, tuple[Loss, str, Callable[[Tensor, Tensor], Tensor]]] = {
    "a count and a half": (rate, "counts", lambda _, y: y - 2.5),
    "a label beyond": (grown, "unit", lambda z, y: (y - 1.5) * z),
    "single raw outputs": (grown, "unit", lambda z, y: torch.exp(z) - 1 - y),
    "a label that switches nothing": (squared, "unit", lambda z, y: (y + 3) * (z - 1)),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_no_target_meets_for_all_raw_outputs_is_no_difference(name: str) -> None:
    loss, targets, look = ELSEWHERE[name]
    found = prove(loss, off(loss, look), targets, domain=(-3, 2), slopes=False, boxes=50)
    assert found.answer == "proved", found.sentence


@pytest.mark.sampled(2)
@pytest.mark.parametrize("lost", [lambda y: 0 * torch.log(y), lambda y: 0 * torch.log((y - 0.25).abs())])
def test_what_has_no_value_at_a_label_is_not_equal_there(lost: Callable[[Tensor], Tensor]) -> None:
    found = prove(residual, lambda z, y: residual(z, y) + lost(y), "unit", domain=(-3, 2), slopes=False)
    assert found.answer != "proved", found.sentence
    has = prove(residual, lambda z, y: residual(z, y) + lost(y + 2), "unit", domain=(-3, 2), slopes=False)
    assert has.answer == "proved", has.sentence


def test_own_terms_without_a_value_at_some_labels_differ_there() -> None:
    found = prove(residual, lambda z, y: residual(z, y) + torch.sqrt(y - 0.5) ** 2 + 0.5 - y, "unit", domain=(-3, 2))
    assert found.answer == "differs", found.sentence
    assert "one side has no value" in found.sentence


def test_a_gradient_off_on_a_band_of_raw_outputs_differs_where_it_is() -> None:
    found = prove(grown, lambda z, y: grown(z, y) + 0.1 * (z - z.detach()) * ((z - 1).abs() < 0.5), "unit",
                  domain=(-3, 2), slopes=False)  # fmt: skip
    assert (found.answer, found.where) == ("differs", ((0.5, 1.5),)), found.sentence


@pytest.mark.rest
def test_a_band_of_targets_that_there_are_none_in_is_no_difference() -> None:
    band = prove(rate, lambda z, y: rate(z, y) + 0.1 * (z - z.detach()) * ((y > 2) & (y < 3)), "counts", domain=(-3, 2))
    assert band.answer != "differs", band.sentence


def test_labels_at_which_a_look_is_0_for_all_raw_outputs_are_found_exactly() -> None:
    graph, unit = Graph(), Labels(Fraction(0), Fraction(1))
    z, y = graph.var("z", 0), graph.var("y", 0)
    off_third = graph.linear([(Fraction(1), y)], Fraction(-1, 3))
    asked = {
        mul(graph, square(graph, off_third), z): {Fraction(1, 3)},
        graph.sub(exp(graph, mul(graph, off_third, z)), graph.one): {Fraction(1, 3)},
        graph.sub(z, y): set(),
        graph.linear([(Fraction(1), exp(graph, mul(graph, y, z)))], 1): set(),
        mul(graph, graph.linear([(Fraction(1), square(graph, y))], Fraction(-1, 2)), z): None,  # 1/√2 is no fraction
    }
    for look, labels in asked.items():
        thin = Thin(unit)
        thin.graph = graph
        assert thin.but_at_planes(look) is (labels is not None)
        assert {value for _, value in thin.met} == (labels or set())
