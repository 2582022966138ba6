"""Newton's method, or Fisher scoring, on the exact log-likelihood of all rows.

Progress is measured in standard errors: the Newton decrement λ = ‖R⁻ᵀg‖ bounds every coefficient's step over its standard
error (Cauchy–Schwarz), and λ²/2 is the log-likelihood still to be gained. Steps use expected curvature far away, where it
is always a descent, and observed curvature near, where it converges quadratically (Boyd & Vandenberghe 2004, 9.5). A robust
density's expected curvature knows nothing of how far the rows are: it goes by observed curvature damped by its majorant, less
after every full step, more after a shortened one (Marquardt 1963). The normal is a parabola: one step, and then its rounding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from mlnn.errors import DataError, MlnnError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.least_squares import EPS, check_rank, cholesky_root, qr_root, residual_step
from mlnn.estimating.linear.sharing import share
from mlnn.estimating.network import curvature

CONVERGED_PUSH = 1e-9
"""In standard errors; one more step is then taken, which squares it."""
ROUNDED_PUSH = 1e-6
"""In standard errors: a t with two columns that differ by 1e-6 ended between 5e-8 and 1e-7, on one machine of two."""
NEAR_MAXIMUM, PATIENCE = 1.0, 10
"""Observed curvature is taken from this λ, or this iteration, on."""
HALVINGS = 60
"""Of a step: more would leave nothing of it in float64."""
MOST_MAJORANTS = 2.0
"""A t's observed curvature is at least minus its majorant: twice that makes every row's positive."""
LITTLE_DAMPING = 1e-3
"""Below it convergence is as good as quadratic."""


class NotConvergedError(MlnnError):
    """The maximum was not reached. `reached`: the highest log-likelihood that was, NaN if none."""

    exit_code = 4

    def __init__(self, message: str, reached: float = math.nan) -> None:
        super().__init__(message)
        self.reached = reached


@dataclass(frozen=True)
class Point:
    """Coefficients (p, m) and, summed over the rows there: nll, gradient and curvature, output after output.

    size: Σ of the magnitudes that a row's nll is the sum of, which its rounding is relative to.
    """

    beta: Tensor
    kind: str
    value: float
    size: float
    gradient: Tensor
    hessian: Tensor
    damping: float = 0.0


@dataclass(frozen=True)
class Fit:
    """A maximum: coefficients (p, m) after the polishing step, and the last point that was evaluated, `push` from it."""

    beta: Tensor
    point: Point
    push: float
    iterations: int


def evaluate(family: Family, design: Design, beta: Tensor, kind: str, damping: float = 0.0) -> Point:
    """One pass over all rows at `beta` (p, m)."""
    parts = share(design, lambda part: _sums(family, part, beta, kind, damping))
    values, sizes, gradients, hessians = zip(*parts, strict=True)
    gradient, hessian = torch.stack(gradients).sum(dim=0), torch.stack(hessians).sum(dim=0)
    hessian = hessian.reshape(beta.numel(), beta.numel())
    return Point(beta, kind, sum(values), sum(sizes), gradient.T.reshape(-1), (hessian + hessian.T) / 2, damping)


def _sums(
    family: Family, design: Design, beta: Tensor, kind: str, damping: float
) -> tuple[float, float, Tensor, Tensor]:
    """(nll, size, gradient (p, m), curvature (m, p, m, p)) summed over the rows, chunk by chunk."""
    p, m = beta.shape
    value = size = 0.0
    gradient = torch.zeros(p, m, dtype=torch.float64)
    hessian = torch.zeros(m, p, m, p, dtype=torch.float64)
    for rows, x in design.chunks():
        eta = design.raw(rows, x, beta)
        found = curvature.rows(family.likelihood, eta, design.y[rows], kind, damping)
        nll, slope, bend = (design.weigh(rows, part) for part in found)
        value += float(nll.sum())
        size += float(nll.abs().sum())
        if family.space.kind == "counts":  # μ − y f + log y! is small where its parts, of a large count, are not
            size += float(design.weigh(rows, design.y[rows] * eta[:, 0].abs()).sum())
        gradient.addmm_(x.T, slope)
        for j in range(m):
            for k in range(j, m):
                hessian[j, :, k].addmm_(x.T, x * bend[:, j, k, None])
    for j in range(m):
        for k in range(j):
            hessian[j, :, k] = hessian[k, :, j].T
    return value, size, gradient, hessian


def finite(point: Point) -> bool:
    """Whether everything that was summed is a number."""
    return math.isfinite(point.value) and bool(
        torch.isfinite(point.gradient).all() and torch.isfinite(point.hessian).all()
    )


def newton(
    family: Family, design: Design, start: Tensor, max_iter: int = 100, tolerance: float = CONVERGED_PUSH
) -> Fit:
    """The maximum nearest uphill of `start` (p, m). Raises NotConvergedError, and DataError for dependent columns."""
    point = _first(family, design, start)
    if family.likelihood.squares:
        return _least_squares(family, design, point, tolerance)
    last, rank_checked = math.inf, cache(lambda: check_rank(design))
    for iteration in range(1, max_iter + 1):
        root = _root(family, design, point, rank_checked)
        if root is None:
            point = _bent_upwards(family, design, point)
            continue
        push, step = _step(root, point)
        if not math.isfinite(push):
            raise _failure(family, iteration, push, -point.value, "the curvature vanished along some direction")
        late = iteration > max_iter // 2
        if push <= tolerance or _at_rounding(family, point, push, last, late):
            return Fit(point.beta + step, point, push, iteration)
        near = push < NEAR_MAXIMUM or iteration >= PATIENCE
        kind = "observed" if near or family.likelihood.robust else "expected"
        point, last = _downhill(family, design, point, step, kind, push, iteration), push
    raise _failure(family, max_iter, last, -point.value, f"max_iter={max_iter} iterations are over; allow more")


def _first(family: Family, design: Design, start: Tensor) -> Point:
    """The point to start from; DataError where its sums are not finite."""
    kind, damping = ("observed", 1.0) if family.likelihood.robust else ("expected", 0.0)
    point = evaluate(family, design, start, kind, damping)
    if not finite(point):
        raise DataError(_too_large(family, design, point))
    return point


def _root(family: Family, design: Design, point: Point, rank_checked: Callable[[], None]) -> Tensor | None:
    """Of the curvature; None where it is not positive. `rank_checked` is asked before the rows are gone through for it."""
    root = cholesky_root(point.hessian)
    if root is not None:
        return root
    rank_checked()
    return qr_root(family, design, point.beta, point.kind, point.damping)


def _bent_upwards(family: Family, design: Design, point: Point) -> Point:
    """The same point where observed curvature is not positive: expected curvature always is, or damped enough."""
    damped = "observed", min(MOST_MAJORANTS, 100 * point.damping)
    kind, damping = damped if family.likelihood.robust else ("expected", 0.0)
    return evaluate(family, design, point.beta, kind, damping)


def _at_rounding(family: Family, point: Point, push: float, last: float, late: bool) -> bool:
    """Whether the gradient is the rounding of the sums: quadratic convergence would have halved λ until there, and `late`, after
    half of the iterations, one that is damped would be near."""
    if late and push <= ROUNDED_PUSH:
        return push**2 <= 64 * EPS * point.size
    quadratic = family.likelihood.canonical or (point.kind == "observed" and point.damping < LITTLE_DAMPING)
    return push**2 <= 64 * EPS * point.size and push > last / 2 and quadratic


def _least_squares(family: Family, design: Design, point: Point, tolerance: float) -> Fit:
    """The normal's maximum: a step, and more of them to take off its rounding while they still halve the gradient."""
    last, iteration, root = math.inf, 1, cholesky_root(point.hessian)
    if root is None:
        check_rank(design)
    while True:
        if root is None:
            length, step = residual_step(design, point.beta)
            push = length / math.sqrt(family.dispersion)
        else:
            push, step = _step(root, point)
        if push <= tolerance or push > last / 2:
            return Fit(point.beta + step, point, push, iteration)
        point, last, iteration = evaluate(family, design, point.beta + step, "expected"), push, iteration + 1


def _too_large(family: Family, design: Design, point: Point) -> str:
    """Which numbers are at fault where the sums are not finite: targets whose own likelihood is not, else the features."""
    for rows, x in design.chunks():
        eta, y = design.raw(rows, x, point.beta), design.y[rows]
        parts = curvature.rows(family.likelihood, eta, y, point.kind, point.damping)
        alone = torch.cat([part.reshape(len(y), -1) for part in parts], dim=1)
        if bool((torch.isfinite(eta).all(dim=1) & ~torch.isfinite(alone).all(dim=1)).any()):
            low, high = float(design.y.min()), float(design.y.max())
            return f"y: from {low:g} to {high:g}: {family.name} overflows in float64 there; rescale, or leave out the extremes"
    return "x: numbers too large to square and add up in float64; rescale the features"


def _step(root: Tensor, point: Point) -> tuple[float, Tensor]:
    """(λ, Newton's step (p, m)) from the root of the curvature."""
    pushed = torch.linalg.solve_triangular(root.T, point.gradient[:, None], upper=False)
    step = -torch.linalg.solve_triangular(root, pushed, upper=True)
    return float(pushed.norm()), step.reshape(point.beta.shape[1], -1).T


def _downhill(
    family: Family, design: Design, point: Point, step: Tensor, kind: str, push: float, iteration: int
) -> Point:
    """The first of step, step/2, step/4 … where the nll is lower, up to the rounding of its sum."""
    for halving in range(HALVINGS):
        damping = min(MOST_MAJORANTS, point.damping * (10 if halving else 0.1))
        trial = evaluate(family, design, point.beta + step * 0.5**halving, kind, damping)
        if finite(trial) and trial.value <= point.value + 64 * EPS * point.size:
            return trial
    raise _failure(family, iteration, push, -point.value, "no step along Newton's direction raises the log-likelihood")


def _failure(family: Family, iterations: int, push: float, reached: float, why: str) -> NotConvergedError:
    return NotConvergedError(
        f"{family.name}: no maximum after {iterations} iterations: {why}."
        f" The gradient was still {push:.3g} standard errors long (converged: {CONVERGED_PUSH:g})",
        reached,
    )
