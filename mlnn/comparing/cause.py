"""The likely cause of a difference, where the evidence tells: the bugs that people really make."""

import math

import torch

from mlnn.comparing.batch import Whole
from mlnn.comparing.probe import Probe

CLOSE = 1e-6
"""A factor this near to a known one is that one: it is found in float64, and the known ones lie 0.06 apart."""
APART = 1e-3
"""Of the largest moderate gradient: a target whose gradients differ by less is not the one that is treated differently."""
ROWS = {
    1: "the number of rows: right sums where left takes the mean",
    -1: "one over the number of rows: right takes a mean of a mean, or left sums",
}
"""Powers of the number of rows that a factor may be, and what makes them; on one row a sum is a mean."""
FACTORS = {
    1 / math.log(2): "right takes its logarithm to base 2",
    math.log(2): "left takes its logarithm to base 2",
    1 / math.log(10): "right takes its logarithm to base 10",
    2.0: "a factor of 2, perhaps a ½ that only left has",
    0.5: "a factor of ½ that only right has",
}
"""Known factors of right's gradient over left's, and what makes them."""


def likely_cause(probe: Probe, factors: dict[int, float]) -> str | None:
    """One sentence, or None. `factors`: right's gradient ÷ left's, per number of rows."""
    return _of_reduction(probe.whole) or _of_factor(factors) or _of_shape(probe)


def _of_reduction(whole: Whole | None) -> str | None:
    if whole is None or whole.left is None or whole.right is None:
        return None
    for side, kind in (("right", whole.right.kind), ("left", whole.left.kind)):
        if kind == "broadcast":
            return (
                f"Likely cause: {side} compares every output with every target (n × n):"
                " shapes (n, 1) and (n,) were broadcast."
            )
    if whole.left.couples != whole.right.couples:
        return f"Likely cause: {'right' if whole.right.couples else 'left'} couples the rows of a batch."
    return None


def _of_factor(factors: dict[int, float]) -> str | None:
    known = {rows: factor for rows, factor in factors.items() if factor != 1}
    if not known:
        return None
    for power, cause in ROWS.items():
        if all(
            rows > 1 and math.isclose(factor, float(rows) ** power, rel_tol=CLOSE) for rows, factor in known.items()
        ):
            return f"Likely cause: the factor is {cause}."
    factor = next(iter(known.values()))
    causes = (cause for value, cause in FACTORS.items() if math.isclose(factor, value, rel_tol=CLOSE))
    return next((f"Likely cause: {cause}." for cause in causes), None)


def _of_shape(probe: Probe) -> str | None:
    if probe.visited:  # a step is more than its raw outputs: what lies between them and its gradient is not known
        return None
    value, slope = probe.value.relation, probe.gradient.relation
    if slope == "different" and value not in ("different", "scaled"):
        return "Likely cause: the value is right and its gradient is not: a detached, clipped or straight-through path."
    if value == "different" and slope not in ("different", "scaled"):
        return "Likely cause: the gradient is right and the value is not: a term without a gradient was added."
    flipped = _one_target(probe)
    if flipped is not None:
        return f"Likely cause: only target {flipped:g} is treated differently."
    if slope in ("equal", "indistinguishable") and probe.flat_outside:
        return f"Likely cause: {probe.flat_outside} is clipped: its gradient is 0 beyond the interval."
    return None


def _one_target(probe: Probe) -> float | None:
    """The one target at which moderate gradients differ, while all other targets agree."""
    if probe.gradient.relation != "different" or len(probe.grid.target) < 2:
        return None
    rows = probe.grid.moderate
    gap = (probe.right.gradient - probe.left.gradient)[rows].abs().amax(-1).nan_to_num(math.inf).amax(0)
    size = probe.left.gradient[rows].abs().nan_to_num(0.0).max()
    apart = gap > APART * size
    return probe.grid.labels[int(apart.nonzero()[0, 0])] if int(torch.sum(apart)) == 1 else None
