"""Distances between two lanes at a step. A gap of 0 means the same bits; NaN means that it could not be measured.

Weights and gradients are flat vectors (P,), as a `StepRecord` holds them; differences are taken in float64, which holds every
smaller float exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mlnn.training import Common

NAN = float("nan")
EXPONENTS = {
    torch.float64: (torch.int64, 0x7FF0000000000000),
    torch.float32: (torch.int32, 0x7F800000),
    torch.float16: (torch.int16, 0x7C00),
    torch.bfloat16: (torch.int16, 0x7F80),
}
"""Per float, the whole numbers of its width, and the bits of its exponent: alone they are the power of two at or below it."""


def ratio(size: float, scale: float) -> float:
    """size / scale; 0 where nothing differs, infinite where only the reference is zero."""
    if size == 0.0:
        return 0.0
    return size / scale if scale else (math.inf if size == size else NAN)


def relative(difference: Tensor, reference: Tensor) -> float:
    """‖difference‖ / ‖reference‖ (Euclidean); 0 where nothing differs, infinite where only the reference is zero."""
    return ratio(float(difference.norm()), float(reference.norm()))


def apart(place: Tensor, others: Sequence[Tensor]) -> Tensor:
    """‖other − place‖ (R,) of R vectors of one precision, in float64."""
    norms: Tensor = torch.linalg.vector_norm(torch.stack(list(others)) - place.double(), dim=1)
    return norms


def alike(norm: float, first: Tensor, second: Tensor) -> bool:
    """Whether two vectors with a distance are the same bits. In float64 alone a difference may be too small to be squared."""
    return norm == 0.0 and (first.dtype != torch.float64 or torch.equal(first, second))


def steps_between(first: Tensor, second: Tensor) -> Tensor:
    """The largest difference () over the power of two at or below the first lane's weight: `ulps` times the unit roundoff."""
    whole, exponent = EXPONENTS[first.dtype]
    powers = (first.view(whole) & exponent).view(first.dtype).clamp_min(torch.finfo(first.dtype).smallest_normal)
    largest: Tensor = torch.linalg.vector_norm((first.double() - second.double()) / powers, torch.inf)
    return largest


def ulps(first: Tensor, second: Tensor) -> float:
    """Largest difference in units in the last place of the first lane's weights, in its own dtype."""
    return float(steps_between(first, second)) / torch.finfo(first.dtype).eps


@dataclass(frozen=True, eq=False)
class CommonGap:
    """Right against left at left's weights, on one batch, in one precision.

    `gradient`: ‖g_right − g_left‖ / ‖g_left‖; `apart`, `size`: its two parts. `left`, `right`: the two losses (nats per row for
    a mean of a negative log-likelihood); `finite`: whether (left, right) are finite in loss and gradient.
    """

    left: float
    right: float
    gradient: float
    apart: float
    size: float
    finite: tuple[bool, bool]
    left_gradient: Tensor
    right_gradient: Tensor

    @cached_property
    def factor(self) -> float:
        """The c that makes c·g_left nearest g_right."""
        left, right = self.left_gradient.double(), self.right_gradient.double()
        square = float(left @ left)
        return float(left @ right) / square if square else NAN

    @property
    def idle(self) -> bool:
        """Whether left's gradient is exactly 0."""
        return self.size == 0.0 and not bool(self.left_gradient.any())

    def of_loss(self, factor: float) -> float:
        """The factor of the losses where gradients have `factor`: the same, or 1, where a clip has scaled the gradient alone."""
        return 1.0 if abs(self.right - self.left) <= abs(self.right - factor * self.left) else factor

    def residual(self, factor: float) -> float:
        """‖g_right − factor·g_left‖, in the units of the gradient."""
        if factor == 1.0:
            return self.apart
        return float((self.right_gradient.double() - factor * self.left_gradient.double()).norm())


def common_gap(common: Common) -> CommonGap:
    """Compare left's answer with that of right's recipe at the same weights."""
    return gap_between(common.left.loss, common.right.loss, common.gradient.double(), common.right.gradient.double())


def gap_between(one: float, two: float, left: Tensor, right: Tensor) -> CommonGap:
    """The gap between two values with their gradients, flat in float64."""
    size, difference = float(left.norm()), float((right - left).norm())
    finite = tuple(
        math.isfinite(value) and bool(torch.isfinite(slope).all()) for value, slope in ((one, left), (two, right))
    )
    return CommonGap(one, two, ratio(difference, size), difference, size, (finite[0], finite[1]), left, right)
