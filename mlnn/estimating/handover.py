"""The same fit as a result of statsmodels: what mlnn does not do itself (clusters, HAC, influence, margins) is done there.

Its model is made of the fit's own rows and started at the fit's coefficients, which it keeps to the last digit. Data are copied
on the way. Standard errors are statsmodels': of expected information as a generalised linear model has them, else of observed
information, as its models of their own have; where those would be other than the fit's, there is no handing over.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mlnn.data.extras import optional
from mlnn.errors import ConfigError
from mlnn.estimating.fitted_rows import LinearRows
from mlnn.estimating.linear.inference import INVERSES, SANDWICHES
from mlnn.likelihoods.counterpart import Counterpart
from mlnn.world import own_world

STEPS = 25
"""Of its own method from the maximum: it stops after one or two, and its result is then held to the coefficients."""
SAME = 1e-8
"""Of a log-likelihood: what the two may be apart by rounding."""

ALIKE = 1e-4
"""Of a standard error: far above the rounding of columns that nearly depend on each other, far below another convention."""


@dataclass(frozen=True)
class Fitted:
    """What is handed over: names, coefficients and standard errors (p,) or (p, m), the latter NaN where there are none; llf; the
    kind of covariance; the dispersion and its convention."""

    rows: LinearRows
    names: tuple[str, ...]
    params: np.ndarray
    bse: np.ndarray
    llf: float
    cov: str
    dispersion: float
    unbiased: bool
    penalty: str | None = None

    @property
    def weighted(self) -> bool:
        """Whether rows count otherwise than once."""
        return self.rows.design.weights is not None

    @property
    def shifted(self) -> bool:
        """Whether rows have an offset."""
        return self.rows.design.offset is not None

    @property
    def offset(self) -> dict[str, Any]:
        """The offset as an argument."""
        return {} if self.rows.design.offset is None else {"offset": self.rows.design.offset.numpy()}


@own_world(threads=None)
def to_statsmodels(found: Fitted) -> Any:
    """A results object of statsmodels with the fit's coefficients, rows, names, weights (`freq_weights`) and offset.

    bernoulli: Logit, probit: Probit or GLM, poisson: Poisson, negative binomial: NegativeBinomial or GLM, normal: OLS or GLM,
    gamma: GLM, categorical: MNLogit, laplace: QuantReg, beta: BetaModel; GLM where rows have weights, or the standard errors are of
    expected information and the link is not canonical. Raises ConfigError for another likelihood, for weights, an offset or a
    covariance that its model does not have, and without statsmodels.
    """
    family = found.rows.family
    told = family.likelihood.counterpart
    if told is None:
        raise ConfigError(
            f"to_statsmodels: statsmodels has no model of {family.name} that maximises the same likelihood"
        )
    if found.penalty is not None:
        raise ConfigError("to_statsmodels: statsmodels has no penalised likelihood of Firth's; fit without penalty=")
    optional("statsmodels", "to_statsmodels")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own steps, which start where they end
        result = _maker(found, told)(found, told)
    _check_same(found, result)
    return result


def _maker(found: Fitted, told: Counterpart) -> Callable[[Fitted, Counterpart], Any]:
    """Which of statsmodels' models has the fit's weights, offset, numbers and standard errors."""
    family = found.rows.family
    if family.likelihood.squares and not (found.weighted or found.shifted) and found.unbiased:
        return _least_squares
    if family.likelihood.kinked:
        return _quantile
    expected = found.cov == "expected" and not family.likelihood.canonical
    given = told.extra is not None and family.free is None
    if told.family and (found.weighted or expected or given or not told.own or family.likelihood.squares):
        return _glm
    return _own


def _least_squares(found: Fitted, told: Counterpart) -> Any:
    exog, endog = _data(found)
    result = _class(told.own)(endog, exog).fit(method="qr", cov_type=_cov_type(found, SANDWICHES))
    result._results.params = found.params
    return result


def _glm(found: Fitted, told: Counterpart) -> Any:
    family, design = found.rows.family, found.rows.design
    if family.counted and found.cov != "expected":
        raise ConfigError(
            f"to_statsmodels: with weights statsmodels' {family.name} takes {family.free} as known, which"
            f" cov='{found.cov}' does not; fit with cov='expected'"
        )
    api = optional("statsmodels.api", "to_statsmodels")
    made = getattr(api.families, told.family)(getattr(api.families.links, told.link)(), **told.numbers)
    exog, endog = _data(found)
    counts: dict[str, Any] = {}
    if design.weights is not None and design.binomial:
        trials = design.weights.numpy()
        endog = np.column_stack([np.round(trials * endog), trials - np.round(trials * endog)])
    elif design.weights is not None:
        counts = {"freq_weights": design.weights.numpy()}
    model = api.GLM(endog, exog, family=made, **counts, **found.offset)
    how: dict[str, Any] = {} if found.unbiased else {"scale": found.dispersion}
    if found.cov == "observed" and not family.likelihood.canonical:
        how |= {"method": "newton", "disp": False}
    result = model.fit(
        start_params=found.params, maxiter=STEPS, tol=1e-12, cov_type=_cov_type(found, ("robust", "HC0")), **how
    )
    result._results.params = found.params
    model.mu = model.predict(found.params)
    return result


def _own(found: Fitted, told: Counterpart) -> Any:
    kind = told.own.rpartition(".")[2]
    if found.weighted or (found.shifted and not told.family):
        what = "weights" if found.weighted else "an offset"
        raise ConfigError(f"to_statsmodels: {what}: statsmodels' {kind} has none; fit the rows without")
    exog, endog = _data(found)
    start = found.params.T.reshape(-1)
    if told.extra is not None:
        start = np.append(start, told.extra)
    method = {"method": "newton", "maxiter": STEPS, "disp": 0, "cov_type": _cov_type(found, ("robust", "HC0"))}
    result = _class(told.own)(endog, exog, **found.offset).fit(start_params=start, **method)
    result._results.params = found.params if found.params.ndim > 1 else start
    return result


def _quantile(found: Fitted, told: Counterpart) -> Any:
    if found.weighted or found.shifted:
        raise ConfigError(
            "to_statsmodels: statsmodels' QuantReg has neither weights nor an offset; fit the rows without"
        )
    exog, endog = _data(found)
    result = _class(told.own)(endog, exog).fit(q=found.rows.family.likelihood.quantile, p_tol=1e-9, max_iter=5000)
    result._results.params = found.params
    return result


def _data(found: Fitted) -> tuple[Any, Any]:
    """(exog, endog) with their names: the features as they came, the constant last."""
    pandas, design = optional("pandas", "to_statsmodels"), found.rows.design
    x = design.x.to(torch.float64)
    columns = [x, torch.ones(len(x), 1, dtype=torch.float64)] if design.intercept else [x]
    return pandas.DataFrame(torch.cat(columns, 1).numpy(), columns=list(found.names)), pandas.Series(
        design.y.numpy(), name="y"
    )


def _cov_type(found: Fitted, known: tuple[str, ...]) -> str:
    if found.cov in INVERSES:
        return "nonrobust"
    if found.cov not in known:
        raise ConfigError(
            f"to_statsmodels: cov: {found.cov} is HC0 under another name in statsmodels' models of {found.rows.family.name}; fit"
            " with cov='HC0'"
        )
    return "HC0" if found.cov == "robust" else found.cov


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(optional(f"statsmodels.{module}", "to_statsmodels"), name)


def _check_same(found: Fitted, result: Any) -> None:
    """Raise ConfigError where log-likelihood or standard errors are others: then it is not the same fit."""
    if found.rows.family.likelihood.kinked:  # a quantile regression has no log-likelihood, and errors of its own
        return
    scaled = getattr(result, "llf_scaled", None)
    theirs = float(result.llf if scaled is None else scaled(found.rows.family.dispersion))
    if not math.isclose(theirs, found.llf, rel_tol=SAME, abs_tol=SAME):
        raise ConfigError(
            f"to_statsmodels: its log-likelihood of these rows is {theirs:.10g} and the fit's {found.llf:.10g}, so it counts"
            " weights or shares otherwise; there is no handing over"
        )
    errors = np.asarray(result.bse)[: len(found.bse)]
    if not np.allclose(errors, found.bse, rtol=ALIKE, atol=0):
        other = "observed" if found.cov == "expected" else "expected"
        raise ConfigError(
            f"to_statsmodels: its standard errors are other than those of cov='{found.cov}': it has observed information where a"
            f" model is no GLM, and takes a row of a binomial table for one observation; fit with cov='{other}'"
        )
