"""What the type of a tensor makes of an operation is followed, or said not to be: truth values, whole numbers that wrap, bits."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mlnn
from mlnn.proving import dtypes, pointwise
from mlnn.proving.graph import Graph

Loss = Callable[[Tensor, Tensor], Tensor]


def counted(z: Tensor, y: Tensor) -> Tensor:
    return z.exp() - y * z


def of_label(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, reduction="none")


def by_class(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none")


def both(z: Tensor) -> Tensor:
    return (z > 0).double() + (z > 1).double()


EQUAL: dict[str, tuple[str, Loss, Loss]] = {
    "a count as a truth value": ("counts", lambda z, y: counted(z, y) * y.bool(), lambda z, y: counted(z, y) * (y != 0)),
    "a class as one": ("classes(3)", lambda z, y: by_class(z, y) * (1 + y.bool()), lambda z, y: by_class(z, y) * (1 + (y > 0))),
    "a raw output as one": ("binary", lambda z, y: of_label(z, y) * z.bool().double(), lambda z, y: of_label(z, y) * (z != 0)),
    "or of numbers": (
        "binary", lambda z, y: of_label(z, y) * torch.logical_or(z > 0, 3 * (z > 1).long()), lambda z, y: of_label(z, y) * (z > 0)
    ),
    "and of numbers": (
        "binary", lambda z, y: of_label(z, y) * torch.logical_and(z > 0, 3 * (z > 1).long()), lambda z, y: of_label(z, y) * (z > 1)
    ),
    "any of one": (
        "binary", lambda z, y: of_label(z, y) * (3 * (z > 1).long())[:, None].any(-1), lambda z, y: of_label(z, y) * (z > 1)
    ),
    "a mask of bytes": ("binary", lambda z, y: of_label(z, y) * (z > 0).byte().double(), lambda z, y: of_label(z, y) * (z > 0)),
    "a sum of truth values": (
        "binary", lambda z, y: of_label(z, y) * torch.stack([z > 0, z > 1]).sum(0), lambda z, y: of_label(z, y) * both(z)
    ),
    "whole numbers": ("counts", lambda z, y: z.exp() - y.int() * z, counted),
}  # fmt: skip
APART: dict[str, tuple[str, Loss, Loss]] = {
    "a count is more than true": ("counts", lambda z, y: z.exp() - y.bool().double() * z, counted),
    "copied to truth values": (
        "counts",
        lambda z, y: z.exp() - torch.zeros_like(y, dtype=torch.bool).copy_(y) * z,
        counted,
    ),
    "true and true is true": (
        "binary",
        lambda z, y: of_label(z, y) * ((z > 0) + (z > 1)),
        lambda z, y: of_label(z, y) * both(z),
    ),
    "and in place": (
        "binary",
        lambda z, y: of_label(z, y) * (z > 0).add_(z > 1),
        lambda z, y: of_label(z, y) * both(z),
    ),
    "rounded to tens": ("counts", lambda z, y: z.exp() - torch.round(y, decimals=-1) * z, counted),
    "0 less 1 is 255": (
        "counts",
        lambda z, y: z.exp() - (y.byte() - 1).double() * z,
        lambda z, y: z.exp() - (y - 1) * z,
    ),
}
LOST: dict[str, tuple[str, Loss, Loss, str]] = {
    "bytes": (
        "binary", lambda z, y: of_label(z, y) * ((z > 0).byte() - 1), lambda z, y: -of_label(z, y) * (z <= 0), "uint8, which wrap"
    ),
    "bits": (
        "binary", lambda z, y: of_label(z, y) * ((2 * (z > 0).long()) & 1), lambda z, y: of_label(z, y) * (z > 0), "the bits of"
    ),
    "not of bits": (
        "binary", lambda z, y: of_label(z, y) * ~(z > 0).long(), lambda z, y: of_label(z, y) * (z <= 0), "the bits of"
    ),
    "a sum of type bool": (
        "binary", lambda z, y: of_label(z, y) * torch.stack([z > 0, z > 1]).sum(0, dtype=torch.bool),
        lambda z, y: of_label(z, y) * both(z), "a sum of type bool",
    ),
    "3 as a truth value": (
        "binary", lambda z, y: of_label(z, y) * torch.zeros_like(z, dtype=torch.bool).masked_fill(z > 0, 3),
        lambda z, y: of_label(z, y) * 3 * (z > 0), "numbers cut",
    ),
    "counts as bytes": ("counts", lambda z, y: z.exp() - y.byte().double() * z, counted, "nothing is proved of others"),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_types_that_keep_what_is_meant_are_followed(name: str) -> None:
    targets, left, right = EQUAL[name]
    found = mlnn.prove(left, right, targets, domain=(-5, 5), slopes=False)
    assert (found.answer, found.relation) == ("proved", "equal"), found.sentence


@pytest.mark.parametrize("name", APART)
def test_types_that_change_numbers_are_seen(name: str) -> None:
    targets, left, right = APART[name]
    assert mlnn.prove(left, right, targets, domain=(-5, 5), slopes=False).answer == "differs"


@pytest.mark.parametrize("name", LOST)
def test_what_is_not_followed_is_said(name: str) -> None:
    targets, left, right, told = LOST[name]
    found = mlnn.prove(left, right, targets, domain=(-5, 5), slopes=False)
    assert found.answer == "undecided"
    assert told in found.sentence


def test_a_rule_that_is_not_what_torch_does_is_noticed_at_the_numbers_it_was_followed_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(pointwise.POINTWISE, "exp", lambda g, self: g.scale(2, g.make("exp", (self,))))
    found = mlnn.prove(counted, counted, "counts", domain=(-5, 5))
    assert found.answer == "undecided"
    assert "what it computes is not what was followed" in found.sentence


def test_a_truth_value_is_one_already() -> None:
    g = Graph()
    z = g.var("z", 0)
    above = g.switch(z, g.zero, g.zero, g.one)
    assert dtypes.truth(g, above) == above
    assert dtypes.truth(g, g.const(3)) == g.one
    assert dtypes.either(g, above, g.const(2)) == g.switch(z, g.one, g.one, g.one)
