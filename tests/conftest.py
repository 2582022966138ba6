"""What every test relies on: one thread, because the number of threads changes bits. And which cases of a battery are run."""

import gc
import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# OpenBLAS reads it when numpy is first imported. In as many threads as there are cores it waits more than it computes, and
# tests that run side by side wait for one another: test_separation.py takes 28 s of processor time on two cores, in one 10 s.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch

from mlnn.runs.commit import commit

HERE = Path.cwd()


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Importing what the tests name makes 600,000 objects that stay. To look through them again and again while more come takes
    a quarter of the time that tests are collected in: they are set aside once, and not looked through during the tests either."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before the option -m chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a battery that is `sampled(n)`, all cases but a sample of 1/n are `rest`; `sampled(n, k)` begins with the k-th diagonal,
    counted from 0. These, and what is marked `rest` by itself, are `slow` as well."""
    met: Counter[str] = Counter()
    for item in items:
        sampled, battery = item.get_closest_marker("sampled"), item.nodeid.partition("[")[0]
        number, met[battery] = met[battery], met[battery] + 1
        left_out = sampled is not None and _left_out(diagonal(item, number), *sampled.args)
        if left_out:
            item.add_marker("rest")
        if left_out or item.get_closest_marker("rest"):
            item.add_marker("slow")


def _left_out(diagonal: int, every: int, first: int = 0) -> bool:
    return (diagonal - first) % every > 0


def diagonal(item: pytest.Item, number: int) -> int:
    """The places of a battery's case of a number in its lists of parameters, added up: every n-th diagonal of a grid has each
    value of a list wherever another list is no shorter than n."""
    total = 0
    for mark in reversed([*item.iter_markers("parametrize")]):  # the list that is named first varies fastest
        number, place = divmod(number, len(mark.args[1]))
        total += place
    return total


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


COMMIT_HERE = cache(commit)


@pytest.fixture(autouse=True)
def commit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every comparison and run notes the commit that it is made in, which takes git 60 ms. That of this repository is asked for
    once; tests/test_commit.py asks `commit` itself."""
    monkeypatch.setattr("mlnn.runs.environment.commit", lambda: COMMIT_HERE() if Path.cwd() == HERE else commit())


@pytest.fixture(autouse=True)
def unproved(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons without the proof on paper, which is half of a short one's time, but for tests of it: what is marked `proves`."""
    from mlnn.comparing.proved import NOT_ASKED

    if request.node.get_closest_marker("proves") is None:
        monkeypatch.setattr("mlnn.comparing.plan.proved", lambda *_: NOT_ASKED)
