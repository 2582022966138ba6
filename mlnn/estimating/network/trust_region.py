"""Levenberg-Marquardt steps in a trust region with variable scaling (Moré 1978), on the expected curvature of any likelihood.

The model of a step is the gradient and BᵀB, B the root of each row's curvature in its raw outputs times their derivatives: of
least squares that is Gauss and Newton's, of other likelihoods Fisher's scoring. It bends upwards everywhere, needs no second
derivatives of the model, and B is never squared, so that steps keep their digits where parameters are all but exchangeable.
Every parameter is measured by the longest column of B that it has had, and the first region is as wide as the start is large:
steps are bold, and a step that ends where the likelihood is not finite is one too long. Valleys of nonlinear models are curved:
a second evaluation along the step tells how, and the step that follows the curve (Transtrum and Sethna 2012) is taken where it
ends lower than the straight one (NIST's Bennett5: 45 steps for 740).

The library's least squares (MINPACK, in scipy) take the straight steps, as many as these without the curve, of sums of squares.
"""

import math
from dataclasses import dataclass, replace

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
HALVINGS = 60
"""Of the logarithm of the damping between its bounds, which a dozen as a rule settle."""
LEAST_RADIUS = 1e-15
"""Of the parameters' own length: a region that holds no other numbers."""
ALONG = 0.1
"""How far along a step the outputs are asked for their second derivative: of the error, rounding over its square is 1e-14."""
TURN = 0.75
"""Twice the turn over the step: beyond it the curve is not one that a second derivative describes (Transtrum and Sethna)."""
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
class Linear:
    """A problem around parameters (p,): free raw outputs (n, m), their derivatives (n, m, p), the rows' gradients (n, p).

    bend (n, m, m): square roots of the curvatures of the rows' nll in their outputs, expected, weighted.
    """

    outputs: Tensor
    jacobian: Tensor
    rows: Tensor
    bend: Tensor

    @property
    def root(self) -> Tensor:
        """B (n m, p): BᵀB is the expected information of the parameters, of a normal's at σ = 1."""
        return (self.bend @ self.jacobian).reshape(-1, self.jacobian.shape[2])


@dataclass(frozen=True)
class _Bowl:
    """The model of the value around a point, along its axes, lengths in the region's measure; BᵀB is diagonal there."""

    linear: Linear
    unit: Tensor
    axes: Tensor
    along: Tensor
    spectrum: Tensor
    columns: Tensor

    def damping(self, radius: float) -> float:
        """What holds the step to the lowest point back within the radius; 0 where it lies within."""
        if self._length(0.0) <= (1 + TIGHT) * radius:
            return 0.0
        high = low = float(self.along.norm()) / radius
        while self._length(low) < radius:  # undamped it is longer
            low /= 100
        middle = high
        for _ in range(HALVINGS):
            middle = math.sqrt(low) * math.sqrt(high)
            length = self._length(middle)
            if abs(length - radius) <= TIGHT * radius:
                break
            low, high = (middle, high) if length > radius else (low, middle)
        return middle

    def step(self, damping: float) -> Tensor:
        """Along the axes."""
        return -self.along / (self.spectrum + damping)

    def turn(self, problem: Problem, theta: Tensor, step: Tensor, damping: float) -> Tensor | None:
        """What the curve of the outputs along a step adds to it; None where it turns too sharply to be followed."""
        moved = self.parameters(step)
        with torch.no_grad():
            off = problem.free(theta + ALONG * moved) - self.linear.outputs
        bent = 2 / ALONG * (off / ALONG - self.linear.jacobian @ moved)
        turn = -0.5 * (self.columns.T @ (self.linear.bend @ bent[:, :, None]).reshape(-1)) / (self.spectrum + damping)
        return turn if 2 * float(turn.norm()) <= TURN * float(step.norm()) else None

    def parameters(self, step: Tensor) -> Tensor:
        """A step along the axes in the parameters."""
        return (self.axes.T @ step) / self.unit

    def slope(self, step: Tensor) -> float:
        """Of the value along the step."""
        return float(self.along @ step)

    def gain(self, step: Tensor) -> float:
        """What the step is to gain."""
        return -self.slope(step) - 0.5 * float((self.spectrum * step**2).sum())

    def _length(self, damping: float) -> float:
        return float(self.step(damping).norm())


def begin(problem: Problem, theta: Tensor) -> Region:
    """A region around a start (p,)."""
    return Region(theta, problem.value(theta), torch.zeros_like(theta))


def approach(problem: Problem, region: Region, most: int) -> Region:
    """At most `most` steps downhill; it may be called again with what it gives. A start that is not finite stays as it is."""
    for _ in range(most):
        if region.done or not math.isfinite(region.value):
            break
        problem.stepped()
        region = _stepped(problem, region)
    return region


def linear_at(problem: Problem, theta: Tensor) -> Linear:
    """The problem around parameters (p,)."""
    outputs, jacobian = problem.free(theta).detach(), problem.jacobian(theta)
    if problem.normal:
        slope, bend = outputs - problem.y[:, None], torch.ones(len(outputs), 1, 1, dtype=torch.float64)
    else:
        _, slope, bend = curvature.rows(problem.family.likelihood, outputs, problem.y, "expected")
    slope, bend = slope * problem.weights[:, None], bend * problem.weights[:, None, None]
    return Linear(outputs, jacobian, torch.einsum("nm,nmp->np", slope, jacobian), curvature.root(bend))


def _stepped(problem: Problem, region: Region) -> Region:
    """One step, or the region as it is, done, where there is none."""
    linear = linear_at(problem, region.theta)
    gradient, terms, root = linear.rows.sum(0), linear.rows.abs().sum(0), linear.root
    if not bool(torch.isfinite(root).all() and torch.isfinite(terms).all()):
        return replace(region, done=True)
    if float((gradient.abs() / torch.where(terms > 0, terms, 1)).max()) <= STILL:
        return replace(region, done=True)
    region = replace(region, scale=torch.maximum(region.scale, root.norm(dim=0)))
    unit = torch.where(region.scale > 0, region.scale, 1)
    left, singular, axes = torch.linalg.svd(root / unit, full_matrices=False)
    spectrum = (singular**2).clamp(min=max(float(singular[0]) ** 2 * EPS**2, torch.finfo(torch.float64).tiny))
    if math.isinf(region.radius):
        region = replace(region, radius=float((unit * region.theta).norm()) or 1.0)
    return _lower(problem, region, _Bowl(linear, unit, axes, axes @ (gradient / unit), spectrum, left * singular))


def _lower(problem: Problem, region: Region, bowl: _Bowl) -> Region:
    """The region moved along the first of ever shorter steps that gains what it should."""
    least = LEAST_RADIUS * float((bowl.unit * region.theta).norm())
    radius, lost = region.radius, region.lost
    while radius > least:
        damping = bowl.damping(radius)
        step = bowl.step(damping)
        foretold, length = bowl.gain(step), float(step.norm())
        there, value = _best(problem, region, bowl, step, damping)
        gained = region.value - value
        lost += not math.isfinite(value)
        share = gained / foretold if foretold > 0 and math.isfinite(gained) else -math.inf
        if share < POOR:
            radius = _shrunk(bowl.slope(step), gained) * min(radius, 10 * length)
        elif share >= GOOD or not damping:
            radius = 2 * length
        tiny = foretold <= ENOUGH * abs(region.value) and abs(gained) <= ENOUGH * abs(region.value)
        if share >= TAKEN:
            return replace(region, theta=there, value=value, radius=radius, done=tiny, lost=lost)
        if tiny or not foretold > 0:
            break
    return replace(region, radius=radius, done=True, lost=lost)


def _best(problem: Problem, region: Region, bowl: _Bowl, step: Tensor, damping: float) -> tuple[Tensor, float]:
    """Where a step ends, straight or along the curve, whichever is lower, and the value there."""
    straight = region.theta + bowl.parameters(step)
    value = problem.value(straight)
    turn = bowl.turn(problem, region.theta, step, damping)
    if turn is None:
        return straight, value
    curved = region.theta + bowl.parameters(step + turn)
    other = problem.value(curved)
    return (curved, other) if other < value else (straight, value)


def _shrunk(slope: float, gained: float) -> float:
    """By how much a region shrinks: to the lowest point of the parabola through what was seen of the step, within bounds."""
    if not math.isfinite(gained):
        return 0.1
    if gained >= 0:
        return 0.5
    return max(0.1, 0.5 * slope / (slope + gained))  # no more than half, for the slope is downhill
