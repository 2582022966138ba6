"""Who trains, side by side: loops as people write them, Lightning, and mlnn; JAX has a file of its own.

Each side trains a cell until the clock has enough, one batch of rows a step, with Adam.
"""

import importlib
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax_side
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset
from training_cells import ADAM, BATCH, Cell, lane
from training_clock import Clock, EnoughError

import mlnn
from mlnn.objectives import bce_with_logits, bernoulli_nll_log1p
from mlnn.training import train, train_many
from mlnn.training.batches import batches

ENDLESS = 100_000
"""Steps of a training that the clock ends."""
WARM = 3
"""Steps of each model before its clock starts."""
SHARES = (10, 100)
EXTRAS = {"lightning": "lightning", "jax": "jax"}
"""The package that a side needs, by the first word of its name."""


@dataclass(frozen=True)
class Side:
    """Who trains: how many models at once, and how, until the clock has enough; a comparison tells its engine."""

    name: str
    models: int
    run: Callable[[Cell, Clock], str | None]


def loader(cell: Cell, clock: Clock) -> None:
    """A loop over a DataLoader."""
    x, y = _arrays(cell)
    model = _seeded(cell)
    optimizer = ADAM(model.parameters())
    rows = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    done = 0
    while True:
        for inputs, targets in rows:
            optimizer.zero_grad()
            loss = binary_cross_entropy_with_logits(model(inputs).squeeze(-1), targets)
            loss.backward()
            optimizer.step()
            clock.losses.append(loss.item())
            done += 1
            if clock.tick(done):
                return


def plain(cell: Cell, clock: Clock, steps: int | None = None) -> None:
    """A loop over rows picked by number, with the order of rows and the first weights of mlnn's seed 0."""
    x, y = _arrays(cell)
    model = mlnn.training.initial_model(cell.recipe(1))
    optimizer = ADAM(model.parameters())
    for done, rows in enumerate(_orders(cell, steps or ENDLESS), 1):
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(x[rows]).squeeze(-1), y[rows])
        loss.backward()
        optimizer.step()
        clock.losses.append(loss.item())
        if clock.tick(done):
            return


def _arrays(cell: Cell) -> tuple[Tensor, Tensor]:
    data = cell.data()
    return data.x.to(cell.torch_dtype), data.y.to(cell.torch_dtype)


def _seeded(cell: Cell) -> torch.nn.Module:
    torch.manual_seed(0)
    return cell.model().to(cell.torch_dtype)


def _orders(cell: Cell, steps: int) -> Iterator[Tensor]:
    return (batch.rows for batch in batches(cell.recipe(steps)))


def _fit(cell: Cell, clock: Clock) -> None:
    told: Any = importlib.import_module("lightning.pytorch")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(told.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = _seeded(cell)

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            return binary_cross_entropy_with_logits(self.model(batch[0]).squeeze(-1), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return ADAM(self.parameters())

    class Watch(told.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = clock.tick(trainer.global_step)

    precision = "32-true" if cell.dtype == "float32" else "64-true"
    trainer = told.Trainer(
        accelerator="cpu", devices=1, precision=precision, max_epochs=ENDLESS, logger=False, callbacks=[Watch()],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    rows = DataLoader(TensorDataset(*_arrays(cell)), batch_size=BATCH, shuffle=True)
    trainer.fit(Module(), rows)


def lightning(cell: Cell, clock: Clock) -> None:
    """Lightning's Trainer over a DataLoader, with all that it logs, saves and shows turned off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how many workers load the rows, and versions
        _fit(cell, clock)


def one_lane(cell: Cell, clock: Clock) -> None:
    """One lane of mlnn alone."""

    def record(row: dict[str, float]) -> None:
        clock.losses.append(row["loss"])
        if clock.tick(len(clock.losses)):
            raise EnoughError

    with suppress(EnoughError):
        train(cell.recipe(ENDLESS), lane(), record, threads=1)


def many(cell: Cell, clock: Clock, models: int) -> None:
    """As many models of mlnn at once."""

    def told(done: int, _: int) -> None:
        if clock.tick(done):
            raise EnoughError

    with suppress(EnoughError):
        train_many(cell.recipe(ENDLESS), lane(), range(models), told, threads=1)


def first_losses(cell: Cell, steps: int = 5) -> tuple[list[float], str]:
    """The first losses of `many`'s seed 0, beside another, and its engine."""
    found = train_many(cell.recipe(steps), lane(), (0, 1), threads=1)
    return found.losses[0].tolist(), found.engine


def comparison(cell: Cell, clock: Clock, steps: int, mode: str = "study", share: int = 1) -> str:
    """A whole comparison of two forms of one loss, looked at at the first step and one in `share` of the others; its engine."""

    def told(done: int, _: int) -> None:
        clock.tick(done)

    found = mlnn.compare(
        cell.model, bce_with_logits, bernoulli_nll_log1p, cell.data(), optimizer=ADAM, steps=steps, batch_size=BATCH,
        dtype=cell.torch_dtype, mode=mode, looks="all" if share == 1 else steps // share + 1, progress=told, threads=1,
    )  # fmt: skip
    return str(found.run.engine)


def comparing_sides(steps: int) -> list[Side]:
    """The loop, a study, and verdicts that look at one step in SHARES, of so many steps each."""
    verdicts = [
        Side(f"verdict, 1/{share}", 1, partial(comparison, steps=steps, mode="verdict", share=share))
        for share in SHARES
        if share <= steps  # else its one look is before the clock starts
    ]
    return [Side("loop", 1, partial(plain, steps=steps)), Side("study", 1, partial(comparison, steps=steps)), *verdicts]


def training_sides(models: Sequence[int]) -> list[Side]:
    """The sides that train, loops first: those whose package is there."""
    sides = [
        Side("loop", 1, plain),
        Side("loader", 1, loader),
        Side("lightning", 1, lightning),
        Side("one lane", 1, one_lane),
        *(Side(f"mlnn {count}", count, partial(many, models=count)) for count in models),
        *(Side(f"jax {count}", count, partial(jax_side.train, models=count)) for count in (1, *models)),
    ]
    return [side for side in sides if side.name.split()[0] not in missing()]


def missing() -> list[str]:
    """The sides whose package is not installed."""
    return [name for name, package in EXTRAS.items() if importlib.util.find_spec(package) is None]
