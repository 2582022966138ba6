"""What was found of a network trained from several seeds, and what follows from it: is it a maximum-likelihood estimate?"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlnn.estimating.classical import MOST_DIGITS, ClassicalEstimate
from mlnn.estimating.distance import Distance
from mlnn.estimating.network.fisher import Standing
from mlnn.estimating.network.last_layer import Head
from mlnn.estimating.network.spread import Spread

SAME = 1e-2
"""Seeds agree: nats of log-likelihood, share of the weights' size, share of the predictions' own spread."""
SADDLE = 1e-6
"""Of the largest curvature: a negative one beyond it is no rounding."""


@dataclass(frozen=True)
class NetworkReport:
    """What `network_report` found, one entry per seed in all that is plural.

    hidden: there are hidden units, whose order or sign can be changed. met: every row is as likely as any raw output could
    make it. stationary: the gradient is as good as 0. curvatures: least over largest curvature of the nll at a stationary
    point, else NaN: it is not asked. classical: the classical estimate of a network that is linear in its input, else None.
    `kind`: "yes" (the weights are the MLE), "as a function" (the predictions are, the weights are not unique), "no", or
    "undecided".
    """

    likelihood: str
    rows: int
    hidden: bool
    standings: tuple[Standing, ...]
    met: tuple[bool, ...]
    stationary: tuple[bool, ...]
    curvatures: tuple[float, ...]
    heads: tuple[Head | None, ...]
    classical: ClassicalEstimate | None
    distances: tuple[Distance, ...]
    spread: Spread

    @property
    def exact(self) -> bool:
        """Whether the maximum is known: that of a linear model which has one."""
        return self.classical is not None and self.classical.exists

    @property
    def flat(self) -> int:
        """Flat directions, of the seed that has fewest."""
        return min(one.spectrum.flat for one in self.standings)

    @property
    def separation(self) -> str:
        """The gravest separation of the last layer, or of the whole network where it is linear."""
        found = [head.separation for head in self.heads if head]
        found += [self.classical.estimate.separation] if self.classical and self.classical.estimate else []
        return next((kind for kind in ("complete", "quasi") if kind in found), "none")

    @property
    def stopped_short(self) -> int:
        """Seeds that are not at a stationary point."""
        return sum(not still for still in self.stationary)

    @property
    def saddles(self) -> int:
        """Seeds at a stationary point that is no maximum."""
        return sum(one < -SADDLE for one in self.curvatures)

    @property
    def digits(self) -> float:
        """Digits of the MLE that every coefficient of every seed has; without a classical estimate, on which seeds agree.

        Of a coefficient that is small beside its standard error the digits are counted against that error.
        """
        if self.exact:
            with np.errstate(divide="ignore"):
                errors = [np.clip(-np.log10(np.abs(one.errors)), 0, MOST_DIGITS) for one in self.distances]
            each = [np.fmax(one.digits, of) for one, of in zip(self.distances, errors, strict=True)]
            return float(np.min(each))
        gap = self.spread.weights
        return math.nan if math.isnan(gap) else min(MOST_DIGITS, max(0.0, -math.log10(max(gap, 1e-16))))

    @cached_property
    def kind(self) -> str:
        """See the class."""
        if self.separation != "none" or self.stopped_short or self.saddles:
            return "no"
        return self._beside_the_maximum() if self.exact else self._by_the_seeds()

    def _beside_the_maximum(self) -> str:
        """Of stationary points where the maximum is known."""
        if any(not one.lr <= SAME for one in self.distances):
            return "no"
        return "as a function" if self.flat else "yes"

    def _by_the_seeds(self) -> str:
        """Of stationary points where seeds that agree are all the evidence there is."""
        gaps = self.spread
        if gaps.log_likelihood > SAME or gaps.relative > SAME:
            return "no"
        if len(self.standings) == 1 or any(map(math.isnan, self.curvatures)):
            return "undecided"
        return "as a function" if self.flat or self.hidden or gaps.weights > SAME else "yes"
