"""The trace of a comparison while it grows: column by column in memory, 8 bytes a number, so that no disk can lose it."""

from array import array
from collections.abc import Mapping

import numpy as np


class Trace:
    """Rows of numbers, name → int or float; a column is int64 where every entry was whole, else float64."""

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


def rows(trace: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """A finished trace's rows, in their order."""
    return [dict(zip(trace, row, strict=True)) for row in zip(*(c.tolist() for c in trace.values()), strict=True)]
