"""Where the probe looks: raw outputs × targets, extremes included, and an objective's value and gradient there."""

import math
from dataclasses import dataclass, replace
from functools import cache

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
FURTHER = (1.0, 4.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
FURTHER_OF_MANY = (10.0, 100.0)
"""Strengths along the further directions of a comparison: all entries together, nearly so, the last alone, first with last."""
NEARLY = 0.02
"""Share by which entries that move nearly together differ: at 100, where a padded entry stands, by about what logits do."""
ASIDE = 1e-3
"""Entries that would be 0, or all alike, are this far beside it: at 0 and at ties, where losses have kinks, points are asked."""
FEW_CLASSES = 4
"""Of more classes than this a comparison takes the first, the middle one, the last (where padding is) and two drawn."""
WHOLE = 1024
"""Gradients of more entries than this are kept as some of their entries, and as sums of all under signs drawn at random: a
difference in any one entry is in all of these sums."""
SIGNS, ENTRIES = 8, 16
AT_ONCE = 2**21
"""Raw outputs (numbers) asked in one call: 16 MiB in float64, some ten times of it while a gradient is made."""


@dataclass(frozen=True)
class Grid:
    """Points of the probe. `strength` (G,): the number along which a domain is stated; `output` (G,) or (G, K); `ray` (G,): the
    number of the direction that a point lies in.
    """

    strength: Tensor
    output: Tensor
    target: Tensor
    ray: Tensor

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
        return Grid(strength, strength, target, torch.zeros(len(strength), dtype=torch.int64))
    drawn = torch.randn(DIRECTIONS - 1, count, generator=generator(0, "probe"), dtype=torch.float64)
    corner = torch.zeros(1, count, dtype=torch.float64)
    corner[0, 0] = 1.0
    directions = torch.cat([corner, drawn / drawn.abs().amax(1, keepdim=True)])
    output = (strength[:, None, None] * directions).reshape(-1, count)
    ray = torch.arange(DIRECTIONS).repeat(len(strength))
    return Grid(strength.repeat_interleave(DIRECTIONS), output, target, ray)


def wide_grid(targets: TargetSpace) -> Grid:
    """The grid of a comparison: with K outputs all of them move together too; of many classes a sample is asked."""
    grid, count = make_grid(targets), targets.outputs
    if targets.labels and (targets.classes or 0) > FEW_CLASSES:
        grid = replace(grid, target=_sampled(targets.classes or 0))
    if count == 1:
        return grid
    sizes = OFF * torch.tensor(FURTHER if count <= MANY else FURTHER_OF_MANY, dtype=torch.float64)
    strength = torch.cat([-sizes.flip(0), sizes])
    directions = torch.zeros(4, count, dtype=torch.float64)
    directions[0] = 1.0
    directions[1] = 1.0 - NEARLY * torch.rand(count, generator=generator(1, "probe"), dtype=torch.float64)
    directions[2, -1] = 1.0
    directions[3, 0] = directions[3, -1] = 1.0
    aside = ASIDE * torch.sin(torch.arange(1, count + 1, dtype=torch.float64))  # no two of them alike, none 0
    first = torch.where(grid.output == 0, aside, grid.output)
    output = (directions[:, None] * strength[:, None]).reshape(-1, count) + aside
    ray = DIRECTIONS + torch.arange(len(directions)).repeat_interleave(len(strength))
    further = strength.repeat(len(directions))
    return Grid(
        torch.cat([grid.strength, further]), torch.cat([first, output]), grid.target, torch.cat([grid.ray, ray])
    )


def _sampled(classes: int) -> Tensor:
    """Labels (Y,) of a few classes out of many, in their order."""
    drawn = torch.randint(classes, (2,), generator=generator(2, "probe")).tolist()
    return torch.tensor(sorted({0, classes // 2, classes - 1, *drawn}))


@dataclass(frozen=True)
class Curves:
    """One objective on the grid in one dtype: `value` (G, Y), `gradient` (G, Y, m), float64 copies; NaN where refused.

    Of more than WHOLE outputs the m numbers are some entries of a gradient, and sums of all of them.
    """

    value: Tensor
    gradient: Tensor
    refused: str | None = None

    @property
    def finite(self) -> Tensor:
        """Mask (G, Y) of the points with a finite value and gradient."""
        return torch.isfinite(self.value) & torch.isfinite(self.gradient).all(-1)


def curves(objective: Objective, grid: Grid, dtype: torch.dtype) -> Curves:
    """Value and gradient of the objective at every point of the grid, each as a batch of one row would give it."""
    kinds, size = len(grid.target), grid.output[0].numel()
    chunks = grid.output.split(max(1, AT_ONCE // (kinds * size * math.prod(objective.layout.positions))))
    found = [_part(objective, output, grid.target, dtype) for output in chunks]
    value, gradient = torch.cat([part[0] for part in found]), torch.cat([part[1] for part in found])
    return Curves(value, gradient, next((part[2] for part in found if part[2]), None))


def _part(
    objective: Objective, output: Tensor, target: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, str | None]:
    """Value (G, Y), gradient (G, Y, m) and refusal at some points."""
    count, kinds = len(output), len(target)
    rows = output.repeat_interleave(kinds, 0).to(dtype)
    labels = as_dtype(target.repeat(count, *[1] * (target.ndim - 1)), dtype)
    value, gradient, refused = row_by_row(objective, rows, labels)
    gradient = gradient.reshape(len(rows), -1)
    if gradient.shape[1] > WHOLE:
        picked, signs = _sketch(gradient.shape[1])
        picked = picked if target.is_floating_point() else torch.cat([target, picked])
        gradient = torch.cat([gradient[:, picked], gradient @ signs], 1)
    return value.reshape(count, kinds), gradient.reshape(count, kinds, -1), refused


@cache
def _sketch(count: int) -> tuple[Tensor, Tensor]:
    """Entries (ENTRIES,) and signs (count, SIGNS) by which a long gradient is told from another."""
    draws = generator(3, "probe")
    picked = torch.cat([torch.tensor([0, count - 1]), torch.randint(count, (ENTRIES - 2,), generator=draws)])
    signs = torch.randint(2, (count, SIGNS), generator=draws, dtype=torch.int8)
    return picked, 2.0 * signs.double() - 1.0
