"""What a network of one or two features has fitted, beside the maximum-likelihood estimate: mean curves, lines of equal mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from mlnn.data import Dataset
from mlnn.estimating.basis import target_unit, way_back
from mlnn.estimating.catalogue import Family
from mlnn.estimating.classical import ClassicalEstimate
from mlnn.estimating.network import curvature
from mlnn.likelihoods import Likelihood

MOST_ROWS = 400
"""Rows that are drawn, evenly chosen: more would hide the curves."""
GRID = 161
"""Places at which a curve is drawn."""
SHARES = (0.1, 0.5, 0.9)
"""Probabilities of which a line is drawn, for labels; ½ is where the decision changes."""
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the means at the rows: the levels of which a line is drawn, for numbers."""
MARGIN = 0.06
"""Of the range of a feature, left free on either side."""
MIDDLE = 0.5
"""The quantile that has a name of its own."""
MOST_CLASSES = 6
"""Classes whose curves or boundaries can still be told apart."""


@dataclass(frozen=True)
class Line:
    """A curve of the picture: x, y (g,), NaN where it is not drawn; `label`: what it is one of several of."""

    x: np.ndarray
    y: np.ndarray
    label: str


@dataclass(frozen=True)
class Fit:
    """A picture of a fit, in the data's own units. `rows` (r, d) and `targets` (r,) are drawn; `classes`: 0 for numbers.

    `features`: one name, whose curves are means (of K labels K probabilities), or two, whose lines are those of equal mean (of
    labels, where the decision changes). `centre`: what of y they are, "mean", "median", … `start`: of the network before
    training, for one feature. `mle`: () where there is none.
    """

    features: tuple[str, ...]
    rows: np.ndarray
    targets: np.ndarray
    classes: int
    centre: str
    network: tuple[Line, ...]
    start: tuple[Line, ...]
    mle: tuple[Line, ...]


def fit_of(classical: ClassicalEstimate, ends: Sequence[np.ndarray | None], data: Dataset) -> Fit | None:
    """The picture of a network with coefficients (p, m) before and after training; None without them, for more features than
    two, or a mean that is not known."""
    names, family = classical.design.features, classical.family
    stood = [one for one in ends if one is not None and np.isfinite(one).all()]
    if len(stood) < 2 or len(names) not in (1, 2):
        return None
    classes = int(data.y.max()) + 1 if data.targets.finite else 0
    labelled = family.likelihood.baseline
    if classes > MOST_CLASSES or (len(names) == 2 and family.outputs > 1 and not labelled):
        return None
    rows = _rows(data)
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).round().astype(int))
    unit, centre = target_unit(data)
    lines = _curves if len(names) == 1 else _boundaries if labelled else _levels
    if classical.estimate is not None and classical.exists:
        stood.append(classical.estimate.params.reshape(stood[0].shape))
    try:
        mean = _means(family, unit, centre)
        start, network, *mle = [lines(_own(classical, params, data), mean, rows, bool(classes)) for params in stood]
    except Exception:  # a likelihood from elsewhere may have no mean, and say so in any way
        return None
    y = np.asarray(data.y, dtype=float) * unit + centre
    start = start if len(names) == 1 else ()
    drawn = _centre(family.likelihood, classes)
    return Fit(tuple(names), rows[chosen], y[chosen], classes, drawn, network, start, mle[0] if mle else ())


Means = Callable[[np.ndarray], np.ndarray]
"""From free raw outputs (g, m) to means in the target's own unit, (g, k)."""


def _means(family: Family, unit: float, centre: float) -> Means:
    def mean(eta: np.ndarray) -> np.ndarray:
        raw = curvature.raw(family.likelihood, torch.from_numpy(np.ascontiguousarray(eta)))
        # The raw output of a quantile loss is the quantile, and the mean of its density nothing that was asked for.
        found = raw if family.likelihood.kinked else family.likelihood.mean(raw)
        return np.asarray(found.detach().double().numpy()).reshape(len(eta), -1) * unit + centre

    return mean


def _centre(likelihood: Likelihood, classes: int) -> str:
    """What of y is drawn, in words."""
    if likelihood.kinked:
        return "median" if likelihood.quantile == MIDDLE else f"{likelihood.quantile:g} quantile"
    return "probability of being 1" if classes == 2 else "mean"


def _rows(data: Dataset) -> np.ndarray:
    """(n, d), the features as they came."""
    x = data.x.reshape(len(data.x), -1).numpy()
    made = data.standardised
    return x if made is None else x * np.asarray(made["scale"]) + np.asarray(made["mean"])


def _own(classical: ClassicalEstimate, params: np.ndarray, data: Dataset) -> np.ndarray:
    """(d + 1, m): the raw output that was trained on, as a function of the features as they came; the constant last."""
    design = classical.design
    way = way_back(data, classical.family.likelihood, design.width, params.shape[1], design.intercept)
    return params if way is None else np.asarray(way.back @ params)


def _box(rows: np.ndarray) -> np.ndarray:
    """(d, 2): from where to where each feature is drawn."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    wide = np.where(high > low, high - low, 1.0)
    return np.stack([low - MARGIN * wide, high + MARGIN * wide], axis=1)


def _grid(ends: np.ndarray) -> np.ndarray:
    return np.linspace(float(ends[0]), float(ends[1]), GRID)


def _curves(weights: np.ndarray, mean: Means, rows: np.ndarray, labels: bool) -> tuple[Line, ...]:
    """The mean against the one feature; of several labels the probability of each."""
    x = _grid(_box(rows)[0])
    found = mean(x[:, None] * weights[:-1] + weights[-1])
    several = found.shape[1] > 1
    return tuple(Line(x, y, f"class {k}" if several and labels else "") for k, y in enumerate(found.T))


def _levels(weights: np.ndarray, mean: Means, rows: np.ndarray, labels: bool) -> tuple[Line, ...]:
    """Straight lines on which the mean, which grows or falls with the one raw output, is the same."""
    eta = rows @ weights[:-1, 0] + weights[-1, 0]
    reach = np.linspace(eta.min() - 8, eta.max() + 8, 2001)
    means = mean(reach[:, None])[:, 0]
    order = np.argsort(means, kind="stable")
    levels = SHARES if labels else np.unique([float(f"{v:.2g}") for v in np.quantile(mean(eta[:, None]), QUANTILES)])
    lines = []
    for level in levels:
        at = float(np.interp(level, means[order], reach[order]))
        x, y = _straight(weights[:2, 0], weights[-1, 0] - at, _box(rows))
        lines.append(Line(x, y, f"{level:g}"))
    return tuple(lines)


def _boundaries(weights: np.ndarray, _mean: Means, rows: np.ndarray, _labels: bool) -> tuple[Line, ...]:
    """Where two of the labels are the likeliest ones, and equally likely: label 0 has raw output 0."""
    every, box = np.concatenate([np.zeros((3, 1)), weights], axis=1), _box(rows)
    lines = []
    for one, two in combinations(range(every.shape[1]), 2):
        off = every[:, one] - every[:, two]
        x, y = _straight(off[:2], off[2], box)
        outputs = np.stack([x, y, np.ones(len(x))], axis=1) @ every
        beaten = np.nan_to_num(outputs).max(axis=1) > outputs[:, one] + 1e-9 * (1 + np.abs(outputs[:, one]))
        lines.append(Line(x, np.where(beaten, np.nan, y), f"between {one} and {two}"))
    return tuple(lines)


def _straight(slope: np.ndarray, constant: float, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of slope · (x, y) + constant = 0, NaN outside the box (2, 2)."""
    steep = int(np.abs(slope[0]) * np.ptp(box[0]) > np.abs(slope[1]) * np.ptp(box[1]))
    along, across = (1, 0) if steep else (0, 1)
    walk = _grid(box[along])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = -(constant + slope[along] * walk) / slope[across]
    found = np.where((found >= box[across, 0]) & (found <= box[across, 1]), found, np.nan)
    return (found, walk) if steep else (walk, found)
