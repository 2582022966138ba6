"""Estimation: what is refused, what must not depend on how data are given, and what an Estimate prints."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from estimation_cases import X, Y, literature, progression, with_constant

import mlnn
from mlnn import data
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear.design import Design, design_of
from mlnn.objectives import Laplace, Normal


def test_dependent_columns_are_named() -> None:
    for extra, name in ((X[:, 0] + X[:, 1], "x3"), (np.full(200, 3.7), "x3"), (1e6 + X[:, 0], "x3")):
        for likelihood in ("bernoulli", "laplace"):
            with pytest.raises(DataError, match=rf"1 of 5 columns depend on the others.*: {name};"):
                mlnn.estimate(likelihood, (np.column_stack([X, extra]), Y))
    close = np.column_stack([X, X[:, 0] + 1e-6 * X[:, 1] ** 2])
    assert mlnn.estimate("normal", (close, Y)).converged, "near is not dependent"


def test_dummies_for_every_level_need_the_constant_gone() -> None:
    x, y = np.eye(3)[np.arange(30) % 3], np.arange(30) % 7
    with pytest.raises(DataError, match=r"1 of 4 columns depend.*x2"):
        mlnn.estimate("poisson", (x, y))
    found = mlnn.estimate("poisson", (x, y), intercept=False)
    np.testing.assert_allclose(np.exp(found.params), [y[k::3].mean() for k in range(3)], rtol=1e-12)


AS_GIVEN: dict[str, Callable[[], tuple[Any, Any]]] = {
    "lists": lambda: (X.tolist(), Y.tolist()),
    "tensors": lambda: (torch.from_numpy(X), torch.from_numpy(Y)[:, None]),
    "frame": lambda: (pd.DataFrame(X), pd.Series(Y)),
    "columns first": lambda: (np.asfortranarray(X), Y.astype(bool)),
    "reversed": lambda: (X[::-1], Y[::-1]),
    "read-only": lambda: (np.broadcast_to(X, X.shape), Y),
    "big-endian": lambda: (X.astype(">f8"), Y.astype(">i4")),
    "unsigned": lambda: (X, Y.astype(np.uint16)),
    "nullable": lambda: (pd.DataFrame(X).astype("Float64"), pd.Series(Y).astype("Int64")),
    "images": lambda: (data.from_arrays(X.reshape(200, 1, 3), Y), None),
    "dataset": lambda: (data.from_arrays(X, Y), None),
}


@pytest.mark.parametrize("given", AS_GIVEN)
def test_the_answer_does_not_depend_on_the_container(given: str) -> None:
    x, y = AS_GIVEN[given]()
    found = mlnn.estimate("bernoulli", x if y is None else (x, y))
    np.testing.assert_allclose(found.params, mlnn.estimate("bernoulli", (X, Y)).params, rtol=1e-12)


def test_names_come_from_the_columns() -> None:
    found = mlnn.estimate("bernoulli", (pd.DataFrame(X, columns=["age", "bmi", "bp"]), Y))
    assert found.names == ("age", "bmi", "bp", "const")
    assert mlnn.estimate("bernoulli", (X, Y), intercept=False).names == ("x0", "x1", "x2")


def test_weights_stand_for_rows() -> None:
    weights = np.arange(200) % 4
    found = mlnn.estimate("bernoulli", (X, Y), weights=weights)
    repeated = mlnn.estimate("bernoulli", (np.repeat(X, weights, axis=0), np.repeat(Y, weights)))
    for name in ("params", "bse", "llf", "llnull", "nobs", "df_resid", "aic", "bic", "deviance"):
        np.testing.assert_allclose(getattr(found, name), getattr(repeated, name), rtol=1e-10)
    np.testing.assert_allclose(found.cov_params("robust"), repeated.cov_params("robust"), rtol=1e-9)


def test_a_bool_column_beside_floats_is_a_dummy() -> None:
    mixed = pd.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0})
    found = mlnn.estimate("bernoulli", (mixed, Y))
    np.testing.assert_array_equal(found.params, mlnn.estimate("bernoulli", (mixed.to_numpy(float), Y)).params)
    mixed["b"] = pd.array([None, *(X[1:, 1] > 0)], dtype="boolean")
    with pytest.raises(DataError, match="row 0, column 'b' is nan"):
        mlnn.estimate("bernoulli", (mixed, Y))


def test_a_row_of_weight_0_is_not_there() -> None:
    x, y, weights = X.copy(), Y.copy(), np.ones(200)
    x[5, 1], y[6], weights[5:7] = np.nan, 9, 0
    found, without = (
        mlnn.estimate("bernoulli", (x, y), weights=weights),
        mlnn.estimate("bernoulli", (np.delete(X, [5, 6], axis=0), np.delete(Y, [5, 6]))),
    )
    np.testing.assert_array_equal(found.params, without.params)
    assert (found.nobs, found.llf) == (198, without.llf)
    fitted = mlnn.estimate("bernoulli", (x, y), weights=weights, model=lambda: torch.nn.Linear(3, 1), starts=1)
    assert fitted.llf == pytest.approx(without.llf, rel=1e-9)


def test_a_numpy_integer_is_a_number_of_iterations() -> None:
    assert mlnn.estimate("bernoulli", (X, Y), max_iter=np.int64(50)).converged  # type: ignore[call-overload]


def test_a_column_named_const_is_a_feature_where_no_constant_is_added() -> None:
    assert mlnn.estimate("normal", (pd.DataFrame(X, columns=["a", "const", "b"]), Y), intercept=False).names == (
        "a",
        "const",
        "b",
    )


def test_two_classes_are_binary() -> None:
    classes, binary = mlnn.estimate("categorical", (X, Y)), mlnn.estimate("bernoulli", (X, Y))
    np.testing.assert_allclose(classes.params, binary.params, rtol=1e-12)
    assert classes.params.shape == (4,)


def test_dispersion_has_two_conventions_and_the_likelihood_one() -> None:
    x, y = progression()
    unbiased, ml = (mlnn.estimate("normal", (x, y), dispersion=kind) for kind in ("unbiased", "ml"))
    n, p = len(y), 11
    assert ml.dispersion * n == pytest.approx(unbiased.dispersion * (n - p), rel=1e-12)
    assert ml.dispersion == pytest.approx(unbiased.deviance / n, rel=1e-12)  # type: ignore[operator]
    assert (unbiased.llf, unbiased.ancillary) == (ml.llf, ml.ancillary)
    assert ml.ancillary["sigma"] ** 2 == pytest.approx(ml.dispersion, rel=1e-12)
    assert (unbiased.use_t, ml.use_t) == (True, False)
    assert (unbiased.dispersion_kind, ml.dispersion_kind) == ("unbiased: RSS/(n−p)", "ml: RSS/n")
    given = mlnn.estimate(Normal(sigma=50.0), (x, y))
    assert (given.dispersion, given.dispersion_kind) == (2500.0, "given")
    ratio = given.bse / ml.bse  # type: ignore[operator]
    np.testing.assert_allclose(ratio, 50 / ml.ancillary["sigma"], rtol=1e-10)


def test_aic_says_what_it_counts() -> None:
    x, y = progression()
    normal, beta = mlnn.estimate("normal", (x, y)), mlnn.estimate("beta", (x, (y - 20) / 400))
    assert (normal.parameters, beta.parameters) == (11, 12)
    assert "do not count it" in normal.notes[0]
    assert "BIC count it" in beta.notes[0]
    assert "kept as given or by default: df=4" in mlnn.estimate("student_t", (x, (y - 150) / 50)).notes[0]


def test_data_are_viewed_and_not_copied() -> None:
    x = np.asfortranarray(X)
    design, _ = design_of((x, Y), family_of("bernoulli"), True, None)
    assert design.x.data_ptr() == x.__array_interface__["data"][0]
    assert isinstance(design, Design)
    before = x.copy()
    mlnn.estimate("bernoulli", (x, Y))
    assert np.array_equal(x, before)


def test_the_summary_prints_like_a_package_and_the_dict_is_plain() -> None:
    found = mlnn.estimate("bernoulli", literature("spector"))
    lines = found.summary().splitlines()
    assert any(line.split() == ["GPA", "2.8261", "1.2629", "2.238", "0.025", "0.351", "5.301"] for line in lines)
    assert max(map(len, lines)) <= 84
    plain = found.to_dict()
    assert plain["params"] == found.params.tolist()
    assert "information" not in plain
    classes = mlnn.estimate("categorical", literature("anes96")).summary()
    assert classes.count("std err") == 6


def test_kinks_have_a_scale_and_standard_errors() -> None:
    found = mlnn.estimate("laplace", progression())
    assert "nan" not in found.summary()
    assert "std err" in found.summary()
    assert "no curvature" not in found.summary()
    residual = progression()[1] - with_constant(progression()[0]) @ found.params
    assert found.ancillary["scale"] == pytest.approx(np.abs(residual).mean(), rel=1e-12)
    given = mlnn.estimate(Laplace(scale=3.0), progression())
    np.testing.assert_allclose(given.params, found.params, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda found: found.wald_test("GAP"), "Did you mean 'GPA'"),
        (lambda found: found.wald_test([]), "at least one"),
        (lambda found: found.wald_test(0), "unknown coefficient '0'"),
        (lambda found: found.wald_test([0]), "unknown coefficient '0'"),
        (lambda found: found.wald_test(["GPA", "PSI"], [1, 2, 3]), "one finite number or 2"),
        (lambda found: found.wald_test("GPA", np.nan), "one finite number or 1"),
        (lambda found: found.wald_test("GPA", "much"), "must be numbers"),
        (lambda found: found.conf_int(95), "strictly between 0 and 1"),
        (lambda found: found.conf_int("0.95"), "strictly between 0 and 1"),
        (lambda found: found.cov_params("HC4"), "unknown covariance 'HC4'"),
    ],
)
def test_bad_questions_to_an_estimate_are_refused(call: Callable[[Any], Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        call(mlnn.estimate("bernoulli", literature("spector")))
