"""The probe: do two objectives agree on a fixed set of raw outputs × targets, and on which interval?

Training data rarely visit the region where two objectives part (a clip at 1e-7, soft labels rounded away); the probe
always does. Differences are measured against the largest gradient (or value) that any target gives at the same raw output:
against a gradient that crosses zero, rounding itself would look large.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlnn.agreement.batch import Whole, whole
from mlnn.agreement.evidence import SHRINK
from mlnn.agreement.grid import Curves, Grid, curves, make_grid, one_batch
from mlnn.agreement.reduction import drawn_batch
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

ULPS = 16.0
"""Differences up to this many unit roundoffs are rounding: equal pairs were measured within 4, the smallest fault at 45."""
LOST = 0.05
"""A precision whose answer is off by more than this has lost the point: no rounding any more, whatever it shrinks to."""
EXPLAINED = 300.0
"""Counted in each precision's own ulps, rounding is about the same in both; a working precision this many times worse than
float64 computes something else (a fast approximation, a lower precision inside)."""
Interval = tuple[float, float]
ALL: Interval = (-math.inf, math.inf)


@dataclass(frozen=True)
class Part:
    """What the probe says of values, or of gradients: relation, largest real difference (relative), and where it is."""

    relation: str
    size: float = 0.0
    output: float | list[float] | None = None
    target: float | None = None


@dataclass(frozen=True)
class Probe:
    """Both objectives on the grid. `domain`: per target, the interval of raw outputs (or of their largest entry) on which
    they agree in the working dtype; `domain64` the same in float64. `factor`, `shift`: right = factor·left + shift(target).
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
    nearer: str | None = None
    notes: list[str] = field(default_factory=list)
    unsteady: str | None = None
    whole: Whole | None = None
    flat_outside: str | None = None

    @property
    def interval(self) -> Interval:
        """The interval on which the two agree for every target."""
        return _meet(self.domain)

    @property
    def everywhere(self) -> bool:
        """Whether no output was found at which they part."""
        return self.interval == ALL

    def inside(self, output: Tensor, target: Tensor, double: bool = False) -> Tensor:
        """Mask (n,) of the rows inside the domain: by the row's own target where targets are few, else by the interval.

        Objectives that part already on [−1, 1] have no domain; then every row is judged.
        """
        domain = self.domain64 if double else self.domain
        if not _wide(domain):
            return torch.ones(len(output), dtype=torch.bool, device=output.device)
        strength = output if output.ndim == 1 else output.abs().amax(1)
        low, high = _meet(domain)
        mask = (strength >= low) & (strength <= high)
        if self.per_target:
            for label, (low, high) in domain.items():
                mask = torch.where(target == label, (strength >= low) & (strength <= high), mask)
        return mask


def probe(left: Objective, right: Objective, targets: TargetSpace, dtype: torch.dtype) -> Probe:
    """Compare two objectives before any training; 0.1 s for objectives that answer per row."""
    grid = make_grid(targets)
    precisions = dict.fromkeys((dtype, torch.float32, torch.float64))
    left_at = {d: curves(left, grid, d) for d in precisions}
    right_at = {d: curves(right, grid, d) for d in precisions}
    unsteady = _unsteady(left, targets) or _unsteady(right, targets)
    one, two = left_at[torch.float64], right_at[torch.float64]
    factor = _factor(grid, one, two)
    shift = _shift(grid, one, two, factor)
    agree = {d: _agreement(left_at, right_at, factor, shift, d) for d in (dtype, torch.float64)}
    domain = {d: _domains(grid, agree[d], _refiner(left, right, grid, factor, shift, d)) for d in agree}
    within, wide = _within(grid, domain[dtype]), _wide(domain[dtype])
    value, gradient = (
        _part(which, grid, left_at, right_at, factor, shift, within, wide, dtype) for which in ("value", "gradient")
    )
    notes = [
        f"{side} refuses some outputs or targets ({refused})"
        for side, refused in (("left", left_at[dtype].refused), ("right", right_at[dtype].refused))
        if refused
    ]
    return Probe(
        grid,
        dtype,
        left_at[dtype],
        right_at[dtype],
        value,
        gradient,
        factor,
        shift,
        domain[dtype],
        domain[torch.float64],
        per_target=targets.kind == "binary",
        nearer=_nearer(left_at, right_at, factor, shift, dtype),
        notes=notes,
        unsteady=unsteady,
        whole=None if unsteady else whole(left, right, targets, any(shift.values())),
        flat_outside=_flat_outside(grid, left_at[dtype], right_at[dtype], domain[dtype]),
    )


def _unsteady(objective: Objective, targets: TargetSpace) -> str | None:
    """A sentence for an objective that answers the same call twice differently (state, randomness); None otherwise."""
    output, target = drawn_batch(targets, 37)
    try:
        answers = [one_batch(objective, output, target, torch.float64) for _ in range(3)]
    except Exception:  # a refusal, which the curves report
        return None
    value, slope = answers[0]
    # The same NaN twice is no news here: that the side is not finite is told elsewhere.
    if all(repr(v) == repr(value) and torch.allclose(g, slope, 0, 0, equal_nan=True) for v, g in answers[1:]):
        return None
    return f"'{objective.name}' answered the same call twice differently (state or randomness)"


def _factor(grid: Grid, left: Curves, right: Curves) -> float:
    """The constant c with g_right = c·g_left on moderate outputs; 1 where no constant serves."""
    usable = left.finite & right.finite & grid.moderate[:, None]
    a, b = left.gradient[usable], right.gradient[usable]
    if not len(a):
        return 1.0
    ratio = (a * b).sum(-1) / (a * a).sum(-1)
    large = a.abs().amax(-1) > 0.05 * a.abs().max()
    if not bool(large.any()):
        return 1.0
    ratio = ratio[large]
    middle = float(ratio.median())
    steady = float((ratio - middle).abs().max()) <= 1e-12 * abs(middle)
    return middle if steady and middle > 0 and abs(middle - 1) > ULPS * torch.finfo(torch.float64).eps else 1.0


def _shift(grid: Grid, left: Curves, right: Curves, factor: float) -> dict[float, float]:
    """Per target, the constant s with v_right = c·v_left + s on moderate outputs; 0 where it is rounding."""
    usable = left.finite & right.finite & grid.moderate[:, None]
    shifts = {}
    for column, target in enumerate(grid.target.tolist()):
        rows = usable[:, column]
        a, b = factor * left.value[rows, column], right.value[rows, column]
        middle = float((b - a).median()) if len(a) else 0.0
        tiny = ULPS * torch.finfo(torch.float64).eps * float(a.abs().max()) if len(a) else 0.0
        steady = len(a) > 0 and float((b - a - middle).abs().max()) <= max(tiny, 1e-9 * abs(middle))
        shifts[target] = middle if steady and abs(middle) > tiny else 0.0
    return shifts


def _differences(left: Curves, right: Curves, factor: float, shift: dict[float, float]) -> tuple[Tensor, Tensor]:
    """(G, Y) differences of value and gradient, relative to the largest at the same output; NaN where not comparable."""
    offset = torch.tensor(list(shift.values()), dtype=torch.float64)
    value, slope = factor * left.value + offset, factor * left.gradient
    same_value = (right.value - value).abs().where(right.value != value, 0.0)
    same_slope = (right.gradient - slope).abs().where(right.gradient != slope, 0.0).amax(-1)
    value_scale = torch.maximum(_largest(value), _largest(right.value))
    slope_scale = torch.maximum(_largest(slope.abs().amax(-1)), _largest(right.gradient.abs().amax(-1)))
    return _ratio(same_value, value_scale), _ratio(same_slope, slope_scale)


def _ratio(difference: Tensor, scale: Tensor) -> Tensor:
    return torch.where(difference == 0, 0.0, difference / scale)


def _largest(size: Tensor) -> Tensor:
    return size.abs().nan_to_num(0.0, 0.0, 0.0).amax(1, keepdim=True)


def _rounding(fine: Tensor, coarse: Tensor) -> Tensor:
    """Mask of float64 differences that are rounding: tiny, or shrunk from the lower precision as rounding does.

    Where the lower precision has lost the point it cannot serve as the yardstick; there float64 must not be lost too.
    """
    tiny = fine <= ULPS * torch.finfo(torch.float64).eps
    shrunk = (coarse / fine >= SHRINK) & (coarse <= LOST)
    return tiny | shrunk | (~(coarse <= LOST) & (fine <= LOST))


def _explained(fine: Tensor, coarse: Tensor, low: torch.dtype) -> Tensor:
    """Mask of lower-precision differences that are rounding: few ulps, or about as many as float64 has thereabouts."""
    ulps, around = coarse / torch.finfo(low).eps, fine.nan_to_num(0.0) / torch.finfo(torch.float64).eps
    around = torch.nn.functional.max_pool1d(around.T[None], 3, 1, 1)[0].T if len(around) > 2 else around
    return (ulps <= ULPS) | ((ulps <= EXPLAINED * around) & (coarse <= LOST) & (coarse / fine >= SHRINK))


def _agreement(
    left: dict[torch.dtype, Curves], right: dict[torch.dtype, Curves], factor: float, shift: dict[float, float], dtype: torch.dtype
) -> Tensor:  # fmt: skip
    """Mask (G, Y) of the points on which the two agree in a dtype, but for rounding, in value and gradient."""
    low = torch.float32 if dtype == torch.float64 else dtype
    pairs = zip(
        _differences(left[torch.float64], right[torch.float64], factor, shift),
        _differences(left[low], right[low], factor, shift),
        strict=True,
    )
    value, slope = (_rounding(f, c) if dtype == torch.float64 else _explained(f, c, low) for f, c in pairs)
    return value & slope


def _refiner(
    left: Objective, right: Objective, grid: Grid, factor: float, shift: dict[float, float], dtype: torch.dtype
) -> Callable[[Tensor, int], bool]:
    """Whether the two agree at one raw output (m,) and target column, seen against all targets at that output."""
    precisions = {dtype, torch.float64, torch.float32 if dtype == torch.float64 else dtype}

    def agrees(output: Tensor, column: int) -> bool:
        around = torch.stack([output * (1 - 1e-3), output, output * (1 + 1e-3)])
        points = Grid(grid.strength[:3], around, grid.target)
        one, two = ({d: curves(side, points, d) for d in precisions} for side in (left, right))
        return bool(_agreement(one, two, factor, shift, dtype)[1, column])

    return agrees


def _domains(grid: Grid, agree: Tensor, agrees: Callable[[Tensor, int], bool]) -> dict[float, Interval]:
    """Per target, the interval around 0 on which the two agree, its ends found by bisection between grid points."""
    domains = {}
    for column, target in enumerate(grid.target.tolist()):
        ends = []
        for sign in (-1.0, 1.0):
            side = sign * grid.strength >= 0
            strength, fine = grid.strength[side], agree[side, column]
            bad = strength.abs()[~fine]
            if not len(bad):
                ends.append(sign * math.inf)
                continue
            first_bad = float(bad.min())
            good = strength.abs()[fine & (strength.abs() < first_bad)]
            if not len(good):
                ends.append(0.0)
                continue
            worst = int((side & ~agree[:, column] & (grid.strength.abs() == first_bad)).nonzero()[0, 0])
            ends.append(sign * _bisect(float(good.max()), first_bad, grid.output[worst] / first_bad, column, agrees))
        domains[target] = (min(ends), max(ends))
    if grid.output.ndim > 1:  # K outputs: the strength is a largest entry, so one radius serves both signs
        radius = min(min(-low, high) for low, high in domains.values())
        domains = dict.fromkeys(domains, (-radius, radius))
    return domains


def _bisect(good: float, bad: float, direction: Tensor, column: int, agrees: Callable[[Tensor, int], bool]) -> float:
    for _ in range(12):
        middle = (good + bad) / 2
        if agrees(direction * middle, column):
            good = middle
        else:
            bad = middle
    return good


def _within(grid: Grid, domain: dict[float, Interval]) -> Tensor:
    """Mask (G, 1) of the outputs that are judged: the domain, or the moderate ones where there is no domain to speak of."""
    low, high = _meet(domain)
    mask = (grid.strength >= low) & (grid.strength <= high) if _wide(domain) else grid.moderate
    return mask[:, None]


def _wide(domain: dict[float, Interval]) -> bool:
    low, high = _meet(domain)
    return min(-low, high) >= 1


def _part(
    which: str, grid: Grid, left: dict[torch.dtype, Curves], right: dict[torch.dtype, Curves], factor: float,
    shift: dict[float, float], within: Tensor, wide: bool, dtype: torch.dtype,
) -> Part:  # fmt: skip
    """Judge values or gradients inside the domain: bitwise, equal, indistinguishable, scaled or shifted, different."""
    pick = 0 if which == "value" else 1
    double = torch.float64
    if all(torch.equal(getattr(left[d], which), getattr(right[d], which)) for d in left):
        return Part("bitwise")
    low = torch.float32 if dtype == double else dtype
    fine = _differences(left[double], right[double], factor, shift)[pick]
    coarse = _differences(left[low], right[low], factor, shift)[pick]
    real = torch.where(~within | _rounding(fine, coarse), 0.0, fine.nan_to_num(math.inf, math.inf))
    size = float(real.max())
    row, column = divmod(int(real.argmax()), real.shape[1])
    place = (grid.output[row].tolist(), float(grid.target[column])) if size else (None, None)
    eps = torch.finfo(dtype).eps
    if size > ULPS * eps or (size > 0 and dtype == double):
        return Part("different", size, *place)
    rough = torch.where(within & ~_explained(fine, coarse, low), coarse.nan_to_num(math.inf, math.inf), 0.0)
    if low == dtype and not wide and bool(rough.any()):  # float64 agrees, but the working precision does not
        row, column = divmod(int(rough.argmax()), rough.shape[1])
        return Part("different", float(rough.max()), grid.output[row].tolist(), float(grid.target[column]))
    offset = abs(factor - 1)
    moved = max(map(abs, shift.values())) if pick == 0 else 0.0
    if offset > ULPS * eps:
        return Part("scaled", max(size, offset), *place)
    if moved > ULPS * eps:
        return Part("shifted", max(size, moved), *place)
    if max(size, offset, moved) > 0:
        return Part("indistinguishable", max(size, offset, moved), *place)
    return Part("equal")


def _nearer(
    left: dict[torch.dtype, Curves], right: dict[torch.dtype, Curves], factor: float, shift: dict[float, float], dtype: torch.dtype
) -> str | None:  # fmt: skip
    """Which side's working-dtype gradient is nearer the pair's own float64 gradient, where the two float64 ones agree."""
    double = torch.float64
    if dtype == double:
        return None
    agree = _agreement(left, right, factor, shift, double)
    truth = left[double].gradient[agree]
    scale = truth.abs().max().clamp_min(1e-300) if len(truth) else torch.tensor(1.0)
    errors = [
        float(((curve[dtype].gradient[agree] / by - truth) / scale).abs().nan_to_num(math.inf).max())
        if len(truth)
        else 0.0
        for curve, by in ((left, 1.0), (right, factor))
    ]
    if max(errors) <= ULPS * torch.finfo(dtype).eps or errors[0] == errors[1]:
        return None
    return "left" if errors[0] < errors[1] else "right"


def _flat_outside(grid: Grid, left: Curves, right: Curves, domain: dict[float, Interval]) -> str | None:
    """The side whose gradient is 0 for every target just where the domain ends, if it is only one."""
    low, high = _meet(domain)
    beyond = (grid.strength < low) | (grid.strength > high)
    if not bool(beyond.any()) or grid.output.ndim > 1:
        return None
    dead = [bool((side.gradient[beyond].abs().amax((1, 2)) == 0).all()) for side in (left, right)]
    return ("left" if dead[0] else "right") if dead[0] != dead[1] else None


def _meet(domain: dict[float, Interval]) -> Interval:
    return max(low for low, _ in domain.values()), min(high for _, high in domain.values())
