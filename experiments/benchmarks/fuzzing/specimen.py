"""What a specimen is, and the calling of a command as its user would see it end."""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlnn.cli.app import start

LONGEST_MESSAGE, MOST_LINES = 2100, 8


def unfit(message: str) -> str:
    """An error's message as it is; RuntimeError where it runs on, or acts on a terminal."""
    if len(message) > LONGEST_MESSAGE or message.count("\n") >= MOST_LINES:
        lines = message.count("\n") + 1
        raise RuntimeError(f"a message of {len(message)} characters and {lines} lines: {message[:100]!r}")
    if not all(sign == "\n" or sign.isprintable() for sign in message):
        raise RuntimeError(f"a message that acts: {message!r}")
    return message


@dataclass(frozen=True)
class Specimen:
    """`make` writes it into a folder; `parts`: its files and, of each, in which ways it is changed (formats of fuzzing.formats);
    `seal` makes checksums over its files anew; `read` reads it in the folder that is the current one, and gives the error that it
    was met with."""

    make: Callable[[Path], object]
    parts: Mapping[str, tuple[str, ...]]
    read: Callable[[Path], str]
    seal: Callable[[Path], object] = lambda _folder: None


def said(*words: str) -> str:
    """What a command prints; RuntimeError with the end of its traceback where it met a bug."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = start(words[0], words[1:], ["mlnn"])
    found = err.getvalue()
    if code == 130:
        raise KeyboardInterrupt(found)
    if code == 70 or "Traceback" in found:
        raise RuntimeError(f"a traceback: {'; '.join(line.strip() for line in found.splitlines()[-3:])}")
    if (code == 0) == found.startswith("error"):
        raise RuntimeError(f"exit code {code} with {found[:200]!r}")
    bad = next((sign for sign in out.getvalue() if sign != "\n" and ord(sign) < 32), None)
    if bad is not None:
        raise RuntimeError(f"{bad!r} reached the terminal")
    return unfit(found)
