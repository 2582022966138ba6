"""Runs a command: from the process's arguments to an exit code, every error in a few words.

Heavy imports wait until a command starts, so that `--help` is quick.
"""

import importlib
import io
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from mlnn.cli.performing import BUG, INTERRUPTED, NO_ANSWER, USAGE, Command, perform
from mlnn.cli.signals import handled
from mlnn.errors import ConfigError, MlnnError, unknown, wants_memory
from mlnn.keys import COMMANDS, Settings

if TYPE_CHECKING:
    from mlnn.cli.said import Said

BENCHMARKS = ("estimation_speed", "training_speed", "verdict_benchmark")
"""Commands of a checkout alone: a script each in experiments/benchmarks/, which brings what it runs along."""


@dataclass(frozen=True)
class Script:
    """A command of a checkout: `keys` that it can be told, and what runs, of (settings, said)."""

    keys: type[Settings]
    run: Command


def main(command: str | None = None, script: Script | None = None) -> None:
    """The console script `mlnn`, and each script in experiments/; exits. `script`: what a command not in mlnn.cli is.

    Exit codes: 0 done; 1 `require=` not met; 2 bad usage or config; 3 bad data; 4 a job gave no answer, or a training or an
    estimate ended non-finite; 5 run folder trouble; 70 a bug in mlnn (with its traceback); 130 interrupted.
    MLNN_TRACEBACK=1 shows the traceback of any error.
    """
    arguments, called = sys.argv[1:], _called()
    if command is None:
        command, arguments = (arguments[0] if arguments else "--help"), arguments[1:]
        called.append(command)
    sys.exit(start(command, arguments, called, script))


def _called() -> list[str]:
    """How this program was started, in words that start it again from the same folder."""
    program = sys.argv[0]
    if shutil.which(Path(program).name) == program:
        return [Path(program).name]
    python = min(sys.executable, os.path.relpath(sys.executable), key=len)
    if Path(program).name == "__main__.py":
        return [python, "-m", "mlnn"]
    return [program] if os.access(program, os.X_OK) else [python, program]


def start(command: str, arguments: Sequence[str], called: Sequence[str] = (), script: Script | None = None) -> int:
    """Run `command` with these arguments; the exit code."""
    if command in ("--help", "-h", "help"):
        print(_overview())
        return 0
    if command == "--version":
        print(importlib.import_module("mlnn").__version__)
        return 0
    with _ending():
        try:
            return _run(command, arguments, called, script or _own(command))
        except MlnnError as problem:
            return say(str(problem), problem.exit_code)
        except SystemExit as stop:  # mlnn itself ends in main alone
            return say(f"the code that was called ended with sys.exit({stop.code!r})", NO_ANSWER)
        except KeyboardInterrupt as stop:
            return say(
                f"interrupted; {stop}" if str(stop) else "interrupted; the run in progress was not written", INTERRUPTED
            )
        except Exception as problem:
            if wants_memory(problem):
                return say(f"ran out of memory: {type(problem).__name__}: {problem}", NO_ANSWER)
            traceback.print_exc()  # not one of ours: a bug, and whoever mends it needs the traceback
            return BUG


def _own(command: str) -> Script:
    """A command of mlnn's; its code is imported once its settings are read."""
    if command in BENCHMARKS:
        raise ConfigError(f"{command}: is now python experiments/benchmarks/{command}.py, in a checkout of mlnn")
    if command not in COMMANDS:
        raise ConfigError(unknown("command", command, COMMANDS))
    return Script(COMMANDS[command], lambda settings, said: perform(command)(settings, said))


def _run(command: str, arguments: Sequence[str], called: Sequence[str], script: Script) -> int:
    from mlnn.cli import said as saying
    from mlnn.cli.compose import composing, settings

    said = saying.read(command, arguments, called)
    if said.has("resume"):
        from mlnn.cli.kept import read_on

        said = read_on(said)
    with composing(said):
        if said.show:
            return _show(said, script.keys)
        if said.many and command not in COMMANDS:
            raise ConfigError(f"-m: {command} is one run; its own keys say over what it goes")
        if said.many:
            from mlnn.cli.sweep import sweep

            sweep(said)
            return 0
        script.run(settings(said, script.keys), said)
    return 0


def say(message: str, code: int) -> int:
    """Print an error to standard error, a few lines, nothing in it that acts on a terminal; returns its code."""
    from mlnn.visible import visible

    if os.environ.get("MLNN_TRACEBACK"):
        traceback.print_exc()
    print(visible(f"error: {message}" if code != INTERRUPTED else message), file=sys.stderr)
    return code


def _show(said: "Said", keys: type[Settings]) -> int:
    """A page instead of a run: --help, or one of Hydra's own, --cfg job, --info."""
    from mlnn.cli.compose import composed, told

    if "--help" in said.show:
        from mlnn.cli.helping import help_page

        print(help_page(composed(said), told(said.command), keys, "--resolve" in said.show), end="")
        return 0
    if said.config_dir is not None:  # Hydra's pages act on Hydra's own node, which is to be mlnn's
        composed(said)
    return _hydras_page(said)


def _hydras_page(said: "Said") -> int:
    """Print one of Hydra's pages, whole or not at all."""
    from unittest.mock import patch

    import hydra
    from hydra.core.global_hydra import GlobalHydra

    from mlnn.cli.compose import COMPOSING, explain
    from mlnn.shipped import config_dir

    GlobalHydra.instance().clear()
    page = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=said.command)(lambda _: None)
    shown = io.StringIO()
    try:
        with (
            patch.object(sys, "argv", [said.command, *said.show, *said.words]),
            patch.dict(os.environ, HYDRA_FULL_ERROR="1"),
            redirect_stdout(shown),
            suppress(SystemExit),  # Hydra's end of a page that was shown; what goes wrong is raised
        ):
            page()
    except COMPOSING as problem:
        return say(explain(problem, said.command), USAGE)
    print(shown.getvalue(), end="")
    return 0


@contextmanager
def _ending() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: what is finished is kept, what is not leaves nothing behind."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt("asked to end by SIGTERM")

    with handled([signal.SIGTERM], stop):
        yield


def _overview() -> str:
    """What `mlnn --help` prints: a line per command, taken from the first line of its file."""
    import ast

    here = Path(__file__).parent / "commands"
    told = {name: ast.get_docstring(ast.parse((here / f"{name}.py").read_text(encoding="utf-8"))) for name in COMMANDS}
    lines = [f"  {name:<18} {(text or '').splitlines()[0]}" for name, text in told.items()]
    return "\n".join(["mlnn <command> [key=value] [group=choice] [-m key=a,b]", "", *lines, "",
                      "mlnn <command> --help lists what can be set."])  # fmt: skip
