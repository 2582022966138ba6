"""Factors between two gradients that have a name, batch by batch."""

import math
from collections.abc import Callable, Iterator, Sequence

from mlnn.comparing.explaining.trial import Trial

CLOSE = 1e-9
"""A factor this near to a named one is that one: it is found in float64, and the named ones lie 0.06 apart."""
NAMED = {
    1 / math.log(2): "right takes its logarithm to base 2",
    math.log(2): "left takes its logarithm to base 2",
    1 / math.log(10): "right takes its logarithm to base 10",
    math.log(10): "left takes its logarithm to base 10",
    2.0: "a factor of 2, perhaps a ½ that only left has",
    0.5: "a factor of ½ that only right has",
}
"""Constant factors of right's gradient over left's, and what makes them."""
COUNTED: tuple[tuple[str, Callable[[int], float]], ...] = (
    ("the factor is the number of rows: right sums where left takes the mean", float),
    ("the factor is one over the number of rows: right takes a mean of a mean, or left sums", lambda n: 1 / n),
    ("right divides by one row less than there are", lambda n: n / max(n - 1, 1)),
    ("left divides by one row less than there are", lambda n: max(n - 1, 1) / n),
)
"""Factors that depend on the number of rows."""


def known_factors(trials: Sequence[Trial]) -> Iterator[tuple[str, list[float]]]:
    """(words, factor per batch): named factors that right's gradient may be left's times, to be tested; else a constant one."""
    found = [_factor(trial) for trial in trials]
    for words, count in COUNTED:
        wanted = [count(len(trial.sample)) for trial in trials]
        if _alike(found, wanted):
            yield words, wanted
    if _alike(found, found[:1] * len(found)) and abs(found[0] - 1) > CLOSE:
        named = next((words for value, words in NAMED.items() if math.isclose(value, found[0], rel_tol=CLOSE)), None)
        yield named or f"a constant factor of {found[0]:.6g}", found[:1] * len(found)


def _factor(trial: Trial) -> float:
    square = float((trial.gradient * trial.gradient).sum())
    return float((trial.gradient * trial.other_gradient).sum()) / square if square else math.nan


def _alike(found: Sequence[float], wanted: Sequence[float]) -> bool:
    return all(math.isclose(one, two, rel_tol=CLOSE) for one, two in zip(found, wanted, strict=True))
