"""How far two recordings are apart at each step that both have."""

import math
from collections.abc import Iterator

import numpy as np

from mlnn.recording.differing.aligning import Pair
from mlnn.recording.differing.batches import batch_word, streams_apart
from mlnn.recording.differing.records import Apart, Row
from mlnn.recording.fingerprint import Fingerprint, distance, factor, same_bits
from mlnn.recording.records import RecordedStep, Recording


def rows_of(pair: Pair) -> Iterator[Row]:
    """One row a shared step, in order."""
    alike = all(
        one.dtype == two.dtype for one, two in zip(pair.a.settings.parameters, pair.b.settings.parameters, strict=True)
    )
    a, b = pair.starts
    stood: tuple[Fingerprint, Fingerprint] | None = (a, b)
    untouched = alike and same_bits(a, b)
    floors = min(1.0, _first(pair.a)), min(1.0, _first(pair.b))
    for one, two in pair.shared:
        row = _row(pair, one, two, stood, untouched, alike, max(floors))
        yield row
        if one.weights is not None and two.weights is not None:
            stood, untouched = (one.weights, two.weights), row.weights is not None and row.weights.same
        else:
            stood, untouched = None, untouched and row.same


def _row(
    pair: Pair,
    one: RecordedStep,
    two: RecordedStep,
    stood: tuple[Fingerprint, Fingerprint] | None,
    untouched: bool,
    alike: bool,
    floor: float,
) -> Row:
    losses = loss_of(pair.a, one), loss_of(pair.b, two)
    gradient, weights, update = None, None, None
    moved = math.nan
    if one.gradient is not None and two.gradient is not None:
        gradient = apart(one.gradient, two.gradient, alike)
    if one.weights is not None and two.weights is not None:
        weights = apart(one.weights, two.weights, alike)
        if stood is not None:
            update = _update(stood, (one.weights, two.weights))
            moved = distance(stood[0], one.weights) / (stood[0].norm or 1.0)
    before = 0.0 if untouched else None if stood is None else apart(*stood, False).distance
    if before is None and weights is not None:
        before = weights.distance
    return Row(
        one.step, two.step, batch_word(one, two), streams_apart(one, two), one.rates == two.rates, losses,
        (len(one.losses), len(two.losses)), before, numbers_apart(*losses, floor), gradient, weights, update, moved,
        one.buffers == two.buffers or not alike, (_finite(one), _finite(two)), (one.skipped, two.skipped),
        untouched or stood is not None,
    )  # fmt: skip


def loss_of(recording: Recording, step: RecordedStep) -> float:
    """A step's loss: the sum over its backward passes, averaged over processes, without a gradient scaler's factor; NaN where none
    was recorded."""
    if not len(step.losses) or not 0 < step.scale < math.inf:
        return math.nan
    return float(step.losses.sum()) / (step.scale * recording.settings.ranks)


def _first(recording: Recording) -> float:
    found = (abs(loss_of(recording, step)) for step in recording.steps)
    return next((loss for loss in found if math.isfinite(loss)), 0.0)


def _finite(step: RecordedStep) -> bool:
    return bool(np.isfinite(step.losses).all()) and (step.gradient is None or step.gradient.finite)


def numbers_apart(a: float, b: float, floor: float) -> Apart | None:
    """How far two losses are apart, relative to the larger of |a| and `floor`: a loss near 0 is what is left of larger terms. None
    where one was not recorded, or is not finite, which is told otherwise."""
    if math.isnan(a) or math.isnan(b):
        return None
    size = max(abs(a), floor)
    gap = abs(b - a) / size if size else (0.0 if a == b else math.inf)
    return Apart(gap, b / a if a else math.nan, 0.0 if a else math.inf, a == b)


def apart(a: Fingerprint, b: Fingerprint, bits: bool = True) -> Apart:
    """How far two fingerprinted sets of tensors are apart; `bits`: whether their hashes can be compared."""
    same, size, gap = bits and same_bits(a, b), a.norm, distance(a, b)
    if same:
        return Apart(0.0, 1.0, 0.0, True)
    times = factor(a, b)
    rest = float(np.linalg.norm(b.sketch - times * a.sketch)) if math.isfinite(times) else math.inf
    gap = gap / size if size else (0.0 if gap == 0 else math.inf)
    return Apart(gap, times, rest / b.norm if b.norm else math.inf, False)


def _update(stood: tuple[Fingerprint, Fingerprint], now: tuple[Fingerprint, Fingerprint]) -> Apart:
    """How far what a step added to the weights is apart; relative to the sketch of it, which has no norms of its own."""
    one, two = (new.sketch - old.sketch for old, new in zip(stood, now, strict=True))
    size, other = float(np.linalg.norm(one)), float(np.linalg.norm(two))
    gap = float(np.linalg.norm(two - one))
    times = float(one @ two) / size**2 if size else math.nan
    rest = float(np.linalg.norm(two - times * one)) / other if size and other else math.inf
    return Apart(gap / size if size else (0.0 if gap == 0 else math.inf), times, rest, gap == 0)
