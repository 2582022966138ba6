"""What a lockstep asks of which lane, and where each stands meanwhile: told by lanes that only note what they are asked."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from training_cases import recipe

from mlnn.training import Batch, Lockstep, StepRecord, Stop, batches
from mlnn.training import lockstep as module
from mlnn.training.descent import SGD
from mlnn.training.step import Evaluated

FIRST, SECOND, _ = [*batches(recipe(steps=3))]


class Noted:
    """A lane of two weights. Its loss is its place, its step is 1; `stops`: the step at which it is not finite."""

    def __init__(self, name: str, place: float, stops: int | None = None, lr: float = 0.1, **own: Any) -> None:
        self.name, self.stops, self.stopped, self.own = name, stops, None, None
        self.weights = [torch.full((2,), place)]
        self.recipe = SimpleNamespace(**({"mapping": None, "prior": 0.0, "rowwise": True} | own))
        self.optimizer = SGD(self.weights, lr)
        self.asked: list[Batch] = []
        self.translated: list[str] = []

    @property
    def gradients(self) -> list[Tensor]:
        return [10 * self.weights[0]]

    def evaluate(self, batch: Batch, objective: Any = None) -> Evaluated:
        self.asked.append(batch)
        stop = Stop(batch.step, "loss") if self.stops == batch.step else None
        self.stopped = stop if objective is None else self.stopped
        nothing = torch.empty(0)
        return Evaluated(batch, float(self.weights[0][0]), nothing, nothing, self.gradients[0].clone(), stop)

    def update(self, _answer: Evaluated) -> Tensor:
        self.weights[0] += 1
        return self.weights[0].clone()

    def wanted(self, leader: "Noted") -> dict[str, Tensor]:
        return {"weight": leader.weights[0]}

    def take_over(self, state: dict[str, Tensor]) -> None:
        self.weights[0].copy_(state["weight"])

    def translate(self, leader: "Noted", tensors: list[Tensor]) -> list[Tensor]:
        self.translated.append(leader.name)
        return [-part for part in tensors]

    def follow(self, _leader: "Noted", _answer: Evaluated) -> Tensor:
        return self.weights[0] + 100

    def predict(self, rows: Tensor, _step: int) -> Tensor:
        return torch.full((len(rows),), float(self.weights[0][0]))


class Other(SGD):
    """The same under another name."""


def made(steps: int = 3, mirrors: tuple[str, ...] = (), follower: Any = None, stops: Any = None, **options: Any) -> Any:
    """left at 0, right at 1, control at 2, left_float64 at 3, right_float64 at 4; followers at 5 and 6, mirrors at 7."""
    names = ("left", "right", "control", "left_float64", "right_float64")
    lanes = {name: Noted(name, place, (stops or {}).get(name)) for place, name in enumerate(names)}
    followers = {
        dtype: Noted(f"follower_{dtype}", 5.0 + place, (stops or {}).get(f"follower_{dtype}"), **(follower or {}))
        for place, dtype in enumerate(("float32", "float64"))
    }
    beside: Any = {dtype: Noted(f"mirror_{dtype}", 7.0) for dtype in mirrors}
    return Lockstep(recipe(steps=steps), lanes, followers, mirrors=beside, **options)  # type: ignore[arg-type]


def one(lockstep: Any, **options: Any) -> StepRecord:
    before = {name: lane.weights[0].clone() for name, lane in lockstep.lanes.items()}
    found: StepRecord = lockstep.advance(FIRST, {}, before, {}, **({"looks": False} | options))
    return found


def test_a_training_from_its_beginning_forgets_an_earlier_one() -> None:
    lockstep = made(ended={"control": None})
    records = list(lockstep.steps())
    assert [record.step for record in records] == [0, 1, 2]
    assert {name: start.tolist() for name, start in lockstep.starts.items()} == {
        "left": [0.0, 0.0], "left_float64": [3.0, 3.0]}  # fmt: skip
    assert all(record.lanes.keys() == lockstep.lanes.keys() for record in records)


def test_a_training_that_goes_on_keeps_its_starts_and_who_has_ended() -> None:
    last, starts = one(made()).lanes["control"], {"left": torch.ones(2)}
    lockstep = made(ended={"control": last}, starts=starts)
    (record,) = lockstep.steps(begin=2)
    assert record.step == 2
    assert record.starts is starts
    assert starts.keys() == {"left"}
    assert record.lanes["control"] is last
    assert not lockstep.lanes["control"].asked


@pytest.mark.parametrize(
    ("asked", "updates", "wanted"),
    [(None, False, [True] * 3), ([0, 2], False, [True, False, True]), ([], False, [False] * 3), ([], True, [True] * 3)],
)
def test_right_is_asked_and_looked_at_where_that_is_wanted(asked: Any, updates: bool, wanted: list[bool]) -> None:
    lockstep = made()
    lockstep.lanes["right"].own = object() if updates else None
    records = list(lockstep.steps([1], asked))
    assert [record.asked for record in records] == wanted
    assert [bool(record.common) for record in records] == wanted
    assert [record.look is not None for record in records] == [False, True, False]


def test_a_lane_that_has_stopped_stands_still_and_is_asked_no_more() -> None:
    lockstep = made(stops={"control": 1})
    records = list(lockstep.steps())
    first, second, third = (record.lanes["control"] for record in records)
    assert (first.alive, second.alive, third is second) == (True, False, True)
    assert first.after.tolist() == second.before.tolist() == second.after.tolist() == [3.0, 3.0]
    assert len(lockstep.lanes["control"].asked) == 2
    assert [float(record.lanes["left"].after[0]) for record in records] == [1.0, 2.0, 3.0]


def test_it_is_over_where_both_sides_have_stopped() -> None:
    lockstep = made(stops={"left": 0, "right": 1})
    assert [record.step for record in lockstep.steps()] == [0, 1]
    assert not list(lockstep.steps(begin=2))


def test_right_is_asked_beside_a_left_that_still_runs() -> None:
    lockstep = made(stops={"left": 0, "left_float64": 1})
    first, second, third = lockstep.steps()
    assert [record.common.keys() for record in (first, second, third)] == [
        {"float32", "float64"}, {"float64"}, set()]  # fmt: skip
    strides = [first.common["float32"].stride, first.common["float64"].stride, second.common["float64"].stride]
    assert [stride is None for stride in strides] == [True, False, True]
    assert [record.gradient is None for record in (first, second, third)] == [False, True, True]
    assert lockstep._right_from_left(["float32"], {}) == {}


def test_followers_are_asked_where_left_stands_and_step_from_there() -> None:
    record = one(made())
    for dtype, place in (("float32", 0.0), ("float64", 3.0)):
        common = record.common[dtype]
        assert (common.left.loss, common.right.loss) == (place, place)
        assert common.gradient.tolist() == [10 * place] * 2
        assert common.stride is not None
        assert (common.stride.left.tolist(), common.stride.right.tolist()) == ([place + 1] * 2, [place + 100] * 2)
        assert common.null == (0.0, 0.0)


@pytest.mark.parametrize(
    ("mirrors", "eps", "mirrored"),
    [((), 0.0, set()), (("float64",), 0.0, {"float64"}), (("float32",), 1e-6, set()),
     (("float32", "float64"), 1e-6, {"float64"})],
)  # fmt: skip
def test_a_mirror_answers_for_left_but_where_rounding_is_drawn(
    mirrors: tuple[str, ...], eps: float, mirrored: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, float, bool]] = []

    def draws(lane: Noted, _batch: Batch, eps: float, permutes: bool) -> list[tuple[float, float]]:
        drawn.append((lane.name, float(lane.weights[0][0]), permutes))
        return [(eps * len(drawn), 7 * eps)]

    monkeypatch.setattr(module, "null_draws", draws)
    for masks in (False, True):
        drawn.clear()
        lockstep = made(mirrors=mirrors, null_eps=eps, draws_masks=masks, follower={"mapping": object()})
        record = one(lockstep)
        for dtype, leader in (("float32", "left"), ("float64", "left_float64")):
            asked = f"mirror_{dtype}" if dtype in mirrored else leader
            assert lockstep.followers[dtype].translated[0] == asked
            if dtype in mirrors:
                assert bool(lockstep.mirrors[dtype].asked) is (dtype in mirrored)
            assert record.common[dtype].left.loss == (0.0 if dtype == "float32" else 3.0)
        told = "mirror_float32" if "float32" in mirrors else "left"
        assert drawn == ([(told, 0.0, not masks), ("follower_float32", 0.0, not masks)] if eps else [])
        assert record.common["float32"].null == (2 * eps, 7 * eps)
        assert record.common["float64"].null == (0.0, 0.0)


@pytest.mark.parametrize("mapping", [None, object()])
def test_left_is_told_in_rights_coordinates_where_there_is_a_mapping(mapping: object) -> None:
    record, sign = one(made(follower={"mapping": mapping})), 1.0 if mapping is None else -1.0
    for name in ("left", "left_float64"):
        assert torch.equal(record.lanes[name].shared, sign * record.lanes[name].after)
    for name in ("right", "control", "right_float64"):
        assert record.lanes[name].shared is record.lanes[name].after
    assert torch.equal(record.common["float64"].gradient, sign * torch.full((2,), 30.0))


@pytest.mark.parametrize(
    ("stops", "rowwise", "looked", "predicted"),
    [(None, True, True, True), ("follower_float64", True, False, True), ("left", True, False, False),
     ("right", True, True, False), (None, False, False, False)],
)  # fmt: skip
def test_predictions_are_those_of_lanes_that_go_on(
    stops: str | None, rowwise: bool, looked: bool, predicted: bool
) -> None:
    lockstep = made(mirrors=("float64",))
    lockstep.lanes["right"].recipe.rowwise = rowwise
    if stops is not None:
        (lockstep.lanes | {lane.name: lane for lane in lockstep.followers.values()})[stops].stopped = Stop(0, "loss")
    told = lockstep.look(FIRST).predictions
    assert (told is not None) is looked
    if told is not None:
        assert told.keys() == {"float32", "float64"}
        assert {float(left[0]) for left, _ in told.values()} == {0.0, 3.0}
        assert lockstep.mirrors["float64"].weights[0].tolist() == [3.0, 3.0]
    pair = lockstep._predictions(FIRST)
    assert (pair is not None) is predicted
    if pair is not None:
        assert [float(side[0]) for side in pair] == [0.0, 1.0]


@pytest.mark.parametrize(("eps", "asked"), [(0.0, {"float64"}), (1e-6, {"float32", "float64"})])
def test_a_look_asks_right_later_where_left_stood(eps: float, asked: set[str]) -> None:
    lockstep = made(null_eps=eps)
    look, other = lockstep.look(FIRST), object()
    for lane in lockstep.lanes.values():
        lane.update(None)
    for dtype, place in (("float32", 0.0), ("float64", 3.0)):
        if dtype in asked:
            assert look.ask(other, dtype).loss == place
        else:
            with pytest.raises(KeyError):
                look.ask(other, dtype)
    half = look.half()
    assert half is not None
    assert (half.loss, half.batch.rows.tolist()) == (3.0, FIRST.rows[: len(FIRST.rows) // 2].tolist())
    assert lockstep.look(replace(FIRST, rows=FIRST.rows[:1])).half() is None


def test_where_right_does_not_train_its_follower_s_optimiser_is_told() -> None:
    lockstep = made(follower={"lr": 0.7})
    before = {name: lockstep.lanes[name].weights[0].clone() for name in ("left", "left_float64")}
    record = lockstep.advance(FIRST, {}, before, {}, looks=False)
    assert record.lanes.keys() == before.keys()
    assert (record.rates, record.predictions) == ((0.1, 0.7), None)
    assert record.settings_apart == "lr is 0.1 on the left, 0.7 on the right"
    assert one(made(follower={"lr": 0.7})).rates == (0.1, 0.1)
    assert one(made()).predictions is not None


def test_a_null_twin_alone_meets_rows_in_an_order_of_its_own() -> None:
    lockstep = made(permuted={"control": torch.Generator().manual_seed(0)})
    one(lockstep)
    for name, lane in lockstep.lanes.items():
        (met,) = lane.asked
        assert (met is FIRST) is (name != "control")
        assert sorted(met.rows.tolist()) == sorted(FIRST.rows.tolist())
        assert torch.equal(met.rows, FIRST.rows) is (name != "control")


@pytest.mark.parametrize(
    ("right", "prior", "differ"),
    [
        (lambda weights: SGD(weights, 0.1), 0.0, False),
        (lambda weights: SGD(weights, 0.2), 0.0, True),
        (lambda weights: SGD(weights, 0.1), 0.5, True),
        (lambda weights: Other(weights, 0.1), 0.0, True),  # of another class, with the same settings
    ],
)
def test_optimisers_differ_in_their_kind_their_settings_or_the_prior(right: Any, prior: float, differ: bool) -> None:
    lockstep = made()
    lane = lockstep.lanes["right"]
    lane.optimizer, lane.recipe.prior = right(lane.weights), prior
    assert lockstep.optimizers_differ is differ
