"""Which probabilities make the expected gradient of a loss vanish at an output? Read off the gradients of finite targets."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.sound import MANY
from mlnn.seeding import generator

FLAT = 1e-9
"""A probability that moves, or leaves [0, 1], by less than this does so by the rounding of two gradients."""
INNER = 2.0
"""Outputs within ±2 imply probabilities from 0.12 to 0.88 by σ: none is lost in rounding."""
COUNT = 81
"""Outputs looked at."""
COUNT_LARGE, COUNT_MANY = 25, 8
"""Outputs of more than LARGE, and of more than MANY classes: a null vector takes the cube of their number."""
LARGE = 20
"""Classes from which on fewer outputs are looked at."""
SCALED = 16
"""Outputs of several entries at which a scale is tried."""
SCALES = (0.3, 3.0, 0.1, 10.0, 0.03, 0.01, 1e2, 1e-3, 1e3, 1e4, 1e6)
"""Sizes of outputs tried after 1, the nearest first."""
DECADES = 6
"""Single outputs are looked for from 10^−6 to 10^6 on both sides, 12 to a decade."""
PLAIN = 1e-4
"""A probability above this keeps twelve digits when it is read off two gradients; with more than 3 classes, 3/K of it."""
IN_SIGHT = 0.01
"""Probabilities above this are in sight of one another."""
ONE_NUMBER = 1e-12
"""Share of the losses to which log Σ exp(−loss) is one number: thousands of roundoffs, as it is a sum of exponentials."""
CANCELLED = 1e-14
"""Share of two gradients below which their difference is rounding."""
RANK = 1e-10
"""Singular values, and sums of null vectors, below this share are 0: a decomposition loses some digits of float64's sixteen."""
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
            float(sums[0])
            if bool(((sums - sums[0]).abs() <= ONE_NUMBER * (1 + self.value.abs().amax(1))).all())
            else None
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
        return self.valid & (self.p > PLAIN * min(1.0, 3 / self.p.shape[1])).all(1)


def implied(loss: Loss, output: Tensor) -> Implied:
    """The probabilities that the gradients at these outputs imply."""
    value, gradient = loss.cross(output, loss.space.inner_points)
    return Implied(output, value, gradient)


def null_probabilities(gradient: Tensor) -> Tensor:
    """p (F, K) with Σ_k p_k G_k = 0 and Σ p_k = 1 for gradients (F, K, m); NaN where there is none, or more than one."""
    if gradient.shape[1:] == (2, 1):  # in closed form, so that small probabilities keep their digits
        zero, one = gradient[:, 0, 0], gradient[:, 1, 0]
        apart = zero - one
        defined = apart.abs() > CANCELLED * (zero.abs() + one.abs())
        return torch.where(defined[:, None], torch.stack([-one, zero], 1) / apart[:, None], torch.nan)
    count, classes, outputs = gradient.shape
    finite = torch.isfinite(gradient).all(2).all(1)
    gradient = torch.where(finite[:, None, None], gradient, 0.0)
    padded = torch.cat([gradient.mT, torch.zeros(count, max(0, classes - outputs), classes, dtype=torch.float64)], 1)
    _, sizes, right = torch.linalg.svd(padded)
    null = right[:, -1]
    unique = (sizes[:, classes - 1] <= RANK * sizes[:, 0]) & (sizes[:, classes - 2] > RANK * sizes[:, 0])
    total = null.sum(1, keepdim=True)
    return torch.where((unique & (total.squeeze(1).abs() > RANK))[:, None], null / total, torch.nan)


def telling_outputs(loss: Loss) -> Tensor:
    """Outputs (F,) or (F, K) at which the implied probabilities are neither all alike nor lost in rounding.

    ±2 (or N(0, 1)) where that does; else as far out, or as near, as the loss wants it: temperatures, offsets, many classes.
    """
    noise = generator(3, "audit")
    return _line(loss, noise) if loss.space.outputs == 1 else _cloud(loss, noise)


def _cloud(loss: Loss, noise: torch.Generator) -> Tensor:
    """Outputs (F, m) from N(0, 1), at the first scale, or else the best, at which the probabilities can be read."""
    outputs = loss.space.outputs
    count = COUNT if outputs <= LARGE else COUNT_LARGE if outputs <= MANY else COUNT_MANY
    drawn = torch.randn(count, outputs, generator=noise, dtype=torch.float64)
    if outputs > MANY or (outputs > LARGE and implied(loss, drawn).constant is not None):
        return drawn

    def seen(scale: float) -> float:
        return float(implied(loss, scale * drawn[:SCALED]).plain.double().mean())

    shares = {1.0: seen(1.0)}
    if shares[1.0] < USED:
        shares |= {scale: seen(scale) for scale in SCALES}
    return drawn * max(shares, key=lambda scale: shares[scale])


def _line(loss: Loss, noise: torch.Generator) -> Tensor:
    """Uneven outputs (F,) within ±INNER, or spread over the stretch on which the probabilities are in sight."""
    line = torch.linspace(-INNER, INNER, COUNT, dtype=torch.float64)
    line = line + 0.9 * (line[1] - line[0]) * (torch.rand(COUNT, generator=noise, dtype=torch.float64) - 0.5)
    if float(_in_sight(implied(loss, line)).double().mean()) >= USED:
        return line
    far = torch.logspace(-DECADES, DECADES, 24 * DECADES + 1, dtype=torch.float64)
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
    return at.valid & (at.p > IN_SIGHT).all(1)
