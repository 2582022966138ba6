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
MANY = 2**15
"""Rows from which a pass that changes no digit told is spared."""
SETTLED_PUSH, SETTLED = 1e-6, 1e-9
"""λ, and the relative change of the curvature along any direction that the next step still makes: the covariance then keeps nine
digits, the log-likelihood λ²/2 nats, and the coefficients after that step all that a sum over the rows holds."""


class NotConvergedError(MlnnError):
    """The maximum was not reached. `reached`: the highest log-likelihood that was, NaN if none."""

    exit_code = 4

    def __init__(self, message: str, reached: float = math.nan) -> None:
        super().__init__(message)
        self.reached = reached


@dataclass(frozen=True)
class Point:
    """Coefficients (p, m) and, summed over the rows there: nll, gradient and curvature, output after output.

    size: Σ of the magnitudes that a row's nll is the sum of, which its rounding is relative to. pull: the least gradient and
    the largest curvature of the rows whose target grows likelier without end, of one raw output; (inf, 0) if there are none,
    None where it was not asked.
    """

    beta: Tensor
    kind: str
    value: float
    size: float
    gradient: Tensor
    hessian: Tensor
    damping: float = 0.0
    pull: tuple[float, float] | None = None


@dataclass(frozen=True)
class Fit:
    """A maximum: coefficients (p, m) after the polishing step, and the last point that was evaluated, `push` from it."""

    beta: Tensor
    point: Point
    push: float
    iterations: int


def evaluate(family: Family, design: Design, beta: Tensor, kind: str, damping: float = 0.0, bent: bool = True) -> Point:
    """One pass over all rows at `beta` (p, m). bent: whether curvature is wanted, which is half of the work; 0 if not."""
    parts = share(design, lambda part: _sums(family, part, beta, kind, damping, bent))
    values, sizes, gradients, hessians, pulls = zip(*parts, strict=True)
    pull = None if None in pulls else (min(one[0] for one in pulls), max(one[1] for one in pulls))
    gradient, hessian = torch.stack(gradients).sum(dim=0), torch.stack(hessians).sum(dim=0)
    hessian = hessian.reshape(beta.numel(), beta.numel())
    hessian = (hessian + hessian.T) / 2
    return Point(beta, kind, sum(values), sum(sizes), gradient.T.reshape(-1), hessian, damping, pull)


def _sums(
    family: Family, design: Design, beta: Tensor, kind: str, damping: float, bent: bool
) -> tuple[float, float, Tensor, Tensor, tuple[float, float] | None]:
    """(nll, size, gradient (p, m), curvature (m, p, m, p)) summed over the rows, chunk by chunk, and their `pull`."""
    p, m = beta.shape
    value = size = 0.0
    gradient = torch.zeros(p, m, dtype=torch.float64)
    hessian = torch.zeros(m, p, m, p, dtype=torch.float64)
    times = torch.empty(0, p, dtype=torch.float64)
    asked = bent and not damping and m == 1 and family.space.separable and not family.space.classes
    pull = (math.inf, 0.0) if asked else None
    for rows, x in design.chunks():
        eta = design.raw(rows, x, beta)
        found = curvature.rows(family.likelihood, eta, design.y[rows], kind, damping)
        nll, slope, bend = (design.weigh(rows, part) for part in found)
        value += float(nll.sum())
        size += float(nll.abs().sum())
        if family.space.kind == "counts":  # μ − y f + log y! is small where its parts, of a large count, are not
            size += float(design.weigh(rows, design.y[rows] * eta[:, 0].abs()).sum())
        gradient.addmm_(x.T, slope)
        if not bent:
            continue
        if pull is not None:
            pull = _pull(pull, family.space.extreme(design.y[rows]), found[1][:, 0], found[2][:, 0, 0])
        times = times[: len(x)] if len(times) else torch.empty_like(x)  # the first chunk is the largest
        for j in range(m):
            for k in range(j, m):
                hessian[j, :, k].addmm_(x.T, torch.mul(x, bend[:, j, k, None], out=times))
    for j in range(m):
        for k in range(j):
            hessian[j, :, k] = hessian[k, :, j].T
    return value, size, gradient, hessian, pull


def _pull(so_far: tuple[float, float], runs: Tensor, slope: Tensor, bend: Tensor) -> tuple[float, float]:
    """With rows of these gradients and curvatures, (n,) each, where they run."""
    if not bool(runs.all()):
        slope, bend = slope[runs], bend[runs]
    if not len(slope):
        return so_far
    return min(so_far[0], float(slope.abs().min())), max(so_far[1], float(bend.max()))


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
    last, before, rank_checked = math.inf, point, cache(lambda: check_rank(design))
    for iteration in range(1, max_iter + 1):
        root = _root(family, design, point, rank_checked)
        if root is None:
            point = _bent_upwards(family, design, point)
            continue
        push, step = _step(root, point)
        if not math.isfinite(push):
            raise _failure(family, iteration, push, -point.value, "the curvature vanished along some direction")
        late = iteration > max_iter // 2
        many = len(design.y) >= MANY
        rate = _rate(root, before, point, last) if many else math.inf
        settled = push <= SETTLED_PUSH and rate * push <= SETTLED
        if push <= tolerance or settled or _at_rounding(family, point, push, last, late):
            return Fit(point.beta + step, point, push, iteration)
        near = push < NEAR_MAXIMUM or iteration >= PATIENCE
        kind = "observed" if near or family.likelihood.robust else "expected"
        # A plain step leaves λ = rate λ², after which the curvature still moves by rate λ.
        corrected = None
        if many and family.likelihood.canonical and not (rate * push) ** 2 <= SETTLED:
            corrected = _corrected(family, design, point, root, step)
        before, last = point, push
        point = corrected or _downhill(family, design, point, step, kind, push, iteration)
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


def _corrected(family: Family, design: Design, point: Point, root: Tensor, step: Tensor) -> Point | None:
    """The point after a Newton step and a second one by the same curvature (Shamanskii 1967), None where one goes not down.

    The second costs half a pass and makes convergence cubic.
    """
    between = evaluate(family, design, point.beta + step, point.kind, bent=False)
    allowed = point.value + 64 * EPS * point.size
    if not finite(between) or between.value > allowed:
        return None
    trial = evaluate(family, design, between.beta + _step(root, between)[1], point.kind)
    return trial if finite(trial) and trial.value <= allowed else None


def onwards(family: Family, design: Design, sample: Design, fit: Fit) -> Tensor:
    """Coefficients (p, m) a step on from a sample's maximum: the gradient of all rows by the sample's curvature, scaled up."""
    root = cholesky_root(fit.point.hessian * (design.nobs / sample.nobs))
    if root is None or not family.likelihood.canonical or len(design.y) < MANY:
        return fit.beta
    here = evaluate(family, design, fit.beta, fit.point.kind, bent=False)
    return fit.beta + _step(root, here)[1] if finite(here) else fit.beta


def _rate(root: Tensor, before: Point, point: Point, last: float) -> float:
    """By how much the curvature moves, relative to itself along any direction, for each unit of λ; infinite if not yet known.

    root: of the curvature at `point`; last: λ at the point before.
    """
    if not math.isfinite(last) or before.damping or point.damping:
        return math.inf
    half = torch.linalg.solve_triangular(root.T, point.hessian - before.hessian, upper=False)
    return float(torch.linalg.solve_triangular(root.T, half.T, upper=False).norm()) / last


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
