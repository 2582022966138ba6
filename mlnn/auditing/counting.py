"""Sums over counts that go on long: in blocks read at a few whole numbers each, and a tail that is a power in closed form.

A block is summed by the polynomial through its terms at rounded Chebyshev points; where its halves disagree it is halved.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlnn.auditing.powers import Stretch, power_tail

POINTS = 24
"""Counts at which a block is read."""
DIRECT = 96
"""A block no longer than this is added up term by term."""
AGREE = 1e-14
"""Share of the whole sum by which a block and its halves may be apart."""
STEPS = 3000
"""Steps by which all counts to LAST are gone over first, so that no peak between a block's few is missed: 0.2 % of a count."""
ROUGHLY = 0.5
"""Share by which those steps, and a block they lie in, may disagree before the block is halved."""
FEWEST = 4
"""Steps in a block that say something of it."""
LAST = 2**20
"""Where the blocks end: a peak as narrow as a Poisson's there is still seen by the steps, and log Γ known to eight digits."""
MOST_BLOCKS = 4000
"""Blocks, after which a sum that is still not smooth has not settled."""
TAIL = (64.0, 2.0**17)
"""Counts over which a tail is read as a power; log Γ is still known to 1e-10 at the end of it."""
POWER_KNOWN = 1e-9
"""To what a power is known that is read off rounded counts."""
NOTHING = 1e-17
"""Share of the whole sum that a last block may add for the rest to be nothing."""
Terms = Callable[[Tensor], Tensor]


def far_sum(log_terms: Terms, start: int, so_far: Tensor) -> tuple[Tensor, Tensor]:
    """Σ exp(log_terms(y)) over y ≥ start and its error, (F,) each; log_terms: counts (P,) to (F, P).

    `so_far` (F,): what comes before. The error is infinite where the sum does not settle; terms that still rise where
    the blocks end are not added up.
    """
    ends = log_terms(torch.tensor([LAST // 2, LAST], dtype=torch.float64))
    falls = (ends[:, 1] < ends[:, 0]) | (ends[:, 0] == -torch.inf)
    total, error = torch.zeros_like(so_far), torch.full_like(so_far, torch.inf)
    if bool(falls.any()):
        total[falls], error[falls] = _falling(lambda y: log_terms(y)[falls], start, so_far[falls])
    return total, error


def _falling(log_terms: Terms, start: int, so_far: Tensor) -> tuple[Tensor, Tensor]:
    """The same of terms that fall."""
    total, ok = torch.zeros_like(so_far), torch.ones_like(so_far, dtype=torch.bool)
    steps = _steps(log_terms, start)
    low, tails, budget = start, None, MOST_BLOCKS
    over = torch.zeros_like(ok)
    while low < LAST:
        block, fine, budget = _block(log_terms, low, 2 * low, so_far + total, budget, steps)
        total, ok, low = total + block, ok & fine, 2 * low
        size = so_far + total
        over = (block <= NOTHING * size) & (steps.between(low, LAST) <= NOTHING * size) & (size > 0)
        if tails is None and low >= TAIL[1]:
            tails = [_tail(log_terms, row, low) for row in range(len(so_far)) if not bool(over[row])]
            if all(tails):
                return _closed(total, so_far, over, ok, tails)
        if bool(over.all()):
            break
    return total, torch.where(ok & over, AGREE * (so_far + total), torch.inf)


@dataclass(frozen=True)
class Steps:
    """Counts (S,) far apart, and the terms there times the distance to the next (F, S)."""

    count: Tensor
    mass: Tensor

    def between(self, low: int, high: int) -> Tensor:
        """Roughly the sum over low ≤ y < high (F,)."""
        return self.mass[:, (self.count >= low) & (self.count < high)].sum(1)

    def within(self, low: int, high: int) -> int:
        return int(((self.count >= low) & (self.count < high)).sum())


def _steps(log_terms: Terms, start: int) -> Steps:
    count = torch.logspace(math.log10(start), math.log10(LAST), STEPS + 1, dtype=torch.float64).round()
    return Steps(count[:-1], torch.exp(log_terms(count[:-1])).nan_to_num(0.0, 0.0, 0.0) * count.diff())


def _closed(
    total: Tensor, so_far: Tensor, over: Tensor, ok: Tensor, tails: list[tuple[float, float] | None]
) -> tuple[Tensor, Tensor]:
    """With the tails (mass, error), of the outputs that are not over yet."""
    error = torch.where(ok, AGREE * (so_far + total), torch.inf)
    for row, tail in zip((~over).nonzero().squeeze(1).tolist(), tails, strict=True):
        mass, off = tail or (math.inf, math.inf)
        total[row] += mass
        error[row] += off
    return total, error


def _tail(log_terms: Terms, row: int, start: int) -> tuple[float, float] | None:
    """What lies from `start` on, and its error, where the terms fall as a power."""
    found = power_tail(lambda y: -log_terms(y)[row], Stretch(TAIL[0], float(start), whole=True))
    if found is None or not found.sums:
        return None
    return found.mass, found.mass * POWER_KNOWN * (math.log(start) + 1 / (found.power - 1))


def _block(
    log_terms: Terms, low: int, high: int, size: Tensor, budget: int, steps: Steps
) -> tuple[Tensor, Tensor, int]:
    """Σ over low ≤ y < high (F,), whether it settled (F,), and the blocks left."""
    total, fine = torch.zeros_like(size), torch.ones_like(size, dtype=torch.bool)
    open_ = [(low, high, _sums(log_terms, [(low, high)])[0])]
    while open_:
        halves = [half for a, b, _ in open_ for half in ((a, (a + b) // 2), ((a + b) // 2, b))]
        budget -= len(halves)
        if budget < 0:
            return total + sum(whole for _, _, whole in open_), torch.zeros_like(fine), 0
        sums = _sums(log_terms, halves)
        further = []
        for k, (_, _, whole) in enumerate(open_):
            one, two = sums[2 * k], sums[2 * k + 1]
            size = torch.maximum(size, one + two)
            ends = halves[2 * k][0], halves[2 * k + 1][1]
            agree = bool(((one + two - whole).abs() <= AGREE * size).all()) and _seen(one + two, size, steps, *ends)
            if agree or ends[1] - ends[0] <= DIRECT:
                total = total + one + two
            else:
                further += [(*halves[2 * k], one), (*halves[2 * k + 1], two)]
        open_ = further
    return total, fine & torch.isfinite(total), budget


def _seen(block: Tensor, size: Tensor, steps: Steps, low: int, high: int) -> bool:
    """Whether a block's sum is, roughly, what the steps through it say."""
    if steps.within(low, high) < FEWEST:
        return True
    rough = steps.between(low, high)
    return bool(((block - rough).abs() <= ROUGHLY * torch.maximum(block, rough) + AGREE * size).all())


def _sums(log_terms: Terms, blocks: list[tuple[int, int]]) -> list[Tensor]:
    """Σ over each block (F,), all asked at once."""
    places = [_places(low, high) for low, high in blocks]
    terms = torch.exp(log_terms(torch.from_numpy(np.concatenate([y for y, _ in places])).double()))
    parts = terms.split([len(y) for y, _ in places], dim=1)
    return [part @ torch.from_numpy(weights) for part, (_, weights) in zip(parts, places, strict=True)]


def _places(low: int, high: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts of a block and what each weighs in its sum."""
    length = high - low
    if length <= DIRECT:
        return np.arange(low, high, dtype=np.float64), np.ones(length)
    cosine = np.cos(math.pi * (np.arange(POINTS) + 0.5) / POINTS)
    y = np.rint(low + (length - 1) * (1 - cosine) / 2)
    x = (2 * (y - low) + 1) / length - 1
    chebyshev = np.cos(np.arange(POINTS)[:, None] * np.arccos(np.clip(x, -1, 1)))
    return y, np.asarray(np.linalg.solve(chebyshev, _moments(length)), dtype=np.float64)


def _moments(length: int) -> NDArray[np.float64]:
    """Σ T_k over `length` evenly spaced points of [−1, 1], by the midpoint rule's Euler–Maclaurin formula."""
    k, step = np.arange(POINTS, dtype=np.float64), 2 / length
    even = k % 2 == 0
    square = k * k
    slope = square  # T_k′(1), and the higher odd derivatives there
    third = square * (square - 1) * (square - 4) / 15
    fifth = third * (square - 9) * (square - 16) / 63
    whole = np.where(even, 2 / (1 - square + (square == 1)), 0.0)
    ends = -(step**2) / 24 * 2 * slope + 7 * step**4 / 5760 * 2 * third - 31 * step**6 / 967680 * 2 * fifth
    found: NDArray[np.float64] = length / 2 * (whole + np.where(even, ends, 0.0))
    return found
