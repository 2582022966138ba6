"""What sides compute in, what a verdict meets and tells, the ends of several seeds: small functions, each at its line."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from objective_cases import binary
from report_cases import VERDICT
from torch import Tensor

from mlnn.comparing import inside
from mlnn.comparing.badges import severity
from mlnn.comparing.inputs import data_of, of_outputs
from mlnn.comparing.nulls import null_draw
from mlnn.comparing.on_paper import OnPaper
from mlnn.comparing.relations import ORDER, check_require, weakest
from mlnn.comparing.sample import Sample, answer, in_parts
from mlnn.comparing.seeds import equivalence, summarise
from mlnn.comparing.verdict import Verdict
from mlnn.data import Dataset, Stream, from_arrays
from mlnn.errors import ConfigError, DataError
from mlnn.objectives import Step, bce
from mlnn.objectives.promotion import Inside
from mlnn.training import LaneRecipe

HALF = Inside(torch.bfloat16)
CLOSED = Inside(torch.bfloat16, False, "its kernel is closed")
SINGLE = Inside(torch.float32)


def probe(left: Inside, right: Inside, lowered: tuple[float, float] = (0.0, 0.0)) -> Any:
    return SimpleNamespace(computing=(left, right), lowered=lowered)


@pytest.mark.parametrize(("left", "right", "words"), [
    (Inside(), Inside(), None), (HALF, HALF, "Both compute in bfloat16 inside."),
    (CLOSED, CLOSED, "Both kernels compute in bfloat16 whatever they are given."),
    (HALF, Inside(), "Left computes in bfloat16 inside."),
    (Inside(), CLOSED, "Right's kernel computes in bfloat16 whatever it is given."),
    (HALF, SINGLE, "Left computes in bfloat16 inside, right computes in float32 inside."),
    (HALF, CLOSED, "Left computes in bfloat16 inside, right's kernel computes in bfloat16 whatever it is given."),
])  # fmt: skip
def test_what_sides_compute_in_is_one_sentence(left: Inside, right: Inside, words: str | None) -> None:
    assert inside.said_inside(probe(left, right)) == words
    assert list(inside.computes_in(probe(left, right))) == [
        side for side, one in (("left", left), ("right", right)) if one.name
    ]


@pytest.mark.parametrize(("relation", "sealed", "lowered", "value"), [
    ("equal", False, (0.0, 0.0), "equal"), ("bitwise", False, (0.0, 0.0), "bitwise"),
    ("equal", True, (0.0, 0.0), "indistinguishable"),
    ("bitwise", True, (0.0, 0.0), "bitwise"), ("equal", False, (0.1, 0.0), "indistinguishable"),
    ("bitwise", False, (0.1, 0.0), "indistinguishable"), ("equal", False, (0.0, 0.1), "equal"),
    ("scaled", True, (0.1, 0.1), "scaled"),
])  # fmt: skip
def test_no_relation_is_stronger_than_what_the_sides_compute_in(
    relation: str, sealed: bool, lowered: tuple[float, float], value: str
) -> None:
    assert inside.as_computed(probe(Inside(), CLOSED if sealed else Inside(), lowered), relation, 0) == value


def test_why_a_pair_was_judged_alone_is_the_sealed_sides_reason() -> None:
    told = inside.judged_alone(probe(HALF, CLOSED), "1e-7")
    assert "(its kernel is closed), so left and right were judged in float32 alone" in told
    assert "up to 0.2 (relative) apart in a float32 run" in inside.same_mathematics(
        probe(HALF, HALF, (0.1, 0.2)), "float32"
    )


# A verdict.
def verdict(**changes: Any) -> Verdict:
    return replace(VERDICT, **changes)


@pytest.mark.parametrize(("changes", "require", "asked", "meets"), [
    ({}, "equal", None, False), ({"domain": "all"}, "equal", None, True), ({"domain": "all"}, "bitwise", None, False),
    ({"domain": "all"}, "scaled", None, True), ({"left_domain": 0.0}, "equal", None, True),
    ({"left_domain": None}, "equal", None, False),
    ({}, "equal", (-27.6, 16.6), True), ({}, "equal", (-27.7, 16.6), False), ({}, "equal", (-27.6, 16.7), False),
    ({"domain": "none"}, "equal", (-1.0, 1.0), False), ({"domain": "all", "relation": "different"}, "equal", None, False),
])  # fmt: skip
def test_a_requirement_is_met_on_all_raw_outputs_or_inside_the_domain(
    changes: dict[str, Any], require: str, asked: Any, meets: bool
) -> None:
    assert verdict(**changes).meets(require, asked) is meets


@pytest.mark.parametrize(
    ("rows", "allowed", "meets"), [(0, False, True), (3, False, False), (None, False, False), (3, True, True)]
)
def test_a_point_must_be_allowed_or_have_had_no_row_on_it(rows: int | None, allowed: bool, meets: bool) -> None:
    found = verdict(domain="all", points=[{"rows": 0}, {"rows": rows}])
    assert found.meets("equal", allow_points=allowed) is meets
    assert found.stood == (rows or 0)


def test_a_verdict_tells_what_there_is_to_know() -> None:
    def told(**changes: Any) -> dict[str, str]:
        return dict(verdict(**changes).facts())

    assert told() == {
        "domain": "raw outputs from -27.6 to 16.6, left by 1.23% of the rows", "resolution": "1e-06", "control": "bitwise",
    }  # fmt: skip
    assert told(domain="all", left_domain=0.0)["domain"] == "all raw outputs"
    assert told(domain="none", left_domain=None)["domain"] == "none"
    assert told(scale=2.0, shift=0.5) == told() | {"scale": "right = 2 · left", "shift": "0.5"}
    assert told(shift={0.0: 1.0})["shift"] == "one per target"
    assert told(computes_in={"left": "float32"})["computes in"] == "left: float32"
    assert told(resolution=None)["resolution"] == "no planted fault was caught"
    assert told(resolution=None, resolutions={})["resolution"] == "no fault was planted"
    assert told(proof=OnPaper("proved", "it holds"))["on paper"] == "it holds"
    stored = verdict(proof=None).to_dict()
    assert Verdict.from_dict(stored) == verdict(proof=None)
    assert Verdict.from_dict({name: value for name, value in stored.items() if name != "scale"}).scale == 1.0
    assert Verdict.from_dict(stored | {"proof": {"answer": "proved"}}).proof == OnPaper("proved", "")


def test_relations_have_an_order_and_five_can_be_required() -> None:
    for require in (None, "bitwise", "equal", "indistinguishable", "shifted", "scaled"):
        check_require(require)
    for wrong in ("different", "broken", "undecided", "alike", "", 3, ["equal"]):
        with pytest.raises(ConfigError, match=r"^require: "):
            check_require(wrong)  # type: ignore[arg-type]
    assert weakest("equal", "scaled", "bitwise") == "scaled"
    assert severity("equal") < severity("undecided") < severity("broken") < severity("unheard of") == len(ORDER)


# Seeds.
@pytest.mark.parametrize(
    ("right", "p", "equivalent"), [(1.04, 0.0, True), (1.06, 1.0, False), (0.96, 0.0, True), (0.94, 1.0, False)]
)
def test_ends_that_are_apart_by_one_number_are_held_to_the_margin(right: float, p: float, equivalent: bool) -> None:
    found = equivalence([1.0, 1.0, 1.0], [right] * 3)
    assert (found.p, found.equivalent, found.margin) == (p, equivalent, 0.05)
    assert found.interval == (found.difference, found.difference)
    assert ("are equivalent" in found.sentence) is equivalent
    assert summarise(["equal"] * 3, {}, [1.0] * 3, [right] * 3).equivalence == found


@pytest.mark.parametrize(("spread", "equivalent"), [(0.02, True), (0.05, False)])
def test_noise_of_the_ends_is_held_to_five_percent(spread: float, equivalent: bool) -> None:
    """Two seeds or more: p is 0.04 or so, and 0.1."""
    left = np.array([1.0, 1.0, 1.0])
    found = equivalence(left, left + spread * np.array([-1.0, 0.0, 1.0]))
    assert found.equivalent is equivalent is (found.p < 0.05)
    assert 0.01 < found.p < 0.15
    assert ("are equivalent" in found.sentence) is equivalent


def test_a_loss_that_is_not_finite_has_no_p_value_and_one_seed_no_test() -> None:
    for left, right in (
        ([1.0, 1.0], [1.0, math.inf]),
        ([1.0, math.inf], [1.0, math.inf]),
        ([1e308, 1e308], [1e308, 1e308]),
    ):
        found = equivalence(left, right)
        assert (found.equivalent, found.p, math.isnan(found.difference)) == (False, 1.0, True)
    assert summarise(["equal"], {}, [1.0], [1.0]).equivalence is None
    assert summarise(["equal", "equal"], {}, [1.0, 1.0], [1.0, 1.0]).equivalence is not None


# Data, samples, and draws.
X, Y = torch.linspace(-1, 1, 8)[:, None], torch.tensor([0.0, 1.0] * 4)


def test_data_is_a_data_set_whole_arrays_or_batches() -> None:
    rows = from_arrays(X, Y)
    assert data_of(rows, None, 2, 4, [False, False]) is rows
    assert isinstance(data_of((X, Y), None, 2, 4, [True, True]), Dataset)
    assert isinstance(data_of([X, Y], None, 2, 4, [True, True]), Dataset)
    assert isinstance(data_of((X, Y, {"weight": Y + 1}), None, 2, 4, [False, False]), Dataset)
    batches = [(X[:4], Y[:4]), (X[4:], Y[4:]), (X[:4], Y[:4]), (X[4:], Y[4:])]
    for kept, targets in (
        ([True, True], None),
        ([True, False], None),
        ([False, False], "binary"),
        ([True, True], "binary"),
    ):
        stream = data_of(batches, targets, 4, None, kept)
        assert isinstance(stream, Stream)
        taken_whole = all(kept) and targets is None
        assert str(stream.targets) == ("real" if taken_whole else "binary"), (
            "of what steps take whole no target is known"
        )
    with pytest.raises(DataError, match="found 4 items"):
        data_of((X, Y, Y, Y), None, 2, 4, [False, False])
    with pytest.raises(DataError, match=r"found [^4].*TensorDataset has them as its \.tensors"):
        data_of(torch.utils.data.TensorDataset(X, Y), None, 2, 4, [False, False])
    with pytest.raises(DataError, match="found"):
        data_of(3, None, 2, 4, [True, True])


def test_a_side_is_a_loss_of_raw_outputs_unless_it_is_a_step() -> None:
    step = Step(lambda model, batch: model(batch[0]).mean())
    sgd: Any = torch.optim.SGD
    assert [of_outputs(side) for side in (bce, step, LaneRecipe(step, sgd), LaneRecipe(binary(bce), sgd))] == [
        True, False, False, True
    ]  # fmt: skip


def test_an_answer_that_does_not_move_with_the_outputs_has_a_gradient_of_zero() -> None:
    sample = Sample(torch.tensor([1.0, 2.0]), torch.zeros(2))
    constant = binary(lambda *_: torch.tensor(3.0))
    beside = binary(lambda _, y: (0 * y.requires_grad_()).mean() + 3.0)
    for one in (constant, beside):
        value, slope = answer(one, sample)
        assert (value, slope.tolist(), slope.dtype) == (3.0, [0.0, 0.0], torch.float64)
    assert answer(binary(lambda z, _: (2 * z).sum()), sample)[1].tolist() == [2.0, 2.0]


def test_a_batch_asked_in_parts_weighs_each_by_its_rows() -> None:
    one = binary(lambda z, _: z.max())
    assert in_parts(one, 1) is one
    z = torch.tensor([1.0, 2.0, 5.0])
    assert float(in_parts(one, 2)(z, torch.zeros(3))) == pytest.approx((2 * 2.0 + 5.0) / 3)


def test_a_null_draw_is_no_less_than_a_quarter_of_a_roundoff_and_none_without_a_gradient() -> None:
    eps = torch.finfo(torch.bfloat16).eps
    sample = Sample(torch.tensor([1.0, -2.0], dtype=torch.bfloat16), torch.zeros(2, dtype=torch.bfloat16))

    def flat(by: float) -> Any:
        return binary(lambda z, _: by * z.abs().sum())

    assert null_draw(flat(1.0), flat(1.0), sample, 1.0) == (0.0, pytest.approx(0.25 * eps))
    assert null_draw(flat(1.0), flat(3.0), sample, 2.0) == (pytest.approx(0.5), pytest.approx(0.25 * eps))
    assert null_draw(flat(0.0), flat(1.0), sample, 1.0) is None
    assert null_draw(flat(1.0), flat(math.nan), sample, 1.0) is None
    assert null_draw(flat(1.0), flat(1.0), sample, -1.0) is None

    def bent(z: Tensor, _: Tensor) -> Tensor:
        return (z * z).sum()

    both = null_draw(binary(bent), binary(bent), sample, 1.0)
    assert both is not None
    assert 0.3 * eps < both[1] < 3 * eps
    moves = [
        null_draw(binary(lambda z, _: (z * z)[0]), binary(bent), replace(sample, step=step), 1.0) for step in range(2)
    ]
    assert all(move is not None and 0.3 * eps < move[1] < 3 * eps for move in moves), (
        "of four draws one is moved up or down"
    )
    corner = Sample(torch.ones(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.bfloat16))
    for loss in (lambda z, _: torch.relu(1 - z).sum() + z.sum(), lambda z, _: torch.relu(z - 1).sum() + z.sum()):
        seen = null_draw(binary(loss), binary(loss), corner, 1.0)
        assert seen is not None
        assert seen[1] > 0.5, "some are moved down, and some up"
