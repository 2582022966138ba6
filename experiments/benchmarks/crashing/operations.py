"""The operations of this process on the disk below a folder, each met before it is done: looked at, ended at, or made to fail.

Met are: a file opened to be written, each write (when half of it is done), each push to the disk, renames, removals, folders made
and taken away. A machine that ends at an operation loses half of what has not been pushed before, of every file; and it may lose
every name that was made, changed or taken away in a folder since that folder was pushed. It cannot be taken back from a process: it
is done in a fork.
"""

import builtins
import errno
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = {
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "os.truncate": "truncate",
}
ROOM = ("remove", "rmdir", "rename")
"""What a disk without room still does."""


@dataclass(frozen=True)
class Name:
    """A name that was given to a file or a folder, new, or instead of `old`; or taken away, where `gone`. `held`: what a file of
    that name held before."""

    path: str
    old: str | None = None
    gone: bool = False
    held: bytes | None = None


@dataclass(frozen=True)
class Operation:
    """One operation. `safe`: how many bytes outlive a machine that ends here, of each file that is not wholly pushed; `names`: what
    has been done to the names of folders that are not pushed since, in its order."""

    number: int
    kind: str
    path: Path
    safe: Mapping[str, int]
    names: Sequence["Name"] = ()


Meet = Callable[[Operation], None]


class Operations:
    """What is met: `count` so far."""

    def __init__(self, folder: Path, meet: Meet) -> None:
        self.folder, self.meet, self.count = os.path.realpath(folder), meet, 0
        self._pushed, self._dirty, self._names = dict[str, int](), set[str](), list[Name]()
        self._fsync, self._open = os.fsync, io.open
        sys.addaudithook(self._heard)
        os.fsync = self._push  # type: ignore[assignment]
        builtins.open = io.open = self._opened

    def met(self, kind: str, path: str) -> None:
        """One more."""
        self.count += 1
        safe = {}
        for name in sorted(self._dirty):
            with suppress(FileNotFoundError):
                pushed, size = self._pushed.get(name, 0), os.stat(name).st_size
                safe[name] = min(size, pushed + max(0, size - pushed) // 2)
        self.meet(Operation(self.count - 1, kind, Path(path), safe, tuple(self._names)))

    def below(self, path: Any, folder: Any = -1) -> str | None:
        """The whole path, where it is below the folder."""
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        where = os.readlink(f"/proc/self/fd/{folder}") if isinstance(folder, int) and folder >= 0 else os.getcwd()
        whole = os.path.normpath(os.path.join(where, os.fsdecode(path)))
        return whole if whole.startswith(self.folder + os.sep) else None

    def _heard(self, event: str, told: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(told[2], int) and told[2] & WRITES:
            path = self.below(told[0])
            if path is not None:
                self.met("open", path)
                if not os.path.lexists(path):
                    self._names.append(Name(path))
                self._dirty.add(path)
                if told[2] & os.O_TRUNC:
                    self._pushed.pop(path, None)
        elif event in EVENTS:
            path = self.below(told[0], told[-1] if event in ("os.remove", "os.rmdir") else -1)
            if path is not None:
                self.met(EVENTS[event], path)
                new = self.below(told[1]) or "" if event == "os.rename" else ""
                self._name(event, path, new)
                if event == "os.rename":
                    self._move(path, new)

    def _name(self, event: str, path: str, new: str) -> None:
        """Note what an operation is about to do to names."""
        if event == "os.rename":
            self._names.append(Name(new, path, held=_held(new)))
        elif event == "os.mkdir" and not os.path.lexists(path):
            self._names.append(Name(path))
        elif event in ("os.remove", "os.rmdir"):
            self._names.append(Name(path, gone=True, held=_held(path)))

    def _move(self, old: str, new: str) -> None:
        """What is known of a file, or of all in a folder, by its new name."""

        def named(path: str) -> str:
            return new + path.removeprefix(old) if path == old or path.startswith(old + os.sep) else path

        self._dirty = {named(path) for path in self._dirty - {new}}
        self._pushed = {named(path): size for path, size in self._pushed.items() if path != new}

    def _push(self, handle: Any) -> None:
        number = handle if isinstance(handle, int) else handle.fileno()
        place = os.readlink(f"/proc/self/fd/{number}")
        path = self.below(place)
        if path is not None:
            self.met("fsync", path)
            self._pushed[path] = os.fstat(number).st_size
            self._dirty.discard(path)
        self._names = [one for one in self._names if os.path.dirname(one.path) != place]  # the outermost folder's too
        self._fsync(number)

    def _opened(
        self, file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None,
        newline: Any = None, closefd: bool = True, opener: Any = None,
    ) -> Any:  # fmt: skip
        if self.below(file) is None or not set(mode) & set("wax+"):
            return self._open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = _Met(file, mode.replace("b", "").replace("t", ""), opener=opener)
        raw.operations = self
        buffer: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)


def _held(path: str) -> bytes | None:
    return Path(path).read_bytes() if os.path.isfile(path) else None


class _Met(io.FileIO):
    """A file of which each write is met when half of it is done."""

    operations: Operations

    def write(self, data: Any) -> int:
        whole = memoryview(data).cast("B")
        half = len(whole) // 2
        done = super().write(whole[:half]) if half else 0
        path = self.operations.below(os.readlink(f"/proc/self/fd/{self.fileno()}"))
        self.operations.met("write", path or "")
        return done + super().write(whole[half:])


def failing(at: int, number: int, ever: bool) -> Meet:
    """Operation `at` fails with an error of the system's; `ever`: and all that come after it."""

    def meet(one: Operation) -> None:
        if one.number != at and not (ever and one.number > at):
            return
        if number == errno.ENOSPC and one.kind in ROOM:
            return
        if one.kind == "fsync" and str(one.path) in one.safe:
            os.truncate(one.path, one.safe[str(one.path)])  # the system need not keep what it could not push
        raise OSError(number, os.strerror(number), str(one.path))

    return meet


def copying(folder: Path, beside: Path, into: Path) -> Meet:
    """At each operation, two copies of the disk as a machine that ends there may leave it, with the names that were not pushed and
    without them: `into/<digest>/`, with the numbers of the operations at which it is the same in `<digest>.at`, twice the
    operation's, and one more without the names; `beside`: a file that is copied along."""
    home = os.path.realpath(folder)

    def keep(one: Operation, without: bool) -> None:
        copy = into / "new"

        def there(path: str) -> Path:
            return copy / folder.name / os.path.relpath(path, home)

        shutil.copytree(folder, copy / folder.name, symlinks=True)
        if beside.exists():
            shutil.copy(beside, copy / beside.name)
        for name, size in one.safe.items():
            os.truncate(there(name), size)
        for done in reversed(one.names if without else ()):
            _undo(done, there)
        digest = digest_of(copy)
        if (into / digest).exists():
            shutil.rmtree(copy)
        else:
            copy.rename(into / digest)
        with (into / f"{digest}.at").open("a") as file:
            file.write(f"{2 * one.number + without}\n")

    def meet(one: Operation) -> None:
        for without in (False, True) if one.names else (False,):
            keep(one, without)

    return meet


def _undo(name: Name, there: Callable[[str], Path]) -> None:
    """Take back what was done to a name. What is no longer there by another of its kind was taken back with it."""
    path = there(name.path)
    if name.old is not None and path.exists():
        path.rename(there(name.old))
    elif not name.gone and path.is_dir():
        shutil.rmtree(path)
    elif not name.gone:
        path.unlink(missing_ok=True)
    if name.held is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.held)
    elif name.gone:
        path.mkdir(parents=True, exist_ok=True)


def digest_of(folder: Path) -> str:
    """SHA-256 of all names and bytes below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(f"{path.relative_to(folder)}\n{path.is_dir()}\n".encode())
        if path.is_file():
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
