"""What runs a command, and which exit code counts of several."""

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path

from mlnn.errors import RunFolderError
from mlnn.visible import shown

INTERRUPTED, BUG, NO_ANSWER, USAGE = 130, 70, 4, 2
GRAVEST = (INTERRUPTED, BUG, 5, NO_ANSWER, 3, USAGE, 1)
"""Of several exit codes the first of these counts."""
Command = Callable[..., None]


def perform(command: str) -> Command:
    """The function behind a command, of (settings, said)."""
    found: Command = importlib.import_module(f"mlnn.cli.commands.{command}").run
    return found


def headline(command: str, folder: Path) -> dict[str, object]:
    """What a table of many says of the run in `folder`; RunFolderError where it is damaged, or of another command."""
    found: Callable[[Path], dict[str, object]] = importlib.import_module(f"mlnn.cli.commands.{command}").headline
    try:
        return found(folder)
    except (LookupError, TypeError, ValueError, AttributeError) as problem:
        raise RunFolderError(f"{folder}: is damaged: no {shown(problem)} as it belongs there") from None


def gravest(codes: Iterable[int]) -> int:
    """The exit code that counts of several: interrupted before a bug before run folder trouble, …; 0 where all are 0."""
    found = set(codes)
    return next((code for code in GRAVEST if code in found), 0)
