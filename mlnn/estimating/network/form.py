"""What form a model has, as far as the existence of its maximum goes, and what the rows then say of it.

Of a model that is linear in its parameters the likelihood is that of a generalised linear model, whatever its features:
separation can be asked exactly. One that is affine in x, but not in its parameters (a deep linear network), reaches some of
the affine functions, perhaps all: that the rows overlap for all of them settles it, that they are separated does not.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.errors import ConfigError, DataError
from mlnn.estimating.linear.ancillary import maximise
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.existence import certain, separation_of
from mlnn.estimating.linear.least_squares import RankError, check_rank
from mlnn.estimating.linear.newton import Fit, NotConvergedError, newton
from mlnn.estimating.linear.separation import Separation
from mlnn.estimating.linear.start import start
from mlnn.estimating.network.problem import Problem

LINEAR = 1e-9
"""Of the largest raw output: a second difference that is rounding."""
PROBES = 2000
"""Features up to which a model is asked whether it is affine in x."""
CHECKED = 64
"""Rows it is checked on."""
FEW_STEPS = 25
"""Steps after which rows are asked for separation: overlapping ones seldom take more than ten."""


@dataclass(frozen=True)
class Form:
    """A linear model beside a model: its raw outputs are `design`'s for some coefficients (p, m).

    exact: for all coefficients. offset: what the model itself adds to them whatever the parameters are, largest in size
    (that of the rows, which is known, is the design's). place: (p,)
    which parameter each coefficient is, None where they are no parameters.
    """

    design: Design
    exact: bool
    offset: float = 0.0
    place: Tensor | None = None


def form_of(problem: Problem) -> Form | None:
    """The linear model beside a model; None where it is neither linear in its parameters nor affine in x."""
    linear = straight(problem)
    if linear and problem.free(problem.flat).shape[1] == 1:
        return _in_parameters(problem)
    return _in_x(problem, linear) if problem.family.space.separable else None


def straight(problem: Problem) -> bool:
    """Whether the raw outputs are an affine function of the parameters, along two lines drawn at random."""
    with torch.no_grad():
        first = problem.free(problem.flat)
        for k in (1, 2):
            step = problem.moved(0, k) - problem.flat
            middle, last = (problem.free(problem.flat + times * step) for times in (1, 2))
            size = max(float(part.abs().max()) for part in (first, middle, last))
            if not float((first - 2 * middle + last).abs().max()) <= LINEAR * max(size, 1e-300):
                return False
    return True


def _in_parameters(problem: Problem) -> Form:
    columns = problem.jacobian(problem.flat)[:, 0, :]
    away = (problem.free(problem.flat, problem.x)[:, 0] - columns @ problem.flat).abs().max()
    size = max(1.0, float((columns.abs() @ problem.flat.abs()).max()))
    constant = [j for j in range(columns.shape[1]) if bool((columns[:, j] == 1).all())][:1]
    order = torch.tensor([j for j in range(columns.shape[1]) if j not in constant] + constant, dtype=torch.int64)
    x = columns[:, order[: len(order) - len(constant)]]
    names = problem.network.names()
    features = tuple(names[j] for j in order[: x.shape[1]])
    design = Design(x, problem.y, problem.counts, bool(constant), x.mean(0), features, offset=problem.offset)
    return Form(design, True, 0.0 if float(away) <= 1e-12 * size else float(away), order)


def _in_x(problem: Problem, linear: bool) -> Form | None:
    """The design of x where the raw outputs are affine in x; exact where the parameters move every coefficient freely."""
    x = problem.x
    shape, width = x.shape[1:], math.prod(x.shape[1:])
    if width > PROBES:
        return None
    probes = torch.cat([torch.eye(width, dtype=torch.float64), torch.zeros(1, width, dtype=torch.float64)])

    def coefficients(theta: Tensor) -> Tensor:
        at = problem.free(theta, probes.reshape(-1, *shape))
        return torch.cat([at[:-1] - at[-1:], at[-1:]])  # (width + 1, m), the constant last

    try:
        with torch.no_grad():
            beta, some = coefficients(problem.flat), x[:CHECKED]
            output = problem.free(problem.flat, some)
        slope = torch.func.jacrev(coefficients)(problem.moved(0, 1)).detach().reshape(-1, len(problem.flat))
    except Exception:  # a model may refuse rows that are not its own in any way; a linear one does not
        return None
    flat = some.reshape(len(some), -1)
    if not float((output - flat @ beta[:-1] - beta[-1:]).abs().max()) <= LINEAR * max(1.0, float(output.abs().max())):
        return None
    constant = bool((slope[-beta.shape[1] :] != 0).any())
    rank = int(torch.linalg.matrix_rank(slope))
    whole = rank == (width + constant) * beta.shape[1]
    design = Design(
        x.reshape(len(x), -1),
        problem.y,
        problem.counts,
        constant,
        x.reshape(len(x), -1).mean(0),
        tuple(map(str, range(width))),
        offset=problem.offset,
    )
    offset = 0.0 if constant else float(beta[-1].abs().max())
    return Form(design, linear and whole, offset)


def separation_beside(problem: Problem, form: Form) -> tuple[str, Separation | None]:
    """("none", "quasi", "complete", or "unknown" where rows are too near to touching to tell; what was found)."""
    fit = linear_fit(problem, form, FEW_STEPS)
    if fit is not None and certain(problem.family, form.design, fit):
        return "none", None
    try:
        found = separation_of(problem.family, form.design)
    except DataError:
        return "unknown", None
    return found.kind, found


def linear_fit(problem: Problem, form: Form, most: int = 100) -> Fit | None:
    """The classical fit of the linear model beside a model, its number kept; None where `most` steps reach none."""
    if form.offset:
        return None
    try:
        return newton(problem.family, form.design, start(problem.family, form.design), most)
    except (DataError, NotConvergedError):
        return None


def whole_rank(form: Form) -> bool:
    """Whether every parameter has an effect of its own on the raw outputs, whatever the likelihood makes of it."""
    try:
        check_rank(form.design)
    except RankError:
        return False
    return len(form.design.y) >= form.design.width


def classical_number(problem: Problem, form: Form) -> float | None:
    """The free number of the classical estimate beside a model; None where there is none."""
    family = problem.family
    if family.free is None or family.likelihood.squares or not form.exact or form.offset:
        return None
    try:
        fitted, _ = maximise(family, form.design, start(family, form.design), 100)
    except (DataError, NotConvergedError):
        return None
    return float(fitted.numbers[family.free])


def grows(problem: Problem, theta: Tensor) -> bool:
    """Whether every row is told rightly and a layer can be scaled up with all raw outputs: likelihood 1 in the limit."""
    problem = problem.bare()  # far enough out no offset counts
    y, space = problem.y, problem.family.space
    with torch.no_grad():
        output = problem.output(theta)
        if space.labels:
            own = output.gather(1, y[:, None])
            margins = (own - output).scatter(1, y[:, None], torch.inf)
        elif space.kind == "binary" and bool(((y == 0) | (y == 1)).all()):
            margins = output * (2 * y - 1)
        else:
            return False
        return bool((margins > 0).all()) and any(
            torch.allclose(problem.output(_doubled(problem, theta, layer)), 2 * output, rtol=1e-9, atol=0.0)
            for layer in {name.rpartition(".")[0] for name in problem.network.parts}
        )


def _doubled(problem: Problem, theta: Tensor, layer: str) -> Tensor:
    sizes = [part.numel() for part in problem.network.parts.values()]
    inside = [2.0 if name.rpartition(".")[0] == layer else 1.0 for name in problem.network.parts]
    return theta * torch.tensor(inside, dtype=torch.float64).repeat_interleave(torch.tensor(sizes))


def parameters_at(form: Form, beta: Tensor) -> Tensor:
    """The parameters (p,) that coefficients (p, 1) of the columns as they came are. Raises ConfigError where they are none."""
    if form.place is None:
        raise ConfigError("model: its parameters are not the coefficients of a linear model")
    theta = torch.empty(len(form.place), dtype=torch.float64)
    theta[form.place] = beta[:, 0]
    return theta
