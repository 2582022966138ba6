"""Which layer does it? Every layer's call is recorded in one pass, and then made again alone, from the same input."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.auditing_models.calls import call, change, others_replaced, size_of
from mlnn.seeding import derive, generator

DRAWS = 32
"""Draws after which a layer whose output stays the same is said not to use its random numbers: one that acts in one of ten
is missed in 3 of 100 audits."""


@dataclass(frozen=True)
class Call:
    """One call of a layer inside the model: its path, what went in (copied before the call) and what came out.

    `first`: place in the record of the first call made inside this one; the record is in order of completion.
    """

    name: str
    first: int
    args: tuple[object, ...]
    kwargs: dict[str, object]
    output: Any


def recorded(model: nn.Module, x: Tensor, seed: int) -> tuple[Any, bool, list[Call]]:
    """The answer of a copy of the model, whether it drew random numbers, and its layers' calls in order of completion."""
    own = copy.deepcopy(model)
    calls: list[Call] = []
    opened: list[tuple[int, Any, Any]] = []

    def before(_: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        opened.append((len(calls), _cloned(args), _cloned(kwargs)))  # an in-place layer overwrites what it was given

    def after(name: str) -> Callable[..., None]:
        def see(_: nn.Module, args: object, kwargs: object, output: Any) -> None:  # noqa: ARG001
            calls.append(Call(name, *opened.pop(), _cloned(output)))

        return see

    for name, part in own.named_modules():
        part.register_forward_pre_hook(before, with_kwargs=True)
        part.register_forward_hook(after(name), with_kwargs=True)
    output, drew = call(own, seed, x.clone())
    return output, drew, calls


def lowest_eps(calls: list[Call]) -> float:
    """The unit roundoff of the coarsest precision that a layer answered in."""
    found = (_tensors(entry.output) for entry in calls)
    kinds = {part.dtype for parts in found for part in parts if part.is_floating_point()}
    return max((float(torch.finfo(kind).eps) for kind in kinds), default=0.0)


def culprits(calls: list[Call], does: Callable[[Call], bool]) -> list[str]:
    """Paths of the innermost layers that do something, "" for the model's own forward; in order of execution."""
    found: dict[str, int] = {}
    for place, entry in enumerate(calls):
        inside = any(entry.first <= last for last in found.values())
        if not inside and (entry.name in found or does(entry)):
            found[entry.name] = place
    return list(found)


def draws(model: nn.Module, entry: Call, seed: int) -> bool:
    """Whether a layer's answer to the same input changes with the random numbers."""
    first, drew = _again(model, entry, entry.args, entry.kwargs, seed)
    if not drew or first is None:
        return False
    others = (_again(model, entry, entry.args, entry.kwargs, derive(seed, "draw", n))[0] for n in range(1, DRAWS))
    return any(other is None or change(first, other, size_of(first)) > 0 for other in others)


def couples(model: nn.Module, entry: Call, rows: int, at: tuple[int, ...], slack: float, seed: int) -> bool:
    """Whether a layer's answer for a row changes, though the row goes in unchanged, when the other rows do.

    Asked only of layers that take and give tensors whose first dimension counts the rows.
    """
    first, _ = _again(model, entry, entry.args, entry.kwargs, seed)
    if first is None or first.ndim < 1 or len(first) != rows:
        return False
    for row in at:
        for kind in (0, 1):

            def exchange(part: Tensor, row: int = row, kind: int = kind) -> Tensor:
                if part.ndim < 1 or len(part) != rows:
                    return part
                return others_replaced(part, row, generator(seed, "rows", row))[kind]

            args, kwargs = _mapped(entry.args, exchange), _mapped(entry.kwargs, exchange)
            other, _ = _again(model, entry, args, kwargs, seed)
            if other is None or change(first[row], other[row], size_of(first)) > slack:
                return True
    return False


def _again(
    model: nn.Module, entry: Call, args: tuple[object, ...], kwargs: dict[str, object], seed: int
) -> tuple[Tensor | None, bool]:
    """(first tensor of a layer's answer, whether it drew), by a copy of the layer alone."""
    layer = copy.deepcopy(model.get_submodule(entry.name))
    output, drew = call(layer, seed, *_cloned(args), **_cloned(kwargs))
    return next((part.detach() for part in _tensors(output)), None), drew


def _mapped(node: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same tuples, lists and dicts with every tensor replaced."""
    if isinstance(node, Tensor):
        return function(node)
    if isinstance(node, tuple | list):
        parts = [_mapped(part, function) for part in node]
        return type(node)(*parts) if hasattr(node, "_fields") else type(node)(parts)
    if isinstance(node, dict):
        return {key: _mapped(part, function) for key, part in node.items()}
    return node


def _cloned(node: Any) -> Any:
    return _mapped(node, torch.clone)


def _tensors(node: Any) -> list[Tensor]:
    """Every tensor of an answer, in order."""
    found: list[Tensor] = []
    _mapped(node, lambda part: found.append(part) or part)  # type: ignore[func-returns-value]
    return found
