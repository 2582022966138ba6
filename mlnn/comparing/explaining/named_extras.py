"""Extras by name, a weight or a mask of each row, that one side does not use as the other does: what becomes of them by mistake."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.explaining.repairs import Fault
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import Trial
from mlnn.comparing.explaining.weighings import STEADY
from mlnn.comparing.sample import Sample

Change = Callable[[Tensor, Sample], Tensor]


def _first_row(extra: Tensor, _at: Sample) -> Tensor:
    return extra[:1].expand_as(extra)


def _by_row(extra: Tensor, _at: Sample) -> Tensor:
    if extra.ndim < 2:
        raise ValueError("one number a row")
    return extra / extra.flatten(1).sum(1).reshape(-1, *[1] * (extra.ndim - 1))


def _at_the_largest(extra: Tensor, at: Sample) -> Tensor:
    """A table per class, read where the largest raw output is."""
    if extra.shape != at.output.shape or at.output.ndim == at.target.ndim:
        raise ValueError("no number per class")
    return extra.gather(-1, at.output.argmax(-1, keepdim=True)).expand_as(extra)


USES: dict[str, Change] = {
    "answers as if every '{key}' were 1: it is not used, or every one meets every row (n × n)": (
        lambda extra, _: torch.ones_like(extra)
    ),
    "takes 1 − '{key}' for '{key}'": lambda extra, _: 1 - extra,
    "takes the square of '{key}'": lambda extra, _: extra.square(),
    "takes the square root of '{key}'": lambda extra, _: extra.sqrt(),
    "takes the first row's '{key}' for every row": _first_row,
    "takes the mean of '{key}' over the batch for every row": lambda extra, _: extra.mean(0).expand_as(extra),
    "divides '{key}' by its sum row by row": _by_row,
    "reads its weight from '{key}' at the largest raw output, not at the target": _at_the_largest,
}
"""What a side may take in an extra's place, from the plainest; the first that holds is named."""
DIVISORS: dict[str, Callable[[Tensor], Tensor]] = {
    "divides by the number of entries of '{key}' where {other} divides by their sum": torch.mean,
    "divides by the number of entries of '{key}' that are not 0 where {other} divides by their sum": (
        lambda extra: extra.sum() / extra.count_nonzero()
    ),
    "does not divide by the sum of '{key}', as {other} does": torch.sum,
}
"""What the other side's value is multiplied by where this one does not divide as it does."""


def named_extras(name: str, sound: Side, trials: Sequence[Trial]) -> Iterator[tuple[str, Fault]]:
    """(words, fault) for each extra that holds numbers, of the faults that can be planted into the sound side."""
    other, given = "left" if name == "right" else "right", trials[0].sample.extras
    takes = sound.objective.takes
    for key in (key for key, extra in given.items() if extra.is_floating_point() and extra.ndim):
        if takes is not None and key not in takes:
            continue
        for words, change in USES.items():
            yield f"{name} {words.format(key=key)}", partial(_changed, key, change)
        for words, factor in DIVISORS.items():
            yield f"{name} {words.format(key=key, other=other)}", partial(_divided, key, factor)
        words = f"{name} sets raw outputs and targets to 0 by '{key}', and counts them, where {other} leaves them out"
        yield words, partial(_zeroed, key)


def _changed(key: str, change: Change, side: Side, at: Sample, _size: float) -> Tensor:
    plain = replace(at, output=at.output.detach())
    return side.ask(replace(at, extras={**at.extras, key: change(at.extras[key], plain)}))


def _divided(key: str, factor: Callable[[Tensor], Tensor], side: Side, at: Sample, _size: float) -> Tensor:
    """Of a side that divides by the extra's sum: its value is the same with the extra doubled."""
    value = side.ask(at)
    doubled = side.ask(replace(at, extras={**at.extras, key: 2 * at.extras[key]}))
    if not float((doubled - value).detach().abs()) <= STEADY * float(value.detach().abs()):
        raise ValueError("it does not divide by the extra's sum")
    return value * factor(at.extras[key])


def _zeroed(key: str, side: Side, at: Sample, _size: float) -> Tensor:
    mask = at.extras[key]
    if mask.shape != at.target.shape or at.output.shape != at.target.shape or side.targets.labels:
        raise ValueError("no mask of the targets")
    ones = {**at.extras, key: torch.ones_like(mask)}
    return side.ask(replace(at, output=at.output * mask, target=at.target * mask, extras=ones))
