"""The beta likelihood: proportions."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.parameters import positive
from mlnn.signature import Unit


class Beta(Likelihood):
    """p(y | f) = y^(μφ−1) (1−y)^((1−μ)φ−1) Γ(φ)/(Γ(μφ) Γ((1−μ)φ)), μ = σ(f); y strictly in (0, 1). Raw output f: logit mean.

    `precision` φ > 0 is fixed; variance μ(1−μ)/(1+φ). Nothing is dropped. A target of exactly 0 or 1 has no finite density.
    Source: Ferrari & Cribari-Neto (2004).
    """

    free, counted = "precision", True

    def __init__(self, precision: float = 2.0) -> None:
        self.precision = positive("precision", precision)

    def nll(self, output: Tensor, target: Unit) -> Tensor:
        """log Γ(a) + log Γ(b) − log Γ(φ) − (a−1) log y − (b−1) log(1−y), a = μφ, b = (1−μ)φ, nats per row; (n,), (n,) to (n,).

        Finite while a and b are: |f| below about 87 in float32, 708 in float64.
        """
        a, b = self.precision * torch.sigmoid(output), self.precision * torch.sigmoid(-output)
        normaliser = torch.lgamma(a) + torch.lgamma(b) - math.lgamma(self.precision)
        return normaliser - (a - 1) * torch.log(target) - (b - 1) * torch.log1p(-target)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = σ(f); (n,) to (n,)."""
        return torch.sigmoid(output)

    def variance(self, output: Tensor) -> Tensor:
        """μ(1−μ)/(1+φ); (n,) to (n,)."""
        return torch.sigmoid(output) * torch.sigmoid(-output) / (1 + self.precision)

    @property
    def counterpart(self) -> Counterpart:
        """A beta regression, which estimates log φ."""
        return Counterpart(own="othermod.betareg.BetaModel", extra=math.log(self.precision))

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row, a gamma draw's share of two; (n,) to (n,)."""
        # torch has no public gamma sampler that takes a generator; torch.distributions calls this one.
        one, two = (
            torch._standard_gamma(self.precision * torch.sigmoid(sign * output), generator=generator)
            for sign in (1, -1)
        )
        return one / (one + two)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, where ψ(a) − ψ(b) = logit y, by bisection; (n,) to (n,)."""
        low, high = torch.full_like(target, -50.0), torch.full_like(target, 50.0)
        for _ in range(60):
            f = (low + high) / 2
            a, b = self.precision * torch.sigmoid(f), self.precision * torch.sigmoid(-f)
            above = torch.digamma(a) - torch.digamma(b) > torch.logit(target)
            low, high = torch.where(above, low, f), torch.where(above, f, high)
        return self.nll((low + high) / 2, target)

    def typical(self, output: Tensor) -> list[Tensor]:
        """The target whose logit is its mean ψ(a) − ψ(b), as the second derivative is linear in logit y; (n,) to (n,)."""
        a, b = (self.precision * torch.sigmoid(sign * output) for sign in (1, -1))
        return [torch.sigmoid(torch.digamma(a) - torch.digamma(b))]

    def impossible(self, target: Tensor) -> tuple[Tensor, str]:
        """Rows of exactly 0 or 1; (n,) to (n,)."""
        return (target == 0) | (target == 1), "a beta density has no finite value at 0 or 1"
