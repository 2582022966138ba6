"""How sure is the estimate: covariance of the coefficients from expected or observed information, or the sandwich."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mlnn.errors import ConfigError, unknown
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.ancillary import border, corner, linear, row_scores
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.least_squares import cholesky_root, qr_root
from mlnn.estimating.linear.newton import NotConvergedError, Point, evaluate
from mlnn.estimating.network import curvature
from mlnn.world import own_world

INVERSES, SANDWICHES = ("expected", "observed"), ("robust", "HC0", "HC1", "HC2", "HC3")
COVARIANCES = (*INVERSES, *SANDWICHES)
WHOLE = 1 - 1e-10
"""Leverage above which a row is met whatever its target, so that its residual says nothing of its variance."""


@dataclass(frozen=True)
class Information:
    """What the covariance of a maximum is computed from; `scale`: the dispersion in use over that of the maximum."""

    family: Family
    design: Design
    beta: Tensor
    point: Point
    scale: float
    _inverses: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @own_world(threads=None)
    def covariance(self, kind: str) -> np.ndarray:
        """(p m, p m), output after output, the constant last in each.

        expected: inverse Fisher information, as in GLM tables. observed: inverse of minus the second derivative. robust, HC0:
        observed⁻¹ Σ s sᵀ observed⁻¹ with s a row's score, of shares that of each trial (Huber 1967, White 1982). HC1: times
        n/(n − p m). HC2, HC3: each s over √(1 − h) or 1 − h, h the row's leverage, the diagonal of the hat matrix with expected
        curvature, as of a GLM (MacKinnon & White 1985). A row of weight w is w rows. A free θ or precision is bordered in, so
        its uncertainty counts. Raises ConfigError for another kind, for HC2 and HC3 of several raw outputs, whose leverage is
        a matrix, and of a row with leverage 1; NotConvergedError where the information is not positive definite.
        """
        shift = unshift(self.design, self.beta.shape[1])
        found = shift @ self.shifted(kind) @ shift.T
        return ((found + found.T) / 2).numpy()

    @own_world(threads=None)
    def shifted(self, kind: str) -> Tensor:
        """The same of the coefficients of the design's shifted columns, which has more digits where columns lie far from 0."""
        if kind not in COVARIANCES:
            raise ConfigError("cov: " + unknown("covariance", str(kind), COVARIANCES))
        inverse, size = self._inverse("expected" if kind == "expected" else "observed"), self.beta.numel()
        if kind in INVERSES:
            return inverse[:size, :size] * self.scale
        found = inverse @ self._scores(self._spared(kind)) @ inverse
        left = self.design.nobs - size
        if kind == "HC1" and left <= 0:
            raise ConfigError(
                f"cov: HC1 divides by rows less coefficients, and there are {self.design.nobs:g} rows for {size}"
            )
        return found[:size, :size] * (self.design.nobs / left if kind == "HC1" else 1.0)

    @own_world(threads=None)
    def number_errors(self, kind: str) -> dict[str, float]:
        """Standard error of the free number by its name; {} where none is free, NaN where the likelihood is not curved in it.

        That of the maximum-likelihood value whatever `scale` is: number × the error of its logarithm (delta method), from the
        joint information with the coefficients, in which σ of the normal and the shape of the gamma stand alone. kind: as in
        `covariance`; the corner of "expected" information is the observed one, as in R's glm.nb; HC2 and HC3 of a number that
        stands alone, which no leverage touches, are HC0.
        """
        free = self.family.free
        if free is None:
            return {}
        if self.bordered:
            inverse = self._inverse("expected" if kind == "expected" else "observed")
            variance = float(
                (inverse if kind in INVERSES else inverse @ self._scores(self._spared(kind)) @ inverse)[-1, -1]
            )
        else:
            variance = variance_of_number(self.family, self.design, linear(self.design, self.beta), kind in INVERSES)
        if kind == "HC1":
            variance *= self.design.nobs / (self.design.nobs - self.beta.numel())
        return {free: self.family.numbers[free] * math.sqrt(variance) if variance > 0 else math.nan}

    @property
    def bordered(self) -> bool:
        """Whether the free number and the coefficients are estimated with correlated errors."""
        return self.family.free is not None and not self.family.likelihood.separate

    def _spared(self, kind: str) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
        """What the squared score of a row is divided by, (b,), of its raw outputs, targets and columns; None: 1."""
        if kind not in ("HC2", "HC3"):
            return None
        if self.beta.shape[1] > 1:
            raise ConfigError(
                f"cov: {kind} divides by 1 − leverage, which of {self.beta.shape[1]} raw outputs is a matrix; take HC0 or HC1"
            )
        inverse, power = self._alone("expected"), 1 if kind == "HC2" else 2

        def divisor(eta: Tensor, y: Tensor, x: Tensor) -> Tensor:
            bend = curvature.rows(self.family.likelihood, eta, y, "expected")[2][:, 0, 0]
            leverage = bend * ((x @ inverse) * x).sum(1)
            if bool((leverage > WHOLE).any()):
                raise ConfigError(
                    f"cov: {kind} has no value: a row has leverage 1, so it is met whatever its target; take HC0 or HC1"
                )
            return (1 - leverage) ** power

        return divisor

    def _inverse(self, kind: str) -> Tensor:
        """Inverse of the information of the coefficients, and of log θ where that is bordered in; made once."""
        if kind not in self._inverses:
            self._inverses[kind] = self._joined(kind)
        return self._inverses[kind]

    def _joined(self, kind: str) -> Tensor:
        inverse = self._alone(kind)
        if not self.bordered:
            return inverse
        joint = border(self.family, self.design, self.beta, kind)
        through = inverse @ joint.cross
        schur = joint.corner - joint.cross @ through
        whole = torch.zeros(len(inverse) + 1, len(inverse) + 1, dtype=torch.float64)
        whole[:-1, :-1] = inverse + torch.outer(through, through) / schur
        whole[:-1, -1] = whole[-1, :-1] = -through / schur
        whole[-1, -1] = 1 / schur
        return whole

    def _alone(self, kind: str) -> Tensor:
        """Inverse of the information of the coefficients, the likelihood's number held."""
        exact = (kind == self.point.kind and not self.point.damping) or self.family.likelihood.canonical
        point = self.point if exact else evaluate(self.family, self.design, self.beta, kind)
        root = cholesky_root(point.hessian)
        if root is None:
            root = qr_root(self.family, self.design, point.beta, kind)
        if root is None:
            raise NotConvergedError(
                f"{self.family.name}: the {kind} information is not positive definite here; use cov='expected'"
            )
        return torch.cholesky_inverse(root, upper=True)

    def _scores(self, spared: Callable[[Tensor, Tensor, Tensor], Tensor] | None) -> Tensor:
        """Σ w s sᵀ / `spared` over the rows, s the derivative of a row's nll in everything that is estimated."""
        family, design = self.family, self.design
        size = self.beta.numel() + self.bordered
        total = torch.zeros(size, size, dtype=torch.float64)
        for rows, x in design.chunks():
            eta = design.raw(rows, x, self.beta)
            divisor = spared(eta, design.y[rows], x)[:, None] if spared else 1.0
            for y, share in trials(family, design.y[rows]):
                slope = curvature.gradient(family.likelihood, eta, y)
                score = (slope[:, :, None] * x[:, None, :]).reshape(len(x), -1)
                if self.bordered:
                    score = torch.cat([score, row_scores(family, eta, y)[:, None]], dim=1)
                total += score.T @ (design.weigh(rows, score) * share[:, None] / divisor)
        return total


def variance_of_number(family: Family, design: Design, eta: Tensor, model: bool) -> float:
    """Variance of the log of a number whose information has no part in common with the coefficients', as the model has it, or
    by the spread of its scores.
    """
    bend = corner(family, design, eta)
    if bend <= 0:
        return math.nan
    if model:
        return 1 / bend
    scores = row_scores(family, eta, design.y)
    return float(design.weigh(slice(0, len(scores)), scores**2).sum()) / bend**2


def trials(family: Family, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(targets, share of the row's weight): of a row that stands for several trials, its successes and its failures."""
    one = torch.ones(len(y), dtype=torch.float64)
    return [(one, y), (0 * one, 1 - y)] if family.space.kind == "binary" else [(y, one)]


def unshifted(design: Design, beta: Tensor) -> Tensor:
    """Coefficients (p, m) of the features as they came, from those of the shifted ones."""
    if not design.intercept:
        return beta
    return torch.cat([beta[:-1], beta[-1:] - design.shift @ beta[:-1]])


def unshift(design: Design, outputs: int) -> Tensor:
    """The matrix (p m, p m) that takes the shifted columns' coefficients, output after output, to those as they came."""
    one = torch.eye(design.width, dtype=torch.float64)
    if design.intercept:
        one[-1, :-1] = -design.shift
    whole = torch.zeros(outputs, len(one), outputs, len(one), dtype=torch.float64)
    for k in range(outputs):
        whole[k, :, k] = one
    return whole.reshape(outputs * len(one), -1)
