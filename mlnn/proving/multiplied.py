"""Whether a loss's backward pass multiplies by what comes from above it, as a row's share of a batch does."""

from fractions import Fraction
from functools import partial

import torch
from flint import arb
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.objectives.promotion import promoted
from mlnn.proving.balls import Evaluation, UnsureError, digits
from mlnn.proving.graph import Graph
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rows import PLACES, Target, outputs_of, rows_of, targets_of, trace
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.structure import numbers_of
from mlnn.proving.tracing import CoupledError
from mlnn.world import plain_tensors

FOUR, CLOSE = 4.0, 1e-13
"""What comes from above a row, by which float64 multiplies exactly, and how close to that its gradient is, relative to its largest
entry, where nothing more is asked."""
SAME = 1e-20
"""How close it is on paper, where a backward pass that takes logarithms on its way rounds nothing."""
BITS = 1024
"""Of the balls that it is asked with on paper, where a gradient may be what is left of terms 10³⁴ times as large."""


def check_multiplied(objective: Objective, target: Target) -> None:
    """Raise CoupledError where a row's gradient is not multiplied by what comes from above it, at the places that are looked at.

    Where numbers say so of one that is a small rest of large terms, rounding may: then it is asked on paper.
    """
    for place in range(len(PLACES)):
        output = outputs_of(objective, [place]).requires_grad_()
        with plain_tensors(), torch.enable_grad(), promoted():
            value = rows_of(objective, output, targets_of(objective, [target])).sum()
            if not value.requires_grad:
                return
            once, often = (
                torch.autograd.grad(value * by, output, retain_graph=True, allow_unused=True)[0] for by in (1.0, FOUR)
            )
        if once is not None and _apart(once, often) and not _multiplied_on_paper(objective, target, place):
            raise CoupledError("its backward pass is not multiplied by what comes from above")


def _apart(once: Tensor, often: Tensor) -> bool:
    """Whether one gradient is not four times the other, where both are numbers: what overflows in float64 says nothing."""
    off = often - FOUR * once
    numbers = torch.isfinite(off) & torch.isfinite(often)
    return bool(numbers.any()) and float(off[numbers].abs().max()) > CLOSE * float(often[numbers].abs().max())


def _multiplied_on_paper(objective: Objective, target: Target, place: int) -> bool:
    """Whether a gradient at a place is four times as large where what comes from above is, by balls."""
    output, graph = outputs_of(objective, [place]), Graph()
    asked = partial(rows_of, objective), output, targets_of(objective, [target])
    numbers = {("z", at): graph.const(number) for at, number in enumerate(output.flatten().tolist())}
    numbers |= {("y", at): graph.const(number) for at, number in enumerate(numbers_of(target))}
    once, often = (rebuilt(graph, tuple(trace(*asked, graph, [by])[1]), graph, numbers) for by in (1.0, FOUR))
    off = [graph.linear([(Fraction(1), more), (Fraction(-4), one)]) for one, more in zip(once, often, strict=True)]
    try:
        with digits(BITS, 1):
            found = Evaluation(graph, arb(0), {}, 1)
            return all(
                bool(abs(found[one][0]) <= arb(SAME) * abs(found[more][0]).abs_lower())
                for one, more in zip(off, often, strict=True)
            )
    except (UnsureError, VagueError, OutsideError):
        return False
