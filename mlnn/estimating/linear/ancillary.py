"""The number of a likelihood that is estimated with the coefficients: σ, shape, θ, precision.

The score in t = log(number) is a sixth-order central difference of the summed nll, and its root is taken along the profile
(the coefficients refitted at every t where they depend on it). The same differences give the cross and corner terms of the
joint information, so that standard errors of the coefficients count what estimating the number costs them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import scipy
import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.least_squares import EPS
from mlnn.estimating.linear.newton import Fit, newton
from mlnn.estimating.linear.sharing import share
from mlnn.estimating.network import curvature

STEP = 0.02
"""In t: truncation about STEP⁶/140, rounding eps/STEP² for the second derivative, both below 1e-11."""
FIRST = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
"""Fornberg (1988)."""
SECOND = ((0, -49 / 18), (1, 3 / 2), (2, -3 / 20), (3, 1 / 90))
FARTHEST = 16.0
"""Of |t|: a number beyond e^±16 is a limit, not an estimate."""


class NoNumberError(DataError):
    """The free number has no finite maximum."""


@dataclass(frozen=True)
class Border:
    """What the free number adds to the information of the coefficients, in t = log(number), output after output."""

    cross: Tensor  # (p m,)
    corner: float


def maximise(family: Family, design: Design, start: Tensor, max_iter: int) -> tuple[Family, Fit]:
    """The maximum over the coefficients, from `start` (p, m), and over the free number if there is one.

    Raises DataError where the number has no finite maximum, and what `newton` raises.
    """
    fit = newton(family, design, start, max_iter)
    if family.free is None:
        return family, fit
    if family.likelihood.squares:
        family = family.at(_root_mean_square(design, fit.beta))
    elif family.likelihood.separate:
        eta = linear(design, fit.beta)
        family = root_of(family, lambda trial: score(trial, design, eta))
    else:
        warm = fit.beta

        def profile(trial: Family) -> float:
            nonlocal warm
            warm = newton(trial, design, warm, max_iter).beta
            return score(trial, design, linear(design, warm))

        family = root_of(family, profile)
        fit = Fit(warm, fit.point, fit.push, fit.iterations)
    last = newton(family, design, fit.beta, max_iter)
    return family, Fit(last.beta, last.point, last.push, fit.iterations + last.iterations)


def linear(design: Design, beta: Tensor) -> Tensor:
    """Free raw outputs (n, m) of all rows at coefficients `beta` (p, m)."""
    parts = share(design, lambda part: torch.cat([part.raw(rows, x, beta) for rows, x in part.chunks()]))
    return torch.cat(parts)


def border(family: Family, design: Design, beta: Tensor, kind: str) -> Border:
    """Cross and corner terms of the joint information at the maximum `beta` (p, m), "expected" or "observed"."""
    cross = torch.zeros_like(beta)
    for rows, x in design.chunks():
        eta = design.raw(rows, x, beta)
        targets = [design.y[rows]] if kind == "observed" else curvature.typical(family.likelihood, eta)
        for y in targets:
            cross += x.T @ design.weigh(rows, difference(family, gradient_at(eta, y))) / len(targets)
    return Border(cross.T.reshape(-1), corner(family, design, linear(design, beta)))


def corner(family: Family, design: Design, eta: Tensor) -> float:
    """Second derivative of the summed nll in t at free raw outputs eta (n, m)."""
    sums = {0: total(family, design, eta)} | {k: total(_moved(family, k), design, eta) for k in _steps(SECOND)}
    bend = sum(weight * (sums[k] + sums[-k]) / (2 if k == 0 else 1) for k, weight in SECOND)
    return float(bend) / STEP**2


def row_scores(family: Family, eta: Tensor, y: Tensor) -> Tensor:
    """Derivative of each row's nll in t; (n, m), (n,) to (n,)."""
    return difference(family, lambda moved: curvature.nll(moved.likelihood, eta, y))


def gradient_at(eta: Tensor, y: Tensor) -> Callable[[Family], Tensor]:
    """The gradient in the raw outputs as a function of the family."""
    return lambda moved: curvature.gradient(moved.likelihood, eta, y)


def root_of(family: Family, slope: Callable[[Family], float]) -> Family:
    """The family at the number where the score `slope` is 0: bracketed from where it stands, then Brent's method."""
    assert family.free is not None
    start = math.log(family.numbers[family.free])

    def at(t: float) -> float:
        return slope(family.at(math.exp(t)))

    low = high = start
    falls = at(start) > 0  # the nll rises with t: the maximum lies below
    while (at(low) > 0) if falls else (at(high) < 0):
        low, high = (low - 1, low) if falls else (high, high + 1)
        if abs(low if falls else high) > FARTHEST:
            raise NoNumberError(runs_away(family, falls))
    root = low if low == high else scipy.optimize.brentq(at, low, high, xtol=1e-13, rtol=1e-13)
    return family.at(math.exp(root))


def runs_away(family: Family, down: bool) -> str:
    """What to say of the free number that has no finite maximum."""
    told = family.likelihood.no_number(down)
    if told is not None:
        return f"{family.name}: {family.free} has no finite maximum: {told}"
    where = "0" if down else "infinity"
    return (
        f"{family.name}: {family.free} has no finite maximum, it runs to {where}; are some rows met exactly? Give the"
        f" number: {family.likelihood.name}({family.free}=…)"
    )


def _root_mean_square(design: Design, beta: Tensor) -> float:
    residual = design.y - linear(design, beta)[:, 0]
    rows = slice(0, len(residual))
    sigma = math.sqrt(float(design.weigh(rows, residual**2).sum()) / design.nobs)
    rounding = EPS * float(design.y.abs().max())
    if sigma == rounding == 0:
        raise DataError(
            "normal: every y is 0 and met exactly, so the likelihood grows without bound as σ goes to 0; fix it:"
            " Normal(sigma=…)"
        )
    return max(sigma, rounding)


def score(family: Family, design: Design, eta: Tensor) -> float:
    """Derivative of the summed nll in t at free raw outputs eta (n, m)."""
    sums = {k: total(_moved(family, k), design, eta) for k in _steps(FIRST)}
    return sum(weight * (sums[k] - sums[-k]) for k, weight in FIRST) / STEP


def total(family: Family, design: Design, eta: Tensor) -> float:
    """The summed nll at free raw outputs eta (n, m)."""
    value = curvature.nll(family.likelihood, eta, design.y)
    return float(design.weigh(slice(0, len(value)), value).sum())


def difference(family: Family, function: Callable[[Family], Tensor]) -> Tensor:
    """Derivative in t of a function of the family."""
    parts = [weight * (function(_moved(family, k)) - function(_moved(family, -k))) for k, weight in FIRST]
    return sum(parts[1:], parts[0]) / STEP


def _moved(family: Family, steps: int) -> Family:
    assert family.free is not None
    return family.at(family.numbers[family.free] * math.exp(steps * STEP))


def _steps(stencil: tuple[tuple[int, float], ...]) -> list[int]:
    return [sign * k for k, _weight in stencil if k for sign in (1, -1)]
