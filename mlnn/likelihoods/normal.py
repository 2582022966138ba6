"""The normal likelihood, with a fixed variance and with one that the model learns."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.parameters import positive
from mlnn.signature import Real, TwoOutputs

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Normal(Likelihood):
    """p(y | f) = exp(−(y−f)²/2σ²) / (σ√2π); y real. Raw output f: the mean (identity link); `sigma` σ > 0 is fixed.

    Nothing is dropped: exp(−nll) is the density of the target, per unit of y. Source: Gauss (1809).
    """

    free, separate, canonical, squares = "sigma", True, True, True
    in_units = ("sigma",)
    conventions = ("ml: RSS/n", "unbiased: RSS/(n−p)")

    def __init__(self, sigma: float = 1.0) -> None:
        self.sigma = positive("sigma", sigma)

    def nll(self, output: Tensor, target: Real) -> Tensor:
        """(y−f)²/2σ² + log σ + ½ log 2π, nats per row; (n,), (n,) to (n,)."""
        return 0.5 * ((target - output) / self.sigma) ** 2 + (math.log(self.sigma) + HALF_LOG_TWO_PI)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = f; (n,) to (n,)."""
        return output

    def variance(self, _output: Tensor) -> float:
        """1, over σ²."""
        return 1.0

    @property
    def counterpart(self) -> Counterpart:
        """Least squares."""
        return Counterpart("Gaussian", "Identity", own="api.OLS")

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row; (n,) to (n,)."""
        return output + self.sigma * torch.empty_like(output).normal_(generator=generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at f = y; (n,) to (n,)."""
        return self.nll(target, target)

    @property
    def dispersion(self) -> float:
        """σ²."""
        return self.sigma**2


class NormalLearnedVariance(Likelihood):
    """p(y | f, s) = exp(−(y−f)²/2e^s − s/2) / √2π; y real. Raw output (n, 2): the mean f and the log variance s.

    Nothing is dropped. The likelihood has no maximum over all (f, s): a row that f meets exactly can have any density.
    Source: Nix & Weigend (1994).
    """

    outputs = ("mean", "log_variance")

    def nll(self, output: TwoOutputs, target: Real) -> Tensor:
        """½ [(y−f)² e^(−s) + s + log 2π], nats per row; (n, 2), (n,) to (n,)."""
        mean, log_variance = output.unbind(1)
        return 0.5 * ((target - mean) ** 2 * torch.exp(-log_variance) + log_variance) + HALF_LOG_TWO_PI

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f, s] = f; (n, 2) to (n,)."""
        return output[:, 0]

    def variance(self, output: Tensor) -> Tensor:
        """e^s; (n, 2) to (n,)."""
        return torch.exp(output[:, 1])

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row; (n, 2) to (n,)."""
        mean, log_variance = output.unbind(1)
        return mean + torch.exp(log_variance / 2) * torch.empty_like(mean).normal_(generator=generator)

    def least(self, target: Tensor) -> Tensor:
        """−∞ for every row: see the class; (n,) to (n,)."""
        return torch.full_like(target, -math.inf)

    def typical(self, output: Tensor) -> list[Tensor]:
        """One standard deviation either side, as the second derivatives are quadratic in y; (n, 2) to twice (n,)."""
        return [output[:, 0] + sign * torch.exp(output[:, 1] / 2) for sign in (-1, 1)]

    def rescaled(self, unit: float, centre: float, output: int) -> tuple[float, float]:
        """Of a target in other units the log variance is shifted, not multiplied."""
        return (1.0, 2 * math.log(unit)) if output else (unit, centre)
