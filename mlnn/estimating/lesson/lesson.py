"""Everything that the page of a training teaches of it, as numbers: read off the trained lane and the looks at its way."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mlnn.data import Dataset
from mlnn.estimating.basis import way_back
from mlnn.estimating.classical import MOST_DIGITS, ClassicalEstimate
from mlnn.estimating.distance import Finding
from mlnn.estimating.lesson.axis import Axis, axis_of
from mlnn.estimating.lesson.fit import Fit, fit_of
from mlnn.estimating.lesson.whole import WholeRows
from mlnn.estimating.trajectory import Look, Trajectory
from mlnn.likelihoods import Likelihood
from mlnn.objectives import likelihood_of
from mlnn.training import Lane, Recipe


@dataclass(frozen=True)
class Path:
    """Coefficients over a training: `values` (looks, k) at `steps` (looks,), in the data's own units where these are known.

    `mle`, `se` (k,): the maximum-likelihood estimate and its standard errors; None where there is no finite one.
    """

    names: tuple[str, ...]
    steps: np.ndarray
    values: np.ndarray
    mle: np.ndarray | None
    se: np.ndarray | None

    def table(self, most: int) -> list[tuple[float, ...]]:
        """Of the last look, per coefficient: network, MLE, standard error, their distance in it, and digits that agree."""
        if self.mle is None or self.se is None:
            return [(float(value), *[float("nan")] * 4) for value in self.values[-1][:most]]
        off = self.values[-1] - self.mle
        with np.errstate(divide="ignore", invalid="ignore"):
            digits = np.clip(-np.log10(np.abs(off) / np.abs(self.mle)), 0.0, MOST_DIGITS)
            errors = off / self.se
        columns = (self.values[-1], self.mle, self.se, errors, digits)
        return [tuple(float(number) for number in row) for row in zip(*columns, strict=True)][:most]


@dataclass(frozen=True)
class Lesson:
    """What there is to show. `likelihood`: its name, None where the loss is none that is known; `why_not` then says why.

    `batched`: whether a step saw some rows only. `steps`, `log_likelihoods` (looks,): of all training rows on the way, in nats;
    `top`: their maximum, or of rows that are `separated` the supremum, which no weights reach; None where neither is known.
    `fixed`: the likelihood's free number at which these were taken, in words. `decay`: the largest weight decay of the optimiser.
    """

    rows: int
    batched: bool
    likelihood: str | None
    why_not: str | None
    axis: Axis | None
    steps: np.ndarray
    log_likelihoods: np.ndarray
    top: float | None
    separated: bool
    fixed: str
    decay: float
    path: Path | None
    fit: Fit | None

    @property
    def two_scales(self) -> bool:
        """Whether something is drawn that can be read off as a log-likelihood of all rows: single batches cannot."""
        return self.axis is not None and (not self.batched or len(self.steps) > 0)


class Watch:
    """What is noted on the way of a training: `course`, or, of a model without a classical estimate, `whole`."""

    def __init__(self, likelihood: Likelihood | None, recipe: Recipe) -> None:
        self.course = Trajectory(likelihood, recipe.table, recipe.steps)
        self.whole = WholeRows(likelihood, recipe)

    def __call__(self, done: int, module: nn.Module) -> None:
        self.course.watch(done, module)
        if self.course.classical is None:
            self.whole.watch(done, module)


def lesson_of(watch: Watch, recipe: Recipe, lane: Lane, axis: Axis | None = None, why_not: str = "") -> Lesson:
    """What a trained lane teaches. `axis`, `why_not`: what an audit said of a loss behind which no likelihood is known, in a
    sentence or two."""
    course, data = watch.course, recipe.table
    classical = course.classical
    own = likelihood_of(lane.recipe.objective)
    likelihood = classical.family.likelihood if classical is not None else own
    looks = [look for look in course.looks if look.coefficients is not None]
    estimate = classical.estimate if classical is not None else None
    steps, told = [look.step for look in looks], [look.log_likelihood for look in looks]
    if classical is None:
        steps, told = watch.whole.steps, watch.whole.log_likelihoods
    ends = [looks[k].coefficients for k in (0, -1)] if looks else []
    return Lesson(
        rows=len(data.x),
        batched=recipe.batch_size is not None and recipe.batch_size < len(data.x),
        likelihood=own.name if own is not None else None,
        why_not=None if own is not None else why_not,
        axis=axis if likelihood is None else _axis(recipe, lane, likelihood),
        steps=np.array(steps, dtype=float),
        log_likelihoods=np.array(told, dtype=float),
        top=estimate.llf if estimate is not None else None,
        separated=estimate is not None and not estimate.exists,
        fixed=_fixed(classical),
        decay=max((float(group.get("weight_decay", 0.0)) for group in lane.optimizer.param_groups), default=0.0),
        path=_path(classical, course.found(lane.module), looks, data) if classical is not None else None,
        fit=fit_of(classical, ends, data) if classical is not None else None,
    )


def _axis(recipe: Recipe, lane: Lane, likelihood: Likelihood) -> Axis | None:
    data = recipe.table
    y: Tensor = data.y.to(recipe.device)
    with torch.no_grad():
        output = lane.predict(recipe.inputs(data.x, recipe.dtype))
    return axis_of(lane.recipe.objective, likelihood, output, y)


def _fixed(classical: ClassicalEstimate | None) -> str:
    """The free number that was estimated beside the coefficients, and held there for the log-likelihoods."""
    free = classical.family.free if classical is not None else None
    if classical is None or classical.estimate is None or free is None:
        return ""
    return f"{free} = {classical.estimate.ancillary[free]:.4g}"


def _path(classical: ClassicalEstimate, found: Finding | None, looks: list[Look], data: Dataset) -> Path | None:
    """The coefficients of each look as the table on the data's own scale has them."""
    if not looks:
        return None
    design, family = classical.design, classical.family
    values = np.stack([look.coefficients for look in looks if look.coefficients is not None])
    way = way_back(data, family.likelihood, design.width, family.outputs, design.intercept)
    names = list(design.names)
    if way is not None:
        values = np.stack([way.moved(one) for one in values])
        names = [*design.features, "const" if design.intercept else "const (tied)"]
        if not design.intercept and not values[:, -1].any():
            values, names = values[:, :-1], names[:-1]
    labels = tuple(f"{output}: {name}" if output else name for name in names for output in family.labels)
    steps = np.array([look.step for look in looks], dtype=float)
    told = (
        None
        if found is None
        else found.basis.own.coefficients
        if found.basis and found.basis.own
        else found.coefficients
    )
    known = told and len(told) == len(labels)
    return Path(
        labels,
        steps,
        values.reshape(len(looks), -1),
        np.array([one.mle for one in told]) if told and known else None,
        np.array([one.se for one in told]) if told and known else None,
    )
