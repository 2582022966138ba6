"""What a loop only moves before its loss is taken (rows picked from all targets, labels shifted by one) is folded into the tensor
that enters: the target of a loss is what stands beside the raw outputs, not the table that it was picked from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mlnn.lifting.lifted import Entry, Lifted
from mlnn.lifting.operations import Argument, Operation, Slot, filled, resolved

MOVES = frozenset("""index index_select gather slice select narrow take view _unsafe_view _reshape_alias expand permute transpose t
 squeeze unsqueeze clone alias detach lift_fresh constant_pad_nd roll flip diagonal""".split())  # fmt: skip  # noqa: SIM905
"""Operations that give entries of what they are given, in another order or shape, and nothing computed."""


def folded(lifted: Lifted) -> Lifted:
    """The same objective; what is moved of a tensor from outside, and read by nothing else, enters as it was moved.

    A tensor that is read twice stays whole: a mask made of the labels is to follow them when other labels are put in.
    """
    readers = Counter(place for op in lifted.operations for place in op.slots())
    entering = {len(lifted.outputs) + at: entry for at, entry in enumerate(lifted.constants)}
    kept: list[Operation] = []
    for op in lifted.operations:
        read = op.slots()
        moved = op.name.split(".")[1] in MOVES and len(op.gave) == 1 and op.gave[0] != lifted.loss
        if moved and read and all(place in entering and readers[place] == 1 for place in read):
            value = _done(op, {place: entering[place].value for place in read})
            entering[op.gave[0]] = Entry.of(entering[read[0]].name, value)
            for place in read:
                del entering[place]
        else:
            kept.append(op)
    return lifted if len(kept) == len(lifted.operations) else _renumbered(lifted, entering, kept)


def _done(op: Operation, values: Mapping[int, Tensor]) -> Tensor:
    device = next(iter(values.values())).device
    args = [filled(value, values, device, None) for value in op.args]
    kwargs = {name: filled(value, values, device, None) for name, value in op.kwargs}
    with torch.no_grad():
        found: Tensor = resolved(op.name)(*args, **kwargs)
    return found


def _renumbered(lifted: Lifted, entering: Mapping[int, Entry], kept: Sequence[Operation]) -> Lifted:
    """Raw outputs first, then what enters, then what is computed, each in its order."""
    places = [*range(len(lifted.outputs)), *entering]
    for op in kept:
        places += [place for place in op.gave if place not in places]
    new = {old: at for at, old in enumerate(places)}

    def told(value: Argument) -> Argument:
        if isinstance(value, Slot):
            return Slot(new[value.place])
        return tuple(map(told, value)) if isinstance(value, tuple) else value

    def moved(op: Operation) -> Operation:
        kwargs = tuple((name, told(value)) for name, value in op.kwargs)
        return replace(op, args=told(op.args), kwargs=kwargs, gave=tuple(new[place] for place in op.gave))

    operations = tuple(map(moved, kept))
    return replace(lifted, constants=tuple(entering.values()), operations=operations, loss=new[lifted.loss])
