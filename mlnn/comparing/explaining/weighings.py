"""Targets that one side weighs more than the other, or leaves out: the weights read off the gradients, and tried."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.explaining.repairs import MOST_TARGETS, Fault
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.sample import Sample, answer
from mlnn.objectives.reduction import drawn_batch

ROWS = 199
"""Of the batch from which weights are read: each of 32 targets is there six times."""
STEADY = 1e-9
"""Ratios that agree to this over all rows of a target are its weight."""


def weighings(name: str, sound: Side, odd: Side) -> Iterator[tuple[str, Fault]]:
    """(words, fault) for weights per target: added up as the side does, and divided by the sum of the weights."""
    found = _read(sound, odd)
    if found is None:
        return
    targets, ratios = found
    usual = ratios[ratios > 0].mode().values if bool((ratios > 0).any()) else None
    if usual is None or float(ratios.max() - ratios.min()) <= STEADY:
        return
    for scaled, ratio in ((False, ratios), (True, ratios / usual)):
        told = _told(targets, ratio)
        more = ", and divides by the sum of the weights" if scaled else ", and divides as if it did not"
        yield f"{name} {told}{more}", partial(_weighed, targets, ratio, scaled)


def _read(sound: Side, odd: Side) -> tuple[Tensor, Tensor] | None:
    """(targets, ratio of the odd side's gradient to the sound one's), where each target has one; None where it does not."""
    if not sound.targets.finite:
        return None
    try:
        sample = Sample(*drawn_batch(sound.targets, ROWS))
        one, two = (answer(side.objective, sample)[1] for side in (sound, odd))
    except Exception:  # a refusal, with whatever exception
        return None
    if sample.target.ndim != 1:
        return None
    one, two = one.reshape(ROWS, -1), two.reshape(ROWS, -1)
    ratio = (one * two).sum(1) / one.square().sum(1)
    if not bool(((two - ratio[:, None] * one).norm(dim=1) <= STEADY * one.norm(dim=1)).all()):
        return None
    targets, place = sample.target.unique(return_inverse=True)
    middle = torch.stack([ratio[place == k].median() for k in range(len(targets))])
    steady = bool(((ratio - middle[place]).abs() <= STEADY * middle.abs().max()).all())
    return (targets, middle) if steady and len(targets) <= MOST_TARGETS else None


def _told(targets: Tensor, ratio: Tensor) -> str:
    odd = [(float(t), float(r)) for t, r in zip(targets, ratio, strict=True) if abs(float(r) - 1) > STEADY]
    if len(odd) == 1:
        target, weight = odd[0]
        return (
            f"leaves out targets of {target:g}"
            if abs(weight) <= STEADY
            else f"weighs targets of {target:g} by {weight:.6g}"
        )
    told = ", ".join(f"{float(t):g} by {float(r):.6g}" for t, r in zip(targets, ratio, strict=True))
    return f"weighs targets of {told}"


def _weighed(targets: Tensor, ratio: Tensor, scaled: bool, side: Side, at: Sample, _size: float) -> Tensor:
    """A side's rows weighed by their targets."""
    own = (at.target[..., None] == targets).to(ratio)
    weights = (own * ratio).sum(-1) + (1 - own.sum(-1))
    plain = replace(at, output=at.output.detach())
    adds = side.weights(plain)
    if adds is None:
        raise ValueError("the objective couples the rows")
    total = adds.sum() / (adds * weights).sum() if scaled else 1.0
    return total * (adds * weights * side.rows(at)).sum()
