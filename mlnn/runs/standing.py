"""How the runs below a folder stand: finished, in progress, interrupted, or what a dead process has left; and cleaning up.

Whether somebody is at work is asked of the system: by the lock of a run in progress, by the process that names a folder half
written. Links are not followed.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlnn.errors import RunFolderError
from mlnn.runs import reading
from mlnn.runs.hashed import read_hashed
from mlnn.runs.kept.journal import Journal
from mlnn.runs.kept.place import STATUS, last_step, read_kept, spent
from mlnn.runs.kept.states import names, read_state
from mlnn.runs.locking import held, locked
from mlnn.runs.study import STUDY
from mlnn.runs.writing import disk

HALF = re.compile(r"\.(.+)\.(partial|old)-(\d{1,10})(-\d+)?")
PLACE = re.compile(r"\.(.+)\.partial-run")
STATES = ("done", "running", "interrupted", "failed", "left over", "replaced")
MOST = 100_000
"""Folders that are looked into, at most."""


@dataclass(frozen=True)
class Standing:
    """One run. `path`: of the folder that is there; `final`: where the run is, or would be; `state`: one of `STATES`; `command`,
    `time`: as far as they are told; `step`: of the newest state that is kept, from which it could go on."""

    path: Path
    final: Path
    state: str
    command: str = ""
    time: str = ""
    step: int | None = None


def standing(folder: Path) -> list[Standing]:
    """Every run at or below a folder, in the order of their names; RunFolderError where there is no such folder."""
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: there is no such folder")
    return sorted(_below(folder), key=lambda one: (str(one.final), str(one.path)))


def _below(folder: Path) -> Iterator[Standing]:
    for seen, (at, folders, files) in enumerate(os.walk(folder)):
        if seen > MOST:
            raise RunFolderError(f"{folder}: holds more than {MOST:,} folders; name one further down")
        here, mine = Path(at), list(folders)
        if reading.CHECKSUMS in files:
            yield _finished(here)
        for name in mine:
            found = _hidden(here / name)
            if found is not None:
                yield found
            if name.startswith("."):
                folders.remove(name)


def _finished(path: Path) -> Standing:
    told = _status(path) or {"command": "many runs" if (path / STUDY).is_file() else ""}
    return Standing(path, path, "done", str(told.get("command", "")), str(told.get("time", "")))


def _hidden(path: Path) -> Standing | None:
    """A folder that is no finished run, by its name; None for any other."""
    place, half = PLACE.fullmatch(path.name), HALF.fullmatch(path.name)
    if path.is_symlink() or not (place or half):
        return None
    if place:
        told, step = _status(path) or {}, last_step(path) or None
        state = "running" if held(path) else str(told.get("state", ""))
        if state in ("running", "queued") and not held(path):
            state = "interrupted"  # its process has died without a word
        goes_on = step is not None and not spent(path, path.with_name(place[1]))
        state = state if goes_on or state == "running" else "left over"
        command, time = str(told.get("command", "")), str(told.get("time", ""))
        return Standing(
            path,
            path.with_name(place[1]),
            state if state in STATES else "interrupted",
            command,
            time,
            step if goes_on else None,
        )
    assert half is not None
    state = "running" if _alive(int(half[3])) else "left over" if half[2] == "partial" else "replaced"
    return Standing(path, path.with_name(half[1]), state)


def _status(path: Path) -> dict[str, object] | None:
    try:
        return read_hashed(path / STATUS)
    except RunFolderError:
        return None


def _alive(process: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def damage(one: Standing) -> str | None:
    """What is no longer as it was written, in a sentence; None where nothing is, or where somebody is still writing."""
    if one.state == "done":
        return reading.damage(one.path)
    if one.state in ("running", "left over", "replaced"):
        return None
    try:
        read_kept(one.path, one.final)
        for state in names(one.path):
            Journal(one.path, one.final).go_back(read_state(state, one.final).about["rows"])
        if (one.path / STATUS).exists():
            read_hashed(one.path / STATUS)
    except RunFolderError as problem:
        return str(problem)
    return None


def cleaned(folder: Path, interrupted: bool = False) -> list[tuple[Standing, str]]:
    """Take away what dead processes have left below a folder, and say of each what was done; `interrupted`: also runs that could
    go on.

    A run that was to be replaced, and whose successor never came, is put back.
    """
    done = []
    for one in standing(folder):
        if one.state == "replaced" and not os.path.lexists(one.final):
            disk("put back", one.final, os.rename, one.path, one.final)
            done.append((one, f"put back as {one.final.name}"))
        elif one.state in ("left over", "replaced") or (interrupted and one.state in ("interrupted", "failed")):
            if PLACE.fullmatch(one.path.name):
                with suppress(RunFolderError), locked(one.final, one.path):  # unless somebody has begun there since
                    disk("remove", one.path, shutil.rmtree, one.path)
                    done.append((one, "removed"))
            else:
                disk("remove", one.path, shutil.rmtree, one.path)
                done.append((one, "removed"))
    return done
