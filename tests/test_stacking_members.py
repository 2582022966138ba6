"""One comparison's rows of stacks: what is asked of lanes alone, who stands where, who has stopped, and what is told of a step."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from training_cases import recipe

from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.targets import TargetSpace
from mlnn.training import Batch, Stop, UnstackableError, batches
from mlnn.training.batches import Rows
from mlnn.training.stacking import member as module
from mlnn.training.stacking.member import Begun, Heard, Member
from mlnn.training.stacking.stacks import Stacks
from mlnn.training.step import FOLLOWER, Evaluated, LaneStep

NAMES = ("left", "control", "right", FOLLOWER)
FIRST, SECOND = [*batches(recipe(steps=2, batch_size=4))]
STOP, EARLIER = Stop(0, "loss"), Stop(0, "gradient")
NOTHING = torch.empty(0)


class Noted:
    """A lane that notes which row it was put where."""

    def __init__(self, name: str) -> None:
        self.name, self.dtype, self.stopped, self.asked = name, torch.float32, None, f"objective '{name}'"
        self.stands: list[int] = []
        self.recipe = SimpleNamespace(objective=None)
        self.optimizer, self.given, self.way = SimpleNamespace(), None, 0.0

    def take_over(self, state: int) -> None:
        self.stands.append(state)

    def take_gradient(self, gradient: Tensor) -> None:
        self.given = gradient

    def evaluate(self, batch: Batch) -> Evaluated:
        return told(batch=batch)

    def update(self, _answer: Evaluated) -> Tensor:
        return torch.tensor([1.0 + self.way, 1.0])


def told(gradient: Any = (1.0, 1.0), stop: Stop | None = None, loss: float = 0.5, batch: Batch = FIRST) -> Evaluated:
    return Evaluated(batch, loss, torch.zeros(4), torch.ones(4), torch.tensor(gradient), stop)


def made(strange: bool = False, plays: Any = None, alike: bool = True, **options: Any) -> Member:
    """Four lanes of two weights, padded to three; row r of the stack is lane r."""
    lanes = {name: Noted(name) for name in NAMES[:-1]}
    follower = Noted(FOLLOWER)
    plain: Any = SimpleNamespace(lanes=lanes, followers={"float32": follower}, permuted={},
                                 leader=lambda _: lanes["left"], recipe=recipe(), look=lambda batch: ("look", batch))  # fmt: skip
    weights = torch.arange(12.0).reshape(4, 3)
    stack: Any = SimpleNamespace(weights=weights, size=2, plays=plays, state_of=lambda row: row)
    shared = Stacks({"float32": stack}, [], alike)
    return Member(plain, {"float32": NAMES}, shared, None, (0.1, 0.1), strange, **options)


def heard(member: Member, batch: Batch = FIRST, **answers: Evaluated) -> Heard:
    evaluated = {"float32": {name: told() for name in NAMES} | answers}
    gradients: Any = {"float32": SimpleNamespace(answers=SimpleNamespace(gradients=torch.zeros(4, 3)))}
    return Heard(Begun(batch, {}, {}), member._weights(), gradients, evaluated, None)


@pytest.mark.parametrize(
    ("step", "strange", "plays", "looks", "asked"),
    [
        (0, False, None, False, True),
        (1, False, None, False, False),
        (1, False, None, True, True),
        (8, True, {"shape": None}, False, True),
        (16, True, {"shape": None}, False, True),
        (8, False, {"shape": None}, False, False),
        (8, True, {}, False, False),
        (9, True, {"shape": None}, False, False),
    ],
)
def test_lanes_alone_are_asked_at_first_at_looks_and_now_and_then_where_code_is_strange(
    step: int, strange: bool, plays: Any, looks: bool, asked: bool
) -> None:
    member = made(strange, plays)
    member.starts.clear()
    batch = Batch(step, FIRST.rows, 0, FIRST.recipe)
    assert bool(member.begin(batch, looks).alone) is asked


def test_rows_that_a_null_twin_meets_in_its_own_order_take_their_extras_along() -> None:
    member, y = made(), torch.arange(4.0)
    batch: Any = SimpleNamespace(
        rows=torch.arange(4),
        at=lambda _: Rows(y[:, None], y, {"weight": 10 * y, "two": torch.ones(2), "one": torch.tensor(3.0)}),
        permuted=lambda order: order.tolist(),
    )
    plain = member._met("float32", batch)
    assert all(own is batch for own in plain.batches.values())
    assert plain.rows.y.tolist() == [y.tolist()] * 4
    member.plain.permuted["control"] = torch.Generator().manual_seed(0)
    met = member._met("float32", batch)
    order = met.batches["control"]
    assert sorted(order) == [0, 1, 2, 3]  # type: ignore[type-var]
    assert order != [0, 1, 2, 3]
    assert [met.batches[name] is batch for name in NAMES] == [True, False, True, True]
    assert [row.tolist() == y.tolist() for row in met.rows.y] == [True, False, True, True]
    assert met.rows.y[1].tolist() == met.rows.x[1, :, 0].tolist() == [float(at) for at in order]  # type: ignore[attr-defined]
    assert torch.equal(met.rows.extras["weight"], 10 * met.rows.y)
    assert met.rows.extras["two"].shape == (4, 2)
    assert met.rows.extras["one"].tolist() == [3.0] * 4


@pytest.mark.parametrize(
    ("name", "finite", "before", "after"),
    [("left", True, EARLIER, EARLIER), ("left", False, None, STOP), ("left", False, EARLIER, EARLIER),
     (FOLLOWER, True, EARLIER, None), (FOLLOWER, False, EARLIER, STOP)],
)  # fmt: skip
def test_a_lane_keeps_its_first_stop_and_a_follower_stands_anew(
    name: str, finite: bool, before: Stop | None, after: Stop | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "stop_of", lambda *_: STOP)
    member = made()
    lane: Any = member._lane("float32", name)
    assert lane.name == name
    lane.stopped = before
    for loss in (0.5, math.nan):
        found = member._stopped(lane, told(loss=loss), NOTHING, finite)
        assert lane.stopped is after
        assert found.stop is (None if finite else STOP)
        assert bool(found.gradient.isnan().all()) is (not finite and math.isnan(loss))


@pytest.mark.parametrize(
    ("left", "right", "goes"), [(None, None, True), (STOP, None, False), (None, STOP, False), (STOP, STOP, False)]
)
def test_predictions_are_compared_where_both_sides_go_on(left: Any, right: Any, goes: bool) -> None:
    member = made()
    member.lanes["left"].stopped, member.lanes["right"].stopped = left, right
    assert member.predicts is goes


def test_a_step_is_taken_back_where_a_lane_has_stopped_and_ends_it_at_weights_that_are_not_finite() -> None:
    member = made()
    before = heard(member)
    member.lanes["left"].stopped = STOP
    after = {"float32": torch.full((4, 3), 20.0)}
    after["float32"][2, 0] = after["float32"][3, 0] = math.inf
    member.settle(before, after, {"float32": [20.0, math.inf, math.inf, math.inf]})  # control's sum alone overflows
    assert after["float32"][0].tolist() == [0.0, 1.0, 2.0]
    assert after["float32"][1].tolist() == [20.0] * 3
    assert [lane.stopped for lane in member.lanes.values()] == [STOP, None, Stop(0, "weights")]
    assert member.plain.followers["float32"].stopped is None


def test_lanes_stand_where_their_rows_do_unless_they_have_ended() -> None:
    ended: Any = {"control": None}
    member = made(ended=ended)
    member.put_back()
    follower: Any = member.plain.followers["float32"]
    lanes: Any = member.lanes
    assert [lane.stands for lane in lanes.values()] == [[0], [], [2]]
    assert follower.stands == [0]
    assert member._alone(FIRST).keys() == {"float32"}
    member.ended["left"] = ended["control"]
    assert member._alone(FIRST) == {}
    assert not member.over
    assert made(ended=dict.fromkeys(("left", "right"))).over  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("alone", "row", "refused"),
    [
        (told(), told(), False),
        (told(), told((1.0, 1.01)), True),
        (told(stop=STOP), told((1.0, 1.01), STOP), False),  # neither is finite: nothing to compare
        (told(stop=STOP), told(), True),
        (told(), told(stop=STOP), True),
    ],
)
@pytest.mark.parametrize("name", ["left", FOLLOWER])
def test_rows_are_held_to_what_lanes_alone_answer(alone: Evaluated, row: Evaluated, refused: bool, name: str) -> None:
    member = made()
    pair = (alone, told()) if name == "left" else (told(), alone)
    rows = {"float32": {"left": told(), FOLLOWER: told()} | {name: row}}
    if refused:
        with pytest.raises(UnstackableError, match="objective 'left': a row's gradient is not that of a lane alone"):
            member._check_lanes({"float32": pair}, rows)
    else:
        member._check_lanes({"float32": pair}, rows)


@pytest.mark.parametrize(
    ("off", "stopped", "stop", "alike", "refused"),
    [
        ("", None, None, True, False),
        ("left", None, None, True, True),
        ("left", STOP, None, True, False),
        ("left", None, STOP, True, False),
        (FOLLOWER, None, None, True, False),  # it has left's own step
        (FOLLOWER, None, None, False, True),
        ("", None, None, False, False),
    ],
)
def test_the_first_step_of_rows_is_held_to_that_of_lanes_alone(
    off: str, stopped: Stop | None, stop: Stop | None, alike: bool, refused: bool
) -> None:
    member = made(alike=alike)
    for step in (0, 1):
        one = replace(heard(member, (FIRST, SECOND)[step], left=told(stop=stop)), before={"float32": torch.zeros(4, 3)})
        member.shared.by_dtype["float32"].weights[[0, 3]] = torch.ones(2, 3)
        member.lanes["left"].stopped = stopped
        member.ended.clear()
        if off:
            member._lane("float32", off).way = 0.5  # type: ignore[attr-defined]
        if refused and step == 0:
            with pytest.raises(UnstackableError, match="a row's step is not that of a lane alone"):
                member.finish(one, None, asks=True)
        else:
            member.finish(one, None, asks=True)


CALLS: list[int] = []


def counting(z: Tensor, y: Tensor) -> Tensor:
    CALLS.append(1)
    return bernoulli_nll_log1p(z, y)


@pytest.mark.parametrize(
    ("function", "plays", "loss", "stop", "asked", "refused"),
    [
        (counting, {"shape": None}, math.log(2), None, True, False),
        (counting, {"shape": None}, 0.1, None, True, True),
        (counting, {}, 0.1, None, False, False),
        (counting, {"shape": None}, 0.1, STOP, False, False),
        (bernoulli_nll_log1p, {"shape": None}, 0.1, None, False, False),  # which is ours
    ],
)
def test_an_objective_of_the_users_own_is_asked_where_its_steps_are_recorded(
    function: Any, plays: Any, loss: float, stop: Stop | None, asked: bool, refused: bool
) -> None:
    CALLS.clear()
    member = made(plays=plays)
    objective = Objective.of(function, TargetSpace("binary"))
    for name in ("left", FOLLOWER):
        member._lane("float32", name).recipe = SimpleNamespace(objective=objective)  # type: ignore[assignment]
    rows = {"float32": {name: told(loss=loss, stop=stop) for name in ("left", FOLLOWER)}}
    if refused:
        with pytest.raises(UnstackableError, match="answers otherwise than when it was recorded"):
            member._check_objectives(rows)
    else:
        member._check_objectives(rows)
    assert bool(CALLS) is asked


def test_the_record_of_a_step_keeps_who_has_ended_and_compares_only_what_goes_on() -> None:
    member = made()
    member.lanes["control"].stopped = STOP
    record = member.finish(heard(member, SECOND), None, asks=True)
    assert [lane.alive for lane in record.lanes.values()] == [True, False, True]
    assert member.ended.keys() == {"control"}
    assert record.common.keys() == {"float32"}
    assert record.gradient is record.common["float32"].gradient
    last = LaneStep(told(), NOTHING, NOTHING, NOTHING, STOP)
    member.ended["left"] = last
    later = member.finish(heard(member, SECOND), None, asks=True)
    assert (later.lanes["left"], later.common, later.gradient) == (last, {}, None)
    assert not member.finish(heard(member, SECOND), None, asks=False).asked
