"""What was estimated of a small model, in the vocabulary of `Estimate`."""

from dataclasses import dataclass, field
from numbers import Real

import numpy as np
import scipy

from mlnn.data.formula import Terms
from mlnn.errors import ConfigError
from mlnn.estimating.briefly import brief, coefficient_table
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
    parameters: what aic and bic count: directions that change the likelihood, and of the free numbers theta and precision.
    """

    likelihood: str
    nobs: float
    ancillary: dict[str, float]
    params: np.ndarray
    names: tuple[str, ...]
    llf: float
    gradient_norm: float
    information: np.ndarray
    eigenvalues: np.ndarray
    identified: bool
    bse: np.ndarray
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
    terms: Terms | None = field(default=None, repr=False, compare=False)

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
        """Whether intervals refer to Student's t: the normal with an unbiased dispersion."""
        return self.dispersion_kind.startswith("unbiased: RSS")

    def cov_params(self) -> np.ndarray:
        """(p, p): the inverse of the information that `bse` is made of. Raises ConfigError where it is singular."""
        if self.covariance is None:
            raise ConfigError(f"cov_params: {self.sentence}")
        return self.covariance

    def conf_int(self, level: float = 0.95) -> np.ndarray:
        """Wald intervals (p, 2), lower and upper; Student's t for a normal, else normal. NaN where not identified."""
        if isinstance(level, bool) or not isinstance(level, Real) or not 0 < level < 1:
            raise ConfigError(f"level: must lie strictly between 0 and 1, found {level!r}")
        tail, left = (1 + level) / 2, self.nobs - len(self.params)
        half = self.bse * (scipy.stats.t.ppf(tail, left) if self.use_t else scipy.stats.norm.ppf(tail))
        return np.stack([self.params - half, self.params + half], axis=1)

    def to_dict(self) -> dict[str, object]:
        """As plain data, at full precision."""
        kept = [name for name in self.__dataclass_fields__ if name not in ("information", "covariance", "terms")]
        plain = {name: v.tolist() if isinstance(v := getattr(self, name), np.ndarray) else v for name in kept}
        plain |= {"names": list(self.names), "notes": list(self.notes)}
        plain |= {"formula": self.terms.formula} if self.terms else {}
        return plain | {"aic": self.aic, "bic": self.bic}

    def summary(self) -> str:
        """A table as a statistics package prints it, at most 60 parameters, the sentence and the notes."""
        numbers = [f"{key} {value:.6g}" for key, value in self.ancillary.items()]
        lines = [*self._statement(), *numbers] if self.separated else [*self._header(), *numbers, *self._table()]
        return "\n".join([*lines, self.sentence, *(f"- {note}" for note in self.notes)])

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
        low, high = self.conf_int().T
        rows = list(zip(self.names, self.params, self.bse, low, high, strict=True))[:MOST_PRINTED]
        return [
            *(rule, f"{'':<30}{'coef':>14}{'std err':>12}{'[0.025':>11}{'0.975]':>11}", rule),
            *(f"{n[:29]:<30}{c:>14.6g}{e:>12.4g}{a:>11.4g}{b:>11.4g}" for n, c, e, a, b in rows),
            *[f"… and {left_out} more"] * (left_out > 0),
            rule,
        ]

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
            table=coefficient_table(self.names, self.params, self.bse),
        )

    @property
    def _criteria(self) -> Criteria:
        return Criteria(self.llf, self.parameters, self.nobs)
