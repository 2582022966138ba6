"""Frames of pandas, polars and Arrow, and dicts of columns: read as pandas, with what is missing named or left out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.data.extras import optional
from mlnn.errors import ConfigError, DataError, unknown
from mlnn.visible import shown

WAYS = ("refuse", "drop")
"""What becomes of rows in which a value is missing."""


def check_way(key: str, way: object) -> bool:
    """Whether rows with missing values are to be dropped; ConfigError for what is no way."""
    if way not in WAYS:
        raise ConfigError(f"{key}: " + unknown("way", str(way), WAYS))
    return way == "drop"


def tabular(values: Any) -> Any:
    """A polars or Arrow table or column, or a dict of columns, as a pandas one; anything else as it is.

    Raises DataError for a lazy frame and columns that do not line up, ConfigError where pandas or pyarrow is not installed.
    """
    if isinstance(values, Mapping):
        return _of_columns(values)
    source = type(values).__module__.partition(".")[0]
    if source == "polars" and not hasattr(values, "to_arrow"):
        raise DataError(f"a polars {type(values).__name__} holds no rows yet; give .collect()")
    if source not in ("polars", "pyarrow"):
        return values
    optional("pandas", f"a {source} table")
    optional("pyarrow", f"a {source} table")
    name = getattr(values, "name", None)
    arrow = _without_categoricals(values).to_arrow() if source == "polars" else values
    if not hasattr(arrow, "to_pandas"):
        return values
    whole = not any(part.null_count for part in getattr(arrow, "columns", [arrow]))
    found = arrow.to_pandas() if whole else arrow.to_pandas(types_mapper=_nullable().get)
    return found.rename(name) if found.ndim == 1 else found


def _nullable() -> dict[Any, Any]:
    """Types of pandas that miss a value without becoming floats, where large whole numbers would become others."""
    pandas, arrow = optional("pandas", "a table"), optional("pyarrow", "a table")
    sizes = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
    whole = {getattr(arrow, size.lower())(): getattr(pandas, f"{size}Dtype")() for size in sizes}
    return {**whole, arrow.bool_(): pandas.BooleanDtype()}


def _without_categoricals(values: Any) -> Any:
    """A polars frame or series with its Categorical columns as text: their order is that in which levels came up, and says nothing.

    An Enum's order was chosen, and stays.
    """
    polars = optional("polars", "a polars table")
    if isinstance(values, polars.Series):
        return values.cast(polars.String) if values.dtype == polars.Categorical else values
    texts = [name for name, kind in values.schema.items() if kind == polars.Categorical]
    return values.with_columns(polars.col(texts).cast(polars.String)) if texts else values


def _of_columns(values: Mapping[Any, Any]) -> Any:
    pandas = optional("pandas", "a dict of columns")
    columns = {
        str(name): part.detach().cpu().numpy() if isinstance(part, Tensor) else tabular(part)
        for name, part in values.items()
    }
    try:
        return pandas.DataFrame(columns)
    except (ValueError, TypeError) as problem:
        first = str(problem).splitlines()[0]
        raise DataError(f"columns do not line up: {first}; every one needs a number for each row") from None


def frame_of(values: Any, what: str) -> Any:
    """A pandas frame with names that are text and each given once; DataError for anything else."""
    frame = tabular(values)
    if not isinstance(frame, optional("pandas", "a frame").DataFrame):
        raise DataError(
            f"{what}: a frame (pandas, polars, Arrow) or a dict of columns is needed, found {type(values).__name__}"
        )
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{what}: two columns are called '{shown(twice)}'; rename one")
    return frame


def missing(values: Any) -> np.ndarray:
    """Where an array, tensor, frame, series or list misses a value (None, NaN, NA, null, a masked entry), in its own shape."""
    if isinstance(values, Tensor):
        return (
            torch.isnan(values).cpu().numpy()
            if values.is_floating_point()
            else np.zeros(tuple(values.shape), dtype=bool)
        )
    if hasattr(values, "iloc"):
        return np.asarray(values.isna(), dtype=bool)
    if isinstance(values, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(values)
        return hidden | missing(values.data) if values.dtype.kind == "f" else hidden
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.dtype.kind == "f":
        return np.asarray(np.isnan(array))
    if array.dtype != object:
        return np.zeros(array.shape, dtype=bool)
    flat = [one is None or one is np.ma.masked or bool(one != one) for one in array.reshape(-1).tolist()]
    return np.array(flat, dtype=bool).reshape(array.shape)


def rows_of(values: Any, keep: np.ndarray) -> Any:
    """The rows of an array, tensor, frame, series or list for which `keep` (n,) is True."""
    if isinstance(values, Tensor):
        return values[torch.from_numpy(keep)]
    if hasattr(values, "iloc"):
        return values.loc[keep] if values.ndim == 1 else values.iloc[np.flatnonzero(keep)]
    kept = values[keep] if isinstance(values, np.ndarray) else np.asarray(values)[keep]
    if isinstance(kept, np.ma.MaskedArray):
        return np.asarray(kept.data)
    return np.array(kept.tolist()) if kept.dtype == object else kept


def place_missing(frame: Any, columns: list[str], way_on: str) -> DataError:
    """The error for the first missing value of some columns, by row (from 0) and column."""
    table = frame[columns].isna()
    row = int(np.argmax(table.any(axis=1).to_numpy()))
    column = columns[int(np.argmax(table.iloc[row].to_numpy()))]
    count = int(table.any(axis=1).sum())
    also = f" (the first of {count} such rows)" if count > 1 else ""
    return DataError(f"data: row {row}{also}, column '{shown(column)}' is missing; fill it, or {way_on}")


def told_dropped(dropped: int, rows: int) -> str:
    """What to say of rows that were left out."""
    return f"{dropped} of {rows} rows left out: a value that is used is missing there"
