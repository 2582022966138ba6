"""The numbers of a step, taken in few kernels, against what they mean: each by its formula, from two vectors at a time."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_cases import SGD, X, lane_recipe, network, recipe

from mlnn.comparing.gaps import CommonGap, alike, gap_between, ratio, relative, ulps
from mlnn.comparing.measures import FOLLOWER, Measures, measure
from mlnn.data import from_arrays
from mlnn.objectives import Objective, bce, bernoulli_nll_log1p, cross_entropy
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Recipe, StepRecord, make_lockstep

BINARY = TargetSpace("binary")
NAN = math.nan


def scaled(z: Tensor, y: Tensor) -> Tensor:
    return 1.5 * bernoulli_nll_log1p(z, y)


def poisoned(z: Tensor, y: Tensor) -> Tensor:
    """NaN as soon as a raw output is far out."""
    return bernoulli_nll_log1p(z, y) + torch.where(z.detach().abs().max() > 0.2, NAN, 0.0)


def flat_start() -> nn.Module:
    """A logistic regression whose raw outputs spread from 0."""
    model = nn.Linear(4, 1)
    for weight in model.parameters():
        nn.init.zeros_(weight)
    return model


def records(left: Any = bce, right: Any = scaled, step: Any = SGD, **options: Any) -> Iterator[StepRecord]:
    shared, other = recipe(batch_size=None, **options), lane_recipe(right, step)
    lockstep = make_lockstep(shared, lane_recipe(left), other, null_twins=2)
    return lockstep.steps(looks=[0])


def distances(record: StepRecord) -> dict[str, float]:
    """How far every lane that goes on is from the left lane of its precision, over the way that this one has gone."""
    found = {}
    for name, lane in record.lanes.items():
        leaders = [n for n in ("left", "left_float64") if record.lanes[n].after.dtype == lane.after.dtype]
        left = record.lanes[leaders[0]]
        if left.alive and lane.alive and name not in ("left", "left_float64"):
            way = (left.after - record.starts[leaders[0]]).double().norm()
            found[name] = float((lane.after.double() - left.after.double()).norm() / way)
    return found


def check(record: StepRecord, told: Measures) -> None:
    """Every number of one step of two sides with the same weights."""
    left = record.lanes["left"]
    assert told.weights == pytest.approx(distances(record), rel=1e-6)
    assert told.gaps.keys() == told.strides.keys() == record.common.keys()
    for dtype, common in record.common.items():
        wanted = gap_between(
            common.left.loss, common.right.loss, common.gradient.double(), common.right.gradient.double()
        )
        gap = told.gaps[dtype]
        assert (gap.left, gap.right, gap.finite) == (wanted.left, wanted.right, wanted.finite)
        assert (gap.gradient, gap.apart, gap.size) == pytest.approx(
            (wanted.gradient, wanted.apart, wanted.size), rel=1e-6
        )
        lane = record.lanes["left" if dtype == "float32" else f"left_{dtype}"]
        stride = common.stride
        assert stride is not None
        wanted_stride = (
            float((stride.right.double() - stride.left.double()).norm()),
            float((lane.before.double() - lane.after.double()).norm()),
        )
        assert told.strides[dtype] == pytest.approx(wanted_stride, rel=1e-6)
        assert told.outputs[dtype] == (float(common.left.output.min()), float(common.left.output.max()))
    assert told.outputs[""] == (float(left.answer.output.min()), float(left.answer.output.max()))
    assert told.moved == (not torch.equal(left.after, record.starts["left"]))


def test_every_number_of_a_step_is_what_its_formula_gives() -> None:
    for record in records(step=partial(torch.optim.SGD, lr=0.3)):
        told, left, right = measure(record, "float32", BINARY), record.lanes["left"], record.lanes["right"]
        check(record, told)
        assert told.free == pytest.approx(
            relative(right.answer.gradient.double() - left.answer.gradient.double(), left.answer.gradient.double()),
            rel=1e-6,
        )
        assert told.free > 0.1
        assert told.ulps == pytest.approx(ulps(left.after, right.after))
        assert record.predictions is not None
        assert told.predictions == pytest.approx(float((record.predictions[0] - record.predictions[1]).abs().max()))
        assert (told.saturated, told.moved) == (0.0, True)
        assert "control" in told.same_weights
        assert "control" in told.same_answers
        assert not {"right", FOLLOWER} & (told.same_weights | told.same_answers)


def test_lanes_of_the_same_bits_are_told() -> None:
    first, *later = [measure(record, "float32", BINARY) for record in records(bce, bce)]
    for told in (first, *later):
        assert told.same_answers >= {"control", "right", FOLLOWER}
        assert told.same_weights >= {"control", "right", FOLLOWER}
        assert (told.free, told.ulps, told.predictions, told.weights["right"]) == (0.0, 0.0, 0.0, 0.0)
        assert "null_2" not in told.same_weights


def test_a_loss_of_other_bits_is_another_answer_whatever_its_gradient() -> None:
    shifted = lambda z, y: bce(z, y) + 1.0  # noqa: E731
    (told, *_) = [measure(record, "float32", BINARY) for record in records(bce, shifted)]
    assert told.same_answers == {"control"}
    assert told.same_weights >= {"control", "right", FOLLOWER}


def test_of_a_lane_that_has_stopped_nothing_is_measured() -> None:
    seen = set()
    for record in records(bce, poisoned, model=flat_start):
        told, right = measure(record, "float32", BINARY), record.lanes["right"]
        if right.alive:
            continue
        ran = record.ran("right")
        seen.add(ran)
        assert "right" not in told.weights
        assert math.isnan(told.free)
        assert math.isnan(told.ulps)
        assert math.isnan(told.predictions)
        assert "right" not in told.same_weights
        if ran:
            assert told.gaps["float32"].finite == (True, False)
    assert seen == {True, False}


def test_where_left_has_stopped_only_the_way_to_its_end_is_measured() -> None:
    ends = [record for record in records(poisoned, bce, model=flat_start) if not record.lanes["left"].alive]
    told = measure(ends[0], "float32", BINARY)
    assert "right" not in told.weights
    assert "control" not in told.weights
    assert FOLLOWER not in told.same_weights
    assert told.gaps["float32"].finite == (False, True)
    assert math.isnan(told.free)
    later = measure(ends[1], "float32", BINARY)
    assert "float32" not in later.gaps
    assert later.outputs.keys() >= {""}


def test_where_right_is_not_asked_at_lefts_weights_nothing_is_told_of_it() -> None:
    record = next(iter(records()))
    told = measure(replace(record, common={}, asked=False), "float32", BINARY)
    assert (told.gaps, told.strides) == ({}, {})
    assert told.outputs.keys() == {""}
    assert FOLLOWER not in told.same_answers | told.same_weights
    assert told.free > 0.4, "right's own gradient is still measured from left's"
    whole = measure(record, "float32", BINARY)
    assert told.weights == whole.weights


def test_a_lane_that_has_not_moved_is_said_to_stand_still() -> None:
    record = next(iter(records()))
    start = record.starts["left"]
    assert not measure(
        replace(record, lanes=record.lanes | {"left": replace(record.lanes["left"], after=start, shared=start)}),
        "float32",
        BINARY,
    ).moved


@pytest.mark.parametrize(("outputs", "share"), [
    ([0.0, 1.0, -3.0, 2.0], 0.0), ([0.0, 200.0, -3.0, 2.0], 0.25), ([0.0, -200.0, -3.0, 2.0], 0.25),
    ([0.0, 200.0, -200.0, 2.0], 0.5), ([200.0, 300.0, -200.0, 400.0], 1.0),
])  # fmt: skip
def test_rows_whose_probability_has_rounded_are_counted(outputs: list[float], share: float) -> None:
    record = next(iter(records()))
    answer = replace(record.lanes["left"].answer, output=torch.tensor(outputs))
    asked = replace(record, lanes=record.lanes | {"left": replace(record.lanes["left"], answer=answer)})
    assert measure(asked, "float32", BINARY).saturated == share
    for other in (None, TargetSpace("real"), TargetSpace("positive"), TargetSpace("counts")):
        assert measure(asked, "float32", other).saturated == 0.0
    empty = replace(
        asked,
        lanes=record.lanes | {"left": replace(record.lanes["left"], answer=replace(answer, output=torch.zeros(0)))},
    )
    assert "" not in measure(empty, "float32", None).outputs


def test_of_classes_a_row_counts_where_one_class_has_everything() -> None:
    space = TargetSpace("classes", 3)
    made = LaneRecipe(Objective.of(cross_entropy, space), SGD)
    shared = Recipe(
        from_arrays(X, (X[:, 0] > 0).long() + (X[:, 1] > 0.3).long(), space), partial(nn.Linear, 4, 3), 1, 32
    )
    record = next(iter(make_lockstep(shared, made, made, 0).steps()))
    for far, share in ((2.0, 0.0), (300.0, 0.5)):
        answer = replace(record.lanes["left"].answer, output=torch.tensor([[far, 0.0, 0.0], [0.0, 1.0, 0.0]]))
        asked = replace(record, lanes=record.lanes | {"left": replace(record.lanes["left"], answer=answer)})
        assert measure(asked, "float32", space).saturated == share


def test_another_model_on_the_right_is_measured_in_its_own_coordinates() -> None:
    """Its weights the other way round: where left's are `shared`, and left's gradient beside its own."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(8, 1), nn.Linear(4, 8)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.one(self.two(x).relu())
            return out

    def mapping(state: dict[str, Tensor]) -> dict[str, Tensor]:
        names = {"2": "one", "0": "two"}
        return {f"{names[name[0]]}{name[1:]}": value for name, value in state.items()}

    right = lane_recipe(scaled, model=Turned, mapping=mapping)
    lockstep = make_lockstep(recipe(model=network, batch_size=None), lane_recipe(bce), right, null_twins=1)
    plain = make_lockstep(recipe(model=network, batch_size=None), lane_recipe(bce), lane_recipe(scaled), null_twins=1)
    for one, two in zip(lockstep.steps(), plain.steps(), strict=True):
        told, wanted = measure(one, "float32", BINARY), measure(two, "float32", BINARY)
        assert told.weights == pytest.approx(wanted.weights, rel=1e-4)
        assert told.free == pytest.approx(wanted.free, rel=1e-5)
        assert told.gaps["float32"].gradient == pytest.approx(wanted.gaps["float32"].gradient, rel=1e-5)
        assert told.strides["float32"] == pytest.approx(wanted.strides["float32"], rel=1e-5)
        bare, beside = (measure(replace(r, common={}, asked=False), "float32", BINARY).free for r in (one, two))
        assert bare == pytest.approx(beside, rel=1e-5)


# Distances between two vectors.
def gap(left: list[float], right: list[float], values: tuple[float, float] = (1.0, 1.0)) -> CommonGap:
    return gap_between(*values, torch.tensor(left, dtype=torch.float64), torch.tensor(right, dtype=torch.float64))


def test_a_ratio_is_zero_where_nothing_differs_and_infinite_where_the_scale_alone_is_zero() -> None:
    assert (ratio(3.0, 2.0), ratio(0.0, 0.0), ratio(0.0, NAN), ratio(2.0, 0.0)) == (1.5, 0.0, 0.0, math.inf)
    assert math.isnan(ratio(NAN, 0.0))
    assert math.isnan(ratio(NAN, 1.0))


def test_two_vectors_are_alike_if_they_have_the_same_bits() -> None:
    tiny = torch.tensor([5e-324], dtype=torch.float64)
    assert alike(0.0, tiny, tiny.clone())
    assert not alike(0.0, tiny, 0 * tiny), "a difference too small to be squared"
    assert not alike(1e-300, tiny, tiny)
    single = torch.ones(2)
    assert alike(0.0, single, single)
    assert not alike(1e-30, single, single)


def test_a_gap_knows_its_factor_and_what_is_left_of_it() -> None:
    found = gap([3.0, 4.0], [6.0, 8.0], (1.0, 2.0))
    assert (found.gradient, found.apart, found.size, found.factor) == (1.0, 5.0, 5.0, 2.0)
    assert (found.residual(1.0), found.residual(2.0), found.residual(1.5)) == (5.0, 0.0, 2.5)
    assert found.of_loss(2.0) == 2.0
    assert gap([3.0, 4.0], [6.0, 8.0], (1.0, 1.0)).of_loss(2.0) == 1.0, "a clip has scaled the gradient alone"
    assert gap([1.0], [1.0], (0.0, 0.0)).of_loss(2.0) == 1.0
    assert found.finite == (True, True)
    assert gap([1.0], [NAN], (1.0, 1.0)).finite == (True, False)
    assert gap([1.0], [1.0], (math.inf, 1.0)).finite == (False, True)


def test_a_gradient_is_idle_where_all_of_it_is_zero() -> None:
    assert gap([0.0, 0.0], [1.0, 0.0]).idle
    assert not gap([0.0, 1.0], [1.0, 0.0]).idle
    assert not gap([0.0, 5e-324], [1.0, 0.0]).idle, "one too small to be squared is there"
    assert math.isnan(gap([0.0, 0.0], [1.0, 0.0]).factor)


@pytest.mark.parametrize(
    ("right", "same"),
    [
        (bce, True),
        (lambda z, y: bce(z, y) + z.square().mean() - z.square().mean().detach(), False),  # the loss alone is the same
        (lambda z, y: bce(z, y) + 1.0, False),  # the gradient alone
    ],
)
def test_an_answer_is_the_same_in_loss_and_gradient(right: Any, same: bool) -> None:
    record = next(iter(records(bce, right)))
    assert ("right" in measure(record, "float32", BINARY).same_answers) is same
