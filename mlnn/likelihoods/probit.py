"""The Bernoulli likelihood with the probit link."""

import math

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.signature import Binary


def log_ndtr(z: Tensor) -> Tensor:
    """log Φ(z) with a gradient that lasts; (n,) to (n,).

    `torch.special.log_ndtr` takes its gradient as e^(−z²/2 − log Φ(z)), which cancels: 4 % off at z = −1000 in float32.
    """
    left, right = -z.clamp(max=0) / math.sqrt(2), z.clamp(min=0) / math.sqrt(2)
    below = torch.log(0.5 * torch.special.erfcx(left)) - left**2
    return torch.where(z < 0, below, torch.log1p(-0.5 * torch.erfc(right)))


class BernoulliProbit(Likelihood):
    """P(y | z) = Φ(z)^y Φ(−z)^(1−y), Φ the standard normal distribution function; y in {0, 1} (soft targets accepted).

    Raw output z: the probit. Nothing is dropped: exp(−nll) is the probability of the target. Source: Bliss (1934).
    """

    def nll(self, output: Tensor, target: Binary) -> Tensor:
        """−y log Φ(z) − (1−y) log Φ(−z), nats per row; (n,), (n,) to (n,). No overflow below |z| = 1e19."""
        found: Tensor = -(target * log_ndtr(output) + (1 - target) * log_ndtr(-output))
        return found

    def mean(self, output: Tensor) -> Tensor:
        """E[y | z] = Φ(z); (n,) to (n,)."""
        probability: Tensor = torch.special.ndtr(output)
        return probability

    @property
    def counterpart(self) -> Counterpart:
        """A probit."""
        return Counterpart("Binomial", "Probit", own="api.Probit")

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row, in the dtype of the output; (n,) to (n,)."""
        return torch.bernoulli(self.mean(output), generator=generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any z reaches, the entropy of the target, 0 for hard ones; (n,) to (n,)."""
        return -(torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target))

    def information(self, output: Tensor) -> Tensor:
        """φ(z)²/ΦΦ̄; (n,) to (n,). McCullagh & Nelder (1989), ch. 2."""
        return torch.exp(-(output**2) - math.log(2 * math.pi) - log_ndtr(output) - log_ndtr(-output))
