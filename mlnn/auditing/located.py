"""A loss of y − f alone (or of log y − f, logit y − f), up to something of y: loss = ρ(u − f) + a(u)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.targets import Coordinate

LOST = 2303.0
"""Nats between residuals of 6 and 60 from which a tail is no power (see `tails.EXPONENTIAL`): what lies beyond adds nothing, and
formulas overflow there."""


@dataclass(frozen=True)
class Located:
    """A loss of that form: `width` of ρ, `turns` if y is an angle, `drift` α where a(u) = αu (None: another a), `lowest` ρ."""

    loss: Loss
    along: Coordinate
    width: float
    turns: bool
    drift: float | None
    lowest: float = 0.0

    def rho(self, v: Tensor) -> Tensor:
        """ρ(v) (n,) less a constant: by moving the target, or where a(u) has another shape, the output."""
        zero = torch.zeros_like(v)
        if self.drift is None:
            return self.loss.value(-v, self.along.target(zero))
        return self.loss.value(zero, self.along.target(v)) - self.drift * v

    def told(self, v: Tensor, height: Tensor) -> Tensor:
        """ρ (n,) as it was computed at v (n,): ∞ where that was ∞ − ∞, on a side where it has long risen past LOST."""
        if self.loss.space.whole_line or self.along.tail is None or bool(torch.isfinite(height).all()):
            return height
        steep = torch.zeros_like(v, dtype=torch.bool)
        for side in (-1.0, 1.0):
            middle = side * torch.tensor(self.along.tail[:2], dtype=torch.float64)
            low, high = self.rho(middle).tolist()
            if math.isfinite(high) and high - low > LOST:
                steep |= side * v > side * float(middle[1])
        return torch.where(steep & ~torch.isfinite(height), math.inf, height)

    def shift(self, u: Tensor) -> Tensor:
        """a(u) (n,), less a constant."""
        if self.drift is None:
            return self.loss.value(torch.zeros_like(u), self.along.target(u)) - self.rho(u)
        return self.drift * u
