"""Is the loss that of a natural exponential family? Then its variance function says which one, and there is no other.

If ∂loss/∂f = η′(f)·(μ(f) − y), affine in y, the loss is consistent for the mean: its expectation is smallest where
μ(f) = E[y]. It is τ·NLL + c(y) of a likelihood only if V(μ) = τ·dμ/dη is the variance function of a natural exponential
family whose support is the target space; a variance function belongs to one family alone (Morris 1982; Letac & Mora 1990).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import SMALLEST
from mlnn.auditing.links import mean_link
from mlnn.auditing.tweedie import Power
from mlnn.likelihoods.gamma import Gamma
from mlnn.likelihoods.negative_binomial import NegativeBinomial
from mlnn.likelihoods.poisson import Poisson
from mlnn.targets import COUNTS, HALF_LINE, LINE

OUTPUTS = torch.linspace(-2.1, 1.9, 17, dtype=torch.float64) + 0.00321
"""Outputs at which mean and variance are read: within ±2, off the round numbers, where losses have their kinks."""
AFFINE_IN_TARGET = 1e-10
"""Share of the largest gradient by which gradients may miss a line in the target: their rounding, and the fit's."""
RICHARDSON = 1e-3
"""Step of the differences of the mean: an error of order step⁴ = 1e-12, and rounding of 1e-16 over the step."""
FITS = 1e-7
"""Misfit of a variance function, or of the family's values, that is rounding: differences of the mean are good to nine digits."""
ABOVE_MISFIT = 100
"""As many times a fit's misfit a part of a variance function must be to be more than what rounding makes up."""
TIDY = 1e-8
"""A number read off differences is its eight-digit neighbour if it is as near as this."""


@dataclass(frozen=True)
class Exponential:
    """A loss with ∂loss/∂f = η′(f)(μ(f) − y): `mean` μ (F,) and `variance` dμ/dη (F,) at OUTPUTS, `link` of μ."""

    mean: Tensor
    variance: Tensor
    link: str | None


def exponential_form(loss: Loss) -> Exponential | None:
    """The mean and variance function that the gradients hold; None where they are not affine in the target."""
    if loss.space.outputs > 1:
        return None
    read = _mean(loss, OUTPUTS)
    if read is None:
        return None
    mean, slope = read
    low, high = loss.space.facts.means
    if not (_one_way(slope) and _one_way(mean.diff())) or not bool(((mean > low) & (mean < high)).any()):
        return None
    turns = _mean_slope(loss)
    if turns is None:
        return None
    variance = turns / slope
    if not bool((variance > 0).all()):  # its expectation is largest at the mean
        return None
    return Exponential(mean, variance, mean_link(OUTPUTS, mean))


def _one_way(numbers: Tensor) -> bool:
    """Whether all are above 0, or all below."""
    return bool((numbers > 0).all()) or bool((numbers < 0).all())


def _mean_slope(loss: Loss) -> Tensor | None:
    """dμ/df (F,): central differences of two widths, combined so that the error is of order step⁴ (Richardson)."""
    turns = []
    for step in (RICHARDSON, 2 * RICHARDSON):
        ahead, behind = (_mean(loss, OUTPUTS + sign * step) for sign in (1, -1))
        if ahead is None or behind is None:
            return None
        turns.append((ahead[0] - behind[0]) / (2 * step))
    return (4 * turns[0] - turns[1]) / 3


@dataclass(frozen=True)
class Family:
    """A natural exponential family: `nll(mean, y)` where it lives on the target space, else None; `lives`: where it does.

    `of_log`: the nll of the log of the mean, which does not under- or overflow. `kernel`: the nll less what is of y alone,
    where that takes an integral. `spread_by`: the same family with its nll as many times as large, where its dispersion is free.
    """

    name: str
    lives: str
    nll: Callable[[Tensor, Tensor], Tensor] | None = None
    tau: float = 1.0
    free: bool = False
    of_log: Callable[[Tensor, Tensor], Tensor] | None = None
    kernel: Callable[[Tensor, Tensor], Tensor] | None = None
    spread_by: "Callable[[float], Family] | None" = None


def named_family(form: Exponential, support: str) -> Family | None:
    """The family of a variance function that is a quadratic (Morris) or a power of the mean; None for any other.

    `support`: that of the target space, on which the family lives or does not.
    """
    a, b, c, off = _quadratic(form.mean, form.variance)
    if off <= FITS:
        return _quadratic_family(support, a, b, c)
    power, factor, off = _power(form.mean, form.variance)
    if off > FITS or abs(power - min(max(round(power), 0), 2)) <= max(FITS, ABOVE_MISFIT * off):
        return None  # of the powers 0, 1 and 2, which no quadratic was found to be, it is not told apart
    return _power_family(support, power, factor)


def _power_family(support: str, power: float, factor: float) -> Family:
    """The family of variance factor·μ^power."""
    if abs(power - 3) <= FITS:
        nll = _inverse_gaussian(1 / factor) if support == HALF_LINE else None
        law = Family("inverse Gaussian", HALF_LINE, nll, free=True)
    else:
        power_law = Power(tidy(power), factor)
        here = power_law.lives == support
        law = Family(
            f"Tweedie, power {power_law.p:.6g}", power_law.lives, power_law.nll if here else None, free=True,
            kernel=power_law.kernel if here else None,
        )  # fmt: skip
    return replace(law, spread_by=lambda times: _power_family(support, power, factor / times))


def _quadratic_family(support: str, a: float, b: float, c: float) -> Family | None:
    """The six families whose variance is a + bμ + cμ² (Morris 1982), and their shifts."""
    if c < 0:
        return Family("binomial", "finitely many points")
    if c == 0:
        return _linear_family(support, a, b)
    if a == b == 0:
        shape = tidy(1 / c)
        gamma = _named(f"gamma, shape {shape:.7g}", HALF_LINE, Gamma(shape).nll if support == HALF_LINE else None)
        return replace(gamma, free=True)
    roots = b * b - 4 * a * c
    if abs(roots) <= FITS * b * b:
        return Family("shifted gamma", f"beyond {-b / (2 * c):.6g}")
    # With no root it is the generalised hyperbolic secant, whose base measure is not computed here.
    return None if roots < 0 else _negative_binomial(support, a, b, c)


def _linear_family(support: str, a: float, b: float) -> Family:
    """Variance a + bμ: the normal, or a Poisson on a lattice."""
    if b == 0:
        return Family("normal", LINE, _normal(a) if support == LINE and a > 0 else None, free=True)
    lives = f"multiples of {b:.6g}" if a == 0 else f"multiples of {b:.6g} less {a / b:.6g}"
    here = (support, a) == (COUNTS, 0.0) and b > 0
    return _named("Poisson", lives, Poisson().nll if here else None, tidy(1 / b))


def _negative_binomial(support: str, a: float, b: float, c: float) -> Family:
    """Variance a + bμ + cμ² with two roots."""
    theta = tidy(b / c)
    here = support == COUNTS and a == 0 and b > 0
    nll = NegativeBinomial(theta).nll if here else None
    return _named(f"negative binomial, θ = {theta:.7g}", f"multiples of {b:.6g}", nll, tidy(1 / b) if b else 1.0)


def _named(name: str, lives: str, of_log: Callable[[Tensor, Tensor], Tensor] | None, tau: float = 1.0) -> Family:
    """A family by its nll of the log mean; without one it lives elsewhere than on the target space."""
    if of_log is None:
        return Family(name, lives, None, tau)
    return Family(name, lives, lambda mean, y: of_log(mean.log(), y), tau, of_log=of_log)


def tidy(value: float) -> float:
    """A number read off differences to nine digits or so: the eight-digit one if it is that near, to be checked by values."""
    short = float(f"{value:.8g}")
    return short if abs(value - short) <= TIDY * abs(value) else value


def _normal(variance: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda mean, y: (y - mean) ** 2 / (2 * variance) + 0.5 * math.log(2 * math.pi * variance)


def _inverse_gaussian(shape: float) -> Callable[[Tensor, Tensor], Tensor]:
    """nll(mean, y) of the inverse Gaussian, √(λ/2πy³) exp(−λ(y−μ)²/2μ²y)."""

    def nll(mean: Tensor, y: Tensor) -> Tensor:
        return shape * (y - mean) ** 2 / (2 * mean**2 * y) + 0.5 * (math.log(2 * math.pi / shape) + 3 * y.log())

    return nll


def _mean(loss: Loss, outputs: Tensor) -> tuple[Tensor, Tensor] | None:
    """μ (F,) and η′ (F,) from gradients affine in the target; None where they are not."""
    target = loss.space.fitted_points
    gradient = loss.cross(outputs, target)[1].squeeze(-1)
    if not bool(torch.isfinite(gradient).all()):
        return None
    design = torch.stack([torch.ones_like(target), target], 1)
    level, slope = torch.linalg.lstsq(design, gradient.T).solution
    if bool((slope == 0).any()):
        return None
    # A gradient is rounded to a share of its own parts: with equal weights a mean of 0.1 has the rounding of a target of 5000.
    weight = 1 / (target.abs() + (level / slope).abs()[:, None]).clamp_min(SMALLEST)
    found = torch.linalg.lstsq(weight[..., None] * design, (weight * gradient)[..., None]).solution.squeeze(-1)
    level, slope = found.unbind(1)
    off = (gradient - level[:, None] - slope[:, None] * target).abs().max()
    if not float(off) <= AFFINE_IN_TARGET * float(gradient.abs().max()) or bool((slope == 0).any()):
        return None
    return -level / slope, -slope


def _quadratic(mean: Tensor, variance: Tensor) -> tuple[float, float, float, float]:
    """a, b, c of V = a + bμ + cμ², and the largest misfit relative to V; what is nowhere more than rounding of V is 0.

    Of V, not of the largest coefficient: at means of 10⁵ an `a` of 10⁻⁶ is nothing, and would be another lattice.
    """
    shares = torch.stack([torch.ones_like(mean), mean, mean**2], 1) / variance[:, None]
    parts, off = _shared(shares)
    there = (parts * shares).abs().amax(0) > max(FITS, ABOVE_MISFIT * off)
    if bool(there.any() and not there.all()):
        parts, off = torch.zeros_like(parts), 0.0
        parts[there], off = _shared(shares[:, there])
    a, b, c = parts.tolist()
    return a, b, c, off


def _shared(shares: Tensor) -> tuple[Tensor, float]:
    """Factors (k,) with which shares (F, k) add up to 1, and by how much they miss it; the columns may be of any size."""
    size = shares.abs().amax(0)
    whole = torch.ones(len(shares), 1, dtype=torch.float64)
    found = torch.linalg.lstsq(shares / size, whole).solution.squeeze(1) / size
    return found, float((shares @ found - 1).abs().max())


def _power(mean: Tensor, variance: Tensor) -> tuple[float, float, float]:
    """p and c of V = c·μ^p, and the largest misfit relative to V."""
    if not bool((mean > 0).all() and (variance > 0).all()):
        return 0.0, 0.0, math.inf
    design = torch.stack([mean.log(), torch.ones_like(mean)], 1)
    power, level = torch.linalg.lstsq(design, variance.log()[:, None]).solution.squeeze(1).tolist()
    return power, math.exp(level), float((variance.log() - power * mean.log() - level).abs().max())
