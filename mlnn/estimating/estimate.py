"""`mlnn.estimate`: the classical maximum-likelihood estimate of a (generalised) linear model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, overload

from torch import nn

from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import Family, family_of
from mlnn.estimating.choices import MOST_STEPS, check_beside_model, check_choices
from mlnn.estimating.door import check_nll, check_one_number
from mlnn.estimating.given import Given, given
from mlnn.estimating.linear import answer, linear_programme, other_answers
from mlnn.estimating.linear.ancillary import NoNumberError, maximise
from mlnn.estimating.linear.design import Design, design_of, shape_of
from mlnn.estimating.linear.existence import (
    beside_rank,
    besides,
    certain,
    check_determined,
    rises_along,
    separation_of,
    supremum,
)
from mlnn.estimating.linear.firth import null_value, penalised
from mlnn.estimating.linear.inference import unshifted
from mlnn.estimating.linear.jointly import jointly
from mlnn.estimating.linear.kinks import WAYS, by_kernel, errors_of, way_of
from mlnn.estimating.linear.least_squares import RankError
from mlnn.estimating.linear.newton import CONVERGED_PUSH, Fit, NotConvergedError, newton
from mlnn.estimating.linear.start import start
from mlnn.estimating.network.answer import of_kinks
from mlnn.estimating.network.fit import ModelFit
from mlnn.estimating.network.form import form_of, parameters_at
from mlnn.estimating.network.nonlinear import fit
from mlnn.estimating.network.problem import Problem, made, unheard
from mlnn.estimating.network.starts import telling
from mlnn.estimating.reading import view, whole
from mlnn.estimating.result import Estimate
from mlnn.likelihoods import Likelihood
from mlnn.targets import TargetSpace
from mlnn.world import own_world

DRAWS = 200
"""Samples of the rows for cov="bootstrap", as many as R's quantreg draws: a standard error is then known to about 5 %."""


@overload
def estimate(
    likelihood: Any,
    data: Any,
    frame: Any = None,
    *,
    intercept: bool = True,
    weights: Any = None,
    offset: Any = None,
    missing: str = "refuse",
    dispersion: str = "unbiased",
    cov: str = "expected",
    penalty: str | None = None,
    constant: str | Sequence[str] = (),
    max_iter: int = MOST_STEPS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate: ...


@overload
def estimate(
    likelihood: Any,
    data: Any,
    frame: Any = None,
    *,
    model: Callable[[], nn.Module],
    weights: Any = None,
    offset: Any = None,
    missing: str = "refuse",
    dispersion: str = "unbiased",
    cov: str = "expected",
    penalty: str | None = None,
    constant: str | Sequence[str] = (),
    starts: int = 3,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ModelFit: ...


@own_world(threads=None)
def estimate(
    likelihood: Any,
    data: Any,
    frame: Any = None,
    *,
    intercept: bool = True,
    weights: Any = None,
    offset: Any = None,
    missing: str = "refuse",
    dispersion: str = "unbiased",
    cov: str = "expected",
    penalty: str | None = None,
    constant: str | Sequence[str] = (),
    max_iter: int = MOST_STEPS,
    model: Callable[[], nn.Module] | None = None,
    starts: int = 3,
    seed: int = 0,
    draws: int = DRAWS,
    progress: Callable[[int, int], None] | None = None,
) -> Estimate | ModelFit:
    """The coefficients of a linear raw output that make the data most probable, in float64.

    likelihood: one of the catalogue, its numbers kept (`NegativeBinomial(theta=2)`), or its name ("bernoulli", "poisson",
    …): then sigma, shape, theta, precision or scale is estimated too and kept apart in `Estimate.ancillary`. data: a
    Dataset (training rows; x (n, …) is flattened) or (x, y), arrays, tensors or frames (pandas, polars, Arrow, a dict of
    columns), x (n, d) or (n,), arrays never copied; or a formula, `estimate("bernoulli", "y ~ C(group) + log(dose)", frame)`,
    whose text columns become levels (see `mlnn.data.formula`; `C(x, Treatment("b"))`, `bs`, `poly`, `a:b` as in formulaic).
    missing: "refuse" (row and column are named) or "drop" (rows with a missing value among those used; `notes` counts them).
    offset (n,): added to the first raw output of every row, the log of an exposure; of a Dataset its extra of that name. With
    a frame weights and offset may name a column.
    Classes: class 0 is the baseline. weights (n,): how many rows a row stands for, 0: left out. With them a Bernoulli y may
    be a share: where shares × weights are whole the rows are a binomial table as in a GLM (`nobs` counts rows, llf has
    Σ log C(n, k)).
    dispersion, of a normal or gamma by name, in the standard errors: "unbiased" (normal RSS/(n−p), gamma Pearson's
    X²/(n−p)) or "ml". cov: what `bse` is made of, see `Information.covariance`; of a likelihood with kinks "kernel" (what the
    default then means) or "bootstrap", from `draws` samples of the rows by `seed`, see `mlnn.estimating.linear.kinks`.
    penalty: "firth" adds ½ log|I(β)| to the log-likelihood of a bernoulli, categorical or poisson: finite for separated rows,
    less biased for any (Firth 1993); llf, llnull, AIC, BIC, tests and intervals are then those of the penalised likelihood.
    constant: names of raw outputs, of a likelihood with several, that have a constant alone ("logit_inflation").

    model: a factory () → nn.Module of a small model, rows of x in their own shape to raw outputs; it is estimated through
    its Hessian, from `starts` first weights drawn from `seed`, into a `ModelFit` (memory as the parameters squared, time cubed;
    `progress` is told the steps made and how many there may be). By name the same numbers are estimated; the constant is its own.

    Nothing that the caller has set counts (default dtype and device, grad mode, autocast), and random streams stay as they
    were, whatever the model draws.

    Raises ConfigError (unknown name or choice, a model that gives no raw outputs), DataError (NaN, masked entries, targets
    outside the space, one class, dependent columns, fewer rows than coefficients, no finite ancillary number) and
    NotConvergedError. Separated rows are no error: the answer says so.
    """
    check_choices(dispersion, cov, penalty, max_iter)
    starts, seed, draws = whole("starts", starts, 1), whole("seed", seed), whole("draws", draws, 2)
    if model is not None:
        check_beside_model(cov, intercept, penalty, constant, max_iter)
    rows = given(likelihood, data, frame, intercept=intercept, weights=weights, offset=offset, how_missing=missing)
    with rows.counted():
        if model is not None:
            return rows.told(_of_model(likelihood, rows, model, (starts, seed), (dispersion, cov), progress))
        return rows.told(_of_rows(likelihood, rows, (cov, dispersion, penalty), constant, max_iter, (draws, seed)))


def _of_rows(
    likelihood: Any,
    rows: Given,
    choices: tuple[str, str, str | None],
    constant: str | Sequence[str],
    max_iter: int,
    samples: tuple[int, int],
) -> Estimate:
    """The linear estimate of what was given; choices: cov, dispersion, penalty; samples: how many for "bootstrap", their seed."""
    cov, dispersion, penalty = choices
    design, family = design_of(
        rows.data,
        _family(likelihood, rows.data),
        rows.intercept,
        rows.weights,
        enough=False,
        offset=rows.offset,
        names=rows.names,
        constant=rows.constant,
    )
    family = check_nll(family, design.y)
    check_determined(family, design)
    family = family.holding(constant)
    if penalty is not None:
        found = penalised(family, design, max_iter)
        return other_answers.of_penalty(found, null_value(found), cov)
    if family.likelihood.kinked:
        way_of(cov)
        fitted, beta, iterations = linear_programme.maximum(family, design)
        llf, errors = answer.log_likelihood(fitted, design, beta), errors_of(fitted, design, beta, cov, *samples)
        return answer.of_kinks(errors, llf, _null(family, design), iterations)
    if cov in WAYS:
        raise ConfigError(f"cov: {cov!r} is for likelihoods with kinks; {family.name} has curvature: take 'robust'")
    if family.joint:
        return jointly(family, design, cov, max_iter)
    return _smooth(family, design, cov, dispersion, max_iter)


def _family(likelihood: Any, data: Any) -> Family:
    """The likelihood; of one from elsewhere that does not say what it is for, over what the data are.

    A Dataset tells; of a pair only zeros and ones do.
    """
    if isinstance(likelihood, str | Likelihood):
        return family_of(likelihood)
    if isinstance(data, Dataset):
        return family_of(likelihood, data.targets)
    y = view(data[1], "y") if isinstance(data, tuple | list) and len(data) == 2 else None
    hard = y is not None and y.numel() > 0 and bool(((y == 0) | (y == 1)).all())
    return family_of(likelihood, TargetSpace("binary") if hard else None)


def _of_model(
    likelihood: Any,
    rows: Given,
    model: Any,
    drawn: tuple[int, int],
    choices: tuple[str, str],
    progress: Callable[[int, int], None] | None,
) -> ModelFit:
    """The estimate of a model; drawn: starts, seed; choices: dispersion, cov."""
    (starts, seed), (dispersion, cov) = drawn, choices
    data = rows.data
    design, family = design_of(data, _family(likelihood, data), False, rows.weights, few=True, offset=rows.offset)
    check_one_number(family)
    module = made(model, seed)
    x = design.x.reshape(len(design.y), *shape_of(data)).double()  # as it came, less the rows of weight 0
    problem = Problem(family, module, x, design.y, design.weights, design.offset)
    if progress is not None:
        problem.stepped = telling(progress, starts)
    found = _of_kinks(problem, cov) if family.likelihood.kinked else fit(problem, starts, seed, dispersion)
    problem.stepped = unheard  # the fit holds its problem, and may be pickled
    if design.binomial:  # nobs and llf as the linear estimate of such a table has them
        notes = tuple(answer.notes_of(family, design, problem.family.counted))
        held = None if found.rows is None else replace(found.rows, binomial=True)
        llf = found.llf + answer.ways_of(design)
        found = replace(found, nobs=float(len(design.y)), llf=llf, notes=notes, rows=held)
    return found.with_cov(cov)


def _of_kinks(problem: Problem, cov: str) -> ModelFit:
    way_of(cov)
    form = form_of(problem)
    if form is None or form.place is None or form.offset:
        raise ConfigError(
            f"model: {problem.family.name} has kinks, and its maximum is found for a model that is linear in its parameters,"
            " with no fixed part, only; take a smooth likelihood ('huber_density', 'student_t', …) or such a model"
        )
    family, beta, _ = linear_programme.maximum(problem.family, form.design)
    theta = parameters_at(form, unshifted(form.design, beta))
    llf, errors = answer.log_likelihood(family, form.design, beta), by_kernel(family, form.design, beta)
    return of_kinks(problem.at(family), theta, llf, errors, form.place)


def _smooth(family: Family, design: Design, cov: str, dispersion: str, max_iter: int) -> Estimate:
    found = _maximum(family, design, max_iter)
    if isinstance(found, NotConvergedError) or not _certain(*found, design):
        separated = _separated(family, design, cov)
        if separated is not None:
            return separated
    if isinstance(found, NotConvergedError):
        raise found
    fitted, fit = found
    if not fitted.knows_information and cov == "expected":
        cov = "observed"
    return answer.of_maximum(fitted, design, fit, _null(family, design), cov, dispersion)


def _certain(family: Family, fit: Fit, design: Design) -> bool:
    """Whether a fit proves that the maximum is finite, by one more pass where its gradient is not yet as small as can be."""
    if certain(family, design, fit):
        return True
    return fit.push > CONVERGED_PUSH and certain(family, design, newton(family, design, fit.beta))


def _maximum(family: Family, design: Design, max_iter: int) -> tuple[Family, Fit] | NotConvergedError:
    """The maximum; what was raised on the way to it where the rows may be separated, and then have none."""
    try:
        return maximise(family, design, start(family, design), max_iter)
    except RankError as error:
        raise DataError(f"{error}{beside_rank(family, design)}") from None
    except NoNumberError as error:
        raise DataError(f"{error}{besides(family, design)}") from None
    except NotConvergedError as error:
        if not family.space.separable:
            raise
        return error


def _separated(family: Family, design: Design, cov: str) -> Estimate | None:
    """The answer of separated rows; None of any others."""
    found = separation_of(family, design)
    if found.kind == "none" or not rises_along(family, design, found):
        return None
    limit, beta, llf = supremum(family, design, found)
    return answer.of_separation(limit, design, beta, llf, _null(family, design), cov, found)


def _null(family: Family, design: Design) -> float:
    """The maximum log-likelihood of the constant alone, with its own ancillary number."""
    alone = design.without_features()
    if family.likelihood.kinked:
        fitted, beta, _ = linear_programme.maximum(family, alone)
        return answer.log_likelihood(fitted, alone, beta)
    return -maximise(family, alone, start(family, alone), MOST_STEPS)[1].point.value
