"""What the classical estimate beside a network stands for: which rows, on which scale, with or without a constant.

A training run standardises features, holds rows out and may have no constant; an estimate of the whole table has other
numbers for these reasons alone. Coefficients are carried back to the units in which the data came: for a feature
(x − mean)/scale and a target (y − mean)/scale the raw output is the same linear function, written otherwise.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlnn.data import Dataset
from mlnn.estimating.result import Estimate
from mlnn.likelihoods import Likelihood

TOLD = 6  # coefficients in a sentence


@dataclass(frozen=True)
class Basis:
    """rows trained on, rows held out, whether features and the target are standardised, whether the model has a constant.

    own: the estimate on the data's own scale, {"coefficients": [{"name", "mle", "se"}], "llf", "ancillary"}; None where it
    is on that scale already, or there is none. se is NaN where there are no standard errors.
    """

    rows: int
    held_out: int
    features: bool
    target: bool
    constant: bool
    own: dict[str, Any] | None

    @property
    def sentence(self) -> str:
        """The same in words, and the first few coefficients on the data's own scale."""
        rows = f"the {self.rows} rows trained on ({self.held_out} more are held out)"
        rows = rows if self.held_out else f"all {self.rows} rows"
        parts = ["features"] * self.features + ["target"] * self.target
        scale = f"{' and '.join(parts)} standardised" if parts else "in their own units"
        told = [f"The MLE stands for {rows}, {scale}, {'with' if self.constant else 'without'} a constant."]
        if self.own:
            shown = [_told(one) for one in self.own["coefficients"][:TOLD]]
            more = len(self.own["coefficients"]) - TOLD
            told.append(f"On the data's own scale: {', '.join(shown)}" + (f" and {more} more." if more > 0 else "."))
        other = ["of the whole table"] * bool(self.held_out) + ["with a constant"] * (not self.constant)
        if other:
            told.append(f"An estimate {' and '.join(other)} has other numbers.")
        return " ".join(told)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return vars(self) | {"sentence": self.sentence}


def _told(one: dict[str, Any]) -> str:
    spread = f" ± {one['se']:.3g}" if math.isfinite(one["se"]) else ""
    return f"{one['name']} {one['mle']:.5g}{spread}"


def basis_of(data: Dataset, constant: bool, found: Estimate | None, likelihood: Likelihood) -> Basis:
    """What an estimate of a Dataset's training rows stands for."""
    target = "target_scale" in data.notes
    own = None
    if found is not None and found.separation == "none" and (data.standardised or target):
        own = own_scale(found, data, likelihood)
    return Basis(len(data.x), len(data.x_held_out), data.standardised is not None, target, constant, own)


def own_scale(found: Estimate, data: Dataset, likelihood: Likelihood) -> dict[str, Any] | None:
    """The estimate of standardised rows in the units they came in; None for angles, which have no other scale.

    Of a model without a constant a constant appears that is tied to the coefficients: "const (tied)".
    """
    centre, unit = float(data.notes.get("target_mean", 0.0)), float(data.notes.get("target_scale", 1.0))  # type: ignore[arg-type]
    if likelihood.periodic and unit != 1:
        return None
    features = len(found.names) - found.intercept
    mean, scale = (np.asarray((data.standardised or {}).get(key, [default] * features))
                   for key, default in (("mean", 0.0), ("scale", 1.0)))  # fmt: skip
    back = np.zeros((features + 1, len(found.names)))
    back[:features, :features] = np.diag(1 / scale)
    back[features, :features] = -mean / scale
    if found.intercept:
        back[features, features] = 1.0
    params = found.params.reshape(len(found.names), -1)
    outputs = params.shape[1]
    times, plus = np.array([likelihood.rescaled(unit, centre, k) for k in range(outputs)]).T
    moved = back @ params * times
    moved[features] += plus
    errors = np.full(moved.shape, math.nan)
    if found.information is not None:
        through = np.kron(np.diag(times), back)
        errors = np.sqrt(np.diag(through @ found.cov_params() @ through.T)).reshape(outputs, -1).T
    kept = list(range(features)) + [features] * bool(found.intercept or moved[features].any())
    names = [*found.names[:features], "const" if found.intercept else "const (tied)"]
    coefficients = [
        {"name": f"{output}: {names[row]}" if output else names[row], "mle": float(moved[row, k]), "se": float(errors[row, k])}
        for row in kept
        for k, output in enumerate(found.outputs)
    ]  # fmt: skip
    scaled = likelihood.in_units if unit != 1 else ()
    ancillary = {key: value * (unit if key in scaled else 1.0) for key, value in found.ancillary.items()}
    return {"coefficients": coefficients, "llf": found.llf - found.nobs * math.log(unit), "ancillary": ancillary}
