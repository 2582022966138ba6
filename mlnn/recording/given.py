"""What a recorder is given, met at the door: a model, an optimiser of its weights, and room for the capsules."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.arguments import mapping, shown, whole
from mlnn.errors import ConfigError
from mlnn.recording.capsule import bytes_of
from mlnn.recording.parts import Held, buffers_of, local
from mlnn.recording.records import Settings
from mlnn.runs.environment import environment


def plain_optimizer(model: object, optimizer: Any) -> torch.optim.Optimizer:
    """The torch optimiser inside of its wrappers."""
    if not isinstance(model, nn.Module):
        raise ConfigError(f"record: model is a {type(model).__name__}; the nn.Module that the loop calls is needed")
    found, seen = optimizer, 0
    while not isinstance(found, torch.optim.Optimizer) and hasattr(found, "optimizer") and seen < 8:
        found, seen = found.optimizer, seen + 1
    inner = getattr(found, "optimizer", None)  # accelerate's wrapper is an optimiser itself, which never steps
    if isinstance(inner, torch.optim.Optimizer):
        found = inner
    if not isinstance(found, torch.optim.Optimizer):
        raise ConfigError(f"record: optimizer is a {type(optimizer).__name__}; a torch.optim.Optimizer is needed")
    return found


def check_folder(out: object) -> None:
    """ConfigError where `out` is no path."""
    if not isinstance(out, str | os.PathLike):
        raise ConfigError(f"record: out is a {type(out).__name__}; the path of a new folder is needed")


def steps_chosen(capsules: object) -> frozenset[int]:
    """The steps that are kept in full; ConfigError where they are no whole numbers."""
    if not isinstance(capsules, Iterable) or isinstance(capsules, str | bytes):
        raise ConfigError(f"capsules: {shown(capsules)}; steps are needed, such as (0, 10), or () for none")
    return frozenset(whole("capsules", step, 0) for step in capsules)


def rank_and_ranks() -> tuple[int, int]:
    """Which of how many processes this is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def check_weights(held: Sequence[Held], optimizer: torch.optim.Optimizer, given: object) -> None:
    """ConfigError where the optimiser steps none of the weights."""
    if not held:
        raise ConfigError("record: the model has no weights that are trained")
    stepped = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    if not any(id(one.weight) in stepped for one in held):
        raise ConfigError(
            f"record: none of the model's weights belong to this {type(given).__name__}; give the model and the optimiser that"
            " the loop uses, after they were wrapped or moved"
        )


def check_size(model: nn.Module, held: Sequence[Held], count: int, most: int) -> None:
    """ConfigError where `count` capsules have more than `most` bytes."""
    each = 2 * bytes_of({one.told.name: local(one.weight) for one in held}) + bytes_of(dict(buffers_of(model)))
    if count * each > most:
        raise ConfigError(
            f"record: {count} capsules of {each / 1e9:.3g} GB (weights and gradient), without their batches, are more than"
            f" max_bytes={most:,}; choose fewer (capsules=()), or allow more"
        )


def settings_at_start(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    held: Sequence[Held],
    every: int,
    about: Mapping[str, object] | None,
) -> Settings:
    """What was set when the recording began; ConfigError where `about` is no mapping."""
    groups = tuple(
        {name: _word(value) for name, value in group.items() if name != "params"} for group in optimizer.param_groups
    )
    words = {str(name): str(word) for name, word in mapping("about", about).items()}
    return Settings(
        tuple(one.told for one in held), type(optimizer).__name__, groups, type(model).__name__, every,
        *rank_and_ranks(), environment(), words,
    )  # fmt: skip


def _word(value: object) -> str:
    return repr(value.item() if isinstance(value, Tensor) and value.numel() == 1 else value)[:200]
