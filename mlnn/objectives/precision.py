"""What an objective computes in, found by asking it: plain against promoted, and by the noise of its answers.

A cast that changes nothing (`mask.float()`) is no finding. Where no promotion reaches (numpy, a kernel behind a pointer) the
answers themselves tell: they stay the same when the input is rounded to the lower float, or are as noisy as one.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.objectives.objective import Objective
from mlnn.objectives.promotion import Asked, Inside, lower_than, promoted
from mlnn.objectives.reduction import drawn_rows
from mlnn.objectives.rowwise import as_dtype, asked_batch, extras_at
from mlnn.seeding import derive
from mlnn.world import own_world

ROWS = 37
DOUBLE = torch.float64
MATTERS = 64.0
"""Unit roundoffs, of the higher float, by which an answer must move for a cast to have mattered."""
OFF, MOST_OFF = 1024.0, 0.25
"""Unit roundoffs, of the lowest float asked for, and the share, that promoting may move an answer at moderate outputs: a lower
float moved answers by up to 30; by more, a kernel was handed numbers of another width than it reads."""
STEP = 5.2e-7
"""Relative step of the differences that show noise: 4.4 float32 ulps, no whole number of them."""
NOISY = 1e-9
"""Third differences over such steps, relative: 1e-15 where float64 is kept, 1e-8 to 1e-7 where float32 is computed in."""
MOST, SOME = 0.8, 0.5
"""Shares of the rows that a lower float leaves as they are when the output is rounded to it, and moves when it goes on by ULPS."""
ULPS = 4


@dataclass(frozen=True)
class _Answer:
    """To one batch: value (n,) or (1,), gradient (n, -1), float64, and the lower floats asked for."""

    value: Tensor
    gradient: Tensor
    asked: frozenset[torch.dtype]

    def off(self, other: "_Answer") -> float:
        """How far another answer is, relative to the largest value and the largest gradient; infinite where one is not finite."""
        apart = [
            float((one - two).abs().max() / two.abs().max().clamp_min(torch.finfo(DOUBLE).tiny))
            if one.shape == two.shape else torch.inf
            for one, two in ((self.value, other.value), (self.gradient, other.gradient))
        ]  # fmt: skip
        return max(size if size == size else torch.inf for size in apart)

    def changed(self, other: "_Answer") -> Tensor:
        """Mask of the rows, of the gradient's or the value's own number, in which any bit of the two differs."""
        rows = (self.gradient != other.gradient).any(1)
        return rows | (self.value != other.value) if len(self.value) == len(rows) else rows


def looked_into(objective: Objective, own: torch.dtype = torch.float32) -> Objective:
    """The objective with what it computes in, in a run of dtype `own`; as it is where that is known.

    Asks it about ten times, on one batch of moderate raw outputs. One that refuses it, or answers it twice differently, is left
    as one that computes in what it is given: both are told elsewhere.
    """
    if objective.inside is not None:
        return objective
    output, target, _ = drawn_rows(objective, ROWS)
    plain = _answer(objective, output, target)
    found = _look(objective, own, output, target, plain)
    again = _answer(objective, output, target)
    if plain is not None and (again is None or plain.off(again) > 0):
        found = Inside(moody=True)
    return replace(objective, inside=found)


def _look(objective: Objective, own: torch.dtype, output: Tensor, target: Tensor, plain: _Answer | None) -> Inside:
    again = _answer(objective, output, target)
    if plain is not None and (again is None or plain.off(again) > 0):
        return Inside(moody=True)
    twin = _answer(objective, output, target, DOUBLE)
    told = plain or _answer(objective, output.float(), target)  # some refuse float64 (weights in float32, say)
    if twin is None and told is None:
        return Inside()
    sealed = _unopened(twin, told)
    kept = None if sealed else twin
    inside = [] if kept is None else _matter(objective, output, target, DOUBLE, kept)
    needed = kept is not None and (plain is None or bool(inside))
    if sealed or kept is not None:
        found = _sealed_in(replace(objective, inside=Inside(promotes=needed)), output, target)
        if found is not None:
            return Inside(found, False, sealed or "no dispatch sees what its kernel computes in")
    if own != DOUBLE:  # autocast leaves float64 as it is, and lowers float32
        low = output.to(own)
        higher = _answer(objective, low, target, own)
        inside += [] if higher is None else _matter(objective, low, target, own, higher)
    return Inside(max(inside, key=_eps, default=None), needed)


def _unopened(twin: _Answer | None, told: _Answer | None) -> str | None:
    """Why the promoted answer is not that of the same objective; None where it is."""
    if twin is None:
        return "with its casts promoted to float64 it gives no finite answer"
    if told is None or not twin.asked:
        return None
    bound = min(OFF * max(map(_eps, twin.asked)), MOST_OFF)
    return "with its casts promoted to float64 its kernel reads something else" if twin.off(told) > bound else None


def _matter(objective: Objective, output: Tensor, target: Tensor, to: torch.dtype, twin: _Answer) -> list[torch.dtype]:
    """The floats lower than `to` whose casts move the answer, each left alone in turn; all asked for where only together."""
    if not twin.asked:
        return []
    least = MATTERS * _eps(to)
    plain = _answer(objective, output, target)
    if plain is not None and plain.off(twin) <= least:
        return []
    spared = {low: _answer(objective, output, target, to, frozenset({low})) for low in twin.asked}
    return [low for low, found in spared.items() if found is not None and found.off(twin) > least] or list(twin.asked)


def _sealed_in(objective: Objective, output: Tensor, target: Tensor) -> torch.dtype | None:
    """The lower float that an objective's float64 twin still computes in; None where it does not."""

    def ask(moved: Tensor) -> _Answer | None:
        return _answer(objective, moved, target, DOUBLE if objective.inside and objective.inside.promotes else None)

    here = ask(output)
    for low in reversed(lower_than(DOUBLE)):
        rounded, farther = ask(output.to(low).double()), ask(output * (1 + ULPS * _eps(low)))
        if here is None or rounded is None or farther is None:
            continue
        same, moved = (float(mask.double().mean()) for mask in (~here.changed(rounded), here.changed(farther)))
        if same >= MOST and moved >= SOME:
            return low
    line = [ask(output * (1 + place * STEP)) for place in range(4)]
    a, b, c, d = line
    if a is None or b is None or c is None or d is None:
        return None
    bends = [one - 3 * two + 3 * three - four for one, two, three, four in (
        (a.value, b.value, c.value, d.value), (a.gradient, b.gradient, c.gradient, d.gradient))]  # fmt: skip
    sizes = a.value.abs().max(), a.gradient.abs().amax(1).clamp_min(float(a.gradient.abs().max()) / 10)
    noise = max(float((bends[0].abs() / sizes[0]).median()), float((bends[1].abs().amax(1) / sizes[1]).median()))
    return torch.float32 if noise > NOISY else None


def _answer(
    objective: Objective, output: Tensor, target: Tensor, to: torch.dtype | None = None,
    spare: frozenset[torch.dtype] = frozenset(),
) -> _Answer | None:  # fmt: skip
    """To a batch, plain, or promoted to a dtype; None where it raises, or is not finite."""
    with own_world(None, derive(0, "inside")), promoted(to, spare) if to else nullcontext(Asked()) as asked:
        try:
            extras = extras_at(objective.layout.rows(len(output)), output.dtype)
            value, gradient = asked_batch(
                replace(objective, inside=None), output, as_dtype(target, output.dtype), extras
            )
        except Exception:  # whatever it raises, it has refused the batch
            return None
        found = _Answer(value.double().reshape(-1), gradient.double().reshape(len(output), -1), frozenset())
    fine = bool(torch.isfinite(found.value).all() and torch.isfinite(found.gradient).all())
    return replace(found, asked=frozenset(asked.dtypes)) if fine else None


def _eps(dtype: torch.dtype) -> float:
    return float(torch.finfo(dtype).eps)
