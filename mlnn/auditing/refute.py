"""That no temperature and no base measure make a loss on numbers a likelihood: proofs, and what its output follows instead."""

import math
from dataclasses import replace

import scipy
import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.families import Family
from mlnn.auditing.finding import SMALLEST
from mlnn.auditing.record import Witness, raw_output, row
from mlnn.targets import Coordinate

WORSE = 1e-9
"""Excess of one loss over another, as a share of the loss itself, that is more than rounding."""
MOST_WORSE = 0.5
"""Share of the targets for which one must be larger, where it need not be so for all."""
SMALL_LOSS = 1e-3
"""A loss smaller than this is measured by it, not by itself."""
EVERY_COUNT, FAR_COUNTS = 300, (1e3, 1e4, 1e6, 1e9)
"""All counts up to the one are looked at, and some beyond."""
WITHIN_CELL = 65
"""Points within a cell of the grid, where the excess is smallest, before it is minimised between two of them."""
BEST_STEP = 0.011
"""The best output is told to the step of its grid, 0.01, and a little."""

FOLLOWS = {
    True: ("calibrated", "its output follows the target, but not its mean"),
    False: ("no link", "its best output does not follow the target"),
}
"""What an output follows where it is least in expectation, by whether it follows the target at all."""
PUSHED = 1e-6
"""Share of the median gradient at an output by which most must point one way, and none the other: far above rounding."""
MOST = 0.9
"""Share of the targets that must."""
JUMP = 1e-7
"""How far from an output its two one-sided gradients are read."""
LARGEST = 1e300
"""Stands for a gradient that overflows."""
LOST = 16 * torch.finfo(torch.float64).eps
"""Share of two gradients that their difference has lost in rounding."""
VISIBLE = 1000
"""As many times its rounding a loss must differ between targets: log y! hides forty times what an output's share in it is."""
REST = 2e-8
"""Nats by which an excess may still fall between the last two counts: those of powers come to rest as 1/y."""
FAR_OUTPUTS = (-12.0, 12.0)
"""Outputs looked at beside those within ±6: where a penalty outweighs what a target can pull. Farther out what a target pulls
may be below float64's resolution, and there all the same."""
PENALISED = (0.0,)
"""Outputs at which a penalty of the output alone has its kink."""
INWARD = 3
"""How many places from the ends a gradient must not have been larger either."""
FINEST = 1e-12
"""To what the place of the least gradient between two of them is found, in units of the coordinate."""
FINE = 2401
"""Places of a dense grid at which gradients are looked at."""


def worse_everywhere(loss: Loss) -> Witness | None:
    """Two outputs of which one has the larger loss for every target: its Z is smaller whatever τ and h are.

    Looked at on all counts to 300 and beyond, or on a dense grid of a coordinate out to both ends, and where the excess is
    smallest between its points. A loss on the whole line has no such outputs, as far as this is looked for.
    """
    along = loss.space.coordinate
    if loss.space.outputs > 1 or loss.space.whole_line:
        return None
    if along is None:
        places = torch.tensor([*range(EVERY_COUNT + 1), *FAR_COUNTS], dtype=torch.float64)
        target = places
    else:
        places = torch.linspace(-along.dense, along.dense, 481, dtype=torch.float64)
        target = along.target(places)
    outputs = torch.linspace(-6, 6, 25, dtype=torch.float64) + 0.00321
    value = loss.values(outputs, target)
    seen = value[:, None] - value[None] - WORSE * value.abs().clamp_min(SMALL_LOSS)
    excess = seen.amin(-1).nan_to_num(-math.inf)
    if not float(excess.max()) > 0:
        # Where losses of some targets come to nothing: larger by a bit at least unless both are 0, and by more for most.
        nothing = (value[:, None] == 0) & (value[None] == 0)
        larger = (value[:, None] > value[None]) | nothing
        most = larger.all(-1) & ((seen > 0).double().mean(-1) > MOST_WORSE)
        excess = torch.where(most, seen.median(-1).values, -math.inf)
    if not float(excess.max()) > 0:
        return None
    excess = torch.where(_grows_outwards(value, along is None), excess, -math.inf)
    if not float(excess.max()) > 0:
        return None
    bad, good = divmod(int(excess.argmax()), len(outputs))
    if along and not _holds_between(loss, along, outputs[bad], outputs[good], places, value[bad] - value[good]):
        return None
    slack, least = float(seen[bad, good].min()), float((value[bad] - value[good]).min())
    few = [0, 1, 2] if along is None else [len(places) // 3, len(places) // 2, 2 * len(places) // 3]
    return Witness(
        outputs=(float(outputs[bad]), float(outputs[good])),
        targets=row(target[few]),
        loss=(row(value[bad, few]), row(value[good, few])),
        excess=(slack if slack > 0 else least) if least > 0 else None,
        says="the first output has the larger loss for every target, so its sum of exp(−loss/τ)·h is smaller: not both can be 1"
        if least > 0
        else "the first output has the larger loss for almost every target and the smaller for none, so its sum of exp(−loss/τ)·h"
        " is smaller: not both can be 1",
    )


def _grows_outwards(value: Tensor, counts: bool) -> Tensor:
    """Mask (F, F): whether the excess of one output's loss (F, Y) over another's no longer falls at the ends of the targets.

    What still falls there may cross farther out than is looked. Of counts only what REST allows is let pass, and rounding.
    """
    apart, size = value[:, None] - value[None], value.abs()
    if counts:
        lost = (LOST * torch.maximum(size[:, None, -1], size[None, :, -1])).clamp_min(REST)
        clear = _visible(value)
        return (apart[..., -1] >= apart[..., -2] - lost) & clear[:, None] & clear
    right = apart[..., -1] >= apart[..., -2] - WORSE * (1 + size[:, -1])[:, None]
    return right & (apart[..., 0] >= apart[..., 1] - WORSE * (1 + size[:, 0])[:, None])


def _visible(value: Tensor) -> Tensor:
    """Mask (F,): whether losses (F, Y) differ between counts by far more than rounding; else it hides how they go on."""
    known = value.nan_to_num(0.0, 0.0, 0.0)
    differ = known.amax(1) - known.amin(1)
    return (differ >= VISIBLE * LOST * known.abs().amax(1)) | bool((differ == 0).all())


def _holds_between(loss: Loss, along: Coordinate, bad: Tensor, good: Tensor, places: Tensor, excess: Tensor) -> bool:
    """Whether the excess stays above 0 between the points, in the three cells where it is smallest."""
    target = along.target

    def at(place: float) -> float:
        y = target(torch.tensor([place, place], dtype=torch.float64))
        one, two = loss.value(torch.stack([bad, good]), y).tolist()
        return float(one - two)

    # The excess is smallest where one of the two losses is: their valleys may be narrower than a cell.
    lowest = [int(k) for k in excess.argsort()[:3]]
    valleys = [int(loss.values(output[None], target(places))[0].argmin()) for output in (bad, good)]
    for k in {*lowest, *valleys}:
        low, high = places[max(k - 1, 0)], places[min(k + 1, len(places) - 1)]
        line = torch.linspace(float(low), float(high), WITHIN_CELL, dtype=torch.float64)
        y = target(line)
        seen = loss.value(bad.expand_as(y), y) - loss.value(good.expand_as(y), y)
        best = int(seen.argmin())
        around = (float(line[max(best - 1, 0)]), float(line[min(best + 1, WITHIN_CELL - 1)]))
        if (
            not min(float(seen.min()), float(scipy.optimize.minimize_scalar(at, bounds=around, method="bounded").fun))
            >= 0
        ):
            return False
    return True


def one_way(loss: Loss) -> Witness | None:
    """An output at which the gradient (or its jump there) points one way for every target: no h makes it vanish on average.

    In a likelihood Σ exp(−loss/τ)·h is 1 at every output, so that the expected gradient is 0, from both sides of a kink too.
    Looked at on all counts to 300 and beyond, or on a dense grid out to the ends of float64, and closer where it is smallest.
    """
    if loss.space.outputs > 1:
        return None
    along = loss.space.coordinate
    outputs = torch.cat([torch.linspace(-6, 6, 25), torch.tensor(FAR_OUTPUTS)]).double() + 0.00321
    if along is None:
        target = torch.tensor([*range(EVERY_COUNT + 1), *FAR_COUNTS], dtype=torch.float64)
    else:
        target = along.target(_dense(along))
    slope = loss.cross(outputs, target)[1].squeeze(-1).nan_to_num(math.nan, LARGEST, -LARGEST)
    kept = _kept_outwards(slope, along is None)
    kept = kept & _visible(loss.values(outputs, target)) if along is None else kept
    at = _pushed(torch.where(kept[:, None], slope, math.nan))
    if at is not None and (along is None or _pushed_between(loss, along, outputs[at], slope[at])):
        return _push(loss, outputs[at], "the loss of every target falls in one direction from this output: the sum of"
                     " exp(−loss/τ)·h rises there and cannot be 1 all around")  # fmt: skip
    for kink in PENALISED:
        ends = torch.tensor([kink - JUMP, kink + JUMP], dtype=torch.float64)
        sides = loss.cross(ends, target)[1].squeeze(-1)
        jump, lost = sides[1] - sides[0], LOST * sides.abs().amax(0)  # of a large gradient the jump is rounding
        seen, size = lost <= JUMP, float(slope.abs().median())
        way = jump[seen].sign().median() if bool(seen.any()) else torch.zeros(())
        one = bool((way * jump[~seen] >= -lost[~seen]).all()) and bool(torch.isfinite(jump).all())
        least = float(jump[seen].abs().min()) if bool(seen.any()) else 0.0
        if one and least > math.sqrt(PUSHED) * size and _pushed(jump[None, seen]) == 0:
            return _push(loss, torch.tensor(kink).double(), "at this output the gradient jumps the same way for every target: its"
                         " expectation cannot be 0 on both sides")  # fmt: skip
    return None


def _kept_outwards(slope: Tensor, counts: bool) -> Tensor:
    """Mask (F,): whether gradients (F, Y) no longer fall off at the ends of the targets; what still does may turn farther out."""
    size = slope.abs()
    right, left = size[:, -1], size[:, 0]
    kept = torch.ones_like(right, dtype=torch.bool)
    for inward in (1, INWARD):  # neighbours may be one target in float64
        kept &= right >= size[:, -1 - inward] * (1 - LOST)
        kept &= counts | (left >= size[:, inward] * (1 - LOST))
    return kept


def _dense(along: Coordinate) -> Tensor:
    """Places of a coordinate on a fine grid, and out to where float64 ends."""
    above, below = along.farthest
    outer = torch.tensor([*above, *below, *along.span], dtype=torch.float64)
    dense = min(along.dense, along.high)  # beyond, float64 has too few digits left for what lies near 1
    steps = torch.linspace(-dense, dense, FINE, dtype=torch.float64)
    return torch.cat([steps, outer[(outer < -dense) | ((outer > dense) & (outer < along.high))]]).sort().values


def _pushed(slope: Tensor) -> int | None:
    """The row of gradients (F, Y) that all point one way, none of them near 0; None if there is none."""
    size = slope.abs().median(1).values.clamp_min(SMALLEST)
    known = torch.isfinite(slope).all(1)
    # Every target has weight, so that one that pulls neither way changes nothing.
    most = (slope.abs() > PUSHED * size[:, None]).double().mean(1) > MOST
    way = most & ((slope.amin(1) >= 0) | (slope.amax(1) <= 0))
    found = (way & known).nonzero()
    return int(found[0, 0]) if len(found) else None


def _pushed_between(loss: Loss, along: Coordinate, output: Tensor, slope: Tensor) -> bool:
    """Whether no gradient turns between the places either, where gradients and the loss are smallest."""
    places, way = _dense(along), float(slope.sign().median())

    def at(place: float) -> float:
        return way * float(loss.both(output[None], along.target(torch.tensor([place], dtype=torch.float64)))[1])

    # A valley of the loss may be narrower than a cell, and what pulls the other way lie in it.
    valley = int(loss.values(output[None], along.target(places))[0].nan_to_num(math.inf).argmin())
    for k in {*(way * slope).argsort()[:3].tolist(), valley}:
        low, high = places[max(k - 1, 0)], places[min(k + 1, len(places) - 1)]
        line = torch.linspace(float(low), float(high), WITHIN_CELL, dtype=torch.float64)
        near = way * loss.cross(output[None], along.target(line))[1].reshape(-1)
        best = int(near.argmin())
        around = (float(line[max(best - 1, 0)]), float(line[min(best + 1, WITHIN_CELL - 1)]))
        closer = scipy.optimize.minimize_scalar(at, bounds=around, method="bounded", options={"xatol": FINEST})
        if not min(float(near.min()), float(closer.fun)) >= 0:
            return False
    return True


def _push(loss: Loss, output: Tensor, says: str) -> Witness:
    target = torch.tensor(loss.space.facts.ordered_points, dtype=torch.float64)
    beside = torch.stack([output - BEST_STEP, output + BEST_STEP])
    value = loss.values(beside, target)
    return Witness(outputs=row(beside), targets=row(target), loss=(row(value[0]), row(value[1])), says=says)


def elsewhere(loss: Loss, family: Family, outputs: Tensor, z: Tensor | None) -> Witness:
    """The only measure with this variance function leaves out a target of the space, or has one that is not in it."""
    found = Witness(
        family=family.name,
        lives=family.lives,
        space=str(loss.space),
        says="a variance function belongs to one family alone, and that one does not live on the target space",
    )
    if z is None:
        return found
    ends = [int(z.argmin()), int(z.argmax())]
    return replace(found, outputs=tuple(map(raw_output, outputs[ends])), z=row(z[ends]))


def elicits(loss: Loss) -> tuple[bool, str | None]:
    """Whether the best output for a target moves one way with it, and the name of the map from the output to the target."""
    if loss.space.outputs > 1:
        return False, None
    target = torch.tensor(loss.space.facts.ordered_points, dtype=torch.float64)
    line = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    best = loss.values(line, target).nan_to_num(math.inf).argmin(0)
    inside = bool(((best > 0) & (best < len(line) - 1)).all())
    moves = line[best].diff()
    follows = inside and (bool((moves > 0).all()) or bool((moves < 0).all()))
    for name, place in (("f", target), ("exp(f)", target.log()), ("σ(f)", target.logit())):
        if follows and bool((line[best] - place).abs().max() <= BEST_STEP):
            return True, name
    return follows, None
