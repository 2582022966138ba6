"""Small training loops of somebody's own, and what it is for a recording to leave them as they are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlnn.recording import Recording, read_recording, record

Loop = Callable[[nn.Module, torch.optim.Optimizer], None]


def net(dropout: float = 0.1, norm: bool = True) -> nn.Sequential:
    """10 inputs, 3 classes."""
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(16)] if norm else []
    return nn.Sequential(nn.Linear(10, 16), *middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))


def data(rows: int = 64) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(1)
    return torch.randn(rows, 10, generator=draws), torch.randint(0, 3, (rows,), generator=draws)


def plain(
    steps: int = 4,
    parts: int = 1,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    rows: Callable[[int], Tensor] | None = None,
    change: Callable[[int, Tensor], Tensor] = lambda _step, x: x,
    after: Callable[[int, torch.optim.Optimizer], None] = lambda _step, _optimizer: None,
) -> Loop:
    """A loop as people write it: `parts` micro-batches a step, the loss divided by how many there are."""
    x, y = data()

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for step in range(steps):
            optimizer.zero_grad()
            picked = torch.randint(0, 64, (32,)) if rows is None else rows(step)
            for part in picked.chunk(parts):
                found = loss(model(change(step, x[part].clone())), y[part]) / parts
                found.backward()
            optimizer.step()
            after(step, optimizer)

    return loop


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 1e-2)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1)


def end(
    loop: Loop,
    out: Path | None,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] = adam,
    model: Any = net,
    **options: Any,
) -> list[Tensor]:
    """Where a training ends: all parameters and buffers, and the next random numbers."""
    module = model()
    stepper = optimizer(module)
    torch.manual_seed(2)
    if out is None:
        loop(module, stepper)
    else:
        with record(module, stepper, out, **options):
            loop(module, stepper)
    return [*(part.detach().clone() for part in (*module.parameters(), *module.buffers())), torch.rand(3)]


def recorded(loop: Loop, out: Path, *args: Any, **options: Any) -> Recording:
    """The recording of a training, once it was seen to be the training that it is without."""
    alone, beside = end(loop, None, *args, **_quiet(options)), end(loop, out, *args, **options)
    assert_same(alone, beside)
    return read_recording(out)


def _quiet(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in ("optimizer", "model")}


def assert_same(one: Sequence[Tensor], two: Sequence[Tensor]) -> None:
    for first, second in zip(one, two, strict=True):
        assert torch.equal(first.nan_to_num(7.0), second.nan_to_num(7.0))
