"""Your own arrays as a `Dataset`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.arguments import first_line, shown
from mlnn.data.columns import check_exact
from mlnn.data.dataset import Dataset, check_tensor
from mlnn.data.frames import tabular
from mlnn.data.prepare import prepare
from mlnn.errors import DataError
from mlnn.targets import TargetSpace
from mlnn.world import plain_tensors

Array = Any
"""A tensor, a numpy array, a Series or table of pandas, polars or Arrow, or lists of numbers."""
IGNORED = -100
"""The label that the framework's cross-entropy leaves out unless told otherwise."""
DEEPEST = 32
"""Dimensions that a list of lists may have."""


def from_arrays(
    x: Array,
    y: Array,
    targets: str | TargetSpace | None = "binary",
    *,
    name: str = "data",
    held_out: float = 0.0,
    seed: int = 0,
    standardize: bool = False,
    extras: Mapping[str, Array] | None = None,
    column: bool = True,
) -> Dataset:
    """A `Dataset` from tensors, numpy arrays, frames and series (pandas, polars, Arrow), or lists, copied.

    `x` (n, *shape) is stored as float64, a 1-D one as one feature, (n, 1). A `y` of shape (n, 1) is squeezed to (n,): it would
    otherwise broadcast against a raw output (n,) to n × n; of another shape it is (n, *positions), or (n, *positions, m) for a
    space of several numbers. `column=False`: (n, 1) stays as rows of one position.
    `extras`: by name, what a loss takes beside output and target, (n, …) each. `targets=None` infers the space (see
    `infer_targets`). Rows are taken in the order given; two pandas objects must have the same index. Raises DataError for
    values that are not real numbers (text, dates, complex), masked or missing entries, whole numbers beyond 64 bits, sparse,
    quantized, nested or meta tensors, NaN or infinity, targets outside the space, a single class, or rows that do not line
    up; ConfigError for the other arguments.
    """
    check_aligned(name, x=x, y=y)
    with plain_tensors():
        inputs, labels = _tensor(x, f"{name}: x"), _tensor(y, f"{name}: y")
        if inputs.ndim == 1:
            inputs = inputs.unsqueeze(1)
        labels = _without_column(labels) if column else labels
        space = infer_targets(labels) if targets is None else TargetSpace.parse(targets)
        if space.event:
            labels = space.canonical(labels)
        more = {key: extra(part, f"{name}: extra '{key}'") for key, part in (extras or {}).items()}
        return prepare(name, inputs, labels, space, standardize=standardize, held_out=held_out, seed=seed, extras=more)


def _without_column(labels: Tensor) -> Tensor:
    return labels.squeeze(1) if labels.ndim == 2 and labels.shape[1] == 1 else labels


def as_targets(values: Array, what: str) -> Tensor:
    """Targets as a CPU tensor, int64 or float64, (n, 1) as (n,); raises DataError as `from_arrays`."""
    with plain_tensors():
        return _without_column(_tensor(values, what))


def extra(values: Array, what: str) -> Tensor:
    """An extra as a CPU tensor, int64 or float64, a mask as a mask; raises DataError as `from_arrays`."""
    is_mask = str(getattr(values, "dtype", "")) in ("bool", "torch.bool")
    return _tensor(values, what).bool() if is_mask else _tensor(values, what)


def check_aligned(name: str, **parts: Any) -> None:
    """Raise DataError for pandas parts (x=…, y=…) that carry different labels: matched by position they may be another's."""
    labelled = [(what, part) for what, part in parts.items() if hasattr(part, "iloc") and hasattr(part, "index")]
    for what, part in labelled[1:]:
        if not labelled[0][1].index.equals(part.index):
            raise DataError(
                f"{name}: the indexes of {labelled[0][0]} and {what} differ; align them, or give {what}.to_numpy()"
            )


def infer_targets(y: Tensor) -> TargetSpace:
    """The target space that values and dtype suggest.

    Only zeros and ones (or bool): binary. Integers that are exactly 0 … K−1, K > 2: classes(K). Anything else: real,
    which includes labels −1/+1 and integers with holes: name the space if that is not what they are. Raises DataError for
    labels with −100 among them, which mark positions to ignore: how many classes there are, only the caller knows.
    """
    values = torch.unique(y)
    if not y.is_floating_point() and bool((values == IGNORED).any()):
        raise DataError(
            f"targets: labels with {IGNORED} among them; say the space, e.g. targets='classes(50257, ignore={IGNORED})'"
        )
    if bool(((values == 0) | (values == 1)).all()):
        return TargetSpace("binary")
    if not y.is_floating_point() and torch.equal(values, torch.arange(len(values))):
        return TargetSpace("classes", len(values))
    return TargetSpace("real")


def _tensor(values: Array, what: str) -> Tensor:
    """A CPU tensor, int64 or float64: the dtypes that targets are inferred from and stored in."""
    if isinstance(values, Tensor) and values.dtype != torch.uint64:
        check_tensor(values, what)
        tensor = values.detach().cpu()
        if tensor.dtype == torch.int64:
            check_exact(tensor.numpy(), what)
        return tensor.to(torch.float64 if tensor.is_floating_point() else torch.int64)
    return _from_numpy(_array(values, what), what)


def _from_numpy(array: np.ndarray, what: str) -> Tensor:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} must hold numbers, found dtype {array.dtype}; encode text and dates as numbers first")
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{what} holds {array.max()}, a whole number beyond 2^63 − 1; scale it, or give it as a float")
    check_exact(array, what)
    # A copy: read-only, reversed and big-endian arrays are all in order for numpy and not for torch.
    with np.errstate(over="ignore"):
        copied = np.array(array, dtype=np.float64 if array.dtype.kind == "f" else np.int64, order="C", subok=False)
    if array.dtype.itemsize > copied.dtype.itemsize and bool((np.isfinite(array) & ~np.isfinite(copied)).any()):
        raise DataError(f"{what} holds numbers too large for float64, found dtype {array.dtype}; rescale them first")
    return torch.from_numpy(copied)


def _array(values: Array, what: str, depth: int = 0) -> np.ndarray:
    """Any array, or lists of them, as a numpy array that has lost nothing on the way: no mask, no missing value, no row."""
    if isinstance(values, Tensor):
        check_tensor(values, what)
        cpu = values.detach().cpu()
        return (cpu.to(torch.float64) if cpu.is_floating_point() else cpu).numpy()
    if isinstance(values, np.ma.MaskedArray):
        return _unmasked(values, what)
    values = values if isinstance(values, Mapping) else tabular(values)
    if type(values).__module__.partition(".")[0] == "pandas":
        return _from_pandas(values, what)
    if hasattr(values, "toarray") and not hasattr(values, "__array__"):
        raise DataError(f"{what} is a sparse {type(values).__name__}; give .toarray()")
    if isinstance(values, list | tuple):
        values = [_entry(part, what, depth + 1) for part in values]
    try:
        return np.asarray(values)
    except Exception as problem:  # ragged lists, and whatever an object's own conversion may raise
        raise DataError(f"{what} is not a rectangular array of numbers: {first_line(problem)}") from None


def _entry(part: Any, what: str, depth: int) -> Any:
    """An entry of a list: what is itself a list or an array may hide a mask, and is looked into; a number is not."""
    holds_more = isinstance(part, list | tuple) or (hasattr(part, "__array__") and not isinstance(part, np.generic))
    if depth > DEEPEST and holds_more:
        raise DataError(f"{what} is a list of lists more than {DEEPEST} deep; a rectangular array of numbers is needed")
    return _array(part, what, depth) if holds_more else part


def _unmasked(values: "np.ma.MaskedArray[Any, Any]", what: str) -> np.ndarray:
    mask = np.ma.getmaskarray(values)
    if mask.dtype.kind == "b" and mask.any():
        place = np.argwhere(mask)[0].tolist() if mask.ndim else []
        raise DataError(
            f"{what}: {int(mask.sum())} of {mask.size} entries are masked, the first at {place}; fill them, or drop their rows"
        )
    return np.asarray(values.data)


def _from_pandas(values: Any, what: str) -> np.ndarray:
    """A pandas Series, Index, array or DataFrame, column by column: nullable dtypes as their numbers, no missing value."""
    if getattr(values, "ndim", 0) == 2:
        columns = [
            _column(values.iloc[:, place], f"{what}, column {shown(str(name))}")
            for place, name in enumerate(values.columns)
        ]
        return np.stack(columns, axis=1) if columns else np.empty((len(values), 0))
    return _column(values, what)


def _column(values: Any, what: str) -> np.ndarray:
    try:
        missing = np.asarray(values.isna(), dtype=bool)
    except Exception:  # NA itself, a type, anything else that pandas has
        raise DataError(f"{what} must hold numbers, found {shown(values)}") from None
    if missing.any():
        raise DataError(
            f"{what}: row {int(missing.argmax())} is missing ({int(missing.sum())} such rows); remove or fill them first"
        )
    plain = getattr(values.dtype, "numpy_dtype", None)  # of a nullable dtype
    array = np.asarray(values if plain is None else values.to_numpy(dtype=plain))
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} must hold numbers, found dtype {values.dtype}; encode text and dates as numbers first")
    return array
