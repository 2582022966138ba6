"""Firth's penalised maximum: log-likelihood + ½ log|I(β)|, which is finite on separated rows too and less biased on all.

Firth (1993): with a canonical link the penalty (Jeffreys' prior) takes the bias of order 1/n off the coefficients. Heinze &
Schemper (2002): intervals by the profile of the penalised likelihood. The penalty is always that of all columns, also where a
coefficient is held. The way there is Newton's, with the information of the rows and of the pseudo-rows that the penalty adds.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.errors import ConfigError
from mlnn.estimating.catalogue import LIKELIHOODS, Family
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.inference import unshift, unshifted
from mlnn.estimating.linear.least_squares import EPS, check_rank
from mlnn.estimating.linear.newton import NotConvergedError
from mlnn.estimating.network import curvature

CONVERGED_PUSH = 1e-10
"""In standard errors: steps here shrink by a factor each, not squared, so the last one is as long as those left out."""
PROFILE_PUSH = 1e-5
"""The same on a profile, whose value alone counts: 5e-11 nats."""
NEAR, SLOW = 0.3, 0.3
"""Standard errors from the maximum, and the factor by which steps should shrink there; else the curvature is measured."""
DIFFERENCE = 1e-5
"""Of a standard error, over which gradients are differenced: their rounding and their third derivative cost 1e-10 alike."""
HALVINGS = WIDEST = 60
"""Of a step, and doublings of a standard error after which an interval is said to have no end: float64 has no more digits."""
PROFILED = 3e8
"""Rows × coefficients³ up to which a table has profiles: half a minute of them."""
FEWEST_DIGITS = 1e-12
"""An information with smaller eigenvalues, beside a unit diagonal, cannot be told from one of dependent columns."""


@dataclass(frozen=True)
class Place:
    """Coefficients (p, m) and, output after output: the penalised log-likelihood, its gradient, the information of the rows
    (p m, p m), and that of rows and pseudo-rows, on which steps are made. plain: the log-likelihood without its penalty.
    """

    beta: Tensor
    value: float
    plain: float
    gradient: Tensor
    information: Tensor
    augmented: Tensor

    @property
    def rounding(self) -> float:
        """Nats by which two values near this one may differ through rounding alone."""
        return 64 * EPS * (1 + abs(self.value))


@dataclass(frozen=True)
class Penalised:
    """A penalised maximum, from which covariance, tests and intervals are computed; `place`: of the shifted columns, `push` (in
    standard errors) from the maximum."""

    family: Family
    design: Design
    place: Place
    max_iter: int
    iterations: int
    push: float

    def covariance(self, kind: str) -> np.ndarray:
        """I(β)⁻¹ (p m, p m), as Firth (1993) and brglm2 have it; the link is canonical, so observed is expected.

        Raises ConfigError for "robust": a sandwich of penalised scores has no reference.
        """
        inverse = self._told @ self.shifted(kind) @ self._told.T
        return np.asarray((inverse + inverse.T) / 2)

    def shifted(self, kind: str) -> Tensor:
        """The same of the coefficients of the design's shifted columns."""
        if kind not in ("expected", "observed"):
            raise ConfigError(f"cov: a penalised estimate has expected information only, found {kind!r}")
        inverse: Tensor = torch.linalg.inv(self.place.information)
        return inverse

    @property
    def profiled(self) -> bool:
        """Whether its profiles are had soon enough to stand in a table unasked."""
        return len(self.design.y) * float(self.place.beta.numel()) ** 3 <= PROFILED

    def tests(self) -> np.ndarray:
        """2 (F − F with the coefficient at 0), χ² with one degree, of every coefficient; (p m,)."""
        return np.array([2 * (self.place.value - self._at(k, 0.0).value) for k in range(self.place.beta.numel())])

    def intervals(self, level: float) -> np.ndarray:
        """Where 2 (F − profile) reaches the χ² quantile of `level`, on both sides of every coefficient; (p m, 2)."""
        drop = float(scipy.stats.chi2.ppf(level, 1)) / 2
        return np.array([[self._end(k, side, drop) for side in (-1, 1)] for k in range(self.place.beta.numel())])

    def _end(self, k: int, side: int, drop: float) -> float:
        """Where the profile has fallen by `drop` nats: bracketed from the maximum outwards, then Brent's method."""
        top, error = float(self._told[k] @ self.place.beta.T.reshape(-1)), math.sqrt(self.covariance("expected")[k, k])
        warm = self.place

        def left(value: float) -> float:
            nonlocal warm
            warm = self._at(k, value, warm)
            return warm.value - self.place.value + drop

        inner, outer = top, top + side * error
        for _ in range(WIDEST):
            if left(outer) < 0:
                return float(scipy.optimize.brentq(left, inner, outer, xtol=1e-10 * error, rtol=4 * EPS))
            inner, outer = outer, top + 2 * (outer - top)
        return side * math.inf

    def _at(self, k: int, value: float, warm: Place | None = None) -> Place:
        """The maximum with coefficient k, of the features as they came, held at `value`.

        Of several raw outputs the higher of two maxima, from `warm` and from that of everything: there may be more than one.
        In standard errors, beyond the columns' scale: a constant of features far from 0 is a small difference of large numbers.
        """
        if warm is not None and warm is not self.place and self.place.beta.shape[1] > 1:
            return max(self._at(k, value), self._near(k, value, warm), key=lambda place: place.value)
        return self._near(k, value, warm or self.place)

    def _near(self, k: int, value: float, start: Place) -> Place:
        told = self._told[k]
        root = torch.linalg.cholesky(self.place.information, upper=True)
        held = torch.linalg.solve_triangular(root.T, told[:, None], upper=False)
        along = torch.linalg.solve_triangular(root, held, upper=True)[:, 0]  # I⁻¹c: the profile's tangent
        flat = start.beta.T.reshape(-1)
        flat = flat + along * (value - float(told @ flat)) / float(held.square().sum())
        beside = torch.linalg.svd(held.T).Vh[1:].T
        ways = torch.linalg.solve_triangular(root, beside, upper=True)
        beta = flat.reshape(-1, self.design.width).T
        return _climb(self.family, self.design, beta, self.max_iter, ways, PROFILE_PUSH)[0]

    @cached_property
    def _told(self) -> Tensor:
        """From coefficients of the shifted columns to those of the features as they came (p m, p m)."""
        return unshift(self.design, self.place.beta.shape[1])

    @property
    def coefficients(self) -> Tensor:
        """(p, m) of the features as they came."""
        return unshifted(self.design, self.place.beta)


def penalised(family: Family, design: Design, max_iter: int) -> Penalised:
    """The maximum. Raises ConfigError for another likelihood, DataError for dependent columns, NotConvergedError."""
    if not family.likelihood.firth:
        have = ", ".join(name for name, kind in LIKELIHOODS.items() if kind.firth)
        raise ConfigError(f"penalty: 'firth' is for {have}; found {family.name}")
    check_rank(design)
    start = torch.zeros(design.width, family.outputs, dtype=torch.float64)
    if design.intercept and family.space.kind == "counts":  # at zero a large count is very far
        start[-1] = torch.log(design.weigh(slice(0, len(design.y)), design.y).sum() / design.nobs)
    place, iterations, push = _climb(family, design, start, max_iter, torch.eye(start.numel(), dtype=torch.float64))
    return Penalised(family, design, place, max_iter, iterations, push)


def shaped(values: np.ndarray, params: np.ndarray) -> np.ndarray:
    """Numbers output after output, (p m, …), in the shape of `params`, (p,) or (p, m)."""
    return np.asarray(values if params.ndim == 1 else values.reshape(*params.T.shape, *values.shape[1:]).swapaxes(0, 1))


def null_value(found: Penalised) -> float:
    """The penalised maximum with every feature's coefficient at 0, under the penalty of all columns, as logistf has it."""
    beta = torch.zeros_like(found.place.beta)
    constants = torch.zeros_like(beta, dtype=torch.bool)
    constants[-1] = found.design.intercept
    ways = torch.eye(beta.numel(), dtype=torch.float64)[:, constants.T.reshape(-1)]
    return _climb(found.family, found.design, beta, found.max_iter, ways, PROFILE_PUSH)[0].value


def _climb(
    family: Family, design: Design, beta: Tensor, max_iter: int, ways: Tensor, tolerance: float = CONVERGED_PUSH
) -> tuple[Place, int, float]:
    """(the penalised maximum along `ways` (p m, q) from `beta`, steps made, standard errors to go)."""
    place, push, bend = _place(family, design, beta), math.inf, None
    if not ways.shape[1]:
        return place, 0, 0.0
    for iteration in range(max_iter):
        step, last, push = _step(place, ways, bend), push, _push(place, ways)
        blind = math.sqrt(place.rounding)  # a step gains half its square: of shorter ones the value shows nothing
        if push <= tolerance or (max(push, last) <= blind and push > last / 2):
            return place, iteration, push
        if push <= NEAR and push > SLOW * last:
            bend = _measured(family, design, place, ways)
            step = _step(place, ways, bend)
        place = _place(family, design, place.beta + step) if push <= blind else _uphill(family, design, place, step)
    raise NotConvergedError(
        f"{family.name}: no penalised maximum after {max_iter} steps; the gradient was still {push:.3g} standard errors"
        " long; allow more: max_iter",
        place.value,
    )


def _push(place: Place, ways: Tensor) -> float:
    """The gradient along the ways, in standard errors."""
    gradient = ways.T @ place.gradient
    root = torch.linalg.cholesky(ways.T @ place.information @ ways)
    return float(torch.linalg.solve_triangular(root, gradient[:, None], upper=False).norm())


def _step(place: Place, ways: Tensor, bend: Tensor | None) -> Tensor:
    """Uphill (p, m), by the measured curvature if there is one that bends downwards, else by rows and pseudo-rows."""
    root, failed = torch.linalg.cholesky_ex(ways.T @ place.augmented @ ways if bend is None else bend)
    if bend is not None and bool(failed):
        return _step(place, ways, None)
    flat = ways @ torch.cholesky_solve(ways.T @ place.gradient[:, None], root)
    return flat.reshape(place.beta.shape[1], -1).T


def _measured(family: Family, design: Design, place: Place, ways: Tensor) -> Tensor:
    """Minus the second derivative of the penalised log-likelihood, from differences of its gradient along the ways; (q, q)."""
    columns, flat, outputs = [], place.beta.T.reshape(-1), place.beta.shape[1]
    for way in ways.T:
        size = DIFFERENCE / math.sqrt(float(way @ place.information @ way))
        ends = [_place(family, design, (flat + h * way).reshape(outputs, -1).T).gradient for h in (size, -size)]
        columns.append(ways.T @ (ends[1] - ends[0]) / (2 * size))
    bend = torch.stack(columns, dim=1)
    return (bend + bend.T) / 2


def _uphill(family: Family, design: Design, place: Place, step: Tensor) -> Place:
    """The first of step, step/2, step/4 … where the penalised log-likelihood is not lower, up to its rounding."""
    for halving in range(HALVINGS):
        trial = _place(family, design, place.beta + step * 0.5**halving)
        if trial.value >= place.value - place.rounding:
            return trial
    raise NotConvergedError(f"{family.name}: no step raises the penalised value; rescale the features", place.value)


def _place(family: Family, design: Design, beta: Tensor) -> Place:
    """Two passes over the rows: the information must be known before what each row is worth in it."""
    m, size = beta.shape[1], beta.numel()
    plain, gradient, information = 0.0, torch.zeros_like(beta), torch.zeros(size, size, dtype=torch.float64)
    for rows, x in design.chunks():
        nll, slope, bend = curvature.rows(family.likelihood, design.raw(rows, x, beta), design.y[rows], "expected")
        plain -= float(design.weigh(rows, nll).sum())
        gradient -= x.T @ design.weigh(rows, slope)
        information += _crossed(x, design.weigh(rows, bend))
    inverse, log_det = _inverted(information)
    if inverse is None:
        return Place(beta, -math.inf, plain, gradient, information, information)
    blocks = inverse.reshape(m, design.width, m, design.width)
    augmented, pseudo = information.clone(), _pseudo(family)
    for rows, x in design.chunks():
        worth = torch.einsum("np,jpkq,nq->njk", x, blocks, x)
        slope, bend = _of_the_penalty(family, design.raw(rows, x, beta), worth)
        gradient += x.T @ design.weigh(rows, slope)
        leverage = design.weigh(rows, (bend * worth).sum((1, 2)))
        augmented += _crossed(x, design.weigh(rows, bend) * (pseudo * leverage)[:, None, None])
    return Place(beta, plain + log_det / 2, plain, gradient.T.reshape(-1), information, augmented)


def _of_the_penalty(family: Family, eta: Tensor, worth: Tensor) -> tuple[Tensor, Tensor]:
    """½ ∂ tr(W Q)/∂η of each row, Q its `worth` (n, m, m) held, and W (n, m, m) itself."""
    at = eta.detach().requires_grad_()
    mean = family.likelihood.mean(curvature.raw(family.likelihood, at))
    if family.likelihood.baseline:
        p = mean[:, 1:]
        bend = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    else:
        bend = torch.autograd.grad(mean.sum(), at, create_graph=True)[0][:, :, None]
    (slope,) = torch.autograd.grad((bend * worth).sum() / 2, at)
    return slope, bend.detach()


def _pseudo(family: Family) -> float:
    """How many rows the penalty adds to a row of leverage 1: K/2 of K labels over K−1 leverages; a count is moved instead."""
    if family.space.kind == "counts":
        return 0.0
    labels = family.space.classes or 2
    return labels / (2 * (labels - 1))


def _crossed(x: Tensor, bend: Tensor) -> Tensor:
    """Σ over the rows of bend (n, m, m) ⊗ x xᵀ; (p m, p m), output after output."""
    m, p = bend.shape[1], x.shape[1]
    whole = torch.empty(m, p, m, p, dtype=torch.float64)
    for j in range(m):
        for k in range(m):
            whole[j, :, k] = x.T @ (x * bend[:, j, k, None])
    return whole.reshape(m * p, m * p)


def _inverted(information: Tensor) -> tuple[Tensor | None, float]:
    """(inverse, log determinant); None and −∞ where the step has gone so far out that nothing is left of it."""
    if not len(information):
        return information, 0.0
    scale = information.diagonal().clamp(min=torch.finfo(torch.float64).tiny).sqrt()
    unit = information / scale[:, None] / scale
    if not bool(torch.isfinite(unit).all()) or float(torch.linalg.eigvalsh(unit)[0]) < FEWEST_DIGITS:
        return None, -math.inf
    inverse = torch.linalg.inv(unit) / scale[:, None] / scale
    return inverse, float(torch.linalg.slogdet(unit)[1] + 2 * scale.log().sum())
