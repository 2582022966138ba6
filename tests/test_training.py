"""Lanes in lockstep: same weights, batches and masks for all; what control, twins and followers are."""

import dataclasses
import itertools

import pytest
import torch
from objective_cases import binary
from torch import Tensor, nn
from training_cases import (
    ADAM,
    SGD,
    X,
    Y,
    advance,
    lane_recipe,
    network,
    recipe,
    same_bits,
    with_batch_norm,
    with_dropout,
)

import mlnn
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.objectives.precision import looked_into
from mlnn.objectives.promotion import Inside
from mlnn.training import LaneRecipe, batches, flat, make_lockstep
from mlnn.training.batches import Rows

log1p = bernoulli_nll_log1p


@pytest.mark.parametrize("model", [network, with_dropout, with_batch_norm])
@pytest.mark.parametrize("optimizer", [SGD, ADAM])
def test_the_control_is_left_bit_for_bit_and_right_is_not(model: object, optimizer: object) -> None:
    lockstep = make_lockstep(recipe(model=model), lane_recipe(bce, optimizer), lane_recipe(log1p, optimizer))
    for record in lockstep.steps():
        left, right, control = (record.lanes[name] for name in ("left", "right", "control"))
        assert torch.equal(left.after, control.after)
        assert left.answer.loss == control.answer.loss
    assert not torch.equal(left.after, right.after)


class Watched(nn.Module):
    """Keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)
        self.drop = nn.Dropout(0.5)
        self.seen: list[Tensor] = []
        self.masks: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        dropped = self.drop(torch.ones_like(x))
        if self.training:
            self.seen.append(x.detach().clone())
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
    answers = {name: lane.answer for name, lane in next(lockstep.steps()).lanes.items()}
    for name in ("null_1", "null_2"):
        assert answers[name].loss == pytest.approx(answers["left"].loss, rel=1e-6, abs=0)
        difference = (answers[name].gradient - answers["left"].gradient).norm() / answers["left"].gradient.norm()
        assert 0 < difference < 1e-5
    assert not set(make_lockstep(recipe(model=with_dropout), lane_recipe(), lane_recipe()).permuted)
    assert not [n for n in make_lockstep(recipe(), lane_recipe(), lane_recipe(), 0).lanes if n.startswith("null")]


@pytest.mark.parametrize("model", [network, with_batch_norm])
def test_followers_stand_at_the_weights_of_the_left_lane_of_their_precision(model: object) -> None:
    shared = recipe(model=model)
    lockstep = make_lockstep(shared, lane_recipe(), lane_recipe(lambda z, y: 3 * log1p(z, y)))
    for record in lockstep.steps(looks=[3]):
        for dtype, common in record.common.items():
            assert common.right.loss == pytest.approx(3 * common.left.loss, rel=1e-6)
            assert torch.equal(common.left.output, common.right.output)
            assert torch.equal(common.left.gradient, record.lanes[lockstep.leader(dtype).name].answer.gradient)
        if record.step:
            assert not torch.equal(record.lanes["right"].before, record.lanes["left"].before)
        assert (record.look is not None) == (record.step == 3)


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


def test_the_data_are_in_order() -> None:
    assert X.shape == (96, 4)
    assert 0.3 < float(Y.mean()) < 0.7


def test_a_record_holds_its_step_and_nothing_of_a_later_one() -> None:
    lockstep = make_lockstep(recipe(model=with_batch_norm), lane_recipe(bce), lane_recipe(log1p))
    records = list(lockstep.steps())
    for before, after in itertools.pairwise(records):
        for name, lane in after.lanes.items():
            assert torch.equal(lane.before, before.lanes[name].after)
            assert not torch.equal(lane.before, lane.after)
    assert torch.equal(records[-1].starts["left"], records[0].lanes["left"].before)
    with pytest.raises(AttributeError):
        records[0].batch = records[1].batch  # type: ignore[misc]


def test_a_look_asks_at_the_weights_before_the_step_though_all_have_stepped_since() -> None:
    lockstep = make_lockstep(recipe(model=with_batch_norm), lane_recipe(log1p), lane_recipe(bce))
    for record in lockstep.steps(looks=[0, 2]):
        if record.look is None:
            continue
        own, common = lockstep.followers["float64"].recipe.objective, record.common["float64"]
        for _ in range(2):
            again = record.look.ask(own, "float64")
            assert again.loss == common.right.loss
            assert torch.equal(again.gradient, common.right.gradient)
        assert not torch.equal(
            record.look.ask(lane_recipe(lambda z, y: 2 * log1p(z, y)).objective, "float64").gradient, again.gradient
        )
        assert record.look.predictions is not None
        left, right = record.look.predictions["float64"]
        assert torch.equal(left, right), "the same weights and buffers predict the same"


class Forwards(nn.Module):
    """Two weights in one order."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(x)))


class Backwards(Forwards):
    """The same in the other order, under other names."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.last, self.first = nn.Linear(3, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))


def test_each_lane_is_met_in_its_own_coordinates_where_right_orders_its_weights_otherwise() -> None:
    def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name.replace("a.", "first.").replace("b.", "last."): tensor for name, tensor in state.items()}

    own = lane_recipe(log1p)
    other = dataclasses.replace(own, model=Backwards, mapping=renamed)
    found = mlnn.compare(Forwards, own, other, (X, Y), optimizer=SGD, steps=5, batch_size=32)
    assert found.verdict.relation in ("bitwise", "equal")
    assert found.verdict.control == "bitwise"
    for name in ("weight_gap", "weight_gap_float64", "null_low", "null_high", "weight_gap_null_2"):
        assert found.trace[name].max() < 1e-4, name
    assert found.trace["null_high"].max() > 0


@pytest.mark.parametrize(("rows", "kept"), [(1, None), (2, 1), (5, 2), (32, 16)])
def test_half_a_batch_is_its_first_rows_and_of_one_row_there_is_no_half(rows: int, kept: int | None) -> None:
    batch = next(batches(recipe(batch_size=rows)))
    half = batch.half()
    assert (half is None) == (kept is None)
    if half is not None:
        assert torch.equal(half.rows, batch.rows[:kept])
        assert torch.equal(half.at(torch.float64).x, batch.at(torch.float64).x[:kept])


def test_some_of_a_batch_are_its_rows_and_what_is_not_a_row_s_is_left_whole() -> None:
    weight, scale = torch.arange(3.0), torch.tensor(2.0)
    rows = Rows(X[:6], Y[:6], {"each": torch.arange(6.0), "of a class": weight, "scale": scale})
    some = rows.some(slice(2, 4))
    assert torch.equal(some.x, X[2:4])
    assert some.extras["each"].tolist() == [2.0, 3.0]
    assert some.extras["of a class"] is weight
    assert some.extras["scale"] is scale


def single(z: Tensor, y: Tensor) -> Tensor:
    return log1p(z.float(), y.float())


def single_step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return single(model(batch[0]).squeeze(-1), batch[1]).mean()


@pytest.mark.parametrize("beside_a_step", [False, True])
def test_what_computes_in_single_precision_is_raised_in_its_double_twins_alone(beside_a_step: bool) -> None:
    looked = looked_into(binary(single))
    casting = LaneRecipe(mlnn.Step(single_step), SGD) if beside_a_step else LaneRecipe(looked, SGD)
    lockstep = make_lockstep(recipe(), casting, lane_recipe())
    raised = {name for name, lane in lockstep.lanes.items() if lane.promotes}
    assert raised == {"left_float64"}
    assert not lockstep.mirrors, "left's own double twin is raised as its follower is"
    assert not any(lane.promotes for lane in lockstep.followers.values())
    lockstep = make_lockstep(recipe(), lane_recipe(), casting)
    assert {name for name, lane in lockstep.lanes.items() if lane.promotes} == {"right_float64"}
    assert [dtype for dtype, lane in lockstep.followers.items() if lane.promotes] == ["float64"]


@pytest.mark.parametrize(("function", "mirrors"), [(single, ["float64"]), (log1p, [])])
def test_where_training_is_in_double_left_is_asked_once_more_as_right_is_raised(
    function: object, mirrors: list[str]
) -> None:
    looked = LaneRecipe(looked_into(binary(function)), SGD)
    lockstep = make_lockstep(recipe(dtype=torch.float64), looked, looked)
    assert list(lockstep.mirrors) == mirrors
    assert all(lane.promotes for lane in lockstep.mirrors.values())
    assert not any(lane.promotes for lane in lockstep.lanes.values()), "what trains is as it is given"


def test_a_kernel_that_nothing_raises_has_a_mirror_in_single_precision() -> None:
    sealed = Inside(torch.float32, sealed="a kernel")
    looked = LaneRecipe(dataclasses.replace(binary(log1p), inside=sealed), SGD)
    assert list(make_lockstep(recipe(), looked, lane_recipe()).mirrors) == ["float32"]
