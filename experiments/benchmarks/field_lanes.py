"""What `mlnn.compare` is given for a pair of the field: its rows, or batch after batch; its objectives, steps or loops."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from faults.pair import Pair
from faults.rows import FEATURES, Space, draw_batch, draw_batches, read
from torch import Tensor, nn

import mlnn
from mlnn.seeding import generator
from mlnn.training import LaneRecipe

Architecture = Callable[..., nn.Module]
OptimizerFactory = Callable[..., torch.optim.Optimizer]


class Positions(nn.Module):
    """An ordinary network at every position: x (n, *shape, features) → raw outputs as the space says.

    A single raw output has no axis of its own; with `axis=1` the outputs stand before the positions.
    """

    def __init__(self, architecture: Architecture, space: Space, positions: int) -> None:
        super().__init__()
        self.inner = architecture((FEATURES,), space.outputs)
        self.space, self.positions = space, positions

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.inner(x.flatten(0, self.positions)).unflatten(0, x.shape[: self.positions + 1])
        if self.space.size is None:
            return found.squeeze(-1)
        return found.movedim(-1, 1) if self.space.axis == 1 else found


@dataclass(frozen=True)
class Given:
    """What both lanes of a comparison share."""

    model: Callable[[], nn.Module]
    data: Any
    batch_size: int | None
    targets: str | None


def given(pair: Pair, architecture: Architecture, steps: int, rows: int, size: int) -> Given:
    """`rows` rows in batches of `size`, or a batch a step where the pair compares steps: the same every time."""
    draws = generator(0, "benchmark", pair.name)
    model = pair.model or _model(pair, architecture)
    if pair.step:
        return Given(model, draw_batches(pair, steps, size, draws), None, None)
    batch = draw_batch(pair, rows, draws)
    extras = {name: tensor for name, tensor in batch.items() if name not in ("x", "y")}
    data = (batch["x"], batch["y"], extras) if extras else (batch["x"], batch["y"])
    return Given(model, data, size, pair.targets)


def lane(pair: Pair, place: int, optimizer: OptimizerFactory) -> LaneRecipe:
    """The pair's left (0) or right (1) side."""
    function = copy.deepcopy((pair.left, pair.right)[place])  # a stateful loss starts afresh
    own: dict[str, Any] = {"update": pair.update[place]} if pair.update else {}
    return LaneRecipe(objective=mlnn.Step(function) if pair.step else function, optimizer=optimizer, **own)


def _model(pair: Pair, architecture: Architecture) -> Callable[[], nn.Module]:
    space = read(pair.targets)
    if pair.shape:
        return partial(Positions, architecture, space, len(pair.shape))
    return partial(architecture, (FEATURES,), space.outputs)
