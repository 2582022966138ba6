"""Runs ended by force, then gone on with: at every operation on the disk, and at random moments. All bits have to be the same.

python experiments/benchmarks/crash.py [out=crash.jsonl] [steps=20] [every=1] [kills=0] [models=logistic,mlp,conv,recurrent]
[dtypes=float32,float64]. It goes on where an earlier call has ended. Each run is a process forked from one that has imported torch
and computed nothing. Where a process ends while it pushes a
file to the disk, half of what had not been pushed before is lost.
"""

import hashlib
import json
import math
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._dynamo

from mlnn import data, models
from mlnn.comparing.comparison import compare
from mlnn.runs.kept.journal import Journal
from mlnn.runs.kept.keeper import Keeper
from mlnn.runs.kept.place import open_place

MODELS: dict[str, Callable[[], torch.nn.Module]] = {
    "logistic": lambda: models.MLP((6,), 1, depth=0),
    "mlp": lambda: models.MLP((6,), 1, depth=1, norm="batch", dropout=0.2),
    "conv": lambda: models.Conv((1, 2, 3), 1),
    "recurrent": lambda: models.Recurrent((6,), 1),
}
KEPT = {"command": "compare", "words": [], "told": {"steps": 0}, "config": "", "environment": {}, "marks": []}
FAILED = 99
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Telling(Keeper):
    """Notes outside of the run's folder which steps are kept, and holds what it goes on with against that."""

    @property
    def notes(self) -> Path:
        """Where it notes them."""
        return self.place.final.parent.with_suffix(".kept")

    def begin(self, *given: Any) -> int:
        """As a keeper; AssertionError where less is there than was kept."""
        begun = super().begin(*given)
        kept = self.notes.read_text().split() if self.notes.exists() else []
        assert not kept or begun >= int(kept[-1]), f"step {kept[-1]} was kept, and it goes on at {begun}"
        return begun

    def keep(self) -> bool:
        """As a keeper."""
        kept = super().keep()
        if kept:
            with self.notes.open("a") as file:
                file.write(f"{self.kept}\n")
        return kept


def compared(where: Path, model: str, dtype: str, steps: int) -> str:
    """One comparison, whose state is kept after every step: SHA-256 of its trace and verdict."""
    draws = torch.Generator().manual_seed(5)
    x, y = torch.randn(48, 6, generator=draws), (torch.rand(48, generator=draws) < 0.5).float()
    rows = data.from_arrays(x.reshape(48, 1, 2, 3) if model == "conv" else x, y, name="crash")
    with open_place(where, KEPT, overwrite=False) as place:
        keep = Telling(place, lambda _: None)
        keep.every, keep.share = 0.0, math.inf
        found = compare(
            MODELS[model], torch.nn.BCEWithLogitsLoss(), by_hand, rows,
            optimizer=partial(torch.optim.Adam, lr=0.01), steps=steps, batch_size=16, dtype=dtype, null_twins=1, keep=keep,
        )  # fmt: skip
        found.write(place.run, page=False)
        place.seal()
    pieces = [(where / name).read_bytes() for name in ("trace.csv", "verdict.json", "about.json")]
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def by_hand(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The Bernoulli likelihood's −log, by hand."""
    return (torch.nn.functional.softplus(output) - target * output).mean()


def forked(work: Callable[[], str], wait: float | None = None) -> tuple[int, str]:
    """(exit code, answer) of work in a process of its own; `wait`: seconds after which it is killed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = FAILED
        try:
            os.close(read)
            answer = work()
            os.write(write, answer.encode())
            code = 0
        except BaseException as problem:
            os.write(write, f"{type(problem).__name__}: {problem}"[:2000].encode())
        finally:
            os._exit(code)
    os.close(write)
    if wait is not None:
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read, "rb") as file:
        answer = file.read().decode()
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), answer


@contextmanager
def ending(folder: Path, at: int | None) -> Iterator[list[int]]:
    """Count the operations on the disk below a folder; end the process at number `at`."""
    counted, fsync, pushed_to = [0], os.fsync, dict[str, int]()

    def count(handle: int | None = None) -> None:
        counted[0] += 1
        if counted[0] - 1 == at:
            if handle is not None and stat.S_ISREG(os.fstat(handle).st_mode):
                safe = pushed_to.get(os.readlink(f"/proc/self/fd/{handle}"), 0)
                os.truncate(f"/proc/self/fd/{handle}", safe + (os.fstat(handle).st_size - safe) // 2)
            os._exit(137)

    def heard(event: str, told: tuple[Any, ...]) -> None:
        if not told or not isinstance(told[0], str | os.PathLike) or str(folder) not in str(told[0]):
            return
        writes = event == "open" and isinstance(told[2], int) and told[2] & WRITES
        if writes and told[2] & os.O_TRUNC:
            pushed_to.pop(str(told[0]), None)
        if writes or event in EVENTS:
            count()

    def pushed(handle: Any) -> None:
        count(handle)
        fsync(handle)
        pushed_to[os.readlink(f"/proc/self/fd/{handle}")] = os.fstat(handle).st_size

    sys.addaudithook(heard)  # it cannot be taken away again: this is done in a fork
    os.fsync = pushed  # type: ignore[assignment]
    try:
        yield counted
    finally:
        os.fsync = fsync


def counted(where: Path, *job: Any) -> str:
    """How many operations a whole run takes."""
    with ending(where.parent, None) as count:
        compared(where, *job)
    return str(count[0])


def alone(work: Callable[..., str], job: tuple[str, str, int]) -> str:
    """What work on a run gives that nobody disturbs."""
    where = Path(tempfile.mkdtemp(prefix="mlnn-crash-")) / "run"
    try:
        return work(where, *job)
    finally:
        gone(where)


def gone(where: Path) -> None:
    """Take away a run with its notes."""
    shutil.rmtree(where.parent, ignore_errors=True)
    where.parent.with_suffix(".kept").unlink(missing_ok=True)


def crashed(where: Path, job: tuple[str, str, int], at: int) -> str:
    """A run that ends at an operation."""
    with ending(where.parent, at):
        return compared(where, *job)


def in_place(self: Journal, data: bytes) -> None:
    """What the harness has to see: a trace that is written anew, where it lies."""
    before = self.path.read_bytes()[: self._size] if self.path.exists() else b""
    with open(self.path, "wb") as file:
        file.write(before + data)
        file.flush()
        os.fsync(file.fileno())
    self._size += len(data)


def crash_at(job: tuple[str, str, int], at: int, wanted: str) -> str | None:
    """What is wrong after a crash at an operation and another call; None where nothing is."""
    where = Path(tempfile.mkdtemp(prefix="mlnn-crash-")) / "run"
    try:
        code, answer = forked(partial(crashed, where, job, at))
        if code not in (137, 0):
            return f"{job} at {at}: the run itself ended with {code}: {answer}"
        found = answer if code == 0 else forked(partial(again, where, job))[1]
        return None if found == wanted else f"{job} at {at}: {found}"
    finally:
        gone(where)


def again(where: Path, job: tuple[str, str, int]) -> str:
    """The run gone on with; of one that was whole already, what it gave."""
    if (where / "checksums.json").exists():
        pieces = [(where / name).read_bytes() for name in ("trace.csv", "verdict.json", "about.json")]
        return hashlib.sha256(b"".join(pieces)).hexdigest()
    return compared(where, *job)


def killed(job: tuple[str, str, int], number: int, wanted: str, seconds: float) -> str | None:
    """What is wrong after up to five kills at random moments."""
    draw = random.Random(number)
    where = Path(tempfile.mkdtemp(prefix="mlnn-kill-")) / "run"
    try:
        for _ in range(draw.randint(1, 5)):
            forked(partial(again, where, job), wait=draw.uniform(0.05, seconds))
        found = forked(partial(again, where, job))[1]
        return None if found == wanted else f"{job}, kill {number}: {found}"
    finally:
        gone(where)


def main(words: list[str]) -> int:
    """Every crash and kill that no earlier call has done; the exit code is 1 where a bit differs."""
    said = dict(word.split("=", 1) for word in words)
    out, steps, every = Path(said.get("out", "crash.jsonl")), int(said.get("steps", "20")), int(said.get("every", "1"))
    if said.get("plant"):
        Journal._write = in_place  # type: ignore[method-assign]
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    done = {(one["job"], one["what"], one["number"]) for one in map(json.loads, lines)}
    jobs = [
        (model, dtype, steps)
        for model in said.get("models", ",".join(MODELS)).split(",")
        for dtype in said.get("dtypes", "float32,float64").split(",")
    ]
    wrong, count = [one["wrong"] for one in map(json.loads, lines) if one["wrong"]], len(lines)
    with out.open("a", encoding="utf-8") as file:
        for job in jobs:
            start = time.monotonic()
            wanted, operations = forked(partial(alone, compared, job))[1], forked(partial(alone, counted, job))[1]
            seconds = (time.monotonic() - start) / 2
            tries = [("crash", n, partial(crash_at, job, n, wanted)) for n in range(0, int(operations), every)]
            tries += [("kill", n, partial(killed, job, n, wanted, seconds)) for n in range(int(said.get("kills", "0")))]
            for what, number, work in tries:
                if (str(job), what, number) in done:
                    continue
                problem, count = work(), count + 1
                wrong += [problem] if problem else []
                print(
                    json.dumps({"job": str(job), "what": what, "number": number, "wrong": problem}),
                    file=file,
                    flush=True,
                )
    print(json.dumps({"tries": count, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
