"""The probe: do two objectives agree on a fixed set of raw outputs × targets, and on which interval?

Training data rarely visit the region where two objectives part (a clip at 1e-7, soft labels rounded away); the probe
always does.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlnn.comparing.batch import Whole, whole_batches
from mlnn.comparing.differences import ALONE, BELOW, DOUBLE, ULPS, Both, lower, see_both, see_elsewhere
from mlnn.comparing.domain import Interval, find_domain, flat_outside, is_wide, judged_rows, meet
from mlnn.comparing.kinks import worst_on_kinks
from mlnn.objectives import Objective
from mlnn.objectives.grid import Curves, Grid, make_grid
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


@dataclass(frozen=True)
class Part:
    """What the probe says of values, or of gradients: relation, largest real difference (relative), and where it is.

    `place`: in words, where it is no raw output and target.
    """

    relation: str
    size: float = 0.0
    output: float | list[float] | None = None
    target: float | list[float] | None = None
    place: str | None = None


@dataclass(frozen=True)
class Probe:
    """Both objectives on the grid. `domain`: per target, the interval of raw outputs (or of their largest entry) on which
    they agree in the working dtype; `domain64` the same in float64. `factor`, `shift`: right = factor·left + shift(target).
    `nearer`: the side whose gradient is the more accurate; `unsteady`: why the answers cannot be trusted;
    `flat_outside`: the side without a gradient beyond the domain. `computing`: what left and right compute in; `lowered`: how far
    that moves values and gradients apart, beyond what the working dtype's own rounding explains (relative). Of a local probe (see
    `local_probe`): `visited`, the places in words; `broke`, where a side alone is not finite.
    """

    grid: Grid
    dtype: torch.dtype
    left: Curves
    right: Curves
    value: Part
    gradient: Part
    factor: float
    shift: dict[float, float]
    domain: dict[float, Interval]
    domain64: dict[float, Interval]
    per_target: bool
    event: tuple[int, ...] = ()
    nearer: str | None = None
    notes: list[str] = field(default_factory=list)
    unsteady: str | None = None
    whole: Whole | None = None
    flat_outside: str | None = None
    computing: tuple[Inside, Inside] = (Inside(), Inside())
    lowered: tuple[float, float] = (0.0, 0.0)
    visited: str | None = None
    broke: str | None = None

    @property
    def interval(self) -> Interval:
        """The interval on which the two agree for every target."""
        return meet(self.domain)

    def inside(self, output: Tensor, target: Tensor, double: bool = False, rows: int = 0) -> Tensor:
        """Mask (n,) of the rows all of whose positions lie inside the domain: by their own target where targets are few, else
        by the interval. Raw outputs (n, *positions[, m]).

        Objectives that part already on [−1, 1] have no domain; then every row is judged, as where a step tells no raw
        outputs of its `rows` rows.
        """
        if not len(output):
            return torch.ones(rows, dtype=torch.bool)
        domain = self.domain64 if double else self.domain
        if not is_wide(domain):
            return torch.ones(len(output), dtype=torch.bool, device=output.device)
        if self.visited:  # a step's raw outputs: no target is told of them
            strength = output.abs().reshape(len(output), -1).amax(1)
        else:
            several = output.ndim > target.ndim - len(self.event)
            strength = output.abs().amax(-1) if several else output
        low, high = meet(domain)
        mask = (strength >= low) & (strength <= high)
        if self.per_target:
            for label, (low, high) in domain.items():
                mask = torch.where(target == label, (strength >= low) & (strength <= high), mask)
        return mask.reshape(len(mask), -1).all(1)


def probe(left: Objective, right: Objective, targets: TargetSpace, dtype: torch.dtype) -> Probe:
    """Compare two objectives before any training; about 0.1 s for objectives that answer per row.

    Raises ConfigError where an objective answers in a shape that no reduction explains.
    """
    left, right = looked_into(left, dtype), looked_into(right, dtype)
    both = see_both(left, right, make_grid(targets), {dtype, torch.float32, DOUBLE})
    domain = {d: find_domain(both, left, right, d) for d in (dtype, DOUBLE)}
    if dtype == DOUBLE and both.floor:  # the run's own float64 is float32 inside, and holds no farther than that
        domain[dtype] = find_domain(both, left, right, ALONE)
    moody = unsteady(left) or unsteady(right) or _mute(both)
    shifts = dict(zip(both.grid.labels, torch.as_tensor(both.shift).tolist(), strict=True))
    slope = _part("gradient", both, domain[dtype], dtype)
    kink = (
        worst_on_kinks(left, right, targets, both.factor) if slope.relation not in ("different", "undecided") else None
    )
    slope = Part("different", *kink) if kink else slope
    own = str(dtype).removeprefix("torch.")
    refusals = (("left", both.left[dtype].refused), ("right", both.right[dtype].refused))
    return Probe(
        both.grid, dtype, both.left[dtype], both.right[dtype],
        _part("value", both, domain[dtype], dtype), slope,
        both.factor, shifts, domain[dtype], domain[DOUBLE], per_target=targets.finite and not targets.labels, event=targets.event,
        nearer=_nearer(both, dtype), unsteady=moody,
        notes=[f"{side} refuses some outputs or targets ({why})" for side, why in refusals if why],
        whole=None if moody else whole_batches(left, right, any(shifts.values()), _reach(domain), own),
        flat_outside=flat_outside(both, domain[dtype], dtype),
        computing=(left.inside or Inside(), right.inside or Inside()),
        lowered=_lowered(both, left, right, domain[dtype], dtype),
    )  # fmt: skip


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
    if all(torch.equal(getattr(both.left[d], which), getattr(both.right[d], which)) for d in both.left):
        return Part("bitwise")
    pick, low, eps = ("value", "gradient").index(which), lower(dtype), torch.finfo(dtype).eps
    fine, coarse = both.differences(DOUBLE)[pick], both.differences(low)[pick]
    judged = judged_rows(both.grid, domain) & (both.left[DOUBLE].finite | both.right[DOUBLE].finite)
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
    return (
        Part("different", size, grid.output[row].tolist(), grid.target[column].double().tolist())
        if size
        else Part("equal")
    )


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
