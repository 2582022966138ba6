"""Which likelihood is meant, what it takes, and which of its numbers are estimated with the coefficients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from mlnn.errors import ConfigError, unknown
from mlnn.estimating.network import curvature
from mlnn.likelihoods import (
    AsymmetricLaplace,
    Bernoulli,
    BernoulliProbit,
    Beta,
    Categorical,
    FlatToppedLaplace,
    Gamma,
    HuberDensity,
    HurdleNegativeBinomial,
    HurdlePoisson,
    HyperbolicSecant,
    Laplace,
    Likelihood,
    NegativeBinomial,
    Normal,
    NormalLearnedVariance,
    Ordinal,
    Poisson,
    StudentT,
    VonMises,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
    adopted,
)
from mlnn.likelihoods.likelihood import freed, own_outputs
from mlnn.signature import spaces
from mlnn.targets import TargetSpace

LIKELIHOODS: Mapping[str, type[Likelihood]] = {
    "asymmetric_laplace": AsymmetricLaplace,
    "bernoulli": Bernoulli,
    "bernoulli_probit": BernoulliProbit,
    "beta": Beta,
    "categorical": Categorical,
    "flat_topped_laplace": FlatToppedLaplace,
    "gamma": Gamma,
    "huber_density": HuberDensity,
    "hurdle_negative_binomial": HurdleNegativeBinomial,
    "hurdle_poisson": HurdlePoisson,
    "hyperbolic_secant": HyperbolicSecant,
    "laplace": Laplace,
    "negative_binomial": NegativeBinomial,
    "normal": Normal,
    "normal_learned_variance": NormalLearnedVariance,
    "ordinal": Ordinal,
    "poisson": Poisson,
    "student_t": StudentT,
    "von_mises": VonMises,
    "zero_inflated_negative_binomial": ZeroInflatedNegativeBinomial,
    "zero_inflated_poisson": ZeroInflatedPoisson,
}


@dataclass(frozen=True)
class Family:
    """A likelihood as the estimation uses it.

    `free`: the number estimated with the coefficients, None if all are given, or if several are estimated: `several` then
    names them. `constants`: the raw outputs that have a constant alone.
    """

    name: str
    likelihood: Likelihood
    space: TargetSpace
    free: str | None = None
    several: tuple[str, ...] = ()
    constant: tuple[int, ...] = ()

    @property
    def outputs(self) -> int:
        """Free raw outputs per row: of K classes K−1 where class 0 is the baseline."""
        if self.space.classes and self.likelihood.baseline:
            return self.space.classes - 1
        own = self.space.outputs if self.space.classes else len(self.likelihood.outputs)
        return self.space.raw or own

    @property
    def labels(self) -> tuple[str, ...]:
        """A name per raw output; one output has none."""
        if self.space.classes and self.likelihood.baseline:
            return tuple(f"y={k}" for k in range(1, self.space.classes))
        if len(self.likelihood.outputs) == self.outputs:
            return self.likelihood.outputs
        return ("",) if self.outputs == 1 else tuple(f"output {k}" for k in range(self.outputs))

    @property
    def knows_information(self) -> bool:
        """Whether the Fisher information of a row is known; of a likelihood from elsewhere it is not."""
        if self.likelihood.kinked or self.likelihood.canonical:
            return True
        return curvature.expected(self.likelihood, torch.zeros(1, self.outputs, dtype=torch.float64)) is not None

    @property
    def counted(self) -> bool:
        """Whether a number is estimated that AIC and BIC count."""
        return bool(self.several) or (self.free is not None and self.likelihood.counted)

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers the likelihood is made with."""
        return self.likelihood.numbers

    @property
    def dispersion(self) -> float:
        """φ of Var(y) = φ V(μ): σ² of the normal, 1/shape of the gamma, 1 elsewhere."""
        return self.likelihood.dispersion

    @property
    def frees(self) -> tuple[str, ...]:
        """The names of all numbers that are estimated."""
        return self.several or ((self.free,) if self.free else ())

    @property
    def constants(self) -> tuple[int, ...]:
        """The raw outputs that have a constant alone, those that the likelihood itself says among them."""
        after = self.likelihood.constant_after
        return self.constant if after is None else tuple(range(after, self.outputs))

    @property
    def joint(self) -> bool:
        """Whether coefficients and numbers are estimated in one: several numbers, or raw outputs with a constant alone."""
        return bool(self.several or self.constants) or self.likelihood.jointly

    def holding(self, names: str | Sequence[str]) -> "Family":
        """The same with raw outputs, named as in `labels`, that have a constant alone. Raises ConfigError for an unknown name."""
        wanted = (names,) if isinstance(names, str) else tuple(names)
        if not wanted:
            return self
        if self.outputs == 1 or self.likelihood.constant_after is not None:
            raise ConfigError(f"constant: {self.name} has no raw output to choose; leave features out instead")
        for name in wanted:
            if name not in self.labels:
                raise ConfigError("constant: " + unknown("raw output", str(name), self.labels))
        return replace(self, constant=tuple(sorted({self.labels.index(name) for name in wanted})))

    def at_all(self, numbers: Mapping[str, float]) -> "Family":
        """The same with other values of some numbers."""
        return replace(self, likelihood=self.likelihood.at(**numbers)) if numbers else self

    def at(self, value: float) -> "Family":
        """The same with another value of the free number."""
        assert self.free is not None
        return replace(self, likelihood=self.likelihood.at(**{self.free: value}))

    def by(self, likelihood: Likelihood) -> "Family":
        """The same by another likelihood object."""
        return replace(self, likelihood=likelihood)

    def over(self, space: TargetSpace) -> "Family":
        """The same over a target space that the data have settled (the number of classes)."""
        return replace(self, space=space)


def family_of(likelihood: Any, space: TargetSpace | None = None) -> Family:
    """A likelihood, given or named. Named: its ancillary number, if it has one, is estimated too; of a class from elsewhere
    those that it says are `free`.

    `space`: the data's target space, for a likelihood from elsewhere whose signature does not say what it is for. Raises
    ConfigError for an unknown name, a class in place of an instance, and an object without `nll`.
    """
    if isinstance(likelihood, str):
        if likelihood not in LIKELIHOODS:
            raise ConfigError("likelihood: " + unknown("likelihood", likelihood, LIKELIHOODS))
        made = LIKELIHOODS[likelihood]()
        return Family(likelihood, made, TargetSpace(made.kind), made.free)
    found = adopted(likelihood)
    names = [name for name, kind in LIKELIHOODS.items() if type(found) is kind]
    if names:
        return Family(names[0], found, TargetSpace(found.kind))
    free = freed(found)
    several = free if len(free) > 1 else ()
    return Family(found.name, found, _space_of(found, space), None if several or not free else free[0], several)


def _space_of(likelihood: Likelihood, space: TargetSpace | None) -> TargetSpace:
    """What a likelihood from elsewhere says it is for; else what the data are, else real."""
    takes, raw = spaces(likelihood.nll), own_outputs(likelihood)
    if takes is None or (space is not None and space.kind in takes):
        return replace(space or TargetSpace("real"), raw=raw)
    return TargetSpace(takes[0], None, raw)  # the data settle how many classes
