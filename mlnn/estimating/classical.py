"""How far is a trained network from its classical twin, the maximum-likelihood estimate of the same linear model?

A network whose raw output is affine in its input (one sigmoid node, logistic and softmax regression, a linear or a Poisson
node, also a deep network of linear layers) has such a twin. Distance is told in the digits that agree, in standard errors,
and in log-likelihood: 2(ll_MLE − ll_network) is what a likelihood-ratio test of the network's weights would see.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.basis import Basis, basis_of
from mlnn.estimating.catalogue import LIKELIHOODS, Family, family_of
from mlnn.estimating.estimate import estimate
from mlnn.estimating.linear.design import Design, design_of
from mlnn.estimating.linear.newton import NotConvergedError, evaluate
from mlnn.estimating.result import Estimate
from mlnn.objectives import Likelihood
from mlnn.seeding import generator
from mlnn.world import own_world

AFFINE = 1e-9
MOST_DIGITS = 16.0
LARGE = 2_000_000
"""Rows × coefficients above which a twin is not computed beside a training run: its linear programme would take minutes."""


@dataclass(frozen=True)
class Distance:
    """A network's coefficients against the MLE. `digits`: −log10 |w − ŵ|/|ŵ| each, between 0 and 16; `errors`: (w − ŵ)/se.

    `lr`: 2(ll_MLE − ll_network) in nats, `lr_pvalue` its χ² reading with as many degrees of freedom as coefficients.
    `gradient`: ‖R⁻ᵀg‖, the gradient in standard errors. `norm`: |w|, constants left out. NaN where there is no MLE.
    """

    digits: np.ndarray
    errors: np.ndarray
    lr: float
    lr_pvalue: float
    gradient: float
    norm: float

    @property
    def summary(self) -> dict[str, float]:
        """The few numbers that a course over training keeps."""
        return {
            "digits_least": float(self.digits.min()),
            "digits_median": float(np.median(self.digits)),
            "standard_errors": float(np.abs(self.errors).max()),
            "lr": self.lr,
            "gradient_in_errors": self.gradient,
            "norm": self.norm,
        }


@dataclass(frozen=True)
class Twin:
    """The classical estimate that a network would reach if it reached the maximum; `why` there is none, if there is none."""

    estimate: Estimate | None
    why: str | None
    family: Family
    design: Design
    rows: Tensor
    basis: Basis | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a finite MLE."""
        return self.estimate is not None and self.estimate.separation == "none"

    @own_world(threads=None)
    def distance(self, module: nn.Module) -> Distance:
        """How far the module's weights are now; ConfigError for a module whose output is no longer affine."""
        found = affine_coefficients(module, self.rows, self.design.intercept)
        if found is None and not all(bool(weight.isfinite().all()) for weight in module.parameters()):
            gone = np.full((self.design.width, self.family.outputs), math.nan)  # a training that has diverged
            return Distance(gone, gone, math.nan, math.nan, math.nan, math.inf)
        if found is None:
            raise ConfigError("model: its raw output is not affine in its input, so it has no classical twin")
        beta = self._free(found)
        shifted = beta.clone()
        if self.design.intercept:
            shifted[-1] += self.design.shift @ beta[:-1]
        norm = float((beta[:-1] if self.design.intercept else beta).norm())
        if not self.exists or self.estimate is None:
            gone = np.full(tuple(beta.shape), math.nan)
            return Distance(gone, gone, math.nan, math.nan, math.nan, norm)
        truth = self.estimate.params.reshape(tuple(beta.shape))
        off = beta.numpy() - truth
        with np.errstate(divide="ignore", invalid="ignore"):
            digits = np.clip(-np.log10(np.abs(off) / np.abs(truth)), 0.0, MOST_DIGITS)
            errors = off / self.estimate.bse.reshape(off.shape) if self.estimate.bse is not None else off * math.nan
        lr, gradient = self._likelihood(shifted)
        return Distance(digits, errors, lr, float(stats.chi2.sf(lr, off.size)), gradient, norm)

    def _free(self, coefficients: Tensor) -> Tensor:
        """Coefficients (p, m) as the estimate counts them: of classes, relative to class 0."""
        if self.family.likelihood.baseline:
            return coefficients[:, 1:] - coefficients[:, :1]
        return coefficients

    def _likelihood(self, shifted: Tensor) -> tuple[float, float]:
        assert self.estimate is not None
        if self.family.likelihood.kinked:
            point = evaluate(self.family, self.design, shifted, "observed")
            return 2 * (self.estimate.llf + point.value), math.nan
        point = evaluate(self.family, self.design, shifted, "expected")
        root, bad = torch.linalg.cholesky_ex(point.hessian, upper=True)
        push = torch.linalg.solve_triangular(root.T, point.gradient[:, None], upper=False).norm()
        return max(0.0, 2 * (self.estimate.llf + point.value)), math.nan if int(bad) else float(push)

    def sentence(self, distance: Distance) -> str:
        """Where the network stands, in words."""
        if self.estimate is None:
            return f"There is no unique estimate to compare with: {self.why}."
        if not self.exists:
            top = "1" if abs(self.estimate.llf) < 1e-9 else f"exp({self.estimate.llf:.6g})"
            return (
                f"There is no maximum to reach: {self.estimate.separation} separation. The likelihood grows towards {top} as"
                " the weights grow without end, under gradient descent like the logarithm of the steps; now"
                f" |w| = {distance.norm:.4g}."
            )
        farthest = np.nanmax(np.abs(distance.errors)) if np.isfinite(distance.errors).any() else math.nan
        told = f"{distance.digits.min():.1f} to {distance.digits.max():.1f} digits of the MLE"
        told += "" if math.isnan(farthest) else f", at most {farthest:.2g} standard errors from it"
        p = f"p = {distance.lr_pvalue:.3g}" if distance.lr_pvalue >= 1e-300 else "p < 1e-300"
        return (
            f"The network has {told}; 2(ll_MLE − ll_network) = {distance.lr:.3g} ({p} on {distance.digits.size} degrees of"
            f" freedom): {_reading(distance.lr_pvalue)}."
        )

    def to_dict(self, distance: Distance) -> dict[str, Any]:
        """Plain data: whether an MLE exists, the estimate, the distance and the sentence."""
        names = [] if self.estimate is None else [f"{o}: {n}" if o else n for n in self.estimate.names
                                                  for o in self.estimate.outputs]  # fmt: skip
        rows = []
        if self.exists and self.estimate is not None:
            params, bse = self.estimate.params.reshape(-1), np.asarray(self.estimate.bse).reshape(-1)
            rows = [
                {"name": n, "mle": float(m), "se": float(s), "digits": float(d), "errors": float(e)}
                for n, m, s, d, e in zip(names, params, bse, distance.digits.ravel(), distance.errors.ravel(), strict=True)
            ]  # fmt: skip
        return {
            "separation": self.estimate.separation if self.estimate else None,
            "why": self.why,
            "llf": self.estimate.llf if self.estimate else None,
            "coefficients": rows,
            "sentence": " ".join([self.sentence(distance), *([self.basis.sentence] if self.basis else [])]),
            "basis": self.basis.to_dict() if self.basis else None,
            **({} if not self.exists else distance.summary | {"lr_pvalue": distance.lr_pvalue}),
            "norm": distance.norm,
        }


class Course:
    """Distance to the MLE over training, at steps that thin out like a logarithm: `rows`, one dict each."""

    def __init__(self, likelihood: Likelihood | None, data: Dataset, steps: int) -> None:
        self.likelihood, self.data = likelihood, data
        self.marks = {0, steps, *np.unique(np.geomspace(1, steps, 60).round().astype(int)).tolist()}
        self.twin: Twin | None = None
        self.rows: list[dict[str, float]] = []

    def watch(self, done: int, module: nn.Module) -> None:
        """Note where the module stands after `done` updates; nothing where it has no twin."""
        if done == 0 and self.likelihood is not None:
            self.twin = classical_twin(module, self.likelihood, self.data)
        if done in self.marks:
            self.look(done, module)

    def look(self, done: int, module: nn.Module) -> None:
        """Note it whether or not it is time to."""
        if self.twin is not None and not (self.rows and self.rows[-1]["step"] == done):
            self.rows.append({"step": done} | self.twin.distance(module).summary)

    def found(self, module: nn.Module) -> dict[str, Any] | None:
        """What there is to say of the trained module; None where it has no twin."""
        return None if self.twin is None else self.twin.to_dict(self.twin.distance(module))


@own_world(threads=None)
def classical_twin(module: nn.Module, likelihood: Likelihood, data: Dataset, told: bool = True) -> Twin | None:
    """The twin of a module under a likelihood on the training rows; None if its output is not affine, or it is too large.

    The likelihood's own numbers are kept where the coefficients depend on them; σ and the gamma's shape, which only scale
    the standard errors, are estimated. told: say which rows, which scale and which constant it stands for.
    """
    named = family_of(likelihood, data.targets)
    by_name = named.name in LIKELIHOODS and (likelihood.separate or (likelihood.kinked and likelihood.free is not None))
    given: Any = named.name if by_name else likelihood
    rows = data.x[:64]
    affine = affine_coefficients(module, rows, True)
    if affine is None:
        return None
    if not _learns_a_slope(
        module, rows
    ):  # a constant alone: the linear model would be an estimate that it cannot reach
        return None
    intercept = _learns_a_constant(module, rows)
    if not intercept and bool(
        (affine[-1] != 0).any()
    ):  # a constant that training does not move: no such model is classical
        return None
    try:
        design, family = design_of(data, family_of(given), intercept, None)
    except DataError:  # fewer rows than coefficients, say
        return None
    if len(data.x) * design.width * family.outputs > LARGE:
        return None
    try:
        found = estimate(given, data, intercept=intercept)
    except Exception as problem:  # a likelihood from elsewhere may fail in any way
        if not isinstance(problem, DataError | NotConvergedError) and family.knows_information:
            raise
        basis = basis_of(data, intercept, None, likelihood) if told else None
        return Twin(None, str(problem).splitlines()[0].rstrip("."), family, design, rows, basis)
    for key, value in found.ancillary.items():
        family = family.at(value) if key == family.free else family
    return Twin(found, None, family, design, rows, basis_of(data, intercept, found, likelihood) if told else None)


@own_world(threads=None)
def affine_coefficients(module: nn.Module, rows: Tensor, intercept: bool) -> Tensor | None:
    """(p, m), float64, the constant last, if the raw output is affine in x; None if not. rows (r, *input_shape): to check on.

    Asked at 0 and at the unit vectors, in evaluation mode, on a float64 copy.
    """
    twin = copy.deepcopy(module).to("cpu", torch.float64).eval()
    shape, width = rows.shape[1:], math.prod(rows.shape[1:])

    def ask(flat: Tensor) -> Tensor:
        return twin(flat.reshape(-1, *shape)).reshape(len(flat), -1).detach()

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
    """Whether what x adds to the raw output moves with the weights."""
    x = torch.cat([rows[:1], torch.zeros_like(rows[:1])]).double()
    return _moves(module, x, torch.tensor([1.0, -1.0]))


def _moves(module: nn.Module, x: Tensor, signs: Tensor) -> bool:
    """Whether the sum of the raw outputs of the rows of x, with these signs, moves with the weights.

    Asked away from where they stand: at a saddle, such as all weights 0, nothing moves in first order.
    """
    twin = copy.deepcopy(module).to("cpu", torch.float64).eval()
    weights = [weight for weight in twin.parameters() if weight.requires_grad]
    draws = generator(0, "weights")
    with torch.no_grad():
        for weight in weights:
            weight.add_(torch.randn(weight.shape, generator=draws, dtype=weight.dtype))
    with torch.enable_grad():
        output = (twin(x).reshape(len(x), -1) * signs[:, None]).sum()
        slopes = torch.autograd.grad(output, weights, allow_unused=True) if output.requires_grad else []
    return any(slope is not None and bool((slope != 0).any()) for slope in slopes)


def _reading(p: float) -> str:
    if p > 0.999:
        return "no test on these data could tell it from the MLE"
    if p > 0.05:
        return "short of the MLE, but inside its 95 % confidence region"
    return "outside the 95 % confidence region of the MLE: training has not arrived, or was held back"
