"""Asking a loss: its values and gradients at chosen outputs and targets, in float64, quickly."""

import torch
from torch import Tensor

from mlnn.auditing.slopes import slope_and_value
from mlnn.objectives import Objective
from mlnn.objectives.reduction import drawn_batch
from mlnn.objectives.rowwise import row_by_row, unreduced
from mlnn.targets import TargetSpace

MOST_ALONE = 6000
"""Rows that may be asked one by one, about half a second; integrals would need ten times as many."""


MOST_NUMBERS = 10_000_000
"""Raw outputs that are put to a loss at once, 80 MB; more are asked in parts."""


FIRST_ROWS = 7
"""Rows of the batch that is asked first, and again at the end."""


class TooSlowError(Exception):
    """The loss answers whole batches only and cannot be vectorised: too many single rows would have to be asked."""


class Loss:
    """A loss that can be asked anywhere. Outputs (n,) or (n, m), targets (n,); everything float64, one value per row.

    A refusal or NaN of single rows comes back as NaN. A loss that computes in a lower float is asked promoted (see
    `mlnn.objectives.promotion`). `answers_in`: the dtype of its answer to a float64 batch.
    """

    def __init__(self, objective: Objective, space: TargetSpace) -> None:
        self.objective, self.space = unreduced(objective), space
        self.refusal: str | None = None  # what it said when it last refused a row
        self.alone = 0
        self.first = self._first_answer()
        self.answers_in = None if self.first is None else self.first.dtype
        self.reduces = self.first is not None and self.first.ndim == 0
        self.maps = self.reduces

    def both(self, output: Tensor, target: Tensor, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
        """Value (n,) and gradient (as output), computed in `dtype`."""
        output, target = output.to(dtype), self.space.cast(target, dtype)
        if self.maps:
            try:
                with self.objective.twin(dtype):
                    gradient, value = torch.func.vmap(slope_and_value(self._row))(output, target)
                    return value.to(torch.float64), gradient.to(torch.float64)
            except Exception:  # .item(), a branch on values, a refusal: asked row by row
                self.maps = False
        self._count(output)
        value, gradient, self.refusal = row_by_row(self.objective, output, target)
        return value, gradient

    def value(self, output: Tensor, target: Tensor) -> Tensor:
        """Value (n,) alone."""
        target = self.space.cast(target)
        there = self._there(target)
        if there is not None:  # a refusal of theirs would be looked for row by row, at every output
            return self._among(output, target, there)
        with torch.no_grad(), self.objective.twin(torch.float64):
            try:
                if self.maps:
                    return torch.func.vmap(self._row)(output, target).to(torch.float64)
                if not self.reduces:
                    return self.objective.rows(output, target.clone()).to(torch.float64)
            except Exception:  # one row's refusal is that of the call; asked row by row it is one NaN
                there = None if self.space.finite else self._inside(target)
        if there is not None:
            return self._among(output, target, there)
        self._count(output)
        return row_by_row(self.objective, output, target)[0]

    def _there(self, target: Tensor) -> Tensor | None:
        """Mask (n,) of the targets that are in the space, of which far out float64 leaves 0 and ∞; None where all are.

        Of a loss of several raw outputs: one of a single output is asked everywhere, unless it refuses.
        """
        return None if self.space.outputs == 1 or self.space.finite else self._inside(target)

    def _among(self, output: Tensor, target: Tensor, there: Tensor) -> Tensor:
        """Value (n,), NaN but for the targets of the mask."""
        found = torch.full((len(target),), torch.nan, dtype=torch.float64)
        found[there] = self.value(output[there], target[there])
        return found

    def _inside(self, target: Tensor) -> Tensor | None:
        """Mask (n,) of the targets that are in the space and finite; None where all are, or none."""
        there = torch.isfinite(target) & self.space.facts.inside(target)
        return None if bool(there.all()) or not bool(there.any()) else there

    def cross(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Value (F, Y) and gradient (F, Y, m) of every output (F,) or (F, m) with every target (Y,)."""
        parts = [self.both(*crossed(part, target)) for part in self._parts(output, target)]
        value, gradient = (torch.cat(sides) if len(sides) > 1 else sides[0] for sides in zip(*parts, strict=True))
        return value.reshape(len(output), len(target)), gradient.reshape(len(output), len(target), -1)

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Value (F, Y) of every output with every target."""
        parts = [self.value(*crossed(part, target)) for part in self._parts(output, target)]
        return (torch.cat(parts) if len(parts) > 1 else parts[0]).reshape(len(output), len(target))

    def _parts(self, output: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """The outputs in parts that, crossed with the targets, take no more than MOST_NUMBERS."""
        each = len(target) * (output.shape[1] if output.ndim > 1 else 1)
        return torch.split(output, max(1, MOST_NUMBERS // max(1, each)))

    def _row(self, output: Tensor, target: Tensor) -> Tensor:
        return self.objective.rows(output[None], target[None]).sum()

    def has_changed(self) -> bool:
        """Whether the batch that was asked first now gets another answer than then, in any bit."""
        last = self._first_answer()
        if self.first is None or last is None:
            return self.first is not last
        return not torch.equal(last.isnan(), self.first.isnan()) or not torch.equal(
            last.nan_to_num(), self.first.nan_to_num()
        )

    def _first_answer(self) -> Tensor | None:
        """To one fixed batch; None where it is refused."""
        try:
            with self.objective.twin(torch.float64):
                return self.objective.rows(*drawn_batch(self.space, FIRST_ROWS)).detach().clone()
        except Exception:  # told elsewhere
            return None

    def _count(self, output: Tensor) -> None:
        """Rows asked one by one are counted, and too many are refused."""
        if self.reduces:
            self.alone += len(output)
            if self.alone > MOST_ALONE:
                raise TooSlowError


def crossed(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Every output with every target, outputs slowest; (F·Y,) or (F·Y, m), and (F·Y,)."""
    return output.repeat_interleave(len(target), 0), target.repeat(len(output))
