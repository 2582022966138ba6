"""Objectives: the framework's losses, hand-written likelihoods, and the wrapper that makes any callable one."""

from mlnn.likelihoods.bernoulli import (
    Bernoulli,
    bernoulli_nll_clipped,
    bernoulli_nll_log1p,
    bernoulli_nll_naive,
)
from mlnn.likelihoods.beta import Beta
from mlnn.likelihoods.categorical import Categorical
from mlnn.likelihoods.gamma import Gamma
from mlnn.likelihoods.huber import HuberDensity, HyperbolicSecant
from mlnn.likelihoods.hurdle_negative_binomial import HurdleNegativeBinomial
from mlnn.likelihoods.hurdle_poisson import HurdlePoisson
from mlnn.likelihoods.laplace import AsymmetricLaplace, FlatToppedLaplace, Laplace
from mlnn.likelihoods.likelihood import Likelihood
from mlnn.likelihoods.negative_binomial import NegativeBinomial
from mlnn.likelihoods.normal import Normal, NormalLearnedVariance
from mlnn.likelihoods.ordinal import Ordinal
from mlnn.likelihoods.poisson import Poisson
from mlnn.likelihoods.probit import BernoulliProbit
from mlnn.likelihoods.student_t import StudentT
from mlnn.likelihoods.von_mises import VonMises
from mlnn.likelihoods.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial
from mlnn.likelihoods.zero_inflated_poisson import ZeroInflatedPoisson
from mlnn.objectives.losses import (
    bce,
    bce_with_logits,
    cross_entropy,
    gaussian_nll,
    huber,
    kl_divergence,
    l1,
    mse,
    nll_loss,
    poisson_nll,
    smooth_l1,
    soft_margin,
)
from mlnn.objectives.losses_by_hand import (
    cosine,
    epsilon_insensitive,
    gamma_loss,
    log_cosh,
    negative_binomial_loss,
    pinball,
)
from mlnn.objectives.losses_without_likelihood import (
    brier,
    exponential,
    focal,
    hinge,
    label_smoothing,
    mae_on_sigmoid,
    multi_margin,
    squared_hinge,
    weighted_bce,
    weighted_cross_entropy,
)
from mlnn.objectives.objective import LINKS, Objective
from mlnn.objectives.partners import PARTNERS, likelihood_of
from mlnn.objectives.reading import Reading, read_likelihood
from mlnn.objectives.step import Step
from mlnn.signature import Binary, Classes, Counts, HardBinary, OneOutput, Ordered, Positive, Real, TwoOutputs, Unit

__all__ = [
    "LINKS",
    "PARTNERS",
    "AsymmetricLaplace",
    "Bernoulli",
    "BernoulliProbit",
    "Beta",
    "Binary",
    "Categorical",
    "Classes",
    "Counts",
    "FlatToppedLaplace",
    "Gamma",
    "HardBinary",
    "HuberDensity",
    "HurdleNegativeBinomial",
    "HurdlePoisson",
    "HyperbolicSecant",
    "Laplace",
    "Likelihood",
    "NegativeBinomial",
    "Normal",
    "NormalLearnedVariance",
    "Objective",
    "OneOutput",
    "Ordered",
    "Ordinal",
    "Poisson",
    "Positive",
    "Reading",
    "Real",
    "Step",
    "StudentT",
    "TwoOutputs",
    "Unit",
    "VonMises",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
    "bce",
    "bce_with_logits",
    "bernoulli_nll_clipped",
    "bernoulli_nll_log1p",
    "bernoulli_nll_naive",
    "brier",
    "cosine",
    "cross_entropy",
    "epsilon_insensitive",
    "exponential",
    "focal",
    "gamma_loss",
    "gaussian_nll",
    "hinge",
    "huber",
    "kl_divergence",
    "l1",
    "label_smoothing",
    "likelihood_of",
    "log_cosh",
    "mae_on_sigmoid",
    "mse",
    "multi_margin",
    "negative_binomial_loss",
    "nll_loss",
    "pinball",
    "poisson_nll",
    "read_likelihood",
    "smooth_l1",
    "soft_margin",
    "squared_hinge",
    "weighted_bce",
    "weighted_cross_entropy",
]
