"""Fits of mlnn and the same of statsmodels, for the tests of what people expect of a fit."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import statsmodels.api as sm
from estimation_cases import X, literature, with_constant

import mlnn
from mlnn.estimating import Estimate
from mlnn.likelihoods import NegativeBinomial

DRAWS = np.random.default_rng(14)
POSITIVE = np.exp(0.3 * X[:, 0] + 0.2 + 0.3 * DRAWS.standard_normal(200))
COUNTS = DRAWS.negative_binomial(5, 0.4, 200).astype(float)
REAL = X @ np.array([1.0, -0.5, 0.0]) + DRAWS.standard_normal(200)
HARD = (DRAWS.random(200) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
TIMES = np.arange(200) % 3 + 1.0
TRIALS = np.arange(200) % 7 + 2.0
SHARES = DRAWS.binomial(TRIALS.astype(int), 1 / (1 + np.exp(-X[:, 0]))) / TRIALS
PRECISE: dict[str, Any] = {"tol": 1e-12, "tol_criterion": "params", "maxiter": 200}
Pair = tuple[Estimate, Any]


def glm(name: str, y: np.ndarray, family: Any, weights: np.ndarray | None = None) -> Pair:
    """A fit and statsmodels' generalised linear model of the same rows."""
    reference = sm.GLM(y, with_constant(X), family=family, freq_weights=weights).fit(**PRECISE)
    return mlnn.estimate(name, (X, y), weights=weights), reference


def table() -> Pair:
    """A binomial table."""
    counts = np.column_stack([SHARES * TRIALS, TRIALS - SHARES * TRIALS]).round()
    reference = sm.GLM(counts, with_constant(X), family=sm.families.Binomial()).fit(**PRECISE)
    return mlnn.estimate("bernoulli", (X, SHARES), weights=TRIALS), reference


def given_theta() -> Pair:
    """A negative binomial whose θ is known."""
    family = sm.families.NegativeBinomial(alpha=0.5)
    reference = sm.GLM(COUNTS, with_constant(X), family=family).fit(**PRECISE)
    return mlnn.estimate(NegativeBinomial(theta=2.0), (X, COUNTS)), reference


def probit() -> Pair:
    """Spector's data."""
    x, y = literature("spector")
    family = sm.families.Binomial(sm.families.links.Probit())
    reference = sm.GLM(np.asarray(y), with_constant(x), family=family).fit(**PRECISE)
    return mlnn.estimate("bernoulli_probit", (x, y)), reference


CASES: dict[str, Callable[[], Pair]] = {
    "bernoulli": lambda: glm("bernoulli", HARD, sm.families.Binomial()),
    "bernoulli, weights": lambda: glm("bernoulli", HARD, sm.families.Binomial(), TIMES),
    "a binomial table": table,
    "probit": probit,
    "poisson": lambda: glm("poisson", COUNTS, sm.families.Poisson()),
    "poisson, weights": lambda: glm("poisson", COUNTS, sm.families.Poisson(), TIMES),
    "negative binomial": given_theta,
    "gamma": lambda: glm("gamma", POSITIVE, sm.families.Gamma(sm.families.links.Log())),
    "gamma, weights": lambda: glm("gamma", POSITIVE, sm.families.Gamma(sm.families.links.Log()), TIMES),
    "normal, weights": lambda: glm("normal", REAL, sm.families.Gaussian(), TIMES),
}


@cache
def case(name: str) -> Pair:
    """One of CASES, made once."""
    return CASES[name]()
