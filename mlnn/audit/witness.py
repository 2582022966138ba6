"""Witnesses: outputs and targets at which two numbers disagree that would have to be one if the loss were an NLL."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mlnn.audit.finite import Implied


def flat_witness(at: "Implied") -> dict[str, Any] | None:
    """Two outputs that imply one and the same probability, and give a target different losses.

    −τ log p + c would be one number, whatever τ and c; so no temperature and no base measure make it an NLL.
    """
    seen = at.interior.nonzero().squeeze(1).tolist()
    best: tuple[float, int, int, int] | None = None
    for one in seen[:20]:
        same = [two for two in seen if float((at.p[one] - at.p[two]).abs().max()) <= 1e-9]
        for target in range(at.value.shape[1]):
            values = at.value[same, target]
            size = float(values.max() - values.min())
            if best is None or size > best[0]:
                best = (size, same[int(values.argmax())], same[int(values.argmin())], target)
    if best is None or best[0] <= 1e-9:
        return None
    _, one, two, target = best
    return {
        "outputs": [at.output[one].tolist(), at.output[two].tolist()],
        "target": target,
        "probability": float(at.p[one, target]),
        "loss": [float(at.value[one, target]), float(at.value[two, target])],
        "z": [float(torch.exp(-at.value[row]).sum()) for row in (one, two)],
        "says": "both outputs imply the same probability of the target, so −τ·log p + c would be one number at both",
    }


def temperature_witness(at: "Implied", beside: "Implied", apart: float) -> dict[str, Any] | None:
    """Two outputs at which the loss would be an NLL only for two different temperatures.

    d loss_k = −τ d log p_k, so τ = −Δloss_k / Δ log p_k between an output and its neighbour: one number for an NLL.
    """
    seen = at.interior & beside.interior
    moved = torch.log(beside.p.clamp_min(1e-300)) - torch.log(at.p.clamp_min(1e-300))
    tau = -(beside.value - at.value) / moved
    usable = seen[:, None] & torch.isfinite(tau) & (moved.abs() > 0.1 * apart)
    tau = torch.where(usable, tau, torch.nan)
    if not bool(usable.any()):
        return None
    spread = _range(tau)
    target = int(spread.argmax())
    column = tau[:, target]
    one, two = int(column.nan_to_num(math.inf).argmin()), int(column.nan_to_num(-math.inf).argmax())
    return {
        "outputs": [at.output[one].tolist(), at.output[two].tolist()],
        "target": target,
        "temperature": [float(column[one]), float(column[two])],
        "probability": [float(at.p[one, target]), float(at.p[two, target])],
        "loss": [float(at.value[one, target]), float(at.value[two, target])],
        "z": [float(torch.exp(-at.value[row]).sum()) for row in (one, two)],
        "says": "a change of the output changes the loss as −τ·log p would for these two τ; an NLL has one",
    }


def _range(tau: Tensor) -> Tensor:
    """Largest less smallest τ per target (K,), NaN left out; −1 where a target has none."""
    high = tau.nan_to_num(-math.inf).amax(0)
    low = tau.nan_to_num(math.inf).amin(0)
    return torch.where(torch.isfinite(high) & torch.isfinite(low), high - low, -1.0)
