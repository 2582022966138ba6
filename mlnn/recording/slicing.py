"""The part of a trace that leads from raw outputs to the loss: an objective, cut out of somebody's step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mlnn.arguments import first_line
from mlnn.errors import NoAnswerError
from mlnn.recording.folding import folded
from mlnn.recording.lifted import Entry, Lifted
from mlnn.recording.operations import PRODUCTS, Operation, is_liftable, written
from mlnn.recording.tracing import Known, Noted, Trace

MOST_OPERATIONS = 4096
"""Of a loss; what has more has most of a model in it."""
READS = torch.ops.aten._local_scalar_dense.default
READ = (
    "a number that depends on the raw outputs was read in Python (.item(), an if): what hangs on it is frozen as it was"
)
PICKS = torch.Tag.dynamic_output_shape


class NotLiftedError(NoAnswerError):
    """An objective cannot be taken out of a step, and why."""


@dataclass
class _Reach:
    """What raw outputs lead to, by number and by memory, operation for operation."""

    numbers: set[int] = field(default_factory=set)
    memory: set[int] = field(default_factory=set)
    ops: set[int] = field(default_factory=set)


@dataclass
class _Needed:
    """What the loss needs, as found from its end: operations, raw outputs, tensors from outside, and values frozen as they were."""

    numbers: set[int]
    since: dict[int, int]
    """Memory that is read, and from which operation on what is written into it counts."""
    ops: list[int] = field(default_factory=list)
    outputs: set[int] = field(default_factory=set)
    constants: dict[int, bool] = field(default_factory=dict)
    """By number; True for a value that weights lead to by another way than the raw outputs."""


def sliced(trace: Trace, outputs: Mapping[str, Tensor], loss: Tensor, names: Mapping[int, str] | None = None) -> Lifted:
    """The objective that leads from raw outputs (by name) to the scalar loss, held to give its bits at the outputs as they were.

    Of the outputs it takes those that the loss is made of directly. names: of tensors from outside, by `id`. Raises NotLiftedError
    for a loss that was not seen, does not depend on the outputs, draws random numbers, or is made of operations that losses are
    not made of.
    """
    if trace.reason is not None:
        raise NotLiftedError(f"the objective was not lifted: {trace.reason}")
    if loss.numel() != 1 or not loss.is_floating_point():
        raise NotLiftedError(f"what was given to backward is no scalar: {loss.dtype} of shape {tuple(loss.shape)}")
    end = trace.find(loss)
    if end is None or trace.known[end].made is None:
        raise NotLiftedError(
            "the loss was computed where it was not seen (another thread, a compiled function, before the forward)"
        )
    starts = {number: name for name, part in outputs.items() if (number := trace.find(part)) is not None}
    needed = _needed(trace, list(starts), end)
    if not needed.outputs:
        raise NotLiftedError(
            "no tensor that the model returned leads to the loss: there are no raw outputs to lift it from (a projection fused with"
            " its loss, a loss inside the model that returns nothing else)"
        )  # fmt: skip
    _check_products(trace, needed, _reach(trace, list(starts)))
    found = _written_down(trace, needed, starts, end, names or {})
    return _held_to(folded(found), loss)


def led_by(trace: Trace, outputs: Mapping[str, Tensor], loss: Tensor) -> dict[str, Tensor]:
    """Of some tensors those that lead to the loss, by name; a view or a copy is followed back to what it shows.

    Where one is called logits it is the raw output, and the others are not asked.
    """
    end = trace.find(loss)
    found = {}
    for name, part in outputs.items():
        for source in _sources(trace, part):
            if source != end and trace.known[source].tensor.ndim and end in _reach(trace, [source]).numbers:
                found[name] = trace.known[source].tensor
                break
    logits = {name: part for name, part in found.items() if name.split(".")[-1] == "logits"}
    return logits or found


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


SHOWING = ("view", "_unsafe_view", "_reshape_alias", "permute", "transpose", "t", "squeeze", "unsqueeze", "detach", "alias",
           "clone", "_to_copy")  # fmt: skip
"""Operations that show what they are given, entry for entry."""


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


def _reach(trace: Trace, starts: Sequence[int]) -> _Reach:
    cuts, found = _cuts(trace, starts), _Reach()
    opening: dict[int, list[int]] = {}
    for number, cut in cuts.items():
        opening.setdefault(cut, []).append(number)
    for place, op in enumerate(trace.ops):
        for number in opening.get(place, ()):
            found.numbers.add(number)
            found.memory.add(trace.known[number].memory)
        if any(one in found.numbers or trace.known[one].memory in found.memory for one in op.given):
            found.ops.add(place)
            found.numbers.update(op.gave)
            found.memory.update(op.written, (trace.known[one].memory for one in op.gave))
    return found


def _needed(trace: Trace, starts: Sequence[int], end: int) -> _Needed:
    cuts, reach = _cuts(trace, starts), _reach(trace, starts)
    needed = _Needed({end}, {trace.known[end].memory: 0})
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
    trace: Trace, needed: _Needed, number: int, reader: int, cuts: Mapping[int, int], reach: _Reach
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


def _check_products(trace: Trace, needed: _Needed, reach: _Reach) -> None:
    """Raise NotLiftedError where what the model returned is multiplied by weights yet."""
    for op in (trace.ops[place] for place in needed.ops):
        if str(op.function).split(".")[1] in PRODUCTS.split() and any(needed.constants.get(one) for one in op.given):
            if any(one in reach.numbers for one in op.given):
                raise NotLiftedError(
                    "the loss multiplies what the model returned by weights (a projection fused with the loss): the raw outputs are"
                    " inside of it"
                )


def _written_down(
    trace: Trace, needed: _Needed, starts: Mapping[int, str], end: int, names: Mapping[int, str]
) -> Lifted:  # fmt: skip
    """The operations as plain data, raw outputs first, then constants."""
    entering = [number for number in starts if number in needed.outputs]
    slots = {number: place for place, number in enumerate([*entering, *needed.constants])}
    own = _own_backward(trace.known[end].tensor, [trace.known[number].tensor for number in entering])
    operations = []
    _check([trace.ops[place] for place in needed.ops])
    for op in (trace.ops[place] for place in needed.ops):
        for number in op.gave:
            slots.setdefault(number, len(slots))
        operations.append(_plain(trace, op, slots, bool(own)))
    return Lifted(
        tuple(_entry(trace.known[number], starts[number]) for number in entering),
        tuple(
            _entry(trace.known[number], names.get(id(trace.known[number].tensor), f"constant {at}"))
            for at, number in enumerate(needed.constants)
        ),
        tuple(operations),
        slots[end],
        tuple(_notes(trace, needed, list(starts), own)),
    )


def _check(ops: Sequence[Noted]) -> None:
    """Raise NotLiftedError for what no loss is lifted from; random numbers are named first."""
    drawn = next((op for op in ops if torch.Tag.nondeterministic_seeded in getattr(op.function, "tags", ())), None)
    if drawn:
        raise NotLiftedError(
            f"the loss draws random numbers ({drawn.function}): it is another function of the raw outputs at each call"
        )
    for op in ops:
        if not is_liftable(str(op.function)):
            raise NotLiftedError(
                f"the loss is made with {op.function}, which is none of the operations that a loss is lifted from"
            )


def _plain(trace: Trace, op: Noted, slots: Mapping[int, int], own: bool) -> Operation:
    kwargs = dict(op.kwargs)
    takes = {one.name for one in op.function._schema.arguments}
    if not op.given and "dtype" in takes and kwargs.get("dtype") is None and isinstance(op.found, Tensor):
        kwargs["dtype"] = op.found.dtype  # by default, which is another one elsewhere
    try:
        args, named = written(op.args, kwargs, lambda part: slots[trace.number(part)])
    except ValueError as problem:
        raise NotLiftedError(f"{op.function} in the loss takes {problem}, which is no plain data") from None
    gave = tuple(slots[number] for number in op.gave)
    return Operation(str(op.function), args, named, gave, op.gradient or (own and op.own))


def _entry(known: Known, name: str) -> Entry:
    outside = known.kept is None and known.made is None and not known.tensor.is_inference()
    if outside and known.tensor._version != known.version:
        raise NotLiftedError(f"'{name}' was written into where it was not seen")
    return Entry.of(name, known.tensor.detach() if known.kept is None else known.kept)


def _own_backward(loss: Tensor, outputs: Sequence[Tensor]) -> list[str]:
    """The names of somebody's own `autograd.Function`s between raw outputs and loss."""
    ends = {part.grad_fn for part in outputs}
    todo, seen, found = [loss.grad_fn], set[Any](), list[str]()
    while todo and len(seen) < MOST_OPERATIONS:
        node = todo.pop()
        if node is None or node in seen or node in ends:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            found.append(type(node).__name__.removesuffix("Backward"))
        todo += [before for before, _ in node.next_functions]
    return sorted(set(found))


def _notes(trace: Trace, needed: _Needed, starts: Sequence[int], own: Sequence[str]) -> Iterator[str]:
    if own:
        yield f"its backward pass is autograd's, not that of {', '.join(own[:4])}"
    if any(needed.constants.values()):
        yield "weights lead to the loss by another way too (a penalty, a second head, a loss with weights): frozen as they were"
    reach, used = _reach(trace, starts), set(needed.ops)
    leading = {number for place in used for number in trace.ops[place].gave}
    reads = [op for place in reach.ops if (op := trace.ops[place]).function is READS]
    if any(not leading.issuperset(op.given) for op in reads):
        yield READ
    if any(
        PICKS in trace.ops[place].function.tags for place in used & reach.ops if _picks_by_outputs(trace, place, reach)
    ):
        yield "positions are picked by the values of the raw outputs"


def _picks_by_outputs(trace: Trace, place: int, reach: _Reach) -> bool:
    """Whether what says how many are picked, a mask, depends on the raw outputs."""
    return any(
        number in reach.numbers and trace.known[number].tensor.dtype in (torch.bool, torch.uint8)
        for number in trace.ops[place].given
    )


def _held_to(found: Lifted, loss: Tensor) -> Lifted:
    """The objective, if it gives the very number that was recorded."""
    try:
        with torch.no_grad():
            again = found(*(entry.value for entry in found.outputs))
    except Exception as problem:  # whatever an operation raises
        raise NotLiftedError(f"its operations cannot be played again: {first_line(problem)}") from None
    if again.dtype != loss.dtype or not torch.equal(
        again.reshape(()).nan_to_num(), loss.detach().reshape(()).nan_to_num()
    ):
        raise NotLiftedError(
            f"played again, its operations give {float(again):.9g}, and not the loss, {float(loss):.9g}"
        )
    return found
