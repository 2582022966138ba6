"""The audit says of every loss what it is, with its constants, and cannot be talked into a likelihood."""

import copy
import json
import math
from functools import cache
from pathlib import Path

import pytest
import torch
from audit_cases import CATALOGUE, OUTSIDE, Case
from objective_cases import CONFIGS, build
from torch.nn import functional as F

import mlnn
from mlnn.auditing import KINDS, Certificate
from mlnn.auditing.page import audits_page
from mlnn.errors import ConfigError

EVERY = CATALOGUE | {name: case for name, (_, _, case) in OUTSIDE.items()}
NOT = ("proper", "calibrated", "no link", "unnormalisable")


@cache
def catalogued(name: str) -> Certificate:
    made = build(name)
    return mlnn.audit(made.function, made.targets, name=name)


@cache
def outside(name: str) -> Certificate:
    loss, targets, _ = OUTSIDE[name]
    return mlnn.audit(loss, targets, name=name)


def assert_case(found: Certificate, case: Case) -> None:
    assert found.kind == case.kind, found.sentence
    assert found.link == case.link
    if case.h is None:
        assert found.base_measure is None
        assert (found.scale, found.domain, found.is_likelihood) == (None, "none", False)
        return
    assert found.is_likelihood
    assert found.scale == pytest.approx(case.scale, rel=1e-9)
    assert found.base_measure
    for y, h in found.base_measure.items():
        assert h == pytest.approx(case.h(y), rel=1e-6, abs=0 if case.h(y) else 1e-300), y
        if h > 1e-300:
            assert found.constants
            assert found.constants[y] == pytest.approx(found.scale * math.log(h), rel=1e-9, abs=1e-9)


def test_the_cases_are_the_catalogue() -> None:
    assert set(CATALOGUE) == set(CONFIGS)
    assert {case.kind for case in [*CATALOGUE.values(), *(case for *_, case in OUTSIDE.values())]} == set(KINDS) - {
        "undecided"
    }


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_objective_of_the_catalogue_is_told_right(name: str) -> None:
    assert_case(catalogued(name), CATALOGUE[name])


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", OUTSIDE)
def test_every_loss_from_outside_is_told_right(name: str) -> None:
    assert_case(outside(name), OUTSIDE[name][2])


@pytest.mark.rest
def test_likelihoods_and_the_nearest_that_is_none_are_eight_orders_apart() -> None:
    found = [*map(catalogued, CATALOGUE), *map(outside, OUTSIDE)]
    held = [one.residual for one in found if one.is_likelihood]
    failed = [one.residual for one in found if one.kind in NOT]
    assert len(held) > 35
    assert len(failed) > 15
    assert max(r for r in held if r is not None) * 1e8 < min(r for r in failed if r is not None)


@pytest.mark.rest
def test_the_page_of_the_catalogue_is_as_small_as_a_page_is_said_to_be() -> None:
    assert 1_000_000 < len(audits_page([*map(catalogued, CATALOGUE)]).encode()) <= 1_600_000


@pytest.mark.parametrize(
    "name", [*(n for n, c in CATALOGUE.items() if c.kind in NOT), *(n for n, c in OUTSIDE.items() if c[2].kind in NOT)]
)
def test_a_no_has_a_witness_that_can_be_checked_by_hand(name: str) -> None:
    found = catalogued(name) if name in CATALOGUE else outside(name)
    witness = found.witness
    assert witness, found
    assert witness.says
    loss, targets = (build(name).function, build(name).targets) if name in CATALOGUE else OUTSIDE[name][:2]
    if witness.temperature:
        low, high = sorted(witness.temperature)
        assert high - low > 1e-3 * abs(high)
    elif witness.expected:
        assert witness.expected[0] > witness.expected[1]
    elif witness.ranges:
        assert all(later > first + 0.5 for first, later in zip(witness.z, witness.z[1:], strict=False))
    elif witness.excess is not None:
        worse, better = witness.loss
        assert all(bad > good for bad, good in zip(worse, better, strict=True))  # type: ignore[arg-type]
    elif witness.loss:
        one, two = witness.loss
        assert abs(one - two) > 0.1  # type: ignore[operator]
    elif witness.lives:
        assert witness.lives != witness.space
    else:
        assert witness.z[1] - witness.z[0] > 1e-3
    if isinstance(loss, torch.nn.Module):  # as a row's value, whatever its own mean divides by
        loss = copy.deepcopy(loss).double()
        loss.reduction = "none"
    if witness.loss and witness.target is not None:
        kind = torch.int64 if str(targets).startswith("classes") else torch.float64
        for output, value in zip(witness.outputs, witness.loss, strict=True):
            asked = loss(torch.tensor([output], dtype=torch.float64), torch.tensor([witness.target], dtype=kind))  # type: ignore[operator]
            assert float(asked.sum()) == pytest.approx(value, rel=1e-12)


def test_hinge_no_temperature_and_no_base_measure_can_do_it() -> None:
    found = catalogued("hinge")
    assert found.witness
    assert found.witness.probability == pytest.approx(0.5, abs=1e-12)
    assert "No temperature and no base measure" in found.sentence
    assert any("pseudo-likelihood" in note and "Polson" in note for note in found.notes)
    # FACTS: Z(0) = 2/e, Z(1) = 1 + e^−2
    z = dict(zip(found.curves.output, found.curves.z, strict=True))
    assert z[min(z, key=abs)] == pytest.approx(2 / math.e, abs=1e-6)
    assert z[min(z, key=lambda f: abs(f - 1))] == pytest.approx(1 + math.exp(-2), abs=2e-3)


def test_support_vector_regression_is_a_likelihood() -> None:
    found = catalogued("epsilon_insensitive")
    assert found.family == "flat-topped Laplace"
    assert any("classifier's hinge is not" in note for note in found.notes)


@pytest.mark.parametrize("tau", [1e-3, 0.1, 3.7, 250.0])
def test_a_temperature_is_recovered(tau: float) -> None:
    found = mlnn.audit(lambda f, y: tau * F.binary_cross_entropy_with_logits(f, y, reduction="none"))
    assert (found.kind, found.scale) == ("scaled likelihood", pytest.approx(tau, rel=1e-9))


@pytest.mark.parametrize(("delta", "kind"), [(1e-12, "likelihood"), (1e-9, "undecided"), (1e-3, "calibrated")])
def test_between_rounding_and_a_real_difference_it_is_not_decided(delta: float, kind: str) -> None:
    found = mlnn.audit(
        lambda f, y: F.binary_cross_entropy_with_logits(f, y, reduction="none") + delta * torch.cos(f) * y
    )
    assert found.kind == kind, found.sentence


def test_the_domain_is_where_floating_point_still_holds_it() -> None:
    found = catalogued("bce")
    low, high = found.domain
    assert low == pytest.approx(-27.63, abs=0.1)  # the gradient dies
    assert high == pytest.approx(16.64, abs=0.01)  # σ rounds to 1
    assert found.domains["float64"][1] == pytest.approx(27.63, abs=0.1)
    assert catalogued("bce_with_logits").domain == "all"
    assert catalogued("bernoulli_nll_naive").domains["float64"][1] == pytest.approx(
        36.4, abs=0.4
    )  # σ rounds to 1 at 36.74
    assert catalogued("bernoulli_nll_clipped").domain[0] == pytest.approx(-16.12, abs=0.02)
    assert catalogued("poisson").domain == (-math.inf, pytest.approx(88.72, abs=0.01))
    assert catalogued("gaussian_nll").domain == pytest.approx((-13.8155, 13.8155), abs=0.05)
    assert catalogued("hinge").domain == "none"


def test_the_domain_is_that_of_the_dtype_asked_for() -> None:
    found = mlnn.audit(torch.nn.BCELoss(), outputs="probabilities", dtype=torch.float16)
    assert set(found.domains) == {"float16", "float64"}
    assert 8 < found.domain[1] < 8.33  # σ rounds to 1 at 8.32


def test_probabilities_go_through_the_link() -> None:
    assert mlnn.audit(torch.nn.BCELoss(), outputs="probabilities").kind == "likelihood"
    raw = mlnn.audit(torch.nn.BCELoss())
    assert raw.kind == "undecided"
    assert "outputs='probabilities'" in raw.sentence


def test_the_same_formula_changes_its_verdict_with_the_targets() -> None:
    kinds = {targets: mlnn.audit(torch.nn.MSELoss(), targets).kind for targets in ("real", "binary", "counts")}
    assert kinds == {"real": "likelihood family", "binary": "proper", "counts": "proper"}


def test_a_weighted_mean_is_named_though_the_row_is_audited() -> None:
    assert any("share" in note for note in outside("CrossEntropyLoss with class weights").notes)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("BCE, doubled beyond 5", (-5, 5)),
        ("BCE of σ clipped at 0.05", (-2.944, 2.944)),
        ("½ MSE of a clamped output", (-5, 5)),
        ("Poisson of a clamped output", (-math.inf, 5)),
        ("gamma of a clamped output", (-706.4, 5)),
        ("zero-inflated Poisson up to 6", (-6, 6)),
    ],
)
def test_a_clip_ends_the_domain(name: str, ends: tuple[float, float]) -> None:
    assert outside(name).domains["float64"] == pytest.approx(ends, abs=0.05)


@pytest.mark.parametrize(("loss", "name"), [
    (torch.nn.HuberLoss(delta=6.0), "Huber density"),
    (torch.nn.HuberLoss(delta=1e-3), "Huber density"),
    (torch.nn.MSELoss(), "normal"),
    (lambda f, y: torch.log1p((y - f) ** 2 / 3), "Student t"),
])  # fmt: skip
def test_densities_are_named_by_their_whole_shape(loss: object, name: str) -> None:
    assert mlnn.audit(loss, "real").family == name


def test_a_power_tail_bounds_the_dispersion() -> None:
    assert "for every τ below 2" in mlnn.audit(lambda f, y: torch.log1p((f - y) ** 2), "real").sentence
    assert "for every τ > 0" in outside("MSE").sentence


@pytest.mark.parametrize("name", [name for name, case in EVERY.items() if case.kind == "batch-coupled"])
def test_coupling_has_a_witness_too(name: str) -> None:
    witness = outside(name).witness
    assert witness
    assert witness.loss[0] != witness.loss[1]


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, "float33"])
def test_a_dtype_that_is_no_floating_one_is_refused(dtype: object) -> None:
    with pytest.raises(ConfigError, match="dtype"):
        mlnn.audit(torch.nn.MSELoss(), "real", dtype=dtype)


def test_a_dtype_may_be_named() -> None:
    assert set(mlnn.audit(torch.nn.MSELoss(), "real", dtype="bfloat16").domains) == {"bfloat16", "float64"}


def test_inference_mode_does_not_stop_it() -> None:
    with torch.inference_mode():
        assert mlnn.audit(torch.nn.BCEWithLogitsLoss()).kind == "likelihood"


@pytest.mark.parametrize("name", ["bce", "hinge", "mse", "poisson_nll", "cosine"])
def test_a_certificate_is_plain_data(name: str, tmp_path: Path) -> None:
    told = catalogued(name).to_dict()
    (tmp_path / "c.json").write_text(json.dumps(told, allow_nan=False))
    assert json.loads((tmp_path / "c.json").read_text()) == told
    assert (told["kind"], told["sentence"]) == (catalogued(name).kind, catalogued(name).sentence)


def test_an_audit_leaves_the_random_state_and_the_modes_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    mlnn.audit(torch.nn.BCEWithLogitsLoss())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()
    with torch.no_grad():
        assert mlnn.audit(torch.nn.BCEWithLogitsLoss()).kind == "likelihood"
