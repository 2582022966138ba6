"""The errors a person can meet, each with its exit code.

An error says what is wrong, where (config key, file, row), what was found and how to mend it, in a few lines.
"""

import difflib
from collections.abc import Iterable

from mlnn.visible import shorten, shown, visible

MOST_CHARACTERS = 2000
"""Of a message; what is longer holds somebody's cell or name of a million characters."""


class MlnnError(Exception):
    """Base of every error that mlnn raises on purpose. Shown, its message holds nothing that acts on a terminal."""

    exit_code = 2

    def __str__(self) -> str:
        return visible(shorten(super().__str__(), MOST_CHARACTERS))


class RequirementNotMetError(MlnnError):
    """A comparison was asked to hold (`require=`) and does not."""

    exit_code = 1


class ConfigError(MlnnError):
    """Bad usage: an unknown key or choice, a refused target, a batch larger than the data."""

    exit_code = 2


class MemoryWantedError(ConfigError):
    """A part of the user's own wants more memory than there is."""

    exit_code = 4


class DataError(MlnnError):
    """Bad data: NaN, labels outside the target space, one class only, an empty table, a missing column."""

    exit_code = 3


class NoAnswerError(MlnnError):
    """A job or a cell gave no answer, or a training or an estimate ended non-finite."""

    def __init__(self, message: str, exit_code: int = 4) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RunFolderError(MlnnError):
    """A run folder is missing, damaged, not empty, or cannot be written."""

    exit_code = 5


WANT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""How torch's allocators say it, by a bare RuntimeError."""


def wants_memory(problem: BaseException) -> bool:
    """Whether an exception is for want of memory."""
    try:
        said = str(problem)
    except Exception:  # an exception of the caller's whose message fails
        said = ""
    return isinstance(problem, MemoryError) or any(words in said for words in WANT_OF_MEMORY)


MOST_CHOICES = 20  # listed in full; of a longer list the nearest few


def unknown(what: str, name: str, choices: Iterable[str]) -> str:
    """Sentence for an unknown name: the nearest valid one, then the choices, of a long list the nearest few."""
    name, names = shown(name), sorted(map(shown, choices))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if len(names) > MOST_CHOICES:
        names = [*sorted(difflib.get_close_matches(name, names, n=8, cutoff=0)), f"… ({len(names)} in all)"]
    return f"unknown {what} '{name}'.{hint} Choices: {', '.join(names) or 'none'}"
