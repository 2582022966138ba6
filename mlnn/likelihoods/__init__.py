"""Likelihoods: hand-written conditional distributions, one file a family, each with its formula, its source and its facts."""

from mlnn.likelihoods.bernoulli import Bernoulli
from mlnn.likelihoods.beta import Beta
from mlnn.likelihoods.categorical import Categorical
from mlnn.likelihoods.gamma import Gamma
from mlnn.likelihoods.huber import HuberDensity, HyperbolicSecant
from mlnn.likelihoods.hurdle_negative_binomial import HurdleNegativeBinomial
from mlnn.likelihoods.hurdle_poisson import HurdlePoisson
from mlnn.likelihoods.laplace import AsymmetricLaplace, FlatToppedLaplace, Laplace
from mlnn.likelihoods.likelihood import Likelihood, adopted
from mlnn.likelihoods.negative_binomial import NegativeBinomial
from mlnn.likelihoods.normal import Normal, NormalLearnedVariance
from mlnn.likelihoods.ordinal import Ordinal
from mlnn.likelihoods.poisson import Poisson
from mlnn.likelihoods.probit import BernoulliProbit
from mlnn.likelihoods.student_t import StudentT
from mlnn.likelihoods.von_mises import VonMises
from mlnn.likelihoods.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial
from mlnn.likelihoods.zero_inflated_poisson import ZeroInflatedPoisson

__all__ = [
    "AsymmetricLaplace",
    "Bernoulli",
    "BernoulliProbit",
    "Beta",
    "Categorical",
    "FlatToppedLaplace",
    "Gamma",
    "HuberDensity",
    "HurdleNegativeBinomial",
    "HurdlePoisson",
    "HyperbolicSecant",
    "Laplace",
    "Likelihood",
    "NegativeBinomial",
    "Normal",
    "NormalLearnedVariance",
    "Ordinal",
    "Poisson",
    "StudentT",
    "VonMises",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
    "adopted",
]
