"""Data sets for the tests of estimation: classical ones, and rows drawn from a likelihood of the catalogue."""

from typing import Any

import numpy as np
import statsmodels.api as sm
import torch
from torch import Tensor

from mlnn.data import diabetes
from mlnn.estimating.catalogue import family_of
from mlnn.seeding import generator

ROWS = np.random.default_rng(0)
X = ROWS.standard_normal((200, 3))
Y = (ROWS.random(200) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
COUNTS = (np.arange(200) % 5).astype(float)


def literature(name: str) -> tuple[Any, Any]:
    """(exog, endog) of a data set that ships with statsmodels, pandas."""
    raw = getattr(sm.datasets, name).load_pandas()
    return raw.exog, raw.endog


def with_constant(x: Any) -> np.ndarray:
    """The regressors with the constant last, as the estimation orders them."""
    return np.column_stack([np.asarray(x, dtype=float), np.ones(len(x))])


def progression() -> tuple[np.ndarray, np.ndarray]:
    """Diabetes progression, 442 rows, in its own units."""
    data = diabetes(standardize=False, standardize_target=False, held_out=0.0)
    return data.x.numpy(), data.y.numpy()


def furthest(found: Any, reference: Any) -> float:
    """Largest relative difference; fails on NaN and on shapes that do not match."""
    found, reference = np.asarray(found, dtype=float), np.asarray(reference, dtype=float)
    assert found.shape == reference.shape
    assert np.isfinite(found).all()
    assert np.isfinite(reference).all()
    return float((np.abs(found - reference) / np.abs(reference)).max())


def synthetic(name: str) -> tuple[Tensor, Tensor]:
    """200 rows drawn from a likelihood of the catalogue with a linear raw output."""
    family = family_of(name)
    m = {"classes": 3, "ordinal": 2}.get(family.space.kind) or family.outputs
    eta = torch.from_numpy(X) @ (0.4 * torch.ones(3, m, dtype=torch.float64).tril()) + 0.3
    y = family.likelihood.sample(eta if m > 1 else eta[:, 0], generator(0, name))
    return torch.from_numpy(X), y.clamp(1e-6, 1 - 1e-6) if name == "beta" else y
