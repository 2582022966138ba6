"""Run folders, read back: whole and unchanged, or an error that names the file. Somebody else may have made them."""

import csv
import hashlib
import io
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlnn.errors import RunFolderError
from mlnn.received import check_size, chunks, is_inside, open_inside, open_plain, size
from mlnn.runs.pieces import parse_json, parse_text, parse_trace
from mlnn.visible import shown

CHECKSUMS = "checksums.json"
MOST_BYTES = 1_000_000_000
"""Of a whole run folder, unless the caller allows more."""
MOST_PIECE = 64_000_000
"""Bytes of a piece that is read whole, other than the trace."""
MOST_FILES = 100_000
NEEDED = ("config.yaml", "trace.csv", "environment.json", "data.json")
PIECES = (*NEEDED, "verdict.json", "about.json")


def read_trace(path: Path | str, most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """Columns by name, (rows,) each: int64 if every entry is an integer, else float64. An error names the bad line."""
    return parse_trace(read_whole(Path(path), most_bytes), Path(path))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of its own; RunFolderError where it is missing, no plain file, too large or damaged."""
    return parse_json(read_whole(path), path)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header, by column, as text; RunFolderError where it is missing, too large or no text."""
    return list(csv.DictReader(io.StringIO(parse_text(read_whole(path), path), newline="")))


def read_whole(path: Path, most: int = MOST_PIECE) -> bytes:
    """The content of a plain file; RunFolderError where it is missing, no plain file, or holds more than `most` bytes."""
    try:
        with open_plain(path) as file:
            check_size(file, most)
            return b"".join(chunks(file))
    except OSError as error:
        raise _unreadable(path, error) from error


@dataclass(frozen=True)
class Run:
    """A finished run, read back: non-finite numbers in the JSON pieces are the strings "nan", "inf", "-inf"."""

    path: Path
    config: str
    trace: dict[str, np.ndarray]
    verdict: dict[str, object] | None
    environment: dict[str, object]
    data: dict[str, object]
    about: dict[str, object]


def read_run(path: Path | str, most_bytes: int = MOST_BYTES) -> Run:
    """Read a run folder of at most `most_bytes`.

    RunFolderError names the file that is missing, damaged, changed since, not among the checksums, no plain file (a
    link, a pipe, a device: nothing of the kind is opened), or too large.
    """
    path = Path(path)
    if "\0" in str(path) or not os.path.isdir(path):
        raise RunFolderError(f"{shown(path, 300)}: no run folder here")
    digests = parse_json(_read(path, CHECKSUMS, MOST_PIECE)[0], path / CHECKSUMS)
    if "trace.csv" not in digests:
        raise RunFolderError(
            f"{path}: holds no single run; those of a growth lie in its cells/, those of seeds= in its seeds/"
        )
    _check_names(path, digests)
    pieces = _verified(path, digests, most_bytes)

    def json(name: str) -> dict[str, object]:
        return parse_json(pieces[name], path / name)

    return Run(
        path=path,
        config=parse_text(pieces["config.yaml"], path / "config.yaml"),
        trace=parse_trace(pieces["trace.csv"], path / "trace.csv"),
        verdict=json("verdict.json") if "verdict.json" in pieces else None,
        environment=json("environment.json"),
        data=json("data.json"),
        about=json("about.json") if "about.json" in pieces else {},
    )


def damage(path: Path) -> str | None:
    """What is no longer as it was when a folder, of any kind, was sealed, in a sentence; None where nothing is."""
    try:
        content = _read(path, CHECKSUMS, MOST_PIECE)[0]
        digests = parse_json(content, path / CHECKSUMS)
        if not content.endswith(b"}\n"):  # nothing else holds this file to what was written
            return f"{path}: {CHECKSUMS} is damaged: its end is cut off"
        _verified(path, digests, MOST_BYTES)
    except RunFolderError as problem:
        return str(problem)
    return None


def _check_names(path: Path, digests: Mapping[str, object]) -> None:
    """Every name of the checksums is that of a file inside, and every file inside is among them."""
    if len(digests) > MOST_FILES:
        raise RunFolderError(f"{path}: {CHECKSUMS} names {len(digests):,} files, more than {MOST_FILES:,}")
    for name, digest in digests.items():
        _check_digest(path, name, digest)
    for name in NEEDED:
        if name not in digests:
            raise RunFolderError(f"{path}: {CHECKSUMS} is damaged: it says nothing of {name}")
    for name in _files(path):
        if name not in digests and name != CHECKSUMS:
            raise RunFolderError(f"{path}: '{shown(name)}' was not there when the run was written; move it elsewhere")


def _check_digest(path: Path, name: str, digest: object) -> None:
    if not is_inside(name) or name == CHECKSUMS:
        raise RunFolderError(f"{path}: {CHECKSUMS} names '{shown(name)}', which is no file inside the run folder")
    if not isinstance(digest, str) or len(digest) != 64:
        raise RunFolderError(f"{path}: {CHECKSUMS} is damaged: no SHA-256 of '{shown(name)}'")


def _files(folder: Path) -> list[str]:
    """Names of all files below a folder, of which none may be a link, a pipe or a device. Hidden ones are left out."""
    files: list[str] = []
    waiting, seen = [""], 0
    while waiting:
        for name, mode in _modes(folder, waiting.pop()).items():
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
                raise RunFolderError(f"{folder}: '{shown(name)}' is {kind}; a run folder holds plain files only")
            if stat.S_ISDIR(mode):
                waiting.append(f"{name}/")
            else:
                files.append(name)
            seen += 1
        if seen > MOST_FILES:
            raise RunFolderError(f"{folder}: holds more than {MOST_FILES:,} files; this is no run")
    return files


def _modes(folder: Path, below: str) -> dict[str, int]:
    """What lies directly in `below`, a folder inside a run folder, and of which kind each is."""
    try:
        # What a file manager or another program leaves behind begins with a dot, and is never read here.
        entries = [entry for entry in os.scandir(folder / below) if not entry.name.startswith(".")]
        return {f"{below}{entry.name}": entry.stat(follow_symlinks=False).st_mode for entry in entries}
    except OSError as error:
        raise _unreadable(folder / below, error) from error


def _verified(path: Path, digests: Mapping[str, str], most_bytes: int) -> dict[str, bytes]:
    """The content of the pieces, once every file has proved to be what it was when the run was written."""
    left, pieces = most_bytes, {}
    for name, digest in digests.items():
        try:
            with open_inside(path, name) as file:
                left -= size(file)
        except OSError as error:
            raise _unreadable(path / name, error) from error
        if left < 0:
            allow = "read_run(…, most_bytes=…) allows more"
            raise RunFolderError(f"{path}: holds more than {most_bytes:,} bytes, too many to read; {allow}")
        small = name in PIECES and name != "trace.csv"
        content, found = _read(path, name, MOST_PIECE if small else most_bytes, keep=name in PIECES)
        if found != digest:
            raise RunFolderError(f"{path}: {name} has changed since the run was written")
        if name in PIECES:
            pieces[name] = content
    return pieces


def _read(path: Path, name: str, most: int, keep: bool = True) -> tuple[bytes, str]:
    """(content, or nothing where it is not to be kept; SHA-256) of a file of a run folder."""
    hashed, kept = hashlib.sha256(), []
    try:
        with open_inside(path, name) as file:
            check_size(file, most)
            for block in chunks(file):
                hashed.update(block)
                kept += [block] if keep else []
    except OSError as error:
        raise _unreadable(path / name, error) from error
    return b"".join(kept), hashed.hexdigest()


def _unreadable(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"{path}: cannot read: {error.strerror or error}")
