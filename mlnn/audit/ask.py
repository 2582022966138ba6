"""Asking a loss: its values and gradients at chosen outputs and targets, in float64, quickly."""

import torch
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.objectives.rowwise import row_by_row, unreduced
from mlnn.targets import TargetSpace


class Loss:
    """A loss that can be asked anywhere. Outputs (n,) or (n, m), targets (n,); everything float64, one value per row.

    A refusal or NaN of single rows comes back as NaN.
    """

    def __init__(self, objective: Objective, space: TargetSpace) -> None:
        self.objective, self.space = unreduced(objective), space
        self.refusal: str | None = None  # what it said when it last refused a row

    def both(self, output: Tensor, target: Tensor, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
        """Value (n,) and gradient (as output), computed in `dtype`."""
        value, gradient, self.refusal = row_by_row(self.objective, output.to(dtype), self._cast(target, dtype))
        return value, gradient

    def value(self, output: Tensor, target: Tensor) -> Tensor:
        """Value (n,) alone: in one call where the loss answers per row or can be vectorised, else row by row."""
        target = self._cast(target, torch.float64)
        with torch.no_grad():
            for ask in (self.objective.rows, self._mapped):
                try:
                    value = ask(output, target)
                except Exception:  # a refusal of one row is a refusal of the call; asked row by row, it is one NaN
                    continue
                if value.ndim:
                    return value.to(torch.float64)
        return row_by_row(self.objective, output, target)[0]

    def cross(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Value (F, Y) and gradient (F, Y, m) of every output (F,) or (F, m) with every target (Y,)."""
        value, gradient = self.both(*crossed(output, target))
        return value.reshape(len(output), len(target)), gradient.reshape(len(output), len(target), -1)

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Value (F, Y) of every output with every target."""
        return self.value(*crossed(output, target)).reshape(len(output), len(target))

    def _mapped(self, output: Tensor, target: Tensor) -> Tensor:
        return torch.func.vmap(lambda f, y: self.objective.rows(f[None], y[None]))(output, target)

    def _cast(self, target: Tensor, dtype: torch.dtype) -> Tensor:
        return target.to(torch.int64 if self.space.kind == "classes" else dtype)


def crossed(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Every output with every target, outputs slowest; (F·Y,) or (F·Y, m), and (F·Y,)."""
    return output.repeat_interleave(len(target), 0), target.repeat(len(output))
