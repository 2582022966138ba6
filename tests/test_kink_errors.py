"""Standard errors of quantile fits: by a kernel to statsmodels' digits, by resampling as the estimates vary."""

import numpy as np
import pytest
from numpy.random import default_rng

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.linear.kinks import bandwidth
from mlnn.estimating.linear.linear_programme import Rows
from mlnn.likelihoods import AsymmetricLaplace, FlatToppedLaplace, Laplace

NOISE = default_rng(5)
X = NOISE.standard_normal((300, 2))
Y = X @ [1.0, -0.5] + NOISE.standard_t(3, 300)


pytestmark = [
    pytest.mark.filterwarnings("ignore:Convergence cycle detected"),  # statsmodels' steps end in the last digits
    pytest.mark.filterwarnings("ignore:Maximum number of iterations"),
]


@pytest.mark.parametrize("tau", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_engel_data_as_statsmodels_has_them(tau: float) -> None:
    api = pytest.importorskip("statsmodels.api")
    table = api.datasets.engel.load_pandas().data
    x, y = table[["income"]], table["foodexp"]
    reference = api.QuantReg(y, api.add_constant(x, prepend=False)).fit(q=tau, max_iter=5000, p_tol=1e-12)
    found = mlnn.estimate(AsymmetricLaplace(tau), (x, y))
    assert (found.cov, found.use_t) == ("kernel", True)
    np.testing.assert_allclose(found.params, reference.params, rtol=1e-6)
    np.testing.assert_allclose(found.bse, reference.bse, rtol=1e-6)
    np.testing.assert_allclose(found.cov_params(), reference.cov_params(), rtol=1e-5)
    np.testing.assert_allclose(found.conf_int(), reference.conf_int(), rtol=1e-5)
    np.testing.assert_allclose(found.pvalues, reference.pvalues, rtol=1e-4, atol=1e-14)


def test_stackloss_as_statsmodels_has_it() -> None:
    api = pytest.importorskip("statsmodels.api")
    data = api.datasets.stackloss.load_pandas()
    reference = api.QuantReg(data.endog, api.add_constant(data.exog, prepend=False)).fit(
        q=0.5, max_iter=5000, p_tol=1e-12
    )
    found = mlnn.estimate("laplace", (data.exog, data.endog))
    np.testing.assert_allclose(found.params, reference.params, rtol=2e-6)
    np.testing.assert_allclose(found.bse, reference.bse, rtol=2e-6)
    assert found.ancillary_bse["scale"] == pytest.approx(found.ancillary["scale"] / 21**0.5, rel=1e-12)
    assert Rows.of(*_of(found)).tau == 0.5
    assert bandwidth(Rows.of(*_of(found)), np.asarray(reference.resid)) == pytest.approx(reference.bandwidth, rel=1e-6)


def _of(found: mlnn.Estimate) -> tuple:  # type: ignore[type-arg]
    assert found.kinks is not None
    return found.kinks.family, found.kinks.design


def test_extreme_quantiles_of_few_rows_have_a_bandwidth() -> None:
    """τ ± h leaves (0, 1): statsmodels then gives NaN, R's quantreg halves h."""
    found = mlnn.estimate(AsymmetricLaplace(0.03), (X[:30], Y[:30]))
    assert np.isfinite(found.bse).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("likelihood", ["laplace", AsymmetricLaplace(0.8), FlatToppedLaplace(0.3)])
def test_rows_of_weight_two_are_two_rows(likelihood: object) -> None:
    weights = 1 + np.arange(80) % 3
    found = mlnn.estimate(likelihood, (X[:80], Y[:80]), weights=weights)
    again = mlnn.estimate(likelihood, (np.repeat(X[:80], weights, axis=0), np.repeat(Y[:80], weights)))
    np.testing.assert_allclose(found.params, again.params, rtol=1e-9)
    np.testing.assert_allclose(found.bse, again.bse, rtol=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("likelihood", ["laplace", AsymmetricLaplace(0.3), FlatToppedLaplace(0.2)])
def test_kernel_and_samples_agree_where_the_spread_is_one(likelihood: object) -> None:
    kernel = mlnn.estimate(likelihood, (X, Y))
    drawn = mlnn.estimate(likelihood, (X, Y), cov="bootstrap", draws=100)
    assert drawn.cov == "bootstrap"
    np.testing.assert_array_equal(drawn.params, kernel.params)
    np.testing.assert_allclose(drawn.bse, kernel.bse, rtol=0.35)  # type: ignore[arg-type]


def test_samples_see_a_spread_that_changes_with_x() -> None:
    spread = np.abs(X[:, 0]) ** 2 * NOISE.standard_normal(300)
    kernel, drawn = (
        mlnn.estimate("laplace", (X, X[:, 1] + spread), cov=cov, draws=100) for cov in ("kernel", "bootstrap")
    )
    assert drawn.bse[0] > 2 * kernel.bse[0]  # type: ignore[index]


@pytest.mark.parametrize("cov", ["kernel", "bootstrap"])
def test_an_offset_is_taken_off_the_targets(cov: str) -> None:
    given = mlnn.estimate("laplace", (X[:60], Y[:60] + X[:60, 0]), offset=X[:60, 0], cov=cov, draws=20)
    plain = mlnn.estimate("laplace", (X[:60], Y[:60]), cov=cov, draws=20)
    np.testing.assert_allclose(given.params, plain.params, atol=1e-12)
    np.testing.assert_allclose(given.bse, plain.bse, rtol=1e-9)  # type: ignore[arg-type]


def test_samples_come_from_their_seed() -> None:
    one, same, other = (
        mlnn.estimate("laplace", (X[:50], Y[:50]), cov="bootstrap", draws=20, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.cov_params(), same.cov_params())
    assert one.ancillary_bse == same.ancillary_bse
    assert (one.cov_params() != other.cov_params()).any()
    assert "20 samples" in one.notes[0]
    assert "seed 1" in one.notes[0]


def test_what_cannot_be_had_is_refused() -> None:
    found = mlnn.estimate("laplace", (X, Y))
    for cov in ("expected", "robust", "kernel"):
        np.testing.assert_array_equal(mlnn.estimate("laplace", (X, Y), cov=cov).bse, found.bse)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.cov_params(cov), found.cov_params())
    for call, words in (
        (lambda: found.cov_params("bootstrap"), "estimate with cov='bootstrap'"),
        (lambda: found.cov_params("observed"), "no curvature"),
        (lambda: found.cov_params("HC1"), "unknown covariance 'HC1'"),
        (lambda: mlnn.estimate("laplace", (X, Y), cov="observed"), "no curvature"),
        (lambda: mlnn.estimate("normal", (X, Y), cov="kernel"), "kinks"),
        (lambda: mlnn.estimate("laplace", (X, Y), cov="bootstrap", draws=1), "draws: at least 2"),
        (lambda: mlnn.estimate("laplace", (X, Y), cov="bootstrap", weights=np.full(300, 0.5)), "not whole"),
    ):
        with pytest.raises(ConfigError, match=words):
            call()


def test_a_level_that_most_samples_miss_is_told() -> None:
    rare = np.zeros((40, 1))
    rare[7] = 1
    with pytest.raises(DataError, match="rare level"):
        mlnn.estimate(
            "laplace", (np.c_[rare, rare * 0 + (np.arange(40) == 9)[:, None]], Y[:40]), cov="bootstrap", draws=30
        )
    found = mlnn.estimate("laplace", (rare, Y[:40]), cov="bootstrap", draws=30)
    assert "dependent columns and were left out" in found.notes[0]


def test_rows_that_are_mostly_met_have_no_density() -> None:
    y = np.where(np.arange(60) % 10 == 0, Y[:60], 0.0)
    found = mlnn.estimate(Laplace(1.0), (np.zeros((60, 0)), y))
    assert np.isnan(found.bse).all()  # type: ignore[arg-type]
    assert "met exactly" in found.notes[0]
    assert "nan" not in found.summary()
