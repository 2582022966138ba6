"""Proofs of losses of soft labels whose kinks go through the rectangle of raw outputs and labels."""

import copy
import json
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from app_cases import ROOT
from flint import fmpq
from torch import Tensor
from torch.nn import functional as F

from mlnn.proving import prove
from mlnn.proving.cases import AT_KINKS
from mlnn.proving.graph import Graph
from mlnn.proving.pairs import spread
from mlnn.proving.plane import paved_plane
from mlnn.proving.replay import replay

sys.path.insert(0, str(ROOT / "experiments" / "benchmarks"))
import proof_plane

Loss = Callable[[Tensor, Tensor], Tensor]
PAIRS = [*proof_plane.pairs()]


def hinge(z: Tensor, y: Tensor) -> Tensor:
    return torch.relu(z - 4 * y) * torch.sin(2 * (z + y * y))


def hinges(z: Tensor, y: Tensor) -> Tensor:
    u = z + y * y
    return torch.where(z > 4 * y, 2 * (z - 4 * y) * torch.sin(u) * torch.cos(u), 0 * z)


def by_cases(z: Tensor, y: Tensor) -> Tensor:
    u = z * (1 + y * y) / 2
    return torch.relu(u) + torch.log1p(torch.exp(-u.abs()))


EQUAL: dict[str, tuple[Loss, Loss]] = {
    "a hinge": (hinge, hinges),
    "a softplus by cases": (by_cases, lambda z, y: F.softplus(z * (1 + y * y) / 2, threshold=1e9)),
    "a clamp of a product": (
        lambda z, y: (z * y).clamp(-0.5, 0.5) + proof_plane.SMOOTH["a sine of twice"][0](z + y * y, z, y),
        lambda z, y: torch.relu(z * y + 0.5) - torch.relu(z * y - 0.5) - 0.5
        + proof_plane.SMOOTH["a sine of twice"][1](z + y * y, z, y),
    ),
}  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", EQUAL)
def test_kinks_along_a_curve_are_proved_and_found_again(name: str) -> None:
    found = prove(*EQUAL[name], "unit", domain=(-3, 3))
    assert (found.answer, found.targets) == ("proved", "every target, on the rectangle"), found.sentence
    assert replay(json.loads(json.dumps(found.to_dict()))).holds, replay(found)


OFF: dict[str, tuple[Loss, bool]] = {
    "a bump on the curve": (lambda z, y: hinges(z, y) + 1e-9 * proof_plane._hat(z, y, (1.2, 0.3), 1e-2), True),
    "the other side alone": (lambda z, y: hinges(z, y) + 1e-9 * torch.relu(4 * y - z), True),
    "a gradient beyond another curve": (
        proof_plane.by_gradient(hinges, lambda z, y: 1e-9 * (z > 2.7 + 0.2 * y * y) * (y < 0.7) * (y > 0.6)),
        True,
    ),
    "on the curve alone": (lambda z, y: hinges(z, y) + 1e-3 * (z == 4 * y), False),
    "on another curve alone": (lambda z, y: hinges(z, y) + 1e-3 * (z == y), False),
    "a gradient at a label": (proof_plane.by_gradient(hinges, lambda _, y: 1e-3 * (y == 0.25)), False),
    "a gradient at a label, by a product": (
        proof_plane.by_gradient(hinges, lambda z, y: 1e-3 * ((z - 1) * (y - 0.25) == 0)),
        False,
    ),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", OFF)
def test_a_near_miss_at_kinks_is_never_proved(name: str) -> None:
    right, told = OFF[name]
    found = prove(hinge, right, "unit", domain=(-3, 3), slopes=False)
    assert found.answer == "differs" if told else found.answer != "proved", found.sentence
    if told:
        assert replay(found).holds, replay(found)


def test_a_gradient_that_parts_at_a_curve_alone_is_told() -> None:
    off = proof_plane.by_gradient(hinges, lambda z, y: 1e-3 * (z == y))
    found = prove(hinge, off, "unit", domain=(-3, 3), slopes=False)
    assert found.answer == "proved", found.sentence
    assert AT_KINKS in found.findings
    assert replay(found).holds, replay(found)


def test_both_sides_of_a_kink_are_asked_and_what_is_between_them() -> None:
    graph = Graph()
    z, y = graph.var("z", 0), graph.var("y", 0)
    look, tiny = graph.linear([(Fraction(1), z), (Fraction(-1), y)]), graph.const(Fraction(1, 10**20))
    for cases in ((tiny, graph.zero, graph.one), (graph.one, graph.zero, tiny), (tiny, graph.one, graph.zero)):
        for name in ("value", "gradient"):
            node = graph.switch(look, *cases)
            found = paved_plane(graph, {name: node}, (fmpq(-1), fmpq(1)), fmpq(1, 10**15), 400)
            fine = name == "gradient" and cases[1] == graph.one
            assert (not found.left and found.place is None) == fine, (cases, name)
            assert not fine or found.kinked


def test_a_stored_kink_that_was_changed_does_not_hold() -> None:
    found: dict[str, Any] = json.loads(json.dumps(prove(hinge, hinges, "unit", domain=(-1, 1), slopes=False).to_dict()))
    assert replay(found).holds
    place = next(at for at, part in enumerate(found["paper"]) if part.get("kind") == "rectangle")
    nodes = found["paper"][place]["nodes"]
    nodes.insert(1, ["lin", [], ["1/1000000"], None])  # of a switch one case is no longer 0

    def moved(at: int) -> int:
        return at + (at >= 1)

    for node in nodes[2:]:
        node[1] = [moved(at) for at in node[1]]
    for one in found["paper"][place]["asked"]:
        one["node"] = moved(one["node"])
    switch = next(node for node in nodes if node[0] == "switch")
    for branch in (1, 2, 3):
        changed = copy.deepcopy(found)
        changed["paper"][place]["nodes"][nodes.index(switch)][1][branch] = 1
        assert not replay(changed).holds, branch


def test_products_that_cancel_are_multiplied_out() -> None:
    graph = Graph()
    z, y = graph.var("z", 0), graph.var("y", 0)
    soft, rest = graph.make("softplus", (z,)), graph.linear([(Fraction(-1), y)], 1)
    terms = [(Fraction(1), graph.make("mul", (soft, one))) for one in (y, rest)]
    assert spread(graph, graph.linear([*terms, (Fraction(-1), soft)])) == graph.zero
    kept = graph.linear([(Fraction(1), graph.make("mul", (soft, rest))), (Fraction(1), graph.make("sin", (rest,)))], 1)
    assert spread(graph, kept) == kept


@pytest.mark.sampled(4)
@pytest.mark.parametrize("number", [2, 27, 34, 36, 37])
def test_pairs_of_the_benchmark_are_decided(number: int) -> None:
    pair = PAIRS[number]
    found = prove(pair.left, pair.right, "unit", domain=pair.domain)
    assert found.answer == ("proved" if pair.equal else "differs"), found.sentence
    assert proof_plane.judged(pair, found) == ""
