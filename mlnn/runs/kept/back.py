"""A state put back: into the objects of a run that was built anew, from plain data and bytes. Nothing of it runs.

All of it is read before any object is touched, so that a state that is damaged leaves everything as it was.
"""

import array
import collections
import random
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mlnn.runs.kept.contents import SINGLE, dicts, put_attributes
from mlnn.runs.kept.walk import OF_A_CLASS, Table, found

STREAMS: dict[str, Callable[[], np.random.BitGenerator]] = {
    one.__name__: one
    for one in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


class DamagedStateError(Exception):
    """What of a state is none."""


class ForeignStateError(Exception):
    """A state that mlnn has not written: what it says of an object is none of that kind, and others are put back already."""


BROKEN = (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError, RecursionError, OverflowError)
"""What is raised where content is not of the form that it is read in."""


class Decoder:
    """The values of one state; `storages`: tensors of bytes by name."""

    def __init__(self, table: Table, storages: Mapping[str, Tensor]) -> None:
        self.table, self.storages = table, dict(storages)
        self.new: dict[int, Any] = {}
        self._moved: dict[tuple[str, str], torch.UntypedStorage] = {}
        self._values: dict[str, Any] = {}

    def put_back(self, told: Any) -> None:
        """Let the objects of the table hold what they held; DamagedStateError before any of them is touched.

        ForeignStateError where some are, which a state that was written here and has its checksum never leads to."""
        try:
            entries = told["objects"]
            for mark, kind, _ in entries:
                if mark[0] == "#":
                    self.new[mark[1]] = self._made(kind, mark)
            filled = []
            for mark, kind, content in entries:
                one = self.new[mark[1]] if mark[0] == "#" else self.table.objects[mark[1]]
                if mark[0] == "@" and self.table.kinds[mark[1]] != kind:
                    raise DamagedStateError(f"object {mark[1]} is no {kind}")
                filled.append((kind, one, self._value(content)))
            filled.sort(key=lambda entry: entry[0] in HASHING)  # a key is whole before it is hashed
            fits = [(_FILL[kind], one, content) for kind, one, content in filled]
        except BROKEN as problem:
            raise DamagedStateError(f"{type(problem).__name__}: {problem}") from problem
        try:
            for fill, one, content in fits:
                fill(one, content)
        except BROKEN as problem:
            raise ForeignStateError(f"{type(problem).__name__}: {problem}") from problem

    def _made(self, kind: str, mark: Sequence[Any]) -> Any:
        """An object of a kind, empty as yet."""
        if kind in OF_A_CLASS:
            own = self._value(mark[2])
            if not isinstance(own, type):
                raise DamagedStateError(f"{own!r} is no class")
            base: Any = own if kind == "instance of a container" else object
            return base.__new__(own)
        return _MAKE[kind](mark[2])

    def _value(self, told: Any) -> Any:
        if not isinstance(told, list):
            return told
        kind, *parts = told
        if kind in _SIMPLE:
            return _SIMPLE[kind](*parts)
        return getattr(self, _METHODS[kind])(*parts)

    def _is_known(self, number: int) -> Any:
        if number < 0:
            raise IndexError(number)
        return self.table.objects[number]

    def _is_new(self, number: int) -> Any:
        return self.new[number]

    def _is_one(self, name: str) -> Any:
        return SINGLE[name]

    def _is_tuple(self, parts: Sequence[Any]) -> Any:
        return tuple(self._value(part) for part in parts)

    def _is_frozenset(self, parts: Sequence[Any]) -> Any:
        return frozenset(self._value(part) for part in parts)

    def _is_named(self, own: Any, parts: Sequence[Any]) -> Any:
        made = self._value(own)
        if not (isinstance(made, type) and issubclass(made, tuple)):
            raise DamagedStateError(f"{made!r} is no named tuple")
        return tuple.__new__(made, [self._value(part) for part in parts])

    def _is_method(self, function: Any, owner: Any) -> Any:
        return types.MethodType(self._value(function), self._value(owner))

    def _is_own_method(self, name: str, owner: Any) -> Any:
        one = self._value(owner)
        function = getattr(type(one), name)
        if not isinstance(function, types.FunctionType):
            raise DamagedStateError(f"{name} is no method")
        return types.MethodType(function, one)

    def _is_class(self, module: str, name: str) -> Any:
        value = found(module, name)
        if not isinstance(value, type):
            raise DamagedStateError(f"{module}.{name} is no class")
        return value

    def _is_tensor(
        self, name: str, dtype: str, offset: int, shape: Any, stride: Any, device: str, grad: bool, flipped: bool
    ) -> Any:
        key = repr(("tensor", name, dtype, offset, shape, stride, device, grad))
        if key in self._values:
            return self._values[key]
        if flipped or min([offset, *shape, *stride], default=0) < 0:
            raise DamagedStateError("a tensor that was not written here")
        if (name, device) not in self._moved:
            held = self.storages[name].to(device)
            fresh = torch.empty(held.numel(), dtype=torch.uint8, device=device).copy_(held)  # aligned as torch aligns
            self._moved[name, device] = fresh.untyped_storage()
        made = torch.empty(0, dtype=SINGLE[dtype], device=device)  # type: ignore[call-overload]
        made.set_(self._moved[name, device], offset, tuple(shape), tuple(stride))
        self._values[key] = made.requires_grad_() if grad else made
        return self._values[key]

    def _is_array(self, name: str, dtype: str, shape: Any, order: Literal["C", "F"]) -> Any:
        key = f"array {name}"
        if key not in self._values:
            count = int(np.prod(shape))
            flat = self.storages[name].numpy().tobytes()[: count * np.dtype(dtype).itemsize]
            held = np.frombuffer(flat, dtype=np.dtype(dtype), count=count)
            self._values[key] = held.reshape(tuple(shape), order=order).copy(order=order)
        return self._values[key]


_SIMPLE: dict[str, Callable[..., Any]] = {
    "bytes": bytes.fromhex,
    "complex": complex,
    "slice": slice,
    "range": range,
    "number": lambda dtype, data: np.frombuffer(bytes.fromhex(data), dtype=np.dtype(dtype))[0],
    "device": torch.device,
    "size": torch.Size,
}
_METHODS = {
    "@": "_is_known", "#": "_is_new", "one": "_is_one", "tuple": "_is_tuple", "frozenset": "_is_frozenset",
    "named": "_is_named", "method": "_is_method", "own method": "_is_own_method", "class": "_is_class",
    "tensor": "_is_tensor", "array": "_is_array",
}  # fmt: skip
HASHING = ("dict", "ordered", "default", "set", "instance of a container")
_MAKE: dict[str, Callable[[Any], Any]] = {
    "dict": lambda _: {},
    "ordered": lambda _: collections.OrderedDict(),
    "default": lambda _: collections.defaultdict(),
    "list": lambda _: [],
    "set": lambda _: set(),
    "deque": lambda most: collections.deque(maxlen=most),
    "array": array.array,
    "bytes": lambda _: bytearray(),
    "weight": lambda grad: nn.Parameter(torch.empty(0), requires_grad=bool(grad)),
    "torch stream": torch.Generator,
    "numpy stream": lambda name: np.random.Generator(STREAMS[name]()),
    "old numpy stream": lambda _: np.random.RandomState(),
    "python stream": lambda _: random.Random(),
}


def _fill_dict(one: Any, content: Any) -> None:
    one.clear()
    one.update(content)


def _fill_default(one: Any, content: Any) -> None:
    one.default_factory = content[0]
    _fill_dict(one, content[1])


def _fill_list(one: Any, content: Any) -> None:
    one[:] = content


def _fill_set(one: Any, content: Any) -> None:
    one.clear()
    one.update(content)


def _fill_deque(one: Any, content: Any) -> None:
    one.clear()
    one.extend(content)


def _fill_array(one: Any, content: Any) -> None:
    del one[:]
    one.frombytes(content[0].tobytes())


def _fill_bytes(one: Any, content: Any) -> None:
    one[:] = content[0].tobytes()


def _fill_function(one: Any, content: Any) -> None:
    one.__kwdefaults__ = content[2]
    vars(one).clear()
    vars(one).update(content[3])


def _fill_cell(one: Any, content: Any) -> None:
    if content:
        one.cell_contents = content[0]


def _fill_partial(one: Any, content: Any) -> None:
    one.__setstate__((content[0], content[1], dict(content[2]), dict(content[3])))


def _fill_weight(one: Any, content: Any) -> None:
    one.data = content


def _fill_stream(one: Any, content: Any) -> None:
    one.set_state(content[0])


def _fill_numpy(one: Any, content: Any) -> None:
    one.bit_generator.state = dicts(content[0])


def _fill_old(one: Any, content: Any) -> None:
    one.set_state(dicts(content[0]))


def _fill_python(one: Any, content: Any) -> None:
    one.setstate(content)


def _fill_instance(one: Any, content: Any) -> None:
    put_attributes(one, dict(content))


def _fill_container(one: Any, content: Any) -> None:
    one.clear()
    one.update(content[0]) if isinstance(one, dict) else one.extend(content[0])
    put_attributes(one, dict(content[1]))


_FILL: dict[str, Callable[[Any, Any], None]] = {
    "dict": _fill_dict, "ordered": _fill_dict, "default": _fill_default, "list": _fill_list, "set": _fill_set,
    "deque": _fill_deque, "array": _fill_array, "bytes": _fill_bytes, "function": _fill_function, "cell": _fill_cell,
    "partial": _fill_partial, "weight": _fill_weight, "torch stream": _fill_stream, "numpy stream": _fill_numpy,
    "old numpy stream": _fill_old, "python stream": _fill_python, "instance": _fill_instance,
    "instance of a container": _fill_container,
}  # fmt: skip
