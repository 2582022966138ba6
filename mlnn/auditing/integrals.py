"""Z(f) = ∫ exp(−loss(f, y)/τ) h(y) dy, or the sum over counts, for several outputs at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import cubature
from torch import Tensor

from mlnn.auditing.ask import Loss

MOST_COUNTS = 8192
HIGHEST_LOGIT = 20.0
"""Targets in (0, 1) are integrated over their logit: beyond 20 float64 has too few digits left for 1−y."""
OVERFLOW = 600.0
"""Where a coordinate is beyond this, e^v may overflow and inf − inf be NaN: the density there is taken as 0."""
Base = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Coordinate:
    """A number v on the whole line for each target of a space: `target(v)`, and log |dy/dv|; `low`, `high`: how far."""

    target: Callable[[Tensor], Tensor]
    log_slope: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    low: float = -np.inf
    high: float = np.inf
    digits: float = 1e-12


def _logit_slope(v: Tensor) -> Tensor:
    return torch.nn.functional.logsigmoid(v) + torch.nn.functional.logsigmoid(-v)


COORDINATES = {
    "real": Coordinate(lambda v: v, torch.zeros_like, lambda y: y),
    "positive": Coordinate(torch.exp, lambda v: v, torch.log),
    "unit": Coordinate(torch.sigmoid, _logit_slope, torch.logit, -HIGHEST_LOGIT, HIGHEST_LOGIT, 1e-9),
}


def integral(
    log_density: Callable[[Tensor], Tensor], low: float = -np.inf, high: float = np.inf, digits: float = 1e-12
) -> tuple[Tensor, float]:
    """∫ exp(log_density(v)) dv, (F,), and the largest error estimated; log_density: (P,) to (P, F). `digits`: relative.

    Adaptive Gauss–Kronrod, so kinks are found. An infinite error where it does not settle, or a density is NaN in reach.
    """
    lost = False

    def density(points: np.ndarray) -> np.ndarray:
        nonlocal lost
        v = torch.from_numpy(points[:, 0].copy())
        found = torch.exp(log_density(v))
        unknown = torch.isnan(found)
        lost |= bool((unknown & (v.abs() < OVERFLOW)[:, None]).any())
        return torch.where(unknown, 0.0, found).numpy()

    with np.errstate(all="ignore"):
        done = cubature(density, [low], [high], rule="gk21", rtol=digits, atol=digits / 10, points=[[0.0]],
                        max_subdivisions=250)  # fmt: skip
    value, error = torch.from_numpy(np.asarray(done.estimate)), float(np.max(done.error))
    settled = done.status == "converged" or error <= 1e-9 * float(np.max(np.abs(done.estimate)))
    return value, error if settled and not lost and bool(torch.isfinite(value).all()) else float("inf")


def partition(loss: Loss, output: Tensor, tau: float = 1.0, log_base: Base | None = None) -> tuple[Tensor, float]:
    """Z (F,) at outputs (F,) or (F, m), h = 1 unless given, and the error of the worst; infinite where it does not settle."""
    if loss.space.kind == "counts":
        return _sum(loss, output, tau, log_base)
    along = COORDINATES[loss.space.kind]
    middle, width = _bulk(loss, output, along)

    def log_density(points: Tensor) -> Tensor:
        v = middle + width * points[:, None]  # (P, F): every output in units of its own bulk
        y = along.target(v).T.reshape(-1)
        value = loss.value(output.repeat_interleave(len(points), 0), y).reshape(len(output), -1).T
        weight = 0.0 if log_base is None else log_base(y).reshape(len(output), -1).T
        return weight - value / tau + along.log_slope(v) + width.log()

    low, high = (float(((end - middle) / width).max() if end < 0 else ((end - middle) / width).min())
                 for end in (along.low, along.high))  # fmt: skip
    value, error = integral(log_density, low, high, along.digits)
    if loss.space.kind == "unit":
        value = value + _ends(log_density, low, high)
    return value, error


def _ends(log_density: Callable[[Tensor], Tensor], low: float, high: float) -> Tensor:
    """What lies beyond both ends where the density falls off as e^(−rate·|v|), which it does near 0 and 1."""
    beyond = torch.zeros(())
    for end, inner in ((low, low + 0.1), (high, high - 0.1)):
        far, near = log_density(torch.tensor([end, inner], dtype=torch.float64))
        beyond = beyond + torch.exp(far) / ((near - far) / abs(end - inner))
    return beyond


def _bulk(loss: Loss, output: Tensor, along: Coordinate) -> tuple[Tensor, Tensor]:
    """Where exp(−loss) is largest over v, and how wide it is there: (F,) and (F,)."""
    v = torch.linspace(max(along.low, -60.0), min(along.high, 60.0), 1201, dtype=torch.float64)
    height = -loss.values(output, along.target(v)) + along.log_slope(v)
    height = height.nan_to_num(-1e300, -1e300, -1e300)
    top = height.amax(1, keepdim=True)
    inside = (height > top - 1).double().sum(1) * float(v[1] - v[0])
    return v[height.argmax(1)], inside.clamp(0.1, 10.0)


def _sum(loss: Loss, output: Tensor, tau: float, log_base: Base | None) -> tuple[Tensor, float]:
    """Sums over 0 … N, N doubled until nothing more comes in."""
    count, before = 2048, None  # a second mode far out is not to be missed
    while count <= MOST_COUNTS:
        target = torch.arange(count, dtype=torch.float64)
        weight = 0.0 if log_base is None else log_base(target)
        terms = torch.exp(weight - loss.values(output, target) / tau)
        now = terms.sum(1)
        if bool(torch.isnan(now).any()):
            break
        if before is not None and bool(((now - before).abs() <= 1e-14 * now).all()):
            return now, 1e-14
        count, before = 2 * count, now
    return torch.full((len(output),), torch.nan, dtype=torch.float64), float("inf")


def spread(z: Tensor) -> float:
    """How far Z (F,) is from constant: largest relative distance from its median; infinite unless finite and positive."""
    if not bool((torch.isfinite(z) & (z > 0)).all()):
        return float("inf")
    return float((z / z.median() - 1).abs().max())
