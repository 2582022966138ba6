"""From a penalised maximum, or one of several raw outputs and numbers, or the lack of one, to an `Estimate`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlnn.estimating.catalogue import Family
from mlnn.estimating.fitted_rows import LinearRows
from mlnn.estimating.linear.answer import deviance_of, estimate_with, ways_of, without_maximum
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.firth import Penalised
from mlnn.estimating.linear.inference import unshifted
from mlnn.estimating.linear.joint import Joint, held_at_zero
from mlnn.estimating.linear.parts import Parts
from mlnn.estimating.result import Estimate


def of_penalty(found: Penalised, llnull: float, cov: str) -> Estimate:
    """The answer of a penalised fit: llf and llnull have the penalty in them."""
    family, design, place = found.family, found.design, found.place
    bse = np.sqrt(np.diag(found.covariance(cov))).reshape(family.outputs, -1).T
    return estimate_with(
        family,
        design,
        found.coefficients,
        llf=place.value,
        llnull=llnull,
        bse=bse,
        cov=cov,
        iterations=found.iterations,
        gradient_norm=found.push,
        information=found,
        rows=LinearRows(family, design, place.beta),
        deviance=deviance_of(family, design, place.beta, -place.plain),
        penalty="firth",
        notes=(
            "Firth's penalty, ½ log|I|, is in the log-likelihood, that of the constant alone, AIC and BIC; without it the"
            f" log-likelihood is {place.plain + ways_of(design):.6f}",
            "tests and intervals are those of the profile of the penalised likelihood; conf_int(kind='wald') has the others"
            if found.profiled
            else "tests and intervals are Wald's, as there are many rows; conf_int(kind='profile') takes its time",
        ),
    )


def of_joint(found: Joint, llnull: float, cov: str) -> Estimate:
    """The answer of coefficients and numbers estimated in one; thresholds stand among the numbers, in place of constants."""
    family, design, nobs = found.family, found.design, found.design.nobs
    thresholds = found.thresholds(cov)
    beta = unshifted(design, found.beta)
    beta = beta[:-1, :1] if thresholds else beta
    bse = np.sqrt(np.diag(found.covariance(cov))).reshape(beta.shape[1], -1).T
    held = held_at_zero(family, design.width, design.intercept).numpy()
    free = int(found.free.sum()) - len(family.frees)
    return estimate_with(
        family,
        design,
        beta,
        llf=-found.point.value,
        llnull=llnull,
        bse=bse if thresholds else np.where(held, np.nan, bse),
        cov=cov,
        iterations=found.iterations,
        gradient_norm=found.push,
        information=found,
        rows=LinearRows(family, design, found.beta),
        deviance=deviance_of(family, design, found.beta, found.point.value),
        ancillary=family.numbers | {name: value for name, (value, _error) in thresholds.items()},
        ancillary_bse=found.number_errors(cov),
        parameters=free + len(family.frees) * family.counted,
        df_model=free - (len(thresholds) or family.outputs * design.intercept),
        df_resid=nobs - free,
        notes=_held(family),
        **_named_by_slopes(design, thresholds),
    )


def of_questions(family: Family, design: Design, found: Parts, llnull: float, cov: str) -> Estimate:
    """The answer where a model inside the likelihood has no maximum: which coefficients run away is told, the supremum is not."""
    thresholds = {name: float("nan") for name in found.thresholds}
    complete = bool(thresholds) and found.kind == "complete"
    return without_maximum(
        family,
        design,
        found.limits,
        found.kind,
        found.direction,
        llf=0.0 if complete else float("nan"),
        llnull=llnull,
        cov=cov,
        ancillary=family.numbers | thresholds,
        notes=("what is told as not determined has not been computed, and may have a finite limit",),
        **_named_by_slopes(design, thresholds),
    )


def _named_by_slopes(design: Design, thresholds: Mapping[str, object]) -> dict[str, Any]:
    """Names of coefficients where thresholds stand in place of the constants."""
    if not thresholds:
        return {}
    return {"names": design.features, "outputs": ("",), "intercept": False, "thresholds": tuple(thresholds)}


def _held(family: Family) -> tuple[str, ...]:
    if not family.constant:
        return ()
    return (f"a constant alone: {', '.join(family.labels[k] for k in family.constant)}; its other coefficients are 0",)
