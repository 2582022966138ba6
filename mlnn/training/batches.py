"""Which rows each step sees: one order for all lanes, cast once per dtype."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mlnn.data import Dataset, Given
from mlnn.data.nested import cast, replaced, taken
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
            assert isinstance(self.recipe.dataset, Dataset)
            data, device = self.recipe.dataset, self.recipe.device
            x = data.x[self.rows].to(self.recipe.dtype).to(device, dtype)
            y = data.y[self.rows]
            y = y.to(device) if y.dtype == torch.int64 else y.to(self.recipe.dtype).to(device, dtype)
            self._cast[dtype] = (x, y)
        return self._cast[dtype]

    def whole(self, dtype: torch.dtype) -> Any:
        """The batch as a step of the user's own gets it: what was given, or (x, y); fresh copies, real numbers in a dtype."""
        data, recipe = self.recipe.dataset, self.recipe
        if isinstance(data, Given):
            given = data.batches[self.step % len(data.batches)]
            batch = cast(given, dtype, recipe.device, recipe.dtype)
            return batch if len(self.rows) == data.rows(self.step) else taken(batch, 0, len(self.rows))
        return replaced(self.at(dtype), Tensor.clone)

    def half(self) -> "Batch | None":
        """The first half of its rows; None where there is one alone."""
        if len(self.rows) < 2:
            return None
        return Batch(self.step, self.rows[: len(self.rows) // 2], self.dropout_seed, self.recipe)

    def permuted(self, order: Tensor) -> "Batch":
        """The same rows in another order."""
        return Batch(self.step, self.rows[order], self.dropout_seed, self.recipe)


def batches(recipe: Recipe) -> Iterator[Batch]:
    """`recipe.steps` batches: epochs of shuffled rows, the last batch of an epoch as small as the rows left over.

    One row alone would leave batch norm without a variance: a single row left over joins the batch before it.
    """
    if isinstance(recipe.dataset, Given):
        for step in range(recipe.steps):
            yield Batch(step, torch.arange(recipe.dataset.rows(step)), derive(recipe.seed, "dropout", step), recipe)
        return
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
