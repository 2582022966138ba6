"""Objectives: the framework's losses, hand-written likelihoods, and the wrapper that makes any callable one."""

from mlnn.objectives.bernoulli import (
    Bernoulli,
    bernoulli_nll_clipped,
    bernoulli_nll_log1p,
    bernoulli_nll_naive,
)
from mlnn.objectives.losses import bce, bce_with_logits
from mlnn.objectives.objective import LINKS, Objective

__all__ = [
    "LINKS",
    "Bernoulli",
    "Objective",
    "bce",
    "bce_with_logits",
    "bernoulli_nll_clipped",
    "bernoulli_nll_log1p",
    "bernoulli_nll_naive",
]
