"""The classical estimate of a network: the maximum-likelihood estimate of the same linear model, and how far off it is.

A network whose raw output is affine in its input (one sigmoid node, logistic and softmax regression, a linear or a Poisson
node, also a deep network of linear layers) has one. Distance is told in the digits that agree, in standard errors,
and in log-likelihood: 2(ll_MLE − ll_network) is what a likelihood-ratio test of the network's weights would see.
"""

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.basis import Basis, basis_of
from mlnn.estimating.catalogue import LIKELIHOODS, Family, family_of
from mlnn.estimating.distance import CoefficientDistance, Distance, Finding
from mlnn.estimating.linear.design import Design, design_of
from mlnn.estimating.linear.newton import NotConvergedError, evaluate
from mlnn.estimating.network import curvature
from mlnn.estimating.remembered import remembered
from mlnn.estimating.result import Estimate
from mlnn.likelihoods import Likelihood, adopted
from mlnn.objectives.layout import extras_taken
from mlnn.seeding import generator
from mlnn.targets import OFFSET
from mlnn.world import own_world

AFFINE = 1e-9
"""Of the largest raw output: what rounding leaves between an affine function in float64 and its values at the rows."""
CHECKED = 64
"""Rows at which a module is asked whether it is affine: any nonlinearity shows at the first few."""
MOST_DIGITS = 16.0
"""What float64 holds: two numbers that are equal agree to no more."""
LARGE = 2_000_000
"""Rows × coefficients above which none is computed beside a training run: its linear programme would take minutes."""
LIKELIHOOD_ONE = 1e-9
"""Nats below which the supremum of the log-likelihood is that of rows which are all told for certain."""
LEAST_PVALUE = 1e-300
"""Smaller ones are near the end of float64's range, and are not printed."""
INDISTINCT, INSIDE = 0.999, 0.05
"""p-values above which no test could tell a network from the MLE, and above which it lies in the 95 % confidence region."""


@dataclass(frozen=True)
class ClassicalEstimate:
    """What a network would reach if it reached the maximum; `why` there is no unique estimate, if there is none."""

    estimate: Estimate | None
    why: str | None
    family: Family
    design: Design
    rows: Tensor
    basis: Basis | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a finite MLE."""
        return self.estimate is not None and self.estimate.exists

    @own_world(threads=None)
    def distance(self, module: nn.Module) -> Distance:
        """How far the module's weights are now; ConfigError for a module whose output is no longer affine."""
        found = affine_coefficients(module, self.rows, self.design.intercept)
        if found is None:
            if all(bool(weight.isfinite().all()) for weight in module.parameters()):
                raise ConfigError("model: its raw output is not affine in its input, so it has no classical twin")
            shape = (self.design.width, self.family.outputs)
            return _nowhere(shape, math.inf, math.nan, None)  # a training that has diverged
        beta = self._free(found)
        norm = float((beta[:-1] if self.design.intercept else beta).norm())
        if self.estimate is None or not self.exists:
            return _nowhere(tuple(beta.shape), norm, self.log_likelihood(beta), beta.numpy())
        truth = self.estimate.params.reshape(tuple(beta.shape))
        off = beta.numpy() - truth
        with np.errstate(divide="ignore", invalid="ignore"):
            digits = np.clip(-np.log10(np.abs(off) / np.abs(truth)), 0.0, MOST_DIGITS)
            errors = off / self.estimate.bse.reshape(off.shape) if self.estimate.bse is not None else off * math.nan
        at, lr, gradient = self._likelihood(self.estimate, self._shifted(beta))
        pvalue = float(scipy.stats.chi2.sf(lr, off.size))
        return Distance(digits, errors, lr, pvalue, gradient, norm, at, beta.numpy())

    def log_likelihood(self, beta: Tensor) -> float:
        """Of all rows at free coefficients (p, m), nats."""
        shifted, family = self._shifted(beta), self.family
        return -sum(
            float(self.design.weigh(rows, curvature.nll(family.likelihood, x @ shifted, self.design.y[rows])).sum())
            for rows, x in self.design.chunks()
        )

    def _free(self, coefficients: Tensor) -> Tensor:
        """Coefficients (p, m) as the estimate counts them: of classes, relative to class 0."""
        if self.family.likelihood.baseline:
            return coefficients[:, 1:] - coefficients[:, :1]
        return coefficients

    def _shifted(self, beta: Tensor) -> Tensor:
        """The same coefficients of the design's shifted columns."""
        shifted = beta.clone()
        if self.design.intercept:
            shifted[-1] += self.design.shift @ beta[:-1]
        return shifted

    def _likelihood(self, mle: Estimate, shifted: Tensor) -> tuple[float, float, float]:
        """(log-likelihood, 2(ll_MLE − it), the gradient in standard errors) at coefficients of the shifted columns."""
        if self.family.likelihood.kinked:
            point = evaluate(self.family, self.design, shifted, "observed")
            return -point.value, 2 * (mle.llf + point.value), math.nan
        point = evaluate(self.family, self.design, shifted, "expected")
        root, bad = torch.linalg.cholesky_ex(point.hessian, upper=True)
        push = torch.linalg.solve_triangular(root.T, point.gradient[:, None], upper=False).norm()
        return -point.value, max(0.0, 2 * (mle.llf + point.value)), math.nan if int(bad) else float(push)

    def sentence(self, distance: Distance) -> str:
        """Where the network stands, in words."""
        if self.estimate is None:
            return f"There is no unique estimate to compare with: {self.why}."
        if not self.exists:
            top = "1" if abs(self.estimate.llf) < LIKELIHOOD_ONE else f"exp({self.estimate.llf:.6g})"
            return (
                f"There is no maximum to reach: {self.estimate.separation} separation. The likelihood grows towards {top} as"
                " the weights grow without end, under gradient descent like the logarithm of the steps; now"
                f" |w| = {distance.norm:.4g}."
            )
        farthest = np.nanmax(np.abs(distance.errors)) if np.isfinite(distance.errors).any() else math.nan
        told = f"{distance.digits.min():.1f} to {distance.digits.max():.1f} digits of the MLE"
        told += "" if math.isnan(farthest) else f", at most {farthest:.2g} standard errors from it"
        p = f"p = {distance.lr_pvalue:.3g}" if distance.lr_pvalue >= LEAST_PVALUE else "p < 1e-300"
        return (
            f"The network has {told}; 2(ll_MLE − ll_network) = {distance.lr:.3g} ({p} on {distance.digits.size} degrees of"
            f" freedom): {_reading(distance.lr_pvalue)}."
        )

    def finding(self, distance: Distance) -> Finding:
        """What there is to say of a network at this distance."""
        found, exists = self.estimate, self.exists
        return Finding(
            separation=found.separation if found else None,
            why=self.why,
            llf=found.llf if found else None,
            coefficients=_coefficients(found, distance) if found and exists else (),
            sentence=" ".join([self.sentence(distance), *([self.basis.sentence] if self.basis else [])]),
            basis=self.basis,
            summary=distance.summary if exists else None,
            lr_pvalue=distance.lr_pvalue if exists else None,
            norm=distance.norm,
        )

    def beside(self, module: nn.Module) -> Finding:
        """What there is to say of the module as it is now."""
        return self.finding(self.distance(module))


def _nowhere(shape: tuple[int, ...], norm: float, at: float, coefficients: np.ndarray | None) -> Distance:
    """The distance where there is no maximum to measure it to."""
    nothing = np.full(shape, math.nan)
    return Distance(nothing, nothing, math.nan, math.nan, math.nan, norm, at, coefficients)


def _coefficients(found: Estimate, distance: Distance) -> tuple[CoefficientDistance, ...]:
    """One for each coefficient of a finite MLE, row by row of its `params`."""
    names = [f"{output}: {name}" if output else name for name in found.names for output in found.outputs]
    columns = (found.params, np.asarray(found.bse), distance.digits, distance.errors)
    rows = zip(names, *(column.reshape(-1).tolist() for column in columns), strict=True)
    return tuple(CoefficientDistance(*row) for row in rows)


def _reading(p: float) -> str:
    if p > INDISTINCT:
        return "no test on these data could tell it from the MLE"
    if p > INSIDE:
        return "short of the MLE, but inside its 95 % confidence region"
    return "outside the 95 % confidence region of the MLE: training has not arrived, or was held back"


@own_world(threads=None)
def classical_estimate(
    module: nn.Module, likelihood: Likelihood, data: Dataset, told: bool = True
) -> ClassicalEstimate | None:
    """That of a module under a likelihood on the training rows; None if its output is not affine, or it is too large.

    The likelihood's own numbers are kept where the coefficients depend on them; σ and the gamma's shape, which only scale
    the standard errors, are estimated. told: say which rows, which scale and which constant it stands for.
    """
    if adopted(likelihood).constant_after is not None:  # a network's steps between thresholds depend on x
        return None
    if OFFSET in data.extras and OFFSET in (extras_taken(likelihood.nll) or ()):  # which it may do anything with
        return None
    if data.terms is not None:  # the module says whether there is a constant, not the formula
        data = replace(data, terms=None)
    given, rows = _given(likelihood, data), data.x[:CHECKED]
    intercept = _constant(module, rows)
    if intercept is None:
        return None
    asked = _design(given, data, intercept)
    if asked is None:
        return None
    design, family = asked
    try:
        found = remembered(given, data, intercept)
    except Exception as problem:  # a likelihood from elsewhere may fail in any way
        if not isinstance(problem, DataError | NotConvergedError) and family.knows_information:
            raise
        basis = basis_of(data, intercept, None, likelihood) if told else None
        return ClassicalEstimate(None, str(problem).splitlines()[0].rstrip("."), family, design, rows, basis)
    if family.free is not None:
        family = family.at(found.ancillary[family.free])
    basis = basis_of(data, intercept, found, likelihood) if told else None
    return ClassicalEstimate(found, None, family, design, rows, basis)


def _design(given: str | Likelihood, data: Dataset, intercept: bool) -> tuple[Design, Family] | None:
    """The training rows as the linear model has them; None where they are too few, or too many."""
    try:
        design, family = design_of(data, family_of(given), intercept, None)
    except DataError:  # fewer rows than coefficients, say
        return None
    return None if len(data.x) * design.width * family.outputs > LARGE else (design, family)


def _given(likelihood: Likelihood, data: Dataset) -> str | Likelihood:
    """What `estimate` is given: the name where the number is to be estimated too, else the likelihood as it is."""
    name = family_of(likelihood, data.targets).name
    if name not in LIKELIHOODS:
        return likelihood
    estimated = likelihood.separate or (likelihood.kinked and likelihood.free is not None)
    return name if estimated else likelihood


def _constant(module: nn.Module, rows: Tensor) -> bool | None:
    """Whether the linear model of a module has a constant; None where the module is no such model.

    It is none if its output is not affine, if only its constant is trained (the linear model would be an estimate that it
    cannot reach), or if it has a constant that training does not move.
    """
    affine = affine_coefficients(module, rows, True)
    if affine is None or not _learns_a_slope(module, rows):
        return None
    learned = _learns_a_constant(module, rows)
    return None if not learned and bool((affine[-1] != 0).any()) else learned


@own_world(threads=None)
def affine_coefficients(module: nn.Module, rows: Tensor, intercept: bool) -> Tensor | None:
    """(p, m), float64, the constant last, if the raw output is affine in x; None if not. rows (r, *input_shape): to check on.

    Asked at 0 and at the unit vectors, in evaluation mode, on a float64 copy.
    """
    copied = copy.deepcopy(module).to("cpu", torch.float64).eval()
    shape, width = rows.shape[1:], math.prod(rows.shape[1:])

    def ask(flat: Tensor) -> Tensor:
        output: Tensor = copied(flat.reshape(-1, *shape))
        return output.reshape(len(flat), -1).detach()

    flat = rows.double().reshape(len(rows), -1)
    try:
        with torch.no_grad():
            level = ask(torch.zeros(1, width, dtype=torch.float64))[0]
            slope = ask(torch.eye(width, dtype=torch.float64)) - level
            output = ask(flat)
    except Exception:  # a user's module may refuse such rows in any way; a linear one does not
        return None
    off = (output - flat @ slope - level).abs().max()
    if not float(off) <= AFFINE * max(1.0, float(output.abs().max())):
        return None
    return torch.cat([slope, level[None]]) if intercept else slope


def _learns_a_constant(module: nn.Module, rows: Tensor) -> bool:
    """Whether the raw output at x = 0 moves with the weights, whatever the weight that does it is called."""
    return _moves(module, torch.zeros(1, *rows.shape[1:], dtype=torch.float64), torch.ones(1))


def _learns_a_slope(module: nn.Module, rows: Tensor) -> bool:
    """Whether what x adds to the raw output moves with the weights; asked at 1, for a row of the data may be all 0."""
    x = torch.cat([torch.ones_like(rows[:1]), torch.zeros_like(rows[:1])]).double()
    return _moves(module, x, torch.tensor([1.0, -1.0]))


def _moves(module: nn.Module, x: Tensor, signs: Tensor) -> bool:
    """Whether the sum of the raw outputs of the rows of x, with these signs, moves with the weights.

    Asked away from where they stand: at a saddle, such as all weights 0, nothing moves in first order.
    """
    copied = copy.deepcopy(module).to("cpu", torch.float64).eval()
    weights = [weight for weight in copied.parameters() if weight.requires_grad]
    draws = generator(0, "weights")
    with torch.no_grad():
        for weight in weights:
            weight.add_(torch.randn(weight.shape, generator=draws, dtype=weight.dtype))
    with torch.enable_grad():
        output = (copied(x).reshape(len(x), -1) * signs[:, None]).sum()
        slopes = torch.autograd.grad(output, weights, allow_unused=True) if output.requires_grad else []
    return any(slope is not None and bool((slope != 0).any()) for slope in slopes)
