"""How time and memory grow: one size at a time, every point in a process of its own."""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from training_cells import ADAM, BATCH, lane
from training_race import in_its_own_process

import mlnn
from mlnn.data import Dataset, from_arrays
from mlnn.models import MLP
from mlnn.objectives import bce_with_logits, bernoulli_nll_log1p
from mlnn.report.matplotlib import drawing
from mlnn.training import Recipe, train_many

BASE = {"steps": 200, "rows": 448, "width": 32, "depth": 2, "null twins": 3, "models": 0}
AXES: dict[str, Sequence[int]] = {
    "steps": (100, 200, 400, 800, 1600),
    "rows": (448, 1792, 7168, 28672, 114688),
    "width": (16, 32, 64, 128, 256),
    "depth": (1, 2, 4, 8, 16),
    "null twins": (1, 3, 7, 15, 31),
    "models": (2, 8, 32, 128, 512),
}
"""Sizes of a whole comparison; the last, models that are trained at once."""
QUICK: dict[str, Sequence[int]] = {"steps": (10, 20), "models": (2, 4)}
FEATURES = 30
WARM = 100
"""Steps of a first run, which is not counted: imports, and what is kept for good."""


@dataclass(frozen=True)
class Point:
    """A size, and what it took: seconds of processor and wall time in all, and MiB at the peak beyond what was held before."""

    axis: str
    size: int
    processor: float
    wall: float
    memory: float


def grown(axes: Mapping[str, Sequence[int]], progress: Callable[[int, int], None]) -> list[Point]:
    """All points of some axes."""
    todo, found = [(axis, size) for axis, sizes in axes.items() for size in sizes], []
    for one in todo:
        found.append(in_its_own_process(point, *one))
        progress(len(found), len(todo))
    return found


def point(axis: str, size: int) -> Point:
    """One size of an axis, the others as in BASE."""
    sizes = BASE | {axis: size}
    _run(BASE | {"steps": WARM, "models": 2 if axis == "models" else 0}, _data(BASE["rows"]))
    data = _data(sizes["rows"])
    held = _begin()
    begun = time.process_time(), time.perf_counter()
    _run(sizes, data)
    processor, wall = time.process_time() - begun[0], time.perf_counter() - begun[1]
    return Point(axis, size, processor, wall, max(_peak() - held, 0.0))


def _data(rows: int) -> Dataset:
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(rows, FEATURES, generator=draws, dtype=torch.float64)
    y = (torch.rand(rows, generator=draws, dtype=torch.float64) < torch.sigmoid(x.sum(1) / 5)).double()
    return from_arrays(x, y)


def _run(sizes: Mapping[str, int], data: Dataset) -> None:
    model = partial(MLP, (FEATURES,), 1, depth=sizes["depth"], width=sizes["width"])
    if sizes["models"]:
        train_many(Recipe(data, model, sizes["steps"], BATCH), lane(), range(sizes["models"]), threads=1)
        return
    mlnn.compare(
        model, bce_with_logits, bernoulli_nll_log1p, data, optimizer=ADAM, steps=sizes["steps"], batch_size=BATCH,
        null_twins=sizes["null twins"], threads=1,
    )  # fmt: skip


def _begin() -> float:
    """MiB that are held now; the peak is counted from here where the system can, from the start of the process elsewhere."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return _peak()


def _peak() -> float:
    try:
        return _status("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _status(name: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def draw(points: Sequence[Point], path: Path) -> None:
    """The figure: a column per axis, processor time above memory, both axes logarithmic."""
    axes = list(dict.fromkeys(one.axis for one in points))
    with drawing() as (figure, canvas):
        whole = figure(figsize=(2.6 * len(axes), 4.8), layout="constrained")
        canvas(whole)
        grid = whole.subplots(2, len(axes), squeeze=False)
        for column, axis in enumerate(axes):
            own = [one for one in points if one.axis == axis]
            _panel(grid[0][column], own, "processor", "seconds of processor time" if not column else "")
            _panel(grid[1][column], own, "memory", "MiB at the peak" if not column else "")
            grid[1][column].set_xlabel("models at once" if axis == "models" else axis)
        whole.savefig(path, dpi=120)


def _panel(panel: Any, own: Sequence[Point], what: str, label: str) -> None:
    sizes, found = [one.size for one in own], [getattr(one, what) for one in own]
    panel.plot(sizes, found, "o-", color="#30507a", markersize=4)
    straight = [found[-1] * size / sizes[-1] for size in sizes]
    panel.plot(sizes, straight, ":", color="#999999", linewidth=1)
    panel.set_xscale("log")
    panel.set_yscale("log" if min(found) > 0 else "linear")
    panel.set_ylabel(label)
    panel.minorticks_off()
    panel.set_xticks(sizes, [str(size) for size in sizes])
    panel.tick_params(labelsize=7)
