"""What is left of the targets: residuals of a fit, row by row, as a GLM's results have them.

Rows with weights are so many rows: a residual is that of one of them. Of a binomial table and of shares, whose weight is a number
of trials, the response residual is n(y − μ) of a table, and the others carry √n, so that their squares sum to X² and to the
deviance.
"""

import math

import torch
from torch import Tensor

from mlnn.errors import ConfigError, unknown
from mlnn.estimating.fitted_rows import FittedRows
from mlnn.estimating.network import curvature
from mlnn.estimating.prediction import centre, centres, check_predicts
from mlnn.world import own_world

KINDS = ("response", "pearson", "deviance")


@own_world(threads=None)
def fitted_values(rows: FittedRows) -> Tensor:
    """What the fit predicts for its own rows: (n,), or (n, K) probabilities of classes."""
    return centres(rows)


@own_world(threads=None)
def residuals(rows: FittedRows, kind: str) -> Tensor:
    """(n,): "response" y − μ (of classes (n, K), the indicator less the probability); "pearson" (y − μ)/√V(μ), V the variance over
    the dispersion; "deviance" sign(y − μ) √(2φ(nll − least)), whose squares sum to the deviance.

    Raises ConfigError for another kind, and where the likelihood does not tell what the kind needs.
    """
    if kind not in KINDS:
        raise ConfigError("residuals: " + unknown("kind", str(kind), KINDS))
    check_predicts(rows.family)
    raw = torch.cat([part for part, _ in rows.parts(None, None, None)])
    mean, away = _away(rows, raw)
    if kind == "response":
        return away * _trials(rows) if rows.design.binomial else away
    if mean.ndim > 1:
        raise ConfigError(f"residuals: {kind} ones have one sign a row; of classes there is kind='response' (n, K)")
    scaled = _pearson(rows, raw, mean, away) if kind == "pearson" else torch.sign(away) * _above(rows, raw).sqrt()
    return scaled * _trials(rows).sqrt() if _shares(rows) else scaled


def deviance(rows: FittedRows) -> float:
    """2φ Σ (nll − least), each row as often as it counts. Raises ConfigError where there is no saturated model."""
    raw = torch.cat([part for part, _ in rows.parts(None, None, None)])
    return float((_trials(rows) * _above(rows, raw)).sum())


def _away(rows: FittedRows, raw: Tensor) -> tuple[Tensor, Tensor]:
    """(what is predicted, target less it); of angles the shorter way round."""
    family, y = rows.family, rows.design.y
    mean = centre(family, raw).detach()
    if mean.ndim > 1:
        return mean, torch.nn.functional.one_hot(y, mean.shape[1]) - mean
    away = y - mean
    return mean, torch.remainder(away + math.pi, 2 * math.pi) - math.pi if family.likelihood.periodic else away


def _pearson(rows: FittedRows, raw: Tensor, mean: Tensor, away: Tensor) -> Tensor:
    family = rows.family
    told = family.space.facts.variance
    known = family.likelihood.variance(curvature.raw(family.likelihood, raw)) if told is None else told(mean)
    if known is None:
        raise ConfigError(
            f"residuals: the variance of {family.name} has no closed form, so there are no Pearson residuals; take"
            " 'response' or 'deviance'"
        )
    return away / torch.as_tensor(known, dtype=torch.float64).detach().sqrt()


def _above(rows: FittedRows, raw: Tensor) -> Tensor:
    """A row's share of the deviance, 2φ(nll − least); (n,). Raises ConfigError where there is no saturated model."""
    family, y = rows.family, rows.design.y
    least = family.likelihood.least(y)
    if least is None or not bool(torch.isfinite(least).all()):
        raise ConfigError(f"residuals: {family.name} has no saturated model, and so no deviance; take 'response'")
    return 2 * family.dispersion * family.likelihood.above(curvature.raw(family.likelihood, raw), y).detach()


def _trials(rows: FittedRows) -> Tensor:
    """Of each row; 1 without weights."""
    weights = rows.design.weights
    return torch.ones((), dtype=torch.float64) if weights is None else weights


def _shares(rows: FittedRows) -> bool:
    """Whether weights are numbers of trials, of which y is the share of successes."""
    y = rows.design.y
    return rows.family.space.kind == "binary" and bool(((y > 0) & (y < 1)).any())
