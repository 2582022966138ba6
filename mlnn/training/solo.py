"""One lane alone: an ordinary training run, step by step."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from mlnn.arguments import whole
from mlnn.data import nested
from mlnn.objectives import Reading, read_likelihood
from mlnn.objectives.offset import added
from mlnn.targets import OFFSET
from mlnn.training.batches import batches
from mlnn.training.first import initial_model, with_inputs_for
from mlnn.training.keeping import STILL, Keep
from mlnn.training.lane import Lane
from mlnn.training.module import guard
from mlnn.training.recipe import LaneRecipe, Recipe
from mlnn.world import MOST_THREADS, callback, own_world


def train(
    recipe: Recipe,
    lane_recipe: LaneRecipe,
    record: Callable[[dict[str, float]], None],
    progress: Callable[[int, int], None] | None = None,
    watch: Callable[[int, nn.Module], bool | None] | None = None,
    threads: int | None = None,
    keep: Keep | None = None,
) -> Lane:
    """Train one lane; `record` gets a row per step: step, loss, held_out_loss, gradient_norm (nats per row for an NLL).

    `watch` sees the module with the number of updates done, from 0 on, must leave it as it is, and ends the training with True.
    A lane that goes non-finite stops where it is, with that step as its last row; the lane returned says where. The loss may
    be any callable, which is wrapped for the data's targets. All of it in a world of its own (see `mlnn.world`); threads: of
    torch, None keeps the number there is; keep: where its state is kept, and from which it goes on. Raises
    ConfigError for a model, optimizer or objective that does not fit.
    """
    lane_recipe = lane_recipe.wrapped(recipe.dataset)
    with own_world(threads if threads is None else whole("threads", threads, 1, MOST_THREADS), recipe.seed):
        return _train(recipe, lane_recipe, record, progress, watch, keep)


def _train(
    recipe: Recipe,
    lane_recipe: LaneRecipe,
    record: Callable[[dict[str, float]], None],
    progress: Callable[[int, int], None] | None,
    watch: Callable[[int, nn.Module], bool | None] | None,
    keep: Keep | None,
) -> Lane:
    data = recipe.table
    held_y = data.y_held_out if data.y.dtype == torch.int64 else data.y_held_out.to(recipe.dtype)
    held_y = held_y.to(recipe.device)
    model = initial_model(recipe)
    recipe = with_inputs_for(recipe, model)
    lane = Lane("lane", lane_recipe, model, recipe.dtype)
    held_x = recipe.inputs(data.x_held_out, recipe.dtype)
    beside = nested.cast(dict(data.extras_held_out), recipe.dtype, recipe.device, recipe.dtype)
    asked = partial(lane_recipe.objective, **beside)
    if watch:
        watch(0, lane.module)
    begin = 0 if keep is None else keep.begin("lane", (lane, record, watch), STILL, data.fingerprint())
    for batch in () if begin and lane.stopped else batches(recipe, begin):
        held = math.nan
        if len(held_x) and lane_recipe.rowwise:
            with torch.no_grad():
                held = float(guard(lane.asked, asked, lane.predict(held_x), held_y))
        answer = lane.evaluate(batch)
        norm = float(torch.linalg.vector_norm(answer.gradient, dtype=torch.float64))
        record({"step": batch.step, "loss": answer.loss, "held_out_loss": held, "gradient_norm": norm})
        if progress:
            with callback():
                progress(batch.step + 1, recipe.steps)
        if lane.stopped:
            break
        lane.update(answer)
        if watch and watch(batch.step + 1, lane.module):
            break
        if keep is not None:
            keep.done(batch.step + 1)
    if keep is not None:
        keep.finished()
    return lane


def lane_likelihood(recipe: Recipe, lane: Lane) -> Reading | None:
    """A trained lane's likelihood over all training rows, in evaluation mode; None where the objective has none known."""
    if not lane.recipe.rowwise:
        return None
    x, y = recipe.table.x.to(recipe.dtype).to(recipe.device), recipe.table.y.to(recipe.device)
    y = y if y.dtype == torch.int64 else y.to(recipe.dtype)
    objective, extras = lane.recipe.objective, recipe.whole_data(recipe.dtype)[2]
    if OFFSET in extras and not added(objective.takes, extras):  # it makes of it what it likes
        return None
    return read_likelihood(objective, lane.module, objective.moved(lane.predict(x), extras), y)
