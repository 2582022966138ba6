"""The cause of a difference, named only where a test of that very cause held.

The one side is given the supposed fault, on batches drawn anew and on the training batch with the largest gap, in float64: if
the gap to the other side falls to rounding, that is the cause. Sizes are sought on one batch and tested on all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain

import torch
from torch import Tensor

from mlnn.comparing.explaining.backward import of_backward
from mlnn.comparing.explaining.chunks import chunks
from mlnn.comparing.explaining.columns import columns
from mlnn.comparing.explaining.factors import known_factors
from mlnn.comparing.explaining.named_extras import named_extras
from mlnn.comparing.explaining.reductions import reductions
from mlnn.comparing.explaining.repairs import REPAIRS, Fault, Repair
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import Cause, Trial, trial_of
from mlnn.comparing.explaining.weighings import divisors, weighings
from mlnn.comparing.sample import Sample
from mlnn.objectives import Objective
from mlnn.objectives.reduction import drawn_rows
from mlnn.targets import TargetSpace

DRAWN = ((11, 1.0), (23, 3.0), (16, 6.0))
"""Rows and scale of the batches drawn: of several sizes, for a fault may depend on it, and out to raw outputs of about 15."""
FAR = (29, 20.0)
"""The same for a fault that none of these shows: out to about 45, where rounding leaves no room for smaller ones."""
VANISHED = 1e-6
"""Repaired, the gap has fallen to this share of itself, or to rounding."""
ROUNDING = 1e-13
"""A float64 gap up to this, relative to the gradient, is rounding: 1e-16 to 2e-14 was measured after a right repair."""
LEAST = 1e-10
"""A gap below this is too near to rounding for a cause to be told by it."""
ROWS_ASKED = 48
"""Rows of a training batch that a cause is tested on: some objectives have to be asked row by row."""
SAME_VALUE = 1e-12
"""Relative: values that a repair leaves apart by one constant over all batches, to this, are repaired."""
ROUNDS = 20
"""Of Gauss-Newton at most: from the starts of the table it was seen to need up to 12."""
PATIENCE = 4
"""After so many rounds the gap has halved, or this is not the fault."""
STRIDE = 1e-6
"""Of a size, to see what it changes: a slope to about six digits, which Gauss-Newton needs no more of."""
SETTLED = 1e-14
"""Gauss-Newton ends where a size changes by less than this share of itself."""


def find_cause(left: Objective, right: Objective, targets: TargetSpace, witness: Sample | None = None) -> Cause | None:
    """The first cause that its test bears out, for either side; None where none does.

    witness: the batch of the training with the largest gap, in any dtype.
    """
    samples = [sample for rows, scale in (*DRAWN, FAR) if (sample := drawn(left, rows, scale))]
    if witness is not None:
        samples.append(witness.to(torch.float64).part(slice(0, ROWS_ASKED)))
    trials = [trial for sample in samples if (trial := trial_of(left, right, sample))]
    if len(trials) < len(DRAWN):
        return None
    if max(trial.gap for trial in trials[: len(DRAWN)]) >= LEAST:
        trials = [trial for trial in trials if len(trial.sample) != FAR[0]]
    sides = Side(left, targets), Side(right, targets)
    if cause := of_backward(sides, trials[: len(DRAWN)]):
        return cause
    if max(trial.gap for trial in trials) < LEAST:
        return None
    return next(_causes(sides, trials), None)


def drawn(objective: Objective, rows: int, scale: float) -> Sample | None:
    """A batch drawn for an objective, in float64; None where its space has none."""
    try:
        output, target, extras = drawn_rows(objective, rows, scale)
    except Exception:  # a space that comes without draws
        return None
    return Sample(output, target, extras).to(torch.float64)


def _causes(sides: tuple[Side, Side], trials: Sequence[Trial]) -> Iterator[Cause]:
    """For every row of the table, right with the fault of left's, then left with that of right's."""
    left, right = sides
    pairs = (("right", left, right, trials), ("left", right, left, [trial.mirrored for trial in trials]))
    for words, factors, values in known_factors(trials, left.targets):
        repaired = [(value, c * t.gradient) for value, c, t in zip(values, factors, trials, strict=True)]
        if cause := _vanishes(words, trials, repaired):
            yield replace(cause, scales=len(set(factors)) == 1)
    for name, sound, odd, seen in pairs:
        for words, fault in chain(
            named_extras(name, sound, seen),
            *(read(name, sound, odd) for read in (weighings, divisors, columns)),
            *(read(name, sound, odd, seen) for read in (reductions, chunks)),
        ):
            if cause := tested(words, fault, 0.0, sound, seen):
                yield cause
    for repair in REPAIRS:
        for name, sound, odd, seen in pairs:
            for size in _sizes(repair, sound, odd, seen):
                words = repair.words.format(side=name, size=f"{size:.6g}")
                if cause := tested(words, repair.fault, size, sound, seen):
                    yield cause


def tested(words: str, fault: Fault, size: float, side: Side, trials: Sequence[Trial]) -> Cause | None:
    """The cause, if the fault in the sound side makes it answer as the other one does, on every batch."""
    return _vanishes(words, trials, (_planted(fault, size, side, trial.sample) for trial in trials))


def _vanishes(words: str, trials: Sequence[Trial], repaired: Iterable[tuple[float, Tensor] | None]) -> Cause | None:
    """A cause whose repair leaves nothing of the gap: of gradients on every batch, and of values but for one constant."""
    before: list[float] = []
    after: list[float] = []
    rest: list[float] = []
    for trial, found in zip(trials, repaired, strict=True):
        if found is None:
            return None
        value, gradient = found
        left = float((gradient - trial.other_gradient).norm()) / trial.scale
        if not _vanished(trial, gradient):
            return None
        before.append(trial.gap)
        after.append(left)
        rest.append((trial.other_value - value) / max(abs(trial.other_value), 1.0))
    if max(before) < LEAST or max(rest) - min(rest) > max(VANISHED * max(before), SAME_VALUE):
        return None
    return Cause(words, max(before), max(after))


def _vanished(trial: Trial, gradient: Tensor) -> bool:
    """Whether nothing is left in any row: of its gap, nor of the other side's gradient, which may be far smaller than a gap."""
    rows = len(gradient)
    left, gap, size = (
        one.reshape(rows, -1).norm(dim=1)
        for one in (gradient - trial.other_gradient, trial.gradient - trial.other_gradient, trial.other_gradient)
    )
    allowed = (VANISHED * torch.minimum(gap, size)).clamp_min(ROUNDING * float(size.norm()))
    return bool((left <= allowed).all())


def _planted(fault: Fault, size: float, side: Side, sample: Sample) -> tuple[float, Tensor] | None:
    """(value, gradient) of a side with a fault; None where it cannot be planted, or is not finite."""
    output = sample.output.detach().clone().requires_grad_()
    try:
        with torch.enable_grad():
            value = fault(side, replace(sample, output=output), size)
        (gradient,) = torch.autograd.grad(value, output)
    except Exception:  # a fault that makes no sense here, or an objective that refuses it, with whatever exception
        return None
    fine = bool(torch.isfinite(value)) and bool(torch.isfinite(gradient).all())
    return (float(value.detach()), gradient) if fine else None


def _sizes(repair: Repair, sound: Side, odd: Side, trials: Sequence[Trial]) -> Iterator[float]:
    """Sizes that a fault may have: the ones to try, the one read off the side at fault, or those sought."""
    if repair.told is not None:
        try:
            size = repair.told(odd)
        except Exception:  # it refuses what is far out
            return
        if size is not None:
            yield size
    elif repair.starts:
        residual = _residual(repair, sound, trials)
        for start in repair.starts:
            size = _sought(repair, start, residual)
            if size is not None and repair.low <= size <= repair.high:
                yield size
    else:
        yield from repair.sizes or (0.0,)


def _residual(repair: Repair, side: Side, trials: Sequence[Trial]) -> Callable[[float], Tensor | None]:
    """What is left of the gap on the batch where it is largest, for a size of a fault; None where that cannot be planted.

    Remembered: searches from several starts meet, and one that is thrown from bound to bound comes by again and again.
    """
    trial = max(trials, key=lambda one: one.gap)

    @cache
    def residual(size: float) -> Tensor | None:
        answer = _planted(repair.fault, size, side, trial.sample)
        return None if answer is None else (answer[1] - trial.other_gradient).flatten()

    return residual


def _sought(repair: Repair, start: float, residual: Callable[[float], Tensor | None]) -> float | None:
    """The size at which the gap on one batch is least, by Gauss-Newton; None where it does not come near."""
    size, first = start, None
    for number in range(ROUNDS):
        step = STRIDE * max(abs(size), STRIDE)
        here, ahead = residual(size), residual(size + step)
        if here is None or ahead is None:
            return None
        first = float(here.norm()) if first is None else first
        if number == PATIENCE and not float(here.norm()) <= first / 2:
            return None
        slope = (ahead - here) / step
        square = float(slope @ slope)
        if not square > 0:
            return None
        change = -float(slope @ here) / square
        before, size = size, min(max(size + change, repair.low), repair.high)
        if abs(size - before) <= SETTLED * abs(size):
            break
    return size
