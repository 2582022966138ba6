"""What likelihoods of counts with a raw output of their own for the zeros have in common."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.bernoulli import log_sigmoid
from mlnn.likelihoods.likelihood import Question

NEAR_ONE = -20.0
"""log a below which log(1 − e^(−a)) is log a − a/2 to float64's last digit."""
CERTAIN = 1e-3
"""The least and, from 1, the most share of zeros that a start is made of."""


def moderate(output: Tensor) -> Tensor:
    """Log means, held where their exponential is still finite: of a zero nothing is left beyond."""
    return output.clamp(max=math.log(torch.finfo(output.dtype).max) - 1)


def log_one_minus_exp(log_a: Tensor) -> Tensor:
    """log(1 − e^(−a)), a > 0 given by its logarithm, without cancellation and with a gradient that lasts; (n,) to (n,)."""
    far = log_a < NEAR_ONE
    a = torch.exp(torch.where(far, 0.0, moderate(log_a)))
    return torch.where(far, log_a - torch.exp(log_a.clamp(max=0)) / 2, torch.log(-torch.expm1(-a)))


def log_softplus(odds: Tensor) -> Tensor:
    """log log(1 + e^v), which is v − e^v/2 far down; (n,) to (n,)."""
    far = odds < NEAR_ONE
    near = torch.where(far, 0.0, odds)
    inner = torch.log(torch.clamp(near, min=0) + torch.log1p(torch.exp(-near.abs())))
    return torch.where(far, odds - torch.exp(odds.clamp(max=0)) / 2, inner)


def mixed(inflation: Tensor, target: Tensor, zero: Tensor, count: Tensor) -> Tensor:
    """−log of π 1{y=0} + (1−π) p(y), π = σ(inflation); `zero`: log p(0), `count`: −log p(y) of y > 0; all (n,)."""
    kept = log_sigmoid(-inflation)
    return torch.where(target > 0, count - kept, -_log_sum(log_sigmoid(inflation), kept + zero))


def _log_sum(one: Tensor, other: Tensor) -> Tensor:
    """log(e^one + e^other). Where the smaller is nothing beside the larger it is held nearer, still nothing: logaddexp's second
    derivative is NaN at distances that its exponential does not reach."""
    reach = math.log(torch.finfo(one.dtype).max) - 10
    return torch.logaddexp(torch.maximum(one, other - reach), torch.maximum(other, one - reach))


def past(crossing: Tensor, target: Tensor, zero: Tensor, count: Tensor) -> Tensor:
    """−log of (1−ω) 1{y=0} + ω p(y)/(1−p(0)) 1{y>0}, ω = σ(crossing); `zero`: log(1 − p(0)), `count`: −log p(y); all (n,)."""
    return torch.where(target > 0, count + zero - log_sigmoid(crossing), -log_sigmoid(-crossing))


def above_zero(target: Tensor, output: Tensor) -> Tensor:
    """The raw outputs of rows with y > 0, 0 elsewhere, where nothing must overflow for what is not asked; (n,), (n,) to (n,)."""
    return torch.where(target > 0, output, 0.0)


def thinned(share: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The variance of what is a count of this mean and variance with probability `share`, and else 0; all (n,)."""
    return share * (variance + mean**2) - (share * mean) ** 2


def given_some(log_above: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, variance) of a count that is above 0, of its own mean and variance and log(1 − p(0)); all (n,)."""
    some = torch.exp(-log_above)
    return mean * some, (variance + mean**2) * some - (mean * some) ** 2


def zeros_aside(target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """(log of the mean of the counts above 0, share of zeros held off 0 and 1) of rows that share raw outputs; () each."""
    some = (target > 0).to(weight.dtype) * weight
    mean = (some * target).sum() / some.sum().clamp(min=torch.finfo(weight.dtype).tiny)
    return torch.log(mean.clamp(min=1.0)), (1 - some.sum() / weight.sum()).clamp(CERTAIN, 1 - CERTAIN)


def inflated_questions(target: Tensor) -> list[Question]:
    """A count above 0 pins f and wants g down; a zero is likelier without end along f down, and along g up."""
    return [Question(0, "counts", target.clamp(max=1)), Question(1, "binary", (target == 0).to(target.dtype))]


def hurdle_questions(target: Tensor) -> list[Question]:
    """Two models: whether a count is above 0, and of those that are, f: pinned by 2 and more, wanted down by 1."""
    above = target > 0
    return [Question(0, "counts", (target - 1).clamp(0, 1), above), Question(1, "binary", above.to(target.dtype))]


def hurdle_level(target: Tensor, weight: Tensor) -> Tensor:
    """Near the maximum of a hurdle's rows that share raw outputs; (n,), (n,) to (2,)."""
    log_mean, share = zeros_aside(target, weight)
    return torch.stack([log_mean, -torch.logit(share)])


def positive_part(mean: Tensor, generator: torch.Generator | None) -> Tensor:
    """One Poisson count above 0 per row, by inversion of its first event: y − 1 more after it; means (n,) to (n,).

    The first event of a Poisson process on [0, μ], given that there is one, is at −log(1 − u(1 − e^(−μ))); what follows is
    Poisson over the rest.
    """
    uniform = torch.empty_like(mean).uniform_(generator=generator)
    first = -torch.log1p(uniform * torch.expm1(-mean))
    return 1 + torch.poisson((mean - first).clamp(min=0), generator=generator)
