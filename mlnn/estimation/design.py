"""The data at the door: checked, never copied whole, and handed out in chunks of rows with the constant last."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError
from mlnn.estimation.catalogue import Family
from mlnn.objectives import Beta
from mlnn.targets import TargetSpace

CHUNK = 2**18  # numbers in a chunk: small enough for the cache, large enough that a call's overhead does not count


@dataclass(frozen=True)
class Design:
    """Rows `x` (n, d), a view of the caller's, targets `y` (n,), `weights` (n,) or None, and whether a constant is added.

    `shift` (d,) is taken off every chunk where there is a constant: the same model, with coefficients of the features as
    they were, far better conditioned (Longley, columns of one length: 43,275 becomes 111).
    """

    x: Tensor
    y: Tensor
    weights: Tensor | None
    intercept: bool
    shift: Tensor
    features: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """One per coefficient, the constant last."""
        return (*self.features, "const") if self.intercept else self.features

    @property
    def width(self) -> int:
        """Coefficients per raw output, p."""
        return len(self.names)

    @property
    def nobs(self) -> float:
        """Observations: rows, or the sum of the weights."""
        return float(len(self.y)) if self.weights is None else float(self.weights.sum())

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """(rows, their regressors (b, p) float64, shifted, the constant last). One buffer: use a chunk before the next."""
        size = max(256, min(2**16, CHUNK // max(self.width, 1)))
        buffer = torch.ones(min(size, len(self.y)), self.width, dtype=torch.float64)
        features = len(self.features)
        for start in range(0, len(self.y), size):
            rows = slice(start, min(start + size, len(self.y)))
            part = buffer[: rows.stop - start]
            if self.intercept:
                torch.sub(self.x[rows].double(), self.shift, out=part[:, :features])
            else:
                part.copy_(self.x[rows])
            yield rows, part

    def weigh(self, rows: slice, values: Tensor) -> Tensor:
        """`values` (b, …) of some rows times their weights."""
        if self.weights is None:
            return values
        return values * self.weights[rows].reshape(-1, *[1] * (values.ndim - 1))

    def every(self, step: int) -> "Design":
        """Every `step`-th row, as views."""
        weights = None if self.weights is None else self.weights[::step]
        return replace(self, x=self.x[::step], y=self.y[::step], weights=weights)

    def without_features(self) -> "Design":
        """The constant alone."""
        return replace(self, x=self.x[:, :0], shift=self.shift[:0], features=(), intercept=True)


def design_of(data: Any, family: Family, intercept: bool, weights: Any, few: bool = False) -> tuple[Design, Family]:
    """Check `data`, a Dataset (its training rows) or a pair (x, y); the family comes back with its classes counted.

    x (n, …) of any number type is flattened to (n, d) and stays a view; y (n,). Raises DataError for NaN or infinity,
    a target outside the likelihood's space, one class only, shapes that do not match, or fewer rows than parameters;
    ConfigError for data of another kind. `few`: fewer rows than coefficients are no error.
    """
    features: Sequence[Any]
    if isinstance(data, Dataset):
        x, y, features = data.x, data.y, data.features
    elif isinstance(data, tuple | list) and len(data) == 2:
        x, y, features = view(data[0], "x"), view(data[1], "y"), getattr(data[0], "columns", ())
    else:
        raise ConfigError(f"data: give a mlnn.Dataset or a pair (x, y), found {type(data).__name__}")
    y = y.squeeze(1) if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or len(x) != len(y) or not len(y):
        raise DataError(f"data: x {tuple(x.shape)} and y {tuple(y.shape)} do not match; y must be ({len(x)},), n > 0")
    x = x.reshape(len(x), 1 if x.ndim == 1 else math.prod(x.shape[1:]))
    names = tuple(map(str, features)) if len(features) == x.shape[1] else tuple(f"x{j}" for j in range(x.shape[1]))
    if not names and not intercept:
        raise ConfigError("intercept: without a constant and without features there is nothing to estimate")
    counts = _weights(weights, len(y))
    family = family.over(_space(family, y, counts is not None))
    y = family.space.cast(y)
    shift = _means(x, names)
    design = Design(x, y, counts, intercept, shift, names)
    needed = design.width * family.outputs
    if len(y) < needed and not few:
        raise DataError(f"data: {len(y)} rows for {needed} coefficients; leave features out or bring more rows")
    return design, family


def view(values: Any, what: str) -> Tensor:
    """A CPU tensor over the caller's own numbers wherever torch can read them in place; DataError if not numbers."""
    if isinstance(values, Tensor):
        tensor = values.detach().cpu()
    else:
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise DataError(f"{what} is not a rectangular array of numbers: {error}") from error
        if array.dtype.kind not in "biuf":
            raise DataError(f"{what} must hold numbers, found dtype {array.dtype}; encode text and dates first")
        if not array.dtype.isnative or any(step < 0 for step in array.strides) or array.dtype.itemsize > 8:
            array = np.array(array, dtype=np.float64, order="C")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a read-only array: nothing here writes to it
            tensor = torch.from_numpy(array)
    if tensor.is_complex() or tensor.ndim == 0:
        raise DataError(f"{what} must be rows of real numbers, found {tensor.dtype} of shape {tuple(tensor.shape)}")
    return tensor


def _weights(weights: Any, rows: int) -> Tensor | None:
    if weights is None:
        return None
    counts = view(weights, "weights").double()
    if counts.shape != (rows,):
        raise DataError(f"weights: must be ({rows},), one per row, found shape {tuple(counts.shape)}")
    wrong = ~(torch.isfinite(counts) & (counts >= 0))
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise DataError(f"weights: row {row} holds {counts[row].item()}; a weight says how many rows a row stands for")
    if not bool((counts > 0).any()):
        raise DataError("weights: all are 0, so no row counts")
    return counts


def _space(family: Family, y: Tensor, weighted: bool) -> TargetSpace:
    """The space the targets are in, checked, with more than one value in it where the likelihood needs that."""
    space = family.space
    if space.kind == "classes":
        TargetSpace("counts").check(y, "y")
        space = TargetSpace("classes", max(2, int(y.max()) + 1))
        missing = [k for k, rows in enumerate(torch.bincount(y.long()).tolist()) if not rows]
        if missing or int(y.max()) == 0:
            raise DataError(f"y: no row of class {missing[0] if missing else 1}; classes are 0 … K−1, each with rows")
        return space
    # With weights a row may stand for several trials, and y for the share of successes: a binomial.
    TargetSpace("unit" if space.kind == "binary" and weighted else space.kind).check(y, "y")
    if space.kind == "binary" and bool((y == y[0]).all()) and float(y[0]) in (0.0, 1.0):
        raise DataError(f"y: all {len(y)} targets are {float(y[0]):g}; two classes are needed")
    if space.kind == "counts" and not bool(y.any()):
        raise DataError("y: all counts are 0; the log of their mean is −∞, so there is no maximum")
    if isinstance(family.likelihood, Beta) and bool(((y == 0) | (y == 1)).any()):
        row = int(((y == 0) | (y == 1)).nonzero()[0, 0])
        raise DataError(f"y: row {row} is {float(y[row]):g}; a beta density has no finite value at 0 or 1")
    return space


def _means(x: Tensor, names: tuple[str, ...]) -> Tensor:
    """Mean of every column (d,); DataError for NaN or infinity, which no mean survives, naming the place."""
    total = torch.zeros(x.shape[1], dtype=torch.float64)
    size = max(256, 8 * CHUNK // max(x.shape[1], 1))
    for start in range(0, len(x), size):
        part = x[start : start + size].double()
        total += torch.ones(len(part), dtype=torch.float64) @ part
        if not bool(torch.isfinite(total).all()):
            bad = (~torch.isfinite(part)).nonzero()
            if not len(bad):
                raise DataError(
                    f"x: column '{names[int((~torch.isfinite(total)).nonzero()[0])]}' overflows; rescale it"
                )
            row, column = bad[0].tolist()
            raise DataError(
                f"x: row {start + row}, column '{names[column]}' is {part[row, column].item()}; remove or fill it first"
            )
    return total / len(x)
