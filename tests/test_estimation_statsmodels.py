"""The estimates against statsmodels: coefficients, standard errors, log-likelihood, tests."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from estimation_cases import X, furthest, literature, progression, with_constant
from scipy import special, stats
from statsmodels.othermod.betareg import BetaModel

import mlnn
from mlnn.estimating import Estimate
from mlnn.objectives import NegativeBinomial

CLOSE = 1e-8  # relative
PRECISE = {"disp": 0, "tol": 1e-14, "maxiter": 100}


def binary() -> tuple[Any, Any]:
    x, y = literature("fair")
    return x, (y > 0).astype(float)


def logit() -> tuple[Estimate, Any]:
    x, y = binary()
    return mlnn.estimate("bernoulli", (x, y)), sm.Logit(np.asarray(y), with_constant(x)).fit(**PRECISE)


def probit() -> tuple[Estimate, Any]:
    x, y = literature("spector")
    reference = sm.Probit(np.asarray(y), with_constant(x)).fit(**PRECISE)
    return mlnn.estimate("bernoulli_probit", (x, y), cov="observed"), reference


def poisson() -> tuple[Estimate, Any]:
    x, y = literature("randhie")
    return mlnn.estimate("poisson", (x, y)), sm.Poisson(np.asarray(y), with_constant(x)).fit(**PRECISE)


def least_squares() -> tuple[Estimate, Any]:
    x, y = progression()
    return mlnn.estimate("normal", (x, y)), sm.OLS(y, with_constant(x)).fit()


def negative_binomial() -> tuple[Estimate, Any]:
    x, y = (np.asarray(part)[::8] for part in literature("randhie"))
    found = mlnn.estimate("negative_binomial", (x, y), cov="observed")
    start = np.append(found.params, 1 / found.ancillary["theta"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own line search divides by zero on the way
        fit = sm.NegativeBinomial(y, with_constant(x)).fit(method="newton", start_params=start, **PRECISE)
    assert 1 / found.ancillary["theta"] == pytest.approx(fit.params[-1], rel=CLOSE)
    fit.coefficients, fit.errors = fit.params[:-1], fit.bse[:-1]
    return found, fit


@pytest.mark.parametrize("case", [logit, probit, poisson, least_squares, negative_binomial])
def test_statsmodels_agrees(case: Callable[[], tuple[Estimate, Any]]) -> None:
    found, reference = case()
    assert furthest(found.params, getattr(reference, "coefficients", reference.params)) < CLOSE
    assert furthest(found.bse, getattr(reference, "errors", reference.bse)) < CLOSE
    for name in ("llf", "aic", "bic"):
        assert getattr(found, name) == pytest.approx(getattr(reference, name), rel=CLOSE)
    assert found.gradient_norm < 1e-9


def test_the_tests_of_a_normal_refer_to_t_and_f() -> None:
    found, reference = least_squares()
    assert furthest(found.conf_int(0.9), reference.conf_int(0.1)) < CLOSE
    assert furthest(found.pvalues, reference.pvalues) < CLOSE
    assert furthest(found.tvalues, reference.tvalues) < CLOSE
    joint, theirs = found.wald_test(["x0", "x1"]), reference.f_test(np.eye(11)[:2])
    assert (joint.statistic, joint.pvalue) == pytest.approx((float(theirs.fvalue), float(theirs.pvalue)), rel=CLOSE)
    assert (joint.df, joint.distribution) == (2, "F")


def test_the_tests_of_a_logit_refer_to_the_normal_and_chi_square() -> None:
    found, reference = logit()
    assert furthest(found.conf_int(), reference.conf_int()) < CLOSE
    assert furthest(found.pvalues, reference.pvalues) < 1e-6  # a p-value of 1e-9 magnifies what its z is off by
    joint = found.wald_test(["age", "const"], [0.0, 1.0])
    which = np.eye(9)[[found.names.index("age"), 8]]
    theirs = reference.wald_test((which, np.array([0.0, 1.0])), scalar=True)
    assert (joint.statistic, joint.pvalue) == pytest.approx((float(theirs.statistic), float(theirs.pvalue)), rel=1e-7)
    assert found.llr_pvalue == pytest.approx(reference.llr_pvalue, rel=1e-6)
    assert found.llnull == pytest.approx(reference.llnull, rel=CLOSE)


def test_the_sandwich_is_that_of_statsmodels() -> None:
    x, y = literature("spector")
    found = mlnn.estimate("bernoulli", (x, y), cov="robust")
    reference = sm.Logit(np.asarray(y), with_constant(x)).fit(cov_type="HC0", **PRECISE)
    assert furthest(found.bse, reference.bse) < CLOSE


def test_the_sandwich_counts_the_estimated_theta() -> None:
    found, reference = negative_binomial()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        robust = reference.model.fit(method="newton", start_params=reference.params, cov_type="HC0", **PRECISE)
    assert furthest(np.sqrt(np.diag(found.cov_params("robust"))), robust.bse[:-1]) < CLOSE


def test_classes_are_those_of_a_multinomial_logit() -> None:
    x, y = literature("anes96")
    found = mlnn.estimate("categorical", (x, y))
    reference = sm.MNLogit(np.asarray(y), with_constant(x)).fit(**PRECISE)
    assert found.outputs == tuple(f"y={k}" for k in range(1, 7))
    assert furthest(found.params, reference.params) < CLOSE
    assert furthest(found.bse, reference.bse) < CLOSE
    assert furthest(found.cov_params(), reference.cov_params()) < 1e-7  # entries near 0 among them
    assert (found.llf, found.aic) == pytest.approx((reference.llf, reference.aic), rel=CLOSE)
    labels = [label for label in found.labels if label.endswith("const")]
    assert found.wald_test("const") == found.wald_test(labels)


def test_a_binomial_is_a_bernoulli_with_weights() -> None:
    x, y = literature("star98")
    trials, successes = np.asarray(y).sum(axis=1), np.asarray(y)[:, 0]
    found = mlnn.estimate("bernoulli", (x, successes / trials), weights=trials)
    reference = sm.GLM(np.asarray(y), with_constant(x), family=sm.families.Binomial()).fit(tol=1e-15, maxiter=100)
    assert furthest(found.params, reference.params) < CLOSE
    assert furthest(found.bse, reference.bse) < CLOSE
    for name in ("llf", "llnull", "aic", "df_resid", "df_model", "deviance", "nobs"):
        assert getattr(found, name) == pytest.approx(getattr(reference, name), rel=CLOSE)
    assert found.bic == pytest.approx(reference.bic_llf, rel=CLOSE)
    assert "a binomial table" in found.notes[0]


def test_shares_of_no_whole_number_of_trials_are_read_as_single_trials() -> None:
    x, y = literature("star98")
    trials, successes = np.asarray(y).sum(axis=1), np.asarray(y)[:, 0]
    table = mlnn.estimate("bernoulli", (x, successes / trials), weights=trials)
    single = mlnn.estimate("bernoulli", (x, successes / trials), weights=trials + 0.5)
    assert single.nobs == pytest.approx((trials + 0.5).sum())
    assert single.llf < 10 * table.llf, "Σ log C(n, k) is missing"
    assert "not whole numbers" in single.notes[0]


@pytest.mark.parametrize("likelihood", ["bernoulli", "bernoulli_probit"])
def test_the_sandwich_of_a_binomial_is_that_of_its_single_trials(likelihood: str) -> None:
    trials = np.arange(40) % 5 + 2
    successes = np.minimum(trials - 1, np.arange(40) * 7 % 5)
    found = mlnn.estimate(likelihood, (X[:40], successes / trials), weights=trials, cov="robust")
    single = np.concatenate([np.arange(n) < k for k, n in zip(successes, trials, strict=True)])
    expanded = mlnn.estimate(likelihood, (np.repeat(X[:40], trials, axis=0), single), cov="robust")
    assert furthest(found.bse, expanded.bse) < 1e-12
    assert furthest(found.bse, mlnn.estimate(likelihood, (X[:40], successes / trials), weights=trials).bse) > 1e-3


def test_the_sandwich_of_a_normal_refers_to_the_normal_distribution() -> None:
    x, y = progression()
    found = mlnn.estimate("normal", (x, y), cov="robust")
    reference = sm.OLS(y, with_constant(x)).fit(cov_type="HC0")
    assert not found.use_t
    assert furthest(found.conf_int(), reference.conf_int()) < CLOSE
    assert furthest(found.pvalues, reference.pvalues) < 1e-7
    assert found.wald_test("x0").distribution == "chi2"


def test_the_deviance_of_large_counts_is_not_rounding() -> None:
    y = np.round(np.exp(25 + 0.3 * X[:, 0]) + np.exp(12.5) * X[:, 1])
    found = mlnn.estimate("poisson", (X[:, :1], y))
    reference = sm.GLM(y, with_constant(X[:, :1]), family=sm.families.Poisson()).fit(tol=1e-15)
    assert found.deviance == pytest.approx(
        reference.deviance, rel=1e-3
    )  # theirs has the rounding of y log(y/μ) − (y − μ)
    saturated = mlnn.estimate("poisson", (X[:4], [1, 5, 2, 8]))
    assert saturated.deviance is not None
    assert 0 <= saturated.deviance < 1e-13


def test_a_gamma_has_the_coefficients_of_a_glm_and_the_shape_of_its_likelihood() -> None:
    x, y = progression()
    found = mlnn.estimate("gamma", (x, y))
    family = sm.families.Gamma(sm.families.links.Log())
    reference = sm.GLM(y, with_constant(x), family=family).fit(tol=1e-15, maxiter=100)
    assert furthest(found.params, reference.params) < CLOSE
    assert furthest(found.bse, reference.bse) < CLOSE
    assert (found.deviance, found.dispersion) == pytest.approx((reference.deviance, reference.scale), rel=CLOSE)
    shape = found.ancillary["shape"]

    def llf(k: float) -> float:
        return float(stats.gamma.logpdf(y, k, scale=reference.mu / k).sum())

    assert found.llf == pytest.approx(llf(shape), rel=1e-12)
    assert llf(shape) > max(llf(shape * (1 + 1e-4)), llf(shape * (1 - 1e-4)))
    score = np.log(shape) + 1 - special.digamma(shape) + np.mean(np.log(y / reference.mu) - y / reference.mu)
    assert abs(score) < 1e-10


def test_a_negative_binomial_with_a_given_theta_is_a_glm() -> None:
    x, y = (np.asarray(part)[::8] for part in literature("randhie"))
    found = mlnn.estimate(NegativeBinomial(1.5), (x, y))
    family = sm.families.NegativeBinomial(alpha=1 / 1.5)
    reference = sm.GLM(y, with_constant(x), family=family).fit(tol=1e-15, maxiter=200)
    assert furthest(found.params, reference.params) < CLOSE
    assert furthest(found.bse, reference.bse) < CLOSE
    assert found.llf == pytest.approx(reference.llf, rel=CLOSE)
    assert found.ancillary == {"theta": 1.5}


def test_a_beta_regression_is_at_a_maximum_that_statsmodels_comes_near() -> None:
    x, y = progression()
    share = (y - 20) / 400
    found = mlnn.estimate("beta", (x, share), cov="observed")
    reference = BetaModel(share, with_constant(x)).fit(disp=0, maxiter=1000)
    assert found.llf >= reference.llf - 1e-9, "its optimiser stops a little below the maximum"
    assert found.llf == pytest.approx(reference.llf, rel=1e-8)
    assert furthest(found.bse, reference.bse[:-1]) < 1e-5
    assert found.ancillary["precision"] == pytest.approx(np.exp(reference.params[-1]), rel=1e-5)
    assert found.aic == pytest.approx(reference.aic, rel=1e-8)
