"""Is the loss that of a natural exponential family? Then its variance function says which one, and there is no other.

If ∂loss/∂f = η′(f)·(μ(f) − y), affine in y, the loss is consistent for the mean: its expectation is smallest where
μ(f) = E[y]. It is τ·NLL + c(y) of a likelihood only if V(μ) = τ·dμ/dη is the variance function of a natural exponential
family whose support is the target space; a variance function belongs to one family alone (Morris 1982; Letac & Mora 1990).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.audit.ask import Loss
from mlnn.audit.finding import Finding
from mlnn.audit.links import mean_link
from mlnn.objectives.gamma import Gamma
from mlnn.objectives.negative_binomial import NegativeBinomial
from mlnn.objectives.poisson import Poisson

OUTPUTS = torch.linspace(-2.1, 1.9, 17, dtype=torch.float64) + 0.00321
TARGETS = {
    "real": (-3.1, -0.7, 0.4, 2.2, 5.3),
    "counts": (0.0, 1.0, 2.0, 4.0, 9.0),
    "positive": (0.2, 0.9, 1.7, 3.3, 8.1),
    "unit": (0.07, 0.3, 0.5, 0.8, 0.93),
}
AFFINE = 1e-10
STEP = 1e-3
FITS = 1e-7


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
    mean, slope = _mean(loss, OUTPUTS)
    if mean is None or slope is None or not bool((slope > 0).all()):
        return None
    # Central differences of two widths, combined so that the error is of order STEP⁴ (Richardson).
    turns = []
    for step in (STEP, 2 * STEP):
        ahead, behind = (_mean(loss, OUTPUTS + sign * step)[0] for sign in (1, -1))
        if ahead is None or behind is None:
            return None
        turns.append((ahead - behind) / (2 * step))
    return Exponential(mean, (4 * turns[0] - turns[1]) / 3 / slope, mean_link(OUTPUTS, mean))


@dataclass(frozen=True)
class Family:
    """A natural exponential family: `nll(log mean, y)` where it lives on the target space, else None and where it lives."""

    name: str
    lives: str
    nll: Callable[[Tensor, Tensor], Tensor] | None = None
    tau: float = 1.0
    free: bool = False


def named_family(form: Exponential, kind: str) -> Family | None:
    """The family of a variance function that is a quadratic (Morris) or a power of the mean; None for any other."""
    a, b, c, off = _quadratic(form.mean, form.variance)
    if off <= FITS:
        return _quadratic_family(kind, a, b, c)
    power, factor, off = _power(form.mean, form.variance)
    if off > FITS:
        return None
    if abs(power - 3) <= FITS:
        return Family(
            "inverse Gaussian", "(0, ∞)", _inverse_gaussian(1 / factor) if kind == "positive" else None, 1.0, True
        )
    if 1 < power < 2:
        return Family(f"Tweedie, power {power:.6g}", "0 and (0, ∞), 0 with a mass of its own")
    return None


def _quadratic_family(kind: str, a: float, b: float, c: float) -> Family | None:
    """The six families whose variance is a + bμ + cμ² (Morris 1982), and their shifts."""
    a, b, c = (0.0 if abs(part) <= FITS * max(abs(a), abs(b), abs(c)) else part for part in (a, b, c))
    roots = b * b - 4 * a * c
    if c == 0:
        if b == 0:
            return Family("normal", "the whole line", free=True)
        lives = f"multiples of {b:.6g}" if a == 0 else f"multiples of {b:.6g} less {a / b:.6g}"
        tau = 1.0 if abs(b - 1) <= FITS else 1 / b
        return Family("Poisson", lives, Poisson().nll if (kind, a) == ("counts", 0.0) and b > 0 else None, tau)
    if c < 0:
        return Family("binomial", "finitely many points")
    if a == b == 0:
        return Family(
            f"gamma, shape {1 / c:.7g}", "(0, ∞)", Gamma(1 / c).nll if kind == "positive" else None, 1.0, True
        )
    if abs(roots) <= FITS * b * b:
        return Family("shifted gamma", f"beyond {-b / (2 * c):.6g}")
    if roots < 0:
        return None  # the generalised hyperbolic secant, whose base measure is not computed here
    counts = kind == "counts" and a == 0 and b > 0
    tau = 1.0 if abs(b - 1) <= FITS else 1 / b
    nll = NegativeBinomial(b / c).nll if counts else None
    return Family(f"negative binomial, θ = {b / c:.7g}", f"multiples of {b:.6g}", nll, tau)


def _inverse_gaussian(shape: float) -> Callable[[Tensor, Tensor], Tensor]:
    """nll(log mean, y) of the inverse Gaussian, √(λ/2πy³) exp(−λ(y−μ)²/2μ²y)."""

    def nll(log_mean: Tensor, y: Tensor) -> Tensor:
        mean = log_mean.exp()
        return shape * (y - mean) ** 2 / (2 * mean**2 * y) + 0.5 * (math.log(2 * math.pi / shape) + 3 * y.log())

    return nll


def examine_exponential(loss: Loss, form: Exponential, family: Family) -> Finding:
    """The finding for a family that lives on the target space, its values checked against the loss."""
    nll = family.nll
    assert nll is not None

    def base(target: Tensor) -> Tensor:
        at = OUTPUTS[8].expand_as(target)
        return torch.exp(loss.value(at, target) / family.tau - nll(form.mean[8].log().expand_as(target), target))

    target = torch.tensor(TARGETS[loss.space.kind], dtype=torch.float64)
    held = loss.values(OUTPUTS, target) / family.tau - base(target).log()
    truth = torch.stack([nll(mean.log().expand_as(target), target) for mean in form.mean])
    residual = float(((held - truth).abs() / truth.abs().clamp_min(1.0)).max())
    if not residual <= FITS:
        said = f"its variance function is that of the {family.name}, its values are not"
        return Finding("undecided", residual=residual, said=said)
    even = bool((base(target) - 1).abs().max() <= FITS)
    kind = "likelihood family" if family.free and not even else "likelihood" if family.tau == 1 else "scaled likelihood"
    measure = _measure(base, loss.space.kind, even)
    return Finding(kind, family.name, family.tau, form.link, base, measure, residual)


def _mean(loss: Loss, outputs: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """μ (F,) and η′ (F,) from gradients affine in the target; None, None where they are not."""
    target = torch.tensor(TARGETS[loss.space.kind], dtype=torch.float64)
    gradient = loss.cross(outputs, target)[1].squeeze(-1)
    design = torch.stack([torch.ones_like(target), target], 1)
    level, slope = torch.linalg.lstsq(design, gradient.T).solution
    off = (gradient - level[:, None] - slope[:, None] * target).abs().max()
    if not float(off) <= AFFINE * float(gradient.abs().max()) or bool((slope == 0).any()):
        return None, None
    return -level / slope, -slope


def _quadratic(mean: Tensor, variance: Tensor) -> tuple[float, float, float, float]:
    """a, b, c of V = a + bμ + cμ², and the largest misfit relative to V."""
    weight = 1 / variance
    design = torch.stack([torch.ones_like(mean), mean, mean**2], 1) * weight[:, None]
    a, b, c = torch.linalg.lstsq(design, torch.ones_like(mean)[:, None]).solution.squeeze(1).tolist()
    off = float(((a + b * mean + c * mean**2) * weight - 1).abs().max())
    return a, b, c, off


def _power(mean: Tensor, variance: Tensor) -> tuple[float, float, float]:
    """p and c of V = c·μ^p, and the largest misfit relative to V."""
    if not bool((mean > 0).all() and (variance > 0).all()):
        return 0.0, 0.0, math.inf
    design = torch.stack([mean.log(), torch.ones_like(mean)], 1)
    power, level = torch.linalg.lstsq(design, variance.log()[:, None]).solution.squeeze(1).tolist()
    return power, math.exp(level), float((variance.log() - power * mean.log() - level).abs().max())


def _measure(base: Callable[[Tensor], Tensor], kind: str, even: bool) -> str:
    if even:
        return "1"
    if kind == "counts":
        y = torch.arange(8, dtype=torch.float64)
        h = base(y)
        return "1/y!" if bool((h * torch.exp(torch.lgamma(y + 1)) - 1).abs().max() <= FITS) else "a function of y"
    return "a function of y"
