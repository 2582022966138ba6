"""Calls in watched processes: values come back, and each way to end badly costs one call."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from mlnn.errors import DataError, NoAnswerError
from mlnn.workers import Call, Outcome, side_by_side, supervised, warm


def double(number: int) -> int:
    print("doubling", number)
    return 2 * number


def refuse() -> None:
    raise DataError("row 3 is bad")


def fail() -> None:
    raise ZeroDivisionError("planted")


def leave(code: int) -> None:
    os._exit(code)


def exit_quietly() -> None:
    sys.exit(0)


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def unsendable() -> object:
    return lambda: None


def process() -> int:
    return os.getpid()


def algebra_threads() -> set[int]:
    """In how many threads each library of linear algebra works that numpy and scipy have loaded in this process."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    return {library["num_threads"] for library in threadpool_info() if library["internal_api"] == "openblas"}


def run(tmp_path: Path, *wanted: tuple[object, ...], **options: object) -> list[Outcome]:
    calls = [Call(call[0], call[1:], tmp_path / f"{place}.log") for place, call in enumerate(wanted)]  # type: ignore[arg-type]
    return sorted(supervised(calls, **options), key=lambda outcome: outcome.place)  # type: ignore[arg-type]


def test_values_come_back_in_any_order_and_prints_go_to_the_logs(tmp_path: Path) -> None:
    found = run(tmp_path, *((double, n) for n in range(4)), at_once=2)
    assert [outcome.value for outcome in found] == [0, 2, 4, 6]
    assert [outcome.result() for outcome in found] == [0, 2, 4, 6]
    assert (tmp_path / "3.log").read_text(encoding="utf-8") == "doubling 3\n"


def test_each_bad_end_costs_its_own_call(tmp_path: Path) -> None:
    found = run(tmp_path, (refuse,), (fail,), (leave, 0), (leave, 3), (exit_quietly,), (die, signal.SIGKILL),
                (die, signal.SIGTERM), (unsendable,), (double, 5))  # fmt: skip
    told = [(outcome.code, outcome.failure) for outcome in found]
    assert [code for code, _ in told] == [3, 70, 4, 4, 4, 4, 4, 70, 0]
    for (_, sentence), words in zip(told, ("row 3", "planted", "code 0", "code 3", "sys.exit(0)", "signal 9", "signal 15",
                                           "cannot be sent"), strict=False):  # fmt: skip
        assert sentence is not None
        assert words in sentence
    assert found[-1].value == 10
    assert "Traceback" in (tmp_path / "1.log").read_text(encoding="utf-8")
    with pytest.raises(NoAnswerError, match="row 3") as caught:
        found[0].result()
    assert caught.value.exit_code == 3


@pytest.mark.rest
def test_a_call_that_hangs_is_ended_while_others_go_on(tmp_path: Path) -> None:
    begun = time.monotonic()
    found = run(tmp_path, (sleep, 600), (double, 1), (sleep, 600), (double, 2), at_once=2, timeout=2.0)
    assert time.monotonic() - begun < 60
    assert [(outcome.code, outcome.value) for outcome in found] == [(4, None), (0, 2), (4, None), (0, 4)]
    assert "longer than 2 s" in str(found[0].failure)


def test_a_call_that_does_the_work_of_several_may_take_as_long_as_they(tmp_path: Path) -> None:
    wanted = [(sleep, (1.2,), 3), (sleep, (600,), 1), (sleep, (600,), 2)]
    calls = [
        Call(function, given, tmp_path / f"{place}.log", share) for place, (function, given, share) in enumerate(wanted)
    ]
    found = sorted(supervised(calls, at_once=3, timeout=0.8), key=lambda outcome: outcome.place)
    assert [outcome.failure for outcome in found] == [None, "took longer than 0.8 s", "took longer than 1.6 s"]


def test_fresh_calls_share_no_process_and_others_do(tmp_path: Path) -> None:
    assert len({outcome.value for outcome in run(tmp_path, *[(process,)] * 3, fresh=True)}) == 3
    assert len({outcome.value for outcome in run(tmp_path, *[(process,)] * 3)}) == 1


def test_leaving_early_ends_the_workers(tmp_path: Path) -> None:
    calls = [Call(process, (), tmp_path / "a.log"), Call(sleep, (600,), tmp_path / "b.log")]
    outcomes = supervised(calls)
    pid = next(outcomes).value
    outcomes.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("jobs", "calls", "threads", "expected"),
    [(None, 9, 1, 4), (None, 3, 1, 3), (None, 9, 2, 2), (None, 9, 3, 1), (None, 9, 8, 1), (7, 9, 2, 7), (7, 0, 1, 1)],
)
def test_cores_are_divided_among_the_calls(
    monkeypatch: pytest.MonkeyPatch, jobs: int | None, calls: int, threads: int, expected: int
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    assert side_by_side(jobs, calls, threads) == expected


def test_a_worker_does_its_algebra_in_one_thread_and_the_variable_is_as_before(tmp_path: Path) -> None:
    before = os.environ.pop("OPENBLAS_NUM_THREADS", None)
    try:
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # started by another test, perhaps of another environment
        warm()
        (outcome,) = run(tmp_path, (algebra_threads,))
        assert outcome.value <= {1}, "a set of nothing where numpy has no OpenBLAS"
        assert "OPENBLAS_NUM_THREADS" not in os.environ
    finally:
        if before is not None:
            os.environ["OPENBLAS_NUM_THREADS"] = before


WATCHER = """
import sys, time
from pathlib import Path
from test_workers import process, sleep
from mlnn.workers import Call, supervised

if __name__ == "__main__":
    outcomes = supervised([Call(process, (), Path("a.log")), Call(sleep, (600,), Path("b.log"))])
    print(next(outcomes).value, flush=True)
    next(outcomes)
"""


@pytest.mark.slow
def test_workers_end_with_the_process_that_asked_for_them(tmp_path: Path) -> None:
    (tmp_path / "watcher.py").write_text(WATCHER, encoding="utf-8")
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    watcher = subprocess.Popen([sys.executable, "watcher.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": path})  # fmt: skip
    assert watcher.stdout is not None
    worker = int(watcher.stdout.readline())
    os.kill(worker, 0)
    watcher.kill()
    watcher.communicate()
    deadline = time.monotonic() + 60
    while gone_after := time.monotonic() < deadline:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    assert gone_after, "the worker outlived the process that asked for it"
