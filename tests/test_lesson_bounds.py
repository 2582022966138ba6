"""What a lesson says of a training that is one thing or another: batched or not, known or not, separated or not."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mlnn.estimating.distance import DistanceSummary
from mlnn.estimating.lesson import lesson
from mlnn.estimating.lesson.axis import Axis
from mlnn.estimating.lesson.lesson import Lesson, Path, lesson_of
from mlnn.estimating.lesson.whole import WholeRows
from mlnn.estimating.trajectory import Look, Trajectory

LINE, OTHER = Axis(1.0, 2.0), Axis(0.0, 3.0)


def path(mle: Any = (2.0, 4.0), se: Any = (0.5, 1.0)) -> Path:
    values = np.array([[0.0, 0.0], [2.0, 4.4]])
    return Path(
        ("a", "b"), np.arange(2.0), values, None if mle is None else np.array(mle), None if se is None else np.array(se)
    )


def test_the_table_of_weights_has_distances_where_there_is_an_estimate_with_errors() -> None:
    whole = path().table(5)
    assert whole[0] == (2.0, 2.0, 0.5, 0.0, 16.0)
    assert whole[1] == pytest.approx((4.4, 4.0, 1.0, 0.4, 1.0))
    assert path().table(1) == whole[:1]
    for part in (path(mle=None), path(se=None), path(None, None)):
        assert [row[0] for row in part.table(5)] == [2.0, 4.4]
        assert all(math.isnan(value) for row in part.table(5) for value in row[1:])


@pytest.mark.parametrize(("axis", "batched", "looks", "told"), [
    (LINE, False, 0, True), (LINE, True, 0, False), (LINE, True, 2, True), (None, False, 2, False),
    (None, True, 2, False),
])  # fmt: skip
def test_two_scales_are_drawn_where_something_is_of_all_rows(
    axis: Axis | None, batched: bool, looks: int, told: bool
) -> None:
    steps = np.arange(float(looks))
    made = Lesson(5, batched, None, None, axis, steps, steps, None, False, "", 0.0, None, None)
    assert made.two_scales == told


def taught(
    monkeypatch: pytest.MonkeyPatch, classical: Any, own: Any, batch: int | None = None, decays: Any = (), **how: Any
) -> Any:
    monkeypatch.setattr(lesson, "likelihood_of", lambda _: own)
    monkeypatch.setattr(lesson, "_axis", lambda *given: ("the axis of", given[2]))
    monkeypatch.setattr(lesson, "_path", lambda *_: "a path")
    monkeypatch.setattr(lesson, "fit_of", lambda _classical, ends, _data: ("a fit of", ends))
    looks = [
        SimpleNamespace(step=k, log_likelihood=-float(k), coefficients=c)
        for k, c in ((1, "first"), (4, None), (6, "last"))
    ]
    course = SimpleNamespace(classical=classical, looks=looks, found=lambda _: None)
    watch: Any = SimpleNamespace(course=course, whole=SimpleNamespace(steps=[7], log_likelihoods=[-3.0]))
    recipe: Any = SimpleNamespace(table=SimpleNamespace(x=range(10)), batch_size=batch)
    lane: Any = SimpleNamespace(
        recipe=SimpleNamespace(objective=None), module=None, optimizer=SimpleNamespace(param_groups=list(decays))
    )
    return lesson_of(watch, recipe, lane, LINE, "for a reason", **how)


def classical(exists: bool | None, free: str | None = None) -> Any:
    estimate = None if exists is None else SimpleNamespace(llf=-2.0, exists=exists, ancillary={"theta": 1.23456})
    return SimpleNamespace(family=SimpleNamespace(likelihood="the family's", free=free), estimate=estimate)


def test_what_a_lesson_takes_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    own = SimpleNamespace(name="its own")
    known = taught(monkeypatch, classical(True, "theta"), own)
    assert (known.likelihood, known.why_not, known.axis) == ("its own", None, ("the axis of", "the family's"))
    assert (known.steps.tolist(), known.log_likelihoods.tolist()) == ([1, 6], [-1, -6])
    assert (known.top, known.separated, known.fixed, known.batched, known.decay) == (
        -2.0,
        False,
        "theta = 1.235",
        False,
        0.0,
    )
    assert (known.path, known.fit) == ("a path", ("a fit of", ["first", "last"]))
    apart = taught(monkeypatch, classical(False), own)
    assert (apart.top, apart.separated, apart.fixed) == (-2.0, True, "")
    unsure = taught(monkeypatch, classical(None, "theta"), None)
    assert (unsure.top, unsure.separated, unsure.fixed, unsure.likelihood, unsure.why_not) == (
        None,
        False,
        "",
        None,
        "for a reason",
    )
    whole = taught(monkeypatch, None, own)
    assert (whole.axis, whole.steps.tolist(), whole.top, whole.separated) == (("the axis of", own), [7], None, False)
    assert (whole.path, whole.fit, whole.fixed) == (None, None, "")
    assert taught(monkeypatch, None, None).axis is LINE


@pytest.mark.parametrize(("batch", "batched"), [(None, False), (9, True), (10, False), (11, False)])
def test_a_step_that_sees_some_rows_is_batched(
    batch: int | None, batched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert taught(monkeypatch, None, None, batch).batched == batched
    decayed = taught(monkeypatch, None, None, decays=({"weight_decay": 0.1}, {"weight_decay": 0.3}, {}))
    assert decayed.decay == 0.3


# The coefficients on the way.
def way(values: Any) -> Any:
    return SimpleNamespace(moved=lambda one: np.concatenate([one, np.full((1, 1), values)]))


@pytest.mark.parametrize(("intercept", "moved", "labels", "width"), [
    (True, None, ("x", "const"), 2), (False, None, ("x",), 1), (True, 3.0, ("x", "const"), 2),
    (False, 3.0, ("x", "const (tied)"), 2),
    (False, 0.0, ("x",), 1), (True, 0.0, ("x", "const"), 2),
])  # fmt: skip
def test_a_constant_that_is_tied_is_told_where_there_is_one(
    intercept: bool, moved: float | None, labels: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson, "way_back", lambda *_: None if moved is None else way(moved))
    names = ("x", "const") if intercept else ("x",)
    rows = np.ones((len(names) if moved is None else 1, 1))
    looks: Any = [SimpleNamespace(step=k, coefficients=rows) for k in (0, 5)]
    family = SimpleNamespace(likelihood=None, outputs=1, labels=("",))
    design = SimpleNamespace(width=len(names), names=names, features=("x",), intercept=intercept)
    told: Any = SimpleNamespace(family=family, design=design)
    one = [SimpleNamespace(mle=float(k), se=0.5) for k in range(width)]
    for found, mle in (
        (SimpleNamespace(basis=None, coefficients=one), list(range(width))), (None, None),
        (SimpleNamespace(basis=None, coefficients=()), None),
        (SimpleNamespace(basis=None, coefficients=[*one, one[0]]), None),
        (SimpleNamespace(basis=SimpleNamespace(own=None), coefficients=one), list(range(width))),
        (SimpleNamespace(basis=SimpleNamespace(own=SimpleNamespace(coefficients=one)), coefficients=()),
        list(range(width))),
    ):  # fmt: skip
        made: Any = lesson._path(told, found, looks, None)  # type: ignore[arg-type]
        assert (made.names, made.values.shape, made.steps.tolist()) == (labels, (2, width), [0, 5])
        assert made.mle is None if mle is None else made.mle.tolist() == mle
        assert (made.se is None) == (mle is None)
    assert lesson._path(told, None, [], None) is None  # type: ignore[arg-type]


def test_several_outputs_name_their_coefficients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "way_back", lambda *_: None)
    family = SimpleNamespace(likelihood=None, outputs=2, labels=("y=1", "y=2"))
    design = SimpleNamespace(width=1, names=("x",), features=("x",), intercept=False)
    looks: Any = [SimpleNamespace(step=0, coefficients=np.ones((1, 2)))]
    made: Any = lesson._path(SimpleNamespace(family=family, design=design), None, looks, None)  # type: ignore[arg-type]
    assert made.names == ("y=1: x", "y=2: x")


# Of batches.
@pytest.mark.parametrize(("steps", "batch", "changed", "looks"), [
    (10, None, {}, 6), (10, 10, {}, 6), (10, 2, {}, 2), (10, 1, {}, 0), (500, None, {}, 40), (1, None, {}, 0),
    (2, None, {}, 2),
    (10, None, {"positions": (3,)}, 0), (10, None, {"event": 2}, 0), (10, None, {"extras": {"weight": 1}}, 0),
    (10, None, {"likelihood": None}, 0),
])  # fmt: skip
def test_half_of_the_work_may_be_spent_on_looking(
    steps: int, batch: int | None, changed: dict[str, Any], looks: int
) -> None:
    told: dict[str, Any] = {"positions": (), "event": (), "extras": {}, "likelihood": "some"} | changed

    class Table:
        positions, extras, targets = told["positions"], told["extras"], SimpleNamespace(event=told["event"])

        def __len__(self) -> int:
            return 10

    recipe: Any = SimpleNamespace(table=Table(), steps=steps, batch_size=batch)
    made = WholeRows(told["likelihood"], recipe)
    assert len(made.marks) == looks
    if looks:
        assert (min(made.marks), max(made.marks)) == (0, steps)


def test_a_look_is_kept_where_it_is_time_and_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    made = object.__new__(WholeRows)
    vars(made).update(marks={2, 3, 4}, likelihood="some", steps=[], log_likelihoods=[])
    told = iter([-5.0, math.nan, -4.0])
    monkeypatch.setattr(WholeRows, "_asked", lambda *_: next(told))
    for done in range(6):
        made.watch(done, torch.nn.Identity())
    assert (made.steps, made.log_likelihoods) == ([2, 4], [-5.0, -4.0])
    made.likelihood = None
    made.watch(3, torch.nn.Identity())
    assert made.steps == [2, 4]


def test_a_course_looks_once_at_each_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    distance = SimpleNamespace(summary=None, log_likelihood=-1.0, coefficients=None)
    known = SimpleNamespace(distance=lambda _: distance, beside=lambda _: "a finding")

    def classical_estimate(*_: Any) -> Any:
        asked.append(1)
        return known

    monkeypatch.setattr("mlnn.estimating.trajectory.classical_estimate", classical_estimate)
    made, module = Trajectory("some", None, 4), torch.nn.Identity()  # type: ignore[arg-type]
    assert made.found(module) is None
    for done in (0, 1, 2, 2, 5, 4):
        made.watch(done, module)
    made.look(4, module)
    assert [one.step for one in made.looks] == [0, 1, 2, 4]
    assert len(asked) == 1
    finding: Any = made.found(module)
    assert finding == "a finding"
    without = Trajectory(None, None, 4)  # type: ignore[arg-type]
    without.watch(0, module)
    assert (without.looks, len(asked)) == ([], 1)
    summary = DistanceSummary(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert "passes" not in Look(1, summary, None).to_dict()
    assert Look(1, summary, 2.0).to_dict()["passes"] == 2.0
