"""What was estimated of a small model, in the vocabulary of `Estimate`."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from mlnn.errors import ConfigError


@dataclass(frozen=True)
class ModelFit:
    """A maximum of the likelihood of a model with p parameters over n rows.

    params (p,), with `names`; llf: log-likelihood in nats, nothing dropped (Normal: at σ̂² = RSS/n). gradient_norm: largest
    |Σ_i s_ij| / Σ_i |s_ij|, s the rows' gradients; no units. information (p, p): observed, the Hessian of the summed nll
    (Normal: σ̂² profiled out). eigenvalues (p,), ascending: of the information scaled to parameters in units of their own
    curvature; `identified`: the smallest is above 1e-10 of the largest. bse (p,): from the Gauss-Newton information, which
    is the observed one if the model is linear, and what tables of nonlinear least squares print; Normal: with `dispersion`
    RSS/(n−p), None for other likelihoods. NaN where not identified; `sentence` says why.
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
    sentence: str
    covariance: np.ndarray | None = field(default=None, repr=False)

    @property
    def separation(self) -> str:
        """ "none": a maximum was reached. Whether it is the only one, `identified` and the starts have to say."""
        return "none"

    @property
    def aic(self) -> float:
        """2p − 2 llf; σ is not counted. For a model that is not identified a guide at best."""
        return 2 * len(self.params) - 2 * self.llf

    @property
    def bic(self) -> float:
        """log(nobs) p − 2 llf."""
        return math.log(self.nobs) * len(self.params) - 2 * self.llf

    def cov_params(self) -> np.ndarray:
        """(p, p): the inverse of the information that `bse` is made of. Raises ConfigError where it is singular."""
        if self.covariance is None:
            raise ConfigError(f"cov_params: {self.sentence}")
        return self.covariance

    def conf_int(self, level: float = 0.95) -> np.ndarray:
        """Wald intervals (p, 2), lower and upper; Student's t for a normal, else normal. NaN where not identified."""
        if not 0 < level < 1:
            raise ConfigError(f"level: must lie strictly between 0 and 1, found {level!r}")
        tail, left = (1 + level) / 2, self.nobs - len(self.params)
        half = self.bse * (stats.t.ppf(tail, left) if self.dispersion is not None else stats.norm.ppf(tail))
        return np.stack([self.params - half, self.params + half], axis=1)

    def to_dict(self) -> dict[str, object]:
        """As plain data, at full precision."""
        kept = [name for name in self.__dataclass_fields__ if name not in ("information", "covariance")]
        plain = {name: v.tolist() if isinstance(v := getattr(self, name), np.ndarray) else v for name in kept}
        return plain | {"names": list(self.names), "aic": self.aic, "bic": self.bic, "separation": self.separation}

    def summary(self) -> str:
        """A table as a statistics package prints it, at most 60 parameters, and the sentence."""
        low, high = self.conf_int().T
        lines = [f"Maximum likelihood of a model: {self.likelihood}, {len(self.params)} parameters, {self.nobs:g} rows"]
        lines += [f"log-likelihood {self.llf:.6f}   AIC {self.aic:.4f}   BIC {self.bic:.4f}"]
        lines += [f"{key} {value:.6g}" for key, value in self.ancillary.items()]
        lines += ["-" * 78, f"{'':<30}{'coef':>14}{'std err':>12}{'[0.025':>11}{'0.975]':>11}", "-" * 78]
        rows = list(zip(self.names, self.params, self.bse, low, high, strict=True))
        lines += [f"{n[:29]:<30}{c:>14.6g}{e:>12.4g}{a:>11.4g}{b:>11.4g}" for n, c, e, a, b in rows[:60]]
        lines += [f"… and {len(rows) - 60} more"] * (len(rows) > 60)
        return "\n".join([*lines, "-" * 78, self.sentence])
