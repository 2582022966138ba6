"""What a recording costs: a step with it over the same step without, in processor time, the two in turn within one training.

python experiments/benchmarks/recording_cost.py [rounds]
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import torch
from rich.console import Console
from tables import Listing, rich_table
from torch import Tensor, nn
from torch.nn import functional as F

import mlnn
from mlnn.recording.tape import STEPS

CLASSES = 10
WARM = 3


@dataclass(frozen=True)
class Cell:
    """A network and its batch: `steps` of it are a block."""

    name: str
    model: Callable[[], nn.Module]
    rows: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Cost:
    """Of a cell, recorded at every `every`-th step: seconds of a step without, ratios of blocks, bytes a step on the disk."""

    cell: Cell
    weights: int
    every: int
    step: float
    ratios: tuple[float, ...]
    bytes: float

    def row(self) -> tuple[str, ...]:
        """As a table shows it."""
        low, _, high = quantiles(self.ratios, n=4)
        size = f"{self.weights:,}"
        extra = (median(self.ratios) - 1) * self.step
        ratio = f"{median(self.ratios):.3f} ({low:.3f} to {high:.3f})"
        step, more = f"{self.step * 1e3:.3g}", f"{extra * 1e3:.2g}"
        return self.cell.name, size, str(self.every), step, ratio, more, f"{self.bytes:,.0f}"


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
    Cell("MLP", mlp(1024, 9), (512, 1024), 2),
    Cell("MLP", mlp(100, 9), (32, 100), 50),
    Cell("MLP", mlp(16, 3), (32, 16), 100),
)


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

    def recorded(steps: int = steps) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "recording"
            with mlnn.record(model, optimizer, out, capsules=(), every=every):
                found = block(steps)
            return found, (out / STEPS).stat().st_size / steps

    block(2), recorded(2)  # what is made once is no cost of a step
    alone, ratios, size = [], [], 0.0
    for _ in range(rounds):
        alone.append(block())
        beside, size = recorded()
        ratios.append(beside / alone[-1])
    weights = sum(part.numel() for part in model.parameters())
    return Cost(cell, weights, every, median(alone), tuple(ratios), size)


def listing(costs: Sequence[Cost]) -> Listing:
    """One line a cell."""
    header = ("network", "weights", "every", "step, ms", "with ÷ without (quartiles)", "more, ms", "bytes a step")
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
