"""How the jobs of a sweep stand: a durable row each, written before a job starts and when it has ended, and who runs it.

The row of a job is the file `<name>.json` beside the folder of its run. Whoever runs a job holds a lock of the system's on it,
which goes with the process: a job that another machine is still at, for a caller who has died, is not begun once more.
"""

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mlnn.errors import RunFolderError
from mlnn.runs.files import write_file
from mlnn.runs.hashed import hashed_json, read_hashed
from mlnn.runs.writing import disk

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
ANSWERS = (0, 1)
"""Exit codes of a job that did what it was asked; 1: it answered, and the answer is not what was required."""
NEVER_RAN = "it was not run"
MOST_ERROR = 2000
"""Characters of an error that a row keeps; the log has all of it."""


@dataclass(frozen=True)
class JobRow:
    """The row of one job.

    `swept`: what is swept, by key, as said on the command line. `code`: exit code, None while it has not ended. `seconds`: of its
    last try. `tries`: how often it was begun. `where`: the host and process of its last try. `found`: the headline of its answer.
    """

    status: str = QUEUED
    swept: Mapping[str, str] = field(default_factory=dict)
    code: int | None = None
    seconds: float | None = None
    error: str | None = None
    tries: int = 0
    where: str | None = None
    found: Mapping[str, object] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.code is not None

    def told(self, name: str) -> dict[str, object]:
        """The line of the sweep's table."""
        row: dict[str, object] = {"job": name, **self.swept, "status": self.status, "exit_code": self.code}
        return row | dict(self.found) | {"seconds": self.seconds, "error": self.error}


def status_of(code: int) -> str:
    """What an exit code says of a job that has ended."""
    return DONE if code in ANSWERS else FAILED


def here() -> str:
    """This process, on this machine."""
    return f"{socket.gethostname()}:{os.getpid()}"


def write_row(folder: Path, name: str, row: JobRow) -> None:
    """Write the row of a job, whole or not at all, and push it to the disk."""
    kept = asdict(row)
    kept["error"] = None if row.error is None else row.error[:MOST_ERROR]
    write_file(folder / f"{name}.json", hashed_json(kept))
    with suppress(OSError):  # a file system that cannot push a folder's names to the disk
        _push(folder)


def read_row(folder: Path, name: str) -> JobRow | None:
    """The row of a job; None where there is none, or none that can be read."""
    try:
        return _row(read_hashed(folder / f"{name}.json"))
    except (RunFolderError, ValueError):
        return None


def _row(found: Mapping[str, object]) -> JobRow:
    """A row from its file; ValueError where it is none. One of an earlier mlnn says how its job ended and no more."""
    code, seconds, error = found.get("code"), found.get("seconds"), found.get("error")
    whole = isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 256
    ended = status_of(code) if whole and isinstance(code, int) else None
    status = found.get("status", ended)
    if status not in ((ended,) if whole else (QUEUED, RUNNING)):
        raise ValueError(f"status {status!r} with exit code {code!r}")
    swept, headline, tries, where = (found.get(key) for key in ("swept", "found", "tries", "where"))
    return JobRow(
        status=str(status),
        swept={key: str(value) for key, value in swept.items()} if isinstance(swept, dict) else {},
        code=code if isinstance(code, int) and whole else None,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        error=None if error is None else str(error),
        tries=tries if isinstance(tries, int) else 1,
        where=where if isinstance(where, str) else None,
        found={key: _number(value) for key, value in headline.items()} if isinstance(headline, dict) else {},
    )


def _number(value: object) -> object:
    """JSON has no NaN and no infinity; they were written as words."""
    return float(value) if isinstance(value, str) and value in ("nan", "inf", "-inf") else value


@contextmanager
def claimed(folder: Path, name: str) -> Iterator[bool]:
    """Whether the job is this process's to run, until the block ends; False: another process, here or elsewhere, is at it."""
    path = _lock(folder, name)
    handle = disk("lock", path, os.open, path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.fstat(handle).st_ino == os.stat(path).st_ino  # not one that has been taken away since
        except OSError:
            ours = False
        yield ours
    finally:
        os.close(handle)


def held(folder: Path, name: str) -> bool:
    """Whether some process is at the job."""
    if not _lock(folder, name).exists():
        return False
    with claimed(folder, name) as free:
        return not free


def forget_claims(folder: Path) -> None:
    """Take the locks away, once every job has ended."""
    for path in folder.glob(".*.claim"):
        with suppress(OSError):
            path.unlink()


def forget_claim(folder: Path, name: str) -> None:
    """Take the lock of one away, by its holder, once there is nothing left to do."""
    with suppress(OSError):
        _lock(folder, name).unlink()


def _lock(folder: Path, name: str) -> Path:
    return folder / f".{name}.claim"


def _push(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
