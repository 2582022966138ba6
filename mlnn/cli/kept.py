"""A command of one run, which survives its process: it works in a place of its own, and `resume=RUN` goes on with it there."""

import hashlib
import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from mlnn.cli.said import ALOUD, Said, parse, quoted
from mlnn.cli.signals import handled
from mlnn.errors import ConfigError, MlnnError, NoAnswerError, RunFolderError
from mlnn.keys import BaseSettings
from mlnn.runs import CHECKSUMS, damage, read_hashed, unused
from mlnn.runs.environment import environment
from mlnn.runs.kept.keeper import Keeper
from mlnn.runs.kept.place import STATUS, Place, open_place, place_of, read_kept, take_away
from mlnn.runs.study import STUDY
from mlnn.visible import shown

TRIES = 100
"""Of names of this second for a run without `out=`."""
GOES_ON = ("trust", "resume_anyway")
"""Words that are said again to go on: they count on the command line alone."""


def read_on(said: Said) -> Said:
    """The words with which a run was begun, then those that are said now, where `resume=RUN` is among them.

    Raises ConfigError where there is no such run of this command, RunFolderError where what is there cannot be read.
    """
    value = said.value("resume")
    if value is None:
        return said.without("resume", "resume_anyway")
    if said.many:
        raise ConfigError("resume: goes on with one run; the same words with -m fill in what is missing of a sweep")
    if not isinstance(value, str) or said.has("out"):
        raise ConfigError(f"resume: {value!r}; the folder of one run is needed, and no out= beside it")
    final = _final(Path(os.path.abspath(value)))
    now = replace(said.without("resume", "resume_anyway"), resume=final, anyway=bool(said.value("resume_anyway")))
    if (final / CHECKSUMS).exists() and not (final / STUDY).exists():
        return now
    if (final / STUDY).exists():
        raise RunFolderError(f"{final}: holds many runs; the words that began it, with out=…, fill in what is missing")
    if not place_of(final).is_dir() and final.is_dir() and any(final.iterdir()):
        raise RunFolderError(
            f"{final}: has no {CHECKSUMS}, so that it is no finished run, and none is in progress beside it"
        )
    if not place_of(final).is_dir():
        raise RunFolderError(f"{final}: no run was begun there; mlnn runs list tells of those that are")
    begun = read_kept(place_of(final), final)
    _check_command(final, begun["command"], said.command)
    return replace(now, words=(*_words(final, begun["words"]), *now.words))


def _final(path: Path) -> Path:
    """The run folder that a path means: itself, or the one that a folder in progress is to become."""
    name = path.name
    if name.startswith(".") and name.endswith(".partial-run"):
        return path.with_name(name.removeprefix(".").removesuffix(".partial-run"))
    return path


def _check_command(final: Path, begun: object, now: str) -> None:
    if begun != now:
        raise ConfigError(f"resume: {final} is a run of mlnn {begun}, not of {now}")


def _words(final: Path, told: Sequence[Any]) -> tuple[str, ...]:
    """The words of a run in progress. It may be somebody else's: what counts on the command line alone is not taken from it."""
    if not all(isinstance(word, str) for word in told):
        raise RunFolderError(f"{final}: the words that began it are damaged; overwrite=true begins anew")
    for word, override in zip(told, parse(told), strict=True):
        if _is_aloud(override.key_or_group) or override.is_hydra_override():
            raise RunFolderError(f"{final}: was begun with {shown(word, 60)}, which only the command line can say")
    return tuple(told)


def _is_aloud(key: str) -> bool:
    return key in ALOUD or any(part.startswith("most_") for part in key.split("."))


@contextmanager
def keeping(settings: BaseSettings, said: Said) -> Iterator[Keeper | None]:
    """What keeps the state of this run, in its place; None where it is finished. The block seals the place.

    Ctrl-C and SIGTERM let the step end and keep the state; a second one stops at once. However it ends, where a state is kept, the
    command that goes on is named.
    """
    from mlnn.report.console import show

    if said.resume is not None and (said.resume / CHECKSUMS).exists():
        _check_finished(said.resume, said.command)
        take_away(place_of(said.resume), said.resume)
        show(f"{said.resume} is finished; nothing is left to do")
        yield None
        return
    with ExitStack() as stack:
        place = _place(settings, said, stack)
        keep = Keeper(place, show)
        with _signals(keep):
            try:
                yield keep
            except BaseException as early:
                _end(keep, said, early)
                if keep.begun_at and isinstance(early, Exception) and not isinstance(early, MlnnError):
                    raise RunFolderError(_foreign(keep, early)) from early
                raise


def _check_finished(final: Path, command: str) -> None:
    if (final / STATUS).is_file():
        _check_command(final, read_hashed(final / STATUS).get("command"), command)
    damaged = damage(final)
    if damaged is not None:
        raise RunFolderError(f"{damaged}; a finished run is not trained again, choose another folder")


def _place(settings: BaseSettings, said: Said, stack: ExitStack) -> Place:
    kept = {
        "command": said.command,
        "words": [str(o.input_line) for o in said.overrides if not _is_aloud(o.key_or_group)],
        "told": settings.told(),
        "config": settings.config,
        "environment": environment() | {"code": code()},
        "marks": [],
    }
    named = said.resume or settings.out
    for left in range(TRIES, -1, -1):
        final = Path(os.path.abspath(named or unused(said.command)))
        try:
            return stack.enter_context(open_place(final, kept, settings.overwrite, said.anyway))
        except RunFolderError:
            if named or not left:  # else another process has taken this second's name
                raise
    raise AssertionError


def _end(keep: Keeper, said: Said, early: BaseException) -> None:
    """Keep what can be kept of a run that ends before it is whole, and raise the error anew with how to go on."""
    place = keep.place
    if not keep.trains:  # all steps are done, and it was not written
        with suppress(OSError, MlnnError):
            place.discard()  # which makes room for the state on a disk that is full
        keep.keep()
    if not place.states:
        if isinstance(early, KeyboardInterrupt) and keep.unkept:
            raise KeyboardInterrupt(f"the run in progress was not written: {keep.unkept}") from early
        return
    stopped = isinstance(early, KeyboardInterrupt)
    with suppress(MlnnError):
        place.say("interrupted" if stopped else "failed", step=keep.kept, error=str(early).split("\n")[0][:300])
    words = f"to go on: {_again(said, place.final)}"
    if stopped:
        raise KeyboardInterrupt(f"step {keep.kept} is kept beside {place.final}\n{words}") from None
    if isinstance(early, MlnnError):
        raise NoAnswerError(f"{early}\n{words}", early.exit_code) from early


def _foreign(keep: Keeper, early: Exception) -> str:
    """Of a run that broke down once its state was put back: that can be somebody's, and hold what mlnn would not have written."""
    told = shown(f"{type(early).__name__}: {early}", 200)
    return (
        f"{keep.place.final}: broke down after it went on from the state after step {keep.begun_at} ({told})\n"
        "if this mlnn wrote that state, this is a bug in it, and MLNN_TRACEBACK=1 shows where; if not, overwrite=true begins anew"
    )


def again(said: Said, command: str, final: Path) -> str:
    """The command line that goes on with a run, called as this command was."""
    own = replace(said, called=(*said.called[:-1], command), words=(), config_dir=None)
    return _again(own, final)


def _again(said: Said, final: Path) -> str:
    """The command line that goes on with a run of this command."""
    options = ("--config-dir", said.config_dir) if said.config_dir else ()
    here = os.path.relpath(final)
    folder = here if not here.startswith("..") else str(final)
    words = [str(o.input_line) for o in said.overrides if o.key_or_group in GOES_ON or "most_" in o.key_or_group]
    anyway = ["resume_anyway=true"] if said.anyway else []
    return shlex.join([*said.called, *options, f"resume={quoted(folder)}", *words, *anyway])


@contextmanager
def _signals(keep: Keeper) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM waits for the end of the step, a second one does not."""
    asked = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not keep.trains:
            raise KeyboardInterrupt(f"asked to end by {signal.Signals(number).name}" if number != signal.SIGINT else "")
        asked = True
        keep.stop()

    heard = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    with handled(heard, stop):
        yield


def code() -> str:
    """SHA-256 of mlnn's own code: another version of it may compute other bits under the same number."""
    here, found = Path(__file__).parent.parent, hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        found.update(path.relative_to(here).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:16]
