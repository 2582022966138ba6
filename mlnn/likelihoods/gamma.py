"""The gamma likelihood."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.parameters import positive
from mlnn.signature import Positive


class Gamma(Likelihood):
    """p(y | f) = (k/μ)^k y^(k−1) e^(−ky/μ) / Γ(k), μ = e^f; y > 0. Raw output f: the log of the mean (log link).

    `shape` k > 0 is fixed (1: the exponential); variance μ²/k. Nothing is dropped. Source: McCullagh & Nelder (1989), ch. 8.
    """

    free, separate = "shape", True
    conventions = ("ml: 1/shape", "unbiased: Pearson X²/(n−p)")

    def __init__(self, shape: float = 1.0) -> None:
        self.shape = positive("shape", shape)
        self.constant = math.lgamma(self.shape) - self.shape * math.log(self.shape)

    def nll(self, output: Tensor, target: Positive) -> Tensor:
        """k (f + y e^(−f)) − (k−1) log y + log Γ(k) − k log k, nats per row; (n,), (n,) to (n,)."""
        dropped = self.constant - (self.shape - 1) * torch.log(target)
        return self.shape * (output + target * torch.exp(-output)) + dropped

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = e^f; (n,) to (n,)."""
        return torch.exp(output)

    def variance(self, output: Tensor) -> Tensor:
        """μ², over 1/k; (n,) to (n,)."""
        return torch.exp(2 * output)

    @property
    def counterpart(self) -> Counterpart:
        """A gamma with the log link."""
        return Counterpart("Gamma", "Log")

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row; (n,) to (n,)."""
        # torch has no public gamma sampler that takes a generator; torch.distributions calls this one.
        drawn = torch._standard_gamma(torch.full_like(output, self.shape), generator=generator)
        return self.mean(output) * drawn / self.shape

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at e^f = y; (n,) to (n,)."""
        return self.nll(torch.log(target), target)

    @property
    def dispersion(self) -> float:
        """1/k."""
        return 1 / self.shape

    def pearson(self, target: Tensor, mean: Tensor) -> Tensor:
        """((y − μ)/μ)² per row; (n,), (n,) to (n,)."""
        return ((target - mean) / mean) ** 2

    def information(self, _output: Tensor) -> float:
        """k, whatever the raw output."""
        return self.shape
