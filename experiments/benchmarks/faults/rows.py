"""Rows for a pair of any target space and shape: drawn here in plain torch, so that a label can be proved without mlnn."""

import re
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from faults.pair import Batch, Pair

FEATURES = 5
IGNORED = 0.2
"""Share of positions that are ignored, beside the ends of short sequences."""


@dataclass(frozen=True)
class Space:
    """A target space as a pair writes it, `kind(size, ignore=…, axis=…)`."""

    kind: str
    size: int | None
    ignore: int | None
    axis: int | None

    @property
    def outputs(self) -> int:
        """Raw outputs of one position."""
        if self.kind == "ordinal":
            return (self.size or 0) - 1
        return self.size or 1

    def raw_shape(self, rows: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the raw outputs of a batch: a single one has no axis of its own, and `axis=1` stands before positions."""
        if self.size is None:
            return (rows, *shape)
        return (rows, self.outputs, *shape) if self.axis == 1 else (rows, *shape, self.outputs)


def read(targets: str) -> Space:
    """The space that a pair names."""
    kind, inner = re.fullmatch(r"(\w+)(?:\((.*)\))?", targets).groups()  # type: ignore[union-attr]
    named = dict(part.split("=") for part in re.findall(r"\w+=-?\d+", inner or ""))
    size = re.match(r"\d+", inner or "")
    ignore, axis = (int(named[name]) if name in named else None for name in ("ignore", "axis"))
    return Space(kind, int(size[0]) if size else None, ignore, axis)


def draw_batch(pair: Pair, rows: int, draws: Generator) -> Batch:
    """x (n, *shape, features) from N(0, 1), y that depends on it, and the pair's extras: all float64 or int64."""
    space = read(pair.targets)
    x = torch.randn(rows, *pair.shape, FEATURES, generator=draws, dtype=torch.float64)
    teacher = torch.randn(FEATURES, space.outputs, generator=draws, dtype=torch.float64) / 2
    y = _follow(space, x @ teacher, draws)
    if space.ignore is not None and space.ignore < 0:
        y = y.masked_fill(_left_out(y, draws), space.ignore)
    return {"x": x, "y": y, **(pair.extras(draws, rows) if pair.extras else {})}


def draw_batches(pair: Pair, count: int, rows: int, draws: Generator) -> list[Batch]:
    """So many batches of one and the same teacher."""
    whole = draw_batch(pair, count * rows, draws)
    parts = {name: tensor.split(rows) for name, tensor in whole.items()}
    return [{name: part[place] for name, part in parts.items()} for place in range(count)]


def draw_output(pair: Pair, rows: int, draws: Generator, scale: float) -> Tensor:
    """Raw outputs (n, …) from N(0, scale²)."""
    shape = read(pair.targets).raw_shape(rows, pair.shape)
    return scale * torch.randn(shape, generator=draws, dtype=torch.float64)


def _follow(space: Space, signal: Tensor, draws: Generator) -> Tensor:
    """Targets that depend on signals (n, *shape, m)."""
    noise = torch.randn(signal.shape, generator=draws, dtype=torch.float64)
    uniform = torch.rand(signal.shape, generator=draws, dtype=torch.float64)
    if space.kind == "classes":
        return (signal + noise).argmax(-1)
    if space.kind == "ordinal":
        cuts = torch.linspace(-1, 1, space.outputs, dtype=torch.float64)
        return ((signal + noise)[..., :1] > cuts).sum(-1)
    if space.kind == "simplex":
        return torch.softmax(1.5 * (signal + noise), -1)
    found = (uniform < torch.sigmoid(signal)).double() if space.kind in ("binary", "multilabel") else signal + noise
    return found[..., 0] if space.size is None else found


def _left_out(y: Tensor, draws: Generator) -> Tensor:
    """Mask of ignored positions: some anywhere, and the ends of sequences of unequal length; a row keeps one position."""
    mask = torch.rand(y.shape, generator=draws) < IGNORED
    if y.ndim == 1:
        return mask
    length = torch.randint(1, y.shape[1] + 1, (len(y), 1), generator=draws)
    mask |= torch.arange(y.shape[1]) >= length
    mask[:, 0] = False
    return mask
