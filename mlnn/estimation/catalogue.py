"""Which likelihood is meant, what it takes, and which of its numbers are estimated with the coefficients."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlnn.errors import ConfigError, unknown
from mlnn.objectives import (
    AsymmetricLaplace,
    Bernoulli,
    BernoulliProbit,
    Beta,
    Categorical,
    FlatToppedLaplace,
    Gamma,
    HuberDensity,
    HyperbolicSecant,
    Laplace,
    NegativeBinomial,
    Normal,
    NormalLearnedVariance,
    Poisson,
    StudentT,
    VonMises,
)
from mlnn.objectives.signature import spaces
from mlnn.targets import TargetSpace

LIKELIHOODS: Mapping[str, type] = {
    "asymmetric_laplace": AsymmetricLaplace,
    "bernoulli": Bernoulli,
    "bernoulli_probit": BernoulliProbit,
    "beta": Beta,
    "categorical": Categorical,
    "flat_topped_laplace": FlatToppedLaplace,
    "gamma": Gamma,
    "huber_density": HuberDensity,
    "hyperbolic_secant": HyperbolicSecant,
    "laplace": Laplace,
    "negative_binomial": NegativeBinomial,
    "normal": Normal,
    "normal_learned_variance": NormalLearnedVariance,
    "poisson": Poisson,
    "student_t": StudentT,
    "von_mises": VonMises,
}

# The number that is estimated too where a likelihood is given by name. Quantile τ, Huber δ, ε, the t's df and scale and
# the concentration of angles say which question is asked, or have no single maximum: their defaults are kept.
FREE: Mapping[type, str] = {
    Normal: "sigma",
    Gamma: "shape",
    NegativeBinomial: "theta",
    Beta: "precision",
    Laplace: "scale",
}
# No curvature where they bend, none where they do not: their maximum is a linear programme's.
KINKED = (Laplace, AsymmetricLaplace, FlatToppedLaplace)
# Minus the expected second derivative equals the observed one, whatever the data.
CANONICAL = (Bernoulli, Poisson, Categorical, Normal)


@dataclass(frozen=True)
class Family:
    """A likelihood as the estimation uses it. `free`: the number estimated with the coefficients, None if all are given."""

    name: str
    likelihood: Any
    space: TargetSpace
    free: str | None = None

    @property
    def outputs(self) -> int:
        """Free raw outputs per row: of K classes K−1, because class 0 is the baseline."""
        if self.space.classes:
            return self.space.classes - 1
        return 2 if isinstance(self.likelihood, NormalLearnedVariance) else 1

    @property
    def labels(self) -> tuple[str, ...]:
        """A name per raw output; one output has none."""
        if self.space.classes:
            return tuple(f"y={k}" for k in range(1, self.space.classes))
        return ("mean", "log_variance") if self.outputs == 2 else ("",)

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers the likelihood is made with."""
        return {key: getattr(self.likelihood, key) for key in inspect.signature(type(self.likelihood)).parameters}

    @property
    def dispersion(self) -> float:
        """φ of Var(y) = φ V(μ): σ² of the normal, 1/shape of the gamma, 1 elsewhere."""
        if isinstance(self.likelihood, Normal):
            return self.likelihood.sigma**2
        return 1 / self.likelihood.shape if isinstance(self.likelihood, Gamma) else 1.0

    def at(self, value: float) -> "Family":
        """The same with another value of the free number."""
        assert self.free is not None
        return replace(self, likelihood=type(self.likelihood)(**self.numbers | {self.free: value}))

    def over(self, space: TargetSpace) -> "Family":
        """The same over a target space that the data have settled (the number of classes)."""
        return replace(self, space=space)


def family_of(likelihood: Any) -> Family:
    """A catalogue likelihood, given or named. Named: its ancillary number, if it has one, is estimated too.

    Raises ConfigError for an unknown name, a class in place of an instance, and anything outside the catalogue.
    """
    if isinstance(likelihood, str):
        if likelihood not in LIKELIHOODS:
            raise ConfigError("likelihood: " + unknown("likelihood", likelihood, LIKELIHOODS))
        kind = LIKELIHOODS[likelihood]
        return Family(likelihood, kind(), _space(kind), FREE.get(kind))
    if isinstance(likelihood, type):
        raise ConfigError(f"likelihood: {likelihood.__name__} is a class; give an instance, {likelihood.__name__}()")
    names = [name for name, kind in LIKELIHOODS.items() if type(likelihood) is kind]
    if not names:
        raise ConfigError(
            f"likelihood: {type(likelihood).__name__} is not one of the catalogue; give an instance of a class of"
            f" mlnn.objectives, or a name: {', '.join(LIKELIHOODS)}"
        )
    return Family(names[0], likelihood, _space(LIKELIHOODS[names[0]]))


def _space(kind: type) -> TargetSpace:
    kinds = spaces(kind.nll)  # type: ignore[attr-defined]
    assert kinds is not None
    return TargetSpace(kinds[0])
