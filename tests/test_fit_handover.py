"""The same fit as a result of statsmodels."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from estimation_cases import X, furthest, literature, with_constant
from fit_cases import CASES, COUNTS, HARD, POSITIVE, REAL, SHARES, TIMES, TRIALS, case

import mlnn
from mlnn.errors import ConfigError
from mlnn.estimating import handover
from mlnn.likelihoods import AsymmetricLaplace, NegativeBinomial, Normal
from mlnn.likelihoods.counterpart import Counterpart

UNIT = 1 / (1 + np.exp(-REAL / 2))


@pytest.mark.parametrize("name", CASES)
def test_a_fit_is_handed_over_whole(name: str) -> None:
    found, reference = case(name)
    theirs = found.to_statsmodels()
    assert np.array_equal(np.asarray(theirs.params), found.params)
    assert list(theirs.params.index) == list(found.names)
    assert furthest(theirs.bse, found.bse) < 1e-9
    assert furthest(theirs.bse, reference.bse) < 1e-9
    assert theirs.nobs == reference.nobs
    if "gamma" not in name:
        assert theirs.llf == pytest.approx(found.llf, rel=1e-12)
    else:  # at Pearson's dispersion; at the likeliest it is the fit's
        assert theirs.llf_scaled(1 / found.ancillary["shape"]) == pytest.approx(found.llf, rel=1e-12)


@pytest.mark.parametrize(
    ("likelihood", "data", "how", "kind"),
    [
        ("bernoulli", (X, HARD), {}, "BinaryResults"),
        ("bernoulli", (X, HARD), {"cov": "robust"}, "BinaryResults"),
        ("bernoulli_probit", literature("spector"), {"cov": "observed"}, "BinaryResults"),
        ("poisson", (X, COUNTS), {"cov": "HC0"}, "PoissonResults"),
        ("negative_binomial", (X, COUNTS), {}, "GLMResults"),
        ("negative_binomial", (X, COUNTS), {"cov": "observed"}, "NegativeBinomialResults"),
        ("negative_binomial", (X, COUNTS), {"cov": "HC0"}, "NegativeBinomialResults"),
        (NegativeBinomial(theta=2.0), (X, COUNTS), {"cov": "observed"}, "GLMResults"),
        ("gamma", (X, POSITIVE), {"cov": "observed"}, "GLMResults"),
        ("gamma", (X, POSITIVE), {"dispersion": "ml"}, "GLMResults"),
        ("normal", (X, REAL), {}, "RegressionResults"),
        ("normal", (X, REAL), {"cov": "HC3"}, "RegressionResults"),
        ("normal", (X, REAL), {"dispersion": "ml"}, "GLMResults"),
        (Normal(sigma=2.0), (X, REAL), {}, "GLMResults"),
        ("categorical", literature("anes96"), {}, "MultinomialResults"),
        ("beta", (X, UNIT), {"cov": "observed"}, "BetaResults"),
    ],
)
def test_which_model_of_statsmodels_has_the_fits_standard_errors(
    likelihood: Any, data: Any, how: Any, kind: str
) -> None:
    found = mlnn.estimate(likelihood, data, **how)
    theirs = found.to_statsmodels()
    assert type(theirs).__name__ == f"{kind}Wrapper"
    p = len(found.params)
    assert np.array_equal(np.asarray(theirs.params)[:p], found.params)
    assert furthest(np.asarray(theirs.bse)[:p], found.bse) < 1e-8
    if "dispersion" in how or likelihood != "gamma":
        scaled = theirs.llf_scaled(found.dispersion) if isinstance(likelihood, Normal) else theirs.llf
        assert scaled == pytest.approx(found.llf, rel=1e-10)


def test_a_likelihoods_number_is_among_the_parameters_where_statsmodels_estimates_it() -> None:
    found = mlnn.estimate("negative_binomial", (X, COUNTS), cov="observed")
    theirs = found.to_statsmodels()
    assert theirs.params["alpha"] == pytest.approx(1 / found.ancillary["theta"], rel=1e-12)
    assert theirs.mle_retvals["converged"]
    assert theirs.aic == pytest.approx(found.aic, rel=1e-12)


def test_clusters_margins_and_influence_are_theirs() -> None:
    found = mlnn.estimate("bernoulli", literature("spector"))
    theirs = found.to_statsmodels()
    assert theirs.get_margeff().margeff.shape == (3,)
    assert theirs.get_influence().hat_matrix_diag.sum() == pytest.approx(4)
    groups = np.arange(32) // 4
    reference = sm.Logit(np.asarray(literature("spector")[1]), with_constant(literature("spector")[0])).fit(
        disp=0, tol=1e-14
    )
    own, other = (one.get_robustcov_results("cluster", groups=groups) if hasattr(one, "get_robustcov_results") else
                  one.model.fit(disp=0, start_params=np.asarray(one.params), cov_type="cluster", cov_kwds={"groups": groups})
                  for one in (theirs, reference))  # fmt: skip
    assert furthest(own.bse, other.bse) < 1e-7
    least = mlnn.estimate("normal", (X, REAL)).to_statsmodels()
    hac = sm.OLS(REAL, with_constant(X)).fit(cov_type="HAC", cov_kwds={"maxlags": 2})
    assert furthest(least.get_robustcov_results("HAC", maxlags=2).bse, hac.bse) < 1e-10


def test_longley_keeps_the_digits_that_their_own_fit_loses() -> None:
    found = mlnn.estimate("normal", literature("longley"))
    theirs = found.to_statsmodels()
    assert np.array_equal(np.asarray(theirs.params), found.params)
    assert theirs.ssr == pytest.approx(836424.055505915, rel=1e-9)


def test_a_quantile_is_a_quantile_regression() -> None:
    found = mlnn.estimate(AsymmetricLaplace(tau=0.25), literature("engel"))
    theirs = found.to_statsmodels()
    assert np.array_equal(np.asarray(theirs.params), found.params)
    assert theirs.q == 0.25
    assert bool((theirs.bse > 0).all())
    assert np.abs(theirs.resid - found.residuals()).max() < 1e-9


@pytest.mark.parametrize(
    ("fit", "sentence"),
    [
        (lambda: mlnn.estimate("student_t", (X, REAL)), "no model of student_t that maximises the same likelihood"),
        (lambda: mlnn.estimate("bernoulli", (X, HARD), cov="HC3"), "HC3 is HC0 under another name"),
        (
            lambda: mlnn.estimate("categorical", (X, COUNTS % 2), weights=TIMES),
            "weights: statsmodels' MNLogit has none",
        ),
        (
            lambda: mlnn.estimate("beta", (X, UNIT), weights=TIMES, cov="observed"),
            "weights: statsmodels' BetaModel has none",
        ),
        (lambda: mlnn.estimate("beta", (X, UNIT)), "fit with cov='observed'"),
        (lambda: mlnn.estimate("laplace", (X, REAL), weights=TIMES), "QuantReg has neither weights"),
        (lambda: mlnn.estimate("negative_binomial", (X, COUNTS), weights=TIMES, cov="HC0"), "takes theta as known"),
        (lambda: mlnn.estimate("bernoulli", (X, SHARES), weights=TRIALS, cov="HC0"), "row of a binomial table for one"),
        (lambda: mlnn.estimate("bernoulli", (X, UNIT), weights=TIMES * 1.1), "counts weights or shares otherwise"),
    ],
)
def test_what_statsmodels_has_not_is_refused(fit: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        fit().to_statsmodels()


def test_without_statsmodels_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = mlnn.estimate("poisson", (X, COUNTS))
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    with pytest.raises(ConfigError, match="pip install 'mlnn\\[data\\]'"):
        found.to_statsmodels()


def fitted(likelihood: dict[str, bool], free: str | None = None, **changes: Any) -> Any:
    facts = {"squares": False, "kinked": False, "canonical": False} | likelihood
    family = SimpleNamespace(likelihood=SimpleNamespace(**facts), free=free, name="it", dispersion=2.0)
    plain = {
        "weighted": False,
        "shifted": False,
        "unbiased": True,
        "cov": "observed",
        "llf": -10.0,
        "rows": SimpleNamespace(family=family),
    }
    return SimpleNamespace(**plain | changes)


OWN, GLM = {"own": "api.Model"}, {"own": "api.Model", "family": "Some", "link": "Log"}


@pytest.mark.parametrize(
    ("likelihood", "changes", "told", "maker"),
    [
        ({"squares": True}, {}, GLM, "_least_squares"),
        ({"squares": True}, {"weighted": True}, GLM, "_glm"),
        ({"squares": True}, {"shifted": True}, GLM, "_glm"),
        ({"squares": True}, {"unbiased": False}, GLM, "_glm"),
        ({"kinked": True}, {}, OWN, "_quantile"),
        ({}, {}, GLM, "_own"),
        ({}, {"weighted": True}, GLM, "_glm"),
        ({}, {"weighted": True}, OWN, "_own"),
        ({}, {"cov": "expected"}, GLM, "_glm"),
        ({"canonical": True}, {"cov": "expected"}, GLM, "_own"),
        ({}, {"cov": "expected"}, OWN, "_own"),
        ({}, {}, {"family": "Some", "link": "Log"}, "_glm"),
        ({}, {}, GLM | {"extra": 1.0}, "_glm"),
        ({}, {"free": "theta"}, GLM | {"extra": 1.0}, "_own"),
        ({}, {"free": "theta"}, GLM, "_own"),
    ],
)
def test_the_model_of_statsmodels_is_the_one_with_the_same_errors(
    likelihood: dict[str, bool], changes: dict[str, Any], told: dict[str, Any], maker: str
) -> None:
    assert handover._maker(fitted(likelihood, **changes), Counterpart(**told)).__name__ == maker


@pytest.mark.parametrize(
    ("cov", "name"), [("expected", "nonrobust"), ("observed", "nonrobust"), ("robust", "HC0"), ("HC0", "HC0")]
)
def test_a_covariance_has_their_name_or_none(cov: str, name: str) -> None:
    assert handover._cov_type(fitted({}, cov=cov), ("robust", "HC0")) == name
    with pytest.raises(ConfigError, match="HC0 under another name"):
        handover._cov_type(fitted({}, cov="HC1"), ("robust", "HC0"))


@pytest.mark.parametrize(("off", "same"), [(0.0, True), (0.9e-7, True), (1.1e-7, False), (-1.1e-7, False)])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_log_likelihood_is_theirs_to_eight_digits(off: float, same: bool, scaled: bool) -> None:
    bse = np.array([0.5, 0.25])
    found = fitted({}, bse=bse, params=bse, cov="HC0")
    result = SimpleNamespace(llf=-10.0 + off, bse=bse, cov_type="HC0")
    if scaled:
        result = SimpleNamespace(llf=3.0, llf_scaled=lambda scale: -5.0 * scale + off, bse=bse)
    if same:
        handover._check_same(found, result)
    else:
        with pytest.raises(ConfigError, match="counts weights or shares otherwise"):
            handover._check_same(found, result)


@pytest.mark.parametrize(("off", "cov", "words"), [
    (0.9e-4, "HC0", None), (1.1e-4, "HC0", "fit with cov='expected'"), (-1.1e-4, "expected", "fit with cov='observed'"),
])  # fmt: skip
def test_standard_errors_are_theirs_to_four_digits(off: float, cov: str, words: str | None) -> None:
    bse = np.array([0.5, 0.25])
    result = SimpleNamespace(
        llf=-10.0, bse=np.append(bse * (1 + off), 9.0)
    )  # and one of a number, which the fit tells elsewhere
    found = fitted({}, bse=bse, cov=cov)
    if words is None:
        handover._check_same(found, result)
    else:
        with pytest.raises(ConfigError, match=words):
            handover._check_same(found, result)
    handover._check_same(fitted({"kinked": True}, bse=2 * bse, llf=7.0), result)  # errors of its own
