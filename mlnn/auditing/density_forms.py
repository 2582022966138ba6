"""Densities of two and three parameters by their formulas, so that one that a loss implies can be told by name."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mlnn.targets import COUNTS, HALF_LINE, LINE, UNIT_INTERVAL

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
Alias = tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
"""A name of a parameter, how it is had from the parameter of the formula, and how that is had from it."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a formula: the names it goes by, the `line` that it is looked for on ("real", "positive", "unit"), and what
    a fit of it `starts` at: the "place" of the bulk of the density, its "width", or nothing known."""

    line: str
    aliases: tuple[Alias, ...]
    starts: str = ""


@dataclass(frozen=True)
class Form:
    """A density: `nll` of (y, *parameters), nats, with nothing dropped."""

    name: str
    support: str
    parameters: tuple[Parameter, ...]
    nll: Callable[..., Tensor]


def _itself(name: str, line: str = "positive", starts: str = "") -> Parameter:
    return Parameter(line, ((name, lambda p: p, lambda p: p),), starts)


LOCATION, SCALE = _itself("", "real", "place"), _itself("scale", starts="width")
MEAN, PLACE_SCALE = _itself("mean", starts="place"), _itself("scale", starts="place")
WIDTH = Parameter("positive", (
    ("standard deviation", lambda p: p, lambda p: p),
    ("variance", torch.square, torch.sqrt),
    ("precision", lambda p: p**-2, lambda p: p**-0.5),
), "width")  # fmt: skip
SHAPE = _itself("shape")
THETA = Parameter("positive", (("θ", lambda p: p, lambda p: p), ("1/θ", torch.reciprocal, torch.reciprocal)))
EXTRA = _itself("share of extra zeros", "unit")
ZERO = _itself("probability of 0", "unit")


def normal(y: Tensor, loc: Tensor, sd: Tensor) -> Tensor:
    """Gauss (1809)."""
    return 0.5 * ((y - loc) / sd) ** 2 + sd.log() + HALF_LOG_TWO_PI


def laplace(y: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    return (y - loc).abs() / scale + (2 * scale).log()


def logistic(y: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    z = (y - loc) / scale
    return z + 2 * softplus(-z, threshold=500) + scale.log()


def gumbel(y: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    z = (y - loc) / scale
    return z + torch.exp(-z) + scale.log()


def gumbel_of_least(y: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    return gumbel(-y, -loc, scale)


def student(y: Tensor, loc: Tensor, scale: Tensor, df: Tensor) -> Tensor:
    ways = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * (math.pi * df).log()
    return scale.log() - ways + (df + 1) / 2 * torch.log1p(((y - loc) / scale) ** 2 / df)


def cauchy(y: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    return (math.pi * scale).log() + torch.log1p(((y - loc) / scale) ** 2)


def lognormal(y: Tensor, loc: Tensor, sd: Tensor) -> Tensor:
    return normal(y.log(), loc, sd) + y.log()


def gamma(y: Tensor, mean: Tensor, shape: Tensor) -> Tensor:
    return torch.lgamma(shape) - shape * (shape / mean).log() - (shape - 1) * y.log() + shape * y / mean


def weibull(y: Tensor, scale: Tensor, shape: Tensor) -> Tensor:
    z = shape * (y / scale).log()
    return y.log() - shape.log() - z + z.exp()


def log_logistic(y: Tensor, scale: Tensor, shape: Tensor) -> Tensor:
    return logistic(y.log(), scale.log(), 1 / shape) + y.log()


def inverse_gaussian(y: Tensor, mean: Tensor, shape: Tensor) -> Tensor:
    """Shape λ: variance mean³/λ. Tweedie (1957)."""
    return shape * (y - mean) ** 2 / (2 * mean**2 * y) + 0.5 * (3 * y.log() - shape.log()) + HALF_LOG_TWO_PI


def beta(y: Tensor, mean: Tensor, precision: Tensor) -> Tensor:
    """Ferrari & Cribari-Neto (2004)."""
    a, b = mean * precision, (1 - mean) * precision
    ways = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(precision)
    return ways - (a - 1) * y.log() - (b - 1) * torch.log1p(-y)


def beta_of_shapes(y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b) - (a - 1) * y.log() - (b - 1) * torch.log1p(-y)


def kumaraswamy(y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return -(a.log() + b.log() + (a - 1) * y.log() + (b - 1) * torch.log1p(-(y**a)))


def logit_normal(y: Tensor, loc: Tensor, sd: Tensor) -> Tensor:
    return normal(y.logit(), loc, sd) + y.log() + torch.log1p(-y)


def poisson(y: Tensor, mean: Tensor) -> Tensor:
    return mean - y * mean.log() + torch.lgamma(y + 1)


def negative_binomial(y: Tensor, mean: Tensor, theta: Tensor) -> Tensor:
    ways = torch.lgamma(y + theta) - torch.lgamma(theta) - torch.lgamma(y + 1)
    return theta * torch.log1p(mean / theta) + y * torch.log1p(theta / mean) - ways


def negative_binomial_by_odds(y: Tensor, theta: Tensor, success: Tensor) -> Tensor:
    """Successes, each of probability `success`, before θ failures."""
    return negative_binomial(y, theta * success / (1 - success), theta)


def zero_inflated(y: Tensor, extra: Tensor, nll: Tensor, of_none: Tensor) -> Tensor:
    """Lambert (1992); `of_none`: the nll of 0."""
    none = -torch.log(extra + (1 - extra) * torch.exp(-of_none))
    return torch.where(y == 0, none, nll - torch.log1p(-extra))


def zero_inflated_poisson(y: Tensor, mean: Tensor, extra: Tensor) -> Tensor:
    return zero_inflated(y, extra, poisson(y, mean), mean)


def zero_inflated_negative_binomial(y: Tensor, mean: Tensor, theta: Tensor, extra: Tensor) -> Tensor:
    return zero_inflated(
        y, extra, negative_binomial(y, mean, theta), negative_binomial(torch.zeros_like(y), mean, theta)
    )


def hurdle_poisson(y: Tensor, rate: Tensor, none: Tensor) -> Tensor:
    """Mullahy (1986)."""
    some = poisson(y, rate) + torch.log(-torch.expm1(-rate))
    return torch.where(y == 0, -none.log(), some - torch.log1p(-none))


FORMS = (
    Form("normal", LINE, (LOCATION, WIDTH), normal),
    Form("Laplace", LINE, (LOCATION, SCALE), laplace),
    Form("logistic", LINE, (LOCATION, SCALE), logistic),
    Form("Gumbel", LINE, (LOCATION, SCALE), gumbel),
    Form("Gumbel, of least values", LINE, (LOCATION, SCALE), gumbel_of_least),
    Form("Cauchy", LINE, (LOCATION, SCALE), cauchy),
    Form("Student t", LINE, (LOCATION, SCALE, _itself("degrees of freedom")), student),
    Form("lognormal", HALF_LINE, (_itself("mean of log y", "real", "place"), WIDTH), lognormal),
    Form("gamma", HALF_LINE, (MEAN, SHAPE), gamma),
    Form("Weibull", HALF_LINE, (PLACE_SCALE, SHAPE), weibull),
    Form("log-logistic", HALF_LINE, (PLACE_SCALE, SHAPE), log_logistic),
    Form("inverse Gaussian", HALF_LINE, (MEAN, SHAPE), inverse_gaussian),
    Form("beta", UNIT_INTERVAL, (_itself("mean", "unit", "place"), _itself("precision")), beta),
    Form("Kumaraswamy", UNIT_INTERVAL, (_itself("first shape"), _itself("second shape")), kumaraswamy),
    Form("logit-normal", UNIT_INTERVAL, (_itself("mean of logit y", "real", "place"), WIDTH), logit_normal),
    Form("Poisson", COUNTS, (MEAN,), poisson),
    Form("negative binomial", COUNTS, (MEAN, THETA), negative_binomial),
    Form("zero-inflated Poisson", COUNTS, (MEAN, EXTRA), zero_inflated_poisson),
    Form("zero-inflated negative binomial", COUNTS, (MEAN, THETA, EXTRA), zero_inflated_negative_binomial),
    Form("hurdle Poisson", COUNTS, (_itself("rate", starts="place"), ZERO), hurdle_poisson),
)
"""The plainer first: a density that is two of them goes by the first."""
OTHER_PARAMETERS = (
    Form("gamma", HALF_LINE, (SHAPE, _itself("rate")), lambda y, shape, rate: gamma(y, shape / rate, shape)),
    Form("gamma", HALF_LINE, (SHAPE, PLACE_SCALE), lambda y, shape, scale: gamma(y, shape * scale, shape)),
    Form("beta", UNIT_INTERVAL, (_itself("first shape"), _itself("second shape")), beta_of_shapes),
    Form("negative binomial", COUNTS, (_itself("θ"), _itself("probability of a success", "unit")), negative_binomial_by_odds),
    Form("Weibull", HALF_LINE, (_itself("rate"), SHAPE), lambda y, rate, shape: weibull(y, 1 / rate, shape)),
    Form("inverse Gaussian", HALF_LINE, (MEAN, _itself("dispersion")),
         lambda y, mean, dispersion: inverse_gaussian(y, mean, 1 / dispersion)),
)  # fmt: skip
"""The same densities by other parameters, tried where those of FORMS are no links of single outputs."""


def of_mixture(y: Tensor, weights: Tensor, means: Tensor, log_widths: Tensor) -> Tensor:
    """k normals: logits of their weights, means, log standard deviations, (…, k) each. Bishop (1994)."""
    parts = 0.5 * ((y[..., None] - means) * torch.exp(-log_widths)) ** 2 + log_widths + HALF_LOG_TWO_PI
    return -torch.logsumexp(torch.log_softmax(weights, -1) - parts, -1)


def log_softplus(x: Tensor) -> Tensor:
    """log log(1 + e^x)."""
    return torch.where(x < -30, x, softplus(x.clamp_min(-30)).log())


WIDTH_LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "standard deviations exp({})": lambda x: x,
    "variances exp({})": lambda x: x / 2,
    "standard deviations softplus({})": log_softplus,
    "variances softplus({})": lambda x: log_softplus(x) / 2,
}
"""Of a mixture: the log standard deviation of a raw output."""
