"""What was estimated, in the vocabulary of statsmodels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy

from mlnn.data.formula import Terms
from mlnn.errors import ConfigError, unknown
from mlnn.estimating.briefly import brief, coefficient_table, with_error
from mlnn.estimating.fitted_rows import LinearRows
from mlnn.estimating.handover import Fitted, to_statsmodels
from mlnn.estimating.linear.firth import Penalised, shaped
from mlnn.estimating.linear.inference import INVERSES, Information
from mlnn.estimating.linear.joint import Joint
from mlnn.estimating.linear.kinks import KinkErrors
from mlnn.estimating.named import Named, coefficients, named
from mlnn.estimating.prediction import Errors, Prediction, predict, quantile
from mlnn.estimating.residuals import fitted_values, residuals
from mlnn.estimating.summary import Summary, statement, table
from mlnn.estimating.wald import Wald, rows_of, wald
from mlnn.objectives.criteria import Criteria
from mlnn.report.brief import Brief


@dataclass(frozen=True, repr=False)
class Estimate:
    """A maximum-likelihood estimate, or, where `separation` is not "none", the statement that there is no finite one.

    params: (p,), or (p, m) with a column per raw output (`outputs`), the constant last; ±inf runs away, NaN is not
    determined. bse: the same shape, None if separated, NaN where no formula holds (`notes` says why). llf: nats, nothing
    dropped, at the maximum-likelihood value of every number in `ancillary`; of separated rows the supremum. llnull: the
    maximum with a constant alone; llr_pvalue: None where that model is not nested (no constant).
    deviance: 2φ(saturated − llf), φ as in Var(y) = φ V(μ), None where no saturated model exists. Of separated rows it, aic
    and bic are None. nobs: rows, or the sum of the weights; of a binomial table its rows. dispersion: φ in the
    standard errors, `dispersion_kind` its convention. ancillary_bse: standard errors of the numbers that were estimated, at
    their maximum-likelihood value whatever the convention of φ. gradient_norm: ‖R⁻ᵀg‖, the gradient in standard errors at the last
    point evaluated, before the last step. aic, bic count `parameters`, as `notes` says. penalty: "firth" where half the log
    determinant of the information has been added to llf and llnull. thresholds: the numbers in `ancillary` that stand in place
    of a constant. terms: how a formula makes the columns.
    """

    likelihood: str
    params: Named
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    bse: Named | None
    cov: str
    llf: float
    llnull: float
    df_model: int
    df_resid: float
    nobs: float
    parameters: int
    deviance: float | None
    dispersion: float
    dispersion_kind: str
    ancillary: dict[str, float]
    intercept: bool
    converged: bool
    iterations: int
    gradient_norm: float
    separation: str = "none"
    direction: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    penalty: str | None = None
    thresholds: tuple[str, ...] = ()
    information: Information | Penalised | Joint | None = field(default=None, repr=False, compare=False)
    kinks: KinkErrors | None = field(default=None, repr=False, compare=False)
    ancillary_bse: dict[str, float] = field(default_factory=dict)
    rows: LinearRows | None = field(default=None, repr=False, compare=False)
    terms: Terms | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("params", "bse"):  # which keep up with the names of coefficients and outputs
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, coefficients(np.asarray(value), self.names, self.outputs))

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    @property
    def llr(self) -> float:
        """2 (llf − llnull)."""
        return 2 * (self.llf - self.llnull)

    @property
    def llr_pvalue(self) -> float | None:
        """Of the likelihood-ratio test against the constant alone, χ² with df_model degrees; None where not nested."""
        if not (self.intercept or self.thresholds) or not self.df_model or not self.exists:
            return None
        return float(scipy.stats.chi2.sf(self.llr, self.df_model))

    @property
    def aic(self) -> float | None:
        """2 parameters − 2 llf; None of separated rows."""
        return self._criteria.aic if self.exists else None

    @property
    def bic(self) -> float | None:
        """log(nobs) parameters − 2 llf; None of separated rows."""
        return self._criteria.bic if self.exists else None

    @property
    def exists(self) -> bool:
        """Whether there is a finite maximum."""
        return self.separation == "none"

    @property
    def labels(self) -> tuple[str, ...]:
        """A name per row of `cov_params`: output after output."""
        return tuple(f"{output}: {name}" if output else name for output in self.outputs for name in self.names)

    @property
    def use_t(self) -> bool:
        """Whether tests refer to Student's t and F: the normal with an unbiased dispersion, where `bse` is made of it, and a
        likelihood with kinks, as statsmodels' QuantReg and R's quantreg have it.
        """
        return self.kinks is not None or (self.cov in INVERSES and self.dispersion_kind.startswith("unbiased: RSS"))

    @property
    def tvalues(self) -> Named:
        """params / bse."""
        return coefficients(self.params / self._bse(), self.names, self.outputs)

    @property
    def pvalues(self) -> Named:
        """Two-sided, of tvalues; of a penalised fit, of the fall of the penalised likelihood with the coefficient at 0."""
        if isinstance(self.information, Penalised) and self.information.profiled:
            falls = shaped(self.information.tests(), self.params)
            return coefficients(scipy.stats.chi2.sf(falls, 1), self.names, self.outputs)
        size = np.abs(self.tvalues)
        found = 2 * (scipy.stats.t.sf(size, self.df_resid) if self.use_t else scipy.stats.norm.sf(size))
        return coefficients(found, self.names, self.outputs)

    def cov_params(self, kind: str | None = None) -> Named:
        """Covariance (p m, p m) of `labels`: "expected", "observed", "robust", "HC0" … "HC3"; by default the one of `bse`.

        Of a likelihood with kinks "kernel", and "bootstrap" where it was estimated with it. Raises ConfigError for another
        kind, and where there are no standard errors (separated rows).
        """
        held = self.information or self.kinks
        if held is None:
            raise ConfigError(f"cov_params: there are no standard errors: {'; '.join(self.notes)}")
        return named(held.covariance(kind or self.cov), (self.labels, self.labels))

    def conf_int(self, level: float = 0.95, kind: str | None = None) -> Named:
        """Intervals, the shape of params and 2: lower, upper. kind: "wald", or "profile" (of a penalised fit, and there the
        default unless the rows are very many, which `notes` then says).

        Raises ConfigError for another level or kind, and where there are no standard errors.
        """
        reach = quantile(level, self.df_resid if self.use_t else None)
        profile = isinstance(self.information, Penalised) and self.information.profiled
        if kind not in (None, "wald", "profile"):
            raise ConfigError("kind: " + unknown("interval", str(kind), ("wald", "profile")))
        if kind == "profile" or (kind is None and profile):
            if not isinstance(self.information, Penalised):
                raise ConfigError("kind: profile intervals are those of a penalised fit: estimate(…, penalty='firth')")
            ends = shaped(self.information.intervals(float(level)), self.params)
        else:
            half = self._bse() * reach
            ends = np.stack([self.params - half, self.params + half], axis=-1)
        return named(ends, (*self.params.labels, ("lower", "upper")))

    def wald_test(self, names: str | Sequence[str], value: float | Sequence[float] = 0.0) -> Wald:
        """Test that the named coefficients, a name of `names` (all its outputs) or of `labels`, have these values."""
        rows, params = rows_of(names, self.names, self.labels), self.params.T.reshape(-1)
        return wald(params, self.cov_params(), rows, value, self.df_resid if self.use_t else None)

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
        """Means for rows x (the fit's own where None), with standard errors and a confidence band; see `Prediction`.

        x: as the fit had it, of a frame its columns by name. which: "mean" or "linear", the raw output. offset (n,): of new
        rows, where the fit had one. se=False: means alone.
        """
        errors, held = None, self._held()
        at = quantile(level, self.df_resid if self.use_t else None)
        sure = self.information or self.kinks
        if se and sure is not None:
            new = self.dispersion if held.family.likelihood.squares else None
            errors = Errors(sure.shifted(self.cov), at, new)
        return predict(held, errors, x, which=which, offset=offset, level=level)

    def to_statsmodels(self) -> Any:
        """The same fit as a result of statsmodels, see `estimating.handover`; needs the extra `data`."""
        unbiased = self.dispersion_kind.startswith("unbiased")
        held, params, bse = self._held(), np.asarray(self.params), np.asarray(self._bse())
        of = Fitted(held, self.names, params, bse, self.llf, self.cov, self.dispersion, unbiased, self.penalty)
        return to_statsmodels(of)

    def to_dict(self) -> dict[str, object]:
        """As plain data, at full precision; arrays as nested lists, ±inf and NaN as Python floats."""
        plain = {
            name: value.tolist() if isinstance(value := getattr(self, name), np.ndarray) else value
            for name in self.__dataclass_fields__
            if name not in ("information", "kinks", "rows", "terms")
        }
        plain |= {key: list(getattr(self, key)) for key in ("names", "outputs", "notes", "thresholds")}
        plain |= {"formula": self.terms.formula} if self.terms else {}
        return plain | {name: getattr(self, name) for name in ("llr", "llr_pvalue", "aic", "bic")}

    def summary(self) -> Summary:
        """A table as a statistics package prints it; of separated rows a statement instead. Text; in a notebook a table."""
        if self.exists:
            columns = dict(self._columns())
            title = f"{'Maximum' if self.penalty is None else 'Penalised maximum'} likelihood: {self.likelihood}"
            return table(title, list(self._header()), columns, self.names, self.outputs, self.notes)
        params = dict(zip(self.labels, self.params.T.reshape(-1), strict=True))
        direction: dict[str, np.ndarray] = {}
        if self.direction is not None:
            direction = dict(zip(self.names, self.direction.reshape(len(self.names), -1), strict=True))
        rows = f"{self.likelihood}, {self.nobs:g} rows"
        return statement(rows, self.separation, self.llf, params, direction, self.notes[1:])

    def _columns(self) -> Iterator[tuple[str, np.ndarray]]:
        """Of the table; coefficients alone where no standard error is known: the notes say why."""
        yield "coef", self.params
        if self.bse is not None and bool(np.isfinite(self.bse).any()):
            letter, interval = "t" if self.use_t else "z", self.conf_int()
            yield "std err", self._bse()
            if isinstance(self.information, Penalised) and self.information.profiled:
                falls = shaped(self.information.tests(), self.params)
                yield "chi2", falls
                yield "P>chi2", np.asarray(scipy.stats.chi2.sf(falls, 1))
            else:
                yield letter, self.tvalues
                yield f"P>|{letter}|", self.pvalues
            yield "[0.025", interval[..., 0]
            yield "0.975]", interval[..., 1]

    def _header(self) -> Iterator[tuple[str, str]]:
        yield "No. observations:", f"{self.nobs:g}"
        yield "Df residuals:", f"{self.df_resid:g}"
        yield "Df model:", f"{self.df_model:g}"
        yield "Covariance:", self.cov
        yield "Converged:", f"{self.converged} ({self.iterations} iterations)"
        yield "Log-likelihood:" if self.penalty is None else "Penalised LL:", f"{self.llf:.6f}"
        yield "LL, constant alone:", f"{self.llnull:.6f}"
        if self.llr_pvalue is not None:
            yield "LLR p-value:", f"{self.llr_pvalue:.4g}"
        if self.deviance is not None:
            yield "Deviance:", f"{self.deviance:.6g}"
        yield "Dispersion:", f"{self.dispersion:.6g}"
        for name, criterion in (("AIC:", self.aic), ("BIC:", self.bic)):
            if criterion is not None:
                yield name, f"{criterion:.4f}"
        for name, value in self.ancillary.items():
            known = name in self.ancillary_bse
            yield f"{name} (std err):" if known else f"{name}:", with_error(value, self.ancillary_bse.get(name))

    def _brief(self) -> Brief:
        """What an interactive session shows."""
        bse = None if self.bse is None else self.bse.T.reshape(-1)
        return brief(
            ("Maximum-likelihood estimate" if self.penalty is None else "Firth's penalised estimate")
            if self.exists
            else "No finite maximum-likelihood estimate",
            "; ".join(self.notes),
            likelihood=self.likelihood,
            rows=self.nobs,
            llf=self.llf,
            separation=self.separation,
            supremum=not self.exists,
            ancillary=self.ancillary,
            ancillary_bse=self.ancillary_bse,
            table=coefficient_table(self.labels, self.params.T.reshape(-1), bse),
        )

    @property
    def _criteria(self) -> Criteria:
        return Criteria(self.llf, self.parameters, self.nobs)

    def _held(self) -> LinearRows:
        if self.rows is None or not self.exists:
            raise ConfigError(f"there is nothing to predict from: {'; '.join(self.notes)}")
        return self.rows

    def _bse(self) -> Named:
        if self.bse is None:
            raise ConfigError(f"there are no standard errors: {'; '.join(self.notes)}")
        return self.bse
