"""Habits of an objective that its values do not show: writing into what it is given, and a backward pass that goes its own way."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from mlnn.objectives.objective import Objective
from mlnn.objectives.reduction import drawn_batch, reduction
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

ROWS = 7
UPSTREAM = 0.37
"""Upstream gradient of a scalar: no power of 2, and far from 1."""
APART = 0.05
"""Of the largest gradient. A backward pass that follows its upstream gradient is off by the rounding of its precision (of
bfloat16 at most 0.01), one that does not by the spread of the weights, which is 0.2 to 2."""


def written_into(objective: Objective, targets: TargetSpace) -> tuple[str, ...]:
    """What of "output" and "target" the objective writes into; mlnn gives it copies of both."""
    found: set[str] = set()

    def spy(output: Tensor, target: Tensor) -> Tensor:
        before = output.detach().clone(), target.clone()
        function = objective.function
        if isinstance(function, nn.Module):
            function = copy.deepcopy(function).to(output.dtype)
        value = function(output, target)
        same = torch.equal(output.detach(), before[0]), torch.equal(target, before[1])
        found.update(word for word, kept in zip(("output", "target"), same, strict=True) if not kept)
        return value

    output, target = drawn_batch(targets, ROWS)
    try:
        replace(objective, function=spy)(output.requires_grad_(), target)
    except Exception:  # a refusal, which the curves report
        return ()
    return tuple(sorted(found))


def follows_upstream(objective: Objective, targets: TargetSpace) -> bool:
    """Whether the backward pass multiplies by the gradient that comes from above, which is 1 only in the plainest training.

    Rows are given random weights, a scalar a factor. True too where it cannot be told: rows that are coupled, a refusal.
    """
    output, target = drawn_batch(targets, ROWS)
    weights = 0.2 + 1.8 * torch.rand(ROWS, generator=generator(0, "upstream"), dtype=torch.float64)
    try:
        value = objective.rows(output, target)
        if value.ndim:
            kind = reduction(objective, targets)
            if kind is None or kind.kind != "per row":
                return True
        upstream = weights if value.ndim else torch.tensor(UPSTREAM, dtype=torch.float64)
        plain, weighted = (_slope(objective, output, target, w) for w in (torch.ones_like(upstream), upstream))
    except Exception:  # a refusal, which the curves report
        return True
    wanted = upstream.reshape(-1, *[1] * (plain.ndim - 1)) * plain if value.ndim else upstream * plain
    off = (weighted - wanted).abs().nan_to_num(0.0)
    return bool((off <= APART * wanted.abs().nan_to_num(0.0).max()).all())


def _slope(objective: Objective, output: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
    output = output.clone().requires_grad_()
    value = objective.rows(output, target)
    if not value.requires_grad:
        return torch.zeros_like(output)
    (slope,) = torch.autograd.grad(value, output, upstream.to(value.dtype), allow_unused=True)
    return torch.zeros_like(output) if slope is None else slope.double()
