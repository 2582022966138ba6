"""Small trainings, recorded as people would: what one of a pair does otherwise is one argument."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlnn.recording import record

ROWS, BATCH = 96, 16
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """A training: six batches in their order, again and again. What a test changes is told by name.

    `other`: a step that is given other rows; `reseed`: one before which the random stream is set; `faster`: one from which on the
    rate is 1.1 times as large; `begin`: the first batch; `micro`: batches of a step; `divided`: whether their losses are;
    `poison`: a step whose loss is NaN.
    """

    steps: int = 6
    optimizer: str = "sgd"
    loss: Loss = F.cross_entropy
    times: float = 1.0
    flipped: bool = False
    micro: int = 1
    divided: bool = True
    dropout: float = 0.0
    other: int | None = None
    reseed: int | None = None
    faster: int | None = None
    poison: int | None = None
    begin: int = 0
    rate: float = 0.1
    first: int = 0
    decay: float = 0.0
    dtype: torch.dtype = torch.float32
    autocast: torch.dtype | None = None
    threads: int = 1
    names: bool = False
    every: int = 1
    capsules: tuple[int, ...] = ()
    about: tuple[tuple[str, str], ...] = ()


def net(plan: Plan) -> nn.Module:
    torch.manual_seed(plan.first)
    made = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Dropout(plan.dropout), nn.Linear(16, 3)).to(plan.dtype)
    return nn.Sequential(made) if plan.names else made


def stepper(plan: Plan, model: nn.Module) -> torch.optim.Optimizer:
    if plan.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), 0.01, weight_decay=plan.decay)
    momentum = 0.9 if plan.optimizer == "momentum" else 0.0
    return torch.optim.SGD(model.parameters(), plan.rate, weight_decay=plan.decay, momentum=momentum)


def rows() -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, 8, generator=drawn), torch.randint(0, 3, (ROWS,), generator=drawn)


def picked(plan: Plan, step: int) -> Tensor:
    """The rows of a step, which come again every six."""
    found = (torch.arange(BATCH) + BATCH * (step + plan.begin) + (5 if plan.other == step else 0)) % ROWS
    return found.flip(0) if plan.flipped else found


def step_of(plan: Plan, model: nn.Module, step: int) -> None:
    """Forward and backward of one step."""
    x, y = rows()
    for part in picked(plan, step).chunk(plan.micro):
        around = torch.autocast("cpu", plan.autocast) if plan.autocast else nullcontext()
        with around:
            loss = plan.loss(model(x[part].to(plan.dtype)), y[part]) * plan.times
        loss = loss * float("nan") if plan.poison == step else loss
        (loss / plan.micro if plan.divided else loss).backward()


def loop(plan: Plan, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The training, on a model and optimiser that may have trained before."""
    for step in range(plan.steps):
        if plan.reseed == step:
            torch.manual_seed(17)
        if plan.faster == step:
            optimizer.param_groups[0]["lr"] *= 1.1
        optimizer.zero_grad()
        step_of(plan, model, step)
        optimizer.step()


def train(out: Path, plan: Plan = Plan(), **changed: Any) -> Path:
    """The folder of a recorded training."""
    plan = replace(plan, **changed)
    model = net(plan)
    optimizer = stepper(plan, model)
    torch.manual_seed(5)
    with (
        on_threads(plan.threads),
        record(model, optimizer, out, capsules=plan.capsules, every=plan.every, about=dict(plan.about)),
    ):
        loop(plan, model, optimizer)
    return out


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def smoothed(by: float) -> Loss:
    return lambda output, target: F.cross_entropy(output, target, label_smoothing=by)


def ranks(out: Path, parts: Sequence[Callable[[int], Tensor]], *, averaged: bool = True, steps: int = 4) -> Path:
    """Recordings of a data-parallel training of as many processes as `parts` (rank's rows of a step), done in one process: each
    has its own copy, and gradients are averaged, unless nobody does it."""
    from mlnn.recording.fingerprint import Printer
    from mlnn.recording.parts import held_by
    from mlnn.recording.records import RecordedStep, Settings
    from mlnn.recording.tape import Tape
    from mlnn.recording.window import Window

    plan = Plan()
    models = [net(plan) for _ in parts]
    optimizers = [stepper(plan, model) for model in models]
    held = [held_by(model, rank) for rank, model in enumerate(models)]
    tapes = [
        Tape(out, Settings(tuple(one.told for one in mine), "SGD", ({"lr": "0.1"},), "Sequential", 1, rank, len(parts)))
        for rank, mine in enumerate(held)
    ]
    printers = [Printer([one.piece for one in mine]) for mine in held]
    for tape, printer, mine in zip(tapes, printers, held, strict=True):
        tape.start(printer.of(one.weight for one in mine))
    x, y = rows()
    for step in range(steps):
        windows = [Window() for _ in parts]
        for model, window, rows_of in zip(models, windows, parts, strict=True):
            model.zero_grad()
            own = rows_of(step)
            random.seed(models.index(model) + 7)
            window.forward((x[own],), {})
            loss = F.cross_entropy(model(x[own]), y[own])
            window.backward(loss)
            loss.backward()
        if averaged:
            for weights in zip(*(model.parameters() for model in models), strict=True):
                mean = torch.stack([weight.grad for weight in weights if weight.grad is not None]).mean(0)
                for weight in weights:
                    weight.grad = mean.clone()
        for tape, printer, mine, optimizer, window in zip(tapes, printers, held, optimizers, windows, strict=True):
            gradient = printer.of(one.weight.grad for one in mine)
            optimizer.step()
            tape.append(
                RecordedStep(
                    step, window.values(), tuple(given.seen for given in window.forwards), (0.1,), 1.0, gradient,
                    printer.of(one.weight for one in mine),
                )
            )  # fmt: skip
    for tape in tapes:
        tape.close("finished")
    return out
