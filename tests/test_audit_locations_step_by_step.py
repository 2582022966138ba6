"""Losses of a residual: each step of finding their density, asked by itself on both sides of its bounds."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import Function, asked, numbers, squared
from located_cases import located, of_log, of_logit
from torch import Tensor

from mlnn.auditing import location
from mlnn.auditing.finding import Finding
from mlnn.auditing.integrals import Total
from mlnn.auditing.located import Located
from mlnn.auditing.powers import PowerTail


# Which step answers.
@pytest.mark.parametrize(("targets", "error", "off", "faded", "closed", "answer"), [
    ("real", 0.0, 0.0, True, None, "family"), ("counts", 0.0, 0.0, True, None, None), ("real(raw=2)", 0.0, 0.0, True, None, None),
    ("real", 2.3e-8, 0.0, True, None, None), ("real", 0.9e-8, 0.9e-8, False, None, "family"),
    ("real", 0.0, 1.1e-8, True, None, None),
    ("unit", 0.0, 0.0, True, None, "family"), ("unit", 0.0, 0.0, False, None, None),
    ("unit", 0.0, 0.0, False, (0.0, 0.0), "family"),
    ("real", 1.0, 0.0, True, (0.0, 0.0), "family"), ("real", 1.0, 0.0, True, (2.3e-8, 0.0), None),
    ("real", 0.0, math.nan, True, None, None),
    ("real", 1.0, 0.0, True, (0.0, 1.1e-8), None), ("unit", 1.0, 0.0, True, (0.0, 0.0), "family"),
])  # fmt: skip
def test_a_location_family_has_one_integral_as_it_stands_or_in_closed_form(
    targets: str, error: float, off: float, faded: bool, closed: tuple[float, float] | None, answer: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def total(error: float, off: float) -> Total:
        z = numbers(2.0, 2.0, 2.0 * (1 + off))
        return Total(z, error, torch.full_like(z, error))

    monkeypatch.setattr(location, "_located", lambda loss, along: SimpleNamespace(loss=loss, along=along))
    monkeypatch.setattr(location, "tail_growth", lambda _: (math.inf, None))
    monkeypatch.setattr(location, "_integrals", lambda _: total(error, off))
    monkeypatch.setattr(location, "_fades", lambda _: faded)
    monkeypatch.setattr(location, "_closed", lambda _: closed and total(*closed))
    monkeypatch.setattr(location, "_family", lambda _found, z, *_: Finding("family", scale=z))
    loss = asked(squared, targets)
    found = location.examine_location(loss)
    assert (found and found.kind) == answer
    assert found is None or found.scale == 2.0
    if answer:
        monkeypatch.setattr(location, "tail_growth", lambda _: (1.0, Finding("endless")))
        told = location.examine_location(loss)
        assert told is not None
        assert told.kind == "endless"
        monkeypatch.setattr(location, "_located", lambda *_: None)
        assert location.examine_location(loss) is None


def test_width_drift_and_least_of_a_loss_of_a_residual() -> None:
    def found(function: Function, targets: str = "real") -> Located | None:
        loss = asked(function, targets)
        assert loss.space.coordinate is not None
        return location._located(loss, loss.space.coordinate)

    plain = found(lambda f, y: squared(f, y) - 3)
    assert plain is not None
    assert (plain.drift, plain.turns, plain.lowest) == (0.0, False, pytest.approx(-3.0))
    assert found(lambda f, y: (f * y - 1) ** 2) is None
    drifts = found(lambda f, y: squared(f, y) + 50.0 * y)
    assert drifts is not None
    assert drifts.drift == pytest.approx(50.0)
    assert 1.2 < drifts.width < 2.6, "less its drift"
    angle = found(lambda f, y: 1 - torch.cos(y - f))
    assert angle is not None
    assert angle.turns
    half = found(of_log(lambda v: 1 - torch.cos(v)), "positive")
    assert half is None or not half.turns, "only a whole line turns"


def test_a_shape_is_looked_at_from_output_zero_to_where_residuals_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(location, "shape_name", lambda *given: seen.append(given[-1]) or given[1])
    for one, name, least, most in (
        (located(width=2.0), "y", 2e-9, 200.0), (located(turns=True), "y", 1e-9, 3.0),
        (located(of_log(torch.square), "positive"), "log y", 1e-5, 40.0),
        (located(of_logit(torch.square), "unit"), "logit y", 1e-5, 12.0),
    ):  # fmt: skip
        assert location._shape(one) == name
        v = seen.pop()
        assert torch.equal(v, -v.flip(0))
        assert float(v.abs().min()) == pytest.approx(least * 1.00123)
        assert most / 2 < float(v.max()) <= most * 1.0013
        assert len(v) % 2 == 0


# Gradients of the residual alone.
@pytest.mark.parametrize(("edge", "v", "alone"), [
    (45, (40, -40, 50, -50, 1, 2), True), (45, (40, -40, 50, -50, 60, 2), True), (45, (40, -40, 50, -50, 60, 70), False),
    (5, (40, -40, 50, -50, 1, 2), False),
])  # fmt: skip
def test_gradients_are_known_at_half_of_the_residuals(edge: float, v: tuple[float, ...], alone: bool) -> None:
    given = located(lambda f, y: torch.where((y - f).abs() > edge, math.nan, squared(f, y)))
    assert location._form(given.loss, given.along, numbers(*v))[0] == alone


@pytest.mark.parametrize(("place", "alone"), [(29.0, False), (31.0, True)])
def test_near_residuals_are_known_at_all_outputs_or_at_none(place: float, alone: bool) -> None:
    """At one of the residuals the loss is lost for outputs above 1 only."""
    v = numbers(-2.0, -1.0, 1.0, 2.0, place)
    given = located(
        lambda f, y: torch.where(((y - f.detach()).abs() > 10) & (f.detach() > 1), math.nan, 1.0) * squared(f, y)
    )
    assert location._form(given.loss, given.along, v)[0] == alone


@pytest.mark.parametrize(("wave", "drift"), [(0.9e-9, True), (1.3e-7, False)])
@pytest.mark.parametrize("level", [0.0, 1e3])
def test_values_are_held_to_a_drift_by_a_billionth(wave: float, drift: bool, level: float) -> None:
    """Of values less than 1 by that itself."""
    size = max(level, 1.0)
    small = located(lambda f, y: level + 0.1 * torch.tanh(y - f) + 0.5 * size * wave * (y > 0))
    alone, found = location._form(small.loss, small.along, numbers(-2, -1, -0.5, 0.5, 1, 2))
    assert alone
    assert (found is not None) == drift


# Integrals.
@pytest.mark.parametrize(("function", "targets", "width", "turns", "total"), [
    (squared, "real", 1.0, False, math.sqrt(2 * math.pi)), (squared, "real", 3.0, False, math.sqrt(2 * math.pi)),
    (lambda f, y: -torch.cos(y - f), "real", 1.0, True, 2 * math.pi * float(torch.special.i0(numbers(1.0)))),
    (lambda f, y: -torch.cos(y - f), "real", 5.0, True, 2 * math.pi * float(torch.special.i0(numbers(1.0)))),
    (of_log(lambda v: 0.5 * v**2), "positive", 1.0, False, math.sqrt(2 * math.pi)),
    (of_logit(lambda v: 0.5 * v**2), "unit", 1.0, False, math.sqrt(2 * math.pi)),
])  # fmt: skip
def test_an_integral_over_residuals_is_one_for_every_output(
    function: Any, targets: str, width: float, turns: bool, total: float
) -> None:
    found = replace(located(function, targets, width, turns), lowest=0.7)
    z = location._integrals(found).z
    assert z.tolist() == pytest.approx([total * math.exp(0.7)] * 9, rel=1e-8)


def test_how_far_and_to_how_many_digits_fractions_are_integrated(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, ...]] = []
    one = Total(numbers(1.0), 0.0, numbers(0.0))
    monkeypatch.setattr(location, "integral", lambda _, *given, **__: seen.append(given) or one)
    monkeypatch.setattr(location, "_side", lambda *_: (math.sinh(2.0), 0.25))
    fractions, line = located(of_logit(torch.square), "unit", width=2.0), located(width=2.0)
    location._integrals(fractions)
    location._integrals(line)
    location._integrals(replace(line, turns=True))
    location._closed(fractions)
    location._closed(replace(line, width=1.0))
    assert [*seen[0], *seen[2]] == [-9.0, 9.0, 1e-10, -math.pi, math.pi]
    assert seen[1] == ()
    assert seen[3] == (pytest.approx(-2.0), pytest.approx(2.0), 1e-10)
    assert seen[4] == (pytest.approx(-2.0), pytest.approx(2.0), 1e-12)


def slow(power: float) -> Function:
    """Without what is constant: 2/(p−1) is its integral."""
    return lambda f, y: power * torch.log1p((y - f).abs())


def test_a_slow_tail_is_added_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replace(located(slow(1.5)), lowest=-0.3)
    closed = location._closed(found)
    assert closed is not None
    assert closed.z.tolist() == pytest.approx([4.0 * math.exp(-0.3)] * 9, rel=1e-7)
    assert location._closed(replace(found, turns=True)) is None
    for sides in (
        (None, (1.0, 0.1)),
        ((1.0, 0.1), None),
        (None, None),
        ((1.0, math.inf), (1.0, 0.1)),
        ((1.0, 0.1), (1.0, math.inf)),
    ):
        monkeypatch.setattr(location, "_side", lambda _found, side, _scale, given=sides: given[int(side > 0)])
        assert location._closed(found) is None
    seen: list[float] = []
    monkeypatch.setattr(
        location, "_side", lambda _found, side, scale: seen.extend((side, scale)) or (math.sinh(2.0), 0.25)
    )
    added = location._closed(located(lambda f, y: 0 * (y - f), width=3.0))
    assert added is not None
    assert added.z.tolist() == pytest.approx([2 * math.sinh(2.0) + 0.5] * 9, rel=1e-9)
    assert seen == [-1.0, 3.0, 1.0, 3.0]
    location._closed(located(of_log(torch.square), "positive", width=3.0))
    assert seen[4:] == [-1.0, 1.0, 1.0, 1.0], "of log y by itself"


@pytest.mark.parametrize(("height", "known"), [(99.0, False), (101.0, True)])
@pytest.mark.parametrize("targets", ["real", "positive"])
def test_a_side_is_nothing_where_it_has_risen_by_a_hundred(
    height: float, known: bool, targets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "slow_tail", lambda *_: None)
    end = 2e8 if targets == "real" else 600.0

    def function(f: Tensor, y: Tensor) -> Tensor:
        v = y - f if targets == "real" else y.log() - f
        return torch.where(v.abs() > 0.99 * end, height, 0.0) + 5.0

    found = replace(located(function, targets), lowest=5.0)
    scale = 2.0 if targets == "real" else 1.0
    for side in (-1.0, 1.0):
        assert location._side(found, side, scale) == ((end, 0.0) if known else None)
    monkeypatch.setattr(location, "slow_tail", lambda *_: PowerTail(1.5, 7.0, 0.25))
    assert location._side(found, 1.0, 2.0) == (7.0, pytest.approx(0.25 * math.exp(5.0)))


@pytest.mark.parametrize(("rate", "bend", "mass"), [
    (0.5, 0.0, math.exp(-7.5) / 0.5), (2.0, 0.0, math.exp(-30) / 2), (0.0, 0.0, None), (-0.5, 0.0, None),
    (0.5, 0.4e-6, math.exp(-7.5) / 0.5), (0.5, 3e-6, None), (0.5, -3e-6, None), (3.0, 1e-3, math.exp(-45) / 3),
    (math.nan, 0.0, None),
])  # fmt: skip
def test_towards_an_end_of_fractions_a_density_falls_at_one_rate(rate: float, bend: float, mass: float | None) -> None:
    """`bend`: by how much the rate differs a unit further in."""

    def rho(v: Tensor) -> Tensor:
        return rate * v.abs() + bend * (14 - v.abs()).clamp(0, 1)

    found = replace(located(of_logit(lambda v: rho(v) + 3.0), "unit"), lowest=3.0)
    for side in (-1.0, 1.0):
        told = location._exponential(found, side)
        assert told == (None if mass is None else (15.0, pytest.approx(mass, rel=1e-3)))
        assert location._side(found, side, 1.0) == told
