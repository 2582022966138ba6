"""Distance to the classical estimate over a training, at steps that thin out like a logarithm."""

import math
from dataclasses import asdict, dataclass, field

import numpy as np
from torch import nn

from mlnn.data import Dataset
from mlnn.estimating.classical import ClassicalEstimate, classical_estimate
from mlnn.estimating.distance import DistanceSummary, Finding
from mlnn.likelihoods import Likelihood

LOOKS = 60
"""Steps looked at, evenly on a log axis: enough for a smooth curve, few enough to cost little beside the training."""


@dataclass(frozen=True)
class Look:
    """Where a training stood after `step` updates; `passes` over the data, where these were counted.

    `log_likelihood`: of all training rows, nats; `coefficients` (p, m): as the estimate counts them, None of a training that
    has diverged.
    """

    step: int
    distance: DistanceSummary
    passes: float | None = None
    log_likelihood: float = math.nan
    coefficients: np.ndarray | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, float]:
        """Plain data, one row of a table."""
        counted = {} if self.passes is None else {"passes": self.passes}
        return {"step": self.step, **asdict(self.distance), **counted, "log_likelihood": self.log_likelihood}


class Trajectory:
    """Distance to the MLE over training: `looks`, a few of its steps. None where the model has no classical estimate."""

    REMADE = ("classical",)
    """What is no part of a state that is kept: it is found again from the first weights."""

    def __init__(self, likelihood: Likelihood | None, data: Dataset, steps: int) -> None:
        self.likelihood, self.data = likelihood, data
        self.marks = {0, steps, *np.unique(np.geomspace(1, steps, LOOKS).round().astype(int)).tolist()}
        self.classical: ClassicalEstimate | None = None
        self.looks: list[Look] = []

    def watch(self, done: int, module: nn.Module) -> None:
        """Note where the module stands after `done` updates; nothing where it has no classical estimate."""
        if done == 0 and self.likelihood is not None:
            self.classical = classical_estimate(module, self.likelihood, self.data)
        if done in self.marks:
            self.look(done, module)

    def look(self, done: int, module: nn.Module) -> None:
        """Note it whether or not it is time to."""
        if self.classical is not None and not (self.looks and self.looks[-1].step == done):
            at = self.classical.distance(module)
            self.looks.append(Look(done, at.summary, None, at.log_likelihood, at.coefficients))

    def found(self, module: nn.Module) -> Finding | None:
        """What there is to say of the trained module; None where it has no classical estimate."""
        return None if self.classical is None else self.classical.beside(module)
