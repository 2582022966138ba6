"""The Student t likelihood: errors with heavy tails."""

import math

import torch
from torch import Tensor

from mlnn.errors import ConfigError
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.parameters import positive
from mlnn.signature import Real


class StudentT(Likelihood):
    """p(y | f) = Γ((ν+1)/2)/(Γ(ν/2) s√(πν)) · (1 + (y−f)²/νs²)^(−(ν+1)/2); y real. Raw output f: the centre (identity link).

    `df` ν > 0 (1: Cauchy) and `scale` s > 0 are fixed. Nothing is dropped. Source: Student (1908); Lange et al. (1989).
    """

    robust, centred = True, "centre"
    in_units = ("scale",)

    def __init__(self, df: float = 4.0, scale: float = 1.0) -> None:
        self.df, self.scale = positive("df", df), positive("scale", scale)
        half = math.lgamma(self.df / 2) - math.lgamma((self.df + 1) / 2)
        self.constant = half + math.log(self.scale) + 0.5 * math.log(math.pi * self.df)

    def nll(self, output: Tensor, target: Real) -> Tensor:
        """½(ν+1) log(1 + (y−f)²/νs²) + the constant of the density, nats per row; (n,), (n,) to (n,)."""
        residual = (target - output) / self.scale
        return (self.df + 1) / 2 * torch.log1p(residual**2 / self.df) + self.constant

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = f; (n,) to (n,). Raises ConfigError for ν ≤ 1, where there is no mean (f is still the median)."""
        if self.df <= 1:
            raise ConfigError(f"objective.df: a Student t with {self.df:g} degrees of freedom has no mean; take df > 1")
        return output

    def centre(self, output: Tensor) -> Tensor:
        """The centre f, which is the median too; (n,) to (n,)."""
        return output

    def variance(self, _output: Tensor) -> float | None:
        """s²ν/(ν−2); None for ν ≤ 2, where it is infinite."""
        return self.scale**2 * self.df / (self.df - 2) if self.df > 2 else None

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row: a normal draw over the root of a chi-square one; (n,) to (n,)."""
        # torch has no public gamma sampler that takes a generator; torch.distributions calls this one.
        spread = torch._standard_gamma(torch.full_like(output, self.df / 2), generator=generator) * (2 / self.df)
        return output + self.scale * torch.empty_like(output).normal_(generator=generator) / torch.sqrt(spread)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at f = y; (n,) to (n,)."""
        return self.nll(target, target)

    def information(self, _output: Tensor) -> float:
        """(ν+1)/((ν+3)s²), whatever the raw output (Lange et al. 1989)."""
        return (self.df + 1) / ((self.df + 3) * self.scale**2)

    def majorant(self, residual: Tensor) -> Tensor:
        """(ν+1)/(νs²+r²); (n,) to (n,)."""
        return (self.df + 1) / (self.df * self.scale**2 + residual**2)
