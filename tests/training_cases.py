"""A small data set, small models and optimisers on which lanes are trained in the tests."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from objective_cases import binary
from torch import Tensor, nn

import mlnn
from mlnn.comparing.verdict import Verdict
from mlnn.data import Dataset, from_arrays
from mlnn.objectives import bernoulli_nll_log1p
from mlnn.training import LaneRecipe, Lockstep, Recipe, make_lockstep

_draws = torch.Generator().manual_seed(0)
X = torch.randn(96, 4, generator=_draws, dtype=torch.float64)
SLOPE = torch.randn(4, generator=_draws, dtype=torch.float64)
Y = (torch.rand(96, generator=_draws, dtype=torch.float64) < torch.sigmoid(X @ SLOPE)).double()
SGD = partial(torch.optim.SGD, lr=0.1)
ADAM = partial(torch.optim.Adam, lr=1e-2)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 1))


def with_batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def data(rows: int = 96) -> Dataset:
    return from_arrays(X[:rows], Y[:rows])


def recipe(rows: int = 96, model: Callable[[], nn.Module] = network, steps: int = 6, **options: object) -> Recipe:
    return Recipe(data(rows), model, steps, options.pop("batch_size", 32), **options)


def lane_recipe(function: object = bernoulli_nll_log1p, optimizer: object = SGD, **options: object) -> LaneRecipe:
    return LaneRecipe(binary(function), optimizer, **options)


OPTIMIZERS = {"SGD": SGD, "Adam": ADAM}


def compare(left: object, right: object, data: object = (X, Y), **options: object) -> mlnn.Comparison:
    """As `mlnn.compare`, small; what is proved on paper is asked where a test is about it."""
    standard = {"model": network, "optimizer": SGD, "steps": 8, "batch_size": 32, "null_twins": 1, "proof": 0}
    given = standard | options
    return mlnn.compare(given.pop("model"), left, right, data, **given)


def verdict(left: object, right: object, data: object = (X, Y), **options: object) -> Verdict:
    return compare(left, right, data, **options).verdict


def same_bits(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    """Whether all entries are equal and none is NaN."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def advance(shared: Recipe, left: LaneRecipe, right: LaneRecipe, null_twins: int = 3) -> Lockstep:
    """Train all lanes of a lockstep to the end."""
    lockstep = make_lockstep(shared, left, right, null_twins)
    for _ in lockstep.steps():
        pass
    return lockstep
