"""What the classical estimate beside a network stands for: which rows, on which scale, with or without a constant.

A training run standardises features, holds rows out and may have no constant; an estimate of the whole table has other
numbers for these reasons alone. Coefficients are carried back to the units in which the data came: for a feature
(x − mean)/scale and a target (y − mean)/scale the raw output is the same linear function, written otherwise.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from mlnn.data import Dataset
from mlnn.estimating.result import Estimate
from mlnn.likelihoods import Likelihood

MOST_TOLD = 6
"""Coefficients in a sentence: more would not be read."""


@dataclass(frozen=True)
class Coefficient:
    """A coefficient's maximum-likelihood estimate with its standard error, NaN where there is none."""

    name: str
    mle: float
    se: float

    @property
    def sentence(self) -> str:
        """`x1 0.5 ± 0.1`."""
        return f"{self.name} {self.mle:.5g}" + (f" ± {self.se:.3g}" if math.isfinite(self.se) else "")


@dataclass(frozen=True)
class OwnScale:
    """The estimate on the data's own scale: coefficients, log-likelihood in nats, and the likelihood's own numbers."""

    coefficients: tuple[Coefficient, ...]
    llf: float
    ancillary: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """The first few coefficients."""
        shown = ", ".join(one.sentence for one in self.coefficients[:MOST_TOLD])
        more = len(self.coefficients) - MOST_TOLD
        return f"On the data's own scale: {shown}" + (f" and {more} more." if more > 0 else ".")

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        coefficients = [asdict(one) for one in self.coefficients]
        return {"coefficients": coefficients, "llf": self.llf, "ancillary": dict(self.ancillary)}


@dataclass(frozen=True)
class Basis:
    """rows trained on, rows held out, whether features and the target are standardised, whether the model has a constant.

    own: the estimate on the data's own scale; None where it is on that scale already, or there is none.
    """

    rows: int
    held_out: int
    features: bool
    target: bool
    constant: bool
    own: OwnScale | None

    @property
    def sentence(self) -> str:
        """The same in words, and the first few coefficients on the data's own scale."""
        rows = f"the {self.rows} rows trained on ({self.held_out} more are held out)"
        rows = rows if self.held_out else f"all {self.rows} rows"
        parts = ["features"] * self.features + ["target"] * self.target
        scale = f"{' and '.join(parts)} standardised" if parts else "in their own units"
        told = [f"The MLE stands for {rows}, {scale}, {'with' if self.constant else 'without'} a constant."]
        told += [self.own.sentence] if self.own else []
        other = ["of the whole table"] * bool(self.held_out) + ["with a constant"] * (not self.constant)
        told += [f"An estimate {' and '.join(other)} has other numbers."] if other else []
        return " ".join(told)

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return vars(self) | {"own": self.own.to_dict() if self.own else None, "sentence": self.sentence}


def basis_of(data: Dataset, constant: bool, found: Estimate | None, likelihood: Likelihood) -> Basis:
    """What an estimate of a Dataset's training rows stands for."""
    target = "target_scale" in data.notes
    own = None
    if found is not None and found.exists and (data.standardised or target):
        own = own_scale(found, data, likelihood)
    return Basis(len(data.x), len(data.x_held_out), data.standardised is not None, target, constant, own)


def own_scale(found: Estimate, data: Dataset, likelihood: Likelihood) -> OwnScale | None:
    """The estimate of standardised rows in the units they came in; None for angles, which have no other scale.

    Of a model without a constant a constant appears that is tied to the coefficients: "const (tied)".
    """
    way = way_back(data, likelihood, len(found.names), len(found.outputs), found.intercept)
    if way is None:
        return None
    unit = target_unit(data)[0]
    moved = way.moved(found.params.reshape(-1, len(found.outputs)))
    scaled = likelihood.in_units if unit != 1 else ()
    return OwnScale(
        coefficients=_coefficients(found, moved, _errors(found, way.back, way.times)),
        llf=found.llf - found.nobs * math.log(unit),
        ancillary={key: value * (unit if key in scaled else 1.0) for key, value in found.ancillary.items()},
    )


@dataclass(frozen=True)
class WayBack:
    """From coefficients (p, m) of the columns as trained on to those (d + 1, m) of the data as they came, the constant last.

    `back` (d + 1, p); `times`, `plus` (m,): what another unit of the target does to a raw output.
    """

    back: np.ndarray
    times: np.ndarray
    plus: np.ndarray

    def moved(self, params: np.ndarray) -> np.ndarray:
        """(p, m) to (d + 1, m)."""
        own: np.ndarray = self.back @ params * self.times
        own[-1] += self.plus
        return own


def way_back(data: Dataset, likelihood: Likelihood, width: int, outputs: int, intercept: bool) -> WayBack | None:
    """That of `width` coefficients per raw output, the constant among them; None for angles in another unit."""
    unit, centre = target_unit(data)
    if likelihood.periodic and unit != 1:
        return None
    times, plus = np.array([likelihood.rescaled(unit, centre, k) for k in range(outputs)]).T
    return WayBack(_back(data, width - intercept, intercept), times, plus)


def target_unit(data: Dataset) -> tuple[float, float]:
    """(unit, centre) of the target as it came: y = unit · trained on + centre; (1, 0) where it is trained on as it came."""
    return _noted(data, "target_scale", 1.0), _noted(data, "target_mean", 0.0)


def _errors(found: Estimate, back: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Standard errors (d + 1, m) of coefficients carried back, NaN where there are none."""
    if found.information is None and found.kinks is None:
        return np.full((len(back), len(times)), math.nan)
    through = np.kron(np.diag(times), back)
    variances = np.diag(through @ found.cov_params() @ through.T)
    return np.asarray(np.sqrt(variances)).reshape(len(times), -1).T


def _coefficients(found: Estimate, params: np.ndarray, errors: np.ndarray) -> tuple[Coefficient, ...]:
    """Of (d + 1, m) params and standard errors, the constant last, and only where there is one."""
    names = list(found.names[: len(params) - 1])
    if found.intercept:
        names.append("const")
    elif params[-1].any():
        names.append("const (tied)")
    return tuple(
        Coefficient(f"{output}: {name}" if output else name, float(params[row, k]), float(errors[row, k]))
        for row, name in enumerate(names)
        for k, output in enumerate(found.outputs)
    )


def _noted(data: Dataset, key: str, otherwise: float) -> float:
    """A number that a Dataset's notes hold, if they do."""
    value = data.notes.get(key, otherwise)
    return float(value) if isinstance(value, int | float) else otherwise


def _back(data: Dataset, features: int, intercept: bool) -> np.ndarray:
    """(d + 1, p): coefficients of standardised features to those of the features as they came and a constant, the last."""
    made = {"mean": [0.0] * features, "scale": [1.0] * features} | (data.standardised or {})
    mean, scale = np.asarray(made["mean"]), np.asarray(made["scale"])
    back = np.zeros((features + 1, features + intercept))
    back[:features, :features] = np.diag(1 / scale)
    back[features, :features] = -mean / scale
    if intercept:
        back[features, features] = 1.0
    return back
