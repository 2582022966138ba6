"""A loss of y − f alone (or of log y − f, logit y − f), up to something of y: loss = ρ(u − f) + a(u)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.targets import Coordinate


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

    def shift(self, u: Tensor) -> Tensor:
        """a(u) (n,), less a constant."""
        if self.drift is None:
            return self.loss.value(torch.zeros_like(u), self.along.target(u)) - self.rho(u)
        return self.drift * u
