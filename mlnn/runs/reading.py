"""Run folders, read back: whole and unchanged, or an error that names the file."""

import csv
import hashlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlnn.errors import RunFolderError

CHECKSUMS = "checksums.json"
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)  # fits int64
_NUMBER = re.compile(r"-?(\d+(\.\d+)?(e[+-]\d+)?|inf)|nan", re.ASCII)


def read_trace(path: Path | str) -> dict[str, np.ndarray]:
    """Columns by name, (rows,) each: int64 if every entry is an integer, else float64. An error names the bad line."""
    *lines, rest = _read_text(Path(path)).split("\n")
    if rest or not lines:
        raise RunFolderError(f"{path}: line {len(lines) + 1} is cut off; the file was not written to its end")
    header = lines[0].split(",")
    if len(set(header)) < len(header) or "" in header or any(map(_NUMBER.fullmatch, header)):
        raise RunFolderError(f"{path}: line 1 is damaged; different column names belong there")
    rows = [line.split(",") for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header) or not all(map(_NUMBER.fullmatch, row)):
            raise RunFolderError(f"{path}: line {number} is damaged; {len(header)} numbers belong there")
    return {name: _column([row[index] for row in rows]) for index, name in enumerate(header)}


@dataclass(frozen=True)
class Run:
    """A finished run, read back: non-finite numbers in the JSON pieces are the strings "nan", "inf", "-inf"."""

    path: Path
    config: str
    trace: dict[str, np.ndarray]
    verdict: dict[str, Any] | None
    environment: dict[str, Any]
    data: dict[str, Any]
    about: dict[str, Any]


def read_run(path: Path | str) -> Run:
    """Read a run folder; RunFolderError names the file that is missing, damaged, or changed since."""
    path = Path(path)
    if not path.is_dir():
        raise RunFolderError(f"{path}: no run folder here")
    digests = read_json(path / CHECKSUMS)
    if "trace.csv" not in digests:
        raise RunFolderError(
            f"{path}: holds no single run; those of a growth lie in its cells/, those of seeds= in its seeds/"
        )
    for name, digest in digests.items():
        if hashlib.sha256(_bytes(path / name)).hexdigest() != digest:
            raise RunFolderError(f"{path}: {name} has changed since the run was written")
    return Run(
        path=path,
        config=_read_text(path / "config.yaml"),
        trace=read_trace(path / "trace.csv"),
        verdict=read_json(path / "verdict.json") if (path / "verdict.json").exists() else None,
        environment=read_json(path / "environment.json"),
        data=read_json(path / "data.json"),
        about=read_json(path / "about.json") if (path / "about.json").exists() else {},
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunFolderError(f"{path}: cannot read: {error.strerror or error}") from error


def _read_text(path: Path) -> str:
    try:
        return str(_bytes(path), "utf-8")
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{path}: is damaged: byte {error.start} is not UTF-8 text") from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; RunFolderError where it is missing or damaged."""
    try:
        found = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path}: is damaged: line {error.lineno}: {error.msg}") from None
    if isinstance(found, dict):
        return found
    raise RunFolderError(f"{path}: is damaged: a JSON object belongs there, found {type(found).__name__}")


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header, by column, as text; RunFolderError where it is missing or not text."""
    return list(csv.DictReader(io.StringIO(_read_text(path), newline="")))


def _column(entries: list[str]) -> np.ndarray:
    kind: type = np.int64 if entries and all(map(_INTEGER.fullmatch, entries)) else np.float64
    return np.array(entries, dtype=str).astype(kind)
