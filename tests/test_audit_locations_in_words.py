"""Losses of a residual: what their density is called, how wide it is, and whether its target turns."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import asked, numbers, squared
from located_cases import HALF_LOG_TURN, located
from torch import Tensor

from mlnn.auditing import location
from mlnn.auditing.finding import Finding
from mlnn.auditing.located import Located


# What it is called.
def named(found: Located, total: float, growth: float = math.inf) -> Finding:
    return location._family(found, total, 1e-12, growth)


@pytest.mark.parametrize(("level", "kind", "measure"), [
    (HALF_LOG_TURN, "likelihood", "1"), (HALF_LOG_TURN + 0.9e-8, "likelihood", "1"),
    (HALF_LOG_TURN + 1.1e-8, "likelihood family", "1/0.999999989"), (0.0, "likelihood family", "1/2.506628275"),
])  # fmt: skip
def test_a_normal_with_its_constant_is_a_likelihood_to_rounding(level: float, kind: str, measure: str) -> None:
    found = named(replace(located(lambda f, y: squared(f, y) + level), lowest=level), math.sqrt(2 * math.pi), 3.5)
    assert (found.kind, found.measure, found.family) == (kind, measure, "normal")
    assert (found.scale, found.free_below, found.turns, found.link) == (1.0, 3.5, False, "f")
    assert found.reference is not None
    f, y = numbers(0.3, -1.0), numbers(2.0, 0.5)
    value, slope = found.reference(f, y)
    assert value.tolist() == pytest.approx((squared(f, y) + level).tolist())
    assert slope.tolist() == pytest.approx((f - y).tolist())


def test_where_no_drift_is_known_no_formula_is() -> None:
    bent = located(lambda f, y: squared(f, y) + torch.sin(y), drift=None)
    assert named(bent, 1.0).reference is None
    angle = named(located(lambda f, y: -torch.cos(y - f), turns=True), 1.0)
    assert angle.turns
    assert (angle.measure or "").endswith(", on one turn of 2π")


def test_where_float64_has_no_target_a_formula_of_log_y_is_the_loss_itself() -> None:
    function = lambda f, y: 0.5 * (y.log() - f) ** 2 + 1e-3 * f.detach()  # noqa: E731
    found = named(located(function, "positive"), 1.0)
    assert found.reference is not None
    f, y = numbers(0.5, -700.0, 700.0), numbers(2.0, 1e300, 1e-300)
    value, slope = found.reference(f, y)
    own = asked(function, "positive").both(f, y)
    assert value[1:].tolist() == own[0][1:].tolist()
    assert slope[1:].tolist() == own[1][1:].tolist()
    assert float(value[0]) == pytest.approx(0.5 * (math.log(2) - 0.5) ** 2)
    line = named(located(lambda f, y: squared(f, y) + 1e-3 * f.detach()), 1.0)
    assert line.reference is not None
    assert float(line.reference(numbers(2.0), numbers(2.0))[0]) == 0.0, "a line has every target"


@pytest.mark.parametrize(("y", "log_h", "words"), [
    ((1.0, 2.0, 3.0), (0.0, 0.9e-8, 0.0), "1/1"), ((1.0, 2.0, 3.0, 4.0), (0.0, 3e-7, 0.0, 3e-7), "a function of y"),
    ((1.0, 2.0, 4.0), tuple(2 * math.log(y) for y in (1.0, 2.0, 4.0)), "1·y^2"), ((-1.0, 2.0, 4.0),
    (0.0, 1.0, 2.0), "a function of y"),
    ((1.0, 2.0, 4.0), (0.0, 1.0, 2.0 + 1e-6), "a function of y"), ((1.0, 2.0), (699.0, 699.0), f"1/{math.exp(-699):.10g}"),
    ((1.0, 2.0), (-699.0, -699.0), f"1/{math.exp(699):.10g}"), ((1.0, 2.0), (701.0, 701.0), "exp(701)"),
])  # fmt: skip
def test_a_base_measure_in_words(y: tuple[float, ...], log_h: tuple[float, ...], words: str) -> None:
    assert location._measure(numbers(*y), numbers(*log_h)) == words


# Widths and turns.
@pytest.mark.parametrize(("function", "drift", "least", "most"), [
    (squared, 0.0, 1.3, 2.1), (lambda f, y: 50 * squared(f, y), 0.0, 0.15, 0.32), (lambda f, y: (y - f - 7).abs(), 0.0, 2.3, 2.7),
    (lambda f, y: squared(f, y) + 5 * y, 5.0, 1.3, 2.1), (lambda f, y: squared(f, y) + 5 * y, None, 0.15, 12.0),
    (lambda f, y: torch.tanh(y - f).abs(), 0.0, 1.0, 1.0), (lambda f, y: -((y - f) ** 2), 0.0, 1e8, 1e10),
    (lambda f, y: torch.where(y.abs() > 1, -math.inf, y * f), 0.0, 1.7, 1.9), (lambda f, y: math.nan * f * y, 0.0, 1.0, 1.0),
])  # fmt: skip
def test_a_width_is_how_far_a_loss_is_from_its_least_where_it_has_risen_by_1(
    function: Any, drift: float | None, least: float, most: float
) -> None:
    found = located(function)
    assert least <= location._width(found.loss, found.along, drift) <= most


def test_an_angle_is_looked_at_from_near_zero() -> None:
    seen: list[float] = []

    def turning(f: Tensor, y: Tensor) -> Tensor:
        seen.append(float(f.detach().abs().max()))
        return 1 - torch.cos(y - f)

    loss = asked(turning)
    seen.clear()
    assert location._is_periodic(loss)
    assert 0.1 < max(seen) < 1
    assert not location._is_periodic(asked(lambda f, y: 1 - torch.cos((y - f) / 2)))
    small = lambda f, y: 1e-3 * (1 - torch.cos(y - f)) * (1 + 1e-8 * y)  # noqa: E731
    assert not location._is_periodic(asked(small)), "what is small is measured by itself"


@pytest.mark.parametrize(("left", "right", "fades"), [(33.0, 33.0, True), (31.0, 33.0, False), (33.0, 31.0, False)])
def test_a_density_of_fractions_has_faded_at_both_ends(left: float, right: float, fades: bool) -> None:
    found = SimpleNamespace(rho=lambda v: torch.where(v < 0, left, right) + 5.0, lowest=5.0)
    assert location._fades(found) == fades  # type: ignore[arg-type]
