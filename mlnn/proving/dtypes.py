"""What the type of a tensor makes of an operation: numbers that become truth values, whole numbers that wrap, and bits.

Operations are followed as those of real numbers. Of truth values a sum is an "or"; of whole numbers of a few bits it may wrap, and
"and" or "not" are of their bits. What of that hangs on a raw output is not followed; what hangs on targets alone is taken at each.
"""

from typing import Any

import torch
from torch import Tensor

from mlnn.objectives.promotion import tensors_in
from mlnn.proving.core import choose
from mlnn.proving.graph import Graph, Id

WRAPS = frozenset({torch.uint8, torch.int8, torch.int16, torch.uint16})
KEEPS = frozenset({"where", "index", "gather", "cat", "stack", "eq", "ne", "lt", "le", "gt", "ge", "_to_copy", "clone"})
"""Operations that whole numbers of few bits come out of as they went in, or as truth values."""
WRITES = frozenset({"masked_fill", "index_fill", "scatter", "index_put", "constant_pad_nd"})
SUMS = frozenset({"sum", "prod", "cumsum", "cumprod", "mean"})


def truth(g: Graph, one: Id) -> Id:
    """1 where a number is not 0, else 0."""
    return g.switch(one, g.one, g.zero, g.one)


def either(g: Graph, self: Id, other: Id) -> Id:
    """The sum of two truth values, which is one."""
    return choose(g, self, g.one, truth(g, other))


def unlike_numbers(name: str, named: dict[str, Any]) -> str | None:
    """Why an operation is not one of real numbers, by the types of its arguments; None where it is."""
    given = list(tensors_in(tuple(named.values())))
    narrow = [one.dtype for one in given if one.dtype in WRAPS]
    if narrow and name not in KEEPS:
        return f"whole numbers of type {str(narrow[0]).removeprefix('torch.')}, which wrap"
    if name.startswith("bitwise_") and any(one.dtype != torch.bool for one in given):
        return "the bits of whole numbers"
    if name in WRITES and not _fits(named):
        return "numbers cut to whole ones, or to truth values"
    return _of_sum(name, named, given)


def _fits(named: dict[str, Any]) -> bool:
    """Whether what is written into a tensor is of its type."""
    into, written = named["self"].dtype, named.get("value", named.get("values", named.get("src")))
    if into.is_floating_point or written is None:
        return True
    dtype = written.dtype if isinstance(written, Tensor) else {bool: torch.bool, int: torch.int64}.get(type(written))
    return dtype == torch.bool or (into != torch.bool and dtype is not None and not dtype.is_floating_point)


def _of_sum(name: str, named: dict[str, Any], given: list[Tensor]) -> str | None:
    dtype = named.get("dtype")
    if name in SUMS and dtype is not None and not dtype.is_floating_point and dtype != torch.int64:
        return f"a sum of type {str(dtype).removeprefix('torch.')}"
    if name in SUMS and dtype == torch.int64 and any(one.is_floating_point() for one in given):
        return "a sum of numbers that are cut to whole ones"
    return None


def as_it_adds(name: str, named: dict[str, Any]) -> str:
    """The name of an operation, that of an "or" where it adds two truth values; `named` loses what that has not."""
    both = [named.get("self"), named.get("other")]
    if name != "add" or not all(isinstance(one, bool) or getattr(one, "dtype", None) == torch.bool for one in both):
        return name
    named.pop("alpha", None)
    return "logical_or"
