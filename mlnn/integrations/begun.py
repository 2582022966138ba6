"""A recording that a trainer's events begin and end, where no `with` block can stand around the training."""

import warnings
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import nn

from mlnn.recording import Recorder, record
from mlnn.recording.recorder import MOST_BYTES


class Begun:
    """What `mlnn.record` is told, kept until a training begins; `recorder`: while it is under way."""

    def __init__(
        self,
        out: str | Path,
        capsules: Collection[int] = (0, 10, 100),
        every: int = 1,
        max_bytes: int = MOST_BYTES,
        about: Mapping[str, object] | None = None,
    ) -> None:
        self.out, self.capsules, self.every, self.max_bytes, self.about = out, capsules, every, max_bytes, about
        self.recorder: Recorder | None = None
        self._stack = ExitStack()

    def begin(self, model: nn.Module, optimizer: Any, about: Mapping[str, object]) -> None:
        """The training begins; `about`: of the trainer, beside the caller's own words. Raises what `mlnn.record` raises."""
        self.end(TrainingLeft())
        recording = record(
            model, optimizer, self.out, capsules=self.capsules, every=self.every, max_bytes=self.max_bytes,
            about={**about, **(self.about or {})},
        )  # fmt: skip
        self.recorder = self._stack.enter_context(recording)
        self.recorder.left = lambda: self.end(TrainingLeft())

    def end(self, problem: BaseException | None = None) -> None:
        """The training has ended, by `problem` if not as it should. Once more does nothing."""
        if self.recorder is None:
            return
        self.recorder = None
        if isinstance(problem, TrainingLeft):
            warnings.warn(f"mlnn: the training recorded in {self.out} did not say that it ended", stacklevel=3)
        self._stack.__exit__(None if problem is None else type(problem), problem, None)


class TrainingLeft(Exception):
    """A training that begun and did not say how it ended; the next one has begun since."""
