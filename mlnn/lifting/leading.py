"""What leads to a loss in a trace: back from it, to what a model returned and to what came from outside."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from mlnn.errors import NoAnswerError
from mlnn.lifting.tracing import Trace

MOST_OPERATIONS = 4096
"""Of a loss; what has more has most of a model in it."""
SHOWING = ("view", "_unsafe_view", "_reshape_alias", "permute", "transpose", "t", "squeeze", "unsqueeze", "detach", "alias",
           "clone", "_to_copy")  # fmt: skip
"""Operations that show what they are given, entry for entry."""


class NotLiftedError(NoAnswerError):
    """An objective cannot be taken out of a step, and why."""


@dataclass
class Reach:
    """What raw outputs lead to, by number and by memory, operation for operation."""

    numbers: set[int] = field(default_factory=set)
    memory: set[int] = field(default_factory=set)
    ops: set[int] = field(default_factory=set)


@dataclass
class Needed:
    """What the loss needs, as found from its end: operations, raw outputs, tensors from outside, and values frozen as they were."""

    numbers: set[int]
    since: dict[int, int]
    """Memory that is read, and from which operation on what is written into it counts."""
    ops: list[int] = field(default_factory=list)
    outputs: set[int] = field(default_factory=set)
    constants: dict[int, bool] = field(default_factory=dict)
    """By number; True for a value that weights lead to by another way than the raw outputs."""


def led_by(trace: Trace, outputs: Mapping[str, Tensor], loss: Tensor) -> dict[str, Tensor]:
    """Of some tensors those that lead to the loss, by name; a view or a copy is followed back to what it shows.

    Where one is called logits it is the raw output, and the others are not asked.
    """
    end, found = trace.find(loss), {}
    for name, part in outputs.items():
        source = None if end is None else next((one for one in _sources(trace, part) if _leads(trace, one, end)), None)
        if source is not None:
            found[name] = trace.known[source].tensor
    logits = {name: part for name, part in found.items() if name.split(".")[-1] == "logits"}
    return logits or found


def _leads(trace: Trace, source: int, end: int) -> bool:
    """Whether the loss is made of a tensor that is no scalar; that it shares memory with what the loss reads does not count."""
    wide = source != end and trace.known[source].tensor.ndim > 0
    return wide and end in reach_of(trace, [source], shared=False).numbers


def _sources(trace: Trace, part: Tensor) -> Iterator[int]:
    """A tensor's number, then those of what it is a view or a copy of, entry for entry."""
    number = trace.find(part)
    while number is not None:
        yield number
        made = trace.known[number].made
        if made is None or len(trace.ops[made].given) != 1:
            return
        before = trace.ops[made].given[0]
        if before == number or trace.known[before].tensor.numel() != trace.known[number].tensor.numel():
            return
        name = str(trace.ops[made].function)
        number = before if name.split(".")[1] in SHOWING else None


def _cuts(trace: Trace, starts: Sequence[int]) -> dict[int, int]:
    """For each raw output the operation from which on it is one: the last before its return that wrote it."""
    cuts = {}
    for number in starts:
        known = trace.known[number]
        place = -1 if known.made is None else known.made
        ends = max(trace.returned.places.get(number, 0), place + 1)
        for at in range(place + 1, ends):
            if known.memory in trace.ops[at].written:
                place = at
        cuts[number] = place + 1
    return cuts


def reach_of(trace: Trace, starts: Sequence[int], shared: bool = True) -> Reach:
    """What raw outputs lead to; `shared`: also what reads memory that they lie in, by whatever name, not only what was written."""
    cuts, found = _cuts(trace, starts), Reach()
    opening: dict[int, list[int]] = {}
    for number, cut in cuts.items():
        opening.setdefault(cut, []).append(number)
    for place, op in enumerate(trace.ops):
        for number in opening.get(place, ()):
            found.numbers.add(number)
            found.memory.update([trace.known[number].memory] if shared else [])
        if any(one in found.numbers or trace.known[one].memory in found.memory for one in op.given):
            found.ops.add(place)
            found.numbers.update(op.gave)
            found.memory.update(op.written, (trace.known[one].memory for one in op.gave if shared))
    return found


def needed_by(trace: Trace, starts: Sequence[int], end: int) -> Needed:
    cuts, reach = _cuts(trace, starts), reach_of(trace, starts)
    needed = Needed({end}, {trace.known[end].memory: 0})
    for place in range(len(trace.ops) - 1, -1, -1):
        op = trace.ops[place]
        made = not needed.numbers.isdisjoint(op.gave)
        wrote = any(place >= needed.since.get(memory, len(trace.ops)) for memory in op.written)
        if not (made or wrote):
            continue
        needed.ops.append(place)
        if len(needed.ops) > MOST_OPERATIONS:
            raise NotLiftedError(f"more than {MOST_OPERATIONS} operations lead to the loss beside the raw outputs")
        for number in op.given:
            _need(trace, needed, number, place, cuts, reach)
    needed.ops.reverse()
    return needed


def _need(
    trace: Trace, needed: Needed, number: int, reader: int, cuts: Mapping[int, int], reach: Reach
) -> None:  # fmt: skip
    known = trace.known[number]
    cut = cuts.get(number)
    if cut is not None and reader >= cut:
        needed.outputs.add(number)
        needed.since[known.memory] = min(cut, needed.since.get(known.memory, cut))
        return
    if known.lost:
        raise NotLiftedError("the loss reads memory in a way that no operation shows (`.set_`, numpy, a pointer)")
    of_outputs = number in reach.numbers or known.memory in reach.memory
    if known.made is None:
        needed.constants.setdefault(number, known.tensor.requires_grad)
    elif not of_outputs and known.tensor.requires_grad:
        needed.constants[number] = True
        if any(known.memory in op.written for op in trace.ops[known.made + 1 :]):
            raise NotLiftedError("a value that is no raw output is part of the loss, and was written into")
        return
    else:
        needed.numbers.add(number)
    needed.since[known.memory] = 0
