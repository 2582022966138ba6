"""The trace of a comparison: kept column by column in memory while it grows, and which columns a finished one holds."""

import math
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Columns = Mapping[str, np.ndarray]
"""A finished trace: arrays by name, (rows,) each."""
SIDES = ("left", "right")


class Trace:
    """Rows of numbers, name → int or float; a column is int64 where every entry was whole, else float64.

    8 bytes a number, in memory, so that no disk can lose it. With `every` one row is kept of so many steps, the first and the last
    among them, and the first of a side that is not finite: its step and its losses are its own, and all else, gaps and counts, is
    the largest since the row before, so that no jump is lost. `kept` is called with each row once it is kept.
    """

    REMADE = ("_columns",)
    """What is no part of a state that is kept: the rows lie on the disk one by one."""

    def __init__(self, every: int = 1, kept: Callable[[Mapping[str, float]], None] | None = None) -> None:
        self.every, self._kept = every, kept
        self._columns: dict[str, array[float]] = {}
        self._whole: dict[str, bool] = {}
        self._waiting: Mapping[str, float] = {}
        self._due: float = 0
        self._broken: frozenset[str] = frozenset()

    def append(self, row: Mapping[str, float]) -> None:
        """Add one row; KeyError if its names are not those of the first row."""
        if not self._columns:
            self._columns = {name: array("d") for name in row}
            self._whole = dict.fromkeys(row, True)
        if row.keys() != self._columns.keys():
            raise KeyError(f"a row differs from the first in: {', '.join(sorted(row.keys() ^ self._columns.keys()))}")
        if self.every == 1:
            self._keep(row)
            return
        self._waiting = {name: _larger(name, self._waiting.get(name, math.nan), value) for name, value in row.items()}
        broken = frozenset(side for side in SIDES if bool(_bad(row, side)))
        if row["step"] >= self._due or broken - self._broken:
            self._due = (row["step"] // self.every + 1) * self.every
            self._broken |= broken
            self._keep_waiting()

    def put_back(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Hold these rows, which were kept before, and no others; nobody is called with them."""
        self._columns = {name: array("d", (row[name] for row in rows)) for name in self._whole}

    def _keep_waiting(self) -> None:
        """Keep the row that stands for the steps since the last one that was kept."""
        self._keep(self._waiting)
        self._waiting = {}

    def _keep(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            self._columns[name].append(value)
            self._whole[name] &= isinstance(value, int | np.integer)
        if self._kept is not None:
            self._kept(row)

    def arrays(self) -> dict[str, np.ndarray]:
        """The columns by name, (rows,) each; what was added last is their last row."""
        if self._waiting:
            self._keep_waiting()
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
    for side in SIDES:
        bad = _bad(trace, side)
        if bad.any():
            found[side] = int(trace["step"][int(bad.argmax())])
    return found


def _bad(trace: Mapping[str, Any], side: str) -> np.ndarray:
    """Whether a side's loss or gradient is not finite, by row of a trace; of one row, whether it is."""
    bad = np.zeros(np.shape(trace["step"]), dtype=bool)
    if f"loss_{side}" in trace:
        bad = bad | ~np.isfinite(trace[f"loss_{side}"])
    if f"non_finite_{side}" in trace:
        count = trace[f"non_finite_{side}"]
        bad = bad | np.isnan(count) | (count > 0)
    return bad


def _larger(name: str, before: float, value: float) -> float:
    """A column's entry once a step has joined those before it; NaN, which was not measured, hides no number."""
    if name == "step" or name.startswith("loss_"):
        return value
    return before if before > value or math.isnan(value) else value
