"""One column of a table as numbers, or the first row that is not one."""

from typing import Any

import numpy as np

from mlnn.errors import DataError
from mlnn.visible import shown


def to_numbers(series: Any) -> np.ndarray:
    """A pandas column as float64 (n,), NaN where a cell is missing or not a number. True and False are 1 and 0."""
    import pandas

    if series.dtype.kind in "biuf":
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    # Dates, durations and complex numbers would be converted, silently, to something that was never measured.
    if series.dtype.kind in "mMc":
        return np.full(len(series), np.nan)
    numbers = pandas.to_numeric(series.astype(object), errors="coerce")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def finite_numbers(series: Any, file: str) -> np.ndarray:
    """A pandas column as finite float64 (n,); raises DataError naming column and row of the first that is not."""
    values = to_numbers(series)
    bad = ~np.isfinite(values)
    if not bad.any():
        return values
    row = int(np.argmax(bad))
    if series.isna().iloc[row]:
        sentence = "is missing; fill it or drop the row"
    elif np.isnan(values[row]):
        sentence = f"is {shown(repr(series.iloc[row]))}, not a number; correct it, encode the column as numbers, or leave it out"
    else:
        sentence = f"is {values[row]}; correct it or drop the row"
    raise bad_cell(series, bad, file, sentence)


def bad_cell(series: Any, bad: np.ndarray, file: str, sentence: str) -> DataError:
    """The error for the first True of `bad` (n,), naming file, row (from 1, after the header) and column."""
    row, count = int(np.argmax(bad)) + 1, int(bad.sum())
    also = f" (the first of {count} such rows)" if count > 1 else ""
    return DataError(f"{file}: row {row} after the header{also}, column '{shown(series.name)}' {sentence}")
