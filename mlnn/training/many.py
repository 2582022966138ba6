"""The same network from many seeds: rows of one stack where that can be, else one training run after another."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.arguments import shown, whole
from mlnn.errors import ConfigError
from mlnn.training.lane import Lane
from mlnn.training.recipe import LaneRecipe, Recipe
from mlnn.training.solo import train
from mlnn.training.stacking.seeds import SeedRows
from mlnn.training.stacking.stack import UnstackableError
from mlnn.world import MOST_THREADS, own_world

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """What became of S seeds, in their order.

    `lanes`: each where its training ended, `stopped` saying where one went non-finite; their optimisers are new ones where the
    lanes were rows. `losses` (S, steps): of each step's batch, in the run's own precision, NaN where none was trained any more.
    `engine`: "stacked", or "plain" with the reason.
    """

    seeds: tuple[int, ...]
    lanes: tuple[Lane, ...]
    losses: Tensor
    engine: str


def train_many(
    recipe: Recipe,
    lane_recipe: LaneRecipe,
    seeds: Iterable[int],
    progress: Progress | None = None,
    threads: int | None = None,
) -> Trained:
    """Train one network once per seed, all at once where they can be rows of one computation; the recipe's own seed is not used.

    Each has the first weights, the order of rows and the results of `train` with its seed, within rounding; one that goes
    non-finite stops where it is and leaves the others alone. A model or an objective that draws random numbers (dropout) draws
    them from a stream per seed, which rows do not have: it is trained plain. `progress`: called with (steps of a seed done, all
    of them), from 0 again where a stack turns out not to answer as lanes alone do. threads: of torch, None keeps the number
    there is. Raises ConfigError as `train`.
    """
    if not isinstance(seeds, Iterable):
        raise ConfigError(f"seeds: {shown(seeds)}; several whole numbers are needed, such as range(16)")
    seeds = tuple(whole("seeds: a seed", seed, -(2**64), 2**64) for seed in seeds)
    if not seeds:
        raise ConfigError("seeds: none is given; one run per seed is trained")
    threads = threads if threads is None else whole("threads", threads, 1, MOST_THREADS)
    lane_recipe = lane_recipe.wrapped(recipe.dataset)
    try:
        with own_world(threads, seeds[0]):
            rows = SeedRows.of(recipe, lane_recipe, seeds)
            return Trained(seeds, rows.lanes, rows.train(progress), "stacked")
    except UnstackableError as problem:
        return _one_by_one(recipe, lane_recipe, seeds, progress, threads, f"plain: {problem}")


def _one_by_one(
    recipe: Recipe,
    lane_recipe: LaneRecipe,
    seeds: tuple[int, ...],
    progress: Progress | None,
    threads: int | None,
    engine: str,
) -> Trained:
    losses = torch.full((len(seeds), recipe.steps), math.nan, dtype=recipe.dtype)
    lanes = []
    for place, seed in enumerate(seeds):

        def record(row: Mapping[str, float], own: Tensor = losses[place]) -> None:
            own[int(row["step"])] = row["loss"]

        def told(done: int, of: int, before: int = place) -> None:
            if progress:
                progress(before * of + done, len(seeds) * of)

        lanes.append(
            train(replace(recipe, seed=seed), lane_recipe, record, told if progress else None, threads=threads)
        )
    return Trained(seeds, tuple(lanes), losses, engine)
