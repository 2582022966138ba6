"""What the rows of a batch look like beside raw outputs and targets: their positions, and their extras by name."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

LONGEST = 8
"""Positions of an axis that a made-up row has at most: enough for a first, a last and a few between."""
MOST_ROWS = 64
"""Rows of the data whose extras are used over again."""
Extras = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Layout:
    """`positions`: the shape of a row, () where a row is one position. `extras`: by name, those of some rows of the data, and
    `targets` (rows, *positions[, event]) those that they go with: a mask may say which targets are ignored. None without extras.
    """

    positions: tuple[int, ...] = ()
    extras: Extras = field(default_factory=dict)
    targets: Tensor | None = None

    def expanded(self, points: Tensor, entries: int) -> Tensor:
        """Points (N, …) of which the last `entries` axes are one position's, as rows whose every position holds that point."""
        at = points.ndim - entries
        shape = (*points.shape[:at], *([1] * len(self.positions)), *points.shape[at:])
        return points.reshape(shape).expand(*points.shape[:at], *self.positions, *points.shape[at:])

    @property
    def whole(self) -> bool:
        """Whether an extra belongs to the batch as a whole (a count of its tokens): then only such batches can be made up."""
        return any(not part.ndim for part in self.extras.values())

    def rows(self, count: int) -> dict[str, Tensor]:
        """The extras of `count` made-up rows: those of the data's rows, one after another and over again."""
        return {name: self._over_again(part, count) for name, part in self.extras.items()}

    def targets_of(self, count: int) -> Tensor | None:
        """The targets that go with the extras of `count` made-up rows; None without extras."""
        return None if self.targets is None else self._over_again(self.targets, count)

    def _over_again(self, part: Tensor, count: int) -> Tensor:
        known = 0 if self.targets is None else len(self.targets)
        return part[torch.arange(count) % known] if part.ndim and len(part) == known else part


def layout_of(positions: tuple[int, ...], extras: Extras, targets: Tensor) -> Layout:
    """The layout of made-up rows like the first rows of some data, of at most LONGEST positions along each axis.

    Uncut where an extra belongs to a batch as a whole, which it then goes with.
    """
    short = tuple(min(length, LONGEST) for length in positions)
    if not extras:
        return Layout(short)
    if any(not part.ndim for part in extras.values()):
        return Layout(positions, dict(extras), targets)
    few = {name: part[:MOST_ROWS] if part.ndim and len(part) == len(targets) else part for name, part in extras.items()}
    cut = {name: _cut(part, positions, short) for name, part in few.items()}
    return Layout(short, cut, _cut(targets[:MOST_ROWS], positions, short))


def _cut(part: Tensor, positions: tuple[int, ...], short: tuple[int, ...]) -> Tensor:
    """An extra (n, …) with its axes of positions, if it has them, cut to the made-up rows'."""
    if tuple(part.shape[1 : 1 + len(positions)]) != positions:
        return part
    return part[(slice(None), *(slice(length) for length in short))]


def extras_taken(function: Callable[..., Any]) -> frozenset[str] | None:
    """The names that a loss takes beside output and target; None where it takes any (**extras)."""
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except (TypeError, ValueError):  # compiled code does not tell
        return frozenset()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return None
    named = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    first = sum(one.kind is one.POSITIONAL_ONLY for one in parameters)
    return frozenset(named[max(0, 2 - first) :])


def extras_needed(function: Callable[..., Any]) -> frozenset[str]:
    """The names that a loss cannot be called without, beside output and target."""
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters = list(inspect.signature(called).parameters.values())[2:]
    except (TypeError, ValueError):
        return frozenset()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(one.name for one in parameters if one.kind in named and one.default is one.empty)


def sliced(extras: Extras, rows: slice | Tensor, count: int) -> dict[str, Tensor]:
    """The extras of some rows of a batch of `count`; what is no row's own (a number for the whole batch) as it is."""
    return {name: part[rows] if part.ndim and len(part) == count else part for name, part in extras.items()}
