"""A sweep (`-m`): every combination a job in a process of its own that is watched, and one table of all at the end.

A job's words are handed to it in memory. Hydra's launcher, chosen on the command line alone, decides where jobs run and is
told nothing but their numbers, so that a job that cannot even be composed is that job's failure and no other's.
"""

import dataclasses
import hashlib
import importlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from mlnn.cli.performing import gravest, perform
from mlnn.cli.said import Said, jobs, quoted
from mlnn.errors import ConfigError, NoAnswerError, RunFolderError

TABLE = "sweep.csv"
TOLD, NAME_LENGTH = 3, 80
MOVES = ("out", "overwrite", "jobs", "job_timeout", "most_jobs", "most_config_bytes", "require", "domain")
"""Words that say how, where and how strictly; what a job is does not depend on them."""
NEVER_RAN: dict[str, Any] = {"code": 4, "seconds": 0.0, "error": "it was not run"}


@dataclass(frozen=True)
class Job:
    """One job: the folder of its run below the sweep's, its words, and what is swept, by key."""

    name: str
    said: Said
    swept: dict[str, str]


def sweep(said: Said) -> None:
    """Run every job of a sweep that has no answer yet, and tell of all of them.

    Raises NoAnswerError with the gravest of the jobs' exit codes, once all have ended, where one of them is not 0.
    """
    from mlnn.cli.cells import how_to_go_on
    from mlnn.report.console import paths, plain_table, show
    from mlnn.runs import csv_text, open_study, unused
    from mlnn.runs.environment import environment

    if said.command == "curves":
        raise ConfigError("-m: curves draws what is stored, it has no jobs")
    timeout = said.value("job_timeout")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0):
        raise ConfigError(f"job_timeout: {timeout!r}; a number of seconds above 0 is needed")
    todo = named(jobs(said.without("out", "overwrite")))
    out = Path(said.value("out") or unused(said.command))
    of = {"cells": {job.name: sorted(job.said.without(*MOVES).words) for job in todo}, "data": []}
    with (
        open_study(
            out, f"sweep of {said.command}", of, environment(), bool(said.value("overwrite")), grows=True
        ) as study,
        how_to_go_on(said, study.final),
    ):
        records = {job.name: _record(study.final, job.name) for job in todo}
        launch(said, [job for job in todo if records[job.name] is None], len(todo), study.final)
        found = [(job, _record(study.final, job.name) or _record(study.final, job.name, any_=True)) for job in todo]
        rows = [_row(job, record or NEVER_RAN, study.final) for job, record in found]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        codes = [(record or NEVER_RAN)["code"] for _, record in found]
        if not study.finished:
            study.write_text(TABLE, csv_text(columns, rows))
            study.write_json("environment.json", environment())
            if all(_sealed(study.final / job.name) for job in todo):
                study.seal()
        show(plain_table(columns, rows))
        paths({"table": study.final / TABLE})
        if gravest(codes):
            raise _failure(
                [(j.name, r or NEVER_RAN) for j, r in found if (r or NEVER_RAN)["code"]], len(todo), study.final
            )


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
    """Hand the numbers of the jobs to Hydra's launcher."""
    if not todo:
        return
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
    launcher.launch([[] for _ in todo], initial_job_idx=0)


def attend(todo: list[Job], of: int, folder: Path, timeout: float | None, _config: DictConfig) -> None:
    """Watch over the job whose number the launcher gave, and write down how it ended."""
    from mlnn.report.console import show
    from mlnn.runs import to_json, write_file
    from mlnn.workers import Call, supervised

    number = int(HydraConfig.get().job.num)
    job = todo[number]
    path = folder / job.name
    if path.exists() and not (path / "study.json").is_file():  # whole, but its process did not live to write it down
        import shutil

        shutil.rmtree(path)
    said = dataclasses.replace(job.said, words=(*job.said.words, f"out={quoted(str(path))}"))
    call = Call(perform_job, (said,), folder / f"{job.name}.log")
    (outcome,) = supervised([call], timeout=timeout, fresh=True)
    record = {"code": outcome.code, "seconds": round(outcome.seconds, 3), "error": outcome.failure}
    write_file(folder / f"{job.name}.json", to_json(record))
    ended = "done" if outcome.code == 0 else f"exit code {outcome.code}"
    show(f"job {of - len(todo) + number + 1} of {of}: {job.name}: {ended} ({outcome.seconds:.1f} s)")


def perform_job(said: Said) -> None:
    """One job, in its own process."""
    from mlnn.cli.compose import composing, settings

    with composing(said):
        perform(said.command)(settings(said), said)


def _record(folder: Path, name: str, any_: bool = False) -> dict[str, Any] | None:
    """How the job ended, if it gave an answer (a run folder that is sealed), or `any_` way; None where it is to be run."""
    from mlnn.runs import damage, read_json

    try:
        record = read_json(folder / f"{name}.json")
    except RunFolderError:
        return None
    answered = any_ or damage(folder / name) is None
    whole = isinstance(record.get("code"), int) and isinstance(record.get("seconds"), int | float)
    return record if whole and answered else None


def _sealed(folder: Path) -> bool:
    return (folder / "checksums.json").is_file()


def _row(job: Job, record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A line of the table: what was swept, how it ended, and the headline of its run."""
    row: dict[str, Any] = {"job": job.name, **job.swept, "exit_code": record["code"]}
    path = folder / job.name
    if _sealed(path):
        try:
            row |= importlib.import_module(f"mlnn.cli.commands.{job.said.command}").headline(path)
        except RunFolderError as problem:
            return row | {"seconds": record["seconds"], "error": str(problem)}
    return row | {"seconds": record["seconds"], "error": record.get("error")}


def _failure(failed: Sequence[tuple[str, dict[str, Any]]], of: int, folder: Path) -> NoAnswerError:
    kept = any(_sealed(folder / name) for name in os.listdir(folder))
    where = f"; the table and a log each are in {folder}" if kept else ", so nothing is kept"
    lines = [f"{len(failed)} of {of} jobs did not end with 0{where}"]
    for name, record in failed[:TOLD]:
        first = (str(record.get("error")).splitlines() or [""])[0]
        lines.append(f"  {name}: exit code {record['code']}: {first[:250]}" + (f" (log: {name}.log)" if kept else ""))
    if len(failed) > TOLD:
        lines[-1] += f"; and {len(failed) - TOLD} more"
    return NoAnswerError("\n".join(lines), gravest(record["code"] for _, record in failed))
