"""How fast the difference of two curves grows: a doubling time, fitted over a stretch that is said, with its uncertainty."""

import math
from dataclasses import dataclass

import numpy as np

LEAST, BINS = 6, 24
"""Points of a stretch that are fitted at least, and into how many bins it is put at most."""
FULL = 0.1
"""The stretch ends where the difference first comes to this share of its largest: beyond, it has no room to grow."""


@dataclass(frozen=True)
class Growth:
    """Steps in which the difference doubles, with the ends of its 95 % interval (`slowest` may be inf), fitted over the places
    `first` to `last`. `grows`: whether the interval leaves no doubt that it grows at all; `points`: bins that were fitted."""

    doubling: float
    quickest: float
    slowest: float
    first: float
    last: float
    points: int
    grows: bool


def growth(place: np.ndarray, gap: np.ndarray) -> Growth | str:
    """The growth of a gap (n,), in the order of `place` (n,); or why none can be told, in words."""
    known = np.isfinite(gap)
    place, gap = place[known], gap[known]
    if not (gap > 0).any():
        return "there is no difference that could grow"
    begin = int(np.argmax(gap > 0))
    end = begin + int(np.argmax(gap[begin:] >= FULL * gap.max())) + 1
    if end - begin < LEAST:
        return f"it is as large as it gets within {end - begin} point{'s' if end > begin + 1 else ''} of its first"
    x, y = _binned(place[begin:end].astype(float), gap[begin:end])
    if len(x) < LEAST:
        return f"of the points up to its full size only {len(x)} differ"
    slope, error = _fit(x, y)
    grows = slope - error > 0
    return Growth(
        1 / slope if slope > 0 else math.inf,
        1 / (slope + error) if slope + error > 0 else math.inf,
        1 / (slope - error) if grows else math.inf,
        float(place[begin]), float(place[end - 1]), len(x), grows,
    )  # fmt: skip


def _binned(place: np.ndarray, gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean place, log₂ of the root mean square gap) of stretches of equally many points that have a gap."""
    pieces = np.array_split(np.arange(len(gap)), min(BINS, max(LEAST, len(gap) // 2)))
    size = np.array([np.sqrt(np.mean(np.square(gap[piece]))) for piece in pieces])
    middle = np.array([place[piece].mean() for piece in pieces])
    return middle[size > 0], np.log2(size[size > 0])


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(slope of a straight line through the points (n,), half of its 95 % interval)."""
    from scipy.stats import t

    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    rest = y - y.mean() - slope * away
    spread = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(away @ away))
    return slope, float(t.ppf(0.975, len(x) - 2)) * spread
