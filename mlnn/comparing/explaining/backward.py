"""Is a side's gradient the derivative of its own value? A detached part, a straight-through path and a backward written by hand
need not be."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import Cause, Trial
from mlnn.comparing.sample import Sample

STEP = 1e-3
"""Of the step between values: with two of them taken against each other the derivative is known to about 1e-11."""
DIRECTIONS = 4
KNOWN = 1e-8
"""Relative: a derivative by differences of values is known to this, a hundred times worse than what was measured."""
FALLS = 1e-3
"""A gap is explained by a wrong gradient if less than this share of it is left with the derivative in its place."""


def of_backward(sides: tuple[Side, Side], trials: Sequence[Trial]) -> Cause | None:
    """The cause that one side's gradient is not the derivative of its value, while the other's is, and with it the two agree."""
    left, right = sides
    return _wrong_gradient(("right", "left"), left, right, trials) or _wrong_gradient(
        ("left", "right"), right, left, [trial.mirrored for trial in trials]
    )


def _wrong_gradient(names: tuple[str, str], sound: Side, wrong: Side, trials: Sequence[Trial]) -> Cause | None:
    found = [_claims(sound, wrong, trial, number) for number, trial in enumerate(trials)]
    claims = [claim for claim in found if claim is not None]
    if len(claims) < len(found):
        return None
    before, after = (max(sizes) for sizes in zip(*claims, strict=True))
    value_gap = max(abs(trial.value - trial.other_value) / max(abs(trial.value), 1.0) for trial in trials)
    gap = max(trial.gap for trial in trials)
    odd, other = names
    if before <= KNOWN / FALLS:
        return None
    if after <= FALLS * before and value_gap <= KNOWN:
        words = f"{odd}'s gradient is not the derivative of its value, which is {other}'s"
        return Cause(f"{words}: a detached or straight-through part, or a backward of its own", before, after)
    if gap <= FALLS * KNOWN and value_gap > KNOWN:
        return Cause(f"{odd}'s value has a part without a gradient, and its gradient is {other}'s", value_gap, gap)
    return None


def _claims(sound: Side, wrong: Side, trial: Trial, seed: int) -> tuple[float, float] | None:
    """How far the wrong side's derivative is from its own gradient, and from the sound side's, along some directions.

    None where the sound side's gradient is not the derivative of its value either, or a side refuses.
    """
    draws, found = torch.Generator().manual_seed(seed), []
    for _ in range(DIRECTIONS):
        way = torch.randn(trial.gradient.shape, generator=draws, dtype=torch.float64)
        way = way / way.norm()
        mine, theirs = _derivative(sound, trial.sample, way), _derivative(wrong, trial.sample, way)
        told, claimed = float((trial.gradient * way).sum()), float((trial.other_gradient * way).sum())
        if mine is None or theirs is None or not abs(mine - told) <= KNOWN * trial.scale:
            return None
        found.append((abs(theirs - claimed) / trial.scale, abs(theirs - told) / trial.scale))
    return max(one for one, _ in found), max(two for _, two in found)


def _derivative(side: Side, sample: Sample, way: Tensor) -> float | None:
    """Of the side's value along a direction, by differences; None where the side refuses."""
    step = STEP / float(way.abs().max())

    def between(size: float) -> float:
        with torch.no_grad():
            ends = [float(side.ask(_moved(sample, sign * size * way))) for sign in (1, -1)]
        return (ends[0] - ends[1]) / (2 * size)

    try:
        return derivative([between(4 * step), between(2 * step), between(step)])
    except Exception:  # a refusal, with whatever exception
        return None


def derivative(slopes: Sequence[float]) -> float:
    """From slopes between values at three steps, each half the one before: each halving takes one more power of the step away from
    the error (Richardson)."""
    one, two, three = slopes
    nearer = (4 * two - one) / 3, (4 * three - two) / 3
    return (16 * nearer[1] - nearer[0]) / 15


def _moved(sample: Sample, by: Tensor) -> Sample:
    return Sample(sample.output + by, sample.target, sample.extras)
