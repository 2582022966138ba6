"""The jobs of a sweep: named by what is swept, each run in a process of its own, and watched wherever that is.

Whatever ends a job, its row in the sweep's folder says so: it writes that down itself where it can, and whoever watches it where
it cannot. A job that another process is at, on another machine for a caller who has died, is waited for and not begun once more.
"""

import dataclasses
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mlnn.cli import performing
from mlnn.cli.launcher import number
from mlnn.cli.performing import perform
from mlnn.cli.said import Said, quoted
from mlnn.errors import MlnnError, RunFolderError

if TYPE_CHECKING:
    from mlnn.workers import Call, Outcome

NAME_LENGTH = 80
ELSEWHERE = "elsewhere"
"""What a job's process answers where another one is at the job."""
PATIENCE = 1.0
"""Seconds between two looks at what others are doing."""


@dataclass(frozen=True)
class Job:
    """One job: the folder of its run below the sweep's, its words, what is swept, by key, and which try of it this is."""

    name: str
    said: Said
    swept: Mapping[str, str]
    tries: int = 1


def named(found: Sequence[tuple[tuple[str, ...], Said]]) -> list[Job]:
    """Jobs with the names of their folders: what is swept, cut and told apart by a digest where it is long."""
    made = []
    for words, said in found:
        text = ",".join(words) or "only"
        name = re.sub(r"[^\w.,=@+-]", "-", text).lstrip(".") or "only"
        if name != text or len(name) > NAME_LENGTH:
            name = f"{name[:NAME_LENGTH]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        swept = {key.lstrip("~"): value for key, _, value in (word.partition("=") for word in words)}
        made.append(Job(name, said, swept))
    return made


def queued(todo: Sequence[Job], folder: Path) -> list[Job]:
    """The jobs, each with the number of this try, once the row of each says that it waits, or that another process is at it."""
    from mlnn.runs.jobs import RUNNING, JobRow, held, read_row, write_row

    found = []
    for job in todo:
        before = read_row(folder, job.name) or JobRow()
        elsewhere = before.status == RUNNING and held(folder, job.name)
        if not elsewhere:
            write_row(folder, job.name, JobRow(swept=job.swept, tries=before.tries))
        found.append(dataclasses.replace(job, tries=before.tries + (not elsewhere)))
    return found


def attend(todo: list[Job], folder: Path, timeout: float | None, _config: DictConfig) -> None:
    """Watch over the job whose number the launcher gave, wherever that has put it."""
    watch([todo[number()]], folder, 1, timeout)


def attend_call(calls: "Sequence[Call]", timeout: float | None, _config: DictConfig) -> "Outcome":
    """Watch over the call whose number the launcher gave, wherever that has put it; how it ended."""
    from mlnn.workers import supervised

    place = number()
    (outcome,) = supervised([calls[place]], timeout=timeout, fresh=True)
    return dataclasses.replace(outcome, place=place)


def watch(todo: Sequence[Job], folder: Path, at_once: int, timeout: float | None) -> None:
    """Run jobs that have not ended, each in a process of its own, and write down those that end without a word."""
    from mlnn.workers import supervised

    left = [job for job in todo if not has_ended(job, folder)]
    while left:
        calls, again = [_call(job, folder) for job in left], []
        for outcome in supervised(calls, at_once=at_once, timeout=timeout, fresh=True):
            job = left[outcome.place]
            if outcome.value == ELSEWHERE:
                again.append(job)
            else:
                _settle(job, outcome, folder)
        await_others([job.name for job in again], folder)
        left = [job for job in again if not has_ended(job, folder)]


def has_ended(job: Job, folder: Path) -> bool:
    """Whether this very try, or a later one, has ended, whoever made it."""
    from mlnn.runs.jobs import read_row

    row = read_row(folder, job.name)
    return row is not None and row.ended and row.tries >= job.tries


def await_others(names: Sequence[str], folder: Path) -> None:
    """Wait until no other process is at any job or cell of these names, and say whom it waits for."""
    from mlnn.report.console import show
    from mlnn.runs.jobs import held, read_row

    waiting = [name for name in names if held(folder, name)]
    if waiting:
        row = read_row(folder, waiting[0])
        who = f" ({row.where})" if row is not None and row.where else ""
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        show(f"waiting for {waiting[0]}{more}: another process is at it{who}")
    while any(held(folder, name) for name in waiting):
        time.sleep(PATIENCE)


def _call(job: Job, folder: Path) -> "Call":
    """The call that runs a job below `folder`."""
    from mlnn.workers import Call

    return Call(perform_job, (job, folder), folder / f"{job.name}.log")


def _settle(job: Job, outcome: "Outcome", folder: Path) -> None:
    """Write down how a job ended that could not do so itself: it was killed, took too long, or a bug ended it."""
    from mlnn.runs.jobs import JobRow, read_row, status_of, write_row

    if has_ended(job, folder):
        return
    begun = read_row(folder, job.name)
    row = begun if begun is not None and begun.tries == job.tries else JobRow(swept=job.swept, tries=job.tries)
    write_row(
        folder, job.name,
        dataclasses.replace(row, status=status_of(outcome.code), code=outcome.code, seconds=round(outcome.seconds, 3),
                            error=outcome.failure),
    )  # fmt: skip


def perform_job(job: Job, folder: Path) -> str | None:
    """One job, in its own process, which writes down that it has begun and how it ended; its page shares the sweep's library.

    Returns ELSEWHERE, and does nothing, where another process is at it.
    """
    from mlnn.runs.jobs import RUNNING, JobRow, claimed, here, status_of, write_row

    with claimed(folder, job.name) as ours:
        if not ours:
            return ELSEWHERE
        if has_ended(job, folder):
            return None
        row = JobRow(RUNNING, job.swept, tries=job.tries, where=here())
        write_row(folder, job.name, row)
        begun, problem = time.monotonic(), None
        try:
            _perform(job, folder)
        except MlnnError as raised:
            problem = raised
        code = problem.exit_code if problem else 0
        error = str(problem) if problem else None
        seconds = round(time.monotonic() - begun, 3)
        row = dataclasses.replace(row, status=status_of(code), code=code, seconds=seconds, error=error)
        write_row(folder, job.name, dataclasses.replace(row, found=headline(job, folder)))
        if problem is not None:
            raise problem
    return None


def _perform(job: Job, folder: Path) -> None:
    from mlnn.cli.compose import composing, settings
    from mlnn.report.library import sharing

    path = folder / job.name
    if path.exists() and not (path / "study.json").is_file():  # not whole, or its process did not live to write it down
        import shutil

        shutil.rmtree(path)
    said = dataclasses.replace(job.said, words=(*job.said.words, f"out={quoted(str(path))}"))
    with composing(said), sharing(".."):
        perform(said.command)(settings(said), said)


def headline(job: Job, folder: Path) -> Mapping[str, object]:
    """What the sweep's table says of the run of a job; nothing where it has left none."""
    path = folder / job.name
    if not (path / "checksums.json").is_file():
        return {}
    try:
        found = performing.headline(job.said.command, path)
    except RunFolderError:
        return {}
    return found
