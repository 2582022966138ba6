"""On the kinks, which the grid avoids: raw output 0, and a residual of exactly 0.

Where left's own gradient jumps, any finite subgradient is as right as another. Where it does not jump, right has to give it:
networks that start at zero weights, or fit a target exactly, stand on just these points.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.objectives.grid import Grid, curves
from mlnn.targets import TargetSpace

NEAR = 1e-6
"""How far beside a kink the slope is read: far above float64's spacing at outputs of size 1, far below any grid step."""
JUMP = 1e-3
"""Of the largest gradient: over 2·NEAR a smooth slope changes by about 1e-6 of it, a kink's by about all of it."""
Point = tuple[float, float, float]


def worst_on_kinks(left: Objective, right: Objective, targets: TargetSpace, factor: float) -> Point | None:
    """(size, raw output, target) of the largest gradient difference there, in float64, relative to the largest gradient at
    that output; infinite where only one side is finite. None for several outputs per row, or where the two agree.
    """
    if targets.outputs > 1:
        return None
    target = targets.probe_points
    places = [0.0, *target.tolist()] if targets.whole_line else [0.0]
    found = [point for place in places for point in _points_at(place, left, right, target, factor)]
    return max(found, key=lambda point: point[0]) if found else None


def _points_at(place: float, left: Objective, right: Objective, target: Tensor, factor: float) -> Iterator[Point]:
    """The targets at which the two gradients differ at one raw output, though left's own does not jump there."""
    output = torch.tensor([place - NEAR, place, place + NEAR], dtype=torch.float64)
    points = Grid(output, output, target)
    one, two = (curves(side, points, torch.float64) for side in (left, right))
    slopes, other = factor * one.gradient[..., 0], two.gradient[..., 0]
    scale = float(slopes.nan_to_num(0.0, 0.0, 0.0).abs().max()) or 1.0
    for column, label in enumerate(target.tolist()):
        a, b = float(slopes[1, column]), float(other[1, column])
        if math.isfinite(a) != math.isfinite(b):
            yield math.inf, place, label
        smooth = abs(float(slopes[2, column] - slopes[0, column])) <= JUMP * scale
        size = abs(a - b) / scale
        if smooth and JUMP < size < math.inf:
            yield size, place, label
