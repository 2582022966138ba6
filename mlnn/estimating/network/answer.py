"""From a model's maximum, or the lack of one, to a `ModelFit`, and the sentence that says what it is worth."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.estimating.fitted_rows import ModelRows
from mlnn.estimating.linear.answer import notes_of
from mlnn.estimating.linear.kinks import KinkErrors
from mlnn.estimating.named import named
from mlnn.estimating.network.descent import unit
from mlnn.estimating.network.errors import log_likelihood, surroundings
from mlnn.estimating.network.fit import ModelFit
from mlnn.estimating.network.number_errors import number_errors
from mlnn.estimating.network.problem import Problem

FLATTEST = 1e-10
"""Smallest eigenvalue over largest, below which a direction counts as flat."""
TOLD = 1e-6
"""Nats: a row's nll below which it counts as told for certain."""
FEW_DIGITS = 8
"""Of the residuals: fewer are told."""
UNKNOWN = (
    "whether there is a finite maximum cannot be told of a model that is not linear in its parameters (separation: unknown);"
    " this is the highest of the stationary points reached"
)


def of_maximum(
    problem: Problem,
    theta: Tensor,
    gradient: float,
    convention: str,
    separation: str,
    likelier: float | None,
    whole: bool,
) -> ModelFit:
    """The answer at a stationary point. likelier: the log-likelihood of a better end that did not converge, if there is one.

    whole: the model is linear in its parameters and every one of them has an effect of its own, so that a small eigenvalue
    is bad conditioning, or a likelihood without curvature there, and no flat direction.
    """
    around, llf = surroundings(problem, theta, convention), log_likelihood(problem, theta)
    unit_ = unit(around.observed)
    eigenvalues = torch.linalg.eigvalsh(around.observed / unit_ / unit_[:, None])
    identified, sentence, flat = _identified(eigenvalues, whole)
    bse, covariance = torch.full_like(theta, math.nan), None
    if likelier is not None:
        identified = False
        sentence = (
            f"not the highest likelihood seen: a start came to log-likelihood {likelier:.10g} and did not converge there; the"
            f" best that converged is this one, {llf:.10g}. Start nearer, or take more starts; no standard errors; {sentence}"
        )
    if identified and bool(torch.isfinite(around.expected).all()) and math.isfinite(around.scale):
        covariance = around.covariance(unit_ if float(eigenvalues[0]) > 0 else unit(around.expected))
        if covariance is None:  # a flat spot of the model at which its residuals bend the likelihood
            sentence += "; the expected information is singular: no standard errors"
        else:
            bse = covariance.diagonal().sqrt()
    elif identified:
        sentence += f"; {len(theta)} parameters leave no rows for the dispersion: no standard errors"
    sentence += _few(problem, flat) + _rounded(problem, theta)
    if separation == "unknown":
        sentence += f"; {UNKNOWN}{_told_for_certain(problem, theta)}"
    return ModelFit(
        params=named(theta.detach().numpy(), (problem.network.names(),)),
        llf=llf,
        gradient_norm=gradient,
        information=around.observed.numpy(),
        eigenvalues=eigenvalues.numpy(),
        identified=identified,
        bse=named(bse.numpy(), (problem.network.names(),)),
        dispersion=around.dispersion,
        dispersion_kind=around.kind,
        parameters=len(theta) - flat + problem.family.counted,
        separation=separation,
        likelier=likelier,
        sentence=sentence,
        covariance=None if covariance is None else covariance.numpy(),
        ancillary_bse={} if covariance is None else number_errors(problem, theta, around),
        rows=ModelRows(problem, theta.detach()),
        **_common(problem),
    )


def of_kinks(problem: Problem, theta: Tensor, llf: float, errors: KinkErrors, place: Tensor) -> ModelFit:
    """The answer of a linear programme for a model that is linear in its parameters.

    errors: of the coefficients of that linear model; place (p,): which parameter each of them is.
    """
    covariance = np.empty_like(errors.matrix)
    covariance[np.ix_(place.numpy(), place.numpy())] = errors.covariance(errors.kind)
    nothing = torch.full((len(theta), len(theta)), math.nan, dtype=torch.float64)
    return ModelFit(
        params=named(theta.numpy(), (problem.network.names(),)),
        llf=llf,
        gradient_norm=0.0,
        information=nothing.numpy(),
        eigenvalues=nothing[0].numpy(),
        identified=True,
        bse=named(np.sqrt(np.diag(covariance)), (problem.network.names(),)),
        dispersion=None,
        dispersion_kind="given",
        parameters=len(theta),
        sentence="; ".join(["a linear programme's maximum, which need not be the only one", *errors.notes]),
        covariance=covariance,
        ancillary_bse=errors.numbers,
        kinked=True,
        cov=errors.kind,
        rows=ModelRows(problem, theta.detach()),
        **_common(problem),
    )


def of_separation(problem: Problem, kind: str, params: Tensor, llf: float, direction: Tensor | None) -> ModelFit:
    """The answer where there is no maximum: params (p,) with ±inf and NaN, llf the supremum."""
    flat = len(problem.flat) - int(torch.linalg.matrix_rank(_moves(problem)))
    nothing = torch.full((len(params), len(params)), math.nan, dtype=torch.float64)
    sentence = (
        f"{kind} separation: no finite maximum, so no standard errors; the log-likelihood grows towards {llf:.6g} as parameters"
        " grow without end"
    )
    if flat:
        sentence += f"; besides, {flat} of {len(params)} directions leave the likelihood as it is"
    return ModelFit(
        params=named(params.numpy(), (problem.network.names(),)),
        llf=llf,
        gradient_norm=math.nan,
        information=nothing.numpy(),
        eigenvalues=nothing[0].numpy(),
        identified=False,
        bse=named(nothing[0].numpy().copy(), (problem.network.names(),)),
        dispersion=None,
        dispersion_kind="given",
        parameters=len(params) - flat,
        separation=kind,
        direction=None if direction is None else direction.numpy(),
        sentence=sentence + _few(problem, flat),
        **_common(problem),
    )


def _common(problem: Problem) -> dict[str, Any]:
    family = problem.family
    return {
        "likelihood": family.likelihood.name,
        "nobs": problem.nobs,
        "ancillary": family.numbers,
        "names": problem.network.names(),
        "free": family.free,
        "notes": tuple(notes_of(family, problem.design, family.counted)),
    }


def _moves(problem: Problem) -> Tensor:
    """(n m, p): what moving each parameter does to the free raw outputs, away from the symmetric point that 0 may be."""
    return problem.jacobian(problem.moved(0, 1)).reshape(-1, len(problem.flat))


def _few(problem: Problem, flat: int) -> str:
    rows, needed = len(problem.y), len(problem.flat)
    return f"; there are {rows} rows for {needed} parameters" if flat and rows < needed else ""


def _rounded(problem: Problem, theta: Tensor) -> str:
    """Of residuals that are near to rounding: how many of their digits that leaves."""
    if not problem.normal or problem.family.free is None:
        return ""
    share = math.sqrt(2 * problem.value(theta) / float((problem.weights * problem.y**2).sum()))
    digits = math.floor(math.log10(share / torch.finfo(torch.float64).eps))
    if digits >= FEW_DIGITS:
        return ""
    return f"; residuals are {share:.1e} of the targets: rounding leaves them and standard errors about {digits} digits"


def _told_for_certain(problem: Problem, theta: Tensor) -> str:
    with torch.no_grad():
        sure = int((problem.rows(theta) < TOLD * problem.weights).sum())
    told = f"; {sure} of {len(problem.y)} rows are told for certain (to {TOLD:g} nats), as they are when parameters run away"
    return told if sure else ""


def _identified(eigenvalues: Tensor, whole: bool) -> tuple[bool, str, int]:
    """Whether every direction is curved downwards in the likelihood, the sentence that says so, and how many are flat."""
    share = eigenvalues / eigenvalues.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    flat, up, p = int((share.abs() <= FLATTEST).sum()), int((share < -FLATTEST).sum()), len(share)
    flat = 0 if whole else flat
    if up:
        return False, f"not a maximum: the likelihood rises along {up} of {p} directions; no standard errors", flat
    if flat:
        told = f"not identified: {flat} of {p} directions leave the likelihood as it is; no standard errors"
        return False, told, flat
    told = f"identified: the flattest of {p} directions has {float(share[0]):.1e} of the curvature of the steepest"
    return True, told, 0
