"""Where the jobs of a sweep run: in processes of this one's, or where one of Hydra's launchers takes them.

A launcher is told nothing but numbers: the words go along in memory, and what comes of a job is its row in the sweep's folder,
which every machine must see. So a launcher that fails, or a caller who dies while a queue is still at work, loses nothing.
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mlnn.cli.jobs import PATIENCE, Job, attend, await_others, queued, watch
from mlnn.cli.said import Said, quoted
from mlnn.errors import ConfigError

if TYPE_CHECKING:
    from mlnn.runs.jobs import JobRow

MANY = ("growth", "beyond_one_node")
"""Commands whose every job has cells of its own, which share the cores among them."""
EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray", "ray_aws": "ray"}
"""Launchers that come with a package of their own, and the extra of mlnn's that brings it."""


def launch(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Run jobs: in processes of this one's, or where the launcher says that was chosen."""
    if not todo:
        return
    jobs = queued(todo, folder)
    if any(o.is_hydra_override() for o in said.overrides):
        _hand_over(said, jobs, of, folder)
    else:
        _run_here(said, jobs, of, folder)


def many_cells(said: Said) -> bool:
    """Whether every job has cells of its own."""
    return said.command in MANY or said.has("seeds")


def _run_here(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Run jobs, `jobs` of them at once; where each of them has cells of its own, `jobs` is about those."""
    from mlnn.workers import side_by_side

    many = many_cells(said)
    threads = [job.said.value("threads") for job in todo]
    most = max((count for count in threads if isinstance(count, int)), default=1)
    at_once = 1 if many else side_by_side(said.value("jobs"), len(todo), most)
    own = [job if many else _told(job) for job in todo]
    with _telling(todo, of, folder):
        watch(own, folder, at_once, said.value("job_timeout"))


def _told(job: Job, *words: str) -> Job:
    """The job with `jobs`, which was about the sweep, replaced by words of its own."""
    alone = job.said.without("jobs")
    return dataclasses.replace(job, said=dataclasses.replace(alone, words=(*alone.words, *words)))


def _hand_over(said: Said, todo: Sequence[Job], of: int, folder: Path) -> None:
    """Hand the numbers of the jobs to Hydra's launcher, and wait for what it leaves at work where it ends early."""
    from mlnn.workers import safe_children

    config = _launcher_config(said, len(todo), folder)
    own = _cells_each(said, config)
    handed = [_told(job, *own) if own or not many_cells(said) else job for job in todo]
    core = GlobalHydra.instance().hydra
    assert core is not None
    task = partial(attend, handed, folder, said.value("job_timeout"))
    launcher = Plugins.instance().instantiate_launcher(
        HydraContext(config_loader=core.config_loader, callbacks=Callbacks()), task, config
    )
    problem: Exception | None = None
    size = _together(said, config, len(todo))
    with _telling(todo, of, folder):
        for first in range(0, len(todo), size):
            try:
                with safe_children():
                    _look_at(launcher.launch([[] for _ in todo[first : first + size]], initial_job_idx=first))
            except Exception as ended:  # whatever a launcher may raise, of a queue, a network, a process that has died
                problem = problem or ended
        await_others(todo, folder)
    if problem is not None:
        _name(problem, todo, folder)


def _together(said: Said, config: DictConfig, todo: int) -> int:
    """How many jobs a launcher is handed at a time: all, if it has a queue; submitit's own stand-in for one begins all at once."""
    from mlnn.workers import side_by_side

    launcher = config.hydra.launcher
    if _is_local(launcher):
        return side_by_side(said.value("jobs"), todo, said.value("threads") or 1)
    if many_cells(said) or "n_jobs" in launcher or "array_parallelism" in launcher:
        return todo
    return said.value("jobs") or todo


def _is_local(launcher: DictConfig) -> bool:
    return str(launcher.get("_target_", "")).endswith("submitit_launcher.LocalLauncher")


def _look_at(ended: Sequence[JobReturn]) -> None:
    """Raise what kept the launched function itself, which writes down all that a job does, from its work."""
    for one in ended:
        if one.status is JobStatus.FAILED and isinstance(one._return_value, Exception):
            raise one._return_value  # the public property prints beside raising


def _name(problem: Exception, todo: Sequence[Job], folder: Path) -> None:
    """Write down, of every job that the launcher has not run, why: in its row, and in full in its log."""
    import traceback

    from mlnn.runs.jobs import FAILED, read_row, write_row

    first = (str(problem).strip().splitlines() or [""])[0]
    why = f"the launcher ended before it was run: {type(problem).__name__}: {first}"[:500]
    for job in todo:
        row = read_row(folder, job.name)
        if row is None or row.ended:
            continue
        with open(folder / f"{job.name}.log", "a", encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(problem)))
        write_row(folder, job.name, dataclasses.replace(row, status=FAILED, code=4, seconds=0.0, error=why))


def _launcher_config(said: Said, todo: int, folder: Path) -> DictConfig:
    """Hydra's own node for a launcher, as said on the command line; quiet, and in the sweep's folder."""
    from mlnn.workers import side_by_side

    core = GlobalHydra.instance().hydra
    assert core is not None
    settings = ["hydra.output_subdir=null", f"hydra.sweep.dir={quoted(str(folder))}", "hydra.sweep.subdir=.",
                "hydra/job_logging=none", "hydra/hydra_logging=none"]  # fmt: skip
    chosen = [str(o.input_line) for o in said.overrides if o.is_hydra_override()]
    name = str(said.value("hydra/launcher", "basic"))
    try:
        config = core.compose_config(
            None, [*settings, *chosen], run_mode=RunMode.MULTIRUN, with_log_configuration=False
        )
    except (HydraException, OmegaConfBaseException) as problem:
        first = (str(problem).splitlines() or [""])[0]
        extra = f"; pip install 'mlnn[{EXTRAS[name]}]' brings it" if name in EXTRAS else ""
        raise ConfigError(f"hydra/launcher={name}: {first}{extra}") from None
    launcher = config.hydra.launcher
    with open_dict(launcher):
        if "n_jobs" in launcher and not said.has("hydra.launcher.n_jobs"):
            jobs = said.value("jobs")
            launcher.n_jobs = 1 if many_cells(said) else side_by_side(jobs, todo, said.value("threads") or 1)
        if (
            "array_parallelism" in launcher
            and not said.has("hydra.launcher.array_parallelism")
            and not many_cells(said)
        ):
            launcher.array_parallelism = said.value("jobs") or launcher.array_parallelism
        if "ray" in launcher:
            for key in ("log_to_driver", "include_dashboard"):
                launcher.ray.init.setdefault(key, False)
    return config


def _cells_each(said: Said, config: DictConfig) -> tuple[str, ...]:
    """What is said to a job that has cells of its own: as many at once as it has cores where the launcher puts it."""
    if not many_cells(said) or said.has("jobs"):
        return ()
    import joblib

    launcher: Any = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    if "n_jobs" in launcher:
        beside = launcher["n_jobs"]
        cores = joblib.cpu_count() // (beside if beside and beside > 0 else joblib.cpu_count())
    elif "cpus_per_task" in launcher:
        cores = launcher["cpus_per_task"] or 1
    elif "ray" in launcher:
        cores = int(launcher["ray"].get("remote", {}).get("num_cpus") or 1)
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
