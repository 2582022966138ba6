"""Losses that the framework does not ship and that have a likelihood behind them: the formula people write, per row.

NLL = s·loss + c, c depending on the target only; `mlnn.objectives.partners` holds the pairs.
"""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.parameters import fraction, positive
from mlnn.signature import Counts, Positive, Real


def pinball(output: Tensor, target: Real, tau: float = 0.5) -> Tensor:
    """τ max(y−f, 0) + (1−τ) max(f−y, 0), the quantile loss; (n,), (n,) to (n,).

    Asymmetric Laplace, s = 1, c = −log τ(1−τ). Raises ConfigError unless 0 < τ < 1.
    """
    fraction("tau", tau)
    residual = target - output
    return tau * torch.relu(residual) + (1 - tau) * torch.relu(-residual)


def log_cosh(output: Tensor, target: Real) -> Tensor:
    """log cosh(f−y) as logaddexp(r, −r) − log 2; (n,), (n,) to (n,). Hyperbolic secant, s = 1, c = log π."""
    residual = output - target
    return torch.logaddexp(residual, -residual) - math.log(2)


def epsilon_insensitive(output: Tensor, target: Real, epsilon: float = 0.1) -> Tensor:
    """max(|f−y|−ε, 0), support-vector regression; (n,), (n,) to (n,). Flat-topped Laplace, s = 1, c = log(2+2ε)."""
    size = (output - target).abs()
    return torch.where(size > positive("epsilon", epsilon), size - epsilon, torch.zeros_like(size))


def cosine(output: Tensor, target: Real) -> Tensor:
    """1 − cos(f−y), for angles in radians; (n,), (n,) to (n,). von Mises with κ = 1, s = 1, c = log 2πI₀(1) − 1."""
    return 1 - torch.cos(output - target)


def gamma_loss(output: Tensor, target: Positive, shape: float = 1.0) -> Tensor:
    """f + y e^(−f); (n,), (n,) to (n,). Gamma(shape k), log link, s = k, c = log Γ(k) − k log k − (k−1) log y.

    `shape` does not enter the loss: it says as which gamma the loss is read.
    """
    positive("shape", shape)
    return output + target * torch.exp(-output)


def negative_binomial_loss(output: Tensor, target: Counts, theta: float = 1.0) -> Tensor:
    """(y+θ) log(θ + e^f) − y f; (n,), (n,) to (n,). NegativeBinomial(θ), log link, s = 1.

    c = −log[Γ(y+θ)/(Γ(θ) y!)] − θ log θ. Written as people do: e^f overflows for f > 88 in float32, 709 in float64.
    """
    positive("theta", theta)
    return (target + theta) * torch.log(theta + torch.exp(output)) - target * output
