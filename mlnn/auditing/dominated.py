"""An output that is worse than another for every target: then Σ or ∫ exp(−loss/τ)·h is smaller at it, whatever τ and h are.

Looked for among pairs of outputs, their entries exchanged too, and along directions: at an output f some way d leads down for every
target, ∂loss(f, y)·d ≤ 0, if and only if no probabilities at all make the expected gradient vanish there (Farkas), and those of a
likelihood would. A linear program finds d or shows that there is none.
"""

import itertools
import math

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.careful import locations
from mlnn.auditing.record import Witness, raw_output, row
from mlnn.auditing.vouching import near_zero, shell

FAR = (3.0, 5.0)
"""Sizes of the outputs, beside those near 0, from which a way down is looked for: penalties may show there only."""
NEAR = 6
"""Outputs near 0 from which it is looked for."""
EVERY_COUNT, FAR_COUNTS = 300, tuple(float(round(10 ** (k / 5))) for k in range(13, 56))
"""All counts up to the one are looked at, and five to a decade beyond, to 10¹¹."""
FAR_OUT = tuple(10 ** (k / 2) for k in range(3, 61))
"""On the whole line, how far out besides: a tail may cross another far beyond the bulk."""
GRID = 401
"""Targets of a dense grid of the line."""
ENDS, FEW_BEYOND = 600.0, 55
"""Of log y and logit y, short of where float64 has no more targets, and how many are looked at beyond the dense grid."""
AROUND = tuple(10.0**k for k in range(-6, 4))
"""Distances from what the entries of an output may stand for, at which targets are looked at too."""
SIZES = (2.0, 1.0, 0.5, 0.2, 0.05, 0.01)
"""How far along a direction the other output is tried."""
DOWN = 1e-3
"""Mean slope along a direction, each gradient taken as one of length 1, from which a way leads down."""
UP = 1e-9
"""What rounding makes of a slope that is 0."""
ROUNDED = 1e-12
"""Share of the two losses to which their difference is rounding."""
FADED = 5.0
"""Fall of a log density out to where targets end, e^−5, that leaves nothing there which could matter."""
FROM_END = 8
"""Places from the end at which an excess must not be larger than there."""
MATTERS = 1e-4
"""And by so much on the average over exp(−loss): where all its weight is, the two must not be told apart by rounding alone."""
CLOSER, FINEST = 14, 1e-14
"""Rounds, each sixteen times closer, in which a valley is looked at, down to the last digits."""
WORSE = 1e-6
"""Share of a loss (or of 1) by which an output is worse, at half of the targets at least."""
FEW = 4
"""Outputs of no more entries than this have all of them exchanged."""


def dominated(loss: Loss, _outputs: Tensor) -> Witness | None:
    """Two outputs of which the first has the larger loss for every target, or as large a one; None where none were found."""
    count = loss.space.outputs
    starts = torch.cat([near_zero(loss.space, NEAR, 7), *(shell(count, size) for size in FAR)])
    for start in starts:
        way = _way_down(loss, start)
        if way is None:
            continue
        for size in SIZES:
            found = _witness(loss, start, start + size * way)
            if found:
                return found
    return None


def worse_of_two(loss: Loss, outputs: Tensor) -> Witness | None:
    """The same among outputs near 0 and their entries exchanged, which costs little."""
    count = loss.space.outputs
    orders = list(itertools.permutations(range(count))) if count <= FEW else [tuple(range(count))]
    moved = torch.cat([outputs[:NEAR, list(order)] for order in orders[:24]])
    value = loss.values(moved, _targets(loss, outputs[:NEAR].reshape(-1) if count <= FEW else outputs[0]))
    least = (value[:, None] - value[None] + ROUNDED * (value[:, None].abs() + value[None].abs())).amin(-1)
    apart = (value[:, None] - value[None]).mean(-1)
    worse = torch.where(least.nan_to_num(-1.0) >= 0, apart.nan_to_num(0.0, 0.0, 0.0), 0.0)
    for place in worse.reshape(-1).argsort(descending=True)[:FEW].tolist():
        bad, good = divmod(place, len(moved))
        if float(worse[bad, good]) > 0:
            found = _witness(loss, moved[bad], moved[good])
            if found:
                return found
    return None


def _targets(loss: Loss, entries: Tensor) -> Tensor:
    """Targets (Y,), dense, out to the ends, and close to what the entries of outputs may stand for."""
    along = loss.space.coordinate
    if along is None:
        return torch.tensor([*range(EVERY_COUNT + 1), *FAR_COUNTS], dtype=torch.float64)
    dense = torch.linspace(-along.dense, along.dense, GRID, dtype=torch.float64)
    near = locations(entries, along)
    around = torch.tensor([side * size for side in (-1, 1) for size in AROUND], dtype=torch.float64)
    v = torch.cat([dense, (near[:, None] + around).reshape(-1)])
    if along.beyond or along.overflows:  # farther out the coordinate itself is the end of float64
        inside = v[(v > -along.dense) & (v < along.dense)]
        beyond = torch.linspace(along.dense, ENDS, FEW_BEYOND, dtype=torch.float64)
        v = torch.cat([-beyond, inside, beyond if along.overflows else inside[:0]])
    else:
        beyond = torch.tensor(FAR_OUT, dtype=torch.float64)
        v = torch.cat([-beyond, v, beyond])
    return along.target(v.unique())


def _way_down(loss: Loss, start: Tensor) -> Tensor | None:
    """A direction (m,) along which the loss does not rise for any target, and falls for most; None where there is none."""
    target = _targets(loss, start)
    value, gradient = loss.cross(start[None], target)
    slopes = gradient[0][torch.isfinite(gradient[0]).all(1) & torch.isfinite(value[0])]
    size = slopes.norm(dim=1, keepdim=True)
    slopes = (slopes / size)[(size > 0).squeeze(1)]
    if len(slopes) < len(target) // 2:
        return None
    rows = slopes.numpy()
    done = scipy.optimize.linprog(rows.mean(0), A_ub=rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1), method="highs")
    if done.status != 0 or not done.fun < -DOWN or float((rows @ done.x).max()) > UP:
        return None
    return torch.from_numpy(done.x)


def _witness(loss: Loss, bad: Tensor, good: Tensor) -> Witness | None:
    """The witness if the first output's loss is nowhere smaller than the second's, at the ends too, and larger for most targets."""
    both = torch.stack([bad, good])
    plain = _targets(loss, both.reshape(-1))
    target = _with_valleys(loss, both, plain)
    far, two = loss.values(both, plain), loss.values(both, target)
    apart, size = two[0] - two[1], two.abs().sum(0)
    if not bool(torch.isfinite(two[1]).all()) or bool(torch.isnan(two[0]).any()):
        return None
    if bool((apart < -ROUNDED * size.clamp_min(1.0)).any()):
        return None
    larger = apart > WORSE * two[1].abs().clamp_min(1.0)
    weight = torch.softmax(-two[0], 0) * apart.clamp_max(1.0)
    if float(larger.double().mean()) < 0.5 or float(weight.nansum()) < MATTERS:
        return None
    # Of the targets without those of a valley, which may lie at an end: there they are as close together as digits allow.
    if not _stays(far[0] - far[1], far.abs().sum(0), loss.space.coordinate is None) or _goes_on(loss, target, two[0]):
        return None
    few = torch.linspace(0, len(target) - 1, 5).long()[1:4] if loss.space.coordinate else torch.tensor([0, 1, 2])
    seen = apart[larger]
    return Witness(
        outputs=(raw_output(bad), raw_output(good)),
        targets=row(target[few]),
        loss=(row(two[0, few]), row(two[1, few])),
        excess=float(apart.median()) if math.isfinite(float(apart.median())) else float(seen.min()),
        says="the first output has the larger loss for almost every target and the smaller for none, so its sum of"
        " exp(−loss/τ)·h is smaller: not both can be 1",
    )


def _with_valleys(loss: Loss, both: Tensor, target: Tensor) -> Tensor:
    """The targets (Y,) with those around the least of the worse output's loss, and of the excess, each looked at ever closer.

    There the worse output is at its best, in a valley that may be far narrower than the grid.
    """
    along = loss.space.coordinate
    places = [target if along is None else along.back(target)]
    for which in (0, 1):
        seen = places[0]
        for _ in range(CLOSER):
            values = loss.values(both, seen if along is None else along.target(seen))
            height = (values[0] if which == 0 else values[0] - values[1]).nan_to_num(math.inf, math.inf, math.inf)
            best = int(height.argmin())
            low, high = float(seen[max(best - 1, 0)]), float(seen[min(best + 1, len(seen) - 1)])
            seen = torch.linspace(low, high, 33, dtype=torch.float64)
            seen = seen.round().unique() if along is None else seen
            places.append(seen)
            if not high - low > FINEST * max(1.0, abs(low)) or len(seen) <= 3:  # no count lies between
                break
    found = torch.cat(places).unique()
    return found if along is None else along.target(found)


def _goes_on(loss: Loss, target: Tensor, value: Tensor) -> bool:
    """Whether a density of the worse output has much of its weight where targets near 1 have lost their digits."""
    along = loss.space.coordinate
    if along is None or not along.beyond:
        return False
    height = along.log_slope(along.back(target)) - value
    height = height[torch.isfinite(height)]
    return bool(height[-1] > height.max() - FADED)


def _stays(apart: Tensor, size: Tensor, counts: bool) -> bool:
    """Whether the excess (Y,) over ascending targets no longer falls at their ends: beyond, it might cross."""
    slack = ROUNDED * size.clamp_min(1.0)
    above = apart[-1] >= apart[-1 - FROM_END] - slack[-1] or not bool(torch.isfinite(apart[-1]))
    return bool(above) and (counts or bool(apart[0] >= apart[FROM_END] - slack[0]))
