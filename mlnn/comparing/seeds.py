"""Many seeds of one comparison as one result: medians, ranges, the worst relation, and an equivalence test of the end.

A chaotic pair cannot be judged by where its weights end; whether the losses end at the same level can be, by two one-sided
t tests against a stated margin. "No significant difference" would reward having too few seeds; this punishes it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy

from mlnn.comparing.relations import weakest

LEVEL = 0.05


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of the mean difference right − left of the final loss, paired by seed.

    `margin`: nats per row within which the two count as equivalent; `interval`: 90 % confidence interval of the mean
    difference; `p`: the larger of the two one-sided p values; `equivalent`: p < 0.05.
    """

    margin: float
    difference: float
    interval: tuple[float, float]
    p: float
    equivalent: bool
    sentence: str


@dataclass(frozen=True)
class Seeds:
    """One result over seeds. `gaps`: per gap (median, least, largest)."""

    count: int
    relation: str
    relations: dict[str, int]
    gaps: dict[str, tuple[float, float, float]]
    equivalence: Equivalence | None
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `verdict.json`."""
        return asdict(self)


def summarise(
    relations: Sequence[str],
    gaps: Mapping[str, Sequence[float]],
    left: Sequence[float],
    right: Sequence[float],
    margin: float = 0.05,
) -> Seeds:
    """Join the verdicts of several seeds. left, right: final losses, one per seed; margin: as a share of left's mean."""
    worst = weakest(*relations)
    counts = {name: list(relations).count(name) for name in dict.fromkeys(relations)}
    spread = {name: (float(np.median(v)), float(np.min(v)), float(np.max(v))) for name, v in gaps.items()}
    test = equivalence(left, right, margin) if len(left) > 1 else None
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    tail = f" {test.sentence}" if test else ""
    return Seeds(len(relations), worst, counts, spread, test, f"Over {len(relations)} seeds: {told}.{tail}")


def equivalence(
    left: Sequence[float], right: Sequence[float], margin: float = 0.05, unit: str = " nats per row"
) -> Equivalence:
    """Two one-sided paired t tests; a non-finite loss is never equivalent. unit: what a loss is counted in, for the sentence."""
    with np.errstate(over="ignore", invalid="ignore"):  # ∞ − ∞, and what is too large to be added, are no ends
        gaps = np.asarray(right, dtype=float) - np.asarray(left, dtype=float)
        bound = margin * abs(float(np.mean(left)))
    if not np.isfinite(gaps).all() or not math.isfinite(bound):
        sentence = "Final losses are not all finite, so they are not equivalent."
        return Equivalence(bound, math.nan, (math.nan, math.nan), 1.0, False, sentence)
    middle, error = float(gaps.mean()), float(gaps.std(ddof=1) / math.sqrt(len(gaps)))
    freedom = len(gaps) - 1
    if error == 0.0:
        p, reach = (0.0 if abs(middle) < bound else 1.0), 0.0
    else:
        p = float(
            max(
                scipy.stats.t.sf((middle + bound) / error, freedom),
                scipy.stats.t.cdf((middle - bound) / error, freedom),
            )
        )
        reach = float(scipy.stats.t.ppf(1 - LEVEL, freedom)) * error
    word = "are equivalent" if p < LEVEL else "are not shown to be equivalent"
    sentence = f"Final losses {word} within ±{bound:.2g}{unit} (mean difference {middle:.2g}, p = {p:.2g})."
    return Equivalence(bound, middle, (middle - reach, middle + reach), p, p < LEVEL, sentence)
