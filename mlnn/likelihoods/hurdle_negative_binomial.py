"""The hurdle negative binomial likelihood: whether there is any, and if so, how many, more spread than Poisson counts."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.likelihood import Likelihood, Question
from mlnn.likelihoods.negative_binomial import NegativeBinomial
from mlnn.likelihoods.parameters import positive
from mlnn.likelihoods.zeros import (
    above_zero,
    given_some,
    hurdle_level,
    hurdle_questions,
    log_one_minus_exp,
    log_softplus,
    past,
    thinned,
)
from mlnn.signature import Counts, TwoOutputs


class HurdleNegativeBinomial(Likelihood):
    """P(0 | f, g) = 1−ω, P(y | f, g) = ω NB(y | f, θ)/(1 − NB(0 | f, θ)) for y > 0, ω = σ(g), NB as `NegativeBinomial`. Raw output
    (n, 2): f, the log of the mean that the counts would have with their zeros, and g, the logit of the share above zero.

    `theta` θ > 0 is fixed. Nothing is dropped. Source: Mullahy (1986).
    """

    free, counted = "theta", True
    jointly = True
    outputs = ("log_mean", "logit_above_zero")

    def __init__(self, theta: float = 1.0) -> None:
        self.theta = positive("theta", theta)
        self.counts = NegativeBinomial(self.theta)

    def nll(self, output: TwoOutputs, target: Counts) -> Tensor:
        """−log(1−ω) of a zero, else −log ω + the negative binomial's + log(1 − (1 + μ/θ)^(−θ)); (n, 2), (n,) to (n,)."""
        log_mean, crossing = output.unbind(1)
        f = above_zero(target, log_mean)
        return past(crossing, target, self._log_above(f), self.counts.nll(f, target))

    def _log_above(self, log_mean: Tensor) -> Tensor:
        """log(1 − (1 + μ/θ)^(−θ)); (n,) to (n,)."""
        log_theta = math.log(self.theta)
        return log_one_minus_exp(log_theta + log_softplus(log_mean - log_theta))

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f, g] = ω μ/(1 − (1 + μ/θ)^(−θ)); (n, 2) to (n,)."""
        log_mean, crossing = output.unbind(1)
        return torch.sigmoid(crossing) * torch.exp(log_mean - self._log_above(log_mean))

    def variance(self, output: Tensor) -> Tensor:
        """ω E[y² | y > 0] − (ω E[y | y > 0])²; (n, 2) to (n,)."""
        log_mean, crossing = output.unbind(1)
        of_counts = torch.exp(log_mean), self.counts.variance(log_mean)
        return thinned(torch.sigmoid(crossing), *given_some(self._log_above(log_mean), *of_counts))

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One count per row; (n, 2) to (n,).

        Negative binomial counts are clusters of a Poisson number with mean θ log(1 + μ/θ), their sizes logarithmic (Quenouille
        1949): the first cluster is drawn, given that there is one, by Kemp's (1981) method, and what is left after it.
        """
        log_mean, crossing = output.unbind(1)
        above = torch.bernoulli(torch.sigmoid(crossing), generator=generator)
        rate = torch.nn.functional.softplus(log_mean - math.log(self.theta))  # log(1 + μ/θ)
        uniform, first, size = (torch.empty_like(rate).uniform_(generator=generator) for _ in range(3))
        left = self.theta * rate + torch.log1p(uniform * torch.expm1(-self.theta * rate))
        # torch has no public gamma sampler that takes a generator; torch.distributions calls this one.
        drawn = torch._standard_gamma((left / rate).clamp(min=torch.finfo(rate.dtype).tiny), generator=generator)
        cluster = 1 + torch.floor(torch.log(1 - first) / torch.log(-torch.expm1(-rate * size)))
        return above * (cluster + torch.poisson(drawn * torch.exp(log_mean) / self.theta, generator=generator))

    def level(self, target: Tensor, weight: Tensor) -> Tensor:
        """Near the maximum of rows that share raw outputs; (n,), (n,) to (2,)."""
        return hurdle_level(target, weight)

    def questions(self, target: Tensor) -> list[Question]:
        """Two models: whether a count is above 0, and of those that are, f: pinned by 2 and more, wanted down by 1."""
        return hurdle_questions(target)

    def no_number(self, down: bool) -> str | None:
        """At θ = ∞ the counts above 0 are Poisson; at θ = 0 they are logarithmic series."""
        if down:
            return "the counts above 0 are as logarithmic series are, the limit; give theta: HurdleNegativeBinomial(theta=…)"
        return (
            "the counts above 0 vary no more than Poisson counts would; use 'hurdle_poisson', or give theta:"
            " HurdleNegativeBinomial(theta=…)"
        )
