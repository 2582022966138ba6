"""Which density is it? Names for e^(−ρ) from the influence function ρ′ of a location family."""

from collections.abc import Callable

import torch
from torch import Tensor

EXACT = 1e-9


def shape_name(influence: Tensor, kind: str, turns: bool, residuals: Tensor) -> str | None:
    """The density whose ρ′ (R,) at `residuals` (R,) this is; `turns`: on the circle; kind "positive": of log y − f."""
    if turns:
        return "von Mises" if _same(influence / torch.sin(residuals)) else None
    if kind == "positive":
        if _same(influence / torch.expm1(residuals)):
            return f"gamma, shape {float(influence[0] / torch.expm1(residuals[0])):.7g}"
        return "lognormal" if _same(influence / residuals) else None
    return next((name for name, is_it in REAL.items() if is_it(influence, residuals)), None)


def _is_student(influence: Tensor, v: Tensor) -> bool:
    """v/ρ′ = (νs² + v²)/(ν + 1), affine in v²."""
    if bool((influence == 0).any()):
        return False
    ratio = v / influence
    slope = (ratio[0] - ratio[-1]) / (v[0] ** 2 - v[-1] ** 2)
    level = ratio[0] - slope * v[0] ** 2
    return float(slope) > EXACT and _close(ratio, level + slope * v**2)


def _is_huber(influence: Tensor, v: Tensor) -> bool:
    small = int(v.abs().argmin())
    slope, height = influence[small] / v[small], influence.abs().max()
    return _close(influence, (slope * v).clamp(-height, height))


def _is_flat_topped(outward: Tensor, size: Tensor) -> bool:
    """0 up to some size, one number beyond it."""
    flat = outward == 0
    return bool(flat.any() and not flat.all()) and _same(outward[~flat]) and bool(size[flat].max() < size[~flat].min())


REAL: dict[str, Callable[[Tensor, Tensor], bool]] = {
    "normal": lambda influence, v: _same(influence / v),
    "Laplace": lambda influence, v: _same(influence * v.sign()),
    "asymmetric Laplace": lambda influence, v: _same(influence[v > 0]) and _same(influence[v < 0]),
    "hyperbolic secant": lambda influence, v: _close(influence, torch.tanh(v)),
    "flat-topped Laplace": lambda influence, v: _is_flat_topped(influence * v.sign(), v.abs()),
    "Huber density": _is_huber,
    "Student t": _is_student,
}


def _same(values: Tensor) -> bool:
    return _close(values, values[:1].expand_as(values))


def _close(one: Tensor, two: Tensor) -> bool:
    return float((one - two).abs().max()) <= EXACT * float(two.abs().max())
