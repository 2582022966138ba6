"""What estimation says where there is no maximum, and when it may say that there is one."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from estimation_cases import COUNTS, X, Y, synthetic

import mlnn
from mlnn import data
from mlnn.errors import ConfigError
from mlnn.estimating import NotConvergedError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear.design import design_of
from mlnn.estimating.linear.existence import certain
from mlnn.estimating.linear.newton import newton
from mlnn.estimating.linear.start import start


@pytest.mark.parametrize("likelihood", ["bernoulli", "gamma"])
def test_too_few_iterations_are_not_called_a_maximum(likelihood: str) -> None:
    y = Y if likelihood == "bernoulli" else np.exp(X[:, 0] + 0.1 * X[:, 1] ** 2)
    with pytest.raises(NotConvergedError, match=r"max_iter=1 iterations are over.*standard errors long") as caught:
        mlnn.estimate(likelihood, (X, y), max_iter=1)
    assert caught.value.exit_code == 4
    assert math.isfinite(caught.value.reached)
    assert mlnn.estimate(likelihood, (X, y)).gradient_norm < 1e-9


def test_complete_separation_is_stated_and_not_tabulated() -> None:
    found = mlnn.estimate("bernoulli", data.breast_cancer(held_out=0.0))
    assert (found.separation, found.converged, found.llf, found.bse) == ("complete", False, 0.0, None)
    assert not np.isfinite(found.params).any()
    assert found.llr_pvalue is None
    assert (found.aic, found.bic, found.deviance) == (None, None, None)
    text = found.summary()
    assert "complete separation" in text
    assert "grows like the logarithm" in text
    assert "std err" not in text
    for call in (found.cov_params, found.conf_int, lambda: found.wald_test("const"), lambda: found.pvalues):
        with pytest.raises(ConfigError, match="complete separation"):
            call()


@pytest.mark.parametrize("likelihood", ["bernoulli", "bernoulli_probit"])
def test_quasi_separation_keeps_what_the_overlapping_rows_fix(likelihood: str) -> None:
    x = (X[:, :2] > 0).astype(float)
    y = np.where(x[:, 0] > 0, 1.0, Y)  # the first dummy's rows are all successes
    found = mlnn.estimate(likelihood, (x, y))
    assert found.separation == "quasi"
    assert found.params[0] == np.inf
    rest = x[:, 0] == 0
    alone = mlnn.estimate(likelihood, (x[rest, 1:], y[rest]))
    np.testing.assert_allclose(found.params[1:], alone.params, rtol=1e-9)
    assert found.llf == pytest.approx(alone.llf, rel=1e-12)
    assert "x0 → +∞" in found.summary()
    assert f"x1 = {alone.params[0]:.6g}" in found.summary()


def test_counts_separate_where_a_dummy_has_zeros_only() -> None:
    x = (X[:, :2] > 0).astype(float)
    y = np.where(x[:, 0] > 0, 0.0, COUNTS)
    found = mlnn.estimate("poisson", (x, y))
    rest = x[:, 0] == 0
    alone = mlnn.estimate("poisson", (x[rest, 1:], y[rest]))
    assert (found.separation, found.params[0]) == ("quasi", -np.inf)
    np.testing.assert_allclose(found.params[1:], alone.params, rtol=1e-9)
    assert found.llf == pytest.approx(alone.llf, rel=1e-12)


def test_weights_of_zero_do_not_overlap() -> None:
    x = np.append(np.linspace(-1, 1, 20), 5.0)
    y = np.append(x[:20] > 0, 0.0).astype(float)
    assert mlnn.estimate("bernoulli", (x, y)).separation == "none"
    assert mlnn.estimate("bernoulli", (x, y), weights=np.append(np.ones(20), 0.0)).separation == "complete"


def test_a_share_pins_its_row() -> None:
    x = np.linspace(-1, 1, 20)
    y = (x > 0).astype(float)
    assert mlnn.estimate("bernoulli", (x, y), weights=np.full(20, 4.0)).separation == "complete"
    y[[3, 15]] = 0.25, 0.75
    assert mlnn.estimate("bernoulli", (x, y), weights=np.full(20, 4.0)).separation == "none"


@pytest.mark.parametrize(
    ("likelihood", "x", "y", "sign", "llf"),
    [
        ("bernoulli", [-1, 0, 1], [0, 1, 1], 1, -math.log(2)),
        ("poisson", [1, 1, 0, 0], [0, 0, 1, 2], -1, -2 - math.log(2)),
    ],
)
def test_rows_of_nothing_but_0_overlap_and_fix_no_coefficient(
    likelihood: str, x: list[int], y: list[int], sign: int, llf: float
) -> None:
    found = mlnn.estimate(likelihood, (x, y), intercept=False)
    assert (found.separation, found.params[0]) == ("quasi", sign * np.inf)
    assert found.llf == pytest.approx(llf, rel=1e-14)


@pytest.mark.parametrize("max_iter", [4, 12, 100])
def test_three_classes_of_which_two_overlap_are_quasi_separated(max_iter: int) -> None:
    """Iris: the supremum is the maximum of versicolor against virginica, however few steps the caller allows."""
    found = mlnn.estimate("categorical", data.iris(held_out=0.0), max_iter=max_iter)
    pair = mlnn.estimate("bernoulli", data.iris_pair(held_out=0.0))
    assert found.separation == "quasi"
    assert not np.isfinite(found.params).any()
    assert found.llf == pytest.approx(pair.llf, abs=1e-8)


def certified(name: str, x: Any, y: Any) -> bool:
    design, family = design_of((x, y), family_of(name), True, None)
    return certain(family, design, newton(family, design, start(family, design)))


@pytest.mark.parametrize("name", ["bernoulli", "bernoulli_probit", "categorical", "poisson"])
def test_the_certificate_spares_the_linear_programme_and_never_certifies_separated_rows(name: str) -> None:
    x, y = synthetic(name)
    assert certified(name, x, y)
    apart = x.clone()
    apart[:, 0] = (y == y.max()) * 1.0 if name != "poisson" else (y == 0) * 1.0
    assert not certified(name, apart, y)


def test_a_gradient_that_is_not_small_certifies_nothing() -> None:
    design, family = design_of((X, Y), family_of("bernoulli"), True, None)
    fit = newton(family, design, start(family, design))
    assert certain(family, design, fit)
    assert not certain(family, design, dataclasses.replace(fit, push=1.0))


def test_a_sample_without_a_rare_column_does_no_harm() -> None:
    rare = (np.arange(17_000) == 1).astype(float)  # in no 17th row
    y = (np.arange(17_000) % 3 == 0).astype(float)
    y[1], x = 1, np.column_stack([rare, np.arange(17_000) % 5])
    assert mlnn.estimate("bernoulli", (x, y)).params[0] == np.inf


def beside_a_dummy(*columns: Any) -> list[bool]:
    """Which coefficients are finite beside a dummy whose 12 rows are all successes; y follows the last column."""
    y = np.where(DUMMY > 0, 1.0, columns[-1] + np.random.default_rng(1).logistic(size=60) > 0)
    found = mlnn.estimate("bernoulli", (np.column_stack([DUMMY, *columns]), y))
    assert (found.separation, found.params[0]) == ("quasi", np.inf)
    return np.isfinite(found.params[1:]).tolist()


DUMMY = (np.arange(60) < 12).astype(float)
A, B, C = np.random.default_rng(0).normal(size=(3, 60))


@pytest.mark.parametrize("share", [1e-8, 1.0])
def test_no_column_is_fixed_that_another_holds_a_little_of(share: float) -> None:
    """In the rows that are left: in those of the dummy the second column is another."""
    assert beside_a_dummy(A, A + share * C + DUMMY * B, C) == [False, False, False, True]


@pytest.mark.rest
@pytest.mark.sampled(2)
@pytest.mark.parametrize("apart", [1e-8, 1e-10])
def test_columns_of_the_rows_that_are_left_are_told_apart_down_to_rounding(apart: float) -> None:
    assert beside_a_dummy(A, A + apart * B) == [True, True, True]
