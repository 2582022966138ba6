"""Which probabilities make the expected gradient of a loss vanish at an output? Read off the gradients of finite targets."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.sound import MANY
from mlnn.seeding import generator

FLAT = 1e-9
INNER = 2.0
COUNT = 81
USED = 0.5
"""Share of the outputs that must imply probabilities in sight of one another, or the outputs are scaled until they do."""


@dataclass(frozen=True)
class Implied:
    """At outputs (F,) or (F, m): loss `value` (F, K), `gradient` (F, K, m), and `p` (F, K), NaN where none or many fit.

    `told`: the probabilities where they are known to be exp(−loss), without looking at gradients.
    """

    output: Tensor
    value: Tensor
    gradient: Tensor
    told: Tensor | None = None

    @cached_property
    def p(self) -> Tensor:
        return null_probabilities(self.gradient) if self.told is None else self.told

    @property
    def constant(self) -> float | None:
        """log Σ exp(−loss) if that is one number at all outputs, up to rounding; None if it is not."""
        sums = torch.logsumexp(-self.value, 1)
        return (
            float(sums[0]) if bool(((sums - sums[0]).abs() <= 1e-12 * (1 + self.value.abs().amax(1))).all()) else None
        )

    @property
    def defined(self) -> Tensor:
        return torch.isfinite(self.p).all(1)

    @property
    def valid(self) -> Tensor:
        return self.defined & (self.p > -FLAT).all(1) & (self.p < 1 + FLAT).all(1)

    @property
    def interior(self) -> Tensor:
        return self.valid & (self.p > FLAT).all(1)

    @property
    def plain(self) -> Tensor:
        """Where no probability is so small that it has lost digits by the time it is read off two gradients."""
        return self.valid & (self.p > 1e-4 * min(1.0, 3 / self.p.shape[1])).all(1)


def implied(loss: Loss, output: Tensor) -> Implied:
    """The probabilities that the gradients at these outputs imply."""
    value, gradient = loss.cross(output, loss.space.inner_points)
    return Implied(output, value, gradient)


def null_probabilities(gradient: Tensor) -> Tensor:
    """p (F, K) with Σ_k p_k G_k = 0 and Σ p_k = 1 for gradients (F, K, m); NaN where there is none, or more than one."""
    if gradient.shape[1:] == (2, 1):  # in closed form, so that small probabilities keep their digits
        zero, one = gradient[:, 0, 0], gradient[:, 1, 0]
        apart = zero - one
        defined = apart.abs() > 1e-14 * (zero.abs() + one.abs())
        return torch.where(defined[:, None], torch.stack([-one, zero], 1) / apart[:, None], torch.nan)
    count, classes, outputs = gradient.shape
    finite = torch.isfinite(gradient).all(2).all(1)
    gradient = torch.where(finite[:, None, None], gradient, 0.0)
    padded = torch.cat([gradient.mT, torch.zeros(count, max(0, classes - outputs), classes, dtype=torch.float64)], 1)
    _, sizes, right = torch.linalg.svd(padded)
    null = right[:, -1]
    unique = (sizes[:, classes - 1] <= 1e-10 * sizes[:, 0]) & (sizes[:, classes - 2] > 1e-10 * sizes[:, 0])
    total = null.sum(1, keepdim=True)
    return torch.where((unique & (total.squeeze(1).abs() > 1e-10))[:, None], null / total, torch.nan)


def telling_outputs(loss: Loss) -> Tensor:
    """Outputs (F,) or (F, K) at which the implied probabilities are neither all alike nor lost in rounding.

    ±2 (or N(0, 1)) where that does; else as far out, or as near, as the loss wants it: temperatures, offsets, many classes.
    """
    noise = generator(3, "audit")
    if loss.space.outputs > 1:
        few = 25 if loss.space.outputs <= MANY else 8
        count = COUNT if loss.space.outputs <= 20 else few  # null vectors of many classes take long
        drawn = torch.randn(count, loss.space.outputs, generator=noise, dtype=torch.float64)
        if loss.space.outputs > MANY or (loss.space.outputs > 20 and implied(loss, drawn).constant is not None):
            return drawn
        scales = (1.0, 0.3, 3.0, 0.1, 10.0, 0.03, 0.01, 1e2, 1e-3, 1e3, 1e4, 1e6)
        looks = [(scale, float(implied(loss, scale * drawn[:16]).plain.double().mean())) for scale in scales[:1]]
        if looks[0][1] < USED:
            looks += [(scale, float(implied(loss, scale * drawn[:16]).plain.double().mean())) for scale in scales[1:]]
        return drawn * max(looks, key=lambda look: look[1])[0]
    line = torch.linspace(-INNER, INNER, COUNT, dtype=torch.float64)
    line = line + 0.9 * (line[1] - line[0]) * (torch.rand(COUNT, generator=noise, dtype=torch.float64) - 0.5)
    here = implied(loss, line)
    if float(_in_sight(here).double().mean()) >= USED:
        return line
    far = torch.logspace(-6, 6, 145, dtype=torch.float64)
    wide = torch.cat([-far.flip(0), far])
    seen = wide[_in_sight(implied(loss, wide))]
    if len(seen) < 2:
        return line
    low, high = float(seen.min()), float(seen.max())
    return low + (high - low) * (line + INNER) / (2 * INNER)


def direction(output: Tensor) -> Tensor:
    """One direction for all outputs: 1, or away from the diagonal, along which softmax does not move."""
    if output.ndim == 1:
        return torch.ones_like(output)
    return torch.linspace(1, -0.6, output.shape[1], dtype=torch.float64).expand_as(output)


def _in_sight(at: Implied) -> Tensor:
    return at.valid & (at.p > 0.01).all(1)
