"""What every test relies on: one thread, because the number of threads changes bits. And which cases of a battery are run."""

import gc
import os
from collections.abc import Iterator

# OpenBLAS reads it when numpy is first imported. In as many threads as there are cores it waits more than it computes, and
# tests that run side by side wait for one another: test_separation.py takes 28 s of processor time on two cores, in one 10 s.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Importing what the tests name makes 600,000 objects that stay. Looked through again and again while more of them come, they
# took a quarter of the time that tests are collected in; set aside, they are not looked through during the tests either.
gc.disable()

import pytest
import torch


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before the option -m chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a battery that is `sampled(n)`, all cases but a sample of 1/n are `rest`, and `slow` as well."""
    for item in items:
        sampled = item.get_closest_marker("sampled")
        if sampled is not None and place(item) % sampled.args[0]:
            item.add_marker("rest")
            item.add_marker("slow")


def place(item: pytest.Item) -> int:
    """The places of a case in its lists of parameters, added up: of a grid each n-th diagonal is a sample that has every value."""
    names = [mark.args[0] for mark in item.iter_markers("parametrize")]
    firsts = [name.split(",")[0].strip() if isinstance(name, str) else name[0] for name in names]
    return sum(item.callspec.indices[name] for name in firsts)  # type: ignore[attr-defined]  # of a test with parameters


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
