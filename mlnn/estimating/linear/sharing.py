"""One pass over the rows, shared among threads by rows.

Each thread takes a stretch of rows and works through its chunks alone. Threads inside each operation would meet at a barrier
thousands of times in a pass: on cores that another program uses too, every one of them waits to be scheduled (measured
with a million rows of 50 features, two cores and three other programs: 28 to 48 s instead of 3 to 5).
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from mlnn.estimating.linear.design import Design

Result = TypeVar("Result")
WORTH = 2**19
"""Numbers in a thread's rows below which starting it costs more than it saves: some 2 ms of a pass."""


def share(design: Design, work: Callable[[Design], Result]) -> list[Result]:
    """`work` of every stretch of rows, in the order of the rows; as many stretches as torch has threads and are worth it."""
    threads = torch.get_num_threads()
    count = max(1, min(threads, len(design.y) * max(design.width, 1) // WORTH))
    torch.set_num_threads(1)
    try:
        if count == 1:
            return [work(design)]
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(work, stretches(design, count)))
    finally:
        torch.set_num_threads(threads)


def stretches(design: Design, count: int) -> list[Design]:
    """The rows in `count` consecutive parts, as views."""
    ends = [len(design.y) * k // count for k in range(count + 1)]
    return [design.taken(slice(low, high)) for low, high in itertools.pairwise(ends)]
