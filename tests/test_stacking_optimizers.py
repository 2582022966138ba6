"""A step of rows beside a step of lanes: every optimiser, groups of weights, priors, accumulation."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from stacking_cases import assert_agree, bce, binary, log1p, on
from torch import nn
from training_cases import ADAM, SGD, lane_recipe, network, recipe, with_batch_norm, with_dropout

from mlnn.training import descent
from mlnn.training.stacking.optimizer import ELEMENTWISE


def _groups(model: nn.Module) -> torch.optim.Optimizer:
    weights = dict(model.named_parameters())
    plain = [weight for name, weight in weights.items() if name.endswith("bias")]
    others = [weight for name, weight in weights.items() if not name.endswith("bias")]
    return torch.optim.AdamW([{"params": plain, "weight_decay": 0.0}, {"params": others, "lr": 0.05}], lr=0.01)


OPTIMIZERS = {
    "momentum": partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "dampened": partial(torch.optim.SGD, lr=0.05, momentum=0.9, dampening=0.3, maximize=True),
    "ours": partial(descent.SGD, lr=0.05),
    "amsgrad": partial(torch.optim.Adam, lr=0.01, amsgrad=True, weight_decay=0.01),
    "AdamW": partial(torch.optim.AdamW, lr=0.01, foreach=True),
    "rate in a tensor": lambda weights: torch.optim.Adam(weights, lr=torch.tensor(0.01)),
    "Adamax": partial(torch.optim.Adamax, lr=0.01),
    "NAdam": partial(torch.optim.NAdam, lr=0.01),
    "RAdam": partial(torch.optim.RAdam, lr=0.01),
    "RMSprop": partial(torch.optim.RMSprop, lr=0.003, centered=True, momentum=0.5),
    "Adagrad": partial(torch.optim.Adagrad, lr=0.05, initial_accumulator_value=0.1),
    "Adadelta": partial(torch.optim.Adadelta, lr=1.0),
    "Rprop": partial(torch.optim.Rprop, lr=0.01),
    "ASGD": partial(torch.optim.ASGD, lr=0.05),
    "groups": _groups,
    "fused groups": lambda weights: torch.optim.SGD([{"params": [one]} for one in weights], lr=0.1, fused=True),
    "some weights": lambda weights: torch.optim.Adam(list(weights)[1:3], lr=0.01),
}


def test_every_elementwise_optimizer_is_here() -> None:
    made = [make(network()) if make is _groups else make(list(network().parameters())) for make in OPTIMIZERS.values()]
    assert {type(one) for one in made} >= set(ELEMENTWISE)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_steps_alike(name: str) -> None:
    assert_agree(recipe(24, batch_size=12, steps=5), *[lane_recipe(side, OPTIMIZERS[name]) for side in (bce, log1p)])


def test_weights_that_no_group_has_stay() -> None:
    _, rows = assert_agree(
        recipe(24, batch_size=12, steps=3), *[lane_recipe(side, OPTIMIZERS["some weights"]) for side in (bce, log1p)]
    )
    start, end = rows[0].lanes["right"].before, rows[-1].lanes["right"].after
    assert torch.equal(start[:32], end[:32])
    assert not torch.equal(start[32:40], end[32:40])


def test_two_sides_with_other_optimizers_are_stepped_alike() -> None:
    for left, right in ((SGD, ADAM), (_groups, SGD), (SGD, partial(torch.optim.SGD, lr=0.11))):
        sides = lane_recipe(bce, left), lane_recipe(lambda z, y: 2 * log1p(z, y) + 0.1 * z, right)
        plain, _ = assert_agree(recipe(24, batch_size=12, steps=4), *sides)
        told = plain[-1].common["float64"]
        assert not torch.allclose(told.left.gradient, told.right.gradient, rtol=0.1)


LANES = {
    "prior": {"prior": 0.1},
    "accumulated": {"accumulate": 2},
    "accumulated, a short last part": {"accumulate": 3},
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", LANES)
@pytest.mark.parametrize("model", [network, with_dropout, with_batch_norm])
def test_a_lane_s_own_settings_count_alike(name: str, model: Callable[[], nn.Module]) -> None:
    assert_agree(*on(binary(), model, **LANES[name]))


def test_a_prior_on_one_side_counts_there_alone() -> None:
    plain, _ = assert_agree(recipe(24, batch_size=12, steps=3), lane_recipe(bce), lane_recipe(log1p, prior=0.5))
    assert not torch.allclose(plain[-1].lanes["left"].after, plain[-1].lanes["right"].after, rtol=1e-2)
