"""Where a certificate ends: each part of the interval of raw outputs asked by itself, with answers made by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import asked, f64, normal, numbers, squared
from torch import Tensor

from mlnn import objectives as o
from mlnn.auditing import domain
from mlnn.auditing.curves import curves
from mlnn.auditing.finding import Finding, by_formula
from mlnn.auditing.integrals import Total
from mlnn.auditing.located import Located

PLAIN = Finding("likelihood", scale=1.0, log_base=lambda y: torch.zeros_like(y, dtype=f64))
KNOWN = replace(PLAIN, reference=by_formula(squared))
HALF_LOG_TURN = 0.5 * math.log(2 * math.pi)


@pytest.mark.parametrize(("inside", "paper"), [
    (None, (-9.0, 9.0)), (SimpleNamespace(promotes=True, computes_in=torch.float32), (-5.0, 9.0)),
    (SimpleNamespace(promotes=False, computes_in=torch.float32), (-9.0, 9.0)),
    (SimpleNamespace(promotes=True, computes_in=None), (-9.0, 9.0)),
])  # fmt: skip
def test_float64_reaches_no_farther_than_what_a_promoted_loss_computes_in(
    inside: Any, paper: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {torch.float64: (-9.0, 9.0), torch.float32: (-5.0, 20.0), torch.bfloat16: (-30.0, 2.0)}
    monkeypatch.setattr(domain, "_domain", lambda _loss, _finding, dtype: ends[dtype])
    loss: Any = SimpleNamespace(objective=SimpleNamespace(inside=inside))
    found = domain.find_domains(loss, PLAIN, (torch.float32, torch.float64, torch.bfloat16))
    assert found == {"float32": (-5.0, 9.0), "float64": paper, "bfloat16": (-9.0, 2.0)}


@pytest.mark.parametrize(("targets", "finding", "ends", "found"), [
    ("real", PLAIN, (-3.0, 5.0), (-2.0, 5.0)), ("real", KNOWN, (-3.0, 5.0), (-3.0, 5.0)),
    ("binary", PLAIN, (-3.0, 5.0), (-3.0, 5.0)), ("counts", PLAIN, (-1.0, 15.0), (-1.0, 9.0)),
    ("real(raw=2)", KNOWN, (-3.0, 5.0), (-3.0, 3.0)), ("real(raw=2)", KNOWN, (-7.0, 5.0), (-5.0, 5.0)),
    ("real(raw=2)", replace(KNOWN, reach=2.0), (-3.0, 5.0), (-2.0, 2.0)),
    ("real(raw=2)", replace(PLAIN, reach=2.5), (-math.inf, math.inf), (-2.5, 2.5)),
    ("real", KNOWN, (-math.inf, math.inf), "all"), ("real", KNOWN, (-math.inf, 5.0), (-math.inf, 5.0)),
    ("real(raw=2)", PLAIN, (-math.inf, math.inf), "all"),
])  # fmt: skip
def test_a_domain_is_what_its_ends_and_the_sums_leave(
    targets: str, finding: Finding, ends: tuple[float, float], found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Z is 1 from −2 to 9, and is asked where no formula says what the loss should be."""
    monkeypatch.setattr(domain, "_holds", lambda _loss, _finding, output, _dtype: torch.ones(len(output)).bool())
    monkeypatch.setattr(domain, "_end", lambda *given: ends[0 if given[3] < 0 else 1])
    monkeypatch.setattr(domain, "_summed", lambda *_: (-2.0, 9.0))
    assert domain._domain(asked(normal if "raw" in targets else squared, targets), finding, torch.float32) == found


@pytest.mark.parametrize(("wall", "side", "end"), [
    (3.3, 1.0, 3.3), (2.4, 1.0, 2.4), (2.4, -1.0, -math.inf), (0.5, 1.0, 0.0), (9.0, 1.0, math.inf),
])  # fmt: skip
def test_an_end_is_halved_down_between_two_outputs_of_a_grid(
    wall: float, side: float, end: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds everywhere below 0, and up to a wall above."""
    monkeypatch.setattr(domain, "_holds", lambda _loss, _finding, output, _dtype: output <= wall)
    strength = numbers(-4, -3, -2, -1, 1, 2, 3, 4)
    found = domain._end(asked(squared), KNOWN, torch.float32, side, strength, strength, strength <= wall)
    assert found == pytest.approx(end, abs=1 / 4096)
    assert found <= wall or side < 0 or math.isinf(found)


def test_an_end_of_several_outputs_goes_along_the_first_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "_holds", lambda _loss, _finding, output, _dtype: output[:, 1] <= 1.2)
    output = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 2.0], [3.0, 3.0]], dtype=f64)
    strength, good = numbers(1.0, 2.0, 2.0, 3.0), torch.tensor([True, True, False, False])
    found = domain._end(asked(normal, "real(raw=2)"), KNOWN, torch.float32, 1.0, strength, output, good)
    assert found == pytest.approx(1.2, abs=1e-3)


@pytest.mark.parametrize(("low", "high", "off", "error", "found"), [
    (-9.0, 9.0, 0.0, 0.0, (-8.0, 8.0)), (-4.2, 9.0, 2e-3, 0.0, (-4.0, 8.0)), (-9.0, 3.2, 2e-3, 0.0, (-8.0, 3.0)),
    (-4.2, 3.2, 0.5e-3, 0.0, (-8.0, 8.0)), (-4.2, 3.2, 0.0, math.inf, (-4.0, 3.0)), (-4.2, 3.2, 0.0, 2e-3, (-4.0, 3.0)),
    (-4.2, 3.2, 0.0, 0.5e-3, (-8.0, 8.0)), (0.2, 9.0, 2e-3, 0.0, (0.0, 0.0)),
])  # fmt: skip
def test_sums_are_1_and_known_to_a_thousandth(
    low: float, high: float, off: float, error: float, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond `low` and `high` they are `off`, or not known better than to an error."""

    def partition(_loss: Any, output: Tensor, tau: float, _log_base: Any) -> Total:
        assert tau == 1.0
        out = ((output < low) | (output > high)).double()
        errors = torch.where(out > 0, error, 0.0)
        return Total(1 + off * out, float(errors.max()), errors)

    monkeypatch.setattr(domain, "partition", partition)
    assert domain._summed(asked(squared), replace(PLAIN, scale=None), 8.0) == pytest.approx(found)


@pytest.mark.parametrize(("known", "holds"), [(True, True), (False, False)])
def test_with_a_formula_few_of_many_classes_are_compared(known: bool, holds: bool) -> None:
    loss = asked(lambda f, y: o.cross_entropy(f, y) + (y == 11), "classes(12)")
    finding = replace(PLAIN, reference=by_formula(lambda f, y: o.cross_entropy(f, y)) if known else None)
    output = torch.linspace(-1, 1, 12, dtype=f64)[None]
    assert domain._holds(loss, finding, output, torch.float32).tolist() == [holds]


def test_a_loss_of_several_outputs_departs_from_its_formula() -> None:
    outputs = torch.tensor([[0.3, -0.2], [1.1, 0.4], [2.5, 0.1]], dtype=f64)
    finding = replace(PLAIN, reference=by_formula(normal))
    for off, found in ((0.0, [False] * 3), (1e-3, [False, False, True])):
        loss = asked(lambda f, y, off=off: normal(f, y) + off * (f[:, 0] > 2), "real(raw=2)")
        assert domain._departs(loss, finding, outputs, numbers(0.9, 1.2)).tolist() == found


def test_without_a_factor_a_total_is_that_of_the_loss_itself() -> None:
    even = replace(PLAIN, scale=None, log_base=lambda y: torch.full_like(y, -HALF_LOG_TURN))
    assert not domain._misses_one(asked(squared), even, numbers(0.3))
    assert domain._misses_one(asked(lambda f, y: 2 * squared(f, y)), even, numbers(0.3))


# The same loss by moving the target or the output.
@pytest.mark.parametrize(("drift", "rho", "shift"), [(0.0, 2.0, 0.0), (0.5, 1.0, 1.0), (None, 2.0, 0.0)])
def test_a_loss_of_a_residual_is_read_along_the_target_or_the_output(
    drift: float | None, rho: float, shift: float
) -> None:
    loss = asked(lambda f, y: squared(f, y.log()) + 0.7 * (f != 0) * (drift is not None), "positive")
    along = loss.space.coordinate
    assert along is not None
    found = Located(loss, along, 1.0, False, drift)
    assert float(found.rho(numbers(2.0))) == pytest.approx(rho)
    assert float(found.shift(numbers(2.0))) == pytest.approx(shift)


# What is drawn.
@pytest.mark.parametrize("changed", [{"scale": None}, {"log_base": None}])
def test_what_is_held_is_drawn_where_both_the_factor_and_the_measure_are_known(changed: Any) -> None:
    for loss, targets in ((o.bce_with_logits, "binary"), (squared, "real")):
        found = curves(asked(loss, targets), replace(PLAIN, **changed))
        assert found.z_held is None
        assert found.z
