"""The zero-inflated negative binomial likelihood: counts that vary more than Poisson ones, and zeros from elsewhere."""

import torch
from torch import Tensor

from mlnn.likelihoods.likelihood import Likelihood, Question
from mlnn.likelihoods.negative_binomial import NegativeBinomial
from mlnn.likelihoods.parameters import positive
from mlnn.likelihoods.zeros import above_zero, inflated_questions, mixed, thinned, zeros_aside
from mlnn.signature import Counts, TwoOutputs


class ZeroInflatedNegativeBinomial(Likelihood):
    """P(y | f, g) = π 1{y=0} + (1−π) NB(y | f, θ), π = σ(g), NB as `NegativeBinomial`; y in {0, 1, …}. Raw output (n, 2): f, the
    log of the mean of the counts, and g, the logit of the share of zeros from elsewhere.

    `theta` θ > 0 is fixed; the counts' variance is μ + μ²/θ. Nothing is dropped. Source: Greene (1994).
    """

    free, counted = "theta", True
    jointly = True
    outputs = ("log_mean", "logit_inflation")
    within = "negative_binomial"

    def __init__(self, theta: float = 1.0) -> None:
        self.theta = positive("theta", theta)
        self.counts = NegativeBinomial(self.theta)

    def nll(self, output: TwoOutputs, target: Counts) -> Tensor:
        """−log(π + (1−π) (1 + μ/θ)^(−θ)) of a zero, else −log(1−π) + the negative binomial's; (n, 2), (n,) to (n,)."""
        log_mean, inflation = output.unbind(1)
        zero = -self.counts.nll(log_mean, torch.zeros_like(target))
        return mixed(inflation, target, zero, self.counts.nll(above_zero(target, log_mean), target))

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f, g] = (1−π) e^f; (n, 2) to (n,)."""
        return torch.sigmoid(-output[:, 1]) * torch.exp(output[:, 0])

    def variance(self, output: Tensor) -> Tensor:
        """(1−π) (μ + μ²/θ + μ²) − (1−π)² μ²; (n, 2) to (n,)."""
        mean = torch.exp(output[:, 0])
        return thinned(torch.sigmoid(-output[:, 1]), mean, self.counts.variance(output[:, 0]))

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One count per row; (n, 2) to (n,)."""
        kept = torch.bernoulli(torch.sigmoid(-output[:, 1]), generator=generator)
        return kept * self.counts.sample(output[:, 0], generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any (f, g) comes near: the negative binomial's as π goes to 0, 0 for y = 0; (n,) to (n,)."""
        return self.counts.least(target)

    def level(self, target: Tensor, weight: Tensor) -> Tensor:
        """Near the maximum of rows that share raw outputs: a quarter of the zeros from elsewhere; (n,), (n,) to (2,)."""
        log_mean, share = zeros_aside(target, weight)
        return torch.stack([log_mean, torch.logit(share / 4)])

    def questions(self, target: Tensor) -> list[Question]:
        """A count above 0 pins f and wants g down; a zero is likelier without end along f down, and along g up."""
        return inflated_questions(target)

    def no_number(self, down: bool) -> str | None:
        """At θ = ∞ the counts are Poisson."""
        if down:
            return None
        return (
            "the counts beside the zeros vary no more than Poisson counts would; use 'zero_inflated_poisson', or give theta:"
            " ZeroInflatedNegativeBinomial(theta=…)"
        )
