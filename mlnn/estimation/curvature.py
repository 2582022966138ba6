"""What one row says of its raw outputs: −log likelihood, its gradient, and its observed or expected curvature.

By autograd in float64 on the hand-written likelihoods. Expected curvature (Fisher information), E over y given the raw
output f, needs no integral (McCullagh & Nelder 1989, ch. 2):
- canonical link: gradient (μ−y)/φ and curvature μ′/φ, whatever y, so observed and expected are one;
- other links of an exponential family: μ′²/Var(y). Probit φ²/ΦΦ̄, gamma k, negative binomial θμ/(θ+μ);
- beta and the normal with a learned variance, linear and quadratic in a function of y: the curvature at a typical y;
- a location family: one number. Student t (ν+1)/((ν+3)s²) (Lange et al. 1989), hyperbolic secant ½, Huber
  P(|r| < δ), von Mises κ I₁(κ)/I₀(κ) (Mardia & Jupp 2000).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mlnn.estimation.catalogue import CANONICAL
from mlnn.objectives import (
    BernoulliProbit,
    Beta,
    Categorical,
    Gamma,
    HuberDensity,
    HyperbolicSecant,
    NegativeBinomial,
    Normal,
    NormalLearnedVariance,
    StudentT,
    VonMises,
)
from mlnn.objectives.probit import log_ndtr


def _bessel_ratio(kappa: float) -> float:
    at = torch.tensor(kappa, dtype=torch.float64)
    return float(torch.special.i1e(at) / torch.special.i0e(at))


# Fisher information of a row with raw output (n,).
INFORMATION: Mapping[type, Callable[[Any, Tensor], Tensor | float]] = {
    BernoulliProbit: lambda _given, z: torch.exp(-(z**2) - math.log(2 * math.pi) - log_ndtr(z) - log_ndtr(-z)),
    Gamma: lambda given, _output: given.shape,
    NegativeBinomial: lambda given, output: given.theta * torch.sigmoid(output - math.log(given.theta)),
    StudentT: lambda given, _output: (given.df + 1) / ((given.df + 3) * given.scale**2),
    HyperbolicSecant: lambda _given, _output: 0.5,
    HuberDensity: lambda given, _output: given.middle / (given.middle + given.tails),
    VonMises: lambda given, _output: given.concentration * _bessel_ratio(given.concentration),
}


# ρ′(r)/r of a robust density, the weight of a row with residual r in reweighted least squares. The parabola it bends lies
# above the nll everywhere and touches it at r (Huber 1964; Lange et al. 1989), so a step on it never raises the nll.
MAJORANT: Mapping[type, Callable[[Any, Tensor], Tensor]] = {
    StudentT: lambda given, r: (given.df + 1) / (given.df * given.scale**2 + r**2),
    HyperbolicSecant: lambda _given, r: torch.where(r == 0, 1.0, torch.tanh(r) / r),
    HuberDensity: lambda given, r: given.delta / r.abs().clamp(min=given.delta),
}


def raw(likelihood: Any, eta: Tensor) -> Tensor:
    """What the likelihood takes as its output, from the free raw outputs (n, m): class 0 gets 0, one output is (n,)."""
    if isinstance(likelihood, Categorical):
        return torch.cat([torch.zeros_like(eta[:, :1]), eta], dim=1)
    return eta[:, 0] if eta.shape[1] == 1 else eta


def nll(likelihood: Any, eta: Tensor, y: Tensor) -> Tensor:
    """−log likelihood per row, nats; (n, m), (n,) to (n,)."""
    return likelihood.nll(raw(likelihood, eta), y)


def gradient(likelihood: Any, eta: Tensor, y: Tensor) -> Tensor:
    """Derivative of the nll in the free raw outputs; (n, m), (n,) to (n, m)."""
    at = eta.detach().requires_grad_()
    return torch.autograd.grad(nll(likelihood, at, y).sum(), at)[0]


def rows(likelihood: Any, eta: Tensor, y: Tensor, kind: str, damping: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """(nll (n,), gradient (n, m), curvature (n, m, m)) in nats, of free raw outputs (n, m) and targets (n,).

    `damping`: so many times a robust density's majorant is added to its observed curvature.
    """
    if isinstance(likelihood, CANONICAL):
        return _canonical(likelihood, eta, y)
    if kind == "observed":
        value, slope, bend = _observed(likelihood, eta, y)
        if damping:
            bend = bend + damping * MAJORANT[type(likelihood)](likelihood, y - eta[:, 0])[:, None, None]
        return value, slope, bend
    return nll(likelihood, eta, y), gradient(likelihood, eta, y), expected(likelihood, eta)


def expected(likelihood: Any, eta: Tensor) -> Tensor:
    """Fisher information of a row in its free raw outputs (n, m), for a link that is not canonical; (n, m, m)."""
    closed = INFORMATION.get(type(likelihood))
    if closed:
        return torch.as_tensor(closed(likelihood, eta[:, 0]), dtype=torch.float64).expand(len(eta))[:, None, None]
    found = [_observed(likelihood, eta, y)[2] for y in typical(likelihood, eta)]
    return sum(found[1:], found[0]) / len(found)


def typical(likelihood: Any, eta: Tensor) -> list[Tensor]:
    """Targets (n,) at which derivatives, averaged, equal their expectation over y."""
    output = raw(likelihood, eta)
    if isinstance(likelihood, NormalLearnedVariance):  # quadratic in y: one standard deviation either side
        return [output[:, 0] + sign * torch.exp(output[:, 1] / 2) for sign in (-1, 1)]
    if isinstance(likelihood, Beta):  # linear in logit y, whose mean is ψ(a) − ψ(b)
        a, b = (likelihood.precision * torch.sigmoid(sign * output) for sign in (1, -1))
        return [torch.sigmoid(torch.digamma(a) - torch.digamma(b))]
    return [likelihood.mean(output)]


def _canonical(likelihood: Any, eta: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value = nll(likelihood, eta, y)
    if isinstance(likelihood, Categorical):
        p = likelihood.mean(raw(likelihood, eta))[:, 1:]
        is_class = y[:, None] == torch.arange(1, p.shape[1] + 1)
        return value, p - is_class.double(), torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    dispersion = likelihood.sigma**2 if isinstance(likelihood, Normal) else 1.0
    at = eta[:, 0].detach().requires_grad_()
    mean = likelihood.mean(at)
    (slope,) = torch.autograd.grad(mean.sum(), at)
    mean = mean.detach()
    return value, ((mean - y) / dispersion)[:, None], (slope / dispersion)[:, None, None]


def _observed(likelihood: Any, eta: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value, slope, bend = _differentiate(likelihood, eta, y)
    # The stable forms are built from |z| and min(z, 0). Exactly on such a fold autograd keeps the gradient and loses
    # the curvature, which is there: it is then taken a hair to the right.
    lost = (bend[:, 0, 0] == 0) if eta.shape[1] == 1 else torch.zeros(len(eta), dtype=torch.bool)
    if bool(lost.any()):
        beside = eta[lost] + 2.0**-40 * (1 + eta[lost].abs())
        bend[lost] = _differentiate(likelihood, beside, y[lost])[2]
    return value, slope, bend


def _differentiate(likelihood: Any, eta: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    at = eta.detach().requires_grad_()
    value = nll(likelihood, at, y)
    (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    columns = [slope] if slope.shape[1] == 1 else slope.unbind(1)
    bend = [torch.autograd.grad(column.sum(), at, retain_graph=True)[0] for column in columns]
    return value.detach(), slope.detach(), torch.stack(bend, dim=2)
