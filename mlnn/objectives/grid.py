"""Where the probe looks: raw outputs × targets, extremes included, and an objective's value and gradient there."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.objectives.objective import Objective
from mlnn.objectives.rowwise import as_dtype, row_by_row
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
MANY, SPARSEST = 4096, 7
"""With more outputs than MANY the grid is thinned in proportion, to every seventh strength at most: it is held in memory."""
DIRECTIONS = 3
"""With K outputs: one corner of the space, and two directions drawn at random."""


@dataclass(frozen=True)
class Grid:
    """Points of the probe. `strength` (G,): the number along which a domain is stated; `output` (G,) or (G, K)."""

    strength: Tensor
    output: Tensor
    target: Tensor

    @property
    def labels(self) -> list[float]:
        """A name for each target: its value, or its number among them where it is several numbers."""
        return self.target.tolist() if self.target.ndim == 1 else [float(place) for place in range(len(self.target))]

    @property
    def reach(self) -> Tensor:
        """(G, 1) size of the largest entry of an output."""
        size = self.output.abs()
        return (size if size.ndim == 1 else size.amax(1))[:, None]

    @property
    def moderate(self) -> Tensor:
        """Mask (G,) of the outputs that any ordinary training visits."""
        return self.strength.abs() <= MODERATE


def make_grid(targets: TargetSpace) -> Grid:
    """Single output: z itself. K outputs: strength × direction, for one corner and two drawn directions of largest entry 1."""
    strength = torch.tensor(STRENGTHS, dtype=torch.float64)
    target, count = targets.probe_points, targets.outputs
    strength = strength[:: min(-(-count // MANY), SPARSEST)]
    if count == 1:
        return Grid(strength, strength, target)
    drawn = torch.randn(DIRECTIONS - 1, count, generator=generator(0, "probe"), dtype=torch.float64)
    corner = torch.zeros(1, count, dtype=torch.float64)
    corner[0, 0] = 1.0
    directions = torch.cat([corner, drawn / drawn.abs().amax(1, keepdim=True)])
    output = (strength[:, None, None] * directions).reshape(-1, count)
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
    target = as_dtype(grid.target.repeat(count, *[1] * (grid.target.ndim - 1)), dtype)
    value, gradient, refused = row_by_row(objective, output, target)
    return Curves(value.reshape(count, kinds), gradient.reshape(count, kinds, -1), refused)
