"""The maximum of the likelihood of any small model, through its Hessian: params to the last digits, and are they identified?"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family, family_of
from mlnn.estimating.linear.existence import supremum
from mlnn.estimating.linear.inference import unshifted
from mlnn.estimating.linear.separation import Separation
from mlnn.estimating.network.answer import of_maximum, of_separation
from mlnn.estimating.network.descent import End, descend
from mlnn.estimating.network.errors import log_likelihood, with_number
from mlnn.estimating.network.fit import ModelFit
from mlnn.estimating.network.form import (
    Form,
    classical_number,
    form_of,
    grows,
    linear_fit,
    parameters_at,
    separation_beside,
    whole_rank,
)
from mlnn.estimating.network.obstacles import not_reached
from mlnn.estimating.network.problem import Problem
from mlnn.estimating.network.starts import further, reached
from mlnn.estimating.reading import whole as whole_number
from mlnn.objectives import Likelihood
from mlnn.world import own_world

LIKELIER = 1e-6
"""Nats, and a billionth of the log-likelihood: more than rounding."""
NEAR_SUPREMUM = 1e-3
"""Nats from a supremum: the parameters are on their way to it."""


@own_world(threads=None)
def fit_model(
    likelihood: Likelihood,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    weights: Tensor | None = None,
    starts: int = 3,
    seed: int = 0,
) -> ModelFit:
    """The MLE of `model` (float64; x (n, …) to raw outputs (n,), (n, 1) or (n, K)) under `likelihood`, with targets y (n,).

    A trust region with variable scaling and Newton steps, from the model's own weights and `starts` − 1 random displacements
    of them (and, for a model that is linear in its parameters, from the classical fit);
    the best of those that converge is kept, and the model itself is not changed. weights: (n,) how often each row counts.
    A `Normal` has its sigma profiled out, whatever sigma it was made with; the number of any other likelihood is kept as
    given (`mlnn.estimate` by name estimates it). Time and memory grow as p². Raises ConfigError for a model that is not
    float64 or gives no raw outputs, DataError if no start converges (of targets that can be separated the MLE may then not
    exist), if the rows are separated, or if the model meets every real target exactly.
    """
    starts, seed = whole_number("starts", starts, 1), whole_number("seed", seed)
    found = fit(Problem(_family(likelihood), model, x, y, weights), starts, seed)
    if found.separation in ("quasi", "complete"):
        raise DataError(f"fit_model: none of {starts} starts reached a maximum, and none can: {found.sentence}")
    return found


def _family(likelihood: Any) -> Family:
    """The likelihood as the estimation uses it, also from outside the catalogue; of a normal sigma is free."""
    family = family_of(likelihood)
    return replace(family, free=family.likelihood.free) if family.likelihood.squares else family


def fit(problem: Problem, starts: int, seed: int, convention: str = "unbiased") -> ModelFit:
    """What there is to say of a problem: its maximum, or that there is none. Raises DataError where neither was found."""
    form = form_of(problem)
    exact = form is not None and form.exact
    kind, found = _existence(problem, form)
    if exact and found is not None and kind != "none":
        return _separated(problem, form, kind, found, None)
    ends = [reached(problem, start) for start in problem.starts(starts, seed)]
    ends = _with_the_classical(problem, form, ends)
    if kind != "none" and not exact:
        kind = _approached(problem, form, kind, found, _best(ends))
        if kind in ("quasi", "complete"):
            return _separated(problem, form, kind, found, _best(ends))
    return _highest(problem, form, kind, ends, starts, convention)


def _highest(problem: Problem, form: Form | None, kind: str, ends: list[End], starts: int, convention: str) -> ModelFit:
    """The highest of the maxima that were reached. Raises DataError where none was."""
    best, ends = _best(ends), _furthered(problem, ends, kind)
    maxima = [end for end in ends if end.converged]
    if not maxima:
        if math.isfinite(best.value):
            with_number(problem, best.theta)  # says so where every target is met
        raise DataError(not_reached(problem, ends, starts))
    best = _first_of_the_highest(problem, maxima)
    near = classical_number(problem, form) if form is not None else None
    problem, theta = with_number(problem, best.theta, near)
    whole = form is not None and form.place is not None and whole_rank(form)
    return of_maximum(problem, theta, best.gradient, convention, kind, _likelier(problem, theta, ends), whole)


def _best(ends: list[End]) -> End:
    return min(ends, key=lambda end: end.value)


def _first_of_the_highest(problem: Problem, maxima: list[End]) -> End:
    """Of maxima as likely but for rounding (units swapped, say) the one that the first start led to."""
    heights = [log_likelihood(problem, end.theta) for end in maxima]
    return next(end for end, height in zip(maxima, heights, strict=True) if not _above(max(heights), height))


def _likelier(problem: Problem, theta: Tensor, ends: list[End]) -> float | None:
    """The log-likelihood of the likeliest end that did not converge, where it is above the one at `theta`."""
    top = log_likelihood(problem, theta)
    others = [log_likelihood(problem, end.theta) for end in ends if not end.converged]
    return max((llf for llf in others if _above(llf, top)), default=None)


def _existence(problem: Problem, form: Form | None) -> tuple[str, Separation | None]:
    if not problem.family.space.separable:
        return "none", None
    return ("unknown", None) if form is None else separation_beside(problem, form)


def _with_the_classical(problem: Problem, form: Form | None, ends: list[End]) -> list[End]:
    """The ends, and where the classical fit leads if that is likelier: of a density with many maxima it knows the way."""
    linear = form is not None and form.exact and form.place is not None
    if form is None or not linear or problem.family.likelihood.kinked:
        return ends
    classical = linear_fit(problem, form)
    if classical is None:
        return ends
    end = descend(problem, parameters_at(form, unshifted(form.design, classical.beta)))
    top = max((log_likelihood(problem, one.theta) for one in ends if one.converged), default=-math.inf)
    return [*ends, end] if _above(log_likelihood(problem, end.theta), top) else ends


def _above(llf: float, top: float) -> bool:
    return llf > top + LIKELIER + 1e-9 * (abs(top) if math.isfinite(top) else 0.0)


def _approached(problem: Problem, form: Form | None, kind: str, found: Separation | None, best: End) -> str:
    """Whether a model that may be separated is on its way to a supremum that it does not reach; else "unknown"."""
    if form is not None and found is not None and not form.offset:
        limit = supremum(problem.family, form.design, found)[2]
        return kind if log_likelihood(problem, best.theta) >= limit - NEAR_SUPREMUM else "unknown"
    return "complete" if grows(problem, best.theta) else "unknown"


def _furthered(problem: Problem, ends: list[End], kind: str) -> list[End]:
    """The ends, the likeliest taken further if it has not converged and no maximum is as likely."""
    best = _best(ends)
    if not _promising(problem, ends, best, kind):
        return ends
    taken = further(problem, best)
    return [taken if end is best else end for end in ends]


def _promising(problem: Problem, ends: list[End], best: End, kind: str) -> bool:
    """Whether more steps from the likeliest end, which has not converged, may come to a maximum likelier than any reached."""
    reached = [log_likelihood(problem, end.theta) for end in ends if end.converged]
    hopeless = not math.isfinite(best.gradient) or (kind == "unknown" and not reached)
    if best.converged or hopeless:
        return False
    return _above(log_likelihood(problem, best.theta), max(reached, default=-math.inf))


def _separated(problem: Problem, form: Form | None, kind: str, found: Separation | None, best: End | None) -> ModelFit:
    nothing = torch.full_like(problem.flat, math.nan)
    if form is None or found is None:  # every row is told rightly, ever more so as a layer grows
        return of_separation(problem, kind, nothing, 0.0, None)
    if form.offset and kind == "quasi":  # the limit of what is left is known for models without a fixed part
        end = best or descend(problem, problem.flat)
        return of_separation(problem, kind, nothing, log_likelihood(problem, end.theta), None)
    family, beta, llf = supremum(problem.family, form.design, found)
    if not form.exact or form.place is None:
        return of_separation(problem.at(family), kind, nothing, llf, None)
    assert found.direction is not None
    direction = parameters_at(form, found.direction[:, None])
    return of_separation(problem.at(family), kind, parameters_at(form, beta), llf, direction)
