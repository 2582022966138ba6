"""What a process holds of a training: its place among others, the optimiser, and of each parameter the whole or a shard."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mlnn.errors import ConfigError
from mlnn.recording.fingerprint import Piece
from mlnn.recording.records import Parameter

WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "_forward_module.", "_checkpoint_wrapped_module.")
"""What DDP, torch.compile, FSDP, Lightning's strategies and activation checkpointing put before a name."""


@dataclass(frozen=True, eq=False)
class Held:
    """A trained parameter, `weight` as the optimiser has it, and the `piece` of it that this process holds; `told`: for the
    settings."""

    weight: Tensor
    piece: Piece
    told: Parameter

    def local(self, tensor: Tensor | None) -> Tensor | None:
        """This process's part of the weight or its gradient; None where another process tells of it."""
        if tensor is None or (self.told.sharded and not self.piece.counted):
            return None
        return local(tensor)


def local(tensor: Any) -> Tensor:
    """A tensor as this process holds it, a sparse one (the gradient of an embedding) in full."""
    found: Tensor = tensor.to_local() if is_distributed(tensor) else tensor
    return found.detach() if found.layout == torch.strided else found.detach().to_dense()


def is_distributed(tensor: object) -> bool:
    """Whether a tensor is one of torch's distributed ones, without loading what makes them."""
    return type(tensor).__name__ == "DTensor" and hasattr(tensor, "placements")


def clean(name: str) -> str:
    """A parameter's name without what wrappers put before it, anywhere on the way."""
    for wrapper in WRAPPERS:
        name = (
            ".".join(part for part in name.split(".") if f"{part}." != wrapper) if f".{wrapper}" in f".{name}" else name
        )
    return name


def held_by(model: nn.Module, rank: int) -> tuple[Held, ...]:
    """All parameters that are trained, by name in the model's order. ConfigError where one is sharded along another axis than the
    first, or two have one name once wrappers are taken off."""
    found = [(clean(name), weight) for name, weight in model.named_parameters() if weight.requires_grad]
    shapeless = next((name for name, weight in found if is_lazy(weight) or weight.is_meta), None)
    if shapeless:
        raise ConfigError(
            f"record: weight '{shapeless}' has no numbers yet (a lazy layer, the meta device); call the model once first"
        )
    names = [name for name, _ in found]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice:
        raise ConfigError(f"record: the model has two weights named '{twice}' once its wrappers are taken off")
    several = any(_is_sharded(weight) for _, weight in found)
    return tuple(_held(name, weight, rank, several) for name, weight in found)


def _held(name: str, weight: Tensor, rank: int, several: bool) -> Held:
    shape, dtype = tuple(weight.shape), str(weight.dtype).removeprefix("torch.")
    if not is_distributed(weight):
        return Held(weight, Piece(name, shape, 0, rank == 0 or not several), Parameter(name, shape, dtype))
    start, counted = _place(name, weight)
    return Held(weight, Piece(name, shape, start, counted), Parameter(name, shape, dtype, _is_sharded(weight)))


def _is_sharded(weight: Any) -> bool:
    return is_distributed(weight) and any(placement.is_shard() for placement in weight.placements)


def _place(name: str, weight: Any) -> tuple[int, bool]:
    """From which entry on a shard goes, and whether it is this process that tells of it: one of those that hold the same."""
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    placements = weight.placements
    if any(p.is_partial() or (p.is_shard() and p.dim != 0) for p in placements):
        raise ConfigError(f"record: weight '{name}' is sharded as {placements}; shards along its first axis are taken")
    coordinate = weight.device_mesh.get_coordinate() or [0] * len(placements)
    counted = all(at == 0 for at, placement in zip(coordinate, placements, strict=True) if not placement.is_shard())
    _, offset = compute_local_shape_and_global_offset(weight.shape, weight.device_mesh, placements)
    width = torch.Size(weight.shape[1:]).numel()
    return int(offset[0]) * width if weight.ndim else 0, counted


def buffers_of(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Buffers by name, as this process holds them."""
    yield from ((clean(name), local(buffer)) for name, buffer in model.named_buffers())
