"""Every likelihood of the catalogue beside its −log density by another road: scipy, or a formula of another shape."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from mlnn import objectives as o
from mlnn.objectives import Likelihood


def mu(f: np.ndarray) -> np.ndarray:
    return np.exp(f)


def share(f: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-f))


def hyperbolic_secant(y: np.ndarray, f: np.ndarray) -> np.ndarray:
    # scipy's hypsecant is 1/(π cosh x) too.
    return -stats.hypsecant.logpdf(y - f)


def asymmetric_laplace(y: np.ndarray, f: np.ndarray, tau: float) -> np.ndarray:
    # scipy: exp(−xκ) to the right, exp(x/κ) to the left, over κ + 1/κ; κ² = τ/(1−τ), in units of √(τ(1−τ)).
    kappa, unit = math.sqrt(tau / (1 - tau)), math.sqrt(tau * (1 - tau))
    return -stats.laplace_asymmetric.logpdf(y - f, kappa, scale=1 / unit)


def flat(y: np.ndarray, f: np.ndarray, epsilon: float) -> np.ndarray:
    """A uniform of 2ε with mass ε/(1+ε), and a Laplace cut off at 0 on either side of it."""
    size = np.abs(y - f)
    beyond = np.exp(-(size - epsilon)) / 2 / (1 + epsilon)
    return -np.log(np.where(size <= epsilon, epsilon / (1 + epsilon) / (2 * epsilon), beyond))


def huber(y: np.ndarray, f: np.ndarray, delta: float) -> np.ndarray:
    """The normaliser from scipy's normal: √2π·P(|N| ≤ δ) and two exponential tails."""
    size = np.abs(y - f)
    mass = math.sqrt(2 * math.pi) * (stats.norm.cdf(delta) - stats.norm.cdf(-delta))
    mass += 2 * math.exp(-(delta**2) / 2) / delta
    return np.where(size < delta, size**2 / 2, delta * size - delta**2 / 2) + math.log(mass)


def inflated(y: np.ndarray, f: np.ndarray, zero: np.ndarray, count: np.ndarray) -> np.ndarray:
    """A mixture of zeros with probability σ(f₁) and counts: p(0) `zero` and p(y) `count`."""
    pi = share(f[..., 1])
    return -np.log(np.where(y == 0, pi + (1 - pi) * zero, (1 - pi) * count))


def hurdle(y: np.ndarray, f: np.ndarray, zero: np.ndarray, count: np.ndarray) -> np.ndarray:
    """A count above 0 with probability σ(f₁), and of those p(y)/(1 − p(0))."""
    omega = share(f[..., 1])
    return -np.log(np.where(y == 0, 1 - omega, omega * count / (1 - zero)))


def of_poisson(mix: "Mix") -> "Reference":
    return lambda y, f: mix(y, f, stats.poisson.pmf(0, mu(f[..., 0])), stats.poisson.pmf(y, mu(f[..., 0])))


def of_negative_binomial(mix: "Mix", theta: float) -> "Reference":
    def nll(y: np.ndarray, f: np.ndarray) -> np.ndarray:
        p = theta / (theta + mu(f[..., 0]))
        return mix(y, f, stats.nbinom.pmf(0, theta, p), stats.nbinom.pmf(y, theta, p))

    return nll


def ordinal(y: np.ndarray, f: np.ndarray) -> np.ndarray:
    """The place and the logarithms of the steps; P(y ≤ k) = σ(ζ_k − η)."""
    cuts = np.cumsum(np.concatenate([-f[:, :1], np.exp(f[:, 1:])], axis=1), axis=1)
    cdf = np.concatenate([np.zeros((len(f), 1)), stats.logistic.cdf(cuts), np.ones((len(f), 1))], axis=1)
    sf = np.concatenate([np.ones((len(f), 1)), stats.logistic.sf(cuts), np.zeros((len(f), 1))], axis=1)
    rows = np.arange(len(f))
    low = cuts[rows, np.maximum(y - 1, 0)] > 0  # from the side where nothing cancels
    return -np.log(np.where(low & (y > 0), sf[rows, y] - sf[rows, y + 1], cdf[rows, y + 1] - cdf[rows, y]))


Mix = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Reference = Callable[[Any, Any], Any]
CASES: dict[str, tuple[Likelihood, Reference]] = {  # nll of (y, f) by another road
    "Bernoulli": (o.Bernoulli(), lambda y, f: -stats.bernoulli.logpmf(y, share(f))),
    "BernoulliProbit": (o.BernoulliProbit(), lambda y, f: -stats.norm.logcdf(np.where(y == 1, f, -f))),
    "Categorical": (
        o.Categorical(),
        lambda y, f: -np.log((np.exp(f) / np.exp(f).sum(1, keepdims=True))[np.arange(len(y)), y]),
    ),
    "Normal": (o.Normal(1.7), lambda y, f: -stats.norm.logpdf(y, f, 1.7)),
    "NormalLearnedVariance": (
        o.NormalLearnedVariance(),
        lambda y, f: -stats.norm.logpdf(y, f[..., 0], np.exp(f[..., 1] / 2)),
    ),
    "Laplace": (o.Laplace(0.6), lambda y, f: -stats.laplace.logpdf(y, f, 0.6)),
    "AsymmetricLaplace": (o.AsymmetricLaplace(0.8), lambda y, f: asymmetric_laplace(y, f, 0.8)),
    "FlatToppedLaplace": (o.FlatToppedLaplace(0.4), lambda y, f: flat(y, f, 0.4)),
    "HuberDensity": (o.HuberDensity(1.3), lambda y, f: huber(y, f, 1.3)),
    "HyperbolicSecant": (o.HyperbolicSecant(), hyperbolic_secant),
    "VonMises": (o.VonMises(2.5), lambda y, f: -stats.vonmises.logpdf(y, 2.5, loc=f)),
    "Poisson": (o.Poisson(), lambda y, f: -stats.poisson.logpmf(y, mu(f))),
    "Gamma": (o.Gamma(2.5), lambda y, f: -stats.gamma.logpdf(y, 2.5, scale=mu(f) / 2.5)),
    "NegativeBinomial": (o.NegativeBinomial(1.8), lambda y, f: -stats.nbinom.logpmf(y, 1.8, 1.8 / (1.8 + mu(f)))),
    "Beta": (o.Beta(5.0), lambda y, f: -stats.beta.logpdf(y, 5 * share(f), 5 * share(-f))),
    "Ordinal": (o.Ordinal(), ordinal),
    "ZeroInflatedPoisson": (o.ZeroInflatedPoisson(), of_poisson(inflated)),
    "ZeroInflatedNegativeBinomial": (o.ZeroInflatedNegativeBinomial(1.8), of_negative_binomial(inflated, 1.8)),
    "HurdlePoisson": (o.HurdlePoisson(), of_poisson(hurdle)),
    "HurdleNegativeBinomial": (o.HurdleNegativeBinomial(1.8), of_negative_binomial(hurdle, 1.8)),
    "StudentT": (o.StudentT(3.5, 0.7), lambda y, f: -stats.t.logpdf(y, 3.5, f, 0.7)),
}
