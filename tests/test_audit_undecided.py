"""What the audit does not say: losses that cannot be read, answers that are not proven, and bad usage."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import mlnn
from mlnn.auditing.record import Curves
from mlnn.errors import ConfigError


class Counting:
    """The Bernoulli NLL, a little larger at each call after the `free` first ones."""

    def __init__(self, free: int, by: float = 1e-3) -> None:
        self.calls, self.free, self.by = 0, free, by

    def __call__(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return F.binary_cross_entropy_with_logits(f, y, reduction="none") * (1 + self.by * (self.calls > self.free))


# Neither a likelihood nor provably none, or not in reach of what is looked at: never a certificate.
OPEN = {
    "heavier beyond 13": (lambda f, y: torch.where(y > 13, 3.0, 1.0) * 0.5 * (y - f) ** 2, "real"),
    "a bump on one residual": (
        lambda f, y: 0.5 * (y - f) ** 2 + f**2 * torch.exp(-(((y - f - 2.2) / 0.1) ** 2)),
        "real",
    ),
    "Poisson, one count doubled": (lambda f, y: torch.where(y == 3, 2.0, 1.0) * (torch.exp(f) - y * f), "counts"),
    "NaN beyond 12": (lambda f, y: torch.where(y > 12, torch.nan, 0.5 * (y - f) ** 2), "real"),
    "narrow valley": (lambda f, y: f + 0.5 * ((torch.log(y) - math.log(3)) * torch.exp(-f)) ** 2, "positive"),
    "lognormal of width e^f": (
        lambda f, y: f + 0.5 * (torch.log(y) * torch.exp(-f)) ** 2 + torch.log(y) + 0.9189385332046727,
        "positive",
    ),
    "Pareto, doubled": (lambda f, y: 2 * (-f + (torch.exp(f) + 1) * torch.log1p(y)), "positive"),
    "one row at a time": (lambda f, y: (f.exp() - y * f).mean() * float(f.sum() > -1e9), "counts"),
    "a count refused": (lambda f, y: torch.exp(f) - y * f if not bool((y == 5).any()) else y.foo, "counts"),
    "ignores nothing, at 1e-9 of an NLL": (lambda f, y: F.softplus(f) - y * f + 1e-9 * torch.cos(f) * y, "binary"),
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", OPEN)
def test_what_is_not_proven_is_not_said(name: str) -> None:
    found = mlnn.audit(*OPEN[name])
    assert found.kind == "undecided", found.sentence
    assert (found.base_measure, found.domain, found.is_likelihood) == (None, "none", False)


UNREADABLE = {
    "NaN": (lambda f, y: torch.log(f) * y, "is nan"),
    "ignores its target": (lambda f, y: f**2 + 0 * y, "ignores its target"),
    "ignores the output": (lambda f, y: y + 0 * f, "ignores the output"),
    "not differentiable": (lambda f, y: ((f > 0) == (y > 0)).double(), "not differentiable"),
    "detached": (lambda f, y: F.binary_cross_entropy_with_logits(f.detach(), y, reduction="none"), "not differentiable"),
    "detached weight": (lambda f, y: (torch.sigmoid(f) - y).abs().detach() * F.binary_cross_entropy_with_logits(
        f, y, reduction="none"), "not the derivative"),
    "random": (lambda f, y: F.binary_cross_entropy_with_logits(f, y, reduction="none") * torch.rand(()), "randomness"),
    "state at once": (Counting(2), "state"),
    "state later": (Counting(20), "at first"),
    "a little state, later": (Counting(20, 1e-9), "at first"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_undecided_and_says_why(name: str) -> None:
    loss, why = UNREADABLE[name]
    found = mlnn.audit(loss)
    assert found.kind == "undecided", found.sentence
    assert why in found.sentence
    assert (found.scale, found.base_measure, found.domain, found.curves) == (None, None, "none", Curves())


@pytest.mark.parametrize(
    ("loss", "targets", "why"),
    [
        (lambda f, y: F.one_hot(y, 2).sum(1) * f, "binary", "targets='classes(K)'"),
        (torch.nn.CrossEntropyLoss, "classes(3)", "is a class"),
        (3, "binary", "neither callable"),
        (torch.nn.MSELoss(), "reals", "unknown target space"),
        (torch.nn.CrossEntropyLoss(), "classes", "classes(K)"),
        (lambda f, y: (f[:, None] - y) ** 2, "real", "broadcast"),
        (lambda *_: 1.0, "binary", "not a tensor"),
    ],
)
def test_bad_usage_is_a_short_error(loss: object, targets: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r".") as caught:
        mlnn.audit(loss, targets)
    assert why in str(caught.value)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("loss", "targets", "kind"),
    [
        (
            lambda f, y: F.cross_entropy(f, y, reduction="none") + 0.01 * torch.logsumexp(f, 1) ** 2,
            "classes(3)",
            "proper",
        ),
        (lambda f, y: -y * f, "positive", "no link"),
    ],
    ids=["z-loss", "unbounded"],
)
def test_losses_near_those_are_decided(loss: Any, targets: str, kind: str) -> None:
    assert mlnn.audit(loss, targets).kind == kind
