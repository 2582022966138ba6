"""Factors between two gradients that have a name, batch by batch."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from mlnn.comparing.explaining.trial import Trial
from mlnn.comparing.sample import Sample
from mlnn.targets import TargetSpace

CLOSE = 1e-9
"""A factor this near to a named one is that one: it is found in float64, and the named ones lie 0.06 apart."""
NEAR_ONE = 1e-4
"""A factor nearer to 1 than this is written as 1 ± the difference, or six digits would show it as 1."""
NAMED = {
    1 / math.log(2): "right takes its logarithm to base 2",
    math.log(2): "left takes its logarithm to base 2",
    1 / math.log(10): "right takes its logarithm to base 10",
    math.log(10): "left takes its logarithm to base 10",
    2.0: "a factor of 2, perhaps a ½ that only left has",
    0.5: "a factor of ½ that only right has",
}
"""Constant factors of right's gradient over left's, and what makes them."""
COUNTED: tuple[tuple[str, Callable[[Sample], float]], ...] = (
    ("the factor is the number of rows: right sums where left takes the mean", lambda at: float(len(at))),
    ("the factor is one over the number of rows: right takes a mean of a mean, or left sums", lambda at: 1 / len(at)),
    ("right divides by the number of rows less one", lambda at: len(at) / max(len(at) - 1, 1)),
    ("left divides by the number of rows less one", lambda at: max(len(at) - 1, 1) / len(at)),
    ("right divides by all pairs of rows, left by those of unlike targets", lambda at: _unlike(at.target)),
)
"""Factors that depend on the batch."""


def known_factors(trials: Sequence[Trial], space: TargetSpace) -> Iterator[tuple[str, list[float], list[float]]]:
    """(words, factor of the gradient and value per batch): named factors that right's gradient may be left's times, to be tested;
    else a constant one. Values may be apart by the entropy of targets that are distributions."""
    found = [_factor(trial) for trial in trials]
    for words, factor in COUNTED:
        wanted = [factor(trial.sample) for trial in trials]
        if _alike(found, wanted):
            yield words, wanted, [c * trial.value for c, trial in zip(wanted, trials, strict=True)]
    if not _alike(found, found[:1] * len(found)) or abs(found[0] - 1) <= CLOSE:
        return
    named = next((words for value, words in NAMED.items() if math.isclose(value, found[0], rel_tol=CLOSE)), None)
    told, constant = named or f"a constant factor of {_told(found[0])}", found[:1] * len(found)
    values = [found[0] * trial.value for trial in trials]
    yield told, constant, values
    if space.kind == "simplex":
        entropies = [float(torch.special.entr(trial.sample.target).sum(-1).mean()) for trial in trials]
        for side, share in (("right", -found[0]), ("left", 1.0)):
            moved = [value + share * entropy for value, entropy in zip(values, entropies, strict=True)]
            yield f"{told}, and {side} has its targets' own entropy taken off", constant, moved


def _unlike(target: Tensor) -> float:
    """Share of pairs of rows in which the one's target is 1 and the other's 0."""
    share = float((target == 1).double().mean())
    return share * float((target == 0).double().mean())


def _factor(trial: Trial) -> float:
    square = float((trial.gradient * trial.gradient).sum())
    return float((trial.gradient * trial.other_gradient).sum()) / square if square else math.nan


def _alike(found: Sequence[float], wanted: Sequence[float]) -> bool:
    return all(math.isclose(one, two, rel_tol=CLOSE) for one, two in zip(found, wanted, strict=True))


def _told(factor: float) -> str:
    """A factor in words that do not show it as 1."""
    return f"{factor:.6g}" if abs(factor - 1) > NEAR_ONE else f"1 {factor - 1:+.3g}"
