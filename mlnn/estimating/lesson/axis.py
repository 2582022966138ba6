"""How a loss stands to the log-likelihood of all rows: log-likelihood = at − rate × mean loss, where it does at all."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlnn.likelihoods import Likelihood
from mlnn.objectives import Objective

OFF = 1e-6
"""Of the spread of the log-likelihoods: how far the third and later points may lie from the line through two. Losses that compute
in float32 inside leave about 1e-7; one that is no likelihood leaves 1e-2 and more."""
MODERATE = 4.0
"""Raw outputs at which every loss still follows its formula in float64: nothing clamps, overflows or rounds to 1 there."""
SHARES = (1.0, 0.0, 0.5, -0.25, 0.75)
"""Of the raw outputs: the places at which loss and log-likelihood are both asked."""


@dataclass(frozen=True)
class Axis:
    """log-likelihood of all rows (nats) = `at` − `rate` × mean loss."""

    at: float
    rate: float

    def log_likelihood(self, loss: np.ndarray | float) -> np.ndarray | float:
        """Of mean losses."""
        return self.at - self.rate * loss

    def loss(self, log_likelihood: np.ndarray | float) -> np.ndarray | float:
        """The mean loss at which the log-likelihood is that."""
        return (self.at - log_likelihood) / self.rate


def axis_of(objective: Objective, likelihood: Likelihood, output: Tensor, target: Tensor) -> Axis | None:
    """The line through what loss and likelihood say of the same raw outputs (n, …) and targets; None where it is no line.

    Asked in float64 at the outputs given, and where these are so large that the loss no longer follows its own formula (a clamp,
    a σ that rounds to 1), at smaller ones: the line is that of the formula.
    """
    output = torch.nan_to_num(output.detach().double(), 0.0, 0.0, 0.0)
    size = float(output.abs().max())
    smaller = output * (MODERATE / size) if size > MODERATE else output
    target = target if target.dtype == torch.int64 else target.double()
    return _line(objective, likelihood, output, target) or _line(objective, likelihood, smaller, target)


def _line(objective: Objective, likelihood: Likelihood, output: Tensor, target: Tensor) -> Axis | None:
    loss, told = np.array(list(_asked(objective, likelihood, output, target))).T
    if not (np.isfinite(loss).all() and np.isfinite(told).all()):
        return None
    low, high = int(loss.argmin()), int(loss.argmax())
    if not loss[high] > loss[low]:
        return None
    rate = (told[low] - told[high]) / (loss[high] - loss[low])
    at = told[low] + rate * loss[low]
    off = np.abs(told - (at - rate * loss)).max()
    if not (rate > 0 and off <= OFF * np.ptp(told)):
        return None
    return _plain(float(at), float(rate), len(target), float(loss[high]))


def axis_of_constants(scale: float, constants: Mapping[float, float], target: Tensor) -> Axis | None:
    """That of loss = scale × nll + c(y), given c for some targets; None where a target (n,) is among the others."""
    values, counts = (part.tolist() for part in torch.unique(target, return_counts=True))
    if not set(values) <= constants.keys():
        return None
    left_out = sum(constants[value] * count for value, count in zip(values, counts, strict=True))
    return _plain(left_out / scale, len(target) / scale, len(target), 1.0)


def _plain(at: float, rate: float, rows: int, loss: float) -> Axis:
    """The axis, without the rounding that is left where the loss is the nll itself; `loss`: how large one is."""
    same = math.isclose(rate, rows, rel_tol=OFF) and abs(at) <= OFF * rows * loss
    return Axis(0.0, float(rows)) if same else Axis(at, rate)


def _asked(
    objective: Objective, likelihood: Likelihood, output: Tensor, target: Tensor
) -> Iterator[tuple[float, float]]:
    """(mean loss, log-likelihood of all rows) at several shares of the raw outputs, and half a unit above them."""
    for share in SHARES:
        at = share * output + (0.5 if share < 1 else 0.0)
        with torch.no_grad(), objective.twin(torch.float64):
            loss = float(objective(at, target))
        yield loss, -float(likelihood.nll(at, target).double().sum())
