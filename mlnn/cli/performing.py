"""What runs a command, and which exit code counts of several."""

import importlib
from collections.abc import Callable, Iterable

INTERRUPTED, BUG, USAGE = 130, 70, 2
GRAVEST = (INTERRUPTED, BUG, 5, 4, 3, USAGE, 1)
"""Of several exit codes the first of these counts."""
Command = Callable[..., None]


def perform(command: str) -> Command:
    """The function behind a command, of (settings, said)."""
    found: Command = importlib.import_module(f"mlnn.cli.commands.{command}").run
    return found


def gravest(codes: Iterable[int]) -> int:
    """The exit code that counts of several: interrupted before a bug before run folder trouble, …; 0 where all are 0."""
    found = set(codes)
    return next((code for code in GRAVEST if code in found), 0)
