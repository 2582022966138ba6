"""How true is a sketched distance? True against sketched, over 1,000 pairs, by size of model and kind of fault.

python experiments/benchmarks/sketch_accuracy.py [how many times as many]: 5 minutes of processor time at once
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlnn.recording.fingerprint import Piece, Printer, distance, factor

Fault = Callable[[list[Tensor], torch.Generator], list[Tensor]]
SHAPES: dict[int, tuple[tuple[int, ...], ...]] = {
    31: ((1, 30), (1,)),
    1_000: ((16, 30), (16,), (29, 16), (29,), (11,)),
    100_000: ((256, 128), (256,), (256, 256), (256,), (4, 256), (4,)),
    10_000_000: ((2048, 1024), (2048,), (2048, 2048), (2048,), (1856, 2048), (1856,)),
}
"""Parameters of a model of about so many weights."""
PAIRS = {31: 85, 1_000: 80, 100_000: 30, 10_000_000: 5}
"""Of each kind of fault; a pair of the largest takes 10 s."""


def noise(tensors: list[Tensor], draws: torch.Generator) -> list[Tensor]:
    return [one * (1 + 1e-6 * torch.randn(one.shape, generator=draws, dtype=one.dtype)) for one in tensors]


def scaled(tensors: list[Tensor], draws: torch.Generator) -> list[Tensor]:
    by = 1 + 1e-4 * float(torch.rand((), generator=draws))
    return [one * by for one in tensors]


def one_weight(tensors: list[Tensor], draws: torch.Generator) -> list[Tensor]:
    found = [one.clone() for one in tensors]
    chosen = found[0].view(-1)
    chosen[int(torch.randint(len(chosen), (), generator=draws))] += 1e-3
    return found


def one_column(tensors: list[Tensor], draws: torch.Generator) -> list[Tensor]:
    found = [one.clone() for one in tensors]
    wide = max(found, key=lambda one: one.numel())
    wide[:, int(torch.randint(wide.shape[1], (), generator=draws))] = 0
    return found


def one_layer(tensors: list[Tensor], draws: torch.Generator) -> list[Tensor]:
    place = int(torch.randint(len(tensors), (), generator=draws))
    return [one * 1.01 if at == place else one for at, one in enumerate(tensors)]


FAULTS: dict[str, Fault] = {
    "noise": noise, "scale": scaled, "one weight": one_weight, "one column lost": one_column, "one layer": one_layer,
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Of a size and a fault: relative errors of the sketched distance, and the largest error of the factor's distance from 1, as a
    share of the true relative distance."""

    weights: int
    fault: str
    errors: np.ndarray
    factor: float


def cell(weights: int, fault: str, pairs: int) -> Cell:
    """Pairs of float64 tensors, told apart by their fingerprints and in truth; names anew for each, which draw signs and places."""
    errors, worst = [], 0.0
    for pair in range(pairs):
        draws = torch.Generator().manual_seed(1000 * pair + len(fault))
        one = [torch.randn(shape, generator=draws, dtype=torch.float64) for shape in SHAPES[weights]]
        two = FAULTS[fault](one, draws)
        printer = Printer([Piece(f"{pair}.layer{at}", tuple(part.shape)) for at, part in enumerate(one)])
        a, b = printer.of(one), printer.of(two)
        true = float(torch.cat([(y - x).flatten() for x, y in zip(one, two, strict=True)]).norm())
        flat, other = (torch.cat([part.flatten() for part in side]) for side in (one, two))
        errors.append(distance(a, b) / true - 1)
        size = float(flat.norm())
        worst = max(worst, abs(factor(a, b) - float(flat @ other) / size**2) / (true / size))
    return Cell(weights, fault, np.array(errors), worst)


def main() -> None:
    """Print a table, a line a cell."""
    times = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    print("| weights | fault | pairs | rms error | 95 % within | largest | factor |\n|---|---|---|---|---|---|---|")
    for weights in SHAPES:
        count = max(1, round(times * PAIRS[weights]))
        for fault in FAULTS:
            begun = time.process_time()
            found = cell(weights, fault, count)
            size = np.abs(found.errors)
            told = [np.sqrt((size**2).mean()), np.quantile(size, 0.95), size.max(), found.factor]
            print(f"| {weights:,} | {fault} | {count} | {' | '.join(f'{one:.1%}' for one in told)} |", flush=True)
            print(f"{time.process_time() - begun:.0f} s of processor time", file=sys.stderr)


if __name__ == "__main__":
    main()
