"""Readers with a hole each, to show that the harness sees it: every one acts upon what stands in the file."""

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzzing.specimen import Specimen


def _opens(value: Any) -> None:
    Path(str(value)).read_bytes()


def _writes(value: Any) -> None:
    Path("..", str(len(value))).write_text("x")


def _evaluates(value: Any) -> None:
    eval(value)


def _imports(value: Any) -> None:
    __import__(value.partition(".")[0])


def _asks(value: Any) -> None:
    subprocess.run([sys.executable, "-c", value], check=False)


def _hangs(_value: Any) -> None:
    time.sleep(5)


def _dies(_value: Any) -> None:
    os._exit(9)


def _warns(_value: Any) -> None:
    warnings.warn("so", RuntimeWarning, stacklevel=2)


HOLES: dict[str, tuple[Callable[[Any], object], str, str]] = {
    "opens": (_opens, "climb", "read: "),
    "writes": (_writes, "words", "wrote: "),
    "evaluates": (_evaluates, "code", "ran: received text"),
    "imports": (_imports, "target", "asked for: "),
    "asks": (_asks, "empty", "process: "),
    "breaks": (len, "one", "TypeError"),
    "hangs": (_hangs, "words", "seconds are over"),
    "warns": (_warns, "words", "RuntimeWarning"),
    "dies": (_dies, "words", "died with 9"),
}
"""Name → the hole, the change that goes through it, what is seen."""


def _reads(hole: Callable[[Any], object]) -> Callable[[Path], str]:
    def read(folder: Path) -> str:
        hole(json.loads((folder / "a.json").read_text())["name"])
        return ""

    return read


PLANTED = {
    name: Specimen(lambda folder: (folder / "a.json").write_text('{"name": "a"}'), {"a.json": ("json",)}, _reads(hole))
    for name, (hole, _, _) in HOLES.items()
}
