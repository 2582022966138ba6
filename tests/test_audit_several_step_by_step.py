"""Densities of several raw outputs: which step answers, and where each looks, the others replaced by plain numbers."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from asked_cases import f64, normal, numbers
from torch import Tensor
from vouched_cases import OUTPUTS, SHOWN, asked, near

from mlnn.auditing import several, shifted
from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import Finding
from mlnn.auditing.fitting import Fitted
from mlnn.auditing.known import Known
from mlnn.auditing.record import Witness
from mlnn.auditing.shifted import At
from mlnn.auditing.vouching import Cloud, Vouched


# Which step answers.
@pytest.mark.parametrize(("here", "again", "able", "answer"), [
    (near(), near(), ("certified",), "certified"), (near(0.9e-8), near(9.0), ("certified",), "certified"),
    (near(2e-8), near(), ("certified",), "certified"), (near(2e-8), near(error=1.0), ("certified",), "Z varies by 2e-08"),
    (near(), near(), ("hardly", "certified"), "it hardly varies"), (near(0.9e-4), near(0.9e-4), ("worse",), "Z varies by"),
    (near(1.1e-4), near(1.1e-4), ("worse", "certified", "fitted"), "worse"), (near(1.1e-4), near(1.1e-4),
    ("proofs", "fitted"), "fitted"),
    (near(1.1e-4), near(1.1e-4), ("proofs",), "proofs"), (near(1.1e-4), near(1.1e-4), (), "not proven"),
    (near(0.9e-4), near(0.9e-4), ("fitted",), "fitted"), (near(error=1.0), near(error=1.0), ("proofs",), "proofs"),
])  # fmt: skip
def test_the_first_step_that_answers_has_the_word(
    here: Cloud, again: Cloud, able: tuple[str, ...], answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(name: str) -> Finding | None:
        return Finding(name, said=name) if name in able else None

    fit = Fitted(2.0, None, "1")
    monkeypatch.setattr(several, "cloud", lambda *given: here if len(given) == 1 else near())
    monkeypatch.setattr(several, "once_more", lambda *_: again)
    monkeypatch.setattr(several, "_hardly_moves", lambda *_: "hardly" in able)
    monkeypatch.setattr(
        several, "_certified", lambda _loss, _here, found: Finding("", said="fitted" if found is fit else "certified")
    )
    monkeypatch.setattr(several, "_refuted", lambda *given: told("worse" if len(given) == 3 else "proofs"))
    monkeypatch.setattr(several, "fitted", lambda _: fit if "fitted" in able else None)
    monkeypatch.setattr(several, "not_proven", lambda *_: Finding("", said="not proven"))
    assert several.examine_several(asked()).said.startswith(answer)


@pytest.mark.parametrize(("reference", "why", "reach", "kind"), [
    (True, "Z differs", math.inf, "likelihood"), (False, "", 5.0, "likelihood"), (False, "Z differs", None, "undecided"),
])  # fmt: skip
def test_a_density_without_a_formula_is_vouched_for_as_far_as_it_was_looked_at(
    reference: bool, why: str, reach: float | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    formula = (lambda f, y: (f, y)) if reference else None
    monkeypatch.setattr(several, "_known", lambda *_: Known(None, None, formula))
    monkeypatch.setattr(several, "vouched", lambda *_: Vouched(5.0, why))
    monkeypatch.setattr(several, "_refuted", lambda *_: None)
    found = several._certified(asked(), near(), Fitted(1.0, None, "1"))
    assert (found.kind, found.reach if reach else None) == (kind, reach)
    if kind == "likelihood":
        assert found.family == "an unnamed density with 2 raw outputs"
        assert found.free_below == 2.0
        assert found.log_base is not None
        assert found.log_base(numbers(1.0, 2.0)).tolist() == [0.0, 0.0]
    else:
        assert found.said == "Z is 1 near output 0, but a little farther out it did not settle (Z differs)"


def test_the_measure_has_the_normaliser_in_it() -> None:
    y = numbers(1.0, 3.0)
    assert several._less(None, 0.5)(y).tolist() == [-0.5, -0.5]
    assert several._less(torch.square, 0.5)(y).tolist() == [0.5, 8.5]
    shown = Witness(outputs=((0.0, 0.0), (1.0, 2.0)), z=(1.0, 1.5))
    assert several._not_vouched(near(), "Z differs", shown).said == "Z is 1 near output 0, but 1.5 at output (1, 2)"


@pytest.mark.parametrize(("off", "free"), [((0.9e-8, 0.0), True), ((0.0, 2e-8), False), ((2e-8, 0.0), False)])
def test_a_dispersion_is_free_at_half_and_twice_the_temperature(
    off: tuple[float, float], free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(several, "cloud", lambda _, tau: near(off[(0.5, 2.0).index(tau)]))
    assert several._is_free(asked()) == free


@pytest.mark.parametrize(("off", "residual"), [(0.9e-4, None), (1.1e-4, 1.1e-4)])
def test_a_residual_is_told_where_it_is_a_difference(
    off: float, residual: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(several, "follows", lambda _: ("proper", "f", ""))
    found = several._refuted(asked(), near(off), (lambda *_: None, lambda *_: SHOWN))
    assert found is not None
    assert found.residual == (None if residual is None else pytest.approx(residual))


# Shifts.
def at(beta: float, gap: float, error: float = 0.0) -> At:
    return At(beta, numbers(0.0, gap), numbers(0.0, 0.0), numbers(error, error))


def test_what_two_log_z_must_differ_by() -> None:
    assert float(at(5.0, 0.0).needed[0, 1]) == pytest.approx(1e-4)
    assert float(at(0.5, 0.0).needed[0, 1]) == pytest.approx(0.5e-4)
    assert float(at(5.0, 0.0, 1e-6).needed[0, 1]) == pytest.approx(1.6e-4)


def tilted(o: Tensor, y: Tensor) -> Tensor:
    return 0.5 * (y - o[:, 0]) ** 2 + o[:, 1] ** 2


@pytest.mark.parametrize(("broken", "shown"), [
    ("", True), ("way", False), ("whole", False), ("lost", False), ("apart", False), ("low", False), ("high", False),
])  # fmt: skip
def test_every_temperature_must_tell_two_outputs_apart(
    broken: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_at: list[float] = []

    def at_beta(_held: Tensor, _weight: Tensor, beta: float) -> At | None:
        asked_at.append(beta)
        return None if broken == "lost" and abs(beta - math.exp(0.25)) < 1e-9 else at(beta, beta)

    def goes_on(inner: At, outer: At) -> bool:
        return broken != ("low" if outer.beta < inner.beta else "high")

    way = None if broken == "way" else numbers(1.0, 0.0)
    monkeypatch.setattr(shifted, "_way", lambda *_: way)
    monkeypatch.setattr(shifted, "_at", at_beta)
    monkeypatch.setattr(shifted, "_seen_whole", lambda *given: broken != "whole" and given[-1].beta == 1.0)
    monkeypatch.setattr(
        shifted,
        "_apart",
        lambda one, two, *_: one.beta < two.beta and (broken != "apart" or one.beta > 1.5 or two.beta < 1),
    )
    monkeypatch.setattr(shifted, "_goes_on", goes_on)
    found = shifted.shifted(asked(tilted), OUTPUTS)
    assert (found is not None) == shown
    if found:
        assert sorted(asked_at)[0] == pytest.approx(math.exp(-7))
        assert sorted(asked_at)[-1] == pytest.approx(math.exp(7))
        assert found.z == (1.0, pytest.approx(math.exp(math.exp(-7))))
        assert "at the τ where they are closest, 1097" in found.says
    for targets in ("unit(raw=2)", "counts(raw=2)"):
        assert shifted.shifted(asked(normal, targets), OUTPUTS) is None


def test_outputs_of_size_two_are_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(shifted, "_places", lambda *given: seen.append(given[-1]) or (_ for _ in ()).throw(KeyError))
    with pytest.raises(KeyError):
        shifted.shifted(asked(tilted), OUTPUTS)
    assert torch.equal(seen[0][:9], OUTPUTS)
    assert 1.9 < float(seen[0][9:].abs().max()) < 2.1


@pytest.mark.parametrize(("off", "whole"), [(0.0, True), (0.9e-4, True), (1.1e-4, False), (-1.1e-4, False)])
def test_two_quadratures_see_the_same_at_temperature_one(
    off: float, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = asked(tilted)
    along = loss.space.coordinate
    assert along is not None
    seen: list[float] = []

    def careful(_loss: Loss, output: Tensor, tau: float, _base: Any) -> tuple[float, float]:
        seen.append(tau)
        return math.exp(float(output[0]) + (off if len(seen) % 2 == 0 else 0.0)), 0.0

    monkeypatch.setattr(shifted, "careful_z", careful)
    outputs = numbers(0.0, 0.0, 0.7, 0.0).reshape(2, 2)
    shift = shifted.Shift(numbers(1.0, 0.0), numbers(0.0), numbers(0.0), numbers(0.0))
    found = At(1.0, numbers(5.0, 5.7), numbers(0.0, 0.0), numbers(0.0, 0.0))
    assert shifted._seen_whole(loss, along, outputs, shift, found) == whole
    assert seen == [1.0, 1.0]
    wide = replace(found, error=numbers(1e-6, 1e-6))
    assert shifted._seen_whole(loss, along, outputs, shift, wide), "or by what their errors leave"
    assert not shifted._seen_whole(loss, along, outputs, shift, None)


def test_slopes_tell_how_far_entries_move() -> None:
    loss = asked(lambda o, y: torch.sin(300 * (y - 0.5 * o[:, 0])) / 300 + o[:, 1] ** 2)
    along = loss.space.coordinate
    assert along is not None
    told = shifted._told_by_slopes(loss, along, OUTPUTS)
    assert told is not None
    assert told.tolist() == [2.0, 0.0]
    still = asked(lambda o, y: o[:, 0] ** 2 + o[:, 1] ** 2 + y**2)
    assert shifted._told_by_slopes(still, along, OUTPUTS) is None
    lost = asked(lambda o, y: torch.where(o[:, 0] > 0, math.nan, 1.0) * (y - o[:, 0]) ** 2 + o[:, 1])
    assert shifted._told_by_slopes(lost, along, OUTPUTS) is None


@pytest.mark.parametrize(("count", "way"), [(4, [1.0, 0.0, 1.0, 0.0]), (6, None)])
def test_pairs_of_entries_are_tried_of_few_outputs(
    count: int, way: list[float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[float]] = []
    monkeypatch.setattr(shifted, "_told_by_slopes", lambda *_: None)
    monkeypatch.setattr(
        shifted, "_leaves_it", lambda *given: tried.append(given[-1].tolist()) or given[-1].tolist() == way
    )
    loss = asked(lambda o, y: o.sum(1) * y, f"real(raw={count})")
    along = loss.space.coordinate
    assert along is not None
    found = shifted._way(loss, along, torch.zeros(2, count, dtype=f64))
    assert (None if found is None else found.tolist()) == way
    assert tried[: count + 1] == [*torch.eye(count).tolist(), [1.0] * count]
    assert len(tried) == (count + 1 if way is None else len(tried))


@pytest.mark.parametrize(("off", "leaves"), [(0.4e-9, True), (8e-9, False)])
def test_of_small_losses_a_shift_changes_less_than_a_billionth_of_a_nat(off: float, leaves: bool) -> None:
    loss = asked(lambda o, y: 1e-3 * (y - o[:, 0]).tanh() + off * torch.sin(3 * o[:, 0]) + 0 * o[:, 1])
    along = loss.space.coordinate
    assert along is not None
    assert shifted._leaves_it(loss, along, OUTPUTS, numbers(1.0, 0.0)) == leaves


def test_a_sum_that_is_not_finite_is_none() -> None:
    flat, weight = torch.zeros(2, 101, dtype=f64), torch.zeros(101, dtype=f64)
    flat[:, [0, -1]] = -60.0
    assert shifted._at(flat, weight, 1.0) is not None
    one_sided = flat.clone()
    one_sided[1, -1] = 0.0
    assert shifted._at(one_sided, weight, 1.0) is None
    assert shifted._at(flat - math.inf, weight, 1.0) is None
    peaked = torch.full((2, 101), -math.inf, dtype=f64)
    peaked[:, 50] = 3.0
    found = shifted._at(peaked.nan_to_num(neginf=-1e300), weight, 1.0)
    assert found is not None
    assert found.slope.tolist() == [3.0, 3.0]
