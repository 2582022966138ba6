"""From a maximum, or the lack of one, to an `Estimate`: dispersion, deviance, what AIC counts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.fitted_rows import LinearRows
from mlnn.estimating.linear.ancillary import linear
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.inference import Information, unshifted
from mlnn.estimating.linear.kinks import KinkErrors
from mlnn.estimating.linear.newton import Fit
from mlnn.estimating.linear.separation import Separation
from mlnn.estimating.network import curvature
from mlnn.estimating.result import Estimate

ROUNDING = 1e-14
"""Of the largest target: residuals below are what is lost in computing them."""


def of_maximum(family: Family, design: Design, fit: Fit, llnull: float, cov: str, convention: str) -> Estimate:
    """The answer at a smooth maximum, with standard errors."""
    kind, dispersion = _dispersion(family, design, fit.beta, convention)
    information = Information(family, design, fit.beta, fit.point, dispersion / family.dispersion)
    bse = np.sqrt(np.diag(information.covariance(cov))).reshape(family.outputs, -1).T
    return estimate_with(
        family,
        design,
        unshifted(design, fit.beta),
        llf=-fit.point.value,
        llnull=llnull,
        bse=bse,
        cov=cov,
        dispersion=dispersion,
        dispersion_kind=kind,
        iterations=fit.iterations,
        gradient_norm=fit.push,
        information=information,
        ancillary_bse=information.number_errors(cov),
        rows=LinearRows(family, design, fit.beta),
        deviance=deviance_of(family, design, fit.beta, fit.point.value),
    )


def of_kinks(errors: KinkErrors, llf: float, llnull: float, iterations: int) -> Estimate:
    """The answer of a linear programme, at the coefficients whose errors these are."""
    family, design, beta = errors.family, errors.design, errors.beta
    return estimate_with(
        family,
        design,
        unshifted(design, beta),
        llf=llf,
        llnull=llnull,
        bse=np.sqrt(np.diag(errors.covariance(errors.kind)))[:, None],
        cov=errors.kind,
        iterations=iterations,
        gradient_norm=0.0,
        rows=LinearRows(family, design, beta),
        deviance=deviance_of(family, design, beta, -llf),
        ancillary_bse=errors.numbers,
        kinks=errors,
        notes=(*errors.notes, "a linear programme's maximum need not be the only one"),
    )


def of_separation(
    family: Family, design: Design, beta: Tensor, llf: float, llnull: float, cov: str, found: Separation
) -> Estimate:
    """The answer where there is no maximum, `beta` (p, m) with ±inf and NaN."""
    assert found.direction is not None
    return without_maximum(
        family, design, beta, found.kind, found.direction, llf=llf, llnull=llnull, cov=cov, notes=tuple(_way_on(family))
    )


def without_maximum(
    family: Family,
    design: Design,
    beta: Tensor,
    kind: str,
    direction: Tensor,
    *,
    notes: tuple[str, ...],
    **rest: Any,
) -> Estimate:
    """An answer of separated rows, of that kind, along `direction`: no standard errors, and nothing has converged."""
    return estimate_with(
        family,
        design,
        beta,
        bse=None,
        iterations=0,
        gradient_norm=0.0,
        converged=False,
        separation=kind,
        direction=direction.numpy(),
        notes=(f"{kind} separation: no finite maximum, so no standard errors; see summary()", *notes),
        **rest,
    )


def _way_on(family: Family) -> Iterator[str]:
    if family.likelihood.firth:
        yield "penalty='firth' gives a finite estimate of these rows: that of the likelihood penalised by its information"


def log_likelihood(family: Family, design: Design, beta: Tensor) -> float:
    """Σ log p of a likelihood with one raw output, at coefficients (p, 1) of the shifted columns."""
    value = family.likelihood.nll(linear(design, beta)[:, 0], design.y)
    return -float(design.weigh(slice(0, len(value)), value).sum())


def estimate_with(
    family: Family,
    design: Design,
    beta: Tensor,
    *,
    llf: float,
    llnull: float,
    bse: np.ndarray | None,
    notes: tuple[str, ...] = (),
    **rest: Any,
) -> Estimate:
    """The numbers that every kind of answer has; those in `rest` are the Estimate's own."""
    p, m = beta.shape
    params, extra = beta.numpy(), family.counted
    ways, nobs = ways_of(design), float(len(design.y)) if design.binomial else design.nobs
    common: dict[str, Any] = {
        "params": params[:, 0] if m == 1 else params,
        "names": design.names,
        "outputs": family.labels,
        "bse": bse[:, 0] if bse is not None and m == 1 else bse,
        "df_model": (p - design.intercept) * m,
        "df_resid": nobs - p * m,
        "parameters": p * m + extra,
        "ancillary": family.numbers,
        "dispersion": family.dispersion,
        "dispersion_kind": "given" if family.free is None else "ml",
        "converged": True,
        "deviance": None,
        "intercept": design.intercept,
    }
    return Estimate(
        likelihood=family.name,
        llf=llf + ways,
        llnull=llnull + ways,
        nobs=nobs,
        notes=(*notes, *notes_of(family, design, extra, errors=bse is not None)),
        **common | rest,
    )


def ways_of(design: Design) -> float:
    """Σ log C(n, k) of a binomial table: the orders in which its successes can have come; 0 of other rows."""
    if not design.binomial or design.weights is None:
        return 0.0
    trials, successes = design.weights, (design.weights * design.y).round()
    parts = (torch.lgamma(count + 1) for count in (trials, successes, trials - successes))
    return float((next(parts) - next(parts) - next(parts)).sum())


def notes_of(family: Family, design: Design, counted: bool, errors: bool = True) -> list[str]:
    """What there is to know of the likelihood's number, of the standard errors where there are `errors`, and of the rows."""
    told = [*_of_the_number(family, counted), *(_of_the_errors(family) if errors else ())]
    return [*told, *_of_what_is_given(family), *_of_the_rows(family, design)]


def _of_the_number(family: Family, counted: bool) -> Iterator[str]:
    if family.several:
        yield f"{', '.join(family.several)} are estimated by maximum likelihood; AIC and BIC count them"
    elif family.free:
        how = "count it" if counted else "do not count it"
        told = f"{family.free} is estimated by maximum likelihood; AIC and BIC {how}, as statsmodels does"
        yield told + ("; its standard error is that of this value" if family.likelihood.conventions else "")


def _of_the_errors(family: Family) -> Iterator[str]:
    if family.likelihood.jointly:
        yield "standard errors are those of the observed information, as MASS and pscl have them"
    elif not family.knows_information:
        yield (
            f"{family.name} is not of the catalogue: standard errors are those of the observed information, llf is Σ −nll as"
            " its nll gives it, and another maximum is not ruled out"
        )


def _of_what_is_given(family: Family) -> Iterator[str]:
    kept = {key: value for key, value in family.numbers.items() if key not in family.frees}
    if kept and not family.free:
        yield "kept as given or by default: " + ", ".join(f"{k}={v:g}" for k, v in kept.items())


def _of_the_rows(family: Family, design: Design) -> Iterator[str]:
    estimated = family.numbers if family.free else {}
    if "sigma" in estimated and estimated["sigma"] <= ROUNDING * float(design.y.abs().max()):
        yield "every row is met to rounding: sigma, llf, standard errors and tests measure that rounding only"
    if design.offset is not None:
        yield "an offset is added to the raw output of every row, and to that of the constant alone"
    if design.binomial:
        yield "a binomial table: nobs counts its rows, llf has Σ log C(n, k), as a GLM's does"
    elif family.space.kind == "binary" and bool(((design.y > 0) & (design.y < 1)).any()):
        yield (
            "y × weights are not whole numbers: nobs is the sum of the weights and llf that of single trials, without"
            " Σ log C(n, k)"
        )


def _dispersion(family: Family, design: Design, beta: Tensor, convention: str) -> tuple[str, float]:
    """(name of the convention, φ in the standard errors)."""
    likelihood = family.likelihood
    if family.free is None or likelihood.conventions is None:
        return "given", family.dispersion
    ml, unbiased = likelihood.conventions
    if convention == "ml":
        return ml, family.dispersion
    left = design.nobs - design.width
    if left <= 0:
        raise DataError(
            f"data: {design.nobs:g} rows leave no degree of freedom for the dispersion; take dispersion='ml'"
        )
    if likelihood.squares:
        return unbiased, family.dispersion * design.nobs / left
    mean = likelihood.mean(linear(design, beta)[:, 0])
    pearson = design.weigh(slice(0, len(mean)), likelihood.pearson(design.y, mean)).sum()
    return unbiased, float(pearson) / left


def deviance_of(family: Family, design: Design, beta: Tensor, nll: float) -> float | None:
    """2φ Σ (nll − least) row by row: a difference of totals loses digits, and can come out negative. nll: the sum there."""
    least, total = family.likelihood.least(design.y), 0.0
    if least is None or not bool(torch.isfinite(least).all()):
        return None
    if not bool(least.any()):  # hard labels: any row can be told for certain
        return 2 * family.dispersion * nll
    for rows, x in design.chunks():
        eta, y = design.raw(rows, x, beta), design.y[rows]
        above = family.likelihood.above(curvature.raw(family.likelihood, eta), y)
        total += float(design.weigh(rows, above).sum())
    return 2 * family.dispersion * total
