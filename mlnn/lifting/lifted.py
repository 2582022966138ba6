"""An objective that was taken out of a step: its operations as plain data, and the tensors that entered."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.lifting.operations import Operation, filled, resolved
from mlnn.objectives.promotion import FLOATS, lower_than, tensors_in
from mlnn.visible import shown


@dataclass(frozen=True, eq=False)
class Entry:
    """A tensor that enters: its name, its values as they were, and the order of its axes in memory, outermost first."""

    name: str
    value: Tensor
    order: tuple[int, ...]

    @classmethod
    def of(cls, name: str, value: Tensor) -> "Entry":
        """A copy of a tensor that lies in memory as the tensor does, except for gaps and repetitions."""
        order = tuple(sorted(range(value.ndim), key=lambda axis: (-int(value.stride()[axis]), axis)))
        return cls(name, laid(value.detach().clone(), order), order)


def laid(given: Tensor, order: Sequence[int]) -> Tensor:
    """A tensor whose axes lie in memory in an order, without gaps: whether a shape is a view of another depends on it."""
    if tuple(order) == tuple(range(given.ndim)):
        return given.contiguous()
    back = sorted(range(len(order)), key=lambda place: order[place])
    return given.permute(tuple(order)).contiguous().permute(back)


@dataclass(frozen=True, eq=False)
class Lifted:
    """`lifted(*raw outputs)` → the loss, a scalar, differentiable; at `outputs` in their dtype the very bits that were recorded.

    `outputs`: the raw outputs that it takes, each in its recorded shape. `constants`: what entered from outside (targets, masks,
    class weights). `loss`: the place of the scalar among raw outputs, constants and what the operations gave. `notes`: what of
    the recorded step is not in it, in words.
    """

    outputs: tuple[Entry, ...]
    constants: tuple[Entry, ...]
    operations: tuple[Operation, ...]
    loss: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(f"{shown(entry.name)} {tuple(entry.value.shape)}" for entry in self.outputs)
        return f"Lifted({names}; {len(self.operations)} operations, {len(self.constants)} constants)"

    def __call__(self, *outputs: Tensor) -> Tensor:
        """In a finer dtype than the recorded one everything is computed in that: constants and casts are raised to it."""
        to = finest(outputs)
        finer = to is not None and any(entry.value.dtype in lower_than(to) for entry in self.outputs)
        return self.played(outputs, to if finer else None)

    def played(self, outputs: Sequence[Tensor], to: torch.dtype | None = None) -> Tensor:
        """The loss at raw outputs; `to`: a float that every lower one, of constants and of casts, is raised to."""
        if len(outputs) != len(self.outputs):
            raise ValueError(f"{len(self.outputs)} raw outputs are needed, {len(outputs)} were given")
        constants = [raised(entry.value.to(outputs[0].device), to) for entry in self.constants]
        return self.play([*outputs, *constants], to)

    def play(self, entering: Sequence[Tensor], to: torch.dtype | None = None) -> Tensor:
        """The loss of raw outputs and constants that are all given, in any shape that the operations take."""
        slots, device = self.entered(entering), entering[0].device
        for op in self.operations:
            run(op, slots, device, to)
        return slots[self.loss]

    def entered(self, entering: Sequence[Tensor]) -> list[Tensor]:
        """Raw outputs and constants as they lie in memory when the operations begin."""
        orders = [entry.order for entry in (*self.outputs, *self.constants)]
        return [
            self._apart(laid(given, order)) if given.ndim == len(order) else given
            for given, order in zip(entering, orders, strict=True)
        ]

    @property
    def writes(self) -> bool:
        """Whether anything is written into a tensor: what enters is then copied first."""
        return any(resolved(op.name)._schema.is_mutable for op in self.operations)

    def _apart(self, given: Tensor) -> Tensor:
        return given.clone() if self.writes else given

    def renamed(self, names: Callable[[str], str]) -> "Lifted":
        """The same with other names of its constants."""
        return replace(self, constants=tuple(replace(entry, name=names(entry.name)) for entry in self.constants))


COPIED = {"aten.clamp_.default": "aten.clamp.default", "aten.clamp_min_.default": "aten.clamp_min.default",
          "aten.clamp_max_.default": "aten.clamp_max.default"}  # fmt: skip
"""Operations in place that cannot be mapped, and what they copy into place."""


def run(op: Operation, slots: list[Tensor], device: torch.device, to: torch.dtype | None) -> None:
    """Do one operation, and put what it gives where it belongs; IndexError where that is nowhere."""
    function, into = resolved(op.name), None
    if not op.gradient and op.name in COPIED:
        into = op.gave[0]  # where no gradient flows this is the same, and can be mapped over rows
        function = resolved(COPIED[op.name])
    args = [filled(value, slots, device, to) for value in op.args]
    kwargs = {name: filled(value, slots, device, to) for name, value in op.kwargs}
    with nullcontext() if op.gradient else torch.no_grad():
        found = list(tensors_in(function(*args, **kwargs)))
        if into is not None:
            found = [slots[into].copy_(found[0])]
    for place, part in zip(op.gave, found, strict=True):
        if place < len(slots):
            slots[place] = part
        elif place == len(slots):
            slots.append(part)
        else:
            raise IndexError(place)


def raised(value: Tensor, to: torch.dtype | None) -> Tensor:
    """A tensor of a lower float in a higher one; anything else as it is."""
    return value.to(to) if to is not None and value.dtype in lower_than(to) else value


def finest(given: Sequence[Tensor]) -> torch.dtype | None:
    """The finest float among some tensors."""
    found = [part.dtype for part in given if part.dtype in FLOATS]
    return min(found, key=FLOATS.index, default=None)
