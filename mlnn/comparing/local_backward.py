"""Of two steps with one value and two gradients, which one is not the derivative of that value? By differences along weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlnn.comparing.explaining.backward import DIRECTIONS, FALLS, KNOWN, STEP, derivative
from mlnn.comparing.explaining.trial import Cause
from mlnn.comparing.places import HERE, Visit, standing
from mlnn.training import Evaluated, Lane, Lockstep, batches


def of_backward(lockstep: Lockstep) -> Cause | None:
    """The cause that one side's gradient in the weights is not the derivative of its value, which is the other's too.

    None for an update of one's own, whose gradient need not be a derivative, and where a side's weights are laid out otherwise.
    """
    leader, follower = lockstep.leader("float64"), lockstep.followers["float64"]
    if leader.own is not None or follower.own is not None or follower.recipe.mapping is not None:
        return None
    left, right = _both(lockstep, HERE)
    told = left.gradient.double(), right.gradient.double()
    scale = max(float(one.norm()) for one in told)
    if not _alike(left, right) or not float((told[0] - told[1]).norm()) > KNOWN / FALLS * scale:
        return None
    off = {"left": 0.0, "right": 0.0}
    across = {"left": 0.0, "right": 0.0}
    for number in range(DIRECTIONS):
        way = torch.randn(told[0].shape, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
        way /= way.norm()
        found = _derivatives(lockstep, way)
        if found is None:
            return None
        claims = [float(one @ way) for one in told]
        for place, side in enumerate(off):
            off[side] = max(off[side], abs(found[place] - claims[place]) / scale)
            across[side] = max(across[side], abs(found[place] - claims[1 - place]) / scale)
    for odd, other in (("right", "left"), ("left", "right")):
        if off[other] <= KNOWN and off[odd] > KNOWN / FALLS:
            words = f"{odd}'s gradient is not the derivative of its value, which is {other}'s"
            return Cause(f"{words}: a detached part, or a backward of its own", off[odd], across[odd])
    return None


def _derivatives(lockstep: Lockstep, way: Tensor) -> tuple[float, float] | None:
    """Of (left's, right's) value along a direction; None where the two values part on the way."""
    agree = True

    def between(size: float) -> tuple[float, float]:
        nonlocal agree
        ends = [_both(lockstep, _moved(sign * size * way)) for sign in (1, -1)]
        agree = agree and all(_alike(*pair) for pair in ends)
        one, two = ((ends[0][side].loss - ends[1][side].loss) / (2 * size) for side in (0, 1))
        return one, two

    step = STEP / float(way.abs().max())
    seen = [between(size) for size in (4 * step, 2 * step, step)]
    return (derivative([one for one, _ in seen]), derivative([two for _, two in seen])) if agree else None


def _both(lockstep: Lockstep, visit: Visit) -> tuple[Evaluated, Evaluated]:
    """Left's answer and right's, in float64, at a place."""
    batch, leader = next(batches(lockstep.recipe)), lockstep.leader("float64")
    with standing(leader, [lockstep.followers["float64"]], visit):
        right = lockstep.right_at_left("float64", batch)
        left = leader.evaluate(batch)
    leader.stopped = None
    return left, right


def _alike(left: Evaluated, right: Evaluated) -> bool:
    return abs(left.loss - right.loss) <= KNOWN * max(abs(left.loss), abs(right.loss), 1.0)


def _moved(by: Tensor) -> Visit:
    def push(lane: Lane) -> None:
        parts: Sequence[Tensor] = by.split([weight.numel() for weight in lane.weights])
        for weight, part in zip(lane.weights, parts, strict=True):
            weight.add_(part.reshape(weight.shape).to(weight))

    return Visit("moved along a direction", push=push)
