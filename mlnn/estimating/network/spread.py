"""How far are networks of one architecture apart, trained from different seeds: in height, in weights, in predictions?"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from mlnn.data import Dataset
from mlnn.estimating.network import curvature
from mlnn.estimating.network.fisher import Network


@dataclass(frozen=True)
class Spread:
    """Differences between seeds, all NaN for a single one.

    log_likelihood: largest minus smallest, nats. The others are root mean squares over all pairs of seeds. weights: over the
    root mean square length of the weight vectors, so √2 for unrelated ones. predictions, held_out: of the mean of the
    target, over the rows, in its own units; held_out is NaN without such rows. own: the standard deviation of the
    predictions from row to row, a yardstick for both.
    """

    log_likelihood: float
    weights: float
    predictions: float
    held_out: float
    own: float

    @property
    def relative(self) -> float:
        """`predictions` over `own`."""
        return _share(self.predictions, self.own)

    @property
    def relative_held_out(self) -> float:
        """`held_out` over `own`."""
        return _share(self.held_out, self.own)

    def to_dict(self) -> dict[str, float]:
        """As plain data."""
        return asdict(self) | {"relative": self.relative, "relative_held_out": self.relative_held_out}


def spread_of(networks: Sequence[Network], heights: Sequence[float], data: Dataset) -> Spread:
    """The spread over networks with log-likelihoods `heights`, one per seed."""
    if len(networks) == 1:
        return Spread(*[math.nan] * 5)
    weights = [one.weights for one in networks]
    length = torch.stack(weights).square().mean().sqrt()
    on_rows = [_predict(one, data.x) for one in networks]
    held = [_predict(one, data.x_held_out) for one in networks] if len(data.x_held_out) else []
    return Spread(
        log_likelihood=max(heights) - min(heights),
        weights=_apart(weights) / float(length),
        predictions=_apart(on_rows),
        held_out=_apart(held) if held else math.nan,
        own=float(torch.stack(on_rows).std(dim=1, correction=0).mean()),
    )


def _predict(network: Network, x: Tensor) -> Tensor:
    """The mean of the target for rows x; (n,), or (n, K) probabilities."""
    with torch.no_grad():
        eta = network.free(x.double())
        return network.likelihood.mean(curvature.raw(network.likelihood, eta))


def _apart(points: Sequence[Tensor]) -> float:
    """Root mean square difference over all pairs and entries."""
    return math.sqrt(np.mean([float((a - b).square().mean()) for a, b in combinations(points, 2)]))


def _share(gap: float, own: float) -> float:
    return gap / own if own > 0 or math.isnan(own) else (0.0 if gap == 0 else math.inf)
