"""The maximum of a likelihood with kinks: Laplace, asymmetric Laplace, flat-topped Laplace.

Their nll is piecewise linear in the coefficients: no curvature for Newton, and standard errors not from curvature either.
The maximum is a linear programme's (Koenker & Bassett 1978; with a flat top, Vapnik's support-vector regression): residual =
u − v + s, u, v ≥ 0 what lies outside the flat top on either side, |s| ≤ ε.
"""

from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.ancillary import linear
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.least_squares import check_rank
from mlnn.estimating.linear.newton import NotConvergedError


def maximum(family: Family, design: Design) -> tuple[Family, Tensor, int]:
    """(family with its scale, coefficients (p, 1) of the shifted columns, iterations) of a likelihood with kinks.

    Raises DataError where every row is met exactly and the scale is free, and what `solve` raises.
    """
    beta, iterations = solve(family, design)
    if family.free is None:
        return family, beta, iterations
    size = (design.y - linear(design, beta)[:, 0]).abs()
    scale = float(design.weigh(slice(0, len(size)), size).sum()) / design.nobs
    if scale <= 1e-14 * float(design.y.abs().max()):
        raise DataError("laplace: every row is met exactly, so the scale goes to 0; fix it: Laplace(scale=…)")
    return family.at(scale), beta, iterations


def solve(family: Family, design: Design) -> tuple[Tensor, int]:
    """(coefficients (p, 1) of a maximum, iterations). There may be others: a median between two rows is any value there.

    Raises NotConvergedError where the linear programme does not end with an optimum, DataError for dependent columns.
    """
    check_rank(design)
    rows = Rows.of(family, design)
    beta, iterations = rows.optimum()
    return torch.from_numpy(beta)[:, None], iterations


@dataclass(frozen=True)
class Rows:
    """Regressors x (n, p) with the constant last, targets y (n,), weights (n,); the quantile and half width of the kink."""

    name: str
    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    tau: float
    flat: float

    @classmethod
    def of(cls, family: Family, design: Design) -> "Rows":
        """The rows of a design, its columns shifted and its offset taken off the targets."""
        x = torch.cat([part.clone() for _rows, part in design.chunks()]).numpy()
        weights = np.ones(len(x)) if design.weights is None else design.weights.numpy()
        y = (design.y if design.offset is None else design.y - design.offset).numpy()
        return cls(family.name, x, y, weights, family.likelihood.quantile, family.likelihood.flat)

    def optimum(self) -> tuple[np.ndarray, int]:
        """(coefficients (p,), iterations), through p rows or edges exactly; NotConvergedError where there is none.

        The dual has p equations, the primal n: 30 times faster at 20,000 rows of 10 columns. Its variables are what each row
        pulls with, up to τ from above and 1−τ from below; the coefficients are the multipliers of its equations.
        """
        x, y, weights = self.x, self.y, self.weights
        length, height = np.abs(x).max(axis=0), max(float(np.abs(y).max()), 1e-300)
        pull, sides = (x / length).T, [np.c_[0 * weights, share * weights] for share in (self.tau, 1 - self.tau)]
        if self.flat:
            edge = self.flat / height
            cost, equal, bounds = np.r_[edge - y / height, edge + y / height], np.c_[pull, -pull], np.vstack(sides)
        else:
            cost, equal, bounds = -y / height, pull, np.c_[-sides[1][:, 1], sides[0][:, 1]]
        found = scipy.optimize.linprog(cost, A_eq=equal, b_eq=np.zeros(len(length)), bounds=bounds, method="highs")
        if found.status != 0:
            raise NotConvergedError(f"{self.name}: the linear programme found no optimum: {found.message}")
        beta = -np.asarray(found.eqlin.marginals) * height / length
        polished = _through_its_rows(x, y, beta, self.flat)
        best: np.ndarray = min((beta, polished), key=lambda b: _cost(y - x @ b, weights, self.tau, self.flat))
        return best, int(found.nit)


def _through_its_rows(x: np.ndarray, y: np.ndarray, beta: np.ndarray, flat: float) -> np.ndarray:
    """The vertex itself: p independent rows that the solution meets exactly (or at a flat top's edge), solved anew.

    The solver stops at a feasibility of 1e-7; the vertex has the rounding of one solve.
    """
    residual = y - x @ beta
    near = np.argsort(np.abs(np.abs(residual) - flat))
    rows: list[int] = []
    basis = np.zeros((0, len(beta)))
    for row in near[: 8 * len(beta)]:
        rest = x[row] - basis.T @ (basis @ x[row])
        rest -= basis.T @ (basis @ rest)
        if np.linalg.norm(rest) > 1e-9 * np.linalg.norm(x[row]):
            rows, basis = [*rows, int(row)], np.vstack([basis, rest / np.linalg.norm(rest)])
        if len(rows) == len(beta):
            return np.linalg.solve(x[rows], y[rows] - flat * np.sign(residual[rows]))
    return beta


def _cost(residual: np.ndarray, weights: np.ndarray, tau: float, flat: float) -> float:
    beyond = np.maximum(np.abs(residual) - flat, 0)
    return float((weights * beyond * np.where(residual > 0, tau, 1 - tau)).sum())
