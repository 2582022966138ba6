"""Real and count targets: squared error, robust losses, Poisson and negative binomial, rewritten."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults import reductions
from faults.pair import Pair, equal, nll_of

squared = partial(F.mse_loss, reduction="none")
absolute = partial(F.l1_loss, reduction="none")
huber = partial(F.huber_loss, reduction="none", delta=0.7)
poisson = partial(F.poisson_nll_loss, log_input=True, reduction="none")
THETA = 2.5


def half_squared(f: Tensor, y: Tensor) -> Tensor:
    return 0.5 * (f - y) ** 2


def product(f: Tensor, y: Tensor) -> Tensor:
    return (y - f) * (y - f)


def expanded(f: Tensor, y: Tensor) -> Tensor:
    return f * f - 2 * f * y + y * y


def norm(f: Tensor, y: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(f - y) ** 2 / len(y)
    return found


def inner(f: Tensor, y: Tensor) -> Tensor:
    return torch.dot(f - y, f - y) / len(y)


def spread_and_bias(f: Tensor, y: Tensor) -> Tensor:
    """Variance of the residuals plus the square of their mean."""
    return torch.var(f - y, correction=0) + (f - y).mean() ** 2


def normal(f: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Normal(f, 1.0), y)


def gaussian(f: Tensor, y: Tensor, full: bool = False) -> Tensor:
    return F.gaussian_nll_loss(f, y, torch.ones_like(f), full=full, reduction="none")


def absolute_by_maximum(f: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(f - y, y - f)


def laplace(f: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Laplace(f, 1.0), y)


def huber_where(f: Tensor, y: Tensor, delta: float = 0.7) -> Tensor:
    r = (f - y).abs()
    return torch.where(r <= delta, 0.5 * r * r, delta * (r - 0.5 * delta))


def huber_minimum(f: Tensor, y: Tensor, delta: float = 0.7) -> Tensor:
    r = (f - y).abs()
    q = r.clamp(max=delta)
    return 0.5 * q * q + delta * (r - q)


def smooth(f: Tensor, y: Tensor, beta: float = 0.7) -> Tensor:
    return beta * F.smooth_l1_loss(f, y, beta=beta, reduction="none")


def log_cosh(f: Tensor, y: Tensor) -> Tensor:
    r = (f - y).abs()
    return r + torch.log1p(torch.exp(-2 * r)) - math.log(2)


def log_cosh_logaddexp(f: Tensor, y: Tensor) -> Tensor:
    return torch.logaddexp(f - y, y - f) - math.log(2)


def pinball(f: Tensor, y: Tensor, tau: float = 0.3) -> Tensor:
    return torch.maximum(tau * (y - f), (tau - 1) * (y - f))


def pinball_parts(f: Tensor, y: Tensor, tau: float = 0.3) -> Tensor:
    """½|r| + (τ−½) r, the same by parts."""
    return 0.5 * (y - f).abs() + (tau - 0.5) * (y - f)


def poisson_hand(f: Tensor, y: Tensor) -> Tensor:
    return torch.exp(f) - y * f


def poisson_expm1(f: Tensor, y: Tensor) -> Tensor:
    return torch.expm1(f) + 1 - y * f


def poisson_exp2(f: Tensor, y: Tensor) -> Tensor:
    return torch.exp2(f / math.log(2)) - y * f


def poisson_full(f: Tensor, y: Tensor) -> Tensor:
    return torch.exp(f) - y * f + torch.lgamma(y + 1)


def poisson_distribution(f: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Poisson(torch.exp(f)), y)


def deviance(f: Tensor, y: Tensor) -> Tensor:
    """Half the Poisson deviance: y log(y/μ) − (y − μ)."""
    return torch.xlogy(y, y) - y * f - y + torch.exp(f)


def negative_binomial(f: Tensor, y: Tensor) -> Tensor:
    return (y + THETA) * torch.logaddexp(f, torch.full_like(f, math.log(THETA))) - y * f


def negative_binomial_softplus(f: Tensor, y: Tensor) -> Tensor:
    return (y + THETA) * (F.softplus(f - math.log(THETA), threshold=50) + math.log(THETA)) - y * f


def negative_binomial_direct(f: Tensor, y: Tensor) -> Tensor:
    return (y + THETA) * torch.log(THETA + torch.exp(f)) - y * f


def negative_binomial_distribution(f: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.NegativeBinomial(THETA, logits=f - math.log(THETA)), y)


def _pairs(space: str, left: Any, forms: tuple[tuple[Any, ...], ...]) -> tuple[Pair, ...]:
    return tuple(
        equal(f"{space}: {name}", space, left, form, note, **(more[0] if more else {}))
        for name, form, note, *more in forms
    )


SHIFTED, TAILS = {"relations": ("shifted",)}, {"partial": True}
PAIRS = (
    *_pairs("real", squared, (
        ("product", product, "(y − f)(y − f)"),
        ("expanded", expanded, "f² − 2fy + y², as in matrix forms: cancels near the target"),
        ("norm", norm, "squared norm over the number of rows"),
        ("inner product", inner, "r·r / n"),
        ("variance plus bias", spread_and_bias, "the textbook decomposition"),
        ("reversed rows", partial(reductions.reversed_rows, product), "rows in another order"),
        ("running mean", partial(reductions.running_mean, product), "a meter's running mean, row by row"),
        ("float64 sum", partial(reductions.double_sum, product), "rows added up in float64 and cast back"),
        ("Gaussian NLL", gaussian, "unit variance: half the squared error", {"relations": ("scaled",)}),
        ("Gaussian NLL, full", partial(gaussian, full=True), "and ½ log 2π", {"relations": ("scaled",)}),
    )),
    *_pairs("real", half_squared, (
        ("Gaussian NLL of ½r²", gaussian, "variance 1, constant dropped"),
        ("Gaussian NLL of ½r², full", partial(gaussian, full=True), "½ log 2π kept", SHIFTED),
        ("normal distribution", normal, "torch.distributions.Normal(f, 1)", SHIFTED),
    )),
    *_pairs("real", absolute, (
        ("maximum of ±r", absolute_by_maximum, "|r| as max(r, −r)"),
        ("Laplace distribution", laplace, "torch.distributions.Laplace(f, 1): log 2 more", SHIFTED),
    )),
    *_pairs("real", huber, (
        ("Huber by where", huber_where, "two branches by torch.where"),
        ("Huber by minimum", huber_minimum, "one formula with min(|r|, δ)"),
        ("Huber by smooth L1", smooth, "β · smooth_l1(β) is Huber(β)"),
    )),
    *_pairs("real", log_cosh, (("log cosh by logaddexp", log_cosh_logaddexp, "log(e^r + e^−r) − log 2"),)),
    *_pairs("real", pinball, (("pinball by parts", pinball_parts, "½|r| + (τ−½) r"),)),
    *_pairs("counts", poisson, (
        ("Poisson by hand", poisson_hand, "e^f − y f"),
        ("Poisson by expm1", poisson_expm1, "expm1(f) + 1 − y f"),
        ("Poisson by exp2", poisson_exp2, "2^(f / log 2): the exponent's rounding grows with f"),
        ("Poisson, log y!", poisson_full, "nothing dropped", SHIFTED),
        ("Poisson deviance", deviance, "generalised linear models: half the deviance", SHIFTED),
        ("Poisson, Stirling", partial(F.poisson_nll_loss, full=True, reduction="none"),
         "the framework's full=True: log y! by Stirling, off by the target only", SHIFTED),
        ("Poisson distribution", poisson_distribution, "log of exp far out", SHIFTED | TAILS),
        ("Poisson, chunked", partial(reductions.chunked_sums, poisson_hand), "sums by chunks, divided once"),
    )),
    *_pairs("counts", negative_binomial, (
        ("negative binomial by softplus", negative_binomial_softplus, "log θ + softplus(f − log θ)"),
        ("negative binomial, direct", negative_binomial_direct, "log(θ + e^f): overflows far out", TAILS),
        ("negative binomial distribution", negative_binomial_distribution,
         "torch.distributions.NegativeBinomial: Γ terms of the target", SHIFTED),
    )),
    equal("counts: accumulate 3", "counts", poisson_hand, poisson_hand, "three micro-batches, weighted by rows", accumulate=3),
)  # fmt: skip
