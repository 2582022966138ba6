"""Distances between two lanes at a step. A gap of 0 means the same bits; NaN means that it could not be measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.training import Lane

NAN = float("nan")


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All entries in one float64 vector."""
    return torch.cat([t.detach().reshape(-1).to(torch.float64) for t in tensors])


def relative(difference: Tensor, reference: Tensor) -> float:
    """‖difference‖ / ‖reference‖ (Euclidean); 0 where nothing differs, infinite where only the reference is zero."""
    size, scale = float(difference.norm()), float(reference.norm())
    if size == 0.0:
        return 0.0
    return size / scale if scale else (math.inf if size == size else NAN)


def same_bits(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    """Whether all entries are equal and none is NaN."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def ulps(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Largest difference in units in the last place of the first lane's weights, in its own dtype."""
    a, b = flat(first), flat(second)
    info = torch.finfo(first[0].dtype)
    _, exponent = torch.frexp(a.abs().clamp_min(info.smallest_normal))
    spacing = torch.ldexp(torch.full_like(a, info.eps), exponent - 1)
    return float(((a - b).abs() / spacing).max())


@dataclass(frozen=True)
class CommonGap:
    """Right against left at left's weights, on one batch, in one precision.

    `gradient`: ‖g_right − g_left‖ / ‖g_left‖. `factor`: the c that makes c·g_left nearest g_right. `left`, `right`: the
    two losses (nats per row for a mean of a negative log-likelihood).
    """

    left: float
    right: float
    gradient: float
    factor: float
    left_gradient: Tensor
    right_gradient: Tensor

    @property
    def finite(self) -> tuple[bool, bool]:
        """Whether (left, right) are finite in loss and gradient."""
        return (
            math.isfinite(self.left) and bool(torch.isfinite(self.left_gradient).all()),
            math.isfinite(self.right) and bool(torch.isfinite(self.right_gradient).all()),
        )

    def residual(self, factor: float) -> float:
        """‖g_right − factor·g_left‖, in the units of the gradient."""
        return float((self.right_gradient - factor * self.left_gradient).norm())


def common_gap(leader: Lane, follower: Lane) -> CommonGap:
    """Compare the gradients in place of a left lane and of right's recipe at the same weights."""
    left, right = flat(follower.translate(leader, leader.gradients)), flat(follower.gradients)
    square = float(left @ left)
    factor = float(left @ right) / square if square else NAN
    return CommonGap(leader.loss, follower.loss, relative(right - left, left), factor, left, right)


def weight_gap(first: Lane, second: Lane, start: Tensor) -> float:
    """‖w_second − w_first‖ ÷ ‖w_first − w_start‖, the distance travelled.

    Dividing by the norm of the weights instead would let an untrained network pass.
    """
    a = flat(second.translate(first, first.weights))
    return relative(flat(second.weights) - a, flat(first.weights) - start)
