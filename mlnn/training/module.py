"""What is asked of the user's own parts: a factory for a module, a module for one raw output, each refused in a few lines."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mlnn.arguments import first_line
from mlnn.data import nested
from mlnn.errors import ConfigError, MemoryWantedError, MlnnError, wants_memory
from mlnn.targets import TargetSpace
from mlnn.training.recipe import dtype_name
from mlnn.world import own_world

SEVERAL = "; a loss that reads several raw outputs says how many in the target space: targets='real(raw=2)'"
"""Said where one that was given a single raw output looks for a second."""


def guard(what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a part that may be the user's own; an exception of its own becomes a short ConfigError with the shapes,
    a MemoryWantedError where it is for want of memory."""
    try:
        return call(*arguments)
    except MlnnError:
        raise
    except Exception as problem:
        given = [*arguments, *getattr(call, "args", ()), *getattr(call, "keywords", {}).values()]  # a partial's own
        shapes = ", ".join(f"{tuple(a.shape)} {dtype_name(a.dtype)}" for a in given if isinstance(a, Tensor))
        raised = f"{what} raised {type(problem).__name__}{' on ' if shapes else ''}{shapes}: {first_line(problem)}"
        flat = what.startswith("objective") and given and isinstance(given[0], Tensor) and given[0].ndim == 1
        if wants_memory(problem):
            raise MemoryWantedError(f"ran out of memory: {raised}") from problem
        raise ConfigError(raised + (SEVERAL if flat and isinstance(problem, IndexError) else "")) from problem


def made_module(factory: Callable[[], nn.Module], rows: Tensor, seed: int) -> nn.Module:
    """The module that a factory makes under a seed; lazy parts are made by passing `rows` (n, *shape) through it once.

    Raises ConfigError where it makes something else, or weights that are no real numbers in memory.
    """
    with own_world(None, seed):
        model = guard("model", factory)
        if not isinstance(model, nn.Module):
            raise ConfigError(f"model: the factory returned {type(model).__name__}, not an nn.Module")
        if any(is_lazy(tensor) for tensor in _tensors(model)):
            _make_lazy_parts(model, rows)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        kind = _odd(tensor)
        if kind:
            raise ConfigError(f"model: '{name}' of {type(model).__name__} is {kind}; mlnn trains real, dense weights")
    return model


def copied(model: nn.Module) -> nn.Module:
    """A copy of a module; raises ConfigError where it holds something that cannot be copied."""
    try:
        return copy.deepcopy(model)
    except Exception as problem:
        raise ConfigError(
            f"model: {type(model).__name__} cannot be copied, and each lane trains a copy of its own"
            f" ({type(problem).__name__}: {first_line(problem)[:80]}); keep locks, files and results out of the module,"
            " or give it a __deepcopy__"
        ) from problem


def raw_output(model: Callable[..., Any], x: Any) -> Tensor:
    """A module's raw output for a batch, of which it is given a copy: it may write into it. ConfigError for anything else.

    Inputs by name are handed to the parameters of those names. An answer with `logits` (an attribute, or an entry) has its
    raw output there.
    """
    output = guard("model", _called(model, nested.replaced(x, Tensor.clone)))
    if not isinstance(output, Tensor):
        told = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
        output = told if isinstance(told, Tensor) else output
    if not isinstance(output, Tensor):
        several = f" of {len(output)} entries" if isinstance(output, tuple | list | dict) else ""
        raise ConfigError(
            f"model: returned {type(output).__name__}{several}; one tensor of raw outputs is needed: wrap the module in one"
            " whose forward returns it alone"
        )
    kind = _odd(output) or ("" if output.is_floating_point() else f"of dtype {dtype_name(output.dtype)}")
    if kind:
        raise ConfigError(f"model: its output is {kind}; raw outputs are real, dense floating-point numbers")
    return output


def squeezed(output: Tensor, targets: TargetSpace, positions: tuple[int, ...]) -> Tensor:
    """A model's raw output as (n, *positions), or (n, *positions, m) for targets with m of them, here and nowhere else.

    A single-output model's last axis of 1 is dropped, and the axis that the target space names becomes the last.
    """
    if targets.outputs == 1:
        return output.squeeze(-1) if output.ndim == 2 + len(positions) and output.shape[-1] == 1 else output
    return targets.canonical(output)


def _called(model: Callable[..., Any], x: Any) -> Callable[[], Any]:
    """The call of a model on a batch's inputs: a tensor as it is, inputs by name to the parameters that have those names."""
    if not isinstance(x, Mapping):
        return partial(model, x)
    forward = getattr(getattr(model, "_orig_mod", model), "forward", model)  # a compiled module does not tell
    parameters = inspect.signature(forward).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return partial(model, **x)
    taken = {one.name: x[one.name] for one in parameters if one.name in x}
    tensors = [part for part in x.values() if isinstance(part, Tensor)]
    if not taken and len(tensors) == 1:
        return partial(model, tensors[0])
    if not taken:
        raise ConfigError(
            f"model: the batch has {', '.join(x)} and forward takes {', '.join(one.name for one in parameters)}; name them alike"
        )
    return partial(model, **taken)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, with every part's own mode put back: a frozen part is to stay frozen."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def check_output(output: Tensor, target: Tensor, targets: TargetSpace) -> None:
    """Raise ConfigError unless a squeezed output has the shape that targets (n, *positions[, event]) need."""
    several = (targets.outputs,) if targets.outputs > 1 else ()
    rows = (len(target), *targets.positions(target))
    if output.shape == (*rows, *several):
        return
    found, wanted = tuple(output.shape), str((*rows, *several))
    if targets.axis is not None and several:
        found, wanted = tuple(targets.arranged(output).shape), str((rows[0], *several, *rows[1:]))
    if not several:
        wanted += f" or {(*rows, 1)}"
    of = f"{rows[0]} rows" + (f" of {' × '.join(map(str, rows[1:]))} positions" if rows[1:] else "")
    count = output.shape[-1] if output.ndim == len(rows) + 1 else 1
    cure = _says_so(targets, count) if output.shape[:-1] == rows and count > 1 and not targets.event else ""
    raise ConfigError(f"model: raw output of shape {found} for {of} and targets '{targets}'; {wanted} is needed{cure}")


def _says_so(targets: TargetSpace, count: int) -> str:
    return f" (if the loss reads {count} raw outputs per position, say so: targets='{replace(targets, raw=count)}')"


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _make_lazy_parts(model: nn.Module, rows: Tensor) -> None:
    ready = [tensor for tensor in _tensors(model) if not is_lazy(tensor)]
    dtype = next((tensor.dtype for tensor in ready if tensor.is_floating_point()), torch.get_default_dtype())
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    with torch.no_grad():
        guard("model", model, rows.to(dtype).clone())
    for part, training in modes:
        part.training = training
    left = [name for name, part in model.named_modules() if any(is_lazy(t) for t in part.parameters(recurse=False))]
    if left:
        raise ConfigError(
            f"model: '{left[0]}' is lazy and was not made by a first batch; call the module in its factory"
        )


def _odd(tensor: Tensor) -> str:
    """What keeps a tensor from being an ordinary one, in words; empty for an ordinary one."""
    if tensor.is_meta:
        return "on the device 'meta', where a tensor holds no numbers"
    if tensor.is_complex():
        return "complex"
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return "quantized"
    return "" if tensor.layout == torch.strided else "sparse"
