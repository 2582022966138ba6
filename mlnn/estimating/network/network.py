"""Is this network a maximum-likelihood estimate? What of maximum likelihood survives beyond one node, and what does not.

One architecture, trained from several seeds. Its weights may be an estimate (a maximum, and the only one), its function may
be (a maximum whose weights are not identified), or neither is: training stopped early, the likelihood has no maximum, or
the seeds end at different heights.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.classical import classical_estimate
from mlnn.estimating.network.fisher import Network, Standing, stand
from mlnn.estimating.network.last_layer import last_layer
from mlnn.estimating.network.report import NetworkReport
from mlnn.estimating.network.saddle import least_curvature
from mlnn.estimating.network.spread import spread_of
from mlnn.targets import OFFSET
from mlnn.world import own_world

STATIONARY = 1e-3
"""Of its terms: the gradient of a stationary point."""
STATIONARY_ERRORS = 0.01
"""The same in standard errors: 5e-5 nats to gain."""


@own_world(threads=None)
def network_report(modules: Sequence[nn.Module], likelihood: Any, data: Dataset) -> NetworkReport:
    """What there is to say of trained modules of one architecture, one per seed, under a likelihood on the training rows.

    Everything is asked in float64 and evaluation mode, with nothing dropped from the likelihood. Raises ConfigError for no
    module, modules of different sizes, or a likelihood with kinks or from outside the catalogue, DataError where a raw
    output is not finite.
    """
    if OFFSET in data.extras:
        raise DataError(
            f"{data.name}: its rows have an offset, with which trained networks are not judged; take it out"
        )
    networks = _networks(modules, likelihood)
    standings = tuple(stand(module, likelihood, data.x, data.y) for module in modules)
    met, stationary = _arrived(standings, data)
    classical = classical_estimate(modules[0], likelihood, data)
    return NetworkReport(
        likelihood=type(likelihood).__name__,
        rows=len(data),
        hidden=sum(part.ndim > 1 for part in networks[0].model.parts.values()) > 1,
        standings=standings,
        met=met,
        stationary=stationary,
        curvatures=tuple(_least(one, data, still) for one, still in zip(networks, stationary, strict=True)),
        heads=tuple(last_layer(module, likelihood, data) for module in modules),
        classical=classical,
        distances=tuple(classical.distance(module) for module in modules) if classical else (),
        spread=spread_of(networks, [one.log_likelihood for one in standings], data),
    )


def _networks(modules: Sequence[nn.Module], likelihood: Any) -> list[Network]:
    """The modules as functions of their weights, once it is certain that they can be compared."""
    if not modules:
        raise ConfigError("modules: give at least one trained module")
    networks = [Network(module, likelihood) for module in modules]
    if len({len(one.weights) for one in networks}) > 1:
        raise ConfigError(
            "modules: they have different numbers of parameters; give one architecture, one module per seed"
        )
    return networks


def _arrived(standings: Sequence[Standing], data: Dataset) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """(which meet every row, which are at a stationary point)."""
    met = tuple(data.targets.facts.extreme is None and _is_met(one) for one in standings)
    # Where every row is met, a gradient's terms are rounding themselves, and say nothing of their sum.
    return met, tuple(done or _is_stationary(one) for one, done in zip(standings, met, strict=True))


def _least(network: Network, data: Dataset, stationary: bool) -> float:
    """The least curvature; NaN away from a stationary point, where it says nothing."""
    return least_curvature(network, data.x, data.y) if stationary else math.nan


def _is_met(one: Standing) -> bool:
    """Whether no raw outputs could raise the likelihood by more than a stationary point's gradient still may."""
    return one.unexplained <= STATIONARY_ERRORS**2 / 2


def _is_stationary(one: Standing) -> bool:
    """Whether the gradient is as good as 0, in its own terms and, where it can be told, in standard errors."""
    in_errors = one.gradient_in_errors <= STATIONARY_ERRORS or not one.spectrum.whole
    return one.gradient_relative <= STATIONARY and in_errors
