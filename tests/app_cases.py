"""Running a command as a user would, in this process: the script itself, its command line, its exit code and words."""

import contextlib
import io
import json
import math
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mlnn.cli.app import BENCHMARKS
from mlnn.runs import hashed_json

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
COMMANDS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))
SMALL = ("steps=3", "data=spector", "batch_size=16", "model=logistic")


@dataclass(frozen=True)
class Result:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def command(name: str, *words: str) -> Result:
    """Run the script of a command, or of a benchmark, with `words` in the current folder."""
    folder = ROOT / "experiments" / ("benchmarks" if name in BENCHMARKS else "")
    script, out, err = folder / f"{name}.py", io.StringIO(), io.StringIO()
    code: object = None
    with (
        patch.object(sys, "argv", [str(script), *words]),
        patch.dict(os.environ),
        patch("mlnn.report.console.FIRST_LINE", math.inf),  # a slow machine is no error
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int), f"{name} ended without an exit code"
    return Result(code, out.getvalue(), err.getvalue())


def listing(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def assert_short(message: str) -> None:
    """An error is a few lines that begin with `error:` (or say that the run was interrupted), never a traceback."""
    lines = message.splitlines()
    assert lines
    assert message.startswith(("error: ", "interrupted; "))
    assert len(lines) <= 5
    assert max(map(len, lines)) <= 400
    assert "Traceback" not in message


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files, path → text, below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def names(paths: Sequence[Path]) -> list[str]:
    """File names without their endings."""
    return sorted(path.stem for path in paths)


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a JSON file with a checksum says, as somebody would who makes the checksum anew."""
    told = json.loads(path.read_text(encoding="utf-8"))
    told.pop("checksum", None)
    change(told)
    path.write_text(hashed_json(told), encoding="utf-8")
