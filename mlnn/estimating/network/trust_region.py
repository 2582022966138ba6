"""Levenberg-Marquardt steps in a trust region with variable scaling (Moré 1978), on the expected curvature of any likelihood.

The model of a step is the gradient and BᵀB, B the root of each row's curvature in its raw outputs times their derivatives: of
least squares that is Gauss and Newton's, of other likelihoods Fisher's scoring. It bends upwards everywhere, needs no second
derivatives of the model, and B is never squared, so that steps keep their digits where parameters are all but exchangeable.
Every parameter is measured by the longest column of B that it has had, and the first region is as wide as the start is large:
steps are bold, and a step that ends where the likelihood is not finite is one too long.

The library's least squares (MINPACK, in scipy) take as many steps as these on NIST's sets, and know sums of squares only.
"""

import math
from dataclasses import dataclass, replace

import scipy
import torch
from torch import Tensor

from mlnn.estimating.network import curvature
from mlnn.estimating.network.problem import Problem

ENOUGH = 1e-12
"""Of the value: a step that gains no more, and was to gain no more, is the last; Newton's take over."""
STILL = 1e-13
"""Largest |Σ_i s_ij| / Σ_i |s_ij|, s the rows' gradients, with nothing left to gain."""
GOOD, POOR, TAKEN = 0.75, 0.25, 1e-4
"""Gain over the gain that was foretold: from where the region doubles, below where it shrinks, from where a step is taken."""
TIGHT = 0.1
"""How well a step's length must meet the region's radius."""
LEAST_RADIUS = 1e-15
"""Of the parameters' own length: a region that holds no other numbers."""
EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Region:
    """Where steps stand: parameters (p,) and the value there, what they are measured by (p,), and the radius in that measure.

    done: there is nothing more to gain. lost: how many steps ended where the value is not finite.
    """

    theta: Tensor
    value: float
    scale: Tensor
    radius: float = math.inf
    done: bool = False
    lost: int = 0


@dataclass(frozen=True)
class _Bowl:
    """The model of the value around a point, along its axes, lengths in the region's measure."""

    axes: Tensor
    along: Tensor
    spectrum: Tensor

    def step(self, radius: float) -> tuple[Tensor, bool]:
        """The step along the axes to the lowest point within the radius, and whether the radius holds it back."""
        if self._length(0.0) <= (1 + TIGHT) * radius:
            return -self.along / self.spectrum, False
        high = float(self.along.norm()) / radius
        low = high
        while low > EPS**2 * high and self._length(low) < radius:
            low /= 100
        found = math.log(low)
        if self._length(low) > radius:
            found = scipy.optimize.brentq(
                lambda log: math.log(self._length(math.exp(log)) / radius), math.log(low), math.log(high), xtol=TIGHT
            )
        return -self.along / (self.spectrum + math.exp(found)), True

    def _length(self, damping: float) -> float:
        return float((self.along / (self.spectrum + damping)).norm())

    def slope(self, step: Tensor) -> float:
        return float(self.along @ step)

    def gain(self, step: Tensor) -> float:
        """What the step is to gain."""
        return -self.slope(step) - 0.5 * float((self.spectrum * step**2).sum())


def begin(problem: Problem, theta: Tensor) -> Region:
    """A region around a start (p,)."""
    return Region(theta, problem.value(theta), torch.zeros_like(theta))


def approach(problem: Problem, region: Region, most: int) -> Region:
    """At most `most` steps downhill; it may be called again with what it gives. A start that is not finite stays as it is."""
    for _ in range(most):
        if region.done or not math.isfinite(region.value):
            break
        region = _stepped(problem, region)
    return region


def root(problem: Problem, theta: Tensor) -> tuple[Tensor, Tensor]:
    """(B (n m, p), the rows' gradients (n, p)): BᵀB is the expected information of the parameters, of a normal's at σ = 1."""
    eta, jacobian = problem.free(theta).detach(), problem.jacobian(theta)
    if problem.normal:
        slope, bend = eta - problem.y[:, None], torch.ones(len(eta), 1, 1, dtype=torch.float64)
    else:
        _, slope, bend = curvature.rows(problem.family.likelihood, eta, problem.y, "expected")
    slope, bend = slope * problem.weights[:, None], bend * problem.weights[:, None, None]
    return (_root(bend) @ jacobian).reshape(-1, len(theta)), torch.einsum("nm,nmp->np", slope, jacobian)


def _root(bend: Tensor) -> Tensor:
    """Symmetric square roots of matrices (n, m, m) that are not negative but for rounding."""
    if bend.shape[1] == 1:
        return bend.clamp(min=0).sqrt()
    values: Tensor
    axes: Tensor
    values, axes = torch.linalg.eigh(bend)
    return (axes * values.clamp(min=0).sqrt()[:, None, :]) @ axes.mT


def _stepped(problem: Problem, region: Region) -> Region:
    """One step, or the region as it is, done, where there is none."""
    b, rows = root(problem, region.theta)
    gradient, terms = rows.sum(0), rows.abs().sum(0)
    if not bool(torch.isfinite(b).all() and torch.isfinite(terms).all()):
        return replace(region, done=True)
    if float((gradient.abs() / torch.where(terms > 0, terms, 1)).max()) <= STILL:
        return replace(region, done=True)
    scale = torch.maximum(region.scale, b.norm(dim=0))
    unit = torch.where(scale > 0, scale, 1)
    _, singular, axes = torch.linalg.svd(b / unit, full_matrices=False)
    spectrum = (singular**2).clamp(min=max(float(singular[0]) ** 2 * EPS**2, 1e-300))
    bowl = _Bowl(axes, axes @ (gradient / unit), spectrum)
    region = replace(region, scale=scale)
    if math.isinf(region.radius):
        region = replace(region, radius=float((unit * region.theta).norm()) or 1.0)
    return _lower(problem, region, bowl, unit)


def _lower(problem: Problem, region: Region, bowl: _Bowl, unit: Tensor) -> Region:
    """The region moved along the first of ever shorter steps that gains what it should."""
    least = LEAST_RADIUS * float((unit * region.theta).norm())
    radius, lost = region.radius, region.lost
    while radius > least:
        step, held = bowl.step(radius)
        foretold, length = bowl.gain(step), float(step.norm())
        there = region.theta + (bowl.axes.T @ step) / unit
        value = problem.value(there)
        gained = region.value - value
        lost += not math.isfinite(value)
        share = gained / foretold if foretold > 0 and math.isfinite(gained) else -math.inf
        if share < POOR:
            radius = _shrunk(bowl.slope(step), gained) * min(radius, 10 * length)
        elif share >= GOOD or not held:
            radius = 2 * length
        tiny = foretold <= ENOUGH * abs(region.value) and abs(gained) <= ENOUGH * abs(region.value)
        if share >= TAKEN:
            return replace(region, theta=there, value=value, radius=radius, done=tiny, lost=lost)
        if tiny or not foretold > 0:
            break
    return replace(region, radius=radius, done=True, lost=lost)


def _shrunk(slope: float, gained: float) -> float:
    """By how much a region shrinks: to the lowest point of the parabola through what was seen of the step, within bounds."""
    if not math.isfinite(gained):
        return 0.1
    if gained >= 0:
        return 0.5
    return min(0.5, max(0.1, 0.5 * slope / (slope + gained)))
