"""The linear system Σ_y h_y exp(−loss_y/τ) = 1 at many outputs, and the temperature at which it has a solution."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.seeding import generator

SOLVES = 1e-12
"""Misfit of the system, an absolute one of a sum of 1, that is rounding: CORAL with 3 to 12 labels leaves 1e-15 to 3e-13, and
with one of its steps weighted 1.0001 at least 5e-11."""
FAILS, FAILS_ABOVE = 1e-7, 1e-6
"""Least misfit at a temperature between its neighbours from which it is none that fits, and, per what exp(−loss/τ) varies by,
that of weights above 0 at any other; between these and SOLVES it is not decided. Where a temperature fits the one is ≤ 1e-12."""
VALLEY = 1e4
"""By how much the misfit must fall at the temperature that fits: where it is small all around, anything fits."""
ROUNDED = torch.finfo(torch.float64).eps
"""A sum of 1 is known to no less than this: a misfit of 0 is one of so much, and no depth beside another of 1e-13."""
FOLLOWS_TAU = 0.5
"""Share of the temperature that a loss must vary by at outputs laid out as many times farther: one that a squashed output
bounds does not, and out there is at its two ends alone, where almost any weights add up."""
LOG_TAUS = np.arange(-6.0, 6.01, 0.125)
"""Where log τ is looked for, in units of what the loss varies by; the misfit of a true one rises over a few of these steps."""
NARROWED = 75
"""Steps of golden section, 0.618 each, from two steps of that grid down to float64."""
RANK, TOLD_APART = 3e-16, 1e-8
"""Singular values of the system, columns scaled to 1, below this share say that h is not unique; between the two the labels'
exponentials are so nearly dependent that a loss beside a likelihood solves the system as well."""
DECADES = 6
"""A single output's labels are looked for from 10^−6 to 10^6 on both sides."""
NEAREST = 1e-3
"""Nearer than this labels change at 0 itself."""
BEYOND = 3.0
"""Outputs are laid out to this many times where the likeliest label last changes …"""
ORDINARY, AS_FAR = 4.0, 3.0
"""… and, if that is not within this factor of it, as far as ordinary training visits."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """The losses (F, K) at outputs (F,) or (F, m), and at one temperature the weights h (K,) and the misfit they leave."""

    output: Tensor
    value: Tensor
    tau: float
    log_h: Numbers
    sign: Numbers
    misfit: float
    null: Numbers
    apart: float

    def sums(self) -> Tensor:
        """Σ_y h_y exp(−loss_y/τ) (F,)."""
        return torch.from_numpy((np.exp(self.log_h - self.value.numpy() / self.tau) * self.sign).sum(1))


@dataclass(frozen=True)
class Search:
    """What was found over all temperatures: the best, the misfit a step away, and the least that weights above 0 leave at any."""

    best: System
    around: float
    least: float

    @property
    def fits(self) -> bool:
        """Whether the misfit falls deep at this temperature, and is not small all around it."""
        return self.around >= VALLEY * max(self.best.misfit, ROUNDED)


def reach_of(loss: Loss) -> float:
    """How far from 0 the likeliest label still changes, and a little beyond; several outputs are looked at as drawn."""
    if loss.space.outputs > 1:
        return ORDINARY
    far = torch.logspace(-DECADES, DECADES, 24 * DECADES + 1, dtype=torch.float64)
    line = torch.cat([-far.flip(0), far])
    value = loss.values(line, loss.space.inner_points)
    seen = torch.isfinite(value).all(1)
    changes = line[seen][1:][value[seen].argmin(1).diff() != 0].abs()
    furthest = float(changes.max()) * BEYOND if len(changes) else 0.0
    return furthest if furthest > NEAREST else ORDINARY


def outputs_of(loss: Loss, reach: float) -> Tensor:
    """Uneven outputs out to `reach`, and as far as training goes, enough for the system to contradict itself: (F,) or (F, m)."""
    count = 33 + 4 * len(loss.space.inner_points)
    noise = generator(5, "audit")
    if loss.space.outputs > 1:
        return reach / 2 * torch.randn(count, loss.space.outputs, generator=noise, dtype=torch.float64)
    line = torch.linspace(-1, 1, count, dtype=torch.float64)
    line = line + (torch.rand(count, generator=noise, dtype=torch.float64) - 0.5) / count
    line = (line + line**3) / 2  # denser about 0
    found = reach * line if reach <= AS_FAR * ORDINARY else torch.cat([reach * line, ORDINARY * line])
    return found[torch.isfinite(loss.values(found, loss.space.inner_points)).all(1)]


def best_of(loss: Loss, reach: float) -> Search:
    """The temperature whose system leaves the least misfit."""
    first, target = outputs_of(loss, reach), loss.space.inner_points
    value = loss.values(first, target)
    varies = _varies(value) or 1.0

    def system(log_tau: float) -> System:
        tau = math.exp(log_tau) * varies
        output = max(1.0, tau / varies) * first  # at a high temperature the loss must be seen to vary too
        there = loss.values(output, target) if tau > varies else value
        seen = tau <= varies or (bool(torch.isfinite(there).all()) and _varies(there) >= FOLLOWS_TAU * tau)
        return _solve(output, there, tau) if seen else _solve(first, value, tau)

    itself = -math.log(varies)  # τ = 1
    grid = sorted({*LOG_TAUS.tolist(), itself})
    systems = [system(one) for one in grid]
    misfits = [one.misfit for one in systems]
    best, around = systems[grid.index(itself)], misfits[max(grid.index(itself) - 1, 0)]
    if best.misfit <= SOLVES:
        return Search(best, around, best.misfit)
    found = [Search(best, around, 0.0)]
    for at in range(1, len(grid) - 1):
        if misfits[at] <= min(misfits[at - 1], misfits[at + 1]):
            found.append(
                Search(_narrowed(system, grid[at - 1], grid[at + 1]), min(misfits[at - 1], misfits[at + 1]), 0.0)
            )
    deep = min(found, key=lambda one: one.best.misfit / max(one.around, SOLVES))
    if deep.best.misfit < FAILS and deep.fits:
        return deep
    looked = [*systems, *(one.best for one in found)]
    return replace(deep, least=min(_above(one) * max(1.0, one.tau / varies) for one in looked))


def _varies(value: Tensor) -> float:
    """What losses (F, K) of the targets are apart by, in the median of the outputs."""
    return float((value.amax(1) - value.amin(1)).median())


def _above(found: System) -> float:
    """The least misfit, in the mean square, of weights that are not negative."""
    scaled = torch.exp(-(found.value - found.value.amin(0)) / found.tau).numpy()
    try:
        return float(scipy.optimize.nnls(scaled, np.ones(len(scaled)))[1]) / math.sqrt(len(scaled))
    except RuntimeError:  # it did not end: nothing is known
        return 0.0


def _narrowed(system: Callable[[float], System], low: float, high: float) -> System:
    """The least misfit between two temperatures, by golden section down to float64: it falls to 0 as |τ − τ₀|."""
    ratio = (math.sqrt(5) - 1) / 2
    one, two = high - ratio * (high - low), low + ratio * (high - low)
    at_one, at_two = system(one), system(two)
    for _ in range(NARROWED):
        if at_one.misfit < at_two.misfit:
            high, two, at_two = two, one, at_one
            one = high - ratio * (high - low)
            at_one = system(one)
        else:
            low, one, at_one = one, two, at_two
            two = low + ratio * (high - low)
            at_two = system(two)
    found = min(at_one, at_two, key=lambda each: each.misfit)
    short = float(f"{found.tau:.8g}")
    near = _solve(found.output, found.value, short)
    return near if abs(short - found.tau) <= 1e-8 * found.tau and near.misfit <= SOLVES else found


def _solve(output: Tensor, value: Tensor, tau: float) -> System:
    """h of least squares, columns scaled to 1 at their largest so that no weight is lost in rounding."""
    least = value.amin(0)
    scaled = torch.exp(-(value - least) / tau).numpy()
    left, sizes, right = np.linalg.svd(scaled, full_matrices=False)
    kept = sizes > RANK * sizes[0]
    h = right[kept].T @ ((left[:, kept].T @ np.ones(len(scaled))) / sizes[kept])
    misfit = float(np.abs(scaled @ h - 1).max())
    with np.errstate(divide="ignore"):
        log_h = np.log(np.abs(h)) + least.numpy() / tau
    return System(output, value, tau, log_h, np.sign(h), misfit, right[~kept], float(sizes[kept][-1] / sizes[0]))
