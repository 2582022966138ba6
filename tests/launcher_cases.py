"""A stand-in for one of Hydra's launchers, which fails when it is told to."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, open_dict


class Launcher:
    """Stands in for one of Hydra's: runs the first jobs, then raises or tells that the function did."""

    def __init__(self, task: Any, config: DictConfig, good: int, problem: Exception, silent: bool) -> None:
        self.task, self.config, self.good, self.problem, self.silent = task, config, good, problem, silent

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        returned = []
        for number in range(initial_job_idx, initial_job_idx + len(job_overrides)):
            if number >= self.good and not self.silent:
                raise self.problem
            one = JobReturn(status=JobStatus.COMPLETED)
            if number < self.good:
                config = copy.deepcopy(self.config)
                with open_dict(config):
                    config.hydra.job.num = number
                HydraConfig.instance().set_config(config)
                one._return_value = self.task(config)
            else:
                one.status, one._return_value = JobStatus.FAILED, self.problem
            returned.append(one)
        return returned


@contextmanager
def launching(good: int, problem: Exception, silent: bool) -> Iterator[None]:
    """Inside the block every launcher is the stand-in: `good` jobs are run, and of the others `problem` is raised, or told."""

    def instead(_self: Any, _context: Any, task: Any, config: DictConfig) -> Launcher:
        return Launcher(task, config, good, problem, silent)

    with patch("hydra.core.plugins.Plugins.instantiate_launcher", instead):
        yield
