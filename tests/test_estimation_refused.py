"""Estimation: bad input is refused with a sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from estimation_cases import COUNTS, X, Y

import mlnn
from mlnn.errors import ConfigError, DataError, MlnnError
from mlnn.objectives import Bernoulli

REFUSED: dict[str, tuple[Callable[[], Any], type[MlnnError], str]] = {
    "unknown name": (lambda: mlnn.estimate("bernuli", (X, Y)), ConfigError, "Did you mean 'bernoulli'"),
    "a class": (lambda: mlnn.estimate(Bernoulli, (X, Y)), ConfigError, "give an instance, Bernoulli()"),
    "a loss": (lambda: mlnn.estimate(torch.nn.MSELoss(), (X, Y)), ConfigError, "has no nll"),
    "no target": (lambda: mlnn.estimate("normal", X), ConfigError, "a pair"),
    "nothing to estimate": (
        lambda: mlnn.estimate("normal", (X[:, :0], Y), intercept=False),
        ConfigError,
        "nothing to estimate",
    ),
    "dispersion": (lambda: mlnn.estimate("normal", (X, Y), dispersion="reml"), ConfigError, "unknown dispersion"),
    "covariance": (lambda: mlnn.estimate("normal", (X, Y), cov="HC4"), ConfigError, "unknown covariance"),
    "iterations": (lambda: mlnn.estimate("normal", (X, Y), max_iter=0), ConfigError, "whole number above 0"),
    "NaN": (lambda: mlnn.estimate("bernoulli", (planted(np.nan), Y)), DataError, "row 150, column 'x1' is nan"),
    "infinity": (lambda: mlnn.estimate("laplace", (planted(np.inf), Y)), DataError, "row 150, column 'x1' is inf"),
    "NaN target": (lambda: mlnn.estimate("normal", (X, Y * np.nan)), DataError, "row 0 holds nan"),
    "labels": (lambda: mlnn.estimate("bernoulli", (X, 2 * Y - 1)), DataError, "holds -1.0"),
    "share, unweighted": (lambda: mlnn.estimate("bernoulli", (X, Y / 2)), DataError, "holds 0.5"),
    "negative counts": (lambda: mlnn.estimate("poisson", (X, COUNTS - 1)), DataError, "'counts'"),
    "zero in gamma": (lambda: mlnn.estimate("gamma", (X, COUNTS)), DataError, "'positive'"),
    "zero in beta": (lambda: mlnn.estimate("beta", (X, Y)), DataError, "no finite value at 0 or 1"),
    "one class": (lambda: mlnn.estimate("bernoulli", (X, 0 * Y)), DataError, "two classes"),
    "one class weighted": (lambda: mlnn.estimate("bernoulli", (X, Y), weights=Y), DataError, "weight above 0): all 93"),
    "a class without rows": (lambda: mlnn.estimate("categorical", (X, 2 * Y)), DataError, "no row of class 1"),
    "no counts": (lambda: mlnn.estimate("poisson", (X, 0 * Y)), DataError, "all counts are 0"),
    "few rows": (lambda: mlnn.estimate("bernoulli", (X[:3], [0, 1, 0])), DataError, "3 rows for 4 coefficients"),
    "no degree of freedom": (
        lambda: mlnn.estimate("normal", (X[:4], COUNTS[1:5] ** 2)),
        DataError,
        "no degree of freedom",
    ),
    "rows": (lambda: mlnn.estimate("normal", (X, Y[:9])), DataError, "do not match"),
    "no rows": (lambda: mlnn.estimate("normal", (X[:0], Y[:0])), DataError, "there are no rows"),
    "text": (lambda: mlnn.estimate("normal", ([["a"]] * 5, Y[:5])), DataError, "must hold numbers"),
    "ragged": (lambda: mlnn.estimate("normal", ([[1], [1, 2]], Y[:2])), DataError, "not a rectangular array"),
    "huge": (lambda: mlnn.estimate("bernoulli", (X * 1e200, Y)), DataError, "too large"),
    "tiny": (lambda: mlnn.estimate("bernoulli", (X * 1e-200, Y)), DataError, "too small"),
    "weights' shape": (lambda: mlnn.estimate("normal", (X, Y), weights=[1.0]), DataError, "one per row"),
    "a negative weight": (lambda: mlnn.estimate("normal", (X, Y), weights=Y - 1), DataError, "holds -1.0"),
    "no weight": (lambda: mlnn.estimate("normal", (X, Y), weights=0 * Y), DataError, "all are 0"),
    "nothing but 0": (lambda: mlnn.estimate("normal", (X, 0 * Y)), DataError, "met exactly"),
    "every row met, Laplace": (lambda: mlnn.estimate("laplace", (X, X @ [1, 2, 3])), DataError, "met exactly"),
    "every row met, gamma": (lambda: mlnn.estimate("gamma", (X, np.exp(X[:, 0]))), DataError, "runs to infinity"),
    "no choice of covariance": (lambda: mlnn.estimate("normal", (X, Y), cov=None), ConfigError, "covariance 'None'"),
    "half a constant": (lambda: mlnn.estimate("normal", (X, Y), intercept="no"), ConfigError, "True or False"),
    "sparse": (lambda: mlnn.estimate("normal", (torch.from_numpy(X).to_sparse(), Y)), DataError, "x.to_dense()"),
    "one name twice": (
        lambda: mlnn.estimate("normal", (frame("a", "b", "a"), Y)),
        DataError,
        "two columns are named 'a'",
    ),
    "two constants": (lambda: mlnn.estimate("normal", (frame("a", "const", "b"), Y)), DataError, "named 'const'"),
    "other rows": (
        lambda: mlnn.estimate("normal", (frame(*"abc"), pd.Series(Y).iloc[::-1])),
        DataError,
        "x and y differ",
    ),
    "other weights": (
        lambda: mlnn.estimate("normal", (frame(*"abc"), Y), weights=pd.Series(Y + 1).iloc[::-1]),
        DataError,
        "indexes of x and weights differ",
    ),
    "a huge target": (lambda: mlnn.estimate("gamma", (X, Y * 1e200 + 1)), DataError, "y: row"),
    "a target at the edge": (lambda: mlnn.estimate("beta", (X, edge())), DataError, "y: from 1e-300 to 0.9"),
    "text beside numbers": (
        lambda: mlnn.estimate("normal", (frame(*"ab", "c").assign(c="1"), Y)),
        DataError,
        "must hold numbers",
    ),
    "counts of weight 0": (
        lambda: mlnn.estimate("poisson", (X, COUNTS), weights=COUNTS == 0),
        DataError,
        "weight above 0): all counts are 0",
    ),
    "rows of weight 0": (
        lambda: mlnn.estimate("poisson", (X, COUNTS), weights=np.arange(200) < 3),
        DataError,
        "3 rows for 4",
    ),
    "a column of weight 0": (
        lambda: mlnn.estimate("normal", (np.column_stack([X, COUNTS == 2]), Y), weights=COUNTS != 2),
        DataError,
        "x3: nothing but 0",
    ),
    "three dimensions": (
        lambda: mlnn.estimate("normal", (X.reshape(200, 1, 3), Y)),
        DataError,
        "x: found shape (200, 1, 3); a linear raw output takes rows of features (n, d). Give x.reshape(len(x), -1)",
    ),
    "few rows, equal columns, separated": (
        lambda: mlnn.estimate("bernoulli", (X[:3][:, [0, 1, 0, 2]], [0, 1, 0])),
        DataError,
        "3 rows for 5 coefficients; leave features out or bring more rows; besides, columns x0 and x2 tell the same; besides,"
        " the rows are completely separated",
    ),
    "few rows and a constant column": (
        lambda: mlnn.estimate("normal", (np.column_stack([X[:3], np.full(3, 7.0)]), Y[:3])),
        DataError,
        "3 rows for 5 coefficients; leave features out or bring more rows; besides, column x3 is constant",
    ),
    "equal columns, separated": (
        lambda: mlnn.estimate("bernoulli", (X[:, [0, 1, 0]], X[:, 0] > 0)),
        DataError,
        "have no coefficient of their own: x2; leave them out; without them the rows are completely separated",
    ),
    "no theta, separated": (
        lambda: mlnn.estimate("negative_binomial", (np.column_stack([X, COUNTS == 0]), 3 * (COUNTS > 0))),
        DataError,
        "use 'poisson', or give theta: NegativeBinomial(theta=…); besides, the rows are quasi-completely separated",
    ),
    "underdispersed": (lambda: mlnn.estimate("negative_binomial", (X, 3 + Y)), DataError, "use 'poisson'"),
}


def frame(*names: str) -> pd.DataFrame:
    return pd.DataFrame(X, columns=list(names))


def edge() -> np.ndarray:
    y = 0.05 + 0.9 * np.random.default_rng(5).random(200)
    y[7] = 1e-300
    return y


def planted(value: float) -> np.ndarray:
    x = X.copy()
    x[150, 1] = value
    return x


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_a_sentence(case: str) -> None:
    call, kind, sentence = REFUSED[case]
    with pytest.raises(kind) as caught:
        call()
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 500
