"""The interval of raw outputs on which a loss, as computed in a dtype, still is what it is on paper."""

import math

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss, crossed
from mlnn.auditing.finding import Finding
from mlnn.auditing.implied import null_probabilities
from mlnn.auditing.integrals import partition
from mlnn.auditing.record import Domain, Interval
from mlnn.auditing.sound import SMALL_GRADIENT, slope_error
from mlnn.objectives.grid import MODERATE, make_grid

KEPT, PAPER = 0.05, 1e-3
"""Value and gradient must be right to 5 % in a working dtype, and to a thousandth in float64, which stands for paper. Beyond
the ends they are not slightly but wholly wrong: a clip, a dead gradient, an overflow; so the ends hardly move with these."""
DEPARTS = 1e-6
"""Share of a loss (or of 1) from which it is off its formula, where it is so at all outputs beside too: formulas whose numbers were
fitted or integrated are good to 4e-8."""
BESIDE, LOOKS, STEADY = 1e-3, 6, 0.5
"""How far beside an output, as a share of it, at how many places, and how much of the largest the smallest difference must be."""
FARTHEST = 62.0
"""Outputs beyond this are not what a person writes clamps and penalties for."""
MOST_SUMMED = 8
"""Outputs off the formula at which Z is summed."""
HALVINGS = 12
"""Of the stretch between two outputs of the grid: its end is known to a 4096th of that."""
FEW_TARGETS = 8
"""Of many classes so many are compared with the formula, which treats all alike."""
CELLS = 16
"""Outputs on each side of 0 at which Z is summed."""


def find_domains(loss: Loss, finding: Finding, dtypes: tuple[torch.dtype, ...]) -> dict[str, Domain]:
    """Per dtype "all" or the interval around 0, of the raw output or (several outputs) of its largest entry."""
    paper = _domain(loss, finding, torch.float64)
    found = {torch.float64: paper} | {d: _meet(paper, _domain(loss, finding, d)) for d in dtypes if d != torch.float64}
    inside = loss.objective.inside
    if (
        inside is not None and inside.promotes and inside.computes_in is not None
    ):  # in float64 it holds as far as in that
        found[torch.float64] = _meet(paper, _domain(loss, finding, inside.computes_in))
    return {str(dtype).removeprefix("torch."): found[dtype] for dtype in dtypes}


def _meet(one: Domain, two: Domain) -> Domain:
    if isinstance(one, str) or isinstance(two, str):
        return two if isinstance(one, str) else one
    return max(one[0], two[0]), min(one[1], two[1])


def _domain(loss: Loss, finding: Finding, dtype: torch.dtype) -> Domain:
    grid = make_grid(loss.space)
    good = _holds(loss, finding, grid.output, dtype)
    ends = [_end(loss, finding, dtype, side, grid.strength, grid.output, good) for side in (-1, 1)]
    if grid.output.ndim > 1:
        radius = min(-ends[0], ends[1], finding.reach)
        ends = [-radius, radius]
    elif finding.reference is None and not loss.space.finite:
        # Where no formula says what the loss should be Z itself is computed, and the domain reaches no farther.
        reach = _summed(loss, finding, loss.space.facts.farthest_output)
        ends = [max(ends[0], reach[0]), min(ends[1], reach[1])]
    return "all" if all(map(math.isinf, ends)) else (ends[0], ends[1])


def _holds(loss: Loss, finding: Finding, output: Tensor, dtype: torch.dtype) -> Tensor:
    """Mask (P,): whether value and gradient at outputs (P,) or (P, m) are right for every target."""
    target = loss.space.inner_points
    if finding.reference is not None:
        target = target[:FEW_TARGETS]
    shape = (len(output), len(target))
    flat = crossed(output, target)
    if finding.reference is not None:
        kept = PAPER if dtype == torch.float64 else KEPT
        good = _near(loss.both(*flat, dtype), finding.reference(flat[0], loss.space.cast(flat[1])), shape, kept)
        return good & ~_departs(loss, finding, output, target) if dtype == torch.float64 else good
    value, slope = loss.both(*flat)
    size = slope.reshape(*shape, -1).abs().amax((1, 2)).repeat_interleave(len(target))
    good = (slope_error(loss, *flat, slope, SMALL_GRADIENT * size) <= KEPT).reshape(shape).all(1) & _near(
        (value, slope), (value, slope), shape
    )
    if loss.space.finite:
        good &= _adds_up(value.reshape(shape), slope.reshape(*shape, -1), finding, target)
    return good if dtype == torch.float64 else good & _near(loss.both(*flat, dtype), (value, slope), shape)


def departure(loss: Loss, finding: Finding) -> tuple[float, bool] | None:
    """The size of the nearest raw output from which it is another loss than its formula, and not by rounding; None if none is.

    And whether, at an output that any ordinary training visits, it is then no likelihood either: Σ or ∫ exp(−loss/τ)·h is not 1.
    """
    if finding.reference is None:
        return None
    grid = make_grid(loss.space)
    near = grid.strength.abs() <= FARTHEST
    target = loss.space.inner_points[:FEW_TARGETS]
    off = _departs(loss, finding, grid.output[near], target)
    sizes, outputs = grid.strength[near].abs()[off], grid.output[near][off]
    if not len(sizes):
        return None
    ordinary = outputs[sizes <= MODERATE][:MOST_SUMMED]
    return float(sizes.min()), len(ordinary) > 0 and not finding.turns and _misses_one(loss, finding, ordinary)


def _misses_one(loss: Loss, finding: Finding, outputs: Tensor) -> bool:
    """Whether Σ or ∫ exp(−loss/τ)·h is known, and not 1, at one of the outputs (P,) or (P, m)."""
    tau, log_base = finding.scale or 1.0, finding.log_base
    assert log_base is not None
    if loss.space.finite:
        target = loss.space.inner_points
        z = torch.exp(log_base(target) - loss.values(outputs, target) / tau).sum(1)
        return bool(((z - 1).abs() > DEPARTS).any())
    total = partition(loss, outputs, tau, log_base)
    return bool((total.known(DEPARTS) & ((total.z - 1).abs() > 2 * DEPARTS)).any())


def _departs(loss: Loss, finding: Finding, output: Tensor, target: Tensor) -> Tensor:
    """Mask (P,): whether at outputs (P,) or (P, m) and beside them the loss is off its formula by about one number.

    Rounding is another number at each output beside; a term that the formula has not is nearly the same there.
    """
    assert finding.reference is not None
    beside = 1 + BESIDE * torch.arange(1, LOOKS + 1, dtype=torch.float64)
    places = (output[:, None] * (beside if output.ndim == 1 else beside[:, None])).reshape(-1, *output.shape[1:])
    flat = crossed(places, target)
    truth, _ = finding.reference(flat[0], loss.space.cast(flat[1]))
    off, size = loss.value(*flat) - truth, truth.abs().clamp_min(1.0)
    off, size = (part.reshape(len(output), LOOKS, len(target)) for part in (off, size))
    steady = (off.sign() == off[:, :1].sign()).all(1) & (off.abs().amin(1) >= STEADY * off.abs().amax(1))
    return (steady & (off.abs() > DEPARTS * size).all(1)).any(1)


def _summed(loss: Loss, finding: Finding, reach: float) -> Interval:
    """The outputs around 0, no farther than `reach`, at which Σ or ∫ exp(−loss/τ)·h is 1."""
    output = torch.linspace(-reach, reach, 2 * CELLS + 1, dtype=torch.float64)
    total = partition(loss, output, finding.scale or 1.0, finding.log_base)
    good = (total.z - 1).abs() <= PAPER
    if not total.error <= PAPER:  # where one did not settle, the others may have
        good &= total.errors <= PAPER
    bad = output[~good].tolist()
    low = max((f for f in bad if f <= 0), default=-reach - reach / CELLS)
    high = min((f for f in bad if f >= 0), default=reach + reach / CELLS)
    return min(low + reach / CELLS, 0.0), max(high - reach / CELLS, 0.0)  # around 0, and nothing where 0 itself is bad


def _near(
    found: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], shape: tuple[int, int], kept: float = KEPT
) -> Tensor:
    """Mask (P,): values and gradients finite, and near the true ones; a gradient measured by the largest at its output."""
    value, slope = (true.reshape(*shape, -1) for true in truth)
    off_value, off_slope = ((is_ - true).reshape(*shape, -1).abs() for is_, true in zip(found, truth, strict=True))
    right = (off_value <= kept * value.abs().clamp_min(1.0)).all(-1).all(-1)
    size = slope.abs().amax((1, 2))
    return right & (off_slope.amax((1, 2)) <= kept * size) & torch.isfinite(size)


def _adds_up(value: Tensor, slope: Tensor, finding: Finding, target: Tensor) -> Tensor:
    """Whether the probabilities in the values add to one and are those in the gradients; (P, K), (P, K, m) to (P,)."""
    assert finding.log_base is not None
    assert finding.scale is not None
    told = torch.exp(finding.log_base(target) - value / finding.scale)
    good = (told.sum(1) - 1).abs() <= KEPT
    if slope.shape[1] == 2:
        return good & ((null_probabilities(slope) - told).abs() <= KEPT).all(1)
    # With many classes nearly certain outputs leave no unique null vector in float64; that Σ p G = 0 can still be seen.
    size = slope.abs().amax((1, 2))
    return good & ((told[..., None] * slope).sum(1).abs().amax(1) <= KEPT * size)


def _end(
    loss: Loss, finding: Finding, dtype: torch.dtype, side: float, strength: Tensor, output: Tensor, good: Tensor
) -> float:
    """How far from 0 towards `side` it holds: infinitely far, or up to a point between two of the grid."""
    here = side * strength > 0
    bad = strength.abs()[here & ~good]
    if not len(bad):
        return side * math.inf
    first = float(bad.min())
    fine = strength.abs()[here & (strength.abs() < first)]
    if not len(fine):
        return 0.0
    low, high = float(fine.max()), first
    direction = output[int((here & ~good & (strength.abs() == first)).nonzero()[0, 0])] / first
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        kept = bool(_holds(loss, finding, (direction * middle)[None], dtype)[0])
        low, high = (middle, high) if kept else (low, middle)
    return side * low
