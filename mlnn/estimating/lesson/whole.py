"""The log-likelihood of all training rows on the way of a training that sees batches, of a model without a classical estimate."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from mlnn.likelihoods import Likelihood
from mlnn.training import Recipe
from mlnn.training.module import evaluating, raw_output, squeezed
from mlnn.world import own_world

SHARE = 0.5
"""Of the rows trained on, those that may be looked at besides; a look is a forward pass alone, about a third of a step's work."""
MOST = 40
"""Looks at most: enough for a smooth curve."""


class WholeRows:
    """`steps` looked at, evenly spread, and the `log_likelihoods` there, in nats; fewer, the more rows there are."""

    def __init__(self, likelihood: Likelihood | None, recipe: Recipe) -> None:
        data, rows = recipe.table, len(recipe.table)
        seen = recipe.steps * (recipe.batch_size or rows)
        looks = min(MOST, recipe.steps + 1, 1 + int(SHARE * seen / rows))
        plain = not data.positions and not data.targets.event and not data.extras
        wanted = likelihood is not None and plain and looks > 1
        self.marks = set(np.linspace(0, recipe.steps, looks).round().astype(int).tolist()) if wanted else set()
        self.likelihood, self.recipe = likelihood, recipe
        self.steps: list[int] = []
        self.log_likelihoods: list[float] = []

    def watch(self, done: int, module: nn.Module) -> None:
        """Note where the module stands after `done` updates, if it is time to; it is left as it is."""
        if done in self.marks and self.likelihood is not None:
            told = self._asked(self.likelihood, module)
            if math.isfinite(told):
                self.steps.append(done)
                self.log_likelihoods.append(told)

    def _asked(self, likelihood: Likelihood, module: nn.Module) -> float:
        data, recipe = self.recipe.table, self.recipe
        y: Tensor = data.y if data.y.dtype == torch.int64 else data.y.double()
        with own_world(threads=None), evaluating(module), torch.no_grad():
            output = squeezed(raw_output(module, recipe.inputs(data.x, recipe.dtype)), data.targets, ())
            nll = likelihood.nll(output.double().cpu(), y)
        return -float(nll.sum()) if nll.shape == y.shape[:1] else math.nan
