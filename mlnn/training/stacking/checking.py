"""What the rows of a stack are held to: the control to left's bits, answers and steps to those of lanes alone."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import vmap

from mlnn.objectives import Objective
from mlnn.training.step import Evaluated, StepRecord

KNOWN = ("torch.", "mlnn.likelihoods", "mlnn.objectives")
"""Where functions live that do the same at every call."""
EVERY = 8
"""Steps between two at which lanes alone are asked too, where a recording has code in it that is neither torch's nor ours. A value
that changes for fewer steps is found where it changes the loss at given raw outputs, which is asked at every step."""
NEAR = 0.5
"""Two ways to the same gradient are apart, relative, by less than this power of the unit roundoff: 3e-4 in float32, 1.5e-8 in
float64; up to 5e-7 and 3e-15 were measured between a stack and lanes alone, on the shipped models."""
SAME = 100.0
"""Unit roundoffs by which a loss of the same objective may differ: it was summed in another order."""


def near(first: Tensor, second: Tensor, least: float = 0.0) -> bool:
    """Whether two ways to a gradient differ by no more than their rounding may; entries that are not finite say nothing.

    `least`: a norm that they are held to at least. A gradient that has nearly vanished is a sum of terms that cancel (in float32,
    σ(z) − 1 at z = 12.5 comes 1.6 % apart in two ways), and rounding is that of the terms.
    """
    apart, size = (part.nan_to_num(0.0, 0.0, 0.0).norm() for part in (first - second, first))
    return bool(apart <= torch.finfo(first.dtype).eps ** NEAR * size.clamp(min=least))


def terms(gradient: Tensor, first: Tensor) -> float:
    """The norm that a gradient is held to at least: that of the first one of its training; 0 in float64, whose rounding is too
    small to matter before a loss is below 1e-8."""
    return 0.0 if gradient.dtype == torch.float64 else float(first.nan_to_num(0.0, 0.0, 0.0).norm())


def known(objective: Objective) -> bool:
    """Whether an objective's code is torch's or ours; with some arguments given, as a config makes it, it is still that."""
    function = objective.function
    while type(function) is partial and all(map(_fixed, (*function.args, *function.keywords.values()))):
        function = function.func
    home = getattr(function, "__module__", None) or ""
    return f"{home}.".startswith(KNOWN)


def _fixed(argument: object) -> bool:
    """Whether an argument is one that nobody can change."""
    return argument is None or isinstance(argument, bool | int | float | str)


def settled(objective: Objective) -> bool:
    """Whether an objective is a function of torch's or ours; a module's settings can be changed from outside."""
    return known(objective) and not isinstance(objective.function, nn.Module)


def still(objective: Objective, told: Evaluated) -> bool:
    """Whether an objective, asked itself, gives the loss that its recording gave; as one of lanes, where alone it does not: torch
    may compute a small loss in two ways further apart than rounding of that loss (1.2e-5 of a BCEWithLogitsLoss of 4e-3)."""

    def one(output: Tensor, target: Tensor) -> Tensor:
        return objective.reduced(output, target, **told.extras)

    ways = (lambda: one(told.output, told.target), lambda: vmap(one)(told.output[None], told.target[None])[0])
    return any(_gives(way, told) for way in ways)


def _gives(way: Callable[[], Tensor], told: Evaluated) -> bool:
    try:
        with torch.no_grad():
            loss = float(way())
    except Exception:  # whatever it raises now, it did not when it was recorded
        return False
    return abs(loss - told.loss) <= SAME * torch.finfo(told.output.dtype).eps * max(abs(loss), abs(told.loss))


def control_is_left(record: StepRecord) -> bool:
    """Whether the control has left's bits after a step."""
    left, control = record.lanes["left"], record.lanes["control"]
    if left.stop is not None or control.stop is not None:
        return (left.stop is None) == (control.stop is None)
    same = torch.equal(left.answer.gradient, control.answer.gradient) and torch.equal(left.after, control.after)
    return left.answer.loss == control.answer.loss and same
