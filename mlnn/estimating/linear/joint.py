"""The maximum over coefficients of which some are held at 0, and over several numbers of a likelihood, all in one.

Newton's method on the observed information, its eigenvalues' signs dropped, over the free coefficients and t = log(number) of
every free number, of which derivatives are differences as in `ancillary`. Progress is measured in standard errors.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from mlnn.errors import ConfigError, unknown
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.ancillary import (
    FARTHEST,
    FIRST,
    SECOND,
    STEP,
    NoNumberError,
    gradient_at,
    linear,
    row_scores,
    runs_away,
    total,
)
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.inference import unshift, unshifted
from mlnn.estimating.linear.least_squares import EPS, check_rank
from mlnn.estimating.linear.newton import CONVERGED_PUSH, Fit, NotConvergedError, Point, evaluate, finite
from mlnn.estimating.network import curvature

HALVINGS = 25
"""Of a step: after more of them rounding decides."""
RUNNING = 4.0
"""Of t, from where it began: a number that has gone as far and comes to no end runs away, and rounding stopped it."""
FLAT = 1e-13
"""An eigenvalue of the information, beside a unit diagonal, below which a direction tells nothing."""
LONGEST = 2.0
"""Of t, in one step: a factor of 7 in a number."""


@dataclass(frozen=True)
class Joint:
    """A maximum, its coefficients `beta` (p, m) of the shifted columns with those held at 0, and what its covariance is made of.

    information: of the `free` coefficients and of log(number) of every free number. point: as `newton` leaves one.
    """

    family: Family
    design: Design
    beta: Tensor
    point: Point
    free: Tensor
    information: Tensor
    push: float
    iterations: int

    def covariance(self, kind: str) -> np.ndarray:
        """Of the coefficients that the answer tells, output after output, the constant last; 0 where one is held.

        "expected" and "observed": inverse of the observed information, as R's pscl and MASS have it. "robust": the sandwich
        with the rows' scores, no small-sample factor. Raises ConfigError for another kind.
        """
        told = self._told
        found = (told @ self._whole(kind) @ told.T).numpy()
        return np.asarray((found + found.T) / 2)

    def shifted(self, kind: str) -> Tensor:
        """Of all coefficients of the design's shifted columns, held ones among them (p m, p m)."""
        return self._whole(kind)[: self.beta.numel(), : self.beta.numel()]

    def number_errors(self, kind: str) -> dict[str, float]:
        """Standard errors of the free numbers, by the delta method from log(number), and of thresholds."""
        q = len(self.family.frees)
        variances = self._whole(kind).diagonal()[-q:].tolist() if q else []
        numbers = self.family.numbers
        found = {name: numbers[name] * math.sqrt(v) for name, v in zip(self.family.frees, variances, strict=True)}
        return found | {name: error for name, (_value, error) in self.thresholds(kind).items()}

    def thresholds(self, kind: str) -> dict[str, tuple[float, float]]:
        """(value, standard error) of each threshold that stands in place of the constants, by its name k|k+1; {} of most."""
        p, m = self.beta.shape
        constants = unshifted(self.design, self.beta)[-1]
        cuts = self.family.likelihood.cuts(constants)
        if cuts is None:
            return {}
        slope = torch.autograd.functional.jacobian(lambda at: self.family.likelihood.cuts(at), constants)
        at = torch.arange(m) * p + p - 1
        shift = unshift(self.design, m)[at]
        size = self.beta.numel()
        errors = (slope @ shift @ self._whole(kind)[:size, :size] @ shift.T @ slope.T).diagonal().clamp(min=0).sqrt()
        return {
            f"{k}|{k + 1}": (value, error)
            for k, (value, error) in enumerate(zip(cuts.tolist(), errors.tolist(), strict=True))
        }

    @property
    def _told(self) -> Tensor:
        """From the shifted coefficients and numbers (p m + q) to the coefficients told: of thresholds the slopes alone."""
        p, m = self.beta.shape
        whole = unshift(self.design, m)
        rows = whole[: p - 1] if self.family.likelihood.cuts(self.beta[-1]) is not None else whole
        return torch.cat([rows, torch.zeros(len(rows), len(self.family.frees), dtype=torch.float64)], dim=1)

    @cached_property
    def _inverse(self) -> Tensor:
        inverse: Tensor = torch.linalg.inv(self.information)
        return inverse

    def _whole(self, kind: str) -> Tensor:
        """Covariance (p m + q, p m + q) of the shifted coefficients and log numbers, 0 where one is held."""
        if kind not in ("expected", "observed", "robust"):
            raise ConfigError("cov: " + unknown("covariance", str(kind), ("expected", "observed", "robust")))
        inner = self._inverse @ self._scores() @ self._inverse if kind == "robust" else self._inverse
        at = self.free.nonzero()[:, 0]
        whole = torch.zeros(len(self.free), len(self.free), dtype=torch.float64)
        whole[at[:, None], at] = inner
        return whole

    def _scores(self) -> Tensor:
        """Σ w s sᵀ over the rows, s the derivative of a row's nll in everything that is estimated."""
        sums = torch.zeros(len(self.information), len(self.information), dtype=torch.float64)
        for rows, x in self.design.chunks():
            eta, y = self.design.raw(rows, x, self.beta), self.design.y[rows]
            slope = curvature.gradient(self.family.likelihood, eta, y)
            parts = [(slope[:, :, None] * x[:, None, :]).reshape(len(x), -1)]
            parts += [row_scores(replace(self.family, free=name), eta, y)[:, None] for name in self.family.frees]
            score = torch.cat(parts, dim=1)[:, self.free]
            sums += score.T @ self.design.weigh(rows, score)
        return sums


@dataclass(frozen=True)
class _At:
    """Everything at one place: coefficients and t, the sums over the rows there, gradient and information of what is free."""

    family: Family
    beta: Tensor
    t: Tensor
    point: Point
    gradient: Tensor
    information: Tensor


def maximise_jointly(family: Family, design: Design, start: Tensor, max_iter: int) -> Joint:
    """The maximum nearest uphill of `start` (p, m). Raises DataError for dependent columns, NoNumberError where a number runs
    away, NotConvergedError."""
    check_rank(design)
    held = held_at_zero(family, design.width, design.intercept)
    start = torch.where(held, 0.0, start)
    free = torch.cat([~held.T.reshape(-1), torch.ones(len(family.frees), dtype=torch.bool)])
    t = torch.tensor([math.log(family.numbers[name]) for name in family.frees], dtype=torch.float64)
    at, push = _at(family, design, start, t, free), math.inf
    if not _sound(at):
        raise _failure(
            at,
            t,
            0,
            push,
            "the log-likelihood or its derivatives are not finite where it starts; are targets, columns or an offset that large?",
        )
    for iteration in range(1, max_iter + 1):
        last, (step, push, least) = push, _step(at)
        if push <= CONVERGED_PUSH or (push**2 <= 64 * EPS * at.point.size and push > last / 2):
            if least < 0:
                raise _failure(at, t, iteration, push, "the point that was reached is a saddle")
            return Joint(at.family, design, at.beta, at.point, free, at.information, push, iteration)
        lower = _downhill(design, at, step, free)
        if lower is None:
            raise _failure(at, t, iteration, push, "no step along Newton's direction raises the log-likelihood")
        at = lower
    raise _failure(at, t, max_iter, push, f"max_iter={max_iter} iterations are over; allow more")


def fit_of(found: Joint) -> Fit:
    """The same as what `newton` gives."""
    return Fit(found.beta, found.point, found.push, found.iterations)


def held_at_zero(family: Family, width: int, intercept: bool) -> Tensor:
    """Mask (p, m) of the coefficients of features in raw outputs that have a constant alone."""
    held = torch.zeros(width, family.outputs, dtype=torch.bool)
    for output in family.constants:
        held[: width - intercept, output] = True
    return held


def _at(family: Family, design: Design, beta: Tensor, t: Tensor, free: Tensor) -> _At:
    family = family.at_all({name: math.exp(v) for name, v in zip(family.frees, t.tolist(), strict=True)})
    point = evaluate(family, design, beta, "observed")
    size, q, eta = beta.numel(), len(t), linear(design, beta)

    def nll(**moves: float) -> float:
        return total(_moved(family, moves), design, eta)

    gradient = torch.zeros(size + q, dtype=torch.float64)
    whole = torch.zeros(size + q, size + q, dtype=torch.float64)
    gradient[:size], whole[:size, :size] = point.gradient, point.hessian
    for i, name in enumerate(family.frees):
        gradient[size + i] = _slope(partial(_of_one, nll, name))
        whole[size + i, size + i] = _bend(partial(_of_one, nll, name))
        whole[:size, size + i] = whole[size + i, :size] = _cross(family, design, beta, name)
        for j, other in enumerate(family.frees[:i]):
            slopes = partial(_slope_of_two, nll, name, other)
            whole[size + i, size + j] = whole[size + j, size + i] = _slope(slopes)
    return _At(family, beta, t, point, gradient[free], whole[free][:, free])


def _of_one(nll: Callable[..., float], name: str, s: float) -> float:
    return nll(**{name: s})


def _slope_of_two(nll: Callable[..., float], name: str, other: str, s: float) -> float:
    return _slope(lambda r: nll(**{name: s, other: r}))


def _cross(family: Family, design: Design, beta: Tensor, name: str) -> Tensor:
    """Derivative in t of the gradient (p m,)."""
    found = torch.zeros_like(beta)
    for rows, x in design.chunks():
        slope = gradient_at(design.raw(rows, x, beta), design.y[rows])
        parts = [
            w * (slope(_moved(family, {name: k * STEP})) - slope(_moved(family, {name: -k * STEP}))) for k, w in FIRST
        ]
        found += x.T @ design.weigh(rows, sum(parts[1:], parts[0]) / STEP)
    return found.T.reshape(-1)


def _moved(family: Family, moves: Mapping[str, float]) -> Family:
    return family.at_all({name: family.numbers[name] * math.exp(move) for name, move in moves.items()})


def _slope(function: Callable[[float], float]) -> float:
    return sum(w * (function(k * STEP) - function(-k * STEP)) for k, w in FIRST) / STEP


def _bend(function: Callable[[float], float]) -> float:
    return sum(w * (function(k * STEP) + function(-k * STEP)) / (1 if k else 2) for k, w in SECOND) / STEP**2


def _step(at: _At) -> tuple[Tensor, float, float]:
    """(Newton's step, always downhill, of what is free; the gradient in standard errors; the least eigenvalue)."""
    scale = at.information.diagonal().abs().clamp(min=torch.finfo(torch.float64).tiny).sqrt()
    values, vectors = torch.linalg.eigh(at.information / scale[:, None] / scale)
    sizes = values.abs().clamp(min=FLAT * float(values.abs().max()))
    along = vectors.T @ (at.gradient / scale)
    step = -(vectors @ (along / sizes)) / scale
    return step, float((along**2 / sizes).sum().sqrt()), float(values[0])


def _downhill(design: Design, at: _At, step: Tensor, free: Tensor) -> _At | None:
    """The first of step, step/2, step/4 … where the nll is lower, up to the rounding of its sum; None if it nowhere is."""
    whole, size = torch.zeros(len(free), dtype=torch.float64), at.beta.numel()
    whole[free] = step
    longest = float(whole[size:].abs().max()) if len(at.t) else 0.0
    whole = whole * min(1.0, LONGEST / longest) if longest else whole
    for halving in range(HALVINGS):
        part = whole * 0.5**halving
        t = at.t + part[size:]
        if bool((t.abs() > FARTHEST).any()):
            raise _no_number(at.family, t)
        trial = _at(at.family, design, at.beta + part[:size].reshape(at.beta.shape[1], -1).T, t, free)
        if _sound(trial) and trial.point.value <= at.point.value + 64 * EPS * at.point.size:
            return trial
    return None


def _sound(at: _At) -> bool:
    return finite(at.point) and bool(torch.isfinite(at.information).all() and torch.isfinite(at.gradient).all())


def _no_number(family: Family, gone: Tensor) -> NoNumberError:
    away = int(gone.abs().argmax())
    return NoNumberError(runs_away(replace(family, free=family.frees[away]), bool(gone[away] < 0)))


def _failure(at: _At, began: Tensor, iterations: int, push: float, why: str) -> NotConvergedError | NoNumberError:
    if bool(((at.t - began).abs() > RUNNING).any()):
        return _no_number(at.family, at.t - began)
    return NotConvergedError(
        f"{at.family.name}: no maximum after {iterations} iterations: {why}. The gradient was still {push:.3g} standard errors"
        f" long (converged: {CONVERGED_PUSH:g})",
        -at.point.value,
    )
