"""The probe: do two objectives agree on a fixed set of raw outputs × targets, and on which interval?

Training data rarely visit the region where two objectives part (a clip at 1e-7, soft labels rounded away); the probe
always does.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from mlnn.comparing.batch import Whole, batches_alone, whole_batches
from mlnn.comparing.differences import ALONE, BELOW, DOUBLE, ULPS, Both, lower, see_both, see_elsewhere
from mlnn.comparing.domain import ALL, Interval, find_domain, is_wide, judged_rows, meet, remembered
from mlnn.comparing.ends import Ends, unexcused, why_it_ends
from mlnn.comparing.kinks import Kinks, Point, kinks
from mlnn.comparing.probed import Part, Probe
from mlnn.comparing.undefined import left_out, one_sided
from mlnn.objectives import Objective
from mlnn.objectives.grid import Grid, wide_grid
from mlnn.objectives.habits import follows_upstream, written_into
from mlnn.objectives.precision import looked_into
from mlnn.objectives.promotion import Inside
from mlnn.objectives.reduction import unsteady
from mlnn.targets import TargetSpace

ALIKE = 1e-6
"""Two float64 gradients this near to one another, relative to their own size, can both serve as the truth for float32."""
FAR = 40.0
"""Raw outputs up to this are asked which side is the more accurate: beyond, float64 itself loses 1 − σ(f) (at about 37)."""
LOSING = 0.01
"""An error of this share of a gradient's own size is one that a user would notice; less is not worth a sentence."""
CLEARLY = 10.0
"""One side is the more accurate if the other's error is this many times as large."""

SHOWN = 16
"""Raw outputs of a row that are kept beside a difference, at most."""


def probe(left: Objective, right: Objective, targets: TargetSpace, dtype: torch.dtype) -> Probe:
    """Compare two objectives before any training; about 0.1 s for objectives that answer per row.

    Raises ConfigError where an objective answers in a shape that no reduction explains.
    """
    left, right = looked_into(left, dtype), looked_into(right, dtype)
    both = see_both(left, right, wide_grid(targets), {dtype, torch.float32, DOUBLE})
    silent, odd = left_out(both), _odd_targets(both, targets)
    mask = silent.mask.clone()
    mask[:, [column for _, column in odd]] = True
    both = replace(both, silent=mask)
    own = str(dtype).removeprefix("torch.")
    moody = unsteady(left) or unsteady(right) or (None if silent.alone else _mute(both))
    shifts = dict(zip(both.grid.labels, torch.as_tensor(both.shift).tolist(), strict=True))
    ends: dict[torch.dtype, Ends] = {dtype: {}, DOUBLE: {}}
    if silent.alone:
        whole = None if moody else batches_alone(left, right, own)
        domain = dict.fromkeys((dtype, DOUBLE), _seen_by_batches(both.grid, whole))
        value = slope = Part("bitwise" if whole and whole.answered else "undecided")
        kink = Kinks()
    else:
        ask = remembered()
        domain = {d: find_domain(both, left, right, d, ask) for d in (dtype, DOUBLE)}
        if dtype == DOUBLE and both.floor:  # the run's own float64 is float32 inside, and holds no farther than that
            domain[dtype] = find_domain(both, left, right, ALONE, ask)
        whole = None if moody else whole_batches(left, right, any(shifts.values()), _reach(domain), own)
        value, slope = (_part(which, both, domain[dtype], dtype) for which in ("value", "gradient"))
        kink = _kinks(left, right, targets, both, slope, _reach(domain), dtype)
        ends = {d: why_it_ends(both, domain[d], d) for d in (dtype, DOUBLE)}
    refusals = (("left", both.left[dtype].refused), ("right", both.right[dtype].refused))
    pair = (("left", left), ("right", right))
    return Probe(
        both.grid, dtype, both.left[dtype], both.right[dtype],
        value, Part("different", *kink.worst) if kink.worst else slope,
        both.factor, shifts, domain[dtype], domain[DOUBLE], per_target=targets.finite and not targets.labels, event=targets.event,
        nearer=_nearer(both, dtype), unsteady=moody,
        notes=[f"{side} refuses some outputs or targets ({why})" for side, why in refusals if why and not silent.alone],
        whole=whole,
        computing=(left.inside or Inside(), right.inside or Inside()),
        lowered=_lowered(both, left, right, domain[dtype], dtype),
        ends=ends[dtype], ends64=ends[DOUBLE], beyond=None if silent.alone else _beyond(both, domain[dtype], ends[dtype], dtype),
        points=[*kink.points, *_at_targets(both, odd)], left_out=silent,
        upstream=None if slope.relation == "different" else _upstream(pair, whole),
        writes=[f"{side} writes into its {what}" for side, one in pair for what in written_into(one)],
    )  # fmt: skip


def _odd_targets(both: Both, targets: TargetSpace) -> list[tuple[str, int]]:
    """(side, column) of the targets of several numbers that one side alone cannot take; none where it can take no other."""
    odd = one_sided(both) if targets.event else []
    return odd if len(odd) < len(both.grid.target) else []


def _at_targets(both: Both, odd: list[tuple[str, int]]) -> list[Point]:
    return [Point(side, None, both.grid.target[column].tolist(), math.nan, math.nan) for side, column in odd]


def _kinks(
    left: Objective, right: Objective, targets: TargetSpace, both: Both, slope: Part, reach: float, dtype: torch.dtype
) -> Kinks:
    """What the kinks show, where gradients agree elsewhere."""
    if slope.relation in ("different", "undecided"):
        return Kinks()
    speaking = both.grid.target if both.silent is None else both.grid.target[~both.silent.all(0)]
    found = kinks(left, right, targets, speaking, both.factor, reach)
    least = BELOW * torch.finfo(dtype).eps
    return found if found.worst and found.worst[0] > least else replace(found, worst=None)


def _seen_by_batches(grid: Grid, whole: Whole | None) -> dict[float, Interval]:
    """The domain of two objectives of which single rows say nothing."""
    reach = whole.reach if whole else 0.0
    return dict.fromkeys(grid.labels, (-reach, reach) if reach < math.inf else ALL)


def _upstream(pair: tuple[tuple[str, Objective], ...], whole: Whole | None) -> str | None:
    """The side whose backward pass does not follow the upstream gradient, if it is one alone.

    Asked only where gradients of single rows agree: one that is clipped on its way, say, is another gradient to begin with.
    """
    kinds = (whole.left, whole.right) if whole else (None, None)
    astray = [side for (side, one), kind in zip(pair, kinds, strict=True) if not follows_upstream(one, kind)]
    return astray[0] if len(astray) == 1 else None


def _mute(both: Both) -> str | None:
    """Why nothing can be asked of the pair: a side that answers no row by itself (a weight for each row of a batch)."""
    for side, seen in (("left", both.left[DOUBLE]), ("right", both.right[DOUBLE])):
        if seen.refused and not bool(seen.finite.any()):
            return f"{side} answers no row by itself ({seen.refused}), so the probe has nothing to compare"
    return None


def _reach(domain: dict[torch.dtype, dict[float, Interval]]) -> float:
    """How far raw outputs may go, in both directions and every precision, with the two agreeing; anywhere without a domain."""
    ends = [end for d in domain.values() if is_wide(d) for end in meet(d)]
    return 0.9 * min(map(abs, ends)) if ends else math.inf


def _part(which: str, both: Both, domain: dict[float, Interval], dtype: torch.dtype) -> Part:
    """Judge values or gradients inside the domain."""
    if all(_same_bits(both, getattr(both.left[d], which), getattr(both.right[d], which)) for d in both.left):
        return Part("bitwise")
    pick, low, eps = ("value", "gradient").index(which), lower(dtype), torch.finfo(dtype).eps
    fine, coarse = both.differences(DOUBLE)[pick], both.differences(low)[pick]
    judged = judged_rows(both.grid, domain) & (both.left[DOUBLE].finite | both.right[DOUBLE].finite)
    judged &= True if both.silent is None else ~both.silent
    if not bool(judged.any()):
        return Part("undecided")
    real = _where_largest(both.grid, torch.where(judged & ~both.rounding(fine, coarse, pick), fine, 0.0))
    if real.size > BELOW * eps or (real.size and dtype == DOUBLE):
        return real
    if low == dtype and not is_wide(domain):  # float64 agrees; does the working precision?
        rough = _where_largest(both.grid, torch.where(judged & ~both.explained(fine, coarse, low, pick), coarse, 0.0))
        if rough.size:
            return rough
    resolved = BELOW * (eps if both.nulls is None else max(eps, both.floor))
    found = _up_to_constants(real, abs(both.factor - 1), _moved(both) if which == "value" else 0.0, resolved)
    if both.nulls is None or found.relation != "equal":
        return found
    return Part("indistinguishable", float(torch.where(judged, fine, 0.0).nan_to_num(0.0, 0.0).max()))


def _lowered(
    both: Both, left: Objective, right: Objective, domain: dict[float, Interval], dtype: torch.dtype
) -> tuple[float, float]:
    """How far what a side computes in moves values and gradients in the working dtype, beyond its own rounding; 0 if not."""
    if not both.floor or both.floor <= torch.finfo(dtype).eps:
        return 0.0, 0.0
    seen = replace(both, floor=0.0, nulls=None)
    if dtype == DOUBLE:  # as the run asks them: not promoted
        plain = [replace(side, inside=None) for side in (left, right)]
        seen = see_elsewhere(seen, plain[0], plain[1], both.grid, {DOUBLE, torch.float32})
    judged = judged_rows(both.grid, domain) & (both.left[DOUBLE].finite | both.right[DOUBLE].finite)
    sizes = []
    for coarse in seen.differences(dtype):
        odd = judged & ~(coarse <= (ULPS + both.grid.reach) * torch.finfo(dtype).eps)
        sizes.append(float(torch.where(odd, coarse, 0.0).nan_to_num(0.0, 0.0).max()))
    return sizes[0], sizes[1]


def _beyond(both: Both, domain: dict[float, Interval], ends: Ends, dtype: torch.dtype) -> Part | None:
    """The largest gradient difference, real and resolved, beyond an end that no numerical reason explains; None where none is."""
    low, fine = lower(dtype), both.differences(DOUBLE)[1]
    real = (fine > BELOW * torch.finfo(dtype).eps) & ~both.rounding(fine, both.differences(low)[1])
    found = _where_largest(both.grid, torch.where(real & unexcused(both, domain, ends), fine, 0.0))
    return found if found.size else None


def _same_bits(both: Both, left: Tensor, right: Tensor) -> bool:
    """Whether all points that say something gave the same bits."""
    if both.silent is None or not bool(both.silent.any()):
        return torch.equal(left, right)
    return torch.equal(left[~both.silent], right[~both.silent])


def _moved(both: Both) -> float:
    """The largest shift between the two, over the targets."""
    return float(torch.as_tensor(both.shift).abs().max())


def _up_to_constants(real: Part, offset: float, moved: float, resolved: float) -> Part:
    """The relation of two that differ by a factor 1 + `offset`, a shift `moved` and what is `real`, if by more than `resolved`."""
    for relation, size in (("scaled", offset), ("shifted", moved)):
        if size > resolved:
            return replace(real, relation=relation, size=max(real.size, size))
    size = max(real.size, offset, moved)
    return replace(real, relation="indistinguishable", size=size) if size else Part("equal")


def _where_largest(grid: Grid, gaps: Tensor) -> Part:
    """The largest of (G, Y) gaps as a difference with its place; size 0 where there is none."""
    gaps = gaps.nan_to_num(math.inf, math.inf)
    row, column = divmod(int(gaps.argmax()), gaps.shape[1])
    size = float(gaps[row, column])
    output = float(grid.strength[row]) if grid.output[row].numel() > SHOWN else grid.output[row].tolist()
    return Part("different", size, output, grid.target[column].double().tolist()) if size else Part("equal")


def _nearer(both: Both, dtype: torch.dtype) -> str | None:
    """The side whose working-dtype gradient is nearer the pair's float64 gradient, where the two float64 ones agree.

    First by the largest error against the largest gradient, then, where both are within rounding of that, by the largest
    error relative to each gradient's own size: some forms lose the small gradients of confident, right rows.
    """
    if dtype == DOUBLE or both.floor > torch.finfo(dtype).eps or both.nulls is not None:  # what it computes in says it
        return None
    one, two = both.left[DOUBLE].gradient, both.right[DOUBLE].gradient / both.factor
    alike = ((one - two).abs() <= ALIKE * one.abs()).all(-1)  # float64 loses small gradients too, only later
    usable = both.agreement(DOUBLE) & alike & (both.grid.strength.abs() <= FAR)[:, None]
    truth = one[usable]
    if not len(truth) or not bool(truth.any()):
        return None
    sizes = truth.abs().clamp_min(torch.finfo(torch.float32).smallest_normal)
    for scale, least in ((truth.abs().max(), ULPS * torch.finfo(dtype).eps), (sizes, LOSING)):
        errors = [
            float(((side[dtype].gradient[usable] / by - truth) / scale).abs().nan_to_num(math.inf).max())
            for side, by in ((both.left, 1.0), (both.right, both.factor))
        ]
        if max(errors) > least and max(errors) > CLEARLY * min(errors):
            return "left" if errors[0] < errors[1] else "right"
    return None
