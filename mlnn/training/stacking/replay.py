"""A function of tensors recorded once as the operations it came down to, and played again without Python's way there.

A recording holds for inputs that lie in memory as those it was made with, and for a function that does the same at every call: what
it decides in Python is decided once. See `mlnn.training.stacking.making` for who may be recorded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mlnn.objectives.promotion import memory_written, tensors_in

Function = Callable[[Sequence[Tensor]], Sequence[Tensor]]
OF_A_SHAPE = ("aten.zeros_like.default", "aten.ones_like.default", "aten.new_zeros.default", "aten.new_ones.default")
"""What depends on no more than the shape of what it is given."""
DECIDING = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
"""Of an operation that gives Python a number, or as many numbers as the values say; picking rows by a mask is one."""
MASKS = (torch.bool, torch.uint8)


class _DecidedError(Exception):
    """What happens next may hang on a number of the batch."""


@dataclass(frozen=True)
class Recording:
    """A function recorded for inputs of some shapes; `draws`: whether it draws random numbers."""

    play: Function
    draws: bool


@dataclass(frozen=True, eq=False)
class _Op:
    """One operation; `given`, `gave`: its tensors, each by its number."""

    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    found: Any
    given: tuple[int, ...]
    gave: tuple[int, ...]

    @property
    def writes(self) -> bool:
        return bool(self.function._schema.is_mutable)

    @property
    def draws(self) -> bool:
        return torch.Tag.nondeterministic_seeded in self.function.tags


class _Recorder(TorchDispatchMode):
    """Every operation that does something, in its order. A tensor has the number of the one that it is an idle view of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[_Op] = []
        self.numbers: dict[int, int] = {}
        self.held: list[Tensor] = []  # so that nobody else is given its `id`
        self.outside: set[int] = set()  # memory of tensors that somebody else holds

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Told to skip, torch would import its compiler."""
        return False

    def number(self, tensor: Tensor) -> int:
        """The number of a tensor."""
        if id(tensor) not in self.numbers:
            self.held.append(tensor)
            self.numbers[id(tensor)] = len(self.numbers)
        return self.numbers[id(tensor)]

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        parts = list(tensors_in((args, tuple(kwargs.values()))))
        if any(tag in function.tags for tag in DECIDING):
            picks = function is torch.ops.aten.index.Tensor and not any(part.dtype in MASKS for part in parts[1:])
            if not picks:
                raise _DecidedError
        self.outside.update(_memory(part) for part in parts if id(part) not in self.numbers)
        given = tuple(self.number(part) for part in parts)
        if function._schema.is_mutable and not self.outside.isdisjoint(memory_written(function, args, kwargs)):
            raise RuntimeError(f"{function} writes into a tensor that outlives the call")
        found = function(*args, **kwargs)
        if _idle(function, found, args):
            self.held.append(found)
            self.numbers[id(found)] = given[0]
        else:
            gave = tuple(self.number(part) for part in tensors_in(found))
            self.ops.append(_Op(function, args, kwargs, found, given, gave))
        return found


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _idle(function: Any, found: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation gave what it was given first: a tensor detached, or a view of the whole as it lies."""
    other = args[0] if args else None
    if function._schema.is_mutable or not isinstance(found, Tensor) or not isinstance(other, Tensor):
        return False
    if found is other:
        return True
    same = (found.shape, found.stride(), found.dtype) == (other.shape, other.stride(), other.dtype)
    return same and found.numel() > 0 and found.data_ptr() == other.data_ptr()


def recorded(function: Function, inputs: Sequence[Tensor]) -> Recording | None:
    """The operations of `function(inputs)`, which is called on copies; what it raises is raised. None where they are not all of it:
    Python reads a number of the batch, or, played, they give other bits.

    What does nothing, or the same at every call, is left out or done once, and torch's own bindings, where they take the same
    arguments, cost half of what dispatching by name does.
    """
    parts, recorder = _copies(inputs), _Recorder()
    for part in parts:
        recorder.number(part)
    try:
        with _streams_kept(inputs), recorder:
            returned = list(function(parts))
    except _DecidedError:
        return None
    asked = [recorder.number(part) for part in returned]
    ops = _needed(recorder.ops, asked)
    constants = _constants(ops, asked)
    wanted = [part.detach() for part in (*returned, *parts)]
    for bind in (True, False):
        play = _played(recorder, ops, constants, len(parts), asked, bind)
        if _gives(play, inputs, wanted):
            return Recording(play, any(op.draws for op in ops))
    return None


def _copies(parts: Sequence[Tensor]) -> list[Tensor]:
    """Copies that lie in memory as the originals do: whether a shape is a view of another depends on it."""
    return [part.clone() if 0 in part.stride() else _room(part).copy_(part) for part in parts]


def _room(part: Tensor) -> Tensor:
    return torch.empty_strided(part.shape, part.stride(), dtype=part.dtype, device=part.device)


def _streams_kept(parts: Sequence[Tensor]) -> Any:
    """Around what draws random numbers that nobody is to miss."""
    return torch.random.fork_rng([part.device for part in parts[:1] if part.is_cuda])


def _needed(ops: Sequence[_Op], asked: Sequence[int]) -> list[_Op]:
    """The operations that what is asked for, written or drawn depends on."""
    used, kept = set(asked), []
    for op in reversed(ops):
        if op.writes or op.draws or not used.isdisjoint(op.gave):
            used.update(op.given)
            kept.append(op)
    return kept[::-1]


def _constants(ops: Sequence[_Op], asked: Sequence[int]) -> dict[int, Tensor]:
    """Values that are the same at every call: they come of no input, nothing is written into them, and they are not returned."""
    fixed: set[int] = set()

    def comes_of_nothing(op: _Op) -> bool:
        return not (op.writes or op.draws) and (str(op.function) in OF_A_SHAPE or fixed.issuperset(op.given))

    for op in ops:
        if comes_of_nothing(op):
            fixed.update(op.gave)
    shared = set(asked)
    for op in reversed(ops):  # what such a value shares memory with is among what it was made of; no other value does
        if op.writes or not shared.isdisjoint(fixed.intersection(op.gave)):
            shared.update(op.given)
    fixed.clear()
    values: dict[int, Tensor] = {}
    for op in ops:
        if comes_of_nothing(op) and shared.isdisjoint(op.gave):
            fixed.update(op.gave)
            values |= {number: part.detach() for number, part in zip(op.gave, tensors_in(op.found), strict=True)}
    return values


def _played(
    recorder: _Recorder,
    ops: Sequence[_Op],
    constants: Mapping[int, Tensor],
    inputs: int,
    asked: Sequence[int],
    bind: bool,
) -> Function:
    """Operations as one Python function of a line each; what is used no more is let go, and what was there before is kept."""
    known: dict[str, Any] = {f"k{number}": value for number, value in constants.items()}
    ops = [op for op in ops if not (op.gave and constants.keys() >= set(op.gave))]
    made = {number for op in ops for number in op.gave if number not in op.given}.union(range(inputs))
    last = {number: op for op in ops for number in (*op.given, *op.gave) if number in made and number not in asked}

    def told(value: Any) -> str:
        if isinstance(value, Tensor):
            number = recorder.number(value)
            if number in made:
                return f"t{number}"
            known.setdefault(f"k{number}", value)  # no constant is somebody else's: the weights of classes
            return f"k{number}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(told, value)) + "]"
        return repr(value) if isinstance(value, bool | int | None) else _kept(value, known)

    lines = [f"{''.join(f't{place}, ' for place in range(inputs))}= parts"]
    for op in ops:
        named = [f"{name}={told(value)}" for name, value in op.kwargs.items()]
        call = f"{_kept(_binding(op.function) if bind else op.function, known)}"
        lines.append(f"{_names(op.found, told)}{call}({', '.join([*map(told, op.args), *named])})")
        done = [f"t{number}" for number in dict.fromkeys((*op.given, *op.gave)) if last.get(number) is op]
        lines += [f"del {', '.join(done)}"] if done else []
    answers = [f"t{number}" if number in made else f"k{number}" for number in asked]
    lines.append(f"return [{', '.join(answers)}]")
    exec(compile("def play(parts):\n    " + "\n    ".join(lines), "<recording>", "exec"), known)
    return _without_gradients(known["play"])


def _names(found: Any, told: Callable[[Any], str]) -> str:
    """What an operation gives, taken by name."""
    if isinstance(found, list | tuple):
        return "".join(f"{told(part) if isinstance(part, Tensor) else '_'}, " for part in found) + "= "
    return f"{told(found)} = " if isinstance(found, Tensor) else ""


def _kept(value: Any, known: dict[str, Any]) -> str:
    """The name under which the function finds a value."""
    name = f"v{len(known)}"
    known[name] = value
    return name


def _binding(operation: Any) -> Any:
    """torch's own function or method for an operation; the operation where there is none of its name."""
    name = getattr(getattr(operation, "overloadpacket", None), "__name__", None)
    if name is None or name.startswith("_") or operation.namespace != "aten":
        return operation
    return getattr(torch, name, None) or getattr(Tensor, name, None) or operation


def _without_gradients(play: Function) -> Function:
    def quietly(parts: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            return play(parts)

    return quietly


def _gives(play: Function, inputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> bool:
    """Whether a recording, played, leaves the bits that the function left, in what it returns and in what it is given."""
    parts = _copies(inputs)
    with _streams_kept(inputs):
        try:
            found = [*play(parts), *parts]
        except (TypeError, RuntimeError, ValueError):  # a binding with other arguments
            return False
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(found, wanted, strict=True))
