"""Left trains alone: the records of its looks, and that all others stand beside it with what left's optimiser keeps."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from training_cases import ADAM, SGD, compare, lane_recipe, recipe

from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.training import Following, LaneRecipe, Lockstep, StepRecord, make_lockstep

STEPS = 8
MOMENTUM = partial(torch.optim.SGD, lr=0.1, momentum=0.9)


def made(left: Any = None, right: Any = None, **options: Any) -> Lockstep:
    shared = recipe(steps=STEPS, **options)
    return make_lockstep(shared, left or lane_recipe(bce, ADAM), right or lane_recipe(bernoulli_nll_log1p, ADAM), 0)


def followed(asked: Any, looks: Any = (), **options: Any) -> list[StepRecord]:
    return list(Following(made(**options)).steps(looks, asked))


def test_rounding_is_drawn_where_a_pair_is_judged_in_float32_alone() -> None:
    lockstep = made()
    assert next(lockstep.steps()).common["float32"].null == (0.0, 0.0)
    lockstep = replace(made(), null_eps=1e-6)
    drawn = next(lockstep.steps()).common
    assert all(0 < size < 1e-3 for size in drawn["float32"].null)
    assert drawn["float64"].null == (0.0, 0.0)


@pytest.fixture(scope="module")
def trained() -> list[StepRecord]:
    """Every step of the same lanes where all train."""
    return list(made().steps())


def test_its_records_are_those_of_the_steps_that_are_asked_and_look_at_some() -> None:
    records = followed([1, 4, 6], [4])
    assert [record.step for record in records] == [1, 4, 6]
    assert [record.look is not None for record in records] == [False, True, False]
    assert all(record.lanes.keys() == {"left", "control", "left_float64"} for record in records)
    assert all(record.starts.keys() == {"left", "left_float64"} for record in records)


def test_left_takes_the_steps_that_it_takes_in_a_study_whatever_is_asked(trained: list[StepRecord]) -> None:
    for asked in (range(STEPS), [1, 4, 7], [7]):
        for record in followed(asked):
            wanted, lanes = trained[record.step], record.lanes
            assert torch.equal(lanes["left"].after, wanted.lanes["left"].after)
            assert torch.equal(lanes["control"].after, lanes["left"].after)
            assert torch.equal(lanes["control"].before, lanes["left"].before)
            assert lanes["left"].answer.loss == lanes["control"].answer.loss == wanted.lanes["left"].answer.loss
            assert torch.equal(lanes["left_float64"].before.float(), lanes["left"].before)
            assert (record.unlooked, record.settings_apart, record.rates, record.rates_before) == (
                None, None, (0.01, 0.01), (0.01, 0.01))  # fmt: skip


def test_right_steps_from_what_lefts_optimiser_keeps(trained: list[StepRecord]) -> None:
    """Its step from left's place is the one of a follower that has been there at every step."""
    for record in followed([0, 1, 5]):
        for dtype, close in (("float32", 1e-6), ("float64", 1e-5)):
            stride, wanted = record.common[dtype].stride, trained[record.step].common[dtype].stride
            assert stride is not None
            assert wanted is not None
            way = (wanted.right - trained[record.step].lanes["left"].before).norm()
            assert (stride.right - wanted.right).norm() < close * way.clamp_min(1) + 1e-3 * way
            assert (stride.right - stride.left).norm() < 1e-3 * way


def test_another_momentum_shows_in_the_first_step_that_is_looked_at() -> None:
    sides = {"left": lane_recipe(bce, MOMENTUM), "right": lane_recipe(bce, partial(MOMENTUM, momentum=0.5))}
    (record,) = followed([5], **sides)
    stride, before = record.common["float32"].stride, record.lanes["left"].before
    assert stride is not None
    assert (stride.left - stride.right).norm() > 0.1 * (stride.left - before).norm()
    assert record.settings_apart == "momentum is 0.9 on the left, 0.5 on the right"


def test_a_state_that_cannot_be_carried_is_said_and_no_step_is_compared() -> None:
    sides = {"left": lane_recipe(bce, MOMENTUM), "right": lane_recipe(bce, ADAM)}
    (record,) = followed([5], **sides)
    assert record.unlooked == "right's optimizer keeps exp_avg, exp_avg_sq, step, which left's does not"
    assert all(common.stride is None for common in record.common.values())


class Remembering(torch.optim.SGD):
    """Keeps its last step where no state is: a step from there cannot be repeated."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr)
        self.last: list[Tensor] = []

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        weights = self.param_groups[0]["params"]
        if all(weight.grad is not None for weight in weights):
            before = [weight.detach().clone() for weight in weights]
            super().step(closure)
            for weight, last in zip(weights, self.last, strict=False):
                weight.data += 0.5 * last
            self.last = [weight.detach() - old for weight, old in zip(weights, before, strict=True)]


def test_an_optimiser_that_keeps_more_than_its_state_is_found_by_the_control() -> None:
    sides = {side: lane_recipe(bce, partial(Remembering, lr=0.1)) for side in ("left", "right")}
    first, later = followed([0, 5], **sides)
    assert first.unlooked is None
    assert later.unlooked == "left's optimizer keeps more than its state, and cannot be started where it stands"
    assert later.common["float32"].stride is None


def poisoned(after: float) -> Any:
    """The NLL while the raw outputs are within a bound, then NaN."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return bernoulli_nll_log1p(z, y) + torch.where(z.detach().abs().max() > after, torch.nan, 0.0)

    return loss


def exploding(after: int) -> Any:
    """SGD whose weights are infinite after so many steps."""

    class Exploding(torch.optim.SGD):
        times = 0

        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            self.times += 1
            super().step(closure)
            if self.times > after:
                self.param_groups[0]["params"][0].data.fill_(torch.inf)

    return partial(Exploding, lr=0.1)


def test_where_left_ends_right_is_asked_and_nobody_goes_on() -> None:
    fast = partial(torch.optim.SGD, lr=5.0)
    bound = [
        float(r.lanes["left"].answer.output.abs().max()) for r in followed(range(STEPS), left=lane_recipe(bce, fast))
    ]
    at = next(place for place in range(1, STEPS) if bound[place] > max(bound[:place]) and place > 1)
    limit = (max(bound[:at]) + bound[at]) / 2
    for asked in ([0, 7], range(STEPS)):
        *_, record = followed(asked, left=lane_recipe(poisoned(limit), fast), right=lane_recipe(bce, fast))
        stop = record.lanes["left"].stop
        assert stop is not None
        assert (record.step, stop.step, stop.what) == (at, at, "loss")
        assert record.common["float32"].right.stop is None, "right is asked at the place where left ends"
        assert record.asked
    assert [r.step for r in followed([0, 7], left=lane_recipe(poisoned(limit), fast))] == [0, at]


@pytest.mark.parametrize("asked", [[0, 7], range(STEPS)])
def test_weights_that_are_not_finite_are_an_end_where_nobody_can_be_asked(asked: Any) -> None:
    sides = {"left": lane_recipe(bce, exploding(3)), "right": lane_recipe(bce, SGD)}
    *_, record = followed(asked, **sides)
    stop = record.lanes["left"].stop
    assert stop is not None
    assert (record.step, stop.what) == (3, "weights")
    assert record.asked == (3 in asked)


@pytest.mark.parametrize("looks", [None, [5, 6, 11]])
def test_momentum_is_seen_beside_a_left_that_keeps_nothing(looks: list[int] | None) -> None:
    plain = LaneRecipe(bce, partial(torch.optim.SGD, lr=0.1))
    heavy = LaneRecipe(bce, partial(torch.optim.SGD, lr=0.1, momentum=0.9))
    still = LaneRecipe(bce, partial(torch.optim.SGD, lr=0.1, momentum=0.0))
    for right, relation in ((heavy, "different"), (still, "bitwise")):
        assert compare(plain, right, mode="verdict", steps=12, looks=looks).verdict.relation == relation


def test_looks_that_end_early_are_no_whole_training() -> None:
    one = compare(bce, bce, mode="verdict", steps=12, looks=[0, 1])
    assert "Looked at 2 of 12 steps" in one.verdict.sentence
    assert "throughout" not in one.verdict.sentence
    assert (one.run.looks, one.verdict.evidence["steps"]) == (2, 12)
    assert "12 of 12 steps" in repr(one)
