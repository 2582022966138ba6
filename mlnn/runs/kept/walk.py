"""From the objects of a run in progress to plain data and bytes, and which of them a program that is built anew has as well.

Every object that hangs together with a run's is numbered before the first step, in an order that is the same whenever the same
run is built. What is there then keeps its number; what has come since is told of by its class.
"""

import hashlib
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mlnn.runs.kept.contents import PLAIN, SINGLE, UnkeepableError, kind_of, parts

OURS = ("mlnn.", "torch.optim.", "torch.nn.")
"""Packages whose classes are found by their names. A function never is: a state that somebody sent could call it."""
MADE_OF: dict[str, Callable[[Any], Any]] = {
    "deque": lambda value: value.maxlen,
    "array": lambda value: value.typecode,
    "torch stream": lambda value: str(value.device),
    "numpy stream": lambda value: type(value.bit_generator).__name__,
    "weight": lambda value: value.requires_grad,
}
"""What has to be known of an object of a kind before it is made."""
Fixed = tuple[type, ...]
_SINGLE = {id(value): name for name, value in SINGLE.items()}


class Table:
    """The objects that a run begins with, numbered. `fixed`: classes whose objects stay as they are made."""

    def __init__(self, roots: Sequence[Any], fixed: Fixed) -> None:
        self.fixed, self.objects, self.kinds = fixed, list[Any](), list[str]()
        self.numbers: dict[int, int] = {}
        waiting: deque[tuple[Any, str]] = deque((root, "") for root in roots)
        while waiting:
            value, where = waiting.popleft()
            for one, place in _objects(value, where):
                if id(one) in self.numbers:
                    continue
                try:
                    kind = kind_of(one, fixed)
                except UnkeepableError as problem:
                    raise UnkeepableError(f"{place}: {problem}") from None
                if kind in ("tensor", "array of numbers"):  # values: they are put in the place of those that are there
                    continue
                self.numbers[id(one)] = len(self.objects)
                self.objects.append(one)
                self.kinds.append(kind)
                if kind not in ("constant", "weight"):
                    made = (type(one),) if kind in OF_A_CLASS else ()  # another of its class may come
                    waiting.append(((parts(kind, one), made), place))

    def digest(self) -> str:
        """SHA-256 of what there is, in its order: of another program it is another one."""
        pairs = zip(self.kinds, self.objects, strict=True)
        told = "\n".join(kind if kind == "constant" else f"{kind} {type(one).__qualname__}" for kind, one in pairs)
        return hashlib.sha256(told.encode()).hexdigest()


def _objects(value: Any, where: str) -> Iterator[tuple[Any, str]]:
    """The objects right below a value, through tuples and bound methods, each with the way there."""
    if type(value) in PLAIN or id(value) in _SINGLE or isinstance(value, bytes | complex | slice | range | np.generic):
        return
    if isinstance(value, torch.device):
        return
    if isinstance(value, tuple | frozenset):
        inside = value if isinstance(value, tuple) else tuple(sorted(value, key=repr))
        for place, part in enumerate(inside):
            yield from _objects(part, f"{where}.{inside[0]}" if _named(inside) and place else where)
    elif isinstance(value, types.MethodType):
        yield from _objects(value.__self__, f"{where}.{value.__name__}")
        if not _is_own(value):
            yield from _objects(value.__func__, f"{where}.{value.__name__}")
    else:
        yield value, where


def _is_own(method: types.MethodType) -> bool:
    """Whether a method is what its object's class has under its name."""
    return getattr(type(method.__self__), method.__func__.__name__, None) is method.__func__


def _named(value: Any) -> bool:
    """Whether a tuple is a name with what it stands for."""
    return len(value) == 2 and isinstance(value, tuple) and isinstance(value[0], str)


class Encoder:
    """One state: `objects` in plain data, `storages` as tensors of bytes by name."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.objects: list[list[Any]] = []
        self.storages: dict[str, Tensor] = {}
        self._new: dict[int, int] = {}
        self._values: dict[int, list[Any]] = {}
        self._held: list[Any] = []  # so that nobody else is given its `id`
        self._waiting: deque[tuple[list[Any], Any, str, str]] = deque()

    def encode(self, roots: Sequence[Any]) -> Any:
        """The roots in plain data, with all that hangs together with them; UnkeepableError where that is not all."""
        told = [self._value(root, "") for root in roots]
        for number, (one, kind) in enumerate(zip(self.table.objects, self.table.kinds, strict=True)):
            if kind != "constant":
                self._waiting.append((["@", number], one, kind, ""))
        seen = set()
        while self._waiting:
            mark, one, kind, where = self._waiting.popleft()
            if (mark[0], mark[1]) not in seen:
                seen.add((mark[0], mark[1]))
                self.objects.append([mark, kind, self._content(kind, one, where)])
        return {"roots": told, "objects": self.objects}

    def _content(self, kind: str, one: Any, where: str) -> Any:
        if kind == "weight":
            return self._tensor(one.data)
        told = parts(kind, one)
        self._held.append(told)
        return self._value(told, where or type(one).__name__)

    def _value(self, value: Any, where: str) -> Any:
        own = type(value)
        if own in PLAIN:
            return value
        if id(value) in _SINGLE:
            return ["one", _SINGLE[id(value)]]
        for kind, (classes, tell) in _VALUES.items():
            if isinstance(value, classes):
                return [kind, *tell(value)]
        if isinstance(value, tuple | frozenset):
            return self._several(value, where)
        if own is types.MethodType:
            return self._method(value, f"{where}.{value.__name__}")
        return self._object(value, where)

    def _method(self, value: types.MethodType, where: str) -> Any:
        owner, function = value.__self__, value.__func__
        if _is_own(value):
            return ["own method", function.__name__, self._value(owner, where)]
        if id(function) in self.table.numbers:
            return ["method", self._value(function, where), self._value(owner, where)]
        raise UnkeepableError(f"{where}: a method that its class has not")

    def _several(self, value: Any, where: str) -> Any:
        named = _named(value)
        told = [
            self._value(part, f"{where}.{value[0]}" if named and place else where) for place, part in enumerate(value)
        ]
        if type(value) is tuple:
            return ["tuple", told]
        if type(value) is frozenset:
            return ["frozenset", told]
        return ["named", self._object(type(value), where), told]

    def _object(self, value: Any, where: str) -> Any:
        if id(value) in self.table.numbers:
            return ["@", self.table.numbers[id(value)]]
        if id(value) in self._values:
            return self._values[id(value)]
        if id(value) in self._new:
            return ["#", self._new[id(value)]]
        try:
            kind = kind_of(value, self.table.fixed)
        except UnkeepableError as problem:
            raise UnkeepableError(f"{where}: {problem}") from None
        if kind == "tensor" or kind == "array of numbers":
            self._held.append(value)
            told = self._tensor(value, where) if kind == "tensor" else self._array(value, where)
            self._values[id(value)] = told
            return told
        if kind in ("constant", "function", "cell", "partial"):
            return self._by_name(value, where)
        self._held.append(value)
        number = self._new[id(value)] = len(self._new)
        tell = MADE_OF.get(kind)
        made = self._object(type(value), where) if kind in OF_A_CLASS else tell and tell(value)
        self._waiting.append((["#", number, made], value, kind, where))
        return ["#", number]

    def _by_name(self, value: Any, where: str) -> Any:
        module, name = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", "")
        if isinstance(value, type) and found(module, name) is value:
            return ["class", module, name]
        told = f"{module}.{name}" if name else type(value).__name__
        raise UnkeepableError(f"{where}: {told} came in while it trained, and cannot be made again")

    def _tensor(self, tensor: Tensor, where: str = "") -> Any:
        if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout != torch.strided or tensor.is_meta:
            raise UnkeepableError(f"{where}: a tensor of a kind of its own")
        if tensor.grad_fn is not None:
            raise UnkeepableError(f"{where}: a tensor with the way it was computed")
        held: Any = tensor
        storage = held.untyped_storage()
        name = str(storage._cdata)
        if name not in self.storages:
            self._held.append(storage)
            whole: Any = torch.empty(0, dtype=torch.uint8, device=tensor.device)
            self.storages[name] = whole.set_(storage, 0, (storage.nbytes(),))
        return [
            "tensor", name, repr(tensor.dtype), tensor.storage_offset(), list(tensor.shape), list(tensor.stride()),
            str(tensor.device), tensor.requires_grad, tensor.is_conj() or tensor.is_neg(),
        ]  # fmt: skip

    def _array(self, value: np.ndarray, where: str) -> Any:
        if value.dtype.hasobject or type(value) is not np.ndarray:
            raise UnkeepableError(f"{where}: an array of a kind of its own")
        order: Literal["F", "C"] = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        name = f"a{len(self.storages)}"
        self.storages[name] = torch.frombuffer(bytearray(value.tobytes(order)) or bytearray(1), dtype=torch.uint8)
        return ["array", name, value.dtype.str, list(value.shape), order]


OF_A_CLASS = ("instance", "instance of a container")
_VALUES: dict[str, tuple[Any, Callable[[Any], Sequence[Any]]]] = {
    "bytes": (bytes, lambda value: [value.hex()]),
    "complex": (complex, lambda value: [repr(value)]),
    "slice": (slice, lambda value: [value.start, value.stop, value.step]),
    "range": (range, lambda value: [value.start, value.stop, value.step]),
    "number": (np.generic, lambda value: [value.dtype.str, value.tobytes().hex()]),
    "device": (torch.device, lambda value: [str(value)]),
    "size": (torch.Size, lambda value: [list(value)]),
}


def found(module: str, name: str) -> Any:
    """What is called so in a module of ours or of torch's that is there already; None where there is nothing."""
    if not module.startswith(OURS) or module not in sys.modules:
        return None
    value: Any = sys.modules[module]
    for part in name.split("."):
        value = getattr(value, part, None)
    return value
