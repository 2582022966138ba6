"""Losses in many forms that are equal on paper, ways to write the same once more, and bumps that no grid sees.

Every form is what somebody writes in torch, of raw outputs and targets (n,), of classes (n, K) and (n,), and gives (n,).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
ENDLESS = 1e9
"""A threshold of softplus that no raw output reaches."""


def softplus(z: Tensor) -> Tensor:
    return F.softplus(z, threshold=ENDLESS)


def picked(rows: Tensor, y: Tensor) -> Tensor:
    """The entry of the target's class, of every row."""
    return rows.gather(1, y[:, None])[:, 0]


def _naive(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))


def _largest_off(z: Tensor, y: Tensor) -> Tensor:
    moved = z - z.amax(1, keepdim=True)
    return moved.exp().sum(1).log() - picked(moved, y)


def _one_hot(z: Tensor, y: Tensor) -> Tensor:
    return -(F.one_hot(y, z.shape[1]) * F.log_softmax(z, 1)).sum(1)


def _clamped_huber(r: Tensor) -> Tensor:
    inner = r.clamp(-1, 1)
    return inner * (r - inner / 2)


def _of_residual(function: Callable[[Tensor], Tensor]) -> Loss:
    return lambda z, y: function(z - y)


BERNOULLI: tuple[Loss, ...] = (
    lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none"),
    lambda z, y: F.relu(z) - y * z + torch.log1p(torch.exp(-z.abs())),
    lambda z, y: torch.logaddexp(z, torch.zeros_like(z)) - y * z,
    lambda z, y: -y * F.logsigmoid(z) - (1 - y) * F.logsigmoid(-z),
    lambda z, y: y * softplus(-z) + (1 - y) * softplus(z),
    lambda z, y: torch.log1p(z.exp()) - y * z,
    lambda z, y: torch.log(1 + torch.exp(-z)) + (1 - y) * z,
    lambda z, y: torch.where(z > 0, z + torch.log1p(torch.exp(-z)), torch.log1p(torch.exp(z))) - y * z,
    lambda z, y: z.clamp(min=0) - y * z + softplus(-z.abs()),
    _naive,
)
CLASSES: tuple[Loss, ...] = (
    lambda z, y: F.cross_entropy(z, y, reduction="none"),
    lambda z, y: torch.logsumexp(z, 1) - picked(z, y),
    lambda z, y: F.nll_loss(F.log_softmax(z, 1), y, reduction="none"),
    lambda z, y: -picked(F.softmax(z, 1), y).log(),
    lambda z, y: (z - picked(z, y)[:, None]).exp().sum(1).log(),
    _largest_off,
    _one_hot,
)
POISSON: tuple[Loss, ...] = (
    lambda z, y: F.poisson_nll_loss(z, y, reduction="none"),
    lambda z, y: z.exp() - y * z,
    lambda z, y: z.exp() - y * torch.log(z.exp()),
    lambda z, y: (z / 2).exp() ** 2 - y * z,
    lambda z, y: z.exp() * (1 - y * z * (-z).exp()),
    lambda z, y: 1 / torch.exp(-z) - y * z,
)
NEGATIVE_BINOMIAL: tuple[Loss, ...] = (
    lambda z, y: (y + 1) * torch.log(1 + z.exp()) - y * z,
    lambda z, y: (y + 1) * softplus(z) - y * z,
    lambda z, y: y * softplus(-z) + softplus(z),
    lambda z, y: -y * F.logsigmoid(z) - F.logsigmoid(-z),
    lambda z, y: (y + 1) * (F.relu(z) + torch.log1p(torch.exp(-z.abs()))) - y * z,
)
SQUARED: tuple[Loss, ...] = (
    lambda z, y: F.mse_loss(z, y, reduction="none"),
    lambda z, y: (y - z) ** 2,
    lambda z, y: z * z - 2 * z * y + y * y,
    lambda z, y: (z - y).abs().pow(2),
    lambda z, y: (z - y) * z - (z - y) * y,
)
LOG_COSH: tuple[Loss, ...] = (
    _of_residual(lambda r: torch.logaddexp(r, -r) - math.log(2)),
    _of_residual(lambda r: r.cosh().log()),
    _of_residual(lambda r: r.abs() + torch.log1p(torch.exp(-2 * r.abs())) - math.log(2)),
    _of_residual(lambda r: softplus(2 * r) - r - math.log(2)),
)
HUBER: tuple[Loss, ...] = (
    lambda z, y: F.huber_loss(z, y, reduction="none"),
    lambda z, y: F.smooth_l1_loss(z, y, reduction="none"),
    _of_residual(lambda r: torch.where(r.abs() <= 1, r * r / 2, r.abs() - 0.5)),
    _of_residual(_clamped_huber),
)
ABSOLUTE: tuple[Loss, ...] = (
    lambda z, y: F.l1_loss(z, y, reduction="none"),
    _of_residual(lambda r: F.relu(r) + F.relu(-r)),
    _of_residual(lambda r: torch.where(r > 0, r, -r)),
    _of_residual(lambda r: 2 * F.relu(r) - r),
)
GAMMA: tuple[Loss, ...] = (
    lambda z, y: z + y * torch.exp(-z),
    lambda z, y: z + y / torch.exp(z),
    lambda z, y: torch.log(torch.exp(z)) + y * torch.exp(-z),
    lambda z, y: y * (-z / 2).exp().square() - torch.log(torch.exp(-z)),
)
FAMILIES: dict[str, tuple[tuple[Loss, ...], ...]] = {
    "binary": (BERNOULLI,),
    "unit": (BERNOULLI,),
    "classes": (CLASSES,),
    "counts": (POISSON, NEGATIVE_BINOMIAL),
    "real": (SQUARED, LOG_COSH, HUBER, ABSOLUTE),
    "positive": (GAMMA,),
}
"""By target space, the forms of each likelihood; those of one are equal on paper."""

OF_OUTPUT: dict[str, Callable[[Tensor], Tensor]] = {
    "doubled and halved": lambda z: z * 2 / 2,
    "moved and back": lambda z: (z + 1) - 1,
    "turned twice": lambda z: z.neg().neg(),
    "in two casts": lambda z: z.float().double(),
    "relu apart": lambda z: F.relu(z) - F.relu(-z),
    "softplus apart": lambda z: softplus(z) - softplus(-z),
    "logsigmoid apart": lambda z: F.logsigmoid(z) - F.logsigmoid(-z),
    "times cos² + sin²": lambda z: z * (z.cos() ** 2 + z.sin() ** 2),
    "times σ + σ": lambda z: z * (torch.sigmoid(z) + torch.sigmoid(-z)),
    "largest and smallest": lambda z: z.clamp(min=0.5) + z.clamp(max=0.5) - 0.5,
    "halves of its size": lambda z: (z + z.abs()) / 2 + (z - z.abs()) / 2,
}
"""Ways to write a raw output that change nothing on paper."""


def one_output(z: Tensor) -> Tensor:
    """One raw output of a row."""
    return z if z.ndim == 1 else z[:, 0]


OF_LOSS: dict[str, Callable[[Loss, Loss, float], Loss]] = {
    "doubled and halved": lambda one, _other, _at: lambda z, y: one(z, y) * 2 / 2,
    "cast": lambda one, _other, _at: lambda z, y: one(z.float(), y).double(),
    "times cos² + sin²": lambda one, _other, _at: (
        lambda z, y: one(z, y) * (one_output(z).cos() ** 2 + one_output(z).sin() ** 2)
    ),
    "either of two": lambda one, other, at: lambda z, y: torch.where(one_output(z) > at, one(z, y), other(z, y)),
    "mean of two": lambda one, other, _at: lambda z, y: (one(z, y) + other(z, y)) / 2,
    "between two": lambda one, other, _at: lambda z, y: torch.lerp(one(z, y), other(z, y), 0.25),
    "more and less": lambda one, _other, _at: lambda z, y: one(z, y) + one_output(z).exp() - one_output(z).exp(),
    "log of its likelihood": lambda one, _other, _at: lambda z, y: -torch.log(torch.exp(-one(z, y))),
    "by σ and σ": lambda one, other, _at: (
        lambda z, y: torch.sigmoid(one_output(z)) * one(z, y) + torch.sigmoid(-one_output(z)) * other(z, y)
    ),
}
"""Ways to write a loss, with another form of it and a place, that change nothing on paper."""

BUMPS: dict[str, Callable[[Tensor], Tensor]] = {
    "smooth": lambda u: torch.exp(-u * u),
    "hat": lambda u: F.relu(1 - u.abs()),
    "step": lambda u: torch.where(u.abs() < 1, torch.ones_like(u), torch.zeros_like(u)),
    "kinks": lambda u: ((u + 1).abs() - 2 * u.abs() + (u - 1).abs()) / 2,
    "gradient": lambda u: 1 / (1 + u * u),
}
"""Of height 1 and of a width about 1."""
REACH = {"smooth": 8.0, "hat": 1.0, "step": 1.0, "kinks": 1.0, "gradient": 1e3}
"""Beyond so many widths a bump 1e-9 high, and its slope, is lower than 1e-15."""


class _Bent(torch.autograd.Function):
    """0, with a gradient that is a bump."""

    @staticmethod
    def forward(ctx: Any, place: Tensor, bump: Tensor) -> Tensor:
        ctx.save_for_backward(bump)
        return torch.zeros_like(place)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor, None]:
        return given[0] * ctx.saved_tensors[0], None


_bent: Callable[[Tensor, Tensor], Tensor] = _Bent.apply


def bump(what: str, place: Tensor, centre: float, width: float, height: float) -> Tensor:
    """A bump along `place`; in the gradient alone where `what` says so."""
    found = height * BUMPS[what]((place - centre) / width)
    return found if what != "gradient" else _bent(place, found.detach())
