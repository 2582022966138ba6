"""Covariances of a model's parameters other than that of the expected information: observed information and the sandwich."""

import math

import torch
from torch import Tensor

from mlnn.errors import ConfigError, unknown
from mlnn.estimating.fitted_rows import ModelRows
from mlnn.estimating.linear.ancillary import corner, difference, gradient_at, row_scores
from mlnn.estimating.linear.inference import COVARIANCES, INVERSES, trials, variance_of_number
from mlnn.estimating.linear.newton import NotConvergedError
from mlnn.estimating.network import curvature
from mlnn.estimating.network.descent import unit
from mlnn.likelihoods import Normal
from mlnn.world import own_world

MODEL_COVARIANCES = ("expected", "observed", "robust", "HC0", "HC1")


def check_covariance(kind: str) -> None:
    """Raise ConfigError for a covariance that a model's parameters do not have."""
    if kind in MODEL_COVARIANCES:
        return
    if kind in COVARIANCES:
        raise ConfigError(
            f"cov: {kind} divides by 1 − leverage, the share of a row in its own fitted value, which is a constant of linear"
            f" models only; with model= take one of {', '.join(MODEL_COVARIANCES)}"
        )
    raise ConfigError("cov: " + unknown("covariance", str(kind), MODEL_COVARIANCES))


@own_world(threads=None)
def covariance(rows: ModelRows, kind: str, dispersion: float | None) -> Tensor:
    """(p, p) at a maximum, "observed" or a sandwich, as `Information.covariance` has them; a free θ or precision bordered in.

    dispersion: φ of the standard errors. Raises NotConvergedError where the observed information is not positive definite.
    """
    p = len(rows.theta)
    if kind == "observed":
        return _joint(rows, kind)[:p, :p] * _scale(rows, dispersion)
    return _joint(rows, kind)[:p, :p]


@own_world(threads=None)
def number_errors(rows: ModelRows, kind: str) -> dict[str, float]:
    """Standard error of the free number by its name, of the same kinds, as `Information.number_errors` has it."""
    problem, family = rows.problem, rows.family
    if family.free is None:
        return {}
    if family.likelihood.separate:
        eta = problem.free(rows.theta).detach()
        variance = variance_of_number(family, problem.design, eta, kind in INVERSES)
        variance *= problem.nobs / (problem.nobs - len(rows.theta)) if kind == "HC1" else 1.0
    else:
        variance = float(_joint(rows, kind)[-1, -1])
    return {family.free: family.numbers[family.free] * math.sqrt(variance) if variance > 0 else math.nan}


def _joint(rows: ModelRows, kind: str) -> Tensor:
    """Of the parameters and the logarithm of a free θ or precision, of a normal at σ = 1 where it is observed."""
    problem, theta, family = rows.problem, rows.theta, rows.family
    bordered = family.free is not None and not family.likelihood.separate
    eta, jacobian = problem.free(theta).detach(), problem.jacobian(theta)
    information = problem.hessian(theta)
    if bordered:
        slopes = difference(family, gradient_at(eta, problem.y)) * problem.weights[:, None]
        cross = torch.einsum("nap,na->p", jacobian, slopes)[:, None]
        last = torch.tensor([[corner(family, problem.design, eta)]], dtype=torch.float64)
        information = torch.cat([torch.cat([information, cross], 1), torch.cat([cross.T, last], 1)])
    inverse, p = _inverse(information), len(theta)
    if kind == "observed":
        return inverse
    inverse = inverse @ _scores(rows, eta, jacobian, bordered) @ inverse
    left = problem.nobs - p
    if kind == "HC1" and left <= 0:
        raise ConfigError(f"cov: HC1 divides by rows less parameters, and there are {problem.nobs:g} rows for {p}")
    return inverse * (problem.nobs / left if kind == "HC1" else 1.0)


def _inverse(information: Tensor) -> Tensor:
    size = unit(information)
    root, bad = torch.linalg.cholesky_ex(information / size / size[:, None])
    if bool(bad):
        raise NotConvergedError(
            "the observed information of the model is not positive definite here; use cov='expected'"
        )
    found: Tensor = torch.cholesky_inverse(root) / size / size[:, None]
    return found


def _scale(rows: ModelRows, dispersion: float | None) -> float:
    """φ of the standard errors over that of the problem's own second derivatives, which are a normal's at σ = 1."""
    if dispersion is None:
        return 1.0
    return dispersion if rows.problem.normal else dispersion / rows.family.dispersion


def _scores(rows: ModelRows, eta: Tensor, jacobian: Tensor, bordered: bool) -> Tensor:
    """Σ w s sᵀ of the rows, s the derivative of a row's nll, of shares that of each trial, in everything that is estimated."""
    problem, family = rows.problem, rows.family
    likelihood = Normal(1.0) if problem.normal else family.likelihood
    size = jacobian.shape[2] + bordered
    total = torch.zeros(size, size, dtype=torch.float64)
    for y, share in trials(family, problem.y):
        score = torch.einsum("nap,na->np", jacobian, curvature.gradient(likelihood, eta, y))
        if bordered:
            score = torch.cat([score, row_scores(family, eta, y)[:, None]], dim=1)
        total += score.T @ (score * (problem.weights * share)[:, None])
    return total
