"""Sides in turn, round by round, each cell in a process of its own; what they took, and how that compares."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import jax_side
import torch
from training_cells import FEWER, STEPS, Cell
from training_clock import Block, Clock
from training_sides import WARM, Side, comparing_sides, comparison, first_losses, training_sides


@dataclass(frozen=True)
class Ratio:
    """How many times as much one side takes as another, round by round: median, least and largest."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f}–{self.most:.2f})"


@dataclass(frozen=True)
class Raced:
    """A cell's trainings, in the order in which they were run; the engine of mlnn's; how far the first losses of sides that
    start alike are from the loop's, relative."""

    cell: Cell
    blocks: tuple[Block, ...]
    engine: str
    apart: float

    def named(self, side: str) -> list[Block]:
        """A side's trainings, round by round."""
        return sorted((block for block in self.blocks if block.side == side), key=lambda block: block.round)

    def ratio(self, side: str, other: str, time: str = "processor", scale: float = 1.0) -> Ratio | None:
        """side ÷ (scale · other) within each round, of "processor" or "wall" time; None where a side is not there."""
        pairs = list(zip(self.named(side), self.named(other), strict=False))
        if not pairs:
            return None
        found = [getattr(one, time) / getattr(two, time) / scale for one, two in pairs]
        return Ratio(median(found), min(found), max(found))

    def middle(self, side: str, what: str = "processor") -> float | None:
        """The median over rounds of a side's seconds; None where it is not there."""
        return median(getattr(block, what) for block in self.named(side)) if self.named(side) else None


def in_turn(cell: Cell, sides: Sequence[Side], rounds: int, seconds: float | None) -> list[Block]:
    """Every side once a round, in the opposite order every second round; for `seconds`, or to their own ends."""
    blocks = []
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            gc.collect()
            clock = Clock(seconds, WARM * side.models if seconds is not None else 1)
            engine = side.run(cell, clock)
            blocks.append(clock.block(side.name, number, engine or ""))
    return blocks


def race_training(cell: Cell, models: Sequence[int], rounds: int, seconds: float) -> Raced:
    """The sides that train a cell."""
    sides = [
        side for side in training_sides(models) if not side.name.startswith("jax") or cell.network in jax_side.TAKES
    ]
    told, engine = first_losses(cell)
    blocks = in_turn(cell, sides, rounds, seconds)
    alike = [tuple(told), *(block.first for block in blocks if block.side.startswith(("one", "jax")))]
    loop = next(block.first for block in blocks if block.side == "loop")
    apart = max(abs(one - own) / own for first in alike for one, own in zip(first, loop, strict=False))
    return Raced(cell, tuple(blocks), engine, apart)


def race_comparing(cell: Cell, rounds: int, steps: int | None = None) -> Raced:
    """The loop, a study and verdicts of a cell."""
    steps = steps or FEWER.get(cell.network, STEPS)
    comparison(cell, Clock(None, 1), min(steps, 8))  # imports are nobody's speed
    blocks = in_turn(cell, comparing_sides(steps), rounds, None)
    engines = {block.engine for block in blocks if block.side == "study"}
    return Raced(cell, tuple(blocks), "; ".join(sorted(engines)), 0.0)


def in_its_own_process(function: Callable[..., Any], *given: Any) -> Any:
    """What a function returns, called in a new process with one thread and, where the system can, one core."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_alone, function, *given).result()


def _alone(function: Callable[..., Any], *given: Any) -> Any:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    return function(*given)
