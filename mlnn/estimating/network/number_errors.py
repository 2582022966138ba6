"""How sure is the number that is estimated with a model's parameters."""

import math

import torch
from torch import Tensor

from mlnn.estimating.linear.ancillary import corner
from mlnn.estimating.network.errors import Surroundings
from mlnn.estimating.network.problem import Problem


def number_errors(problem: Problem, theta: Tensor, around: Surroundings) -> dict[str, float]:
    """Standard error of the free number by its name at a maximum, as `Information.number_errors` has it; {} if none is free.

    From the expected information with the parameters; NaN where the likelihood is not curved in the number.
    """
    family = problem.family
    if family.free is None:
        return {}
    if family.likelihood.squares:  # σ², and so log σ, whatever the parameters are: 2n
        bend = 2 * problem.nobs
    elif around.cross is None:
        bend = corner(family, problem.design, problem.free(theta).detach())
    else:
        bend = around.corner - float(
            around.cross @ torch.linalg.lstsq(around.expected, around.cross[:, None]).solution[:, 0]
        )
    return {family.free: family.numbers[family.free] / math.sqrt(bend) if bend > 0 else math.nan}
