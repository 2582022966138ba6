"""The estimates against certified values, closed forms and conditions of optimality."""

from typing import Any

import numpy as np
import pytest
from estimation_cases import furthest, literature, progression, with_constant

import mlnn
from mlnn import data
from mlnn.objectives import AsymmetricLaplace

LONGLEY = (
    15.0618722713733,
    -0.0358191792925910,
    -2.02022980381683,
    -1.03322686717359,
    -0.0511041056535807,
    1829.15146461355,
    -3482258.63459582,
)
LONGLEY_SE = (
    84.9149257747669,
    0.334910077722432e-01,
    0.488399681651699,
    0.214274163161675,
    0.226073200069370,
    455.478499142212,
    890420.383607373,
)


def test_longley_has_its_certified_values() -> None:
    """Coefficients, standard errors and residual sum of squares certified by NIST (StRD, Longley)."""
    found = mlnn.estimate("normal", data.longley())
    assert furthest(found.params, LONGLEY) < 1e-11
    assert furthest(found.bse, LONGLEY_SE) < 1e-11
    assert found.deviance == pytest.approx(836424.055505915, rel=1e-12)
    assert found.dispersion == pytest.approx(836424.055505915 / 9, rel=1e-12)
    assert furthest(np.asarray(LONGLEY) * (1 + 1e-10), LONGLEY) > 1e-11, "the comparison itself can fail"


def test_spector_has_the_published_values() -> None:
    """Stata's logit, as stored in statsmodels' tests, to the 1.3e-7 that its single-precision data allow."""
    found = mlnn.estimate("bernoulli", literature("spector"))
    assert found.names == ("GPA", "TUCE", "PSI", "const")
    assert furthest(found.params, [2.82611297201, 0.0951576702557, 2.37868772835, -13.0213483201]) < 2e-7
    assert furthest(found.bse, [1.26294114526, 0.141554207662, 1.06456430165, 4.93132462871]) < 2e-7
    assert found.llf == pytest.approx(-12.8896334653335, rel=1e-7)
    assert found.llr == pytest.approx(15.4041924625676, rel=1e-7)


def test_the_one_node_sigmoid_has_its_values() -> None:
    """Spector without a bias; reference: Newton's method with 40 digits (mpmath), printed to 12."""
    found = mlnn.estimate("bernoulli", literature("spector"), intercept=False)
    assert furthest(found.params, [0.299335922808, -0.101472481804, 1.63635739039]) < 1e-11
    assert furthest(found.bse, [0.681541514327, 0.0995626033228, 0.812619959795]) < 1e-10
    assert found.llf == pytest.approx(-18.770572156572733, rel=1e-14)
    assert found.llr_pvalue is None, "a constant alone is not nested in a model without one"


def test_dobson_has_its_closed_form() -> None:
    outcome, treatment = np.tile(np.eye(3)[:, 1:], (3, 1)), np.repeat(np.eye(3)[:, 1:], 3, axis=0)
    y = np.array([18, 17, 15, 20, 10, 20, 25, 13, 12])
    found = mlnn.estimate("poisson", (np.hstack([outcome, treatment]), y))
    exact = [np.log(40 / 63), np.log(47 / 63), 0, 0, np.log(21)]
    np.testing.assert_allclose(found.params, exact, rtol=1e-13, atol=1e-14)
    assert found.deviance == pytest.approx(5.12914107700115, rel=1e-12)
    assert found.llf == pytest.approx(-23.380659200978837, rel=1e-14)


@pytest.mark.parametrize("successes", [1, 5, 10, 19])
def test_a_constant_alone_has_its_closed_form(successes: int) -> None:
    y = (np.arange(20) < successes).astype(float)  # 10: every linear predictor is exactly 0, where stable forms fold
    found = mlnn.estimate("bernoulli", (np.zeros((20, 0)), y))
    share = successes / 20
    assert found.params[0] == pytest.approx(np.log(share / (1 - share)), rel=1e-14, abs=1e-15)
    assert found.bse is not None
    assert found.bse[0] == pytest.approx((20 * share * (1 - share)) ** -0.5, rel=1e-14)
    assert found.llf == found.llnull


def test_a_dummy_has_the_log_odds_ratio() -> None:
    x = np.repeat([0.0, 0.0, 1.0, 1.0], [7, 11, 5, 3])
    y = np.repeat([0.0, 1.0, 0.0, 1.0], [7, 11, 5, 3])
    found = mlnn.estimate("bernoulli", (x, y))
    assert found.params[0] == pytest.approx(np.log(3 * 7 / (5 * 11)), rel=1e-13)
    assert found.bse is not None
    assert found.bse[0] == pytest.approx((1 / 7 + 1 / 11 + 1 / 5 + 1 / 3) ** 0.5, rel=1e-13)


@pytest.mark.parametrize(
    ("dataset", "kwargs", "llf", "norm"),
    [
        ("breast_cancer", {"intercept": False}, -13.611028, 425.0),
        ("iris_pair", {}, -5.949273, None),
    ],
)
def test_known_maxima_are_reached(dataset: str, kwargs: dict[str, Any], llf: float, norm: float | None) -> None:
    found = mlnn.estimate("bernoulli", getattr(data, dataset)(held_out=0.0), **kwargs)
    assert found.separation == "none"
    assert found.llf == pytest.approx(llf, abs=1e-6)
    if norm:
        assert np.linalg.norm(found.params) == pytest.approx(norm, abs=1)


def test_a_nearly_separated_maximum_is_reached() -> None:
    whole = data.breast_cancer(held_out=0.0)
    found = mlnn.estimate("bernoulli", (whole.x[:, :10], whole.y))
    assert found.llf == pytest.approx(-73.065209, abs=1e-6)


def multipliers(tau: float, beta: np.ndarray) -> np.ndarray:
    """Of the rows that a quantile regression meets: what the other rows' slopes leave for them, Xᵀψ = 0.

    Optimal iff all lie in [τ−1, τ] (Koenker & Bassett 1978, theorem 3.3).
    """
    x, y = progression()
    residual = y - with_constant(x) @ beta
    met = np.abs(residual) < 1e-9 * np.abs(y).max()
    assert met.sum() == len(beta), "a vertex meets as many rows as there are coefficients"
    slope = np.where(residual > 0, tau, tau - 1)[~met]
    return np.linalg.solve(with_constant(x)[met].T, -with_constant(x)[~met].T @ slope)


@pytest.mark.parametrize("tau", [0.25, 0.5])
def test_a_quantile_regression_meets_the_condition_of_its_optimum(tau: float) -> None:
    x, y = progression()
    found = mlnn.estimate(AsymmetricLaplace(tau), (x, y))
    inside = multipliers(tau, found.params)
    assert inside.min() >= tau - 1 - 1e-9
    assert inside.max() <= tau + 1e-9
    other = mlnn.estimate(AsymmetricLaplace(tau + 0.1), (x, y)).params
    outside = multipliers(tau, other)
    assert outside.max() > tau + 1e-3 or outside.min() < tau - 1 - 1e-3, "another vertex does not"
    residual = y - with_constant(x) @ found.params
    cost = np.maximum(tau * residual, (tau - 1) * residual).sum()
    assert found.llf == pytest.approx(len(y) * np.log(tau * (1 - tau)) - cost, rel=1e-12)
