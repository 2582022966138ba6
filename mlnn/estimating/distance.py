"""How far a trained network is from its classical estimate: the numbers, and what there is to say of them."""

import math
from dataclasses import asdict, dataclass

import numpy as np

from mlnn.estimating.basis import Basis


@dataclass(frozen=True)
class DistanceSummary:
    """The few numbers of a distance that are kept over training: digits of the worst and of the median coefficient, the
    largest distance in standard errors, 2(ll_MLE − ll_network), the gradient in standard errors, and |w|."""

    digits_least: float
    digits_median: float
    standard_errors: float
    lr: float
    gradient_in_errors: float
    norm: float


@dataclass(frozen=True)
class Distance:
    """A network's coefficients against the MLE. `digits`: −log10 |w − ŵ|/|ŵ| each, between 0 and 16; `errors`: (w − ŵ)/se.

    `lr`: 2(ll_MLE − ll_network) in nats, `lr_pvalue` its χ² reading with as many degrees of freedom as coefficients.
    `gradient`: ‖R⁻ᵀg‖, the gradient in standard errors. `norm`: |w|, constants left out. NaN where there is no MLE.
    `log_likelihood`: of all rows at the network's coefficients (p, m), nats, nothing dropped; the likelihood's free number, if
    it has one that is estimated apart, at its maximum-likelihood value. NaN and None of a training that has diverged.
    """

    digits: np.ndarray
    errors: np.ndarray
    lr: float
    lr_pvalue: float
    gradient: float
    norm: float
    log_likelihood: float = math.nan
    coefficients: np.ndarray | None = None

    @property
    def summary(self) -> DistanceSummary:
        """What is kept over training."""
        return DistanceSummary(
            digits_least=float(self.digits.min()),
            digits_median=float(np.median(self.digits)),
            standard_errors=float(np.abs(self.errors).max()),
            lr=self.lr,
            gradient_in_errors=self.gradient,
            norm=self.norm,
        )


@dataclass(frozen=True)
class CoefficientDistance:
    """One coefficient: the MLE, its standard error, and the network's distance from it in digits and in these errors."""

    name: str
    mle: float
    se: float
    digits: float
    errors: float


@dataclass(frozen=True)
class Finding:
    """What there is to say of a network beside its classical estimate, as pages and JSON have it.

    separation: of the rows, None where there is no unique estimate; `why` says why. llf: the maximum, or the supremum.
    coefficients, summary and lr_pvalue: where there is a finite MLE, else empty or None. norm: |w|, always.
    """

    separation: str | None
    why: str | None
    llf: float | None
    coefficients: tuple[CoefficientDistance, ...]
    sentence: str
    basis: Basis | None
    summary: DistanceSummary | None
    lr_pvalue: float | None
    norm: float

    def to_dict(self) -> dict[str, object]:
        """Plain data; the summary's numbers stand beside the rest."""
        plain: dict[str, object] = {
            "separation": self.separation,
            "why": self.why,
            "llf": self.llf,
            "coefficients": [asdict(one) for one in self.coefficients],
            "sentence": self.sentence,
            "basis": self.basis.to_dict() if self.basis else None,
        }
        if self.summary is not None:
            plain |= asdict(self.summary) | {"lr_pvalue": self.lr_pvalue}
        return plain | {"norm": self.norm}
