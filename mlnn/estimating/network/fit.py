"""What was estimated of a small model, in the vocabulary of `Estimate`."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from mlnn.data.formula import Terms
from mlnn.errors import ConfigError
from mlnn.estimating.briefly import brief, coefficient_table, with_error
from mlnn.estimating.fitted_rows import ModelRows
from mlnn.estimating.linear.inference import INVERSES
from mlnn.estimating.linear.kinks import way_of
from mlnn.estimating.named import Named, named
from mlnn.estimating.network.sandwich import check_covariance, covariance, number_errors
from mlnn.estimating.prediction import Errors, Prediction, predict, quantile
from mlnn.estimating.residuals import fitted_values, residuals
from mlnn.estimating.summary import Summary, html
from mlnn.objectives.criteria import Criteria
from mlnn.report.brief import Brief

MOST_PRINTED = 60
"""Parameters in the printed table: about what a page of text holds."""


@dataclass(frozen=True, repr=False)
class ModelFit:
    """A maximum of the likelihood of a model with p parameters over n rows, or the statement that there is none.

    params (p,), with `names`; llf: log-likelihood in nats, nothing dropped, at the maximum-likelihood value of the number
    `free` in `ancillary`; the numbers that are not free are kept as given, as `notes` says. gradient_norm: largest
    |Σ_i s_ij| / Σ_i |s_ij|, s the rows' gradients; no units. information (p, p): observed, the Hessian of the summed nll at
    these numbers (Normal: σ̂² profiled out). eigenvalues (p,), ascending: of the information scaled to parameters in units of
    their own curvature; `identified`: the smallest is above 1e-10 of the largest, and no end was likelier.

    bse (p,): from the expected information, as `Estimate` has it: Σ_i J_iᵀ W_i J_i, J the derivative of the raw outputs
    and W their Fisher information, a free theta or precision bordered in. It is the observed one if the model is linear and
    the link canonical, and what tables of nonlinear least squares print. Normal and Gamma: with `dispersion`, whose
    convention is `dispersion_kind`; None for other likelihoods. NaN where not identified; `sentence` says why.

    separation: "none", "quasi" or "complete", exact for a model that is linear in its parameters; "unknown" where it cannot
    be told. Of separated rows params run away (±inf, NaN where not determined), along `direction` (p,) or None; llf is the
    supremum, aic and bic are None. likelier: the log-likelihood of an end that was likelier and did not converge, else None.
    ancillary_bse: the standard error of `free`, from the expected information with the parameters. kinked: by a linear programme.
    parameters: what aic and bic count: directions that change the likelihood, and of the free numbers theta and precision.
    """

    likelihood: str
    nobs: float
    ancillary: dict[str, float]
    params: Named
    names: tuple[str, ...]
    llf: float
    gradient_norm: float
    information: np.ndarray
    eigenvalues: np.ndarray
    identified: bool
    bse: Named
    dispersion: float | None
    dispersion_kind: str
    parameters: int
    sentence: str
    free: str | None = None
    separation: str = "none"
    direction: np.ndarray | None = None
    likelier: float | None = None
    notes: tuple[str, ...] = ()
    covariance: np.ndarray | None = field(default=None, repr=False)
    ancillary_bse: dict[str, float] = field(default_factory=dict)
    kinked: bool = False
    terms: Terms | None = field(default=None, repr=False, compare=False)
    cov: str = "expected"
    rows: ModelRows | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """As it is, less the model where that cannot be pickled: what it was loaded into then has nothing to predict from."""
        return vars(self) | {"rows": self.rows if self.rows is not None and self.rows.lasting() else None}

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    @property
    def aic(self) -> float | None:
        """2 parameters − 2 llf; None of separated rows. For a model that is not identified a guide at best."""
        return None if self.separated else self._criteria.aic

    @property
    def bic(self) -> float | None:
        """log(nobs) parameters − 2 llf; None of separated rows."""
        return None if self.separated else self._criteria.bic

    @property
    def separated(self) -> bool:
        """Whether it is certain that there is no finite maximum."""
        return self.separation in ("quasi", "complete")

    @property
    def use_t(self) -> bool:
        """Whether intervals refer to Student's t: the normal with an unbiased dispersion, a likelihood with kinks."""
        return self.kinked or (self.cov in INVERSES and self.dispersion_kind.startswith("unbiased: RSS"))

    @property
    def df_resid(self) -> float:
        """Rows less parameters."""
        return self.nobs - len(self.params)

    def cov_params(self, kind: str | None = None) -> Named:
        """(p, p): "expected", "observed", "robust", "HC0" or "HC1"; by default the one of `bse`.

        Raises ConfigError where there are no standard errors, NotConvergedError where the information is not positive definite.
        """
        if self.covariance is None:
            raise ConfigError(f"cov_params: {self.sentence}")
        kind = kind or self.cov
        if self.kinked:  # from the programme on there is one
            if way_of(kind) != "kernel":
                raise ConfigError("cov: samples of the rows are for the linear estimate, not for model=")
            return named(self.covariance, (self.names, self.names))
        check_covariance(kind)
        found = self.covariance if kind == "expected" else covariance(self._held(), kind, self.dispersion).numpy()
        return named(found, (self.names, self.names))

    def conf_int(self, level: float = 0.95) -> Named:
        """Wald intervals (p, 2), lower and upper; Student's t for a normal, else normal. NaN where not identified."""
        half = self.bse * quantile(level, self.df_resid if self.use_t else None)
        ends = np.stack([self.params - half, self.params + half], axis=1)
        return named(ends, (self.names, ("lower", "upper")))

    def with_cov(self, kind: str) -> "ModelFit":
        """The same with standard errors of another covariance, where it has any."""
        if kind == self.cov or self.covariance is None:
            return self
        found = self.cov_params(kind)
        bse = named(np.sqrt(np.diag(found)), (self.names,))
        if self.kinked:
            return replace(self, bse=bse, cov=way_of(kind))
        return replace(self, bse=bse, cov=kind, ancillary_bse=number_errors(self._held(), kind))

    @property
    def fitted(self) -> np.ndarray:
        """What is predicted for the fit's own rows, (n,), or (n, K) probabilities; rows of weight 0 are none of them."""
        return fitted_values(self._held()).numpy()

    def residuals(self, kind: str = "response") -> np.ndarray:
        """(n,) of the fit's own rows: "response", "pearson" or "deviance", see `estimating.residuals`; classes: (n, K)."""
        return residuals(self._held(), kind).numpy()

    def predict(
        self, x: Any = None, *, which: str = "mean", offset: Any = None, level: float = 0.95, se: bool = True
    ) -> Prediction:
        """Means for rows x (the fit's own where None), with standard errors through the model's Jacobian; see `Prediction`."""
        errors, held = None, self._held()
        at = quantile(level, self.df_resid if self.use_t else None)
        if se and self.covariance is not None:
            new = self.dispersion if held.family.likelihood.squares else None
            errors = Errors(torch.from_numpy(np.asarray(self.cov_params())), at, new)
        return predict(held, errors, x, which=which, offset=offset, level=level)

    def to_dict(self) -> dict[str, object]:
        """As plain data, at full precision."""
        left_out = ("information", "covariance", "rows", "terms")
        kept = [name for name in self.__dataclass_fields__ if name not in left_out]
        plain = {name: v.tolist() if isinstance(v := getattr(self, name), np.ndarray) else v for name in kept}
        plain |= {"names": list(self.names), "notes": list(self.notes)}
        plain |= {"formula": self.terms.formula} if self.terms else {}
        return plain | {"aic": self.aic, "bic": self.bic}

    def summary(self) -> Summary:
        """A table as a statistics package prints it, at most 60 parameters, the sentence and the notes. In a notebook a table."""
        numbers = [f"{k} {with_error(v, self.ancillary_bse.get(k))}" for k, v in self.ancillary.items()]
        head = self._statement() if self.separated else self._header()
        below = [self.sentence, *(f"- {note}" for note in self.notes)]
        text = "\n".join([*head, *numbers, *([] if self.separated else self._table()), *below])
        entries = [("", line) for line in [*head[1:], *numbers]]
        return Summary(
            text, html(head[0], entries, [] if self.separated else self._rows(), [self.sentence, *self.notes])
        )

    def _statement(self) -> list[str]:
        rows = f"({self.likelihood}, {self.nobs:g} rows)"
        return [
            f"No finite maximum-likelihood estimate: {self.separation} separation {rows}.",
            f"log-likelihood below {self.llf:.6g}, its supremum, which no parameters reach",
        ]

    def _header(self) -> list[str]:
        return [
            f"Maximum likelihood of a model: {self.likelihood}, {len(self.params)} parameters, {self.nobs:g} rows",
            f"log-likelihood {self.llf:.6f}   AIC {self.aic:.4f}   BIC {self.bic:.4f}",
        ]

    def _table(self) -> list[str]:
        rule, left_out = "-" * 78, len(self.names) - MOST_PRINTED
        widths = (30, 14, 12, 11, 11)
        lines = [
            f"{row[0][:29]:<30}" + "".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
            for row in self._rows()
        ]
        return [
            *(rule, lines[0], rule, *lines[1:]),
            *[f"… and {left_out} more"] * (left_out > 0),
            rule,
        ]

    def _rows(self) -> list[list[str]]:
        """Of the table, its head first."""
        low, high = self.conf_int().T
        rows = list(zip(self.names, self.params, self.bse, low, high, strict=True))[:MOST_PRINTED]
        body = [[n, f"{c:.6g}", f"{e:.4g}", f"{a:.4g}", f"{b:.4g}"] for n, c, e, a, b in rows]
        return [["", "coef", "std err", "[0.025", "0.975]"], *body]

    def _brief(self) -> Brief:
        """What an interactive session shows."""
        return brief(
            "No finite maximum-likelihood estimate" if self.separated else "Maximum likelihood of a model",
            "; ".join([self.sentence, *self.notes]),
            likelihood=self.likelihood,
            rows=self.nobs,
            llf=self.llf,
            separation=self.separation,
            supremum=self.separated,
            ancillary=self.ancillary,
            ancillary_bse=self.ancillary_bse,
            table=coefficient_table(self.names, self.params, self.bse),
        )

    def _held(self) -> ModelRows:
        if self.rows is None:
            raise ConfigError(
                f"there is nothing to predict from: {self.sentence if self.separated else 'no model is held'}"
            )
        return self.rows

    @property
    def _criteria(self) -> Criteria:
        return Criteria(self.llf, self.parameters, self.nobs)
