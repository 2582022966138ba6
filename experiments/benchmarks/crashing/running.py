"""The runs that are ended by force: a comparison from Python, and commands. Each keeps its state after every step, and notes it."""

import contextlib
import hashlib
import io
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mlnn import data, models
from mlnn.cli import kept as commands
from mlnn.cli.app import start
from mlnn.comparing.comparison import compare
from mlnn.comparing.proved import BOXES
from mlnn.errors import MlnnError
from mlnn.report import console
from mlnn.runs import damage
from mlnn.runs.kept.journal import Journal
from mlnn.runs.kept.keeper import Keeper
from mlnn.runs.kept.place import open_place, place_of
from mlnn.runs.standing import cleaned

MODELS: dict[str, Callable[[], torch.nn.Module]] = {
    "logistic": lambda: models.MLP((6,), 1, depth=0),
    "mlp": lambda: models.MLP((6,), 1, depth=1, norm="batch", dropout=0.2),
    "conv": lambda: models.Conv((1, 2, 3), 1),
    "recurrent": lambda: models.Recurrent((6,), 1),
}
KEPT = {"command": "compare", "words": [], "told": {"steps": 0}, "config": "", "environment": {}, "marks": []}
KINDS = ("python", "compare", "train", "replace")
"""A comparison from Python, two commands, and a comparison that replaces another one."""


class LostError(AssertionError):
    """What had been kept is no longer there."""


@dataclass(frozen=True)
class Job:
    """One run."""

    kind: str
    model: str
    dtype: str
    steps: int


class Telling(Keeper):
    """Notes outside of the run's folder which steps are kept, and holds what it goes on with against that."""

    at_every_step = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if self.at_every_step:
            self.every, self.share = 0.0, math.inf

    def begin(self, *given: Any) -> int:
        """As a keeper; LostError where less is there than was kept."""
        begun, notes = super().begin(*given), notes_of(self.place.final)
        kept = notes.read_text().split() if notes.exists() else []
        if kept and begun < int(kept[-1]):
            raise LostError(f"step {kept[-1]} was kept, and it goes on at {begun}")
        return begun

    def keep(self) -> bool:
        """As a keeper."""
        kept = super().keep()
        if kept:
            with notes_of(self.place.final).open("a") as file:
                file.write(f"{self.kept}\n")
        return kept


def notes_of(final: Path) -> Path:
    """Where the steps that are kept are noted, beside the folder of the run's folder."""
    return final.parent.with_suffix(".kept")


def begun(where: Path, job: Job) -> None:
    """What has to be there before the run begins: of one that replaces another, that one."""
    if job.kind == "replace":
        _python(where, Job("python", "logistic", "float32", 1))


def run(where: Path, job: Job, at_every_step: bool = True) -> tuple[int, str]:
    """(Exit code, error) of the run, begun or gone on with."""
    Telling.at_every_step = at_every_step
    if job.kind == "python":
        try:
            _python(where, job)
        except MlnnError as problem:
            return problem.exit_code, f"error: {problem}"
        return 0, ""
    setattr(commands, "Keeper", Telling)  # noqa: B010 - it is not its to give
    name = "train" if job.kind == "train" else "compare"
    words = [
        "data=spector",
        "batch_size=16",
        f"model={job.model}",
        f"steps={job.steps}",
        f"dtype={job.dtype}",
        f"out={where}",
    ]
    words += ["overwrite=true"] if job.kind == "replace" else []
    words += (
        ["null_twins=1", "proof=0"] if name == "compare" else []
    )  # proved is one pair, and written with all the rest
    said = io.StringIO()
    console.FIRST_LINE = math.inf  # a slow machine is no error
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = start(name, words)
    return code, said.getvalue()


def _python(where: Path, job: Job) -> None:
    draws = torch.Generator().manual_seed(5)
    x, y = torch.randn(48, 6, generator=draws), (torch.rand(48, generator=draws) < 0.5).float()
    rows = data.from_arrays(x.reshape(48, 1, 2, 3) if job.model == "conv" else x, y, name="crash")
    if whole(where):
        return
    with open_place(where, KEPT, overwrite=False) as place:
        found = compare(
            MODELS[job.model], torch.nn.BCEWithLogitsLoss(), by_hand, rows, optimizer=partial(torch.optim.Adam, lr=0.01),
            steps=job.steps, batch_size=16, dtype=job.dtype, null_twins=1, keep=Telling(place, lambda _: None),
            proof=BOXES if job.model == "logistic" else 0,  # the pair is the same everywhere, and so is what is proved of it
        )  # fmt: skip
        found.write(place.run, page=False)
        place.seal()


def by_hand(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The Bernoulli likelihood's −log, by hand; no difference from the other side asks for a search for its cause."""
    log = torch.nn.functional.logsigmoid
    return -(target * log(output) + (1 - target) * log(-output)).mean()


def whole(where: Path) -> bool:
    """Whether a finished run lies there."""
    return (where / "checksums.json").exists()


def bits(where: Path) -> str:
    """SHA-256 of what a run gives, of which no bit may differ; LostError where it is not as it was written."""
    damaged = damage(where)
    if damaged is not None:
        raise LostError(damaged)
    names = ("trace.csv", "verdict.json", "about.json", "data.json", "report.html")
    there = [(where / name).read_bytes() for name in names if (where / name).exists()]
    return hashlib.sha256(b"".join(there)).hexdigest()


def left(where: Path, ended: bool) -> list[str]:
    """What is there beside a whole run, once `mlnn runs clean` was called; before it has `ended`, beside what can go on, too."""
    if ended:
        cleaned(where.parent)
    fine = {where.name} if whole(where) else set()
    if not ended and any(place_of(where).glob("state-*.safetensors")):
        fine.add(place_of(where).name)
    return sorted(path.name for path in where.parent.iterdir() if path.name not in fine)


def in_place(self: Journal, data: bytes) -> None:
    """What the harness has to see: a trace that is written anew, where it lies."""
    before = self.path.read_bytes()[: self._size] if self.path.exists() else b""
    with open(self.path, "wb") as file:
        time.sleep(0.05)
        file.write(before + data)
        file.flush()
        os.fsync(file.fileno())
    self._size += len(data)


def plant() -> None:
    """Let this process write traces in place."""
    Journal._write = in_place  # type: ignore[method-assign]


def told(where: Path, job: Job, at_every_step: bool = True) -> str:
    """The run, in words for another process: exit code, error, and the bits that it gives."""
    code, said = run(where, job, at_every_step)
    return json.dumps({"code": code, "said": said, "bits": bits(where) if code == 0 else None})
