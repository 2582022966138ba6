"""Where jobs and cells run: in processes of this one's, or where one of Hydra's launchers takes them.

What comes of a job is its row in the sweep's folder, and of a cell its sealed folder in the study's, which every machine must see.
So a launcher that fails, or a caller who dies while a queue is still at work, loses nothing.
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mlnn.cli import launcher
from mlnn.cli.jobs import PATIENCE, Job, attend, attend_call, await_others, queued, watch
from mlnn.cli.performing import NO_ANSWER
from mlnn.cli.said import Said

if TYPE_CHECKING:
    from mlnn.comparing.growing import Supervise
    from mlnn.runs.jobs import JobRow
    from mlnn.workers import Call, Outcome

MANY = ("growth", "beyond_one_node")
"""Commands whose every job has cells of its own, which share the cores among them."""


def launch(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Run jobs: in processes of this one's, or where the launcher says that was chosen."""
    if not todo:
        return
    jobs = queued(todo, folder)
    if launcher.is_chosen(said):
        _hand_over(said, jobs, of, folder)
    else:
        _run_here(said, jobs, of, folder)


def many_cells(said: Said) -> bool:
    """Whether every job has cells of its own."""
    return said.command in MANY or said.has("seeds")


def _run_here(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Run jobs, `jobs` of them at once; where each of them has cells of its own, `jobs` is about those."""
    many = many_cells(said)
    at_once = 1 if many else _at_once(said, todo)
    own = [job if many else _told(job) for job in todo]
    with _telling(todo, of, folder):
        watch(own, folder, at_once, said.value("job_timeout"))


def _at_once(said: Said, todo: Sequence[Job]) -> int:
    """How many jobs run side by side on one machine: what `jobs` says, or the cores over the threads of the one that has most."""
    from mlnn.workers import side_by_side

    threads = [job.said.value("threads") for job in todo]
    most = max((count for count in threads if isinstance(count, int)), default=1)
    return side_by_side(said.value("jobs"), len(todo), most)


def _told(job: Job, *words: str) -> Job:
    """The job with `jobs`, which was about the sweep, replaced by words of its own."""
    alone = job.said.without("jobs")
    return dataclasses.replace(job, said=dataclasses.replace(alone, words=(*alone.words, *words)))


def _hand_over(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Hand the numbers of the jobs to Hydra's launcher, and wait for what it leaves at work where it ends early."""
    many, at_once = many_cells(said), _at_once(said, todo)
    config = launcher.configured(said, folder, at_once, many)
    size = launcher.together(said, config, len(todo), at_once, many)
    own = _cells_each(said, config)
    handed = [_told(job, *own) if own or not many else job for job in todo]
    task = partial(attend, handed, folder, said.value("job_timeout"))
    with _telling(todo, of, folder):
        _, problem = launcher.hand_over(task, config, len(todo), size)
        await_others([job.name for job in todo], folder)
    if problem is not None:
        _name(problem, todo, folder)


def _name(problem: Exception, todo: Sequence[Job], folder: Path) -> None:
    """Write down, of every job that the launcher has not run, why: in its row, and in full in its log."""
    import traceback

    from mlnn.runs.jobs import FAILED, read_row, write_row

    for job in todo:
        row = read_row(folder, job.name)
        if row is None or row.ended:
            continue
        with open(folder / f"{job.name}.log", "a", encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(problem)))
        why = launcher.why_not(problem)
        write_row(folder, job.name, dataclasses.replace(row, status=FAILED, code=4, seconds=0.0, error=why))


def supervision(said: Said, folder: Path) -> "Supervise":
    """What makes the calls of a command of many cells: processes of this one's, or the launcher that was chosen."""
    from mlnn.workers import supervised

    return partial(_elsewhere, said, folder) if launcher.is_chosen(said) else supervised


def _elsewhere(
    said: Said, folder: Path, calls: "Sequence[Call]", *, at_once: int, timeout: float | None
) -> "Iterator[Outcome]":
    """As `supervised`, where Hydra's launcher puts the calls, each watched there; they are told of once the last has ended."""
    import traceback

    from mlnn.workers import Outcome

    config = launcher.configured(said, folder, at_once, many=False)
    size = launcher.together(said, config, len(calls), at_once, many=False)
    found, problem = launcher.hand_over(partial(attend_call, list(calls), timeout), config, len(calls), size)
    left = {place: call for place, call in enumerate(calls) if place not in found}
    for call in left.values():  # a launcher that ends early may leave some of them at work
        await_others([call.log.stem], call.log.parent)
    if problem is None:
        launcher.tidy(folder)
    else:
        for place, call in left.items():
            with open(call.log, "a", encoding="utf-8") as log:
                log.write("".join(traceback.format_exception(problem)))
            found[place] = Outcome(place, None, launcher.why_not(problem), NO_ANSWER)
    yield from found.values()


def _cells_each(said: Said, config: DictConfig) -> tuple[str, ...]:
    """What is said to a job that has cells of its own: as many at once as it has cores where the launcher puts it."""
    if not many_cells(said) or said.has("jobs"):
        return ()
    import joblib

    chosen: Any = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    if "n_jobs" in chosen:
        beside = chosen["n_jobs"]
        cores = joblib.cpu_count() // (beside if beside and beside > 0 else joblib.cpu_count())
    elif "cpus_per_task" in chosen:
        cores = chosen["cpus_per_task"] or 1
    elif "ray" in chosen:
        cores = int(chosen["ray"].get("remote", {}).get("num_cpus") or 1)
    else:
        return ()
    return (f"jobs={max(1, cores)}",)


@contextmanager
def _telling(todo: Sequence[Job], of: int, folder: Path) -> Iterator[None]:
    """A line for every job that ends while the block runs, whoever writes that down."""
    from mlnn.report.console import show
    from mlnn.runs.jobs import read_row

    places, ended = dict(enumerate(todo)), threading.Event()

    def look() -> None:
        for number, job in list(places.items()):
            row = read_row(folder, job.name)
            if row is None or not row.ended or row.tries < job.tries:
                continue
            del places[number]
            show(f"job {of - len(todo) + number + 1} of {of}: {_line(job, row)}")

    def look_on() -> None:
        while not ended.wait(PATIENCE):
            look()

    thread = threading.Thread(target=look_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()


def _line(job: Job, row: "JobRow") -> str:
    how = "done" if row.code == 0 else f"exit code {row.code}"
    return f"{job.name}: {how} ({row.seconds or 0.0:.1f} s)"
