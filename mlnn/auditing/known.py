"""Names for densities that no structure names: compared, value by value, with mlnn's own likelihoods."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss, crossed
from mlnn.auditing.finding import Reference, by_formula
from mlnn.likelihoods.beta import Beta
from mlnn.likelihoods.normal import NormalLearnedVariance
from mlnn.targets import UNIT_INTERVAL

VALUES_AGREE = 1e-9
"""Share of the largest value to which a loss must be the likelihood and a constant: far above rounding, far below another shape."""
MOST_PRECISION = 1e6
"""A more precise beta, of a standard deviation below 1/(2√φ) = 5e-4, is not looked for."""


@dataclass(frozen=True)
class Known:
    """What is known of a density by name: the name, its link, and `reference`, the loss by its formula; None where not."""

    name: str | None
    link: str | None
    reference: Reference | None


def known_density(loss: Loss, outputs: Tensor, target: Tensor) -> Known | None:
    """None where it is neither a normal with learned variance nor a beta. outputs (F,) or (F, m), target (Y,)."""
    if loss.space.outputs == 2 and loss.space.whole_line:
        return _same(
            loss, NormalLearnedVariance().nll, outputs, target, "normal, variance learned", "f₁, variance exp(f₂)"
        )
    if loss.space.facts.support == UNIT_INTERVAL and loss.space.outputs == 1:
        precision = _precision(loss)
        if precision is not None:
            return _same(loss, Beta(precision).nll, outputs, target, f"beta, precision {precision:.6g}", "σ(f)")
    return None


def _same(
    loss: Loss, nll: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, target: Tensor, name: str, link: str
) -> Known | None:
    flat = crossed(outputs, target)
    value, truth = loss.value(*flat), nll(*flat)
    constant = float((value - truth)[0])
    off = float((value - truth - constant).abs().max())
    if not off <= VALUES_AGREE * float(truth.abs().max().clamp_min(1.0)):
        return None
    return Known(name, link, by_formula(lambda f, y: nll(f, y) + constant))


def _precision(loss: Loss) -> float | None:
    """φ from two targets at f = 0, where the beta's nll is (1 − φ/2) log y(1−y) and a constant."""
    y = torch.tensor([0.5, 0.2], dtype=torch.float64)
    half, fifth = loss.values(torch.zeros(1, dtype=torch.float64), y)[0].tolist()
    shape = (y * (1 - y)).log()
    found = 2 * (1 - (half - fifth) / float(shape[0] - shape[1]))
    return found if 0 < found < MOST_PRECISION else None
