"""Which density is it? Names for e^(−ρ) from the influence function ρ′ of a location family."""

from collections.abc import Callable

import torch
from torch import Tensor

from mlnn.auditing.curved import curved_name

EXACT = 1e-7
"""Misfit of a density's gradients, relative to the largest, that is rounding: small residuals of log y and logit y lose digits."""
FLAT_PART = 0.999
"""A Huber density has residuals whose gradient is below this share of the largest: without them it is a Laplace."""


def shape_name(influence: Tensor, along: str, turns: bool, residuals: Tensor) -> str | None:
    """The density whose ρ′ (R,) at `residuals` (R,) this is; `turns`: on the circle; `along`: residuals of "y", "log y", "logit y".

    Residuals from a millionth of the width to a hundred, ascending, NaN where ρ′ is not known.
    """
    known = torch.isfinite(influence)
    influence, v = influence[known], residuals[known]
    if turns:
        return "von Mises" if _same(influence / torch.sin(v)) else None
    if along == "log y":
        ratio = influence / torch.expm1(v)
        if _same(ratio):
            return f"gamma, shape {float(ratio.median()):.7g}"
        if _same(influence / v):
            return "lognormal"
        if _same(influence * v.sign()):
            return "log-Laplace"
        return curved_name(influence, along, v) or ("log-Student t" if _is_student(influence, v) else None)
    if along == "logit y":
        return "logit-normal" if _same(influence / v) else None
    return next((name for name, is_it in WHOLE_LINE.items() if is_it(influence, v)), None) or curved_name(
        influence, along, v
    )


def _is_student(influence: Tensor, v: Tensor) -> bool:
    """v/ρ′ = (νs² + v²)/(ν + 1), affine in v²."""
    if bool((influence == 0).any()):
        return False
    ratio = v / influence
    level = ratio[v.abs().argmin()]
    slope = (ratio[-1] - level) / v[-1] ** 2
    return float(slope) > 0 and _close(ratio / (level + slope * v**2), torch.ones_like(v))


def _is_huber(influence: Tensor, v: Tensor) -> bool:
    small = int(v.abs().argmin())
    slope, height = influence[small] / v[small], influence.abs().max()
    inner = (influence.abs() < FLAT_PART * height).any()
    return bool(inner) and _close(influence, (slope * v).clamp(-height, height))


def _is_flat_topped(influence: Tensor, v: Tensor) -> bool:
    """0 up to some size, one number beyond it."""
    outward, size = influence * v.sign(), v.abs()
    flat = outward == 0
    return bool(flat.any() and not flat.all()) and _same(outward[~flat]) and bool(size[flat].max() < size[~flat].min())


def _is_secant(influence: Tensor, v: Tensor) -> bool:
    """a tanh(bv): a from far out, b from near 0."""
    small, height = int(v.abs().argmin()), influence.abs().max()
    return _close(influence, height * torch.tanh(influence[small] / v[small] / height * v)) and _close(
        height[None] ** 2, (influence[small] / v[small])[None]
    )


WHOLE_LINE: dict[str, Callable[[Tensor, Tensor], bool]] = {
    "normal": lambda influence, v: _same(influence / v),
    "Laplace": lambda influence, v: _same(influence * v.sign()),
    "asymmetric Laplace": lambda influence, v: _same(influence[v > 0]) and _same(influence[v < 0]),
    "hyperbolic secant": _is_secant,
    "flat-topped Laplace": _is_flat_topped,
    "Huber density": _is_huber,
    "Student t": _is_student,
}


def _same(values: Tensor) -> bool:
    return bool(len(values)) and _close(values, values[:1].expand_as(values))


def _close(one: Tensor, two: Tensor) -> bool:
    return float((one - two).abs().max()) <= EXACT * float(two.abs().max())
