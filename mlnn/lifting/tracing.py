"""The operations of one forward pass and its loss, noted while somebody's code runs as ever.

A `Trace` works below autograd: the code computes the same bits, and its backward pass is its own. It is entered and left by hand,
in hooks, and so leaves the stack of modes as it should be whoever else has pushed a mode meanwhile.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from mlnn.lifting.tree import named_tensors
from mlnn.objectives.promotion import memory_written, tensors_in

MOST_NOTED = 1_000_000
"""Operations of one forward pass and its loss; more are no single step."""
APPLY = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]
"""Where a forward of somebody's own `autograd.Function` is called from."""
FRAMES = 60
"""Calls outward in which it is looked for."""


@dataclass(frozen=True, eq=False)
class Noted:
    """One operation as it was called. `given`, `gave`: its tensors, each by its number; `written`: the memory it writes into.

    `gradient`: whether gradients were on; `own`: whether it ran in the forward of an `autograd.Function`, where they never are.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    found: Any
    given: tuple[int, ...]
    gave: tuple[int, ...]
    written: frozenset[int]
    gradient: bool
    own: bool


@dataclass(eq=False)
class Known:
    """A tensor that was met. `made`: the operation that made it, None for one from outside; `memory`: what it lies in.

    `version`: of one from outside, when it was met; `kept`: its values before anything was written into it; `lost`: whether
    it came by a way that no operation shows.
    """

    tensor: Tensor
    made: int | None
    memory: int
    version: int
    kept: Tensor | None = None
    lost: bool = False


@dataclass
class Returned:
    """What the root's forward passes gave, by name, and of each tensor, by its number, how many operations there were before."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)


class Trace(TorchDispatchMode):
    """Notes every operation between `start` and `stop`. `reason`: why it is of no use, None where it is.

    It holds every tensor that it met until it is let go: as much memory as all activations.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Noted] = []
        self.known: list[Known] = []
        self.returned = Returned()
        self.reason: str | None = None
        self._held: list[Tensor] = []  # so that nobody else is given its `id`
        self._numbers: dict[int, int] = {}
        self._by_memory: dict[int, list[int]] = {}
        self._watched: dict[int, set[int]] = {}
        self._wrote: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Told to skip, torch would import its compiler at the first operation."""
        return False

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """A compiled model stays compiled; what is inside of it is not noted."""
        return True

    def start(self) -> None:
        """Begin to note. Where another mode is at work already nothing is noted: it may end first, and would end this one."""
        if _get_current_dispatch_mode_stack():
            self.reason = "another dispatch mode of torch was at work around the forward pass"
            return
        self.__enter__()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Note no more; once is as good as twice. Modes that were pushed since stay as they are."""
        stack = _get_current_dispatch_mode_stack()
        if self not in stack:
            return
        above = stack[stack.index(self) + 1 :]
        if above:
            self.reason = f"another dispatch mode of torch ({type(above[-1]).__name__}) was at work around the loss"
        # By the base class, which knows what was at work before each mode; their own way out may do more.
        for mode in reversed((self, *above)):
            TorchDispatchMode.__exit__(mode, None, None, None)
        for mode in above:
            TorchDispatchMode.__enter__(mode)

    def gave(self, value: Any) -> None:
        """Tell what the root's forward returned, as its forward hook is given it; of a second forward pass too."""
        for place, part in named_tensors(value):
            if not part.is_floating_point():
                continue
            name = place or "output"
            count = sum(known.partition(" ")[0] == name for known in self.returned.tensors)
            self.returned.tensors[f"{name} ({count + 1})" if count else name] = part
            number = self.number(part)
            self.returned.places[number] = len(self.ops)
            self._watch(number)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.reason is not None:
            return function(*args, **kwargs)
        before = self._before(function, args, kwargs)
        found = function(*args, **kwargs)
        if before is not None:
            self._note(function, args, kwargs, found, *before)
        return found

    def _before(
        self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[int, ...], frozenset[int]] | None:
        """The numbers of what an operation is given, and the memory that it will write into, which is copied first."""
        try:
            given = tuple(self.number(part) for part in tensors_in((args, tuple(kwargs.values()))))
            schema = getattr(function, "_schema", None)
            written = frozenset(memory_written(function, args, kwargs)) if schema and schema.is_mutable else frozenset()
            self._wrote |= written
            for memory in written:
                for number in self._watched.pop(memory, ()):
                    self.known[number].kept = self.known[number].tensor.detach().clone()
        except Exception as problem:  # somebody's training goes on, whatever kind of tensor this is
            self.reason = f"{function} could not be noted ({type(problem).__name__})"
            return None
        return given, written

    def _note(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        found: Any,
        given: tuple[int, ...],
        written: frozenset[int],
    ) -> None:
        try:
            place, gradient = len(self.ops), torch.is_grad_enabled()
            gave = tuple(self.number(part, place) for part in tensors_in(found))
            own = not gradient and _in_custom_forward()
            self.ops.append(Noted(function, args, kwargs, found, given, gave, written, gradient, own))
            if place >= MOST_NOTED:
                self.reason = f"more than {MOST_NOTED:,} operations lie between forward and backward"
        except Exception as problem:  # as above
            self.reason = f"{function} could not be noted ({type(problem).__name__})"

    def find(self, tensor: Tensor) -> int | None:
        """The number of a tensor that was met, or of one that lies just so in memory; None where there is none."""
        found = self._numbers.get(id(tensor))
        if found is not None or tensor.layout != torch.strided:
            return found
        beside = self._by_memory.get(int(tensor.untyped_storage()._cdata), ())
        return next((number for number in beside if _lie_alike(self.known[number].tensor, tensor)), None)

    def number(self, tensor: Tensor, made: int | None = None) -> int:
        """The number of a tensor; one that is met for the first time is from outside, or made by an operation."""
        found = self._numbers.get(id(tensor))
        if found is not None:
            return found
        memory = int(tensor.untyped_storage()._cdata)
        beside = self._by_memory.setdefault(memory, [])
        one = Known(tensor, made, memory, _version(tensor))
        if made is None and beside:
            same = next((number for number in beside if _lie_alike(self.known[number].tensor, tensor)), None)
            if same is not None:
                return self._again(tensor, same)
            one.lost = memory in self._wrote or any(self.known[number].made is not None for number in beside)
        return self._add(one)

    def _again(self, tensor: Tensor, same: int) -> int:
        """A tensor that is another one under a new name; `.data` cuts its gradient off, as `detach` would have."""
        source = self.known[same].tensor
        if tensor.requires_grad or not source.requires_grad:
            self._numbers[id(tensor)] = same
            self._held.append(tensor)
            return same
        number = self._add(Known(tensor, len(self.ops), self.known[same].memory, _version(tensor)))
        nothing: frozenset[int] = frozenset()
        detach = torch.ops.aten.detach.default
        self.ops.append(Noted(detach, (source,), {}, tensor, (same,), (number,), nothing, True, False))
        return number

    def _add(self, one: Known) -> int:
        number = len(self.known)
        self.known.append(one)
        self._numbers[id(one.tensor)] = number
        self._by_memory[one.memory].append(number)
        if one.made is None:
            self._watch(number)
        return number

    def _watch(self, number: int) -> None:
        """Copy a tensor before anything is written into it."""
        self._watched.setdefault(self.known[number].memory, set()).add(number)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else int(tensor._version)


def _lie_alike(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors in the same memory are the same numbers of it."""
    return (one.shape, one.stride(), one.dtype, one.storage_offset()) == (
        two.shape,
        two.stride(),
        two.dtype,
        two.storage_offset(),
    )


def _in_custom_forward() -> bool:
    frame: Any = sys._getframe(1)
    for _ in range(FRAMES):
        if frame is None:
            return False
        if frame.f_code is APPLY:
            return True
        frame = frame.f_back
    return False
