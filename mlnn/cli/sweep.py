"""A sweep (`-m`): every combination a job in a process of its own that is watched, and one table of all at the end.

A job's words are handed to it in memory. They run here, `jobs` at once; where another of Hydra's launchers is chosen, on the
command line alone, it decides where they run and is told nothing but their numbers. Either way a job that cannot even be
composed is that job's failure and no other's.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from mlnn.cli.performing import gravest, headline, perform
from mlnn.cli.running import point_to
from mlnn.cli.said import PATHS, Said, jobs, quoted
from mlnn.errors import ConfigError, NoAnswerError, RunFolderError

if TYPE_CHECKING:
    from mlnn.runs import Study
    from mlnn.workers import Call, Outcome

TABLE = "sweep.csv"
TOLD, NAME_LENGTH = 3, 80
MANY = ("growth", "beyond_one_node")
"""Commands whose every job has cells of its own, which share the cores among them."""
MOVES = ("out", "overwrite", "jobs", "job_timeout", "most_jobs", "most_config_bytes", "require", "domain")
"""Words that say how, where and how strictly; what a job is does not depend on them."""


@dataclass(frozen=True)
class Job:
    """One job: the folder of its run below the sweep's, its words, and what is swept, by key."""

    name: str
    said: Said
    swept: dict[str, str]


@dataclass(frozen=True)
class Ended:
    """How a job ended: its exit code, how long it took, and what it said where that is not 0."""

    code: int
    seconds: float
    error: str | None


NEVER_RAN = Ended(4, 0.0, "it was not run")


def sweep(said: Said) -> None:
    """Run every job of a sweep that has no answer yet, and tell of all of them.

    Raises NoAnswerError with the gravest of the jobs' exit codes, once all have ended, where one of them is not 0.
    """
    from mlnn.cli.cells import how_to_go_on
    from mlnn.runs import open_study, unused
    from mlnn.runs.environment import environment

    if said.command in PATHS:
        raise ConfigError(f"-m: {said.command} reads what is stored, it has no jobs")
    _check_timeout(said.value("job_timeout"))
    _check_jobs(said.value("jobs"))
    todo = named(jobs(said.without("out", "overwrite")))
    out = Path(said.value("out") or unused(said.command))
    of = {"cells": {job.name: sorted(job.said.without(*MOVES).words) for job in todo}, "data": []}
    with (
        open_study(
            out, f"sweep of {said.command}", of, environment(), bool(said.value("overwrite")), grows=True
        ) as study,
        how_to_go_on(said, study.final),
    ):
        _share_library(study)
        launch(said, [job for job in todo if not _answered(study.final, job.name)], len(todo), study.final)
        _tell([(job, _ended(study.final, job.name)) for job in todo], study)


def _share_library(study: "Study") -> None:
    """Write the library of the jobs' pages where they look for it."""
    from mlnn.report.library import LIBRARY, library_text

    if not study.finished:
        study.write_text(LIBRARY, library_text())


def _tell(found: Sequence[tuple[Job, Ended]], study: "Study") -> None:
    """The table of all jobs, written and shown; raises NoAnswerError where one of them did not end with 0."""
    from mlnn.report.console import plain_table, show
    from mlnn.runs import csv_text
    from mlnn.runs.environment import environment

    rows = [_row(job, ended, study.final) for job, ended in found]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not study.finished:
        study.write_text(TABLE, csv_text(columns, rows))
        study.write_json("environment.json", environment())
        if all(_sealed(study.final / job.name) for job, _ in found):
            study.seal()
    show(plain_table(columns, rows))
    point_to(study.final, table=TABLE)
    failed = [(job.name, ended) for job, ended in found if ended.code]
    if failed:
        raise _failure(failed, len(found), study.final)


def _check_timeout(timeout: object) -> None:
    """What was said of `job_timeout`: it counts before any job is composed."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigError(f"job_timeout: {timeout!r}; a number of seconds above 0 is needed")


def _check_jobs(count: object) -> None:
    """The same of `jobs`."""
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ConfigError(f"jobs: {count!r}; a whole number above 0 is needed, or null")


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


def launch(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Run jobs: in processes of this one's, or where the launcher says that was chosen."""
    if not todo:
        return
    if any(o.is_hydra_override() for o in said.overrides):
        _hand_over(said, todo, of, folder)
    else:
        _run_here(said, todo, of, folder)


def _run_here(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Run jobs, `jobs` of them at once; where each of them has cells of its own, `jobs` is about those."""
    from mlnn.workers import side_by_side, supervised

    many = said.command in MANY or said.has("seeds")
    threads = [job.said.value("threads") for job in todo]
    most = max((count for count in threads if isinstance(count, int)), default=1)
    at_once = 1 if many else side_by_side(said.value("jobs"), len(todo), most)
    calls = [_call(job if many else _alone(job), folder) for job in todo]
    for outcome in supervised(calls, at_once=at_once, timeout=said.value("job_timeout"), fresh=True):
        _write_down(todo, outcome.place, outcome, of, folder)


def _alone(job: Job) -> Job:
    """The job less `jobs`, which was about the sweep."""
    return dataclasses.replace(job, said=job.said.without("jobs"))


def _hand_over(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Hand the numbers of the jobs to Hydra's launcher."""
    from mlnn.workers import safe_children

    core = GlobalHydra.instance().hydra
    assert core is not None
    settings = ["hydra.output_subdir=null", f"hydra.sweep.dir={quoted(str(folder))}", "hydra.sweep.subdir=.",
                "hydra/job_logging=none", "hydra/hydra_logging=none"]  # fmt: skip
    chosen = [str(o.input_line) for o in said.overrides if o.is_hydra_override()]
    config = core.compose_config(None, [*settings, *chosen], run_mode=RunMode.MULTIRUN, with_log_configuration=False)
    task = partial(attend, list(todo), of, folder, said.value("job_timeout"))
    launcher = Plugins.instance().instantiate_launcher(
        HydraContext(config_loader=core.config_loader, callbacks=Callbacks()), task, config
    )
    with safe_children():
        launcher.launch([[] for _ in todo], initial_job_idx=0)


def attend(todo: list[Job], of: int, folder: Path, timeout: float | None, _config: DictConfig) -> None:
    """Watch over the job whose number the launcher gave, and write down how it ended."""
    from mlnn.workers import supervised

    number = int(HydraConfig.get().job.num)
    (outcome,) = supervised([_call(todo[number], folder)], timeout=timeout, fresh=True)
    _write_down(todo, number, outcome, of, folder)


def _call(job: Job, folder: Path) -> "Call":
    """The call that runs a job below `folder`."""
    from mlnn.workers import Call

    path = folder / job.name
    if path.exists() and not (path / "study.json").is_file():  # whole, but its process did not live to write it down
        import shutil

        shutil.rmtree(path)
    said = dataclasses.replace(job.said, words=(*job.said.words, f"out={quoted(str(path))}"))
    return Call(perform_job, (said,), folder / f"{job.name}.log")


def _write_down(todo: Sequence[Job], number: int, outcome: "Outcome", of: int, folder: Path) -> None:
    """Write down how a job ended, and say so."""
    from mlnn.report.console import show
    from mlnn.runs import to_json, write_file

    name = todo[number].name
    record = {"code": outcome.code, "seconds": round(outcome.seconds, 3), "error": outcome.failure}
    write_file(folder / f"{name}.json", to_json(record))
    ended = "done" if outcome.code == 0 else f"exit code {outcome.code}"
    show(f"job {of - len(todo) + number + 1} of {of}: {name}: {ended} ({outcome.seconds:.1f} s)")


def perform_job(said: Said) -> None:
    """One job, in its own process; its page shares the sweep's library."""
    from mlnn.cli.compose import composing, settings
    from mlnn.report.library import sharing

    with composing(said), sharing(".."):
        perform(said.command)(settings(said), said)


def _answered(folder: Path, name: str) -> bool:
    """Whether the job has been run and gave an answer, a run folder that is sealed."""
    from mlnn.runs import damage

    return _ended(folder, name) is not NEVER_RAN and damage(folder / name) is None


def _ended(folder: Path, name: str) -> Ended:
    """How the job ended, whether or not with an answer."""
    from mlnn.runs import read_json

    try:
        record = read_json(folder / f"{name}.json")
    except RunFolderError:
        return NEVER_RAN
    code, seconds = record.get("code"), record.get("seconds")
    if not isinstance(code, int) or not isinstance(seconds, int | float):
        return NEVER_RAN
    return Ended(code, seconds, record.get("error"))


def _sealed(folder: Path) -> bool:
    return (folder / "checksums.json").is_file()


def _row(job: Job, ended: Ended, folder: Path) -> dict[str, Any]:
    """A line of the table: what was swept, how it ended, and the headline of its run."""
    row: dict[str, Any] = {"job": job.name, **job.swept, "exit_code": ended.code}
    path = folder / job.name
    if _sealed(path):
        try:
            row |= headline(job.said.command, path)
        except RunFolderError as problem:
            return row | {"seconds": ended.seconds, "error": str(problem)}
    return row | {"seconds": ended.seconds, "error": ended.error}


def _failure(failed: Sequence[tuple[str, Ended]], of: int, folder: Path) -> NoAnswerError:
    kept = any(_sealed(folder / name) for name in os.listdir(folder))
    where = f"; the table and a log each are in {folder}" if kept else ", so nothing is kept"
    lines = [f"{len(failed)} of {of} jobs did not end with 0{where}"]
    log = " (log: {}.log)" if kept else ""
    for name, ended in failed[:TOLD]:
        first = (str(ended.error).splitlines() or [""])[0]
        lines.append(f"  {name}: exit code {ended.code}: {first[:250]}{log.format(name)}")
    if len(failed) > TOLD:
        lines[-1] += f"; and {len(failed) - TOLD} more"
    return NoAnswerError("\n".join(lines), gravest(ended.code for _, ended in failed))
