"""How a comparison runs and what it tells, piece by piece: the engine it takes, what is required, faults caught, estimates told."""

import math
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from report_cases import RUN, VERDICT, make_trace
from torch import nn
from training_cases import compare, data, lane_recipe, recipe

from mlnn.comparing import comparison, watch
from mlnn.comparing.comparison import unmet
from mlnn.comparing.evidence import Evidence
from mlnn.comparing.finished import Comparison
from mlnn.comparing.local_probe import _same
from mlnn.comparing.places import HERE, Visit, _last_matrix, _scaling, _straying, _together, of_outputs, standing
from mlnn.comparing.proved import OF_STEPS
from mlnn.comparing.resolution import SIZES, Planter, _answered, _smallest
from mlnn.errors import ConfigError, RequirementNotMetError
from mlnn.objectives import bce, bce_with_logits, bernoulli_nll_log1p
from mlnn.training import Lane, StepRecord, Stop, UnstackableError, initial_model, make_lockstep


# The engine.
@dataclass(frozen=True)
class Told:
    """What a probe has told."""

    paper: Any = "proved"


@pytest.mark.parametrize(("twins", "engine", "kept", "stacks", "told"), [
    (None, "auto", None, True, ("following", None, 1)),
    (None, "auto", "verdict", True, ("following", None, 1)),
    (2, "plain", None, True, ("lanes 1", "plain", 1)), (2, "auto", None, True, ("stack of lanes 1", "stacked", 1)),
    (2, "stacked", None, True, ("stack of lanes 1", "stacked", 1)),
    (2, "auto", "stacked", True, ("stack of lanes 1", "stacked", 1)),
    (2, "auto", "plain: why", True, ("lanes 2", "plain: why", 2)),
    (2, "stacked", "plain: why", True, ("stack of lanes 1", "stacked", 1)),
    (2, "auto", None, False, ("lanes 2", "plain: a hook", 2)), (2, "stacked", None, False, None),
    (0, "plain", None, True, ("lanes 1", "plain", 1)),
])  # fmt: skip
def test_lanes_are_stacked_where_they_can_be_and_are_asked_to(
    twins: int | None, engine: str, kept: str | None, stacks: bool, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def lanes(_plan: Any) -> str:
        made.append(f"lanes {len(made) + 1}")
        return made[-1]

    def stacked(lockstep: str) -> str:
        if not stacks:
            raise UnstackableError("a hook")
        return f"stack of {lockstep}"

    keep = None if kept is None else SimpleNamespace(engine=kept, done=7)
    followed: list[Any] = []
    monkeypatch.setattr(comparison, "probe_of", lambda _plan: Told())
    monkeypatch.setattr(comparison, "lockstep_of", lanes)
    monkeypatch.setattr(comparison, "stacked", stacked)
    monkeypatch.setattr(comparison, "Following", lambda _lanes, between: (followed.append(between), "following")[1])
    monkeypatch.setattr(
        comparison, "_trained", lambda _plan, _probed, _lanes, training, how: (training, how, len(made))
    )
    plan: Any = SimpleNamespace(null_twins=twins, watched=SimpleNamespace(keep=keep))
    if told is None:
        with pytest.raises(ConfigError, match="'stacked' does not take these lanes: a hook"):
            comparison._run(plan, engine)
    else:
        assert comparison._run(plan, engine) == told
    assert followed == ([] if twins is not None else [None if kept is None else 7])


@pytest.mark.parametrize(("asked", "paper"), [(Told(), "proved"), (None, OF_STEPS)])
def test_what_cannot_be_asked_row_by_row_is_probed_around_its_first_weights(
    asked: Told | None, paper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "probe_of", lambda _plan: asked)
    monkeypatch.setattr(comparison, "lockstep_of", lambda _plan: "lanes")
    monkeypatch.setattr(comparison, "local_probe", lambda _lanes: Told("none yet"))
    monkeypatch.setattr(comparison, "_trained", lambda _plan, probed, *_: probed)
    plan: Any = SimpleNamespace(null_twins=0, watched=SimpleNamespace(keep=None))
    assert comparison._run(plan, "plain") == Told(paper)  # type: ignore[comparison-overlap]


# What is required.
@pytest.mark.parametrize(("changes", "require", "domain", "words"), [
    ({}, "equal", None, "required 'equal', found 'equal' but not on all raw outputs: Equal where it matters."),
    ({}, "bitwise", None, "required 'bitwise', found 'equal': Equal where it matters."),
    ({"domain": "all"}, "scaled", (-1.0, 1.0), "required 'scaled' on [-1.0, 1.0], found 'equal' but not at isolated raw outputs: "),
    ({"domain": "all"}, "bitwise", None, "required 'bitwise', found 'equal': Equal where it matters."),
])  # fmt: skip
def test_what_is_not_met_is_said(changes: dict[str, Any], require: str, domain: Any, words: str) -> None:
    verdict = replace(VERDICT, **changes)
    assert unmet(verdict, require, domain).startswith(words)


def test_only_what_is_required_and_not_met_is_an_error() -> None:
    for require in (None, "equal", "scaled"):
        comparison._check_met(replace(VERDICT, domain="all"), require, None)
    comparison._check_met(VERDICT, "equal", (-1.0, 1.0))
    comparison._check_met(VERDICT, None, None)
    for require, domain in (("equal", None), ("bitwise", (-1.0, 1.0))):
        with pytest.raises(RequirementNotMetError):
            comparison._check_met(VERDICT, require, domain)


# Faults.
@pytest.mark.parametrize(("floor", "best", "size"), [
    (1.5e-5, None, 1e-4), (0.5e-5, None, 1e-5), (0.5, None, None), (0.0, None, 1e-13), (1.5e-5, 1e-3, 1e-4), (1.5e-5, 1e-4, 1e-4),
    (1.5e-5, 1e-6, 1e-6), (0.0, 1e-13, 1e-13), (0.5, 0.1, 0.1),
])  # fmt: skip
def test_the_smallest_fault_that_is_seen_is_no_larger_than_one_seen_before(
    floor: float, best: float | None, size: float | None
) -> None:
    known = None if best is None else min(SIZES, key=lambda one: abs(one - best))
    found = _smallest(lambda one: one, floor, known)
    assert found == (None if size is None else pytest.approx(size, rel=1e-9))


@pytest.mark.parametrize(("look", "common", "stop", "answered"), [
    (True, True, None, True), (False, True, None, False), (True, False, None, False), (True, True, Stop(0, "loss"), False),
])  # fmt: skip
def test_faults_are_planted_where_left_has_answered_a_look(
    look: bool, common: bool, stop: Stop | None, answered: bool
) -> None:
    part = SimpleNamespace(left=SimpleNamespace(stop=stop))
    record: Any = SimpleNamespace(
        look="look" if look else None, common={"float64": part} if common else {"float32": part}
    )
    assert _answered(record) is answered


def looked_at() -> StepRecord:
    sides = lane_recipe(bce_with_logits), lane_recipe(bernoulli_nll_log1p)
    return next(make_lockstep(recipe(24, batch_size=12, steps=1), *sides, 0).steps(looks=(0,)))


def test_a_fault_is_measured_beside_the_factor_that_was_found_or_from_left_where_right_is_at_fault() -> None:
    record = looked_at()
    twice = lane_recipe(lambda z, y: 2 * bce_with_logits(z, y)).objective
    left = lane_recipe(bce_with_logits).objective
    cases = (
        (left, {}, 0.0, 1e-3),
        (twice, {12: 2.0}, 0.0, 1e-3),
        (twice, {12: 2.0}, 0.5, 1e-3),
        (twice, {}, 0.0, 1.002),
    )
    for right, factors, real, size in cases:
        evidence = Evidence("float32", factors=dict(factors))
        evidence.gradient.real = real
        gap = Planter(left, right)._gaps(record, evidence)
        assert gap("scale", 1e-3) == pytest.approx(size, rel=1e-9)
    evidence = Evidence("float32")
    evidence.gradient.scale = 1e6 * float(record.common["float64"].gradient.norm())
    assert Planter(left, left)._gaps(record, evidence)("scale", 1e-3) == pytest.approx(1e-6, rel=1e-6)
    broken = lane_recipe(lambda z, y: math.nan * bce_with_logits(z, y)).objective
    assert Planter(left, broken)._gaps(record, Evidence("float32"))("scale", 1e-3) == 0.0


# What a run tells.
@pytest.mark.parametrize(("changes", "words"), [
    ({}, "50 of 50 steps, float32, seed 0\n"), ({"looks": 1}, "seed 0, looked at once\n"),
    ({"looks": 4}, "seed 0, looked at 4 times\n"),
    ({"trace_every": 1}, "seed 0\n"), ({"trace_every": 2}, "seed 0, 2 steps to a row of the trace\n"),
])  # fmt: skip
def test_a_comparison_tells_what_was_run(changes: dict[str, Any], words: str) -> None:
    verdict = replace(VERDICT, evidence={"steps": 50})
    trace = {name: column for name, column in make_trace().items() if name != "weight_gap"}
    told = repr(Comparison(verdict, replace(RUN, **changes), {}, {}, None, trace))  # type: ignore[arg-type]
    assert words in told.replace("  ", " ")
    assert "gradient gap" in told
    assert "weight gap" not in told


def lane(**changes: Any) -> Any:
    given = {"stopped": None, "module": "module", "recipe": SimpleNamespace(rowwise=True, objective="loss")}
    return SimpleNamespace(**given | changes)


def test_how_far_weights_are_from_an_estimate_is_told_of_sides_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def estimate(module: str, likelihood: str, _data: Any) -> Any:
        assert (module, likelihood) == ("module", "likelihood of loss")
        return SimpleNamespace(beside=lambda _module: SimpleNamespace(to_dict=lambda: {"gap": 1}))

    monkeypatch.setattr(watch, "likelihood_of", lambda name: None if name == "other" else f"likelihood of {name}")
    monkeypatch.setattr(watch, "classical_estimate", estimate)
    other = SimpleNamespace(rowwise=True, objective="other")
    for right in (
        lane(stopped=Stop(0, "loss")),
        lane(recipe=SimpleNamespace(rowwise=False, objective="loss")),
        lane(recipe=other),
    ):
        found = watch._to_the_mle(recipe(), {"left": lane(), "right": right, "control": lane()})
        assert found == {"left": {"gap": 1}}
    assert watch._to_the_mle(recipe(), {"right": lane()}) == {"right": {"gap": 1}}
    with_extras: Any = SimpleNamespace(dataset=replace(data(), extras={"weight": torch.ones(96)}))
    assert watch._to_the_mle(with_extras, {"left": lane()}) == {}
    monkeypatch.setattr(watch, "classical_estimate", lambda *_: None)
    assert watch._to_the_mle(recipe(), {"left": lane()}) == {}


def test_lanes_tell_whose_rows_and_weights_were_moved() -> None:
    lanes: Any = dict.fromkeys(("left", "null_1", "null_2"), SimpleNamespace(
        recipe=SimpleNamespace(objective=SimpleNamespace(name="loss"), accumulate=1), dtype=torch.float32, stopped=None
    ))  # fmt: skip
    told = watch._lanes(SimpleNamespace(permuted=("null_2",)), lanes)  # type: ignore[arg-type]
    assert [(one.rows, one.weights) for one in told.values()] == [
        ("as left", "as left"), ("as left", "one ulp from left"), ("permuted", "as left"),
    ]  # fmt: skip


def test_a_left_that_has_stopped_has_not_trained_to_the_end() -> None:
    steep = partial(torch.optim.SGD, lr=1e38)
    looked: dict[str, Any] = {"steps": 5, "mode": "verdict", "looks": [0], "optimizer": steep}
    assert compare(bce, bce, **looked).verdict.evidence["steps"] == 2
    assert compare(bce, bce, **looked | {"optimizer": partial(torch.optim.SGD, lr=0.1)}).verdict.evidence["steps"] == 5


# Places.
def plain_lane() -> Lane:
    return Lane("left", lane_recipe(), initial_model(recipe()), torch.float32)


def test_weights_are_moved_as_a_place_says_and_are_as_before_afterwards() -> None:
    one = plain_lane()
    before = [weight.detach().clone() for weight in one.weights]
    matrix = _last_matrix(one)
    assert matrix.shape == (1, 8)
    for push, check in (
        (_scaling(3.0), lambda: torch.equal(matrix, 3 * before[2])),
        (_together(10.0), lambda: float((matrix - before[2]).detach().norm()) == pytest.approx(10.0, rel=1e-5)),
    ):
        with standing(one, [], Visit("there", push=push)):
            assert check()
            assert all(torch.equal(one.weights[place], before[place]) for place in (0, 1, 3))
        assert all(map(torch.equal, one.weights, before))
    with standing(one, [], HERE):
        assert all(map(torch.equal, one.weights, before))
    for other in ([], [plain_lane()]):
        with standing(one, other, Visit("there", push=_scaling(3.0))):
            assert not torch.equal(matrix, before[2])


def test_a_draw_has_the_size_of_its_tensor_and_a_hundredth_at_least() -> None:
    wide = nn.Linear(100, 50)
    nn.init.zeros_(wide.bias)
    nn.init.constant_(wide.weight, 2.0)
    one: Any = SimpleNamespace(weights=[weight.detach() for weight in wide.parameters()])
    _straying(0.5, 0)(one)
    assert float((one.weights[0] - 2.0).std()) == pytest.approx(1.0, rel=0.05)
    assert float(one.weights[1].std()) == pytest.approx(0.005, rel=0.4)
    assert _last_matrix(SimpleNamespace(weights=[torch.ones(2, 2), torch.ones(2)])).ndim == 2  # type: ignore[arg-type]
    assert _last_matrix(SimpleNamespace(weights=[torch.ones(3), torch.ones(2)])).shape == (2,)  # type: ignore[arg-type]
    assert [visit.name for visit in of_outputs()][:2] == ["raw outputs × 0", "raw outputs × 0.1"]


@pytest.mark.parametrize(("one", "two", "same"), [
    ([1.0, math.nan], [1.0, math.nan], True), ([math.nan], [7.0], False), ([math.inf], [3.4028234663852886e38], False),
    ([math.inf], [math.inf], True), ([1.0], [1.0 + 2**-23], False), ([0.0], [-0.0], True),
])  # fmt: skip
def test_two_answers_are_the_same_where_every_entry_is_or_is_no_number(
    one: list[float], two: list[float], same: bool
) -> None:
    assert _same(torch.tensor(one), torch.tensor(two)) is same
