"""What a fit keeps of its rows and of its function, so that it can predict: a linear raw output and a model answer alike.

The rows are held by reference, never copied: they live as long as the answer does, and what the caller writes into them later is
seen.
"""

import math
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from mlnn.data.formula import Terms
from mlnn.data.frames import frame_of, tabular
from mlnn.errors import ConfigError, DataError, unknown
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.design import Design
from mlnn.estimating.network.form import straight
from mlnn.estimating.network.problem import Problem, jacobian_of
from mlnn.estimating.reading import view

MOST_SLOPES = 2**22
"""Numbers in a chunk's Jacobian by the parameters: 32 MB."""
ROUNDING = 1e-12
"""Of the sum of a raw output's terms: what is left of it beside them."""
Part = tuple[Tensor, Tensor | None]


class FittedRows(Protocol):
    """The rows of a fit, its likelihood at the estimated numbers, and its raw outputs as a function of x."""

    @property
    def family(self) -> Family:
        """The likelihood, its numbers in place."""

    @property
    def design(self) -> Design:
        """Targets, weights and offset of the rows."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes are called, where they came as text."""

    def read(self, x: Any) -> Tensor:
        """New rows as the caller has them, as `parts` takes them. Raises DataError for those that do not fit."""

    def parts(self, x: Tensor | None, offset: Tensor | None, covariance: Tensor | None) -> Iterator[Part]:
        """(free raw outputs (b, m), their covariance (b, m, m) or None without `covariance`), chunk after chunk.

        Of rows x that were read, with their offset (n,) or None; of the fit's own rows where x is None. covariance: of what was
        estimated, (k, k).
        """

    def affine(self) -> bool:
        """Whether the raw outputs are known to be an affine function of what was estimated."""

    def columns(self, rows: slice) -> Tensor:
        """Of affine raw outputs their derivatives by what was estimated, and last what they are beside it; (b, p + 1)."""


@dataclass(frozen=True)
class LinearRows:
    """Of a linear raw output: coefficients `beta` (p, m) of the design's shifted columns."""

    family: Family
    design: Design
    beta: Tensor
    terms: Terms | None = None
    classes: tuple[str, ...] = ()

    def read(self, x: Any) -> Tensor:
        """The columns of new rows (n, d): made by the formula's terms, or found by name in a frame."""
        return _columns(x, self.design) if self.terms is None else self.terms.design_for(x)

    def parts(self, x: Tensor | None, offset: Tensor | None, covariance: Tensor | None) -> Iterator[Part]:
        """As `FittedRows` has it; covariance of the coefficients of the shifted columns, output after output."""
        design = self.design if x is None else self._design_of(x, offset)
        for rows, columns in design.chunks():
            raw = design.raw(rows, columns, self.beta)
            yield raw, None if covariance is None else self._spread(columns, covariance)

    def affine(self) -> bool:
        """Always."""
        return True

    def columns(self, rows: slice) -> Tensor:
        """The design's, shifted, the constant last, and then the offset; (b, p + 1)."""
        part = self.design.taken(rows)
        offset = torch.zeros(len(part.y), dtype=torch.float64) if part.offset is None else part.offset
        return torch.cat([torch.cat([columns.clone() for _, columns in part.chunks()]), offset[:, None]], 1)

    def _design_of(self, x: Tensor, offset: Tensor | None) -> Design:
        nothing = x.new_zeros(len(x), dtype=torch.float64)
        return replace(self.design, x=x, y=nothing, weights=None, offset=offset)

    def _spread(self, columns: Tensor, covariance: Tensor) -> Tensor:
        p, m = self.beta.shape
        blocks = covariance.reshape(m, p, m, p)
        found = torch.empty(len(columns), m, m, dtype=torch.float64)
        for j in range(m):
            for k in range(j, m):
                found[:, j, k] = found[:, k, j] = ((columns @ blocks[j, :, k]) * columns).sum(1)
        return found


@dataclass(frozen=True)
class ModelRows:
    """Of a small model: the problem, its number in place, at parameters `theta` (p,)."""

    problem: Problem
    theta: Tensor
    binomial: bool = False
    terms: Terms | None = None
    classes: tuple[str, ...] = ()

    @property
    def family(self) -> Family:
        """The likelihood, its numbers in place."""
        return self.problem.family

    @property
    def design(self) -> Design:
        """Targets, weights and offset of the rows."""
        return replace(self.problem.design, binomial=self.binomial)

    def read(self, x: Any) -> Tensor:
        """New rows (n, …) in the shape of the fit's: made by the formula's terms, or as they are."""
        inputs = view(tabular(x), "x") if self.terms is None else self.terms.design_for(x)
        shape = tuple(self.problem.x.shape[1:])
        if tuple(inputs.shape[1:]) != shape:
            wanted = ", ".join(["n", *map(str, shape)])
            raise DataError(f"x: found shape {tuple(inputs.shape)}; the model was fitted on rows ({wanted})")
        _check_finite(inputs, ())
        return inputs.double()

    def parts(self, x: Tensor | None, offset: Tensor | None, covariance: Tensor | None) -> Iterator[Part]:
        """As `FittedRows` has it; covariance of the parameters."""
        inputs = self.problem.x if x is None else x
        offset = self.design.offset if x is None else offset
        size = max(1, MOST_SLOPES // max(1, len(self.theta) * self.family.outputs))
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            with torch.no_grad():
                raw = self.problem.free(self.theta, part).detach()
            if offset is not None:
                raw = torch.cat([raw[:, :1] + offset[start : start + size, None], raw[:, 1:]], dim=1)
            yield raw, None if covariance is None else self._spread(part, covariance)

    def affine(self) -> bool:
        """Of one raw output that is affine in the parameters, along two lines drawn at random."""
        return self.family.outputs == 1 and straight(self.problem)

    def columns(self, rows: slice) -> Tensor:
        """The derivatives by the parameters, and last what the raw output is beside them, offset and all; (b, p + 1)."""
        part, offset = self.problem.x[rows], self.design.offset
        slopes = self._slopes(part)[:, 0]
        beside = self.problem.free(self.theta, part).detach()[:, 0] - slopes @ self.theta
        beside[beside.abs() <= ROUNDING * (slopes.abs() @ self.theta.abs())] = 0.0
        return torch.cat([slopes, (beside if offset is None else beside + offset[rows])[:, None]], 1)

    def lasting(self) -> bool:
        """Whether it can be pickled: a model of a class that was made inside a function cannot."""
        try:
            pickle.dumps(self)
        except Exception:  # whatever a model's own parts raise
            return False
        return True

    def _spread(self, part: Tensor, covariance: Tensor) -> Tensor:
        slopes = self._slopes(part)
        return torch.einsum("njp,pq,nkq->njk", slopes, covariance, slopes)

    def _slopes(self, part: Tensor) -> Tensor:
        """(b, m, p)."""
        found = jacobian_of(lambda theta: self.problem.free(theta, part), self.theta)
        return found.reshape(len(part), -1, len(self.theta))


def offset_of(offset: Any, x: Any, rows: int, needed: bool) -> Tensor | None:
    """The offset (n,) of new rows x, or the column of x that holds it.

    Raises ConfigError where the fit had one and none is given; DataError for another shape and a column that is not there.
    """
    if offset is None:
        if needed:
            raise ConfigError("offset: the fit had one, so new rows need theirs: predict(x, offset=…)")
        return None
    if isinstance(offset, str):
        frame = frame_of(x, "x")
        if offset not in frame.columns:
            raise DataError("offset: " + unknown("column", offset, frame.columns))
        offset = frame[offset]
    given = view(tabular(offset), "offset").double()
    if given.shape != (rows,) or not bool(torch.isfinite(given).all()):
        raise DataError(f"offset: must be ({rows},) finite numbers, one per row, found shape {tuple(given.shape)}")
    return given


def _columns(x: Any, design: Design) -> Tensor:
    """New rows x (n, d), the columns in the order of the fit: by name where x has names and the fit had."""
    features, x = design.features, tabular(x)
    names = _names_of(x)
    if names is not None:
        missing = [name for name in features if name not in names]
        if missing and not _numbered(features):
            told = ", ".join(map(repr, missing[:5]))
            raise DataError(f"x: no column {told}, which the fit has; found {', '.join(names[:8]) or 'none'}")
        if not missing:
            x = x[[column for name in features for column in x.columns if str(column) == name]]
    columns = view(x, "x")
    if columns.ndim == 1 and len(features) == 1:
        columns = columns[:, None]
    columns = columns.reshape(len(columns), math.prod(columns.shape[1:])) if columns.ndim > 2 else columns
    if columns.ndim != 2 or columns.shape[1] != len(features):
        told = (
            f"x: found shape {tuple(columns.shape)}; the fit has {len(features)} features, so x is (n, {len(features)})"
        )
        raise DataError(told + (", a row of it x[None, :]" if tuple(columns.shape) == (len(features),) else ""))
    _check_finite(columns, features)
    return columns


def _names_of(x: Any) -> tuple[str, ...] | None:
    """The column names of a frame; None of an array."""
    columns = getattr(x, "columns", None)
    return None if columns is None else tuple(map(str, columns))


def _numbered(features: tuple[str, ...]) -> bool:
    """Whether the features are those of an array, x0, x1, …, which have no names of their own."""
    return features == tuple(f"x{j}" for j in range(len(features)))


def _check_finite(x: Tensor, features: tuple[str, ...]) -> None:
    bad = (~torch.isfinite(x.reshape(len(x), math.prod(x.shape[1:])))).nonzero()
    if len(bad):
        row, column = bad[0].tolist()
        told = f", column '{features[column]}'" if features else f", entry {column}"
        raise DataError(f"x: row {row}{told} is not a finite number; remove or fill it first")
