"""What float64 twins need, what a record tells, and one lane alone that ends, goes on and is watched: asked part by part."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from objective_cases import binary
from torch import Tensor, nn
from training_cases import data, lane_recipe, network, recipe

from mlnn.data import from_arrays
from mlnn.errors import ConfigError
from mlnn.objectives import bernoulli_nll_log1p
from mlnn.objectives.promotion import Inside
from mlnn.training import Lane, Recipe, Stop, batches, train
from mlnn.training import twins as module
from mlnn.training.descent import SGD
from mlnn.training.solo import lane_likelihood
from mlnn.training.step import Evaluated, LaneStep, StepRecord, flat
from mlnn.training.twins import casts, null_draws, null_eps, promoted_sides, promoted_steps

f32, f64 = torch.float32, torch.float64


class Casting(nn.Module):
    def __init__(self, low: bool, matters: bool = True) -> None:
        super().__init__()
        self.head, self.low, self.matters = nn.Linear(4, 1), low, matters

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x)
        return out + (0.0 if not self.low else out.float().double() - (0 if self.matters else out.float().double()))


def test_a_model_casts_where_that_changes_what_it_answers() -> None:
    x = data(8).x
    found = [casts(model, x, 0) for model in (network(), Casting(False), Casting(True), Casting(True, False))]
    assert found == [False, False, True, False]
    head = Casting(True)
    for weight in head.parameters():
        nn.init.zeros_(weight)
    assert casts(head, x, 0), "a head of zeros is stirred, and hides nothing"
    assert not casts(nn.Linear(5, 1), x, 0)


def side(inside: Inside | None) -> Any:
    return SimpleNamespace(objective=replace(binary(bernoulli_nll_log1p), inside=inside))


@pytest.mark.parametrize(
    ("inside", "model", "promotes"),
    [(None, False, False), (None, True, True), (Inside(promotes=True), False, True), (Inside(), False, False),
     (Inside(), True, True)],
)  # fmt: skip
def test_a_side_is_promoted_for_its_objective_or_its_model(inside: Any, model: bool, promotes: bool) -> None:
    found = promoted_sides((side(inside), side(None)), (Casting(model), network()), data(8).x, 0)
    assert found == (promotes, False)


def test_a_step_is_promoted_where_it_casts() -> None:
    plain = lane_recipe(bernoulli_nll_log1p, lambda weights: SGD(weights, 0.1))
    low = lane_recipe(lambda z, y: bernoulli_nll_log1p(z.float(), y.float()), lambda weights: SGD(weights, 0.1))
    (batch,) = batches(recipe(8, steps=1, batch_size=8))
    assert promoted_steps((low, plain), (network(), network()), batch) == (True, False)
    assert promoted_steps((plain, low), (nn.Linear(5, 1), network()), batch) == (False, True)


def test_rounding_is_drawn_where_a_side_is_sealed() -> None:
    sealed, coarse = Inside(f32, sealed="why"), Inside(torch.bfloat16, sealed="why")
    eps = torch.finfo(f32).eps
    objective = [side(inside).objective for inside in (None, Inside(f32), sealed, coarse)]
    assert [null_eps(one, objective[0]) for one in objective] == [0.0, 0.0, eps, 0.0078125]
    assert null_eps(3, objective[2]) == eps
    assert null_eps(3, None) == 0.0


@pytest.mark.parametrize("permutes", [False, True])
def test_rounding_moves_a_lane_by_its_unit_and_by_the_order_of_rows(permutes: bool) -> None:
    (batch,) = batches(recipe(8, steps=1, batch_size=8))
    lane = Lane("one", lane_recipe(bernoulli_nll_log1p, lambda weights: SGD(weights, 0.1)), network(), f64)
    found = [*null_draws(lane, batch, 1e-3, permutes)]
    assert len(found) == 1 + permutes
    assert 1e-6 < found[0][0] < 1e-2
    assert 1e-6 < found[0][1] < 1e-1
    assert all(size < 1e-12 for size in found[-1]) is permutes
    start = flat(lane.weights)
    seen: list[Tensor] = []
    lane.evaluate = lambda _batch: (seen.append(flat(lane.weights)), answer())[1]  # type: ignore[method-assign, assignment]
    assert [*null_draws(lane, batch, 0.5, False)] == [(0.0, 0.0)]
    share = seen[1] / start
    assert ((share - 1).abs() - 0.5).abs().max() < 1e-12
    assert 0.1 < float((share > 1).double().mean()) < 0.9


def answer(stop: Stop | None = None, loss: float = 0.5) -> Any:
    return SimpleNamespace(stop=stop, loss=loss, gradient=torch.ones(2))


@pytest.mark.parametrize("stops", [(True, False), (False, True), (False, False)])
def test_an_answer_that_is_not_finite_draws_nothing(stops: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(answer(Stop(0, "loss") if one else None) for one in stops)
    lane: Any = SimpleNamespace(module=network(), weights=[], evaluate=lambda _: next(told))
    (batch,) = batches(recipe(8, steps=1, batch_size=8))
    monkeypatch.setattr(module, "generator", lambda *_: None)
    assert len([*null_draws(lane, batch, 1e-3, False)]) == int(not any(stops))


def test_vectors_are_flat_copies() -> None:
    one = torch.ones(2, 3, requires_grad=True)
    for found in (flat([one]), flat([one, one])):
        assert found.shape[0] % 6 == 0
        found.zero_()
        assert one.all()


def record(**given: Any) -> StepRecord:
    (batch,) = batches(recipe(8, steps=1, batch_size=8))
    standard: Any = {"starts": {}, "lanes": {}, "common": {}, "predictions": None, "look": None}
    return StepRecord(batch, **(standard | given))


def test_a_record_tells_rights_answer_and_who_ran() -> None:
    (here, later) = batches(recipe(16, steps=2, batch_size=8))
    nothing = torch.empty(0)
    told = [Evaluated(batch, 0.5, nothing, nothing, nothing) for batch in (here, later)]
    lanes = {
        name: LaneStep(one, nothing, nothing, nothing, None) for name, one in zip(("right", "left"), told, strict=True)
    }
    found = record(lanes=lanes)
    assert found.right is told[0]
    assert [found.ran(name) for name in ("right", "left", "other")] == [True, False, False]
    common: Any = {"float32": SimpleNamespace(right=told[1]), "float64": SimpleNamespace(right=told[0])}
    assert record(common=common).right is told[1]
    assert record().right is None


class Keeping:
    """Keeps the state of a run that has `done` steps."""

    def __init__(self, done: int = 0, stopped: Stop | None = None) -> None:
        self.steps, self.stopped, self.told, self.ended = done, stopped, [], 0

    def begin(self, _engine: str, roots: Any, _fixed: Any, _data: str) -> int:
        roots[0].stopped = self.stopped
        return self.steps

    def done(self, step: int) -> None:
        self.told.append(step)

    def finished(self) -> None:
        self.ended += 1


def alone(keep: Any = None, watch: Any = None, shared: Recipe | None = None, **options: Any) -> tuple[list[Any], Lane]:
    rows: list[Any] = []
    lane = train(shared or recipe(8, steps=4, batch_size=8),
                 lane_recipe(bernoulli_nll_log1p, lambda weights: SGD(weights, 0.1)), rows.append,
                 watch=watch, keep=keep, **options)  # fmt: skip
    return rows, lane


def test_a_lane_alone_goes_on_where_its_state_was_kept() -> None:
    for done, stopped, steps in ((0, None, [0, 1, 2, 3]), (2, None, [2, 3]), (2, Stop(1, "loss"), [])):
        keep = Keeping(done, stopped)
        rows, _ = alone(keep)
        assert [row["step"] for row in rows] == steps
        assert (keep.told, keep.ended) == ([step + 1 for step in steps], 1)
    assert len(alone()[0]) == 4
    assert len(alone(threads=1)[0]) == 4
    with pytest.raises(ConfigError, match="threads: 0"):
        alone(threads=0)


@pytest.mark.parametrize(("ends", "seen"), [(None, [0, 1, 2, 3, 4]), (2, [0, 1, 2])])
def test_whoever_watches_may_end_a_training(ends: int | None, seen: list[int]) -> None:
    found: list[int] = []
    alone(watch=lambda step, _: (found.append(step), step == ends)[1])
    assert found == seen


def test_rows_held_out_have_a_loss_of_their_own() -> None:
    whole = data(16)
    x, y = whole.x, whole.y
    held = from_arrays(x, y, held_out=0.25)
    assert len(held.x_held_out) == 4
    rows, lane = alone(shared=Recipe(held, network, 2, 12, f32))
    assert all(math.isfinite(row["held_out_loss"]) for row in rows)
    assert all(math.isnan(row["held_out_loss"]) for row in alone()[0])
    found = lane_likelihood(Recipe(held, network, 2, 12, f32), lane)
    assert found is not None
