"""CSV with a step column: Lightning's metrics.csv, what W&B, MLflow and TensorBoard export, what Keras writes.

Wide, a column a series; or long, a row a point: a column `value` and one that names the series (`metric`, `key`, `tag`).
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from mlnn.errors import DataError
from mlnn.logs.cells import LARGEST, number, seconds, step_name, time_name, whole
from mlnn.logs.log import Limits, Log, Points
from mlnn.logs.text import Lines
from mlnn.visible import shown

KIND = "CSV"
_SERIES, _RUN = ("metric", "key", "tag", "metric_name"), ("run", "run_id", "run id", "run_name", "run name")


def is_csv(line: str, step: str | None) -> bool:
    """Whether a file whose first line this is has a column of steps, and another one."""
    names = _header(line)
    return len(names) > 1 and (step in names or step_name(names, None) is not None)


def read_csv(file: BinaryIO, path: Path, limits: Limits, step: str | None) -> Log:
    """The series of an open file; `step`: the name of the column of steps, None: the usual ones. Blank cells are no points."""
    lines, points = Lines(file, path), Points(path, limits)
    names = _header(next(iter(lines), ""))
    if len(names) > limits.series:
        raise limits.exceeded("series", path)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise lines.wrong(f"names the column '{shown(repeated[0])}' twice")
    columns = _Columns(names, step)
    try:
        for row in _rows(lines, names, points):
            columns.add(row, points, lines)
    except csv.Error as problem:
        raise lines.wrong(f"cannot be read as CSV: {problem}") from None
    return _told(columns, points)


def _header(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _rows(lines: Lines, names: list[str], points: Points) -> Iterator[list[str]]:
    """Rows of as many cells as the header has names. A header once more, as of logs joined end to end, is passed over."""
    for row in csv.reader(lines):
        if len(row) == len(names):
            if row != names:
                yield row
        elif row and lines.torn and len(row) < len(names):
            points.notes.append(f"its last line, {lines.number:,}, is cut off and is left out.")
            return
        elif row:
            raise lines.wrong(f"has {len(row):,} cells; the header names {len(names):,}")
    if lines.torn:
        points.notes.append("its last line has no line break: a last number may be cut off.")


class _Columns:
    """What each column of a table is for, and what was passed over."""

    def __init__(self, names: Sequence[str], step: str | None) -> None:
        small = [name.strip().lower() for name in names]
        self.names = names
        self.step = names.index(step_name(names, step) or names[0])
        wall = time_name(names)
        self.wall = None if wall is None or wall == names[self.step] else names.index(wall)
        self.value = small.index("value") if "value" in small else None
        self.series = next((small.index(word) for word in _SERIES if word in small), None)
        self.run = next((small.index(word) for word in _RUN if word in small), None)
        self.others = [at for at in range(len(names)) if at not in (self.step, self.wall)]
        self.stepless, self.largest, self.text, self.read = 0, 0, Counter[int](), Counter[int]()

    def add(self, row: list[str], points: Points, lines: Lines) -> None:
        """The points of one row."""
        try:
            step = whole(row[self.step])
        except ValueError:
            where = f"column '{shown(self.names[self.step])}'"
            raise lines.wrong(f"has '{shown(row[self.step])}' in {where}; a step is a whole number") from None
        if step is None:
            self.stepless += 1
            return
        wall = math.nan if self.wall is None else seconds(row[self.wall])
        if self.value is not None and self.series is not None:
            run = row[self.run] + " " if self.run is not None else ""
            self._point(run + row[self.series], self.value, row, step, wall, points)
            return
        for at in self.others:
            if row[at]:
                self._point(self.names[at], at, row, step, wall, points)

    def _point(self, name: str, at: int, row: list[str], step: int, wall: float, points: Points) -> None:
        try:
            found = number(row[at])
        except ValueError:
            self.text[at] += 1
            return
        if found is None:
            return
        if abs(found) == LARGEST:
            found, self.largest = math.copysign(math.inf, found), self.largest + 1
        self.read[at] += 1
        points.add(name, step, found, wall)


def _told(columns: _Columns, points: Points) -> Log:
    """The finished log, with a note about all that was passed over."""
    if columns.stepless:
        points.notes.append(f"{columns.stepless:,} rows without a step are left out.")
    if columns.largest:
        points.notes.append(f"1.797e308, as MLflow writes an infinity, is read as one, {columns.largest:,} times.")
    points.notes += [
        f"column '{shown(columns.names[at])}' has {count:,} cells that are no numbers; they are left out."
        for at, count in columns.text.items()
        if columns.read[at]
    ]
    try:
        return points.log(KIND)
    except DataError:
        kept = ", ".join(f"'{shown(columns.names[at])}'" for at in columns.others[:8]) or "none"
        raise DataError(f"{shown(points.path, 200)}: no column beside the step holds numbers; found {kept}") from None
