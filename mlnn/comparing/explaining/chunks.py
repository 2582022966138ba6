"""Means of chunks of a batch laid flat, averaged or added: right only where every chunk keeps as many positions."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.explaining.repairs import Fault
from mlnn.comparing.explaining.side import ADDS_UP, Side
from mlnn.comparing.explaining.trial import Trial
from mlnn.comparing.sample import Sample

SIZES = (*range(2, 17), 20, 24, 32, 48, 64)
"""Positions to a chunk that are tried: every small one, and those that people choose."""


def chunks(name: str, sound: Side, odd: Side, trials: Sequence[Trial]) -> Iterator[tuple[str, Fault]]:
    """(words, fault) for chunks of positions; none where rows have one position, or the odd side couples them otherwise."""
    sample = trials[0].sample
    if not sound.targets.positions(sample.target):
        return
    try:
        adds = odd.weights(sample)
    except Exception:  # a side that cannot be asked position by position
        return
    if adds is None or _even(adds[adds != 0]):
        return
    for size in SIZES:
        yield f"{name} is the mean of the means of chunks of {size} positions", partial(_in_chunks, size, True)
    for size in SIZES:
        yield f"{name} adds up the means of chunks of {size} positions", partial(_in_chunks, size, False)


def _even(weights: Tensor) -> bool:
    """Whether all weights are one, but for the rounding of the gradients that they are read off."""
    return not len(weights) or float(weights.max() - weights.min()) <= ADDS_UP * float(weights.abs().max())


def _in_chunks(size: int, averaged: bool, side: Side, at: Sample, _size: float) -> Tensor:
    flat = _flat(side, at)
    kept = side.targets.kept(flat.target)
    places = torch.arange(len(flat)).split(size)
    parts = [side.ask(flat.part(rows)) for rows in places if kept is None or bool(kept[rows].any())]
    total = torch.stack(parts).sum()
    return total / len(parts) if averaged else total


def _flat(side: Side, at: Sample) -> Sample:
    """Every position as a row of its own that has one."""
    shape = side.shape(at)
    single = (-1, *[1] * (len(shape) - 1))

    def laid(tensor: Tensor) -> Tensor:
        if tensor.shape[: len(shape)] != shape:
            raise ValueError("an extra has no positions")
        return tensor.reshape(*single, *tensor.shape[len(shape) :])

    extras = {name: laid(extra) for name, extra in at.extras.items()}
    return replace(at, output=laid(at.output), target=laid(at.target), extras=extras, rows=None)
