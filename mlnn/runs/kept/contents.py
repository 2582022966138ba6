"""What an object holds, as far as that can be known: the parts from which the same object is made again, or a reason why not.

A state is exact or it is none. So an object is kept only where all of it is seen: Python's containers, instances whose class is
written in Python, closures, tensors, arrays and random generators. What hides its state (a file, an iterator, a lock, an object
of somebody's C code) is named, and then nothing is kept.
"""

import array
import collections
import enum
import functools
import pathlib
import random
import re
import types
import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

HEAP_TYPE = 1 << 9
"""Of `type.__flags__`: a class made while Python runs, not one of C."""
CONSTANT = (
    type, types.ModuleType, types.GetSetDescriptorType, types.MethodDescriptorType, types.WrapperDescriptorType, property,
    weakref.ref, re.Pattern, pathlib.PurePath, enum.Enum, np.ufunc, np.dtype, torch.finfo, torch.iinfo, types.GenericAlias,
    torch._ops.OpOverload, torch._ops.OpOverloadPacket, torch.jit.ScriptFunction,
)  # fmt: skip
"""What does not change: it is where it was in a program that is built anew."""
PLAIN = (bool, int, float, str, type(None))
SINGLE = {
    **{repr(dtype): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)},
    **{repr(layout): layout for layout in (torch.strided, torch.sparse_coo)},
    **{repr(form): form for form in (torch.contiguous_format, torch.preserve_format, torch.channels_last)},
    "...": ...,
    "NotImplemented": NotImplemented,
}
"""Values of which there is one each, by their words."""
CONTAINERS: dict[type, str] = {
    dict: "dict", collections.OrderedDict: "ordered", collections.defaultdict: "default", list: "list", set: "set",
    collections.deque: "deque", array.array: "array", bytearray: "bytes",
}  # fmt: skip


class UnkeepableError(Exception):
    """Why the state of a run cannot be kept whole, in words."""


def kind_of(value: Any, fixed: tuple[type, ...]) -> str:
    """Of which kind an object is; UnkeepableError for one whose state cannot be seen. `fixed`: classes that stay as they are."""
    own = type(value)
    if isinstance(value, fixed) or _is_constant(value):
        return "constant"
    if own in CONTAINERS:
        return CONTAINERS[own]
    if isinstance(value, Tensor):
        return "weight" if isinstance(value, nn.Parameter) else "tensor"
    for kind, classes in _MORE.items():
        if isinstance(value, classes):
            return kind
    return _instance(value)


_MORE: dict[str, tuple[type, ...]] = {
    "array of numbers": (np.ndarray,),
    "function": (types.FunctionType,),
    "cell": (types.CellType,),
    "partial": (functools.partial,),
    "torch stream": (torch.Generator,),
    "numpy stream": (np.random.Generator,),
    "old numpy stream": (np.random.RandomState,),
    "python stream": (random.Random,),
}


def _is_constant(value: Any) -> bool:
    if isinstance(value, CONSTANT):
        return True
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        return owner is None or isinstance(owner, type | types.ModuleType)
    return isinstance(value, functools._lru_cache_wrapper)  # what it remembers is what it would find again


def _instance(value: Any) -> str:
    """An object of a class that is written in Python, all of which lies in its attributes."""
    own = type(value)
    base = next(one for one in own.__mro__ if not one.__flags__ & HEAP_TYPE)
    if base in (dict, list, collections.OrderedDict, collections.defaultdict):
        return "instance of a container"
    if base is not object or not (hasattr(value, "__dict__") or _slots(own)):
        raise UnkeepableError(f"{own.__module__}.{own.__qualname__} does not show what it holds")
    return "instance"


def _slots(own: type) -> list[str]:
    """Names of a class's slots, those of its bases too."""
    found: list[str] = []
    for one in own.__mro__:
        slots = vars(one).get("__slots__", ())
        found += [slots] if isinstance(slots, str) else [*slots]
    return [name for name in found if name not in ("__dict__", "__weakref__")]


def attributes(value: Any) -> dict[str, Any]:
    """What an instance holds by name, less what its class says is made anew (`REMADE`)."""
    remade = getattr(type(value), "REMADE", ())
    found = {name: getattr(value, name) for name in _slots(type(value)) if hasattr(value, name)}
    found |= {name: one for name, one in getattr(value, "__dict__", {}).items() if name not in remade}
    return found


def put_attributes(value: Any, told: dict[str, Any]) -> None:
    """Let an instance hold these, and nothing else but what its class says is made anew."""
    slots, own = set(_slots(type(value))), getattr(value, "__dict__", {})
    for name in [name for name in own if name not in told and name not in getattr(type(value), "REMADE", ())]:
        del own[name]
    for name, one in told.items():
        if name in slots:
            object.__setattr__(value, name, one)
        else:
            own[name] = one


def parts(kind: str, value: Any) -> Any:
    """The parts of an object of a kind, in containers of plain Python that are to be encoded in turn."""
    if kind in ("dict", "ordered", "default"):
        pairs = tuple(value.items())
        return (value.default_factory, pairs) if kind == "default" else pairs
    if kind == "set":
        return tuple(sorted(value, key=repr))
    if kind in ("list", "deque"):
        return tuple(value)
    return _PARTS[kind](value)


def _function(value: types.FunctionType) -> Any:
    return value.__closure__ or (), value.__defaults__ or (), value.__kwdefaults__, tuple(vars(value).items())


def _cell(value: types.CellType) -> Any:
    try:
        return (value.cell_contents,)
    except ValueError:  # empty as yet
        return ()


def _container(value: Any) -> Any:
    held = tuple(value.items()) if isinstance(value, dict) else tuple(value)
    return held, tuple(attributes(value).items())


_PARTS: dict[str, Any] = {
    "constant": lambda _: (),
    "array": lambda value: (np.array(value),),
    "bytes": lambda value: (np.array(value),),
    "function": _function,
    "cell": _cell,
    "partial": lambda value: (value.func, value.args, tuple(value.keywords.items()), tuple(vars(value).items())),
    "torch stream": lambda value: (value.get_state(),),
    "numpy stream": lambda value: (_tuples(value.bit_generator.state),),
    "old numpy stream": lambda value: (_tuples(value.get_state(legacy=False)),),
    "python stream": lambda value: value.getstate(),
    "instance": lambda value: tuple(attributes(value).items()),
    "instance of a container": _container,
}


def _tuples(value: Any) -> Any:
    """Nested dicts as pairs, so that they are values and not objects."""
    return tuple((name, _tuples(one)) for name, one in value.items()) if isinstance(value, dict) else value


def dicts(value: Any) -> Any:
    """The dicts that `_tuples` took apart."""
    pairs = isinstance(value, tuple) and value and all(isinstance(one, tuple) and len(one) == 2 for one in value)
    return {name: dicts(one) for name, one in value} if pairs else value
