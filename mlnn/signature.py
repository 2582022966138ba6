"""What an objective's signature says of it: the target spaces it is meant for, and how many raw outputs per row it reads.

An objective writes `target: Counts` instead of `target: Tensor`; a type checker sees a Tensor all the same. A callable that
says nothing is taken at its word for any target space.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from torch import Tensor


@dataclass(frozen=True)
class Spaces:
    """The kinds of target space that a target may come from."""

    kinds: tuple[str, ...]


@dataclass(frozen=True)
class RawOutputs:
    """Raw outputs per row where they are not those of the target space."""

    count: int


Binary = Annotated[Tensor, Spaces(("binary", "unit"))]
HardBinary = Annotated[Tensor, Spaces(("binary",))]
Classes = Annotated[Tensor, Spaces(("classes",))]
Ordered = Annotated[Tensor, Spaces(("ordinal",))]
Real = Annotated[Tensor, Spaces(("real", "positive", "counts", "unit", "binary"))]
Counts = Annotated[Tensor, Spaces(("counts",))]
Positive = Annotated[Tensor, Spaces(("positive",))]
Unit = Annotated[Tensor, Spaces(("unit",))]
OneOutput = Annotated[Tensor, RawOutputs(1)]
TwoOutputs = Annotated[Tensor, RawOutputs(2)]


def spaces(function: Callable[..., Any]) -> tuple[str, ...] | None:
    """The kinds of target space the function says it takes; None where it does not say."""
    found = _marks(function, Spaces)
    return found[0].kinds if found else None


def raw_outputs(function: Callable[..., Any]) -> int | None:
    """The number of raw outputs per row the function says it reads; None where that is up to the target space."""
    found = _marks(function, RawOutputs)
    return found[0].count if found else None


def _marks(function: Callable[..., Any], kind: type) -> list[Any]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a compiled function does not tell its signature
        return []
    marks = [mark for parameter in parameters for mark in getattr(parameter.annotation, "__metadata__", ())]
    return [mark for mark in marks if isinstance(mark, kind)]
