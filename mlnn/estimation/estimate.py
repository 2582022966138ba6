"""`mlnn.estimate`: the classical maximum-likelihood estimate of a (generalised) linear model."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, overload

import torch
from torch import Tensor, nn

from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError, unknown
from mlnn.estimation import answer, linear_programme
from mlnn.estimation.ancillary import linear, maximise
from mlnn.estimation.catalogue import KINKED, Family, family_of
from mlnn.estimation.design import Design, design_of, view
from mlnn.estimation.existence import CAN_SEPARATE, beside_rank, certain, separation_of, supremum
from mlnn.estimation.inference import COVARIANCES
from mlnn.estimation.least_squares import RankError
from mlnn.estimation.model_fit import ModelFit
from mlnn.estimation.newton import NotConvergedError
from mlnn.estimation.nonlinear import fit_model
from mlnn.estimation.result import Estimate
from mlnn.estimation.start import start
from mlnn.seeding import derive

DISPERSIONS = ("unbiased", "ml")


@overload
def estimate(
    likelihood: Any,
    data: Any,
    *,
    intercept: bool = True,
    weights: Any = None,
    dispersion: str = "unbiased",
    cov: str = "expected",
    max_iter: int = 100,
) -> Estimate: ...


@overload
def estimate(
    likelihood: Any,
    data: Any,
    *,
    model: Callable[[], nn.Module],
    weights: Any = None,
    starts: int = 3,
    seed: int = 0,
) -> ModelFit: ...


def estimate(
    likelihood: Any,
    data: Any,
    *,
    intercept: bool = True,
    weights: Any = None,
    dispersion: str = "unbiased",
    cov: str = "expected",
    max_iter: int = 100,
    model: Callable[[], nn.Module] | None = None,
    starts: int = 3,
    seed: int = 0,
) -> Estimate | ModelFit:
    """The coefficients of a linear raw output that make the data most probable, in float64.

    likelihood: one of the catalogue, its numbers kept (`NegativeBinomial(theta=2)`), or its name ("bernoulli", "poisson",
    …): then sigma, shape, theta, precision or scale is estimated too and kept apart in `Estimate.ancillary`. data: a
    Dataset (training rows) or (x, y), arrays, tensors or pandas; x (n, …) is flattened, never copied. Classes: class 0 is
    the baseline. weights (n,): how many rows a row stands for, 0: left out. With them a Bernoulli y may be a share: where
    shares × weights are whole the rows are a binomial table as in a GLM (`nobs` counts rows, llf has Σ log C(n, k)).
    dispersion, of a normal or gamma by name, in the standard errors: "unbiased" (normal RSS/(n−p), gamma Pearson's
    X²/(n−p)) or "ml". cov: what `bse` is made of, see `Information.covariance`.

    model: a factory () → nn.Module of a small model, rows of x to raw outputs; it is estimated through its Hessian, from
    `starts` first weights drawn from `seed`, and the answer is a `ModelFit` (time and memory as the parameters squared).

    Raises ConfigError (unknown name or choice), DataError (NaN, targets outside the space, one class, dependent columns,
    fewer rows than coefficients, no finite ancillary number) and NotConvergedError. Separated rows are no error: the
    Estimate says so.
    """
    if dispersion not in DISPERSIONS:
        raise ConfigError("dispersion: " + unknown("dispersion", str(dispersion), DISPERSIONS))
    if cov not in COVARIANCES:
        raise ConfigError("cov: " + unknown("covariance", str(cov), COVARIANCES))
    if isinstance(max_iter, bool) or not isinstance(max_iter, Integral) or max_iter < 1:
        raise ConfigError(f"max_iter: must be a whole number above 0, found {max_iter!r}")
    if model is not None:
        return _of_model(likelihood, data, model, weights, starts, seed)
    design, family = design_of(data, family_of(likelihood), intercept, weights)
    if isinstance(family.likelihood, KINKED):
        fitted, beta, iterations = _programme(family, design)
        llf = answer.log_likelihood(fitted, design, beta)
        return answer.of_kinks(fitted, design, beta, llf, _null(family, design), cov, iterations)
    return _smooth(family, design, cov, dispersion, max_iter)


def _of_model(likelihood: Any, data: Any, model: Any, weights: Any, starts: int, seed: int) -> ModelFit:
    design, family = design_of(data, family_of(likelihood), False, weights, few=True)
    if isinstance(model, nn.Module) or not callable(model):
        raise ConfigError(
            f"model: give a factory, lambda: MyNet(…), that makes a fresh model; found {type(model).__name__}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        module = model()
    if not isinstance(module, nn.Module):
        raise ConfigError(f"model: the factory made a {type(module).__name__}, not an nn.Module")
    given = data.x if isinstance(data, Dataset) else view(data[0], "x")
    x = design.x.reshape(-1, *given.shape[1:])  # as it came, less the rows of weight 0
    return fit_model(family.likelihood, module.double(), x.double(), design.y, design.weights, starts, seed)


def _smooth(family: Family, design: Design, cov: str, dispersion: str, max_iter: int) -> Estimate:
    failure: NotConvergedError | None = None
    try:
        fitted, fit = maximise(family, design, start(family, design), max_iter)
    except RankError as error:
        raise DataError(f"{error}{beside_rank(family, design)}") from None
    except NotConvergedError as error:
        if family.space.kind not in CAN_SEPARATE:
            raise
        failure = error
    if failure or not certain(fitted, design, fit):
        found = separation_of(family, design)
        if found.kind != "none":
            limit, beta, llf = supremum(family, design, found)
            return answer.of_separation(limit, design, beta, llf, _null(family, design), cov, found)
        if failure:
            raise failure
    return answer.of_maximum(fitted, design, fit, _null(family, design), cov, dispersion)


def _null(family: Family, design: Design) -> float:
    """The maximum log-likelihood of the constant alone, with its own ancillary number."""
    alone = design.without_features()
    if isinstance(family.likelihood, KINKED):
        fitted, beta, _ = _programme(family, alone)
        return answer.log_likelihood(fitted, alone, beta)
    return -maximise(family, alone, start(family, alone), 100)[1].point.value


def _programme(family: Family, design: Design) -> tuple[Family, Tensor, int]:
    """(family with its scale, coefficients (p, 1) of the shifted columns, iterations) of a likelihood with kinks."""
    beta, iterations = linear_programme.solve(family, design)
    if family.free is None:
        return family, beta, iterations
    size = (design.y - linear(design, beta)[:, 0]).abs()
    scale = float(design.weigh(slice(0, len(size)), size).sum()) / design.nobs
    if scale <= 1e-14 * float(design.y.abs().max()):
        raise DataError("laplace: every row is met exactly, so the scale goes to 0; fix it: Laplace(scale=…)")
    return family.at(scale), beta, iterations
