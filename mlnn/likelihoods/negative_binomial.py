"""The negative binomial likelihood: counts that vary more than Poisson ones."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.parameters import positive
from mlnn.likelihoods.poisson import Poisson
from mlnn.signature import Counts


class NegativeBinomial(Likelihood):
    """P(y | f) = Γ(y+θ)/(Γ(θ) y!) · (θ/(θ+μ))^θ (μ/(θ+μ))^y, μ = e^f; y in {0, 1, …}. Raw output f: log mean (log link).

    `theta` θ > 0 is fixed; variance μ + μ²/θ ("NB2"). Nothing is dropped. Source: Hilbe (2011).
    """

    free, counted, limit = "theta", True, Poisson

    def __init__(self, theta: float = 1.0) -> None:
        self.theta = positive("theta", theta)

    def nll(self, output: Tensor, target: Counts) -> Tensor:
        """θ log(1 + μ/θ) + y log(1 + θ/μ) − log[Γ(y+θ)/(Γ(θ) y!)], nats per row; (n,), (n,) to (n,). No overflow."""
        odds = output - math.log(self.theta)  # log(μ/θ)
        near = torch.log1p(torch.exp(-odds.abs()))
        up, down = (near + torch.maximum(side, torch.zeros_like(side)) for side in (odds, -odds))
        ways = torch.lgamma(target + self.theta) - math.lgamma(self.theta) - torch.lgamma(target + 1)
        return self.theta * up + target * down - ways

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = e^f; (n,) to (n,)."""
        return torch.exp(output)

    def variance(self, output: Tensor) -> Tensor:
        """μ + μ²/θ; (n,) to (n,)."""
        mean = torch.exp(output)
        return mean + mean**2 / self.theta

    @property
    def counterpart(self) -> Counterpart:
        """NB2 with alpha = 1/θ."""
        return Counterpart("NegativeBinomial", "Log", {"alpha": 1 / self.theta}, "api.NegativeBinomial", 1 / self.theta)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One count per row: Poisson with a gamma-distributed mean; (n,) to (n,)."""
        # torch has no public gamma sampler that takes a generator; torch.distributions calls this one.
        drawn = torch._standard_gamma(torch.full_like(output, self.theta), generator=generator)
        return torch.poisson(self.mean(output) * drawn / self.theta, generator=generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches or comes near, at e^f = y; 0 for y = 0; (n,) to (n,)."""
        at = self.nll(torch.log(target.clamp(min=1)), target)
        return torch.where(target > 0, at, torch.zeros_like(at))

    def information(self, output: Tensor) -> Tensor:
        """θμ/(θ+μ); (n,) to (n,)."""
        return self.theta * torch.sigmoid(output - math.log(self.theta))

    def typical(self, output: Tensor) -> list[Tensor]:
        """The mean, as the derivatives are linear in y; (n,) to (n,)."""
        return [self.mean(output)]

    def no_number(self, down: bool) -> str | None:
        """At θ = ∞ the counts are Poisson."""
        if down:
            return None
        return (
            "the counts vary no more than Poisson counts would; use 'poisson', or give theta: NegativeBinomial(theta=…)"
        )
