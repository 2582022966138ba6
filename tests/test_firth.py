"""Firth's penalised estimate against what logistf and brglm2 print, against closed forms, and against a general optimiser."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from app_cases import command
from estimation_cases import COUNTS, X, Y, literature
from published_cases import published

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import NotConvergedError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear import firth
from mlnn.estimating.linear.design import design_of
from mlnn.estimating.linear.fitted import check_estimate
from mlnn.likelihoods import BernoulliProbit, NegativeBinomial
from mlnn.runs import read_json

SEX2 = {  # as logistf prints it: coefficient, standard error, interval by the profile, chi2
    "age": (-1.10598, 0.42366, -1.97379, -0.307427, 7.51),
    "oc": (-0.0688167, 0.443793, -0.941436, 0.789202, 0.02),
    "vic": (2.26887, 0.548416, 1.27304, 3.43543, 22.93),
    "vicl": (-2.11141, 0.543082, -3.26086, -1.11774, 19.10),
    "vis": (-0.788317, 0.417368, -1.60809, 0.0151846, 3.70),
    "dia": (3.09601, 1.67501, 0.774568, 8.03028, 7.90),
    "const": (0.120254, 0.485542, -0.818559, 1.07315, 0.06),
}
ENDOMETRIAL = {"NV": (2.929, 1.551), "PI": (-0.035, 0.040), "EH": (-2.604, 0.776), "const": (3.775, 1.489)}
WIDE = np.random.default_rng(4).normal(size=(60, 2))


def test_the_infections_have_the_estimate_that_logistf_prints() -> None:
    found = mlnn.estimate("bernoulli", published("sex2", "case"), penalty="firth")
    printed = np.array([SEX2[name] for name in found.names])
    assert found.params == pytest.approx(printed[:, 0], rel=2e-5)
    assert found.bse == pytest.approx(printed[:, 1], rel=2e-5)
    assert found.conf_int() == pytest.approx(printed[:, 2:4], rel=2e-4)
    assert scipy.stats.chi2.isf(found.pvalues, 1) == pytest.approx(printed[:, 4], abs=5.1e-3)
    assert found.llf == pytest.approx(-132.5394, abs=5e-5)
    assert found.llr == pytest.approx(49.09064, abs=5e-5)
    assert (found.penalty, found.separation, found.converged) == ("firth", "none", True)
    assert found.aic == pytest.approx(2 * 7 + 2 * 132.5394, abs=1e-3)
    assert found.deviance == pytest.approx(2 * 138.455293, abs=1e-5), "of the likelihood without its penalty"


def test_the_cancers_are_separated_and_have_the_estimate_that_brglm2_prints() -> None:
    data = published("endometrial", "HG")
    gone = mlnn.estimate("bernoulli", data)
    assert gone.separation == "quasi"
    assert "penalty='firth' gives a finite estimate" in gone.summary()
    assert "penalty='firth'" in " ".join(gone.notes)
    found = mlnn.estimate("bernoulli", data, penalty="firth")
    printed = np.array([ENDOMETRIAL[name] for name in found.names])
    assert found.params == pytest.approx(printed[:, 0], abs=5.1e-4)
    assert found.bse == pytest.approx(printed[:, 1], abs=5.1e-4)
    told = found.summary()
    assert "Penalised maximum likelihood: bernoulli" in told
    assert "P>chi2" in told
    assert "Penalised LL:" in told
    assert "Firth's penalised estimate" in repr(found)
    assert found.to_dict()["penalty"] == "firth"


def log_f(beta: np.ndarray, x: np.ndarray, y: np.ndarray, kind: str) -> float:
    """Log-likelihood + ½ log|I|, written from the formula; beta output after output."""
    z = np.c_[x, np.ones(len(x))]
    eta = z @ beta.reshape(-1, z.shape[1]).T
    if kind == "poisson":
        mean = np.exp(eta[:, 0])
        return float(scipy.stats.poisson.logpmf(y, mean).sum() + np.linalg.slogdet(z.T @ (z * mean[:, None]))[1] / 2)
    raw = np.c_[np.zeros(len(x)), eta]
    p = np.exp(raw - scipy.special.logsumexp(raw, axis=1, keepdims=True))
    free = p[:, 1:]
    bend = free[:, :, None] * np.eye(free.shape[1]) - free[:, :, None] * free[:, None, :]
    information = np.einsum("njk,na,nb->jakb", bend, z, z).reshape(beta.size, -1)
    return float(np.log(p[np.arange(len(y)), y.astype(int)]).sum() + np.linalg.slogdet(information)[1] / 2)


GROUP = (np.arange(60) < 20).astype(float)
CASES: dict[str, tuple[str, np.ndarray, np.ndarray]] = {
    "separated": ("bernoulli", WIDE, (WIDE[:, 0] > 0).astype(float)),
    "three classes, one apart": ("categorical", WIDE, (WIDE[:, 0] > 0) * (1.0 + (WIDE[:, 1] > 0.5))),
    "a group of zeros": ("poisson", np.c_[WIDE, GROUP], (np.arange(60) % 4) * (1 - GROUP)),
}


@pytest.mark.parametrize("name", CASES)
def test_no_other_coefficients_have_a_higher_penalised_likelihood(name: str) -> None:
    likelihood, x, y = CASES[name]
    assert mlnn.estimate(likelihood, (x, y)).separation != "none"
    found = mlnn.estimate(likelihood, (x, y), penalty="firth")
    assert found.gradient_norm <= 1e-10, "standard errors from the maximum"
    assert found.iterations <= (15 if likelihood == "poisson" else 30), "a curvature is measured near the maximum only"
    flat = found.params.T.reshape(-1)
    assert found.llf == pytest.approx(log_f(flat, x, y, likelihood), abs=1e-9)
    size = found.bse.T.reshape(-1)

    def slopes(at: np.ndarray) -> np.ndarray:
        """Central differences, in nats per standard error."""
        steps = 1e-4 * np.diag(size)
        return np.array([(log_f(at + h, x, y, likelihood) - log_f(at - h, x, y, likelihood)) / 2e-4 for h in steps])

    assert np.abs(slopes(flat)).max() < 1e-5
    assert np.abs(slopes(flat + 1e-3 * size)).max() > 1e-4
    best = scipy.optimize.minimize(lambda b: -log_f(b, x, y, likelihood), flat + 0.1 * size, method="BFGS")
    assert found.llf >= -best.fun
    assert np.isfinite(found.bse).all()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_the_last_steps_need_no_digits_of_the_value(monkeypatch: pytest.MonkeyPatch, name: str, seed: int) -> None:
    """Of columns nearly dependent a determinant has fewer digits than steps of 1e-7 standard errors would need."""
    likelihood, x, y = CASES[name]
    exact, draws = firth._place, np.random.default_rng(seed)

    def noisy(*where: Any) -> firth.Place:
        place = exact(*where)
        return replace(place, value=place.value + 1e-12 * draws.uniform(-1, 1))

    plain = mlnn.estimate(likelihood, (x, y), penalty="firth")
    monkeypatch.setattr(firth, "_place", noisy)
    found = mlnn.estimate(likelihood, (x, y), penalty="firth")
    assert found.gradient_norm <= 1e-10
    assert found.params == pytest.approx(plain.params, rel=1e-9)


@pytest.mark.rest
def test_a_profile_interval_ends_where_the_penalised_likelihood_has_fallen_by_its_quantile() -> None:
    likelihood, x, y = CASES["separated"]
    found = mlnn.estimate(likelihood, (x, y), penalty="firth")
    low, high = found.conf_int(0.9)[0]
    assert low < found.params[0] < high
    for end in (low, high):
        others = scipy.optimize.minimize(
            lambda b, end=end: -log_f(np.r_[end, b], x, y, likelihood), found.params[1:], options={"gtol": 1e-7}
        )
        assert 2 * (found.llf + others.fun) == pytest.approx(scipy.stats.chi2.ppf(0.9, 1), abs=1e-9)
    wald = found.conf_int(0.9, kind="wald")
    assert wald.mean(1) == pytest.approx(found.params)
    assert wald[0] != pytest.approx([low, high], rel=0.05)


def test_cells_of_their_own_get_half_a_success_and_half_a_failure() -> None:
    """Saturated: one row a coefficient, p = (y + ½)/2; and a table of counts, log(y + ½)."""
    cells = np.eye(4)
    found = mlnn.estimate("bernoulli", (cells, np.array([0, 1.0, 0, 1])), penalty="firth", intercept=False)
    assert found.params == pytest.approx(math.log(3) * np.array([-1, 1, -1, 1]), abs=1e-9)
    counts = mlnn.estimate("poisson", (cells, np.array([0, 2.0, 7, 30])), penalty="firth", intercept=False)
    assert counts.params == pytest.approx(np.log([0.5, 2.5, 7.5, 30.5]), abs=1e-9)
    assert counts.llr_pvalue is None


def test_a_table_its_shares_and_its_single_rows_have_one_estimate() -> None:
    x, trials, wins = np.arange(4.0), np.array([5, 4, 6, 3.0]), np.array([0, 0, 4, 3.0])
    table = mlnn.estimate("bernoulli", (x, wins / trials), weights=trials, penalty="firth")
    rows = np.repeat(x, trials.astype(int))
    single = np.concatenate([np.arange(n) < k for n, k in zip(trials, wins, strict=True)]).astype(float)
    found = mlnn.estimate("bernoulli", (rows, single), penalty="firth")
    assert table.params == pytest.approx(found.params, abs=1e-8)
    assert table.conf_int() == pytest.approx(found.conf_int(), abs=1e-6)
    assert table.llr == pytest.approx(found.llr, abs=1e-8)
    assert table.llf - found.llf == pytest.approx(np.log(scipy.special.comb(trials, wins)).sum())


@pytest.mark.rest
def test_no_scale_or_place_of_the_columns_matters() -> None:
    likelihood, x, y = CASES["separated"]
    plain = mlnn.estimate(likelihood, (x, y), penalty="firth")
    far = mlnn.estimate(likelihood, (1e5 * x + 1e7, y), penalty="firth")
    assert far.params[:2] * 1e5 == pytest.approx(plain.params[:2], rel=1e-7)
    assert far.conf_int()[:2] * 1e5 == pytest.approx(plain.conf_int()[:2], rel=1e-5)
    assert np.isfinite(far.conf_int()[2]).all()


def test_many_rows_have_wald_intervals_unless_profiles_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firth, "PROFILED", 100.0)
    found = mlnn.estimate("bernoulli", (X, Y), penalty="firth")
    assert found.conf_int() == pytest.approx(found.conf_int(kind="wald"))
    assert "Wald's" in " ".join(found.notes)
    assert "P>|z|" in found.summary()
    assert found.conf_int(kind="profile") != pytest.approx(found.conf_int(), rel=1e-3)


def refused(likelihood: Any, data: Any, **said: Any) -> str:
    with pytest.raises((ConfigError, DataError)) as told:
        mlnn.estimate(likelihood, data, **{"penalty": "firth"} | said)
    return str(told.value)


def test_what_it_is_not_for_is_refused_by_name() -> None:
    known = "'firth' is for bernoulli, categorical, poisson; found "
    assert known + "normal" in refused("normal", literature("longley"))
    assert known + "bernoulli_probit" in refused(BernoulliProbit(), (X, Y))
    assert known + "negative_binomial" in refused(NegativeBinomial(), (X, COUNTS))
    mine = type("Mine", (), {"nll": lambda _self, f, y: torch.nn.functional.softplus(f) - y * f})()
    assert known + "Mine" in refused(mine, (X, Y))
    assert "unknown penalty 'ridge'" in refused("bernoulli", (X, Y), penalty="ridge")
    assert "expected information only" in refused("bernoulli", (X, Y), cov="robust")
    assert "not for model=" in refused("bernoulli", (X, Y), model=lambda: None)
    assert "depend on the others" in refused("bernoulli", (np.c_[X, X[:, 0]], Y))
    plain = mlnn.estimate("bernoulli", (X, Y))
    with pytest.raises(ConfigError, match="those of a penalised fit"):
        plain.conf_int(kind="profile")
    with pytest.raises(ConfigError, match="unknown interval 'score'"):
        plain.conf_int(kind="score")
    assert check_estimate(mlnn.estimate("bernoulli", (X, Y), penalty="firth")) is None


def test_a_measured_curvature_that_does_not_bend_downwards_is_not_followed() -> None:
    design, family = design_of((X, Y), family_of("bernoulli"), True, None)
    place = firth._place(family, design, torch.zeros(design.width, 1, dtype=torch.float64))
    ways = torch.eye(design.width, dtype=torch.float64)
    plain = firth._step(place, ways, None)
    assert float(plain[:, 0] @ place.gradient) > 0, "uphill"
    assert torch.equal(firth._step(place, ways, -ways), plain)
    torch.testing.assert_close(firth._step(place, ways, 2 * ways), place.gradient[:, None] / 2)


def test_a_step_too_long_is_halved_until_it_does_not_lead_down() -> None:
    design, family = design_of((X, Y), family_of("bernoulli"), True, None)
    place = firth._place(family, design, torch.zeros(design.width, 1, dtype=torch.float64))
    ways = torch.eye(design.width, dtype=torch.float64)
    step = firth._step(place, ways, None)
    for times in (1.0, 256.0):
        there = firth._uphill(family, design, place, times * step)
        assert there.value > place.value
        moved = float((there.beta / step).mean())
        assert moved == pytest.approx(2.0 ** round(math.log2(moved))), "halved, or as it was"
    with pytest.raises(NotConvergedError, match="no step raises"):
        firth._uphill(family, design, place, torch.full_like(step, math.nan))


@pytest.mark.parametrize(
    ("rows", "columns", "profiled"), [(100_000, 10, True), (1_000_000, 10, False), (2000, 60, False)]
)
def test_profiles_stand_in_a_table_where_they_are_had_within_a_minute(rows: int, columns: int, profiled: bool) -> None:
    """Two intervals' ends a coefficient, each some fits, whose steps cost the rows times the square of the coefficients."""
    nothing: Any = None
    design: Any = SimpleNamespace(y=torch.empty(rows))
    place: Any = SimpleNamespace(beta=torch.empty(columns, 1))
    assert firth.Penalised(nothing, design, place, 100, 0, 0.0).profiled == profiled


@pytest.mark.parametrize(("apart", "told"), [(1e-8, True), (1e-10, True), (1e-11, True), (1e-14, False)])
def test_an_information_is_inverted_as_long_as_its_columns_are_told_apart(apart: float, told: bool) -> None:
    correlated = torch.tensor([[1.0, 1.0 - apart], [1.0 - apart, 1.0]], dtype=torch.float64)
    scale = torch.tensor([1e-6, 1e6], dtype=torch.float64)
    inverse, log_det = firth._inverted(correlated * scale * scale[:, None])
    assert (inverse is not None) == told
    assert log_det == (pytest.approx(math.log(2 * apart), abs=1e-3) if told else -math.inf)


@pytest.mark.parametrize("lost", [math.inf, math.nan])
def test_an_information_that_is_not_finite_has_no_inverse(lost: float) -> None:
    inverse, log_det = firth._inverted(torch.diag(torch.tensor([1.0, lost], dtype=torch.float64)))
    assert (inverse, log_det) == (None, -math.inf)
    none, nothing = firth._inverted(torch.zeros(0, 0, dtype=torch.float64))
    assert none is not None
    assert (none.shape, nothing) == ((0, 0), 0.0)


@pytest.mark.rest
def test_the_command_has_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("estimate", "data=spector", "penalty=firth", "out=found")
    assert (done.code, done.err) == (0, "")
    assert "Penalised maximum likelihood" in done.out
    told = read_json(tmp_path / "found" / "estimate.json")
    assert told["penalty"] == "firth"
    assert told["beside"] is None
    none = command("estimate", "data=longley", "penalty=firth")
    assert none.code == 2
    assert "is for bernoulli, categorical, poisson" in none.err
