"""Signals of a command: a handler for as long as a block takes."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(numbers: Sequence[signal.Signals], stop: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """`stop` hears these signals inside the block; the handlers before it are there again afterwards.

    Outside the main thread nothing changes: whoever runs the command there handles signals.
    """
    try:
        before = {number: signal.signal(number, stop) for number in numbers}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
