"""Losses that a proof is put to: equal ones, and ones with a fault."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.likelihoods import bernoulli
from mlnn.objectives import losses

Loss = Callable[[Tensor, Tensor], Tensor]


class OwnBackward(torch.autograd.Function):
    """Computes in float32, and has a backward pass of its own that stops below p = 1e-3."""

    @staticmethod
    def forward(ctx: object, output: Tensor, target: Tensor) -> Tensor:
        p = torch.sigmoid(output.float())
        ctx.save_for_backward(p, target)  # type: ignore[attr-defined]
        return F.softplus(output.float(), threshold=1e9) - target * output

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:
        p, target = ctx.saved_tensors  # type: ignore[attr-defined]
        return torch.where(p < 1e-3, torch.zeros_like(p), grad * (p - target)), None


def of_two_classes(output: Tensor, target: Tensor) -> Tensor:
    both = torch.stack([torch.zeros_like(output), output], -1)
    return F.cross_entropy(both, target.long(), reduction="none")


BERNOULLI: dict[str, Loss] = {
    "with_logits": losses.bce_with_logits,
    "soft_margin": losses.soft_margin,
    "log1p": bernoulli.bernoulli_nll_log1p,
    "naive": bernoulli.bernoulli_nll_naive,
    "nll": bernoulli.Bernoulli().nll,
    "relu": lambda z, y: F.relu(z) - y * z + torch.log1p(torch.exp(-z.abs())),
    "logaddexp": lambda z, y: torch.logaddexp(z, torch.zeros_like(z)) - y * z,
    "logsigmoid": lambda z, y: -F.logsigmoid((2 * y - 1) * z),
    "log_of_sigmoid": lambda z, y: -torch.log(torch.sigmoid((2 * y - 1) * z)),
    "two_classes": of_two_classes,
    "in_place": lambda z, y: torch.log1p(torch.exp(z.clone().neg_())) + (1 - y) * z,
    "float32": lambda z, y: F.binary_cross_entropy_with_logits(z.float(), y.float(), reduction="none"),
}
"""Forms of the Bernoulli negative log-likelihood; equal on paper."""


def bumped(loss: Loss, centre: float, width: float, height: float = 1e-9) -> Loss:
    return lambda z, y: loss(z, y) + height * torch.exp(-(((z - centre) / width) ** 2))
