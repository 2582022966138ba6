"""Which rows each step sees: one order for all lanes, cast once per dtype."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from mlnn.data import Recorded, Stream, nested
from mlnn.seeding import derive, generator
from mlnn.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a batch in one dtype: inputs `x` (n, *shape), or what the caller's own batches have for a model; targets `y`
    (n, *positions[, event]); extras by name."""

    x: Any
    y: Tensor
    extras: dict[str, Tensor]

    def parts(self, count: int) -> list["Rows"]:
        """As micro-batches, `count` of them or one per row, the last as small as the rows left over."""
        share = -(-len(self.y) // min(count, len(self.y)))
        return [self.some(slice(start, start + share)) for start in range(0, len(self.y), share)]

    def some(self, rows: slice) -> "Rows":
        """Some of the rows, as contiguous copies."""
        count = len(self.y)

        def picked(part: Tensor) -> Tensor:
            return part[rows].contiguous() if part.ndim and len(part) == count else part

        return Rows(
            nested.replaced(self.x, picked), picked(self.y), {key: picked(part) for key, part in self.extras.items()}
        )


@dataclass
class Batch:
    """The rows of one step. Inputs, targets and extras are fresh contiguous copies: alignment of a view changes bits."""

    step: int
    rows: Tensor
    dropout_seed: int
    recipe: Recipe
    given: Recorded | None = None
    _cast: dict[torch.dtype, Rows] = field(default_factory=dict)

    def at(self, dtype: torch.dtype) -> Rows:
        """The rows in a dtype. Numbers are rounded to the run's own dtype first, so that twins see the same data."""
        if dtype not in self._cast:
            self._cast[dtype] = self._picked(dtype) if self.given is None else self._rounded(self.given, dtype)
        return self._cast[dtype]

    def whole(self, dtype: torch.dtype) -> Any:
        """The batch as a step of the user's own gets it: as the loader gave it, else (x, y) or (x, y, extras); fresh copies."""
        own = self.recipe
        if self.given is not None and self.given.given is not None:
            return nested.cast(self.given.given, dtype, own.device, own.dtype)
        rows = self.at(dtype)
        return nested.replaced((rows.x, rows.y, rows.extras) if rows.extras else (rows.x, rows.y), Tensor.clone)

    def half(self) -> "Batch | None":
        """The first half of its rows; None where there is one alone."""
        return None if len(self.rows) < 2 else self.permuted(torch.arange(len(self.rows) // 2))

    def permuted(self, order: Tensor) -> "Batch":
        """The same rows in another order, or some of them."""
        given = None if self.given is None else self.given.some(order)
        return Batch(self.step, self.rows[order], self.dropout_seed, self.recipe, given)

    def _rounded(self, given: Recorded, dtype: torch.dtype) -> Rows:
        own = self.recipe
        y, extras = (nested.cast(part, dtype, own.device, own.dtype) for part in (given.y, dict(given.extras)))
        return Rows(own.inputs(given.x, dtype), y, extras)

    def _picked(self, dtype: torch.dtype) -> Rows:
        x, y, extras = self.recipe.whole_data(dtype)
        rows = self.rows.to(y.device)
        picked = {name: part.index_select(0, rows) for name, part in extras.items()}
        return Rows(x.index_select(0, rows), y.index_select(0, rows), picked)


def batches(recipe: Recipe, begin: int = 0) -> Iterator[Batch]:
    """`recipe.steps` batches, less the first `begin`: those of a stream, or epochs of shuffled rows, the last as small as the rows
    left over.

    One row alone would leave batch norm without a variance: a single row left over joins the batch before it.
    """
    if isinstance(recipe.dataset, Stream):
        for step, (rows, given) in zip(range(recipe.steps), recipe.dataset.rows(), strict=False):
            if step >= begin:
                yield Batch(step, rows, derive(recipe.seed, "dropout", step), recipe, given)
        return
    order, drawn = torch.empty(0), -1
    for step, epoch, at in islice(places(recipe), begin, None):
        if epoch != drawn:
            order, drawn = rows_of_epoch(recipe, epoch), epoch
        yield Batch(step, order[at], derive(recipe.seed, "dropout", step), recipe)


def places(recipe: Recipe) -> Iterator[tuple[int, int, slice]]:
    """Of each step over whole data: its number, its epoch, and which places of the epoch's order its rows have."""
    count = len(recipe.dataset)
    size = recipe.batch_size or count
    per_epoch = count // size + (count % size > 1)
    for step in range(recipe.steps):
        epoch, place = divmod(step, per_epoch)
        yield step, epoch, slice(place * size, None if place == per_epoch - 1 else (place + 1) * size)


def rows_of_epoch(recipe: Recipe, epoch: int) -> Tensor:
    """The data's rows in the order of an epoch, which is that of the recipe's seed; their own where a batch is all of them."""
    count = len(recipe.dataset)
    if recipe.batch_size is None:
        return torch.arange(count)
    return torch.randperm(count, generator=generator(recipe.seed, "rows", epoch))
