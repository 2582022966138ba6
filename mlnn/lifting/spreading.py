"""Many rows in one batch: where a loss is a sum over positions, each position of a recorded batch is given a row of its own.

The operations are cut where the last of them only add up: what they add up, position for position, are the rows' own losses. It is
as many times quicker as the batch has positions, and taken only where it gives what a batch of one row everywhere gives.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.lifting.lifted import Lifted, raised, run
from mlnn.lifting.operations import Argument, Operation, Slot, resolved
from mlnn.lifting.roles import Form

REDUCED: dict[str, tuple[object, ...]] = {
    "aten.mse_loss.default": (), "aten.smooth_l1_loss.default": (), "aten.huber_loss.default": (),
    "aten.soft_margin_loss.default": (), "aten.binary_cross_entropy.default": (None,),
    "aten.binary_cross_entropy_with_logits.default": (None, None), "aten.multi_margin_loss.default": (1, 1, None),
}  # fmt: skip
"""Losses that add up their positions themselves; what they take, if they are not told it, between the target and how."""
REDUCTIONS = {1: "aten.mean.default", 2: "aten.sum.default"}
MEAN = 1
"""How they do it if they are not told."""
LINEAR = 1e-9
"""Relative, in float64: what only adds up is off from a weighted sum by its rounding, some 1e-15."""
LEAST_DRAWS, DRAWS = 3, 6
"""Raw outputs, and orders of the targets, at which it is looked where a position's part goes; a hinge is flat at some."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where the positions that count stand: of a raw output and a target, each flat, among those of the recorded batch."""

    raw: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class Spread:
    """`values(points, labels)`: of up to as many rows at once as the recorded batch has positions that count.

    `cut`: operations before it give a number, or some, for each position, in slot `slot`, of which there are `rows`, `own` says
    whose is whose; those after it add up. `second`: whether the numbers of a position lie on the second axis.
    """

    lifted: Lifted
    target: int
    form: Form
    places: Places
    cut: int
    slot: int
    rows: int
    own: Tensor
    second: bool = False

    def values(self, points: Tensor, labels: Tensor, raises: bool) -> Tensor:
        """The loss (n,) of a batch that holds one raw output (n[, m]) and target (n[, event]) everywhere, for each of them."""
        size = len(self.own)
        parts = [
            self._of_batch(points[at : at + size], labels[at : at + size], raises) for at in range(0, len(points), size)
        ]
        return torch.cat(parts)

    def _of_batch(self, points: Tensor, labels: Tensor, raises: bool) -> Tensor:
        to = points.dtype if raises else None
        slots = self.lifted.entered(filled(self.lifted, self.target, self.form, self.places, points, labels))
        for op in self.lifted.operations[: self.cut]:
            run(op, slots, points.device, to)
        weights, rest = self._added_up(slots, to)
        parts = self.parts(torch.where(weights == 0, 0, weights * slots[self.slot]))
        return parts[self.own[: len(points)]] * len(self.own) + rest

    def parts(self, counted: Tensor) -> Tensor:
        """What is added up, by position (rows,)."""
        return (counted.movedim(1, -1) if self.second else counted).reshape(self.rows, -1).sum(1)

    def _added_up(self, slots: Sequence[Tensor], to: torch.dtype | None) -> tuple[Tensor, Tensor]:
        """By how much each number counts in the loss, and the loss of zeros."""
        with torch.enable_grad():
            at = torch.zeros_like(slots[self.slot]).requires_grad_()
            value = self.tail(at, slots, to)
            (weights,) = torch.autograd.grad(value, at)
        return weights.detach(), value.detach()

    def tail(self, at: Tensor, slots: Sequence[Tensor], to: torch.dtype | None) -> Tensor:
        """The loss of other numbers in the place of those that are added up."""
        own = [part.detach() for part in slots[: self._before()]]
        own[self.slot] = at
        for op in self.lifted.operations[self.cut :]:
            run(op, own, at.device, to)
        return own[self.lifted.loss].reshape(())

    def _before(self) -> int:
        entering = len(self.lifted.outputs) + len(self.lifted.constants)
        made = [place for op in self.lifted.operations[: self.cut] for place in op.gave]
        return max([entering - 1, *made]) + 1


def filled(
    lifted: Lifted, target: int, form: Form, places: Places, points: Tensor, labels: Tensor
) -> list[Tensor]:  # fmt: skip
    """What enters, with raw outputs and targets put in, one at each of the first places; the rest is as it was recorded."""
    count, dtype, device = len(points), points.dtype, points.device
    if form.logs:
        points = torch.log_softmax(points, -1)
    at = places.raw[:count].to(device)
    entries = [entry.value.to(device, dtype) for entry in lifted.outputs]
    if form.parts > 1:
        outputs = [
            part.reshape(-1).index_put((at,), points[:, place]).reshape(part.shape)
            for place, part in enumerate(entries)
        ]
    elif form.axis is None:
        outputs = [entries[0].reshape(-1).index_put((at,), points).reshape(entries[0].shape)]
    else:
        last = entries[0].movedim(form.axis, -1)
        put = last.reshape(-1, last.shape[-1]).index_put((at,), points)
        outputs = [put.reshape(last.shape).movedim(-1, form.axis)]
    constants = [raised(entry.value.to(device), dtype) for entry in lifted.constants]
    recorded = constants[target]
    signed = 2 * labels - 1 if form.signs else labels
    flat = recorded.reshape(-1, *form.space.event)
    put = flat.index_put((places.labels[:count].to(device),), signed.to(recorded.dtype))
    constants[target] = put.reshape(recorded.shape)
    return [*outputs, *constants]


def spread_of(lifted: Lifted, target: int, form: Form, places: Places) -> Spread | None:
    """The loss of many rows at once; None where its last operations do more than add up. It is yet to be held to rows alone."""
    opened = _opened(lifted)
    recorded = opened.constants[target].value
    total = recorded.numel() // max(1, *form.space.event) if form.space.event else recorded.numel()
    if len(places.raw) < 2:
        return None
    for cut, slot in _cuts(opened):
        for rows, second in itertools.product(dict.fromkeys((total, len(places.raw))), (False, True)):
            own = torch.arange(len(places.raw))
            found = Spread(opened, target, form, places, cut, slot, rows, own, second)
            try:
                own_rows = _whose(found)
            except (RuntimeError, ValueError, IndexError):
                continue
            if own_rows is not None:
                return replace(found, own=own_rows)
    return None


def _opened(lifted: Lifted) -> Lifted:
    """The same loss, in which a loss that adds up its positions itself gives them, and the next operation adds up."""
    operations: list[Operation] = []
    moved: dict[int, int] = {}
    made = len(lifted.outputs) + len(lifted.constants)
    for op in lifted.operations:
        args, kwargs = _moved(op.args, moved), tuple((name, _moved(value, moved)) for name, value in op.kwargs)
        if not _in_place(op):
            moved |= {place: made + at for at, place in enumerate(op.gave)}
            made += len(op.gave)
        gave = tuple(moved.get(place, place) for place in op.gave)
        between = REDUCED.get(op.name)
        at = 2 + len(between or ())
        full = (*args, *(between or ())[len(args) - 2 :], MEAN)[: max(at + 1, len(args))]
        if between is None or full[at] not in REDUCTIONS or "reduction" in dict(kwargs):
            operations.append(Operation(op.name, args, kwargs, gave, op.gradient))
            continue
        operations.append(Operation(op.name, (*full[:at], 0, *full[at + 1 :]), kwargs, gave, op.gradient))
        operations.append(Operation(REDUCTIONS[full[at]], (Slot(gave[0]),), (), (made,), op.gradient))
        moved[op.gave[0]], made = made, made + 1
    return replace(lifted, operations=tuple(operations), loss=moved.get(lifted.loss, lifted.loss))


def _in_place(op: Operation) -> bool:
    return bool(resolved(op.name)._schema.is_mutable)


def _moved(value: Argument, moved: dict[int, int]) -> Argument:
    if isinstance(value, Slot):
        return Slot(moved.get(value.place, value.place))
    return tuple(_moved(part, moved) for part in value) if isinstance(value, tuple) else value


def _cuts(lifted: Lifted) -> Iterator[tuple[int, int]]:
    """(operations before it, slot) of every place where all that raw outputs lead to is one tensor, the last first."""
    for cut in range(len(lifted.operations) - 1, -1, -1):
        led = set(range(len(lifted.outputs)))
        for op in lifted.operations[:cut]:
            if not led.isdisjoint(op.slots()):
                led.update(op.gave)
        made, read, fresh = set[int](), set[int](), True
        for op in lifted.operations[cut:]:
            read.update(place for place in op.slots() if place not in made)
            fresh = fresh and (not _in_place(op) or made.issuperset(op.gave))
            made.update(op.gave)
        crossing = read & led
        if len(crossing) == 1 and fresh:  # what is written into there was made there
            yield cut, crossing.pop()


def _whose(spread: Spread) -> Tensor | None:
    """Which part of what is added up belongs to each position; None where it does not only add up, or that cannot be told."""
    draws = torch.Generator().manual_seed(0)
    ratio = torch.full((len(spread.places.raw),), torch.nan, dtype=torch.float64)
    for draw in range(DRAWS):
        slopes = _asked(spread, draws)
        if slopes is None:
            return None
        plain, ranked = slopes
        size = (plain * plain).sum(1)
        ratio = torch.where((size > 0) & ratio.isnan(), (plain * ranked).sum(1) / size, ratio)
        told = ~ratio.isnan() & (size > 0)
        if float((ranked - ratio[:, None] * plain)[told].abs().max()) > LINEAR * float(ranked.abs().max()):
            return None  # a position has part in several
        if draw >= LEAST_DRAWS and not bool(ratio.isnan().any()):
            break
    if bool(ratio.isnan().any()) or float((ratio - ratio.round()).abs().max()) > 1e-6:
        return None
    own = ratio.round().long() - 1
    return own if len(own.unique()) == len(own) else None


def _asked(spread: Spread, draws: torch.Generator) -> tuple[Tensor, Tensor] | None:
    """Gradients (positions, m) of what is added up, as it is and each part times its rank; None where it does not only add up."""
    form, count = spread.form, len(spread.places.raw)
    recorded = spread.lifted.constants[spread.target].value.reshape(-1, *form.space.event)
    labels = recorded[spread.places.labels[torch.randperm(count, generator=draws)]]
    labels = labels.to(torch.float64) if labels.is_floating_point() else labels
    labels = (labels + 1) / 2 if form.signs else labels
    m = (form.space.outputs,) if form.several else ()
    points = (0.1 + 0.8 * torch.rand((count, *m), generator=draws, dtype=torch.float64)).requires_grad_()
    slots = spread.lifted.entered(filled(spread.lifted, spread.target, form, spread.places, points, labels))
    for op in spread.lifted.operations[: spread.cut]:
        run(op, slots, points.device, torch.float64)
    numbers = slots[spread.slot]
    if not numbers.is_floating_point() or numbers.numel() % spread.rows or numbers.numel() < spread.rows:
        return None
    if spread.second and numbers.ndim < 3:
        return None
    weights, rest = spread._added_up(slots, torch.float64)
    other = torch.randn(numbers.shape, generator=draws, dtype=numbers.dtype)
    for given in (numbers.detach(), other):
        found, wanted = spread.tail(given, slots, torch.float64), (weights * given).sum() + rest
        if not abs(float(found) - float(wanted)) <= LINEAR * max(
            1e-300, float((weights * given).abs().sum()) + abs(float(rest))
        ):
            return None
    parts = spread.parts(weights * numbers)
    ranks = torch.arange(1, spread.rows + 1, dtype=torch.float64)
    plain, ranked = (
        torch.autograd.grad(one, points, retain_graph=True)[0].reshape(count, -1)
        for one in (parts.sum(), (ranks * parts).sum())
    )
    return plain, ranked
