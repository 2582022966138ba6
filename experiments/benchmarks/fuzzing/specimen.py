"""What a specimen is, and the calling of a command as its user would see it end."""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlnn.cli.app import start


@dataclass(frozen=True)
class Specimen:
    """`make` writes it into a folder; `parts`: its files and, of each, in which ways it is changed (formats of fuzzing.formats);
    `seal` makes checksums over its files anew; `read` reads it in the folder that is the current one."""

    make: Callable[[Path], object]
    parts: Mapping[str, tuple[str, ...]]
    read: Callable[[Path], object]
    seal: Callable[[Path], object] = lambda _folder: None


def said(*words: str) -> str:
    """What a command prints; RuntimeError with the end of its traceback where it met a bug."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = start(words[0], words[1:], ["mlnn"])
    found = err.getvalue()
    lines = found.splitlines()
    if code == 70 or "Traceback" in found:
        raise RuntimeError(f"a traceback: {'; '.join(line.strip() for line in lines[-3:])}")
    if len(lines) > 8 or (code not in (0, 1) and not lines):
        raise RuntimeError(f"exit code {code} with {len(lines)} lines: {found[:200]!r}")
    bad = next((sign for sign in out.getvalue() + found if sign != "\n" and ord(sign) < 32), None)
    if bad is not None:
        raise RuntimeError(f"{bad!r} reached the terminal")
    return found
