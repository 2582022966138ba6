"""Natural exponential families whose variance is c·μ^p, with the density of the stable law that each is tilted from.

With η = μ^(1−p)/(c(1−p)) and ψ = μ^(2−p)/(c(2−p)) the nll is ψ − yη − log m(y). For p > 2 m is a positive stable density of
index α = (p−2)/(p−1) < 1, for p < 0 an extreme stable one on the whole line, 1 < α < 2; for 0 < p < 1 there is no such law
(Jørgensen 1987), and for 1 < p < 2 it has a mass at 0.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.targets import HALF_LINE, LINE

STEP, NODES = 0.02, 180
"""Of the double-exponential rule, on both sides of the middle: the inverse Gaussian's density, p = 3, to 14 digits."""
FADED = 45.0
"""Exponent at which the characteristic function is nothing."""
PANELS, EACH = 64, 24
"""Panels of Gauss–Legendre that it is inverted on, and nodes in each."""
AT_ONCE = 4096
"""Targets whose integrals are taken at once, 12 MB."""
TURNED = 10.0
"""Radians that the integrand turns by in a panel more."""
FEW, BETWEEN, KNOTS = 64, 60.0, 481
"""More targets than that are read off a spline of that many knots between ± that, in units of the law, right to seven digits;
beyond it the density is its first asymptotic term, right to a thousandth, where nothing but its fading is asked."""
RULE = np.polynomial.legendre.leggauss(EACH)


@dataclass(frozen=True)
class Power:
    """The family of variance c·μ^p: where it `lives`, and for p > 2 and p < 0 its nll and what of it is not of y alone."""

    p: float
    c: float

    @property
    def lives(self) -> str:
        if 0 < self.p < 1:
            return "no targets at all: no law has a variance that is a power between 0 and 1"
        return "0 and (0, ∞), 0 with a mass of its own" if 1 < self.p < 2 else HALF_LINE if self.p > 2 else LINE

    def kernel(self, mean: Tensor, y: Tensor) -> Tensor:
        """ψ − yη."""
        c, p = self.c, self.p
        return mean ** (2 - p) / (c * (2 - p)) - y * mean ** (1 - p) / (c * (1 - p))

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """−log density at y (…)."""
        flat = y.double().reshape(-1)
        density = _positive if self.p > 2 else _extreme
        log_m = torch.cat([density(part, self) for part in flat.split(AT_ONCE)])
        return self.kernel(mean, y) - log_m.reshape(y.shape)


def _positive(y: Tensor, power: Power) -> Tensor:
    """log m(y) (n,), p > 2: the density whose Laplace transform is exp(−(γs)^α), by Kanter's integral (1975)."""
    p, c = power.p, power.c
    alpha = (p - 2) / (p - 1)
    gamma = float((((p - 1) * c) ** alpha / (c * (p - 2))) ** (1 / alpha))
    x = y / gamma
    t = torch.arange(-NODES, NODES + 1, dtype=torch.float64) * STEP
    half = math.pi / 2 * torch.sinh(t)
    angle, rest = (
        math.pi * torch.sigmoid(2 * half),
        math.pi * torch.sigmoid(-2 * half),
    )  # φ and π − φ, exact at both ends
    weight = STEP * math.pi * math.pi / 2 * torch.cosh(t) / (2 * torch.cosh(half) ** 2)
    log_a = (alpha * torch.sin(alpha * angle).log() - torch.sin(torch.minimum(angle, rest)).log()) / (1 - alpha)
    log_a = log_a + torch.sin((1 - alpha) * angle).log()
    least = (alpha / (1 - alpha)) * math.log(alpha) + math.log(1 - alpha)
    z = x ** (-alpha / (1 - alpha))
    inner = log_a - (log_a.exp() - math.exp(least)) * z[:, None] + weight.log()
    log_density = torch.logsumexp(inner, 1) - math.exp(least) * z
    found: Tensor = log_density + math.log(alpha / (1 - alpha) / math.pi / gamma) - x.log() / (1 - alpha)
    return found


def _extreme(y: Tensor, power: Power) -> Tensor:
    """log m(y) (n,), p < 0: the density whose Laplace transform is exp(Cθ^α), inverted where it is tilted to the mean y."""
    inside = y.abs() <= BETWEEN * _scale(power)
    read = _exact if int(inside.sum()) <= FEW else _splined
    found = _far(y, power)
    found[inside] = read(y[inside], power)
    return found


def _far(y: Tensor, power: Power) -> Tensor:
    """The first asymptotic term of log m(y) (n,) on each side."""
    p, c = power.p, power.c
    alpha, big = _index(power)
    least = _scale(power)
    left = math.log(big) - math.lgamma(-alpha) - (alpha + 1) * y.abs().clamp_min(least).log()
    high = y.clamp_min(least)
    right = -0.5 * (2 * math.pi * c * high**p).log() - _tilted(high, power)
    return torch.where(y < 0, left, right)


def _scale(power: Power) -> float:
    """The unit in which m is the density of C = 1."""
    alpha, big = _index(power)
    return float(big ** (1 / alpha))


def _tilted(y: Tensor, power: Power) -> Tensor:
    """yη − ψ at the mean y ≥ 0 (n,): what tilting to it takes off log m."""
    p, c = power.p, power.c
    return y ** (2 - p) / c * (1 / (1 - p) - 1 / (2 - p))


def _index(power: Power) -> tuple[float, float]:
    """α and C of the transform exp(Cθ^α)."""
    p, c = power.p, power.c
    alpha = (p - 2) / (p - 1)
    return alpha, (c * (1 - p)) ** alpha / (c * (2 - p))


def _exact(y: Tensor, power: Power) -> Tensor:
    """log m (n,) by an integral each, tilted so that the mean is y where it can be."""
    tilt = y.clamp_min(0.0) ** (1 - power.p) / (power.c * (1 - power.p))
    alpha, big = _index(power)
    pairs = zip(y.tolist(), tilt.tolist(), strict=True)
    found = torch.tensor([_inverted(*pair, big, alpha) for pair in pairs], dtype=torch.float64)
    return torch.where(torch.isfinite(found), found, _far(y, power))  # what cancels wholly lies far out


def _splined(y: Tensor, power: Power) -> Tensor:
    found: Tensor = torch.from_numpy(np.asarray(_spline(power)(y.numpy()))) - _tilted(_raised(y, power), power)
    return found


@lru_cache(maxsize=4)  # an integral over targets asks for thousands, many times
def _spline(power: Power) -> Any:
    """Of what hardly bends: log m less the tilt of about y, knots densest where m turns."""
    steps = torch.linspace(-1, 1, KNOTS, dtype=torch.float64) * math.asinh(BETWEEN)
    knots = _scale(power) * torch.sinh(steps)
    seen = _exact(knots, power) + _tilted(_raised(knots, power), power)
    return scipy.interpolate.CubicSpline(knots.numpy(), seen.numpy())


def _raised(y: Tensor, power: Power) -> Tensor:
    """About y where it is large, and about 0 where it is far below: smooth in between."""
    return (y + torch.sqrt(y**2 + _scale(power) ** 2)) / 2


def _inverted(y: float, theta: float, big: float, alpha: float) -> float:
    """log m at one target: log ∫ exp(C(θ+iω)^α − iωy) dω / 2π, less what the tilt put in."""
    end = (FADED / (big * abs(math.cos(math.pi * alpha / 2)))) ** (1 / alpha)
    end = max(end, 2 * theta)
    nodes, weights = RULE
    edges = np.linspace(0, end, PANELS + int(end * abs(y) / TURNED) + 1)
    width = np.diff(edges)[:, None] / 2
    omega = (edges[:-1, None] + width * (1 + nodes)).reshape(-1)
    exponent = big * ((theta + 1j * omega) ** alpha - theta**alpha) - 1j * omega * y
    total = float((np.exp(exponent).real * (width * weights).reshape(-1)).sum()) / math.pi
    return math.log(total) + big * theta**alpha - theta * y if total > 0 else -math.inf
