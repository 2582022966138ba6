"""A fingerprint of what a forward pass was given: equal rows are known again in another order, or cut into other batches."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import Tensor

from mlnn.lifting.tree import named_tensors
from mlnn.recording.fingerprint import drawn_words

MASK = (1 << 64) - 1
ROW_WORDS = 509
"""Numbers that words of a row are weighed with, over and over: a prime."""


@dataclass(frozen=True)
class BatchPrint:
    """`rows`: of the largest leading size of its tensors; `ordered`: a hash of the rows in their order, with shapes and dtypes, 16
    digits; `unordered`: Σ over rows of a hash of each row, modulo 2^64, which batches cut from the same rows have alike when added
    up; `shapes`: by place."""

    rows: int
    ordered: str
    unordered: int
    shapes: dict[str, tuple[int, ...]]


def batch_print(given: object) -> BatchPrint:
    """The fingerprint of a nested value; tensors are read, on the device where they lie, and nothing else is."""
    found = list(named_tensors(given))
    sizes = [len(tensor) for _, tensor in found if tensor.ndim]
    rows = max(sizes, default=0)
    ordered = hashlib.blake2b(digest_size=8)
    total = torch.zeros(rows, dtype=torch.int64)
    for place, tensor in found:
        words = _row_words(tensor.detach()).cpu()
        ordered.update(f"{place}{tuple(tensor.shape)}{tensor.dtype}".encode())
        ordered.update(words.numpy().tobytes())
        if tensor.ndim and len(tensor) == rows:
            total += words * _odd(place)
    unordered = int(_mixed(total).sum()) & MASK if rows else 0
    return BatchPrint(rows, ordered.hexdigest(), unordered, {place: tuple(tensor.shape) for place, tensor in found})


def together(parts: Sequence[BatchPrint]) -> tuple[int, int]:
    """(rows, unordered) of batches taken together."""
    return sum(part.rows for part in parts), sum(part.unordered for part in parts) & MASK


def _row_words(tensor: Tensor) -> Tensor:
    """A hash of each row's bits (n,), int64; of a number alone, (1,). Zeros at the end of a row change nothing: padding with zeros
    is no other row."""
    flat = tensor.reshape(len(tensor) if tensor.ndim else 1, -1).contiguous()
    if flat.is_complex():
        flat = torch.view_as_real(flat).reshape(len(flat), -1)
    if not flat.shape[1]:
        return torch.zeros(len(flat), dtype=torch.int64, device=tensor.device)
    if flat.is_floating_point():
        kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[flat.element_size()]
        flat = flat.view(kind)
    weights = _weights(flat.device)
    found = torch.zeros(len(flat), dtype=torch.int64, device=flat.device)
    for at, part in enumerate(flat.split(ROW_WORDS, 1)):
        found += ((part.long() * weights[: part.shape[1]]).sum(1)) * (2 * at + 1)
    return found


def _mixed(words: Tensor) -> Tensor:
    """Words whose sum tells which they are: without this, two rows that swap a column would have the same sum."""
    mixed = (words ^ (words >> 31)) * -0x61C8864680B583EB
    return (mixed ^ (mixed >> 29)) * -0x4B47D0C5B7D9A05B


@cache
def _weights(device: torch.device) -> Tensor:
    return torch.from_numpy(drawn_words("row", "batch", ROW_WORDS)).view(torch.int64).to(device)


@lru_cache(maxsize=1024)
def _odd(place: str) -> int:
    word = int(drawn_words(place, "place", 1)[0]) | 1
    return word - (1 << 64) if word >> 63 else word
