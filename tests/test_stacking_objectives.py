"""Objectives that see more than a row, keep something, or answer otherwise from call to call."""

import itertools
import random
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from stacking_cases import assert_agree, bce, log1p, played, why
from torch import Tensor
from torch.nn import functional
from training_cases import lane_recipe, recipe

from mlnn.data import from_arrays
from mlnn.training import LaneRecipe, Recipe, UnstackableError, make_lockstep, stacked
from mlnn.training.stacking import stack


class NoRule(torch.autograd.Function):
    """Its own backward, and no rule for many lanes."""

    @staticmethod
    def forward(ctx: object, z: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(z, y)
        return functional.softplus(z) - y * z

    @staticmethod
    def backward(ctx: object, *slopes: Tensor) -> tuple[Tensor, None]:
        z, y = ctx.saved_tensors
        return slopes[0] * (z.sigmoid() - y), None


class Rule(torch.autograd.Function):
    """The same, of which torch makes a rule."""

    generate_vmap_rule = True
    backward = NoRule.backward

    @staticmethod
    def forward(z: Tensor, y: Tensor) -> Tensor:
        return functional.softplus(z) - y * z

    @staticmethod
    def setup_context(ctx: object, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004 - torch calls it by name
        ctx.save_for_backward(*inputs)


def branches(z: Tensor, y: Tensor) -> Tensor:
    value = log1p(z, y).mean()
    return value if value < 1 else 2 * value


def numbers(z: Tensor, y: Tensor) -> Tensor:
    return log1p(z, y) * float(np.asarray(y.detach()).max())


def hooks(z: Tensor, y: Tensor) -> Tensor:
    if z.requires_grad:
        z.register_hook(lambda slope: 2 * slope)
    return log1p(z, y)


def python_draw(z: Tensor, y: Tensor) -> Tensor:
    return log1p(z, y) * (1 + 0.01 * random.random())


OBJECTIVES = {
    "data-dependent control flow": branches,
    "data pointer of Tensor that doesn't have storage": numbers,
    "an autograd.Function has no rule for lanes": lambda z, y: NoRule.apply(z, y),
    "a row's gradient is not that of a lane alone": hooks,
}


@pytest.mark.parametrize("reason", OBJECTIVES)
def test_objectives_that_see_more_than_a_row(reason: str) -> None:
    assert reason in why(right=OBJECTIVES[reason])


def test_a_function_with_a_rule_for_lanes_is_stacked() -> None:
    assert_agree(recipe(24, batch_size=12, steps=3), lane_recipe(bce), lane_recipe(lambda z, y: Rule.apply(z, y)))


def counting(scale: float) -> Callable[[Tensor, Tensor], Tensor]:
    calls = itertools.count()
    return lambda z, y: log1p(z, y) * (1 + scale * next(calls))


def test_objectives_that_answer_otherwise_from_call_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not that of a lane alone" in why(left=counting(1e-2))
    monkeypatch.setattr(stack, "WORTH", 1)
    for loss in (counting(1e-2), python_draw):
        assert "answers otherwise than when it was recorded" in why(right=loss, steps=3) or "lane alone" in why(
            right=loss
        )


def test_an_objective_annealed_from_outside_is_seen_once_it_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "WORTH", 1)
    beta = [1.0]
    sides = lane_recipe(bce), lane_recipe(lambda z, y: beta[0] * log1p(z, y))
    steps = stacked(make_lockstep(recipe(24, batch_size=12), *sides, 1)).steps()
    next(steps)
    next(steps)
    beta[0] = 1.001
    with pytest.raises(UnstackableError, match="answers otherwise than when it was recorded"):
        next(steps)


def test_a_module_of_torch_s_whose_settings_are_changed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "WORTH", 1)
    loss = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1.0))
    steps = stacked(make_lockstep(recipe(24, batch_size=12), lane_recipe(loss), lane_recipe(log1p), 1)).steps()
    next(steps)
    loss.pos_weight = torch.tensor(1.01)
    with pytest.raises(UnstackableError, match="answers otherwise than when it was recorded"):
        next(steps)


def test_an_objective_that_raises_once_it_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "WORTH", 1)
    broken = []

    def loss(z: Tensor, y: Tensor) -> Tensor:
        if broken:
            raise RuntimeError("no more")
        return log1p(z, y)

    steps = stacked(make_lockstep(recipe(24, batch_size=12), lane_recipe(bce), lane_recipe(loss), 1)).steps()
    next(steps)
    broken.append(True)
    with pytest.raises(UnstackableError, match="answers otherwise"):
        next(steps)


def test_what_an_objective_keeps_by_shape_is_no_row_s() -> None:
    kept: dict[int, Tensor] = {}

    def loss(z: Tensor, y: Tensor) -> Tensor:
        if len(z) not in kept:
            kept[len(z)] = torch.ones_like(z)
        return log1p(z, y) * kept[len(z)].to(z.dtype)

    rows = played(recipe(24, batch_size=10, steps=5), lane_recipe(bce), lane_recipe(loss), stacks=True, looks=[4])
    assert [len(record.batch.rows) for record in rows] == [
        10,
        10,
        4,
        10,
        10,
    ]  # four rows are first met by rows of a stack
    assert loss(torch.zeros(4), torch.ones(4)).shape == (4,)


def test_a_small_loss_that_torch_computes_in_two_ways_is_no_other_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of lanes, torch takes a logarithm of a sum near 1 where it takes log1p of a lane alone: 2.6 % of a loss of 4e-6, and of
    its slope more than 0.1 %."""
    monkeypatch.setattr(stack, "WORTH", 1)

    def even() -> torch.nn.Module:
        layer = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(layer.weight)
        return layer

    y = torch.tensor([0.0, 1.0] * 4)
    data = from_arrays(2 * y[:, None] - 1, y)
    quick = partial(torch.optim.SGD, lr=25.0)  # to a weight of 12.5 in one step
    sides = [LaneRecipe(loss, quick).wrapped(data) for loss in (torch.nn.BCEWithLogitsLoss(), log1p)]
    lockstep = make_lockstep(Recipe(data, even, 3, 4, torch.float32), *sides, 1)
    records = list(stacked(lockstep).steps(looks=(1, 2)))
    assert len(records) == 3
    told = records[-1].lanes["left"].answer
    alone = float(bce(told.output, told.target))
    assert 1e-3 * alone < abs(alone - told.loss) < 0.1 * alone
    slopes = [answer.gradient for answer in records[-1].alone or ()]
    assert 1e-3 < float((slopes[0] - told.gradient).abs() / slopes[0].abs()) < 0.1
