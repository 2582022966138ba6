"""Newton steps with Levenberg-Marquardt damping, in units of each parameter's own curvature."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.estimating.network.problem import Problem

CONVERGED = 1e-12  # largest |Σ_i s_ij| / Σ_i |s_ij| of a maximum, s the rows' gradients
GOOD_ENOUGH = 1e-9  # the same where rounding ends the steps before
NEARLY = (
    1e-6  # the same where, besides, one more step on positive curvature would gain no more than `GAIN` of the value
)
GAIN = 1e-12
STEPS = 200
EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class End:
    """Where steps ended, how large the gradient still is beside its terms, and whether that is a stationary point."""

    theta: Tensor
    gradient: float
    value: float
    converged: bool


def descend(problem: Problem, theta: Tensor, most: int = STEPS) -> End:
    """Downhill from `theta` (p,), at most `most` steps."""
    value, damping, unit_ = problem.value(theta), 1e-3, torch.zeros_like(theta)
    gradient, relative = _gradient(problem, theta)
    before, gain, stuck = math.inf, math.inf, False
    for _ in range(most):
        # Steps go on below CONVERGED while they still gain a digit: params are then as good as rounding lets them be.
        if not math.isfinite(relative) or before / 10 < relative <= CONVERGED:
            break
        curvature = problem.hessian(theta)
        unit_ = torch.maximum(unit_, unit(curvature))
        # |eigenvalues|: a saddle is left downhill, where a plain Newton step would walk into it.
        spectrum, axes = torch.linalg.eigh(curvature / unit_ / unit_[:, None])
        along = axes.T @ (gradient / unit_)
        gain = float((along**2 / spectrum).sum()) / 2 if bool(spectrum[0] > EPS * spectrum[-1]) else math.inf
        spectrum = spectrum.abs()
        while damping < 1e12:
            there = theta - axes @ (along / (spectrum + damping * spectrum.max())) / unit_
            new_value = problem.value(there)
            if new_value <= value + 4 * EPS * abs(value):
                new_gradient, new_relative = _gradient(problem, there)
                if new_value < value or new_relative < relative:  # at the end values are equal and gradients are not
                    break
            damping *= 10
        else:
            stuck = True
            break
        theta, value, gradient, before, relative = there, new_value, new_gradient, relative, new_relative
        damping = max(damping / 10, 1e-12)
    still = relative <= GOOD_ENOUGH or (stuck and relative <= NEARLY and gain <= GAIN * abs(value))
    return End(theta, relative, value, still)


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
