"""The von Mises likelihood: angles."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.parameters import positive
from mlnn.signature import Real


class VonMises(Likelihood):
    """p(y | f) = exp(κ cos(y−f)) / 2πI₀(κ); y an angle in radians, any of its representatives. Raw output f: its direction.

    A density on one turn, 2π long; `concentration` κ > 0 is fixed. Nothing is dropped. Source: von Mises (1918).
    """

    periodic = True

    def __init__(self, concentration: float = 1.0) -> None:
        self.concentration = positive("concentration", concentration)
        scaled_bessel = torch.special.i0e(torch.tensor(self.concentration, dtype=torch.float64)).item()
        self.log_height = -math.log(2 * math.pi * scaled_bessel)  # of the density at y = f: I₀(κ) = i0e(κ) e^κ

    def nll(self, output: Tensor, target: Real) -> Tensor:
        """−κ cos(y−f) + log 2πI₀(κ), nats per row; (n,), (n,) to (n,). As 2κ sin²(½(y−f)), which keeps small angles."""
        return 2 * self.concentration * torch.sin((target - output) / 2) ** 2 - self.log_height

    def mean(self, output: Tensor) -> Tensor:
        """The mean direction f; (n,) to (n,)."""
        return output

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row, within half a turn of f; (n,) to (n,). By rejection from the whole circle."""
        turn, open_rows = torch.zeros_like(output), torch.ones_like(output, dtype=torch.bool)
        while bool(open_rows.any()):
            angle = torch.empty_like(output).uniform_(-math.pi, math.pi, generator=generator)
            height = torch.exp(self.concentration * (torch.cos(angle) - 1))
            taken = open_rows & (torch.empty_like(output).uniform_(generator=generator) < height)
            turn, open_rows = torch.where(taken, angle, turn), open_rows & ~taken
        return output + turn

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches, at f = y; (n,) to (n,)."""
        return self.nll(target, target)

    def information(self, _output: Tensor) -> float:
        """κ I₁(κ)/I₀(κ), whatever the raw output (Mardia & Jupp 2000)."""
        at = torch.tensor(self.concentration, dtype=torch.float64)
        return self.concentration * float(torch.special.i1e(at) / torch.special.i0e(at))

    def level(self, target: Tensor, weight: Tensor) -> Tensor:
        """The direction of the mean of the unit vectors; (n,), (n,) to ()."""
        return torch.atan2((weight * torch.sin(target)).sum(), (weight * torch.cos(target)).sum())
