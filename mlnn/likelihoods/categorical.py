"""The categorical likelihood."""

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.signature import Classes


class Categorical(Likelihood):
    """P(y | z) = e^(z_y) / Σ_k e^(z_k); y in {0 … K−1}. Raw output z (n, K): logits, free up to a constant per row.

    Link: softmax. Nothing is dropped: exp(−nll) is the probability of the class. Source: Bridle (1990).
    """

    canonical = baseline = firth = True

    def nll(self, output: Tensor, target: Classes) -> Tensor:
        """log Σ_k e^(z_k) − z_y, nats per row; (n, K), (n,) int64 to (n,). The largest logit is taken out first."""
        return torch.logsumexp(output, dim=1) - output.gather(1, target[:, None]).squeeze(1)

    def mean(self, output: Tensor) -> Tensor:
        """The probability of every class, softmax(z); (n, K) to (n, K)."""
        return torch.softmax(output, dim=1)

    @property
    def counterpart(self) -> Counterpart:
        """A multinomial logit."""
        return Counterpart(own="api.MNLogit")

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One class per row, int64; (n, K) to (n,)."""
        return torch.multinomial(self.mean(output), 1, generator=generator).squeeze(1)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any z comes near, 0; (n,) to (n,) float64."""
        return torch.zeros(target.shape, dtype=torch.float64)
