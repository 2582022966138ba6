"""The only writer of a folder: a lock of the system's, which goes with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlnn.errors import RunFolderError
from mlnn.runs.writing import disk

LOCK = ".lock"


@contextmanager
def locked(final: Path, inside: Path | None = None) -> Iterator[None]:
    """The lock of the folder `inside`, which holds what is to become `final` (None: the folder itself).

    RunFolderError where another process, or another thread of this one, holds it.
    """
    path = (inside or final) / LOCK
    handle = disk("lock", final, os.open, path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        if not _taken(handle, path):
            raise RunFolderError(f"{final}: another process is writing there; wait for it, or choose another folder")
        yield
    finally:
        os.close(handle)


def held(folder: Path) -> bool:
    """Whether somebody is writing in a folder now."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not _taken(handle, folder / LOCK)
    finally:
        os.close(handle)


def _taken(handle: int, path: Path) -> bool:
    """Take the lock, if nobody has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(handle).st_ino == os.stat(path).st_ino  # not one that its holder has taken away since
    except OSError:
        return False
