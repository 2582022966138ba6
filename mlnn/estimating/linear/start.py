"""Where Newton's method starts: the constant, a least-squares fit, or the maximum over a sample of the rows."""

import math

import torch
from torch import Tensor

from mlnn.errors import ConfigError, MlnnError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.ancillary import linear, total
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.newton import newton, onwards
from mlnn.likelihoods import Normal
from mlnn.targets import TargetSpace

STRIDE = 17
"""A prime: rows that repeat in a pattern (a panel, a factorial design) do not fall in step with it."""
LEVELS = 9
"""Of an offset, evenly from its least to its largest, against which a constant is tried: the middle is near for most."""
MOST_SORTED = 10_000_000
"""Rows of which torch finds quantiles (its own bound is 2^24)."""
ROWS_PER_COEFFICIENT = 100
"""In a sample, below which its maximum says too little of that of all rows."""


def start(family: Family, design: Design) -> Tensor:
    """Coefficients (p, m) to start from; of many rows, the maximum over every 17th of them, to a tenth of a standard error."""
    cold = _cold(family, design)
    if not family.knows_information:
        return _likeliest(family, design, cold)
    sample = design.taken(slice(None, None, STRIDE))
    if family.likelihood.squares or len(sample.y) < ROWS_PER_COEFFICIENT * cold.numel():
        return cold
    try:
        return onwards(family, design, sample, newton(family, sample, cold, max_iter=20, tolerance=0.1))
    except MlnnError:  # a sample may lack a rare column or class; all rows then speak for themselves
        return cold


def _cold(family: Family, design: Design) -> Tensor:
    beta = torch.zeros(design.width, family.outputs, dtype=torch.float64)
    located = family.space.kind == "real" and not family.likelihood.periodic
    if located:  # heavy tails pull weakly from afar: start near
        normal = Family("normal", Normal(), TargetSpace("real"))
        if not family.likelihood.squares:
            beta[:, 0] = newton(normal, design, beta[:, :1]).beta[:, 0]
        if family.outputs == 2 and design.intercept:
            above = design.y if design.offset is None else design.y - design.offset
            beta[-1, 1] = math.log(max(float(above.var()), 1e-300))
    elif design.intercept:
        beta[-1] = _constant(family, design)
        beta = beside_offset(family, design, beta)
    return beta


def beside_offset(family: Family, design: Design, cold: Tensor) -> Tensor:
    """`cold` with its constant moved against the offset by a value of it, whichever makes the rows likeliest; without one as is.

    Far below the level of the rows a first step of Newton's overshoots by as many orders of magnitude as it was off.
    """
    if design.offset is None:
        return cold
    shares = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    levels = (
        design.offset.quantile(shares)
        if len(design.offset) <= MOST_SORTED
        else design.offset[:: len(design.y) // LEVELS]
    )
    places = [cold.clone() for _ in levels]
    for place, level in zip(places, levels.tolist(), strict=True):
        place[-1, 0] -= level
    values = [total(family, design, linear(design, place)) for place in places]
    finite = [value if math.isfinite(value) else math.inf for value in values]
    return places[finite.index(min(finite))]


def _likeliest(family: Family, design: Design, cold: Tensor) -> Tensor:
    """The likeliest of a few places, for a likelihood whose link is not known: the usual one, zeros, and constants."""
    places = [cold, torch.zeros_like(cold)]
    if design.intercept:
        y = design.y.double()
        mean, spread = float(y.mean()), max(float(y.std()) if len(y) > 1 else 0.0, 1e-300)
        share = min(max(mean, 1e-3), 1 - 1e-3)
        for level in (
            mean,
            math.log(max(mean, 1e-3)),
            math.log(share / (1 - share)),
            1 / mean if mean else 1.0,
            1.0,
            -1.0,
        ):
            place = torch.zeros_like(cold)
            place[-1, 0] = level
            if cold.shape[1] == 2:  # most often a log scale
                place[-1, 1] = math.log(spread)
            places.append(place)
    values = [total(family, design, linear(design, place)) for place in places]
    if not any(map(math.isfinite, values)):
        raise ConfigError(
            f"likelihood: {family.name}.nll is not finite for some rows at every place tried to start from (raw outputs 0, ±1, the"
            " mean of y, its logarithm, logit and inverse); has it numbers there for every target?"
        )
    finite = [value if math.isfinite(value) else math.inf for value in values]
    return places[finite.index(min(finite))]


def _constant(family: Family, design: Design) -> Tensor:
    """The raw outputs (m,) of a model without features, exact or near (probit, angles)."""
    y = design.y
    rows = slice(0, len(y))
    if family.space.labels:
        share = torch.bincount(y, weights=design.weigh(rows, torch.ones(len(y), dtype=torch.float64)))
        if family.outputs == len(share) - 1 and family.space.kind == "classes":
            return torch.log(share[1:] / share[0])
        return torch.log(share / share.sum()) if family.outputs == len(share) else torch.zeros(family.outputs).double()
    told = family.likelihood.level(y, design.weigh(rows, torch.ones(len(y), dtype=torch.float64)))
    if told is not None:
        return told
    mean = design.weigh(rows, y).sum() / design.nobs
    return family.space.facts.inverse(mean)
