"""Two likelihoods between the normal and the Laplace: the densities behind the Huber and the log-cosh loss."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.parameters import positive
from mlnn.signature import Real


class HuberDensity(Likelihood):
    """p(y | f) = exp(−h(y−f)) / Z, h(r) = r²/2 for |r| ≤ δ, δ(|r|−δ/2) beyond; y real. Raw output f: the mean (identity).

    Z = √2π erf(δ/√2) + (2/δ) e^(−δ²/2): normal in the middle, exponential tails. Nothing is dropped. Source: Huber (1964).
    """

    robust = True
    in_units = ("delta",)

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = positive("delta", delta)
        self.middle = math.sqrt(2 * math.pi) * math.erf(self.delta / math.sqrt(2))
        self.tails = 2 / self.delta * math.exp(-(self.delta**2) / 2)

    def nll(self, output: Tensor, target: Real) -> Tensor:
        """h(y−f) + log Z, nats per row; (n,), (n,) to (n,). Written as a δ-clipped square plus what lies beyond."""
        size = (target - output).abs()
        near = size.clamp(max=self.delta)
        return near * (size - 0.5 * near) + math.log(self.middle + self.tails)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = f; (n,) to (n,)."""
        return output

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row: from the cut-off normal, or from a tail; (n,) to (n,)."""
        u, which = (torch.empty_like(output).uniform_(generator=generator) for _ in range(2))
        centre = math.sqrt(2) * torch.erfinv((2 * u - 1) * math.erf(self.delta / math.sqrt(2)))
        far = self.delta + torch.empty_like(output).exponential_(generator=generator) / self.delta
        tail = torch.copysign(far, u - 0.5)
        return output + torch.where(which * (self.middle + self.tails) < self.middle, centre, tail)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at f = y; (n,) to (n,)."""
        return self.nll(target, target)

    def information(self, _output: Tensor) -> float:
        """P(|r| < δ), whatever the raw output."""
        return self.middle / (self.middle + self.tails)

    def majorant(self, residual: Tensor) -> Tensor:
        """min(1, δ/|r|); (n,) to (n,)."""
        return self.delta / residual.abs().clamp(min=self.delta)


class HyperbolicSecant(Likelihood):
    """p(y | f) = 1 / (π cosh(y−f)); y real. Raw output f: the mean (identity link).

    Variance π²/4. Nothing is dropped: exp(−nll) is a density. Source: Perks (1932); Talacko (1956).
    """

    robust = True

    def nll(self, output: Tensor, target: Real) -> Tensor:
        """log cosh(y−f) + log π = |r| + log1p(e^(−2|r|)) + log ½π, nats per row, without overflow; (n,), (n,) to (n,)."""
        # √(r²) has the gradient 0/0 at 0 and |r| the subgradient 0 there, which is the right one: tanh 0.
        size = (target - output).abs()
        return size + torch.log1p(torch.exp(-2 * size)) + math.log(math.pi / 2)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = f; (n,) to (n,)."""
        return output

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row, log tan(πu/2) of a uniform u; (n,) to (n,)."""
        u = torch.empty_like(output).uniform_(torch.finfo(output.dtype).tiny, 1, generator=generator)
        return output + torch.log(torch.tan(0.5 * math.pi * u))

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at f = y; (n,) to (n,)."""
        return self.nll(target, target)

    def information(self, _output: Tensor) -> float:
        """½, whatever the raw output."""
        return 0.5

    def majorant(self, residual: Tensor) -> Tensor:
        """tanh(r)/r; (n,) to (n,)."""
        return torch.where(residual == 0, 1.0, torch.tanh(residual) / residual)
