"""How sure is the maximum of a likelihood with kinks: by a kernel estimate of the errors' density, or by resampling rows.

Such a likelihood has no curvature; what stands in for it is the density of the errors at the kink, which is not part of the
model. By a kernel: D⁻¹ S D⁻¹ with D = f̂ XᵀX, one density f̂ for all rows, and S = Σ ψ² x xᵀ, ψ a row's slope (τ above, 1−τ
below), as statsmodels' QuantReg has it (Greene 2008, 14.5; Powell 1991): Epanechnikov's kernel, bandwidth of Hall & Sheather
(1988). By resampling: the spread of the coefficients over samples of the rows drawn with replacement (Efron 1979).
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.errors import ConfigError, DataError, unknown
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.inference import unshift
from mlnn.estimating.linear.linear_programme import Rows
from mlnn.seeding import generator

WAYS = ("kernel", "bootstrap")
INSTEAD = {"expected": "kernel", "robust": "kernel"}
"""What "expected", the default, and "robust" come to; the second is statsmodels' word for the kernel's."""
LEVEL = 0.05
"""Of the intervals that Hall and Sheather's bandwidth is made for: that of statsmodels and R's quantreg."""
NORMAL_QUARTILES = 1.34
"""Interquartile range of a standard normal, as both packages round it."""
MET = 1e-12
"""Of the largest target: a residual below is a row that the optimum passes through."""
TRIES = 2
"""Samples drawn per sample wanted: one that misses a rare level has dependent columns."""


@dataclass(frozen=True)
class KinkErrors:
    """Covariance (p, p) of the coefficients of the shifted columns, made in the way `kind`; what makes the kernel's one.

    numbers: standard errors of the free numbers. notes: how they were made, and what they rest on.
    """

    kind: str
    matrix: np.ndarray
    numbers: dict[str, float]
    notes: tuple[str, ...]
    family: Family
    design: Design
    beta: Tensor

    def covariance(self, kind: str) -> np.ndarray:
        """(p, p) of the columns as they came, of any kind; ConfigError for one that is not known, or is not at hand."""
        shift = unshift(self.design, 1).numpy()
        found = shift @ self.shifted(kind).numpy() @ shift.T
        return np.asarray((found + found.T) / 2)

    def shifted(self, kind: str) -> Tensor:
        """The same of the shifted columns."""
        way = way_of(kind)
        if way == "bootstrap" != self.kind:
            raise ConfigError("cov: samples of the rows were not drawn; estimate with cov='bootstrap'")
        held = self if way == self.kind else by_kernel(self.family, self.design, self.beta)
        return torch.from_numpy(held.matrix)


def way_of(cov: str) -> str:
    """ "kernel" or "bootstrap" for what was asked; ConfigError for "observed", and for an unknown word."""
    if cov == "observed":
        raise ConfigError(
            "cov: a likelihood with kinks has no curvature, so no observed information; take 'kernel' or 'bootstrap'"
        )
    way = INSTEAD.get(cov, cov)
    if way not in WAYS:
        raise ConfigError("cov: " + unknown("covariance", str(cov), WAYS))
    return way


def errors_of(family: Family, design: Design, beta: Tensor, cov: str, draws: int, seed: int) -> KinkErrors:
    """The covariance at a maximum `beta` (p, 1) of the shifted columns. Raises what `way_of` and `by_resampling` raise."""
    if way_of(cov) == "bootstrap":
        return by_resampling(family, design, beta, draws, seed)
    return by_kernel(family, design, beta)


def by_kernel(family: Family, design: Design, beta: Tensor) -> KinkErrors:
    """From the density of the residuals around the kink; NaN, and a note, where so many rows are met that it has none.

    A row of weight w counts as w rows.
    """
    rows = Rows.of(family, design)
    residual = rows.y - rows.x @ beta[:, 0].numpy()
    edge = np.copysign(rows.flat, residual)
    residual = np.where(np.abs(residual - edge) <= MET * np.abs(rows.y).max(), edge, residual)
    width = bandwidth(rows, residual)
    density = _density(rows, residual, width) if width > 0 else 0.0
    numbers = {} if family.free is None else {family.free: family.numbers[family.free] / math.sqrt(design.nobs)}
    if density > 0:
        slope = np.abs(_slopes(rows, residual)) / density
        basis, root = np.linalg.qr(rows.x * np.sqrt(rows.weights)[:, None])
        half = np.linalg.solve(root, (basis.T * slope**2) @ basis)
        found = np.linalg.solve(root, half.T)
        note = (
            f"standard errors by a kernel estimate of the errors' density at the kink (Epanechnikov, bandwidth {width:.4g},"
            " as statsmodels' QuantReg), one for all rows: where the spread changes with x take cov='bootstrap'"
        )
    else:
        found = np.full((design.width, design.width), math.nan)
        note = "no standard errors: so many rows are met exactly that the errors have no density at the kink"
    return KinkErrors("kernel", found, numbers, (note, *_of_numbers(family)), family, design, beta)


def _of_numbers(family: Family) -> list[str]:
    if family.free is None:
        return []
    return [f"the standard error of {family.free} is the likelihood's own, {family.free}/√n"]


def bandwidth(rows: Rows, residual: np.ndarray) -> float:
    """Hall and Sheather's, in the unit of the targets; halved until τ ± h lies inside (0, 1), as R's quantreg does."""
    n, tau = float(rows.weights.sum()), rows.tau
    z = scipy.stats.norm.ppf(tau)
    share = (1.5 * scipy.stats.norm.pdf(z) ** 2 / (2 * z**2 + 1)) ** (1 / 3)
    h = n ** (-1 / 3) * scipy.stats.norm.ppf(1 - LEVEL / 2) ** (2 / 3) * share
    while tau - h <= 0 or tau + h >= 1:
        h /= 2
    low, high = (_quantile(residual, rows.weights, at) for at in (0.25, 0.75))
    mean = (rows.weights * rows.y).sum() / n
    spread = math.sqrt(float((rows.weights * (rows.y - mean) ** 2).sum()) / n)
    reach = scipy.stats.norm.ppf(tau + h) - scipy.stats.norm.ppf(tau - h)
    return float(min(spread, (high - low) / NORMAL_QUARTILES) * reach)


def _slopes(rows: Rows, residual: np.ndarray) -> np.ndarray:
    """Of each row's loss, τ above the kink and τ−1 below; a row on it counts on the side to which it pulls (its multiplier)."""
    slope = np.where(residual > rows.flat, rows.tau, np.where(residual < -rows.flat, rows.tau - 1, 0.0))
    if not rows.flat:
        met = residual == 0
        rest = -(rows.x.T * rows.weights) @ slope
        pull = np.linalg.lstsq(rows.x[met].T, rest, rcond=None)[0]
        slope[met] = np.where(pull > 0, rows.tau, rows.tau - 1)
    return slope


def _density(rows: Rows, residual: np.ndarray, width: float) -> float:
    """Of the errors at the kink, by Epanechnikov's kernel; with a flat top that of its two edges, each by its side's share."""
    found = 0.0
    for edge, share in ((rows.flat, rows.tau), (-rows.flat, 1 - rows.tau)):
        u = (residual - edge) / width
        found += share * float((rows.weights * 0.75 * np.clip(1 - u**2, 0, None)).sum())
    return found / (float(rows.weights.sum()) * width)


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """Linear between order statistics, each value there as often as its weight says."""
    order = np.argsort(values)
    ends = np.cumsum(weights[order])
    place = share * (ends[-1] - 1)
    low, high = (
        values[order[min(np.searchsorted(ends, np.floor(place) + k, side="right"), len(order) - 1)]] for k in (0, 1)
    )
    return float(low + (high - low) * (place - np.floor(place)))


def by_resampling(family: Family, design: Design, beta: Tensor, draws: int, seed: int) -> KinkErrors:
    """From `draws` samples of as many rows, drawn with replacement and each fitted again: pairs of x and y stay together.

    Weights say how many rows a row stands for, and must be whole. Raises ConfigError where they are not, DataError where
    half of the samples have dependent columns.
    """
    rows = Rows.of(family, design)
    if (rows.weights != np.round(rows.weights)).any():
        raise ConfigError("cov: rows of weights that are not whole cannot be drawn again; take cov='kernel'")
    stream, whole = generator(seed, "bootstrap"), int(rows.weights.sum())
    ends, missed = np.cumsum(rows.weights), 0
    found: list[np.ndarray] = []
    sizes: list[float] = []
    while len(found) < draws:
        if missed > (TRIES - 1) * draws:
            raise DataError(
                f"cov: more than {draws} samples of the rows have dependent columns (a rare level?); take cov='kernel'"
            )
        drawn = torch.randint(whole, (whole,), generator=stream).numpy()
        counts = np.bincount(np.searchsorted(ends, drawn, side="right"), minlength=len(rows.y)).astype(float)
        part = counts > 0
        again = Rows(rows.name, rows.x[part], rows.y[part], counts[part], rows.tau, rows.flat)
        if np.linalg.matrix_rank(again.x) < design.width:
            missed += 1
            continue
        one = again.optimum()[0]
        found.append(one)
        sizes.append(float(np.abs(again.y - again.x @ one) @ again.weights) / whole)
    covariance = np.atleast_2d(np.cov(np.array(found), rowvar=False))
    numbers = {} if family.free is None else {family.free: float(np.std(sizes, ddof=1))}
    note = f"standard errors by {draws} samples of the rows, drawn with replacement from seed {seed}"
    note += f"; {missed} more had dependent columns and were left out" if missed else ""
    return KinkErrors("bootstrap", covariance, numbers, (note,), family, design, beta)
