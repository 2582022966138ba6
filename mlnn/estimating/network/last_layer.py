"""The last layer given its features: a proper generalised linear model, whose MLE exists or does not, inside any network."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import linalg
from torch import Tensor, nn

from mlnn.data import Dataset
from mlnn.estimating.classical import ClassicalEstimate, classical_estimate
from mlnn.estimating.distance import Distance, Finding
from mlnn.world import own_world

DEPENDENT = 1e-9
"""Share of a feature's length that the features before it leave over."""


@dataclass(frozen=True)
class Layer:
    """What there is to say of a last layer: its features, how many are independent, and the finding, None where not asked."""

    features: int
    independent: int
    finding: Finding | None

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        nothing: dict[str, object] = {"separation": None, "sentence": None}
        found = self.finding.to_dict() if self.finding else nothing
        return {"features": self.features, "independent": self.independent, **found}


@dataclass(frozen=True)
class Head:
    """The last layer given its features, a generalised linear model: does its MLE exist, and how far off is the layer?

    features: how many, `independent` of them not a combination of the others (dead units are); the layer is rewritten in
    these. classical: the MLE, or the statement that there is none; None where it cannot be asked. Its standard errors take
    the features as given, as if they had not been trained on the same rows.
    """

    features: int
    independent: int
    classical: ClassicalEstimate | None
    distance: Distance | None

    @property
    def separation(self) -> str | None:
        """ "none", "quasi" or "complete"; None where there is no answer."""
        return self.classical.estimate.separation if self.classical and self.classical.estimate else None

    @property
    def layer(self) -> Layer:
        """The same as told."""
        found = self.classical.finding(self.distance) if self.classical and self.distance else None
        return Layer(self.features, self.independent, found)


@own_world(threads=None)
def last_layer(module: nn.Module, likelihood: Any, data: Dataset) -> Head | None:
    """The last linear layer, whose output is the raw output, against its MLE given its features; None if there is none."""
    asked = _features(module, data.x)
    if asked is None:
        return None
    layer, features = asked
    kept, layer = _independent(layer, features)
    if not len(kept):
        return Head(features.shape[1], 0, None, None)
    empty = torch.empty(0, len(kept), dtype=torch.float64)
    rows = Dataset("features", features[:, kept], data.y, data.targets, empty, data.y[:0])
    found = classical_estimate(layer, likelihood, rows, told=False)  # its rows are features
    return Head(features.shape[1], len(kept), found, found.distance(layer) if found else None)


def _features(module: nn.Module, x: Tensor) -> tuple[nn.Linear, Tensor] | None:
    """(the linear layer that made the raw output, its input (n, d)), on a float64 copy in evaluation mode."""
    copied, calls = copy.deepcopy(module).to("cpu", torch.float64).eval(), []
    for part in copied.modules():
        if isinstance(part, nn.Linear):
            part.register_forward_hook(lambda layer, given, made: calls.append((layer, given[0], made)))
    with torch.no_grad():
        output = copied(x.double())
    for layer, given, made in reversed(calls):
        if given.ndim == 2 and torch.equal(made.reshape(len(x), -1), output.reshape(len(x), -1)):
            return layer, given.detach()
    return None


def _independent(layer: nn.Linear, features: Tensor) -> tuple[list[int], nn.Linear]:
    """Features that are no combination of the others, in order, and the layer as a function of these alone."""
    constant = torch.ones(len(features), int(layer.bias is not None), dtype=torch.float64)
    centred = features - features.mean(0) if layer.bias is not None else features
    length, size = centred.norm(dim=0), features.norm(dim=0)
    alive = torch.nonzero(length > DEPENDENT * torch.where(size > 0, size, 1.0))[:, 0]
    if not len(alive):
        return [], layer
    upper, order = linalg.qr((centred / length)[:, alive].numpy(), mode="r", pivoting=True)
    diagonal = np.abs(np.diag(upper))
    kept = sorted(alive[order[: len(diagonal)][diagonal > DEPENDENT]].tolist())
    base = torch.cat([features[:, kept], constant], 1)
    through = torch.linalg.lstsq(base, features, driver="gelsd").solution @ layer.weight.T
    small = nn.Linear(len(kept), layer.out_features, bias=layer.bias is not None, dtype=torch.float64)
    with torch.no_grad():
        small.weight.copy_(through[: len(kept)].T)
        if layer.bias is not None:
            small.bias.copy_(layer.bias + through[-1])
    return kept, small
