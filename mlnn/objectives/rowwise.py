"""An objective asked row by row: its value and gradient at single rows, whatever its own reduction is."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from mlnn.arguments import first_line
from mlnn.errors import ConfigError
from mlnn.objectives.layout import Extras, Layout, sliced
from mlnn.objectives.objective import Objective
from mlnn.world import plain_tensors

_Ask = Callable[[slice], tuple[Tensor, Tensor]]
"""From some of the points to their values and gradients."""


def row_by_row(objective: Objective, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor, str | None]:
    """Value (N,) and gradient (as output) in float64 at points (N[, m]), each as a batch of one row alone would give it.

    Every position of the row holds the point (see `Layout`), and the gradient is that of moving all of them. NaN where the
    objective refuses a row; the third part is then what it said. output in the dtype to compute in.
    """
    value = torch.full((len(output),), torch.nan, dtype=torch.float64)
    gradient = torch.full(output.shape, torch.nan, dtype=torch.float64)
    refusals: list[str] = []
    asked = unreduced(objective)
    ask = (
        partial(_batches, asked, output, target)
        if asked.layout.whole
        else partial(_points, asked, *_made(asked, output, target))
    )
    _fill(ask, (value, gradient), 0, len(output), refusals)
    return value, gradient, next(iter(refusals), None)


def unreduced(objective: Objective) -> Objective:
    """A framework-style loss module answers per row once its own reduction is switched off; others stay as they are."""
    module = objective.function
    if isinstance(module, nn.Module) and getattr(module, "reduction", None) in ("mean", "sum"):
        module = copy.copy(module)
        module.reduction = "none"  # type: ignore[assignment]
        return replace(objective, function=module)
    return objective


def _fill(ask: _Ask, into: tuple[Tensor, Tensor], low: int, high: int, refusals: list[str]) -> None:
    """Fill rows low … high−1: at once where the objective answers per row, else by halves down to single rows."""
    alone = high - low == 1
    try:
        value, gradient = ask(slice(low, high))
        if alone or value.ndim:
            into[0][low:high], into[1][low:high] = value.to(torch.float64), gradient.to(torch.float64)
            return
        step = 1  # reduced to a number: every row has to be asked on its own
    except ConfigError:
        raise
    except Exception as problem:  # an objective may refuse an output or a target with any exception
        if alone:
            refusals.append(f"{type(problem).__name__}: {first_line(problem)[:100]}")
            return
        step = (high - low + 1) // 2
    for start in range(low, high, step):
        _fill(ask, into, start, min(start + step, high), refusals)


def _made(objective: Objective, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Points as rows whose every position holds the point: raw outputs, targets, and the extras that go with them."""
    space, layout = objective.targets, objective.layout
    labels, ours = layout.expanded(target, len(space.event)), layout.targets_of(len(output))
    if ours is not None and space.ignore is not None:  # what the extras take to be ignored stays so
        labels = torch.where(ours == space.ignore, ours, labels)
    extras = extras_at(layout.rows(len(output)), output.dtype)
    return layout.expanded(output, output.ndim - 1), labels, extras


def _points(objective: Objective, points: Tensor, labels: Tensor, extras: Extras, rows: slice) -> tuple[Tensor, Tensor]:
    """Value and gradient of some of the points: per row, or of the one row that there is."""
    here, alone = labels[rows], rows.stop - rows.start == 1
    value, gradient = asked_batch(objective, points[rows], here, sliced(extras, rows, len(points)), reduce=alone)
    if value.ndim:
        value = objective.per_row(value, here)
    between = tuple(range(1, 1 + len(objective.layout.positions)))
    return value, gradient.sum(between) if between else gradient


def _batches(objective: Objective, outputs: Tensor, targets: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """Value and gradient of some points, each as a whole batch whose every position holds it, with the extras of that batch."""
    space, layout = objective.targets, objective.layout
    assert layout.targets is not None
    output, target = outputs[rows], targets[rows]
    extras = extras_at(layout.extras, output.dtype)
    batch = Layout((len(layout.targets), *layout.positions))
    values, gradients = [], []
    for place in range(len(output)):
        points = batch.expanded(output[place : place + 1], output.ndim - 1)[0]
        labels = batch.expanded(target[place : place + 1], len(space.event))[0]
        if space.ignore is not None:
            labels = torch.where(layout.targets == space.ignore, layout.targets, labels)
        value, gradient = asked_batch(objective, points, labels, extras, reduce=True)
        values.append(value)
        gradients.append(gradient.sum(tuple(range(len(batch.positions)))))
    return torch.stack(values), torch.stack(gradients)


def one_batch(
    objective: Objective, output: Tensor, target: Tensor, dtype: torch.dtype, extras: Extras | None = None
) -> tuple[float, Tensor]:
    """Reduced value and gradient (as output, float64) of one batch in a dtype."""
    given = extras_at(extras or {}, dtype)
    value, gradient = asked_batch(objective, output.to(dtype), as_dtype(target, dtype), given, reduce=True)
    return float(value), gradient.to(torch.float64)


def extras_at(extras: Extras, dtype: torch.dtype) -> dict[str, Tensor]:
    """Extras in a dtype: whole numbers and masks as they are."""
    return {name: part.to(dtype) if part.is_floating_point() else part for name, part in extras.items()}


def as_dtype(target: Tensor, dtype: torch.dtype) -> Tensor:
    return target if target.dtype == torch.int64 else target.to(dtype)


def asked_batch(
    objective: Objective, output: Tensor, target: Tensor, extras: Extras | None = None, reduce: bool = False
) -> tuple[Tensor, Tensor]:
    """Value, (n, …) or a number, and gradient (as output) of one batch, in the output's dtype; in float64, of the promoted twin.

    The gradient is that of the rows' own values (see `Objective.per_row`) summed, or of the number.
    """
    if (
        not torch.is_grad_enabled() or torch.is_inference_mode_enabled()
    ):  # the caller's own doing, and no fault of the objective's
        with plain_tensors():
            return asked_batch(objective, output, target, extras, reduce)
    output, extras = output.clone().requires_grad_(), extras or {}
    with objective.twin(output.dtype):
        value = objective(output, target, **extras) if reduce else objective.rows(output, target, **extras)
        if not value.requires_grad:  # an output that the objective ignores has gradient 0
            return value.detach(), torch.zeros_like(output)
        asked = value if value.ndim == 0 else objective.per_row(value, target).sum()
        (gradient,) = torch.autograd.grad(asked, output, allow_unused=True)
        return value.detach(), torch.zeros_like(output) if gradient is None else gradient
