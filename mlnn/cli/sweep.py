"""A sweep (`-m`): every combination a job in a process of its own that is watched, and one table of all at the end.

Folders are named by what is swept. A call with the same `out=` runs what has no answer yet, whatever ended the one before; a job
that cannot even be composed is that job's failure and no other's.
"""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from mlnn.cli.jobs import Job, named
from mlnn.cli.launcher import tidy
from mlnn.cli.launching import launch
from mlnn.cli.performing import gravest
from mlnn.cli.running import point_to
from mlnn.cli.said import PATHS, Said, jobs
from mlnn.errors import ConfigError, NoAnswerError, unknown
from mlnn.keys import RETRIES

if TYPE_CHECKING:
    from mlnn.runs import Study
    from mlnn.runs.jobs import JobRow

TABLE, PARQUET, PAGE = "sweep.csv", "sweep.parquet", "report.html"
TOLD = 3
"""Failed jobs that an error names; the others are in its count, and all are on the page."""


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
    retry = str(said.value("retry", RETRIES[1]))
    if retry not in RETRIES:
        raise ConfigError(unknown("retry", retry, RETRIES))
    todo = named(jobs(said.without("out", "overwrite", "retry")))
    out = Path(said.value("out") or unused(said.command))
    of = {"cells": {job.name: identity(job.said) for job in todo}, "data": []}
    with (
        open_study(
            out, f"sweep of {said.command}", of, environment(), bool(said.value("overwrite")), grows=True
        ) as study,
        how_to_go_on(said, study.final),
    ):
        _share_library(study)
        launch(said, [job for job in todo if _is_due(study.final, job.name, retry)], len(todo), study.final)
        failed = _tell(todo, said.command, study)
    if failed:  # told outside: what the failures left, a row and a log each, stays even where nothing else does
        with how_to_go_on(said, study.final):
            raise _failure(failed, len(todo), study.final)


def identity(said: Said) -> list[str]:
    """The words that say what a job computes, less those that say how, where and how strictly."""
    from mlnn.runs.study import EXECUTION

    mine = [o for o in said.overrides if o.key_or_group.split(".")[0] not in EXECUTION]
    return sorted(str(o.input_line) for o in mine)


def _share_library(study: "Study") -> None:
    """Write the library of the jobs' pages where they look for it."""
    from mlnn.report.library import LIBRARY, library_text

    if not study.finished:
        study.write_text(LIBRARY, library_text())


def _check_timeout(timeout: object) -> None:
    """What was said of `job_timeout`: it counts before any job is composed."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < inf:
        raise ConfigError(f"job_timeout: {timeout!r}; a finite number of seconds above 0 is needed")


def _check_jobs(count: object) -> None:
    """The same of `jobs`."""
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ConfigError(f"jobs: {count!r}; a whole number above 0 is needed, or null")


def _is_due(folder: Path, name: str, retry: str) -> bool:
    """Whether the job is to be run: it has not ended, what it left is damaged, or it failed and `retry` says so."""
    from mlnn.runs import damage
    from mlnn.runs.jobs import FAILED, read_row

    row = read_row(folder, name)
    if row is None or not row.ended:
        return True
    if row.status == FAILED and retry != "unanswered":
        return retry == "failed"
    return damage(folder / name) is not None


def _tell(todo: Sequence[Job], command: str, study: "Study") -> list[tuple[str, "JobRow"]]:
    """The table of all jobs, written and shown; those that did not end with 0."""
    from mlnn.cli.sweep_page import console_table, sweep_page
    from mlnn.report.console import show
    from mlnn.report.library import sharing
    from mlnn.runs.environment import environment
    from mlnn.runs.frame import has_parquet, table_text, write_parquet
    from mlnn.runs.jobs import forget_claims

    found = [(job, _found(study.final, job)) for job in todo]
    rows = [row.told(job.name) for job, row in found]
    if not study.finished:
        study.write_text(TABLE, table_text(rows))
        if has_parquet():
            with study.writing(PARQUET) as path:
                write_parquet(rows, path)
        with sharing("."):
            study.write_text(PAGE, sweep_page(found, command, study.final))
        study.write_json("environment.json", environment())
        if all(_sealed(study.final / job.name) for job in todo):
            forget_claims(study.final)
            tidy(study.final)
            study.seal()
    show(console_table(found))
    point_to(study.final, page=PAGE, table=TABLE)
    return [(job.name, row) for job, row in found if row.code]


def _found(folder: Path, job: Job) -> "JobRow":
    """The row of a job, with the headline of its run, which one of an earlier mlnn lacks."""
    import dataclasses

    from mlnn.cli.jobs import headline
    from mlnn.runs.jobs import FAILED, NEVER_RAN, JobRow, read_row

    row = read_row(folder, job.name)
    if row is None or not row.ended:
        return JobRow(FAILED, job.swept, 4, 0.0, NEVER_RAN)
    return dataclasses.replace(row, swept=job.swept, found=row.found or headline(job, folder))


def _sealed(folder: Path) -> bool:
    return (folder / "checksums.json").is_file()


def _failure(failed: Sequence[tuple[str, "JobRow"]], of: int, folder: Path) -> NoAnswerError:
    lines = [f"{len(failed)} of {of} jobs did not end with 0; the table and a log each are in {folder}"]
    for name, row in failed[:TOLD]:
        first = (str(row.error).splitlines() or [""])[0]
        lines.append(f"  {name}: exit code {row.code}: {first[:250]} (log: {name}.log)")
    if len(failed) > TOLD:
        lines[-1] += f"; and {len(failed) - TOLD} more"
    return NoAnswerError("\n".join(lines), gravest(row.code or 0 for _, row in failed))
