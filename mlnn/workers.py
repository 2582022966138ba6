"""Calls in processes that are watched: one that raises, exits, is killed or hangs costs its own call and no other.

The processes come from a fork server that has imported torch once, so that starting one takes milliseconds (where the system
has none, they are started afresh). A worker ends with the process that asked for it, however that one ends. The cores are
divided among them: see `side_by_side`.
"""

import math
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any

from mlnn.errors import ConfigError, MlnnError, NoAnswerError, wants_memory

NO_ANSWER, BUG = 4, 70
PRELOADED = [
    "torch",
    "mlnn.comparing.growing",
    "mlnn.estimating",
    "mlnn.cli.compose",
    "mlnn.report.console",
    "mlnn.comparing.page",
    "torch._dynamo",  # torch's optimisers import it when the first of them is made
    "sklearn.datasets",
]
"""What nearly every call needs; a name that cannot be imported is passed over."""
GRACE = 2.0
"""Seconds that a worker has between being asked to end and being killed."""


@dataclass(frozen=True)
class Call:
    """One call: `function(*arguments)`, found by its name in the other process; what it prints goes to the file `log`. `share`: how
    many calls it does the work of, and so how many times their `timeout` it may take."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    log: Path
    share: int = 1


@dataclass(frozen=True)
class Outcome:
    """How the call number `place` ended: `value`, or `failure` in a sentence with its exit `code`; after `seconds`."""

    place: int
    value: Any = None
    failure: str | None = None
    code: int = 0
    seconds: float = 0.0

    def result(self) -> Any:
        """The value; raises NoAnswerError, with the failure's exit code, where there is none."""
        if self.failure is not None:
            raise NoAnswerError(self.failure, self.code)
        return self.value


def side_by_side(jobs: int | None, calls: int, threads: int = 1) -> int:
    """How many of so many calls run at once: `jobs`; None: the cores that this process may use over `threads` of a call."""
    import joblib

    return max(1, min(jobs or joblib.cpu_count() // threads, calls))


def warm() -> None:
    """Let the fork server start, and import what calls need, while the caller is still about something else."""
    context = _context()
    if context.get_start_method() == "forkserver":
        with safe_children(), _one_thread_each():
            forkserver.ensure_running()


def supervised(
    calls: Sequence[Call], *, at_once: int = 1, timeout: float | None = None, fresh: bool = False
) -> Iterator[Outcome]:
    """The outcome of every call, in the order in which they end.

    at_once: how many run side by side. timeout: seconds that a call may take, times its `share`; None: as long as it likes.
    fresh: a process for each call; otherwise a worker takes one call after another. Leaving the iterator early ends the workers.
    """
    limit = math.inf if timeout is None else timeout
    if at_once < 1 or not limit > 0:
        raise ConfigError(f"{at_once} calls at once, {timeout} seconds each: both must be above 0")
    waiting = list(enumerate(calls))[::-1]
    idle: list[_Worker] = []
    busy: dict[Any, _Worker] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < at_once:
                worker = idle.pop() if idle else _Worker()
                worker.take(*waiting.pop())
                busy[worker.pipe] = worker
            for pipe in connection.wait(list(busy), timeout=_patience(busy.values(), limit)):
                worker = busy.pop(pipe)
                outcome = worker.answer()
                if fresh or not worker.alive:
                    worker.end()
                else:
                    idle.append(worker)
                yield outcome
            for worker in [worker for worker in busy.values() if worker.left(limit) < 0]:
                del busy[worker.pipe]
                worker.end()
                yield worker.failed(f"took longer than {limit * worker.share:g} s")
    finally:
        for worker in [*idle, *busy.values()]:
            worker.end()


def _patience(busy: Iterable["_Worker"], limit: float) -> float | None:
    """Seconds until the first of them has had its time; None: there is no limit."""
    return None if math.isinf(limit) else max(min(worker.left(limit) for worker in busy), 0.0)


class _Worker:
    """A process that takes one call at a time."""

    def __init__(self) -> None:
        context = _context()
        self.pipe, theirs = context.Pipe()
        life, self._life = context.Pipe(duplex=False)
        self._process = context.Process(target=_serve, args=(theirs, life))
        with safe_children(), _one_thread_each():
            self._process.start()
        theirs.close()
        life.close()
        self.alive, self.place, self.since, self.log = True, -1, 0.0, Path()
        self.share = 1

    @property
    def age(self) -> float:
        """Seconds since its call began."""
        return time.monotonic() - self.since

    def left(self, limit: float) -> float:
        """Seconds that its call may still take, where one alone may take `limit`."""
        return limit * self.share - self.age

    def take(self, place: int, call: Call) -> None:
        """Start a call."""
        self.place, self.since, self.log, self.share = place, time.monotonic(), call.log, call.share
        with suppress(OSError):  # it has died since its last call; `answer` tells
            self.pipe.send(call)

    def answer(self) -> Outcome:
        """The outcome of the call, once the pipe has something to say."""
        try:
            found: Outcome = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join(GRACE)
            return self.failed(_died(self._process.exitcode))
        except Exception as problem:  # a value that cannot be read back here
            return self.failed(f"its answer could not be read: {problem}")
        return Outcome(self.place, found.value, found.failure, found.code, self.age)

    def failed(self, why: str) -> Outcome:
        """The outcome of a call that gave none."""
        self.alive = False
        with suppress(OSError), open(self.log, "a", encoding="utf-8") as log:
            log.write(why + "\n")
        return Outcome(self.place, None, why, NO_ANSWER, self.age)

    def end(self) -> None:
        """End the process, by force if it does not go."""
        self.pipe.close()
        self._life.close()
        self._process.terminate()
        self._process.join(GRACE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _died(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"its process was killed by signal {-exitcode}" + (" (out of memory?)" if exitcode == -9 else "")
    return f"its process ended with code {exitcode} before it gave an answer"


def _serve(pipe: Any, life: Any) -> None:
    """What a worker does: one call after another, until the pipe closes."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever watches ends the workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    while True:
        try:
            call = pipe.recv()
        except (EOFError, OSError):
            return
        with _printing_to(call.log):
            outcome = _perform(call)
        try:
            pipe.send(outcome)
        except OSError:
            return
        except Exception as problem:  # a value that cannot be pickled
            pipe.send(Outcome(-1, None, f"its answer cannot be sent: {problem}", BUG))


def _perform(call: Call) -> Outcome:
    try:
        return Outcome(-1, call.function(*call.arguments))
    except MlnnError as problem:
        if problem.__cause__ is not None:  # somebody's code, most often, and whoever mends it reads this log
            traceback.print_exception(problem.__cause__)
        print(f"error: {problem}", file=sys.stderr)
        return Outcome(-1, None, str(problem), problem.exit_code)
    except SystemExit as problem:
        traceback.print_exc()
        print(f"error: the call ended with sys.exit({problem.code!r})", file=sys.stderr)
        return Outcome(-1, None, f"called sys.exit({problem.code!r})", NO_ANSWER)
    except BaseException as problem:
        traceback.print_exc()
        short, told = wants_memory(problem), f"{type(problem).__name__}: {problem}"
        return Outcome(-1, None, f"ran out of memory: {told}" if short else told, NO_ANSWER if short else BUG)


def _end_with(life: Any) -> None:
    """Wait for the other end of a pipe to close, which the death of its process does too, and end this process."""
    with suppress(EOFError, OSError):
        life.recv()
    os._exit(1)


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Standard output and error of this process, those of libraries below Python too, into a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:  # a disk that is full or a folder that has gone: the call itself will say so
        handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


@contextmanager
def safe_children() -> Iterator[None]:
    """Python started inside the block puts the current folder nowhere on its path.

    A worker of joblib is started as `python -m …`, which looks there first of all; what the parent had on its own path
    is handed to it afterwards.
    """
    with _surroundings("PYTHONSAFEPATH", "1"):
        yield


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside the block do numpy's and scipy's algebra in one thread each, unless the user has said in how many.

    OpenBLAS takes every core for itself, and its threads wait by spinning: two workers on two cores, each at a separation test of
    1,438 × 64, take 2.8 s of processor time where they take 0.46 s in one thread each. The number of threads changes bits, too.
    """
    with _surroundings("OPENBLAS_NUM_THREADS", os.environ.get("OPENBLAS_NUM_THREADS", "1")):
        yield


@contextmanager
def _surroundings(name: str, value: str) -> Iterator[None]:
    """One variable of the environment inside the block; afterwards it is as before."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
