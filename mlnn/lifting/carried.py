"""A lifted objective as plain data, and back: what somebody else sent can do nothing but be computed.

Operations are called by name from a fixed list, their arguments are numbers, words and places, and every size is known before
anything of that size is made.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mlnn.arguments import first_line
from mlnn.errors import DataError
from mlnn.lifting.lifted import Entry, Lifted, laid, run
from mlnn.lifting.operations import HERE, PRODUCTS, Argument, Here, Operation, Slot, filled, resolved
from mlnn.objectives.promotion import tensors_in
from mlnn.visible import shown

MOST_OPERATIONS, MOST_ENTRIES, MOST_GIVEN, DEEPEST = 4096, 256, 4096, 4
"""Operations; tensors that enter; entries of a list, and lists in lists, among the arguments of one operation."""
LONGEST, MOST_NOTES, LONGEST_NOTE = 200, 16, 500
LEAST_NUMBERS, TIMES = 2**22, 64
"""A tensor may have the first, or this many times the numbers that enter; a loss over pairs of rows has their square."""
LEAST_WORK, TIMES_WORK = 2**27, 1024
"""The same for all operations together, in numbers read, made or multiplied."""
DYNAMIC = frozenset(["index", "index_put", "index_put_", "nonzero", "masked_select"])
"""How much these give may hang on values, never more than they are given allows."""
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (
    torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.bool)}  # fmt: skip
FORMATS = {str(one).removeprefix("torch."): one for one in (torch.preserve_format, torch.contiguous_format)}


def to_data(lifted: Lifted) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A lifted objective as data that JSON holds, and its tensors by name."""
    tensors = {}
    told: dict[str, list[Any]] = {"outputs": [], "constants": []}
    for kind, entries in (("outputs", lifted.outputs), ("constants", lifted.constants)):
        for place, entry in enumerate(entries):
            name = f"objective.{kind}.{place}"
            tensors[name] = entry.value.detach().contiguous()
            told[kind].append({"name": entry.name, "tensor": name, "order": list(entry.order)})
    operations = [
        {
            "name": op.name, "args": _told(op.args), "kwargs": {name: _told(value) for name, value in op.kwargs},
            "gave": list(op.gave), "gradient": op.gradient,
        }
        for op in lifted.operations
    ]  # fmt: skip
    return {**told, "operations": operations, "loss": lifted.loss, "notes": list(lifted.notes)}, tensors


def _told(value: Argument) -> Any:
    if isinstance(value, tuple):
        return [_told(part) for part in value]
    if isinstance(value, Slot):
        return {"place": value.place}
    if isinstance(value, Here):
        return {"device": "here"}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.memory_format):
        return {"format": str(value).removeprefix("torch.")}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    return value


def from_data(data: Any, tensors: Mapping[str, Tensor]) -> Lifted:
    """A lifted objective from what `to_data` gave, or somebody sent; played once at its recorded raw outputs.

    Raises DataError for anything that it could not have given: other operations, arguments or places, sizes beyond what enters.
    """
    if not isinstance(data, Mapping):
        raise DataError(f"objective: {shown(data)}; a mapping is needed")
    outputs = tuple(_entry(one, tensors, "outputs") for one in _listed(data, "outputs", MOST_ENTRIES))
    constants = tuple(_entry(one, tensors, "constants") for one in _listed(data, "constants", MOST_ENTRIES))
    if not outputs or not all(entry.value.is_floating_point() for entry in outputs):
        raise DataError("objective: outputs: one raw output of real numbers at least is needed")
    told = _listed(data, "operations", MOST_OPERATIONS)
    operations = tuple(_operation(one, place) for place, one in enumerate(told))
    notes = tuple(shown(note, LONGEST_NOTE) for note in _listed(data, "notes", MOST_NOTES))
    found = Lifted(outputs, constants, operations, _whole(data.get("loss"), "loss"), notes)
    _play_once(found)
    return found


def _listed(data: Mapping[str, Any], key: str, most: int) -> Sequence[Any]:
    found = data.get(key, ())
    if not isinstance(found, list | tuple) or len(found) > most:
        raise DataError(f"objective: {key}: a list of at most {most} is needed")
    return found


def _whole(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**20:
        raise DataError(f"objective: {where}: {shown(value)} is no place")
    return value


def _entry(told: Any, tensors: Mapping[str, Tensor], kind: str) -> Entry:
    name, key, order = (
        (told.get(part) for part in ("name", "tensor", "order")) if isinstance(told, Mapping) else (None,) * 3
    )
    value = tensors.get(key) if isinstance(key, str) else None
    if not isinstance(name, str) or len(name) > LONGEST or value is None:
        raise DataError(f"objective: {kind}: {shown(name or key)} has no name, or no tensor")
    if value.layout != torch.strided or value.dtype not in DTYPES.values() or value.device.type != "cpu":
        raise DataError(f"objective: {kind}: '{shown(name)}' is {value.dtype}; plain numbers are needed")
    axes = [axis for axis in order if isinstance(axis, int)] if isinstance(order, list | tuple) else []
    if sorted(axes) != list(range(value.ndim)):
        raise DataError(f"objective: {kind}: '{shown(name)}' has {value.ndim} axes, not the order {shown(order)}")
    return Entry(name, laid(value.detach(), axes), tuple(axes))


def _operation(told: Any, place: int) -> Operation:
    where = f"operation {place}"
    if not isinstance(told, Mapping) or not isinstance(told.get("name"), str):
        raise DataError(f"objective: {where}: {shown(told)} has no name")
    name = told["name"]
    try:
        resolved(name)
    except ValueError as problem:
        raise DataError(f"objective: {where}: {shown(str(problem), 300)}") from None
    args, kwargs, gave = told.get("args"), told.get("kwargs"), told.get("gave")
    named = isinstance(kwargs, Mapping) and all(isinstance(key, str) and len(key) <= LONGEST for key in kwargs)
    if not isinstance(args, list | tuple) or not named or not isinstance(told.get("gradient"), bool):
        raise DataError(f"objective: {where} ({shown(name)}): args, kwargs and gradient are needed")
    if not isinstance(gave, list | tuple) or len(gave) > MOST_GIVEN:
        raise DataError(f"objective: {where} ({shown(name)}): gave: a list of places is needed")
    read = [_argument(value, where, 0) for value in args]
    pairs = tuple((key, _argument(value, where, 0)) for key, value in (kwargs or {}).items())
    return Operation(name, tuple(read), pairs, tuple(_whole(one, where) for one in gave), told["gradient"])


def _argument(value: Any, where: str, depth: int) -> Argument:
    if isinstance(value, list | tuple) and len(value) <= MOST_GIVEN and depth < DEEPEST:
        return tuple(_argument(part, where, depth + 1) for part in value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, str) and len(value) <= LONGEST:
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, what),) = value.items()
        if kind == "place":
            return Slot(_whole(what, where))
        known = KINDS.get(kind, {})
        if isinstance(what, str) and what in known:
            return known[what]
    raise DataError(f"objective: {where}: {shown(value)} is no argument of an operation")


KINDS: dict[str, dict[str, Argument]] = {
    "dtype": dict(DTYPES), "format": dict(FORMATS), "device": {"here": HERE},
    "number": {"inf": math.inf, "-inf": -math.inf, "nan": math.nan},
}  # fmt: skip


def _play_once(lifted: Lifted) -> None:
    """Play it with every size told first; raises DataError where a size, or an operation, is not to be had."""
    slots = [entry.value.clone() for entry in (*lifted.outputs, *lifted.constants)]
    entering = sum(part.numel() for part in slots)
    most, left = max(LEAST_NUMBERS, TIMES * entering), max(LEAST_WORK, TIMES_WORK * entering)
    for place, op in enumerate(lifted.operations):
        try:
            with torch.no_grad():
                size, work = _told_first(op, slots)
                left -= work
                if size > most or left < 0:
                    raise DataError(
                        f"objective: operation {place} ({op.name}) makes {size:,} numbers out of the {entering:,} that enter"
                    )
                run(op, slots, torch.device("cpu"), None)
        except DataError:
            raise
        except Exception as problem:  # whatever an operation raises for arguments that are not its own
            raise DataError(f"objective: operation {place} ({op.name}): {first_line(problem)}") from None
    loss = slots[lifted.loss] if lifted.loss < len(slots) else None
    if loss is None or loss.numel() != 1 or not loss.is_floating_point():
        raise DataError(f"objective: loss: place {lifted.loss} holds no real scalar")


def _told_first(op: Operation, slots: Sequence[Tensor]) -> tuple[int, int]:
    """The numbers of the largest tensor that an operation gives, and of all that it reads, makes or multiplies."""
    read = [slots[place] for place in op.slots()]
    given = sum(part.numel() for part in read)
    packet = op.name.split(".")[1]
    _check_parts(op, packet, read)
    shapes = {
        place: torch.empty_strided(part.shape, part.stride(), dtype=part.dtype, device="meta")
        for place, part in zip(op.slots(), read, strict=True)
    }
    device = torch.device("meta")
    args = [filled(value, shapes, device, None) for value in op.args]
    kwargs = {name: filled(value, shapes, device, None) for name, value in op.kwargs}
    try:
        made = [part.numel() for part in tensors_in(resolved(op.name)(*args, **kwargs))]
    except Exception:
        if packet not in DYNAMIC:
            raise
        made = [given * max([1, *(part.ndim for part in read)])]
    times = read[0].shape[-1] if packet in PRODUCTS.split() and read and read[0].ndim else 1
    return max([0, *made]), given + sum(made) * max(1, times)


def _check_parts(op: Operation, packet: str, read: Sequence[Tensor]) -> None:
    """Raise ValueError for a tensor that would be cut into other numbers of parts than places wait for them."""
    if packet in ("split", "unbind") and read and read[0].ndim:
        longest = max(read[0].shape)
        size = next((value for value in op.args[1:2] if packet == "split" and isinstance(value, int)), 1)
        if longest > max(1, size) * MOST_GIVEN:
            raise ValueError(f"more than {MOST_GIVEN} parts")
