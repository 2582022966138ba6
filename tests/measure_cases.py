"""Losses that an argument about every base measure decides: a linear system, a shift, a variance function, a tail.

Each with its targets, its kind, the family or None, τ, and h(y) where it is known in closed form.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.targets import TargetSpace

Loss = Callable[[Tensor, Tensor], Tensor]
LABELS = TargetSpace("classes", 4, raw=1)
ORDERED = TargetSpace("ordinal", 4, raw=1)
PAIR = TargetSpace("classes", 4, raw=2)
BIASES = (1.0, 0.0, -1.2)


@dataclass(frozen=True)
class Told:
    """What an audit says of `loss`."""

    loss: Loss
    targets: str | TargetSpace
    kind: str
    family: str | None = None
    scale: float | None = None
    h: Callable[[float], float] | None = None


def coral(*biases: float, weights: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Loss:
    def loss(f: Tensor, y: Tensor) -> Tensor:
        total = torch.zeros_like(f)
        for k, (bias, weight) in enumerate(zip(biases, weights, strict=True)):
            total = total + weight * (F.softplus(f + bias) - (y > k).to(f.dtype) * (f + bias))
        return total

    return loss


def elementary(y: float) -> float:
    """h of CORAL: the elementary symmetric polynomial of e^biases of degree y, over the product of the first y."""
    powers = [math.exp(b) for b in BIASES]
    return sum(math.prod(part) for part in combinations(powers, int(y))) / math.prod(powers[: int(y)])


def cumulative(link: Callable[[Tensor], Tensor], *cuts: float) -> Loss:
    def loss(f: Tensor, y: Tensor) -> Tensor:
        ends = torch.tensor([-1e9, *cuts, 1e9], dtype=f.dtype)
        return -torch.log(link(ends[y + 1] - f) - link(ends[y] - f))

    return loss


def pinball(f: Tensor, y: Tensor, tau: float) -> Tensor:
    return torch.maximum(tau * (y - f), (tau - 1) * (y - f))


def crps(f: Tensor, y: Tensor) -> Tensor:
    """Of a normal of width 1."""
    r = y - f
    return r * (2 * torch.special.ndtr(r) - 1) + 2 * torch.exp(-r * r / 2) / math.sqrt(2 * math.pi)


def tweedie(p: float, factor: float = 1.0) -> Loss:
    return lambda f, y: factor * (-y * torch.exp((1 - p) * f) / (1 - p) + torch.exp((2 - p) * f) / (2 - p))


def deviance(p: float) -> Loss:
    return lambda f, y: 2 * (y.clamp_min(0.0) ** (2 - p) / ((1 - p) * (2 - p)) + tweedie(p)(f, y))


def student(df: float) -> Loss:
    return lambda f, y: (df + 1) / 2 * torch.log1p((y - f) ** 2 / df)


def t_total(df: float) -> float:
    return math.sqrt(math.pi * df) * math.exp(math.lgamma(df / 2) - math.lgamma((df + 1) / 2))


def logs(q: float) -> Loss:
    """A tail of 1/(r log^q r)."""
    return lambda f, y: torch.log1p((y - f).abs()) + q * torch.log1p(torch.log1p((y - f).abs()))


def geometric(f: Tensor, y: Tensor) -> Tensor:
    return -F.logsigmoid(f) - y * F.logsigmoid(-f)


def yule(f: Tensor, y: Tensor) -> Tensor:
    r = torch.exp(f)
    return -f - torch.lgamma(y + 1) - torch.lgamma(r + 1) + torch.lgamma(y + r + 2)


def sibuya(f: Tensor, y: Tensor) -> Tensor:
    """y + 1 draws, of infinite mean."""
    a = torch.sigmoid(f)
    return -a.log() - torch.lgamma(y + 1 - a) + torch.lgamma(1 - a) + torch.lgamma(y + 2)


def pairs(f: Tensor) -> Tensor:
    return torch.stack([f[:, 0], f[:, 1], -f[:, 0], -f[:, 1]], 1)


def picked(f: Tensor, y: Tensor) -> Tensor:
    return pairs(f).gather(1, y[:, None]).squeeze(1)


def logistic_cdf(shift: float) -> Loss:
    return cumulative(torch.sigmoid, -1.0, shift, 1.3)


LINEAR_SYSTEM = {
    "CORAL": Told(coral(*BIASES), LABELS, "likelihood", "adjacent-category logit", 1.0, elementary),
    "CORAL, ordinal": Told(coral(*BIASES), ORDERED, "likelihood", "adjacent-category logit", 1.0, elementary),
    "CORAL, mean of its steps": Told(lambda f, y: coral(*BIASES)(f, y) / 3, LABELS, "scaled likelihood",
                                     "adjacent-category logit", 1 / 3, elementary),
    "3 × CORAL of 50 f + y": Told(lambda f, y: 3 * coral(*BIASES)(50 * f, y) + y, LABELS, "scaled likelihood",
                                  "adjacent-category logit", 3.0, lambda y: elementary(y) * math.exp(y / 3)),
    "CORAL, equal biases": Told(coral(0.0, 0.0, 0.0), LABELS, "likelihood", "binomial, n = 3", 1.0,
                                lambda y: float(math.comb(3, int(y)))),
    "CORAL, a step weighted": Told(coral(*BIASES, weights=(1.0, 2.0, 1.0)), LABELS, "no link"),
    "CORAL, a step weighted 0.7": Told(coral(*BIASES, weights=(1.0, 0.7, 1.0)), LABELS, "no link"),
    "CORAL, smoothed": Told(lambda f, y: 0.9 * coral(*BIASES)(f, y) + 0.1 * coral(*BIASES)(f, 0 * y + 3), LABELS, "no link"),
    "CORAL and a ridge": Told(lambda f, y: coral(*BIASES)(f, y) + 0.01 * f**2, LABELS, "no link"),
    "CORAL and a wave": Told(lambda f, y: coral(*BIASES)(f, y) + 1e-3 * torch.sin(f), LABELS, "no link"),
    "CORAL and a ripple": Told(lambda f, y: coral(*BIASES)(f, y) + 1e-9 * torch.sin(f), LABELS, "undecided"),
    "proportional odds": Told(logistic_cdf(0.0), LABELS, "likelihood", "categorical", 1.0, lambda _: 1.0),
    "2 × proportional odds": Told(lambda f, y: 2 * logistic_cdf(0.0)(f, y), LABELS, "scaled likelihood",
                                  "proportional odds", 2.0, lambda _: 1.0),
    "proportional odds, a class weighted": Told(lambda f, y: (1 + 0.5 * (y == 3)) * logistic_cdf(0.0)(f, y), LABELS, "no link"),
    "0.4 × ordered probit + y": Told(lambda f, y: 0.4 * cumulative(torch.special.ndtr, -0.7, 0.2, 1.0)(f, y) + 0.2 * y, LABELS,
                                     "scaled likelihood", "ordered probit", 0.4, lambda y: math.exp(y / 2)),
    "2 × binomial": Told(lambda f, y: 2 * (3 * F.softplus(f) - y * f), LABELS, "scaled likelihood", "binomial, n = 3", 2.0,
                         lambda y: float(math.comb(3, int(y)))),
    "binomial of 5": Told(lambda f, y: 5 * F.softplus(f) - y * f, LABELS, "no link"),
    "binomial of 2": Told(lambda f, y: 2 * F.softplus(f) - y * f, LABELS, "no link"),
    "Poisson cut at 3": Told(lambda f, y: torch.log(1 + f.exp() + (2 * f).exp() / 2 + (3 * f).exp() / 6) - y * f, LABELS,
                             "likelihood", "adjacent-category logit", 1.0, lambda y: 1 / math.factorial(int(y))),
    "Poisson on labels": Told(lambda f, y: f.exp() - y * f, LABELS, "no link"),
    "squared error of 3σ": Told(lambda f, y: (3 * torch.sigmoid(f) - y) ** 2, LABELS, "no link"),
    "squared error": Told(lambda f, y: (f - y) ** 2, LABELS, "no link"),
    "two outputs": Told(lambda f, y: torch.logsumexp(pairs(f) + torch.tensor([1.0, 0, 0, -0.5], dtype=f.dtype), 1)
                        - picked(f, y), PAIR, "likelihood", "categorical", 1.0, lambda y: math.exp((1.0, 0, 0, -0.5)[int(y)])),
    "two outputs, no normaliser": Told(lambda f, y: f.pow(2).sum(1) - picked(f, y), PAIR, "no link"),
}  # fmt: skip
SHIFT = {
    "CRPS of a normal": Told(crps, "real", "likelihood family", "an unnamed density", 1.0),
    "CRPS on positive": Told(crps, "positive", "calibrated"),
    "three quantiles of one output": Told(lambda f, y: pinball(f, y, 0.1) + pinball(f, y, 0.5) + pinball(f, y, 0.9), "real",
                                          "likelihood family", "Laplace", 1.0, lambda _: 0.75),
    "quantiles a step apart": Told(lambda f, y: pinball(f - 1, y, 0.1) + pinball(f + 1, y, 0.9), "real", "likelihood family",
                                   "an unnamed density", 1.0),
    "L1 and a drift": Told(lambda f, y: (y - f).abs() + 0.3 * f, "real", "likelihood family", "asymmetric Laplace", 1.0),
    "L1 and too much of it": Told(lambda f, y: (y - f).abs() + 2 * f, "real", "no link"),
    "L1 and a ridge": Told(lambda f, y: (y - f).abs() + 0.1 * f**2, "real", "calibrated"),
    "squares and a ridge": Told(lambda f, y: (y - f) ** 2 + 0.1 * f**2, "real", "likelihood family", "normal", 1.0),
    "squares and a lasso": Told(lambda f, y: (y - f) ** 2 + 0.1 * f.abs(), "real", "calibrated"),
    "Huber and a ridge": Told(lambda f, y: F.huber_loss(f, y, reduction="none") + 0.3 * f**2, "real", "calibrated"),
    "log cosh and a drift": Told(lambda f, y: torch.log(torch.cosh(y - f)) + 0.5 * f, "real", "likelihood family",
                                 "generalised logistic", 1.0),
    "LINEX": Told(lambda f, y: torch.exp(y - f) - (y - f) - 1, "real", "likelihood family", "Gumbel of minima", 1.0,
                  lambda _: math.exp(-1)),
    "LINEX, three times the drift": Told(lambda f, y: torch.exp(y - f) - 3 * (y - f), "real", "likelihood family", "log-gamma",
                                         1.0, lambda _: 0.5),
    "percentage error": Told(lambda f, y: (y - f.exp()).abs() / y, "positive", "calibrated"),
    "squared relative error": Told(lambda f, y: (y * torch.exp(-f) - 1) ** 2, "positive", "calibrated"),
    "Weibull without its f": Told(lambda f, y: torch.exp(2 * (y.log() - f)), "positive", "no link"),
    "squares and a wave": Told(lambda f, y: (y - f) ** 2 + 0.1 * torch.sin(f), "real", "undecided"),
}  # fmt: skip
LOGARITHMS = {
    "Weibull, constants dropped": Told(lambda f, y: 2 * f + torch.exp(2 * (y.log() - f)), "positive", "likelihood family",
                                       "Weibull, shape 2", 1.0, lambda y: 2 * y),
    "Fréchet": Told(lambda f, y: torch.exp(-2 * (y.log() - f)) - 2 * f, "positive", "likelihood family", "Fréchet, shape 2",
                    1.0, lambda y: 2 * y**-3),
    "log-logistic": Told(lambda f, y: 2 * F.softplus(2.5 * (y.log() - f)) - 2.5 * (y.log() - f), "positive",
                         "likelihood family", "log-logistic, shape 2.5", 1.0, lambda y: 2.5 / y),
    "generalised gamma": Told(lambda f, y: 3 * f + torch.exp(1.5 * (y.log() - f)), "positive", "likelihood family",
                              "generalised gamma, power 1.5, shape 2", 1.0, lambda y: 1.5 * y**2),
    "inverse gamma": Told(lambda f, y: f.exp() / y - 2 * f, "positive", "likelihood family", "inverse gamma, shape 2", 1.0,
                          lambda y: y**-3),
    "log-Laplace": Told(lambda f, y: 3 * (y.log() - f).abs(), "positive", "likelihood family", "log-Laplace", 1.0,
                        lambda y: 1.5 / y),
    "half-normal": Told(lambda f, y: f + 0.5 * (y * torch.exp(-f)) ** 2, "positive", "likelihood family", "half-normal", 1.0,
                        lambda _: math.sqrt(2 / math.pi)),
    "logit-logistic": Told(lambda f, y: 2 * F.softplus(y.logit() - f) - (y.logit() - f), "unit", "likelihood family",
                           "an unnamed density", 1.0, lambda y: 1 / (y * (1 - y))),
    "Gumbel": Told(lambda f, y: (y - f) + torch.exp(f - y), "real", "likelihood", "Gumbel", 1.0, lambda _: 1.0),
}  # fmt: skip
TWEEDIE = {
    "p = 2.5": Told(tweedie(2.5), "positive", "likelihood family", "Tweedie, power 2.5", 1.0),
    "p = 2.5, 1.7 times": Told(tweedie(2.5, 1.7), "positive", "likelihood family", "Tweedie, power 2.5", 1.0),
    "p = 4, deviance": Told(deviance(4.0), "positive", "likelihood family", "Tweedie, power 4", 1.0),
    "p = 3": Told(tweedie(3.0), "positive", "likelihood family", "inverse Gaussian", 1.0,
                  lambda y: math.exp(-0.5 / y) / math.sqrt(2 * math.pi * y**3)),
    "p = 2.5 on counts": Told(tweedie(2.5), "counts", "proper"),
    "p = 1.5": Told(deviance(1.5), "positive", "proper"),
    "p = ½": Told(tweedie(0.5), "positive", "proper"),
    "p = ½ on counts": Told(tweedie(0.5), "counts", "proper"),
    "p = −1 on positive": Told(tweedie(-1.0), "positive", "proper"),
}  # fmt: skip
TAILS = {
    "Student t, df 0.1": Told(student(0.1), "real", "likelihood family", "Student t", 1.0, lambda _: 1 / t_total(0.1)),
    "Student t, df 0.01": Told(student(0.01), "real", "likelihood family", "Student t", 1.0, lambda _: 1 / t_total(0.01)),
    "a power of 1.00001": Told(lambda f, y: 1.00001 * torch.log1p((y - f).abs()), "real", "likelihood family",
                               "an unnamed density", 1.0, lambda _: 1e-5 / 2),
    "a power of 1": Told(lambda f, y: torch.log1p((y - f).abs()), "real", "unnormalisable"),
    "1 / r log² r": Told(logs(2.0), "real", "likelihood family", "an unnamed density", 1.0, lambda _: 0.5),
    "1 / r log^½ r": Told(logs(0.5), "real", "unnormalisable"),
    "1 / r log r": Told(logs(1.0), "real", "undecided"),
    "log-Cauchy": Told(lambda f, y: torch.log1p((y.log() - f) ** 2), "positive", "likelihood family", "log-Student t", 1.0,
                       lambda y: 1 / (math.pi * y)),
    "Lomax, shape 0.05": Told(lambda f, y: f + 1.05 * torch.log1p(y * torch.exp(-f)), "positive", "likelihood family",
                              "Lomax, shape 0.05", 1.0, lambda _: 0.05),
    "Lomax of no shape": Told(lambda f, y: f + 0.9 * torch.log1p(y * torch.exp(-f)), "positive", "no link"),
    "Lomax of shape e^f": Told(lambda f, y: (f.exp() + 1) * torch.log1p(y) - f, "positive", "likelihood", None, 1.0,
                               lambda _: 1.0),
    "logit-Cauchy": Told(lambda f, y: torch.log1p((y.logit() - f) ** 2), "unit", "undecided"),
}  # fmt: skip
COUNTED = {
    "geometric, logit link": Told(geometric, "counts", "likelihood", "negative binomial, θ = 1", 1.0, lambda _: 1.0),
    "2 × geometric": Told(lambda f, y: 2 * geometric(f, y), "counts", "scaled likelihood", "negative binomial, θ = 1", 2.0,
                          lambda _: 1.0),
    "geometric and a drift": Told(lambda f, y: geometric(f, y) + 0.05 * f, "counts", "proper"),
    "geometric, complementary log-log": Told(lambda f, y: y * f.exp() - torch.log(-torch.expm1(-f.exp())), "counts",
                                             "likelihood", "negative binomial, θ = 1", 1.0, lambda _: 1.0),
    "logarithmic series": Told(lambda f, y: torch.log(y + 1) + torch.log(F.softplus(f)) - (y + 1) * F.logsigmoid(f), "counts",
                               "likelihood", None, 1.0, lambda _: 1.0),
    "counts about e^(2f + 3)": Told(lambda f, y: 20 * (2 * f).exp() - y * (2 * f + math.log(20)) + torch.lgamma(y + 1),
                                    "counts", "likelihood", "Poisson", 1.0, lambda _: 1.0),
    "Yule–Simon": Told(yule, "counts", "likelihood", None, 1.0, lambda _: 1.0),
    "Yule–Simon and a drift": Told(lambda f, y: yule(f, y) + 0.1 * f, "counts", "calibrated"),
    "Sibuya": Told(sibuya, "counts", "likelihood", None, 1.0, lambda _: 1.0),
    "zeta without its ζ": Told(lambda f, y: (1 + f.exp()) * torch.log(y + 1), "counts", "no link"),
    "0.9 of a power": Told(lambda f, y: f + 0.9 * torch.log1p(y * torch.exp(-f)), "counts", "no link"),
}  # fmt: skip
COORDINATES = {
    "lognormal, f tenfold": Told(lambda f, y: 0.5 * (y.log() - 10 * f) ** 2, "positive", "likelihood", None, 1.0,
                                 lambda y: 1 / (math.sqrt(2 * math.pi) * y)),
    "gamma of shape e^f": Told(lambda f, y: torch.lgamma(f.exp()) - f.exp() * y.log() + y, "positive", "likelihood", None, 1.0,
                               lambda y: 1 / y),
    "logit-normal, f tenfold": Told(lambda f, y: 0.5 * (y.logit() - 10 * f) ** 2, "unit", "undecided"),
}  # fmt: skip
# Likelihoods that look like none at first: never refuted.
SPARED = {
    "lognormal of width e^f": (lambda f, y: f + 0.5 * ((y.log() - math.log(3)) * torch.exp(-f)) ** 2, "positive"),
    "Lomax, doubled": (lambda f, y: 2 * ((f.exp() + 1) * torch.log1p(y) - f), "positive"),
    "Weibull of shape e^f": (lambda f, y: y ** f.exp() - f - f.exp() * y.log(), "positive"),
    "logit-Cauchy of width e^f": (lambda f, y: f + torch.log1p((y.logit() * torch.exp(-f)) ** 2), "unit"),
    "logit-normal, f a hundredfold": (lambda f, y: 0.5 * (y.logit() - 100 * f) ** 2, "unit"),
    "normal about f³": (lambda f, y: 0.5 * (y - f**3) ** 2, "real"),
    "L1 and a little tanh": (lambda f, y: (y - f).abs() + 0.1 * torch.tanh(f), "real"),  # h = e^g (1 − g″ − g′²)/2 > 0
    "log cosh and half a softplus": (
        lambda f, y: torch.log(torch.cosh(y - f)) + 0.5 * F.softplus(f), "real"),  # h = Re √(1 + i e^y)/π > 0
}  # fmt: skip
EVERY = {**LINEAR_SYSTEM, **SHIFT, **LOGARITHMS, **TWEEDIE, **TAILS, **COUNTED, **COORDINATES}
