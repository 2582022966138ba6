"""The objective of one row, from the loss of a recorded batch: every position that counts holds the same raw output and target.

A mean then gives the row's own loss, with any factor that the batch's has; that the loss of the recorded batch is the mean of
such rows is checked, for a loss whose rows depend on one another is no loss of rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlnn.errors import ConfigError
from mlnn.recording.lifted import Lifted, finest, raised
from mlnn.recording.roles import Form

FEW = 32
"""Different targets that are asked one after another; of more, raw outputs and targets are mapped together."""
AT_ONCE = 2**22
"""Numbers of raw outputs that are asked in one call, 32 MB in float64."""
MOST_CHECKED = 2**27
"""Numbers that a check may compute; of a larger batch some positions are checked."""
LEAST_CHECKED = 4
CLOSE = 1e-8
"""Of the largest gradient, in float64: what rows that add up are off by is below 1e-13."""
UNEVEN = 1e-6


@dataclass(frozen=True)
class Rows:
    """How a batch's loss is made of its positions: `kept` of `positions` count, each by 1/kept; `shift`: a target belongs to the
    raw output before it; `checked`: how many positions were looked at."""

    kept: int
    positions: int
    shift: bool
    checked: int


@dataclass(frozen=True, eq=False)
class RowLoss:
    """`(output, target) → one number per position`, of a lifted loss. output (n, *positions[, m]), target (n, *positions[, event]).

    `rows`: how the recorded batch is made of them, None until that was looked at.
    """

    lifted: Lifted
    target: int
    form: Form
    rows: Rows | None = None

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Computed in the output's own float, or what the loss casts it to."""
        return self.asked(output, target, raises=False)

    def asked(self, output: Tensor, target: Tensor, raises: bool) -> Tensor:
        """The same; `raises`: with the casts of the loss raised to the output's float."""
        event = len(self.form.space.event)
        shape = target.shape[: target.ndim - event]
        points = output.reshape(-1, output.shape[-1]) if self.form.several else output.reshape(-1)
        labels = target.reshape(-1, *target.shape[target.ndim - event :])
        kept = self.form.space.kept(labels)
        if kept is None or _is_mapped(labels) or bool(kept.all()):
            return self._values(points, labels, raises).reshape(shape)
        places = kept.nonzero()[:, 0]
        value = self._values(points[places], labels[places], raises)
        return output.new_zeros(len(labels), dtype=value.dtype).index_put((places,), value).reshape(shape)

    def _values(self, points: Tensor, labels: Tensor, raises: bool) -> Tensor:
        one = self._of_one(points.dtype, points.device, raises)
        if not len(points):
            return points.new_zeros(0)
        if _is_mapped(labels) or labels.ndim > 1:
            return self._mapped(one, points, labels)
        kinds, which = labels.unique(return_inverse=True)
        if len(kinds) > FEW:
            return self._mapped(one, points, labels)
        places = [(which == kind).nonzero()[:, 0] for kind in range(len(kinds))]
        parts = [self._mapped(one, points[at], kinds[kind]) for kind, at in enumerate(places)]
        return torch.cat(parts)[torch.cat(places).argsort()]

    def _mapped(self, one: Callable[[Tensor, Tensor], Tensor], points: Tensor, labels: Tensor) -> Tensor:
        """One call for many rows; row by row where the operations cannot be mapped (as many numbers as values say)."""
        chunk = max(1, AT_ONCE // sum(entry.value.numel() for entry in self.lifted.outputs))
        together = labels.ndim == points.ndim - self.form.several + len(self.form.space.event)
        try:
            with _quiet_maps():
                return torch.func.vmap(one, in_dims=(0, 0 if together else None), chunk_size=chunk)(points, labels)
        except (RuntimeError, ValueError, NotImplementedError, IndexError):
            return torch.stack([one(point, labels[at] if together else labels) for at, point in enumerate(points)])

    def _of_one(self, dtype: torch.dtype, device: torch.device, raises: bool) -> Callable[[Tensor, Tensor], Tensor]:
        constants = [raised(entry.value.to(device), dtype) for entry in self.lifted.constants]
        recorded = constants[self.target]
        labels = self.lifted.constants[self.target].value
        ignore = self.form.space.ignore
        ignored = (labels == ignore).to(device) if ignore is not None else None

        def one(point: Tensor, label: Tensor) -> Tensor:
            if self.form.signs:
                label = 2 * label - 1
            filled = label.to(recorded.dtype).expand(recorded.shape)
            if ignored is not None:
                filled = torch.where(ignored, recorded, filled)
            entering = [*constants[: self.target], filled, *constants[self.target + 1 :]]
            value = self.lifted.play([*self._filled(point), *entering], dtype if raises else None)
            return value.reshape(())

        return one

    def _filled(self, point: Tensor) -> list[Tensor]:
        """Raw outputs of the recorded shapes in which every position holds one raw output, () or (m,)."""
        shapes = [entry.value.shape for entry in self.lifted.outputs]
        if self.form.logs:
            point = torch.log_softmax(point, -1)
        if self.form.parts > 1:
            return [part.expand(shape) for part, shape in zip(point.unbind(0), shapes, strict=True)]
        if self.form.axis is None:
            return [point.expand(shapes[0])]
        after = len(shapes[0]) - 1 - self.form.axis
        return [point.reshape(-1, *[1] * after).expand(shapes[0])]

    def points(self, outputs: list[Tensor]) -> Tensor:
        """The raw outputs of a batch, position for position: (*positions) or (*positions, m)."""
        if self.form.parts > 1:
            return torch.stack([part.reshape(-1) for part in outputs], -1)
        return outputs[0] if self.form.axis is None else outputs[0].movedim(self.form.axis, -1)


@contextmanager
def _quiet_maps() -> Iterator[None]:
    """Without torch's line on the terminal for every call of an operation that it maps in a loop."""
    told: Any = torch._C._functorch
    told._set_vmap_fallback_warning_enabled(False)
    try:
        yield
    finally:
        told._set_vmap_fallback_warning_enabled(True)


def _is_mapped(labels: Tensor) -> bool:
    """Whether targets are themselves being mapped over, so that nothing can be asked of their values."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(labels))


def rows_of(loss: RowLoss) -> Rows | str:
    """How the loss of the recorded batch is the mean over its positions; a string where it is not, and why."""
    outputs = [entry.value.detach().double().requires_grad_() for entry in loss.lifted.outputs]
    value = loss.lifted.played(outputs, finest(outputs))
    grads = torch.autograd.grad(value, outputs, allow_unused=True)
    slopes = [torch.zeros_like(part) if slope is None else slope for part, slope in zip(outputs, grads, strict=True)]
    points, slope = loss.points([part.detach() for part in outputs]), loss.points(slopes)
    labels = loss.lifted.constants[loss.target].value
    first = ""
    for shift, flat, g, y in _pairings(loss.form, points, slope, labels):
        found = _checked(loss, float(value), flat, g, y, shift)
        if isinstance(found, Rows):
            return found
        first = first or found
    return first or f"targets {tuple(labels.shape)} do not go with raw outputs {tuple(points.shape)}"


def _pairings(
    form: Form, points: Tensor, slope: Tensor, labels: Tensor
) -> Iterator[tuple[bool, Tensor, Tensor, Tensor]]:
    """Ways in which targets go with raw outputs, flat: one to one, or each with the raw output before it."""
    m = (points.shape[-1],) if form.several else ()
    lead = points.shape[: points.ndim - len(m)]
    event = form.space.event
    total = labels.numel() // max(1, event[0] if event else 1)
    if total == lead.numel():
        yield False, points.reshape(-1, *m), slope.reshape(-1, *m), labels.reshape(-1, *event)
    if len(lead) < 2 or event:
        return
    axis = len(lead) - 1
    before = slice(0, lead[-1] - 1)
    fewer = lead[:-1].numel() * (lead[-1] - 1)
    moved = [part.movedim(axis, 0)[before].movedim(0, axis).reshape(-1, *m) for part in (points, slope)]
    if bool(slope.movedim(axis, 0)[-1].any()):  # the last raw output has no target
        return
    if labels.shape == lead:
        yield True, *moved, labels[..., 1:].reshape(-1)  # type: ignore[misc]
    elif total == fewer:
        yield True, *moved, labels.reshape(-1)  # type: ignore[misc]


def _checked(loss: RowLoss, value: float, points: Tensor, slope: Tensor, labels: Tensor, shift: bool) -> Rows | str:
    form = loss.form
    if form.signs:
        labels = (labels + 1) / 2
    counts = form.space.kept(labels)
    at = torch.arange(len(labels)) if counts is None else counts.nonzero()[:, 0]
    if not len(at):
        return "every position of the recorded batch is ignored"
    if counts is not None and bool(slope[~counts].any()):
        return "positions that are ignored move the loss"
    each = sum(entry.value.numel() for entry in loss.lifted.outputs)
    few = max(LEAST_CHECKED, MOST_CHECKED // each)
    some = at if len(at) <= few else at[torch.linspace(0, len(at) - 1, few).long()]
    asked = points[some].clone().requires_grad_()
    given = labels[some] if form.space.labels or form.space.event else labels[some].to(torch.float64)
    rows = loss.asked(asked, given, raises=True)
    (own,) = torch.autograd.grad(rows.sum(), asked)
    return _weighed(
        value, rows.detach(), own.reshape(len(some), -1), slope[some].reshape(len(some), -1), at, len(labels), shift
    )


def _weighed(
    value: float, rows: Tensor, own: Tensor, slope: Tensor, at: Tensor, positions: int, shift: bool
) -> Rows | str:
    """Whether the batch's gradient at each position is the same share of the row's own, and its value the same share of theirs."""
    idle = (slope == 0).all(1) & (own != 0).any(1)  # a mask leaves them out
    moving = (own != 0).any(1) & ~idle
    if not bool(torch.isfinite(rows).all()) or not bool(moving.any()):
        return "no position moves the loss of a batch that holds it everywhere" if bool(torch.isfinite(rows).all()) else (
            "a batch that holds one raw output and target everywhere has no finite loss"
        )  # fmt: skip
    largest = float(slope.abs().max())
    share = float((own[moving] * slope[moving]).sum() / (own[moving] ** 2).sum())
    if float((slope[moving] - share * own[moving]).abs().max()) > CLOSE * largest:
        each = (own * slope).sum(1)[moving] / (own**2).sum(1)[moving]
        if float((slope[moving] - each[:, None] * own[moving]).abs().max()) > CLOSE * largest:
            return "what a position adds depends on the others"
        low, high = (float(end / each.mean()) for end in (each.min(), each.max()))
        return f"its positions do not count alike, by {low:.3g} to {high:.3g} of an even share"
    kept, whole = int((~idle).sum()), len(rows) == len(at)
    count = kept if whole else len(at)
    if abs(share * count - 1) > UNEVEN:
        return f"its positions do not count alike: one of {count} has {share * count:.3g} of an even share"
    total = share * float(rows[~idle].sum())
    if whole and abs(total - value) > CLOSE * max(abs(value), float(rows.abs().max()) / count):
        return f"its value is {value:.6g}, and the mean of what its positions give alone {total:.6g}"
    return Rows(count, positions, shift, len(rows))


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """`(output, target) → the loss of a whole batch`, of the recorded shape; ConfigError for another. `reason`: why not of rows."""

    lifted: Lifted
    target: int
    form: Form
    reason: str

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """A scalar; constants as they were recorded, the target but for its place."""
        shapes = [entry.value.shape for entry in self.lifted.outputs]
        size = sum(shape.numel() for shape in shapes)
        recorded = self.lifted.constants[self.target].value
        if output.numel() != size or target.numel() != recorded.numel():
            raise ConfigError(
                f"the lifted objective takes whole batches of raw outputs {tuple(shapes[0])} and targets {tuple(recorded.shape)},"
                f" as recorded: {self.reason}"
            )
        if self.form.parts > 1:
            outputs = [part.reshape(shape) for part, shape in zip(output.unbind(-1), shapes, strict=True)]
        elif self.form.axis is None:
            outputs = [output.reshape(shapes[0])]
        else:
            lead = [*shapes[0][: self.form.axis], *shapes[0][self.form.axis + 1 :]]
            outputs = [output.reshape(*lead, shapes[0][self.form.axis]).movedim(-1, self.form.axis)]
        constants = [raised(entry.value.to(output.device), output.dtype) for entry in self.lifted.constants]
        labels = 2 * target - 1 if self.form.signs else target
        constants[self.target] = labels.reshape(recorded.shape).to(constants[self.target].dtype)
        return self.lifted.play([*outputs, *constants])
