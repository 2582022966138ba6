"""A batch as somebody's own loader gives it: tensors in dicts, lists, tuples and dataclasses, as deep as they like."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from mlnn.errors import DataError


def replaced(batch: Any, change: Callable[[Tensor], Any]) -> Any:
    """The same structure with `change(tensor)` in place of every tensor; what holds no tensor stays the same object.

    Mappings, lists, tuples (named ones too) and dataclasses are gone through, each made anew as what it is.
    """
    if isinstance(batch, Tensor):
        return change(batch)
    new: Any
    if isinstance(batch, MutableMapping):
        new = copy.copy(batch)
        for key, value in batch.items():
            new[key] = replaced(value, change)
        return new
    if isinstance(batch, Mapping):
        return {key: replaced(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [replaced(value, change) for value in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        new = copy.copy(batch)
        for one in dataclasses.fields(batch):
            object.__setattr__(new, one.name, replaced(getattr(batch, one.name), change))
        return new
    return batch


def tensors(batch: Any) -> Iterator[Tensor]:
    """Every tensor of a batch, in its order."""
    found: list[Tensor] = []
    replaced(batch, found.append)
    return iter(found)


def cast(batch: Any, dtype: torch.dtype, device: torch.device | None = None, first: torch.dtype | None = None) -> Any:
    """The batch with real numbers in `dtype` and all else (labels, masks, words) as it is: fresh contiguous copies on a device,
    None: where they are.

    `first`: a dtype that real numbers are rounded to before, so that several precisions see the same data.
    """

    def one(tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        if tensor.is_floating_point():
            tensor = tensor.to(first or dtype).to(dtype)
        return tensor.to(device or tensor.device, copy=True).contiguous()

    return replaced(batch, one)


def rows(batch: Any) -> int | None:
    """The first dimension that all tensors of a batch share, single numbers (a temperature) aside; None if there is none."""
    lengths = {len(tensor) for tensor in tensors(batch) if tensor.ndim}
    return lengths.pop() if len(lengths) == 1 else None


def split(batch: Any, parts: int) -> list[Any]:
    """At most `parts` micro-batches of nearly as many rows each, as `Tensor.chunk` cuts; fresh contiguous copies.

    Raises DataError for more than one part of a batch whose tensors share no first dimension.
    """
    if parts == 1:
        return [batch]
    count = rows(batch)
    if count is None:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors(batch))
        raise DataError(
            f"data: a batch cannot be cut into {parts} micro-batches, its tensors share no first dimension ({shapes})"
        )
    size = -(-count // parts)
    return [taken(batch, start, start + size) for start in range(0, count, size)]


def taken(batch: Any, start: int, end: int) -> Any:
    """Rows start … end−1 of a batch, as fresh contiguous copies."""
    return replaced(batch, lambda tensor: tensor[start:end].clone() if tensor.ndim else tensor)
