"""What a proof knows of targets: counts are whole, durations above 0, shares from 0 to 1; what a distribution checks of them is no
branch then, and a graph that no such check holds for still is one."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor

import mlnn
from mlnn.proving.algebra import log, mul, power
from mlnn.proving.breaks import breaks
from mlnn.proving.graph import Graph
from mlnn.targets import TargetSpace
from mlnn.targets.facts import COUNTS, HALF_LINE, UNIT_INTERVAL

Loss = Callable[[Tensor, Tensor], Tensor]
EQUAL: dict[str, tuple[str, Loss, Loss]] = {
    "Poisson": ("counts", lambda z, y: -D.Poisson(z.exp()).log_prob(y), lambda z, y: z.exp() - y * z + torch.lgamma(y + 1)),
    "geometric": (
        "counts", lambda z, y: -D.Geometric(torch.sigmoid(z.clamp(-9, 9))).log_prob(y),
        lambda z, y: F.softplus(-z.clamp(-9, 9)) + y * F.softplus(z.clamp(-9, 9)),
    ),
    "whole counts": ("counts", lambda z, y: z.exp() - y.round() * z + y % 1, lambda z, y: z.exp() - y.long() * z),
    "exponential": ("positive", lambda z, y: -D.Exponential(z.exp()).log_prob(y), lambda z, y: z.exp() * y - z),
    "gamma": (
        "positive", lambda z, y: -D.Gamma(2.0, torch.exp(-z)).log_prob(y), lambda z, y: 2 * z + y * torch.exp(-z) - torch.log(y)
    ),
    "log-normal": (
        "positive", lambda z, y: -D.LogNormal(z, 1.0).log_prob(y),
        lambda z, y: 0.5 * (torch.log(y) - z) ** 2 + torch.log(y) + 0.5 * math.log(2 * math.pi),
    ),
    "Weibull": (
        "positive", lambda z, y: -D.Weibull(z.exp(), 1.5).log_prob(y),
        lambda z, y: (y * torch.exp(-z)) ** 1.5 + 1.5 * z - 0.5 * torch.log(y) - math.log(1.5),
    ),
    "zeros of their own": (
        "counts",
        lambda z, y: torch.where(y == 0, -torch.log(0.3 + 0.7 * torch.exp(-z.exp())), z.exp() - y * z - math.log(0.7)),
        lambda z, y: torch.where(y > 0, z.exp() - y * z - math.log(0.7), -torch.log(0.3 + 0.7 * torch.exp(-z.exp()))),
    ),
    "half-normal": (
        "positive", lambda z, y: -D.HalfNormal(z.exp()).log_prob(y),
        lambda z, y: 0.5 * (y * torch.exp(-z)) ** 2 + z + 0.5 * math.log(math.pi / 2),
    ),
}  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", EQUAL)
def test_a_distribution_that_checks_its_targets_is_proved_at_all_of_them(name: str) -> None:
    targets, left, right = EQUAL[name]
    found = mlnn.prove(left, right, targets, slopes=False)
    assert (found.answer, found.relation) == ("proved", "equal")
    assert found.targets.startswith("every target")


UNSAID = "nothing is proved of others"
NOT_KNOWN: dict[str, tuple[str, Loss, str]] = {
    "parity": ("counts", lambda z, y: z.exp() - y * z + (y % 2 - y % 2) * z, UNSAID),
    "rounded durations": ("positive", lambda z, y: z.exp() - y * z + (y.round() - y.round()) * z, UNSAID),
    "a bound on all": ("counts", lambda z, y: z.exp() - y * z if bool((y < 500).all()) else 2 * z, "coupled"),
}


def plain(z: Tensor, y: Tensor) -> Tensor:
    return z.exp() - y * z


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_what_a_space_does_not_say_is_still_a_branch(name: str) -> None:
    targets, loss, told = NOT_KNOWN[name]
    found = mlnn.prove(loss, plain, targets, slopes=False)
    assert found.answer == "undecided"
    assert told in str(found)


class OffAtFive(torch.autograd.Function):
    """`plain`, with a backward pass that is twice as large at y = 5."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(z, y)
        return plain(z, y)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Any:  # type: ignore[override]
        z, y = ctx.saved_tensors
        return above * torch.where(y == 5, 2.0, 1.0) * (z.exp() - y), None


ELSEWHERE: dict[str, tuple[str, Loss, str]] = {
    "one count": ("counts", lambda z, y: torch.where(y == 5, 2.0, 1.0) * plain(z, y), "values differ at y = 5: "),
    "large counts": ("counts", lambda z, y: torch.where(y > 50, 2.0, 1.0) * plain(z, y), "values differ at y = 51: "),
    "clamped counts": ("counts", lambda z, y: z.exp() - y.clamp(max=100) * z, "values differ at y = 101: "),
    "a gradient": ("counts", OffAtFive.apply, "gradients differ at y = 5: "),
    "long durations": (
        "positive",
        lambda z, y: torch.where(y > 64, 2.0, 1.0) * plain(z, y),
        "values differ at y = 72: ",
    ),
    "zeros that differ": (
        "counts",
        lambda z, y: torch.where(y > 0, plain(z, y), 2 * z.exp()),
        "values differ at y = 0: ",
    ),
    "one residual": ("real", lambda z, y: torch.where(y == 5, 2.0, 1.0) * plain(z, y), "values differ at y = 5: "),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_code_does_at_targets_beside_those_looked_at_is_found(name: str) -> None:
    targets, loss, told = ELSEWHERE[name]
    found = mlnn.prove(loss, plain, targets, domain=(-9, 9), slopes=False)
    assert found.answer == "differs"
    assert told in found.sentence


def test_the_targets_that_code_looks_at() -> None:
    counts, graph = TargetSpace.parse("counts"), Graph()
    y, z = graph.var("y", 0), graph.var("z", 0)
    for look in (graph.linear([(Fraction(2), y)], -9), graph.linear([(Fraction(1), y)], 3), graph.sub(y, z)):
        graph.switch(look, z, graph.zero, y)
    assert breaks(graph, counts) == [4, 5]
    assert breaks(graph, TargetSpace.parse("real")) == [-2.625, -3, -3.375, 3.9375, 4.5, 5.0625]
    assert breaks(graph, TargetSpace.parse("unit")) == []  # none of them is a label
    graph.switch(graph.linear([(Fraction(5), y)], -2), z, graph.zero, y)
    assert breaks(graph, TargetSpace.parse("unit")) == [0.275, 0.4, 0.525]
    graph.switch(y, z, graph.zero, y)
    assert breaks(graph, counts) == [0, 1, 4, 5]  # 2/5 is between the first two


def test_what_a_target_may_be_is_known_by_its_support() -> None:
    for support, positive, never_below in (
        (HALF_LINE, True, True),
        (COUNTS, False, True),
        (UNIT_INTERVAL, False, True),
        ("", False, False),
    ):
        g = Graph(support)
        y, z = g.var("y", 0), g.var("z", 0)
        assert g.positive[y] is positive
        assert not g.positive[z]
        assert not g.positive[g.linear([(Fraction(-1), y)], 1)]  # 1 − y is 0 at a label of 1
        assert g.positive[g.linear([(Fraction(1), y)], 1)] is never_below
        assert (g.switch(y, g.const(3), z, z) == z) is never_below
        assert (g.switch(g.linear([(Fraction(-1), y)], 1), g.const(3), z, z) == z) is (support == UNIT_INTERVAL)
        assert g.nodes[g.switch(y, z, z, g.const(3))].op == ("lin" if positive else "switch")
        assert g.is_whole(g.linear([(Fraction(2), y)], 1)) is (support == COUNTS)
        assert not g.is_whole(g.scale(Fraction(1, 2), y))
        assert not g.is_whole(z)
        together = log(g, mul(g, y, g.make("exp", (z,)))) == g.add(log(g, y), z)
        assert together is positive
        assert (power(g, mul(g, y, y), Fraction(3, 4)) == power(g, y, Fraction(3, 2))) is never_below
