"""The Laplace likelihood and its two relatives: behind absolute error, the quantile loss and support-vector regression."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.parameters import fraction, positive
from mlnn.signature import Real


class Laplace(Likelihood):
    """p(y | f) = exp(−|y−f|/b) / 2b; y real. Raw output f: mean and median (identity link); `scale` b > 0 is fixed.

    Nothing is dropped: exp(−nll) is a density. Source: Laplace (1774).
    """

    free, kinked = "scale", True
    in_units = ("scale",)

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = positive("scale", scale)

    def nll(self, output: Tensor, target: Real) -> Tensor:
        """|y−f|/b + log 2b, nats per row; (n,), (n,) to (n,)."""
        return (target - output).abs() / self.scale + math.log(2 * self.scale)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = f; (n,) to (n,)."""
        return output

    def variance(self, _output: Tensor) -> float:
        """2b²."""
        return 2 * self.scale**2

    @property
    def counterpart(self) -> Counterpart:
        """The median."""
        return Counterpart(own="api.QuantReg")

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row; (n,) to (n,)."""
        return output + self.scale * (exponential(output, generator) - exponential(output, generator))

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at f = y; (n,) to (n,)."""
        return self.nll(target, target)


class AsymmetricLaplace(Likelihood):
    """p(y | f) = τ(1−τ) exp(−ρ(y−f)), ρ(r) = max(τr, (τ−1)r); y real. Raw output f: the quantile at `tau` (identity link).

    Nothing is dropped: exp(−nll) is a density. Source: Koenker & Machado (1999); Yu & Moyeed (2001).
    """

    kinked, centred = True, "quantile"

    def __init__(self, tau: float = 0.5) -> None:
        self.tau = self.quantile = fraction("tau", tau)

    def nll(self, output: Tensor, target: Real) -> Tensor:
        """max(τ(y−f), (τ−1)(y−f)) − log τ(1−τ), nats per row; (n,), (n,) to (n,)."""
        residual = target - output
        # |r| times the slope of its side: at the kink the gradient is then 0, as that of a sum of two relus.
        slope = 0.5 + (self.tau - 0.5) * residual.detach().sign()
        return residual.abs() * slope - math.log(self.tau * (1 - self.tau))

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = f + (1−2τ)/τ(1−τ): the raw output is the quantile, not the mean; (n,) to (n,)."""
        return output + (1 - 2 * self.tau) / (self.tau * (1 - self.tau))

    def centre(self, output: Tensor) -> Tensor:
        """The quantile at τ; (n,) to (n,)."""
        return output

    def variance(self, _output: Tensor) -> float:
        """(1−2τ+2τ²)/τ²(1−τ)², by Yu & Zhang (2005)."""
        return (1 - 2 * self.tau + 2 * self.tau**2) / (self.tau * (1 - self.tau)) ** 2

    @property
    def counterpart(self) -> Counterpart:
        """The quantile at τ."""
        return Counterpart(own="api.QuantReg")

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row, a difference of two exponentials; (n,) to (n,)."""
        return output + exponential(output, generator) / self.tau - exponential(output, generator) / (1 - self.tau)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at f = y; (n,) to (n,)."""
        return self.nll(target, target)


class FlatToppedLaplace(Likelihood):
    """p(y | f) = exp(−max(|y−f|−ε, 0)) / (2+2ε); y real. Raw output f: the mean (identity link); `epsilon` ε > 0.

    Uniform within ε of f, exponential tails outside. Nothing is dropped. Source: Pontil, Mukherjee & Girosi (2000).
    """

    kinked = True
    in_units = ("epsilon",)

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = self.flat = positive("epsilon", epsilon)

    def nll(self, output: Tensor, target: Real) -> Tensor:
        """max(|y−f|−ε, 0) + log(2+2ε), nats per row; (n,), (n,) to (n,)."""
        # `relu` and not `clamp`, which would pass the gradient 1 at the kink itself.
        return torch.relu((target - output).abs() - self.epsilon) + math.log(2 + 2 * self.epsilon)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = f; (n,) to (n,)."""
        return output

    def variance(self, _output: Tensor) -> float:
        """(ε³/3 + ε² + 2ε + 2)/(1+ε)."""
        width = self.epsilon
        return (width**3 / 3 + width**2 + 2 * width + 2) / (1 + width)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row: flat with probability ε/(1+ε), else in a tail; (n,) to (n,)."""
        side, which = (torch.empty_like(output).uniform_(-1, 1, generator=generator) for _ in range(2))
        tail = side.sign() * (self.epsilon + exponential(output, generator))
        flat = which.abs() < self.epsilon / (1 + self.epsilon)
        return output + torch.where(flat, side * self.epsilon, tail)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at f = y; (n,) to (n,)."""
        return self.nll(target, target)


def exponential(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from the exponential distribution of mean 1, in the shape and dtype of `like`."""
    return torch.empty_like(like).exponential_(generator=generator)
