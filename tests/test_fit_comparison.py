"""Two fits compared: the test of nested ones against statsmodels, and everything that makes it no test."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from estimation_cases import X, literature, progression, with_constant
from fit_cases import COUNTS, HARD, POSITIVE, PRECISE, REAL, TIMES
from scipy import stats
from torch import nn

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import FitComparison
from mlnn.likelihoods import Gamma, NegativeBinomial, Normal

x, y = progression()
TARGET = np.tanh(X[:, 0]) + 0.1 * REAL


def test_the_likelihood_ratio_is_that_of_statsmodels() -> None:
    exog, endog = literature("spector")
    fits = mlnn.estimate("bernoulli", (exog[["TUCE"]], endog)), mlnn.estimate("bernoulli", (exog, endog))
    small, large = (
        sm.GLM(np.asarray(endog), with_constant(part), family=sm.families.Binomial()).fit(**PRECISE)
        for part in (exog[["TUCE"]], exog)
    )
    for pair, names in ((fits, ("a", "b")), (fits[::-1], ("b", "a"))):
        found = mlnn.compare_fits(*pair)
        assert (found.smaller, found.larger) == names
        assert found.statistic == pytest.approx(2 * (large.llf - small.llf), rel=1e-9)
        assert (found.df, found.test.distribution) == (2, "chi2")
        assert found.pvalue == pytest.approx(stats.chi2.sf(2 * (large.llf - small.llf), 2), rel=1e-9)
        assert sorted(found.aic) == pytest.approx(sorted([small.aic, large.aic]), rel=1e-9)
        assert found.bic == tuple(fit.bic for fit in pair)


def test_normal_fits_with_an_unbiased_dispersion_have_an_f_test_as_in_an_anova() -> None:
    small, large = sm.OLS(y, with_constant(x[:, :5])).fit(), sm.OLS(y, with_constant(x)).fit()
    found = mlnn.compare_fits(mlnn.estimate("normal", (x[:, :5], y)), mlnn.estimate("normal", (x, y)))
    assert (found.statistic, found.pvalue, found.df) == pytest.approx(large.compare_f_test(small), rel=1e-9)
    assert found.test.df_resid == 431
    plain = mlnn.compare_fits(*(mlnn.estimate("normal", (part, y), dispersion="ml") for part in (x[:, :5], x)))
    assert (plain.statistic, plain.pvalue, plain.df) == pytest.approx(large.compare_lr_test(small), rel=1e-9)
    assert plain.llr == found.llr == plain.statistic


def test_gamma_fits_have_the_f_test_of_their_deviances() -> None:
    family = sm.families.Gamma(sm.families.links.Log())
    small, large = (
        sm.GLM(POSITIVE, with_constant(part), family=family, freq_weights=TIMES).fit(**PRECISE)
        for part in (X[:, :2], X)
    )
    found = mlnn.compare_fits(*(mlnn.estimate("gamma", (part, POSITIVE), weights=TIMES) for part in (X[:, :2], X)))
    ratio = (small.deviance - large.deviance) / large.scale
    assert found.statistic == pytest.approx(ratio, rel=1e-8)
    assert found.pvalue == pytest.approx(stats.f.sf(ratio, 1, large.df_resid), rel=1e-8)


def test_nested_is_what_the_columns_span_whatever_they_are_called() -> None:
    mixed = x[:, :5] @ np.random.default_rng(0).normal(size=(5, 3)) + 7.0
    large = mlnn.estimate("normal", (x, y))
    assert mlnn.compare_fits(mlnn.estimate("normal", (mixed, y)), large).df == 7
    assert mlnn.compare_fits(mlnn.estimate("normal", (mixed.astype(np.float64) * 1e6, y)), large).df == 7
    beside = np.column_stack([x[:, :2], x[:, 3] ** 2])
    found = mlnn.compare_fits(mlnn.estimate("normal", (beside, y)), large)
    assert (found.test, found.pvalue) == (None, None)
    assert "x2 of a is no combination of the columns of b" in found.sentence
    assert found.aic[0] > found.aic[1]
    near = x[:, :2] * np.array([1.0, 1.0]) + 1e-6 * np.random.default_rng(1).normal(size=(442, 2))
    assert mlnn.compare_fits(mlnn.estimate("normal", (near, y)), large).test is None


def test_poisson_inside_negative_binomial_lies_at_an_end() -> None:
    poisson, free = mlnn.estimate("poisson", (X, COUNTS)), mlnn.estimate("negative_binomial", (X, COUNTS))
    found = mlnn.compare_fits(poisson, free)
    assert (found.df, found.test.distribution) == (1, "½chi2(0) + ½chi2(1)")
    assert found.pvalue == pytest.approx(stats.chi2.sf(found.llr, 1) / 2, rel=1e-12)
    fewer = mlnn.compare_fits(mlnn.estimate("poisson", (X[:, :2], COUNTS)), free)
    assert fewer.pvalue == pytest.approx((stats.chi2.sf(fewer.llr, 1) + stats.chi2.sf(fewer.llr, 2)) / 2, rel=1e-12)
    assert (
        "is not known to be a case"
        in mlnn.compare_fits(poisson, mlnn.estimate(NegativeBinomial(theta=2.0), (X, COUNTS))).sentence
    )


@pytest.mark.parametrize(
    ("given", "free"), [(NegativeBinomial(theta=3.0), "negative_binomial"), (Gamma(shape=4.0), "gamma")]
)
def test_a_number_that_was_given_lies_inside_one_that_is_estimated(given: Any, free: str) -> None:
    targets = COUNTS if free == "negative_binomial" else POSITIVE
    small, large = mlnn.estimate(given, (X[:, :2], targets)), mlnn.estimate(free, (X, targets))
    found = mlnn.compare_fits(small, large)
    assert (found.df, found.test.distribution) == (2, "chi2")
    assert found.statistic == pytest.approx(2 * (large.llf - small.llf))
    other = mlnn.compare_fits(mlnn.estimate(free, (X[:, :1], targets)), mlnn.estimate(given, (X, targets)))
    assert "estimates" in other.sentence
    assert "which b was given" in other.sentence


def linear() -> nn.Module:
    return nn.Linear(3, 1)


class Bent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 1), nn.Linear(1, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.outer(torch.tanh(self.inner(rows)))


def test_models_that_are_linear_in_their_parameters_are_seen_to_be_nested() -> None:
    small = mlnn.estimate("poisson", (X[:, :1], COUNTS))
    one, two = (
        mlnn.compare_fits(small, mlnn.estimate("poisson", (X, COUNTS), **how)) for how in ({}, {"model": linear})
    )
    assert one.df == two.df == 2
    assert two.statistic == pytest.approx(one.statistic, rel=1e-8)


def test_of_other_models_nesting_is_the_callers_claim() -> None:
    large = mlnn.estimate("normal", (X, TARGET), model=Bent)
    small = mlnn.estimate("normal", (X[:, :1], TARGET))
    unsaid = mlnn.compare_fits(small, large)
    assert unsaid.test is None
    assert "nested=True claims that it does" in unsaid.sentence
    said = mlnn.compare_fits(small, large, nested=True)
    assert said.df == 4
    assert any("the caller's claim" in note for note in said.notes)


@pytest.mark.parametrize(
    ("pair", "error", "sentence"),
    [
        (lambda: (poisson(), poisson(y=COUNTS[::-1].copy())), DataError, "y of row 0 is"),
        (lambda: (poisson(), poisson(weights=TIMES)), DataError, "the weight of row 1 is 1 in a and 2 in b"),
        (lambda: (poisson(), poisson(x=X[:9], y=COUNTS[:9])), DataError, "a is of 200 rows and b of 9"),
        (lambda: (poisson(), mlnn.estimate("normal", (X, COUNTS))), ConfigError, "cannot be compared"),
        (lambda: (poisson(), 3), ConfigError, "b must be a fit of mlnn.estimate, found int"),
        (lambda: (separated(), separated()), ConfigError, "a has no finite maximum"),
    ],
)
def test_what_cannot_be_compared_is_refused(pair: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        mlnn.compare_fits(*pair())


def poisson(x: Any = X, y: Any = COUNTS, weights: Any = None) -> Any:
    return mlnn.estimate("poisson", (x, y), weights=weights)


def separated() -> Any:
    return mlnn.estimate("bernoulli", ([[-1.0], [1.0]], [0.0, 1.0]))


def test_equal_sizes_other_likelihoods_and_unidentified_models_are_no_test() -> None:
    same = mlnn.compare_fits(mlnn.estimate("bernoulli", (X, HARD)), mlnn.estimate("bernoulli_probit", (X, HARD)))
    assert "bernoulli is not known to be a case of bernoulli_probit" in same.sentence
    assert "both estimate as many numbers" in mlnn.compare_fits(poisson(), poisson()).sentence
    wide = mlnn.estimate("categorical", (X, HARD), model=lambda: nn.Linear(3, 2))
    assert "b is not identified" in mlnn.compare_fits(mlnn.estimate("categorical", (X[:, :1], HARD)), wide).sentence


def test_of_different_likelihoods_aic_counts_every_estimated_number() -> None:
    normal, other = mlnn.estimate("normal", (X, REAL)), mlnn.estimate("student_t", (X, REAL))
    found = mlnn.compare_fits(normal, other)
    assert found.aic == pytest.approx((normal.aic + 2, other.aic))
    assert any("count every estimated number" in note for note in found.notes)
    fixed = mlnn.compare_fits(mlnn.estimate(Normal(sigma=1.0), (X, REAL)), normal)
    assert fixed.df == 1
    assert fixed.aic[1] == pytest.approx(normal.aic + 2)


@pytest.mark.parametrize(("likelihood", "noted"), [("student_t", True), (Normal(sigma=1.0), True), ("normal", False)])
def test_a_scale_that_was_not_estimated_is_an_assumption_of_the_test(likelihood: Any, noted: bool) -> None:
    found = mlnn.compare_fits(*(mlnn.estimate(likelihood, (part, REAL)) for part in (X[:, :1], X)))
    assert found.df == 2
    assert any("very density that was given" in note for note in found.notes) is noted


class Own:
    def nll(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")


def test_a_likelihood_of_ones_own_is_compared_with_itself_and_noted_beside_others() -> None:
    small, large = (mlnn.estimate(Own(), (part, HARD)) for part in (X[:, :1], X))
    found = mlnn.compare_fits(small, large)
    assert found.statistic == pytest.approx(2 * (large.llf - small.llf))
    assert not any("what its nll gives" in note for note in found.notes)
    other = mlnn.compare_fits(small, mlnn.estimate("bernoulli", (X, HARD)))
    assert other.test is None
    assert any("of a is what its nll gives" in note for note in other.notes)


def test_robust_standard_errors_do_not_make_the_test_robust() -> None:
    found = mlnn.compare_fits(poisson(x=X[:, :1]), mlnn.estimate("poisson", (X, COUNTS), cov="HC0"))
    assert any(note.startswith("standard errors of b are robust") for note in found.notes)


def test_a_claim_that_the_log_likelihoods_contradict_is_no_test() -> None:
    small = mlnn.estimate("normal", (np.column_stack([X[:, 0], TARGET + 0.01 * COUNTS]), TARGET))
    large = mlnn.estimate("normal", (X, TARGET), model=Bent)
    found = mlnn.compare_fits(small, large, nested=True)
    assert found.test is None
    assert "b, the larger, is less likely" in found.sentence


def test_a_comparison_is_shown_and_written() -> None:
    found = mlnn.compare_fits(poisson(x=X[:, :1]), poisson())
    assert isinstance(found, FitComparison)
    assert "a inside b: likelihood ratio" in repr(found)
    assert found._repr_html_().count("<tr>") == 4
    told = found.summary()
    assert "Two fits of the same rows" in told
    assert told._repr_html_().count("<tr>") == 3
    plain = found.to_dict()
    assert plain["test"]["pvalue"] == found.pvalue
    assert plain["second"]["llf"] == poisson().llf
    one = mlnn.compare_fits(poisson(x=X[:, :2]), poisson())
    assert "on 1 degree of freedom" in one.sentence
