"""A sweep or a growth read back as one pandas frame: a row a job, those that failed among them, every column of one type."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlnn.errors import ConfigError, RunFolderError
from mlnn.runs.files import csv_text
from mlnn.runs.jobs import FAILED, NEVER_RAN, JobRow, read_row
from mlnn.runs.reading import damage, read_table
from mlnn.runs.study import read_study
from mlnn.visible import shown

if TYPE_CHECKING:
    import pandas

SWEEP_TABLE = "sweep.csv"
TABLES = {"growth.csv": "cells", "seeds.csv": "seeds"}
"""The table of a study of cells, and the folder that these lie in."""
WORDS = frozenset({"job", "status", "relation", "error", "model", "sentence", "kind", "likelihood"})
"""Columns that are text whatever stands in them."""
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_REAL = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan)")
_CUT = 4000
"""Bytes at the end of a log that are looked through for the last line."""


def load(folder: Path | str) -> "pandas.DataFrame":
    """The table of a sweep (`-m`), a growth or `seeds=` in `folder`, a row a job or cell.

    Jobs that failed, or are not there yet, are rows too, with `status` and `error`; what a row lacks is missing (NaN, NA, None).
    Columns are int64 (Int64 where some are missing), float64, bool (boolean) or text, each found from all of its values; those of
    relations, names and errors are text. Gaps are as in the table of the command (README), losses in nats per row.

    Raises RunFolderError where no sweep or growth lies there, or it has changed since it was sealed; ConfigError without pandas.
    """
    path = Path(folder)
    if "\0" in str(path) or not path.is_dir():
        raise RunFolderError(f"{shown(str(path), 300)}: no folder here")
    if (path / "checksums.json").exists() and (problem := damage(path)) is not None:
        raise RunFolderError(problem)
    if not (path / "study.json").is_file():
        raise RunFolderError(f"{path}: holds no sweep, growth or seeds=; mlnn.runs.read_run reads a single run")
    return frame(_rows(path))


def frame(rows: Sequence[Mapping[str, object]]) -> "pandas.DataFrame":
    """Rows by column as a frame with typed columns; ConfigError without pandas."""
    try:
        import pandas
    except ImportError:
        raise ConfigError("mlnn.load: needs pandas; pip install 'mlnn[data]'") from None
    names = list(dict.fromkeys(key for row in rows for key in row))
    columns: dict[str, Any] = {}
    for name in names:
        kind, values = typed(name, [_text(row.get(name)) for row in rows])
        columns[name] = pandas.Series(values, dtype=kind)
    return pandas.DataFrame(columns)


def typed(name: str, cells: Sequence[str]) -> tuple[str, list[Any]]:
    """(pandas dtype, values) of a column of text; an empty cell is missing."""
    said = [cell for cell in cells if cell]
    gaps = len(said) < len(cells)
    if name in WORDS or not said:
        kind = "str" if name in WORDS else "float64"
        return kind, [cell or None for cell in cells]
    if all(cell in ("True", "False", "true", "false") for cell in said):
        return "boolean" if gaps else "bool", [cell.lower() == "true" if cell else None for cell in cells]
    if all(_WHOLE.fullmatch(cell) for cell in said):
        return "Int64" if gaps else "int64", [int(cell) if cell else None for cell in cells]
    if all(_REAL.fullmatch(cell) for cell in said):
        return "float64", [float(cell) if cell else None for cell in cells]
    return "str", [cell or None for cell in cells]


def _text(value: object) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _rows(path: Path) -> list[dict[str, object]]:
    cells = read_study(path)["of"]["cells"]
    for table, below in TABLES.items():
        if (path / below).is_dir() or (path / table).is_file():
            return _cells(path, table, below, cells)
    return job_rows(path, list(cells))


def job_rows(path: Path, names: Sequence[str]) -> list[dict[str, object]]:
    """The table of a sweep from the rows of its jobs; from the file, where an earlier mlnn wrote rows that hold less."""
    found = [(name, read_row(path, name)) for name in names]
    if any(row is not None and row.tries and not row.swept for _, row in found) and (path / SWEEP_TABLE).is_file():
        return [dict(row) for row in read_table(path / SWEEP_TABLE)]
    return [(row or JobRow(error=_lost(path / f"{name}.json"))).told(name) for name, row in found]


def _lost(path: Path) -> str:
    """Why there is no row of a job."""
    return "its row is damaged" if os.path.lexists(path) else NEVER_RAN


def _cells(path: Path, table: str, below: str, cells: Mapping[str, Any]) -> list[dict[str, object]]:
    """Those of the table, and those that are not in it."""
    told = read_table(path / table) if (path / table).is_file() else []
    there = {f"{row.get('model')}-seed{row.get('seed')}" for row in told}
    rows: list[dict[str, object]] = [{**row, "status": "done", "error": ""} for row in told]
    for name, settings in cells.items():
        if name not in there:
            seed = settings.get("seed") if isinstance(settings, dict) else None
            model = name.removesuffix(f"-seed{seed}")
            rows.append({"model": model, "seed": seed, "status": FAILED, "error": _last(path / below / f"{name}.log")})
    return rows


def _last(log: Path) -> str:
    """The last line of a log, or that there is none."""
    if log.is_symlink() or not log.is_file():
        return NEVER_RAN
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _CUT))
        lines = file.read(_CUT).decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), NEVER_RAN)


def has_parquet() -> bool:
    """Whether what writes Parquet is installed."""
    from importlib.util import find_spec

    return find_spec("pandas") is not None and find_spec("pyarrow") is not None


def write_parquet(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write rows as Parquet, typed as `load` types them."""
    frame(rows).to_parquet(path, engine="pyarrow", index=False)


def table_text(rows: Sequence[Mapping[str, object]]) -> str:
    """The same rows as CSV at full precision."""
    return csv_text(list(dict.fromkeys(key for row in rows for key in row)), rows)
