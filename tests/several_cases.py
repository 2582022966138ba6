"""Losses of several raw outputs with a known answer, as people write them: by hand, from torch, and with the faults they have."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, distributions
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def tiny(x: Tensor) -> Tensor:
    """softplus, kept above 0."""
    return F.softplus(x) + 1e-12


def normal(o: Tensor, y: Tensor) -> Tensor:
    return 0.5 * ((y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]) + o[:, 1])


def log_sigma(o: Tensor, y: Tensor) -> Tensor:
    return 0.5 * ((y - o[:, 0]) * torch.exp(-o[:, 1])) ** 2 + o[:, 1]


def softplus_sigma(o: Tensor, y: Tensor) -> Tensor:
    sd = F.softplus(o[:, 1])
    return 0.5 * ((y - o[:, 0]) / sd) ** 2 + sd.log()


def framework_normal(o: Tensor, y: Tensor) -> Tensor:
    return F.gaussian_nll_loss(o[:, 0], y, F.softplus(o[:, 1]), reduction="none")


def student(o: Tensor, y: Tensor) -> Tensor:
    loc, scale, df = o[:, 0], o[:, 1].exp(), o[:, 2].exp()
    return -distributions.StudentT(df, loc, scale).log_prob(y)


def student_by_hand(o: Tensor, y: Tensor) -> Tensor:
    """Without ½ log π, and with at least one degree of freedom."""
    df = 1 + F.softplus(o[:, 2])
    ways = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * df.log()
    return o[:, 1] - ways + (df + 1) / 2 * torch.log1p(((y - o[:, 0]) * torch.exp(-o[:, 1])) ** 2 / df)


def located(kind: type, scale: Callable[[Tensor], Tensor] = torch.exp) -> Loss:
    return lambda o, y: -kind(o[:, 0], scale(o[:, 1])).log_prob(y)


def logistic(o: Tensor, y: Tensor) -> Tensor:
    z = (y - o[:, 0]) * torch.exp(-o[:, 1])
    return o[:, 1] + z + 2 * F.softplus(-z)


def gumbel(o: Tensor, y: Tensor) -> Tensor:
    z = (y - o[:, 0]) * torch.exp(-o[:, 1])
    return o[:, 1] + z + torch.exp(-z)


def nb(o: Tensor, y: Tensor) -> Tensor:
    """Log mean, log dispersion θ."""
    theta = o[:, 1].exp()
    ways = torch.lgamma(y + theta) - torch.lgamma(theta) - torch.lgamma(y + 1)
    log_both = torch.logaddexp(o[:, 0], o[:, 1])
    return -ways - theta * (o[:, 1] - log_both) - y * (o[:, 0] - log_both)


def nb_mean(o: Tensor, y: Tensor) -> Tensor:
    """Softplus mean and α = 1/θ by softplus, as forecasting libraries have it."""
    mean, r = tiny(o[:, 0]), 1 / tiny(o[:, 1])
    ways = torch.lgamma(y + r) - torch.lgamma(r) - torch.lgamma(y + 1)
    return -(ways + r * (r.log() - (r + mean).log()) + y * (mean.log() - (r + mean).log()))


def nb_torch(o: Tensor, y: Tensor) -> Tensor:
    return -distributions.NegativeBinomial(o[:, 0].exp(), logits=o[:, 1]).log_prob(y)


def zip_(o: Tensor, y: Tensor) -> Tensor:
    """Log rate, logit of the share of extra zeros."""
    rate, log_one = o[:, 0].exp(), F.logsigmoid(-o[:, 1])
    none = torch.logaddexp(F.logsigmoid(o[:, 1]), log_one - rate)
    return -torch.where(y == 0, none, log_one - rate + y * o[:, 0] - torch.lgamma(y + 1))


def zinb(o: Tensor, y: Tensor) -> Tensor:
    log_one, at = F.logsigmoid(-o[:, 2]), nb(o[:, :2], y)
    return -torch.where(y == 0, torch.logaddexp(F.logsigmoid(o[:, 2]), log_one - at), log_one - at)


def log_expm1(rate: Tensor) -> Tensor:
    return torch.where(rate > 1, rate + torch.log(-torch.expm1(-rate)), torch.log(torch.expm1(rate.clamp_max(1.0))))


def hurdle(o: Tensor, y: Tensor) -> Tensor:
    """Logit of a zero, log rate of the others."""
    some = y * o[:, 1] - log_expm1(o[:, 1].exp()) - torch.lgamma(y + 1)
    return -torch.where(y == 0, F.logsigmoid(o[:, 0]), F.logsigmoid(-o[:, 0]) + some)


def generalised_poisson(o: Tensor, y: Tensor) -> Tensor:
    """Consul & Jain: θ(θ + λy)^(y−1) e^(−θ−λy) / y!, 0 < λ < 1."""
    theta, spread = o[:, 0].exp(), torch.sigmoid(o[:, 1])
    return -(o[:, 0] + (y - 1) * (theta + spread * y).log() - theta - spread * y - torch.lgamma(y + 1))


def weibull(o: Tensor, y: Tensor) -> Tensor:
    """Log scale, log shape."""
    shape = o[:, 1].exp()
    z = shape * (y.log() - o[:, 0])
    return -o[:, 1] + y.log() - z + z.exp()


def lognormal(o: Tensor, y: Tensor) -> Tensor:
    return log_sigma(o, y.log()) + y.log()


def log_logistic(o: Tensor, y: Tensor) -> Tensor:
    z = o[:, 1].exp() * (y.log() - o[:, 0])
    return -o[:, 1] + y.log() - z + 2 * F.softplus(z)


def gamma(o: Tensor, y: Tensor) -> Tensor:
    """Log mean, log shape."""
    shape = o[:, 1].exp()
    return torch.lgamma(shape) - shape * (o[:, 1] - o[:, 0]) - (shape - 1) * y.log() + shape * y * torch.exp(-o[:, 0])


def inverse_gaussian(o: Tensor, y: Tensor) -> Tensor:
    """Log mean, log λ."""
    mean = o[:, 0].exp()
    return o[:, 1].exp() * (y - mean) ** 2 / (2 * mean**2 * y) + 0.5 * (3 * y.log() - o[:, 1]) + HALF_LOG_TWO_PI


def beta(o: Tensor, y: Tensor) -> Tensor:
    """Logit of the mean, log precision φ."""
    precision = o[:, 1].exp()
    a, b = torch.sigmoid(o[:, 0]) * precision, torch.sigmoid(-o[:, 0]) * precision
    return (torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(precision)
            - (a - 1) * y.log() - (b - 1) * torch.log1p(-y))  # fmt: skip


def kumaraswamy(o: Tensor, y: Tensor) -> Tensor:
    a, b = o[:, 0].exp(), o[:, 1].exp()
    return -(o[:, 0] + o[:, 1] + (a - 1) * y.log() + (b - 1) * torch.log1p(-(y**a)))


def mixture(o: Tensor, y: Tensor) -> Tensor:
    """k weights, means, log widths."""
    weights, means, widths = o.chunk(3, 1)
    z = (y[:, None] - means) * torch.exp(-widths)
    return -torch.logsumexp(F.log_softmax(weights, 1) - 0.5 * z**2 - widths, 1)


def unnormalised_mixture(o: Tensor, y: Tensor) -> Tensor:
    weights, means, widths = o.chunk(3, 1)
    return -torch.logsumexp(weights - 0.5 * ((y[:, None] - means) * torch.exp(-widths)) ** 2 - widths, 1)


def mixture_torch(o: Tensor, y: Tensor) -> Tensor:
    weights, means, widths = o.chunk(3, 1)
    parts = distributions.Normal(means, F.softplus(widths) + 1e-3)
    return -distributions.MixtureSameFamily(distributions.Categorical(logits=weights), parts).log_prob(y)


def poisson_mixture(o: Tensor, y: Tensor) -> Tensor:
    parts = distributions.Poisson(o[:, :2].exp())
    weights = distributions.Categorical(logits=torch.stack([o[:, 2], torch.zeros_like(o[:, 2])], 1))
    return -distributions.MixtureSameFamily(weights, parts).log_prob(y)


def lognormal_torch(o: Tensor, y: Tensor) -> Tensor:
    base = distributions.Normal(o[:, 0], o[:, 1].exp())
    return -distributions.TransformedDistribution(base, [distributions.ExpTransform()]).log_prob(y)


def evidence(o: Tensor, y: Tensor) -> Tensor:
    """Normal-inverse-gamma: γ, ν, α, β (Amini et al. 2020)."""
    gamma_, v, a, b = o[:, 0], F.softplus(o[:, 1]), 1 + F.softplus(o[:, 2]), F.softplus(o[:, 3])
    omega = 2 * b * (1 + v)
    return (0.5 * torch.log(math.pi / v) - a * omega.log() + (a + 0.5) * torch.log((y - gamma_) ** 2 * v + omega)
            + torch.lgamma(a) - torch.lgamma(a + 0.5))  # fmt: skip


def evidence_regularised(o: Tensor, y: Tensor) -> Tensor:
    v, a = F.softplus(o[:, 1]), 1 + F.softplus(o[:, 2])
    return evidence(o, y) + 0.1 * (y - o[:, 0]).abs() * (2 * v + a)


def pinballs(*levels: float) -> Loss:
    def loss(o: Tensor, y: Tensor) -> Tensor:
        parts = [torch.maximum(q * (y - o[:, k]), (q - 1) * (y - o[:, k])) for k, q in enumerate(levels)]
        return torch.stack(parts).sum(0)

    return loss


def normal_crps(o: Tensor, y: Tensor) -> Tensor:
    z = (y - o[:, 0]) * torch.exp(-o[:, 1])
    bell = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return o[:, 1].exp() * (z * torch.erf(z / math.sqrt(2)) + 2 * bell - 1 / math.sqrt(math.pi))


def tweedie(o: Tensor, y: Tensor) -> Tensor:
    power = 1.05 + 0.9 * torch.sigmoid(o[:, 1])
    return -y * torch.exp((1 - power) * o[:, 0]) / (1 - power) + torch.exp((2 - power) * o[:, 0]) / (2 - power)


def swapped(loss: Loss) -> Loss:
    return lambda o, y: loss(o.flip(1), y)


def times(factor: float, loss: Loss) -> Loss:
    return lambda o, y: factor * loss(o, y)


def plus(loss: Loss, more: Loss) -> Loss:
    return lambda o, y: loss(o, y) + more(o, y)


def factorial(_o: Tensor, y: Tensor) -> Tensor:
    return torch.lgamma(y + 1)


def log_y(_o: Tensor, y: Tensor) -> Tensor:
    return y.log()


def laplace_crps(o: Tensor, y: Tensor) -> Tensor:
    scale = o[:, 1].exp()
    z = (y - o[:, 0]).abs() / scale
    return scale * (z + torch.exp(-z) - 0.75)


def skew_normal(o: Tensor, y: Tensor) -> Tensor:
    z = (y - o[:, 0]) * torch.exp(-o[:, 1])
    return log_sigma(o, y) + HALF_LOG_TWO_PI - math.log(2) - torch.special.log_ndtr(o[:, 2] * z)


def generalised_gamma(o: Tensor, y: Tensor) -> Tensor:
    """Stacy (1962)."""
    a, d, p = o.exp().unbind(1)
    return -(p.log() - d * a.log() - torch.lgamma(d / p) + (d - 1) * y.log() - (y / a) ** p)


def narrow_in_wide(o: Tensor, y: Tensor) -> Tensor:
    """A share of a normal of width 0.001, the rest of width 1."""
    shares = F.log_softmax(torch.stack([o[:, 0], torch.zeros_like(o[:, 0])], 1), 1)
    narrow, wide = 0.5 * ((y - o[:, 1]) / 1e-3) ** 2 + math.log(1e-3), 0.5 * (y - o[:, 2]) ** 2
    return -torch.logsumexp(shares - torch.stack([narrow, wide], 1), 1)
