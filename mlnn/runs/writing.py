"""Run folders, written: a folder at its final path is complete, or it is not there.

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
from mlnn.received import is_inside
from mlnn.runs.reading import CHECKSUMS
from mlnn.visible import shown

_SERIAL = itertools.count(1)


@dataclass
class RunFolder:
    """A run folder being written: files go to `partial` and appear at `final` together, when the run ends well."""

    final: Path
    partial: Path

    def path(self, name: str) -> Path:
        """Where to write the file `name`, which may lie in a subfolder ("figures/gap.png")."""
        if not is_inside(name):
            raise RunFolderError(f"{self.final}: '{shown(name)}' is not a file name inside the run folder")
        path = self.partial / name
        disk("write", self.final, path.parent.mkdir, parents=True, exist_ok=True)
        return path

    def write_text(self, name: str, text: str) -> None:
        """Write `text` (UTF-8) as the file `name`."""
        disk(f"write {name}", self.final, self.path(name).write_text, text, encoding="utf-8", newline="\n")

    def write_json(self, name: str, obj: object) -> None:
        """Write strict JSON at full precision; JSON has no NaN or infinity, they become "nan", "inf", "-inf"."""
        self.write_text(name, json.dumps(plain(obj), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


@contextmanager
def new_run(path: Path | str | None, kind: str, overwrite: bool = False) -> Iterator[RunFolder]:
    """A run folder at `path` (None: `runs/<kind>/<date>_<time>`), there and complete once the block has ended well.

    Any exception inside the block, KeyboardInterrupt too, leaves everything as it was. Raises RunFolderError if `path`
    holds something (with `overwrite`, if that is not an mlnn run), is a file, or cannot be written.
    """
    final = Path(os.path.abspath(path if path is not None else unused(kind)))
    check_free(final, overwrite)
    made = [parent for parent in final.parents if not os.path.exists(parent)]
    partial = _beside(final, "partial")
    try:
        make_folder(partial, final)
        yield (run := RunFolder(final, partial))
        seal(run)
        if path is None and final.exists():  # another process has taken this second's name since
            run.final = Path(os.path.abspath(unused(kind)))
        check_free(run.final, overwrite)
        move_in(run, overwrite)
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
        self._file = disk("write", path, open, path, "w", encoding="utf-8", newline="\n")

    def append(self, row: Mapping[str, float]) -> None:
        """Write one row, name → int or float; RunFolderError if its names are not those of the first row."""
        if not self.columns:
            if any(re.search(r'[,"\s]|^$', name) for name in row) or not row:
                raise RunFolderError(f"{self._path.name}: no comma, quote or space in a column name: {list(row)}")
            self.columns = tuple(row)
            disk("write", self._path, self._file.write, ",".join(self.columns) + "\n")
        if row.keys() != set(self.columns):
            names = ", ".join(sorted(row.keys() ^ set(self.columns)))
            raise RunFolderError(f"{self._path.name}: a row differs from the header in: {names}")
        values = (row[name] for name in self.columns)
        digits = [str(int(v)) if isinstance(v, int | np.integer) else repr(float(v)) for v in values]
        disk("write", self._path, self._file.write, ",".join(digits) + "\n")

    def close(self) -> None:
        """Flush and close the file."""
        disk("write", self._path, self._file.close)


def disk(doing: str, path: Path, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The one door to the disk: its errors become one short sentence (and a test can make any of its calls fail)."""
    try:
        return call(*args, **options)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot {doing}: {error.strerror or error}") from error


def unused(kind: str) -> Path:
    """A name for a run of this second that no finished run and no run in progress has."""
    base = Path("runs", kind, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    paths = itertools.chain([base], (base.with_name(f"{base.name}-{n}") for n in itertools.count(2)))
    return next(p for p in paths if not p.exists() and not any(p.parent.glob(f".{p.name}.partial-*")))


def _beside(final: Path, role: str) -> Path:
    """A path of its own for this call, beside `final`; never one that a killed process left."""
    paths = (final.with_name(f".{final.name}.{role}-{os.getpid()}-{n}") for n in _SERIAL)
    return next(p for p in paths if not os.path.lexists(p))


def make_folder(folder: Path, final: Path) -> None:
    """Make a folder for the run `final`, and those above it, so that all their names lie on the disk: a machine that ends would
    take what is kept inside with it otherwise."""
    missing = [path for path in folder.parents if not os.path.lexists(path)]
    disk("write", final, folder.mkdir, parents=True, exist_ok=True)
    for parent in (folder.parent, *(path.parent for path in missing)):
        disk("write", final, fsync, parent)


def check_free(final: Path, overwrite: bool) -> None:
    """Raise RunFolderError where no run may go; asked before training as well, when the answer costs nothing."""
    if os.path.islink(final):
        raise RunFolderError(
            f"{final}: is a link; a run is not written through it, choose the folder itself or another"
        )
    if not os.path.lexists(final) or (final.is_dir() and not disk("read", final, os.listdir, final)):
        _check_parent(final)
        return
    if not final.is_dir():
        raise RunFolderError(f"{final}: is a file; a run needs a folder of its own")
    if not overwrite:
        raise RunFolderError(f"{final}: is not empty; choose another folder, or say overwrite=true to replace the run")
    if not all(map(_is_plain, (final / "environment.json", final / CHECKSUMS))):
        raise RunFolderError(f"{final}: is not an mlnn run, so it is not overwritten; choose another folder")


def _check_parent(final: Path) -> None:
    parent = next(p for p in final.parents if p.exists())
    if parent.is_dir() and not os.access(parent, os.W_OK):
        raise RunFolderError(f"{final}: cannot write: {parent} may not be written to")


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def digests(run: RunFolder, leave: str = "") -> dict[str, str]:
    """SHA-256 of every file of a run, by its name, each pushed to the disk; the file `leave` is not the run's."""
    below = sorted(path for path in run.partial.rglob("*") if path.name != leave)
    found = {p.relative_to(run.partial).as_posix(): sha256(p) for p in below if p.is_file()}
    for path in below:
        disk("write", run.final, fsync, path)
    return found


def seal(run: RunFolder) -> None:
    """Write the checksums and push every file and folder to the disk."""
    run.write_json(CHECKSUMS, digests(run))
    for path in (run.partial / CHECKSUMS, run.partial):
        disk("write", run.final, fsync, path)


def step_aside(final: Path) -> Path:
    """Rename what lies at `final`, a run that is to be replaced, and return where it is now."""
    aside = _beside(final, "old")
    disk("replace", final, os.rename, final, aside)
    return aside


def move_in(run: RunFolder, overwrite: bool) -> None:
    """Rename the finished folder into place; an old run steps aside for it, and comes back if that fails."""
    aside = _beside(run.final, "old")
    try:
        if overwrite and run.final.exists():
            disk("replace", run.final, os.rename, run.final, aside)
        disk("write", run.final, os.rename, run.partial, run.final)
        disk("write", run.final, fsync, run.final.parent)  # before the old run goes, or a crash may leave neither
    finally:
        if aside.exists() and not run.final.exists():
            disk(f"restore the old run, kept as {aside.name}", run.final, os.rename, aside, run.final)
        shutil.rmtree(aside, ignore_errors=True)


def fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    return hashlib.sha256(disk("read", path, path.read_bytes)).hexdigest()


def plain(obj: object) -> object:
    """What JSON can hold: numpy values as Python's, non-finite floats as strings."""
    if isinstance(obj, np.ndarray | np.generic):
        return plain(obj.tolist())
    if isinstance(obj, Mapping):
        return {str(key): plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [plain(value) for value in obj]
    return repr(obj) if isinstance(obj, float) and not np.isfinite(obj) else obj
