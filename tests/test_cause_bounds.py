"""Rates, carried gradients, factors, accumulation and places: each line that a cause is told by, held on both of its sides."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_backward import bent, cosh
from test_backward import cause as of_backward
from torch import Tensor

from mlnn.comparing.explaining.carried import Carried
from mlnn.comparing.explaining.cause import find_cause
from mlnn.comparing.explaining.factors import known_factors
from mlnn.comparing.explaining.rates import Rates
from mlnn.comparing.explaining.trial import Trial, trial_of
from mlnn.comparing.sample import Sample
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

f64 = torch.float64
REAL, CLASSES = TargetSpace("real"), TargetSpace("classes", 3)


def squares(f: Tensor, y: Tensor) -> Tensor:
    return ((f - y) ** 2).mean()


def test_a_wrong_gradient_beside_another_value_names_nobody() -> None:
    """The derivative in its place, the gradients agree; but the value is not the other side's."""
    assert of_backward(cosh, lambda f, y: bent(1.0)(f, y) + 1.0) == ""


# A gradient that is carried over.
def carried(steps: Sequence[int], fresh: Sequence[int] = ()) -> str | None:
    """Right's gradient is left's and that of the step before; on `fresh` steps left's alone."""
    seen, last = Carried("right"), torch.zeros(2, dtype=f64)
    for step in steps:
        left = torch.tensor([1.0 + step, 2.0 - step], dtype=f64)
        seen.see(step, left, left if step in fresh else left + last)
        last = left
    return None if seen.cause is None else seen.cause.words


@pytest.mark.parametrize(("steps", "fresh", "named"), [
    ((0, 1, 2, 3), (), True), ((0, 1, 2), (), False), ((0, 1, 2, 3), (2,), False), ((0, 1, 2, 5, 6), (), True), ((0, 1, 5, 6),
    (), False),
    ((0, 1, 2, 3), (0, 1, 2, 3), False),
])  # fmt: skip
def test_it_must_hold_on_three_steps_that_follow_another(
    steps: Sequence[int], fresh: Sequence[int], named: bool
) -> None:
    assert (carried(steps, fresh) is not None) is named


def test_a_first_step_that_is_apart_already_is_not_carried_over() -> None:
    seen, one = Carried("left"), torch.tensor([1.0, 2.0], dtype=f64)
    seen.see(0, 1.5 * one, one)
    for step in range(1, 6):
        seen.see(step, 2 * one, one)
    assert seen.steps == 5
    assert seen.cause is None
    still = Carried("left")
    for step in range(5):
        still.see(step, 0 * one, 0 * one)
    assert still.cause is None


# Learning rates.
def rates(*steps: tuple[int, Any, float, float] | tuple[int, Any, float, float, Any]) -> Rates:
    """Of each step its number, the rates after it, and how far left and right go; perhaps the rates before it."""
    way, start, seen = torch.tensor([3.0, -4.0], dtype=f64), torch.tensor([1.0, 2.0], dtype=f64), Rates()
    for step, pair, one, two, *before in steps:
        seen.see(step, pair, start, start + one * way, start + two * way, *before)
    return seen


APART, SAME = (0.1, 0.05), (0.1, 0.1)


@pytest.mark.parametrize(("steps", "words"), [
    ([(0, APART, 1.0, 0.5)], "right's learning rate is 0.05 where left's is 0.1"),
    ([(0, APART, 1.0, 0.5), (1, SAME, 1.0, 0.5)], "right's learning rate is 0.05 where left's is 0.1"),  # set after the step
    ([(3, SAME, 1.0, 0.5, APART)], "right's learning rate is 0.05 where left's is 0.1, from step 3 on"),
    ([(3, SAME, 1.0, 0.5)], None), ([(0, APART, 1.0, 0.5), (1, APART, 1.0, 0.6)], None), ([(0, APART, 1.0, 1.0)], None),
    ([(0, APART, 1.0, 0.5), (1, APART, 1.0, 1.0)], "right's learning rate is 0.05 where left's is 0.1"),
    ([(0, (0.1, 0.05), 1.0, 0.5), (1, (0.1, 0.02), 1.0, 0.2)], "right's learning rate is 0.05 where left's is 0.1"),
])  # fmt: skip
def test_steps_apart_by_their_rates_and_by_nothing_else(steps: Any, words: str | None) -> None:
    found = rates(*steps).cause
    assert (None if found is None else found.words) == words
    if found is not None:
        assert found.before is not None
        assert found.before > 0.1 > 1e-12 > (found.after or 0)


def test_the_rates_after_a_step_that_shows_nothing_are_known_at_the_next() -> None:
    seen = rates((0, SAME, 1.0, 1.0))
    seen.see_none(APART)
    way, start = torch.tensor([3.0, -4.0], dtype=f64), torch.tensor([1.0, 2.0], dtype=f64)
    seen.see(2, SAME, start, start + way, start + 0.5 * way)
    assert seen.cause is not None


# Factors.
def trials(
    factor: float | Sequence[float], target: Sequence[float] = (0.0, 1.0, 1.0, 0.0), value: float = 2.0
) -> list[Trial]:
    """Two batches, of four rows and of seven; right's gradient is left's times a factor."""
    found = []
    for count, by in zip((4, 7), [factor] * 2 if isinstance(factor, float) else factor, strict=True):
        y = torch.tensor([target[row % 4] for row in range(count)], dtype=f64)
        slope = torch.arange(1.0, 1.0 + count, dtype=f64)
        found.append(Trial(Sample(0 * slope, y), value, slope, by * value, by * slope))
    return found


@pytest.mark.parametrize(("factor", "words"), [
    (2.0, "a factor of 2, perhaps a ½ that only left has"), (0.5, "a factor of ½ that only right has"),
    (3.0, "a constant factor of 3"),
    (1 / math.log(2), "right takes its logarithm to base 2"), (math.log(2), "left takes its logarithm to base 2"),
    (1 / math.log(10), "right takes its logarithm to base 10"), (math.log(10), "left takes its logarithm to base 10"),
    (1.00005, "a constant factor of 1 +5e-05"), (0.99995, "a constant factor of 1 -5e-05"),
    (1.0002, "a constant factor of 1.0002"),
    (2.00001, "a constant factor of 2.00001"), (1 + 2e-9, "a constant factor of 1 +2e-09"), (1.0, None), (1 + 0.5e-9, None),
    ((2.0, 3.0), None), ((1.0, 3.0), None), ((3.0, 3.0 + 1e-7), None),
    ((4.0, 7.0), "the factor is the number of rows: right sums where left takes the mean"),
    ((1 / 4, 1 / 7), "the factor is one over the number of rows: right takes a mean of a mean, or left sums"),
    ((4 / 3, 7 / 6), "right divides by the number of rows less one"),
    ((3 / 4, 6 / 7), "left divides by the number of rows less one"),
    ((2 / 4 * 2 / 4, 4 / 7 * 3 / 7), "right divides by all pairs of rows, left by those of unlike targets"),
])  # fmt: skip
def test_a_factor_has_a_name_where_it_is_one_over_all_batches(factor: Any, words: str | None) -> None:
    given = trials(factor) if words is None or "pairs" not in words else trials(factor, (0.0, 1.0, 1.0, 0.0))
    found = list(known_factors(given, TargetSpace("binary")))
    assert [told for told, *_ in found] == ([] if words is None else [words])
    wanted = [factor, factor] if isinstance(factor, float) else list(factor)
    for _, factors, values in found:
        assert factors == pytest.approx(wanted, rel=1e-9)
        assert values == pytest.approx([2.0 * one for one in wanted], rel=1e-9)


def test_a_gradient_of_nothing_has_no_factor() -> None:
    nothing = [replace(one, gradient=0 * one.gradient) for one in trials(3.0)]
    assert list(known_factors(nothing, TargetSpace("binary"))) == []


def test_targets_that_are_distributions_have_an_entropy_of_their_own() -> None:
    target = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=f64)
    slope = torch.tensor([[1.0, -1.0], [2.0, -2.0]], dtype=f64)
    given = [Trial(Sample(0 * slope, target), 1.0, slope, 3.0, 3 * slope)]
    found = list(known_factors(given, TargetSpace("simplex", 2)))
    mean = math.log(2) / 2
    assert [values for *_, values in found] == [[3.0], [pytest.approx(3 - 3 * mean)], [pytest.approx(3 + mean)]]
    assert [told.partition(", and ")[2].partition(" ")[0] for told, *_ in found] == ["", "right", "left"]


@pytest.mark.parametrize(
    ("right", "scales"), [(lambda f, y: 3 * squares(f, y), True), (lambda f, y: len(f) * squares(f, y), False)]
)
def test_one_factor_over_all_batches_is_a_scale(right: Any, scales: bool) -> None:
    found = find_cause(Objective.of(squares, REAL), Objective.of(right, REAL), REAL)
    assert found is not None
    assert found.scales is scales


# A trial.
@pytest.mark.parametrize(("right", "fits"), [
    (squares, True), (lambda f, _: (f * 0).sum(), True), (lambda f, y: squares(f, y) * math.inf, False),
    (lambda *_: 1 / 0, False),
])  # fmt: skip
def test_a_trial_needs_two_finite_answers(right: Any, fits: bool) -> None:
    sample = Sample(torch.tensor([1.0, 2.0], dtype=f64), torch.zeros(2, dtype=f64))
    nothing = Objective.of(lambda f, _: (0 * f).sum(), REAL)
    assert (trial_of(Objective.of(squares, REAL), Objective.of(right, REAL), sample) is not None) is fits
    assert trial_of(nothing, nothing, sample) is None
