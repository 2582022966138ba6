"""The estimate that settings describe, and a network of the same form trained beside it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from mlnn import settings as build
from mlnn.data import Dataset
from mlnn.errors import ConfigError
from mlnn.estimating.catalogue import LIKELIHOODS, family_of
from mlnn.estimating.distance import Finding
from mlnn.estimating.estimate import estimate
from mlnn.estimating.information import InformationCheck
from mlnn.estimating.linear.fitted import check_estimate
from mlnn.estimating.network.fit import ModelFit
from mlnn.estimating.result import Estimate
from mlnn.estimating.trajectory import Look, Trajectory
from mlnn.keys import EstimateSettings, Node
from mlnn.models import Logistic, SigmoidNode
from mlnn.objectives import Likelihood, Objective, likelihood_of
from mlnn.signature import spaces
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Recipe, train


@dataclass(frozen=True)
class Beside:
    """A network of the same form, trained beside an estimate: what there is to say of it, its way there, how it trained."""

    found: Finding
    course: tuple[Look, ...]
    words: str

    @property
    def sentence(self) -> str:
        """How far it came."""
        return f"Trained beside it, {self.words}: {self.found.sentence}"

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return {"found": self.found.to_dict(), "course": [look.to_dict() for look in self.course], "words": self.words}


@dataclass(frozen=True)
class Estimated:
    """The estimate of a linear model on `data`, the check of its information, and a network trained beside it, if any."""

    found: Estimate
    data: Dataset
    check: InformationCheck | None
    beside: Beside | None

    @property
    def sentences(self) -> list[str]:
        """What there is to say below the table."""
        told = [self.check.sentence] if self.check else []
        return told + ([self.beside.sentence] if self.beside else [])

    def to_dict(self) -> dict[str, object]:
        """Plain data: the estimate's own, and what stands beside it."""
        check, exists = self.check, self.found.bse is not None
        beside = self.beside.to_dict() if self.beside else None
        return self.found.to_dict() | {
            "data": self.data.name,
            "information": vars(check) | {"eigenvalues": check.eigenvalues.tolist()} if check else None,
            "conf_int": self.found.conf_int().tolist() if exists else None,
            "pvalues": self.found.pvalues.tolist() if exists else None,
            "beside": beside,
            "course": beside["course"] if beside else [],
            "sentences": self.sentences,
        }


@dataclass(frozen=True)
class EstimatedModel:
    """The estimate of a small network on `data`, through its Hessian."""

    found: ModelFit
    data: Dataset

    @property
    def sentences(self) -> list[str]:
        """What there is to say below the table."""
        return [self.found.sentence]

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return self.found.to_dict() | {"data": self.data.name, "sentences": self.sentences, "course": []}


def estimated(settings: EstimateSettings, progress: Callable[[int, int], None]) -> Estimated | EstimatedModel:
    """What `experiments/estimate.py` finds.

    With `model` a small network is estimated through its Hessian; without, the linear model, and then a network of the same
    form is trained beside it for `steps` by `optimizer`.
    """
    build.pin_threads(settings)
    own = {
        "held_out": settings.held_out,
        "standardize": settings.standardize,
        "standardize_target": settings.standardize_target,
    }
    taken = {key: value for key, value in own.items() if key in settings.data}
    data = build.dataset(dataclasses.replace(settings, data={**settings.data, **taken}))
    likelihood = _likelihood(settings, data)
    if settings.model is not None:
        factory = _factory(settings.model, settings, data, likelihood)
        fitted = estimate(
            likelihood, data, model=factory, starts=settings.starts, seed=settings.seed,
            dispersion=settings.dispersion, cov=settings.cov, penalty=settings.penalty, progress=progress,
        )  # fmt: skip
        return EstimatedModel(fitted, data)
    linear = estimate(
        likelihood, data, intercept=settings.intercept, dispersion=settings.dispersion, cov=settings.cov,
        penalty=settings.penalty, constant=settings.constant, draws=settings.draws, seed=settings.seed,
    )  # fmt: skip
    check = check_estimate(linear) if linear.exists else None
    # A network's steps between thresholds depend on x, and training goes to the maximum without a penalty.
    same = linear.penalty is None and family_of(likelihood, data.targets).likelihood.constant_after is None
    trained = settings.steps and same and not settings.constant
    beside = _beside(settings, data, linear, likelihood, progress) if trained else None
    return Estimated(linear, data, check, beside)


def _likelihood(settings: EstimateSettings, data: Dataset) -> str | Likelihood:
    """What is estimated: a name, the likelihood of an `objective`, or the usual one of the targets."""
    node = settings.objective
    if node is None:
        named: str = settings.likelihood or data.targets.facts.usual
        return named
    if settings.likelihood is not None:
        raise ConfigError(
            f"likelihood: {settings.likelihood} is named beside objective=; one of them says what is estimated"
        )
    made = build.objective(node, settings, data.targets, "objective", "raw")
    found = likelihood_of(made)
    if found is None:
        raise ConfigError(f"objective: no likelihood is known for '{made.name}'; give a class with nll(output, target)")
    return found


def _factory(
    node: Node, settings: EstimateSettings, data: Dataset, likelihood: str | Likelihood
) -> Callable[[], torch.nn.Module]:
    family = family_of(likelihood, data.targets)
    outputs = data.targets.outputs if data.targets.labels else family.outputs
    return build.model_factory(node, data, outputs, settings)


def _beside(
    settings: EstimateSettings,
    data: Dataset,
    linear: Estimate,
    given: str | Likelihood,
    progress: Callable[[int, int], None],
) -> Beside | None:
    """A network of the same form trained for `steps`, full batch, in float64, on the likelihood at its estimated numbers."""
    likelihood = LIKELIHOODS[given](**linear.ancillary) if isinstance(given, str) else given
    takes = spaces(likelihood.nll) or (data.targets.kind,)
    if data.targets.kind not in takes:  # whole numbers told as reals, say: the estimate has found them to be counts
        data = dataclasses.replace(data, targets=TargetSpace(takes[0]))
    objective = Objective.of(likelihood, data.targets, name=linear.likelihood)
    form = Logistic if linear.intercept else SigmoidNode
    model = partial(form, data.input_shape, objective.targets.outputs)
    recipe = Recipe(data, model, settings.steps, None, torch.float64, seed=settings.seed)
    trajectory = Trajectory(likelihood, data, settings.steps)
    lane_recipe = LaneRecipe(objective, build.optimizer_factory(settings))
    lane = train(recipe, lane_recipe, lambda _row: None, progress, trajectory.watch)
    found = trajectory.found(lane.module)
    words = f"{settings.steps} steps of {settings.names.get('optimizer', 'the optimiser')} in float64"
    return Beside(found, tuple(trajectory.looks), words) if found else None
