"""Which likelihood stands behind an objective: its own, or that of the loss's partner."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from mlnn.likelihoods import bernoulli
from mlnn.likelihoods.bernoulli import Bernoulli
from mlnn.likelihoods.categorical import Categorical
from mlnn.likelihoods.gamma import Gamma
from mlnn.likelihoods.huber import HuberDensity, HyperbolicSecant
from mlnn.likelihoods.laplace import AsymmetricLaplace, FlatToppedLaplace, Laplace
from mlnn.likelihoods.likelihood import Likelihood, adopted
from mlnn.likelihoods.negative_binomial import NegativeBinomial
from mlnn.likelihoods.normal import Normal, NormalLearnedVariance
from mlnn.likelihoods.poisson import Poisson
from mlnn.likelihoods.von_mises import VonMises
from mlnn.objectives import losses, losses_by_hand
from mlnn.objectives.objective import Objective

# A loss's own arguments (tau, delta, …) are those of its likelihood. bernoulli_nll_clipped is not here: its clip makes it
# another objective where it matters.
PARTNERS: dict[Callable[..., Tensor], Callable[..., Likelihood]] = {
    losses.bce: Bernoulli,
    losses.bce_with_logits: Bernoulli,
    losses.soft_margin: Bernoulli,
    bernoulli.bernoulli_nll_log1p: Bernoulli,
    bernoulli.bernoulli_nll_naive: Bernoulli,
    losses.cross_entropy: Categorical,
    losses.nll_loss: Categorical,
    losses.kl_divergence: Categorical,
    losses.mse: Normal,
    losses.gaussian_nll: NormalLearnedVariance,
    losses.l1: Laplace,
    losses.huber: HuberDensity,
    losses.smooth_l1: HuberDensity,
    losses.poisson_nll: Poisson,
    losses_by_hand.pinball: AsymmetricLaplace,
    losses_by_hand.log_cosh: HyperbolicSecant,
    losses_by_hand.epsilon_insensitive: FlatToppedLaplace,
    losses_by_hand.cosine: VonMises,
    losses_by_hand.gamma_loss: Gamma,
    losses_by_hand.negative_binomial_loss: NegativeBinomial,
}


def likelihood_of(objective: Objective) -> Likelihood | None:
    """The likelihood that the objective is, or that its loss is known to be up to s and c; None where none is known."""
    function: Any = objective.function
    own = getattr(function, "__self__", None)
    if own is not None and getattr(own, "nll", None) == function:
        return adopted(own)
    arguments = function.keywords if isinstance(function, partial) else {}
    partner = PARTNERS.get(getattr(function, "func", function)) if objective.outputs == "raw" else None
    return partner(**arguments) if partner else None
