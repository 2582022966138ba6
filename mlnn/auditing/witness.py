"""Witnesses: outputs and targets at which two numbers disagree that would have to be one if the loss were an NLL.

All of finite targets; None wherever the numbers found agree to rounding, so that no "no" rests on nothing.
"""

import math

import torch
from torch import Tensor

from mlnn.auditing.finding import SMALLEST
from mlnn.auditing.implied import FLAT, Implied
from mlnn.auditing.record import Row, Witness, raw_output, row

DIFFERENT = 1e-6
"""Share by which two numbers must differ to be shown as different: far above what rounding leaves of them."""
SMALLER_RISK = 1e-9
"""Share of the largest loss by which an expected loss must be smaller: expectations are sums, without differences of logs."""
MOVED = 1e-5
"""Change of log p from which its quotient with a change of the loss keeps digits enough for a temperature."""
LIKE_IT = 20
"""Outputs for which others with the same probability are looked for."""


def flat_witness(at: Implied) -> Witness | None:
    """Two outputs that imply one and the same probability, and give a target different losses.

    −τ log p + c would be one number, whatever τ and c; so no temperature and no base measure make it an NLL.
    """
    seen = at.interior.nonzero().squeeze(1).tolist()
    best: tuple[float, int, int, int] | None = None
    for one in seen[:LIKE_IT]:
        same = [two for two in seen if float((at.p[one] - at.p[two]).abs().max()) <= FLAT]
        for target in range(at.value.shape[1]):
            values = at.value[same, target]
            size = float(values.max() - values.min())
            if best is None or size > best[0]:
                best = (size, same[int(values.argmax())], same[int(values.argmin())], target)
    if best is None or best[0] <= DIFFERENT * float(at.value.abs().max()):
        return None
    _, one, two, target = best
    return _pair(
        at,
        one,
        two,
        "both outputs imply the same probability of the target, so −τ·log p + c would be one number at both",
        target=target,
        probability=float(at.p[one, target]),
        loss=row(at.value[[one, two], target]),
    )


def temperature_witness(at: Implied, beside: Implied) -> Witness | None:
    """Two outputs at which the loss would be an NLL only for two different temperatures.

    d loss_k = −τ d log p_k, so τ = −Δloss_k / Δ log p_k between an output and its neighbour: one number for an NLL.
    """
    seen = at.plain & beside.plain
    moved = torch.log(beside.p.clamp_min(SMALLEST)) - torch.log(at.p.clamp_min(SMALLEST))
    tau = -(beside.value - at.value) / moved
    usable = seen[:, None] & torch.isfinite(tau) & (moved.abs() > MOVED)
    if not bool(usable.any()):
        return None
    tau = torch.where(usable, tau, torch.nan)
    high, low = tau.nan_to_num(-math.inf).amax(0), tau.nan_to_num(math.inf).amin(0)
    target = int(torch.where(torch.isfinite(high - low), high - low, -1).argmax())
    column = tau[:, target]
    one, two = int(column.nan_to_num(math.inf).argmin()), int(column.nan_to_num(-math.inf).argmax())
    found = row(column[[one, two]])
    if not abs(found[1] - found[0]) > DIFFERENT * max(map(abs, found)):
        return None
    return _pair(
        at,
        one,
        two,
        "a change of the output changes the loss as −τ·log p would for these two τ; an NLL has one",
        target=target,
        temperature=found,
        probability=row(at.p[[one, two], target]),
        loss=row(at.value[[one, two], target]),
    )


def risk_witness(at: Implied, far: Implied) -> Witness | None:
    """An output whose implied probabilities make another output's expected loss smaller than its own; `far`: more of those."""
    seen = at.interior.nonzero().squeeze(1)
    if not len(seen):
        return None
    others = torch.cat([at.value, far.value])
    risk = (at.p[seen] @ others.T).nan_to_num(math.inf)  # (S, F)
    own = risk.gather(1, seen[:, None]).squeeze(1)
    gain = own - risk.amin(1)
    worst = int(gain.argmax())
    if not float(gain[worst]) > SMALLER_RISK * float(at.value.abs().max()):
        return None
    one, two = int(seen[worst]), int(risk[worst].argmin())
    outputs = torch.cat([at.output, far.output])
    z = torch.exp(-others).sum(1)
    return Witness(
        outputs=(raw_output(outputs[one]), raw_output(outputs[two])),
        z=row(z[[one, two]]),
        probability=row(at.p[one]),
        expected=(float(own[worst]), float(risk[worst, two])),
        says="under the probabilities that make the first output stationary, the second has the smaller expected loss",
    )


def sums_witness(at: Implied) -> Witness | None:
    """Two outputs at which exp(−loss) adds up to different numbers."""
    z = torch.exp(-at.value).sum(1)
    low, high = int(z.argmin()), int(z.argmax())
    if not float(z[high] - z[low]) > DIFFERENT * float(z[high]):
        return None
    return _pair(at, low, high, "exp(−loss) adds up to two different numbers over the targets")


def _pair(
    at: Implied,
    one: int,
    two: int,
    says: str,
    *,
    target: int | None = None,
    probability: float | Row = (),
    temperature: Row = (),
    loss: Row = (),
) -> Witness:
    """A witness of two of the outputs, with their Z."""
    z: Tensor = torch.exp(-at.value).sum(1)
    return Witness(
        outputs=(raw_output(at.output[one]), raw_output(at.output[two])),
        z=row(z[[one, two]]),
        target=target,
        temperature=temperature,
        probability=probability,
        loss=loss,
        says=says,
    )
