"""Comparisons in other precisions, target spaces, models, and lanes that differ in more than the objective."""

import functools
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from objective_cases import scaled, smoothed
from torch import Tensor, nn
from training_cases import (
    OPTIMIZERS,
    SGD,
    SLOPE,
    X,
    Y,
    compare,
    lane_recipe,
    verdict,
    with_batch_norm,
    with_dropout,
)

from mlnn.comparing.gaps import relative, ulps
from mlnn.comparing.verdict import Verdict
from mlnn.errors import ConfigError
from mlnn.objectives import bce, bernoulli_nll_log1p

log1p = bernoulli_nll_log1p
DTYPES = ("float32", "float64", "bfloat16")
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_working_precision(dtype: str) -> None:
    found = compare(bce, log1p, dtype=dtype)
    assert found.verdict.relation == "equal"
    assert found.about["dtype"] == dtype
    twins = {name.removeprefix("left_") for name in found.lanes if name.startswith("left_")}
    assert twins == {"float32": {"float64"}, "float64": {"float32"}, "bfloat16": {"float32", "float64"}}[dtype]
    assert verdict(log1p, smoothed(0.3), dtype=dtype).relation == "different"
    tiny = {"float32": "indistinguishable", "float64": "scaled", "bfloat16": "indistinguishable"}[dtype]
    assert verdict(log1p, scaled(1 + 1e-9), dtype=dtype).relation == tiny


CLASSES = (X[:, 0] > 0).long() + (X[:, 1] > 0.3).long()
REAL = X @ SLOPE


def three_outputs() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def categorical(z: Tensor, y: Tensor) -> Tensor:
    return torch.logsumexp(z, 1) - z.gather(1, y[:, None])[:, 0]


def normal(z: Tensor, y: Tensor) -> Tensor:
    return (z - y) ** 2 / 2 + math.log(2 * math.pi) / 2


def outer(z: Tensor, y: Tensor) -> Tensor:
    return ((z[:, None] - y) ** 2).mean()


@pytest.mark.sampled(2)
@every_optimizer
def test_classes_and_real_targets(optimizer: str) -> None:
    options = {"optimizer": OPTIMIZERS[optimizer]}
    cross = nn.CrossEntropyLoss()
    smooth = nn.CrossEntropyLoss(label_smoothing=1e-3)
    classes = {"model": three_outputs, "data": (X, CLASSES)} | options
    found = compare(cross, categorical, **classes)
    assert (found.verdict.relation, found.about["targets"]) == ("equal", "classes(3)")
    assert verdict(cross, smooth, **classes).relation == "different"
    found = compare(nn.MSELoss(), normal, (X, REAL), **options)
    assert (found.verdict.relation, found.verdict.scale) == ("scaled", pytest.approx(0.5, rel=1e-12))
    assert found.verdict.shift == pytest.approx(math.log(2 * math.pi) / 2, rel=1e-12)
    assert found.about["targets"] == "real"
    assert verdict(nn.MSELoss(), outer, (X, REAL), **options).relation == "different"


def test_losses_that_take_probabilities() -> None:
    found = verdict(nn.BCELoss(), nn.BCEWithLogitsLoss(), outputs=("probabilities", "raw"))
    assert found.relation == "equal"
    with pytest.raises(ConfigError, match="BCELoss"):
        compare(nn.BCELoss(), nn.BCEWithLogitsLoss())


@pytest.mark.sampled(2)
@pytest.mark.parametrize("model", [with_dropout, with_batch_norm])
@every_optimizer
def test_equal_pairs_stay_equal_with_dropout_and_batch_norm(model: Callable[[], nn.Module], optimizer: str) -> None:
    assert verdict(bce, log1p, model=model, optimizer=OPTIMIZERS[optimizer]).relation == "equal"
    assert verdict(log1p, smoothed(1e-3), model=model, optimizer=OPTIMIZERS[optimizer]).relation == "different"


@pytest.mark.rest
def test_parts_that_rest_in_eval_mode_stay_so_while_predictions_are_compared() -> None:
    def frozen() -> nn.Module:
        model = with_batch_norm()
        model[1].eval()
        return model

    for model in (frozen, lambda: with_dropout().eval()):
        found = verdict(bce, log1p, model=model)
        assert (found.relation, found.control) == ("equal", "bitwise")


@pytest.mark.rest
def test_lanes_may_differ_in_more_than_the_objective() -> None:
    parts = lane_recipe(log1p, accumulate=4)
    assert verdict(lane_recipe(bce), parts, (X[:86], Y[:86])).relation == "equal"
    assert verdict(lane_recipe(log1p), lane_recipe(lambda z, y: log1p(z, y).sum(), accumulate=4)).relation == "scaled"
    assert verdict(lane_recipe(log1p, lambda w: torch.optim.LBFGS(w)), log1p, batch_size=None, steps=3,
                   optimizer=torch.optim.LBFGS).relation == "bitwise"  # fmt: skip


def changed_optimizer(factory: Callable[..., torch.optim.Optimizer], **changed: float) -> Verdict:
    return verdict(lane_recipe(log1p, factory), lane_recipe(log1p, functools.partial(factory, **changed)))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("changed", [{"lr": 0.0}, {"lr": 0.011}, {"weight_decay": 1e-2}])
@every_optimizer
def test_a_right_whose_optimizer_takes_other_steps_is_different(optimizer: str, changed: dict[str, float]) -> None:
    assert changed_optimizer(OPTIMIZERS[optimizer], **changed).relation == "different"
    assert changed_optimizer(OPTIMIZERS[optimizer]).relation == "bitwise"


def test_the_weight_gap_of_an_untrained_right_is_the_whole_distance_travelled() -> None:
    still = functools.partial(SGD, lr=0.0)
    trace = compare(lane_recipe(log1p), lane_recipe(log1p, still)).trace
    for name in ("weight_gap", "weight_gap_float64"):
        assert trace[name].tolist() == pytest.approx([1.0] * 8, rel=1e-12, abs=0)
    assert compare(log1p, log1p).trace["weight_gap"].max() == 0


def test_gaps_of_known_size() -> None:
    one = torch.tensor([1.0, -3.0, 0.5])
    up = torch.nextafter(one, torch.full_like(one, math.inf))
    assert ulps(one, up) == 1
    assert ulps(one, torch.nextafter(up, torch.full_like(one, math.inf))) == 2
    assert ulps(one, one) == 0
    assert relative(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 10.0])) == 0.5
    assert relative(torch.zeros(2), torch.zeros(2)) == 0
    assert relative(torch.ones(2), torch.zeros(2)) == math.inf
    assert math.isnan(relative(torch.tensor([math.nan]), torch.ones(1)))


def test_a_right_with_momentum_is_different() -> None:
    assert changed_optimizer(SGD, momentum=0.5).relation == "different"


class Draws(nn.Module):
    """A network that draws in evaluation mode too."""

    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.outer, self.draw = nn.Linear(4, 6), nn.Linear(6, 1), draw

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.draw(torch.tanh(self.inner(x))))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "draw",
    [
        lambda h: torch.nn.functional.dropout(h, 0.5),
        lambda h: h + torch.randn_like(h),
        lambda h: h * random.random(),
        lambda h: h * float(np.random.rand()),  # noqa: NPY002 - the global stream is just what is meant
    ],
    ids=["dropout", "noise", "random", "numpy"],
)
def test_a_model_that_draws_in_evaluation_mode_too_draws_alike(draw: Callable[[Tensor], Tensor]) -> None:
    assert compare(bce, bce, model=lambda: Draws(draw), steps=3).verdict.relation == "bitwise"
    assert compare(bce, scaled(1.5), model=lambda: Draws(draw), steps=3).verdict.relation == "scaled"


def test_a_loss_with_a_weight_for_each_row_of_a_batch_is_not_called_different() -> None:
    tied = nn.BCEWithLogitsLoss(weight=torch.ones(32))
    found = compare(nn.BCEWithLogitsLoss(), tied, steps=3).verdict
    assert found.relation == "undecided"
    assert "right answers no row by itself" in found.sentence
