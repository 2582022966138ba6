"""Lanes in lockstep: same weights, batches and masks for all; what a control, a twin and a follower are; who stops where."""

import math

import pytest
import torch
from objective_cases import Function
from torch import Tensor, nn
from training_cases import ADAM, SGD, X, Y, lane_recipe, network, recipe, with_batch_norm, with_dropout

from mlnn.agreement.gaps import flat, same_bits
from mlnn.errors import ConfigError
from mlnn.objectives import bce, bernoulli_nll_log1p, bernoulli_nll_naive
from mlnn.training import (
    Lane,
    LaneRecipe,
    Lockstep,
    Recipe,
    Stop,
    batches,
    initial_model,
    make_lockstep,
    parse_device,
    parse_dtype,
    train,
)

log1p = bernoulli_nll_log1p


def advance(shared: Recipe, left: LaneRecipe, right: LaneRecipe, null_twins: int = 3) -> Lockstep:
    lockstep = make_lockstep(shared, left, right, null_twins)
    for batch in batches(shared):
        lockstep.evaluate(batch)
        lockstep.update()
    return lockstep


def gap(first: Lane, second: Lane) -> float:
    return float((flat(first.weights) - flat(second.weights)).abs().max())


@pytest.mark.parametrize("model", [network, with_dropout, with_batch_norm])
@pytest.mark.parametrize("optimizer", [SGD, ADAM])
def test_the_control_is_left_bit_for_bit_and_right_is_not(model: object, optimizer: object) -> None:
    lanes = advance(recipe(model=model), lane_recipe(bce, optimizer), lane_recipe(log1p, optimizer)).lanes
    assert same_bits(lanes["left"].weights, lanes["control"].weights)
    assert lanes["left"].loss == lanes["control"].loss
    assert not same_bits(lanes["left"].weights, lanes["right"].weights)


class Watched(nn.Module):
    """Keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)
        self.drop = nn.Dropout(0.5)
        self.seen: list[Tensor] = []
        self.masks: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        dropped = self.drop(torch.ones_like(x))
        self.masks.append(dropped.detach() != 0)
        return self.head(dropped * x)


def test_all_lanes_see_the_same_batches_and_dropout_masks_in_every_precision() -> None:
    lockstep = advance(recipe(model=Watched), lane_recipe(bce), lane_recipe(log1p))
    left, *others = [lane.module for lane in (*lockstep.lanes.values(), *lockstep.followers.values())]
    assert {lane.dtype for lane in lockstep.lanes.values()} == {torch.float32, torch.float64}
    assert len(left.seen) == 6
    for other in others:
        for step in range(-6, 0):
            assert torch.equal(other.seen[step].float(), left.seen[step])
            assert torch.equal(other.masks[step], left.masks[step])
    drawn = torch.stack([mask.double().mean() for mask in left.masks[-6:]])
    assert ((drawn > 0.3) & (drawn < 0.7)).all()
    assert not torch.equal(left.masks[-1], left.masks[-2])


def test_null_twins_start_one_ulp_away_or_read_the_rows_in_another_order() -> None:
    lockstep = make_lockstep(recipe(), lane_recipe(), lane_recipe())
    left, permuted, nudged = (lockstep.lanes[name] for name in ("left", "null_1", "null_2"))
    assert set(lockstep.permuted) == {"null_1", "null_3"}
    assert same_bits(left.weights, permuted.weights)
    for mine, theirs in zip(left.weights, nudged.weights, strict=True):
        steps = mine.detach().view(torch.int32) - theirs.detach().view(torch.int32)
        assert (steps.abs() == 1).all()
    lockstep.evaluate(next(batches(recipe())))
    for twin in (permuted, nudged):
        assert twin.loss == pytest.approx(left.loss, rel=1e-6, abs=0)
        difference = (flat(twin.gradients) - flat(left.gradients)).norm() / flat(left.gradients).norm()
        assert 0 < difference < 1e-5
    assert not set(make_lockstep(recipe(model=with_dropout), lane_recipe(), lane_recipe()).permuted)
    assert not [n for n in make_lockstep(recipe(), lane_recipe(), lane_recipe(), 0).lanes if n.startswith("null")]


@pytest.mark.parametrize("model", [network, with_batch_norm])
def test_followers_stand_at_the_weights_of_the_left_lane_of_their_precision(model: object) -> None:
    shared = recipe(model=model)
    lockstep = make_lockstep(shared, lane_recipe(), lane_recipe(lambda z, y: 3 * log1p(z, y)))
    for batch in batches(shared):
        lockstep.evaluate(batch)
        for dtype, follower in lockstep.followers.items():
            leader = lockstep.leader(dtype)
            assert same_bits(leader.weights, follower.weights)
            assert follower.loss == pytest.approx(3 * leader.loss, rel=1e-6)
            assert torch.equal(leader.output, follower.output)
        if batch.step:
            assert not same_bits(lockstep.lanes["right"].weights, lockstep.followers["float32"].weights)
        lockstep.update()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, {"float64", "float32"}),
        (torch.float32, {"float32", "float64"}),
        (torch.bfloat16, {"bfloat16", "float32", "float64"}),
    ],
)
def test_every_precision_has_a_left_a_right_and_a_follower(dtype: torch.dtype, expected: set[str]) -> None:
    lockstep = make_lockstep(recipe(dtype=dtype), lane_recipe(), lane_recipe())
    assert set(lockstep.followers) == expected
    starts = {name: flat(lockstep.leader(name).weights) for name in expected}
    assert all(torch.equal(start, starts["float64"]) for start in starts.values())  # rounded to the run's dtype first


def poisoned(bad: float, what: str) -> Function:
    """The NLL, but for rows whose raw output is `bad` at most: NaN in the value, or in the gradient only."""

    def nll(z: Tensor, y: Tensor) -> Tensor:
        value = log1p(z, y)
        if what == "loss":
            return torch.where(z <= bad, math.nan, value)
        return value + 0 * torch.where(z <= bad, z - z.detach(), 1.0).abs().sqrt()

    return nll


def flat_start() -> nn.Module:
    """A logistic regression from zero: all raw outputs begin at 0 and spread from there."""
    model = nn.Linear(4, 1)
    for weight in model.parameters():
        nn.init.zeros_(weight)
    return model


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_lane_that_goes_non_finite_stops_and_the_others_go_on(what: str) -> None:
    shared = recipe(steps=8, batch_size=None, model=flat_start)
    alone = Lane("alone", lane_recipe(), initial_model(shared), torch.float32)
    lows = []
    for batch in batches(shared):
        alone.evaluate(batch)
        lows.append(float(alone.output.min()))
        alone.update()
    assert lows == sorted(lows, reverse=True)
    bad = (lows[4] + lows[5]) / 2  # first reached at step 5
    lockstep = advance(shared, lane_recipe(), lane_recipe(poisoned(bad, what)))
    left, right = lockstep.lanes["left"], lockstep.lanes["right"]
    stop = right.stopped
    assert isinstance(stop, Stop)
    assert (stop.step, stop.what, stop.output) == (5, what, pytest.approx(lows[5], rel=1e-6))
    row = int(right.output.argmin())
    assert (stop.row, stop.target) == (row, Y[row].item())
    assert left.stopped is None
    assert same_bits(left.weights, alone.weights)
    assert all(torch.isfinite(weight).all() for weight in right.weights)
    assert not lockstep.over
    assert not same_bits(left.weights, right.weights)


def test_lockstep_is_over_when_both_sides_have_stopped() -> None:
    lockstep = advance(recipe(), *[lane_recipe(poisoned(math.inf, "loss"))] * 2)
    assert lockstep.over
    assert {lane.stopped.step for lane in lockstep.lanes.values() if lane.stopped} == {0}


def test_lbfgs_runs_on_the_full_batch_and_reaches_the_optimum_that_sgd_walks_to() -> None:
    def lbfgs(weights: object) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(weights, line_search_fn="strong_wolfe")

    shared = recipe(steps=5, batch_size=None, model=lambda: nn.Linear(4, 1), dtype=torch.float64)
    lanes = advance(shared, lane_recipe(log1p, lbfgs), lane_recipe(bce, lbfgs)).lanes
    assert same_bits(lanes["left"].weights, lanes["control"].weights)
    assert flat(lanes["left"].gradients).abs().max() < 1e-5
    assert gap(lanes["left"], lanes["right"]) < 1e-6
    assert flat(advance(shared, lane_recipe(), lane_recipe()).lanes["left"].gradients).abs().max() > 1e-3


@pytest.mark.parametrize(("accumulate", "batch_size"), [(4, 32), (4, 30), (5, 32), (64, 32)])
def test_accumulated_gradients_are_those_of_the_whole_batch(accumulate: int, batch_size: int) -> None:
    shared = recipe(dtype=torch.float64, batch_size=batch_size)
    whole, parts = (
        Lane(str(n), lane_recipe(accumulate=n), initial_model(shared), torch.float64) for n in (1, accumulate)
    )
    batch = next(batches(shared))
    for lane in (whole, parts):
        lane.evaluate(batch)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-14, abs=0)
    difference = (flat(parts.gradients) - flat(whole.gradients)).norm() / flat(whole.gradients).norm()
    assert difference < 1e-14
    assert torch.equal(parts.output, whole.output) or (parts.output - whole.output).abs().max() < 1e-14
    summed = Lane(
        "sum", lane_recipe(lambda z, y: log1p(z, y).sum(), accumulate=accumulate), initial_model(shared), torch.float64
    )
    summed.evaluate(batch)
    assert summed.loss < 0.5 * float(log1p(whole.output, whole.target).sum())  # a sum is not what accumulation expects


def test_one_lane_alone_records_every_step_and_stops_where_it_breaks() -> None:
    rows: list[dict[str, float]] = []
    lane = train(recipe(steps=20), lane_recipe(), rows.append)
    assert [row["step"] for row in rows] == list(range(20))
    assert sum(row["loss"] for row in rows[-3:]) < sum(row["loss"] for row in rows[:3])
    assert all(row["gradient_norm"] > 0 for row in rows)
    assert lane.stopped is None
    rows.clear()
    lane = train(recipe(steps=20), lane_recipe(bernoulli_nll_naive, lambda w: torch.optim.SGD(w, lr=1e3)), rows.append)
    assert lane.stopped is not None
    assert rows[-1]["step"] == lane.stopped.step < 19


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recipe(steps=0), r"steps: 0; at least 1"),
        (lambda: recipe(batch_size=97), r"batch_size: 97 with 96 training rows in 'data'; choose 1 to 96"),
        (lambda: recipe(batch_size=0), r"batch_size: 0"),
        (lambda: lane_recipe(accumulate=0), r"accumulate: 0 micro-batches"),
        (lambda: parse_dtype("float23"), r"dtype: unknown dtype 'float23'.*Did you mean 'float32'"),
        (lambda: parse_dtype(torch.int64), r"dtype: unknown dtype 'int64'"),
        (lambda: parse_device("meat"), r"device: 'meat' is not available here"),
        (lambda: initial_model(recipe(model=lambda: 3)), r"model: the factory returned int"),
        (lambda: initial_model(recipe(model=nn.ReLU)), r"model: ReLU has no trainable parameters"),
        (
            lambda: advance(recipe(model=lambda: nn.Linear(4, 2)), lane_recipe(), lane_recipe()),
            r"shape \(32, 2\) for 32 rows",
        ),
        (
            lambda: advance(recipe(model=lambda: nn.Linear(5, 1)), lane_recipe(), lane_recipe()),
            r"model raised RuntimeError on \(32, 4\)",
        ),
        (
            lambda: advance(recipe(), lane_recipe(), lane_recipe(lambda _, y: y)),
            r"'<lambda>': its value does not depend",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(call: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_the_data_are_in_order() -> None:
    assert X.shape == (96, 4)
    assert 0.3 < float(Y.mean()) < 0.7
