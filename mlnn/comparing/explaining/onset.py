"""The size of a clip, read off the side that clips: where its gradient dies, and the largest value of a row."""

from collections.abc import Callable

import torch
from torch import Tensor

from mlnn.comparing.explaining.side import Side
from mlnn.comparing.sample import Sample, answer

FARTHEST = 60.0
"""Raw outputs and residuals up to this are asked: far beyond what people clip at, and float64 still tells exp of it from 0."""
HALVINGS = 80


def onset(side: Side, residual: bool = False) -> float | None:
    """The size from which a row's gradient is exactly 0 in one direction; None where it is not, or rows have several outputs.

    residual: of the raw output less the target, else of the raw output.
    """
    if side.targets.outputs > 1:
        return None
    found = [_dies(side, target, sign, residual) for target in side.targets.probe_points[:2] for sign in (-1, 1)]
    return next((size for size in found if size is not None), None)


def _dies(side: Side, target: Tensor, sign: float, residual: bool) -> float | None:
    def dead(size: float) -> bool:
        place = sign * size + (float(target) if residual else 0.0)
        one = Sample(torch.tensor([place], dtype=torch.float64), target[None])
        return not bool(answer(side.objective, one)[1].any())

    return _first(dead)


def _first(dead: Callable[[float], bool]) -> float | None:
    """The size from which on it is dead, by halves; None where it is so from the beginning, or nowhere."""
    low, high = 0.01, FARTHEST
    if dead(low) or not dead(high):
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if dead(middle) else (middle, high)
    return high


def lost(side: Side, sign: float) -> float | None:
    """The size from which one raw output of several has a gradient of exactly 0, in one direction, whatever the others are; None
    where it keeps one."""
    count = side.targets.outputs
    if count == 1 or not side.targets.labels:
        return None
    target = side.targets.probe_points[1:2].expand(1)

    def dead(size: float) -> bool:
        output = torch.zeros(1, count, dtype=torch.float64)
        output[0, 0] = sign * size
        slope = answer(side.objective, Sample(output, target))[1]
        return not bool(slope[0, 0])

    return _first(dead)


def largest_row(side: Side) -> float | None:
    """The value at which a row stops growing however far out it is; None where it grows on."""
    count, target = side.targets.outputs, side.targets.probe_points[:2]
    values = []
    for far in (0.7 * FARTHEST, FARTHEST):
        corners = (
            far * torch.eye(count, dtype=torch.float64)
            if count > 1
            else torch.tensor([[far], [-far]], dtype=torch.float64)
        )
        output = torch.cat([corners, -corners])
        every = Sample(
            output.repeat_interleave(len(target), 0).squeeze(-1)
            if count == 1
            else output.repeat_interleave(len(target), 0),
            target.repeat(len(output)),
        )
        values.append(float(side.rows(every).detach().max()))
    return values[1] if values[0] == values[1] else None
