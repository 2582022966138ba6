"""What a model's maximum is surrounded by: the likelihood's number, the log-likelihood, the information, the dispersion."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.ancillary import corner, difference, gradient_at, root_of, score
from mlnn.estimating.network import curvature
from mlnn.estimating.network.descent import descend
from mlnn.estimating.network.problem import Problem
from mlnn.estimating.network.trust_region import EPS, linear_at

BESIDE = 1.05
"""Times a number that is near the likeliest: where the search for it begins."""
EXACT = 1e-14
"""Residuals below this share of the targets are rounding."""


@dataclass(frozen=True)
class Surroundings:
    """Around a maximum of p parameters: φ and its convention, observed and expected information (p, p) of the parameters.

    cross (p,) and corner: what a number that is estimated with correlated errors adds, in log(number); None without one.
    scale: φ of the standard errors over that of the information. root (n m, p): rootᵀ root is the expected information, which
    is not squared in it; None where rows have a negative one.
    """

    dispersion: float | None
    kind: str
    observed: Tensor
    expected: Tensor
    scale: float = 1.0
    cross: Tensor | None = None
    corner: float = 0.0
    root: Tensor | None = None

    def covariance(self, unit: Tensor) -> Tensor | None:
        """(p, p): inverse of the expected information, a number that is estimated too taken into account; None if singular."""
        inverse = _inverse(self.expected, unit) if self.root is None else _inverse_of_square(self.root, unit)
        if inverse is None:
            return None
        if self.cross is not None:
            through = inverse @ self.cross
            inverse = inverse + torch.outer(through, through) / (self.corner - self.cross @ through)
        return inverse * self.scale if self.scale != 1 else inverse


def _inverse(matrix: Tensor, unit: Tensor) -> Tensor | None:
    """(p, p), taken in these units; None where it is singular or not positive."""
    inverse: Tensor
    inverse, bad = torch.linalg.inv_ex(matrix / unit / unit[:, None])
    if bool(bad) or not bool((inverse.diagonal() > 0).all()):
        return None
    return inverse / unit / unit[:, None]


def _inverse_of_square(root: Tensor, unit: Tensor) -> Tensor | None:
    """The inverse of rootᵀ root (n, p), which would lose half the digits if it were formed; None where it is singular."""
    _, singular, axes = torch.linalg.svd(root / unit, full_matrices=False)
    if len(singular) < root.shape[1] or not float(singular[-1]) > len(root) * EPS * float(singular[0]):
        return None
    inverse: Tensor = (axes.T / singular**2) @ axes
    return inverse / unit / unit[:, None]


def with_number(problem: Problem, theta: Tensor, near: float | None = None) -> tuple[Problem, Tensor]:
    """The problem at the likelihood's most probable number, if one is free, and the parameters there; `near` saves steps.

    Raises DataError where the number has no finite maximum.
    """
    family = problem.family
    if family.free is None:
        return problem, theta
    if family.likelihood.squares:
        rss = 2 * problem.value(theta)
        if rss <= EXACT**2 * float((problem.weights * problem.y**2).sum()):
            raise DataError("fit_model: the model meets every target exactly; a normal likelihood then has no maximum")
        return problem.at(family.at(math.sqrt(rss / problem.nobs))), theta
    if family.likelihood.separate:
        eta = problem.free(theta).detach()
        return problem.at(root_of(family, lambda trial: score(trial, problem.design, eta))), theta
    # Beside the number that is near, not on it: there the score is rounding and has no sign to go by.
    family, warm = family if near is None else family.at(BESIDE * near), theta

    def profile(trial: Family) -> float:
        nonlocal warm
        warm = descend(problem.at(trial), warm).theta
        return score(trial, problem.design, problem.free(warm).detach())

    found = problem.at(root_of(family, profile))
    return found, descend(found, warm).theta


def log_likelihood(problem: Problem, theta: Tensor) -> float:
    """Nats, nothing dropped; of a normal whose σ is free at σ̂, infinite where every target is met."""
    value = problem.value(theta)
    if not problem.normal:
        return -value
    n, half = problem.nobs, 0.5 * math.log(2 * math.pi)
    if problem.family.free is None:
        sigma = math.sqrt(problem.family.dispersion)
        return -value / sigma**2 - n * (math.log(sigma) + half)
    rss = 2 * value
    return -n * (0.5 * math.log(rss / n) + 0.5 + half) if rss > 0 else math.inf


def surroundings(problem: Problem, theta: Tensor, convention: str) -> Surroundings:
    """At a maximum of the problem with its number in place; `convention` of the dispersion as in `estimate`."""
    family, observed = problem.family, problem.hessian(theta)
    if family.likelihood.squares:
        return _of_squares(problem, theta, observed, convention)
    if not family.knows_information and family.free is not None:
        eta, jacobian = problem.free(theta).detach(), problem.jacobian(theta)
        near, cross = _gauss_newton(problem, theta), _cross(problem, eta, jacobian)
        return Surroundings(None, "ml", observed, near, 1.0, cross, corner(family, problem.design, eta))
    if not family.knows_information:
        return Surroundings(None, "given", observed, _gauss_newton(problem, theta))
    factor = linear_at(problem, theta).root
    expected = factor.T @ factor
    if family.likelihood.canonical:
        return Surroundings(None, "given", observed, expected, root=factor)
    eta, jacobian = problem.free(theta).detach(), problem.jacobian(theta)
    if family.likelihood.conventions is not None:
        kind, dispersion = _pearson(problem, eta, problem.nobs - len(theta), convention)
        return Surroundings(dispersion, kind, observed, expected, dispersion / family.dispersion, root=factor)
    if family.free is None:
        return Surroundings(None, "given", observed, expected, root=factor)
    cross = _cross(problem, eta, jacobian)
    return Surroundings(None, "ml", observed, expected, 1.0, cross, corner(family, problem.design, eta), factor)


def _of_squares(problem: Problem, theta: Tensor, observed: Tensor, convention: str) -> Surroundings:
    """Of a normal, whose information is that at σ = 1 over σ²."""
    family, factor = problem.family, linear_at(problem, theta).root
    if family.free is None:
        at = family.dispersion
        return Surroundings(at, "given", observed / at, factor.T @ factor / at, root=factor / math.sqrt(at))
    assert family.likelihood.conventions is not None
    n, rss, left = problem.nobs, 2 * problem.value(theta), problem.nobs - len(theta)
    kind = family.likelihood.conventions[convention != "ml"]
    dispersion = rss / n if convention == "ml" else rss / left if left > 0 else math.nan
    expected, factor = factor.T @ factor / dispersion, factor / math.sqrt(dispersion)
    return Surroundings(dispersion, kind, observed * (n / rss), expected, root=factor)


def _cross(problem: Problem, eta: Tensor, jacobian: Tensor) -> Tensor:
    """(p,): what the number's logarithm and each parameter share of the information, expected where that is known."""
    cross = torch.zeros(jacobian.shape[2], dtype=torch.float64)
    known = problem.family.knows_information
    targets = curvature.typical(problem.family.likelihood, eta) if known else [problem.y]
    for y in targets:
        moved = _weighed(problem, difference(problem.family, gradient_at(eta, y)))
        cross += torch.einsum("nap,na->p", jacobian, moved) / len(targets)
    return cross


def _pearson(problem: Problem, eta: Tensor, left: float, convention: str) -> tuple[str, float]:
    family = problem.family
    if family.free is None or family.likelihood.conventions is None:
        return "given", family.dispersion
    ml, unbiased = family.likelihood.conventions
    if convention == "ml":
        return ml, family.dispersion
    mean = family.likelihood.mean(eta[:, 0])
    pearson = float((problem.weights * family.likelihood.pearson(problem.y, mean)).sum())
    return unbiased, pearson / left if left > 0 else math.nan


def _weighed(problem: Problem, values: Tensor) -> Tensor:
    return values * problem.weights.reshape(-1, *[1] * (values.ndim - 1))


def _gauss_newton(problem: Problem, theta: Tensor) -> Tensor:
    """(p, p) Σ_i J_iᵀ (∂²nll_i/∂f²) J_i, J the rows' raw outputs by parameters: of a likelihood whose expectation is not known."""
    jacobian = problem.jacobian(theta, free=False)
    output = problem.output(theta).detach().requires_grad_()
    nll = problem.weights * problem.family.likelihood.nll(output, problem.y)
    (first,) = torch.autograd.grad(nll.sum(), output, create_graph=True)
    columns = first.reshape(len(problem.y), -1).unbind(1)
    second = [torch.autograd.grad(column.sum(), output, retain_graph=True)[0] for column in columns]
    bend = torch.stack([part.reshape(len(problem.y), -1) for part in second], 1)
    return torch.einsum("nap,nab,nbq->pq", jacobian, bend, jacobian)
