"""Trainings of several processes, each recorded: run by tests/test_recording_processes.py in processes of their own."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import mlnn

STEPS, ROWS = 4, 16
WORLD = 2
KINDS = (
    "ddp", "ddp_static", "ddp_unused", "fsdp", "fsdp_checkpointed", "same_rows", "own_divisor", "no_sync", "same_divisor",
    "fsdp_same_rows", "fsdp_no_sync", "own_seed",
)  # fmt: skip


class Net(nn.Module):
    """Widths that two processes cannot halve: 7 hidden units, 3 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 7), nn.Tanh())
        self.head = nn.Linear(7, 3)
        self.spare = nn.Linear(7, 3)

    def forward(self, x: Tensor, spare: bool = False) -> Tensor:
        """(n, 5) → (n, 3)."""
        hidden = self.body(x)
        out: Tensor = self.spare(hidden) if spare else self.head(hidden) + 0 * self.spare(hidden)
        return out


class UnusedNet(Net):
    """One whose `spare` has no gradient."""

    def forward(self, x: Tensor, spare: bool = False) -> Tensor:
        """(n, 5) → (n, 3)."""
        out: Tensor = (self.spare if spare else self.head)(self.body(x))
        return out


def rows_of(step: int) -> tuple[Tensor, Tensor]:
    """The rows of all processes at a step, some of whose labels are to be ignored: 7 in the first half, 1 in the second."""
    drawn = torch.Generator().manual_seed(100 + step)
    x = torch.randn(ROWS, 5, generator=drawn)
    y = torch.randint(0, 3, (ROWS,), generator=drawn)
    y[:7] = -100
    y[-1] = -100
    return x, y


def train(kind: str, out: Path) -> None:
    """One training of a kind, recorded."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if kind != "alone" else (0, 1)
    torch.manual_seed(rank if kind == "own_seed" else 0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global stream is just what is meant
    model: nn.Module = UnusedNet() if kind == "ddp_unused" else Net()
    if kind.startswith("fsdp"):
        model = sharded(model, kind)
    elif kind == "no_sync" or kind == "own_seed":
        model = DistributedDataParallel(model, init_sync=kind == "no_sync")
    elif kind != "alone":
        model = DistributedDataParallel(
            model, static_graph=kind == "ddp_static", find_unused_parameters=kind == "ddp_unused"
        )
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with mlnn.record(model, optimizer, out / kind, capsules=()):
        for step in range(STEPS):
            x, y = rows_of(step)
            mine = slice(0, ROWS) if kind == "alone" else slice(rank * ROWS // world, (rank + 1) * ROWS // world)
            if kind.endswith("same_rows"):
                mine = slice(0, ROWS // world)
            optimizer.zero_grad()
            with apart(model, kind.endswith("no_sync") and step == 2):
                loss_of(kind, model, x, y, mine, world).backward()
            optimizer.step()


@contextmanager
def apart(model: Any, yes: bool) -> Iterator[None]:
    """A backward pass after which, if `yes`, no process tells the others its gradient."""
    if not yes:
        yield
    elif isinstance(model, DistributedDataParallel):
        with model.no_sync():
            yield
    else:
        model.set_requires_gradient_sync(False)
        yield
        model.set_requires_gradient_sync(True)


def loss_of(kind: str, model: nn.Module, x: Tensor, y: Tensor, mine: slice, world: int) -> Tensor:
    """The mean over all kept rows, of which a process has a part: by the number that all keep, or, wrongly, its own."""
    total = F.cross_entropy(model(x[mine]), y[mine], ignore_index=-100, reduction="sum")
    kept = (y[mine] if kind == "own_divisor" else y) != -100
    if kind == "same_divisor":  # the first process's number, for all
        kept = y[: ROWS // world] != -100
    return total * (1 if kind in ("own_divisor", "same_divisor") else world) / kept.sum()


def sharded(model: nn.Module, kind: str) -> nn.Module:
    """FSDP2: every part sharded along its first axis, which does not come out even."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing
    from torch.distributed.device_mesh import init_device_mesh

    if kind == "fsdp_checkpointed":
        apply_activation_checkpointing(model, check_fn=lambda part: isinstance(part, nn.Linear))
    mesh = init_device_mesh("cpu", (WORLD,))
    fully_shard(model.body, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def side_by_side(script: str, *words: str) -> None:
    """A script of tests/ in as many processes as there are ranks: `python SCRIPT RANK WORDS…`."""
    path = Path(__file__).with_name(script)
    ranks = [
        subprocess.Popen(
            [sys.executable, str(path), str(rank), *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for rank in range(WORLD)
    ]
    try:
        told = [rank.communicate(timeout=300)[1].decode() for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * WORLD, told


def main(rank: str, out: str, *kinds: str) -> None:
    """What each process does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{out}/meeting", rank=int(rank), world_size=WORLD)
    try:
        for kind in kinds:
            train(kind, Path(out))
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
