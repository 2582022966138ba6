"""Value and gradient of one row, to be mapped over many: torch.func's own, without torch's compiler.

`torch.func.grad_and_value` imports the compiler at its first call (1.3 s of processor time), to switch off a part of it. Where
nobody has imported it there is nothing to switch off, and the same steps are taken here, in the same order: the same bits.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

try:
    from torch._functorch import eager_transforms as steps
except ImportError:  # names of torch's own, which another release may have put elsewhere
    steps = None  # type: ignore[assignment]
STEPS = ("doesnt_support_saved_tensors_hooks", "grad_increment_nesting", "_wrap_all_tensors", "_create_differentiable",
         "_undo_create_differentiable")  # fmt: skip
"""Of torch's, each by its name."""

Row = Callable[[Tensor, Tensor], Tensor]
"""From the raw output and the target of one row to its value, a scalar."""
Asked = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def slope_and_value(row: Row) -> Asked:
    """A function (output, target) → (gradient in the output, value) of a row, for `torch.func.vmap`."""
    known = all(hasattr(steps, name) for name in STEPS)
    return step_by_step(row) if known and "torch._dynamo" not in sys.modules else torch.func.grad_and_value(row)


def step_by_step(row: Row) -> Asked:
    """The same without the compiler, by torch's own names."""
    torchs: Any = steps

    def asked(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with torchs.grad_increment_nesting() as level, torch.enable_grad():
            output, target = torchs._wrap_all_tensors((output, target), level)
            torchs._create_differentiable(output, level)
            value, slope = row(output, target), None
            if value.requires_grad:
                (slope,) = torch.autograd.grad(value, output, create_graph=True, allow_unused=True)
            slope = torch.zeros_like(output) if slope is None else slope
            return torchs._undo_create_differentiable(slope, level), torchs._undo_create_differentiable(value, level)

    found: Asked = torchs.doesnt_support_saved_tensors_hooks(asked)
    return found
