"""Promotion: while an objective runs, forward and backward, what it would do in a lower float is done in a higher one.

Most losses compute in float32 whatever they are given (`logits.float()`, `log_softmax(dtype=torch.float32)`, a custom backward
that saves float32). Asked in float64 they still round to float32, and rounding would look like a difference. Inside `promoted`
every dtype that an op is told and that is lower than the wanted one becomes the wanted one, and so does every tensor of such a
dtype that an op is given. What no dispatch sees (a kernel behind a pointer, numpy) is not reached.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""From the finest to the coarsest: by the unit roundoff."""
MAKERS = (torch.tensor, torch.as_tensor, torch.asarray, torch.scalar_tensor, Tensor.new_tensor)
"""They round Python's numbers before any op is dispatched, so their dtype is met a level higher."""


def lower_than(dtype: torch.dtype) -> tuple[torch.dtype, ...]:
    """The floats of a larger unit roundoff."""
    return FLOATS[FLOATS.index(dtype) + 1 :]


@dataclass(frozen=True)
class Inside:
    """What an objective computes in. `computes_in`: the coarsest float that it rounds to in a run whose own float is finer, None
    where it computes in what it is given; `promotes`: its float64 twin has to be promoted; `sealed`: no promotion reaches it,
    and why, in words (it is then judged in `computes_in` alone). `moody`: it answered the same call twice differently.
    """

    computes_in: torch.dtype | None = None
    promotes: bool = False
    sealed: str | None = None
    moody: bool = False

    @property
    def name(self) -> str | None:
        """`computes_in` in a word."""
        return None if self.computes_in is None else str(self.computes_in).removeprefix("torch.")

    @property
    def eps(self) -> float:
        """Unit roundoff of what it computes in; 0 where that is what it is given."""
        return 0.0 if self.computes_in is None else float(torch.finfo(self.computes_in).eps)


class Asked:
    """The lower floats that were asked for while `promoted` was on."""

    def __init__(self) -> None:
        self.dtypes: set[torch.dtype] = set()


@contextmanager
def promoted(to: torch.dtype = torch.float64, spare: frozenset[torch.dtype] = frozenset()) -> Iterator[Asked]:
    """Run the block with every float lower than `to`, but those to `spare`, turned into `to`.

    Backward passes belong inside, and so does reading the answer: a tensor that was there before keeps its dtype outside.
    """
    asked, low = Asked(), frozenset(lower_than(to)) - spare
    default = torch.get_default_dtype()
    if default in low:
        torch.set_default_dtype(to)
    ops = (_OpsBesideCompiler if "torch._dynamo" in sys.modules else _Ops)(to, low, default, asked)
    try:
        with _Makers(to, low, default, asked), ops:
            yield asked
    finally:
        torch.set_default_dtype(default)
        ops.write_back()


def unpromoted() -> AbstractContextManager[object]:
    """Around what is not to be promoted, inside `promoted`."""
    return _disable_current_modes()


class _Makers(TorchFunctionMode):
    """Tensors made of Python's numbers."""

    def __init__(self, to: torch.dtype, low: frozenset[torch.dtype], default: torch.dtype, asked: Asked) -> None:
        super().__init__()
        self.to, self.low, self.default, self.asked = to, low, default, asked

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function not in MAKERS:
            return function(*args, **kwargs)
        wanted = kwargs.get("dtype")
        if wanted in self.low:
            self.asked.dtypes.add(wanted)
            kwargs["dtype"] = self.to
        made = function(*args, **kwargs)
        if wanted is None and made.dtype == self.to and self.default in self.low:
            self.asked.dtypes.add(self.default)
        return made


class _Ops(TorchDispatchMode):
    """Every op, whoever calls it: what is lower becomes `to`.

    A tensor that was made outside, in a lower float, has one twin for as long as the mode is on, by its storage: what is written
    into it, or into a view of it, is found there again, and rounded back into it at the end.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Told to skip, torch would import its compiler (1.6 s) at the first op."""
        return False

    def __init__(self, to: torch.dtype, low: frozenset[torch.dtype], default: torch.dtype, asked: Asked) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.to, self.low, self.default, self.asked = to, low, default, asked
        self.twins: dict[int, tuple[Tensor, Tensor]] = {}
        self.written: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        seeded, mutable = _kind(function)
        if seeded:
            return self._drawn(function, args, kwargs)
        higher = [self._raised(value) for value in args]
        named = {name: self._raised(value) for name, value in kwargs.items()} if kwargs else kwargs
        if mutable and self.twins:
            self.written |= memory_written(function, higher, named)
        found = function(*higher, **named)
        # In the default dtype: zeros(3), a count ÷ a count.
        if self._by_default(args, kwargs) and isinstance(found, Tensor) and found.dtype == self.to:
            self.asked.dtypes.add(self.default)
        return found

    def write_back(self) -> None:
        """Round what was written into tensors from outside back into them."""
        with torch.no_grad():
            for own, twin in self.twins.values():
                if twin.untyped_storage()._cdata in self.written:
                    own.copy_(twin)

    def _raised(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._twin(value) if value.dtype in self.low else value
        if isinstance(value, int | float | str | None):
            return value
        if isinstance(value, torch.dtype):
            if value in self.low:
                self.asked.dtypes.add(value)
                return self.to
            return value
        if isinstance(value, list | tuple):
            return type(value)([self._raised(entry) for entry in value])
        return value

    def _twin(self, given: Tensor) -> Tensor:
        self.asked.dtypes.add(given.dtype)
        if given.layout != torch.strided or type(given) is not Tensor:
            return given.to(self.to)
        storage = given.untyped_storage()
        if storage._cdata not in self.twins:
            whole = torch.empty(0, dtype=given.dtype, device=given.device).set_(storage)
            self.twins[storage._cdata] = whole, whole.to(self.to)
        return self.twins[storage._cdata][1].as_strided(given.shape, given.stride(), given.storage_offset())

    def _by_default(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether nothing but the default dtype, a lower one, says which float an op gives."""
        return self.default in self.low and kwargs.get("dtype") is None and not _has_floats(args)

    def _drawn(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Random numbers: drawn as they would have been, then raised; another dtype would draw others."""
        # randint's is a whole number unless told
        told = (one for one in function._schema.arguments if one.name == "dtype")
        if self._by_default(args, kwargs) and any(one.default_value is None for one in told):
            kwargs = {**kwargs, "dtype": self.default}
        found = function(*args, **kwargs)
        if isinstance(found, Tensor) and found.dtype in self.low:
            self.asked.dtypes.add(found.dtype)
            return found.to(self.to)
        return found


class _OpsBesideCompiler(_Ops):
    """The same where torch's compiler is there already: it is told not to compile the mode itself."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return True

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return super().__torch_dispatch__(function, types, args, kwargs)


def memory_written(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> set[int]:
    """The storages that an op writes into, each by its address."""
    found: set[int] = set()
    for place, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            many = value if isinstance(value, list | tuple) else [value]
            found.update(one.untyped_storage()._cdata for one in many if isinstance(one, Tensor))
    return found


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in arguments, or in what an op gave, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)


_kinds: dict[Any, tuple[bool, bool]] = {}


def _kind(function: Any) -> tuple[bool, bool]:
    """Whether an op draws new random numbers, and whether it writes into what it is given."""
    if function not in _kinds:
        mutable = bool(function._schema.is_mutable)
        _kinds[function] = torch.Tag.nondeterministic_seeded in function.tags and not mutable, mutable
    return _kinds[function]


def _has_floats(args: tuple[Any, ...]) -> bool:
    for value in args:
        if isinstance(value, Tensor) and value.is_floating_point():
            return True
        if isinstance(value, list) and _has_floats(tuple(value)):
            return True
    return False
