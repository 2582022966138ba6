"""Is this network a maximum-likelihood estimate? What of maximum likelihood survives beyond one node, and what does not.

One architecture, trained from several seeds. Its weights may be an estimate (a maximum, and the only one), its function may
be (a maximum whose weights are not identified), or neither is: training stopped early, the likelihood has no maximum, or
the seeds end at different heights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from mlnn.data import Dataset
from mlnn.errors import ConfigError
from mlnn.estimating.classical import MOST_DIGITS, Distance, Twin, classical_twin
from mlnn.estimating.network.fisher import Network, Standing, stand
from mlnn.estimating.network.last_layer import Head, last_layer
from mlnn.estimating.network.saddle import least_curvature
from mlnn.estimating.network.spread import Spread, spread_of
from mlnn.estimating.network.words import SAME, answer
from mlnn.world import own_world

RELATIVE = 1e-3  # of its terms: the gradient of a stationary point
ERRORS = 0.01  # the same in standard errors: 5e-5 nats to gain
SADDLE = 1e-6  # of the largest curvature: a negative one beyond it is no rounding


@dataclass(frozen=True)
class NetworkReport:
    """What `network_report` found, one entry per seed in all that is plural.

    hidden: there are hidden units, whose order or sign can be changed. met: every row is as likely as any raw output could
    make it. stationary: the gradient is as good as 0. curvatures: least over largest curvature of the nll at a stationary
    point, else NaN: it is not asked. twin: the classical estimate of a network that is linear in its input, else None.
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
    twin: Twin | None
    distances: tuple[Distance, ...]
    spread: Spread

    @property
    def flat(self) -> int:
        """Flat directions, of the seed that has fewest."""
        return min(one.spectrum.flat for one in self.standings)

    @property
    def separation(self) -> str:
        """The gravest separation of the last layer, or of the whole network where it is linear."""
        found = [head.separation for head in self.heads if head]
        found += [self.twin.estimate.separation] if self.twin and self.twin.estimate else []
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
        """Digits of the MLE that every coefficient of every seed has; without a classical twin, on which seeds agree.

        Of a coefficient that is small beside its standard error the digits are counted against that error.
        """
        if self.twin is not None and self.twin.exists:
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
        if self.twin is not None and self.twin.exists:
            arrived = all(one.lr <= SAME for one in self.distances)
            return ("as a function" if self.flat else "yes") if arrived else "no"
        gaps = self.spread
        if gaps.log_likelihood > SAME or gaps.relative > SAME:
            return "no"
        if len(self.standings) == 1 or any(map(math.isnan, self.curvatures)):
            return "undecided"
        return "as a function" if self.flat or self.hidden or gaps.weights > SAME else "yes"

    @property
    def answer(self) -> str:
        """Is this network an MLE? One honest paragraph."""
        return answer(self)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, the spectrum of every seed included."""
        seeds = [
            {name: value for name, value in vars(one).items() if name != "spectrum"}
            | {
                "stationary": still,
                "curvature": bend,
                "spectrum": one.spectrum.to_dict(),
                "head": head.to_dict() if head else None,
            }
            for one, still, bend, head in zip(self.standings, self.stationary, self.curvatures, self.heads, strict=True)
        ]
        return {
            "kind": self.kind,
            "digits": self.digits,
            "answer": self.answer,
            "likelihood": self.likelihood,
            "rows": self.rows,
            "parameters": self.standings[0].spectrum.parameters,
            "flat": self.flat,
            "stopped_short": self.stopped_short,
            "saddles": self.saddles,
            "separation": self.separation,
            "spread": self.spread.to_dict(),
            "twin": self.twin.to_dict(self.distances[0]) if self.twin else None,
            "seeds": seeds,
        }


@own_world(threads=None)
def network_report(modules: Sequence[nn.Module], likelihood: Any, data: Dataset) -> NetworkReport:
    """What there is to say of trained modules of one architecture, one per seed, under a likelihood on the training rows.

    Everything is asked in float64 and evaluation mode, with nothing dropped from the likelihood. Raises ConfigError for no
    module, modules of different sizes, or a likelihood with kinks or from outside the catalogue, DataError where a raw
    output is not finite.
    """
    if not modules:
        raise ConfigError("modules: give at least one trained module")
    networks = [Network(module, likelihood) for module in modules]
    if len({len(one.weights) for one in networks}) > 1:
        raise ConfigError(
            "modules: they have different numbers of parameters; give one architecture, one module per seed"
        )
    standings = tuple(stand(module, likelihood, data.x, data.y) for module in modules)
    met = tuple(data.targets.facts.extreme is None and one.unexplained <= ERRORS**2 / 2 for one in standings)
    # Where every row is met, a gradient's terms are rounding themselves, and say nothing of their sum.
    stationary = tuple(done or _is_stationary(one) for one, done in zip(standings, met, strict=True))
    twin = classical_twin(modules[0], likelihood, data)
    return NetworkReport(
        likelihood=type(likelihood).__name__,
        rows=len(data),
        hidden=sum(part.ndim > 1 for part in networks[0].parts.values()) > 1,
        standings=standings,
        met=met,
        stationary=stationary,
        curvatures=tuple(
            least_curvature(network, data.x, data.y) if still else math.nan
            for network, still in zip(networks, stationary, strict=True)
        ),
        heads=tuple(last_layer(module, likelihood, data) for module in modules),
        twin=twin,
        distances=tuple(twin.distance(module) for module in modules) if twin else (),
        spread=spread_of(networks, [one.log_likelihood for one in standings], data),
    )


def _is_stationary(one: Standing) -> bool:
    """Whether the gradient is as good as 0, in its own terms and, where it can be told, in standard errors."""
    push = one.gradient_in_errors
    return one.gradient_relative <= RELATIVE and (push <= ERRORS if one.spectrum.whole else True)
