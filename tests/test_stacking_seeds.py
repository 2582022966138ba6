"""Rows of many seeds: which are checked when, which batches they meet, who stops where, and what the rest go on with."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from training_cases import lane_recipe, recipe

from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.targets import TargetSpace
from mlnn.training import Recipe, Stop, UnstackableError
from mlnn.training.batches import Rows
from mlnn.training.descent import SGD
from mlnn.training.stacking import seeds as module
from mlnn.training.stacking.seeds import SeedRows
from mlnn.training.stacking.stack import Answers

STOP, OTHER = Stop(0, "gradient"), Stop(4, "loss", 7)
SEEDS = (0, 5, 9)
NOTHING = torch.empty(0)


def log1p(z: Tensor, y: Tensor) -> Tensor:
    return bernoulli_nll_log1p(z, y)


def rows_of(shared: Recipe, function: Any = log1p, seeds: tuple[int, ...] = SEEDS) -> SeedRows:
    lanes = lane_recipe(function, lambda weights: SGD(weights, 0.1))
    return SeedRows.of(shared, lanes.wrapped(shared.dataset), seeds)


class Noted:
    """A lane of one weight that notes where it was put; its answer is `slope`, and its step one more than that of its row."""

    def __init__(self, stopped: Stop | None = None, slope: float = 1.0, stop: Stop | None = None) -> None:
        self.stopped, self.slope, self.stop, self.way = stopped, slope, stop, 0.0
        self.asked, self.stands, self.weights = "objective 'own'", [], [torch.ones(1, requires_grad=True)]
        self.recipe = SimpleNamespace(objective=Objective.of(log1p, TargetSpace("binary")))
        self.optimizer = SimpleNamespace()

    def take_over(self, row: int) -> None:
        self.stands.append(row)

    def take_gradient(self, gradient: Tensor) -> None:
        assert gradient.tolist() == [1.0, 1.0]

    def evaluate(self, _batch: Any) -> Any:
        self.stopped = self.stop
        self.weights[0].grad = torch.ones(1)
        return SimpleNamespace(gradient=torch.full((2,), self.slope), stop=self.stop)

    def update(self, _answer: Any) -> Tensor:
        return torch.tensor([2.0 + self.way, 2.0])


def made(*stopped: Stop | None, trial: Noted | None = None, plays: Any = None, living: Any = None) -> Any:
    """Rows of as many seeds, of two weights padded to three."""
    lanes: Any = tuple(Noted(stop) for stop in stopped)
    stack: Any = SimpleNamespace(weights=torch.ones(len(lanes), 3), size=2, plays=plays, state_of=lambda row: row)
    held: Any = trial or Noted()
    return SeedRows(recipe(), SEEDS[: len(lanes)], lanes, held, stack, None, torch.full((6, len(lanes)), 0.5), living)  # type: ignore[arg-type]


def answers(*gradients: float, losses: Any = None) -> Answers:
    slopes = torch.tensor([[slope, slope, 0.0] for slope in gradients])
    told = torch.full((len(gradients),), 0.5) if losses is None else torch.tensor(losses)
    return Answers(told, torch.zeros(len(gradients), 4), slopes)


ORDER = torch.arange(4).repeat(3, 1)
ROWS = Rows(torch.zeros(3, 4, 1), torch.ones(3, 4), {"weight": torch.arange(12.0).reshape(3, 4)})


def test_rows_are_checked_at_the_first_the_last_and_two_steps_between(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, seen = rows_of(recipe(steps=9)), []
    checked = SeedRows._check_answers
    monkeypatch.setattr(SeedRows, "_check_answers", lambda own, *told: (seen.append(told[0]), checked(own, *told)))
    steps: list[float] = []
    step = SeedRows._check_step
    monkeypatch.setattr(SeedRows, "_check_step", lambda own, *told: (steps.append(1), step(own, *told)))
    monkeypatch.setattr(SeedRows, "_stop", lambda *_: pytest.fail("all is finite"))
    losses = rows.train(None)
    assert (seen, len(steps)) == ([0, 2, 4, 8], 1)
    assert losses.isfinite().all()
    assert losses.shape == (3, 9)


def test_where_no_seed_is_left_nothing_is_asked_any_more() -> None:
    rows = rows_of(recipe(steps=9), lambda z, y: log1p(z, y) + math.nan)
    losses = rows.train(None)
    assert rows.stack.steps == 1
    assert losses.isnan().all()
    assert [lane.stopped is not None and lane.stopped.step for lane in rows.lanes] == [0, 0, 0]


def test_where_some_are_left_all_steps_are_taken() -> None:
    def rising(z: Tensor, y: Tensor) -> Tensor:
        return log1p(z, y) + torch.where(z.detach().mean() > bound, math.nan, 0.0)

    plain = rows_of(recipe(steps=1, batch_size=None))
    bound = math.inf
    with torch.no_grad():
        means = [float(lane.module(plain.recipe.table.x.float()).mean()) for lane in plain.lanes]
    bound = sorted(means)[1] + (sorted(means)[2] - sorted(means)[1]) / 2
    rows = rows_of(recipe(steps=2, batch_size=None), rising)
    losses = rows.train(None)
    worst = means.index(max(means))
    assert rows.stack.steps == 2
    assert losses.isnan().tolist() == [[place == worst] * 2 for place in range(3)]


@pytest.mark.parametrize(
    ("size", "steps", "epochs", "gathered"), [(None, 4, [0] * 3, 1), (32, 7, [0] * 3 + [1] * 3 + [2] * 3, 7),
                                              (96, 2, [0] * 3 + [1] * 3, 2)]
)  # fmt: skip
def test_each_seed_has_its_order_drawn_once_an_epoch(
    size: int | None, steps: int, epochs: list[int], gathered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = made(None, None, None)
    rows.recipe = recipe(steps=steps, batch_size=size)
    drawn: list[int] = []
    order, gather = module.rows_of_epoch, SeedRows._gather
    monkeypatch.setattr(module, "rows_of_epoch", lambda own, epoch: (drawn.append(epoch), order(own, epoch))[1])
    times: list[int] = []
    monkeypatch.setattr(SeedRows, "_gather", lambda own, *told: (times.append(1), gather(own, *told)))
    x, found = rows.recipe.whole_data(torch.float32)[0], []
    for step, picked, met in rows._batches():
        assert torch.equal(met.x, x[picked])
        found.append((step, picked.tolist()))
    assert [step for step, _ in found] == list(range(steps))
    assert (drawn, len(times), len(rows.gathered)) == (epochs, gathered, 1)
    first = found[0][1]
    assert (first[0] == first[1]) is (size is None)
    assert (found[1][1] == first) is (size is None)


@pytest.mark.parametrize(
    ("living", "bad", "finite"), [(None, None, True), (None, 1, False), ([0, 2], 1, True), ([0, 1], 1, False)]
)
@pytest.mark.parametrize("where", ["losses", "outputs", "gradients", "weights"])
def test_all_is_finite_where_all_that_live_are(living: Any, bad: int | None, finite: bool, where: str) -> None:
    rows, told = made(None, None, None, living=None if living is None else torch.tensor(living)), answers(1.0, 1.0, 1.0)
    if bad is not None:
        (rows.stack.weights if where == "weights" else getattr(told, where))[bad] = math.inf
    assert rows._all_finite(told) is finite


@pytest.mark.parametrize(
    ("stopped", "finite", "stops", "living"),
    [
        ((None, None, None), (True, True, True), (None, None, None), None),  # a sum has overflowed alone
        ((None, None, None), (True, False, True), (None, OTHER, None), [0, 2]),
        ((STOP, None, None), (False, True, False), (STOP, None, OTHER), [1]),
        ((STOP, None, None), (True, True, True), (STOP, None, None), [1, 2]),
    ],
)
def test_a_seed_stops_where_it_is_not_finite_and_the_first_time_alone(
    stopped: Any, finite: Any, stops: Any, living: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = made(*stopped)
    monkeypatch.setattr(module, "stop_of", lambda *_: OTHER)
    monkeypatch.setattr(module, "finite_rows", lambda _: [(7.0, one) for one in finite])
    rows._stop(4, ORDER, ROWS, answers(1.0, 1.0, 1.0))
    assert tuple(lane.stopped for lane in rows.lanes) == stops
    new = [before is None and after is not None for before, after in zip(stopped, stops, strict=True)]
    assert [lane.stands for lane in rows.lanes] == [[place] if one else [] for place, one in enumerate(new)]
    assert rows.losses[4].tolist() == [7.0 if one else 0.5 for one in new]
    assert (rows.living if rows.living is None else rows.living.tolist()) == living


def test_weights_that_are_not_finite_stop_a_seed_a_step_earlier() -> None:
    rows = made(None, STOP, None)
    rows.stack.weights[1:, 0] = math.inf
    rows._stop_by_weights(3)
    assert [lane.stopped for lane in rows.lanes] == [None, STOP, Stop(2, "weights")]
    assert [lane.stands for lane in rows.lanes] == [[], [], [2]]


@pytest.mark.parametrize(
    ("lane", "row", "loss", "refused"),
    [
        (Noted(), 1.0, 0.5, False),
        (Noted(), 1.01, 0.5, True),
        (Noted(stop=STOP), math.nan, 0.5, False),
        (Noted(stop=STOP), 1.0, math.nan, False),  # of either one is enough
        (Noted(stop=STOP), 1.0, 0.5, True),
        (Noted(), math.nan, 0.5, True),
        (Noted(), 1.0, math.inf, True),
    ],
)
@pytest.mark.parametrize("step", [0, 3])
def test_rows_are_held_to_lanes_alone(lane: Noted, row: float, loss: float, refused: bool, step: int) -> None:
    """At the first step all of them, later the first that lives; once asked, a lane stands as if it had not been."""
    rows = made(STOP, None, None, trial=lane)
    rows.lanes = (Noted(), lane, Noted()) if step == 0 else rows.lanes
    told = answers(1.0, row, 1.0, losses=[0.5, loss, 0.5])
    rows.first = torch.ones(2) if step else None
    lane.stands.clear()
    if refused:
        with pytest.raises(UnstackableError, match="objective 'own': a row's gradient is not that of a lane alone"):
            rows._check_answers(step, ORDER, ROWS, told)
        return
    rows._check_answers(step, ORDER, ROWS, told)
    assert (lane.stands, lane.stopped, lane.weights[0].grad) == ([1] if step else [], None, None)
    assert rows.first.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("way", "stop", "refused"), [(0.0, None, False), (0.1, None, True), (0.1, STOP, False)])
def test_the_first_step_is_held_to_that_of_a_lane_alone(way: float, stop: Stop | None, refused: bool) -> None:
    trial = Noted(stop=stop)
    trial.way = way
    rows = made(None, None, None, trial=trial)
    rows.stack.weights[0] = 2.0
    if refused:
        with pytest.raises(UnstackableError, match="a row's step is not that of a lane alone"):
            rows._check_step(ORDER, ROWS, answers(1.0, 1.0, 1.0), torch.zeros(3))
    else:
        rows._check_step(ORDER, ROWS, answers(1.0, 1.0, 1.0), torch.zeros(3))


@pytest.mark.parametrize(
    ("function", "plays", "loss", "refused"),
    [
        (log1p, {"shape": None}, math.log(2), False),
        (log1p, {"shape": None}, 0.1, True),
        (log1p, {"shape": None}, math.nan, False),
        (log1p, {}, 0.1, False),
        (log1p, None, 0.1, False),
        (bernoulli_nll_log1p, {"shape": None}, 0.1, False),  # which is ours
    ],
)
def test_an_objective_of_the_users_own_is_asked_again(function: Any, plays: Any, loss: float, refused: bool) -> None:
    rows = made(STOP, None, None, plays=plays)
    rows.trial.recipe.objective = Objective.of(function, TargetSpace("binary"))
    told = answers(1.0, 1.0, 1.0, losses=[9.0, loss, 9.0])
    own = Rows(ROWS.x, ROWS.y, {})
    if refused:
        with pytest.raises(UnstackableError, match="answers otherwise than when it was recorded"):
            rows._check_objective(2, ORDER, own, told)
    else:
        rows._check_objective(2, ORDER, own, told)
