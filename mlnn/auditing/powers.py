"""Tails that fall as a power of the coordinate, or as 1/v and a power of log v: what lies beyond any reach, in closed form.

A height g (−log of a density) that is p·log v + c₀ + c₁/v + … on many decades has ∫ e^−g finite if p > 1 and infinite if p < 1;
at p = 1 the same is asked of log v, in which the density is e^(−g)·v. Near the border either way it is not told.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NODES, TERMS = 48, 9
"""Places at which a tail is read, and the powers 1, a/v, (a/v)², … fitted beside p·log v."""
A_POWER = 1e-10
"""Largest misfit in nats of a tail that is that power: rounding leaves 1e-13 of heights of a few hundred."""
STAYS = 1e-9
"""Misfit allowed far beyond where it was fitted, per height there: a tail that changes out there is seen."""
SAME_POWER = 1e-8
"""How far the powers of the outer and the whole stretch may be apart."""
BORDER = 1e-6
"""Nearer to 1 than this a power is 1 to within what it is known to, and log v is asked."""
LOG_BORDER = 0.02
"""Nearer to 1 than this the power of log v is not told from 1: its stretch is two decades at most, not fifty."""
EXACT_LOG = 36.0
"""log v from which on what is added to v itself is below float64's roundoff."""
LAGUERRE = tuple(np.polynomial.laguerre.laggauss(32))
Height = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Stretch:
    """Where a tail is read: from `low` to `high`, and the places far beyond at which it must go on so. `whole`: at whole
    numbers, and the mass is a sum from `high` on."""

    low: float
    high: float
    beyond: tuple[float, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class PowerTail:
    """e^−g beyond `start` falls as v^−power; `mass`: ∫ beyond `start`; infinite where it has none. `of_log`: of log v."""

    power: float
    start: float
    mass: float
    of_log: float | None = None

    @property
    def sums(self) -> bool | None:
        """Whether it has a finite integral; None at the border."""
        if abs(self.power - 1) > BORDER:
            return self.power > 1
        if self.of_log is None or abs(self.of_log - 1) <= LOG_BORDER:
            return None
        return self.of_log > 1


def power_tail(height: Height, over: Stretch) -> PowerTail | None:
    """The tail of e^−height (v > 0, (P,) to (P,)); None where it is no such power, or does not go on so."""
    fitted = _fitted(height, over)
    if fitted is not None and abs(fitted[0] - 1) > BORDER:
        return PowerTail(fitted[0], over.high, fitted[1])
    power, farthest = fitted[0] if fitted else 1.0, max((over.high, *over.beyond))
    inner = Stretch(EXACT_LOG, np.log(farthest))
    of_log = _fitted(lambda u: height(torch.exp(u)) - u, inner) if inner.high > 2 * inner.low else None
    if of_log is not None:
        return PowerTail(power, farthest, of_log[1] if of_log[0] > 1 else np.inf, of_log[0])
    return PowerTail(power, over.high, np.inf) if fitted else None


def _fitted(height: Height, over: Stretch) -> tuple[float, float] | None:
    """The power, and the mass beyond the stretch; None where no power fits."""
    v = torch.logspace(np.log10(over.low), np.log10(over.high), NODES, dtype=torch.float64)
    v = v.round().unique() if over.whole else v
    g = height(v)
    if not bool(torch.isfinite(g).all()):
        return None
    at, seen = v.numpy(), g.numpy()
    whole, outer = (_least(at[k:], seen[k:], over.low) for k in (0, len(at) // 3))
    size = 1 + float(np.abs(seen).max())
    if whole[1] > A_POWER * size or abs(whole[0][0] - outer[0][0]) > SAME_POWER:
        return None
    beyond = np.array(over.beyond)
    if len(beyond):
        there = height(torch.from_numpy(beyond)).numpy()
        if not np.abs(there - _design(beyond, over.low) @ whole[0]).max() <= STAYS * (1 + np.abs(there).max()):
            return None
    return float(whole[0][0]), _mass(whole[0], over)


def _design(v: NDArray[np.float64], low: float) -> NDArray[np.float64]:
    return np.stack([np.log(v), *((low / v) ** k for k in range(TERMS))], 1)


def _least(v: NDArray[np.float64], g: NDArray[np.float64], low: float) -> tuple[NDArray[np.float64], float]:
    """Coefficients of least squares, and the largest misfit."""
    design = _design(v, low)
    found = np.asarray(np.linalg.lstsq(design, g, rcond=1e-15)[0], dtype=np.float64)
    return found, float(np.abs(design @ found - g).max())


def _mass(coefficients: NDArray[np.float64], over: Stretch) -> float:
    """∫ from `high` of v^−p e^(−c₀ − c₁ a/v − …) dv, by s = (p − 1) log(v/high): ∫ e^−s ds of what hardly moves."""
    rate = coefficients[0] - 1
    if not rate > 0:
        return float("inf")
    s, weight = LAGUERRE
    start = over.high - 0.5 * over.whole  # the midpoint rule, right to (p/N)² / 24
    v = start * np.exp(np.minimum(s / rate, 600.0))
    rest = _design(v, over.low)[:, 1:] @ coefficients[1:]
    return float(start ** (1 - coefficients[0]) / rate * (weight * np.exp(-rest)).sum())
