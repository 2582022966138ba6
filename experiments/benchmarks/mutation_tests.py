"""Tests that are imported once and run many times: each run in a child of its own, forked from where nothing has run yet.

A change inside a function is put into that function where it lies, so nothing is imported again; one to what an import makes needs
the import, in a process that has torch, but not mlnn. Either way the file in the copy of the repository is changed too, for
what reads it in processes of its own.
"""

import gc
import inspect
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

HEAVY = ["torch", "torch.func", "torch._dynamo", "numpy", "scipy.optimize", "scipy.stats", "sklearn.linear_model",
         "sklearn.datasets", "pandas", "polars", "statsmodels.api", "formulaic", "flint", "omegaconf", "hydra",
         "plotly.graph_objects", "matplotlib.pyplot", "rich.console"]  # fmt: skip
"""What the tests import beside mlnn, and what takes long."""
PROCESSES = multiprocessing.get_context("forkserver")
COLLECTING = 600.0
"""Seconds that importing the tests may take before it is said not to end."""
MEMORY = 12 * 2**30
"""Bytes of address space; a change that asks for more is noticed rather than felt by the machine."""


@dataclass(frozen=True)
class Asked:
    """Tests by their names, in this order.

    `changed`: a file inside whose functions something is changed, its text before and after. `first`: no further than a test that
    fails. `lines`: tell which lines each executes.
    """

    tests: Sequence[str]
    changed: tuple[str, bytes, bytes] | None = None
    first: bool = True
    lines: bool = False


@dataclass(frozen=True)
class Told:
    """What became of a test; `lines`: by file, those of mlnn that it executed, where they were asked for."""

    test: str
    passed: bool
    seconds: float
    lines: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Ended:
    """The child that ran the tests has ended, with a code or by a signal (negative)."""

    code: int


class Server:
    """Tests of a copy of the repository, imported and waiting. Raises ChildProcessError where they cannot be imported."""

    def __init__(self, house: Path, files: Sequence[str] = ()) -> None:
        """`files`: of the tests, such as tests/test_gate.py; all without."""
        self.here, there = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=_serve, args=(str(house), there, tuple(files)))
        self.process.start()
        there.close()
        try:
            if not self.here.poll(COLLECTING):
                raise ChildProcessError("importing the tests does not end")
            self.imported: Mapping[str, Sequence[int]]
            self.tests: Sequence[str]
            self.imported, self.tests = self.here.recv()
        except (EOFError, ChildProcessError) as error:
            self.close()
            log = (house / ".tests.log").read_text(encoding="utf-8", errors="replace")
            raise ChildProcessError(str(error) or f"the tests cannot be imported: …{log[-2000:]}") from None

    def ask(self, asked: Asked, patience: Callable[[str], float]) -> Iterator[Told]:
        """What each test says; one that takes longer than its `patience` (seconds) or ends its process has not passed."""
        self.here.send(asked)
        child = self.here.recv()
        left = list(asked.tests)
        while True:
            if not self.here.poll(patience(left[0]) if left else COLLECTING):
                os.killpg(child, signal.SIGKILL)
                yield Told(f"{left[0] if left else 'the end of the tests'} (does not end)", False, 0.0, {})
                self._drained()
                return
            told = self.here.recv()
            if isinstance(told, Ended):
                if told.code:
                    yield Told(f"{left[0] if left else 'the end of the tests'} (exit {told.code})", False, 0.0, {})
                return
            left = left[left.index(told.test) + 1 :] if told.test in left else left
            yield told

    def _drained(self) -> None:
        while not isinstance(self.here.recv(), Ended):
            pass

    def close(self) -> None:
        """Ends the process."""
        self.here.close()
        self.process.join(10)
        self.process.kill()


def _serve(house: str, there: Connection, files: Sequence[str]) -> None:
    """The process of a server: as pytest would be started in the copy of the repository."""
    os.chdir(house)
    sys.path[:0] = [house]
    sys.dont_write_bytecode = True  # a file that is changed twice in a second is not read from a cache
    os.environ["PYTHONPATH"] = house  # child processes too read the changed copy
    log = os.open(f"{house}/.tests.log", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    quiet = ["-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    # The profile draws the same examples each time, and does not fail a test for being slow.
    options = [*quiet, "--hypothesis-profile=ci", f"--basetemp={house}/.tests", *files]
    pytest.main(options, plugins=[Waiting(there, Path(house))])


class Waiting:
    """A plugin of pytest: imports the tests as it does, and runs those that it is asked for, when it is asked."""

    def __init__(self, there: Connection, house: Path) -> None:
        self.there, self.house = there, house
        self.lines = Lines(house)
        self.lines.begin()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        imported = self.lines.end()
        if session.testsfailed:
            return True
        self.items = {item.nodeid: item for item in session.items}
        self.functions = _functions(self.house)
        self.there.send((imported, list(self.items)))
        while True:
            try:
                asked = self.there.recv()
            except EOFError:
                return True
            child = os.fork()
            if not child:
                self._run(asked)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            self.there.send(Ended(code))

    def _run(self, asked: Asked) -> None:
        code = 3
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            self.there.send(os.getpid())
            if asked.changed:
                file, before, after = asked.changed
                exchange(self.functions, str(self.house / file), before, after)
            chosen = self._chosen(asked.tests)
            for item, following in zip(chosen, [*chosen[1:], None], strict=True):
                told = self._told(item, following, asked.lines)
                self.there.send(told)
                if asked.first and not told.passed:
                    break
            code = 0
        except BaseException:  # pytest.exit, SystemExit and the like end a run too
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def _chosen(self, tests: Sequence[str]) -> list[pytest.Item]:
        """The tests of these names; of one whose parameters a change has renamed, those of the same function."""
        found: dict[str, pytest.Item] = {}
        for test in tests:
            same = [name for name in self.items if name.partition("[")[0] == test.partition("[")[0]]
            found |= {name: self.items[name] for name in ([test] if test in self.items else same)}
        return list(found.values())

    def _told(self, item: pytest.Item, following: pytest.Item | None, lines: bool) -> Told:
        begun = time.monotonic()
        if lines:
            self.lines.begin()
        reports = runtestprotocol(item, log=False, nextitem=following)
        seconds = time.monotonic() - begun
        passed = not any(report.failed for report in reports)
        return Told(item.nodeid, passed, seconds, self.lines.end() if lines else {})


class Lines:
    """The lines of mlnn that are executed between `begin` and `end`."""

    def __init__(self, house: Path) -> None:
        self.house = house

    def begin(self) -> None:
        """From here on."""
        import coverage

        self.coverage = coverage.Coverage(data_file=None, config_file=False, include=[f"{self.house}/mlnn/*"])
        self.coverage.start()

    def end(self) -> dict[str, list[int]]:
        """By file (mlnn/…), in the order of the lines."""
        self.coverage.stop()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a test may execute none
            data = self.coverage.get_data()
        return {
            str(Path(file).relative_to(self.house)): sorted(data.lines(file) or ()) for file in data.measured_files()
        }


def _functions(house: Path) -> dict[CodeType, list[FunctionType]]:
    """Every function of mlnn, by its code."""
    gc.unfreeze()
    found: dict[CodeType, list[FunctionType]] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType and thing.__code__.co_filename.startswith(f"{house}/mlnn/"):
            found.setdefault(thing.__code__, []).append(thing)
    gc.freeze()
    return found


def exchange(functions: Mapping[CodeType, list[FunctionType]], file: str, before: bytes, after: bytes) -> None:
    """Gives the functions of a file that a change touches their new code. Raises LookupError for a function that is not there."""
    for old, new in touched(file, before, after):
        found = [one for one in functions.get(old, ()) if one.__code__.co_filename == file]
        if not found:
            raise LookupError(f"{file}: {old.co_qualname} is not there")
        for function in found:
            function.__code__ = new


def touched(file: str, before: bytes, after: bytes) -> list[tuple[CodeType, CodeType]]:
    """The outermost functions whose code differs between two texts of a file. Raises ImportError where what an import executes
    differs too."""
    found: list[tuple[CodeType, CodeType]] = []

    def walk(old: CodeType, new: CodeType) -> None:
        if old == new:
            return
        if old.co_flags & inspect.CO_OPTIMIZED:  # a function; modules and classes have no fast locals
            found.append((old, new))
            return
        if _outside(old) != _outside(new):
            raise ImportError(file)
        for one, other in zip(_inside(old), _inside(new), strict=True):
            walk(one, other)

    walk(compile(before, file, "exec", dont_inherit=True), compile(after, file, "exec", dont_inherit=True))
    return found


def _inside(code: CodeType) -> list[CodeType]:
    return [one for one in code.co_consts if isinstance(one, CodeType)]


def _outside(code: CodeType) -> CodeType:
    others: tuple[Any, ...] = tuple(None if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_consts=others, co_linetable=b"")  # where lines end is told of what is inside, too
