"""Losses of numbers: which step answers, and what each says, the other steps replaced by plain numbers."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import asked, f64, numbers, squared
from torch import Tensor
from torch.nn.functional import softplus

from mlnn.auditing import numeric
from mlnn.auditing.families import Exponential, Family
from mlnn.auditing.finding import Finding
from mlnn.auditing.integrals import Total
from mlnn.auditing.known import Known
from mlnn.auditing.numeric import Look
from mlnn.auditing.record import Witness


def no_nll(mean: Tensor, y: Tensor) -> Tensor:
    return mean * y


OUTPUTS = numbers(-1.0, 0.0, 1.0)
HOME, AWAY = Family("Poisson", "0, 1, 2, …", no_nll), Family("Poisson", "multiples of 2")
FORM = Exponential(numbers(0.5, 2.0), numbers(1.0, 1.0), "exp(f)")
SHOWN = Witness(says="shown")


def look(
    off: float = 0.0, error: float = 0.0, form: Exponential | None = None, family: Family | None = None, targets: str = "counts",
    level: float = 1.0,
) -> Look:  # fmt: skip
    """Z is `level` at all outputs but the last, which is `off` by that share."""
    z = level * numbers(1.0, 1.0, 1 + off)
    return Look(asked(squared, targets), OUTPUTS, Total(z, error, torch.full_like(z, error)), form, family)


def test_what_a_first_look_says() -> None:
    assert look().off == 0.0
    assert look(off=0.25).off == pytest.approx(0.25)
    assert [look(error=error).settled for error in (0.9e-8, 1.1e-8)] == [True, False]
    assert look(family=AWAY).stranger is AWAY
    assert look(family=HOME).stranger is None
    assert look().stranger is None
    far, near = replace(FORM, mean=numbers(1.0, 1.1e9)), replace(FORM, mean=numbers(1.0, 0.9e9))
    assert [look(form=one).beyond for one in (far, near, None)] == [True, False, False]
    assert not look(form=far, targets="positive").beyond
    assert look(form=FORM).link() == "exp(f)"
    assert look(targets="real").link() == "f"


ANSWERS = {"_without_likelihood": "none", "_as_it_stands": "stands", "_of_family": "family", "_by_coordinate": "coordinate",
           "_at_another_temperature": "temperature", "examine_location": "location", "examine_several": "several"}  # fmt: skip


@pytest.mark.parametrize(("given", "able", "answer"), [
    ({}, ("_as_it_stands", "examine_location"), "location"), ({}, ("_as_it_stands",), "stands"),
    ({"family": AWAY}, ("_as_it_stands", "_without_likelihood"), "none"), ({"family": HOME}, ("_as_it_stands",), "stands"),
    ({"off": 0.9e-8}, ("_as_it_stands",), "stands"), ({"off": 1.1e-8}, ("_as_it_stands", "_of_family"), "family"),
    ({"error": 1e-7}, ("_as_it_stands", "_by_coordinate"), "coordinate"),
    ({"off": 0.9e-4}, ("_at_another_temperature",), "undecided"),
    ({"off": 1.1e-4}, ("_at_another_temperature",), "temperature"),
    ({"off": 0.9e-4, "error": 1e-7}, ("_without_likelihood",), "none"),
    ({"off": 1.1e-4, "targets": "positive"}, ("_at_another_temperature", "_without_likelihood"), "none"),
    ({"off": 1.1e-4}, ("_without_likelihood",), "none"),
    ({"targets": "counts(raw=2)"}, ("examine_several", "_as_it_stands"), "several"),
])  # fmt: skip
def test_the_first_step_that_answers_has_the_word(
    given: dict[str, Any], able: tuple[str, ...], answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = look(**given)
    monkeypatch.setattr(numeric, "_look", lambda _: here)
    for name, said in ANSWERS.items():
        told = Finding(said) if name in able else None
        monkeypatch.setattr(numeric, name, lambda *_, found=told: found)
    assert numeric.examine_numeric(here.loss).kind == answer


def test_a_family_answers_where_it_lives_on_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numeric, "examine_exponential", lambda *_: Finding("family"))
    cases = [(FORM, HOME), (FORM, AWAY), (FORM, None), (None, HOME), (None, None)]
    assert [numeric._of_family(look(form=form, family=family)) is not None for form, family in cases] == [True] + [
        False
    ] * 4


def same(f: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return f, y


@pytest.mark.parametrize(("level", "free", "kind", "measure"), [
    (1.0, True, "likelihood", "1"), (1 + 0.9e-8, True, "likelihood", "1"), (1 + 3e-8, True, "likelihood family", "1/1.00000003"),
    (1 - 3e-8, False, "likelihood", "1/0.99999997"), (2.0, True, "likelihood family", "1/2"), (2.0, False, "likelihood", "1/2"),
])  # fmt: skip
def test_what_one_z_for_all_outputs_is_called(
    level: float, free: bool, kind: str, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numeric, "_is_free", lambda _: free)
    monkeypatch.setattr(numeric, "_known", lambda _: Known("normal", "f", same))
    monkeypatch.setattr(numeric, "far_from_zero", lambda *_: ("but not there", SHOWN))
    found = numeric._as_it_stands(look(level=level))
    assert (found.kind, found.measure, found.scale, found.family, found.free_below) == (
        kind,
        measure,
        1.0,
        "normal",
        2.0,
    )
    assert found.log_base is not None
    assert found.log_base(OUTPUTS).tolist() == pytest.approx([-math.log(level)] * 3)
    monkeypatch.setattr(numeric, "_known", lambda _: Known(None, "f", None))
    doubted = numeric._as_it_stands(look(level=level))
    assert (doubted.kind, doubted.witness) == ("undecided", SHOWN)
    assert doubted.said == f"Z is {level:.6g} near output 0, but not there"
    monkeypatch.setattr(numeric, "far_from_zero", lambda *_: ("", None))
    assert numeric._as_it_stands(look(level=level)).kind == kind


@pytest.mark.parametrize(("off", "error", "free"), [
    ((0.0, 0.0), (0.0, 0.0), True), ((0.9e-8, 0.0), (0.0, 0.9e-8), True), ((0.0, 1.1e-8), (0.0, 0.0), False),
    ((1.1e-8, 0.0), (0.0, 0.0), False), ((0.0, 0.0), (1.1e-8, 0.0), False), ((0.0, 0.0), (0.0, 1.1e-8), False),
])  # fmt: skip
def test_a_dispersion_is_free_where_z_is_one_number_at_two_other_temperatures(
    off: tuple[float, float], error: tuple[float, float], free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def partition(_loss: Any, _outputs: Tensor, tau: float) -> Total:
        at = (0.5, 2.0).index(tau)
        return look(off[at], error[at]).total

    monkeypatch.setattr(numeric, "partition", partition)
    assert numeric._is_free(look()) == free


def test_a_density_is_named_by_its_family_or_by_its_values_or_by_its_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numeric, "_of_family", lambda _: Finding("likelihood", "Poisson", link="exp(f)"))
    monkeypatch.setattr(numeric, "known_density", lambda *_: Known("normal", "σ(f)", same))
    assert numeric._known(look()).name == "Poisson"
    monkeypatch.setattr(numeric, "_of_family", lambda _: None)
    assert (numeric._known(look()).name, numeric._known(look()).link) == ("normal", "σ(f)")
    assert numeric._known(look(form=FORM)).link == "exp(f)"
    monkeypatch.setattr(numeric, "known_density", lambda *_: None)
    assert numeric._known(look(form=FORM)) == Known(None, "exp(f)", None)


@pytest.mark.parametrize(("given", "near", "far", "measure"), [
    ({}, (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), "1/y"), ({}, (0.0, 0.0, 1 + 0.9e-8), (0.0, 0.0, 1 + 0.9e-8), "1/y"),
    ({}, (0.0, 0.0, 2.0), (0.0, 0.0, 2.0), "1/(y·2)"), ({}, (0.0, 0.0, 1 - 3e-8), (0.0, 0.0, 1.0), "1/(y·0.99999997)"),
    ({"targets": "unit"}, (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), "1/(y·(1 − y))"), ({}, (1.1e-8, 0.0, 1.0), (0.0, 0.0, 1.0), None),
    ({}, (0.9e-8, 0.0, 1.0), (0.9e-6, 0.0, 1.0), "1/y"), ({}, (0.0, 1.1e-8, 1.0), (0.0, 0.0, 1.0), None),
    ({}, (0.0, 0.9e-8, 1.0), (0.0, 0.9e-6, 1.0), "1/y"), ({}, (0.0, 0.0, 1.0), (1.1e-6, 0.0, 1.0), None),
    ({}, (0.0, 0.0, 1.0), (0.0, 1.1e-6, 1.0), None), ({}, (0.0, 0.0, 1.0), (0.0, 0.0, 1 - 1.1e-6), None),
    ({"off": 0.9e-4}, (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), None), ({"off": 1.1e-4}, (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), "1/y"),
    ({"targets": "real"}, (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), None), ({"targets": "counts"}, (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), None),
    ({"targets": "positive(raw=2)"}, (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), None),
])  # fmt: skip
def test_a_measure_of_log_y_makes_z_one_number_near_and_far(
    given: dict[str, Any], near: tuple[float, float, float], far: tuple[float, float, float], measure: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """`near`, `far`: error, by how much one Z is off, and Z itself."""

    def partition(_loss: Any, outputs: Tensor, log_base: Callable[[Tensor], Tensor]) -> Total:
        assert float(log_base(numbers(0.5))) == pytest.approx(
            -math.log(0.5) if given.get("targets") != "unit" else math.log(4)
        )
        error, off, level = near if len(outputs) == 3 else far
        if len(outputs) == 9:
            assert float(outputs[4]) == pytest.approx(0.00321)
            assert float(outputs[-1]) == pytest.approx(5.00321)
        z = torch.full((len(outputs),), level, dtype=f64)
        z[-1] *= 1 + off
        return Total(z, error, torch.full_like(z, error))

    monkeypatch.setattr(numeric, "partition", partition)
    found = numeric._by_coordinate(look(**{"off": 1.0, "targets": "positive"} | given))
    assert (found and found.measure) == measure
    if found:
        assert (found.kind, found.scale) == ("likelihood", 1.0)
        assert found.log_base is not None


@pytest.mark.parametrize(("tau", "level", "found"), [
    (1.7, 0.0, (1.7, "1")), (1.7, 2 * 1.7, (1.7, "1/0.1353352832")), (1.7, 1.7e-9, (1.7, "1")), (0.05, 0.0, (0.05, "1")),
])  # fmt: skip
def test_a_temperature_of_counts_is_found_where_all_sums_are_one(
    tau: float, level: float, found: tuple[float, str]
) -> None:
    loss = asked(lambda f, y: level + tau * (y * softplus(-f) + softplus(f)), "counts")
    told = numeric._at_another_temperature(loss, numbers(-1.0, 0.3, 1.0))
    assert told is not None
    assert told.scale is not None
    assert (round(told.scale, 9), told.measure) == found
    assert told.log_base is not None
    assert told.log_base(numbers(1.0)).tolist() == pytest.approx([level / tau])


@pytest.mark.parametrize("loss", [
    lambda f, y: 1.7 * (y * softplus(-f) + softplus(f)) + torch.where(y == 9, math.inf, 0.0),
    lambda f, y: 1.7 * (y * softplus(-f) + softplus(f) + 0.1 * torch.cos(3 * f) - 0.1),
    lambda f, y: (y / 4000) * torch.exp(-f) + torch.log(1 / -torch.expm1(-torch.exp(-f) / 4000)),
])  # fmt: skip
def test_no_temperature_of_counts_is_found_where_sums_are_not_known_or_not_one(loss: Any) -> None:
    """The last has not faded at the last count that is summed."""
    assert numeric._at_another_temperature(asked(loss, "counts"), numbers(-1.0, 0.3, 1.0)) is None


def test_where_a_function_changes_its_sign() -> None:
    assert list(numeric._roots(lambda t: (t - 0.3) * (t + 1.1))) == pytest.approx([-1.1, 0.3], abs=1e-14)
    assert list(numeric._roots(lambda t: 0.3 - t)) == pytest.approx([0.3], abs=1e-14)
    assert list(numeric._roots(lambda t: t * t + 1)) == list(numeric._roots(lambda _: 0.0)) == []
    assert list(numeric._roots(lambda t: t - 3.9)) == pytest.approx([3.9])
    assert list(numeric._roots(lambda t: t - 4.1)) == []


FAR = replace(FORM, mean=numbers(1.0, 1e10))


@pytest.mark.parametrize(("given", "proofs", "kind", "said", "residual"), [
    ({}, (), "undecided", "", None), ({"form": FORM}, ("worse",), "proper", "is made the mean", None),
    ({"form": FORM, "family": AWAY}, ("elsewhere",), "proper", "the mean; the Poisson that has its variance function", None),
    ({}, ("elsewhere",), "undecided", "", None), ({"form": FORM}, ("pushed",), "calibrated", "follows", None),
    ({}, ("worse",), "calibrated", "follows", None), ({"form": FAR}, ("worse", "pushed"), "undecided", "", None),
    ({"off": 1.1e-4}, ("worse",), "calibrated", "follows", 1.1e-4), ({"off": 0.9e-4}, ("worse",), "calibrated", "follows", None),
])  # fmt: skip
def test_a_proof_that_there_is_none_says_what_the_output_follows(
    given: dict[str, Any],
    proofs: tuple[str, ...],
    kind: str,
    said: str,
    residual: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, proof in (("worse_everywhere", "worse"), ("elsewhere", "elsewhere"), ("one_way", "pushed")):
        monkeypatch.setattr(numeric, name, lambda *_, found=SHOWN if proof in proofs else None: found)
    monkeypatch.setattr(numeric, "elicits", lambda _: (True, "g(f)"))
    monkeypatch.setattr(numeric, "not_proven", lambda *_: Finding("undecided"))
    found = numeric._without_likelihood(look(**given))
    assert found.kind == kind
    assert said in found.said
    assert found.residual == (None if residual is None else pytest.approx(residual))
    assert (found.witness is SHOWN) == (kind != "undecided")


def test_of_two_proofs_the_first_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[str] = []
    first = SimpleNamespace(name="worse")
    monkeypatch.setattr(numeric, "worse_everywhere", lambda _: first)
    for name in ("elsewhere", "one_way"):
        monkeypatch.setattr(numeric, name, lambda *_, which=name: asked_for.append(which))
    assert numeric._without_likelihood(look(form=FORM, family=AWAY)).witness is first
    assert not asked_for
    monkeypatch.setattr(numeric, "worse_everywhere", lambda _: None)
    monkeypatch.setattr(numeric, "elsewhere", lambda *given: asked_for.append(given[-1]) or SHOWN)
    for error, known in ((0.0, True), (1.0, False)):
        assert numeric._without_likelihood(look(form=FORM, family=AWAY, error=error)).witness is SHOWN
        assert (asked_for.pop() is not None) == known, "its sums are shown where they have settled"
