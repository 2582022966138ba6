"""Calling a model so that nothing of it shows afterwards: on copies, with random numbers of its own."""

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlnn.auditing.guarded import unreadable
from mlnn.errors import ConfigError, DataError, MlnnError
from mlnn.seeding import derive, generator

NUDGE = 1e-3
"""Weights are moved by this share of their size: a head or gate that starts at zero would hide what stands behind it."""


@contextmanager
def seeded(seed: int) -> Iterator[Callable[[], bool]]:
    """torch's, Python's and numpy's global streams from a seed, as they were afterwards; yields "has anything drawn?"."""
    python, array = random.getstate(), np.random.get_state()  # noqa: NPY002 (a model may draw from it)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            first = _state()
            yield lambda: _state() != first
        finally:
            random.setstate(python)
            np.random.set_state(array)  # noqa: NPY002


def _state() -> tuple[bytes, object, object]:
    place = np.random.get_state(legacy=False)  # noqa: NPY002
    assert isinstance(place, dict)
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), (place["state"]["pos"], place["has_gauss"])


def prepared(model: nn.Module | Callable[[], nn.Module], seed: int) -> nn.Module:
    """A float64 copy on the CPU, its weights nudged; raises ConfigError for what is not a model or cannot be copied."""
    made = model if isinstance(model, nn.Module) else _from_factory(model, seed)
    if any(nn.parameter.is_lazy(part) for part in [*made.parameters(), *made.buffers()]):
        raise ConfigError(
            f"model: {type(made).__name__} has lazy weights without a shape; call it on a batch once before"
        )
    own: nn.Module = _guarded("model: copying it", copy.deepcopy, made).to("cpu", torch.float64)
    draws = generator(seed, "null", "nudge")
    for weight in own.parameters():
        _nudge(weight, draws)
    return own


def _from_factory(factory: object, seed: int) -> nn.Module:
    """What a factory makes; raises ConfigError for what is none, raises, or makes no model."""
    if not callable(factory):
        raise ConfigError(f"model: {type(factory).__name__} is neither an nn.Module nor a factory () → nn.Module")
    with seeded(derive(seed, "weights")):
        made = _guarded("model: the factory", factory)
    if not isinstance(made, nn.Module):
        raise ConfigError(f"model: the factory returned {type(made).__name__}, not an nn.Module")
    return made


@torch.no_grad()
def _nudge(weight: nn.Parameter, draws: torch.Generator) -> None:
    """Move a trained weight by NUDGE of its size; one that is not finite, or no float, stays."""
    size = weight.square().mean().sqrt() if weight.is_floating_point() else torch.tensor(torch.nan)
    if weight.requires_grad and bool(torch.isfinite(size)):
        noise = torch.randn(weight.shape, generator=draws, dtype=weight.dtype)
        weight.add_(NUDGE * (size if size else 1.0) * noise)


def in_mode(model: nn.Module, training: bool) -> nn.Module:
    """A copy in training or evaluation mode; a model that is in training mode keeps the modes of its parts."""
    own = copy.deepcopy(model)
    return own if training and model.training else own.train(training)


def checked_batch(x: object) -> Tensor:
    """The batch on the CPU, floats in float64; raises DataError unless it has two different rows and is finite."""
    own = _dense(x).detach().cpu()
    own = own.double() if own.is_floating_point() else own.clone()
    if len(own) < 2 or own.numel() == 0:
        raise DataError(
            f"x: two rows or more are needed to see whether one depends on another, found {tuple(own.shape)}"
        )
    if not bool(torch.isfinite(own).all()):
        raise DataError("x: holds NaN or infinity; remove or fill it first")
    if bool((own == own[:1]).all()):
        raise DataError(f"x: all {len(own)} rows are the same, so exchanging them shows nothing; give different rows")
    return own


def _dense(x: object) -> Tensor:
    """The batch itself; raises DataError for what is no dense tensor (n, …) of real numbers."""
    if not isinstance(x, Tensor) or (not x.is_nested and x.ndim < 1):
        found = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise DataError(f"x: a tensor (n, …) is needed, found {found}")
    unread = unreadable(x)
    if unread:
        raise DataError(f"x: a dense tensor of real numbers is needed, found a {unread} one")
    return x


def checked_seed(seed: object) -> int:
    """The seed itself; raises ConfigError for what is no whole number."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed: {seed!r}; a whole number is needed")
    return seed


@torch.no_grad()
def call(module: nn.Module, seed: int, *args: Any, **kwargs: Any) -> tuple[Any, bool]:
    """(answer, whether random numbers were drawn) of the module itself, from a seed; no gradient.

    Raises ConfigError where the module raises.
    """
    with seeded(seed) as drew:
        return _guarded("model: it", module, *args, **kwargs), drew()


def ask(model: nn.Module, x: Tensor, seed: int) -> Tensor:
    """The raw output (n, …) of a copy of the model, which itself stays as it is; raises ConfigError for another shape."""
    output, _ = call(copy.deepcopy(model), seed, x.clone())
    return output_of(output, len(x))


def output_of(output: object, rows: int) -> Tensor:
    """A model's answer, checked: a tensor whose first dimension counts the rows."""
    if not isinstance(output, Tensor):
        raise ConfigError(
            f"model: it returned {type(output).__name__}, not a tensor; wrap it so that the raw output comes out"
        )
    unread = unreadable(output)
    if unread:
        raise ConfigError(
            f"model: it returned a {unread} tensor; wrap it so that a dense one of real numbers comes out"
        )
    if output.ndim < 1 or len(output) != rows:
        raise ConfigError(f"model: raw output of shape {tuple(output.shape)} for {rows} rows; ({rows}, …) is needed")
    return output.detach()


def others_replaced(x: Tensor, row: int, draws: torch.Generator) -> list[Tensor]:
    """Batches in which every other row is a copy of this one, or drawn anew from the batch's own values, place by place."""
    anew = x.gather(0, torch.randint(len(x), x.shape, generator=draws))
    anew[row] = x[row]
    return [x[torch.full((len(x),), row)], anew]


def change(before: Tensor, after: Tensor, scale: float) -> float:
    """Largest change, relative to `scale`; infinite for another shape or a value that is no longer finite."""
    if before.shape != after.shape:
        return torch.inf
    gap = float((after.double() - before.double()).abs().max()) if before.numel() else 0.0
    if gap == 0.0:
        return 0.0
    return gap / scale if scale and gap == gap else torch.inf


def size_of(output: Tensor) -> float:
    """The largest entry, against which changes are measured."""
    return float(output.double().abs().max()) if output.numel() else 0.0


def _guarded(what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except MlnnError:
        raise
    except Exception as problem:
        shapes = ", ".join(str(tuple(part.shape)) for part in args if isinstance(part, Tensor))
        first = next(iter(str(problem).splitlines()), "")
        where = f" on {shapes} in float64" if shapes else ""
        raise ConfigError(f"{what} raised {type(problem).__name__}{where}: {first}") from problem
