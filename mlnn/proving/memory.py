"""What a loss keeps between calls: numbers in an object, a closure or a partial's arguments, by which its values may change."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from torch import Tensor

DEEP = 4
"""Objects within objects that are looked into."""
PLAIN = (int, float, complex, str, bytes, type(None))


def kept_between_calls(function: Any) -> tuple[object, ...]:
    """All numbers that hang on a callable, in order; another answer after a call says that it keeps something."""
    return tuple(_numbers(function, DEEP, set()))


def _numbers(one: Any, deep: int, seen: set[int]) -> Iterator[object]:
    if isinstance(one, PLAIN):
        yield one
    elif isinstance(one, Tensor):
        yield one._version, tuple(one.shape), id(one)
    elif deep and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, dict):
            parts = list(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            parts = list(one)
        else:
            parts = [part for part in _parts(one) if part is not None]
        yield len(parts)
        for part in parts:
            yield from _numbers(part, deep - 1, seen)


def _parts(one: Any) -> Iterator[Any]:
    """What an object, a method, a partial or a function with a closure is made of."""
    yield getattr(one, "__self__", None)
    yield getattr(one, "func", None)
    yield getattr(one, "args", None)
    yield getattr(one, "keywords", None)
    yield getattr(one, "__wrapped__", None)
    for cell in getattr(one, "__closure__", None) or ():
        with suppress(ValueError):  # not filled yet
            yield cell.cell_contents
    if not isinstance(one, type):
        yield getattr(one, "__dict__", None)
