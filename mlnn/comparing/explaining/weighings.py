"""Targets that one side weighs more than the other, or leaves out: the weights read off the gradients, and tried."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.explaining.repairs import MOST_TARGETS, Fault
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.sample import Sample, answer
from mlnn.objectives.reduction import drawn_rows

ROWS = 199
"""Of the batch from which weights are read: each of 32 targets is there six times."""
MOST_DIVIDED = 8
"""Weights of a divisor are read off one batch per target: of more targets they are not sought."""
FIRST, SPARE = 41, 4
"""Rows of the first of those batches, and how many there are beyond one per target, to contradict a wrong reading."""
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
        yield f"{name} {_told(targets, ratio, scaled)}", partial(_weighed, targets, ratio, scaled)


def _read(sound: Side, odd: Side) -> tuple[Tensor, Tensor] | None:
    """(targets, ratio of the odd side's gradient to the sound one's), where each target has one; None where it does not."""
    if not sound.targets.finite:
        return None
    try:
        sample = Sample(*drawn_rows(sound.objective, ROWS))
        one, two = (answer(side.objective, sample)[1] for side in (sound, odd))
    except Exception:  # a refusal, with whatever exception
        return None
    if sound.targets.event:
        return None
    target, counts = sample.target.flatten(), sound.targets.kept(sample.target)
    one, two = one.reshape(len(target), -1), two.reshape(len(target), -1)
    if counts is not None:
        kept = counts.flatten()
        if bool(one[~kept].any()) or bool(two[~kept].any()):
            return None
        target, one, two = target[kept], one[kept], two[kept]
    ratio = (one * two).sum(1) / one.square().sum(1)
    if not bool(((two - ratio[:, None] * one).norm(dim=1) <= STEADY * one.norm(dim=1)).all()):
        return None
    targets, place = target.unique(return_inverse=True)
    middle = torch.stack([ratio[place == k].median() for k in range(len(targets))])
    steady = bool(((ratio - middle[place]).abs() <= STEADY * middle.abs().max()).all())
    return (targets, middle) if steady and len(targets) <= MOST_TARGETS else None


def _told(targets: Tensor, ratio: Tensor, scaled: bool) -> str:
    odd = [(float(t), float(r)) for t, r in zip(targets, ratio, strict=True) if abs(float(r) - 1) > STEADY]
    if len(odd) == 1 and abs(odd[0][1]) <= STEADY:
        return f"ignores targets of {odd[0][0]:g}" + ("" if scaled else ", but counts them in its divisor")
    told = f"{odd[0][0]:g} a weight of {odd[0][1]:.6g}" if len(odd) == 1 else _each(targets, ratio)
    return f"gives targets of {told}, and divides " + ("by the sum of the weights" if scaled else "as if it did not")


def _each(targets: Tensor, ratio: Tensor) -> str:
    return ", ".join(f"{float(t):g} a weight of {float(r):.6g}" for t, r in zip(targets, ratio, strict=True))


def divisors(name: str, sound: Side, odd: Side) -> Iterator[tuple[str, Fault]]:
    """(words, fault) where the odd side divides by a sum of weights per target and the sound one by the number of rows."""
    values = sound.targets.facts.values
    if not sound.targets.finite or values is None or len(values) > MOST_DIVIDED:
        return
    targets = torch.tensor(list(values), dtype=torch.float64)
    counts, divided = [], []
    for number in range(len(values) + SPARE):
        try:
            sample = Sample(*drawn_rows(sound.objective, FIRST + number))
            one, two = (answer(side.objective, sample)[1] for side in (sound, odd))
        except Exception:  # a refusal, with whatever exception
            return
        factor = float((one * two).sum() / (one * one).sum())
        if not float((two - factor * one).norm()) <= STEADY * float(two.norm()):
            return
        own = (sample.target.flatten()[:, None] == targets).double().sum(0)
        counts.append(own / own.sum())
        divided.append(1 / factor)
    share, wanted = torch.stack(counts), torch.tensor(divided, dtype=torch.float64)
    weights = torch.linalg.lstsq(share, wanted[:, None]).solution[:, 0]
    if float((share @ weights - wanted).norm()) <= STEADY * float(wanted.norm()) and float(weights.std()) > STEADY:
        yield (
            f"{name} divides by the sum of weights per target ({_each(targets, weights)})",
            partial(_divided, targets, weights),
        )


def _divided(targets: Tensor, weights: Tensor, side: Side, at: Sample, _size: float) -> Tensor:
    own = (at.target[..., None] == targets).to(weights)
    return side.ask(at) * own.sum() / (own * weights).sum()


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
