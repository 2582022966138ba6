"""A capsule: one step of a training in full, enough to do that step again elsewhere. safetensors and JSON, nothing that can run.

It holds the rows that the model was given, and weighs what weights, gradient and batch weigh.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlnn.errors import DataError, RunFolderError
from mlnn.lifting.carried import from_data, to_data
from mlnn.lifting.lifted import Lifted
from mlnn.lifting.tree import rebuilt
from mlnn.received import check_size, chunks, open_plain
from mlnn.recording.streams import Streams
from mlnn.recording.tape import SETTINGS
from mlnn.runs import hashed_json, is_older, read_hashed, write_file
from mlnn.visible import shown
from mlnn.world import MOST_THREADS

TOLD, TENSORS = "capsule.json", "tensors.safetensors"
AUTOCAST_DEVICES, AUTOCAST_DTYPES = ("cpu", "cuda"), ("bfloat16", "float16")
FORMAT = 2
"""1 had no checksum of its own."""
MOST_BYTES = 64_000_000_000
MOST_FORWARDS = 4096


@dataclass(frozen=True, eq=False)
class Passed:
    """One forward pass of the step: `arguments`, the skeleton of (args, kwargs); its tensors by place; the random `streams` before
    it."""

    arguments: object
    tensors: Mapping[str, Tensor]
    random: Streams

    def given(self) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs), made anew; DataError where they held what a capsule does not keep."""
        made = rebuilt(self.arguments, self.tensors)
        if not isinstance(made, dict) or made.keys() != {"args", "kwargs"}:
            raise DataError("its batch is damaged")
        return list(made["args"]), dict(made["kwargs"])


@dataclass(frozen=True)
class Null:
    """How far rounding alone moves this step: the step done once more with every weight moved by one ulp, beside itself done once
    more. Relative distances of `loss` and `gradient`; `again`: whether the step done once more has the bits of the training's."""

    loss: float
    gradient: float
    again: bool


@dataclass(frozen=True, eq=False)
class Capsule:
    """One step in full, tensors on the CPU.

    `reason`: "chosen", or "not finite". `weights`, `buffers`: before the forward pass; `gradient`: as the optimiser found it,
    divided by `scale` if that was not 1. `passes`: forward passes, `losses`: of the backward passes, as given to them.
    `objectives`: of each loss how it follows from what the forward pass returned, or why that is not known (`unlifted`).
    `autocast`: the dtype it was on with, if it was. `training`: of each module whether it was in training mode. `threads`:
    of torch, which change bits. `hashed`: whether a checksum has held what was read to what was written.
    """

    step: int
    reason: str
    weights: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    gradient: Mapping[str, Tensor]
    passes: tuple[Passed, ...]
    losses: tuple[float, ...]
    scale: float = 1.0
    rates: tuple[float, ...] = ()
    objectives: tuple[Lifted, ...] = ()
    unlifted: str = ""
    autocast: tuple[str, str] | None = None
    training: Mapping[str, bool] = field(default_factory=dict)
    null: Null | None = None
    sharded: bool = False
    threads: int = 1
    path: Path | None = None
    hashed: bool = True


def write_capsule(folder: Path, capsule: Capsule) -> None:
    """Write a capsule into a folder of its own; RunFolderError where the disk refuses."""
    from safetensors.torch import save_file

    objectives: list[object] = []
    constants: dict[str, Tensor] = {}
    for at, lifted in enumerate(capsule.objectives):
        told, held = to_data(lifted)
        objectives.append(told)
        constants |= {f"objective/{at}/{name}": tensor for name, tensor in held.items()}
    tensors = {
        **{f"weights/{name}": tensor for name, tensor in capsule.weights.items()},
        **{f"buffers/{name}": tensor for name, tensor in capsule.buffers.items()},
        **{f"gradient/{name}": tensor for name, tensor in capsule.gradient.items()},
        **{
            f"pass/{at}/{place}": tensor
            for at, one in enumerate(capsule.passes)
            for place, tensor in one.tensors.items()
        },
        **{f"random/{at}/{name}": state for at, one in enumerate(capsule.passes) for name, state in one.random.items()},
        **constants,
    }
    try:
        folder.mkdir(parents=True)
        save_file({name: _alone(tensor) for name, tensor in tensors.items()}, folder / TENSORS)
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be written: {error.strerror or error}") from error
    described = {
        "step": capsule.step, "reason": capsule.reason,
        "passes": [{"arguments": one.arguments} for one in capsule.passes],
        "losses": [repr(loss) for loss in capsule.losses], "scale": capsule.scale, "rates": list(capsule.rates),
        "objectives": objectives, "unlifted": capsule.unlifted,
        "autocast": list(capsule.autocast) if capsule.autocast else None, "training": dict(capsule.training),
        "null": None if capsule.null is None else vars(capsule.null), "sharded": capsule.sharded, "threads": capsule.threads,
        "sha256": _digest(folder / TENSORS),
    }  # fmt: skip
    write_file(folder / TOLD, hashed_json(described, FORMAT))


def read_capsule(path: Path | str) -> Capsule:
    """The capsule in a folder; DataError where there is none, it is damaged, or its tensors are not those it was written with."""
    path = Path(path)
    if "\0" in str(path) or not os.path.isdir(path):
        raise DataError(f"{shown(path, 300)}: no capsule here: no such folder")
    if os.path.isfile(path / SETTINGS):
        raise DataError(
            f"{shown(path, 300)}: is a whole recording; give a step of it that was kept: {shown(path, 300)}/capsules/…"
        )
    try:
        told = read_hashed(path / TOLD)
    except RunFolderError as problem:
        raise DataError(str(problem)) from None
    if told.get("format") not in (1, FORMAT):
        raise DataError(f"{path / TOLD}: no capsule of this version's format ({FORMAT})")
    if _digest(path / TENSORS) != told.get("sha256"):
        raise DataError(f"{path / TENSORS}: holds other tensors than this capsule was written with")
    try:
        return _opened(path, told, _tensors(path / TENSORS))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise DataError(f"{path / TOLD}: is damaged: no {shown(problem)} as it belongs there") from None


def _opened(path: Path, told: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Capsule:
    def below(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    passes = told["passes"]
    if not isinstance(passes, list) or len(passes) > MOST_FORWARDS:
        raise ValueError("passes")
    null = told["null"]
    return Capsule(
        step=int(told["step"]),
        reason=str(told["reason"]),
        weights=below("weights/"),
        buffers=below("buffers/"),
        gradient=below("gradient/"),
        passes=tuple(
            Passed(one["arguments"], below(f"pass/{at}/"), below(f"random/{at}/")) for at, one in enumerate(passes)
        ),
        losses=tuple(float(loss) for loss in told["losses"]),
        scale=float(told["scale"]),
        rates=tuple(float(rate) for rate in told["rates"]),
        objectives=_objectives(told["objectives"], below),
        unlifted=str(told["unlifted"]),
        autocast=_autocast(told["autocast"]),
        training={str(name): value is True for name, value in told["training"].items()},
        null=None if null is None else Null(float(null["loss"]), float(null["gradient"]), null["again"] is True),
        sharded=told["sharded"] is True,
        threads=min(max(int(told["threads"]), 1), MOST_THREADS),
        path=path,
        hashed=not is_older(told),
    )


def _autocast(told: Any) -> tuple[str, str] | None:
    """As `torch.autocast` takes it: it is given nothing else that somebody wrote."""
    if told is None:
        return None
    device, dtype = told
    if device not in AUTOCAST_DEVICES or dtype not in AUTOCAST_DTYPES:
        raise ValueError("autocast")
    return device, dtype


def _objectives(told: Any, below: Callable[[str], dict[str, Tensor]]) -> tuple[Lifted, ...]:
    if not isinstance(told, list) or len(told) > MOST_FORWARDS:
        raise ValueError("objectives")
    return tuple(from_data(one, below(f"objective/{at}/")) for at, one in enumerate(told))


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as problem:
        raise DataError(f"{path}: cannot be read: {shown(problem)}") from None


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with open_plain(path, follow=False) as file:
            check_size(file, MOST_BYTES)
            for block in chunks(file):
                found.update(block)
    except OSError as error:
        raise DataError(f"{shown(path, 300)}: cannot be read: {error.strerror or error}") from None
    return found.hexdigest()


def _alone(tensor: Tensor) -> Tensor:
    """A tensor of its own memory, on the CPU: two that share memory cannot be kept side by side."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def bytes_of(tensors: Mapping[str, Tensor]) -> int:
    """What tensors weigh."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def ulp_moved(tensor: Tensor) -> Tensor:
    """Every entry moved to the next number up or down, in turn; what is not a float stays."""
    if not tensor.is_floating_point():
        return tensor
    ends = torch.full_like(tensor, torch.inf)
    ends.view(-1)[1::2] *= -1
    return torch.nextafter(tensor, ends)
