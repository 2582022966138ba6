"""Z of one output once more, by another way: cut wherever a density of several raw outputs may have a peak, however narrow.

A mixture has a peak at each of its means, and one that is narrow is met by no grid of targets. So the line of targets is also cut
at the raw outputs themselves (and at what the usual links make of them), in decades on both sides; and on the whole line
v = sinh t, so that a heavy tail, a power of v, is an exponential of t.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import SMALLEST
from mlnn.auditing.integrals import NOTHING, Base
from mlnn.targets import Coordinate

FARTHEST_T = 330.0
"""sinh t is 10¹⁴³ there, near the end of what squares hold in float64."""
PEAKS = 6
"""Peaks of the grid that are cut at, the highest first."""
WITHIN = 40.0
"""A peak this much lower in log density, e^−40, adds nothing that float64 can see."""
DECADES = tuple(10.0**k for k in range(-5, 9))
"""Distances from a possible peak at which the line is cut: where it is cut no more, a density as wide is taken for nothing."""
DIGITS = 1e-9
"""Relative error that the sum of all pieces may be left with: three digits beyond those that are needed of it."""
NODES, WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(16))
"""Of Gauss's rule on [−1, 1]."""
HALVINGS = 14
"""Rounds in which every piece that is not known is halved; 2^−14 of a decade is finer than any peak that was cut at."""
MOST_PIECES = 3000
"""Pieces at a time, at most: a density that needs more has not settled."""
LOGITS = (-200.0, 14.0)
"""Ends of a logit: below, y keeps its digits; above, 1 − y has ten left."""
NOTHING_LEFT = 25.0
"""A log density so far below log Z, and falling, leaves nothing beyond it that could be seen: e^−25 is 1e-11."""
RATES_AGREE = 1e-6
"""Misfit of a log density to its form beyond the ends of a logit: rounding of 1 − y."""
ROUNDED = 1e-9
"""Rounding of a log density at the upper end, with its differences."""
LEFT = 1e-9
"""Share of Z that may be left, by its rate, where the line ends."""


def careful_z(loss: Loss, output: Tensor, tau: float = 1.0, log_base: Base | None = None) -> tuple[float, float]:
    """Z at one output () or (m,), where targets lie on a line, and its error; NaN where it did not settle."""
    along = loss.space.coordinate
    assert along is not None
    bends = loss.space.whole_line

    def log_density(v: Tensor) -> Tensor:
        y = along.target(v)
        value = loss.value(output.expand(len(v), *output.shape), y)
        weight = 0.0 if log_base is None else log_base(y)
        return weight - value / tau + along.log_slope(v)

    def density(t: Tensor) -> Tensor:
        if bends:  # log cosh t, without overflow
            slope = t.abs() + torch.log1p(torch.exp(-2 * t.abs())) - math.log(2)
            return torch.exp(log_density(torch.sinh(t)) + slope).nan_to_num(0.0, math.inf)
        return torch.exp(log_density(t)).nan_to_num(0.0, math.inf)

    low, high = _ends(along, bends)
    cuts = torch.tensor(sorted(_cuts(loss, output, along, tau)), dtype=torch.float64)
    places = torch.asinh(cuts) if bends else cuts
    places = places[(places > low) & (places < high)].unique()
    z = _pieces(density, torch.cat([torch.tensor([low]).double(), places, torch.tensor([high]).double()]))
    if along.beyond:
        beyond, error = _beyond(log_density, low, high, z)
        return z + beyond, DIGITS * z + error
    end, beside = density(torch.tensor([low, high]).double()), density(torch.tensor([low + 1, high - 1]).double())
    rate = (beside.clamp_min(SMALLEST) / end.clamp_min(SMALLEST)).log().clamp_min(SMALLEST)
    return (z, DIGITS * z) if z > 0 and bool((end <= LEFT * z * rate).all()) else (math.nan, math.inf)


def _beyond(log_density: Callable[[Tensor], Tensor], low: float, high: float, z: float) -> tuple[float, float]:
    """What lies beyond both ends of a logit, where a density is c·exp(−rate·|v|)(1 + d·e^−|v|), all three told by it.

    And its error, which is large where the rate is lost in the rounding of 1 − y; NaN where it does not fall, or not at one rate.
    """
    found, error = 0.0, 0.0
    for end, inward in ((low, 1.0), (high, -1.0)):
        at = end + inward * torch.arange(4, dtype=torch.float64)
        seen = log_density(at)
        if z > 0 and bool((seen < math.log(z) - NOTHING_LEFT).all()) and float(seen[0]) <= float(seen[-1]):
            continue
        near = torch.exp(-at.abs())
        design = torch.stack([torch.ones(3).double(), -at[:3].abs(), near[:3] / near[0]], 1)
        level, rate, bend = torch.linalg.solve(design, seen[:3]).tolist()
        fourth = level - rate * float(at[3].abs()) + bend * float(near[3] / near[0])
        half = (
            log_density(torch.tensor([end / 2]).double()) if end == low else None
        )  # there it has had room to go astray
        astray = 0.0 if half is None else abs(level - rate * abs(end) / 2 - float(half[0]))
        if not (rate > 0 and max(abs(fourth - float(seen[3])), astray) <= RATES_AGREE):
            return math.nan, math.inf
        # exp(bend·e^−(|v| − |end|)) is 1 + bend·… to the square of a millionth.
        far = abs(end)
        part = math.exp(level - rate * far) * (1 / rate + bend / (rate + 1))
        found, error = found + part, error + part * ROUNDED / rate
    return found, error


def _pieces(density: Callable[[Tensor], Tensor], places: Tensor) -> float:
    """The integral over all pieces between places (P,), each halved until its halves add up to it; NaN where they do not."""

    def by_rule(low: Tensor, high: Tensor) -> Tensor:
        half = (high - low) / 2
        at = (low + half)[:, None] + half[:, None] * NODES
        return (density(at.reshape(-1)).reshape(at.shape) * WEIGHTS).sum(1) * half

    low, high = places[:-1], places[1:]
    whole, settled = by_rule(low, high), 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        halves = by_rule(torch.cat([low, middle]), torch.cat([middle, high])).reshape(2, -1)
        size = settled + float(halves.sum())
        open_ = ~((halves.sum(0) - whole).abs() <= DIGITS / 100 * size)  # NaN is open
        settled += float(halves.sum(0)[~open_].sum())
        if not bool(open_.any()):
            return settled
        if int(open_.sum()) > MOST_PIECES or not math.isfinite(size):
            return math.nan
        low, middle, high = low[open_], middle[open_], high[open_]
        low, high, whole = torch.cat([low, middle]), torch.cat([middle, high]), halves[:, open_].reshape(-1)
    return settled + float(whole.sum()) if float(whole.sum()) <= DIGITS * settled else math.nan


def _ends(along: Coordinate, bends: bool) -> tuple[float, float]:
    if bends:
        return -FARTHEST_T, FARTHEST_T
    if along.beyond:
        return LOGITS
    far = max(along.far, default=math.inf)
    return max(along.low, -far), min(along.high, far)


def _cuts(loss: Loss, output: Tensor, along: Coordinate, tau: float) -> set[float]:
    """Places v at which the line is cut: peaks of a grid, what the output's entries may say, and decades around them."""
    v = torch.linspace(max(along.low, -60.0), min(along.high, 60.0), 1201, dtype=torch.float64)
    height = (-loss.values(output[None], along.target(v))[0] / tau + along.log_slope(v)).nan_to_num(
        NOTHING, NOTHING, NOTHING
    )
    higher = (height[1:-1] >= height[:-2]) & (height[1:-1] >= height[2:]) & (height[1:-1] > height.max() - WITHIN)
    peaks = v[1:-1][higher]
    highest = peaks[height[1:-1][higher].argsort(descending=True)][:PEAKS]
    middles = [0.0, *highest.tolist(), *locations(output.reshape(-1), along).tolist()]
    steps = [0.0, *DECADES, *(-size for size in DECADES)]
    return {middle + step for middle in middles for step in steps}


def locations(output: Tensor, along: Coordinate) -> Tensor:
    """Coordinates v (M,) of targets that the entries of an output (m,) may stand for: as they are, or by a usual link."""
    mean = torch.cat([output, output.exp(), torch.nn.functional.softplus(output), torch.sigmoid(output)])
    found = torch.cat([output, along.back(mean)])
    known: Tensor = torch.unique(found[torch.isfinite(found)])
    return known
