"""Losses with a known answer: kind, τ, link, and h(y) in closed form."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.objectives import losses_by_hand

SQRT_PI, SQRT_2PI = math.sqrt(math.pi), math.sqrt(2 * math.pi)
HUBER = math.exp(1.0730585907)  # ∫ e^(−huber), δ = 1
BESSEL = 2 * math.pi * float(torch.special.i0(torch.tensor(1.0, dtype=torch.float64)))


def log_gamma(x: float) -> float:
    return math.lgamma(x)


@dataclass(frozen=True)
class Case:
    """`h`: the base measure, normaliser included, where the loss is a likelihood."""

    kind: str
    link: str | None = None
    scale: float | None = None
    h: Callable[[float], float] | None = None


def likelihood(link: str | None, h: Callable[[float], float] = lambda _: 1.0) -> Case:
    return Case("likelihood", link, 1.0, h)


def family(link: str, total: float) -> Case:
    return Case("likelihood family", link, 1.0, lambda _: 1 / total)


# Every objective in configs/objective, at the targets it is for (classes: 4).
CATALOGUE: dict[str, Case] = {
    **dict.fromkeys(
        ("bce", "bce_with_logits", "bernoulli_nll", "bernoulli_nll_clipped", "bernoulli_nll_log1p", "bernoulli_nll_naive",
         "soft_margin"), likelihood("σ(f)")),
    "bernoulli_probit": likelihood("Φ(f)"),
    **dict.fromkeys(("categorical", "cross_entropy", "kl_divergence", "nll_loss"), likelihood("softmax(f)")),
    **dict.fromkeys(
        ("normal", "laplace", "asymmetric_laplace", "huber_density", "hyperbolic_secant", "flat_topped_laplace", "student_t"),
        likelihood("f")),
    "von_mises": likelihood("f"),
    "normal_learned_variance": likelihood("f₁, variance exp(f₂)"),
    "gaussian_nll": likelihood("f₁, variance exp(f₂)", lambda _: 1 / SQRT_2PI),
    "ordinal": likelihood(None),
    "zero_inflated_poisson": likelihood("mean exp(f₁), share of extra zeros σ(f₂)"),
    "zero_inflated_negative_binomial": likelihood("mean exp(f₁), θ 1, share of extra zeros σ(f₂)"),
    "hurdle_poisson": likelihood("rate exp(f₁), probability of 0 σ(−f₂)"),
    "hurdle_negative_binomial": likelihood(None),
    "beta": likelihood("σ(f)"),
    **dict.fromkeys(("gamma", "gamma_loss", "poisson", "negative_binomial", "negative_binomial_loss"), likelihood("exp(f)")),
    "poisson_nll": likelihood("exp(f)", lambda y: 1 / math.gamma(y + 1)),
    "mse": family("f", SQRT_PI),
    "l1": family("f", 2.0),
    "pinball": family("f", 4.0),
    "huber": family("f", HUBER),
    "smooth_l1": family("f", HUBER),
    "log_cosh": family("f", math.pi),
    "epsilon_insensitive": family("f", 2.2),
    "cosine": family("f", BESSEL / math.e),
    "brier": Case("proper", "σ(f)"),
    "squared_hinge": Case("proper", "(1+f)/2"),
    "exponential": Case("proper", "σ(2·f)"),
    "weighted_bce": Case("proper", "σ(f − 0.693147)"),
    "weighted_cross_entropy": Case("proper", "softmax(f + (0, -0.6931, -1.099, -1.386))"),
    "focal": Case("calibrated"),
    "label_smoothing": Case("calibrated"),
    "hinge": Case("no link"),
    "mae_on_sigmoid": Case("no link"),
    "multi_margin": Case("no link"),
}  # fmt: skip

Loss = Callable[[Tensor, Tensor], Tensor]


def tukey(f: Tensor, y: Tensor) -> Tensor:
    r = ((f - y) / 4).clamp(-1, 1)
    return 1 - (1 - r**2) ** 3


def softplus_poisson(f: Tensor, y: Tensor) -> Tensor:
    return F.softplus(f) - y * torch.log(F.softplus(f))


def inverse_gaussian(f: Tensor, y: Tensor) -> Tensor:
    return y * torch.exp(-2 * f) / 2 - torch.exp(-f)


def stirling(y: float) -> float:
    return y * math.log(y) - y + 0.5 * math.log(2 * math.pi * y) if y > 1 else 0.0


def cauchy(power: float) -> Loss:
    return lambda f, y: power * torch.log1p((f - y) ** 2)


def bce(f: Tensor, y: Tensor) -> Tensor:
    return F.softplus(f) - y * f


def ce(f: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(f, y, reduction="none")


def double_nb(f: Tensor, y: Tensor) -> Tensor:
    size = torch.exp(f)
    ways = torch.lgamma(y + size) - torch.lgamma(size) - torch.lgamma(y + 1)
    return 2 * ((size + y) * math.log(2) - ways)


def zero_inflated(f: Tensor, y: Tensor) -> Tensor:
    nll = torch.exp(f) - y * f + torch.lgamma(y + 1)
    none = -torch.log(0.3 + 0.7 * torch.exp(-torch.exp(f)))
    return torch.where(y == 0, none, nll - math.log(0.7)) + torch.relu(f.abs() - 6)


def nb(theta: float, factor: float = 1.0) -> Loss:
    return lambda f, y: factor * losses_by_hand.negative_binomial_loss(f, y, theta)


# Losses from outside the catalogue: (function or module, targets, what it is).
OUTSIDE: dict[str, tuple[object, str, Case]] = {
    "3.7 × BCE": (lambda f, y: 3.7 * F.binary_cross_entropy_with_logits(f, y, reduction="none"), "binary",
                  Case("scaled likelihood", "σ(f)", 3.7, lambda _: 1.0)),
    "BCE / log 2 (bits)": (lambda f, y: F.binary_cross_entropy_with_logits(f, y, reduction="none") / math.log(2), "binary",
                           Case("scaled likelihood", "σ(f)", 1 / math.log(2), lambda _: 1.0)),
    "BCE of −f": (lambda f, y: F.binary_cross_entropy_with_logits(-f, y, reduction="none"), "binary", likelihood("σ(−f)")),
    "BCE + y": (lambda f, y: F.binary_cross_entropy_with_logits(f, y, reduction="none") + y, "binary",
                likelihood("σ(f)", lambda y: math.exp(y))),
    "BCE of f/2 + 1": (lambda f, y: F.binary_cross_entropy_with_logits(f / 2 + 1, y, reduction="none"), "binary",
                       likelihood("σ(0.5·f + 1)")),
    "complementary log-log": (lambda f, y: torch.exp(f) * (1 - y) - y * torch.log(-torch.expm1(-torch.exp(f))), "binary",
                              likelihood("1 − exp(−exp(f))")),
    "BCEWithLogitsLoss": (torch.nn.BCEWithLogitsLoss(), "binary", likelihood("σ(f)")),
    "scalar BCE": (lambda f, y: F.binary_cross_entropy_with_logits(f, y), "binary", likelihood("σ(f)")),
    "summed BCE": (torch.nn.BCEWithLogitsLoss(reduction="sum"), "binary", likelihood("σ(f)")),
    "CrossEntropyLoss, 10 classes": (torch.nn.CrossEntropyLoss(), "classes(10)", likelihood("softmax(f)")),
    "CrossEntropyLoss with class weights": (torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])), "classes(3)",
                                            Case("proper", "softmax(f + (0, -0.6931, -1.099))")),
    "½ Poisson": (lambda f, y: 0.5 * (torch.exp(f) - y * f), "counts",
                  Case("scaled likelihood", "exp(f)", 0.5, lambda y: 1 / math.gamma(y + 1))),
    "Poisson with Stirling": (torch.nn.PoissonNLLLoss(full=True, reduction="none"), "counts",
                              likelihood("exp(f)", lambda y: math.exp(stirling(y)) / math.gamma(y + 1))),
    "Poisson, softplus link": (softplus_poisson, "counts", likelihood(None, lambda y: 1 / math.gamma(y + 1))),
    "3.7 × negative binomial, θ = 2.5": (
        nb(2.5, 3.7), "counts", Case("scaled likelihood", "exp(f)", 3.7, lambda y: math.exp(
            log_gamma(y + 2.5) - log_gamma(2.5) - log_gamma(y + 1)) * 2.5**2.5)),
    "MSE on counts": (torch.nn.MSELoss(), "counts", Case("proper", "f")),
    "MSE on labels": (torch.nn.MSELoss(), "binary", Case("proper", "f")),
    "MSE on positive": (torch.nn.MSELoss(), "positive", Case("proper", "f")),
    "L1 on counts": (torch.nn.L1Loss(), "counts", Case("calibrated", "f")),
    "BCE on fractions": (torch.nn.BCEWithLogitsLoss(), "unit", Case("proper", "σ(f)")),
    "Poisson on reals": (lambda f, y: torch.exp(f) - y * f, "real", Case("proper", "exp(f)")),
    "MSE": (torch.nn.MSELoss(), "real", family("f", SQRT_PI)),
    "½ MSE": (lambda f, y: 0.5 * (f - y) ** 2, "real", family("f", SQRT_2PI)),
    "pinball at 0.9": (lambda f, y: losses_by_hand.pinball(f, y, 0.9), "real", family("f", 1 / 0.09)),
    "Cauchy": (cauchy(1.0), "real", family("f", math.pi)),
    "gamma, shape 2, constant dropped": (lambda f, y: 2 * (f + y * torch.exp(-f)), "positive",
                                         Case("likelihood family", "exp(f)", 1.0, lambda y: 4 * y)),
    "lognormal": (lambda f, y: (f - torch.log(y)) ** 2, "positive",
                  Case("likelihood family", "exp(f)", 1.0, lambda y: 1 / (y * SQRT_PI))),
    "inverse Gaussian": (inverse_gaussian, "positive", Case(
        "likelihood family", "exp(f)", 1.0, lambda y: math.exp(-1 / (2 * y)) / math.sqrt(2 * math.pi * y**3))),
    "Tukey's biweight": (tukey, "real", Case("unnormalisable")),
    "½ log(1 + r²)": (cauchy(0.5), "real", Case("unnormalisable")),
    "unhinged": (lambda f, y: 1 - f * (2 * y - 1), "binary", Case("no link")),
    "perceptron": (lambda f, y: torch.relu(-f * (2 * y - 1)), "binary", Case("no link")),
    "BCE maximised": (lambda f, y: -F.binary_cross_entropy_with_logits(f, y, reduction="none"), "binary", Case("no link")),
    "smoothed BCE": (lambda f, y: F.binary_cross_entropy_with_logits(f, 0.9 * y + 0.05, reduction="none"), "binary",
                     Case("calibrated")),
    "RMSE": (lambda f, y: torch.sqrt(((f - y) ** 2).mean()), "real", Case("batch-coupled")),
    "broadcast MSE": (lambda f, y: ((f[:, None] - y) ** 2).mean(), "real", Case("batch-coupled")),
    "MSE + variance of the outputs": (lambda f, y: F.mse_loss(f, y) + 0.1 * f.var(), "real", Case("batch-coupled")),
    "weighted mean": (lambda f, y: F.cross_entropy(f, y, weight=torch.tensor([1.0, 2.0, 3.0], dtype=f.dtype)), "classes(3)",
                      Case("batch-coupled")),
    # Found by trying to break it: temperatures, offsets, many classes, clips, refusals of floating point.
    "softmax of f/0.07": (lambda f, y: ce(f / 0.07, y), "classes(10)", likelihood("softmax(14.2857·f)")),
    "BCE of f − 18": (lambda f, y: bce(f - 18, y), "binary", likelihood("σ(f − 18)")),
    "BCE of f/0.01": (lambda f, y: bce(f / 0.01, y), "binary", likelihood("σ(100·f)")),
    "BCE of σ clipped at 0.05": (lambda f, y: F.binary_cross_entropy(torch.sigmoid(f).clamp(0.05, 0.95), y, reduction="none"),
                                 "binary", likelihood("σ(f)")),
    "ordinal, one output": (lambda f, y: ce(f[:, [0, 1, 1]], y), "classes(3)", likelihood(None)),
    "BCE, doubled beyond 5": (lambda f, y: bce(f, y) * torch.where(f.abs() < 5, 1.0, 2.0), "binary", likelihood("σ(f)")),
    "BCE − 1000 y": (lambda f, y: bce(f, y) - 1000 * y, "binary", likelihood("σ(f)", lambda y: math.exp(-1000 * y))),
    "soft margin that writes into its target": (
        lambda f, y: F.soft_margin_loss(f, y.mul_(2).sub_(1), reduction="none"), "binary", likelihood("σ(f)")),
    "½ MSE less 800": (lambda f, y: 0.5 * (y - f) ** 2 - 800, "real",
                       Case("likelihood family", "f", 1.0, lambda _: math.exp(-800) / SQRT_2PI)),
    "L1 / 1e6": (lambda f, y: (f - y).abs() / 1e6, "real", family("f", 2e6)),
    "½ MSE of a clamped output": (lambda f, y: 0.5 * (y - f.clamp(-5, 5)) ** 2, "real", family("f", SQRT_2PI)),
    "gamma of a clamped output": (lambda f, y: f.clamp(max=5.0) + y * torch.exp(-f), "positive", likelihood("exp(f)")),
    "Poisson of a clamped output": (lambda f, y: torch.exp(f.clamp(max=5.0)) - y * f, "counts",
                                    likelihood("exp(f)", lambda y: 1 / math.gamma(y + 1))),
    "normal, exp link": (lambda f, y: torch.exp(2 * f) / 2 - y * torch.exp(f), "real", Case(
        "likelihood family", "exp(f)", 1.0, lambda y: math.exp(-y * y / 2) / SQRT_2PI)),
    "logit-normal": (lambda f, y: 0.5 * (torch.logit(y) - f) ** 2, "unit", Case(
        "likelihood family", "σ(f)", 1.0, lambda y: 1 / (y * (1 - y) * SQRT_2PI))),
    "2 × negative binomial of size e^f": (double_nb, "counts", Case("scaled likelihood", None, 2.0, lambda _: 1.0)),
    "squared error of exp(−f) on counts": (lambda f, y: (y - torch.exp(-f)) ** 2, "counts", Case("proper", "exp(−f)")),
    "BCE with a ledge": (lambda f, y: bce(f, y) - 2 * (bce(f.clamp(1.8, 2.2), y) - bce(torch.full_like(f, 1.8), y)), "binary",
                         Case("no link")),
    "hardest 64": (lambda f, y: bce(f, y).topk(min(64, len(f))).values.mean(), "binary", Case("batch-coupled")),
    "sum over at least 64": (lambda f, y: bce(f, y).sum() / max(len(f), 64), "binary", Case("batch-coupled")),
    "zero-inflated Poisson up to 6": (zero_inflated, "counts", likelihood("exp(f)")),
    "MSE far from 0 on counts": (lambda f, y: (y - (100 + f)) ** 2 / 200, "counts", Case("proper", "f + 100")),
    "MSE in the middle of fractions": (lambda f, y: (y - (0.5 + 0.02 * f)) ** 2 / 2e-4, "unit",
                                       Case("proper", "0.02·f + 0.5")),
    "Brier less a ramp": (lambda f, y: (y - torch.sigmoid(f)) ** 2 - 2 * torch.relu(f.abs() - 3), "binary", Case("no link")),
    "doubled in batches beyond 64": (lambda f, y: bce(f, y) * (2 if len(f) > 64 else 1), "binary", Case("batch-coupled")),
}  # fmt: skip
