"""On the kinks, which the grid avoids: isolated raw outputs at which autograd may give what is no derivative.

Where a side's own value has a kink, any finite subgradient is as right as another. Where its value is smooth and its gradient
is off at that one raw output alone (relu and abs forms of a smooth loss, at 0), it is wrong there, and nowhere else: networks
whose last layer starts at zero, or that fit a target exactly, stand on just these points.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor

from mlnn.comparing.standing import Standing
from mlnn.objectives import Objective
from mlnn.objectives.grid import Curves, Grid, curves
from mlnn.targets import TargetSpace

NEAR = 1e-6
"""How far beside a kink the slope is read: far above float64's spacing at outputs of size 1, far below any grid step."""
JUMP = 1e-3
"""Of the largest gradient: over 2·NEAR a smooth slope changes by about 1e-6 of it, a kink's by about all of it."""
PLACES = (0.0, 1.0, -1.0, 20.0, -20.0)
"""Single raw outputs at which losses change their form: 0, a margin of 1, the threshold of softplus."""
EQUAL = 1.3
"""With several outputs: all are 0, all are this, or (of no more than FEW) the first two are and the others lie below."""
FEW = 16


@dataclass(frozen=True)
class Point:
    """A raw output at which a side's gradient is wrong though its value is smooth.

    Or a target of several numbers at which a side alone is undefined, whatever the raw output (a corner of a simplex, where it
    takes the logarithm of 0). `output`: the raw output, of several the one number that all of them are, or each of them; None
    for any; `entry`: of these, the one told of. `gradient`: what the side gives (of all targets the worst is told), `derivative`:
    what its value's own slope is. `at_target`: it is wrong where the raw output is the row's own target, whichever that is.
    `rows`: training rows that stood on it, None without training; `step`: the first step with one.
    """

    side: str
    output: float | list[float] | None
    target: float | list[float]
    gradient: float
    derivative: float
    entry: int | None = None
    at_target: bool = False
    rows: int | None = None
    step: int | None = None

    def stood(self, output: Tensor, target: Tensor) -> Tensor:
        """Mask (n,) of the rows a position of which stands on it."""
        if self.output is None:
            asked = torch.tensor(self.target, dtype=target.dtype, device=target.device)
            return (target == asked).all(-1).reshape(len(target), -1).any(1)
        place = target.to(output.dtype) if self.at_target else torch.tensor(self.output, dtype=output.dtype)
        same = output == place.to(output.device)
        return (same if self.entry is None else same.all(-1)).reshape(len(output), -1).any(1)


@dataclass(frozen=True)
class Kinks:
    """`points`: see there. `worst`: (size, raw output, target) of the largest gradient difference on a kink that no isolated
    wrong gradient explains, relative to the largest gradient at that output, infinite where only one side is finite.
    """

    points: list[Point] = field(default_factory=list)
    worst: tuple[float, float | list[float], float] | None = None


def kinks(
    left: Objective, right: Objective, targets: TargetSpace, target: Tensor, factor: float, reach: float = math.inf
) -> Kinks:
    """Compare the two gradients in float64 on the kinks inside ±`reach`, for some targets (Y,)."""
    places, steps = _places(targets, target, reach)
    if not len(places):
        return Kinks()
    grids = [_grid(places + sign * NEAR * steps, target) for sign in (-1, 0, 1)]
    sides = [[curves(side, grid, torch.float64) for grid in grids] for side in (left, right)]
    found = [
        _at(sides, place, column, (_told(places[place]), label), factor)
        for place in range(len(places))
        for column, label in enumerate(grids[1].labels)
    ]
    worst = [one for one in found if isinstance(one, tuple)]
    points = [point for one in found if isinstance(one, list) for point in one]
    return Kinks(list(_worst_of_each(points)), max(worst, key=lambda one: one[0]) if worst else None)


def _places(targets: TargetSpace, target: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Raw outputs (P,) or (P, K), and the direction in which each is left, the same shape."""
    count = targets.outputs
    if count == 1:
        residuals = [label for label in target.tolist() if label not in PLACES] if targets.whole_line else []
        inside = [place for place in (*PLACES, *residuals) if abs(place) < reach]
        places = torch.tensor(inside, dtype=torch.float64)
        return places, torch.ones_like(places)
    uneven = torch.sin(torch.arange(1, count + 1, dtype=torch.float64))  # no two of them alike, none 0
    places = -uneven.abs().expand(3 if count <= FEW else 2, count).clone()
    places[0], places[1], places[2:, :2] = 0.0, EQUAL, EQUAL
    return places, uneven.expand_as(places)


def _told(place: Tensor) -> float | list[float]:
    return float(place.flatten()[0]) if bool((place == place.flatten()[0]).all()) else place.tolist()


def _grid(output: Tensor, target: Tensor) -> Grid:
    return Grid(output, output, target, torch.zeros(len(output), dtype=torch.int64))


def _at(
    sides: list[list[Curves]], place: int, column: int, where: tuple[float | list[float], float], factor: float
) -> list[Point] | tuple[float, float | list[float], float] | None:
    """What one place shows for one target: the sides that are wrong just there, a difference that stays, or nothing."""
    values = [[at.value[place, column] for at in side] for side in sides]
    scales = (factor, 1.0)
    slopes = [
        torch.stack([by * at.gradient[place, column] for at in side]) for by, side in zip(scales, sides, strict=True)
    ]
    every = (by * at.gradient[place] for by, side in zip(scales, sides, strict=True) for at in side)
    size = max(float(slope.nan_to_num(0.0, 0.0, 0.0).abs().max()) for slope in every) or 1.0
    void = [math.isnan(float(value[1])) for value in values]
    still = [float(value[1]) == 0 and not bool(slope[1].any()) for value, slope in zip(values, slopes, strict=True)]
    if any(void) and all(
        one or two for one, two in zip(void, still, strict=True)
    ):  # 0/0 beside 0/0, or 0, says nothing
        return None
    here = [bool(torch.isfinite(slope[1]).all()) for slope in slopes]
    gap = float((slopes[0][1] - slopes[1][1]).abs().max()) / size
    if (gap <= JUMP) if all(here) else here[0] == here[1]:
        return None
    beside = [slope[[0, 2]] for slope in slopes]
    near = float((beside[0] - beside[1]).abs().max()) <= JUMP * size
    even = all(_even(torch.stack(side), size) for side in values)
    wrong = [_wrong(slope, size) for slope in slopes]
    if near and even and any(wrong):
        named = zip(("left", "right"), slopes, scales, wrong, strict=True)
        return [_point(side, slope / by, *where) for side, slope, by, off in named if off]
    smooth = float((beside[0][1] - beside[0][0]).abs().max()) <= JUMP * size
    if smooth or not all(here):
        return (gap if all(here) else math.inf, *where)
    return None


def _even(value: Tensor, size: float) -> bool:
    """Whether the values (3,) at a place and beside it are finite, and without a jump."""
    low, here, high = value.tolist()
    jump = abs(here - (low + high) / 2)
    return math.isfinite(jump) and bool(jump <= JUMP * max(abs(low), abs(high), size))


def _wrong(slope: Tensor, size: float) -> bool:
    """Whether the gradient (3, m) at a place is off from those just beside it, which agree; or not finite where those are."""
    low, here, high = slope
    if not bool(torch.isfinite(here).all()):
        return bool(torch.isfinite(low).all() and torch.isfinite(high).all())
    smooth = float((high - low).abs().max()) <= JUMP * size
    return smooth and float((here - (low + high) / 2).abs().max()) > JUMP * size


def _point(side: str, slope: Tensor, output: float | list[float], target: float) -> Point:
    derivative = (slope[0] + slope[2]) / 2
    entry = int((slope[1] - derivative).abs().nan_to_num(math.inf).argmax())
    several = slope.shape[1] > 1
    return Point(side, output, target, float(slope[1, entry]), float(derivative[entry]), entry if several else None)


def _worst_of_each(points: list[Point]) -> Iterator[Point]:
    """Of the targets at one raw output of one side, the one whose gradient is off by most; one point for all residuals of 0."""
    groups: dict[tuple[str, str], list[Point]] = {}
    residual = {side: all(p.output == p.target for p in points if p.side == side) for side in ("left", "right")}
    for point in points:
        key = "its target" if residual[point.side] else repr(point.output)
        groups.setdefault((point.side, key), []).append(point)
    for (_, key), group in groups.items():
        yield replace(max(group, key=_off), at_target=key == "its target" and len(group) > 1)


def _off(point: Point) -> float:
    gap = abs(point.gradient - point.derivative)
    return gap if math.isfinite(gap) else math.inf


def counted(points: Sequence[Point], stood: Standing) -> list[dict[str, object]]:
    """The points as plain data, each with the training rows that stood on it, by its place among them."""
    return [
        asdict(point) | {"rows": stood.rows.get(place), "step": stood.first.get(place)}
        for place, point in enumerate(points)
    ]
