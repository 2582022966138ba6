"""The Bernoulli likelihood with the probit link."""

import torch
from torch import Tensor

from mlnn.objectives.signature import Binary


class BernoulliProbit:
    """P(y | z) = Φ(z)^y Φ(−z)^(1−y), Φ the standard normal distribution function; y in {0, 1} (soft targets accepted).

    Raw output z: the probit. Nothing is dropped: exp(−nll) is the probability of the target. Source: Bliss (1934).
    """

    def nll(self, output: Tensor, target: Binary) -> Tensor:
        """−y log Φ(z) − (1−y) log Φ(−z), nats per row; (n,), (n,) to (n,). Stable for |z| up to about 1e150 in float64."""
        log_p, log_q = torch.special.log_ndtr(output), torch.special.log_ndtr(-output)
        return -(target * log_p + (1 - target) * log_q)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | z] = Φ(z); (n,) to (n,)."""
        return torch.special.ndtr(output)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row, in the dtype of the output; (n,) to (n,)."""
        return torch.bernoulli(self.mean(output), generator=generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any z reaches, the entropy of the target, 0 for hard ones; (n,) to (n,)."""
        return -(torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target))
