"""Losses of a residual for the audit's tests: found with given numbers, and as functions of a log or a logit."""

import math
from collections.abc import Callable
from typing import Any

import torch
from asked_cases import Function, asked, squared
from torch import Tensor

from mlnn.auditing.located import Located

HALF_LOG_TURN = 0.5 * math.log(2 * math.pi)


def located(
    function: Any = squared, targets: str = "real", width: float = 1.0, turns: bool = False, drift: float | None = 0.0
) -> Located:
    loss = asked(function, targets)
    assert loss.space.coordinate is not None
    return Located(loss, loss.space.coordinate, width, turns, drift)


def of_log(rho: Callable[[Tensor], Tensor]) -> Function:
    return lambda f, y: rho(y.log() - f)


def of_logit(rho: Callable[[Tensor], Tensor]) -> Function:
    return lambda f, y: rho(torch.logit(y) - f)
