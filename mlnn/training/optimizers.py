"""The optimiser of a lane: made of its own weights, and whether it can ask the loss again."""

import inspect

import torch
from torch import nn

from mlnn.errors import ConfigError
from mlnn.training.module import guard
from mlnn.training.recipe import LaneRecipe


def made_optimizer(recipe: LaneRecipe, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The lane's own optimiser of the given weights; raises ConfigError where the factory makes something else."""
    made = guard("optimizer", recipe.optimizer, list(weights))
    if not isinstance(made, torch.optim.Optimizer):
        raise ConfigError(f"optimizer: the factory returned {type(made).__name__}, not a torch.optim.Optimizer")
    own = {id(weight) for weight in weights}
    if any(id(weight) not in own for group in made.param_groups for weight in group["params"]):
        raise ConfigError(
            f"optimizer: the factory returned an {type(made).__name__} of other weights than those it was given;"
            " make a new one for each call, e.g. partial(torch.optim.SGD, lr=0.1)"
        )
    return made


def takes_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether `step` can be given a function that evaluates the loss again, as torch's own optimisers can."""
    try:
        return bool(inspect.signature(optimizer.step).parameters)
    except (TypeError, ValueError):  # compiled code does not tell
        return True
