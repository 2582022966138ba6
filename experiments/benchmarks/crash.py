"""Runs ended by force, then gone on with: at every operation on the disk, at random moments, and by disks that refuse.

    python experiments/benchmarks/crash.py [out=crash.jsonl] [steps=20] [every=1] [forms=crash,kill,fault] [kills=10]
    [kinds=python] [models=logistic,mlp,conv,recurrent] [dtypes=float32,float64] [plant=1]

crash: the machine ends at an operation, and half of what had not been pushed is lost. One run is copied at each of them; of
copies that are the same one is tried. kill: up to five kills at random moments. fault: an operation fails, once or from then on,
for want of room or of the disk. Then the run goes on. All bits have to be those of the run that nobody disturbs, nothing that was
kept may be lost, and nothing may be left over. The exit code is 1 where that is not so. It goes on where an earlier call has ended.
`plant`: with a writer that is to be seen. Each run is a process forked from one that has imported torch and computed nothing.
"""

import contextlib
import errno
import importlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401 - what a run imports is there before the first fork
from crashing.operations import Operations, copying, failing
from crashing.running import KINDS, MODELS, Job, begun, bits, left, notes_of, plant, told, whole

FAILED = 99
LONGEST = 8
"""Lines of an error."""
Try = tuple[str, int, Callable[[], str | None]]
"""Form, number, and what gives what is wrong, or None."""


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
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), answer


@contextlib.contextmanager
def somewhere(job: Job) -> Iterator[Path]:
    """Where a run may go, with what has to be there before."""
    home = Path(tempfile.mkdtemp(prefix="mlnn-crash-"))
    where = home / "here" / "run"
    where.parent.mkdir()
    try:
        if job.kind == "replace":
            forked(partial(_begun, where, job))
        yield where
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _begun(where: Path, job: Job) -> str:
    begun(where, job)
    notes_of(where).unlink()
    return ""


def undisturbed(job: Job) -> tuple[str, float]:
    """(The bits of a run that nobody disturbs, the seconds that it takes)."""
    with somewhere(job) as where:
        start = time.monotonic()
        code, answer = forked(partial(told, where, job))
        if code or json.loads(answer)["code"]:
            raise SystemExit(f"{job}: does not run: {answer}")
        return json.loads(answer)["bits"], time.monotonic() - start


def wrong(where: Path, job: Job, wanted: str) -> str | None:
    """What is wrong with the run, gone on with; None where nothing is."""
    code, answer = forked(partial(_again, where, job, wanted))
    if code or answer != wanted:
        return f"gone on with: {answer}"
    over = left(where, ended=True)
    return f"left over: {over}" if over else None


def _again(where: Path, job: Job, wanted: str, at_every_step: bool = False) -> str:
    """The bits of a run gone on with; of one that is whole already, of that."""
    if whole(where) and bits(where) == wanted:
        return wanted
    found = json.loads(told(where, job, at_every_step))
    return str(found["bits"] or found)


def crashes(job: Job, wanted: str, done: set[int], every: int, copies: Path) -> Iterator[Try]:
    """Every n-th disk that a crash may leave."""
    with somewhere(job) as where:
        code, answer = forked(partial(_copied, where, job, copies))
    if code or json.loads(answer)["bits"] != wanted:
        yield "crash", -1, partial(str, f"copied at each operation: {answer}")
    disks = {path: [int(n) for n in path.read_text().split()] for path in copies.glob("*.at")}
    for path, numbers in sorted(disks.items(), key=lambda item: item[1])[::every]:
        if set(numbers) - done:
            for number in numbers[1:]:
                yield "crash", number, lambda: None  # the same disk
            yield "crash", numbers[0], partial(wrong, path.with_suffix("") / "here" / "run", job, wanted)
        shutil.rmtree(path.with_suffix(""))


def imported(job: Job) -> None:
    """Import what such a run imports: in a process that has yet to, this takes longer than the run."""
    with somewhere(job) as where:
        names = json.loads(forked(partial(_imports, where, job))[1])
    for name in names:
        with contextlib.suppress(Exception):  # what a module makes of itself, and what goes on in its parent only
            importlib.import_module(name)


def _imports(where: Path, job: Job) -> str:
    before = set(sys.modules)
    told(where, job, False)
    return json.dumps([name for name in sys.modules if name not in before and name != "__main__"])


def _copied(where: Path, job: Job, copies: Path) -> str:
    Operations(where.parent, copying(where.parent, notes_of(where), copies))
    return told(where, job)


def kills(job: Job, wanted: str, seconds: float, count: int) -> Iterator[Try]:
    """Runs that are killed at random moments."""
    for number in range(count):
        yield "kill", number, partial(killed, job, wanted, number, seconds)


def killed(job: Job, wanted: str, number: int, seconds: float) -> str | None:
    """What is wrong after up to five kills."""
    draw = random.Random(f"{job} {number}")
    with somewhere(job) as where:
        for _ in range(draw.randint(1, 5)):
            code, answer = forked(
                partial(_again, where, job, wanted, at_every_step=True), wait=draw.uniform(0.05, seconds)
            )
            if code not in (0, -signal.SIGKILL):
                return f"killed before: {answer}"
        return wrong(where, job, wanted)


def faults(job: Job, wanted: str, every: int) -> Iterator[Try]:
    """Operations that fail."""
    with somewhere(job) as where:
        operations = int(forked(partial(_counted, where, job))[1])
    ways = [(code, ever) for code in (errno.ENOSPC, errno.EIO) for ever in (False, True)]
    for at, (way, (code, ever)) in itertools.product(range(operations), enumerate(ways)):
        if (at + way) % every == 0:
            yield "fault", len(ways) * at + way, partial(failed, job, wanted, at, code, ever)


def _counted(where: Path, job: Job) -> str:
    operations = Operations(where.parent, lambda _: None)
    told(where, job)
    return str(operations.count)


def failed(job: Job, wanted: str, at: int, number: int, ever: bool) -> str | None:
    """What is wrong where an operation fails, at once or once the run goes on."""
    with somewhere(job) as where:
        before = bits(where) if whole(where) else None
        code, answer = forked(partial(_failed, where, job, at, number, ever))
        problem = _at_once(where, code, answer, wanted, before, ever)
        if problem is None:
            problem = wrong(where, job, wanted)
        return problem and f"{errno.errorcode[number]} {'for ever' if ever else 'once'} at {at}: {problem}"


def _failed(where: Path, job: Job, at: int, number: int, ever: bool) -> str:
    met: list[str] = []
    meet = failing(at, number, ever)

    def noting(one: Any) -> None:
        if one.number == at:
            met.append(f"{one.kind} {one.path.name}")
        meet(one)

    Operations(where.parent, noting)
    return json.dumps({"met": met, **json.loads(told(where, job))})


def _at_once(where: Path, code: int, answer: str, wanted: str, before: str | None, ever: bool) -> str | None:
    if code:
        return f"ended with {code}: {answer}"
    found = json.loads(answer)
    if found["code"] == 0:
        return None if found["bits"] == wanted else f"{found['met']}: gives {found['bits']}"
    lines = found["said"].splitlines()
    if found["code"] != 5 or len(lines) > LONGEST or "Traceback" in found["said"] or not lines[0].startswith("error: "):
        return f"{found['met']}: exit code {found['code']}: {found['said']}"
    if whole(where) and bits(where) not in (wanted, before):
        return f"{found['met']}: leaves another run"
    over = left(where, ended=False)
    return f"{found['met']}: leaves {over}" if over and not ever else None


def main(words: list[str]) -> int:
    """Every try that no earlier call has done; the exit code is 1 where something is wrong."""
    said = dict(word.split("=", 1) for word in words)
    forms = said.get("forms", "crash,kill,fault").split(",")
    out, every = Path(said.get("out", "crash.jsonl")), int(said.get("every", "1"))
    if said.get("plant"):
        plant()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []
    names = said.get("kinds", KINDS[0]), said.get("models", ",".join(MODELS)), said.get("dtypes", "float32,float64")
    steps = int(said.get("steps", "20"))
    jobs = [
        Job(kind, model, dtype, steps) for kind, model, dtype in itertools.product(*(name.split(",") for name in names))
    ]
    with out.open("a", encoding="utf-8") as file:
        for job in jobs:
            done = {(one["what"], one["number"]) for one in lines if one["job"] == str(job)}
            imported(job)
            wanted, seconds = undisturbed(job)
            with tempfile.TemporaryDirectory(prefix="mlnn-crash-") as copies:
                tries = {
                    "crash": partial(
                        crashes, job, wanted, {n for what, n in done if what == "crash"}, every, Path(copies)
                    ),
                    "kill": partial(kills, job, wanted, seconds, int(said.get("kills", "10"))),
                    "fault": partial(faults, job, wanted, every),
                }
                for what, number, work in itertools.chain.from_iterable(tries[form]() for form in forms):
                    if (what, number) not in done:
                        lines.append({"job": str(job), "what": what, "number": number, "wrong": work()})
                        print(json.dumps(lines[-1]), file=file, flush=True)
    found = [f"{one['job']} {one['what']} {one['number']}: {one['wrong']}" for one in lines if one["wrong"]]
    print(json.dumps({"tries": len(lines), "wrong": found}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
