"""Densities of several raw outputs: how far out Z is vouched for, and what slices along one entry say."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from asked_cases import Function, f64, normal, numbers
from vouched_cases import OUTPUTS, SHOWN, asked, near, total

from mlnn.auditing import sliced, vouching
from mlnn.auditing.families import Exponential, Family
from mlnn.auditing.finding import Finding
from mlnn.auditing.integrals import Total
from mlnn.auditing.sliced import Slice


# How far out it is vouched for.
def test_where_no_temperature_is_said_it_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, seen = asked(), []  # type: ignore[var-annotated]
    for name in ("partition", "careful_z", "endless"):
        monkeypatch.setattr(vouching, name, lambda *given, which=name: seen.append((which, given[2])) or {
            "partition": total(), "careful_z": (1.0, 0.0), "endless": False}[which])  # fmt: skip
    assert vouching.cloud(loss).off == 0.0
    assert vouching.once_more(loss, near()).off == 0.0
    vouching.totals(loss, OUTPUTS)
    monkeypatch.setattr(
        vouching, "totals", lambda *given: seen.append(("totals", given[2])) or total(1.0, count=len(given[1]))
    )
    assert vouching.vouched(loss, 1.0).why == ""
    assert set(seen) == {("partition", 1.0), ("endless", 1.0), ("careful_z", 1.0), ("totals", 1.0)}


@pytest.mark.parametrize(
    ("targets", "by"), [("real(raw=2)", "partition"), ("counts(raw=2)", "partition"), ("unit(raw=2)", "pieces")]
)
def test_fractions_are_integrated_piece_by_piece(targets: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouching, "partition", lambda *_: "partition")
    monkeypatch.setattr(vouching, "_by_pieces", lambda *_: "pieces")
    assert vouching.totals(asked(normal, targets), OUTPUTS) == by  # type: ignore[comparison-overlap]


def test_what_pieces_leave_open_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouching, "careful_z", lambda _loss, output, *_: (float(output[0]), float(output[1])))
    found = vouching._by_pieces(asked(), numbers(1.0, 0.1, 2.0, math.nan).reshape(2, 2), 1.0, None)
    assert (found.z.tolist(), found.errors.tolist(), found.error, found.why) == (
        [1.0, 2.0],
        [0.1, math.inf],
        math.inf,
        "",
    )
    lost = vouching._by_pieces(asked(), numbers(math.nan, 0.1, 2.0, 0.2).reshape(2, 2), 1.0, None)
    assert "not at one rate" in lost.why


def test_more_outputs_are_drawn_where_z_is_not_known_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, ends, count in ((0.0, False, 9), (1.0, False, 27), (0.0, True, 9)):
        monkeypatch.setattr(vouching, "endless", lambda *_, answer=ends: answer)
        monkeypatch.setattr(
            vouching, "totals", lambda _loss, outputs, *_, off=error: total(0.0, off, count=len(outputs))
        )
        found = vouching.cloud(asked())
        assert len(found.outputs) == count
        assert (found.total.why == "it adds up without end") == ends


@pytest.mark.parametrize(("z", "error", "again", "needed", "seen", "known"), [
    (1.0, 0.0, 9.0, True, 1.0, True), (1.5, 0.0, 1.0, False, 1.0, True), (1.5, 0.0, 1 + 0.9e-6, False, 1 + 0.9e-6, True),
    (1.5, 0.0, 1.5 * (1 + 0.9e-6), False, 1.5, True), (1.5, 0.0, 1.5 * (1 + 1.2e-6), False, 1.5, False),
    (1.5, 0.0, -1.5, False, 1.5, False), (1 + 0.9e-6, 0.0, 9.0, False, 1 + 0.9e-6, True), (1.0, 1.0, 1.0, True, 1.0, True),
    (1.0, 1.0, 1.0, False, 1.0, False), (1.5, 1.0, 1.5, True, 1.5, False), (0.0, 0.0, 0.0, True, 0.0, False),
])  # fmt: skip
def test_z_is_looked_at_twice_where_it_is_another_one(
    z: float, error: float, again: float, needed: bool, seen: float, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vouching, "careful_z", lambda *_: (again, 0.0))
    given = Total(numbers(z), error, numbers(error))
    found, sure = vouching._twice(asked(), numbers(0.0, 0.0)[None], given, 1.0, 1.0, None, needed)
    assert (found.tolist(), sure.tolist()) == ([seen], [known])
    for targets in ("counts(raw=2)", "unit(raw=2)"):
        once, there = vouching._twice(asked(normal, targets), numbers(0.0, 0.0)[None], given, 1.0, 1.0, None, needed)
        assert (once.tolist(), there.tolist()) == ([z], [error == 0 and z > 0]), "these are asked once"


# Slices.
def poisson_at(shift: float) -> Function:
    """A Poisson of the first entry, whose base measure the second one moves."""
    return lambda o, y: torch.exp(o[:, 0]) - y * o[:, 0] + torch.lgamma(y + 1) + shift * o[:, 1] * y + 0 * o[:, 1]


def test_slices_are_taken_of_a_few_entries_and_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, int]] = []
    home = Slice(numbers(0.0), Family("Poisson", "0, 1, 2, …", normal), Finding("likelihood"))
    monkeypatch.setattr(sliced, "_slice", lambda _, held, entry: seen.append((float(held[0]), entry)) or home)
    monkeypatch.setattr(sliced, "_apart", lambda *_: None)
    outputs = torch.arange(6, dtype=f64)[:, None].expand(6, 8)
    loss = asked(lambda o, y: o.sum(1) * y, "counts(raw=8)")
    assert sliced.sliced(loss, outputs) is None
    assert seen == [(float(held), entry) for entry in range(6) for held in range(4)]
    monkeypatch.setattr(sliced, "_apart", lambda _, one, two: SHOWN if one is home and two is home else None)
    assert sliced.sliced(loss, outputs) is SHOWN
    monkeypatch.setattr(sliced, "_slice", lambda *_: None)
    assert sliced.sliced(loss, outputs) is None
    away = replace(home, family=Family("Poisson", "multiples of 2"))
    monkeypatch.setattr(sliced, "_slice", lambda *_: away)
    found = sliced.sliced(loss, outputs)
    assert found is not None
    assert (found.family, found.lives, found.space) == ("Poisson", "multiples of 2", "counts(raw=8)")


def test_the_first_slice_that_says_anything_is_held_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family("Poisson", "0, 1, 2, …", normal)
    made = [
        Slice(numbers(0.0), family, None),
        Slice(numbers(1.0), family, Finding("a")),
        Slice(numbers(2.0), family, Finding("b")),
    ]
    waiting = iter([*made, made[2]])
    pairs: list[tuple[float, float]] = []
    monkeypatch.setattr(sliced, "_slice", lambda *_: next(waiting, None))
    monkeypatch.setattr(sliced, "_apart", lambda _, one, two: pairs.append((float(one.held), float(two.held))))
    sliced.sliced(asked(normal, "counts(raw=2)"), torch.zeros(4, 2, dtype=f64))
    assert pairs == [(1.0, 2.0), (1.0, 2.0)]


def test_a_slice_has_a_family_or_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = asked(poisson_at(0.0), "counts(raw=2)")
    here = sliced._slice(loss, numbers(0.3, 0.4), 0)
    assert here is not None
    assert (here.family.name, here.found is not None) == ("Poisson", True)
    assert sliced._slice(loss, numbers(0.3, 0.4), 1) is None
    form = Exponential(numbers(1.0), numbers(1.0), "f")
    monkeypatch.setattr(sliced, "exponential_form", lambda one: form if one.space.outputs == 1 else None)
    monkeypatch.setattr(sliced, "named_family", lambda *_: None)
    assert sliced._slice(loss, numbers(0.3, 0.4), 0) is None
    monkeypatch.setattr(sliced, "named_family", lambda *_: Family("Poisson", "multiples of 2"))
    away = sliced._slice(loss, numbers(0.3, 0.4), 0)
    assert away is not None
    assert away.found is None
    labels = sliced._slice(asked(lambda o, y: o.sum(1) * y, "classes(3)"), numbers(0.3, 0.4, 0.5), 0)
    assert labels is not None, "one raw output of a space of several"


def test_two_measures_of_positive_targets_are_compared_at_plain_ones() -> None:
    def made(log_h: float, at: float, free: bool = False) -> Slice:
        base = lambda y: torch.where(y == 2.3, log_h, 0.0).double()  # noqa: E731
        return Slice(numbers(at), Family("gamma", "(0, ∞)", free=free), Finding("likelihood", log_base=base))

    loss = asked(normal, "positive(raw=2)")
    found = sliced._apart(loss, made(0.0, 1.0), made(0.3, 2.0))
    assert found is not None
    assert (found.target, found.probability) == (2, pytest.approx((1.0, math.exp(0.3))))
    assert sliced._apart(loss, made(0.0, 1.0), made(0.0, 2.0)) is None
    assert sliced._apart(loss, made(0.0, 1.0, free=True), made(0.3, 2.0)) is None
    assert sliced._apart(loss, made(0.0, 1.0), made(0.3, 2.0, free=True)) is None
    third = SimpleNamespace(**vars(made(0.0, 1.0)) | {"found": None})
    assert sliced._apart(loss, third, made(0.3, 2.0)) is None  # type: ignore[arg-type]
