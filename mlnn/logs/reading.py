"""From a path to the log that lies there: the format is told from what a file holds, never from its name."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from mlnn.errors import DataError
from mlnn.logs.csv_log import is_csv, read_csv
from mlnn.logs.events import is_events, read_events
from mlnn.logs.json_log import is_json, read_json
from mlnn.logs.log import Limits, Log
from mlnn.received import chunks, open_inside, open_plain, size
from mlnn.visible import shown

KINDS = (
    "TensorBoard event files, CSV with a step column (Lightning's metrics.csv, exports of W&B and MLflow), JSON lines,"
    " trainer_state.json"
)
MOST_FILES = 10_000
_HEAD = 4096


def read_log(path: Path | str, limits: Limits | None = None, step: str | None = None) -> Log:
    """The log in a file, or in the files that lie directly in a folder (several event files are one log, in their order).

    `step`: the column or field of the step, where it has a name of its own. DataError for what is no plain file, too large,
    damaged or of no format that is read; ConfigError for a `step` that is not there.
    """
    path, bounds = Path(path), limits or Limits()
    if "\0" in str(path) or not os.path.lexists(path):
        raise DataError(f"{shown(path, 200)}: there is no file or folder of this name")
    if not path.is_dir():
        return _read(path, bounds, step)
    found, special = _looked_through(path, step)
    events = [name for name, kind in found.items() if kind == "events"]
    if events:
        log = read_events(_contents(path, events, bounds), path, bounds)
    elif len(found) == 1:
        log = _read(path / next(iter(found)), bounds, step, inside=path)
    elif found:
        raise DataError(f"{shown(path, 200)}: holds several logs: name one of {_listed(found)}")
    else:
        raise _nothing(path)
    others = [name for name in found if name not in events] if events else []
    notes = [f"beside its event files it holds {_listed(others)}, not read."] if others else []
    notes += [f"links and pipes in it are not read: {_listed(special)}."] if special else []
    return Log(path, log.kind, log.series, (*log.notes, *notes))


def _read(path: Path, limits: Limits, step: str | None, inside: Path | None = None) -> Log:
    """The log of one file; `inside`: the folder that it was found in, whose links are not followed."""
    try:
        with open_plain(path) if inside is None else open_inside(inside, path.name) as file:
            if size(file) > limits.bytes:
                raise limits.exceeded("bytes", path)
            kind = _kind(file.read(_HEAD), path, step)
            file.seek(0)
            if kind == "events":
                return read_events([(str(path), b"".join(chunks(file)))], path, limits)
            return (read_json if kind == "json" else read_csv)(file, path, limits, step)
    except OSError as problem:
        raise DataError(f"{shown(path, 200)}: cannot be read: {problem.strerror or problem}") from problem


def _kind(head: bytes, path: Path, step: str | None) -> str:
    if not head:
        raise DataError(f"{shown(path, 200)}: is empty")
    found = _told(head, step)
    if found is None:
        raise DataError(f"{shown(path, 200)}: is no log that is read. Read are {KINDS}; step=… names another column")
    return found


def _told(head: bytes, step: str | None) -> str | None:
    """The format of a file that begins like this: events, json, csv; None of any other."""
    if is_events(head):
        return "events"
    if is_json(head):
        return "json"
    line = head.partition(b"\n")[0]
    try:
        text = str(line, "utf-8-sig", errors="strict" if len(line) < len(head) else "ignore")
    except UnicodeDecodeError:
        return None
    return "csv" if "\0" not in text and is_csv(text.strip(), step) else None


def _looked_through(folder: Path, step: str | None) -> tuple[dict[str, str], list[str]]:
    """(name → format of the logs that lie directly in a folder, names of what is neither file nor folder)."""
    found: dict[str, str] = {}
    special: list[str] = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as problem:
        raise DataError(f"{shown(folder, 200)}: cannot be read: {problem.strerror or problem}") from problem
    if len(entries) > MOST_FILES:
        raise DataError(f"{shown(folder, 200)}: holds more than {MOST_FILES:,} files; name the log itself")
    for entry in entries:
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISREG(mode) and not entry.name.startswith("."):
            kind = _peeked(folder, entry.name, step)
            found |= {entry.name: kind} if kind else {}
        elif not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            special.append(entry.name)
    return found, special


def _peeked(folder: Path, name: str, step: str | None) -> str | None:
    """The format of one file among others, most of which are no logs: a JSON object is one where it has a history or a step."""
    try:
        with open_inside(folder, name) as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    kind = _told(head, step)
    if kind == "json" and not any(word in head for word in (b'log_history"', b'step"', b'iteration"', b'epoch"')):
        return None
    return kind


def _contents(folder: Path, names: Iterable[str], limits: Limits) -> list[tuple[str, bytes]]:
    left, found = limits.bytes, []
    for name in names:
        try:
            with open_inside(folder, name) as file:
                left -= size(file)
                if left < 0:
                    raise limits.exceeded("bytes", folder)
                found.append((name, b"".join(chunks(file))))
        except OSError as problem:
            raise DataError(f"{shown(folder / name, 200)}: cannot be read: {problem.strerror or problem}") from problem
    return found


def _nothing(folder: Path) -> DataError:
    below = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    hint = f"; it has folders, each may be one: {_listed(below)}" if below else ""
    return DataError(f"{shown(folder, 200)}: holds no run folder and no log{hint}. Read are {KINDS}")


def _listed(names: Iterable[str], most: int = 5) -> str:
    every = [shown(name) for name in names]
    return ", ".join(every[:most]) + (f", … ({len(every)})" if len(every) > most else "")
