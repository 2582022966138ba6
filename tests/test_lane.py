"""One lane: where it stops, L-BFGS, accumulated gradients, training alone, and what is refused."""

import math

import pytest
import torch
from objective_cases import Function
from torch import Tensor, nn
from training_cases import Y, advance, lane_recipe, recipe, same_bits

from mlnn.errors import ConfigError
from mlnn.objectives import bce, bernoulli_nll_log1p, bernoulli_nll_naive
from mlnn.training import Lane, Stop, batches, flat, initial_model, make_lockstep, parse_device, parse_dtype, train

log1p = bernoulli_nll_log1p


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
        answer = alone.evaluate(batch)
        lows.append(float(answer.output.min()))
        alone.update(answer)
    assert lows == sorted(lows, reverse=True)
    bad = (lows[4] + lows[5]) / 2  # first reached at step 5
    lockstep = make_lockstep(shared, lane_recipe(), lane_recipe(poisoned(bad, what)))
    records = list(lockstep.steps())
    left, right = lockstep.lanes["left"], lockstep.lanes["right"]
    stop = right.stopped
    assert isinstance(stop, Stop)
    assert (stop.step, stop.what, stop.output) == (5, what, pytest.approx(lows[5], rel=1e-6))
    row = int(records[5].lanes["right"].answer.output.argmin())
    assert (stop.row, stop.target) == (row, Y[row].item())
    assert left.stopped is None
    assert same_bits(left.weights, alone.weights)
    assert all(torch.isfinite(weight).all() for weight in right.weights)
    assert [record.ran("right") for record in records] == [True] * 6 + [False] * 2
    ended = [record.lanes["right"] for record in records[5:]]
    assert {lane.stop for lane in ended} == {stop}
    assert torch.equal(ended[0].before, ended[-1].after)
    assert not same_bits(left.weights, right.weights)


def test_lockstep_is_over_when_both_sides_have_stopped() -> None:
    lockstep = make_lockstep(recipe(), *[lane_recipe(poisoned(math.inf, "loss"))] * 2)
    assert [record.step for record in lockstep.steps()] == [0]
    assert {lane.stopped.step for lane in lockstep.lanes.values() if lane.stopped} == {0}


def test_lbfgs_runs_on_the_full_batch_and_reaches_the_optimum_that_sgd_walks_to() -> None:
    def lbfgs(weights: object) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(weights, line_search_fn="strong_wolfe")

    shared = recipe(steps=5, batch_size=None, model=lambda: nn.Linear(4, 1), dtype=torch.float64)
    lanes = advance(shared, lane_recipe(log1p, lbfgs), lane_recipe(bce, lbfgs)).lanes
    assert same_bits(lanes["left"].weights, lanes["control"].weights)
    assert flat(lanes["left"].gradients).abs().max() < 1e-5
    assert (flat(lanes["left"].weights) - flat(lanes["right"].weights)).abs().max() < 1e-6
    assert flat(advance(shared, lane_recipe(), lane_recipe()).lanes["left"].gradients).abs().max() > 1e-3


@pytest.mark.parametrize(("accumulate", "batch_size"), [(4, 32), (4, 30), (5, 32), (64, 32)])
def test_accumulated_gradients_are_those_of_the_whole_batch(accumulate: int, batch_size: int) -> None:
    shared = recipe(dtype=torch.float64, batch_size=batch_size)
    whole, parts = (
        Lane(str(n), lane_recipe(accumulate=n), initial_model(shared), torch.float64) for n in (1, accumulate)
    )
    batch = next(batches(shared))
    for lane in (whole, parts):
        assert not lane.gradients[0].any()
    one, other = whole.evaluate(batch), parts.evaluate(batch)
    assert other.loss == pytest.approx(one.loss, rel=1e-14, abs=0)
    assert (other.gradient - one.gradient).norm() / one.gradient.norm() < 1e-14
    assert torch.equal(other.output, one.output) or (other.output - one.output).abs().max() < 1e-14
    summed = Lane(
        "sum", lane_recipe(lambda z, y: log1p(z, y).sum(), accumulate=accumulate), initial_model(shared), torch.float64
    )
    assert summed.evaluate(batch).loss < 0.5 * float(
        log1p(one.output, one.target).sum()
    )  # a sum is not what accumulation expects


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
        (lambda: lane_recipe(accumulate=0), r"accumulate: 0; at least 1"),
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
