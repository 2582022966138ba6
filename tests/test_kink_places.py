"""What one raw output and its two neighbours show of two sides: on values and slopes made by hand, on both sides of each line."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.comparing.kinks import Kinks, Point, _at, _even, _off, _places, _point, _told, _worst_of_each, _wrong, kinks
from mlnn.objectives import Objective, bce
from mlnn.objectives.grid import Curves
from mlnn.targets import TargetSpace

NAN = math.nan
Three = Sequence[float]
FLAT = (1.0, 1.0, 1.0)
BINARY = TargetSpace("binary")


def side(slopes: Three, values: Three = FLAT, other: Three = (0.0, 0.0, 0.0)) -> list[Curves]:
    """Just below a place, at it, and just above; of a second target the slopes are `other`."""
    return [
        Curves(torch.tensor([[value, 1.0]]), torch.tensor([[[slope], [more]]]))
        for slope, value, more in zip(slopes, values, other, strict=True)
    ]


def at(left: list[Curves], right: list[Curves], factor: float = 1.0) -> Any:
    return _at([left, right], 0, 0, (7.0, 3.0), factor)


def wrong(name: str, gradient: float, derivative: float) -> Point:
    return Point(name, 7.0, 3.0, gradient, derivative)


PLAIN = side(FLAT)


@pytest.mark.parametrize(("left", "right", "factor", "found"), [
    (PLAIN, PLAIN, 1.0, None),
    (side((1.0, 0.0, 1.0)), PLAIN, 1.0, [wrong("left", 0.0, 1.0)]), (PLAIN, side((1.0, 0.0, 1.0)), 1.0, [wrong("right", 0.0, 1.0)]),
    (side((1.0, 0.0, 1.0)), side((1.0, 2.0, 1.0)), 1.0, [wrong("left", 0.0, 1.0), wrong("right", 2.0, 1.0)]),
    (PLAIN, side((2.0, 2.0, 2.0)), 2.0, None), (side((1.0, 0.0, 1.0)), side((2.0, 2.0, 2.0)), 2.0, [wrong("left", 0.0, 1.0)]),
    (side((0.0, 0.0, 1.0)), side((0.0, 0.5, 1.0)), 1.0, None),  # any subgradient of a kink
    (side((0.5, 0.5, 0.5)), PLAIN, 1.0, (0.5, 7.0, 3.0)),  # they part beside it too
    (side((0.0, 0.2, 1.0)), side((0.9, 0.9, 0.9)), 1.0, None),
    (PLAIN, side((1.0, 1.5, 1.0), (1.0, 1.5, 1.0)), 1.0, (0.5 / 1.5, 7.0, 3.0)),  # a jump of the value
    (side((1.0, 1.5, 1.0), (1.0, 1.5, 1.0)), PLAIN, 1.0, (0.5 / 1.5, 7.0, 3.0)),
    (PLAIN, side((1.0, 0.5, 1.0), other=(1e3, 1e3, 1e3)), 1.0, None),  # beside the largest of any target
    (side((1.0, NAN, 1.0)), side((1.0, NAN, 1.0)), 1.0, None),
    (PLAIN, side((1.0, NAN, 1.0), (1.0, 3.0, 1.0)), 1.0, (math.inf, 7.0, 3.0)),
    (side((NAN, NAN, 1.0)), PLAIN, 1.0, (math.inf, 7.0, 3.0)),
    (side((0.0, NAN, 0.0), (0.0, 0.5, 0.0)), side((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), 1.0, (math.inf, 7.0, 3.0)),
    # 0/0 beside 0/0, or beside 0 with a gradient of 0, says nothing; beside anything else it does
    (side((1.0, NAN, 1.0), (1.0, NAN, 1.0)), side((1.0, NAN, 1.0), (1.0, NAN, 1.0)), 1.0, None),
    (side((1.0, NAN, 1.0), (1.0, NAN, 1.0)), side((1.0, 0.0, 1.0), (1.0, 0.0, 1.0)), 1.0, None),
    (side((1.0, 0.0, 1.0), (1.0, 0.0, 1.0)), side((1.0, NAN, 1.0), (1.0, NAN, 1.0)), 1.0, None),
    (side((1.0, NAN, 1.0), (1.0, NAN, 1.0)), side((1.0, 1.0, 1.0), (1.0, 0.0, 1.0)), 1.0, (math.inf, 7.0, 3.0)),
    (side((1.0, NAN, 1.0), (1.0, NAN, 1.0)), side((1.0, 0.0, 1.0)), 1.0, (math.inf, 7.0, 3.0)),
    (side((1.0, 0.0, 1.0), (1.0, 0.0, 1.0)), side((1.0, 1.0, 1.0)), 1.0, (1.0, 7.0, 3.0)),
])  # fmt: skip
def test_a_place_shows_a_wrong_gradient_a_difference_or_nothing(
    left: list[Curves], right: list[Curves], factor: float, found: Any
) -> None:
    told = at(left, right, factor)
    assert told == (pytest.approx(found) if isinstance(found, tuple) else found)


def test_a_gradient_that_is_not_finite_between_two_that_are_is_wrong() -> None:
    (point,) = at(PLAIN, side((1.0, NAN, 1.0)))
    assert (point.side, point.derivative, math.isnan(point.gradient)) == ("right", 1.0, True)


@pytest.mark.parametrize(("off", "found"), [(0.9e-3, False), (1.1e-3, True)])
def test_a_thousandth_of_the_largest_gradient_is_a_difference(off: float, found: bool) -> None:
    assert bool(at(PLAIN, side((1.0, 1.0 - off, 1.0)))) is found
    assert isinstance(at(PLAIN, side((1.0 - off, 0.5, 1.0 - off))), tuple) is found  # else a point
    assert (at(side((0.5, 0.0, 0.5 + off)), side((0.2, 1.0, 0.2))) is None) is found  # a kink of left's, and no slope
    assert _wrong(torch.tensor([[1.0], [1.0 - off], [1.0]]), 1.0) is found
    assert _wrong(torch.tensor([[1.0], [0.0], [1.0 - off]]), 1.0) is not found
    assert _wrong(torch.tensor([[9.0], [9.0 - 9 * off], [9.0]]), 9.0) is found
    assert _even(torch.tensor([1.0, 1.0 + off, 1.0]), 1.0) is not found
    for low, high in ((-10.0, -10.0), (0.0, 10.0), (10.0, 0.0)):
        assert _even(torch.tensor([low, (low + high) / 2 + 10 * off, high]), 1.0) is not found
    assert _even(torch.tensor([0.0, 10 * off, 0.0]), 10.0) is not found


def test_slopes_beside_a_place_must_be_finite_and_agree() -> None:
    for slopes, found in (((1.0, NAN, 1.0), True), ((NAN, NAN, 1.0), False), ((1.0, NAN, NAN), False), ((1.0, 2.0, NAN), False),
                          ((1.0, 5.0, 1.0), True), ((0.0, 5.0, 1.0), False), ((1.0, 1.0, 1.0), False)):  # fmt: skip
        assert _wrong(torch.tensor(slopes)[:, None], 1.0) is found
    assert not _even(torch.tensor([1.0, NAN, 1.0]), 1.0)
    assert not _even(torch.tensor([1.0, 1.0, math.inf]), 1.0)


def test_of_several_entries_the_one_that_is_off_by_most_is_told() -> None:
    slopes = torch.tensor([[1.0, 2.0], [1.5, 4.0], [1.0, 2.0]])
    assert _point("left", slopes, [0.0, 1.0], 3.0) == Point("left", [0.0, 1.0], 3.0, 4.0, 2.0, 1)
    slopes[1, 0] = NAN
    told = _point("left", slopes, 0.0, 3.0)
    assert (told.entry, told.derivative, math.isnan(told.gradient)) == (0, 1.0, True)
    assert _point("left", slopes[:, 1:], 0.0, 3.0).entry is None
    assert (_off(told), _off(Point("left", 0.0, 0.0, 1.0, 3.5))) == (math.inf, 2.5)


def test_points_at_every_rows_own_target_are_one_and_others_are_told_by_their_place() -> None:
    def of(name: str, output: float, target: float, gradient: float) -> Point:
        return Point(name, output, target, gradient, 1.0)

    left = [of("left", 0.0, 0.0, 2.0), of("left", 5.0, 5.0, 4.0), of("left", 6.0, 6.0, 3.0)]
    right = [of("right", 0.0, 0.0, 2.0), of("right", 0.0, 1.0, 3.0), of("right", 1.0, 1.0, 2.0)]
    assert list(_worst_of_each([*left, *right])) == [
        Point("left", 5.0, 5.0, 4.0, 1.0, at_target=True), of("right", 0.0, 1.0, 3.0), of("right", 1.0, 1.0, 2.0)
    ]  # fmt: skip
    assert list(_worst_of_each(left[:1])) == left[:1], "at one target alone it is at a raw output"


def places(space: TargetSpace, target: Tensor, reach: float = math.inf) -> tuple[list[Any], list[Any]]:
    found, ways = _places(space, target, reach)
    return found.tolist(), ways.tolist()


def test_the_places_are_those_at_which_losses_change_their_form() -> None:
    assert places(BINARY, torch.tensor([0.0, 0.5]))[0] == [0.0, 1.0, -1.0, 20.0, -20.0]
    assert places(BINARY, torch.tensor([0.0, 0.5]), 20.0) == ([0.0, 1.0, -1.0], [1.0, 1.0, 1.0])
    assert places(BINARY, torch.tensor([0.0, 0.5]), 20.001)[0] == [0.0, 1.0, -1.0, 20.0, -20.0]
    assert places(BINARY, torch.tensor([0.0]), 1.0)[0] == [0.0]
    real = places(TargetSpace("real"), torch.tensor([0.0, 1.0, 0.5, -7.0]), 6.0)[0]
    assert real == [0.0, 1.0, -1.0, 0.5], "and a residual of 0, where targets are any number"


@pytest.mark.parametrize(("count", "kinds"), [(2, 3), (16, 3), (17, 2)])
def test_of_several_outputs_all_are_alike_or_the_first_two_lead(count: int, kinds: int) -> None:
    found, ways = places(TargetSpace("classes", count), torch.tensor([0, 1]))
    assert found[0] == [0.0] * count
    assert found[1] == [pytest.approx(1.3)] * count
    assert len(found) == kinds
    if kinds == 3:
        assert found[2][:2] == [pytest.approx(1.3)] * 2
        assert all(number < 0 for number in found[2][2:])
    assert all(way == ways[0] for way in ways)
    assert len({round(abs(number), 9) for number in ways[0]}) == count
    assert (_told(torch.tensor([1.0, 1.0])), _told(torch.tensor([1.0, 2.0])), _told(torch.tensor(3.0))) == (
        1.0,
        [1.0, 2.0],
        3.0,
    )


def test_where_no_place_is_inside_nothing_is_shown() -> None:
    one = Objective.of(bce, BINARY)
    assert kinks(one, one, BINARY, torch.tensor([0.0]), 1.0, 0.0) == Kinks()


def test_a_row_stands_on_a_target_of_several_numbers_or_on_a_raw_output() -> None:
    target = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    corner = Point("left", None, [0.0, 1.0], NAN, NAN)
    assert corner.stood(torch.zeros(3, 2), target).tolist() == [True, False, True]
    number = Point("left", 0.5, 0.0, 1.0, 2.0)
    assert number.stood(torch.tensor([0.5, 0.0, 0.5]), torch.zeros(3)).tolist() == [True, False, True]
    pair = replace(number, output=[0.5, 1.0], entry=0)
    assert pair.stood(torch.tensor([[0.5, 1.0], [0.5, 2.0]]), torch.zeros(2)).tolist() == [True, False]
