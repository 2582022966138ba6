"""Differences between two objectives on a grid, and which of them are rounding.

Differences are measured against the largest gradient (or value) that any target gives at the same raw output: against a
gradient that crosses zero, rounding itself would look large.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.comparing.evidence import EXPLAINED, LENGTH, SHRINK
from mlnn.objectives import Objective
from mlnn.objectives.grid import Curves, Grid, curves

ULPS = 16.0
"""Differences up to this many unit roundoffs are rounding: equal pairs were measured within 4, the smallest fault at 45."""
CHUNKED, FRAMEWORK = 2.0, 1 / 16
"""What LENGTH is to float64, in the lower precision, per √K and per K: one entry after the other is explained there by what
float64 is off by, but the framework's float32 log_softmax is itself off from its logsumexp by 0.029·K (K = 32768: 955;
K = 131072: 3641), in float64 by 0.005·K."""
BELOW = 2.0
"""A real difference of fewer unit roundoffs than this is one that the working precision cannot resolve."""
LOST = 0.05
"""A precision whose answer is off by more than this has lost the point: no rounding any more, whatever it shrinks to."""
DOUBLE = torch.float64
STEADY = 1e-12
"""A factor that differs by less than this over the outputs is one factor; over K outputs by K times LENGTH unit roundoffs more."""
NEARBY = 1e-5
"""Relative step of the null draws on the grid: 84 float32 ulps, over which third differences of a smooth loss vanish (≤ 1e-9)."""
NULLS = 4.0
"""A gap up to this many times the largest null draw is rounding: third differences hold up to 8 roundings, a gap 2."""
ALONE = torch.float32
"""The precision in which a pair is judged that float64 cannot be reached for."""


def lower(dtype: torch.dtype) -> torch.dtype:
    """The precision that float64 is held against: the working one, or float32 where that is float64 itself."""
    return torch.float32 if dtype == DOUBLE else dtype


_NONE = torch.zeros(1, 1, dtype=DOUBLE)
Ask = Callable[[Objective, Grid, torch.dtype], Curves]


@dataclass(frozen=True)
class Both:
    """Two objectives on one grid, each in several precisions, and right = factor·left + shift(target) between them.

    `floor`: unit roundoff of the coarsest float that a side computes in whatever it is given; 0 where there is none. `nulls`:
    where float64 cannot be reached, what stands for it is float32, and this is what rounding alone makes there, (G, Y) of value
    and gradient, relative.
    """

    grid: Grid
    left: dict[torch.dtype, Curves]
    right: dict[torch.dtype, Curves]
    factor: float = 1.0
    shift: Tensor | float = 0.0
    floor: float = 0.0
    nulls: tuple[Tensor, Tensor] | None = None
    silent: Tensor | None = None
    """Mask (G, Y) of the points that say nothing, because both sides are undefined there."""

    def differences(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(G, Y) differences of value and gradient, relative to the largest at the same output; NaN where not comparable."""
        left, right = self.left[dtype], self.right[dtype]
        value, slope = self.factor * left.value + self.shift, self.factor * left.gradient
        apart = (right.value - value).abs().where(right.value != value, 0.0)
        aslant = (right.gradient - slope).abs().where(right.gradient != slope, 0.0).amax(-1)
        value_scale = torch.maximum(_largest(value), _largest(right.value))
        slope_scale = torch.maximum(_largest(slope.abs().amax(-1)), _largest(right.gradient.abs().amax(-1)))
        if self.silent is not None and bool(self.silent.any()):
            # Where some targets are silent the others may all be sure, and rounding large beside what is left of them.
            value_scale, slope_scale = (self._no_less_than_ordinary(scale) for scale in (value_scale, slope_scale))
        return self._told(_ratio(apart, value_scale)), self._told(_ratio(aslant, slope_scale))

    def _told(self, gaps: Tensor) -> Tensor:
        return gaps if self.silent is None else gaps.masked_fill(self.silent, 0.0)

    def _no_less_than_ordinary(self, scale: Tensor) -> Tensor:
        known = scale[self.grid.moderate]
        return scale.clamp_min(float(known.median())) if len(known) else scale

    def agreement(self, dtype: torch.dtype) -> Tensor:
        """Mask (G, Y) of the points on which the two agree in a dtype, but for rounding, in value and gradient."""
        low = lower(dtype)
        pairs = list(enumerate(zip(self.differences(DOUBLE), self.differences(low), strict=True)))
        if dtype == DOUBLE:
            value, slope = (self.rounding(f, c, which) for which, (f, c) in pairs)
        else:
            value, slope = (self.explained(f, c, low, which) for which, (f, c) in pairs)
        return value & slope

    def rounding(self, fine: Tensor, coarse: Tensor, which: int = 1) -> Tensor:
        """Mask of float64 differences that are rounding: tiny, or shrunk from the lower precision as rounding does.

        Where the lower precision has lost the point it cannot serve as the yardstick. There a float64 difference may be as
        large as the rounding of a probability near 1 makes its complement: e^|z| unit roundoffs.
        """
        if self.nulls is not None:
            return self.explained(fine, fine, ALONE, which)
        tiny = fine <= (self._ulps + LENGTH * _length(self.grid)) * torch.finfo(DOUBLE).eps
        shrunk = (coarse * self._finer / fine >= SHRINK) & (coarse <= LOST)
        saturating = (ULPS * torch.finfo(DOUBLE).eps * torch.exp(self._ulps - ULPS)).clamp(max=LOST)
        faint = self._faint(fine) if which else torch.zeros_like(tiny)
        return tiny | shrunk | faint | (~(coarse <= LOST) & (fine <= saturating))

    def _faint(self, fine: Tensor) -> Tensor:
        """Mask of gradient differences that are few unit roundoffs of an ordinary gradient, where every target's has all but
        gone (under a cap that is reached): there rounding is large beside what is left."""
        left, right = (
            side[DOUBLE].gradient.abs().amax(-1).nan_to_num(0.0, 0.0, 0.0) for side in (self.left, self.right)
        )
        moderate = self.grid.moderate
        if not bool(moderate.any()):
            return torch.zeros_like(fine, dtype=torch.bool)
        ordinary = max(float((self.factor * left)[moderate].max()), float(right[moderate].max()))
        here = torch.maximum(self.factor * left, right).amax(1, keepdim=True)
        return fine * here <= ULPS * torch.finfo(DOUBLE).eps * ordinary

    def explained(self, fine: Tensor, coarse: Tensor, low: torch.dtype, which: int = 1) -> Tensor:
        """Mask of lower-precision differences that are rounding: few ulps, or about as many as float64 has thereabouts.

        which: 0 for values, 1 for gradients.
        """
        ulps, around = coarse / max(torch.finfo(low).eps, self.floor), fine.nan_to_num(0.0) / torch.finfo(DOUBLE).eps
        if self.nulls is not None:
            around = self.nulls[which] * NULLS / (EXPLAINED * torch.finfo(ALONE).eps)
        if len(around) > 2:
            around = torch.nn.functional.max_pool1d(around.T[None], 3, 1, 1)[0].T
        length = _length(self.grid)
        several = self._ulps + CHUNKED * math.sqrt(length) + FRAMEWORK * length
        few = (ulps <= ULPS) | ((ulps <= several) & (coarse <= LOST))
        shrunk = self.nulls is not None or coarse * self._finer / fine >= SHRINK
        return few | ((ulps <= EXPLAINED * around) & (coarse <= LOST) & shrunk)

    @property
    def _finer(self) -> float:
        """What a float32 difference counts as, where a side rounds to a still lower float in it."""
        return 1.0 if not self.floor else min(1.0, float(torch.finfo(torch.float32).eps) / self.floor)

    @property
    def _ulps(self) -> Tensor:
        """(G, 1) unit roundoffs that count as tiny: more at large raw outputs z, whose own last place is |z| of them."""
        return ULPS + self.grid.reach


def _length(grid: Grid) -> int:
    """Raw outputs that a row's value sums over; one is no sum."""
    count = grid.output[0].numel()
    return count if count > 1 else 0


def _ulps_of(grid: Grid) -> float:
    """Unit roundoffs by which moderate values and gradients may be off."""
    return ULPS + LENGTH * _length(grid)


def see_both(left: Objective, right: Objective, grid: Grid, dtypes: set[torch.dtype]) -> Both:
    """Evaluate both objectives on the grid in every dtype, and find factor and shift in float64, or in what stands for it."""
    alone = any(side.inside is not None and side.inside.sealed for side in (left, right))
    floor = max(side.inside.eps if side.inside else 0.0 for side in (left, right))
    both = _seen(Both(grid, {}, {}, floor=floor, nulls=(_NONE, _NONE) if alone else None), left, right, dtypes)
    roundoff = max(float(torch.finfo(ALONE).eps), floor) if alone else float(torch.finfo(DOUBLE).eps)
    factor = _factor(grid, both.left[DOUBLE], both.right[DOUBLE], roundoff)
    return replace(both, factor=factor, shift=_shift(grid, both.left[DOUBLE], both.right[DOUBLE], factor, roundoff))


def see_elsewhere(
    both: Both, left: Objective, right: Objective, grid: Grid, dtypes: set[torch.dtype], ask: Ask = curves
) -> Both:
    """The same two on another grid, with the factor and shift that were found. ask: as `curves` does."""
    return _seen(replace(both, grid=grid, silent=None), left, right, dtypes, ask)


def _seen(both: Both, left: Objective, right: Objective, dtypes: set[torch.dtype], ask: Ask = curves) -> Both:
    at = [{dtype: ask(side, both.grid, dtype) for dtype in dtypes} for side in (left, right)]
    if both.nulls is None:
        return replace(both, left=at[0], right=at[1])
    for seen in at:
        seen[DOUBLE] = seen[ALONE]
    pairs = list(zip(*(_nulls(side, both.grid) for side in (left, right)), strict=True))
    return replace(both, left=at[0], right=at[1], nulls=(torch.maximum(*pairs[0]), torch.maximum(*pairs[1])))


def _nulls(side: Objective, grid: Grid) -> tuple[Tensor, Tensor]:
    """(G, Y) of value and gradient: how far one objective, asked at neighbouring raw outputs, is from a smooth curve."""
    near = [curves(side, replace(grid, output=grid.output * (1 + place * NEARBY)), ALONE) for place in range(4)]
    bends = [
        one - 3 * two + 3 * three - four
        for one, two, three, four in (tuple(at.value for at in near), tuple(at.gradient for at in near))
    ]
    scales = _largest(near[0].value), _largest(near[0].gradient.abs().amax(-1))
    found = [_ratio(size, scale) for size, scale in zip((bends[0].abs(), bends[1].abs().amax(-1)), scales, strict=True)]
    return found[0].nan_to_num(0.0, 0.0), found[1].nan_to_num(0.0, 0.0)


def _factor(grid: Grid, left: Curves, right: Curves, roundoff: float) -> float:
    """The constant c with g_right = c·g_left on moderate outputs; 1 where no constant serves."""
    usable = left.finite & right.finite & grid.moderate[:, None]
    a, b = left.gradient[usable], right.gradient[usable]
    large = a.abs().amax(-1) > 0.05 * a.abs().max() if len(a) else torch.zeros(0, dtype=torch.bool)
    if not bool(large.any()):
        return 1.0
    ratio = ((a * b).sum(-1) / (a * a).sum(-1))[large]
    middle = float(ratio.median())
    slack = max(STEADY + _ulps_of(grid) * torch.finfo(DOUBLE).eps, _ulps_of(grid) * roundoff)
    steady = float((ratio - middle).abs().max()) <= slack * abs(middle)
    return middle if steady and middle > 0 and abs(middle - 1) > _ulps_of(grid) * roundoff else 1.0


def _shift(grid: Grid, left: Curves, right: Curves, factor: float, roundoff: float) -> Tensor:
    """(Y,) per target, the constant s with v_right = c·v_left + s on moderate outputs; 0 where it is rounding."""
    usable = left.finite & right.finite & grid.moderate[:, None]
    shifts = torch.zeros(len(grid.target), dtype=DOUBLE)
    for column in range(len(shifts)):
        rows = usable[:, column]
        if not bool(rows.any()):
            continue
        a, b = factor * left.value[rows, column], right.value[rows, column]
        middle = float((b - a).median())
        tiny = _ulps_of(grid) * roundoff * float(a.abs().max())
        steady = float((b - a - middle).abs().max()) <= max(tiny, 1e-9 * abs(middle))
        shifts[column] = middle if steady and abs(middle) > tiny else 0.0
    return shifts


def _largest(size: Tensor) -> Tensor:
    return size.abs().nan_to_num(0.0, 0.0, 0.0).amax(1, keepdim=True)


def _ratio(difference: Tensor, scale: Tensor) -> Tensor:
    return torch.where(difference == 0, 0.0, difference / scale)
