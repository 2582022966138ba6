"""How an objective adds up its rows and positions, by name: read off the weight that each has in its gradient."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.explaining.repairs import Fault
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import Trial
from mlnn.comparing.sample import Sample

CLOSE = 1e-9
"""Weights that agree to this, relative to the largest, are the same."""
Weights = Callable[[Tensor], Tensor]


def _per_sequence(kept: Tensor) -> Tensor:
    rows = kept.reshape(len(kept), -1)
    counts = rows.sum(1)
    means = rows / counts.clamp_min(1)[:, None] / (counts > 0).sum()
    return means.reshape(kept.shape)


def _lengths(kept: Tensor) -> Tensor:
    counts = kept.reshape(len(kept), -1).sum(1)
    return counts.reshape(-1, *[1] * (kept.ndim - 1)).expand(kept.shape)


NAMES: dict[str, Weights] = {
    "the mean over {rows} rows": lambda kept: (
        torch.full_like(kept, 1 / kept.numel()) if kept.ndim == 1 else kept * torch.nan
    ),
    "the mean over all {all} positions, ignored ones counted": lambda kept: kept / kept.numel(),
    "the mean over {kept} kept positions": lambda kept: kept / kept.sum(),
    "the mean of {sequences} per-sequence means": _per_sequence,
    "the mean over sequences, each weighted by its squared length": lambda kept: (
        kept * _lengths(kept) / kept.reshape(len(kept), -1).sum(1).square().sum()
    ),
    "the sum over {kept} kept positions": lambda kept: kept,
    "the sum over {kept} kept positions, divided by {rows} rows": lambda kept: kept / len(kept),
}
"""The weights of each reduction, from a mask of the rows or positions that count (n, *positions); the plainest first. On rows
that all count, several are the same, and the first is named."""


def kept(side: Side, sample: Sample) -> Tensor:
    """1 where a row or position has a part in the side's value, 0 where it is ignored; (n, *positions)."""
    slope = _alone(side, sample)
    return (slope.reshape(*side.shape(sample), -1) != 0).any(-1).double()


def reduction_of(side: Side, samples: Sequence[Sample], unit: float = 1.0) -> tuple[str, Weights] | None:
    """The first reduction that gives the side's weights on every batch, with its unfilled name; None where none does.

    unit: what a position alone is worth on this side, as a share of what it is worth on the other.
    """
    seen = []
    for sample in samples:
        weights = side.weights(sample)
        if weights is None:
            return None
        seen.append((unit * weights, kept(side, sample)))
    for name, weigh in NAMES.items():
        if all(_same(weights, weigh(mask) * mask, mask) for weights, mask in seen):
            return name, weigh
    per = [float(weights.max()) for weights, _ in seen]
    if all(_same(weights, per[0] * mask, mask) for weights, mask in seen):
        return f"the sum divided by a count of {1 / per[0]:.6g}", lambda mask: per[0] * mask
    return None


def told(name: str, mask: Tensor) -> str:
    """A reduction's name with the numbers of a batch."""
    rows = mask.reshape(len(mask), -1)
    words = name.format(
        rows=len(mask), all=mask.numel(), kept=int(mask.sum()), sequences=int(rows.any(1).sum()),
    )  # fmt: skip
    return words if mask.ndim > 1 else words.replace("positions", "rows")


def reductions(name: str, sound: Side, odd: Side, trials: Sequence[Trial]) -> Iterator[tuple[str, Fault]]:
    """(words, fault) where the two sides' reductions have names, and these differ: which is which, and by how much."""
    samples = [trial.sample for trial in trials]
    try:
        unit = _unit(sound, odd, samples[0])
        found = [reduction_of(sound, samples, min(1.0, 1 / unit)), reduction_of(odd, samples, min(1.0, unit))]
        mask = kept(sound, samples[-1])
    except Exception:  # a side that cannot be asked row by row
        return
    if found[0] is None or found[1] is None or found[0][0] == found[1][0] or name == "left":
        return
    last = trials[-1]
    ratio = float(last.other_gradient.norm()) / float(last.gradient.norm())
    names = [told(name, mask) for name, _ in (found[0], found[1])]
    words = f"left is {names[0]}, right {names[1]}: on that batch right's gradient is {ratio:.3g} times left's"
    yield words, partial(_reduced, found[1][1], max(1.0, unit))


def _unit(sound: Side, odd: Side, sample: Sample) -> float:
    """What a position alone is worth on the odd side, as a share of what it is worth on the sound one."""
    one, two = (_alone(side, sample) for side in (sound, odd))
    return float((one * two).sum() / one.square().sum())


def _alone(side: Side, sample: Sample) -> Tensor:
    """The gradient of each position's own value, as the raw outputs; 0 where it is ignored."""
    output = sample.output.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(side.rows(replace(sample, output=output)).sum(), output)
    return slope.nan_to_num(0.0)


def _reduced(weigh: Weights, unit: float, side: Side, at: Sample, _size: float) -> Tensor:
    mask = kept(side, replace(at, output=at.output.detach()))
    return unit * (weigh(mask) * mask * side.rows(at)).sum()


def _same(one: Tensor, two: Tensor, mask: Tensor) -> bool:
    scale = float(two.abs().max())
    return bool(((one - two).abs() * mask <= CLOSE * scale).all())
