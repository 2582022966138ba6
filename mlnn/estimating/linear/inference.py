"""How sure is the estimate: covariance of the coefficients from expected or observed information, or the sandwich."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlnn.errors import ConfigError, unknown
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.ancillary import border, row_scores
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.least_squares import cholesky_root, qr_root
from mlnn.estimating.linear.newton import NotConvergedError, Point, evaluate
from mlnn.estimating.network import curvature

COVARIANCES = ("expected", "observed", "robust")


@dataclass(frozen=True)
class Information:
    """What the covariance of a maximum is computed from; `scale`: the dispersion in use over that of the maximum."""

    family: Family
    design: Design
    beta: Tensor
    point: Point
    scale: float

    def covariance(self, kind: str) -> np.ndarray:
        """(p m, p m), output after output, the constant last in each.

        expected: inverse Fisher information, as in GLM tables. observed: inverse of minus the second derivative. robust:
        observed⁻¹ Σ s sᵀ observed⁻¹ with s a row's score, of shares that of each trial, no small-sample factor ("HC0":
        Huber 1967, White 1982). A free θ or precision is bordered in, so its uncertainty counts. Raises ConfigError for
        another kind, NotConvergedError where the information is not positive definite.
        """
        if kind not in COVARIANCES:
            raise ConfigError("cov: " + unknown("covariance", str(kind), COVARIANCES))
        inverse = self._inverse("expected" if kind == "expected" else "observed")
        if kind == "robust":
            inverse = inverse @ self._scores() @ inverse
        size = self.beta.numel()
        shift = unshift(self.design, self.beta.shape[1])
        found = shift @ inverse[:size, :size] @ shift.T * (1.0 if kind == "robust" else self.scale)
        return ((found + found.T) / 2).numpy()

    @property
    def bordered(self) -> bool:
        """Whether the free number and the coefficients are estimated with correlated errors."""
        return self.family.free is not None and not self.family.likelihood.separate

    def _inverse(self, kind: str) -> Tensor:
        """Inverse of the information of the coefficients, and of log θ where that is bordered in."""
        exact = (kind == self.point.kind and not self.point.damping) or self.family.likelihood.canonical
        point = self.point if exact else evaluate(self.family, self.design, self.beta, kind)
        root = cholesky_root(point.hessian)
        if root is None:
            root = qr_root(self.family, self.design, point.beta, kind)
        if root is None:
            raise NotConvergedError(
                f"{self.family.name}: the {kind} information is not positive definite here; use cov='expected'"
            )
        inverse = torch.cholesky_inverse(root, upper=True)
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

    def _scores(self) -> Tensor:
        """Σ w s sᵀ over the rows, s the derivative of a row's nll in everything that is estimated."""
        family, design = self.family, self.design
        size = self.beta.numel() + self.bordered
        total = torch.zeros(size, size, dtype=torch.float64)
        for rows, x in design.chunks():
            eta = design.raw(rows, x, self.beta)
            for y, share in _trials(family, design.y[rows]):
                slope = curvature.gradient(family.likelihood, eta, y)
                score = (slope[:, :, None] * x[:, None, :]).reshape(len(x), -1)
                if self.bordered:
                    score = torch.cat([score, row_scores(family, eta, y)[:, None]], dim=1)
                total += score.T @ (design.weigh(rows, score) * share[:, None])
        return total


def _trials(family: Family, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(targets, share of the row's weight): of a row that stands for several trials, its successes and its failures."""
    one = torch.ones(len(y), dtype=torch.float64)
    return [(one, y), (0 * one, 1 - y)] if family.space.kind == "binary" else [(y, one)]


def unshifted(design: Design, beta: Tensor) -> Tensor:
    """Coefficients (p, m) of the features as they came, from those of the shifted ones."""
    if not design.intercept:
        return beta
    return torch.cat([beta[:-1], beta[-1:] - design.shift @ beta[:-1]])


def unshift(design: Design, outputs: int) -> Tensor:
    """The matrix (p m, p m) from coefficients of the shifted features to those of the features as they came."""
    one = torch.eye(design.width, dtype=torch.float64)
    if design.intercept:
        one[-1, :-1] = -design.shift
    whole = torch.zeros(outputs, len(one), outputs, len(one), dtype=torch.float64)
    for k in range(outputs):
        whole[k, :, k] = one
    return whole.reshape(outputs * len(one), -1)
