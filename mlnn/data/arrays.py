"""Your own arrays as a `Dataset`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.data.dataset import Dataset
from mlnn.data.prepare import prepare
from mlnn.errors import DataError
from mlnn.targets import TargetSpace

Array = Tensor | np.ndarray | Sequence[Any]


def from_arrays(
    x: Array,
    y: Array,
    targets: str | TargetSpace | None = "binary",
    *,
    name: str = "data",
    held_out: float = 0.0,
    seed: int = 0,
    standardize: bool = False,
) -> Dataset:
    """A `Dataset` from tensors, numpy arrays or lists, copied; `x` (n, *shape) is stored as float64.

    A 1-D `x` is read as one feature, (n, 1). A `y` of shape (n, 1) is squeezed to (n,): it would otherwise broadcast
    against a raw output (n,) to n × n. `targets=None` infers the space (see `infer_targets`). Raises DataError for
    values that are not numbers, NaN or infinity, targets outside the space, a single class, or rows that do not line
    up.
    """
    inputs, labels = _tensor(x, f"{name}: x"), _tensor(y, f"{name}: y")
    if inputs.ndim == 1:
        inputs = inputs.unsqueeze(1)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels.squeeze(1)
    space = infer_targets(labels) if targets is None else TargetSpace.parse(targets)
    return prepare(name, inputs, labels, space, standardize=standardize, held_out=held_out, seed=seed)


def infer_targets(y: Tensor) -> TargetSpace:
    """The target space that values and dtype suggest.

    Only zeros and ones (or bool): binary. Integers that are exactly 0 … K−1, K > 2: classes(K). Anything else: real,
    which includes labels −1/+1 and integers with holes: name the space if that is not what they are.
    """
    values = y.unique()
    if bool(((values == 0) | (values == 1)).all()):
        return TargetSpace("binary")
    if not y.is_floating_point() and torch.equal(values, torch.arange(len(values))):
        return TargetSpace("classes", len(values))
    return TargetSpace("real")


def _tensor(values: Array, what: str) -> Tensor:
    """A CPU tensor, int64 or float64: the dtypes that targets are inferred from and stored in."""
    if isinstance(values, Tensor):
        tensor = values.detach().cpu()
    else:
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise DataError(f"{what} is not a rectangular array of numbers: {error}") from error
        if array.dtype.kind not in "biuf":
            raise DataError(
                f"{what} must hold numbers, found dtype {array.dtype}; encode text and dates as numbers first"
            )
        # A copy: read-only, reversed and big-endian arrays are all in order for numpy and not for torch.
        tensor = torch.from_numpy(np.array(array, dtype=np.float64 if array.dtype.kind == "f" else np.int64, order="C"))
    if tensor.is_complex():
        raise DataError(f"{what} must hold real numbers, found dtype {tensor.dtype}")
    return tensor.to(torch.float64 if tensor.is_floating_point() else torch.int64)
