"""The bounds of an audit of several outputs from both sides: each part asked by itself, on losses made by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asked_cases
import numpy as np
import pytest
import torch
from asked_cases import Function, f64, normal, numbers
from torch import Tensor

from mlnn.auditing import (
    careful,
    densities,
    dominated,
    fitting,
    following,
    integrals,
    several,
    shifted,
    sliced,
    vouching,
)
from mlnn.auditing.ask import Loss
from mlnn.auditing.densities import _fit, _is_it, _mixture, _read, _start, named_density
from mlnn.auditing.density_forms import FORMS
from mlnn.auditing.dominated import _goes_on, _stays, _targets, _way_down, _witness, worse_of_two
from mlnn.auditing.families import Family
from mlnn.auditing.finding import Finding
from mlnn.auditing.fitting import Places, _made, _tidy
from mlnn.auditing.following import _falls_on, best_output, follows
from mlnn.auditing.integrals import Total
from mlnn.auditing.record import Witness
from mlnn.auditing.shifted import At
from mlnn.auditing.sliced import Slice
from mlnn.auditing.vouching import Cloud, vouched
from mlnn.targets import TargetSpace


def asked(function: Any, targets: str = "real(raw=2)") -> Loss:
    return asked_cases.asked(function, targets)


HALF_LOG_TURN = 0.5 * math.log(2 * math.pi)
OUTPUTS = torch.randn(12, 2, generator=torch.Generator().manual_seed(0), dtype=f64)


# What the best outputs follow.
@pytest.mark.parametrize(("slope", "on"), [(0.0, True), (-1e-3, True), (1e-3, False)])
def test_an_expectation_that_falls_or_is_flat_beyond_an_output_far_out_is_on_its_way(slope: float, on: bool) -> None:
    def risk(at: np.ndarray) -> tuple[float, np.ndarray]:
        return 2 + slope * max(float(np.abs(at).max()) - 6, 0.0), np.zeros_like(at)

    for side in (1.0, -1.0):
        far = side * np.array([6.0, 0.0])
        assert _falls_on(risk, far, risk(far)[0]) == on
    near = np.array([4.0, 0.0])
    assert _falls_on(risk, near, risk(near)[0]) == (slope < 0), "near 0 nothing lost is no way out"


@pytest.mark.parametrize(("gain", "on"), [(0.5e-9, False), (2e-9, True)])
def test_an_expectation_falls_on_by_more_than_a_billionth_of_itself(gain: float, on: bool) -> None:
    def risk(at: np.ndarray) -> tuple[float, np.ndarray]:
        return 4.0 * (1 - gain * float(at[1] > 2.9)), np.zeros_like(at)

    assert _falls_on(risk, np.zeros(2), 4.0) == on


def test_a_best_output_lies_inside_the_box() -> None:
    atoms, share = numbers(-1.0, 0.5, 2.0), numbers(0.3, 0.3, 0.4)
    for middle, inside in ((23.0, True), (24.5, False)):
        found = best_output(asked(lambda o, y, c=middle: (o - c).square().sum(1) + 0 * y), atoms, share)
        assert (found is not None) == inside
    found = best_output(asked(normal), atoms, share)
    mean = float((atoms * share).sum())
    assert found is not None
    assert found.tolist() == pytest.approx([mean, math.log(float((share * (atoms - mean) ** 2).sum()))], abs=1e-5)
    assert best_output(asked(lambda o, y: (y - o[:, 0]) ** 2 - o[:, 1]), atoms, share) is None
    other = best_output(asked(lambda o, y: (y - o[:, 0] - o[:, 1]) ** 2), atoms, share, -1.0)
    assert other is not None
    assert float(other.sum()) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize(("loss", "kind", "link"), [
    (lambda o, y: (y - o[:, 0]) ** 2 + (o[:, 1] - y.abs()) ** 2, "proper", "f₁"),
    (lambda o, y: (y - o.sum(1)) ** 2, "calibrated", None),
    (lambda o, y: (o**2).sum(1) + 0 * y, "no link", None),
    (lambda o, y: (o[:, 0] - y).abs() + (o[:, 1] - 1) ** 2, "calibrated", None),
    (lambda o, y: o.sum(1) + 0 * y, "no link", None),
    (lambda o, y: (y + 3e-4 * y**2 - o[:, 0]) ** 2 + o[:, 1] ** 2, "calibrated", None),
    (lambda o, y: (y + 1e-6 * y**2 - o[:, 0]) ** 2 + o[:, 1] ** 2, "proper", "f₁"),
])  # fmt: skip
def test_what_best_outputs_follow(loss: Function, kind: str, link: str | None) -> None:
    assert follows(asked(loss))[:2] == (kind, link)


def test_no_distribution_that_is_tried_is_symmetric() -> None:
    for atoms in following.ATOMS.values():
        for places, shares in zip(atoms, following.SHARES, strict=True):
            assert list(places) == sorted(set(places))
            assert sum(shares) == pytest.approx(1.0)
            mean = float(np.dot(places, shares))
            median = places[int(np.searchsorted(np.cumsum(shares), 0.5))]
            assert abs(mean - median) > 1e-2
            assert max(map(abs, places)) < following.BOX


# An output that is worse than another.
@pytest.mark.parametrize(("dip", "stays"), [(0.5e-12, True), (2e-12, False), (-1.0, True)])
def test_an_excess_stays_where_it_does_not_fall_at_the_ends(dip: float, stays: bool) -> None:
    apart, size = torch.ones(40, dtype=f64), torch.ones(40, dtype=f64)
    for end in (0, -1):
        bent = apart.clone()
        bent[end] -= dip
        assert _stays(bent, size, counts=False) == stays
        assert _stays(bent, size, counts=True) == (stays or end == 0), "counts begin at 0"
    endless = apart.clone()
    endless[-1] = math.inf
    assert _stays(endless, size, counts=False)


@pytest.mark.parametrize(("rise", "goes_on"), [(0.0, True), (-4.9, True), (-5.1, False)])
def test_a_density_goes_on_to_the_end_of_fractions_unless_it_has_fallen(rise: float, goes_on: bool) -> None:
    loss = asked(lambda o, y: o.sum(1) + 0 * y, "unit(raw=2)")
    along = loss.space.coordinate
    assert along is not None
    v = torch.linspace(-30, 30, 61, dtype=f64)
    target = along.target(v)
    weight = along.log_slope(along.back(target))
    height = torch.linspace(0, rise, 61, dtype=f64)
    assert _goes_on(loss, target, weight - height) == goes_on
    assert not _goes_on(asked(normal), v, 0 * v), "of a line the coordinate is the target"


@pytest.mark.parametrize(("excess", "shown"), [(2e-3, True), (5e-5, False), (-1e-3, False), (0.0, False)])
def test_a_worse_output_is_worse_by_what_matters(excess: float, shown: bool) -> None:
    loss = asked(lambda o, y: 0.5 * y**2 + excess * o[:, 0] + 0 * o[:, 1])
    found = _witness(loss, numbers(1.0, 0.0), numbers(0.0, 0.0))
    assert (found is not None) == shown
    if found:
        assert found.excess == pytest.approx(excess)
    assert (worse_of_two(loss, OUTPUTS.sign() / 2) is not None) == (abs(excess) > 1e-4)


@pytest.mark.parametrize(("loss", "shown"), [
    (lambda o, y: 2 * torch.log1p(y.abs()) + o[:, 0] * (y.abs() < 1), False),  # larger for a few
    (lambda o, y: 2 * torch.log1p(y.abs()) + o[:, 0] * (y.abs() > 1e5), False),  # larger where exp(−loss) has hardly any weight
    (lambda o, y: 2 * torch.log1p(y.abs()) + o[:, 0] * (1 - 2 * (y > 1e20)), False),  # less far out
    (lambda o, y: 2 * torch.log1p(y.abs()) + o[:, 0] * (1 - 2 * ((y - 0.3).abs() < 1e-5)), False),  # less in a valley
    (lambda o, y: torch.where(y > 3, math.nan, 2 * torch.log1p(y.abs()) + o[:, 0]), False),
    (lambda o, y: torch.where((y > 3) & (o[:, 0] < 0.5), math.inf, 2 * torch.log1p(y.abs()) + o[:, 0]), False),
    (lambda o, y: torch.where((y > 3) & (o[:, 0] > 0.5), math.inf, 2 * torch.log1p(y.abs()) + o[:, 0]), True),
    (lambda o, y: 2 * torch.log1p(y.abs()) + o[:, 0], True),
])  # fmt: skip
def test_a_worse_output_is_worse_at_nearly_all_targets_and_better_at_none(loss: Function, shown: bool) -> None:
    assert (_witness(asked(loss), numbers(1.0, 0.3), numbers(0.0, 0.3)) is not None) == shown


@pytest.mark.parametrize(("loss", "there"), [
    (lambda o, y: 0.5 * y**2 + o[:, 0] + 0 * o[:, 1], True),
    (lambda o, y: 0.5 * y**2 + (o**2).sum(1), True),
    (normal, False),
    (lambda o, y: 0.5 * y**2 + 0 * o.sum(1), False),
    (lambda o, y: torch.where(y > -1, math.nan, 0.5 * y**2 + o[:, 0]), False),
])  # fmt: skip
def test_a_way_down_for_every_target_is_found_where_there_is_one(loss: Function, there: bool) -> None:
    found = _way_down(asked(loss), numbers(0.7, -0.4))
    assert (found is not None) == there
    if found is not None:
        assert float(found.abs().max()) == pytest.approx(1.0)


@pytest.mark.parametrize(("tilt", "there"), [(1.1e-3, True), (0.45e-3, False)])
def test_a_way_leads_down_by_a_thousandth_on_average(tilt: float, there: bool) -> None:
    loss = asked(lambda o, y: tilt * o[:, 0] + o[:, 1] * torch.where(y >= 0, 1.0, -1.0))
    assert (_way_down(loss, numbers(0.2, 0.1)) is not None) == there


@pytest.mark.parametrize(("up", "there"), [(1e-10, True), (1e-8, False)])
def test_a_way_down_leads_up_for_no_target_but_by_rounding(up: float, there: bool) -> None:
    def loss(o: Tensor, y: Tensor) -> Tensor:
        """All targets above −1 pull one way, those below up to a little and to either side."""
        side = torch.where(y > -1, 0.0, torch.where(y > -2, 1.0, -1.0))
        return o[:, 0] * torch.where(y > -1, 1.0, -up) + o[:, 1] * side

    assert (_way_down(asked(loss), numbers(0.1, 0.2)) is not None) == there


def test_where_outputs_are_told_apart() -> None:
    line = _targets(asked(normal), numbers(0.3, 1.7))
    assert bool((line.diff() > 0).all())
    assert float(line.abs().max()) == pytest.approx(1e30)
    for place in (0.3, 1.7, math.exp(0.3)):
        assert float((line - place - 1e-6).abs().min()) < 1e-12
    counts = _targets(asked(normal, "counts(raw=2)"), numbers(0.0, 0.0))
    assert counts[:301].tolist() == list(range(301))
    assert float(counts[-1]) == 1e11
    assert bool((counts.diff() > 0).all())
    half = _targets(asked(normal, "positive(raw=2)"), numbers(0.0, 0.0)).log()
    assert (float(half[0]), float(half[-1])) == pytest.approx((-600.0, 600.0))
    unit = _targets(asked(normal, "unit(raw=2)"), numbers(0.0, 0.0))
    assert float(unit[0].log()) == pytest.approx(-600.0)
    assert float(unit[-1]) < 1
    assert list(dominated.SIZES) == sorted(dominated.SIZES, reverse=True)
    assert 0.005 < dominated.SIZES[-1] < dominated.SIZES[0] < 3
    assert list(dominated.FAR) == [3.0, 5.0]


# A temperature and a base measure, fitted.
@pytest.mark.parametrize(("value", "tidy"), [
    (1.009, 1.0), (1.011, 1.011), (-0.991, -1.0), (0.0099, 0.0), (0.5049, 0.5), (0.5051, 0.5051), (2.019, 2.0), (0.2021, 0.2021),
    (0.2019, 0.2), (0.7499, 0.75), (math.pi, math.pi), (0.1, 0.1), (0.9, 0.9), (0.9001, 0.9),
])  # fmt: skip
def test_a_number_is_the_tidy_one_next_to_it(value: float, tidy: float) -> None:
    assert _tidy(value) == tidy
    if tidy:
        assert _tidy(value, zero=False) == tidy
    else:
        assert _tidy(value, zero=False) != 0


def test_what_is_dropped_in_words() -> None:
    y = numbers(0.5, 2.0)
    made = _made(2.0, [1.0, 0.0], ["y", "exp(y)"], [torch.log, lambda y: y])
    assert (made.tau, made.measure) == (2.0, "y")
    assert made.log_base is not None
    assert made.log_base(y).tolist() == y.log().tolist()
    assert _made(1.0, [0.0], ["y"], [torch.log]).log_base is None
    both = _made(1.0, [-1.0, 0.25], ["y", "exp(y)"], [torch.log, lambda y: y])
    assert both.measure == "1/y · exp(0.25·y)"
    assert both.log_base is not None
    assert both.log_base(y).tolist() == pytest.approx((0.25 * y - y.log()).tolist())
    assert _made(1.0, [2.5], ["(1−y)"], [torch.log]).measure == "(1−y)^2.5"


@pytest.mark.parametrize(("varies", "size"), [(3.0, 3.0), (1e-6, 1e-4), (1e6, 1e4)])
def test_the_size_of_a_loss_is_what_it_varies_by_where_it_is_small(varies: float, size: float) -> None:
    value = varies * torch.linspace(0, 10, 101, dtype=f64).expand(3, -1)
    assert Places(0 * value, value, value[None]).size == pytest.approx(math.log(size))


def test_derivatives_of_log_z_are_its_derivatives() -> None:
    places = fitting._places(asked(normal), list(fitting.TERMS["the whole line"].values()))
    assert places is not None
    at = numbers(0.3, 0.05, -0.02)
    _, slope = places.log_z(at)
    for k in range(3):
        step = 1e-6 * torch.eye(3, dtype=f64)[k]
        apart = (places.log_z(at + step)[0] - places.log_z(at - step)[0]) / 2e-6
        assert slope[:, k].tolist() == pytest.approx(apart.tolist(), rel=1e-5, abs=1e-7)
    assert places.weight.shape == (fitting.OUTPUTS, 1001)


@pytest.mark.parametrize(("share", "read"), [(0.45, True), (0.55, False)])
def test_a_loss_is_looked_at_where_it_is_nan_at_less_than_half_of_the_places(share: float, read: bool) -> None:
    y = 100 * math.sinh(10 * (1 - 2 * share)) / 1000
    loss = asked(lambda o, t: torch.where(t > y, math.nan, normal(o, t)))
    found = fitting._places(loss, [torch.square])
    assert (found is not None) == read
    if found is not None:
        assert float((found.weight == integrals.NOTHING).double().mean()) == pytest.approx(share, abs=1e-2)


def test_a_temperature_and_a_measure_are_found_where_they_are() -> None:
    found = fitting.fitted(asked(lambda o, y: 3.0 * normal(o, y)))
    assert found is not None
    assert (found.tau, found.measure) == (3.0, "1")
    assert fitting.fitted(asked(lambda o, y: normal(o, y) + 0.1 * o[:, 1] ** 2)) is None
    odd = fitting.fitted(asked(lambda o, y: math.sqrt(3.3) * normal(o, y)))
    assert odd is not None
    assert odd.tau == pytest.approx(math.sqrt(3.3), rel=1e-10)


def test_a_temperature_that_was_fitted_nearly_gets_its_digits_from_newtons_method() -> None:
    tau = math.sqrt(3.3)
    for off in (1e-4, 1e-12):
        found = fitting._settled(asked(lambda o, y: tau * normal(o, y)), numbers(math.log(tau) + off), [], [], True)
        assert found is not None
        assert found.tau == pytest.approx(tau, rel=1e-9)


# What stays as it is when target and outputs move together.
def held(total: list[float], slope: list[float], beta: float = 1.0, error: float = 0.0) -> At:
    return At(beta, numbers(*total), numbers(*slope), torch.full((len(total),), error, dtype=f64))


@pytest.mark.parametrize(("apart", "told"), [(0.9e-4, False), (1.1e-4, True)])
def test_two_log_z_differ_by_a_ten_thousandth_on_a_whole_interval(apart: float, told: bool) -> None:
    one, two = held([0.0, apart], [0.0, 0.0]), held([0.0, apart], [0.0, 0.0], 1.1)
    assert shifted._apart(one, two, lambda _: None, 3) == told
    small = [held([0.0, apart / 10], [0.0, 0.0], beta) for beta in (0.1, 0.099)]
    assert shifted._apart(small[1], small[0], lambda _: None, 3) == told, "per unit of loss/τ where that is less than 1"
    noisy = [replace(each, error=numbers(0.0, 1.1e-6)) for each in (one, two)]
    assert not shifted._apart(*noisy, lambda _: None, 3)
    assert float(noisy[0].needed[0, 1]) == pytest.approx(1e-4 + 3.3e-5)
    assert float(noisy[0].needed[1, 1]) == pytest.approx(1e-4 + 6.6e-5)


def test_log_z_that_cross_between_two_temperatures_are_not_apart() -> None:
    one, two = held([0.0, 0.1], [0.0, -0.2], 1.0), held([0.0, -0.1], [0.0, -0.2], 2.0)
    asked_at: list[float] = []

    def between(beta: float) -> At:
        asked_at.append(beta)
        return held([0.0, 0.1 - 0.2 * (beta - 1)], [0.0, -0.2], beta)

    assert not shifted._apart(one, two, between, 5)
    assert asked_at, "the interval was halved"
    assert asked_at[0] == pytest.approx(math.sqrt(2))
    asked_at.clear()
    assert not shifted._apart(one, two, between, 0)
    assert not asked_at


def test_a_chord_that_hides_a_gap_is_halved_until_it_shows() -> None:
    """Of two convex functions the lower one's chord reaches into the upper one; halves do not."""

    def at(beta: float) -> At:
        return held([(beta - 2) ** 2, (beta - 2) ** 2 + 0.3], [2 * (beta - 2)] * 2, beta)

    assert shifted._apart(at(1.0), at(3.0), at, 6)
    assert not shifted._apart(at(1.0), at(3.0), at, 0)


@pytest.mark.parametrize(("near", "far", "goes_on"), [
    (1.0, 1.0, True), (1.0, 0.51, True), (1.0, 0.49, False), (1e-5, 1e-5, False), (2e-4, 2e-4, True),
])  # fmt: skip
def test_a_difference_goes_on_if_half_of_it_is_there_at_twice_the_temperature(
    near: float, far: float, goes_on: bool
) -> None:
    inner, outer = held([0.0, near], [0.0, 0.0], 1.0), held([0.0, far / 2], [0.0, 0.0], 0.5)
    assert shifted._goes_on(inner, outer) == goes_on


@pytest.mark.parametrize(("off", "leaves"), [(1e-10, True), (1e-7, False)])
def test_a_shift_leaves_a_loss_to_rounding(off: float, leaves: bool) -> None:
    loss = asked(lambda o, y: (y - o[:, 0]).abs() + o[:, 1] ** 2 + off * torch.sin(o[:, 0]) + torch.sin(y))
    along = loss.space.coordinate
    assert along is not None
    assert shifted._leaves_it(loss, along, OUTPUTS, numbers(1.0, 0.0)) == leaves
    assert not shifted._leaves_it(loss, along, OUTPUTS, numbers(1.0, 1.0))
    assert not shifted._leaves_it(loss, along, OUTPUTS, numbers(0.0, 0.0)), "another function of y and f"


@pytest.mark.parametrize(("loss", "way"), [
    (lambda o, y: (y - o[:, 0]).abs() + o[:, 1] ** 2, [1.0, 0.0]), (lambda o, y: (y - o[:, 1]) ** 2 + o[:, 0] ** 2, [0.0, 1.0]),
    (lambda o, y: (y[:, None] - o).abs().sum(1), [1.0, 1.0]), (lambda o, y: (y - 0.5 * o[:, 0]) ** 2 + o[:, 1] ** 2, [2.0, 0.0]),
    (lambda o, y: (y - o[:, 0]) ** 2 + o[:, 0] ** 2 + o[:, 1] ** 4, None),
])  # fmt: skip
def test_the_entries_that_move_with_the_target_are_found(loss: Function, way: list[float] | None) -> None:
    one = asked(loss)
    assert one.space.coordinate is not None
    found = shifted._way(one, one.space.coordinate, OUTPUTS)
    assert (None if found is None else found.tolist()) == way


def test_moving_entries_in_words() -> None:
    assert shifted._said(numbers(0, 1)) == "f2"
    assert shifted._said(numbers(1, 1)) == "f1 and f2"
    assert shifted._said(numbers(1, 0, 1, 2)) == "f1, f3 and f4"


@pytest.mark.parametrize(("end", "there"), [(0.5e-7, True), (2e-7, False)])
def test_z_is_summed_where_it_has_faded_at_the_ends(end: float, there: bool) -> None:
    height = torch.zeros(2, 101, dtype=f64)
    height[:, [0, -1]] = math.log(end * 100)
    weight = torch.zeros(101, dtype=f64)
    found = shifted._at(height, weight, 1.0)
    assert (found is not None) == there
    if found:
        assert found.total.tolist() == pytest.approx([math.log(99)] * 2, abs=1e-5)
        assert float(found.error[0]) == pytest.approx(math.log(99 / 98), abs=1e-6)
    assert shifted._at(height * math.nan, weight, 1.0) is None


@pytest.mark.parametrize(("loss", "shown"), [
    (normal, False), (lambda o, y: 0.5 * ((y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]) + 0.7 * o[:, 1]) + 0.1 * o[:, 1] ** 2, True),
])  # fmt: skip
def test_one_measure_for_each_temperature_is_seen_to_fail_or_not(loss: Function, shown: bool) -> None:
    found = shifted.shifted(asked(loss), OUTPUTS)
    assert (found is not None) == shown
    if found:
        assert found.z[1] > 1
    assert shifted.shifted(asked(loss, "unit(raw=2)"), OUTPUTS) is None


# Slices along one entry.
def piece(tau: float, log_h: float, free: bool = False, at: float = 1.0) -> Slice:
    def base(y: Tensor) -> Tensor:
        return torch.where(y == 1.0, log_h, 0.0).double()

    found = Finding("likelihood", scale=tau, log_base=base)
    return Slice(numbers(at, 0.0), Family("Poisson", "0, 1, 2, …", free=free), found)


@pytest.mark.parametrize(("other", "free", "shown"), [
    ((2.0, 0.0), False, "temperature"), ((2.0, 0.0), True, None), ((1 + 0.9e-5, 0.0), False, None),
    ((1 + 1.1e-5, 0.0), False, "temperature"), ((1.0, 0.9e-5), False, None), ((1.0, 1.1e-5), False, "probability"),
])  # fmt: skip
def test_two_slices_want_one_temperature_and_one_measure(
    other: tuple[float, float], free: bool, shown: str | None
) -> None:
    loss = asked(normal, "counts(raw=2)")
    found = sliced._apart(loss, piece(1.0, 0.0), piece(*other, free=free, at=2.0))
    assert (found is not None) == (shown is not None)
    if found and shown:
        assert getattr(found, shown)
        assert found.outputs == ((1.0, 0.0), (2.0, 0.0))
    assert sliced._apart(loss, replace(piece(1.0, 0.0), found=None), piece(*other)) is None
    assert sliced._apart(loss, piece(*other), replace(piece(1.0, 0.0), found=None)) is None


# How far out Z is one number.
def table(far: Callable[[Tensor], Tensor], errors: Callable[[Tensor], Tensor] | None = None) -> Any:
    """Z at outputs as a function of their size."""

    def found(_loss: Loss, outputs: Tensor, *_: Any) -> Total:
        size = outputs.abs().amax(1).round(decimals=1)
        error = 0 * size if errors is None else errors(size)
        return Total(far(size), float(error.max()), error, "it is wild")

    return found


ONES: Callable[[Tensor], Tensor] = torch.ones_like


@pytest.mark.parametrize(("far", "errors", "radius", "why"), [
    (ONES, None, 8.0, ""),
    (lambda size: 1 + 0.9e-6 * (size > 2), None, 8.0, ""),
    (lambda size: 1 + 2e-6 * (size > 4), None, 3.5, "Z differs"),
    (lambda size: 1 - 2e-6 * (size > 2), None, 2.0, "Z differs"),
    (ONES, lambda size: 1.0 * (size > 4), 3.5, ""),
    (ONES, lambda size: 1.0 * (size > 1.5), 1.0, "it is wild"),
    (ONES, lambda size: 1.0 * (size > 0), 0.0, "it is wild"),
    (ONES, lambda size: 1.0 * ((size > 2.5) & (size < 4)), 2.0, ""),
    (lambda size: 1 + 1.0 * (size > 4), lambda size: 1.0 * (size > 4), 3.5, ""),
])  # fmt: skip
def test_z_is_vouched_for_as_far_out_as_it_is_one_number(
    far: Any, errors: Any, radius: float, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vouching, "totals", table(far, errors))
    found = vouched(asked(normal, "counts(raw=2)"), 1.0)
    assert (found.radius, found.why) == (radius, why)
    assert (found.witness is not None) == (why == "Z differs")


def test_on_the_inner_shell_all_must_be_known_and_on_the_next_half(monkeypatch: pytest.MonkeyPatch) -> None:
    def known_at(inner: int, half: int) -> vouching.Vouched:
        def found(_loss: Loss, outputs: Tensor, *_: Any) -> Total:
            size = float(outputs[0, 0])
            errors = torch.zeros(len(outputs), dtype=f64)
            errors[: inner if size < 1.5 else half if size < 2.5 else 0] = 1.0
            return Total(torch.ones_like(errors), float(errors.max()), errors, "")

        monkeypatch.setattr(vouching, "totals", found)
        return vouched(asked(normal, "counts(raw=2)"), 1.0)

    assert [known_at(*left).why for left in ((0, 0), (1, 0), (0, 4), (0, 5))] == ["", "its error is too large", "",
                                                                               "its error is too large"]  # fmt: skip
    assert known_at(0, 4).radius == 1.0, "where not all are known nothing farther out counts"


@pytest.mark.parametrize(("again", "told"), [(1.0, ""), (1.5, "Z differs"), (1.2, ""), (math.nan, "")])
def test_what_differs_is_looked_at_once_more_before_it_is_said(
    again: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vouching, "totals", table(lambda size: 1 + 0.5 * (size > 4)))
    monkeypatch.setattr(vouching, "careful_z", lambda *_: (again, 0.0))
    found = vouched(asked(normal), 1.0)
    assert found.why == told
    assert found.radius == (8.0 if again == 1.0 else 3.5)


@pytest.mark.parametrize(("again", "why"), [(1.0, ""), (math.nan, "it is wild"), (1.5, "it is wild")])
def test_what_did_not_settle_near_zero_is_looked_at_once_more(
    again: float, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vouching, "totals", table(ONES, lambda size: 1.0 * (size < 3)))
    monkeypatch.setattr(vouching, "careful_z", lambda *_: (again, 0.0))
    found = vouched(asked(normal), 1.0)
    assert (found.why, found.radius) == (why, 8.0 if again == 1.0 else 0.0)


def test_a_cloud_is_off_by_its_farthest_z_that_is_known() -> None:
    z = torch.ones(12, dtype=f64)
    z[3], z[5] = 1.25, 9.0
    errors = torch.zeros(12, dtype=f64)
    errors[5] = 1.0
    found = Cloud(torch.zeros(12, 2, dtype=f64), Total(z, 1.0, errors))
    assert (found.off, found.middle) == (0.25, 1.0)
    errors[:4] = 1.0
    assert Cloud(found.outputs, Total(z, 1.0, errors)).off == math.inf, "too few are known"
    assert Cloud(found.outputs, Total(0 * z, 0.0, 0 * z)).off == math.inf


def test_shells_and_clouds_are_where_they_are_said() -> None:
    for size in vouching.SHELLS:
        found = vouching.shell(2, size)
        assert (found.abs().amax(1) - size).abs().max() < 0.01
        assert len(found) == 4 + vouching.DIRECTIONS
        assert float((found - found.round()).abs().min()) > 1e-3, "no round number"
    assert list(vouching.SHELLS) == [1.0, 2.0, 3.5, 5.0, 8.0]
    for targets, size in (("real(raw=2)", 1.0), ("counts(raw=2)", TargetSpace("counts").facts.near_output / 1.8)):
        spread = float(vouching.near_zero(TargetSpace.parse(targets), 400, 1).std())
        assert spread == pytest.approx(size, rel=0.1)


# Z by pieces.
@pytest.mark.parametrize("sd", [1.0, 1e-3, 30.0])
@pytest.mark.parametrize("middle", [0.0, 1.7, -40.0])
def test_z_by_pieces_is_that_of_a_normal(sd: float, middle: float) -> None:
    loss = asked(lambda o, y: 0.5 * ((y - o[:, 0]) / sd) ** 2 + 0 * o[:, 1])
    z, error = careful.careful_z(loss, numbers(middle, 0.3))
    assert z == pytest.approx(sd * math.sqrt(2 * math.pi), rel=1e-9)
    assert 0 < error < 1e-6 * z
    twice, _ = careful.careful_z(loss, numbers(middle, 0.3), 4.0)
    assert twice == pytest.approx(2 * z, rel=1e-9)
    less, _ = careful.careful_z(loss, numbers(middle, 0.3), 1.0, lambda y: torch.full_like(y, -1.0))
    assert less == pytest.approx(z / math.e, rel=1e-9)


@pytest.mark.parametrize("rate", [0.05, 0.5, 3.0])
def test_z_by_pieces_goes_on_beyond_where_fractions_have_digits(rate: float) -> None:
    found, error = careful.careful_z(
        asked(lambda o, y: -(rate - 1) * y.log() + 0 * o.sum(1), "unit(raw=2)"), numbers(0.0, 0.0)
    )
    assert found == pytest.approx(1 / rate, rel=1e-8)
    assert error < 1e-6 * found
    other, _ = careful.careful_z(
        asked(lambda o, y: -(rate - 1) * torch.log1p(-y) + 0 * o.sum(1), "unit(raw=2)"), numbers(0.0, 0.0)
    )
    assert math.isnan(other) or other == pytest.approx(1 / rate, rel=1e-5)


@pytest.mark.parametrize(("power", "settles"), [(1.0, False), (1.02, False), (1.2, True), (3.0, True)])
def test_z_by_pieces_of_a_tail_that_goes_on_is_not_told(power: float, settles: bool) -> None:
    loss = asked(lambda o, y: power * torch.log1p((y - o[:, 0]).abs()) + 0 * o[:, 1])
    found, _ = careful.careful_z(loss, numbers(0.3, 0.0))
    assert math.isfinite(found) == settles
    if settles:
        assert found == pytest.approx(2 / (power - 1), rel=1e-7)


# Which density it is.
def test_a_mean_of_counts_is_fitted_from_its_log() -> None:
    forms = {form.name: form for form in FORMS}
    counts = next(form for form in FORMS if form.name == "negative binomial")
    first = _start(counts, 0.0, 1.0, 1.5)
    assert math.log(densities.LEAST_MEAN) in first
    assert math.log(7.0) in _start(counts, 7.0, 1.0, 1.5)
    assert 1.5 in first
    line = forms["Student t"]
    assert _start(line, -3.0, 2.0, 0.5)[:2] == [-3.0, math.log(2.0)]


@pytest.mark.parametrize(("wave", "fits"), [(1e-9, True), (1e-6, False)])
def test_a_density_is_fitted_to_its_digits(wave: float, fits: bool) -> None:
    form = next(form for form in FORMS if form.name == "Student t")
    y = torch.linspace(-4, 4, 41, dtype=f64)
    truth = -form.nll(y, *(numbers(x)[0] for x in (0.3, 1.2, 5.0)))
    size = float(truth.abs().max())
    found = _fit(form, y, truth + wave * size * torch.cos(40 * y), 0.2, 1.0)
    assert (found is not None) == fits
    if found is not None:
        assert found.tolist() == pytest.approx([0.3, 1.2, 5.0], rel=1e-5)
    assert _fit(form, y[:19], truth[:19], 0.2, 1.0) is None
    assert _fit(form, y[:20], truth[:20], 0.2, 1.0) is not None


@pytest.mark.parametrize(("values", "words"), [
    (lambda f: torch.exp(f[:, 1]), "exp(f₂)"), (lambda f: 0 * f[:, 0] + 4.0, "4"),
    (lambda f: 4.0 * (1 + 0.4e-6 * torch.tanh(9 * f[:, 0])), "4"), (lambda f: 4.0 * (1 + 2e-5 * torch.tanh(9 * f[:, 0])), None),
    (lambda f: torch.exp(f[:, 0] + f[:, 1]), None), (lambda f: torch.exp(-f[:, 0] + 1.5), "exp(−f₁ + 1.5)"),
])  # fmt: skip
def test_a_parameter_is_one_number_or_a_link_of_one_entry(values: Any, words: str | None) -> None:
    parameter = next(form for form in FORMS if form.name == "Student t").parameters[2]
    found = _read(parameter, OUTPUTS, values(OUTPUTS))
    assert (found and found.words.split(" ", 3)[-1].removeprefix("freedom ")) == words
    if found:
        assert found.of(OUTPUTS).tolist() == pytest.approx(values(OUTPUTS).tolist(), rel=1e-5)


@pytest.mark.parametrize(("off", "seen", "same"), [(0.5e-9, 0.9, True), (1e-7, 0.9, False), (0.0, 0.4, False)])
def test_a_loss_is_a_formula_where_both_are_finite(off: float, seen: float, same: bool) -> None:
    loss = asked(normal)
    wide = loss.space.wide_points
    edge = float(torch.as_tensor(wide, dtype=f64).sort().values[int(seen * (len(wide) - 1))])

    def formula(f: Tensor, y: Tensor) -> Tensor:
        return torch.where(y > edge, math.inf, normal(f, y) * (1 + off * torch.cos(9 * y)))

    assert _is_it(loss, OUTPUTS, formula) == same


def test_a_mixture_has_three_outputs_a_part() -> None:
    def base(y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    assert _mixture(asked(normal), OUTPUTS, 1.0, base) is None
    assert _mixture(asked(lambda o, y: o.sum(1) * y, "real(raw=3)"), torch.randn(4, 3, dtype=f64), 1.0, base) is None
    assert (
        _mixture(asked(lambda o, y: o.sum(1) * y, "positive(raw=6)"), torch.randn(4, 6, dtype=f64), 1.0, base) is None
    )


def test_a_density_whose_links_are_not_told_keeps_its_name() -> None:
    loss = asked(lambda o, y: 0.5 * ((y - o[:, 0] * o[:, 1]) ** 2) + 0.0 * o[:, 1] + HALF_LOG_TURN)
    found = named_density(loss, OUTPUTS, 1.0, torch.zeros_like)
    assert (found.name, found.link, found.reference) == ("normal", None, None)


# What is asked in which order.
@pytest.mark.parametrize(("size", "hardly"), [(0.9e-3, True), (1.1e-3, False)])
def test_a_loss_moves_with_its_outputs_by_a_thousandth_of_a_nat(size: float, hardly: bool) -> None:
    loss = asked(lambda o, y: 0.5 * y**2 + 3 * o[:, 1] + torch.where((y > 0) & (o[:, 0] > 0), size, 0.0))
    outputs = numbers(1, 1, 0, 0).reshape(2, 2)
    here = Cloud(outputs, Total(torch.ones(2, dtype=f64), 0.0, torch.zeros(2, dtype=f64)))
    assert several._hardly_moves(loss, here) == hardly


def test_a_proof_says_what_its_outputs_follow() -> None:
    shown = Witness(outputs=(0.0,), says="")
    here = Cloud(OUTPUTS[:9], Total(torch.ones(9, dtype=f64), 0.0, torch.zeros(9, dtype=f64)))
    off = {name: several._refuted(asked(normal), cloud, (lambda *_: shown,)) for name, cloud in {
        "even": here, "lost": replace(here, total=replace(here.total, z=here.total.z * math.nan)),
        "off": replace(here, total=replace(here.total, z=torch.linspace(1, 2, 9, dtype=f64))),
    }.items()}  # fmt: skip
    assert all(found is not None and found.witness is shown for found in off.values())
    assert [off[name].residual if off[name] else 0 for name in ("even", "lost")] == [None, None]
    assert off["off"] is not None
    assert off["off"].residual == pytest.approx(1 / 3, rel=1e-6)
    assert several._refuted(asked(normal), here, (lambda *_: None,)) is None


# Where it is looked.
def test_a_valley_is_looked_at_down_to_the_last_digits() -> None:
    for middle in (0.3, -7.1):
        loss = asked(lambda o, y, c=middle: (y - c).abs() + o[:, 0] + 0 * o[:, 1])
        both = numbers(1.0, 0.0, 0.0, 0.0).reshape(2, 2)
        found = dominated._with_valleys(loss, both, torch.linspace(-20, 20, 41, dtype=f64))
        assert float((found - middle).abs().min()) <= 4e-15 * abs(middle) + 1e-15
        assert len(found) < 41 + 2 * dominated.CLOSER * 33
    counts = asked(lambda o, y: (y - 37).abs() + o[:, 0] + 0 * o[:, 1], "counts(raw=2)")
    found = dominated._with_valleys(counts, both, torch.arange(0.0, 200.0, 10.0, dtype=f64))
    assert 37.0 in found.tolist()
    assert found.tolist() == found.round().tolist()


@pytest.mark.parametrize(("count", "entries"), [(2, 12), (4, 24), (5, 5)])
def test_targets_lie_close_to_what_entries_stand_for_of_few_outputs(
    count: int, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def targets(_loss: Loss, given: Tensor) -> Tensor:
        seen.append(given.numel())
        return torch.linspace(-1, 1, 11, dtype=f64)

    monkeypatch.setattr(dominated, "_targets", targets)
    loss = asked(lambda o, y: (y[:, None] - o).square().sum(1), f"real(raw={count})")
    worse_of_two(loss, torch.randn(9, count, dtype=f64))
    assert seen[0] == entries


@pytest.mark.parametrize("place", [0.0, 1.0, 2.0, 5.0])
def test_two_measures_of_counts_are_compared_at_a_few_of_them(place: float) -> None:
    def base(y: Tensor) -> Tensor:
        return torch.where(y == place, 0.3, 0.0).double()

    other = piece(1.0, 0.0, at=2.0)
    assert other.found is not None
    odd = replace(other, found=replace(other.found, log_base=base))
    found = sliced._apart(asked(normal, "counts(raw=2)"), piece(1.0, 0.0), odd)
    assert found is not None
    assert found.target == place


def test_z_is_cut_at_decades_around_what_may_be_a_peak() -> None:
    loss = asked(lambda o, y: 0.5 * ((y - 7.0) / 0.1) ** 2 + 0 * o.sum(1))
    along = loss.space.coordinate
    assert along is not None
    cuts = sorted(careful._cuts(loss, numbers(0.5, 0.5), along, 1.0))
    for middle in (0.0, 0.5, 7.0):
        for size in (0.0, *(10.0**k for k in range(-5, 9))):
            for side in (-1.0, 1.0):
                assert min(abs(cut - middle - side * size) for cut in cuts) < 1e-9 * max(size, 1.0)


def test_a_measure_for_each_temperature_is_integrated_out_to_a_billion_or_where_coordinates_end() -> None:
    for targets, end in (("real(raw=2)", 1e9), ("positive(raw=2)", 700.0)):
        loss = asked(lambda o, y: (y - o[:, 0]) ** 2 + o[:, 1] ** 2, targets)
        along = loss.space.coordinate
        assert along is not None
        found = shifted._places(loss, along, numbers(1.0, 0.0), OUTPUTS)
        wanted = max(along.far) if along.overflows else end
        assert float(found.places[-1]) == pytest.approx(wanted)
        assert float(found.places[0]) == pytest.approx(-wanted)
        steps = found.weight.exp()
        inner = found.places.abs() < 5
        assert float(steps[inner].sum()) == pytest.approx(10.0, rel=1e-2)
        assert float(found.level[len(found.level) // 2]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("count", "exchanged"), [(2, True), (3, True), (4, True), (5, False)])
def test_entries_of_few_outputs_are_exchanged(count: int, exchanged: bool) -> None:
    """All outputs looked at are alike, and worse than the same with first and last entry exchanged."""
    loss = asked(lambda o, y: 0.5 * y**2 + torch.relu(o[:, 0] - o[:, -1]) + 0 * o.sum(1), f"real(raw={count})")
    outputs = torch.linspace(1, -1, count, dtype=f64).expand(6, -1)
    assert (worse_of_two(loss, outputs) is not None) == exchanged


def test_a_shift_is_looked_for_near_zero_off_every_step() -> None:
    assert bool((shifted.PLACES.diff() > 0.3).all())
    assert float(shifted.PLACES.abs().max()) < 3
    assert len({round(float(step), 3) for step in shifted.PLACES.diff()}) == len(shifted.PLACES) - 1
    assert min(shifted.SHIFTS) < 0 < max(shifted.SHIFTS)
    assert max(map(abs, shifted.SHIFTS)) < 3
