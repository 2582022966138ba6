"""The information-matrix check of an estimate: is its likelihood the one that made these rows?

Of few rows A⁻¹B is far from 1 even for the true likelihood (17 counts, 7 coefficients: 0.42 ± 0.2): the fit bends towards
its own rows. Its distribution is then taken from data drawn from the fitted likelihood and fitted again, a parametric
bootstrap.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.information import SURE, InformationCheck, information_check, read
from mlnn.estimating.linear.ancillary import row_scores
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.inference import Information
from mlnn.estimating.linear.newton import evaluate
from mlnn.estimating.network import curvature
from mlnn.estimating.result import Estimate
from mlnn.seeding import generator
from mlnn.world import own_world

MOST_NUMBERS = 20_000_000
"""In the rows' Hessians that are kept together; of more rows only the mean Hessian is."""
DRAWS, TRIES = 200, 300
"""Data sets with a maximum that are wanted, and how many are drawn to find them."""
FEW_ROWS, FEW_SUMS = 2000, 400_000
"""Rows, and rows × coefficients², up to which data are drawn."""
REFIT_STEPS, REFITTED = 18, 1e-5
"""Of rows that are separated the push shrinks by e^−½ a step: after 18 it is 1e-4 of the first."""


@own_world(threads=None)
def check_estimate(found: Estimate) -> InformationCheck | None:
    """tr(A⁻¹B)/p over the coefficients; None where there is no smooth maximum.

    Up to 2000 rows (and rows × coefficients² of 400,000) against 200 data sets drawn from the fitted likelihood, with σ
    and shape estimated again in each (θ and precision are kept, which makes the check milder); of more rows, or with
    weights that are not whole, against large-sample theory. A row of weight w counts as w rows, a share as single trials.
    Raises DataError as `information_check` does.
    """
    if not isinstance(found.information, Information):  # kinks, separated rows, a penalised fit
        return None
    family, beta = found.information.family, found.information.beta
    design = _single(family, found.information.design)
    few = len(design.y) <= FEW_ROWS and len(design.y) * beta.numel() ** 2 <= FEW_SUMS
    if few and family.likelihood.samples and design.weights is None and len(design.y) > beta.numel():
        return _against_draws(family, design, beta)
    return _against_theory(family, design, beta)


def _against_theory(family: Family, design: Design, beta: Tensor) -> InformationCheck:
    """What many rows say: `information_check` of their gradients and Hessians."""
    size = beta.numel()
    whole = len(design.y) * size**2 <= MOST_NUMBERS
    scores, hessians, others = [], [], []
    for rows, x in design.chunks():
        eta, y = design.raw(rows, x, beta), design.y[rows]
        _, slope, bend = curvature.rows(family.likelihood, eta, y, "observed")
        scores.append((slope[:, :, None] * x[:, None, :]).reshape(len(x), -1))
        if whole:
            hessians.append(torch.einsum("njk,na,nb->njakb", bend, x, x).reshape(len(x), size, size))
        if family.free:
            others.append(row_scores(family, eta, y)[:, None])
    hessian = torch.cat(hessians) if whole else evaluate(family, design, beta, "observed").hessian / design.nobs
    more = torch.cat(others) if family.free else None
    return information_check(torch.cat(scores), hessian, weights=design.weights, others=more)


def _single(family: Family, design: Design) -> Design:
    """Shares as single trials, and rows of whole weights repeated where they stay few."""
    if design.weights is None:
        return design
    x, y, weights, offset = design.x, design.y, design.weights, design.offset
    if family.space.kind == "binary" and bool(((y > 0) & (y < 1)).any()):
        x, weights = torch.cat([x, x]), torch.cat([weights * y, weights * (1 - y)])
        y = torch.cat([torch.ones_like(y), torch.zeros_like(y)])
        offset = None if offset is None else torch.cat([offset, offset])
    counts = weights.round()
    if float(counts.sum()) > FEW_ROWS or bool(((weights - counts).abs() > 1e-9 * counts.clamp(min=1)).any()):
        return replace(design, x=x, y=y, weights=weights, offset=offset)
    times = counts.long()
    offset = None if offset is None else offset.repeat_interleave(times)
    return replace(design, x=x.repeat_interleave(times, 0), y=y.repeat_interleave(times), weights=None, offset=offset)


@dataclass(frozen=True)
class _Columns:
    """Regressors (n, p) that D data sets share, and the offset (n,) of their first raw output, if any."""

    x: Tensor
    offset: Tensor | None

    def outputs(self, beta: Tensor) -> Tensor:
        """Free raw outputs (D, n, m) at coefficients (D, p, m)."""
        eta = torch.einsum("na,daj->dnj", self.x, beta)
        if self.offset is not None:
            eta[..., 0] += self.offset
        return eta


@dataclass(frozen=True)
class _Points:
    """Of D data sets: coefficients (D, p, m), nll (D,), push in standard errors (D,) and the scoring step."""

    beta: Tensor
    value: Tensor
    push: Tensor
    step: Tensor


def _against_draws(family: Family, design: Design, beta: Tensor) -> InformationCheck:
    x = _Columns(torch.cat([part.clone() for _, part in design.chunks()]), design.offset)
    eta = x.outputs(beta[None])[0].repeat(TRIES, 1)
    drawn = family.likelihood.sample(curvature.raw(family.likelihood, eta), generator(0, "information check"))
    y = torch.cat([design.y[None], drawn.reshape(TRIES, -1).to(design.y.dtype)])  # the data themselves come first
    fitted, fine = _fit(family, x, y, beta)
    moments, definite = _moments(family, x, y, fitted)
    fine &= definite & torch.isfinite(moments).all(2).all(1)
    if not bool(fine[0]):
        raise DataError("information check: the estimate is no maximum with a positive definite Hessian")
    tau = moments.diagonal(dim1=1, dim2=2).mean(1)
    eigenvalues = torch.linalg.eigvalsh(torch.where(fine[:, None, None], moments, torch.eye(moments.shape[1])))
    spread = ((eigenvalues / tau[:, None] - 1) ** 2).sum(1)
    own, kept = float(tau[0]), 1 + fine[1:].nonzero()[:DRAWS, 0]
    if len(kept) < DRAWS:
        sentence = (
            f"cannot be checked: of {TRIES} data sets drawn from the fitted likelihood {TRIES - len(kept)} are separated or"
            f" have no maximum; the rows are too few for their coefficients (tau = {own:.4g})"
        )
        return InformationCheck(own, math.nan, eigenvalues[0], math.nan, "undecided", sentence, math.nan, len(kept))
    above = _rank(tau[kept] >= own)
    p_tau = 2 * min(above, _rank(tau[kept] <= own))
    p_value = _rank(spread[kept] >= spread[0]) if len(eigenvalues[0]) > 1 else 1.0
    expected, se = float(tau[kept].mean()), float(tau[kept].std())
    told = f"{own:.4g}"
    against = f"as in {DRAWS} data sets drawn from the fitted likelihood ({expected:.4g} ± {se:.2g})"
    reading = read(told, against, p_tau >= SURE, p_value, eigenvalues[0])
    return InformationCheck(own, se, eigenvalues[0], p_value, *reading, expected, DRAWS)


def _rank(beyond: Tensor) -> float:
    """How often chance goes as far, the data counted among the draws."""
    return (1 + int(beyond.sum())) / (1 + len(beyond))


def _fit(family: Family, x: _Columns, y: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients (D, p, m) of every row of targets y (D, n) by Fisher scoring, and which have come to a maximum."""
    now = _point(family, x, y, start.expand(len(y), *start.shape))
    size = torch.ones(len(y), 1, 1, dtype=torch.float64)
    for _ in range(REFIT_STEPS):
        trial = _point(family, x, y, now.beta + size * now.step)
        lower = trial.value <= now.value + 1e-12 * now.value.abs()  # False for NaN
        size = torch.where(lower[:, None, None], 1.0, size / 2)
        now = _Points(
            *(
                torch.where(lower.reshape(-1, *[1] * (new.ndim - 1)), new, old)
                for new, old in zip(vars(trial).values(), vars(now).values(), strict=True)
            )
        )
        if bool((now.push < REFITTED).all()):
            break
    return now.beta, now.push < REFITTED


def _point(family: Family, x: _Columns, y: Tensor, beta: Tensor) -> _Points:
    value, slope, bend = _rows(family, x, y, beta, "expected")
    gradient = torch.einsum("dnj,na->dja", slope, x.x).reshape(len(y), -1)
    root, _ = torch.linalg.cholesky_ex(_hessian(x.x, bend))
    pushed = torch.linalg.solve_triangular(root, gradient[:, :, None], upper=False)
    step = -torch.linalg.solve_triangular(root.mT, pushed, upper=True).reshape(len(y), beta.shape[2], -1).mT
    return _Points(beta, value.sum(1), pushed[:, :, 0].norm(dim=1), step)


def _rows(family: Family, x: _Columns, y: Tensor, beta: Tensor, kind: str) -> list[Tensor]:
    """nll (D, n), gradient (D, n, m) and curvature (D, n, m, m) of every row of every data set."""
    eta = x.outputs(beta).reshape(y.numel(), -1)
    return [
        part.reshape(*y.shape, *part.shape[1:]) for part in curvature.rows(family.likelihood, eta, y.reshape(-1), kind)
    ]


def _hessian(x: Tensor, bend: Tensor) -> Tensor:
    """Σ over the rows, (D, m p, m p), output after output."""
    sets, n, m, _ = bend.shape
    p = x.shape[1]
    squares = (x[:, :, None] * x[:, None, :]).reshape(n, -1)
    sums = (bend.permute(0, 2, 3, 1).reshape(-1, n) @ squares).reshape(sets, m, m, p, p)
    return sums.permute(0, 1, 3, 2, 4).reshape(sets, m * p, m * p)


def _moments(family: Family, x: _Columns, y: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """A^−½ B A^−½ of every data set, up to a rotation, and where A is positive definite."""
    _, slope, bend = _rows(family, x, y, beta, "observed")
    root, failed = torch.linalg.cholesky_ex(_hessian(x.x, bend))
    outer = _hessian(x.x, slope[..., :, None] * slope[..., None, :])
    half = torch.linalg.solve_triangular(root, outer, upper=False)
    moments = torch.linalg.solve_triangular(root, half.mT, upper=False)
    return moments / _dispersion(family, x, y, beta)[:, None, None], failed == 0


def _dispersion(family: Family, x: _Columns, y: Tensor, beta: Tensor) -> Tensor:
    """φ (D,) estimated anew over the φ in use: A⁻¹B of the normal and the gamma is inversely proportional to it."""
    one = torch.ones(len(y), dtype=torch.float64)
    if family.free is None or family.likelihood.conventions is None:
        return one
    output = x.outputs(beta)[..., 0]
    if family.likelihood.squares:
        return ((y - output) ** 2).mean(1) / family.dispersion
    ratio = y * torch.exp(-output)
    excess = (ratio - 1 - torch.log(ratio)).mean(
        1
    )  # = log k − ψ(k) at the maximum, as the mean of the ratios is about 1
    shape = (3 - excess + ((excess - 3) ** 2 + 24 * excess).sqrt()) / (12 * excess)  # to 1.5 % (Minka 2002)
    for _ in range(4):
        off = torch.log(shape) - torch.digamma(shape) - excess
        shape = shape - off / (1 / shape - torch.polygamma(1, shape))
    return 1 / shape / family.dispersion
