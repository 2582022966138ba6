"""The trace of a comparison: kept column by column in memory while it grows, and which columns a finished one holds."""

import re
from array import array
from collections.abc import Mapping

import numpy as np

Columns = Mapping[str, np.ndarray]
"""A finished trace: arrays by name, (steps,) each."""


class Trace:
    """Rows of numbers, name → int or float; a column is int64 where every entry was whole, else float64.

    8 bytes a number, in memory, so that no disk can lose it.
    """

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._whole: dict[str, bool] = {}

    def append(self, row: Mapping[str, float]) -> None:
        """Add one row; KeyError if its names are not those of the first row."""
        if not self._columns:
            self._columns = {name: array("d") for name in row}
            self._whole = dict.fromkeys(row, True)
        if row.keys() != self._columns.keys():
            raise KeyError(f"a row differs from the first in: {', '.join(sorted(row.keys() ^ self._columns.keys()))}")
        for name, value in row.items():
            self._columns[name].append(value)
            self._whole[name] &= isinstance(value, int | np.integer)

    def arrays(self) -> dict[str, np.ndarray]:
        """The columns by name, (rows,) each."""
        return {
            name: np.array(column, dtype=np.int64 if self._whole[name] else np.float64)
            for name, column in self._columns.items()
        }


def rows(trace: Columns) -> list[dict[str, float]]:
    """A finished trace's rows, in their order."""
    return [dict(zip(trace, row, strict=True)) for row in zip(*(c.tolist() for c in trace.values()), strict=True)]


def twins(trace: Columns, column: str) -> dict[str, str]:
    """dtype → column name, for each precision twin of `column` (`weight_gap_float64` is float64's)."""
    found = ((re.fullmatch(rf"{re.escape(column)}_(b?float\d+)", name), name) for name in trace)
    return {match[1]: name for match, name in found if match}


def null_twins(trace: Columns, column: str) -> list[str]:
    """Names of the columns of `column` that belong to null twins, in order."""
    return [name for name in trace if re.fullmatch(rf"{re.escape(column)}_null_\d+", name)]


def breaks(trace: Columns) -> dict[str, int]:
    """First step at which `left` or `right` is non-finite, for each side where that happens."""
    found = {}
    for side in ("left", "right"):
        bad = np.zeros(len(trace["step"]), dtype=bool)
        if f"loss_{side}" in trace:
            bad |= ~np.isfinite(trace[f"loss_{side}"])
        if f"non_finite_{side}" in trace:
            count = trace[f"non_finite_{side}"]
            bad |= np.isnan(count) | (count > 0)
        if bad.any():
            found[side] = int(trace["step"][int(bad.argmax())])
    return found
