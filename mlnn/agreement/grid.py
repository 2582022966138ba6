"""Where the probe looks: raw outputs × targets, extremes included, and an objective's value and gradient there."""

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

# Moderate outputs, the places where σ(z) rounds to 1 (6.23 bfloat16, 8.32 float16, 16.64 float32, 36.74 float64), where
# BCELoss's gradient dies (27.63), where e^z overflows (11.1 float16, 88.7 float32, 709.8 float64), and far beyond.
MAGNITUDES = (1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 6.5, 8.0, 9.0, 10.0, 11.5,
              13.0, 15.0, 16.0, 17.0, 20.0, 22.0, 25.0, 27.0, 28.0, 32.0, 36.0, 37.0, 45.0, 60.0, 88.0, 90.0, 105.0,
              200.0, 500.0, 705.0, 750.0, 1000.0)  # fmt: skip
OFF = 1.00123
"""Moves the grid off round numbers: at a kink (|r| at 0, a hinge at 1) any subgradient is right, and none is compared."""
STRENGTHS = tuple(OFF * m for m in (*[-m for m in reversed(MAGNITUDES)], *MAGNITUDES))
MODERATE = 4.0
DIRECTIONS = 3
"""With K outputs: one corner of the space, and two directions drawn at random."""
TARGETS = {
    "binary": (0.0, 1.0),
    "unit": (0.0, 0.1, 0.3, 0.5, 0.9, 0.999, 1.0),
    "real": (-2.53, 0.0, 0.71, 10.3),
    "counts": (0.0, 1.0, 2.0, 3.0, 7.0, 20.0),
    "positive": (0.05, 0.8, 2.3, 30.0),
}


@dataclass(frozen=True)
class Grid:
    """Points of the probe. `strength` (G,): the number along which a domain is stated; `output` (G,) or (G, K)."""

    strength: Tensor
    output: Tensor
    target: Tensor

    @property
    def moderate(self) -> Tensor:
        """Mask (G,) of the outputs that any ordinary training visits."""
        return self.strength.abs() <= MODERATE


def make_grid(targets: TargetSpace) -> Grid:
    """Single output: z itself. K outputs: strength × direction, for one corner and two drawn directions of largest entry 1."""
    strength = torch.tensor(STRENGTHS, dtype=torch.float64)
    numbers = torch.tensor(TARGETS.get(targets.kind, ()), dtype=torch.float64)
    count = targets.outputs
    if count == 1:
        return Grid(strength, strength, numbers)
    drawn = torch.randn(DIRECTIONS - 1, count, generator=generator(0, "probe"), dtype=torch.float64)
    directions = torch.cat([torch.eye(count, dtype=torch.float64)[:1], drawn / drawn.abs().amax(1, keepdim=True)])
    output = (strength[:, None, None] * directions).reshape(-1, count)
    target = torch.arange(count)[:4] if targets.kind == "classes" else numbers
    return Grid(strength.repeat_interleave(DIRECTIONS), output, target)


@dataclass(frozen=True)
class Curves:
    """One objective on the grid in one dtype: `value` (G, Y), `gradient` (G, Y, m), float64 copies; NaN where refused."""

    value: Tensor
    gradient: Tensor
    refused: str | None = None

    @property
    def finite(self) -> Tensor:
        """Mask (G, Y) of the points with a finite value and gradient."""
        return torch.isfinite(self.value) & torch.isfinite(self.gradient).all(-1)


def curves(objective: Objective, grid: Grid, dtype: torch.dtype) -> Curves:
    """Value and gradient of the objective at every point of the grid, each as a batch of one row would give it."""
    count, kinds = len(grid.output), len(grid.target)
    output = grid.output.repeat_interleave(kinds, 0).to(dtype)
    target = _as(grid.target.repeat(count), dtype)
    value = torch.full((len(output),), torch.nan, dtype=torch.float64)
    gradient = torch.full(output.shape, torch.nan, dtype=torch.float64)
    refusals: list[str] = []
    _fill(_unreduced(objective), output, target, (value, gradient), 0, len(output), refusals)
    return Curves(value.reshape(count, kinds), gradient.reshape(count, kinds, -1), next(iter(refusals), None))


def _unreduced(objective: Objective) -> Objective:
    """A framework-style loss module answers per row once its own reduction is switched off; others stay as they are."""
    module = objective.function
    if isinstance(module, nn.Module) and getattr(module, "reduction", None) in ("mean", "sum"):
        module = copy.copy(module)
        module.reduction = "none"  # type: ignore[assignment]
        return replace(objective, function=module)
    return objective


def _fill(
    objective: Objective,
    output: Tensor,
    target: Tensor,
    into: tuple[Tensor, Tensor],
    low: int,
    high: int,
    refusals: list[str],
) -> None:
    """Fill rows low … high−1: at once where the objective answers per row, else by halves down to single rows."""
    alone = high - low == 1
    try:
        value, gradient = _batch(objective, output[low:high], target[low:high], reduce=alone)
        if alone or value.ndim:
            into[0][low:high], into[1][low:high] = value.to(torch.float64), gradient.to(torch.float64)
            return
        step = 1  # reduced to a number: every row has to be asked on its own
    except ConfigError:
        raise
    except Exception as problem:  # an objective may refuse an output or a target with any exception
        if alone:
            refusals.append(f"{type(problem).__name__}: {next(iter(str(problem).splitlines()), '')[:100]}")
            return
        step = (high - low + 1) // 2
    for start in range(low, high, step):
        _fill(objective, output, target, into, start, min(start + step, high), refusals)


def one_batch(objective: Objective, output: Tensor, target: Tensor, dtype: torch.dtype) -> tuple[float, Tensor]:
    """Reduced value and gradient (as output, float64) of one batch in a dtype."""
    value, gradient = _batch(objective, output.to(dtype), _as(target, dtype), reduce=True)
    return float(value), gradient.to(torch.float64)


def _as(target: Tensor, dtype: torch.dtype) -> Tensor:
    return target if target.dtype == torch.int64 else target.to(dtype)


def _batch(objective: Objective, output: Tensor, target: Tensor, reduce: bool = False) -> tuple[Tensor, Tensor]:
    output = output.clone().requires_grad_()
    value = objective(output, target) if reduce else objective.rows(output, target)
    if not value.requires_grad:  # an output that the objective ignores has gradient 0
        return value.detach(), torch.zeros_like(output)
    (gradient,) = torch.autograd.grad(value.sum(), output, allow_unused=True)
    return value.detach(), torch.zeros_like(output) if gradient is None else gradient
