"""The shadows of tensors: node numbers for their entries, by the memory that they lie in, and rules applied entry by entry."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from mlnn.proving.forms import Forms
from mlnn.proving.graph import Graph, Id
from mlnn.proving.literals import constant
from mlnn.proving.pointwise import Rule
from mlnn.proving.quotients import LargeError

MOST_ENTRIES = 4096
"""Of a tensor whose entries are followed one by one."""
MEAN, SUM = 1, 2
"""torch's numbers for reductions."""


class LostError(Exception):
    """What an operation does cannot be followed; the message says why."""


class Shadows:
    """Node numbers for the entries of tensors, by the memory that they lie in.

    `read`: whether numbers that hang on a target were taken as the numbers that they are; then other targets may be other graphs.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.read = False
        self._memory: dict[int, tuple[Tensor, Tensor]] = {}

    def follows(self, tensor: Tensor) -> bool:
        """Whether a tensor's entries have nodes already."""
        return int(tensor.untyped_storage()._cdata) in self._memory

    def name(self, tensor: Tensor, kind: str) -> None:
        """Make a tensor's entries variables."""
        ids = [self.graph.var(kind, place) for place in range(tensor.numel())]
        self.put(tensor, torch.tensor(ids).reshape(tensor.shape))

    def put(self, tensor: Tensor, shadow: Tensor) -> None:
        """Give a tensor's entries nodes, as something is written into them."""
        if tensor.layout != torch.strided:
            raise LostError("a tensor that is not dense")
        if not self.follows(tensor) and tensor.is_contiguous() and tensor.nbytes == tensor.untyped_storage().nbytes():
            self._remember(tensor, torch.zeros)  # all of its memory is written: what numbers are in it need not be read
        self._view(tensor).copy_(shadow.expand(tensor.shape) if shadow.ndim <= tensor.ndim else shadow)

    def forget(self, memories: set[int]) -> None:
        """Let go of memory that numbers are written into; it is read again when next met."""
        for memory in memories:
            self._memory.pop(memory, None)

    def shadow(self, tensor: Tensor) -> Tensor:
        """The nodes of a tensor's entries, int64, as the tensor; one from outside is constant."""
        if self.follows(tensor):
            return self._view(tensor)
        return self.numbers(tensor)

    def numbers(self, tensor: Tensor) -> Tensor:
        """Constants with the values of a tensor."""
        if tensor.numel() > MOST_ENTRIES:
            raise LostError(f"{tensor.numel()} entries")
        with _disable_current_modes():
            flat = tensor.detach().to(torch.float64 if tensor.is_floating_point() else torch.int64).flatten().tolist()
            return torch.tensor([self._constant(value) for value in flat], dtype=torch.int64).reshape(tensor.shape)

    def _constant(self, value: float) -> Id:
        if value == float("-inf"):
            return self.graph.lost
        if value == float("inf"):
            return self.graph.endless
        try:
            return constant(self.graph, value)
        except ValueError:
            return self.graph.make("undefined")

    def _remember(self, tensor: Tensor, make: Callable[..., Tensor]) -> None:
        """Shadows for all of a tensor's memory, as they are made for so many entries."""
        storage = tensor.untyped_storage()
        size = storage.nbytes() // max(tensor.element_size(), 1)
        if size > MOST_ENTRIES:
            raise LostError(f"{size} entries")
        with _disable_current_modes():
            self._memory[int(storage._cdata)] = tensor.detach(), make(size, dtype=torch.int64)

    def _read(self, tensor: Tensor, size: int, dtype: torch.dtype) -> Tensor:
        """The numbers that are in memory, as nodes."""
        whole = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage(), 0, (size,), (1,))
        return self.numbers(whole).to(dtype)

    def _view(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if int(storage._cdata) not in self._memory:
            self._remember(tensor, partial(self._read, tensor))
        with _disable_current_modes():
            shadows = self._memory[int(storage._cdata)][1]
            return shadows.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())

    def entries(self, tensor: Tensor) -> list[Id]:
        """The nodes of a tensor's entries, in order."""
        return [int(one) for one in self.shadow(tensor).flatten().tolist()]

    def note_read(self, tensor: Tensor) -> None:
        """Note that a tensor's numbers are taken as they are."""
        if self.follows(tensor):
            reads = self.graph.reads
            self.read |= any(reads[one] for one in set(self.entries(tensor)))

    def hangs_on_output(self, tensor: Tensor) -> bool:
        """Whether any entry hangs on a raw output."""
        if not self.follows(tensor):
            return False
        reads = self.graph.reads
        return any(kind == "z" for one in set(self.entries(tensor)) for kind, _ in reads[one])

    def whole(self, tensor: object) -> bool:
        """Whether entries are counts, or such numbers, by their form."""
        return (
            isinstance(tensor, Tensor)
            and self.follows(tensor)
            and all(self.graph.is_whole(one) for one in set(self.entries(tensor)))
        )

    def unrounded(self, given: Any) -> Any:
        """A tensor with the numbers that its nodes are, where they are numbers: a sum of probabilities is 1, and not next to it."""
        if not isinstance(given, Tensor) or not self.follows(given):
            return given
        numbers = [self.graph.number(one) for one in self.entries(given)]
        if None in numbers:
            return given
        with _disable_current_modes():
            return torch.tensor([float(one) for one in numbers if one is not None], dtype=given.dtype).reshape(
                given.shape
            )

    def fixed(self, tensor: Tensor) -> bool:
        """Whether a tensor of one entry, by its form, is the number that it holds whatever the raw outputs are: that
        probabilities add up to 1."""
        try:
            found = Forms(self.graph)[self.entries(tensor)[0]]
        except LargeError:
            return False
        with _disable_current_modes():
            return not found.needs and found.number is not None and float(found.number) == float(tensor.detach().item())

    def pointwise(self, rule: Rule, named: dict[str, Any]) -> Tensor:
        """A rule at each entry, tensors stretched to one shape; numbers are constants, reduction (of a loss) is done last."""
        reduction = named.pop("reduction", 0)
        named.pop("dtype", None)
        named.pop("buffer", None)
        tensors = {name: self.shadow(value) for name, value in named.items() if isinstance(value, Tensor)}
        stretched = dict(zip(tensors, torch.broadcast_tensors(*tensors.values()), strict=True))
        shape = next(iter(stretched.values())).shape
        fixed = {name: self._fixed(name, value) for name, value in named.items() if name not in tensors}
        fixed = {name: value for name, value in fixed.items() if value is not None}
        columns = [one.flatten().tolist() for one in stretched.values()]
        found = [
            rule(self.graph, **dict(zip(stretched, row, strict=True)), **fixed) for row in zip(*columns, strict=True)
        ]
        whole = torch.tensor(found, dtype=torch.int64).reshape(shape)
        if "grad_output" not in named:
            return reduced(self, whole, reduction)
        if reduction == MEAN:
            return each(whole, lambda one: self.graph.scale(Fraction(1, max(whole.numel(), 1)), one))
        return whole

    def _fixed(self, name: str, value: Any) -> Any:
        if isinstance(value, bool | str) and name in ("is_result", "rounding_mode", "self_is_result"):
            return value or None
        if value is None or isinstance(value, str):
            return value
        if name in ("min", "max") and value in (float("inf"), float("-inf")):
            return None
        if name == "exponent":
            return self.graph.const(value)
        return self._constant(value) if value in (float("-inf"), float("inf")) else constant(self.graph, value)


def each(shadow: Tensor, rule: Callable[[Id], Id]) -> Tensor:
    return torch.tensor([rule(one) for one in shadow.flatten().tolist()], dtype=torch.int64).reshape(shadow.shape)


def reduced(at: Shadows, shadow: Tensor, reduction: int) -> Tensor:
    if reduction not in (MEAN, SUM):
        return shadow
    total = at.graph.linear([(Fraction(1), one) for one in shadow.flatten().tolist()])
    count = shadow.numel() if reduction == MEAN else 1
    return torch.tensor(at.graph.scale(Fraction(1, max(count, 1)), total))


def over(shadow: Tensor, dim: Any, keepdim: bool, rule: Callable[[list[Id]], Id]) -> Tensor:
    """A rule over the entries along some axes (none named: all)."""
    axes = [dim] if isinstance(dim, int) else list(dim or range(shadow.ndim))
    axes = sorted({axis % max(shadow.ndim, 1) for axis in axes}) if shadow.ndim else []
    kept = [axis for axis in range(shadow.ndim) if axis not in axes]
    turned = shadow.permute([*kept, *axes]).reshape([shadow.shape[axis] for axis in kept] + [-1])
    rows = turned.reshape(-1, turned.shape[-1]).tolist() if turned.ndim > 1 else [turned.tolist()]
    found = torch.tensor([rule(row) for row in rows], dtype=torch.int64)
    shape = [1 if axis in axes else shadow.shape[axis] for axis in range(shadow.ndim)]
    return found.reshape(shape if keepdim else [shadow.shape[axis] for axis in kept])


def pairs(left: Tensor, right: Tensor, rule: Callable[[Id, Id], Id]) -> Tensor:
    left, right = torch.broadcast_tensors(left, right)
    found = [rule(one, other) for one, other in zip(left.flatten().tolist(), right.flatten().tolist(), strict=True)]
    return torch.tensor(found, dtype=torch.int64).reshape(left.shape)


def plain(at: Shadows, index: Tensor) -> Tensor:
    """Places that are picked, which may hang on targets but not on raw outputs."""
    if at.hangs_on_output(index):
        raise LostError("what is picked hangs on the raw output")
    at.note_read(index)
    return index.detach()
