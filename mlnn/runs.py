"""Run folders: the only file that reads or writes one. A folder at its final path is complete, or it is not there.

A run folder holds config.yaml, trace.csv, verdict.json, environment.json, data.json, about.json (what was run), report.html,
any extra files, and checksums.json (sha256 of each), written last. A killed process can leave a
`.<name>.partial-<pid>-<n>` folder beside it (safe to delete) or, if it died between the two renames of an overwrite, the
old run as `.<name>.old-<pid>-<n>`.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlnn.errors import RunFolderError

CHECKSUMS = "checksums.json"
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)  # fits int64
_SERIAL = itertools.count(1)
_NUMBER = re.compile(r"-?(\d+(\.\d+)?(e[+-]\d+)?|inf)|nan", re.ASCII)


@dataclass
class RunFolder:
    """A run folder being written: files go to `partial` and appear at `final` together, when the run ends well."""

    final: Path
    partial: Path

    def path(self, name: str) -> Path:
        """Where to write the file `name`, which may lie in a subfolder ("figures/gap.png")."""
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise RunFolderError(f"{self.final}: '{name}' is not a file name inside the run folder")
        path = self.partial / name
        _disk("write", self.final, path.parent.mkdir, parents=True, exist_ok=True)
        return path

    def write_text(self, name: str, text: str) -> None:
        """Write `text` (UTF-8) as the file `name`."""
        _disk(f"write {name}", self.final, self.path(name).write_text, text, encoding="utf-8", newline="\n")

    def write_json(self, name: str, obj: object) -> None:
        """Write strict JSON at full precision; JSON has no NaN or infinity, they become "nan", "inf", "-inf"."""
        self.write_text(name, json.dumps(_plain(obj), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


@contextmanager
def new_run(path: Path | str | None, kind: str, overwrite: bool = False) -> Iterator[RunFolder]:
    """A run folder at `path` (None: `runs/<kind>/<date>_<time>`), there and complete once the block has ended well.

    Any exception inside the block, KeyboardInterrupt too, leaves everything as it was. Raises RunFolderError if `path`
    holds something (with `overwrite`, if that is not an mlnn run), is a file, or cannot be written.
    """
    final = Path(os.path.abspath(path if path is not None else _unused(kind)))
    check_free(final, overwrite)
    made = [parent for parent in final.parents if not os.path.exists(parent)]
    partial = _beside(final, "partial")
    try:
        _disk("write", final, partial.mkdir, parents=True)
        yield (run := RunFolder(final, partial))
        _seal(run)
        if path is None and final.exists():  # another process has taken this second's name since
            run.final = Path(os.path.abspath(_unused(kind)))
        check_free(run.final, overwrite)
        _move_in(run, overwrite)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:
            with suppress(OSError):  # somebody else's by now, if it is not empty
                parent.rmdir()
        raise


class TraceWriter:
    """Streams rows of numbers to a CSV file: the header comes from the first row, floats leave at full precision."""

    def __init__(self, path: Path) -> None:
        self.columns: tuple[str, ...] = ()
        self._path = path
        self._file = _disk("write", path, open, path, "w", encoding="utf-8", newline="\n")

    def append(self, row: Mapping[str, float]) -> None:
        """Write one row, name → int or float; RunFolderError if its names are not those of the first row."""
        if not self.columns:
            if any(re.search(r'[,"\s]|^$', name) for name in row) or not row:
                raise RunFolderError(f"{self._path.name}: no comma, quote or space in a column name: {list(row)}")
            self.columns = tuple(row)
            _disk("write", self._path, self._file.write, ",".join(self.columns) + "\n")
        if row.keys() != set(self.columns):
            names = ", ".join(sorted(row.keys() ^ set(self.columns)))
            raise RunFolderError(f"{self._path.name}: a row differs from the header in: {names}")
        values = (row[name] for name in self.columns)
        digits = [str(int(v)) if isinstance(v, int | np.integer) else repr(float(v)) for v in values]
        _disk("write", self._path, self._file.write, ",".join(digits) + "\n")

    def close(self) -> None:
        """Flush and close the file."""
        _disk("write", self._path, self._file.close)


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
    digests = _read_json(path / CHECKSUMS)
    if "trace.csv" not in digests:
        raise RunFolderError(
            f"{path}: holds no single run; those of a growth lie in its cells/, those of seeds= in its seeds/"
        )
    for name, digest in digests.items():
        if _sha256(path / name) != digest:
            raise RunFolderError(f"{path}: {name} has changed since the run was written")
    return Run(
        path=path,
        config=_read_text(path / "config.yaml"),
        trace=read_trace(path / "trace.csv"),
        verdict=_read_json(path / "verdict.json") if (path / "verdict.json").exists() else None,
        environment=_read_json(path / "environment.json"),
        data=_read_json(path / "data.json"),
        about=_read_json(path / "about.json") if (path / "about.json").exists() else {},
    )


def _disk(doing: str, path: Path, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The one door to the disk: its errors become one short sentence (and a test can make any of its calls fail)."""
    try:
        return call(*args, **options)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot {doing}: {error.strerror or error}") from error


def _unused(kind: str) -> Path:
    """A name for a run of this second that no finished run and no run in progress has."""
    base = Path("runs", kind, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    paths = itertools.chain([base], (base.with_name(f"{base.name}-{n}") for n in itertools.count(2)))
    return next(p for p in paths if not p.exists() and not any(p.parent.glob(f".{p.name}.partial-*")))


def _beside(final: Path, role: str) -> Path:
    """A path of its own for this call, beside `final`; never one that a killed process left."""
    paths = (final.with_name(f".{final.name}.{role}-{os.getpid()}-{n}") for n in _SERIAL)
    return next(p for p in paths if not os.path.lexists(p))


def check_free(final: Path, overwrite: bool) -> None:
    """Raise RunFolderError where no run may go; asked before training as well, when the answer costs nothing."""
    if not os.path.lexists(final) or (final.is_dir() and not _disk("read", final, os.listdir, final)):
        parent = next(p for p in final.parents if p.exists())
        if parent.is_dir() and not os.access(parent, os.W_OK):
            raise RunFolderError(f"{final}: cannot write: {parent} may not be written to")
        return
    if not final.is_dir():
        raise RunFolderError(f"{final}: is a file; a run needs a folder of its own")
    if not overwrite:
        raise RunFolderError(f"{final}: is not empty; choose another folder, or say overwrite=true to replace the run")
    if not all((final / name).is_file() for name in ("environment.json", CHECKSUMS)):
        raise RunFolderError(f"{final}: is not an mlnn run, so it is not overwritten; choose another folder")


def _seal(run: RunFolder) -> None:
    """Write the checksums and push every file and folder to the disk."""
    below = sorted(run.partial.rglob("*"))
    run.write_json(CHECKSUMS, {p.relative_to(run.partial).as_posix(): _sha256(p) for p in below if p.is_file()})
    for path in (*below, run.partial / CHECKSUMS, run.partial):
        _disk("write", run.final, _fsync, path)


def _move_in(run: RunFolder, overwrite: bool) -> None:
    """Rename the finished folder into place; an old run steps aside for it, and comes back if that fails."""
    aside = _beside(run.final, "old")
    try:
        if overwrite and run.final.exists():
            _disk("replace", run.final, os.rename, run.final, aside)
        _disk("write", run.final, os.rename, run.partial, run.final)
    finally:
        if aside.exists() and not run.final.exists():
            _disk(f"restore the old run, kept as {aside.name}", run.final, os.rename, aside, run.final)
        shutil.rmtree(aside, ignore_errors=True)
    _disk("write", run.final, _fsync, run.final.parent)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _sha256(path: Path) -> str:
    return hashlib.sha256(_disk("read", path, path.read_bytes)).hexdigest()


def _read_text(path: Path) -> str:
    try:
        return str(_disk("read", path, path.read_bytes), "utf-8")
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{path}: is damaged: byte {error.start} is not UTF-8 text") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path}: is damaged: line {error.lineno}: {error.msg}") from None
    if isinstance(found, dict):
        return found
    raise RunFolderError(f"{path}: is damaged: a JSON object belongs there, found {type(found).__name__}")


def _plain(obj: object) -> object:
    """What JSON can hold: numpy values as Python's, non-finite floats as strings."""
    if isinstance(obj, np.ndarray | np.generic):
        return _plain(obj.tolist())
    if isinstance(obj, Mapping):
        return {str(key): _plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_plain(value) for value in obj]
    return repr(obj) if isinstance(obj, float) and not np.isfinite(obj) else obj


def _column(entries: list[str]) -> np.ndarray:
    kind: type = np.int64 if entries and all(map(_INTEGER.fullmatch, entries)) else np.float64
    return np.array(entries, dtype=str).astype(kind)


def write_file(path: Path | str, text: str) -> Path:
    """Write one file of its own, UTF-8, whole or not at all, and return its path: a page, or a table that somebody asked for.

    Raises RunFolderError where it cannot be written, or where something other than a file is there; what is there stays.
    """
    final = Path(path)
    if final.exists() and not final.is_file():
        raise RunFolderError(f"{final}: cannot write: a {'folder' if final.is_dir() else 'special file'} is there")
    partial = _beside(Path(os.path.realpath(final)), "partial")  # beside the file itself, where a link leads to it
    try:
        _disk("write", final, partial.write_text, text, encoding="utf-8", newline="\n")
        _disk("write", final, _fsync, partial)
        _disk("write", final, os.replace, partial, os.path.realpath(final))
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    return final
