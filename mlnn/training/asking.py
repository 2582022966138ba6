"""How a lane asks what is no objective of raw outputs: a step of the user's own, or an update of its own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.data.nested import rows
from mlnn.errors import ConfigError
from mlnn.objectives import Step
from mlnn.training.batches import Batch, Rows
from mlnn.training.module import guard
from mlnn.training.outputs import watched
from mlnn.training.own_update import OwnUpdate
from mlnn.training.recipe import LaneRecipe
from mlnn.world import seed_streams

Answer = tuple[float, Tensor, Rows]
"""Loss, raw outputs where they can be told, else (0,), and no rows: what is a target is known to the step alone."""


def ask_step(step: Step, module: nn.Module, run: Any, batch: Batch, parts: Sequence[Any], recipe: LaneRecipe) -> Answer:
    """Put the gradient of a step's loss in place; `parts`: the batch's micro-batches, as the step takes them.

    Raises ConfigError for a step that does more, or less, than give a loss.
    """
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in weights:
        weight.grad = None
    seed_streams(batch.dropout_seed)
    shares = _shares(parts)
    versions = [weight._version for weight in weights]
    value = 0.0
    with watched(module) as told:
        for part, share in zip(parts, shares, strict=True):
            loss = _loss(step, run, part, recipe) * share
            if [weight._version for weight in weights] != versions:
                raise ConfigError(f"step '{step.name}' changes the model's weights; {_UPDATE}")
            if not loss.requires_grad:
                raise ConfigError(
                    f"step '{step.name}': its loss has no gradient to any weight (a constant, or detached)"
                )
            if value == 0.0 and part is parts[0] and any(weight.grad is not None for weight in weights):
                raise ConfigError(f"step '{step.name}' calls backward itself; return the loss, or {_UPDATE}")
            guard(f"the backward pass of step '{step.name}'", loss.backward)
            value += loss.item()
    if all(weight.grad is None for weight in weights):
        raise ConfigError(f"step '{step.name}': its loss reaches none of the model's weights, so nothing is trained")
    return value, told.as_rows(len(batch.rows)), _no_rows()


_UPDATE = "what does all of a step is a lane's own update: LaneRecipe(optimizer=…, update=…)"


def run_update(own: OwnUpdate, batch: Batch, parts: list[Any], given: Sequence[Tensor] | None = None) -> Answer:
    """The answer of a lane's own update, which is taken back until `OwnUpdate.keep`; its gradient is put in place."""
    seed_streams(batch.dropout_seed)
    with watched(own.module) as told:
        value = own.run(parts, given)
    return value, told.as_rows(len(batch.rows)), _no_rows()


def _no_rows() -> Rows:
    return Rows(None, torch.empty(0), {})


def _loss(step: Step, run: Any, part: Any, recipe: LaneRecipe) -> Tensor:
    kind = next(run.parameters()).device.type
    with torch.autocast(kind, dtype=recipe.autocast, enabled=recipe.autocast is not None):
        loss: Tensor = guard(f"step '{step.name}'", step, run, part)
    return loss


def _shares(parts: Sequence[Any]) -> list[float]:
    """Each micro-batch's share of the rows."""
    if len(parts) == 1:
        return [1.0]
    counts = [rows(part) or 1 for part in parts]
    return [count / sum(counts) for count in counts]
