"""Distances between two lanes at a step. A gap of 0 means the same bits; NaN means that it could not be measured.

Weights and gradients are flat vectors (P,), as a `StepRecord` holds them; differences are taken in float64, which holds every
smaller float exactly.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.training import Common, StepRecord

NAN = float("nan")


def relative(difference: Tensor, reference: Tensor) -> float:
    """‖difference‖ / ‖reference‖ (Euclidean); 0 where nothing differs, infinite where only the reference is zero."""
    size, scale = float(difference.norm()), float(reference.norm())
    if size == 0.0:
        return 0.0
    return size / scale if scale else (math.inf if size == size else NAN)


def ulps(first: Tensor, second: Tensor) -> float:
    """Largest difference in units in the last place of the first lane's weights, in its own dtype."""
    info = torch.finfo(first.dtype)
    first, second = first.double(), second.double()
    _, exponent = torch.frexp(first.abs().clamp_min(info.smallest_normal))
    spacing = torch.ldexp(torch.full_like(first, info.eps), exponent - 1)
    return float(((first - second).abs() / spacing).max())


@dataclass(frozen=True, eq=False)
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

    def of_loss(self, factor: float) -> float:
        """The factor of the losses where gradients have `factor`: the same, or 1, where a clip has scaled the gradient alone."""
        return 1.0 if abs(self.right - self.left) <= abs(self.right - factor * self.left) else factor

    def residual(self, factor: float) -> float:
        """‖g_right − factor·g_left‖, in the units of the gradient."""
        return float((self.right_gradient - factor * self.left_gradient).norm())


def common_gap(common: Common) -> CommonGap:
    """Compare left's answer with that of right's recipe at the same weights."""
    return gap_between(common.left.loss, common.right.loss, common.gradient.double(), common.right.gradient.double())


def gap_between(one: float, two: float, left: Tensor, right: Tensor) -> CommonGap:
    """The gap between two values with their gradients, flat in float64."""
    square = float(left @ left)
    factor = float(left @ right) / square if square else NAN
    return CommonGap(one, two, relative(right - left, left), factor, left, right)


def weight_gap(record: StepRecord, left: str, other: str) -> float:
    """‖w_other − w_left‖ ÷ ‖w_left − w_start‖, the distance travelled; NaN unless both lanes go on.

    A right lane is met in its own coordinates, a null twin has left's. Dividing by the norm of the weights instead would
    let an untrained network pass.
    """
    first, second = record.lanes[left], record.lanes[other]
    if not (first.alive and second.alive):
        return NAN
    place = first.shared if other.startswith("right") else first.after
    return relative(second.after.double() - place.double(), first.after.double() - record.starts[left].double())
