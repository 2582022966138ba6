"""What the mathematics says of a loss on a target space, before words and floating point come in."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.auditing.record import Witness

SMALLEST = 1e-300
"""Keeps a division by 0, and the logarithm of 0, finite."""
Reference = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Finding:
    """The part of a certificate that holds on paper; names as in `Certificate`. `log_base`: log h at targets (n,), to (n,).

    `reference`: value and gradient of the loss as it is on paper, where they are known: (output, target) to (n,) and output.
    `turns`: the target is an angle, and the integral is over one turn. `free_below`: the τ below which a family's
    exp(−loss/τ) is still integrable. `reach`: size of several raw outputs up to which Z was looked at, where no formula is known.
    """

    kind: str
    family: str | None = None
    scale: float | None = None
    link: str | None = None
    log_base: Callable[[Tensor], Tensor] | None = None
    measure: str | None = None
    residual: float | None = None
    unreachable: float = 0.0
    witness: Witness | None = None
    said: str = ""
    turns: bool = False
    free_below: float = math.inf
    reach: float = math.inf
    reference: Reference | None = None


def by_formula(formula: Callable[[Tensor, Tensor], Tensor]) -> Reference:
    """The reference of a formula that autograd can follow."""

    def reference(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        output = output.clone().requires_grad_()
        value = formula(output, target)
        return value.detach(), torch.autograd.grad(value.sum(), output)[0]

    return reference
