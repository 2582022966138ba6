"""What a forward pass is given, taken apart: its tensors by where they stand, and a skeleton that is plain data.

A leaf that is neither a tensor nor plain data (a cache, a config object) is kept as a word for what it was.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from mlnn.errors import DataError

DEEP = 16
"""Nested containers that are looked into."""
PLAIN = (bool, int, float, str)


def named_tensors(value: object, place: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """(place, tensor) of all that a nested value holds; a place is like "args.0" or "kwargs.labels"."""
    if isinstance(value, Tensor):
        yield place, value
    elif depth < DEEP:
        for name, part in _parts(value):
            yield from named_tensors(part, f"{place}.{name}" if place else name, depth + 1)


def outputs_in(value: object) -> dict[str, Tensor]:
    """The tensors that a model returned, by name; one alone is called "output"."""
    return {place or "output": tensor for place, tensor in named_tensors(value)}


def skeleton(value: object, place: str = "", depth: int = 0) -> object:
    """The same value as plain data: {"tensor": place}, {"list": …}, {"tuple": …}, {"dict": …}, {"plain": …}, or {"word": …} for
    what cannot be kept."""
    if isinstance(value, Tensor):
        return {"tensor": place}
    if value is None or isinstance(value, PLAIN):
        return {"plain": value if not isinstance(value, float) else repr(value), "kind": type(value).__name__}
    kind = _kind(value)
    if kind is None or depth >= DEEP:
        return {"word": type(value).__name__}
    parts = {name: skeleton(part, f"{place}.{name}" if place else name, depth + 1) for name, part in _parts(value)}
    return {kind: parts if kind == "dict" else list(parts.values())}


def rebuilt(bones: object, tensors: Mapping[str, Tensor], depth: int = 0) -> Any:
    """The value of a skeleton, with its tensors. Raises DataError for what is no skeleton, or lacks a tensor."""
    if not isinstance(bones, dict) or not bones or depth > DEEP:
        raise DataError("its batch is damaged")
    kind, held = next(iter(bones.items()))
    if kind == "tensor" and isinstance(held, str):
        if held not in tensors:
            raise DataError(f"its batch is damaged: tensor '{held[:80]}' is missing")
        return tensors[held]
    if kind == "plain":
        return float(held) if bones.get("kind") == "float" and isinstance(held, str) else held
    if kind in ("list", "tuple") and isinstance(held, list):
        made = [rebuilt(part, tensors, depth + 1) for part in held]
        return made if kind == "list" else tuple(made)
    if kind == "dict" and isinstance(held, dict):
        return {name: rebuilt(part, tensors, depth + 1) for name, part in held.items()}
    if kind == "word":
        raise DataError(f"a forward pass was given a {str(held)[:80]}, which a capsule does not keep")
    raise DataError("its batch is damaged")


def _kind(value: object) -> str | None:
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        return "dict"
    if isinstance(value, tuple):
        return "tuple"
    return "list" if isinstance(value, list) else None


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):  # a model's output of a dataclass kind is one of these too
        yield from ((str(name), part) for name, part in value.items())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((item.name, getattr(value, item.name)) for item in dataclasses.fields(value))
    elif isinstance(value, tuple | list):
        yield from ((str(at), part) for at, part in enumerate(value))
