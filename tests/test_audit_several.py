"""Densities of several raw outputs: certified with their names and links, refuted with a witness, or undecided with a reason."""

import math
from functools import cache

import pytest
import torch
from several_cases import (
    Loss,
    beta,
    evidence,
    evidence_regularised,
    factorial,
    framework_normal,
    gamma,
    generalised_gamma,
    generalised_poisson,
    gumbel,
    hurdle,
    inverse_gaussian,
    kumaraswamy,
    laplace_crps,
    located,
    log_logistic,
    log_sigma,
    log_y,
    logistic,
    lognormal,
    lognormal_torch,
    mixture,
    mixture_torch,
    narrow_in_wide,
    nb,
    nb_mean,
    nb_torch,
    normal,
    normal_crps,
    pinballs,
    plus,
    poisson_mixture,
    skew_normal,
    softplus_sigma,
    student,
    student_by_hand,
    swapped,
    times,
    tweedie,
    unnormalised_mixture,
    weibull,
    zinb,
    zip_,
)  # fmt: skip
from torch import Tensor, distributions
from torch.nn import functional as F

import mlnn
from mlnn.auditing import Certificate
from mlnn.errors import ConfigError

UNNAMED = "an unnamed density with {} raw outputs"
LEARNED = "normal, variance learned"


def less(loss: Loss, dropped: Loss) -> Loss:
    return lambda o, y: loss(o, y) - dropped(o, y)


def by_turns(loss: Loss) -> Loss:
    """Two parts of a mixture one after the other: weight, mean, width, weight, mean, width."""
    return lambda o, y: loss(o.unflatten(1, (2, 3)).mT.flatten(1), y)


# loss, targets, family, link, τ, h in words
LIKELY = {
    "normal": (normal, "real(raw=2)", LEARNED, "f₁, variance exp(f₂)", 1, None),
    "normal, log σ": (log_sigma, "real(raw=2)", LEARNED, "f₁, standard deviation exp(f₂)", 1, None),
    "normal, softplus": (softplus_sigma, "real(raw=2)", LEARNED, "f₁, standard deviation softplus(f₂)", 1, None),
    "normal, swapped": (swapped(log_sigma), "real(raw=2)", LEARNED, "f₂, standard deviation exp(f₁)", 1, None),
    "normal, σ by a sigmoid": (lambda o, y: -distributions.Normal(o[:, 0], torch.sigmoid(o[:, 1])).log_prob(y), "real(raw=2)",
                               LEARNED, "f₁, standard deviation σ(f₂)", 1, "1"),
    "normal, σ above 0.001": (lambda o, y: -distributions.Normal(o[:, 0], F.softplus(o[:, 1]) + 1e-3).log_prob(y), "real(raw=2)",
                              LEARNED, "f₁, standard deviation 0.001 + softplus(f₂)", 1, "1"),
    "normal, precision": (lambda o, y: 0.5 * ((y - o[:, 0]) ** 2 * o[:, 1].exp() - o[:, 1]), "real(raw=2)", LEARNED,
                          "f₁, variance exp(−f₂)", 1, None),
    "the framework's normal": (framework_normal, "real(raw=2)", LEARNED, "f₁, variance softplus(f₂)", 1, None),
    "3.7 × normal": (times(3.7, normal), "real(raw=2)", LEARNED, "f₁, variance exp(f₂)", 3.7, None),
    "normal in bits": (times(1 / math.log(2), log_sigma), "real(raw=2)", LEARNED, "f₁, standard deviation exp(f₂)",
                       1 / math.log(2), None),
    # Twice the NLL of the normal of twice that variance: a slip that changes what σ means, and no more.
    "σ for σ²": (lambda o, y: 0.5 * (y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]) + o[:, 1], "real(raw=2)", LEARNED,
                 "f₁, variance exp(f₂ + 0.693147)", 2, None),
    "Student t": (student, "real(raw=3)", "Student t", "f₁, scale exp(f₂), degrees of freedom exp(f₃)", 1, "1"),
    "Student t, by hand": (student_by_hand, "real(raw=3)", "Student t",
                           "f₁, scale exp(f₂), degrees of freedom 1 + softplus(f₃)", 1, None),
    "Student t, 4 degrees of freedom": (lambda o, y: -distributions.StudentT(4.0, o[:, 0], o[:, 1].exp()).log_prob(y),
                                        "real(raw=2)", "Student t", "f₁, scale exp(f₂), degrees of freedom 4", 1, "1"),
    "Laplace": (located(distributions.Laplace), "real(raw=2)", "Laplace", "f₁, scale exp(f₂)", 1, "1"),
    "Laplace, softplus": (located(distributions.Laplace, F.softplus), "real(raw=2)", "Laplace", "f₁, scale softplus(f₂)", 1, "1"),
    "Laplace less log 2": (lambda o, y: (y - o[:, 0]).abs() * torch.exp(-o[:, 1]) + o[:, 1], "real(raw=2)", "Laplace",
                           "f₁, scale exp(f₂)", 1, "1/2"),
    "logistic": (logistic, "real(raw=2)", "logistic", "f₁, scale exp(f₂)", 1, "1"),
    "Gumbel": (gumbel, "real(raw=2)", "Gumbel", "f₁, scale exp(f₂)", 1, "1"),
    "Gumbel of least values": (lambda o, y: gumbel(o * torch.tensor([-1.0, 1.0]), -y), "real(raw=2)", "Gumbel, of least values",
                               "f₁, scale exp(f₂)", 1, "1"),
    "Cauchy": (located(distributions.Cauchy), "real(raw=2)", "Cauchy", "f₁, scale exp(f₂)", 1, "1"),
    "evidence": (evidence, "real(raw=4)", "Student t", None, 1, "1"),
    "mixture of 2": (mixture, "real(raw=6)", "mixture of 2 normals",
                     "weights softmax(f₁, f₂), means f₃, f₄, standard deviations exp(f₅, f₆)", 1, None),
    "mixture of 2, by turns": (by_turns(mixture), "real(raw=6)", "mixture of 2 normals",
                               "weights softmax(f₁, f₄), means f₂, f₅, standard deviations exp(f₃, f₆)", 1, None),
    "mixture of 3": (mixture, "real(raw=9)", "mixture of 3 normals",
                     "weights softmax(f₁, f₂, f₃), means f₄, f₅, f₆, standard deviations exp(f₇, f₈, f₉)", 1, None),
    "mixture of torch's": (mixture_torch, "real(raw=6)", UNNAMED.format(6), None, 1, "1"),
    "negative binomial": (nb, "counts(raw=2)", "negative binomial", "mean exp(f₁), θ exp(f₂)", 1, "1"),
    "negative binomial, swapped": (swapped(nb), "counts(raw=2)", "negative binomial", "mean exp(f₂), θ exp(f₁)", 1, "1"),
    "negative binomial, α": (nb_mean, "counts(raw=2)", "negative binomial",
                             "mean softplus(f₁), 1/θ softplus(f₂)", 1, "1"),
    "torch's negative binomial": (nb_torch, "counts(raw=2)", "negative binomial",
                                  "θ exp(f₁), probability of a success σ(f₂)", 1, "1"),
    "3.7 × negative binomial": (times(3.7, nb), "counts(raw=2)", "negative binomial", "mean exp(f₁), θ exp(f₂)", 3.7, "1"),
    "negative binomial less log y!": (less(nb, factorial), "counts(raw=2)", "negative binomial", "mean exp(f₁), θ exp(f₂)",
                                      1, "1/y!"),
    "zero-inflated Poisson": (zip_, "counts(raw=2)", "zero-inflated Poisson", "mean exp(f₁), share of extra zeros σ(f₂)", 1, "1"),
    "2 × (zero-inflated Poisson less log y!)": (times(2.0, less(zip_, factorial)), "counts(raw=2)", "zero-inflated Poisson",
                                                "mean exp(f₁), share of extra zeros σ(f₂)", 2, "1/y!"),
    "zero-inflated negative binomial": (zinb, "counts(raw=3)", "zero-inflated negative binomial",
                                        "mean exp(f₁), θ exp(f₂), share of extra zeros σ(f₃)", 1, "1"),
    "hurdle": (hurdle, "counts(raw=2)", "hurdle Poisson", "rate exp(f₂), probability of 0 σ(f₁)", 1, "1"),
    "Poisson of a difference": (lambda o, y: F.poisson_nll_loss(o[:, 0] - o[:, 1], y, reduction="none"), "counts(raw=2)",
                                "Poisson", None, 1, "1/y!"),
    "generalised Poisson": (generalised_poisson, "counts(raw=2)", UNNAMED.format(2), None, 1, "1"),
    "mixture of Poissons": (poisson_mixture, "counts(raw=3)", UNNAMED.format(3), None, 1, "1"),
    "Weibull": (weibull, "positive(raw=2)", "Weibull", "scale exp(f₁), shape exp(f₂)", 1, "1"),
    "Weibull, softplus": (lambda o, y: -distributions.Weibull(F.softplus(o[:, 0]), F.softplus(o[:, 1])).log_prob(y),
                          "positive(raw=2)", "Weibull", "scale softplus(f₁), shape softplus(f₂)", 1, "1"),
    "3 × (Weibull less log y)": (times(3.0, less(weibull, log_y)), "positive(raw=2)", "Weibull",
                                 "scale exp(f₁), shape exp(f₂)", 3, "1/y"),
    "lognormal": (lognormal, "positive(raw=2)", "lognormal", "mean of log y f₁, standard deviation exp(f₂)", 1, None),
    "lognormal without its Jacobian": (less(lognormal, log_y), "positive(raw=2)", "lognormal",
                                       "mean of log y f₁, standard deviation exp(f₂)", 1, "1/y"),
    "½ lognormal": (times(0.5, lognormal), "positive(raw=2)", "lognormal", "mean of log y f₁, standard deviation exp(f₂)",
                    0.5, None),
    "torch's lognormal": (lognormal_torch, "positive(raw=2)", "lognormal", "mean of log y f₁, standard deviation exp(f₂)", 1, "1"),
    "log-logistic": (log_logistic, "positive(raw=2)", "log-logistic", "scale exp(f₁), shape exp(f₂)", 1, "1"),
    "gamma": (gamma, "positive(raw=2)", "gamma", "mean exp(f₁), shape exp(f₂)", 1, "1"),
    "torch's gamma": (lambda o, y: -distributions.Gamma(o[:, 0].exp(), o[:, 1].exp()).log_prob(y), "positive(raw=2)", "gamma",
                      "shape exp(f₁), rate exp(f₂)", 1, "1"),
    "π × gamma": (times(math.pi, gamma), "positive(raw=2)", "gamma", "mean exp(f₁), shape exp(f₂)", math.pi, "1"),
    "inverse Gaussian": (inverse_gaussian, "positive(raw=2)", "inverse Gaussian", "mean exp(f₁), shape exp(f₂)", 1, "1"),
    "beta": (beta, "unit(raw=2)", "beta", "mean σ(f₁), precision exp(f₂)", 1, "1"),
    "torch's beta": (lambda o, y: -distributions.Beta(o[:, 0].exp(), o[:, 1].exp()).log_prob(y), "unit(raw=2)", "beta",
                     "first shape exp(f₁), second shape exp(f₂)", 1, "1"),
    "2 × beta": (times(2.0, beta), "unit(raw=2)", "beta", "mean σ(f₁), precision exp(f₂)", 2, "1"),
    "beta as a density of logit y": (lambda o, y: beta(o, y) - y.log() - torch.log1p(-y), "unit(raw=2)", "beta",
                                     "mean σ(f₁), precision exp(f₂)", 1, "1/y · 1/(1−y)"),
    "logit-normal": (lambda o, y: log_sigma(o, y.logit()) + y.log() + torch.log1p(-y), "unit(raw=2)", "logit-normal",
                     "mean of logit y f₁, standard deviation exp(f₂)", 1, None),
    "1000 × normal": (times(1000.0, normal), "real(raw=2)", LEARNED, "f₁, variance exp(f₂)", 1000, None),
    "negative binomial in thousands": (times(1e-3, nb), "counts(raw=2)", "negative binomial", "mean exp(f₁), θ exp(f₂)", 1e-3, "1"),
    "a narrow peak in a wide one": (narrow_in_wide, "real(raw=3)", UNNAMED.format(3), None, 1, None),
    "skew normal": (skew_normal, "real(raw=3)", UNNAMED.format(3), None, 1, "1"),
    "generalised gamma": (generalised_gamma, "positive(raw=3)", UNNAMED.format(3), None, 1, "1"),
    "Lomax": (lambda o, y: o[:, 1] - o[:, 0] + (o[:, 0].exp() + 1) * torch.log1p(y * torch.exp(-o[:, 1])), "positive(raw=2)",
              UNNAMED.format(2), None, 1, "1"),
    # A slip of a factor in the exponent: twice the rate, and half a temperature.
    "Laplace with ½ log": (lambda o, y: (y - o[:, 0]).abs() * torch.exp(-o[:, 1]) + 0.5 * o[:, 1], "real(raw=2)", "Laplace",
                           "f₁, scale exp(f₂ − 0.693147)", 0.5, "1"),
    "Kumaraswamy": (kumaraswamy, "unit(raw=2)", "Kumaraswamy", "first shape exp(f₁), second shape exp(f₂)", 1, "1"),
}  # fmt: skip


@cache
def audited(name: str) -> Certificate:
    loss, targets, *_ = (LIKELY | REFUTED)[name]
    return mlnn.audit(loss, targets, name=name)


@pytest.mark.sampled(32)
@pytest.mark.parametrize("name", LIKELY)
def test_a_density_of_several_outputs_is_certified_with_its_name_and_links(name: str) -> None:
    _, targets, family, link, tau, measure = LIKELY[name]
    found = audited(name)
    assert found.kind == ("likelihood" if tau == 1 else "scaled likelihood"), found.sentence
    assert (found.targets, found.family, found.link) == (targets, family, link)
    assert found.scale == pytest.approx(tau, rel=1e-9)
    assert found.residual is not None
    assert found.residual <= 1e-8
    assert found.domain == "all" or found.domain[0] <= -1 <= 1 <= found.domain[1]
    if measure:
        assert found.measure == measure
    else:
        assert found.measure != "1"


def no_gamma(loss: Loss, of: Loss) -> Loss:
    """A loss that forgot the log Γ of an output's number."""
    return lambda o, y: loss(o, y) - torch.lgamma(of(o, y))


def second(o: Tensor, _y: Tensor) -> Tensor:
    return o[:, 1].exp()


def hurdle_untruncated(o: Tensor, y: Tensor) -> Tensor:
    some = y * o[:, 1] - o[:, 1].exp() - torch.lgamma(y + 1)
    return -torch.where(y == 0, F.logsigmoid(o[:, 0]), F.logsigmoid(-o[:, 0]) + some)


def inflated_too_often(o: Tensor, y: Tensor) -> Tensor:
    """The share of zeros added, the rest left as it was."""
    rate = o[:, 0].exp()
    none = torch.log(torch.sigmoid(o[:, 1]) + torch.exp(-rate))
    return -torch.where(y == 0, none, -rate + y * o[:, 0] - torch.lgamma(y + 1))


# loss, targets, kind, link
REFUTED = {
    "no log σ": (lambda o, y: 0.5 * (y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]), "real(raw=2)", "no link", None),
    "the variance in one term": (lambda o, y: 0.5 * ((y - o[:, 0]) ** 2 + o[:, 1]), "real(raw=2)", "no link", None),
    "wrong sign": (lambda o, y: 0.5 * ((y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]) - o[:, 1]), "real(raw=2)", "no link", None),
    "Laplace, no log scale": (lambda o, y: (y - o[:, 0]).abs() * torch.exp(-o[:, 1]), "real(raw=2)", "no link", None),
    "a prior on the width": (plus(normal, lambda o, _y: 0.01 * o[:, 1] ** 2), "real(raw=2)", "proper", "f₁"),
    "variance and twice its log": (lambda o, y: normal(o, y) + 0.1 * o[:, 1].exp(), "real(raw=2)", "proper", "f₁"),
    "CRPS of a normal": (normal_crps, "real(raw=2)", "calibrated", None),
    "two quantiles": (pinballs(0.1, 0.9), "real(raw=2)", "calibrated", None),
    "three quantiles": (pinballs(0.1, 0.5, 0.9), "real(raw=3)", "calibrated", None),
    "evidence, regularised": (evidence_regularised, "real(raw=4)", "no link", None),
    "weights of a mixture not normalised": (unnormalised_mixture, "real(raw=6)", "no link", None),
    "Student t, no log Γ": (no_gamma(student, lambda o, _y: o[:, 2].exp() / 2), "real(raw=3)", "no link", None),
    "negative binomial, no log Γ(θ)": (no_gamma(nb, second), "counts(raw=2)", "no link", None),
    "hurdle, not truncated": (hurdle_untruncated, "counts(raw=2)", "calibrated", None),
    "zeros added": (inflated_too_often, "counts(raw=2)", None, None),
    "gamma, no log Γ(shape)": (no_gamma(gamma, second), "positive(raw=2)", "no link", None),
    "Tweedie, its power an output": (tweedie, "positive(raw=2)", "proper", "exp(f₁)"),
    "Weibull, no log shape": (plus(weibull, lambda o, _y: o[:, 1]), "positive(raw=2)", None, None),
    "lognormal, no log σ": (less(lognormal, lambda o, _y: o[:, 1]), "positive(raw=2)", "no link", None),
    "CRPS of a Laplace": (laplace_crps, "real(raw=2)", "calibrated", None),
    "energy of two draws": (lambda o, y: (y[:, None] - o).abs().sum(1) - 0.5 * (o[:, 0] - o[:, 1]).abs(), "real(raw=2)",
                            "calibrated", None),
    "two means": (lambda o, y: ((y[:, None] - o) ** 2).sum(1), "real(raw=2)", "proper", "f₁"),
    "Conway-Maxwell-Poisson, not normalised": (lambda o, y: F.softplus(o[:, 1]) * torch.lgamma(y + 1) - y * o[:, 0],
                                               "counts(raw=2)", "no link", None),
    "normal on (0, ∞)": (normal, "positive(raw=2)", "proper", "f₁"),
    "cross-entropy of a difference, on fractions": (
        lambda o, y: F.binary_cross_entropy_with_logits(o[:, 0] - o[:, 1], y, reduction="none"), "unit(raw=2)", "calibrated", None),
    "beta, one log Γ forgotten": (no_gamma(beta, lambda o, _y: torch.sigmoid(o[:, 0]) * o[:, 1].exp()), "unit(raw=2)",
                                  "no link", None),
}  # fmt: skip


@pytest.mark.sampled(30)
@pytest.mark.parametrize("name", REFUTED)
def test_a_loss_that_is_near_one_is_refuted_with_a_witness(name: str) -> None:
    _, targets, kind, link = REFUTED[name]
    found = audited(name)
    assert (found.targets, found.is_likelihood, found.domain) == (targets, False, "none"), found.sentence
    assert found.kind == kind if kind else found.kind != "undecided", found.sentence
    assert found.link == link
    assert found.witness
    assert found.witness.says


def clamped(o: Tensor, y: Tensor) -> Tensor:
    return normal(torch.stack([o[:, 0], o[:, 1].clamp(-4, 4)], 1), y) + 0.1 * (o[:, 1].abs() - 4).relu()


# Neither a likelihood nor provably none, or not in reach of what is looked at; and why.
OPEN = {
    "weighted by a detached variance": (lambda o, y: normal(o, y) * o[:, 1].exp().detach() ** 0.5, "real(raw=2)",
                                        "not the derivative of the loss"),
    "coupled by their mean": (lambda o, y: normal(o - o.mean(0), y), "real(raw=2)", None),
    "hardly any loss": (lambda o, y: 1e-9 * torch.tanh(o[:, 0] - o[:, 1]) * torch.sin(y), "unit(raw=2)", "hardly varies"),
    "a penalty far out": (clamped, "real(raw=2)", None),
    "1e-6 from a likelihood": (lambda o, y: normal(o, y) + 1e-6 * torch.tanh(o[:, 1]), "real(raw=2)", "more than rounding"),
    "NaN for large counts": (lambda o, y: torch.where(y > 90, torch.nan, nb(o, y)), "counts(raw=2)", "is nan at output"),
}  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", OPEN)
def test_what_is_not_proven_of_several_outputs_is_not_said(name: str) -> None:
    loss, targets, why = OPEN[name]
    found = mlnn.audit(loss, targets)
    assert not found.is_likelihood or (found.domain != "all" and found.domain[1] < 5), found.sentence
    if why:
        assert found.kind == "undecided"
        assert why in found.sentence


def test_how_many_outputs_it_reads_is_told_where_that_is_beyond_doubt() -> None:
    assert mlnn.audit(lambda o, y: normal(o, y).mean(), "real").targets == "real(raw=2)"
    by_last = mlnn.audit(lambda o, y: -distributions.Normal(o[..., 0], o[..., 1].exp()).log_prob(y), "real")
    assert (by_last.targets, by_last.family) == ("real(raw=2)", LEARNED)
    assert mlnn.audit(zinb, "counts").family == "zero-inflated negative binomial"


def test_where_several_numbers_of_outputs_would_do_it_is_said_how_to_say_which() -> None:
    with pytest.raises(ConfigError, match=r"answers to 3, 5, 6, 7, 9; say how many .* targets='real\(raw=3\)'"):
        mlnn.audit(mixture, "real")
    with pytest.raises(ConfigError, match=r"reads 2 raw outputs .*'real\(raw=3\)'; leave out raw=3"):
        mlnn.audit(mlnn.objectives.gaussian_nll, "real(raw=3)")
