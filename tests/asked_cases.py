"""Losses as the parts of an audit ask them, and the plainest of them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

f64 = torch.float64
Function = Callable[[Tensor, Tensor], Tensor]


def asked(function: Any, targets: str | TargetSpace = "real") -> Loss:
    space = targets if isinstance(targets, TargetSpace) else TargetSpace.parse(targets)
    made = Objective.of(function, space, name="loss")
    return Loss(made, made.targets)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=f64)


def squared(f: Tensor, y: Tensor) -> Tensor:
    return 0.5 * (y - f) ** 2


def normal(output: Tensor, y: Tensor) -> Tensor:
    """A normal by its mean and the log of its variance."""
    return 0.5 * ((y - output[:, 0]) ** 2 * torch.exp(-output[:, 1]) + output[:, 1])
