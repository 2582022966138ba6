"""The lanes of a comparison, made: which there are, in which precision, with which first weights."""

import torch
from torch import nn

from mlnn.errors import ConfigError
from mlnn.seeding import generator
from mlnn.training.batches import batches
from mlnn.training.first import initial_model, mapped_model, nudged, with_inputs_for
from mlnn.training.lane import Lane
from mlnn.training.lockstep import Lockstep
from mlnn.training.module import raw_output
from mlnn.training.recipe import LaneRecipe, Recipe, dtype_name
from mlnn.training.twins import ALONE, null_eps, promoted_sides, promoted_steps
from mlnn.world import own_world

TWINS: dict[torch.dtype, tuple[torch.dtype, ...]] = {
    torch.float64: (torch.float32,),
    torch.float32: (torch.float64,),
    torch.bfloat16: (torch.float32, torch.float64),
    torch.float16: (torch.float32, torch.float64),
}
"""Precisions in which the pair is trained once more, so that float32 and float64 are always among them."""


def make_lockstep(recipe: Recipe, left: LaneRecipe, right: LaneRecipe, null_twins: int = 3) -> Lockstep:
    """Left, right, control, null twins and precision twins, each a module of its own with the same first weights.

    Null twins alternate between permuted batch rows and weights moved by one ulp; a model that draws random numbers of
    its own (dropout) gets the one-ulp kind only, since permuted rows would meet other masks; so does a step, whose batch may
    have no rows.
    """
    model = initial_model(recipe)
    recipe = with_inputs_for(recipe, model)
    own = recipe.dtype
    theirs = mapped_model(right, model, recipe)
    lanes = {
        "left": Lane("left", left, model, own),
        "right": Lane("right", right, theirs, own),
        "control": Lane("control", left, model, own),
    }
    rowwise = left.rowwise and right.rowwise
    draws_masks = rowwise and _is_random(model, recipe)
    together = draws_masks or not left.rowwise  # rows in their order: masks, or what only the step knows of them
    permuted = {}
    for number in range(1, null_twins + 1):
        name = f"null_{number}"
        if number % 2 and not together:
            permuted[name] = generator(recipe.seed, "null", name)
            lanes[name] = Lane(name, left, model, own)
        else:
            lanes[name] = Lane(name, left, nudged(model, recipe.seed, name), own)
    followers, mirrors = {}, {}
    sides, models = (left, right), (model, theirs)
    if rowwise:
        inputs = recipe.inputs(recipe.dataset.first(2), torch.float64)
        higher = promoted_sides(sides, models, inputs, recipe.seed)
    else:
        higher = promoted_steps(sides, models, next(batches(recipe)))
    eps = null_eps(left.objective, right.objective)
    for dtype in (own, *TWINS[own]):
        label, promotes = dtype_name(dtype), higher if dtype == torch.float64 else (False, False)
        if dtype != own:
            lanes[f"left_{label}"] = Lane(f"left_{label}", left, model, dtype, promotes[0])
            lanes[f"right_{label}"] = Lane(f"right_{label}", right, theirs, dtype, promotes[1])
        followers[label] = Lane(f"right_at_left_{label}", right, theirs, dtype, promotes[1])
        if (dtype == own and any(promotes)) or (eps and label == ALONE):
            mirrors[label] = Lane(f"left_at_left_{label}", left, model, dtype, promotes[0])
    _check_weights(lanes["left"], lanes["right"])
    lockstep = Lockstep(recipe, lanes, followers, permuted, mirrors, eps, draws_masks)
    if right.mapping is not None and lockstep.optimizers_differ:
        raise ConfigError(
            "mapping: with another model on the right, both sides need the same optimizer settings and prior"
        )
    return lockstep


def _check_weights(left: Lane, right: Lane) -> None:
    """Both sides must train the same weights; raises ConfigError where right has frozen, dropped or reshaped some."""
    theirs = [tuple(weight.shape) for weight in right.translate(left, left.weights)]
    mine = [tuple(weight.shape) for weight in right.weights]
    counts = [sum(weight.numel() for weight in lane.weights) for lane in (left, right)]
    if theirs != mine or counts[0] != counts[1]:
        raise ConfigError(
            f"model: left trains {counts[0]} weights in {len(left.weights)} tensors, right {counts[1]} in {len(mine)};"
            " give a mapping, and freeze the same weights on both sides"
        )


def _is_random(model: nn.Module, recipe: Recipe) -> bool:
    batch = next(iter(batches(recipe)))
    x = batch.at(recipe.dtype).x
    state = {name: value.clone() for name, value in model.state_dict().items()}
    outputs = []
    for seed in (1, 2):
        with own_world(None, seed), torch.no_grad():
            outputs.append(raw_output(model, x))
    model.load_state_dict(state)  # batch norm counted these two passes
    return not torch.equal(*outputs)
