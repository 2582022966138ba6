"""Names for the laws of ordered labels that one raw output moves: which link makes their cumulative probabilities lines?"""

import math

import torch
from torch import Tensor

from mlnn.auditing.links import PROBABILITIES, affine

CUMULATIVE = {
    "σ({})": "proportional odds",
    "Φ({})": "ordered probit",
    "1 − exp(−exp({}))": "proportional hazards of grouped times",
}
"""By the transformation that makes every P(y ≤ k) a line in the raw output, all of one slope."""
SAME_SLOPE = 1e-7
"""How far slopes read off probabilities may be apart: of one near 1e-4 twelve digits are left."""
INSIDE = 1e-4
"""Probabilities nearer to 0 or 1 are left out."""
ENOUGH = 6
"""Outputs at which a probability must be well inside (0, 1) for a line."""


def ordered_name(output: Tensor, p: Tensor) -> str | None:
    """The law of probabilities p (F, K) at outputs (F,); None where it has no name, or where there are several outputs."""
    if output.ndim > 1 or p.shape[1] < 3:
        return None
    steps = [_line(output, p[:, k + 1] / p[:, k], torch.log, p[:, k : k + 2].amin(1)) for k in range(p.shape[1] - 1)]
    binomial = _binomial(steps)
    if binomial:
        return binomial
    below, above = p.cumsum(1)[:, :-1], p.flip(1).cumsum(1).flip(1)[:, 1:]
    for form, name in CUMULATIVE.items():
        for side in (below, above):
            lines = [_line(output, one, PROBABILITIES[form], torch.minimum(one, 1 - one)) for one in side.T]
            if _parallel(lines):
                return name
    return "adjacent-category logit" if _parallel(steps) else None


def _line(output: Tensor, value: Tensor, transform: object, weight: Tensor) -> tuple[float, float] | None:
    """(a, b) if transform(value) is a·f + b wherever `weight` is well above 0."""
    assert callable(transform)
    seen = weight > INSIDE
    return affine(output[seen], transform(value[seen])) if int(seen.sum()) >= ENOUGH else None


def _parallel(lines: list[tuple[float, float] | None]) -> bool:
    slopes = [line[0] for line in lines if line]
    return len(slopes) == len(lines) and max(slopes) - min(slopes) <= SAME_SLOPE * max(map(abs, slopes))


def _binomial(steps: list[tuple[float, float] | None]) -> str | None:
    """log p_{k+1}/p_k = a·f + log (n−k)/(k+1), up to one shift of the output."""
    if not _parallel(steps):
        return None
    shifts = [line[1] - math.log((len(steps) - k) / (k + 1)) for k, line in enumerate(steps) if line]
    return (
        f"binomial, n = {len(steps)}" if max(shifts) - min(shifts) <= SAME_SLOPE * (1 + max(map(abs, shifts))) else None
    )
