"""The cumulative likelihood of labels in an order: proportional odds, and the same with other links."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.errors import ConfigError, unknown
from mlnn.likelihoods.bernoulli import log_sigmoid
from mlnn.likelihoods.likelihood import Likelihood, Question
from mlnn.likelihoods.probit import log_ndtr
from mlnn.likelihoods.zeros import log_one_minus_exp, moderate
from mlnn.signature import Ordered

NARROW = 1e-6
"""A step below which a difference of two normal distribution functions is the density times the step, to 1e-10."""
HALF_LOG_TWO_PI = 0.9189385332046727


@dataclass(frozen=True)
class Link:
    """A distribution function F in logarithms: of P(y ≤ k), of P(y > k), of a step from `low` of length e^`log_step`; F⁻¹."""

    below: Callable[[Tensor], Tensor]
    above: Callable[[Tensor], Tensor]
    between: Callable[[Tensor, Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]


def _logit_step(low: Tensor, log_step: Tensor) -> Tensor:
    """log(σ(u) − σ(l)) = log σ(u) + log σ(−l) + log(1 − e^(l−u)): nothing cancels."""
    return log_sigmoid(low + torch.exp(log_step)) + log_sigmoid(-low) + log_one_minus_exp(log_step)


def _probit_step(low: Tensor, log_step: Tensor) -> Tensor:
    """log(Φ(u) − Φ(l)), on the side of 0 where both are small."""
    step = torch.exp(log_step)
    high = low + step
    turned = low + high > 0
    small, large = torch.where(turned, -high, low), torch.where(turned, -low, high)
    narrow = step < NARROW
    gap = torch.where(narrow, -1.0, log_ndtr(small) - log_ndtr(large))
    wide = log_ndtr(large) + torch.log(-torch.expm1(gap.clamp(max=-torch.finfo(gap.dtype).tiny)))
    return torch.where(narrow, log_step - ((low + high) / 2) ** 2 / 2 - HALF_LOG_TWO_PI, wide)


def _cloglog_step(low: Tensor, log_step: Tensor) -> Tensor:
    """log(e^(−e^l) − e^(−e^u)) = −e^l + log(1 − e^(−(e^u − e^l)))."""
    step = torch.exp(log_step)
    narrow, wide = log_step + step / 2, step + torch.log(-torch.expm1(-step.clamp(min=NARROW)))
    return -torch.exp(low) + log_one_minus_exp(low + torch.where(step < NARROW, narrow, wide))


LINKS = {
    "logit": Link(log_sigmoid, lambda c: log_sigmoid(-c), _logit_step, torch.logit),
    "probit": Link(log_ndtr, lambda c: log_ndtr(-c), _probit_step, torch.special.ndtri),
    "cloglog": Link(log_one_minus_exp, lambda c: -torch.exp(c), _cloglog_step, lambda p: torch.log(-torch.log1p(-p))),
}


class Ordinal(Likelihood):
    """P(y ≤ k) = F(ζ_k − η), ζ_0 < … < ζ_(K−2); y in {0 < … < K−1}. F: `link`, "logit" (proportional odds), "probit", "cloglog".

    Raw output (n, K−1), any real numbers: η − ζ_0, which is logit P(y > 0), and the logarithms of the steps ζ_k − ζ_(k−1), so
    that thresholds are in order whatever a network answers. In a linear model the steps have a constant alone: one slope per
    feature, and thresholds, with the sign of MASS's polr and statsmodels' OrderedModel. Nothing is dropped. Source: McCullagh
    (1980). Raises ConfigError for another link.
    """

    jointly, constant_after = True, 1

    def __init__(self, link: str = "logit") -> None:
        if link not in LINKS:
            raise ConfigError("objective.link: " + unknown("link", str(link), LINKS))
        self.link = link

    def nll(self, output: Tensor, target: Ordered) -> Tensor:
        """−log(F(ζ_y − η) − F(ζ_(y−1) − η)), nats per row; (n, K−1) (of K = 2 (n,)), (n,) int64 to (n,)."""
        (places, steps), link = self._places(output), LINKS[self.link]
        last = places.shape[1]
        high = places.gather(1, target.clamp(max=last - 1)[:, None])[:, 0]
        low = places.gather(1, (target - 1).clamp(min=0)[:, None])[:, 0]
        step = steps.gather(1, target.clamp(1, max(last - 1, 1))[:, None] if last > 1 else 0 * target[:, None])[:, 0]
        inside = (target > 0) & (target < last)
        between = link.between(torch.where(inside, low, 0.0), torch.where(inside, step, 0.0))
        ends = torch.where(
            target == 0, link.below(torch.where(target == 0, high, 0.0)), link.above(torch.where(target > 0, low, 0.0))
        )
        return -torch.where(inside, between, ends)

    def _places(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """(ζ_k − η (n, K−1), raw outputs (n, K−1))."""
        raw = output[:, None] if output.ndim == 1 else output
        steps = torch.cat([-raw[:, :1], torch.exp(moderate(raw[:, 1:]))], dim=1)
        return steps.cumsum(1), raw

    def mean(self, output: Tensor) -> Tensor:
        """The probabilities of the classes; (n, K−1) to (n, K)."""
        last = (output.shape[1] if output.ndim > 1 else 1) + 1
        label = torch.arange(last)
        rows = output.repeat_interleave(last, 0)
        return torch.exp(-self.nll(rows, label.repeat(len(output)))).reshape(-1, last)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One label per row; (n, K−1) to (n,) int64."""
        return torch.multinomial(self.mean(output), 1, generator=generator).squeeze(1)

    def least(self, target: Tensor) -> Tensor:
        """0, which is come near as a step grows; (n,) to (n,)."""
        return torch.zeros(target.shape, dtype=torch.float64)

    def level(self, target: Tensor, weight: Tensor) -> Tensor:
        """The raw outputs of rows that share them: thresholds at the shares; (n,), (n,) to (K−1,)."""
        share = torch.bincount(target, weights=weight).cumsum(0)
        cuts = LINKS[self.link].inverse((share / share[-1])[:-1])
        return torch.cat([-cuts[:1], torch.log(cuts.diff())])

    def cuts(self, constants: Tensor) -> Tensor:
        """ζ of raw outputs (K−1,) at η = 0; (K−1,)."""
        return self._places(constants[None])[0][0]

    def questions(self, target: Tensor) -> list[Question]:
        """Whether y is above its lower threshold, and not above its upper one, each threshold a column of its own."""
        last = int(target.max())
        marks = torch.eye(last, dtype=torch.float64)
        rows = torch.arange(len(target))
        up, down = rows[target > 0], rows[target < last]
        side = torch.cat([torch.ones(len(up)), torch.zeros(len(down))]).double()
        beside = -torch.cat([marks[target[up] - 1], marks[target[down]]])
        return [Question(0, "binary", side, torch.cat([up, down]), beside)]
