"""What every test relies on: one thread, because the number of threads changes bits."""

import os
from collections.abc import Iterator

# OpenBLAS reads it when numpy is first imported. In as many threads as there are cores it waits more than it computes, and
# tests that run side by side wait for one another: test_separation.py takes 28 s of processor time on two cores, in one 10 s.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
