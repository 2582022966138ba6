"""The estimate that settings describe, and a network of the same form trained beside it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from mlnn import settings as build
from mlnn.data import Dataset
from mlnn.errors import ConfigError
from mlnn.estimating import Course, Estimate, ModelFit, check_estimate, estimate
from mlnn.estimating.catalogue import LIKELIHOODS, family_of
from mlnn.keys import EstimateSettings, Node
from mlnn.models import Logistic, SigmoidNode
from mlnn.objectives import Objective, likelihood_of
from mlnn.signature import spaces
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Recipe, train


def estimated(
    settings: EstimateSettings, progress: Callable[[int, int], None]
) -> tuple[Estimate | ModelFit, dict[str, Any], Dataset]:
    """(the estimate, what there is to tell of it, the data) of `experiments/estimate.py`.

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
        given: dict[str, Any] = {"starts": settings.starts, "seed": settings.seed}
        given |= {"dispersion": settings.dispersion, "cov": settings.cov}
        fitted = estimate(likelihood, data, model=factory, **given)
        told = fitted.to_dict() | {"data": data.name, "sentences": [fitted.sentence], "course": []}
        return fitted, told, data
    linear = estimate(likelihood, data, intercept=settings.intercept, dispersion=settings.dispersion, cov=settings.cov)
    check = check_estimate(linear) if linear.separation == "none" else None
    beside = _beside(settings, data, linear, likelihood, progress) if settings.steps else None
    sentences = [check.sentence] if check else []
    sentences += [f"Trained beside it, {beside['words']}: {beside['found']['sentence']}"] if beside else []
    told = linear.to_dict() | {
        "data": data.name,
        "information": vars(check) | {"eigenvalues": check.eigenvalues.tolist()} if check else None,
        "conf_int": linear.conf_int().tolist() if linear.bse is not None else None,
        "pvalues": linear.pvalues.tolist() if linear.bse is not None else None,
        "beside": beside,
        "course": beside["course"] if beside else [],
        "sentences": sentences,
    }
    return linear, told, data


def _likelihood(settings: EstimateSettings, data: Dataset) -> Any:
    """What is estimated: a name, the likelihood of an `objective`, or the usual one of the targets."""
    node = settings.objective
    if node is None:
        return settings.likelihood or data.targets.facts.usual
    if settings.likelihood is not None:
        raise ConfigError(
            f"likelihood: {settings.likelihood} is named beside objective=; one of them says what is estimated"
        )
    made = build.objective(node, settings, data.targets, "objective", "raw")
    found = likelihood_of(made)
    if found is None:
        raise ConfigError(f"objective: no likelihood is known for '{made.name}'; give a class with nll(output, target)")
    return found


def _factory(node: Node, settings: EstimateSettings, data: Dataset, likelihood: Any) -> Callable[[], torch.nn.Module]:
    family = family_of(likelihood, data.targets)
    outputs = data.targets.outputs if data.targets.labels else family.outputs
    return build.model_factory(node, data, outputs, settings)


def _beside(
    settings: EstimateSettings, data: Dataset, linear: Estimate, given: Any, progress: Callable[[int, int], None]
) -> dict[str, Any] | None:
    """A network of the same form trained for `steps`, full batch, in float64, on the likelihood at its estimated numbers."""
    likelihood = LIKELIHOODS[given](**linear.ancillary) if isinstance(given, str) else given
    takes = spaces(likelihood.nll) or (data.targets.kind,)
    if data.targets.kind not in takes:  # whole numbers told as reals, say: the estimate has found them to be counts
        data = dataclasses.replace(data, targets=TargetSpace(takes[0]))
    objective = Objective.of(likelihood, data.targets, name=linear.likelihood)
    form = Logistic if linear.intercept else SigmoidNode
    model = partial(form, data.input_shape, objective.targets.outputs)
    recipe = Recipe(data, model, settings.steps, None, torch.float64, seed=settings.seed)
    course = Course(likelihood, data, settings.steps)
    lane_recipe = LaneRecipe(objective, build.optimizer_factory(settings))
    lane = train(recipe, lane_recipe, lambda _row: None, progress, course.watch)
    found = course.found(lane.module)
    words = f"{settings.steps} steps of {settings.names.get('optimizer', 'the optimiser')} in float64"
    return {"found": found, "course": course.rows, "words": words} if found else None
