"""Sums and integrals over targets: where one has settled, where it ends, and what is left of it, on both sides of each bound."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import Function, asked, f64, normal, numbers, squared
from torch import Tensor

from mlnn.auditing import counting, integrals
from mlnn.auditing.careful import _cuts, _ends, _pieces, careful_z
from mlnn.auditing.counting import far_sum
from mlnn.auditing.integrals import Reach, Total
from mlnn.auditing.powers import Stretch
from mlnn.auditing.vouching import Cloud
from mlnn.targets import Coordinate

ROOT = math.sqrt(2 * math.pi)


def line(targets: str = "real") -> Coordinate:
    along = asked(squared, targets).space.coordinate
    assert along is not None
    return along


# Integrals.
@pytest.mark.parametrize(("targets", "log_density", "why"), [
    ("positive", lambda v: -(v**2) / 2, ""),
    ("positive", lambda v: torch.where(v.abs() > 650, math.nan, -(v**2) / 2), ""),  # no target is so far out
    ("positive", lambda v: torch.where(v.abs() > 20, math.nan, -(v**2) / 2), "is NaN"),
    ("positive", lambda v: torch.where(v.abs() > 650, 1e3, -(v**2) / 2), ""),
    ("positive", lambda v: torch.where(v.abs() > 20, 1e3, -(v**2) / 2), "overflows"),
    ("positive", lambda v: torch.where(v.abs() > 650, math.nan, -0.01 * v.abs()), "has not faded"),
    ("real", lambda v: torch.where(v.abs() > 650, 1e3, -(v**2) / 2), "overflows"),
    ("real", lambda v: torch.where(v.abs() > 650, math.nan, -(v**2) / 2), ""),
])  # fmt: skip
def test_what_a_density_is_beyond_the_targets_of_float64_does_not_count(
    targets: str, log_density: Any, why: str
) -> None:
    reach = Reach(numbers(0.0), numbers(1.0), line(targets))
    found = integrals.integral(lambda v: log_density(v)[:, None], reach=reach)
    assert why in found.why
    assert math.isfinite(found.error) == (why == "") == bool(torch.isfinite(found.errors).all())
    if not why:
        assert float(found.z[0]) == pytest.approx(ROOT, rel=1e-9)


@pytest.mark.parametrize(("masked", "fades"), [(True, False), (False, True)])
def test_a_density_that_was_nan_beyond_is_looked_at_ten_short_of_there(masked: bool, fades: bool) -> None:
    along: Any = SimpleNamespace(far=(100.0,))
    reach = Reach(numbers(0.0), numbers(1.0), along)
    found = integrals._fades(
        lambda v: torch.where((v.abs() - 590).abs() < 1, 0.0, -math.inf)[:, None], numbers(1.0), reach, masked
    )
    assert found.tolist() == [fades]


def test_one_interval_is_inside_of_what_every_output_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two bulks the coordinates ±20 are −18 and 22, and −11.5 and 8.5, in their own units."""
    seen: list[tuple[float, float]] = []

    def integral(_density: object, low: float, high: float, *_: object) -> Total:
        seen.append((low, high))
        return Total(numbers(1.0, 1.0), 0.0, numbers(0.0, 0.0))

    monkeypatch.setattr(integrals, "integral", integral)
    monkeypatch.setattr(integrals, "_bulk", lambda *_: (numbers(-2.0, 3.0), numbers(1.0, 2.0)))
    integrals.partition(asked(squared, "unit"), numbers(0.0, 1.0))
    assert seen == [(-11.5, 8.5)]


def test_as_it_stands_a_partition_has_no_temperature_and_no_measure() -> None:
    loss, output = asked(squared), numbers(0.3)
    assert float(integrals.partition(loss, output).z[0]) == pytest.approx(ROOT)
    assert float(integrals.partition(loss, output, 4.0).z[0]) == pytest.approx(2 * ROOT)
    half = integrals.partition(loss, output, 1.0, lambda y: torch.full_like(y, -math.log(2)))
    assert float(half.z[0]) == pytest.approx(ROOT / 2)
    z, error = careful_z(loss, output[0])
    assert z == pytest.approx(ROOT)
    assert error == pytest.approx(1e-9 * ROOT)


@pytest.mark.parametrize(("log_density", "error", "why"), [
    (lambda v: -v.abs(), 0.0, False), (lambda v: -800 + v.abs(), 0.0, False), (lambda v: -600 + v.abs(), math.inf, True),
    (lambda v: -torch.where(v.abs() > 19, v.abs(), 19 + 1.01 * (v.abs() - 19)), 2 * math.exp(-20) * 0.01 / 1.01, True),
])  # fmt: skip
def test_what_may_be_left_beyond_the_ends_is_the_error(log_density: Any, error: float, why: bool) -> None:
    one = Total(numbers(1.0), 0.0, numbers(0.0))
    found = integrals._with_ends(one, lambda v: log_density(v)[:, None], -20.0, 20.0)
    assert (found.why != "") == why
    assert found.error == pytest.approx(error, rel=0.1)
    kept = integrals._with_ends(replace(one, error=1e-3, why="before"), lambda v: log_density(v)[:, None], -20.0, 20.0)
    assert (kept.why, kept.error) == ("before", pytest.approx(max(error, 1e-3)))


@pytest.mark.parametrize(("error", "known"), [(0.9e-8, True), (1.1e-8, False)])
def test_z_is_known_to_eight_digits_where_it_is_above_0(error: float, known: bool) -> None:
    errors = torch.full((3,), error, dtype=f64)
    here = Cloud(torch.zeros(3, 2, dtype=f64), Total(numbers(1.0, 0.0, -1.0), error, errors))
    assert here.known.tolist() == [known, False, False]


# Integrals by pieces.
def test_where_an_integral_by_pieces_ends() -> None:
    assert _ends(line(), True) == (-330.0, 330.0)
    assert _ends(line("unit"), False) == (-200.0, 14.0)
    assert _ends(line("positive"), False) == (-690.0, 690.0)


@pytest.mark.parametrize(("less", "cut"), [(30.0, True), (39.0, True), (41.0, False), (60.0, False)])
def test_a_peak_counts_that_is_no_lower_than_forty_nats(less: float, cut: bool) -> None:
    def loss(o: Tensor, y: Tensor) -> Tensor:
        return torch.where(y < 0, 50 * (y + 10).abs(), 50 * (y - 7.3).abs() + less) + 0 * o.sum(1)

    cuts = _cuts(asked(loss, "real(raw=2)"), numbers(0.5, 0.5), line(), 1.0)
    assert min(abs(place + 10) for place in cuts) < 1e-9
    assert (min(abs(place - 7.3) for place in cuts) < 1e-9) == cut


@pytest.mark.parametrize(("power", "settles"), [(1.05, False), (1.08, True)])
def test_a_power_has_to_leave_less_than_a_billionth_at_the_end(power: float, settles: bool) -> None:
    found, _ = careful_z(asked(lambda f, y: power * torch.log1p((y - f).abs())), numbers(0.3)[0])
    assert math.isfinite(found) == settles


def test_pieces_that_never_settle_are_given_up_at_once_or_left_where_nothing_is_in_them() -> None:
    calls: list[int] = []

    def asked_at(v: Tensor, found: Tensor) -> Tensor:
        calls.append(len(v))
        return found

    places = numbers(-5.0, -1.0, 4.0)
    assert math.isnan(_pieces(lambda v: asked_at(v, torch.where(v > 0.1, math.inf, 1.0)), places))
    assert len(calls) == 2
    calls.clear()
    fine = torch.linspace(-5, 4, 40, dtype=f64)
    assert math.isnan(_pieces(lambda v: asked_at(v, 1 + torch.sin(1e9 * v)), fine))
    assert max(calls) < 4 * 3000 * 16
    step = _pieces(lambda v: torch.where(v < -1, 1.0, torch.where(v < 0.3, 3e-6, 0.0)), places)
    assert step == pytest.approx(4 + 1.3 * 3e-6, rel=1e-9)
    assert math.isnan(_pieces(lambda v: torch.where(v < -1, 1.0, torch.where(v < 0.3, 3e-3, 0.0)), places))


# Sums.
def test_a_tail_that_is_a_power_is_closed_from_a_hundred_thousand_on() -> None:
    total, error = far_sum(lambda y: torch.stack([-2 * y.log(), -0.01 * y]), 8192, torch.ones(2, dtype=f64))
    assert total.tolist() == pytest.approx([1 / 8191.5, math.exp(-81.92) / -math.expm1(-0.01)], rel=1e-7)
    mass = 1 / (2.0**17 - 0.5)
    assert float(error[0]) == pytest.approx(1e-14 * (1 + 1 / 8191.5) + mass * 1e-9 * (math.log(2.0**17) + 1), rel=1e-3)
    assert float(error[1]) == pytest.approx(1e-14, rel=1e-3)


def test_a_tail_is_read_from_64_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Stretch] = []
    tails = [None, SimpleNamespace(sums=False), SimpleNamespace(sums=None),
             SimpleNamespace(sums=True, mass=0.25, power=3.0)]  # fmt: skip

    def power_tail(_height: object, over: Stretch) -> Any:
        seen.append(over)
        return tails[len(seen) - 1]

    monkeypatch.setattr(counting, "power_tail", power_tail)
    found = [counting._tail(lambda y: -y[None], 0, 1000) for _ in tails]
    assert found[:3] == [None, None, None]
    assert found[3] == pytest.approx((0.25, 0.25e-9 * (math.log(1000) + 0.5)))
    assert (seen[0].low, seen[0].high, seen[0].whole) == (64.0, 1000.0, True)


def test_blocks_go_on_until_seventeen_digits_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    lows: list[int] = []
    block = counting._block

    def counted(terms: Any, low: int, *given: Any) -> Any:
        lows.append(low)
        return block(terms, low, *given)

    monkeypatch.setattr(counting, "_block", counted)
    total, error = far_sum(lambda y: -0.002 * y[None], 2048, torch.full((1,), 500.0, dtype=f64))
    assert lows == [2048 * 2**k for k in range(5)]
    assert float(total[0]) == pytest.approx(math.exp(-4.096) / -math.expm1(-0.002), rel=1e-10)
    assert float(error[0]) < 1e-11


def test_a_peak_between_the_counts_that_a_block_is_read_at_is_seen() -> None:
    total, error = far_sum(lambda y: -0.5 * ((y[None] - 30000) / 173) ** 2, 8192, torch.ones(1, dtype=f64))
    assert float(total[0]) == pytest.approx(173 * ROOT, rel=1e-9)
    assert math.isfinite(float(error[0]))


@pytest.mark.parametrize(("loss", "z"), [
    (lambda f, y: y * 0.5 + 0 * f, 1 / -math.expm1(-0.5)), (lambda f, y: 2 * torch.log1p(y) + 0 * f, math.pi**2 / 6),
])  # fmt: skip
def test_counts_are_summed_to_their_end_or_closed_beyond(loss: Function, z: float) -> None:
    found = integrals.count_sum(asked(loss, "counts"), numbers(0.0, 1.0), 1.0, None)
    assert found.z.tolist() == pytest.approx([z, z], rel=1e-9)
    assert found.error < 1e-8
    less = integrals.count_sum(asked(loss, "counts"), numbers(0.0), 1.0, lambda y: torch.full_like(y, -1.0))
    assert float(less.z[0]) == pytest.approx(z / math.e, rel=1e-9)


def test_several_outputs_are_normal_as_they_are() -> None:
    assert float(
        integrals.partition(asked(normal, "real(raw=2)"), numbers(0.0, 1.0).reshape(1, 2)).z[0]
    ) == pytest.approx(ROOT)
