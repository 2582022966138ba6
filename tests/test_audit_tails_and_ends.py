"""What is said of a tail that hardly sums: by its growth, by what it is read as, and by where it lies."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from asked_cases import asked, numbers, squared
from test_audit_constants import decades, located
from torch import Tensor

from mlnn.auditing import shift, tails
from mlnn.auditing.finding import Finding
from mlnn.auditing.powers import PowerTail, Stretch, _fitted, _mass, power_tail
from mlnn.auditing.shift import _end


def three(rho: list[float], whole_line: bool = True, width: float = 1.0) -> Any:
    """ρ at the three residuals that are looked at, on both sides; NaN elsewhere."""
    scale = width if whole_line else 1.0
    at = dict(zip((1e3 * scale, 1e4 * scale, 1e5 * scale), rho, strict=True))
    found = located(lambda v: numbers(*[at.get(abs(one), math.nan) for one in v.tolist()]), whole_line)
    found.width = width
    return found


STEEP = 1001 * math.log(10)


@pytest.mark.parametrize(("rho", "power"), [
    ([0.0, 5.0, math.inf], math.inf), ([0.0, math.inf, math.inf], math.inf), ([0.0, STEEP, math.nan], math.inf),
    ([0.0, STEEP, STEEP + 3 * math.log(10)], 1.0), ([0.0, 2 * math.log(10), 4 * math.log(10)], 2.0),
])  # fmt: skip
def test_a_tail_that_is_lost_on_the_way_up_is_no_power(rho: list[float], power: float) -> None:
    for whole_line, width in ((True, 1.0), (True, 7.0), (False, 7.0)):
        slowest, heavy = tails.tail_growth(three(rho, whole_line, width))
        assert heavy is None
        assert slowest == pytest.approx(power)


def test_a_tail_that_is_lost_sooner_is_not_known() -> None:
    heavy = tails.tail_growth(three([0.0, 999 * math.log(10), math.nan]))[1]
    assert heavy is not None
    assert "is NaN, or not finite on the way" in heavy.said


def test_of_an_angle_or_an_interval_no_tail_is_asked() -> None:
    for changed in ({"turns": True}, {"along": SimpleNamespace(tail=None, name="y")}):
        found = SimpleNamespace(**{**vars(decades(0.5, 0.5)), **changed})
        assert tails.tail_growth(found) == (math.inf, None)  # type: ignore[arg-type]
    assert tails.tail_growth(decades(0.5, 0.5))[1] is not None


@pytest.mark.parametrize(("whole_line", "low", "high", "beyond"), [
    (True, 2e3, 2e8, [2e10, 2e15, 2e20, 2e30, 2e40, 2e60, 2e100, 2e140]), (False, 20.0, 600.0, []),
])  # fmt: skip
def test_where_a_tail_is_read_as_a_power(
    whole_line: bool, low: float, high: float, beyond: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Stretch] = []
    monkeypatch.setattr(tails, "power_tail", lambda height, over: seen.append(over) or height(numbers(3.0)))
    found = located(lambda v: 10 * v, whole_line)
    found.width = 2.0
    assert [float(tails.slow_tail(found, side)) for side in (-1.0, 1.0)] == [-30.0, 30.0]  # type: ignore[arg-type]
    assert (seen[0].low, seen[0].high) == (low, high)
    assert list(seen[0].beyond) == pytest.approx(beyond)
    assert not seen[0].whole


NO_MEASURE = Finding("no link", said="no measure")
SLOW = {"none": None, "border": PowerTail(1.0, 1.0, math.inf), "log": PowerTail(1.0, 1.0, math.inf, 1.01),
        "heavy": PowerTail(0.7, 1.0, math.inf), "log, heavy": PowerTail(1.0, 1.0, math.inf, 0.5)}  # fmt: skip


@pytest.mark.parametrize(("growth", "slow", "whole_line", "says"), [
    (math.nan, "none", True, "is NaN"), (1.0, "border", True, "grows as 1·log|y − f|, at the border"),
    (1.0, "log", True, "1·log|y − f| + 1.01·log log|y − f|, at the border"), (1.01, "none", True, "too near to 1"),
    (1 + 0.9e-4, "none", True, "grows as 1·log|y−f|, and more"), (1 + 1.1e-4, "none", True, "too near to 1"),
    (1.01, "heavy", True, "grows as 0.7·log|y−f|, and more"), (0.4, "none", True, "grows as 0.4·log|y−f|, and more"),
    (0.4, "log, heavy", True, "grows as log|y−f| + 0.5·log log|y−f|"), (-0.9e-4, "none", True, "grows as 0·log|y−f|"),
    (-1.1e-4, "none", True, "no measure"), (0.5, "none", False, "no measure"), (-0.5, "heavy", True, "no measure"),
])  # fmt: skip
def test_what_is_said_of_a_heavy_tail(
    growth: float, slow: str, whole_line: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "no_measure", lambda _: NO_MEASURE)
    found = located(lambda v: 0.4 * torch.log1p(v.abs()), whole_line)
    assert says in tails._heavy(found, 1.0, growth, SLOW[slow]).said


def test_what_is_said_of_a_heavy_tail_where_nothing_rules_a_measure_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "no_measure", lambda _: None)
    half = located(lambda v: 0.4 * torch.log1p(v.abs()), whole_line=False)
    assert "whether another measure helps" in tails._heavy(half, 1.0, 0.4, None).said
    falls = tails._heavy(located(lambda v: -0.4 * torch.log1p(v.abs())), 1.0, -0.4, None)
    assert (falls.kind, falls.residual) == ("unnormalisable", math.inf)
    for rate, kind in ((1 + 0.9e-4, "unnormalisable"), (1 + 1.1e-4, "undecided")):
        turns = located(lambda v, rate=rate: torch.where(v.abs() > 1e50, rate, 0.4) * torch.log(1 + v.abs()))
        turns.rho = lambda v, rate=rate: 0.4 * v.abs().clamp(1, 1e40).log() + rate * (v.abs() / 1e40).clamp_min(1).log()
        assert tails._heavy(turns, 1.0, 0.4, None).kind == kind
        assert tails._heavy(turns, 1.0, 0.4, SLOW["heavy"]).kind == "unnormalisable", "read as a power it is one"


def test_an_integral_that_stands_still_grows_not_without_end() -> None:
    ends = located(lambda v: torch.where(v.abs() > 50, math.inf, 0.0))
    assert tails._endless(ends, 1.0) is None
    flat = tails._endless(located(lambda v: 0 * v), -1.0)
    assert flat is not None
    assert flat.ranges == (-100.0, -200.0, -400.0, -800.0)
    assert flat.z == pytest.approx((100.0, 200.0, 400.0, 800.0))
    wide = located(lambda v: 0 * v)
    wide.width = 3.0
    found = tails._endless(wide, 1.0)
    assert found is not None
    assert found.ranges == (300.0, 600.0, 1200.0, 2400.0)


# Powers.
@pytest.mark.parametrize(("height", "over", "power", "of_log"), [
    (lambda v: 2 * v.log(), Stretch(1e3, 1e8), 2.0, None),
    (lambda v: v.log() + 2 * v.log().log(), Stretch(1e3, 1e8, (1e40, 1e80, 1e140)), 1.0, 2.0),
    (lambda v: v.log() + 0.5 * v.log().log(), Stretch(1e3, 1e8, (1e40, 1e80, 1e140)), 1.0, 0.5),
    (lambda v: v.log(), Stretch(1e3, 1e8), 1.0, None),
])  # fmt: skip
def test_a_tail_next_to_one_over_v_is_read_as_a_power_of_its_logarithm(
    height: Any, over: Stretch, power: float, of_log: float | None
) -> None:
    found = power_tail(height, over)
    assert found is not None
    assert found.power == pytest.approx(power)
    assert (found.of_log is None) == (of_log is None)
    if of_log is not None:
        assert found.of_log == pytest.approx(of_log, abs=1e-6)
        assert found.start == 1e140
        assert math.isfinite(found.mass) == (of_log > 1)
        if of_log > 1:
            assert found.mass == pytest.approx(1 / (140 * math.log(10)), rel=1e-5)
    else:
        assert found.start == over.high


@pytest.mark.parametrize(("off", "infinite"), [(0.3e-6, True), (3e-6, False)])
def test_a_power_near_1_is_1_to_a_millionth(off: float, infinite: bool) -> None:
    found = power_tail(lambda v: (1 + off) * v.log(), Stretch(1e3, 1e8))
    assert found is not None
    assert (found.mass == math.inf) == infinite


@pytest.mark.parametrize(("bend", "size", "fits"), [
    (0.3e-10, 0.0, True), (1e-8, 0.0, False), (1e-8, 1000.0, True), (3e-7, 1000.0, False),
])  # fmt: skip
def test_a_tail_may_miss_a_power_by_its_rounding(bend: float, size: float, fits: bool) -> None:
    def height(v: Tensor) -> Tensor:
        return 2 * v.log() + size + bend * torch.sin(40 * v.log())

    assert (_fitted(height, Stretch(1e3, 1e8)) is not None) == fits


@pytest.mark.parametrize(("off", "fits"), [(0.5e-9, True), (3e-9, False), (0.5e-6, False)])
def test_a_tail_goes_on_far_out_to_a_billionth_of_its_height(off: float, fits: bool) -> None:
    def height(v: Tensor) -> Tensor:
        return 2 * v.log() + torch.where(v > 1e9, off * (1 + 2 * v.log()), 0.0)

    assert (_fitted(height, Stretch(1e3, 1e8, (1e20,))) is not None) == fits


def test_a_tail_that_is_not_finite_where_it_is_read_is_no_power() -> None:
    assert power_tail(lambda v: torch.where(v > 1e7, math.nan, 2 * v.log()), Stretch(1e3, 1e8)) is None
    assert power_tail(lambda v: torch.where(v > 1e9, math.nan, 2 * v.log()), Stretch(1e3, 1e8, (1e10,))) is None
    slow = power_tail(lambda v: torch.where(v > 1e60, math.nan, v.log()), Stretch(1e3, 1e8, (1e40, 1e140)))
    assert slow is None


@pytest.mark.parametrize(("power", "start", "whole", "mass"), [
    (2.0, 100.0, False, 0.01), (2.0, 100.0, True, 1 / 99.5), (1.001, 100.0, False, 1e3 * 100**-0.001),
    (1.0, 100.0, False, math.inf),
    (0.5, 100.0, False, math.inf), (3.0, 10.0, False, 0.005),
])  # fmt: skip
def test_what_lies_beyond_in_closed_form(power: float, start: float, whole: bool, mass: float) -> None:
    coefficients = np.array([power, *([0.0] * 9)])
    assert _mass(coefficients, Stretch(1.0, start, whole=whole)) == pytest.approx(mass, rel=1e-9)
    shifted = np.array([power, math.log(2), *([0.0] * 8)])
    assert _mass(shifted, Stretch(1.0, start, whole=whole)) == pytest.approx(mass / 2, rel=1e-9)


# Ends.
@pytest.mark.parametrize(("rho", "end"), [
    ([0.0, 1.0, 0.9, math.inf, math.inf], None), ([-math.inf, 0.0, 1.0, 2.0, math.inf], None),
    ([0.0, 1.0, 2.0, math.inf, math.inf], math.inf), ([1e9, 1e9 + 1e-6, 1e9, 1e9 + 1e-6, 1e9], 1e9),
    ([0.0, 1e-6, 0.0, 1e-6, 0.0], None), ([0.0, 1.0, 1.0, 1.0 + 1.1e-4, 1.0 + 2.2e-4], math.inf),
    ([0.0, 1.0, 1.0, 1.0, 1.0 + 1.1e-4], None), ([0.0, 1.0, 1.0, 1.0 + 0.9e-4, 1.0 + 1.8e-4], None),
    ([0.0, -1.0, -3.0, -6.0, -10.0], -math.inf), ([0.0, -4.0, -7.0, -9.0, -10.0], None), ([0.0, -1.0, -3.0, -6.0, -6.0], None),
    ([0.0, 0.1, 0.18, 0.24, 0.3], math.inf), ([3.0, 2.0, 1.5, 1.25, 1.24995], 1.24995),
])  # fmt: skip
def test_where_a_loss_comes_to_outwards(rho: list[float], end: float | None) -> None:
    found = _end(numbers(*rho))
    assert found == (None if end is None else pytest.approx(end, abs=1e-5))


@pytest.mark.parametrize(("left", "right", "says"), [
    (-math.inf, 1.0, "grows without end"), (1.0, -math.inf, "grows without end"), (-math.inf, math.inf, "grows without end"),
    (None, 1.0, None), (1.0, None, None), (-math.inf, None, None), (math.inf, math.inf, None), (1.0, math.inf, "two different"),
    (1.0, 1.0 + 0.9e-3, "is largest near the output"), (1.0, 1.0 + 1.1e-3, "two different numbers"), (9.0, 9.0, "is largest near"),
    (-1.0, -1.0, None),
])  # fmt: skip
def test_what_two_ends_of_a_loss_leave(
    left: float | None, right: float | None, says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "_end", lambda rho: left if float(rho[-1]) < 0 else right)
    monkeypatch.setattr(shift, "_peaks", lambda _found, limit, scale: limit > 0 and scale == 2.0)
    loss = asked(squared)
    found = SimpleNamespace(loss=loss, width=2.0, along=loss.space.coordinate, rho=lambda v: v)
    told = shift.no_measure(found)  # type: ignore[arg-type]
    assert (told is None) == (says is None)
    if told and says:
        assert told.witness is not None
        assert says in told.witness.says
        assert told.witness.outputs == (-384.0, 384.0)
        assert told.witness.loss == ((384.0**2 / 2,), (384.0**2 / 2,))


def test_of_a_half_line_ends_are_not_in_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(shift, "_end", lambda rho: seen.extend(rho.tolist()))
    loss = asked(squared, "positive")
    found = SimpleNamespace(loss=loss, width=2.0, along=loss.space.coordinate, rho=lambda v: v)
    assert shift.no_measure(found) is None  # type: ignore[arg-type]
    assert seen == [-12.0, -24.0, -48.0, -96.0, -192.0, 12.0, 24.0, 48.0, 96.0, 192.0]
