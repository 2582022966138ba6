"""Newton steps with Levenberg-Marquardt damping, in units of each parameter's own curvature."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.estimating.network.problem import Problem
from mlnn.estimating.network.trust_region import Region

CONVERGED = 1e-12
"""Largest |Σ_i s_ij| / Σ_i |s_ij| of a maximum, s the rows' gradients."""
GOOD_ENOUGH = 1e-9
"""The same where rounding ends the steps before."""
NEARLY = 1e-6
"""The same where, besides, one more step on positive curvature would gain no more than `GAIN` of the value."""
GAIN = 1e-12
MOST_STEPS = 200
"""Most steps of one descent: what has a maximum near takes ten or twenty."""
LEAST_DAMPING, FIRST_DAMPING, MOST_DAMPING = 1e-12, 1e-3, 1e12
"""Of the largest curvature: from nothing but Newton's step to one that no longer moves."""
EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class End:
    """Where steps ended, how large the gradient still is beside its terms, and whether that is a stationary point.

    region: the trust region that led there, from which more steps can go on.
    """

    theta: Tensor
    gradient: float
    value: float
    converged: bool
    region: Region | None = None


@dataclass(frozen=True)
class _Point:
    """Parameters, the value there, its gradient, and how large that is beside its terms."""

    theta: Tensor
    value: float
    gradient: Tensor
    relative: float


@dataclass(frozen=True)
class _Model:
    """The parabola at a point: its axes, their |curvature| and the slope along them, in units of the parameters' own."""

    unit: Tensor
    axes: Tensor
    spectrum: Tensor
    along: Tensor
    gain: float

    def step(self, damping: float) -> Tensor:
        """Downhill, the shorter the larger the damping."""
        return self.axes @ (self.along / (self.spectrum + damping * self.spectrum.max())) / self.unit


def descend(problem: Problem, theta: Tensor, most: int = MOST_STEPS) -> End:
    """Downhill from `theta` (p,), at most `most` steps."""
    at, damping, unit_ = _point(problem, theta, problem.value(theta)), FIRST_DAMPING, torch.zeros_like(theta)
    before, gain, stuck = math.inf, math.inf, False
    for _ in range(most):
        # Steps go on below CONVERGED while they still gain a digit: params are then as good as rounding lets them be.
        if not math.isfinite(at.relative) or before / 10 < at.relative <= CONVERGED:
            break
        problem.stepped()
        curvature = problem.hessian(at.theta)
        unit_ = torch.maximum(unit_, unit(curvature))
        model, blur = _model(curvature, at.gradient, unit_), problem.rounding(at.theta)
        gain = model.gain
        if gain <= max(
            GAIN * abs(at.value), blur
        ):  # only digits of the parameters are left, which damping would withhold
            damping = LEAST_DAMPING
        lower, damping = _lower(problem, at, model, damping, blur)
        if lower is None:
            stuck = True
            break
        at, before, damping = lower, at.relative, max(damping / 10, LEAST_DAMPING)
    still = at.relative <= GOOD_ENOUGH or (stuck and _nothing_left(problem, at, gain))
    return End(at.theta, at.relative, at.value, still)


def _nothing_left(problem: Problem, at: _Point, gain: float) -> bool:
    """Whether what one more step on positive curvature would gain is nothing, or less than rounding of the raw outputs feigns.

    A residual that is off by δ shifts the least squares by as much as is worth at most ½δ².
    """
    if at.relative <= NEARLY and gain <= GAIN * abs(at.value):
        return True
    return problem.normal and gain <= 0.5 * float((problem.weights * (4 * EPS * problem.y) ** 2).sum())


def _model(curvature: Tensor, gradient: Tensor, unit_: Tensor) -> _Model:
    """With |eigenvalues|: a saddle is left downhill, where a plain Newton step would walk into it."""
    spectrum, axes = torch.linalg.eigh(curvature / unit_ / unit_[:, None])
    along = axes.T @ (gradient / unit_)
    gain = float((along**2 / spectrum).sum()) / 2 if bool(spectrum[0] > EPS * spectrum[-1]) else math.inf
    return _Model(unit_, axes, spectrum.abs(), along, gain)


def _lower(problem: Problem, at: _Point, model: _Model, damping: float, blur: float) -> tuple[_Point | None, float]:
    """The first point of ever shorter steps that is lower, and its damping; None where there is none.

    blur: how far apart values may be that are equal but for rounding.
    """
    while damping < MOST_DAMPING:
        there = at.theta - model.step(damping)
        value = problem.value(there)
        if value <= at.value + blur:
            new = _point(problem, there, value)
            if value < at.value - blur or new.relative < at.relative:  # of equal values the gradients tell
                return new, damping
        damping *= 10
    return None, damping


def _point(problem: Problem, theta: Tensor, value: float) -> _Point:
    return _Point(theta, value, *_gradient(problem, theta))


def _gradient(problem: Problem, theta: Tensor) -> tuple[Tensor, float]:
    """The gradient of the sum, and the largest of its entries relative to the terms it is made of; NaN if not finite."""
    rows = problem.slopes(theta)
    total, terms = rows.sum(0), rows.abs().sum(0)
    if not bool(torch.isfinite(terms).all()):
        return total, math.nan
    return total, float((total.abs() / torch.where(terms > 0, terms, 1)).max())


def unit(curvature: Tensor) -> Tensor:
    """Per parameter the root of its own curvature; of the largest where its own is nothing but rounding."""
    diagonal = curvature.diagonal().abs()
    largest = diagonal.max()
    kept = torch.where(diagonal > EPS**2 * largest, diagonal, largest)
    return torch.where(kept > 0, kept, 1).sqrt()
