"""The optimiser of a lane: made of its own weights, and whether it can ask the loss again."""

import inspect
import sys
from types import FrameType
from typing import Any

import torch
from torch import nn

from mlnn.errors import ConfigError
from mlnn.training.module import guard
from mlnn.training.recipe import LaneRecipe


def made_optimizer(recipe: LaneRecipe, module: nn.Module, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The lane's own optimiser of its module's weights; raises ConfigError where the factory makes something else."""
    made = guard("optimizer", recipe.optimizer, module if _groups_by_name(recipe.optimizer) else list(weights))
    if not isinstance(made, torch.optim.Optimizer):
        raise ConfigError(f"optimizer: the factory returned {type(made).__name__}, not a torch.optim.Optimizer")
    own = {id(weight) for weight in weights}
    if any(id(weight) not in own for group in made.param_groups for weight in group["params"]):
        raise ConfigError(
            f"optimizer: the factory returned an {type(made).__name__} of other weights than those it was given;"
            " make a new one for each call, e.g. partial(torch.optim.SGD, lr=0.1)"
        )
    return made


def _groups_by_name(factory: Any) -> bool:
    """Whether a factory asks for the model itself, by the name of its first parameter: groups are often made by name."""
    try:
        names = [
            name for name, one in inspect.signature(factory).parameters.items() if one.kind is not one.VAR_POSITIONAL
        ]
    except (TypeError, ValueError):  # compiled code does not tell
        return False
    return names[:1] == ["model"]


def is_part_of_a_step(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a hook that is called now stands in a step which this optimiser's own step calls.

    A class whose step calls that of the class which it is made from has its hooks called twice, but once where nobody has made an
    optimiser of the other class in this process: torch puts them into a class when the first is made.
    """
    steps, frame = 0, sys._getframe().f_back
    while frame is not None and steps < 2:
        steps += (
            frame.f_code.co_name == "wrapper" and frame.f_locals.get("self") is optimizer and _is_hooked_step(frame)
        )
        frame = frame.f_back
    return steps > 1


def _is_hooked_step(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == torch.optim.Optimizer.__module__


def wants_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether `step` is given a function that evaluates the loss again: where it can take one.

    torch's own that do without one would only call it once and hand back what it returns.
    """
    try:
        parameters = list(inspect.signature(optimizer.step).parameters.values())
    except (TypeError, ValueError):  # compiled code does not tell
        return True
    if type(optimizer).__module__.startswith("torch.optim."):
        return any(one.default is one.empty for one in parameters)
    return bool(parameters)


def settings_apart(left: torch.optim.Optimizer, right: torch.optim.Optimizer) -> str | None:
    """The first setting in which two optimisers' parameter groups differ, in words; None where they have the same."""
    groups = [left.param_groups, right.param_groups]
    if len(groups[0]) != len(groups[1]):
        return f"{len(groups[0])} parameter groups on the left, {len(groups[1])} on the right"
    for number, (one, two) in enumerate(zip(*groups, strict=True)):
        for name in (name for name in one if name != "params" and name in two):
            told = repr(one[name]), repr(two[name])
            if told[0] != told[1]:
                where = f" of parameter group {number}" if len(groups[0]) > 1 else ""
                return f"{name}{where} is {told[0]} on the left, {told[1]} on the right"
    return None


def rates(left: torch.optim.Optimizer, right: torch.optim.Optimizer) -> tuple[float, float] | None:
    """The two optimisers' learning rates now; None where a side has none, or several."""
    one, two = learning_rate(left), learning_rate(right)
    return None if one is None or two is None else (one, two)


def learning_rate(optimizer: torch.optim.Optimizer) -> float | None:
    """The one learning rate of all parameter groups; None where they have none, or not the same."""
    found = {float(group["lr"]) if "lr" in group else None for group in optimizer.param_groups}
    return found.pop() if len(found) == 1 else None
