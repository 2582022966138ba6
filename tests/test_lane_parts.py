"""Parts of a lane, asked directly: which objective answers, where it stops, what is put in place of its gradient, what it casts."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from objective_cases import binary
from torch import Tensor, nn
from training_cases import lane_recipe, network, recipe, with_batch_norm

from mlnn.errors import ConfigError
from mlnn.objectives import Step
from mlnn.objectives import bernoulli_nll_log1p as log1p
from mlnn.training import Lane, LaneRecipe, Stop, batches, flat
from mlnn.training import lane as lanes
from mlnn.training.batches import Rows
from mlnn.training.descent import SGD
from mlnn.training.lane import _reaches, answers_finitely

f64 = torch.float64
FIRST, SECOND = [*batches(recipe(steps=2, batch_size=8))]


def plain(weights: Any, lr: float = 0.1) -> SGD:
    return SGD(weights, lr)


def made(function: Any = log1p, dtype: torch.dtype = f64, **options: Any) -> Lane:
    torch.manual_seed(0)
    return Lane("lane", lane_recipe(function, options.pop("optimizer", plain), **options), network(), dtype)


def never(z: Tensor, y: Tensor) -> Tensor:
    return log1p(z, y) * math.nan


def vertical(z: Tensor, y: Tensor) -> Tensor:
    """A finite value, and no finite gradient."""
    return log1p(z, y) + (z - z.detach()).abs().sqrt()


def test_another_objective_answers_in_place_of_its_own_and_stops_nothing() -> None:
    lane = made()
    own, other = lane.evaluate(FIRST), lane.evaluate(FIRST, binary(lambda z, y: 3 * log1p(z, y)))
    assert other.loss == pytest.approx(3 * own.loss, rel=1e-12)
    broken = lane.evaluate(FIRST, binary(never))
    assert broken.stop is not None
    assert lane.stopped is None


def test_a_lane_keeps_the_first_place_at_which_it_stopped() -> None:
    lane = made(vertical)
    first = lane.evaluate(FIRST).stop
    assert lane.stopped is first
    assert first is not None
    assert (first.step, first.what) == (0, "gradient")
    assert lane.evaluate(SECOND).stop == lane.evaluate(SECOND).stop != first
    assert lane.stopped is first


@pytest.mark.parametrize(
    ("loss", "finite"),
    [
        (lambda z, y: log1p(z, y), True),
        (lambda z, _: z.sum() + math.inf, False),  # its gradient is finite
        (lambda z, _: (z - z.detach()).abs().sqrt().sum(), False),  # its value is
        (never, False),
        (lambda z, _: z[99], True),  # a refusal
    ],
)
def test_an_answer_is_finite_in_value_and_gradient(loss: Any, finite: bool) -> None:
    y = torch.tensor([0.0, 1.0])
    assert answers_finitely(binary(loss), Rows(None, y, {}), torch.tensor([0.5, -1.0])) is finite


def test_a_loss_reaches_what_its_backward_pass_comes_by() -> None:
    weight, other = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    output, fixed = weight * 2, torch.ones(2)
    assert _reaches((output * fixed).sum(), output)
    assert _reaches((fixed * output).exp().sum() + other.sum(), output)
    assert _reaches(other.sum() + (other * output).sum(), output)
    assert not _reaches((other * fixed).sum(), output)
    assert not _reaches((output.detach() * other).exp().sum(), output)


HOLDER: list[nn.Parameter] = []


def of_a_weight(z: Tensor, y: Tensor) -> Tensor:
    """It has a gradient to a weight of the model, past the raw output."""
    return HOLDER[0].square().mean() + log1p(z.detach(), y)


class Turning:
    """An objective that is another one from its second call on."""

    def __init__(self, later: Any) -> None:
        self.later, self.calls = later, 0

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        told: Tensor = (log1p if self.calls == 1 else self.later)(z, y)
        return told


def beside(z: Tensor, y: Tensor) -> Tensor:
    """It has a gradient, to nothing that is trained."""
    return log1p(z.detach(), y) + torch.ones((), requires_grad=True)


DEPENDS = "its value does not depend on the raw output"


def test_an_objective_whose_loss_leaves_the_raw_output_aside_is_refused_at_once() -> None:
    lane = made(of_a_weight)
    HOLDER[:] = lane.weights[:1]
    with pytest.raises(ConfigError, match=DEPENDS):
        lane.evaluate(FIRST)


@pytest.mark.parametrize(
    ("later", "accumulate"),
    [(beside, 1), (lambda z, y: log1p(z.detach(), y), 1), (of_a_weight, 2), (beside, 2)],
)
def test_an_objective_that_comes_to_leave_the_raw_output_aside_is_refused(later: Any, accumulate: int) -> None:
    lane = made(Turning(later), accumulate=accumulate)
    HOLDER[:] = lane.weights[:1]
    if accumulate == 1:
        lane.evaluate(FIRST)
    with pytest.raises(ConfigError, match=DEPENDS):
        lane.evaluate(SECOND)


def test_a_raw_output_of_another_shape_is_refused() -> None:
    lane = Lane("lane", lane_recipe(log1p, plain), nn.Linear(4, 2), torch.float32)
    with pytest.raises(ConfigError, match=r"raw output of shape \(8, 2\)"):
        lane.evaluate(FIRST)


@pytest.mark.parametrize("prior", [0.0, 0.3])
def test_a_prior_adds_half_of_itself_times_the_squares_and_its_slope(prior: float) -> None:
    lane = made(prior=prior)
    gradient, weights = lane.evaluate(FIRST).gradient, flat(lane.weights)
    assert lane._add_prior() == pytest.approx(prior * float(weights.square().sum()) / 2, rel=1e-12)
    torch.testing.assert_close(flat(lane.gradients), gradient + prior * weights, rtol=1e-12, atol=1e-14)


class Twice(SGD):
    """It asks for the loss, goes one way, and asks again."""

    told: list[float]

    def step(self, closure: Any) -> None:  # type: ignore[override]
        first = float(closure())
        super().step()
        self.told = [first, float(closure())]


@pytest.mark.parametrize("prior", [0.0, 0.5])
def test_an_optimiser_that_asks_again_is_first_told_what_was_answered(prior: float) -> None:
    asked: list[float] = []

    def counted(z: Tensor, y: Tensor) -> Tensor:
        asked.append(float(log1p(z, y).mean().detach()))
        return log1p(z, y)

    lane = made(counted, optimizer=lambda weights: Twice(weights, 0.5), prior=prior)
    answer = lane.evaluate(FIRST)
    penalty = 0.5 * prior * float(flat(lane.weights).square().sum())
    lane.update(answer)
    later = 0.5 * prior * float(flat(lane.weights).square().sum())
    assert lane.optimizer.told == pytest.approx([asked[0] + penalty, asked[1] + later], rel=1e-12)  # type: ignore[attr-defined]
    assert len(asked) == 2


@pytest.mark.parametrize(("lr", "stops"), [(0.1, False), (1e308, True)])
def test_a_lane_stops_at_weights_that_are_not_finite(lr: float, stops: bool) -> None:
    lane = made(lambda z, y: 1e6 * log1p(z, y), optimizer=lambda weights: plain(weights, lr))
    lane.update(lane.evaluate(SECOND))
    assert lane.stopped == (Stop(1, "weights") if stops else None)


def named(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state


def test_a_weight_without_a_gradient_stays_without_one_unless_it_is_mapped() -> None:
    leader, plain, mapped = made(), made(), made(model=network, mapping=named)
    leader.evaluate(FIRST)
    leader.weights[0].grad = None
    for lane, first in ((plain, None), (mapped, torch.zeros(8, 4, dtype=f64))):
        lane.take_gradient_of(leader)
        found = lane.weights[0].grad
        assert (found is None) if first is None else torch.equal(found, first)
        assert torch.equal(lane.weights[1].grad, leader.weights[1].grad)  # type: ignore[arg-type]
        assert lane.weights[1].grad is not leader.weights[1].grad


def test_a_lane_takes_over_and_translates_by_its_mapping() -> None:
    def turned(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return state | {"3.bias": -state["3.bias"]}

    leader, same, mapped = (
        Lane("lane", lane_recipe(log1p, plain, **own), with_batch_norm(), f64)
        for own in ({}, {}, {"model": with_batch_norm, "mapping": turned})
    )
    leader.evaluate(FIRST)
    for lane, sign in ((same, 1.0), (mapped, -1.0)):
        lane.take_over(lane.wanted(leader))
        assert torch.equal(lane.weights[5], sign * leader.weights[5])
        assert torch.equal(lane.translate(leader, leader.weights)[5], sign * leader.weights[5])
        assert lane.module[1].num_batches_tracked == 1
    assert "1.num_batches_tracked" in mapped.wanted(leader)


@pytest.mark.parametrize("lowered", [None, torch.bfloat16])
def test_a_forward_pass_is_lowered_where_that_is_asked_for(lowered: torch.dtype | None) -> None:
    lane = made(dtype=torch.float32, autocast=lowered)
    output = lane.module(FIRST.at(torch.float32).x).squeeze(1)
    assert torch.equal(lane.evaluate(FIRST).output, output.detach()) is (lowered is None)


def test_a_step_of_the_users_own_is_asked_with_the_model_and_its_batch() -> None:
    step = Step(lambda model, batch: log1p(model(batch[0]).squeeze(1), batch[1]).mean())
    torch.manual_seed(0)
    lane = Lane("lane", LaneRecipe(step, plain), network(), f64)
    assert lane.evaluate(FIRST).loss == pytest.approx(made().evaluate(FIRST).loss, rel=1e-12)


@pytest.mark.parametrize(
    ("own", "leads", "given"),
    [
        (1, None, True),  # a plain loop steps once
        (2, None, False),
        (1, 1, True),
        (2, 2, False),  # of several steps, which gradient is whose cannot be told
        (1, 2, False),
        (2, 1, False),
    ],
)
def test_an_update_is_given_the_leaders_gradient_where_both_step_once(
    own: int, leads: int | None, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(lanes, "run_update", lambda *told: asked.append(told[-1]))
    leader: Any = made()
    leader.own = None if leads is None else SimpleNamespace(calls=leads)
    lane: Any = made()
    lane.own = SimpleNamespace(calls=own, keep=lambda: None)
    lane.follow(leader, leader.evaluate(FIRST) if leads is None else SimpleNamespace(batch=FIRST))
    assert len(asked) == int(given)


def test_a_plain_lane_follows_with_the_gradient_that_its_leader_took() -> None:
    leader, lane = made(), made()
    answer = leader.evaluate(FIRST)
    start = flat(lane.weights)
    torch.testing.assert_close(lane.follow(leader, answer), start - 0.1 * answer.gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "lowest"),
    [
        (log1p, None),
        (lambda z, y: log1p(z.float(), y.float()), torch.float32),
        (lambda z, y: log1p(z.bfloat16().float(), y.float()), torch.bfloat16),
        (lambda z, y: log1p(z, y) + 0 * z.float().detach(), None),  # which changes nothing
    ],
)
def test_a_lane_tells_the_coarsest_float_that_changes_its_gradient(loss: Any, lowest: torch.dtype | None) -> None:
    assert made(loss).casts_to(FIRST) is lowest


def test_rows_are_not_asked_for_where_an_update_computes_the_loss() -> None:
    """Beside an objective too, whose rows it may not have."""

    def update(model: nn.Module, optimizer: torch.optim.Optimizer, parts: list[Any]) -> float:
        model(parts[0][0]).sum().backward()
        optimizer.step()
        return math.nan

    lane = made(lambda z, _: z.sqrt().sum(), update=update)
    answer = lane.evaluate(FIRST)
    assert answer.output.min() < 0
    assert answer.stop == Stop(0, "loss")
    assert isinstance(lane._prepared(FIRST, lane.recipe.objective), list)
    assert isinstance(made()._prepared(FIRST, binary(log1p)), Rows)
