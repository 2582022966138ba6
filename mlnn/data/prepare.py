"""How checked rows become a `Dataset`: held-out rows taken out, then features standardised on the training rows."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mlnn.arguments import number, truth
from mlnn.data.dataset import Dataset, check
from mlnn.data.formula import Terms
from mlnn.errors import ConfigError, DataError
from mlnn.seeding import generator
from mlnn.targets import OFFSET, TargetSpace
from mlnn.visible import shown

LONGEST = 1000  # characters of a feature's name


def prepare(
    name: str,
    x: Tensor,
    y: Tensor,
    targets: TargetSpace,
    *,
    standardize: bool,
    held_out: float,
    seed: int,
    features: Sequence[str] = (),
    notes: Mapping[str, object] | None = None,
    extras: Mapping[str, Tensor] | None = None,
    terms: Terms | None = None,
    dropped: int = 0,
) -> Dataset:
    """Build a `Dataset` from all rows, `x` (n, *shape), `y` (n, …), extras (n, …), in float64 and the target space's dtype.

    `held_out` is the share of rows kept from training, 0 ≤ held_out < 1. With `standardize`, mean and scale come from
    the training rows only. An extra `offset` is split with the rows; others forbid held-out ones. Raises DataError (rows counted
    in the order given) and ConfigError (a bad share).
    """
    # A name of a column is somebody's text: from here on it can be shown anywhere.
    whole = not x.is_floating_point()
    x, features = x.to(torch.float64), tuple(shown(feature, LONGEST) for feature in features)
    standardize = truth("standardize", standardize)
    # Checked before the split, so that a bad row is named by its place in the caller's data, and before the cast,
    # which would turn a label of 1.5 into class 1.
    check(name, x, y, targets, features)
    y = targets.cast(y)
    train, held = split_rows(len(x), held_out, seed)
    beside = {key: part for key, part in (extras or {}).items() if key == OFFSET} if len(held) else {}
    if extras and len(held) and len(beside) < len(extras):
        raise ConfigError(
            f"held_out: {held_out:g} of rows that have extras; held-out rows take none, so give them without"
        )
    x_train, x_held = x[train], x[held]
    standardised = None
    if standardize:
        mean, scale = moments(x_train, name)
        x_train, x_held = (x_train - mean) / scale, (x_held - mean) / scale
        standardised = {"mean": mean.flatten().tolist(), "scale": scale.flatten().tolist()}
    return Dataset(
        name=name,
        x=x_train,
        y=y[train],
        targets=targets,
        x_held_out=x_held,
        y_held_out=y[held],
        features=features,
        standardised=standardised,
        notes=dict(notes or {}),
        extras={key: part[train] for key, part in beside.items()} or dict(extras or {}),
        extras_held_out={key: part[held] for key, part in beside.items()},
        terms=terms,
        dropped=dropped,
        whole=whole and not standardize,
    )


def split_rows(rows: int, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    """Training and held-out row numbers. Chance decides the membership only: both keep the order of the source.

    (The order in which rows are trained on has a generator of its own, in training.)
    """
    held_out = number("held_out", held_out, 0, 1, "must be a share of the rows, 0 ≤ held_out < 1")
    count = round(rows * held_out)
    if count == rows:
        raise ConfigError(f"held_out: {held_out} leaves no training row of {rows}; make it smaller")
    order = torch.randperm(rows, generator=generator(seed, "data"))
    return order[count:].sort().values, order[:count].sort().values


def moments(x: Tensor, name: str = "x") -> tuple[Tensor, Tensor]:
    """Mean and scale (standard deviation, divisor n) of each feature of `x` (n, *shape), both of shape `shape`.

    A constant feature has scale 1 and becomes exactly 0. Raises DataError for a feature too large for float64 sums.
    """
    # numpy, because torch splits long sums over threads: the data must not depend on the number of threads.
    values = x.numpy()
    low, high = values.min(axis=0), values.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        # The mean of equal values can miss them by a rounding, which the division would then blow up.
        mean = np.where(low == high, low, values.mean(axis=0))
        away = values - mean
        widest = np.abs(away).max(axis=0)
        # Divided by the widest deviation first: squares of 1e-200 vanish, squares of 1e200 overflow.
        unit = np.where(widest > 0, widest, 1.0)
        scale = np.where(widest > 0, unit * np.sqrt(np.square(away / unit).mean(axis=0)), 1.0)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        column = np.argwhere(~(np.isfinite(mean) & np.isfinite(scale)))[0].tolist()
        raise DataError(f"{name}: feature {column} is too large to standardise in float64; rescale it first")
    return torch.from_numpy(np.asarray(mean)), torch.from_numpy(np.asarray(scale))
