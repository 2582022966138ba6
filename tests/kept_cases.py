"""Runs that stop in the middle and go on, and parts of them that keep a state where it is not looked for."""

import itertools
import math
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import mlnn
from mlnn import models
from mlnn.runs.kept.keeper import Keeper
from mlnn.runs.kept.place import open_place
from mlnn.training import LaneRecipe

DRAWS = torch.Generator().manual_seed(3)
X, Y = torch.randn(40, 3, generator=DRAWS), (torch.rand(40, generator=DRAWS) < 0.5).float()
KEPT = {"command": "compare", "words": [], "told": {}, "config": "", "environment": {}, "marks": []}


class Stopped(Exception):
    """A process that is gone."""


class Stopping(Keeper):
    """A keeper of a process that ends once so many steps are done and kept."""

    at = math.inf

    def done(self, step: int) -> None:
        super().done(step)
        if step == self.at:
            self.keep()
            raise Stopped


class Hidden(nn.Module):
    """A state in every kind of attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.calls, self.seen = nn.Linear(3, 1), 0, [0.0]
        self.old, self.new, self.drawn = random.Random(5), np.random.default_rng(3), torch.Generator().manual_seed(4)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen = [*self.seen[-2:], self.old.random()]
        noise = 0.01 * torch.randn(1, generator=self.drawn) + 0.01 * float(self.new.normal()) + 0.01 * self.seen[0]
        return self.head(x) * (1 + 0.01 * (self.calls % 7)) + noise


class Counting(nn.Module):
    """A state that nobody can see."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.calls = nn.Linear(3, 1), itertools.count()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x) * (1 + 0.01 * (next(self.calls) % 7))


class Noisy(torch.optim.Optimizer):
    """A user's optimiser with a generator and a list of its own."""

    def __init__(self, weights: Any) -> None:
        super().__init__(weights, {})
        self.draws, self.sizes = np.random.default_rng(1), list[float]()

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for weight in (weight for group in self.param_groups for weight in group["params"] if weight.grad is not None):
            noise = torch.from_numpy(self.draws.normal(size=tuple(weight.shape))).to(weight)
            weight -= 0.05 * weight.grad + 1e-3 * noise + 1e-4 * len(self.sizes) + 1e-4 * torch.randn_like(weight)
            self.sizes.append(float(weight.grad.norm()))


class Averaged:
    """An update of a user's own, which clips, and keeps an average."""

    def __init__(self) -> None:
        self.average: list[Tensor] = []

    def __call__(self, model: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
        optimizer.zero_grad()
        loss = sum(by_hand(model(x).squeeze(-1), y) for x, y in batches) / len(batches)
        loss.backward()  # type: ignore[union-attr]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            weights = [weight.detach().clone() for weight in model.parameters()]
            self.average = [0.9 * a + 0.1 * w for a, w in zip(self.average or weights, weights, strict=True)]
            for weight, mean in zip(model.parameters(), self.average, strict=True):
                weight.lerp_(mean, 0.1)
        return float(loss)


def scheduled(weights: Any) -> torch.optim.Optimizer:
    """An optimiser whose schedule goes by a hook."""
    made = torch.optim.SGD(weights, lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(made, 3, 0.5)
    made.register_step_post_hook(lambda *_: schedule.step())
    return made


def by_hand(output: Tensor, target: Tensor) -> Tensor:
    return (nn.functional.softplus(output) - target * output).mean()


def node() -> nn.Module:
    return models.MLP((3,), 1, depth=0)


def deep(**options: Any) -> Callable[[], nn.Module]:
    return partial(models.MLP, (3,), 1, depth=1, width=4, **options)


def run(keep: Keeper | None = None, **options: Any) -> mlnn.Comparison:
    """A small comparison."""
    given: dict[str, Any] = {
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "steps": 8,
        "batch_size": 16,
        "model": node,
    }
    given = {**given, "null_twins": 1, "targets": "binary"} | options
    if update := given.pop("update", None):
        left = right = LaneRecipe(optimizer=given["optimizer"], update=update())
    else:
        left, right = nn.BCEWithLogitsLoss(), by_hand
    return mlnn.compare(given.pop("model"), left, right, (X, Y), keep=keep, **given)


def told(found: mlnn.Comparison) -> tuple[Any, ...]:
    """All of a comparison, so that a bit that differs shows."""
    trace = {name: (column.dtype, column.tobytes()) for name, column in found.trace.items()}
    return trace, repr(found.to_dict()), found.run.engine


def stopped(where: Path, at: int, notes: list[str] | None = None, **options: Any) -> Stopping:
    """The keeper of a run that ended after so many steps."""
    try:
        with open_place(where, KEPT, overwrite=False) as place:
            keep = Stopping(place, (notes if notes is not None else []).append)
            keep.at = at
            run(keep, **options)
    except Stopped:
        return keep
    raise AssertionError("it did not stop")


def gone_on(where: Path, notes: list[str] | None = None, **options: Any) -> tuple[mlnn.Comparison, int]:
    """(The comparison gone on with, the step at which it did.)"""
    with open_place(where, KEPT, overwrite=False) as place:
        keep = Keeper(place, (notes if notes is not None else []).append)
        keep.every = math.inf
        found = run(keep, **options)
        return found, max(keep.kept, 0)
