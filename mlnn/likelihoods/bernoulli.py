"""The Bernoulli likelihood, and its negative logarithm in the forms that people write.

P(y | z) = p^y (1−p)^(1−y), p = σ(z) = 1/(1+e^(−z)); support y in {0, 1} (soft targets in [0, 1] are accepted by `nll`:
the cross-entropy, whose minimum is then H(y), not 0). The raw output z is the logit. The forms below are one formula on
paper; which one is written decides whether training survives.
"""

import torch
from torch import Tensor

from mlnn.likelihoods.counterpart import Counterpart
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.signature import Binary


def log_sigmoid(z: Tensor) -> Tensor:
    """log σ(z) = min(z, 0) − log(1 + e^(−|z|)), without overflow; (n,) to (n,)."""
    return torch.minimum(z, torch.zeros_like(z)) - torch.log1p(torch.exp(-z.abs()))


class Bernoulli(Likelihood):
    """Bernoulli likelihood with the logit link; nothing is dropped: exp(−nll) is the probability of the target."""

    canonical = firth = True

    def nll(self, output: Tensor, target: Binary) -> Tensor:
        """−log P(y | z) = −y log σ(z) − (1−y) log σ(−z), nats per row; (n,), (n,) to (n,)."""
        return -(target * log_sigmoid(output) + (1 - target) * log_sigmoid(-output))

    def mean(self, output: Tensor) -> Tensor:
        """E[y | z] = σ(z); (n,) to (n,)."""
        return torch.sigmoid(output)

    @property
    def counterpart(self) -> Counterpart:
        """A logit."""
        return Counterpart("Binomial", "Logit", own="api.Logit")

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of y per row, in the dtype of the output; (n,) to (n,)."""
        return torch.bernoulli(self.mean(output), generator=generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any z reaches, the entropy −y log y − (1−y) log(1−y), 0 for hard targets; (n,) to (n,)."""
        return -(torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target))

    def derivatives(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """(nll, σ(z) − y, σ(z) σ(−z)) from one exponential, e^(−|z|); (n,), (n,) to (n,) each. None of a subclass's own nll."""
        if type(self).nll is not Bernoulli.nll:
            return None
        tail = torch.exp(-output.abs())
        near = 1 / (1 + tail)
        far = tail * near
        up = output >= 0
        nll = (
            torch.relu(output) - target * output + torch.log1p(tail)
        )  # a sure and right row: the first two cancel exactly
        return nll, torch.where(up, near, far) - target, near * far

    def likelihood(self, output: Tensor, target: Binary) -> Tensor:
        """The likelihood of a data set, ∏ p^y (1−p)^(1−y): the product itself, a scalar.

        Underflows to 0 for more than about a thousand rows in float64; that is why its logarithm is used.
        """
        p = torch.sigmoid(output)
        return torch.prod(p**target * (1 - p) ** (1 - target))


def bernoulli_nll_log1p(output: Tensor, target: Binary) -> Tensor:
    """max(z, 0) − y z + log1p(e^(−|z|)), nats per row; (n,), (n,) to (n,). Stable for every z.

    `maximum` and not `clamp`: at z = 0 exactly, `clamp` passes the gradient 1 where the two sides' mean, ½, is right.
    """
    return torch.maximum(output, torch.zeros_like(output)) - target * output + torch.log1p(torch.exp(-output.abs()))


def bernoulli_nll_naive(output: Tensor, target: Binary) -> Tensor:
    """−[y log p + (1−y) log(1−p)] with p = σ(z), as the textbook writes it, nats per row; (n,), (n,) to (n,).

    NaN as soon as p rounds to y: a correct and confident row ends the training. Kept to show just that.
    """
    p = torch.sigmoid(output)
    return -(target * torch.log(p) + (1 - target) * torch.log(1 - p))


def bernoulli_nll_clipped(output: Tensor, target: Binary, epsilon: float = 1e-7) -> Tensor:
    """The textbook formula with p held in [epsilon, 1−epsilon], nats per row; (n,), (n,) to (n,).

    Never NaN in float32, but its gradient is 0 outside |z| < log(1/epsilon) (16.1 for 1e-7): a confidently wrong row
    stops teaching. In bfloat16 and float16 1−1e-7 rounds to 1 and the clip does nothing.
    """
    p = torch.sigmoid(output).clamp(epsilon, 1 - epsilon)
    return -(target * torch.log(p) + (1 - target) * torch.log(1 - p))
