"""The zero-inflated Poisson likelihood: counts, and zeros from elsewhere among them."""

import torch
from torch import Tensor

from mlnn.likelihoods.likelihood import Likelihood, Question
from mlnn.likelihoods.poisson import Poisson
from mlnn.likelihoods.zeros import above_zero, inflated_questions, mixed, moderate, thinned, zeros_aside
from mlnn.signature import Counts, TwoOutputs


class ZeroInflatedPoisson(Likelihood):
    """P(y | f, g) = π 1{y=0} + (1−π) μ^y e^(−μ)/y!, μ = e^f, π = σ(g); y in {0, 1, …}. Raw output (n, 2): f, the log of the
    mean of the counts, and g, the logit of the share of zeros from elsewhere.

    Nothing is dropped. Source: Lambert (1992).
    """

    jointly = True
    outputs = ("log_mean", "logit_inflation")
    within = "poisson"

    def nll(self, output: TwoOutputs, target: Counts) -> Tensor:
        """−log(π + (1−π) e^(−μ)) of a zero, else −log(1−π) + μ − y f + log y!, nats per row; (n, 2), (n,) to (n,)."""
        log_mean, inflation = output.unbind(1)
        count = Poisson().nll(above_zero(target, log_mean), target)
        return mixed(inflation, target, -torch.exp(moderate(log_mean)), count)

    def mean(self, output: Tensor) -> Tensor:
        """E[y | f, g] = (1−π) e^f; (n, 2) to (n,)."""
        return torch.sigmoid(-output[:, 1]) * torch.exp(output[:, 0])

    def variance(self, output: Tensor) -> Tensor:
        """(1−π) (μ + μ²) − (1−π)² μ²; (n, 2) to (n,)."""
        mean = torch.exp(output[:, 0])
        return thinned(torch.sigmoid(-output[:, 1]), mean, mean)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One count per row; (n, 2) to (n,)."""
        kept = torch.bernoulli(torch.sigmoid(-output[:, 1]), generator=generator)
        return kept * torch.poisson(torch.exp(output[:, 0]), generator=generator)

    def least(self, target: Tensor) -> Tensor:
        """The smallest nll that any (f, g) comes near: y − y log y + log y! as π goes to 0, 0 for y = 0; (n,) to (n,)."""
        return Poisson().least(target)

    def level(self, target: Tensor, weight: Tensor) -> Tensor:
        """Near the maximum of rows that share raw outputs: half of the zeros taken to be from elsewhere; (n,), (n,) to (2,)."""
        log_mean, share = zeros_aside(target, weight)
        return torch.stack([log_mean, torch.logit(share / 2)])

    def questions(self, target: Tensor) -> list[Question]:
        """A count above 0 pins f and wants g down; a zero is likelier without end along f down, and along g up."""
        return inflated_questions(target)
