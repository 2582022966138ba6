"""One batch of raw outputs and targets in float64, and what an objective answers there: no model, no training."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.objectives.layout import sliced
from mlnn.training import Evaluated


@dataclass(frozen=True, eq=False)
class Sample:
    """`output` (n, *positions[, m]) and `target` (n, *positions), as an objective takes them; `extras` by name, each (n, …).

    `rows` (n,): their numbers in the data, `step`: of the training; None for a batch that was drawn.
    """

    output: Tensor
    target: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Tensor | None = None
    step: int | None = None

    @staticmethod
    def of(answer: Evaluated, rows: Tensor, step: int) -> "Sample":
        """A lane's batch at its raw outputs, which are looked at on the CPU."""
        extras = {name: part.cpu() for name, part in answer.extras.items()}
        return Sample(answer.output.cpu(), answer.target.cpu(), extras, rows, step)

    def __len__(self) -> int:
        return len(self.output)

    def part(self, rows: Any) -> "Sample":
        """The rows of an index or a mask."""
        extras = sliced(self.extras, rows, len(self))
        return replace(self, output=self.output[rows], target=self.target[rows], extras=extras, rows=None)

    def to(self, dtype: torch.dtype) -> "Sample":
        """The same batch in a dtype; labels stay labels."""
        return replace(
            self, output=self.output.to(dtype), target=_cast(self.target, dtype),
            extras={name: _cast(extra, dtype) for name, extra in self.extras.items()},
        )  # fmt: skip


def value_at(objective: Objective, sample: Sample) -> Tensor:
    """The objective's value of a batch, a scalar on autograd's tape."""
    return objective(sample.output, sample.target, **sample.extras)


def answer(objective: Objective, sample: Sample) -> tuple[float, Tensor]:
    """Value, and gradient in the raw outputs (as output, float64), in the sample's own dtype."""
    output = sample.output.detach().clone().requires_grad_()
    with torch.enable_grad(), objective.twin(output.dtype):
        value = value_at(objective, replace(sample, output=output))
        slope = torch.autograd.grad(value, output, allow_unused=True)[0] if value.requires_grad else None
        told = float(value.detach())
    return told, torch.zeros_like(output, dtype=torch.float64) if slope is None else slope.double()


def in_parts(objective: Objective, parts: int) -> Objective:
    """The objective as a lane asks it that accumulates over micro-batches, each weighted by its share of the rows."""
    if parts == 1:
        return objective

    def asked(output: Tensor, target: Tensor, **extras: Tensor) -> Tensor:
        batch = Sample(output, target, extras)
        places = torch.arange(len(output)).chunk(min(parts, len(output)))
        shares = [value_at(objective, batch.part(rows)) * (len(rows) / len(output)) for rows in places]
        return torch.stack(shares).sum()

    plain = replace(objective.targets, axis=None)  # the objective itself puts its raw outputs where it wants them
    return replace(objective, function=asked, outputs="raw", targets=plain, takes=None)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
