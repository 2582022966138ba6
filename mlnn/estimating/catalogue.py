"""Which likelihood is meant, what it takes, and which of its numbers are estimated with the coefficients."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mlnn.arguments import first_line
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
    HyperbolicSecant,
    Laplace,
    Likelihood,
    NegativeBinomial,
    Normal,
    NormalLearnedVariance,
    Poisson,
    StudentT,
    VonMises,
    adopted,
)
from mlnn.likelihoods.likelihood import own_outputs
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
    "hyperbolic_secant": HyperbolicSecant,
    "laplace": Laplace,
    "negative_binomial": NegativeBinomial,
    "normal": Normal,
    "normal_learned_variance": NormalLearnedVariance,
    "poisson": Poisson,
    "student_t": StudentT,
    "von_mises": VonMises,
}


@dataclass(frozen=True)
class Family:
    """A likelihood as the estimation uses it. `free`: the number estimated with the coefficients, None if all are given."""

    name: str
    likelihood: Likelihood
    space: TargetSpace
    free: str | None = None

    @property
    def outputs(self) -> int:
        """Free raw outputs per row: of K classes K−1 where class 0 is the baseline."""
        if self.space.classes and self.likelihood.baseline:
            return self.space.classes - 1
        return self.space.raw or self.space.classes or len(self.likelihood.outputs)

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
        return self.free is not None and self.likelihood.counted

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers the likelihood is made with."""
        return self.likelihood.numbers

    @property
    def dispersion(self) -> float:
        """φ of Var(y) = φ V(μ): σ² of the normal, 1/shape of the gamma, 1 elsewhere."""
        return self.likelihood.dispersion

    def at(self, value: float) -> "Family":
        """The same with another value of the free number."""
        assert self.free is not None
        return replace(self, likelihood=self.likelihood.at(**{self.free: value}))

    def over(self, space: TargetSpace) -> "Family":
        """The same over a target space that the data have settled (the number of classes)."""
        return replace(self, space=space)


def family_of(likelihood: Any, space: TargetSpace | None = None) -> Family:
    """A likelihood, given or named. Named: its ancillary number, if it has one, is estimated too.

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
    return Family(found.name, found, _space_of(found, space))


def check_nll(family: Family, y: Tensor) -> None:
    """Raise ConfigError where a likelihood from elsewhere does not answer with one real number for each row."""
    if family.knows_information:
        return
    rows = slice(0, min(len(y), 3))
    eta = torch.zeros(rows.stop, family.outputs, dtype=torch.float64)
    shapes = f"output {tuple(curvature.raw(family.likelihood, eta).shape)}, target ({rows.stop},)"
    try:
        found = curvature.nll(family.likelihood, eta.requires_grad_(), y[rows])
    except Exception as problem:  # whatever somebody's own class raises
        told = f"{type(problem).__name__}: {first_line(problem)}"
        raise ConfigError(f"likelihood: {family.name}.nll raised {told} on {shapes}") from problem
    if not isinstance(found, Tensor) or found.shape != (rows.stop,):
        given = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ConfigError(
            f"likelihood: {family.name}.nll gave {given} for {shapes}; one number per row, ({rows.stop},)"
        )
    if not found.requires_grad:
        raise ConfigError(
            f"likelihood: {family.name}.nll does not depend on the raw output; keep it in torch, undetached"
        )


def _space_of(likelihood: Likelihood, space: TargetSpace | None) -> TargetSpace:
    """What a likelihood from elsewhere says it is for; else what the data are, else real."""
    takes, raw = spaces(likelihood.nll), own_outputs(likelihood)
    if takes is None or (space is not None and space.kind in takes):
        return replace(space or TargetSpace("real"), raw=raw)
    return TargetSpace(takes[0], None, raw)  # the data settle how many classes
