"""What is proved of the certificates of losses with a known answer: every loss of the catalogue and from outside of it."""

from functools import cache
from typing import Any

from audit_cases import CATALOGUE, OUTSIDE
from objective_cases import build

import mlnn
from mlnn.auditing import Certificate
from mlnn.proving.certified import Certified

EVERY = [*CATALOGUE, *OUTSIDE]
TWO = "a density of 2 raw outputs, by its form of no place and log width alone"
FORM = "the loss is no function of a residual and no exponential family by its form"
UNDECIDED = {
    **dict.fromkeys(
        ("gaussian_nll", "zero_inflated_poisson", "zero_inflated_negative_binomial",
         "hurdle_poisson", "hurdle_negative_binomial"), TWO),
    **dict.fromkeys(("2 × negative binomial of size e^f", "zero-inflated Poisson up to 6"), FORM),
    "ordinal": "the sum over the targets is not 1 by its form, and hangs on 3 raw outputs",
    "multi_margin": "multi_margin_loss has no rule on paper",
    "weighted_cross_entropy": "nll_loss_forward: weights of classes",
    "CrossEntropyLoss with class weights": "nll_loss_forward: weights of classes",
}  # fmt: skip
"""The reason of each that is not decided."""
LIKELY = ("likelihood", "scaled likelihood", "likelihood family")


def loss_of(name: str) -> tuple[Any, Any]:
    """A loss and its targets."""
    if name in OUTSIDE:
        return OUTSIDE[name][:2]
    made = build(name)
    return made.function, made.targets


@cache
def certificate(name: str) -> Certificate:
    loss, targets = loss_of(name)
    return mlnn.audit(loss, targets, name=name, prove=True)


def proof_of(name: str) -> Certified:
    found = certificate(name).proof
    assert found is not None
    return found
