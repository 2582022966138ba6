"""The maximum of a likelihood with kinks: Laplace, asymmetric Laplace, flat-topped Laplace.

Their nll is piecewise linear in the coefficients: no curvature for Newton, and standard errors not from curvature either.
The maximum is a linear programme's (Koenker & Bassett 1978; with a flat top, Vapnik's support-vector regression): residual =
u − v + s, u, v ≥ 0 what lies outside the flat top on either side, |s| ≤ ε.
"""

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
    x = torch.cat([part.clone() for _rows, part in design.chunks()]).numpy()
    y = (design.y if design.offset is None else design.y - design.offset).numpy()
    length, height = np.abs(x).max(axis=0), max(float(np.abs(y).max()), 1e-300)
    n, p = x.shape
    weights = np.ones(n) if design.weights is None else design.weights.numpy()
    tau, flat = family.likelihood.quantile, family.likelihood.flat
    one = scipy.sparse.identity(n)
    equal = scipy.sparse.hstack([scipy.sparse.csr_matrix(x / length), one, -one, one]).tocsc()
    cost = np.concatenate([np.zeros(p), tau * weights, (1 - tau) * weights, np.zeros(n)])
    bounds = [(None, None)] * p + [(0, None)] * (2 * n) + [(-flat / height, flat / height)] * n
    found = scipy.optimize.linprog(cost, A_eq=equal, b_eq=y / height, bounds=bounds, method="highs")
    if found.status != 0:
        raise NotConvergedError(f"{family.name}: the linear programme found no optimum: {found.message}")
    beta = found.x[:p] * height / length
    polished = _through_its_rows(x, y, beta, flat)
    best = min((beta, polished), key=lambda b: _cost(y - x @ b, weights, tau, flat))
    return torch.from_numpy(best)[:, None], int(found.nit)


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
