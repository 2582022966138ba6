"""The data of a comparison: a data set, whole arrays, or batches as somebody's loader gives them."""

from typing import Any

import torch

from mlnn.arguments import mapping, shown, whole
from mlnn.data import Dataset, Stream, from_arrays, from_batches, from_steps
from mlnn.data.stream import are_batches, check_whole_batches
from mlnn.errors import DataError
from mlnn.objectives import Step
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe


def of_outputs(side: Any) -> bool:
    """Whether a side is a loss of raw outputs; a step of the user's own takes its batches as they come."""
    return side.rowwise if isinstance(side, LaneRecipe) else not isinstance(side, Step)


def data_of(
    data: Any, targets: str | TargetSpace | None, steps: int, batch_size: int | None, kept: list[bool]
) -> Dataset | Stream:
    """The data of a comparison; raises DataError for anything but a Dataset, whole arrays, or batches.

    `kept`: per side, whether it takes the batches of a loader as they came.
    """
    if isinstance(data, Dataset | Stream):
        return data
    if are_batches(data) or (all(kept) and isinstance(data, list) and len(data) not in (2, 3)):
        check_whole_batches(batch_size)
        if all(kept) and targets is None:
            return from_steps(data, whole("steps", steps, 1))
        return from_batches(data, whole("steps", steps, 1), targets, keep=any(kept))
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        return from_arrays(
            data[0], data[1], targets=targets, extras=mapping("data: the third part", *data[2:] or (None,))
        )
    found = f"{len(data)} items" if isinstance(data, tuple | list) else shown(data)
    hint = "; a TensorDataset has them as its .tensors" if isinstance(data, torch.utils.data.TensorDataset) else ""
    raise DataError(f"data: a Dataset or a pair (x, y) of whole arrays is needed, found {found}{hint}")
