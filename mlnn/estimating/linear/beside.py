"""What stands beside the rows of a design: their weights and their offset, checked; equal targets as one row with a weight."""

from typing import Any

import torch
from torch import Tensor

from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.reading import view

MANY, FEW_TARGETS = 2**15, 64
"""Rows, and different targets, from which and up to which a model without features is fitted to the targets counted."""


def weights_of(weights: Any, rows: int) -> Tensor | None:
    """How many rows each row stands for (n,), float64; None: each for itself. Raises DataError for what is no weight."""
    if weights is None:
        return None
    counts = view(weights, "weights").double()
    if counts.shape != (rows,):
        raise DataError(f"weights: must be ({rows},), one per row, found shape {tuple(counts.shape)}")
    wrong = ~(torch.isfinite(counts) & (counts >= 0))
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise DataError(f"weights: row {row} holds {counts[row].item()}; a weight says how many rows a row stands for")
    if not bool((counts > 0).any()):
        raise DataError("weights: all are 0, so no row counts")
    return counts


def offset_of(offset: Any, rows: int, family: Family) -> Tensor | None:
    """What is added to the first raw output of every row (n,), float64; None where nothing is."""
    if offset is None:
        return None
    if family.space.labels and family.likelihood.constant_after is None:  # labels in an order have one location
        raise ConfigError("offset: classes have a raw output each, and one number added to all of them changes nothing")
    found = view(offset, "offset").double()
    if found.shape != (rows,):
        raise DataError(f"offset: must be ({rows},), one per row, found shape {tuple(found.shape)}")
    wrong = ~torch.isfinite(found)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise DataError(
            f"offset: row {row} holds {found[row].item()}; of an exposure it is the log, and that is above 0"
        )
    return found


def counted(y: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The different targets of many rows and the weight of each; y and weights as they are where the targets are many too."""
    if len(y) < MANY:
        return y, weights
    values = torch.unique(y[:MANY])
    if len(values) > FEW_TARGETS:
        return y, weights
    same = [y == value for value in values]
    if sum(int(rows.sum()) for rows in same) < len(y):
        return y, weights
    counts = [rows.sum() if weights is None else weights[rows].sum() for rows in same]
    return values, torch.stack(counts).double()
