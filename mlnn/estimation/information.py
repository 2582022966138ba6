"""Is this loss the likelihood of these data? The information matrix equality, from rows' gradients at the minimum.

At the minimum of a loss let A be its mean Hessian and B the mean of s sᵀ over the rows' gradients s. If loss = τ · nll + c of
the distribution that made the data, then B = τ A (White 1982). Only second moments are compared: a loss that has them right
passes.
"""

import math
from dataclasses import dataclass

import torch
from scipy.stats import chi2
from torch import Tensor

from mlnn.errors import DataError

SURE = 0.01  # directions disagree if chance gives such a spread less often than this
STANDARD_ERRORS = 3
AT_MINIMUM = 1e-4  # n gᵀB⁻¹g of the mean gradient g: above, the minimum is more than 1 % of a standard error away


@dataclass(frozen=True)
class InformationCheck:
    """tau: tr(A⁻¹B)/p, with `se`; eigenvalues (p,) of A⁻¹B, ascending; p_value: how often chance alone spreads them this far.

    reading: "likelihood" (tau is 1 within 3 se and all directions agree), "scaled likelihood" (they agree on another tau) or
    "misspecified" (they do not agree). With one parameter there is nothing to agree, p_value is 1.
    """

    tau: float
    se: float
    eigenvalues: Tensor
    p_value: float
    reading: str
    sentence: str


def information_check(scores: Tensor, hessian: Tensor) -> InformationCheck:
    """Compare rows' gradients (n, p) of a loss at its minimum with its Hessian: of every row (n, p, p), or their mean (p, p).

    A row's part in M = A^−½ B A^−½ is Z = A^−½ (s sᵀ − τ H) A^−½, less its regression on s, which is what estimating the
    parameters costs (Chesher 1984, Lancaster 1984; exact where the loss is τ · nll). se: that of the mean of tr Z / p. The
    spread ‖M − τ I‖² is compared with the χ² that has the first two moments of ‖mean Z − tr Z/p I‖² (Satterthwaite).
    In 100 sets of 600 rows and 3 parameters the 95 % interval held tau = 1 in 93 (Bernoulli), 88 (Poisson) and 95 (normal).
    With the mean Hessian only, how H varies between rows counts as noise, and se is usually too large: give the rows.
    Raises DataError for shapes that do not match, numbers that are not finite, fewer rows than parameters, an A that is
    not positive definite, or gradients whose mean is not zero.
    """
    scores, hessian = scores.detach().to(torch.float64), hessian.detach().to(torch.float64)
    root = _checked_root(scores, hessian)
    n, p = scores.shape
    inverse = torch.linalg.inv(root)  # A = L Lᵀ; A^−½ below is L⁻¹, which differs by a rotation only
    c = scores @ inverse.T
    moment = c.T @ c / n
    tau = float(moment.trace()) / p
    rows = inverse @ hessian @ inverse.T if hessian.ndim == 3 else torch.eye(p, dtype=torch.float64)
    z = (c[:, :, None] * c[:, None, :] - tau * rows).reshape(n, -1)
    z = z - c @ torch.linalg.lstsq(c, z).solution
    trace = z.reshape(n, p, p).diagonal(dim1=1, dim2=2).sum(1) / p
    # n − p: the regression on s took p degrees of freedom from the rows.
    se = float(trace.square().sum().sqrt()) / math.sqrt(n * (n - p))
    eigenvalues = torch.linalg.eigvalsh(moment)
    spread = float(((eigenvalues - tau) ** 2).sum())
    p_value = _chance(spread, z - trace[:, None] * torch.eye(p, dtype=torch.float64).reshape(-1)) if p > 1 else 1.0
    return InformationCheck(tau, se, eigenvalues, p_value, *_reading(tau, se, p_value, eigenvalues))


def _checked_root(scores: Tensor, hessian: Tensor) -> Tensor:
    """The Cholesky factor of A, once the numbers have been found fit for use."""
    if scores.ndim != 2 or tuple(hessian.shape) not in (scores.shape[1:] * 2, scores.shape + scores.shape[1:]):
        raise DataError(
            "information check: scores (n, p) need a Hessian (p, p) or (n, p, p), found"
            f" {tuple(scores.shape)} and {tuple(hessian.shape)}"
        )
    n, p = scores.shape
    if n <= p:
        raise DataError(f"information check: {n} rows for {p} parameters; more rows than parameters are needed")
    if not bool(torch.isfinite(scores).all() and torch.isfinite(hessian).all()):
        raise DataError("information check: gradients or Hessian hold NaN or infinity")
    root, failed = torch.linalg.cholesky_ex(hessian.mean(0) if hessian.ndim == 3 else hessian)
    if int(failed):
        raise DataError(
            "information check: the mean Hessian is not positive definite; this is no minimum, or a flat one"
        )
    # n gᵀB⁻¹g is the share of a column of ones that the gradients explain.
    ones = torch.ones(n, 1, dtype=torch.float64)
    away = float((scores @ torch.linalg.lstsq(scores, ones, driver="gelsd").solution).square().sum())
    if away > AT_MINIMUM:
        raise DataError(
            f"information check: the gradients do not add up to zero (n gᵀB⁻¹g = {away:.1e}, at most {AT_MINIMUM:g});"
            " train to the minimum first"
        )
    return root


def _chance(spread: float, z: Tensor) -> float:
    """How often ‖mean of the rows z (n, q)‖² exceeds `spread` by chance, from a χ² with the same mean and variance."""
    covariance = z.T @ z / len(z) ** 2
    first, second = float(covariance.trace()), float(covariance.square().sum())
    if first <= 0:
        return 1.0 if spread == 0 else 0.0
    return float(chi2.sf(spread * first / second, first**2 / second))


def _reading(tau: float, se: float, p_value: float, eigenvalues: Tensor) -> tuple[str, str]:
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    found = f"tau = {tau:.4g} ± {se:.2g}"
    if p_value < SURE:
        return "misspecified", (
            f"{found}, but directions disagree ({low:.3g} to {high:.3g}; chance gives this in {p_value:.1g} of cases):"
            " the loss is no multiple of the negative log-likelihood of these data"
        )
    if abs(tau - 1) <= STANDARD_ERRORS * se:
        return (
            "likelihood",
            f"{found}, 1 within error: nothing in these data speaks against this loss as their likelihood",
        )
    alone = "with one parameter a wrong model looks the same" if len(eigenvalues) == 1 else "all directions agree on it"
    return "scaled likelihood", (
        f"{found}, not 1: on these data the loss is like {tau:.3g} times a negative log-likelihood ({alone})"
    )
