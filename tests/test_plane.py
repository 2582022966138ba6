"""Proofs of losses of soft labels that no form of both decides, by boxes of the rectangle of raw outputs and labels."""

import copy
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from flint import arb, arb_series, fmpq
from torch import Tensor
from torch.nn import functional as F

from mlnn.proving import prove
from mlnn.proving.algebra import exp, mul
from mlnn.proving.balls import digits
from mlnn.proving.derivative import derivative
from mlnn.proving.graph import Graph
from mlnn.proving.patch import At, lebesgue
from mlnn.proving.plane import paved_plane
from mlnn.proving.replay import replay

Loss = Callable[[Tensor, Tensor], Tensor]


def soft(u: Tensor) -> Tensor:
    return F.softplus(u, threshold=1e9)


def mixed(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log(y * torch.sigmoid(z) + (1 - y) * torch.sigmoid(-z))


def wave(z: Tensor, y: Tensor) -> Tensor:
    return torch.sin(2 * (z + y * y))


def waves(z: Tensor, y: Tensor) -> Tensor:
    return 2 * torch.sin(z + y * y) * torch.cos(z + y * y)


NO_VALUE: dict[str, tuple[Loss, Loss]] = {
    "a mixture of logarithms": (mixed, lambda z, y: soft(z) - torch.logaddexp(torch.log(y) + z, torch.log1p(-y))),
    "0/0 in a gradient": (
        lambda z, y: -torch.special.entr(y) - torch.special.entr(1 - y) + soft(z) - y * z,
        lambda z, y: torch.xlogy(y, y / torch.sigmoid(z)) + torch.xlogy(1 - y, (1 - y) / torch.sigmoid(-z)),
    ),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", NO_VALUE)
def test_what_has_no_value_by_its_form_at_an_end_of_the_labels_is_undecided(name: str) -> None:
    found = prove(*NO_VALUE[name], "unit", domain=(-1, 1), slopes=False)
    assert found.answer == "undecided", found.sentence


EQUAL: dict[str, tuple[Loss, Loss]] = {
    "a sine of twice": (wave, waves),
    "a mixture": (mixed, lambda z, y: soft(z) - torch.log(1 - y + y * torch.exp(z))),
    "smoothed in a logarithm": (
        lambda z, y: -torch.log(0.05 + 0.9 * (y * torch.sigmoid(z) + (1 - y) * torch.sigmoid(-z))),
        lambda z, y: soft(z) - torch.log(0.05 * (1 + torch.exp(z)) + 0.9 * (y * torch.exp(z) + 1 - y)),
    ),
    "an angle": (
        lambda z, y: torch.atan(torch.sinh((z * y * y + y) / 2)),
        lambda z, y: 2 * torch.atan(torch.tanh((z * y * y + y) / 4)),
    ),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", EQUAL)
def test_what_no_form_has_is_proved_on_the_rectangle(name: str) -> None:
    found = prove(*EQUAL[name], "unit", domain=(-1, 1))
    assert (found.answer, found.targets) == ("proved", "every target, on the rectangle"), found.sentence
    assert (found.findings, found.points) == ((), ())
    assert replay(json.loads(json.dumps(found.to_dict()))).holds, replay(found)


class Wrong(torch.autograd.Function):
    """sin 2(z + y²) with a gradient that is off by what `off` says."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, y: Tensor, off: Loss) -> Tensor:
        ctx.save_for_backward(z, y)
        ctx.off = off
        return wave(z, y)

    @staticmethod
    def backward(ctx: Any, up: Tensor) -> Any:  # type: ignore[override]
        z, y = ctx.saved_tensors
        return up * (2 * torch.cos(2 * (z + y * y)) + ctx.off(z, y)), None, None


def bell(z: Tensor, y: Tensor, wide: float, z0: float = 0.7003, y0: float = 0.3337) -> Tensor:
    return torch.exp(-(((y - y0) / wide) ** 2) - ((z - z0) / wide) ** 2)


NEAR: dict[str, Loss] = {
    "a bump": lambda z, y: waves(z, y) + 1e-9 * bell(z, y, 1e-2),
    "a narrow bump": lambda z, y: waves(z, y) + 1e-9 * bell(z, y, 1e-4),
    "a bump of corners": lambda z, y: waves(z, y) + 1e-9 * torch.relu(1 - 1e3 * ((z - 0.7).abs() + (y - 0.3337).abs())),
    "0 at all labels that are looked at": lambda z, y: waves(z, y) + (
        1e-9 * torch.sin(z) * (y - 0.1) * (y - 0.3) * (y - 0.5) * (y - 0.9) * (y - 0.999) * y * (1 - y)
    ),
    "one line of labels": lambda z, y: waves(z, y) + 1e-3 * z * (y == 0.25),
    "one line of raw outputs": lambda z, y: waves(z, y) + 1e-3 * (z == 0.25) * y,
    "labels of 0": lambda z, y: waves(z, y) + 1e-3 * z * (y == 0),
    "labels of 1, by gradient": lambda z, y: waves(z, y) + 1e-3 * (z - z.detach()) * (y == 1),
    "a gradient in a corner": lambda z, y: Wrong.apply(z, y, lambda z, y: 1e-9 * bell(z, y, 1e-2)),
    "a gradient at one label": lambda z, y: Wrong.apply(z, y, lambda _, y: 1e-3 * (y == 0.25)),
    "a gradient of one side": lambda z, y: Wrong.apply(z, y, lambda _, y: 1e-12 * y * (1 - y)),
}  # fmt: skip


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", [pytest.param("a bump", marks=pytest.mark.rest), *list(NEAR)[1:]])  # it takes seconds
def test_a_near_miss_is_never_proved(name: str) -> None:
    found = prove(wave, NEAR[name], "unit", domain=(-1, 1), slopes=False)
    decided = {"a bump", "a narrow bump", "0 at all labels that are looked at", "labels of 0", "a gradient in a corner"}
    assert found.answer == "differs" if name in decided else found.answer != "proved", found.sentence
    if found.answer == "differs":
        assert found.relation is None
        assert found.size is not None
        assert found.size[0] > 1e-15
        assert replay(found).holds, replay(found)


@pytest.mark.rest
def test_a_side_whose_gradient_is_no_slope_is_told_beside_the_proof() -> None:
    """Two sides with the same wrong gradient are equal, and wrong."""

    def wrong(z: Tensor, y: Tensor) -> Tensor:
        return Wrong.apply(z, y, lambda z, y: y * torch.sin(z))

    def too(z: Tensor, y: Tensor) -> Tensor:
        return wrong(z, y) + (waves(z, y) - wave(z, y)).detach()

    found = prove(wrong, too, "unit", domain=(-1, 1))
    assert found.answer == "proved", found.sentence
    assert any("left's gradient" in one for one in found.findings), found.findings


def changed(whole: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    found = copy.deepcopy(whole)
    change(next(part for part in found["paper"] if part.get("kind") == "rectangle"))
    return found


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a box is smaller": lambda part: part["asked"][0]["boxes"][0].__setitem__(0, "-1/2"),
    "another function": lambda part: part["nodes"][-1][2].__setitem__(0, "1/10000000000"),
    "another tolerance": lambda part: part.update(tolerance="1/1000"),
    "a smaller domain": lambda part: part.update(domain=["-1/2", "1"]),
    "a question less": lambda part: part["asked"].pop(0),
}


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(prove(wave, waves, "unit", domain=(-1, 1), slopes=False).to_dict()))
    assert replay(found).holds
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_a_stored_rectangle_that_was_changed_does_not_hold(name: str, stored: dict[str, Any]) -> None:
    assert not replay(changed(stored, CHANGES[name])).holds


def test_a_stored_proof_without_its_edges_does_not_hold(stored: dict[str, Any]) -> None:
    for edge in ("y = 0", "y = 1"):
        left = {**stored, "paper": [part for part in stored["paper"] if part.get("target") != edge]}
        assert not replay(left).holds


def test_a_bound_of_interpolation_holds_where_it_is_tight() -> None:
    graph = Graph()
    z, y = graph.var("z", 0), graph.var("y", 0)
    node = graph.scale(Fraction(1, 10**14), mul(graph, exp(graph, z), exp(graph, mul(graph, z, y))))
    small = paved_plane(graph, {"value": node}, (fmpq(-9), fmpq(-8)), fmpq(1, 10**14), 50)
    assert (small.left, small.place) == (set(), None)
    large = paved_plane(graph, {"value": node}, (fmpq(-1), fmpq(1)), fmpq(1, 10**14), 200)
    assert large.left or large.place is not None
    assert all(one >= 1 for one in map(lebesgue, (1, 2, 24)))


def test_a_derivative_by_rule_is_that_of_a_series() -> None:
    graph = Graph()
    z, y = graph.var("z", 0), graph.var("y", 0)
    inner = graph.linear([(Fraction(1, 3), z), (Fraction(1, 5), mul(graph, z, y))], 2)
    for op, numbers in (("square", ()), ("inv", ()), ("exp", ()), ("log", ()), ("power", (Fraction(2, 3),)), ("sigmoid", ()),
                        ("softplus", ()), ("sin", ()), ("cos", ()), ("atan", ()), ("erf", ()), ("erfc", ()), ("lgamma", ()),
                        ("log_erfc", ()), ("log_erfcx", ()),
                        ("polygamma", (Fraction(1),)), ("hyp0f1", (Fraction(3, 2),))):  # fmt: skip
        node = mul(graph, graph.make(op, (inner,), numbers), y)
        slope = derivative(graph, node, ("z", 0))
        assert slope is not None
        with digits(128, 3):
            at = At(graph, arb_series([arb(1) / 7, 1], 3), arb_series([arb(2) / 7], 3), 3)
            assert abs(at[node][1] - at[slope][0]) < 1e-25, op
    assert derivative(graph, graph.make("gammaincc", (graph.one, inner)), ("z", 0)) is None
