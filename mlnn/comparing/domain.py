"""The domain: the interval of raw outputs around 0 on which two objectives agree, its ends found by bisection."""

import hashlib
import math
from collections.abc import Callable

import torch
from torch import Tensor

from mlnn.comparing.differences import ALONE, DOUBLE, Ask, Both, lower, see_elsewhere
from mlnn.objectives import Objective
from mlnn.objectives.grid import Curves, Grid, curves

Interval = tuple[float, float]
ALL: Interval = (-math.inf, math.inf)
HALVINGS = 12
Agrees = Callable[[Tensor, int], bool]


def remembered() -> Ask:
    """`curves`, each grid asked once: one domain after another halves the same intervals, all targets being asked at a point."""
    known: dict[tuple[int, bytes, torch.dtype], Curves] = {}

    def ask(side: Objective, grid: Grid, dtype: torch.dtype) -> Curves:
        at = id(side), hashlib.blake2b(grid.output.numpy().tobytes()).digest(), dtype  # outputs may be megabytes
        if at not in known:
            known[at] = curves(side, grid, dtype)
        return known[at]

    return ask


def find_domain(
    both: Both, left: Objective, right: Objective, dtype: torch.dtype, ask: Ask = curves
) -> dict[float, Interval]:
    """Per target, the interval on which the two agree in a dtype. With K outputs it is one of the largest entry, ±radius.

    ask: as `curves` does; of one pair and one grid's targets, if it remembers.
    """
    grid, agree = both.grid, both.agreement(dtype)
    if bool(agree.all()):
        return dict.fromkeys(grid.labels, ALL)
    agrees = _pointwise(both, left, right, dtype, ask)
    domain = {
        target: (_end(grid, agree[:, column], column, -1, agrees), _end(grid, agree[:, column], column, 1, agrees))
        for column, target in enumerate(grid.labels)
    }
    if grid.output.ndim > 1:
        radius = min(min(-low, high) for low, high in domain.values())
        domain = dict.fromkeys(domain, (-radius, radius))
    return domain


def meet(domain: dict[float, Interval]) -> Interval:
    """The interval on which they agree for every target."""
    return max(low for low, _ in domain.values()), min(high for _, high in domain.values())


def is_wide(domain: dict[float, Interval]) -> bool:
    """Whether there is a domain to speak of; objectives that part already on [−1, 1] have none."""
    low, high = meet(domain)
    return min(-low, high) >= 1


def judged_rows(grid: Grid, domain: dict[float, Interval]) -> Tensor:
    """Mask (G, 1) of the outputs that are judged: the domain, or the moderate ones where there is none to speak of."""
    low, high = meet(domain)
    mask = (grid.strength >= low) & (grid.strength <= high) if is_wide(domain) else grid.moderate
    return mask[:, None]


def _end(grid: Grid, agree: Tensor, column: int, sign: float, agrees: Agrees) -> float:
    """How far from 0 towards `sign` the two agree for a target: infinitely far, or up to a point between two grid points."""
    side, size = sign * grid.strength >= 0, grid.strength.abs()
    bad = size[side & ~agree]
    if not len(bad):
        return sign * math.inf
    first = float(bad.min())
    place = int((side & ~agree & (size == first)).nonzero()[0, 0])
    good = size[side & agree & (size < first) & (grid.ray == grid.ray[place])]
    if not len(good) and first == float(size.min()):
        return 0.0
    low, high = float(good.max()) if len(good) else 0.0, first
    direction = grid.output[place] / first
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if agrees(direction * middle, column) else (low, middle)
    return sign * low


def _pointwise(both: Both, left: Objective, right: Objective, dtype: torch.dtype, ask: Ask) -> Agrees:
    """Whether the two agree at one raw output and target column, seen with its neighbours and against all targets there."""
    precisions = {dtype, DOUBLE, lower(dtype)} | ({ALONE} if both.nulls is not None else set())

    def agrees(output: Tensor, column: int) -> bool:
        around = torch.stack([output * (1 - 1e-3), output, output * (1 + 1e-3)])
        points = Grid(both.grid.strength[:3], around, both.grid.target, both.grid.ray[:3])
        return bool(see_elsewhere(both, left, right, points, precisions, ask).agreement(dtype)[1, column])

    return agrees
