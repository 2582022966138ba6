"""The part of a trace that leads from raw outputs to the loss: an objective, cut out of somebody's step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mlnn.arguments import first_line
from mlnn.lifting.folding import folded
from mlnn.lifting.leading import MOST_OPERATIONS, Needed, NotLiftedError, Reach, needed_by, reach_of
from mlnn.lifting.lifted import Entry, Lifted
from mlnn.lifting.operations import PRODUCTS, Operation, is_liftable, written
from mlnn.lifting.tracing import Known, Noted, Trace

READS = torch.ops.aten._local_scalar_dense.default
READ = (
    "a number that depends on the raw outputs was read in Python (.item(), an if): what hangs on it is frozen as it was"
)
PICKS = torch.Tag.dynamic_output_shape


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
    needed = needed_by(trace, list(starts), end)
    if not needed.outputs:
        raise NotLiftedError(
            "no tensor that the model returned leads to the loss: there are no raw outputs to lift it from (a projection fused with"
            " its loss, a loss inside the model that returns nothing else)"
        )  # fmt: skip
    _check_products(trace, needed, reach_of(trace, list(starts)))
    found = _written_down(trace, needed, starts, end, names or {})
    return _held_to(folded(found), loss)


def _check_products(trace: Trace, needed: Needed, reach: Reach) -> None:
    """Raise NotLiftedError where what the model returned is multiplied by weights yet."""
    for op in (trace.ops[place] for place in needed.ops):
        weights = any(needed.constants.get(number) for number in op.given)
        product = str(op.function).split(".")[1] in PRODUCTS.split()
        if product and weights and any(number in reach.numbers for number in op.given):
            raise NotLiftedError(
                "the loss multiplies what the model returned by weights (a projection fused with the loss): the raw outputs are"
                " inside of it"
            )


def _written_down(
    trace: Trace, needed: Needed, starts: Mapping[int, str], end: int, names: Mapping[int, str]
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


def _notes(trace: Trace, needed: Needed, starts: Sequence[int], own: Sequence[str]) -> Iterator[str]:
    if own:
        yield f"its backward pass is autograd's, not that of {', '.join(own[:4])}"
    if any(needed.constants.values()):
        yield "weights lead to the loss by another way too (a penalty, a second head, a loss with weights): frozen as they were"
    reach, used = reach_of(trace, starts), set(needed.ops)
    leading = {number for place in used for number in trace.ops[place].gave}
    reads = [op for place in reach.ops if (op := trace.ops[place]).function is READS]
    if any(not leading.issuperset(op.given) for op in reads):
        yield READ
    if any(
        PICKS in trace.ops[place].function.tags for place in used & reach.ops if _picks_by_outputs(trace, place, reach)
    ):
        yield "positions are picked by the values of the raw outputs"


def _picks_by_outputs(trace: Trace, place: int, reach: Reach) -> bool:
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
            f"played again, its operations give {float(again):.9g}, and not the loss, {float(loss.detach()):.9g}"
        )
    return found
