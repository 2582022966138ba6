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
from mlnn.lifting.lifted import Lifted, raised
from mlnn.lifting.roles import Form
from mlnn.lifting.spreading import Spread

FEW = 32
"""Different targets that are asked one after another; of more, raw outputs and targets are mapped together."""
SPREAD_ROWS, SPREAD_NUMBERS = 64, 512
"""Positions, or numbers, of a batch of raw outputs: a call of some 0.3 ms for so many rows costs less than so many batches."""
AT_ONCE = 2**22
"""Numbers of raw outputs that are asked in one call, 32 MB in float64."""


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

    `rows`: how the recorded batch is made of them, `spread`: many of them at once, None until that was looked at.
    """

    lifted: Lifted
    target: int
    form: Form
    rows: Rows | None = None
    spread: Spread | None = None

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
        if not len(points):
            return points.new_zeros(0)
        if self.spread is not None and self.pays and not _is_mapped(labels) and not _is_mapped(points):
            return self.spread.values(points, labels, raises)
        one = self._of_one(points.dtype, points.device, raises)
        if _is_mapped(labels) or labels.ndim > 1:
            return self._mapped(one, points, labels)
        kinds, which = labels.unique(return_inverse=True)
        if len(kinds) > FEW:
            return self._mapped(one, points, labels)
        places = [(which == kind).nonzero()[:, 0] for kind in range(len(kinds))]
        parts = [self._mapped(one, points[at], kinds[kind]) for kind, at in enumerate(places)]
        return torch.cat(parts)[torch.cat(places).argsort()]

    @property
    def pays(self) -> bool:
        """Whether the recorded batch is so large that rows side by side in it are quicker than a batch for each, mapped over."""
        numbers = sum(entry.value.numel() for entry in self.lifted.outputs)
        return self.rows is not None and (self.rows.kept >= SPREAD_ROWS or numbers >= SPREAD_NUMBERS)

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
    """Whether rows are themselves being mapped over, so that nothing can be asked of their values."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(labels))


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
