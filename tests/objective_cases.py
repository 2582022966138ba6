"""Objectives from configs/objective, called row by row; the stable reference; and the faults that tests plant."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn import functional

from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.targets import TargetSpace
from mlnn.trust import instantiate

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "configs" / "objective").glob("*.yaml"))}
BINARY = TargetSpace("binary")
Function = Callable[[Tensor, Tensor], Tensor]


def build(config: str) -> Objective:
    """What the app does: instantiate the YAML and wrap it."""
    return Objective.of(instantiate(OmegaConf.to_container(OmegaConf.load(CONFIGS[config]))), BINARY)


def binary(function: object, **options: str) -> Objective:
    return Objective.of(function, BINARY, **options)


def at(function: Function, z: object, y: object, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Values and gradients (n,) of raw outputs and targets given as numbers, in a dtype."""
    output = torch.as_tensor(z, dtype=dtype).reshape(-1).clone().requires_grad_()
    target = torch.as_tensor(y, dtype=dtype).expand(output.shape).contiguous()
    value = function(output, target)
    (gradient,) = torch.autograd.grad(value.sum(), output)
    return value.detach(), gradient


def point(function: Function, z: float, y: float, dtype: torch.dtype = torch.float64) -> tuple[float, float]:
    """Value and gradient of one row."""
    value, gradient = at(function, z, y, dtype)
    return value.item(), gradient.item()


def reference(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """max(z,0) − yz + log1p(e^−|z|) and σ(z) − y in float64, the latter without cancellation for hard targets."""
    z, y = output.double(), target.double()
    value = z.clamp(min=0) - y * z + torch.log1p(torch.exp(-z.abs()))
    return value, torch.where(y == 1, -torch.sigmoid(-z), torch.sigmoid(z))


def softplus_form(z: Tensor, y: Tensor) -> Tensor:
    return functional.softplus(z) - y * z


def smoothed(amount: float) -> Function:
    return lambda z, y: bernoulli_nll_log1p(z, y * (1 - amount) + amount / 2)


def scaled(factor: float, shift: float = 0.0) -> Function:
    return lambda z, y: factor * bernoulli_nll_log1p(z, y) + shift


def bent(amount: float) -> Function:
    """Right value, gradient off by `amount` everywhere."""
    return lambda z, y: bernoulli_nll_log1p(z, y) + amount * (z - z.detach())


def base_two(z: Tensor, y: Tensor) -> Tensor:
    return bernoulli_nll_log1p(z, y) / math.log(2)


class Switched:
    """Right until `step` training steps are done (which a comparison tells as its progress), then `fault` takes over."""

    def __init__(self, step: int, fault: Function) -> None:
        self.step, self.fault, self.on = step, fault, False

    def progress(self, done: int, _: int) -> None:
        self.on = done >= self.step

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        return self.fault(z, y) if self.on else bernoulli_nll_log1p(z, y)


class Drifting:
    """A little larger with every call: state."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return bernoulli_nll_log1p(z, y) * (1 + 1e-3 * self.calls)
