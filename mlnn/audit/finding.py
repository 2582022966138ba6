"""What the mathematics says of a loss on a target space, before words and floating point come in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Finding:
    """The part of a certificate that holds on paper; names as in `Certificate`. `base`: h at targets (n,), to (n,).

    `reference`: the loss as it is on paper, by a stable formula, where there is one: (output, target) to (n,).
    `turns`: the target is an angle, and the integral is over one turn.
    """

    kind: str
    family: str | None = None
    scale: float | None = None
    link: str | None = None
    base: Callable[[Tensor], Tensor] | None = None
    measure: str | None = None
    residual: float | None = None
    unreachable: float = 0.0
    witness: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    said: str = ""
    turns: bool = False
    reference: Callable[[Tensor, Tensor], Tensor] | None = None
