"""Where Newton's method starts: the constant, a least-squares fit, or the maximum over a sample of the rows."""

import math

import torch
from torch import Tensor

from mlnn.errors import MlnnError
from mlnn.estimation.catalogue import Family
from mlnn.estimation.design import Design
from mlnn.estimation.newton import newton
from mlnn.objectives import Normal, VonMises
from mlnn.targets import TargetSpace

STRIDE = 17  # a prime: rows that repeat in a pattern (a panel, a factorial design) do not fall in step with it
ROWS_PER_COEFFICIENT = 100


def start(family: Family, design: Design) -> Tensor:
    """Coefficients (p, m) to start from; of many rows, the maximum over every 17th of them, to a tenth of a standard error."""
    cold = _cold(family, design)
    sample = design.every(STRIDE)
    if isinstance(family.likelihood, Normal) or len(sample.y) < ROWS_PER_COEFFICIENT * cold.numel():
        return cold
    try:
        return newton(family, sample, cold, max_iter=20, tolerance=0.1).beta
    except MlnnError:  # a sample may lack a rare column or class; all rows then speak for themselves
        return cold


def _cold(family: Family, design: Design) -> Tensor:
    beta = torch.zeros(design.width, family.outputs, dtype=torch.float64)
    located = family.space.kind == "real" and not isinstance(family.likelihood, VonMises)
    if located:  # heavy tails pull weakly from afar: start near
        normal = Family("normal", Normal(), TargetSpace("real"))
        if not isinstance(family.likelihood, Normal):
            beta[:, 0] = newton(normal, design, beta[:, :1]).beta[:, 0]
        if family.outputs == 2 and design.intercept:
            beta[-1, 1] = math.log(max(float(design.y.var()), 1e-300))
    elif design.intercept:
        beta[-1] = _constant(family, design)
    return beta


def _constant(family: Family, design: Design) -> Tensor:
    """The raw outputs (m,) of a model without features, exact or near (probit, angles)."""
    y = design.y
    rows = slice(0, len(y))
    if family.space.labels:
        share = torch.bincount(y, weights=design.weigh(rows, torch.ones(len(y), dtype=torch.float64)))
        return torch.log(share[1:] / share[0])
    if isinstance(family.likelihood, VonMises):
        return torch.atan2(design.weigh(rows, torch.sin(y)).sum(), design.weigh(rows, torch.cos(y)).sum())
    mean = design.weigh(rows, y).sum() / design.nobs
    return family.space.facts.inverse(mean)
