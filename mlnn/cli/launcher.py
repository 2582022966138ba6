"""Hydra's launchers: what is said of one, and handing it calls by number.

A launcher is told nothing but numbers: what they mean goes along in memory.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from mlnn.cli.said import Said, quoted
from mlnn.errors import ConfigError

EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray", "ray_aws": "ray"}
"""Launchers that come with a package of their own, and the extra of mlnn's that brings it."""
QUEUE = ".submitit"
"""Where submitit keeps what it hands over: pickled, so it does not stay in a folder that may be sent to somebody."""


def is_chosen(said: Said) -> bool:
    """Whether the command line says that a launcher takes the jobs."""
    return any(o.is_hydra_override() for o in said.overrides)


def configured(said: Said, folder: Path, at_once: int, many: bool) -> DictConfig:
    """Hydra's own node for a launcher, as said on the command line; quiet, and in `folder`. `at_once`: as many as run at the same
    time on one machine, where it is not told; `many`: each job has cells of its own, which share the cores.

    Raises ConfigError where there is no such launcher, with the extra that brings it.
    """
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
            launcher.n_jobs = 1 if many else at_once
        if "array_parallelism" in launcher and not said.has("hydra.launcher.array_parallelism") and not many:
            launcher.array_parallelism = said.value("jobs") or launcher.array_parallelism
        if "ray" in launcher:
            for key in ("log_to_driver", "include_dashboard"):
                launcher.ray.init.setdefault(key, False)
    return config


def together(said: Said, config: DictConfig, todo: int, at_once: int, many: bool) -> int:
    """How many jobs a launcher is handed at a time: all, if it has a queue; submitit's own stand-in for one begins all at once."""
    launcher = config.hydra.launcher
    if str(launcher.get("_target_", "")).endswith("submitit_launcher.LocalLauncher"):
        return at_once
    if many or "n_jobs" in launcher or "array_parallelism" in launcher:
        return todo
    return said.value("jobs") or todo


def hand_over(
    task: Callable[[DictConfig], Any], config: DictConfig, todo: int, size: int
) -> tuple[dict[int, Any], Exception | None]:
    """Have `task` called once for each number below `todo`, `size` of them handed over at a time.

    Returns what it returned, by number, and what first kept the launcher, or the task itself, from its work.
    """
    from mlnn.workers import safe_children

    core = GlobalHydra.instance().hydra
    assert core is not None
    context = HydraContext(config_loader=core.config_loader, callbacks=Callbacks())
    launcher = Plugins.instance().instantiate_launcher(context, task, config)
    found: dict[int, Any] = {}
    problem: Exception | None = None
    for first in range(0, todo, size):
        handed = range(first, min(first + size, todo))
        try:
            with safe_children():
                ended = launcher.launch([[] for _ in handed], initial_job_idx=first)
            found |= {number: _returned(one) for number, one in zip(handed, ended, strict=True)}
        except Exception as early:  # whatever a launcher may raise, of a queue, a network, a process that has died
            problem = problem or early
    return found, problem


def number() -> int:
    """Of a task that a launcher has called: which one it is."""
    return int(HydraConfig.get().job.num)


def why_not(problem: Exception) -> str:
    """What is said of a job that was not run."""
    first = (str(problem).strip().splitlines() or [""])[0]
    return f"the launcher ended before it was run: {type(problem).__name__}: {first}"[:500]


def tidy(folder: Path) -> None:
    """Take away what a launcher has left in a folder, once nothing is at work there."""
    shutil.rmtree(folder / QUEUE, ignore_errors=True)


def _returned(one: JobReturn) -> Any:
    """What the task returned; raises what kept it from its work, which is none of a job's own errors."""
    if one.status is JobStatus.FAILED and isinstance(one._return_value, Exception):
        raise one._return_value  # the public property prints beside raising
    return one._return_value
