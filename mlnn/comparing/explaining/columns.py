"""Targets of several numbers: outputs that one side weighs more than the other, or leaves out, and the weights of each."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.explaining.repairs import Fault
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.weighings import ROWS, STEADY
from mlnn.comparing.sample import Sample, answer
from mlnn.objectives.reduction import drawn_rows

CERTAIN = 60.0
"""A label's raw output at which its own loss is nothing: e^−60 is far below float64's rounding of any other."""
MOST_COLUMNS = 32
"""Of more outputs than this no weights are told: each takes a call."""


def columns(name: str, sound: Side, odd: Side) -> Iterator[tuple[str, Fault]]:
    """(words, fault) where the odd side's gradient in each output is the sound one's times a weight of that output's own."""
    found = _read(sound, odd)
    if found is None:
        return
    if found.ndim == 1 or bool(((found[:, 0] - found[:, 1]).abs() <= STEADY * found.abs().max()).all()):
        told = _told(found if found.ndim == 1 else found[:, 0])
    else:
        told = ", ".join(
            f"{_told(found[:, label])} where the target is {label}"
            for label in (0, 1)
            if bool(((found[:, label] - 1).abs() > STEADY).any())
        )
    yield f"{name} {told}", partial(_weighed, found)


def _told(weights: Tensor) -> str:
    places = [place for place, weight in enumerate(weights.tolist()) if abs(weight - 1) > STEADY]
    gone = [place for place in places if abs(float(weights[place])) <= STEADY]
    rest = weights[weights.abs() > STEADY]
    if len(gone) == 1 and float(rest.max() - rest.min()) <= STEADY:
        return f"leaves out output {gone[0]}" + ("" if places != gone else ", but counts it in its divisor")
    return "gives " + ", ".join(f"output {place} a weight of {float(weights[place]):.6g}" for place in places)


def _read(sound: Side, odd: Side) -> Tensor | None:
    """Weights (m,), or (m, 2) by label, where every output has one and they are not all the same; None otherwise."""
    space = sound.targets
    labelled = space.kind == "multilabel"
    if not space.event or space.event[0] > MOST_COLUMNS or not (labelled or space.whole_line):
        return None
    try:
        sample = Sample(*drawn_rows(sound.objective, ROWS))
        one, two = (answer(side.objective, sample)[1] for side in (sound, odd))
    except Exception:  # a refusal, with whatever exception
        return None
    if one.shape != sample.target.shape:
        return None
    weights = []
    for column in range(space.event[0]):
        mine, theirs, target = one[..., column], two[..., column], sample.target[..., column]
        groups = [target == label for label in (0, 1)] if labelled else [torch.ones_like(target, dtype=torch.bool)]
        for group in groups:
            chosen = group & (mine != 0)
            if not bool(chosen.any()) or bool(theirs[group & ~chosen].any()):
                return None
            weights.append(theirs[chosen] / mine[chosen])
    middle = torch.stack([ratio.median() for ratio in weights])
    steady = all(
        bool(((ratio - one).abs() <= STEADY * middle.abs().max()).all())
        for ratio, one in zip(weights, middle, strict=True)
    )
    if not steady or float(middle.max() - middle.min()) <= STEADY:
        return None
    return middle.reshape(-1, 2) if labelled else middle


def _weighed(weights: Tensor, side: Side, at: Sample, _size: float) -> Tensor:
    """A side's value with each output's part weighed: what it loses where that output alone is certain is its part."""
    value = plain = side.ask(at)
    labels = [None] if weights.ndim == 1 else [0.0, 1.0]
    for column in range(len(weights)):
        for label in labels:
            weight = float(weights[column] if label is None else weights[column, int(label)])
            if abs(weight - 1) <= STEADY:
                continue
            mine = torch.arange(at.target.shape[-1]) == column
            chosen = mine.expand_as(at.target) & (True if label is None else at.target == label)
            best = at.target if label is None else CERTAIN * (2 * at.target - 1)
            value = value + (weight - 1) * (plain - side.ask(replace(at, output=torch.where(chosen, best, at.output))))
    return value
