"""An objective asked row by row: its value and gradient at single rows, whatever its own reduction is."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from mlnn.arguments import first_line
from mlnn.errors import ConfigError
from mlnn.objectives.objective import Objective
from mlnn.world import plain_tensors


def row_by_row(objective: Objective, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor, str | None]:
    """Value (n,) and gradient (as output) in float64, each as a batch of that row alone would give it.

    NaN where the objective refuses a row; the third part is then what it said. output in the dtype to compute in.
    """
    value = torch.full((len(output),), torch.nan, dtype=torch.float64)
    gradient = torch.full(output.shape, torch.nan, dtype=torch.float64)
    refusals: list[str] = []
    _fill(unreduced(objective), output, target, (value, gradient), 0, len(output), refusals)
    return value, gradient, next(iter(refusals), None)


def unreduced(objective: Objective) -> Objective:
    """A framework-style loss module answers per row once its own reduction is switched off; others stay as they are."""
    module = objective.function
    if isinstance(module, nn.Module) and getattr(module, "reduction", None) in ("mean", "sum"):
        module = copy.copy(module)
        module.reduction = "none"  # type: ignore[assignment]
        return replace(objective, function=module)
    return objective


def _fill(
    objective: Objective,
    output: Tensor,
    target: Tensor,
    into: tuple[Tensor, Tensor],
    low: int,
    high: int,
    refusals: list[str],
) -> None:
    """Fill rows low … high−1: at once where the objective answers per row, else by halves down to single rows."""
    alone = high - low == 1
    try:
        value, gradient = asked_batch(objective, output[low:high], target[low:high], reduce=alone)
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
        _fill(objective, output, target, into, start, min(start + step, high), refusals)


def one_batch(objective: Objective, output: Tensor, target: Tensor, dtype: torch.dtype) -> tuple[float, Tensor]:
    """Reduced value and gradient (as output, float64) of one batch in a dtype."""
    value, gradient = asked_batch(objective, output.to(dtype), as_dtype(target, dtype), reduce=True)
    return float(value), gradient.to(torch.float64)


def as_dtype(target: Tensor, dtype: torch.dtype) -> Tensor:
    return target if target.dtype == torch.int64 else target.to(dtype)


def asked_batch(objective: Objective, output: Tensor, target: Tensor, reduce: bool = False) -> tuple[Tensor, Tensor]:
    """Value, (n,) or a number, and gradient (as output) of one batch, in the output's dtype; in float64, of the promoted twin."""
    if (
        not torch.is_grad_enabled() or torch.is_inference_mode_enabled()
    ):  # the caller's own doing, and no fault of the objective's
        with plain_tensors():
            return asked_batch(objective, output, target, reduce)
    output = output.clone().requires_grad_()
    with objective.twin(output.dtype):
        value = objective(output, target) if reduce else objective.rows(output, target)
        if not value.requires_grad:  # an output that the objective ignores has gradient 0
            return value.detach(), torch.zeros_like(output)
        (gradient,) = torch.autograd.grad(value.sum(), output, allow_unused=True)
        return value.detach(), torch.zeros_like(output) if gradient is None else gradient
