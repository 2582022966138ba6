"""Habits of an objective that its values do not show: writing into what it is given, and a backward pass that goes its own way."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from mlnn.objectives.objective import Objective
from mlnn.objectives.reduction import KEPT, Drawn, Reduction, drawn_rows, reduction
from mlnn.seeding import generator

ROWS = 7
UPSTREAM = 0.37
"""Upstream gradient of a scalar: no power of 2, and far from 1."""
APART = 0.05
"""Of the largest gradient. A backward pass that follows its upstream gradient is off by the rounding of its precision (of
bfloat16 at most 0.01), one that does not by the spread of the weights, which is 0.2 to 2."""


def written_into(objective: Objective) -> tuple[str, ...]:
    """What of "output" and "target" the objective writes into; mlnn gives it copies of both."""
    found: set[str] = set()

    def spy(output: Tensor, target: Tensor, **extras: Tensor) -> Tensor:
        before = output.detach().clone(), target.clone()
        function = objective.function
        if isinstance(function, nn.Module):
            function = copy.deepcopy(function).to(output.dtype)
        value: Tensor = function(output, target, **extras)
        same = torch.equal(output.detach(), before[0]), torch.equal(target, before[1])
        found.update(word for word, kept in zip(("output", "target"), same, strict=True) if not kept)
        return value

    output, target, extras = drawn_rows(objective, ROWS)
    try:
        replace(objective, function=spy)(output.requires_grad_(), target, **extras)
    except Exception:  # a refusal, which the curves report
        return ()
    return tuple(sorted(found))


def follows_upstream(objective: Objective, kind: Reduction | None = None) -> bool:
    """Whether the backward pass multiplies by the gradient that comes from above, which is 1 only in the plainest training.

    Rows, or positions, are given random weights, a scalar a factor. True too where it cannot be told: rows that are coupled, a
    refusal. kind: its reduction, where that is known.
    """
    batch = drawn_rows(objective, ROWS)
    try:
        value = objective.rows(*batch[:2], **batch[2])
        if value.ndim and not _stands_alone(kind or reduction(objective)):
            return True
        drawn = torch.rand(value.shape, generator=generator(0, "upstream"), dtype=torch.float64)
        upstream = 0.2 + 1.8 * drawn if value.ndim else torch.tensor(UPSTREAM, dtype=torch.float64)
        plain, weighted = (_slope(objective, batch, w) for w in (torch.ones_like(upstream), upstream))
    except Exception:  # a refusal, which the curves report
        return True
    wanted = upstream.reshape(*upstream.shape, *[1] * (plain.ndim - upstream.ndim)) * plain
    off = (weighted - wanted).abs().nan_to_num(0.0)
    return bool((off <= APART * wanted.abs().nan_to_num(0.0).max()).all())


def _stands_alone(kind: Reduction | None) -> bool:
    """Whether an answer per row, or per position, has each of them from its own raw outputs alone."""
    return kind is not None and kind.kind in ("per row", "mean", KEPT)


def _slope(objective: Objective, batch: Drawn, upstream: Tensor) -> Tensor:
    output = batch[0].clone().requires_grad_()
    with objective.twin(output.dtype):
        value = objective.rows(output, batch[1], **batch[2])
        if not value.requires_grad:
            return torch.zeros_like(output)
        # The product's gradient is `upstream` itself; given as one, torch would import sympy to compare the shapes (0.4 s).
        (slope,) = torch.autograd.grad((value * upstream.to(value.dtype)).sum(), output, allow_unused=True)
        return torch.zeros_like(output) if slope is None else slope.double()
