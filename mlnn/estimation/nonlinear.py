"""The maximum of the likelihood of any small model, through its Hessian: params to the last digits, and are they identified?"""

import copy
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev

from mlnn.errors import ConfigError, DataError
from mlnn.estimation.model_fit import ModelFit
from mlnn.objectives import Likelihood, Normal
from mlnn.objectives.normal import HALF_LOG_TWO_PI
from mlnn.seeding import generator

CONVERGED = 1e-12  # largest |Σ_i s_ij| / Σ_i |s_ij| of a maximum, s the rows' gradients
GOOD_ENOUGH = 1e-9  # the same where rounding ends the steps before
EXACT = 1e-14  # residuals below this share of the targets are rounding
IDENTIFIED = 1e-10  # smallest eigenvalue over largest, below which a direction counts as flat
STEPS = 200
EPS = torch.finfo(torch.float64).eps


def fit_model(
    likelihood: Likelihood,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    weights: Tensor | None = None,
    starts: int = 3,
    seed: int = 0,
) -> ModelFit:
    """The MLE of `model` (float64; x (n, …) to raw outputs (n,), (n, 1) or (n, K)) under `likelihood`, with targets y (n,).

    Newton steps with Levenberg-Marquardt damping, in units of each parameter's curvature, from the model's own weights and
    `starts` − 1 random displacements of them; the best of those that converge is kept, and the model itself is not changed.
    weights: (n,) how often each row counts. A `Normal` has its sigma profiled out, whatever sigma it was made with. Time
    and memory grow as p². Raises ConfigError for a model that is not float64, DataError if no start converges (then
    the MLE may not exist: see `find_separation`) or the model meets every real target exactly.
    """
    if starts < 1:
        raise ConfigError(f"starts: at least 1 is needed, found {starts}")
    problem = _Problem(likelihood, model, x, y, weights)
    ends = [_newton(problem, start) for start in problem.starts(starts, seed)]
    maxima = [(theta, gradient) for theta, gradient in ends if gradient <= GOOD_ENOUGH]
    if not maxima:
        nearest = min((gradient for _, gradient in ends if math.isfinite(gradient)), default=math.nan)
        raise DataError(
            f"fit_model: none of {starts} starts reached a maximum, the gradient stayed at {nearest:.1e} of its terms; the MLE"
            " may not exist (separation), or the model has kinks: start nearer, or take more starts"
        )
    return _describe(problem, *min(maxima, key=lambda end: problem.value(end[0])))


class _Problem:
    """The summed nll over one flat vector of parameters, and its derivatives."""

    def __init__(self, likelihood: Likelihood, model: nn.Module, x: Tensor, y: Tensor, weights: Tensor | None) -> None:
        self.parts = {name: part.detach() for name, part in model.named_parameters()}
        if not self.parts or any(part.dtype != torch.float64 for part in [*self.parts.values(), x]):
            raise ConfigError(
                "fit_model: the model and x must be float64 and the model must have weights; call .double()"
            )
        self.model, self.x = copy.deepcopy(model).eval(), x
        self.normal = isinstance(likelihood, Normal)
        self.likelihood = Normal(1.0) if self.normal else likelihood
        self.flat = torch.cat([part.reshape(-1) for part in self.parts.values()])
        self.weights = torch.ones(len(x), dtype=torch.float64) if weights is None else weights.to(torch.float64)
        classes = y.dtype == torch.int64 and self.output(self.flat).ndim == 2
        self.y = y if classes else y.to(torch.float64)
        fits = len(x) == len(y) == len(self.weights) and self.rows(self.flat).shape == x.shape[:1]
        if not fits or not bool(torch.isfinite(x).all() and torch.isfinite(self.y).all() and (self.weights >= 0).all()):
            raise DataError(
                "fit_model: x (n, …), y and weights (n,) must be finite, weights not negative, and give an nll (n,); found"
                f" x {tuple(x.shape)}, y {tuple(y.shape)}, weights {tuple(self.weights.shape)}"
            )

    def starts(self, count: int, seed: int) -> Iterator[Tensor]:
        """The model's own weights, then displacements of them by the size of each weight tensor."""
        spread = torch.cat([part.square().mean().sqrt().expand(part.numel()) for part in self.parts.values()])
        spread = torch.where(spread > 0, spread, 1)
        yield self.flat
        for k in range(1, count):
            noise = torch.randn(len(self.flat), generator=generator(seed, "weights", k), dtype=torch.float64)
            yield self.flat + 0.5 * spread * noise

    def output(self, theta: Tensor) -> Tensor:
        """Raw outputs (n,) or (n, K)."""
        pieces = theta.split([part.numel() for part in self.parts.values()])
        named = {name: piece.view_as(part) for (name, part), piece in zip(self.parts.items(), pieces, strict=True)}
        out = functional_call(self.model, named, (self.x,))
        return out.squeeze(1) if out.ndim == 2 and out.shape[1] == 1 else out

    def rows(self, theta: Tensor) -> Tensor:
        """What is minimised, per row: weighted nll; for a Normal half the squared residual, whose minimum is the same."""
        output = self.output(theta)
        nll = 0.5 * (self.y - output) ** 2 if self.normal else self.likelihood.nll(output, self.y)
        return self.weights * nll

    def value(self, theta: Tensor) -> float:
        """The sum of the rows; inf where it is not finite."""
        value = float(self.rows(theta).sum())
        return value if math.isfinite(value) else math.inf

    def hessian(self, theta: Tensor) -> Tensor:
        """(p, p) of the sum of the rows."""

        def total(at: Tensor) -> Tensor:
            return self.rows(at).sum()

        return jacrev(grad(total))(theta).detach()

    def gauss_newton(self, theta: Tensor) -> Tensor:
        """(p, p) Σ_i J_iᵀ (∂²nll_i/∂f²) J_i, J the rows' outputs by parameters."""
        jacobian = jacrev(self.output)(theta).detach().reshape(len(self.y), -1, len(theta))
        output = self.output(theta).detach().requires_grad_()
        nll = self.weights * self.likelihood.nll(output, self.y)
        (first,) = torch.autograd.grad(nll.sum(), output, create_graph=True)
        columns = first.reshape(len(self.y), -1).unbind(1)
        second = [torch.autograd.grad(column.sum(), output, retain_graph=True)[0] for column in columns]
        curvature = torch.stack([part.reshape(len(self.y), -1) for part in second], 1)
        return torch.einsum("nap,nab,nbq->pq", jacobian, curvature, jacobian)

    def at_maximum(self, theta: Tensor) -> tuple[float, float | None, Tensor, Tensor]:
        """llf, dispersion, observed and Gauss-Newton information, with the Normal's sigma put in."""
        value, observed, rough = self.value(theta), self.hessian(theta), self.gauss_newton(theta)
        if not self.normal:
            return -value, None, observed, rough
        n, rss = float(self.weights.sum()), 2 * value
        if rss <= EXACT**2 * float((self.weights * self.y**2).sum()):
            raise DataError("fit_model: the model meets every target exactly; a normal likelihood then has no maximum")
        dispersion = rss / (n - len(theta)) if n > len(theta) else math.nan
        llf = -n * (0.5 * math.log(rss / n) + 0.5 + HALF_LOG_TWO_PI)
        return llf, dispersion, observed * (n / rss), rough / dispersion

    def names(self) -> tuple[str, ...]:
        """`weight[0,1]` for each entry of the flat vector."""
        at = ((name, index) for name, part in self.parts.items() for index in np.ndindex(tuple(part.shape)))
        return tuple(f"{name}[{','.join(map(str, index))}]" if index else name for name, index in at)


def _newton(problem: _Problem, theta: Tensor) -> tuple[Tensor, float]:
    """Where the steps from `theta` end, and how large the gradient still is there."""
    value, damping, unit = problem.value(theta), 1e-3, torch.zeros_like(theta)
    gradient, relative = _gradient(problem, theta)
    before = math.inf
    for _ in range(STEPS):
        # Steps go on below CONVERGED while they still gain a digit: params are then as good as rounding lets them be.
        if not math.isfinite(relative) or before / 10 < relative <= CONVERGED:
            break
        curvature = problem.hessian(theta)
        unit = torch.maximum(unit, _unit(curvature))
        # |eigenvalues|: a saddle is left downhill, where a plain Newton step would walk into it.
        spectrum, axes = torch.linalg.eigh(curvature / unit / unit[:, None])
        spectrum, along = spectrum.abs(), axes.T @ (gradient / unit)
        while damping < 1e12:
            there = theta - axes @ (along / (spectrum + damping * spectrum.max())) / unit
            new_value = problem.value(there)
            if new_value <= value + 4 * EPS * abs(value):
                new_gradient, new_relative = _gradient(problem, there)
                if new_value < value or new_relative < relative:  # at the end values are equal and gradients are not
                    break
            damping *= 10
        else:
            break
        theta, value, gradient, before, relative = there, new_value, new_gradient, relative, new_relative
        damping = max(damping / 10, 1e-12)
    return theta, relative


def _gradient(problem: _Problem, theta: Tensor) -> tuple[Tensor, float]:
    """The gradient of the sum, and the largest of its entries relative to the terms it is made of; NaN if not finite."""
    rows = jacrev(problem.rows)(theta).detach()
    total, terms = rows.sum(0), rows.abs().sum(0)
    if not bool(torch.isfinite(terms).all()):
        return total, math.nan
    return total, float((total.abs() / torch.where(terms > 0, terms, 1)).max())


def _unit(curvature: Tensor) -> Tensor:
    """Per parameter the root of its own curvature; of the largest where its own is nothing but rounding."""
    diagonal = curvature.diagonal().abs()
    largest = diagonal.max()
    kept = torch.where(diagonal > EPS**2 * largest, diagonal, largest)
    return torch.where(kept > 0, kept, 1).sqrt()


def _describe(problem: _Problem, theta: Tensor, gradient: float) -> ModelFit:
    llf, dispersion, observed, rough = problem.at_maximum(theta)
    unit = _unit(observed)
    eigenvalues = torch.linalg.eigvalsh(observed / unit / unit[:, None])
    identified, sentence = _identified(eigenvalues)
    bse, covariance = torch.full_like(theta, math.nan), None
    if identified and bool(torch.isfinite(rough).all()):
        covariance = torch.linalg.inv(rough / unit / unit[:, None]) / unit / unit[:, None]
        bse = covariance.diagonal().sqrt()
    elif identified:
        sentence += f"; {len(theta)} parameters leave no rows for the dispersion: no standard errors"
    return ModelFit(
        likelihood=type(problem.likelihood).__name__,
        nobs=float(problem.weights.sum()),
        ancillary={"sigma": math.sqrt(2 * problem.value(theta) / float(problem.weights.sum()))}
        if problem.normal
        else {},
        params=theta.numpy(),
        names=problem.names(),
        llf=llf,
        gradient_norm=gradient,
        information=observed.numpy(),
        eigenvalues=eigenvalues.numpy(),
        identified=identified,
        bse=bse.numpy(),
        dispersion=dispersion,
        sentence=sentence,
        covariance=None if covariance is None else covariance.numpy(),
    )


def _identified(eigenvalues: Tensor) -> tuple[bool, str]:
    """Whether every direction is curved downwards in the likelihood, and the sentence that says so."""
    share = eigenvalues / eigenvalues.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    flat, up, p = int((share.abs() <= IDENTIFIED).sum()), int((share < -IDENTIFIED).sum()), len(share)
    if up:
        return False, f"not a maximum: the likelihood rises along {up} of {p} directions; no standard errors"
    if flat:
        return False, f"not identified: {flat} of {p} directions leave the likelihood as it is; no standard errors"
    return (
        True,
        f"identified: the flattest of {p} directions has {float(share[0]):.1e} of the curvature of the steepest",
    )
