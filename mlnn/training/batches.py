"""Which rows each step sees: one order for all lanes, cast once per dtype."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlnn.seeding import derive, generator
from mlnn.training.recipe import Recipe


@dataclass
class Batch:
    """The rows of one step. `x` (n, *shape) and `y` (n,) are fresh contiguous copies: alignment of a view changes bits."""

    step: int
    rows: Tensor
    dropout_seed: int
    recipe: Recipe
    _cast: dict[torch.dtype, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def at(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Inputs and targets in a dtype. Values are rounded to the run's own dtype first, so that twins see the same data."""
        if dtype not in self._cast:
            data, device = self.recipe.dataset, self.recipe.device
            x = data.x[self.rows].to(self.recipe.dtype).to(device, dtype)
            y = data.y[self.rows]
            y = y.to(device) if y.dtype == torch.int64 else y.to(self.recipe.dtype).to(device, dtype)
            self._cast[dtype] = (x, y)
        return self._cast[dtype]

    def permuted(self, order: Tensor) -> "Batch":
        """The same rows in another order."""
        return Batch(self.step, self.rows[order], self.dropout_seed, self.recipe)


def batches(recipe: Recipe) -> Iterator[Batch]:
    """`recipe.steps` batches: epochs of shuffled rows, the last batch of an epoch as small as the rows left over.

    One row alone would leave batch norm without a variance: a single row left over joins the batch before it.
    """
    count = len(recipe.dataset)
    size = recipe.batch_size or count
    per_epoch = count // size + (count % size > 1)
    order = torch.arange(count)
    for step in range(recipe.steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0 and recipe.batch_size is not None:
            order = torch.randperm(count, generator=generator(recipe.seed, "rows", epoch))
        rows = order[place * size : None if place == per_epoch - 1 else (place + 1) * size].clone()
        yield Batch(step, rows, derive(recipe.seed, "dropout", step), recipe)
