"""Differences between two objectives on a grid, and which of them are rounding.

Differences are measured against the largest gradient (or value) that any target gives at the same raw output: against a
gradient that crosses zero, rounding itself would look large.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.comparing.evidence import EXPLAINED, SHRINK
from mlnn.objectives import Objective
from mlnn.objectives.grid import Curves, Grid, curves

ULPS = 16.0
"""Differences up to this many unit roundoffs are rounding: equal pairs were measured within 4, the smallest fault at 45."""
LENGTH = 0.25
"""Unit roundoffs more for each raw output of a row: a logsumexp taken one entry after the other is off by 0.17·K (K = 1000)
to 0.22·K (K = 8192), in chunks of 50 by up to 2·√K, in chunks of 128 no more than the framework's own."""
CHUNKED, FRAMEWORK = 2.0, 1 / 16
"""The same in the lower precision, per √K and per K: one entry after the other is explained there by what float64 is off by, but
the framework's float32 log_softmax is itself off from its logsumexp by 0.029·K (K = 32768: 955; K = 131072: 3641), in float64
by 0.005·K."""
BELOW = 2.0
"""A real difference of fewer unit roundoffs than this is one that the working precision cannot resolve."""
LOST = 0.05
"""A precision whose answer is off by more than this has lost the point: no rounding any more, whatever it shrinks to."""
DOUBLE = torch.float64
STEADY = 1e-12
"""A factor that differs by less than this over the outputs is one factor; over K outputs by K times LENGTH unit roundoffs more."""


def lower(dtype: torch.dtype) -> torch.dtype:
    """The precision that float64 is held against: the working one, or float32 where that is float64 itself."""
    return torch.float32 if dtype == DOUBLE else dtype


@dataclass(frozen=True)
class Both:
    """Two objectives on one grid, each in several precisions, and right = factor·left + shift(target) between them."""

    grid: Grid
    left: dict[torch.dtype, Curves]
    right: dict[torch.dtype, Curves]
    factor: float = 1.0
    shift: Tensor | float = 0.0
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
        return self._told(_ratio(apart, value_scale)), self._told(_ratio(aslant, slope_scale))

    def _told(self, gaps: Tensor) -> Tensor:
        return gaps if self.silent is None else gaps.masked_fill(self.silent, 0.0)

    def agreement(self, dtype: torch.dtype) -> Tensor:
        """Mask (G, Y) of the points on which the two agree in a dtype, but for rounding, in value and gradient."""
        low = lower(dtype)
        pairs = list(zip(self.differences(DOUBLE), self.differences(low), strict=True))
        if dtype == DOUBLE:
            value, slope = (self.rounding(f, c) for f, c in pairs)
        else:
            value, slope = (self.explained(f, c, low) for f, c in pairs)
        return value & slope

    def rounding(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Mask of float64 differences that are rounding: tiny, or shrunk from the lower precision as rounding does.

        Where the lower precision has lost the point it cannot serve as the yardstick. There a float64 difference may be as
        large as the rounding of a probability near 1 makes its complement: e^|z| unit roundoffs.
        """
        tiny = fine <= (self._ulps + LENGTH * _length(self.grid)) * torch.finfo(DOUBLE).eps
        shrunk = (coarse / fine >= SHRINK) & (coarse <= LOST)
        saturating = (ULPS * torch.finfo(DOUBLE).eps * torch.exp(self._ulps - ULPS)).clamp(max=LOST)
        return tiny | shrunk | (~(coarse <= LOST) & (fine <= saturating))

    def explained(self, fine: Tensor, coarse: Tensor, low: torch.dtype) -> Tensor:
        """Mask of lower-precision differences that are rounding: few ulps, or about as many as float64 has thereabouts."""
        ulps, around = coarse / torch.finfo(low).eps, fine.nan_to_num(0.0) / torch.finfo(DOUBLE).eps
        if len(around) > 2:
            around = torch.nn.functional.max_pool1d(around.T[None], 3, 1, 1)[0].T
        length = _length(self.grid)
        several = self._ulps + CHUNKED * math.sqrt(length) + FRAMEWORK * length
        few = (ulps <= ULPS) | ((ulps <= several) & (coarse <= LOST))
        return few | ((ulps <= EXPLAINED * around) & (coarse <= LOST) & (coarse / fine >= SHRINK))

    @property
    def _ulps(self) -> Tensor:
        """(G, 1) unit roundoffs that count as tiny: more at large raw outputs z, whose own last place is |z| of them."""
        size = self.grid.output.abs()
        return ULPS + (size if size.ndim == 1 else size.flatten(1).amax(1))[:, None]


def _length(grid: Grid) -> int:
    """Raw outputs that a row's value sums over; one is no sum."""
    count = grid.output[0].numel()
    return count if count > 1 else 0


def _ulps_of(grid: Grid) -> float:
    """Unit roundoffs by which moderate values and gradients may be off."""
    return ULPS + LENGTH * _length(grid)


def see_both(left: Objective, right: Objective, grid: Grid, dtypes: set[torch.dtype]) -> Both:
    """Evaluate both objectives on the grid in every dtype, and find factor and shift in float64."""
    at = [{dtype: curves(side, grid, dtype) for dtype in dtypes} for side in (left, right)]
    factor = _factor(grid, at[0][DOUBLE], at[1][DOUBLE])
    return Both(grid, at[0], at[1], factor, _shift(grid, at[0][DOUBLE], at[1][DOUBLE], factor))


def _factor(grid: Grid, left: Curves, right: Curves) -> float:
    """The constant c with g_right = c·g_left on moderate outputs; 1 where no constant serves."""
    usable = left.finite & right.finite & grid.moderate[:, None]
    a, b = left.gradient[usable], right.gradient[usable]
    large = a.abs().amax(-1) > 0.05 * a.abs().max() if len(a) else torch.zeros(0, dtype=torch.bool)
    if not bool(large.any()):
        return 1.0
    ratio = ((a * b).sum(-1) / (a * a).sum(-1))[large]
    middle = float(ratio.median())
    slack = STEADY + _ulps_of(grid) * torch.finfo(DOUBLE).eps
    steady = float((ratio - middle).abs().max()) <= slack * abs(middle)
    return middle if steady and middle > 0 and abs(middle - 1) > _ulps_of(grid) * torch.finfo(DOUBLE).eps else 1.0


def _shift(grid: Grid, left: Curves, right: Curves, factor: float) -> Tensor:
    """(Y,) per target, the constant s with v_right = c·v_left + s on moderate outputs; 0 where it is rounding."""
    usable = left.finite & right.finite & grid.moderate[:, None]
    shifts = torch.zeros(len(grid.target), dtype=DOUBLE)
    for column in range(len(shifts)):
        rows = usable[:, column]
        if not bool(rows.any()):
            continue
        a, b = factor * left.value[rows, column], right.value[rows, column]
        middle = float((b - a).median())
        tiny = _ulps_of(grid) * torch.finfo(DOUBLE).eps * float(a.abs().max())
        steady = float((b - a - middle).abs().max()) <= max(tiny, 1e-9 * abs(middle))
        shifts[column] = middle if steady and abs(middle) > tiny else 0.0
    return shifts


def _largest(size: Tensor) -> Tensor:
    return size.abs().nan_to_num(0.0, 0.0, 0.0).amax(1, keepdim=True)


def _ratio(difference: Tensor, scale: Tensor) -> Tensor:
    return torch.where(difference == 0, 0.0, difference / scale)
