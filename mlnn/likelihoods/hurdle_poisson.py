"""The hurdle Poisson likelihood: whether there is any, and if so, how many."""

import torch
from torch import Tensor

from mlnn.likelihoods.likelihood import Likelihood, Question
from mlnn.likelihoods.poisson import Poisson
from mlnn.likelihoods.zeros import (
    above_zero,
    given_some,
    hurdle_level,
    hurdle_questions,
    log_one_minus_exp,
    past,
    positive_part,
    thinned,
)
from mlnn.signature import Counts, TwoOutputs


class HurdlePoisson(Likelihood):
    """P(0 | f, g) = 1−ω, P(y | f, g) = ω μ^y e^(−μ)/(y! (1−e^(−μ))) for y > 0, μ = e^f, ω = σ(g). Raw output (n, 2): f, the log
    of the mean that the counts would have with their zeros, and g, the logit of the share above zero.

    Nothing is dropped. Source: Mullahy (1986).
    """

    jointly = True
    outputs = ("log_mean", "logit_above_zero")

    def nll(self, output: TwoOutputs, target: Counts) -> Tensor:
        """−log(1−ω) of a zero, else −log ω + μ − y f + log y! + log(1 − e^(−μ)), nats per row; (n, 2), (n,) to (n,)."""
        log_mean, crossing = output.unbind(1)
        f = above_zero(target, log_mean)
        return past(crossing, target, log_one_minus_exp(f), Poisson().nll(f, target))

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f, g] = ω μ/(1 − e^(−μ)); (n, 2) to (n,)."""
        log_mean, crossing = output.unbind(1)
        return torch.sigmoid(crossing) * torch.exp(log_mean - log_one_minus_exp(log_mean))

    def variance(self, output: Tensor) -> Tensor:
        """ω E[y² | y > 0] − (ω E[y | y > 0])²; (n, 2) to (n,)."""
        mean = torch.exp(output[:, 0])
        return thinned(torch.sigmoid(output[:, 1]), *given_some(log_one_minus_exp(output[:, 0]), mean, mean))

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One count per row; (n, 2) to (n,)."""
        above = torch.bernoulli(torch.sigmoid(output[:, 1]), generator=generator)
        return above * positive_part(torch.exp(output[:, 0]), generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any (f, g) comes near, 0 for y ≤ 1 and where μ/(1 − e^(−μ)) = y; (n,) to (n,)."""
        mean = target.clamp(min=2)
        for _ in range(60):  # μ = y (1 − e^(−μ)): a contraction from above by at most 0.6, at y = 2
            mean = target.clamp(min=2) * -torch.expm1(-mean)
        f = torch.log(mean)
        told = Poisson().nll(f, target) + log_one_minus_exp(f)
        return torch.where(target > 1, told, torch.zeros_like(told))

    def level(self, target: Tensor, weight: Tensor) -> Tensor:
        """Near the maximum of rows that share raw outputs; (n,), (n,) to (2,)."""
        return hurdle_level(target, weight)

    def questions(self, target: Tensor) -> list[Question]:
        """Two models: whether a count is above 0, and of those that are, f: pinned by 2 and more, wanted down by 1."""
        return hurdle_questions(target)
