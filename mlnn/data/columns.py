"""One column of a table as numbers, or the first row that is not one."""

from typing import Any

import numpy as np

from mlnn.errors import DataError
from mlnn.visible import shown

EXACT = 2**53
"""Up to here every whole number is a float64; beyond, neighbours become one."""


def inexact(values: np.ndarray) -> np.ndarray:
    """Where a whole number of an integer array is not kept by float64, as booleans of its shape."""
    far = (values > EXACT) | (values < -EXACT) if values.dtype.kind in "iu" else np.zeros(values.shape, dtype=bool)
    where = np.flatnonzero(far.reshape(-1))
    flat = far.reshape(-1).copy()
    flat[where] = [int(float(value)) != value for value in values.reshape(-1)[where].tolist()]
    return flat.reshape(values.shape)


def check_exact(values: np.ndarray, what: str) -> None:
    """Raise DataError for the first whole number that float64 would change."""
    if values.dtype.kind not in "iu" or not values.size or (values.min() >= -EXACT and values.max() <= EXACT):
        return
    lost = inexact(values)
    if lost.any():
        place = np.argwhere(lost)[0].tolist()
        where = (
            (f"row {place[0]}" + f", column {','.join(map(str, place[1:]))}" * (len(place) > 1))
            if place
            else "the entry"
        )
        raise DataError(
            f"{what}: {where} holds {values[tuple(place)]}, a whole number beyond 2^53 that float64 cannot hold"
            f" ({int(lost.sum())} such entries); leave an identifier out, or scale it"
        )


def to_numbers(series: Any) -> np.ndarray:
    """A pandas column as float64 (n,), NaN where a cell is missing or not a number. True and False are 1 and 0."""
    import pandas

    if series.dtype.kind in "biuf":
        measured: np.ndarray = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return measured
    # Dates, durations and complex numbers would be converted, silently, to something that was never measured.
    if series.dtype.kind in "mMc":
        return np.full(len(series), np.nan)
    read = pandas.to_numeric(series.astype(object), errors="coerce")
    numbers: np.ndarray = read.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def finite_numbers(series: Any, file: str) -> np.ndarray:
    """A pandas column as finite float64 (n,); raises DataError naming column and row of the first that is not."""
    values = to_numbers(series)
    bad = ~np.isfinite(values)
    if not bad.any():
        lost = _changed(series, values)
        if lost.any():
            told = f"is {shown(str(series.iloc[int(np.argmax(lost))]))}, a whole number beyond 2^53 that float64 cannot hold"
            raise bad_cell(series, lost, file, f"{told}; leave an identifier out, or scale it")
        return values
    row = int(np.argmax(bad))
    if series.isna().iloc[row]:
        sentence = "is missing; fill it, or leave such rows out: data.missing=drop"
    elif np.isnan(values[row]):
        sentence = f"is {shown(repr(series.iloc[row]))}, not a number; correct it, encode the column as numbers, or leave it out"
    else:
        sentence = f"is {values[row]}; correct it or drop the row"
    raise bad_cell(series, bad, file, sentence)


def _changed(series: Any, values: np.ndarray) -> np.ndarray:
    """Where a column's whole numbers, as dtype or as text, are others as float64."""
    if series.dtype.kind in "iu":
        return inexact(series.to_numpy(dtype=getattr(series.dtype, "numpy_dtype", series.dtype)))
    far = np.flatnonzero(np.abs(values) > EXACT) if series.dtype.kind not in "bf" else np.empty(0, dtype=int)
    lost = np.zeros(len(values), dtype=bool)
    for place in far:
        text = str(series.iloc[place]).strip()
        lost[place] = text.lstrip("+-").isdecimal() and int(text) != int(values[place])
    return lost


def bad_cell(series: Any, bad: np.ndarray, file: str, sentence: str) -> DataError:
    """The error for the first True of `bad` (n,), naming file, row (from 1, after the header) and column."""
    row, count = int(series.index[int(np.argmax(bad))]) + 1, int(bad.sum())
    also = f" (the first of {count} such rows)" if count > 1 else ""
    return DataError(f"{file}: row {row} after the header{also}, column '{shown(series.name)}' {sentence}")
