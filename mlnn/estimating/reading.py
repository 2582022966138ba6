"""What somebody hands in, read as it was meant or refused: numbers in a tensor, a whole number for a setting."""

import warnings
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.data.columns import check_exact
from mlnn.data.frames import missing
from mlnn.errors import ConfigError, DataError

NESTING = 4
"""Of lists, in which a masked entry is looked for."""


def whole(key: str, value: Any, least: int | None = None) -> int:
    """`value` as an int; ConfigError unless it is a whole number (numpy's too; no bool, no text), `least` or more."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ConfigError(f"{key}: must be a whole number, found {value!r}")
    if least is not None and value < least:
        raise ConfigError(f"{key}: at least {least} is needed, found {value!r}")
    return int(value)


def view(values: Any, what: str) -> Tensor:
    """A CPU tensor over the caller's own numbers wherever torch can read them in place; DataError if not numbers.

    Masked entries are refused by their row and column: a mask that was forgotten would let in what it hides.
    """
    tensor = _dense(values, what) if isinstance(values, Tensor) else _array(values, what)
    if tensor.is_complex() or tensor.ndim == 0:
        raise DataError(f"{what} must be rows of real numbers, found {tensor.dtype} of shape {tuple(tensor.shape)}")
    if tensor.dtype == torch.int64:
        check_exact(tensor.numpy(), what)
    tensor = tensor.double() if tensor.dtype in (torch.uint16, torch.uint32, torch.uint64) else tensor
    return own(tensor)


def own(tensor: Tensor) -> Tensor:
    """The same numbers, copied where they were made in inference mode: no gradient passes through such a tensor."""
    return tensor.clone() if tensor.is_inference() else tensor


def _dense(values: Tensor, what: str) -> Tensor:
    how = ""
    if values.is_nested:
        how = "a nested tensor, rows of different lengths; give one rectangular tensor"
    elif values.layout != torch.strided:
        how = f"a sparse tensor ({values.layout}); give a dense one: {what}.to_dense()"
    elif values.is_quantized:
        how = f"a quantized tensor ({values.dtype}); give {what}.dequantize()"
    elif values.device.type == "meta":
        how = "a tensor on the meta device, which holds no numbers; give one with values"
    if how:
        raise DataError(f"{what} is {how}")
    return values.detach().cpu()


def _array(values: Any, what: str) -> Tensor:
    if hasattr(values, "toarray") and not hasattr(values, "__array__"):
        raise DataError(f"{what} is a sparse matrix ({type(values).__name__}); give a dense one: {what}.toarray()")
    _check_mask(values, what)
    try:
        array = np.asarray(_numbers(values))
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise DataError(f"{what} is not a rectangular array of numbers: {str(error).splitlines()[0]}") from error
    if array.dtype == object and (lost := missing(array)).any():
        raise DataError(_lost(what, np.argwhere(lost)[0].tolist()))
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} must hold numbers, found dtype {array.dtype}; encode text and dates first")
    check_exact(array, what)
    return _viewed(array)


def _lost(what: str, at: list[int]) -> str:
    where = f"row {at[0]}" + "".join(f", column {place}" for place in at[1:2])
    return f"{what} must hold numbers, and {where} is missing; fill it, or leave such rows out with missing='drop'"


def _viewed(array: np.ndarray) -> Tensor:
    """A tensor over the array's own numbers, or over a copy of those that torch cannot read in place."""
    odd = not array.dtype.isnative or any(step < 0 for step in array.strides) or array.dtype.itemsize > 8
    if odd or (array.dtype.kind == "u" and array.dtype.itemsize > 1):  # torch has few operations for wide unsigned ones
        array = np.array(array, dtype=np.float64, order="C")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a read-only array: nothing here writes to it
        return torch.from_numpy(array)


def _check_mask(values: Any, what: str, at: tuple[int, ...] = ()) -> None:
    """Raise DataError for the first masked entry of a masked array, or of lists that hold one."""
    if values is np.ma.masked:
        raise DataError(_masked(what, at))
    if isinstance(values, np.ma.MaskedArray):
        hidden = np.argwhere(np.ma.getmaskarray(values))
        if len(hidden):
            raise DataError(_masked(what, (*at, *hidden[0].tolist())))
    elif isinstance(values, list | tuple) and len(at) < NESTING:
        for place, one in enumerate(values):
            if isinstance(one, list | tuple | np.ma.MaskedArray):
                _check_mask(one, what, (*at, place))


def _masked(what: str, at: tuple[int, ...]) -> str:
    where = [f"row {at[0]}"] if at else []
    where += [f"column {','.join(map(str, at[1:]))}"] if at[1:] else []
    return f"{what}: {', '.join(where) or 'the entry'} is masked; leave masked rows out, or fill them first"


def _numbers(values: Any) -> Any:
    """A pandas table of numbers whose columns numpy would make objects of (bool beside float, Int64) as float64, NA as NaN."""
    if not hasattr(values, "iloc"):
        return values
    kinds = {dtype.kind for dtype in (values.dtypes if values.ndim == 2 else [values.dtype])}
    boxed = kinds <= set("biuf") and np.asarray(values).dtype == object
    return values.to_numpy(dtype=np.float64, na_value=np.nan) if boxed else values
