"""Why a loss is not decided, what else a reader should know, and the laws whose densities take an integral: part by part."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import Function, asked, f64, normal, numbers, squared
from test_audit_measures_bounds import reads, two
from torch import Tensor

from mlnn import objectives as o
from mlnn.auditing import notes, tweedie, unproven
from mlnn.auditing.finding import Finding
from mlnn.auditing.integrals import Total
from mlnn.auditing.record import Witness
from mlnn.auditing.tweedie import Power
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

OUTPUTS = numbers(-1.0, 0.0, 1.0)
SHOWN = Witness(outputs=(0.25,), says="shown")


def total(*z: float, error: float = 0.0, why: str = "") -> Total:
    return Total(numbers(*z), error, torch.full((len(z),), error, dtype=f64), why)


@pytest.mark.parametrize(("z", "off", "endless", "disagrees", "says", "shown"), [
    (total(1.0, 2.0, 3.0), 1.0, True, "", "Z, its integral over the targets, differs: 1 at output -1 and 3 at 1;", "two"),
    (total(1.0, 2.0, 3.0, error=9e-6), 1.0, True, ""
    , "its integral over the targets is infinite at output 0.25, and neither", "endless"),
    (total(1.0, 2.0, 3.0, error=9e-6), 1.0, False, "", "(its error is too large)", None),
    (total(1.0, 2.0, 3.0, error=9e-6, why="it is wild"), 1.0, False, "", "(it is wild)", None),
    (total(1.0, 2.0, 3.0, error=0.9e-6), 1.0, True, "", "differs", "two"),
    (total(1.0, 2.0, 3.0), 1.0, False, "they are apart", "(they are apart)", None),
    (total(1.0, 1.0, 1.0), 0.9e-4, False, "", "what it varies by, 9e-05, is less than certain", None),
    (total(1.0, 2.0, 3.0), 1.1e-4, False, "", "differs", "two"),
])  # fmt: skip
def test_what_is_said_of_z_where_nothing_is_proven(
    z: Total, off: float, endless: bool, disagrees: str, says: str, shown: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unproven, "infinite", lambda *_: SHOWN if endless else None)
    monkeypatch.setattr(unproven, "_disagrees", lambda *_: (disagrees, None))
    found = unproven.not_proven(asked(squared), OUTPUTS, z, "f", off, 1e-4)
    assert says in found.said
    assert (found.kind, found.link) == ("undecided", "f")
    if shown == "two":
        assert found.witness is not None
        assert (found.witness.outputs, found.witness.z, found.residual) == ((-1.0, 1.0), (1.0, 3.0), off)
    else:
        assert found.witness is (SHOWN if shown else None)


@pytest.mark.parametrize(("z", "again", "targets", "why", "rows"), [
    (total(1.0, 2.0), total(1.0, 2.0), "real", "", [False, False]),
    (total(1.0, math.inf), None, "real", "under- or overflows", [False, True]),
    (total(0.0, 2.0), None, "real", "under- or overflows", [True, False]), (total(1.0, 2.0), None, "counts", "", [False, False]),
    (total(1.0, 2.0), total(1.0, 2.0, error=9e-6), "real", "its error is too large", [True, True]),
    (total(1.0, 2.0), total(1.0, 2.0, error=9e-6, why="it is wild"), "real", "it is wild", [True, True]),
    (total(1.0, 2.0), total(1.0, 2 + 6e-6), "real", "two quadratures of it are 3e-06 apart", [False, True]),
    (total(1.0, 2.0), total(1.0, 2 + 1.8e-6), "real", "", [False, False]),
])  # fmt: skip
def test_another_quadrature_must_agree(
    z: Total, again: Total | None, targets: str, why: str, rows: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def partition(*_: Any, shells: bool) -> Total:
        assert shells
        assert again is not None
        return again

    monkeypatch.setattr(unproven, "partition", partition)
    found = unproven._disagrees(asked(squared, targets), numbers(0.0, 1.0), z)
    assert why in found[0]
    assert (found[0] == "") == (why == "")
    assert found[1].tolist() == rows


@pytest.mark.parametrize(("far", "error", "why", "says"), [
    (1.0, 0.0, "", ""), (1 + 0.9e-6, 0.0, "", ""), (1 + 1.1e-6, 0.0, "", "but 1 at output 40"),
    (1.5, 0.0, "", "but 1.5 at output 40"),
    (1.0, 9e-6, "", "but over outputs out to ±40 it did not settle (its error is too large)"),
    (1.5, 9e-6, "it is wild", "it did not settle (it is wild)"), (1.0, 9e-6, "it is wild", "it did not settle (it is wild)"),
])  # fmt: skip
def test_what_z_is_far_from_zero(
    far: float, error: float, why: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def partition(_loss: Any, outputs: Tensor, **_: Any) -> Total:
        seen.append(outputs)
        z = torch.ones_like(outputs)
        z[outputs > 39] = far
        return Total(z, error, torch.full_like(z, error), why)

    monkeypatch.setattr(unproven, "partition", partition)
    said, shown = unproven.far_from_zero(asked(squared), 1.0)
    assert says in said
    assert (said == "") == (says == "")
    assert seen[0].tolist() == pytest.approx([8.0 * k - 40 + 0.00321 for k in range(11)])
    assert (shown is not None) == ("at output" in says)
    if shown:
        assert (shown.outputs, shown.z) == ((0.0, pytest.approx(40.00321)), (1.0, pytest.approx(far, rel=1e-7)))


# Far out.
@pytest.mark.parametrize(("function", "targets", "infinite"), [
    (lambda f, y: 2 * torch.log1p(y.abs()) + 0 * f, "real", False), (lambda f, y: torch.log1p(y.abs()) + 0 * f, "real", True),
    (lambda f, y: torch.where(y > 0, 2.0, 0.5) * torch.log1p(y.abs()) + 0 * f, "real", True),
    (lambda f, y: torch.where(y > 0, 0.5, 2.0) * torch.log1p(y.abs()) + 0 * f, "real", True),
    (lambda f, y: torch.log1p(y) + 0 * f, "counts", True), (lambda f, y: 1.01 * torch.log1p(y) + 0 * f, "counts", False),
    (lambda f, y: 0.5 * y.log() + 0 * f, "positive", True), (lambda f, y: y + 0 * f, "positive", False),
    (lambda f, y: 2 * y.log() + 0 * f, "positive", True),
    (lambda f, y: 2 * y.log() + 0 * f, "unit", True), (lambda f, y: 0.5 * y.log() + 0 * f, "unit", False),
    (lambda f, y: torch.where(y.abs() > 1e50, math.nan, 0.5) * torch.log1p(y.abs()) + 0 * f, "real", False),
    (lambda f, y: torch.log1p(y.abs()) + 1e-16 * y.abs().log() ** 2 + 0 * f, "real", True),
    (lambda f, y: torch.log1p(y.abs()) + 1e-3 * y.abs().log1p().log1p() + 0 * f, "real", False),
    (lambda f, y: 1e12 + torch.log1p(y.abs()) + 0 * f, "real", False),
    (lambda f, y: 1e11 + 0.5 * torch.log1p(y.abs()) + 0 * f, "real", True),
    (lambda f, y: 6e10 + torch.log1p(y.abs()) + 0 * f, "real", True),
])  # fmt: skip
def test_a_density_that_falls_no_faster_than_one_over_y_adds_up_without_end(
    function: Function, targets: str, infinite: bool
) -> None:
    loss = asked(function, targets)
    assert (unproven.infinite(loss, OUTPUTS) is not None) == infinite
    assert unproven.endless(loss, OUTPUTS) == infinite


def test_without_end_is_said_of_all_outputs_at_a_temperature_and_a_measure() -> None:
    some = asked(lambda f, y: torch.where(f > 0.5, 0.5, 2.0) * torch.log1p(y.abs()))
    shown = unproven.infinite(some, OUTPUTS)
    assert shown is not None
    assert shown.outputs == (1.0,)
    assert not unproven.endless(some, OUTPUTS)
    assert unproven.endless(some, OUTPUTS[2:])
    square = asked(lambda f, y: 2 * torch.log1p(y.abs()) + 0 * f)
    assert [unproven.endless(square, OUTPUTS, tau) for tau in (1.0, 1.9, 2.1)] == [False, False, True]
    assert unproven.endless(square, OUTPUTS, 1.0, lambda y: 1.1 * torch.log1p(y.abs()))
    both = asked(
        lambda o, y: torch.where(o[:, 0] > 0, (y > 0).double(), (y < 0).double()) * 2 * torch.log1p(y.abs()),
        "real(raw=2)",
    )
    assert unproven.endless(both, numbers(1.0, 0.0, -1.0, 0.0).reshape(2, 2)), "each towards an end of its own"


def test_an_output_that_is_said() -> None:
    assert [unproven.say(one) for one in (1.23456, math.inf, -math.inf, (1.0, -2.5))] == [
        "1.235",
        "inf",
        "-inf",
        "(1, -2.5)",
    ]


# What else a reader should know.
def noted(
    kind: str = "likelihood", departs: float | None = None, inside: Any = None, targets: str = "real", **more: Any
) -> tuple[str, ...]:
    made = Objective.of(squared, TargetSpace.parse(targets), name="loss")
    loss = SimpleNamespace(objective=SimpleNamespace(inside=inside), space=made.targets)
    return notes.notes(loss, loss.objective, Finding(kind, **more), departs)  # type: ignore[arg-type]


def inside(name: str | None, sealed: str | None) -> Any:
    return SimpleNamespace(name=name, sealed=sealed)


def test_a_precision_and_a_departure_are_noted() -> None:
    assert noted() == ()
    assert noted(departs=8.0) == (notes.DEPARTS.format(size=8.0),)
    assert "size 8 on" in noted(departs=8.0)[0]
    assert noted(inside=inside("float16", None)) == (notes.LOWER.format(dtype="float16"),)
    assert (
        noted(inside=inside("float16", "a kernel"))
        == noted(inside=inside(None, None))
        == noted(inside=inside(None, "a kernel"))
        == ()
    )


@pytest.mark.parametrize(("kind", "targets", "hinge", "told"), [
    ("no link", "binary", True, True), ("no link", "binary", False, False), ("proper", "binary", True, False),
    ("no link", "real", True, False),
])  # fmt: skip
def test_a_hinge_is_noted(kind: str, targets: str, hinge: bool, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_is_hinge", lambda _: hinge)
    assert (notes.HINGE in noted(kind, targets=targets)) == told


@pytest.mark.parametrize(("kind", "link", "targets", "told"), [
    ("proper", "σ(f)", "unit", True), ("proper", "f", "unit", False), ("calibrated", "σ(f)", "unit", False),
    ("proper", "σ(f)", "real", False),
])  # fmt: skip
def test_fractions_are_noted(kind: str, link: str, targets: str, told: bool) -> None:
    assert (notes.FRACTIONS in noted(kind, targets=targets, link=link)) == told


@pytest.mark.parametrize(("kind", "shares", "told"), [
    ("proper", True, True), ("proper", False, False), ("undecided", True, False), ("batch-coupled", True, False),
])  # fmt: skip
def test_what_rows_share_is_noted(kind: str, shares: bool, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_shares", lambda *_: shares)
    assert (notes.SHARED in noted(kind)) == told


@pytest.mark.parametrize(("own", "answers", "coupled", "shares"), [
    (False, True, True, True), (True, True, True, False), (False, False, True, False), (False, True, False, False),
])  # fmt: skip
def test_rows_share_something_where_a_reduction_was_switched_off(
    own: bool, answers: bool, coupled: bool, shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "answers_a_batch", lambda *_: answers)
    monkeypatch.setattr(notes, "coupling", lambda *_: SHOWN if coupled else None)
    loss = asked(squared)
    assert notes._shares(loss, loss.objective if own else replace(loss.objective)) == shares


@pytest.mark.parametrize(("loss", "hinge"), [
    (lambda f, y: o.hinge(f, y) * (1 + 0.4e-9 * torch.cos(f)), True), (lambda f, y: o.hinge(f, y) + 1e-11, False),
    (lambda f, y: o.hinge(f, y) + 1e-14, True), (lambda f, y: 0 * f * y, False),
    (lambda f, y: torch.where(y > 0, 2.0, 1.0) * o.hinge(f, y), True),
    (lambda f, y: o.hinge(f, y) + torch.relu(f.abs() - 4), True), (lambda f, y: o.hinge(f, y) + torch.relu(f.abs() - 2), False),
])  # fmt: skip
def test_a_hinge_is_one_to_rounding_on_margins_up_to_three(loss: Function, hinge: bool) -> None:
    assert notes._is_hinge(asked(loss, "binary")) == hinge


# How many outputs a loss reads.
def unless(refused: Function) -> Function:
    """The normal of two outputs, where `refused` of outputs and targets is nowhere true."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        if bool(refused(f, y).any()):
            raise ValueError("not these")
        return normal(f, y)

    return loss


@pytest.mark.parametrize(("function", "targets", "raw"), [
    (unless(lambda f, _: f.abs() > 50), "real", 2), (two, "simplex(3)", None), (lambda f, y: (f - y).flip(0) ** 2, "real", None),
    (lambda f, y: ((f.sum(-1) if f.ndim > 1 else f) - y)[None] ** 2, "real", None),
    (lambda f, y: normal(f, y)[:, None] + 0 * f[:, :1] if f.ndim > 1 else math.nan * f.expand(2, -1), "real", None),
    (lambda f, y: math.nan * normal(f, y), "real", None),
])  # fmt: skip
def test_how_many_outputs_a_loss_reads(function: Function, targets: str, raw: int | None) -> None:
    assert reads(function, targets) == raw


# Variances that are powers.
def inverse_gaussian(mean: float, y: Tensor, c: float) -> Tensor:
    return 0.5 * (2 * math.pi * c * y**3).log() + (y - mean) ** 2 / (2 * c * mean**2 * y)


def test_a_power_of_three_is_the_inverse_gaussian() -> None:
    y = torch.logspace(-1.5, 2.5, 7, dtype=f64)
    for c in (0.5, 2.0):
        found = Power(3.0, c).nll(torch.full_like(y, 1.7), y)
        assert found.tolist() == pytest.approx(inverse_gaussian(1.7, y, c).tolist(), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("c", [1e-3])
def test_a_power_below_zero_has_one_density_for_few_targets_and_many(c: float) -> None:
    """In units of the law, which shrink with its variance; beyond sixty of them it is its first term."""
    law = Power(-1.0, c)
    unit = (2**1.5 * c**1.5 / (3 * c)) ** (2 / 3)
    places = unit * torch.cat(
        [numbers(-59.9, -8.0, -0.3, 0.0, 0.2, 1.0, 9.0, 59.9), torch.linspace(-30, 30, 91, dtype=f64)]
    )
    many, few = tweedie._extreme(places, law), tweedie._extreme(places[:8], law)
    assert many[:8].tolist() == pytest.approx(few.tolist(), rel=0, abs=1e-7)
    width = float(places[9] - places[8])
    assert float(torch.exp(many[8:]).sum()) * width == pytest.approx(1.0, abs=1e-2)
    beyond = unit * numbers(-60.1, 60.1)
    outer, exact = tweedie._extreme(beyond, law).tolist(), tweedie._exact(beyond, law).tolist()
    assert outer == pytest.approx(exact, abs=5e-3)
    assert all(abs(one - other) > 1e-9 for one, other in zip(outer, exact, strict=True))
    far = tweedie._extreme(unit * numbers(-1000.0, -100.0, 1000.0), law)
    assert float(far[0] - far[1]) == pytest.approx(-2.5 * math.log(10))
    assert bool(torch.isfinite(far).all())


def test_where_a_density_cancels_wholly_it_is_its_first_term() -> None:
    law = Power(-1.0, 1e-3)
    found = tweedie._exact(numbers(-600.0, 0.1), law)
    assert bool(torch.isfinite(found).all())
    assert float(found[0]) == pytest.approx(float(tweedie._far(numbers(-600.0), law)), abs=1.0)


@pytest.mark.parametrize("y", [0.0, 0.3, 2.0])
def test_a_density_is_the_same_however_far_its_transform_is_tilted(y: float) -> None:
    """What is put in by a tilt is taken out again."""
    power = Power(-1.0, 0.8)
    alpha, big = tweedie._index(power)
    plain, tilted = (tweedie._inverted(y, theta, big, alpha) for theta in (0.0, 0.4))
    assert plain == pytest.approx(tilted, abs=1e-9)
