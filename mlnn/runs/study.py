"""A study: many runs in one folder. What is finished is sealed where a second call finds it, whatever ended the first.

A study's folder holds study.json (what it is a study of), a run folder per cell, a log for each cell that failed, and
checksums.json, written last: the study is finished. One process writes at a time; the lock goes with the process.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlnn.errors import RunFolderError
from mlnn.runs import reading, writing
from mlnn.runs.files import to_json, write_file
from mlnn.runs.hashed import hashed_json, read_hashed
from mlnn.runs.jobs import held, read_row
from mlnn.runs.locking import LOCK, locked
from mlnn.visible import shown

STUDY = "study.json"
EXECUTION = frozenset({"out", "overwrite", "jobs", "job_timeout", "retry", "most_jobs", "most_config_bytes", "require",
                       "domain", "margin", "config", "names", "trust", "figure", "resume",
                       "resume_anyway"})  # fmt: skip
"""Settings that say how, where and how strictly; two calls that differ in these alone are calls of the same study."""
SURROUNDINGS = ("mlnn", "python", "torch", "numpy", "platform", "cpu", "cpu_capability", "threads")
MOST_TOLD = 6


@dataclass
class Study:
    """A folder of runs, open for writing.

    `finished`: an earlier call has done all of it, and it is still whole; `damaged`: what is not, of one that was
    finished, in a sentence; `earlier`: what that call noted.
    """

    final: Path
    finished: bool = False
    damaged: str | None = None
    earlier: dict[str, Any] = field(default_factory=dict)
    replaces: Path | None = None

    @staticmethod
    def kept(folder: Path) -> int:
        """How many finished runs lie in the study at `folder`."""
        cells = {path.parent for path in folder.rglob(reading.CHECKSUMS)} - {folder}
        return sum(1 for cell in cells if not cell.name.startswith("."))  # which is still being written

    @staticmethod
    def begun(folder: Path) -> int:
        """How many jobs of a sweep were begun: each has its row, and perhaps the state of a training to go on with."""
        rows = (read_row(folder, path.stem) for path in folder.glob("*.json") if path.name != STUDY)
        return sum(1 for row in rows if row is not None and row.tries)

    def path(self, name: str) -> Path:
        """Where the file or cell `name` lies, inside the folder."""
        return writing.RunFolder(self.final, self.final).path(name)

    def done(self, name: str) -> bool:
        """Whether the cell `name` is there, whole and unchanged."""
        return whole(self.path(name))

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the study, whole or not at all."""
        write_file(self.path(name), text)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path beside the file `name`, for a library that writes by itself; what lies there then takes its place."""
        path = self.path(name)
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        try:
            yield partial
            writing.disk("write", path, os.replace, partial, path)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot write: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                partial.unlink()

    def write_json(self, name: str, obj: object) -> None:
        """Write strict JSON at full precision, as a run folder does."""
        self.write_text(name, to_json(obj))

    def elsewhere(self, environment: Mapping[str, Any]) -> list[str]:
        """In what the environment of the earlier call was another one; bits may differ between its cells and the new ones."""
        before = self.earlier.get("environment", {})
        changed = [key for key in SURROUNDINGS if before and before.get(key) != environment.get(key)]
        return [f"{key} {shown(before.get(key))} → {environment.get(key)}" for key in changed]

    def seal(self) -> None:
        """All cells are there and told of: from now on the folder is a finished run."""
        for log in self.final.rglob("*.log"):
            if log.stat().st_size == 0:
                log.unlink()
        self.write_json(reading.CHECKSUMS, writing.digests(writing.RunFolder(self.final, self.final), leave=LOCK))
        with suppress(OSError):
            (self.final / LOCK).unlink()
        writing.disk("write", self.final, writing.fsync, self.final)  # before what it replaces goes
        if self.replaces is not None:
            shutil.rmtree(self.replaces, ignore_errors=True)


@contextmanager
def open_study(
    path: Path | str,
    kind: str,
    of: Mapping[str, Any],
    environment: Mapping[str, Any],
    overwrite: bool = False,
    grows: bool = False,
) -> Iterator[Study]:
    """The study of `of` (JSON-ready: "cells", settings by cell, and "data") at `path`: begun, or where a call left it.

    `grows`: cells may join those of the earlier call. Raises RunFolderError where something else lies there, a study with
    other settings (with `overwrite` it is replaced, once this one is finished), or where another process is writing. A
    block that ends with an exception leaves the cells
    that are sealed; where there is none, everything is as before.
    """
    final = Path(os.path.abspath(path))
    made = [parent for parent in (final, *final.parents) if not os.path.lexists(parent)]
    now = {"kind": kind, "of": json.loads(to_json(of))}
    study = _found(final, now, overwrite, grows)
    if study.finished:
        yield study
        return
    try:
        writing.make_folder(final, final)
        with locked(final):
            with suppress(OSError):
                (final / reading.CHECKSUMS).unlink()
            if study.earlier.get("of") != now["of"]:
                study.write_text(STUDY, hashed_json(now | {"environment": dict(environment)}))
            for left in final.glob("*/.*.partial-*"):
                if not held(
                    left.parent, left.name[1:].partition(".partial-")[0]
                ):  # a launcher may have left it at work
                    shutil.rmtree(left, ignore_errors=True)
            yield study
    except BaseException:
        _undo(study, made)
        raise


def _found(final: Path, now: Mapping[str, Any], overwrite: bool, grows: bool) -> Study:
    """The study as an earlier call has left it, or a new one, before which what lies there has stepped aside."""
    study = Study(final)
    if (final / STUDY).is_file():
        study.finished, study.damaged = _finished(final, overwrite)
        if not study.finished:
            with locked(final):  # somebody at work there is met before anything is moved
                pass
        if not overwrite:
            study.earlier = _same(final, now, grows)
            study.finished = study.finished and study.earlier["of"] == now["of"]
    if not study.earlier:
        _check_free(final, overwrite)
        if final.exists() and any(final.iterdir()):
            study.replaces = writing.step_aside(final)
    return study


def whole(folder: Path) -> bool:
    """Whether a cell is there, whole and unchanged."""
    try:
        reading.read_run(folder)
    except RunFolderError:
        return False
    return True


def clear(folder: Path) -> None:
    """Take away what an earlier try left of a cell that is not whole."""
    for left in (folder, *folder.parent.glob(f".{folder.name}.partial-*")):
        shutil.rmtree(left, ignore_errors=True)


def differences(before: Any, now: Any, where: str = "") -> list[str]:
    """Each key that differs, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [d for key in keys for d in differences(before.get(key), now.get(key), f"{where}.{key}".lstrip("."))]
    if before == now:
        return []
    if isinstance(before, list) and isinstance(now, list):
        gone, new = _only_in(before, now), _only_in(now, before)
        told = f"{gone} → {new}" if gone or new else f"{before} → {now}"  # the same in another order
        return [f"{where}: {told}".lstrip(": ")]
    return [f"{where}: {shown(repr(before))} → {shown(repr(now))}"]


def _only_in(one: list[Any], other: list[Any]) -> str:
    return ", ".join(shown(item) for item in one if item not in other)


def _finished(final: Path, overwrite: bool) -> tuple[bool, str | None]:
    """Whether an earlier call has done all of the study, and what has been damaged since."""
    if overwrite or not (final / reading.CHECKSUMS).exists():
        return False, None
    damaged = reading.damage(final)
    return damaged is None, damaged


def _check_free(final: Path, overwrite: bool) -> None:
    if overwrite and (final / STUDY).is_file():  # one that was left unfinished has no checksums yet
        return
    writing.check_free(final, overwrite)


def read_study(folder: Path) -> dict[str, Any]:
    """What study.json says: its `kind`, and `of` with `cells`, settings by name; RunFolderError where it is missing or damaged."""
    found = read_hashed(folder / STUDY)
    of = found.get("of")
    cells = of.get("cells") if isinstance(of, dict) else None
    if not isinstance(cells, dict) or not all(map(_is_name, cells)):
        raise RunFolderError(f"{folder}: {STUDY} is damaged: it names no jobs")
    if not isinstance(found.get("environment", {}), dict):
        raise RunFolderError(f"{folder}: {STUDY} is damaged: it tells of no environment")
    return found


def _is_name(name: object) -> bool:
    return isinstance(name, str) and "/" not in name and "\0" not in name and name not in ("", ".", "..")


def _same(final: Path, now: Mapping[str, Any], grows: bool) -> dict[str, Any]:
    """What the earlier call noted; raises RunFolderError where this one is of something else."""
    found = read_study(final)
    if found.get("kind") == now["kind"] and found.get("of") == now["of"]:
        return found
    if grows and found.get("kind") == now["kind"]:
        old, new = found["of"]["cells"], now["of"]["cells"]
        if all(new.get(name) == cell for name, cell in old.items()):
            return found
    raise RunFolderError(
        f"{final}: holds a study with other settings ({_told(found, now)});"
        " choose another folder, or say overwrite=true to replace it"
    )


def _told(found: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first few differences; of what differs in many cells, each key once."""
    if found.get("kind") != now["kind"]:
        return f"{shown(found.get('kind'), 100)} → {now['kind']}"
    old, new = found["of"]["cells"], now["of"]["cells"]
    changed = [text for name in old if name in new for text in differences(old[name], new[name])]
    changed += [*_named("no more", old, new), *_named("new", new, old)]
    once = list(dict.fromkeys(text[:100] for text in changed or ["the data have changed"]))
    return "; ".join(once[:MOST_TOLD]) + (f"; and {len(once) - MOST_TOLD} more" if len(once) > MOST_TOLD else "")


def _named(word: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The first names of cells that are in one alone, after a word; nothing where there are none."""
    names = [shown(name) for name in one if name not in other]
    return [f"{word}: {', '.join(names[:3])}" + (" …" if len(names) > 3 else "")] if names else []


def _undo(study: Study, made: Sequence[Path]) -> None:
    """Where nothing was begun everything is as before; otherwise the study stays, and what it was to replace beside it."""
    if study.earlier or Study.kept(study.final) or Study.begun(study.final):
        return
    if study.replaces is not None or study.final in made:
        shutil.rmtree(study.final, ignore_errors=True)
    elif study.final.is_dir():  # an empty folder that was there before
        for path in study.final.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if study.replaces is not None:
        os.rename(study.replaces, study.final)
    for parent in made:
        with suppress(OSError):  # somebody else's by now, if it is not empty
            parent.rmdir()
