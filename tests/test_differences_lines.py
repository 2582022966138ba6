"""Which differences on a grid are rounding: on numbers made by hand, on both sides of each line."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.comparing.differences import Both, lower
from mlnn.objectives.grid import Curves, Grid

f32, f64, half = torch.float32, torch.float64, torch.bfloat16
EPS32, EPS64 = 2.0**-23, 2.0**-52
COARSE = 2.0**-8


def line(*strengths: float, outputs: int = 1) -> Grid:
    strength = torch.tensor(strengths, dtype=f64)
    output = strength if outputs == 1 else strength[:, None] * torch.ones(outputs, dtype=f64)
    return Grid(strength, output, torch.zeros(1, dtype=f64), torch.zeros(len(strength), dtype=torch.int64))


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=f64)[:, None]


def rounding(at: float, fine: float, coarse: float, **more: Any) -> bool:
    """Of a value at one raw output."""
    (found,) = Both(line(at), {}, {}, **more).rounding(column(fine), column(coarse), 0).tolist()
    return bool(found[0])


@pytest.mark.parametrize(("at", "fine", "coarse", "found"), [
    (0.5, 16.4 * EPS64, 0.0, True), (0.5, 16.6 * EPS64, 0.0, False), (9.0, 24.9 * EPS64, 0.0, True),
    (9.0, 25.1 * EPS64, 0.0, False),
    (0.5, 1e-12, 1.01e-6, True), (0.5, 1e-12, 0.99e-6, False), (0.5, 1e-9, 0.049, True), (0.5, 1e-9, 0.051, False),
    # float32 has lost the point: float64's complement of a probability near 1 is off by e^|z| roundoffs
    (10.0, 7e-11, 1.0, True), (10.0, 9e-11, 1.0, False), (10.0, 7e-11, math.nan, True), (10.0, 7e-11, 0.0, False),
    (1000.0, 0.049, 1.0, True), (1000.0, 0.051, 1.0, False), (0.5, math.nan, 1.0, False),
])  # fmt: skip
def test_a_float64_difference_is_rounding_where_it_is_tiny_or_shrinks(
    at: float, fine: float, coarse: float, found: bool
) -> None:
    assert rounding(at, fine, coarse) is found


@pytest.mark.parametrize(("floor", "fine", "coarse", "found"), [
    (COARSE, 1e-12, 0.04, True), (COARSE, 2e-12, 0.04, False), (0.0, 2e-12, 0.04, True), (EPS64, 1e-12, 1e-7, False),
    (EPS64, 1e-12, 1.01e-6, True),
])  # fmt: skip
def test_beside_a_coarser_float_inside_a_difference_counts_for_less(
    floor: float, fine: float, coarse: float, found: bool
) -> None:
    assert rounding(0.5, fine, coarse, floor=floor) is found


@pytest.mark.parametrize(
    ("outputs", "ulps", "found"), [(1, 16.9, True), (1, 17.1, False), (64, 36.9, True), (64, 37.1, False)]
)
def test_a_row_of_many_outputs_may_be_off_by_more(outputs: int, ulps: float, found: bool) -> None:
    """At a raw output of 1: 16 and 1, and of 64 outputs 2·√64 and 64/16 more."""
    pair = Both(line(1.0, outputs=outputs), {}, {})
    assert pair.explained(column(0.0), column(ulps * EPS32), f32).tolist() == [[found]]


@pytest.mark.parametrize(("floor", "ulps", "found"), [(COARSE, 15.0, True), (COARSE, 17.5, False), (0.0, 15.0, False)])
def test_ulps_are_those_of_the_coarser_float_inside(floor: float, ulps: float, found: bool) -> None:
    pair = Both(line(1.0), {}, {}, floor=floor)
    assert pair.explained(column(0.0), column(ulps * COARSE), f32).tolist() == [[found]]


def test_more_than_the_fewest_ulps_are_rounding_only_where_the_point_is_not_lost() -> None:
    pair = Both(line(1.0), {}, {})
    eps = torch.finfo(half).eps
    assert [pair.explained(column(0.0), column(ulps * eps), half).item() for ulps in (15.9, 16.5)] == [True, False]
    alone = Both(line(1.0), {}, {}, nulls=(column(0.0), column(1.0)))
    assert alone.explained(column(0.04), column(0.04), f32, 1).item()
    assert not alone.explained(column(0.04), column(0.04), f32, 0).item()


def faint(
    strengths: Sequence[float], fine: float, left: float = 1e-10, right: float = 1e-10, ordinary: float = 1.0
) -> bool:
    """Of gradients of 1 (right: `ordinary`) at the first output, and of `left` and `right` at the second."""
    sides = [
        {f64: Curves(column(1.0, 1.0), column(first, last)[..., None])}
        for first, last in ((1.0, left), (ordinary, right))
    ]
    return bool(Both(line(*strengths), *sides).rounding(column(0.0, fine), column(0.0, 0.0))[1, 0])


@pytest.mark.parametrize(("told", "found"), [
    ({"fine": 3.5e-5}, True), ({"fine": 3.6e-5}, False), ({"fine": 3.5e-5, "right": 2e-10}, False),
    ({"fine": 3.5e-5, "left": 2e-10}, False),
    ({"fine": 3.6e-5, "ordinary": 2.0}, True), ({"fine": 3.5e-5, "strengths": (20.0, 30.0)}, False),
])  # fmt: skip
def test_where_gradients_have_all_but_gone_few_roundoffs_of_an_ordinary_one_are_rounding(
    told: dict[str, Any], found: bool
) -> None:
    assert faint(**{"strengths": (1.0, 30.0)} | told) is found
    pair = Both(line(1.0, 30.0), {}, {})
    assert not pair.rounding(column(0.0, 3.5e-5), column(0.0, 0.0), 0)[1, 0], "of a gradient alone"


def of(value: Any, slope: Any) -> dict[torch.dtype, Curves]:
    return {f64: Curves(torch.tensor(value, dtype=f64), torch.tensor(slope, dtype=f64)[..., None])}


def test_a_difference_is_relative_to_the_largest_of_any_target_and_none_where_both_are_infinite() -> None:
    pair = Both(line(1.0), of([[math.inf, 1.0]], [[math.inf, 2.0]]), of([[math.inf, 1.5]], [[math.inf, 1.0]]))
    value, slope = pair.differences(f64)
    assert value.tolist() == [[0.0, pytest.approx(0.5 / 1.5)]]
    assert slope.tolist() == [[0.0, 0.5]]
    scaled = Both(line(1.0), of([[1.0, 2.0]], [[1.0, 2.0]]), of([[2.5, 4.5]], [[2.0, 4.0]]), factor=2.0, shift=0.5)
    assert [part.tolist() for part in scaled.differences(f64)] == [[[0.0, 0.0]]] * 2
    zeros = Both(line(1.0), of([[0.0, 0.0]], [[0.0, 0.0]]), of([[0.0, 0.0]], [[0.0, 0.0]]))
    assert [part.tolist() for part in zeros.differences(f64)] == [[[0.0, 0.0]]] * 2


@pytest.mark.parametrize(("silent", "size"), [(None, 0.5), (False, 0.5), (True, 1e-6)])
def test_beside_silent_targets_rounding_is_measured_against_an_ordinary_output(
    silent: bool | None, size: float
) -> None:
    """What is left at 10 is 1e-6 and 2e-6, and about 1 at moderate outputs."""
    left, right = [[1.0, 9.0], [1.0, 9.0], [1e-6, 0.0]], [[1.0, 9.0], [1.0, 9.0], [2e-6, 0.0]]
    told = [[number, 0.0] for number, _ in left], [[number, 0.0] for number, _ in right]
    mask = None if silent is None else torch.tensor([[False, silent]] * 3)
    pair = Both(line(0.5, 1.0, 10.0), of(told[0], told[0]), of(told[1], told[1]), silent=mask)
    for part in pair.differences(f64):
        assert part[:, 0].tolist() == pytest.approx([0.0, 0.0, size], rel=1e-9)
    loud = Both(line(0.5, 1.0, 10.0), of(left, left), of(right, [[0.0, 5.0]] * 3), silent=mask)
    assert (float(loud.differences(f64)[1][:, 1].max()) == 0.0) is bool(silent), "a silent point says nothing"


def test_a_precision_agrees_where_its_own_differences_are_rounding() -> None:
    """float64 apart by less than its ulps, float32 by more than its own."""
    slope = [[1.0]]
    left = of(slope, slope) | {f32: of(slope, slope)[f64]}
    right = of(slope, slope) | {f32: of([[1 + 20 * EPS32]], slope)[f64]}
    for one, two in ((left, right), (right, left)):
        pair = Both(line(1.0), one, two)
        assert pair.agreement(f64).tolist() == [[True]]
        assert pair.agreement(f32).tolist() == [[False]]
    aslant = of(slope, slope) | {f32: of(slope, [[1 + 20 * EPS32]])[f64]}
    assert Both(line(1.0), left, aslant).agreement(f32).tolist() == [[False]]
    assert (lower(f64), lower(f32), lower(half)) == (f32, f32, half)
