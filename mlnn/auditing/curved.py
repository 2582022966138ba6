"""Names for densities whose influence ρ′ is an exponential or a sigmoid of the residual: the Weibull's kin, and the logistic's.

Of log y: A·e^(kv) − d is the generalised gamma's (Weibull d = k, gamma k = 1, Fréchet and inverse gamma k < 0), q·b·σ(bv) − c
the generalised beta prime's (log-logistic, Lomax, Burr). Of y itself they are Gumbel's and the logistic, of either skewness.
"""

import math

import torch
from torch import Tensor

EXACT = 1e-7
"""Misfit, as a share of the parts of ρ′, that is rounding."""
SAME = 1e-6
"""Share by which two parameters of a shape may differ and be one: they are read off gradients to seven digits."""
PLACE = 1.0
"""A residual, in units of the coordinate, at which the exponential is read."""
WELL_INSIDE = 1e-3
"""Part of a sigmoid's height from which on its logit keeps digits."""


def curved_name(influence: Tensor, along: str, v: Tensor) -> str | None:
    """The density of ρ′ (R,) at residuals v (R,), ascending and of both signs, along "y" or "log y"; None for another."""
    if along not in ("y", "log y"):
        return None
    found = _exponential(influence, v)
    if found:
        return _gumbel(*found) if along == "y" else _weibull(*found)
    bent = _sigmoid(influence, v)
    if bent is None:
        return None
    return _logistic(*bent) if along == "y" else _log_logistic(*bent)


def _exponential(g: Tensor, v: Tensor) -> tuple[float, float, float] | None:
    """A, k, d of A·e^(kv) − d."""
    at = v.abs()
    place = int((at - PLACE).abs().argmin())
    there, mirror = float(v[place].abs()), int((v + v[place]).abs().argmin())
    right, left = (place, mirror) if v[place] > 0 else (mirror, place)
    middle = float(g[at.argsort()[:2]].mean())  # the two sides of 0
    ratio = -(float(g[right]) - middle) / (float(g[left]) - middle) if float(g[left]) != middle else 0.0
    if not ratio > 0 or abs(math.log(ratio)) <= SAME:
        return None
    k = math.log(ratio) / there
    size = (float(g[right]) - middle) / math.expm1(k * there)
    d = size - middle
    power = torch.exp(k * v)
    held = (g - (size * power - d)).abs() <= EXACT * (abs(size) * power + abs(d))
    return (size, k, d) if bool(held.all()) and size * k > 0 else None


def _sigmoid(g: Tensor, v: Tensor) -> tuple[float, float, float] | None:
    """b, and the heights left and right, of left + (right − left)·σ(bv)."""
    left, right = float(g[0]), float(g[-1])
    if not right > 0 > left:
        return None
    share = (g - left) / (right - left)
    seen = (share > WELL_INSIDE) & (share < 1 - WELL_INSIDE) & (v.abs() > WELL_INSIDE)
    if int(seen.sum()) < 4:
        return None
    slopes = torch.logit(share[seen]) / v[seen]
    b = float(slopes.median())
    held = (g - left - (right - left) * torch.sigmoid(b * v)).abs() <= EXACT * (right - left)
    return (b, -left, right) if b > 0 and bool(held.all()) else None


def _is(one: float, two: float) -> bool:
    return abs(one - two) <= SAME * max(abs(one), abs(two))


def _weibull(_size: float, k: float, d: float) -> str | None:
    if d / k <= 0:
        return None
    if _is(d, k):
        return f"Weibull, shape {k:.6g}" if k > 0 else f"Fréchet, shape {-k:.6g}"
    if _is(abs(k), 1):
        return f"gamma, shape {d:.6g}" if k > 0 else f"inverse gamma, shape {-d:.6g}"
    if _is(k, 2) and _is(d, 1):
        return "half-normal"
    return f"generalised gamma, power {k:.6g}, shape {d / k:.6g}"


def _gumbel(_size: float, k: float, d: float) -> str | None:
    if _is(d, k):
        return "Gumbel" if k < 0 else "Gumbel of minima"
    return "log-gamma" if d / k > 0 else None


def _logistic(b: float, left: float, right: float) -> str:
    return "logistic" if _is(left, right) and _is(left, b) else "generalised logistic"


def _log_logistic(b: float, left: float, right: float) -> str:
    if _is(left, right) and _is(left, b):
        return f"log-logistic, shape {b:.6g}"
    if _is(b, 1) and _is(left, 1):
        return f"Lomax, shape {right:.6g}"
    return f"Burr, shapes {b:.6g} and {right / b:.6g}" if _is(left, b) else "generalised beta prime"
