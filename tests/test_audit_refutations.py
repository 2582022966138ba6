"""The proofs that no base measure makes a loss of one output a likelihood, each asked by itself on both sides of its bounds."""

import math
from typing import Any

import pytest
import torch
from asked_cases import Function, asked, f64, numbers, squared
from torch import Tensor

from mlnn.auditing import refute
from mlnn.auditing.families import Family
from mlnn.auditing.record import Witness

EVERY, ALMOST = "larger loss for every target, so", "almost every target and the smaller for none"


# Two outputs of which one is worse.
def test_the_two_outputs_that_are_the_farthest_apart_are_shown() -> None:
    found = refute.worse_everywhere(asked(lambda f, y: 20 + f + 0 * y, "counts"))
    assert found is not None
    assert found.outputs == pytest.approx((6.00321, -5.99679))
    assert found.targets == (0.0, 1.0, 2.0)
    assert EVERY in found.says
    assert found.excess == pytest.approx(12.0)
    half = refute.worse_everywhere(asked(lambda f, y: 20 + f + 0 * y, "positive"))
    assert half is not None
    assert torch.tensor(half.targets).log().tolist() == pytest.approx([-20.0, 0.0, 20.0])


def test_of_one_output_that_is_worse_everywhere_the_least_excess_is_made_largest() -> None:
    """Of few targets the excess is largest between the ends, of most of them between −6 and 3."""
    rest = lambda f: 5 - 0.5 * (f - 3).abs()  # noqa: E731
    found = refute.worse_everywhere(asked(lambda f, y: 20 + torch.where(y < 9, 0.1 * f, rest(f)), "counts"))
    assert found is not None
    assert found.outputs == pytest.approx((6.00321, -5.99679))


@pytest.mark.parametrize(("loss", "excess"), [
    (lambda f, y: torch.where(y < 100, 0.0, torch.exp(f)), None),  # nothing in both, and more of two thirds
    (lambda f, y: torch.where(y < 100, 1e-14 * (f + 7), 20 + f), 12e-14),
])  # fmt: skip
def test_one_output_may_be_worse_for_most_targets_and_better_for_none(loss: Function, excess: float | None) -> None:
    found = refute.worse_everywhere(asked(loss, "counts"))
    assert found is not None
    assert (ALMOST in found.says) == (excess is None)
    assert found.excess == (excess and pytest.approx(excess))


@pytest.mark.parametrize("loss", [
    lambda f, y: torch.where(y < 200, 0.0, torch.exp(f)),  # of one third only
    lambda f, y: torch.where(y < 200, 1.0, torch.exp(f)),  # the same, but not nothing
    lambda f, y: torch.where(y < 100, 1.0, torch.exp(f)),  # as large, and not nothing, for some
    lambda f, y: torch.where(y < 1, torch.relu(6 - f), torch.exp(f)),  # nothing for the one, and less for the other
    lambda f, y: torch.where(y < 1, -f, f),
    lambda f, y: f * torch.exp(-y / 300) + 20,  # what it is worse by still falls
    lambda f, y: (y - torch.exp(f)) ** 2,
])  # fmt: skip
def test_no_output_is_worse_where_another_is_for_one_target(loss: Function) -> None:
    assert refute.worse_everywhere(asked(loss, "counts")) is None


def test_outputs_of_a_whole_line_and_several_outputs_are_not_compared() -> None:
    assert refute.worse_everywhere(asked(lambda f, y: 20 + f + 0 * y, "real")) is None
    assert refute.worse_everywhere(asked(lambda o, y: 20 + o.sum(-1) + 0 * y, "counts(raw=2)")) is None


@pytest.mark.parametrize(("dip", "width", "shown"), [(0.0, 0.02, True), (0.7, 0.02, True), (1.5, 0.02, False)])
@pytest.mark.parametrize("cell", [240, 300, 478])
def test_between_the_points_an_excess_may_dip_below_nothing(dip: float, width: float, shown: bool, cell: int) -> None:
    """A dip in the middle of a cell of the grid, where it is less than around."""
    place = -60.0 + (cell + 0.5) * 0.25

    def loss(f: Tensor, y: Tensor) -> Tensor:
        v = y.log() - place
        return 20 + f * (1 - 0.2 * torch.exp(-0.5 * v**2) - dip * torch.exp(-0.5 * (v / width) ** 2))

    assert (refute.worse_everywhere(asked(loss, "positive")) is not None) == shown


def test_a_valley_of_either_loss_is_looked_into() -> None:
    """Where the excess is least is elsewhere: at the middle, a little."""
    for better in (0.0, 1.0):

        def loss(f: Tensor, y: Tensor, side: float = better) -> Tensor:
            v = y.log()
            far, near = (v - 30.125) / 0.02, (v - 30.125) / 3
            deep = torch.exp(-0.5 * far**2) * torch.sigmoid((1 - 2 * side) * 20 * f)
            lower = -8 * torch.exp(-0.5 * near**2)
            return (
                20 + 0.5 * torch.tanh(20 * f) * (1 - 0.3 * torch.exp(-0.5 * v**2)) + lower + (2 * side - 1) * 6 * deep
            )

        assert refute.worse_everywhere(asked(loss, "positive")) is None


@pytest.mark.parametrize(("last", "before", "goes_on"), [
    (1.0, 1.0, True), (1.0, 1.0 + 1e-8, True), (1.0, 1.0 + 1e-6, False), (2.0, 1.0, True),
])  # fmt: skip
def test_of_counts_an_excess_may_fall_by_what_powers_come_to_rest_with(
    last: float, before: float, goes_on: bool
) -> None:
    value = torch.tensor([[9.0, before, last], [0.0, 0.0, 0.0]], dtype=f64)
    assert bool(refute._grows_outwards(value, True)[0, 1]) == goes_on
    large = value + 1e9 * numbers(0.0, 1.0, 1.0)
    assert bool(refute._grows_outwards(large, True)[0, 1]) == (goes_on or before < 1.1), "rounding of a large loss"
    near = torch.tensor([[1.0, 9.0, before, last], [0.0, 0.0, 0.0, 0.0]], dtype=f64)
    assert not bool(refute._grows_outwards(near, False)[0, 1]), "of a line both ends count"


@pytest.mark.parametrize(("off", "goes_on"), [(0.9e-9, True), (3e-9, False)])
def test_of_a_line_an_excess_falls_by_no_more_than_rounding_at_either_end(off: float, goes_on: bool) -> None:
    for size in (1.0, 1000.0):
        fall = off * max(1.0, size / 2)
        right = torch.tensor([[1.0, 1.0, 1.0 + fall, 1.0], [0.0] * 4], dtype=f64)
        right = right + numbers(0.0, 0.0, size - 1, size - 1)
        assert bool(refute._grows_outwards(right, False)[0, 1]) == goes_on
        assert bool(refute._grows_outwards(right.flip(1), False)[0, 1]) == goes_on


def test_a_loss_is_seen_to_move_with_the_count_by_far_more_than_rounding() -> None:
    eps = torch.finfo(f64).eps
    rows = [
        [3.0, 3.0, 3.0],
        [1.0, 1.0 + 8000 * eps, 1.0],
        [1.0, 1.0 + 32000 * eps, 1.0],
        [0.0, 1.0, math.nan],
        [0.0, math.inf, 0.0],
    ]
    value = torch.tensor(rows, dtype=f64)
    assert refute._visible(value).tolist() == [False, False, True, True, True]
    assert refute._visible(value[:1]).tolist() == [True], "no output moves with it at all"
    assert refute._visible(torch.tensor([rows[0], rows[2]], dtype=f64)).tolist() == [False, True]
    hidden = torch.tensor([[2.0, 2.0, 1.0], [1.0, 1.0 + 8000 * eps, 1.0]], dtype=f64)
    assert refute._grows_outwards(hidden.flip(1), True).tolist() == [[True, False], [False, False]]


# Gradients that all point one way.
@pytest.mark.parametrize(("row", "found"), [
    ([1.0, 2.0, 1.0, 1.0], True), ([-1.0, -2.0, -1.0, -1.0], True), ([1.0, 1.0, 1.0, -1.0], False),
    ([1.0, 1.0, 1.0, math.nan], False), ([0.0] * 4, False), ([1.0] * 19 + [0.0], True), ([1.0] * 8 + [0.0] * 2, False),
    ([1.0] * 8 + [0.9e-6] * 2, False), ([1.0] * 8 + [1.1e-6] * 2, True), ([1.0] * 19 + [-1e-9], False),
])  # fmt: skip
def test_most_gradients_push_one_way_and_none_the_other(row: list[float], found: bool) -> None:
    assert refute._pushed(torch.tensor([row], dtype=f64)) == (0 if found else None)
    two = torch.tensor([[1.0, -1.0] * (len(row) // 2), row], dtype=f64)
    assert refute._pushed(two) == (1 if found else None)


@pytest.mark.parametrize(("row", "line", "counts"), [
    ([1.0] * 9, True, True), ([1.0] * 8 + [2.0], True, True), ([1.0] * 8 + [0.9], False, False),
    ([0.9] + [1.0] * 8, False, True), ([1.0] * 5 + [1.1, 1.0, 1.0, 1.0], False, False),
    ([1.0] * 4 + [1.1] + [1.0] * 4, True, True), ([1.0, 1.0, 1.0, 1.1] + [1.0] * 5, False, True),
    ([-2.0] + [1.0] * 7 + [-2.0], True, True), ([1.0] * 8 + [1 - 1e-15], True, True), ([1.0] * 8 + [1 - 1e-14], False, False),
    ([1 - 1e-15] + [1.0] * 8, True, True), ([1 - 1e-14] + [1.0] * 8, False, True),
])  # fmt: skip
def test_gradients_that_fall_off_at_an_end_may_turn_farther_out(row: list[float], line: bool, counts: bool) -> None:
    slope = torch.tensor([row], dtype=f64)
    assert refute._kept_outwards(slope, False).tolist() == [line]
    assert refute._kept_outwards(slope, True).tolist() == [counts]


def test_places_lie_densely_and_out_to_where_float64_ends() -> None:
    for targets, dense, low, high in (
        ("real", 60.0, -1e60, 1e60),
        ("positive", 60.0, -600.0, 600.0),
        ("unit", 20.0, -600.0, 20.0),
    ):
        along = asked(squared, targets).space.coordinate
        assert along is not None
        places = refute._dense(along)
        assert (float(places[0]), float(places[-1])) == (low, high)
        assert bool((places.diff() > 0).all())
        inner = places[places.abs() <= dense]
        assert len(inner) == 2401
        outer = [*along.farthest[1], *(one for one in along.farthest[0] if one < along.high)]
        assert sorted(places[places.abs() > dense].tolist()) == sorted(one for one in outer if abs(one) > dense)


PUSHES: dict[str, tuple[Function, str, float | None]] = {
    "all outputs": (lambda f, y: f * (2 - 1 / (2 + y)) + 20, "counts", -5.99679),
    "none": (lambda f, y: torch.exp(f) - y * f, "counts", None),
    "beyond 9, by a penalty": (lambda f, y: (f - 13 * torch.tanh(y)).abs() + 3 * torch.relu(f - 9), "real", 12.00321),
    "below −9": (lambda f, y: (f - 13 * torch.tanh(y)).abs() + 3 * torch.relu(-f - 9), "real", -11.99679),
    "of a line": (lambda f, y: torch.log1p(torch.exp(f)) + 0 * y, "real", -5.99679),
    "all but a few": (lambda f, y: f * torch.where((y > 5) & (y < 7), -1.0, 1.0), "counts", None),
    "still falling off": (lambda f, y: f * (1 + torch.exp(-y / 1e6)) + 0.01 * y, "counts", None),
    "hidden by a large loss": (lambda f, y: f + 1e17 + 0 * y, "counts", -5.99679),
    "hidden by a large loss that moves": (lambda f, y: f + 1e16 + torch.where(f < 0, 0.0, 1.0) * (y > 3), "counts", None),
    "turning between two places": (lambda f, y: f * (1 - 3 * torch.exp(-(((y.log() - 5.025) / 0.005) ** 2))), "positive", None),
}  # fmt: skip


@pytest.mark.parametrize("name", PUSHES)
def test_an_output_that_every_target_pushes_is_shown(name: str) -> None:
    loss, targets, at = PUSHES[name]
    found = refute.one_way(asked(loss, targets))
    assert (found is not None) == (at is not None)
    if found:
        assert found.outputs == pytest.approx((at - 0.011, at + 0.011))  # type: ignore[operator]


def test_several_outputs_are_not_asked_for_a_push() -> None:
    assert refute.one_way(asked(lambda o, y: o.sum(-1) + 0 * y, "real(raw=2)")) is None


@pytest.mark.parametrize(("dip", "shown"), [(0.0, True), (0.9, True), (1.5, False)])
@pytest.mark.parametrize("place", [-29.975, 0.025, 20.025])
def test_a_gradient_may_turn_between_two_places(dip: float, shown: bool, place: float) -> None:
    for side in (1.0, -1.0):
        loss = asked(
            lambda f, y, way=side: way * f * (1 - dip * torch.exp(-(((y.log() - place) / 0.01) ** 2))), "positive"
        )
        along = loss.space.coordinate
        assert along is not None
        slope = loss.cross(numbers(0.3), along.target(refute._dense(along)))[1].reshape(-1)
        assert refute._pushed_between(loss, along, numbers(0.3)[0], slope) == shown


@pytest.mark.parametrize(("width", "shown"), [(0.0, True), (1e-9, True), (1e-3, False)])
def test_a_kink_at_zero_is_one_of_the_gradient_itself(width: float, shown: bool) -> None:
    loss = asked(lambda f, y: squared(f, y) + 0.3 * (torch.sqrt(f**2 + width**2) if width else f.abs()))
    assert (refute.one_way(loss) is not None) == shown


@pytest.mark.parametrize(("size", "shown"), [(1.2e-3, True), (0.4e-3, False)])
def test_a_jump_is_more_than_a_thousandth_of_the_gradients(size: float, shown: bool) -> None:
    """Of an l1 loss gradients are 1."""
    assert (refute.one_way(asked(lambda f, y: (y - f).abs() + size * f.abs())) is not None) == shown


@pytest.mark.parametrize(("other", "shown"), [(1.0, True), (-1.0, False)])
def test_where_gradients_are_so_large_that_a_jump_is_lost_it_must_not_be_the_other_way(
    other: float, shown: bool
) -> None:
    loss = asked(lambda f, y: 0.5 * (y - f) ** 2 + f.abs() * torch.where(y.abs() > 1e9, other * y.abs() / 1e3, 0.3))
    assert (refute.one_way(loss) is not None) == shown


# What an output follows.
@pytest.mark.parametrize(("loss", "follows", "link"), [
    (lambda f, y: (f - y) ** 2, True, "f"), (lambda f, y: (f + y) ** 2, True, None), (lambda f, y: (f - y**2) ** 2, False, None),
    (lambda f, y: (f - 1) ** 2 + 0 * y, False, None), (lambda f, y: (f - 2.1 * y) ** 2, False, None),
    (lambda f, y: (f + 2.1 * y) ** 2, False, None), (lambda f, y: (f - 3.5 * y) ** 2, False, None),
    (lambda f, y: -((f - y) ** 2), False, None), (lambda f, y: (f - 1.9 * y) ** 2, True, None),
])  # fmt: skip
def test_the_best_output_follows_the_target_one_way(loss: Function, follows: bool, link: str | None) -> None:
    assert refute.elicits(asked(loss)) == (follows, link)


@pytest.mark.parametrize(("targets", "link", "of"), [
    ("positive", "exp(f)", torch.log), ("unit", "σ(f)", torch.logit), ("counts", "f", lambda y: y),
])  # fmt: skip
def test_the_map_from_an_output_to_the_target_is_named(targets: str, link: str, of: Any) -> None:
    assert refute.elicits(asked(lambda f, y: (f - of(y)) ** 2, targets)) == (True, link)


def test_a_family_that_lives_elsewhere_is_shown_with_its_sums_where_they_are_known() -> None:
    family, outputs = Family("Poisson", "0, 1, 2, …"), numbers(1.0, 2.0, 3.0)
    loss = asked(squared)
    assert refute.elsewhere(loss, family, outputs, None).outputs == ()
    found: Witness = refute.elsewhere(loss, family, outputs, numbers(5.0, 9.0, 4.0))
    assert (found.outputs, found.z) == ((3.0, 2.0), (4.0, 9.0))
    assert (found.family, found.lives, found.space) == ("Poisson", "0, 1, 2, …", "real")
