"""The first weights of every lane: the model as the factory makes it, mapped into another implementation, moved by one ulp."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from mlnn.errors import ConfigError
from mlnn.seeding import derive, generator
from mlnn.training.module import copied, made_module, raw_output
from mlnn.training.recipe import LaneRecipe, Recipe
from mlnn.world import own_world


def initial_model(recipe: Recipe) -> nn.Module:
    """The model with its first weights, drawn by the `weights` stream of the seed, in the run's own dtype.

    A module that is lazy and unmade is made by the first two rows, under the same seed. Raises ConfigError where the
    factory gives no module, or one that cannot be trained or copied.
    """
    model = made_module(recipe.model, recipe.dataset.first(2), derive(recipe.seed, "weights"))
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigError(f"model: {type(model).__name__} has no trainable parameters")
    return copied(model).to(recipe.device, recipe.dtype)  # a factory may hand out the caller's own network


def with_inputs_for(recipe: Recipe, model: nn.Module) -> Recipe:
    """The recipe with inputs as the model takes them: whole numbers as they came, where it refuses them as floats."""
    if not recipe.dataset.whole or _answers(model, recipe):
        return recipe
    tokens = replace(recipe, tokens=True)
    return tokens if _answers(model, tokens) else recipe


def _answers(model: nn.Module, recipe: Recipe) -> bool:
    trial = copied(model).eval()
    with own_world(None), torch.no_grad():
        try:
            raw_output(trial, recipe.inputs(recipe.dataset.first(2), recipe.dtype))
        except ConfigError:  # what it says is said when it is trained
            return False
    return True


def mapped_model(recipe: LaneRecipe, model: nn.Module, shared: Recipe) -> nn.Module:
    """The lane's own implementation of the model with the given model's weights; the model itself where it has none.

    Raises ConfigError where the mapped weights do not fit.
    """
    if recipe.model is None:
        return model
    own = copied(made_module(recipe.model, shared.dataset.first(2), derive(shared.seed, "weights")))
    weight = next(model.parameters())
    state = mapped(recipe, model.state_dict())
    try:
        own.to(weight.device, weight.dtype).load_state_dict(state)
    except (RuntimeError, KeyError, TypeError, AttributeError) as problem:
        first = " ".join(str(problem).split())[:300]
        raise ConfigError(f"mapping: left's weights do not fit {type(own).__name__}: {first}") from problem
    return own


def mapped(recipe: LaneRecipe, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict by the lane's mapping, which is given copies: it may write into them. Without a mapping, as it is."""
    if recipe.mapping is None:
        return state
    try:
        return recipe.mapping({name: tensor.detach().clone() for name, tensor in state.items()})
    except KeyError as problem:
        raise ConfigError(f"mapping: left has no weight {problem}; it has {', '.join(state)[:300]}") from problem


def nudged(model: nn.Module, seed: int, name: str) -> nn.Module:
    """A copy of the model with every weight moved by one ulp, up or down at random."""
    twin = copied(model)
    draws = generator(seed, "null", name)
    with torch.no_grad():
        for weight in twin.parameters():
            up = torch.rand(weight.shape, generator=draws) < 0.5
            direction = torch.where(up, torch.inf, -torch.inf).to(weight)
            weight.copy_(torch.nextafter(weight, direction))
    return twin
