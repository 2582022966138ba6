"""What a recording costs, in processor time: a step with it over the same step without, the two in turn within one training, and
over the same step without what the recorder's own hooks took, which the machine's other work moves less.

python experiments/benchmarks/recording_cost.py [rounds]
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from rich.console import Console
from tables import Listing, rich_table
from torch import Tensor, nn
from torch.nn import functional as F

import mlnn
from mlnn.recording import Recorder
from mlnn.recording.tape import STEPS

CLASSES = 10
HOOKS = ("_before_forward", "_after_forward", "_before_step", "_after_step")


@dataclass(frozen=True)
class Cell:
    """A network and its batch: `steps` of it are a block."""

    name: str
    model: Callable[[], nn.Module]
    rows: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Cost:
    """Of a cell, recorded at every `every`-th step: seconds of a step without, ratios of blocks, and of each
    block with a recording over the rest of it without the recorder's own time, bytes a step on the disk."""

    cell: Cell
    weights: int
    every: int
    step: float
    ratios: tuple[float, ...]
    own: tuple[float, ...]
    bytes: float

    def row(self) -> tuple[str, ...]:
        """As a table shows it."""
        size, step = f"{self.weights:,}", f"{self.step * 1e3:.3g}"
        return self.cell.name, size, str(self.every), step, _told(self.ratios), _told(self.own), f"{self.bytes:,.0f}"


def _told(ratios: Sequence[float]) -> str:
    low, _, high = quantiles(ratios, n=4)
    return f"{median(ratios):.3f} ({low:.3f} to {high:.3f})"


class Transformer(nn.Module):
    """Six layers of 384, ten million weights in 77 tensors."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(384, 6, 1536, dropout=0.1, batch_first=True)
        self.layers, self.head = (
            nn.TransformerEncoder(layer, 6, enable_nested_tensor=False),
            nn.Linear(384, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, t, 384) → (n, t, classes)."""
        out: Tensor = self.head(self.layers(x))
        return out


def mlp(width: int, depth: int) -> Callable[[], nn.Module]:
    """`depth` hidden layers of one width."""

    def made() -> nn.Module:
        hidden = [part for _ in range(depth) for part in (nn.Linear(width, width), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(width, CLASSES))

    return made


CELLS = (
    Cell("transformer", Transformer, (8, 64, 384), 2),
    Cell("MLP", mlp(1024, 9), (768, 1024), 2),
    Cell("MLP", mlp(100, 9), (32, 100), 50),
    Cell("MLP", mlp(16, 3), (32, 16), 100),
)


@contextmanager
def own_time() -> Iterator[list[float]]:
    """What the recorder's hooks take, in seconds, one after the other."""
    spent: list[float] = []

    def timed(hook: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            begun = time.process_time()
            found = hook(*args, **kwargs)
            spent.append(time.process_time() - begun)
            return found

        return watched

    before = {name: getattr(Recorder, name) for name in HOOKS}
    for name, hook in before.items():
        setattr(Recorder, name, timed(hook))
    try:
        yield spent
    finally:
        for name, hook in before.items():
            setattr(Recorder, name, hook)


def cost(cell: Cell, every: int, rounds: int) -> Cost:
    """Blocks of steps with and without a recording in turn, of one training with Adam."""
    torch.manual_seed(0)
    model = cell.model()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    x = torch.randn(cell.rows)
    y = torch.randint(0, CLASSES, cell.rows[:-1]).flatten()
    steps = max(cell.steps, every)

    def block(steps: int = steps) -> float:
        begun = time.process_time()
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x).flatten(0, -2), y).backward()
            optimizer.step()
        return (time.process_time() - begun) / steps

    def recorded(steps: int = steps) -> tuple[float, float, float]:
        with tempfile.TemporaryDirectory() as folder, own_time() as spent:
            out = Path(folder) / "recording"
            with mlnn.record(model, optimizer, out, capsules=(), every=every):
                found = block(steps)
            return found, sum(spent) / steps, (out / STEPS).stat().st_size / steps

    block(2), recorded(2)  # what is made once is no cost of a step
    alone, ratios, own, size = [], [], [], 0.0
    for _ in range(rounds):
        alone.append(block())
        beside, mine, size = recorded()
        ratios.append(beside / alone[-1])
        own.append(beside / (beside - mine))
    weights = sum(part.numel() for part in model.parameters())
    return Cost(cell, weights, every, median(alone), tuple(ratios), tuple(own), size)


def listing(costs: Sequence[Cost]) -> Listing:
    """One line a cell."""
    header = ("network", "weights", "every", "step, ms", "with ÷ without (quartiles)", "by own time", "bytes a step")
    return Listing("Cost of a recording, one thread, float32, Adam", header, [one.row() for one in costs])


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    console, found = Console(), []
    for cell in CELLS:
        for every in (1, 50):
            found.append(cost(cell, every, given if every <= cell.steps else max(given // 5, 2)))
            console.print(*found[-1].row(), sep="  ")
    console.print(rich_table(listing(found)))
