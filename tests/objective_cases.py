"""Objectives from configs/objective, called row by row; the stable reference; and the faults that tests plant."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn import functional

from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.signature import spaces
from mlnn.targets import TargetSpace
from mlnn.trust import instantiate

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "configs" / "objective").glob("*.yaml"))}
BINARY = TargetSpace("binary")
Function = Callable[[Tensor, Tensor], Tensor]


def build(config: str, targets: TargetSpace | None = None) -> Objective:
    """What the app does: instantiate the YAML and wrap it, for the target space that its signature puts first."""
    made = instantiate(OmegaConf.to_container(OmegaConf.load(CONFIGS[config])))
    return Objective.of(made, targets or space_of(made))


def space_of(made: object) -> TargetSpace:
    kinds = spaces(getattr(made, "nll", made))
    assert kinds, f"{made} does not say which targets it takes"
    return TargetSpace(kinds[0], 4 if kinds[0] in ("classes", "ordinal") else None)


def batch(targets: TargetSpace, dtype: torch.dtype, rows: int = 37, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Raw outputs N(0, scale²), (n,) or (n, m), and targets of a space, none of them on a boundary of it."""
    draws = torch.Generator().manual_seed(0)
    shape = (rows, targets.outputs) if targets.outputs > 1 else (rows,)
    z = scale * torch.randn(shape, generator=draws, dtype=torch.float64)
    u = 0.02 + 0.96 * torch.rand(rows, generator=draws, dtype=torch.float64)
    y = {
        "binary": (u < 0.5).double(),
        "classes": (u * (targets.classes or 0)).long(),
        "ordinal": (u * (targets.classes or 0)).long(),
        "real": 6 * u - 3,
        "counts": (9 * u).floor(),
        "positive": 5 * u,
        "unit": u,
    }[targets.kind]
    return z.to(dtype), y if y.dtype == torch.int64 else y.to(dtype)


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
