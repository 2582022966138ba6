"""What code does beyond reading what it was given, as the interpreter's own audit events tell of it while a hook is on."""

import os
import sys
from collections.abc import Sequence
from types import CodeType
from typing import Any

CANARY = "canary_of_the_harness"
"""A name that hostile values hold where they would like to be code: code or a module of this name is never to be met."""


class Watch:
    """The hook: what it sees while it is on, of a folder."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self.seen: list[str] = []
        self.allowed = tuple(allowed)
        self.folder = ""
        self.temporary = os.environ["TMPDIR"] + os.sep
        self.on = False

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if not self.on:
            return
        self.on = False  # what telling it does is no act
        try:
            found = self.tell(event, given)
        finally:
            self.on = True
        if found and not found.startswith(self.allowed) and found not in self.seen:
            self.seen.append(found)

    def tell(self, event: str, given: tuple[Any, ...]) -> str | None:
        if event in PROCESSES:
            told = os.path.basename(os.fsdecode(given[0])) if given and isinstance(given[0], str | bytes) else event
            return f"process: {told}"
        if event in NETWORK:
            return f"network: {event} {given[-1] if given else ''}"
        if event == "pickle.find_class":
            return f"unpickled: {given[0]}.{given[1]}"
        if event == "exec":
            return self.ran(given[0])
        if event in ("import", "ctypes.dlopen"):
            if isinstance(given[0], str) and CANARY in given[0]:
                return f"asked for: {given[0][:100]}"
            place = next((part for part in given[:2] if isinstance(part, str) and os.sep in part), "")
            return f"loaded: {place}" if self.inside(place) else None
        if event == "open":
            return self.opened(*given)
        if event in CHANGES:
            base = self.base(event, given)
            places = [os.path.join(base, os.fsdecode(part)) for part in given if isinstance(part, str | bytes) and part]
            return next((f"changed: {event} {place}" for place in places if not self.mine(place)), None)
        return None

    @staticmethod
    def base(event: str, given: tuple[Any, ...]) -> str:
        """The folder that a relative name is meant in: the current one, or one that is open."""
        last = given[-1] if event in AT_FOLDER else None
        return os.readlink(f"/proc/self/fd/{last}") if isinstance(last, int) and last >= 0 else os.getcwd()

    def ran(self, code: Any) -> str | None:
        place = getattr(code, "co_filename", "<")
        if isinstance(code, CodeType) and any(CANARY in str(word) for word in (*code.co_names, *code.co_consts)):
            return f"ran: received text, in {place}"
        return f"ran: {place}" if self.inside(place) else None

    def opened(self, path: Any, _mode: Any, flags: Any) -> str | None:
        if not isinstance(path, str | bytes):
            return None
        place = os.path.abspath(os.fsdecode(path))
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            return None if self.mine(place) or place == os.devnull else f"wrote: {place}"
        real = os.path.realpath(place)
        return f"read: {place}" if "secret" in real and not real.startswith((sys.prefix, sys.base_prefix)) else None

    def inside(self, place: str) -> bool:
        return bool(place) and place[0] != "<" and os.path.abspath(place).startswith(self.folder + os.sep)

    def mine(self, place: str) -> bool:
        return place.startswith((os.path.join(self.folder, "out"), os.path.join(self.folder, ".out"), self.temporary))


PROCESSES = {
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile",
    "pty.spawn",
}  # fmt: skip
NETWORK = {
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr",
    "socket.sendto", "urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect", "webbrowser.open",
}  # fmt: skip
CHANGES = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.chmod", "os.chown", "os.truncate",
    "os.utime", "os.kill", "shutil.rmtree", "shutil.move", "shutil.copyfile", "shutil.chown",
}  # fmt: skip
AT_FOLDER = {"os.remove", "os.rmdir", "os.mkdir", "os.rename", "os.symlink", "os.link", "os.chmod", "os.utime"}
