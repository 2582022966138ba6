"""The data at the door: checked, never copied whole, and handed out in chunks of rows with the constant last."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.data import Dataset
from mlnn.data.arrays import check_aligned
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.beside import counted, offset_of, weights_of
from mlnn.estimating.reading import own, view
from mlnn.targets import TargetSpace

CHUNK = 2**18
"""Numbers in a chunk: small enough for the cache, large enough that a call's overhead does not count."""
CONSTANT = "const"
"""What the constant is called where no formula calls it otherwise."""
LARGEST = 1e150
"""Of a target: squares, added up, stay below 1e308."""


@dataclass(frozen=True)
class Design:
    """Rows `x` (n, d), a view of the caller's, targets `y` (n,), `weights` (n,) or None, and whether a constant is added.

    `offset` (n,) or None: what the first raw output of every row has beside its coefficients, with a coefficient of 1.

    `shift` (d,) is taken off every chunk where there is a constant: the same model, with coefficients of the features as
    they were, far better conditioned (Longley, columns of one length: 43,275 becomes 111). `binomial`: y holds shares of
    successes in `weights` trials.
    """

    x: Tensor
    y: Tensor
    weights: Tensor | None
    intercept: bool
    shift: Tensor
    features: tuple[str, ...]
    binomial: bool = False
    offset: Tensor | None = None
    constant: str = CONSTANT

    @property
    def names(self) -> tuple[str, ...]:
        """One per coefficient, the constant last."""
        return (*self.features, self.constant) if self.intercept else self.features

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

    def raw(self, rows: slice, x: Tensor, beta: Tensor) -> Tensor:
        """Free raw outputs (b, m) of some rows, `x` (b, p) their regressors, at coefficients `beta` (p, m)."""
        free = x @ beta
        if self.offset is not None:
            free[:, 0] += self.offset[rows]
        return free

    def every(self, step: int) -> "Design":
        """Every `step`-th row, as views."""
        return self.taken(slice(None, None, step))

    def taken(self, rows: slice | Tensor) -> "Design":
        """Some of the rows, as views where `rows` is a slice."""
        weights, offset = (None if part is None else part[rows] for part in (self.weights, self.offset))
        return replace(self, x=self.x[rows], y=self.y[rows], weights=weights, offset=offset)

    def without_features(self) -> "Design":
        """The constant alone; of many rows with few different targets a row for each target, weighted by how many there are."""
        y, weights = self.y, self.weights
        if self.offset is None:
            y, weights = counted(y, weights)
        return replace(
            self, x=self.x[: len(y), :0], y=y, weights=weights, shift=self.shift[:0], features=(), intercept=True
        )


def design_of(
    data: Any,
    family: Family,
    intercept: bool,
    weights: Any,
    few: bool = False,
    enough: bool = True,
    *,
    offset: Any = None,
    names: Sequence[str] | None = None,
    constant: str = CONSTANT,
) -> tuple[Design, Family]:
    """Check `data`, a Dataset (its training rows) or a pair (x, y); the family comes back with its classes counted.

    x (n, d) of any number type, or (n,), stays a view; of a Dataset x (n, …), images say, is flattened to (n, d). y (n,).
    Raises DataError for NaN or infinity, masked entries, a bare x of three dimensions or more, a target outside the
    likelihood's space, one class only, shapes or pandas indexes that do not match, two columns of one name, or fewer rows
    than parameters; ConfigError for data of another kind. Rows of weight 0 are left out before anything else is asked of
    them. offset (n,): of a Dataset, its extra of that name. names, constant: what a formula calls them. `few`: for a model, whose
    columns have no coefficients: shape, names and number of x do not matter. enough: whether it is asked here that the rows
    are enough.
    """
    if not isinstance(intercept, bool | np.bool_):
        raise ConfigError(f"intercept: must be True or False, found {intercept!r}")
    x, y, features = _named_rows(data, few, names)
    if not isinstance(data, Dataset):
        check_aligned("data", x=data[0], y=data[1], weights=weights, offset=offset)
    elif offset is None:
        offset = data.extras.get("offset")
    if not few:
        _check_names(features, bool(intercept), constant)
    counts, moved, of = weights_of(weights, len(y)), offset_of(offset, len(y), family), ""
    if counts is not None and not bool(counts.all()):
        x, y, moved = x[counts > 0], y[counts > 0], None if moved is None else moved[counts > 0]
        counts, of = counts[counts > 0], " (rows with a weight above 0)"
    family = family.over(_space(family, y, counts is not None, of))
    y = family.space.cast(y)
    shift = _means(x, features, of)
    binomial = _binomial(family, y, counts)
    design = Design(x, y, counts, bool(intercept), shift, features, binomial, moved, constant)
    if enough and not few and (short := too_few(design, family)):
        raise DataError(f"data: {short}")
    return design, family


def _named_rows(data: Any, few: bool, names: Sequence[str] | None = None) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """x (n, d), y (n,) and a name per column, once it is certain that they match."""
    x, y, features = _parts(data)
    features = features if names is None else names
    y = y.squeeze(1) if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or len(x) != len(y):
        raise DataError(f"data: x {tuple(x.shape)} and y {tuple(y.shape)} do not match; y must be ({len(x)},)")
    if not len(y):
        raise DataError("data: there are no rows; at least as many are needed as there are coefficients")
    if x.ndim > 2 and not few and not isinstance(data, Dataset):
        raise DataError(
            f"x: found shape {tuple(x.shape)}; a linear raw output takes rows of features (n, d). Give x.reshape(len(x), -1)"
            " if every number is a feature of its own, or a model= that reads x as it is"
        )
    x = x.reshape(len(x), 1 if x.ndim == 1 else math.prod(x.shape[1:]))
    return x, y, _names(features, x.shape[1])


def _names(features: Sequence[Any], width: int) -> tuple[str, ...]:
    """The features' own names, or x0, x1, … where there is not one for each column."""
    return tuple(map(str, features)) if len(features) == width else tuple(f"x{j}" for j in range(width))


def too_few(design: Design, family: Family) -> str:
    """What to say where there are fewer rows than coefficients, else nothing."""
    needed = design.width * family.outputs - len(family.constants) * len(design.features)
    if len(design.y) >= needed:
        return ""
    return f"{len(design.y)} rows for {needed} coefficients; leave features out or bring more rows"


def same_columns(design: Design) -> str:
    """What to say of columns that are constant or a multiple of another, as told by the rows there are; else nothing."""
    x = design.x.double() - design.shift if design.intercept else design.x.double()
    size, came = x.norm(dim=0), design.x.double().norm(dim=0)
    flat = size <= 1e-13 * came
    kind = "constant" if design.intercept else "nothing but 0"
    unit = x / torch.where(flat, torch.inf, size)
    alike = (unit.T @ unit).abs().triu(1) >= 1 - 1e-13
    told = [f"column {design.features[j]} is {kind}" for j in flat.nonzero()[:, 0].tolist()]
    told += [
        f"columns {design.features[i]} and {design.features[j]} tell the same" for i, j in alike.nonzero().tolist()
    ]
    return ", ".join(told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")


def shape_of(data: Any) -> tuple[int, ...]:
    """Shape of one row of x, as it came."""
    return tuple(_parts(data)[0].shape[1:])


def _parts(data: Any) -> tuple[Tensor, Tensor, Sequence[Any]]:
    """(x, y, names of features) of a Dataset or a pair."""
    if isinstance(data, Dataset):
        data.check_plain()
        return own(data.x), own(data.y), data.features
    if isinstance(data, tuple | list) and len(data) == 2:
        return view(data[0], "x"), view(data[1], "y"), getattr(data[0], "columns", ())
    many = f" of {len(data)}" if isinstance(data, tuple | list) else ""
    raise ConfigError(f"data: give a mlnn.Dataset or a pair (x, y), found {type(data).__name__}{many}")


def _check_names(names: tuple[str, ...], intercept: bool, constant: str) -> None:
    if not names and not intercept:
        raise ConfigError("intercept: without a constant and without features there is nothing to estimate")
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise DataError(f"x: two columns are named '{twice[0]}'; a name must tell which coefficient is meant")
    if intercept and constant in names:
        raise DataError(
            f"x: a column is named '{constant}', as the constant that is added; leave it out or take intercept=False"
        )


def _binomial(family: Family, y: Tensor, counts: Tensor | None) -> bool:
    """Whether the rows are a binomial table: a share strictly inside (0, 1), whole trials, whole successes up to rounding."""
    if family.space.kind != "binary" or counts is None or not bool(((y > 0) & (y < 1)).any()):
        return False
    successes = y * counts
    whole = (successes - successes.round()).abs() <= 1e-9 * counts
    return bool((whole & (counts == counts.round())).all())


def _space(family: Family, y: Tensor, weighted: bool, of: str) -> TargetSpace:
    """The space the targets are in, checked, with more than one value in it where the likelihood needs that."""
    space = family.space
    if space.labels:
        return _classes(space, y, of)
    # With weights a row may stand for several trials, and y for the share of successes: a binomial.
    TargetSpace("unit" if space.kind == "binary" and weighted else space.kind).check(y, "y" + of)
    row = int(y.abs().argmax()) if y.is_floating_point() else 0
    if abs(float(y[row])) > LARGEST:
        raise DataError(f"y{of}: row {row} is {float(y[row]):g}, too large to square and add up in float64; rescale y")
    _check_varied(space, y, of)
    _check_possible(family, y, of)
    return space


def _classes(space: TargetSpace, y: Tensor, of: str) -> TargetSpace:
    """The classes that there are, each with rows."""
    TargetSpace("counts").check(y, "y" + of)
    missing = [k for k, rows in enumerate(torch.bincount(y.long()).tolist()) if not rows]
    if missing or int(y.max()) == 0:
        raise DataError(f"y{of}: no row of class {missing[0] if missing else 1}; classes are 0 … K−1, each with rows")
    return replace(space, classes=int(y.max()) + 1)


def _check_varied(space: TargetSpace, y: Tensor, of: str) -> None:
    if space.kind == "binary" and bool((y == y[0]).all()) and float(y[0]) in (0.0, 1.0):
        raise DataError(f"y{of}: all {len(y)} targets are {float(y[0]):g}; two classes are needed")
    if space.kind == "counts" and not bool(y.any()):
        raise DataError(f"y{of}: all counts are 0; the log of their mean is −∞, so there is no maximum")


def _check_possible(family: Family, y: Tensor, of: str) -> None:
    found = family.likelihood.impossible(y)
    if found is not None and bool(found[0].any()):
        row = int(found[0].nonzero()[0, 0])
        raise DataError(f"y{of}: row {row} is {float(y[row]):g}; {found[1]}")


def _means(x: Tensor, names: tuple[str, ...], of: str) -> Tensor:
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
                    f"x{of}: column '{names[int((~torch.isfinite(total)).nonzero()[0])]}' overflows; rescale it"
                )
            row, column = bad[0].tolist()
            raise DataError(
                f"x{of}: row {start + row}, column '{names[column]}' is {part[row, column].item()}; remove or fill it first"
            )
    return total / len(x)
