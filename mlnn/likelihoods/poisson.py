"""The Poisson likelihood."""

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.signature import Counts


class Poisson(Likelihood):
    """P(y | f) = μ^y e^(−μ) / y!, μ = e^f; y in {0, 1, …}. Raw output f: the log of the mean (log link).

    Nothing is dropped: log y! is kept, so that exp(−nll) is the probability of the count. Source: Poisson (1837).
    """

    canonical = firth = True

    def nll(self, output: Tensor, target: Counts) -> Tensor:
        """e^f − y f + log y!, nats per row; (n,), (n,) to (n,). Overflows with e^f: f > 88 in float32, 709 in float64."""
        return torch.exp(output) - target * output + torch.lgamma(target + 1)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f] = e^f; (n,) to (n,)."""
        return torch.exp(output)

    def variance(self, output: Tensor) -> Tensor:
        """μ; (n,) to (n,)."""
        return torch.exp(output)

    @property
    def counterpart(self) -> Counterpart:
        """A Poisson regression."""
        return Counterpart("Poisson", "Log", own="api.Poisson")

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One count per row, in the dtype of the output; (n,) to (n,)."""
        return torch.poisson(self.mean(output), generator=generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any f reaches or comes near, y − y log y + log y!, 0 for y = 0; (n,) to (n,)."""
        return target - torch.xlogy(target, target) + torch.lgamma(target + 1)

    def above(self, output: Tensor, target: Tensor) -> Tensor:
        """y (e^u − 1 − u) with u = f − log y: of large counts nll and least are rounding; (n,), (n,) to (n,)."""
        u = output - torch.log(torch.where(target > 0, target, 1.0))
        return torch.where(target > 0, target * (torch.expm1(u) - u), torch.exp(output))
