"""JSON: a record a line, a list of records, or the trainer_state.json of Hugging Face's Trainer, whose log_history is one.

Bare NaN and Infinity, which are no JSON but are written, are read as such; nested records become names with a slash.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mlnn.errors import DataError
from mlnn.logs.cells import number, seconds, step_name, time_name, whole
from mlnn.logs.log import Limits, Log, Points
from mlnn.logs.text import Lines
from mlnn.received import chunks
from mlnn.visible import shown

DEEPEST = 8
HISTORY = "log_history"
LINES, TRAINER, LIST = "JSON lines", "trainer_state.json", "JSON"


def is_json(head: bytes) -> bool:
    """Whether a file that begins like this could hold records."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def read_json(file: BinaryIO, path: Path, limits: Limits, step: str | None) -> Log:
    """The series of an open file; `step`: the name of the field of steps, None: the usual ones."""
    first = next(iter(Lines(file, path)), "")
    alone = not file.read(1)
    file.seek(0)
    points = Points(path, limits)
    rows = _Rows(points, step)
    found = _parsed(first)
    if isinstance(found, dict) and not (alone and HISTORY in found):
        _read_lines(file, rows)
        return rows.told(LINES)
    whole_file = _document(b"".join(chunks(file)), path)
    kind = TRAINER if isinstance(whole_file, dict) else LIST
    history = whole_file.get(HISTORY) if isinstance(whole_file, dict) else whole_file
    if not isinstance(history, list):
        raise DataError(
            f"{shown(path, 200)}: a list of records, or an object with '{HISTORY}', is read; it holds neither"
        )
    for place, row in enumerate(history, 1):
        if not isinstance(row, dict):
            raise DataError(f"{shown(path, 200)}: entry {place:,} of its records is no object")
        rows.add(row, f"entry {place:,}")
    if kind == TRAINER:
        points.notes += _trainer(whole_file)
    return rows.told(kind)


def _trainer(state: Mapping[str, Any]) -> list[str]:
    every = state.get("logging_steps")
    steps = f"{shown(every)} steps (logging_steps)" if isinstance(every, int) else "logging_steps steps"
    return [
        f"its loss is a mean over {steps}; unless logging_nan_inf_filter was off, a loss that was not"
        " finite is hidden in it."
    ]


def _read_lines(file: BinaryIO, rows: "_Rows") -> None:
    lines = Lines(file, rows.points.path)
    for line in lines:
        if not line.strip():
            continue
        found = _parsed(line)
        if isinstance(found, dict):
            rows.add(found, f"line {lines.number:,}")
        elif lines.torn:
            rows.points.notes.append(f"its last line, {lines.number:,}, is cut off and is left out.")
        else:
            raise lines.wrong("is no JSON object")


def _parsed(text: str) -> Any:
    """What a text is in JSON; None where it is none, or nested too deep."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _document(content: bytes, path: Path) -> Any:
    try:
        return json.loads(content)
    except json.JSONDecodeError as problem:
        raise DataError(f"{shown(path, 200)}: is no JSON: line {problem.lineno:,}: {problem.msg}") from None
    except RecursionError:
        raise DataError(f"{shown(path, 200)}: is nested too deep") from None
    except ValueError as problem:
        raise DataError(f"{shown(path, 200)}: is no JSON: {shown(problem)}") from None


class _Rows:
    """Records, one after another, as points; how many had no step."""

    def __init__(self, points: Points, step: str | None) -> None:
        self.points, self._asked, self._stepless, self._count = points, step, 0, 0
        self._step: str | None = None

    def add(self, row: dict[str, Any], where: str) -> None:
        """The points of one record; DataError, saying `where`, for a step that is no whole number."""
        self._count += 1
        name = self._name(row)
        cell = row.get(name) if name is not None else None
        try:
            step = whole(cell)
        except ValueError:
            found = f"{where} has {shown(cell)} for '{shown(name)}'"
            raise DataError(f"{shown(self.points.path, 200)}: {found}; a step is a whole number") from None
        if step is None:
            self._stepless += 1
            return
        time = time_name(row)
        wall = math.nan if time is None else seconds(row[time])
        for key, value in _flat(row):
            if key not in (name, time):
                self.points.add(key, step, value, wall)

    def told(self, kind: str) -> Log:
        """The finished log; DataError where no record has a step."""
        path = self.points.path
        if self._stepless == self._count:
            wanted = (
                f"'{shown(self._asked)}'" if self._asked is not None else "step, global_step, _step, iteration, epoch"
            )
            raise DataError(
                f"{shown(path, 200)}: none of its {self._count:,} records has a step ({wanted}); step=… names it"
            )
        if self._stepless:
            self.points.notes.append(f"{self._stepless:,} records without a step are left out.")
        return self.points.log(kind)

    def _name(self, row: dict[str, Any]) -> str | None:
        """The field of the step: that of the first record that had one."""
        if self._asked is not None:
            return self._asked
        if self._step is None:
            self._step = step_name(row, None)
        return self._step


def _flat(row: Mapping[str, Any], above: str = "", depth: int = 0) -> Iterator[tuple[str, float]]:
    """(name, number) of what a record holds; texts, lists and what lies deeper than any log is passed over."""
    for key, value in row.items():
        if isinstance(value, dict):
            if depth < DEEPEST:
                yield from _flat(value, f"{above}{key}/", depth + 1)
            continue
        try:
            found = number(value)
        except ValueError:
            continue
        if found is not None:
            yield f"{above}{key}", found
