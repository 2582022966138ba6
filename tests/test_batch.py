"""Two objectives on whole batches: the factor, what differs beyond it, and batches that say nothing; and draws of rounding."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from objective_cases import BINARY, bent, binary, scaled
from torch import Tensor
from torch.nn import functional as F

from mlnn.comparing.batch import (
    FAR,
    NEAR,
    ROUNDED,
    SCALES,
    Whole,
    _part_company,
    _Seen,
    batches_alone,
    null_draws,
    whole_batches,
)
from mlnn.objectives import Objective, bernoulli_nll_log1p, cross_entropy
from mlnn.objectives.grid import MAGNITUDES
from mlnn.objectives.reduction import drawn_batch
from mlnn.targets import TargetSpace

log1p = bernoulli_nll_log1p
EPS = torch.finfo(torch.float32).eps
FOUR = TargetSpace("classes", 4)


def whole(left: Any, right: Any, shifted: bool = False, space: TargetSpace = BINARY) -> Whole:
    return whole_batches(Objective.of(left, space), Objective.of(right, space), shifted)


def test_batches_are_drawn_from_near_zero_to_as_far_out_as_a_grid_goes() -> None:
    scales = [*NEAR, *FAR]
    assert all(2 <= later / earlier <= 10 for earlier, later in pairwise(scales))
    assert (NEAR[0] < 1, FAR[-1]) == (True, MAGNITUDES[-1])
    assert SCALES[0] == 1.0 < SCALES[1] == NEAR[-1] < FAR[0], "an untrained network, and one that is sure"
    assert 4 * EPS < ROUNDED < 100 * EPS


def test_the_same_objective_has_the_same_bits_on_every_batch() -> None:
    found = whole(log1p, log1p)
    assert (found.factors, found.gradient, found.value, found.rough) == ({7: 1.0, 37: 1.0}, 0.0, 0.0, 0.0)
    assert (found.answered, found.same_bits, found.known, found.reach) == (4, True, True, math.inf)


@pytest.mark.parametrize(("factor", "told"), [(1.5, 1.5), (0.25, 0.25), (1 + 1e-9, 1 + 1e-9), (1 + 3e-15, 1.0)])
def test_a_factor_is_told_to_rounding(factor: float, told: float) -> None:
    found = whole(log1p, scaled(factor))
    assert found.factors == pytest.approx({7: told, 37: told}, rel=1e-13, abs=0)
    assert (found.factors[7] == 1.0) == (told == 1.0)
    assert (found.gradient, found.value, found.rough) == (0.0, 0.0, 0.0)
    assert not found.same_bits


def test_a_sum_is_so_many_means_as_it_has_rows() -> None:
    found = whole(lambda z, y: log1p(z, y).mean(), lambda z, y: log1p(z, y).sum())
    assert found.factors == pytest.approx({7: 7.0, 37: 37.0})
    assert (found.gradient, found.value) == (0.0, 0.0)


def test_what_no_factor_makes_the_same_is_a_difference() -> None:
    for right, least in ((scaled(-1.0), 1.9), (bent(0.01), 1e-3), (bent(1e-6), 1e-8)):
        found = whole(log1p, right)
        assert found.gradient > least
    assert whole(log1p, scaled(-1.0)).factors == {7: 1.0, 37: 1.0}, "uphill is no factor"


def test_a_shift_of_the_values_counts_unless_it_was_found_before() -> None:
    for shifted, differs in ((False, True), (True, False)):
        found = whole(log1p, scaled(1.0, 0.3), shifted)
        assert found.gradient == 0.0
        assert (found.value > 0.01) == differs


def test_a_fault_of_one_label_is_met() -> None:
    space = TargetSpace("classes", 200)

    def wrong(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z, y, reduction="none") * torch.where(y == 123, 1.5, 1.0)

    found = whole(cross_entropy, wrong, space=space)
    assert found.gradient > 1e-3
    assert 200 in found.factors, "a batch with a row of every label"
    assert whole(cross_entropy, cross_entropy, space=space).same_bits
    assert whole(log1p, log1p).factors.keys() == {7, 37}, "other targets are drawn"


def test_of_an_objective_that_refuses_batches_nothing_is_known() -> None:
    def refusing(z: Tensor, y: Tensor) -> Tensor:
        if len(z) > 1:
            raise ValueError("one row at a time")
        return log1p(z, y)

    for pair in ((refusing, log1p), (log1p, refusing)):
        found = whole(*pair)
        assert not found.known
        assert not batches_alone(*map(binary, pair)).known
    sums = whole(log1p, log1p).left
    assert not Whole(sums, None, {}, 0.0, 0.0).known
    assert not Whole(None, sums, {}, 0.0, 0.0).known
    assert Whole(sums, sums, {}, 0.0, 0.0).known


@pytest.mark.parametrize(("bound", "reach"), [(math.inf, math.inf), (60.0, FAR[0]), (15.0, NEAR[-1])])
def test_far_out_a_domain_is_bounded_where_the_two_part(bound: float, reach: float) -> None:
    found = batches_alone(binary(log1p), binary(lambda z, y: log1p(z.clamp(-bound, bound), y)))
    assert found.reach == reach
    assert found.known
    assert (found.gradient, found.value) == (0.0, 0.0)


def test_a_batch_that_one_side_alone_refuses_is_a_difference() -> None:
    def short(z: Tensor, y: Tensor) -> Tensor:
        if float(z.detach().abs().max()) < 0.5:
            raise ValueError("too near")
        return log1p(z, y)

    assert batches_alone(binary(short), binary(log1p)).gradient == math.inf
    assert batches_alone(binary(short), binary(short)).gradient == 0.0


# One batch.
def seen(left: tuple[float, list[float]], right: tuple[float, list[float]]) -> _Seen:
    found = _Seen.of(binary(log1p), binary(log1p))
    answers = [(value, torch.tensor(slope, dtype=torch.float64)) for value, slope in (left, right)]
    found.see(7, dict.fromkeys(("float32", "float64"), (answers[0], answers[1])), False, (0.0, 0.0))
    return found


NOTHING = (math.nan, [math.nan, math.nan])


@pytest.mark.parametrize(("left", "right", "real", "answered"), [
    ((1.0, [1.0, 2.0]), (1.0, [1.0, 2.0]), 0.0, 1), (NOTHING, NOTHING, 0.0, 0), (NOTHING, (0.0, [0.0, 0.0]), 0.0, 0),
    ((0.0, [0.0, 0.0]), NOTHING, 0.0, 0), (NOTHING, (0.0, [0.0, 1.0]), math.inf, 0), (NOTHING, (1.0, [0.0, 0.0]), math.inf, 0),
    ((1.0, [1.0, 2.0]), (1.0, [1.0, math.nan]), math.inf, 0), ((math.inf, [1.0, 2.0]), (1.0, [1.0, 2.0]), math.inf, 0),
    ((1.0, [0.0, 0.0]), (1.0, [1.0, 0.0]), 0.0, 1),
])  # fmt: skip
def test_a_batch_says_nothing_where_both_are_undefined_or_one_says_zero(
    left: Any, right: Any, real: float, answered: int
) -> None:
    found = seen(left, right)
    assert (found.gradient.real, found.answered) == (real, answered)
    assert bool(found.factors) == (answered == 1 and any(left[1])), "a factor is one of a gradient"


@pytest.mark.parametrize(("right", "same"), [
    ((1.0, [1.0, 2.0]), True), ((1.5, [1.0, 2.0]), False), ((1.0, [1.0, 2.5]), False),
])  # fmt: skip
def test_bits_are_the_same_where_value_and_gradient_are(right: Any, same: bool) -> None:
    assert seen((1.0, [1.0, 2.0]), right).same_bits == same


def test_rows_of_many_outputs_are_judged_by_their_number() -> None:
    lengths = [
        _Seen.of(*[Objective.of(one, space)] * 2).gradient.length
        for one, space in ((log1p, BINARY), (cross_entropy, FOUR))
    ]
    assert lengths == [0, 4]


def test_rounding_is_drawn_in_the_order_of_rows_and_by_a_unit_roundoff() -> None:
    drawn = [null_draws(binary(log1p), *drawn_batch(BINARY, rows), {}) for rows in (3, 7, 16, 37, 64)]
    assert 0 < max(value for value, _ in drawn) < 10 * EPS
    assert 0.1 * EPS < max(slope for _, slope in drawn) < EPS
    output, target = drawn_batch(BINARY, 7)
    assert _Seen.of(binary(log1p), binary(log1p)).nulls((binary(log1p), binary(log1p)), (output, target, {})) == (0, 0)


@pytest.mark.parametrize(("near", "far", "own", "part"), [
    ({}, {"gradient": 1e-9}, "float64", True), ({}, {"gradient": 1e-12}, "float32", False), ({}, {"value": 0.1}, "float32", True),
    ({"gradient": 0.2}, {"gradient": 0.1}, "float32", False), ({}, {}, "float64", False), ({}, {"rough": 0.1}, "float32", True),
    ({"rough": 0.1}, {"rough": 0.1}, "float32", False), ({"value": 0.2}, {"gradient": 0.1}, "float64", False),
])  # fmt: skip
def test_two_part_company_where_more_is_seen_than_nearer_by(near: Any, far: Any, own: str, part: bool) -> None:
    one, two = (
        {"left": None, "right": None, "factors": {}, "gradient": 0.0, "value": 0.0} | given for given in (near, far)
    )
    assert _part_company(Whole(**one), Whole(**two), own) == part
