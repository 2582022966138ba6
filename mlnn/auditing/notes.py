"""What else a reader of the certificate should know."""

import torch

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import Finding
from mlnn.auditing.sound import answers_a_batch, coupling
from mlnn.objectives import Objective
from mlnn.targets import UNIT_INTERVAL

HINGE = (
    "This is the hinge of the support-vector classifier. exp(−2·max(1−u, 0)) is a mixture of normals in the margin u (Polson &"
    " Scott 2011), a pseudo-likelihood: useful for a Bayesian SVM, but not normalised over the two targets."
)
SVR = (
    "This is the loss of support-vector regression: an exact −log density, uniform within ε and exponential beyond. The"
    " classifier's hinge is not one."
)
FRACTIONS = "With the continuous-Bernoulli normaliser added it would be a density on (0, 1)."
SHARED = "Its own mean divides by something that the rows of a batch share (class weights); what is audited is its value per row."
GAMMA = "The gamma's dispersion is free: k times this loss is, up to a function of y, the NLL of shape k."
LOWER = (
    "It computes in {dtype} whatever it is given; the certificate is of its formula, computed in float64 throughout."
)
DEPARTS = (
    "From raw outputs of size {size:.3g} on it is another loss than nearer to 0, and not by rounding (a clamp, a penalty, a sum cut"
    " short): what is said here is said up to there."
)
HINGE_ROUNDING = 1e-9
"""Misfit of a hinge, relative, that is rounding; a smooth margin loss is off by far more at the kink."""
MARGIN = 3.0
"""Margins on both sides of 0 on which a hinge is recognised: its kink, at 1, is among them."""


def notes(loss: Loss, objective: Objective, finding: Finding, departs: float | None = None) -> tuple[str, ...]:
    """Sentences for losses that have a name and a story, and for a reduction that is more than a mean.

    `departs`: the size of the outputs from which it is off its formula.
    """
    inside = loss.objective.inside
    lower = LOWER.format(dtype=inside.name if inside else None)
    holds = {
        DEPARTS.format(size=departs or 0.0): departs is not None,
        lower: inside is not None and inside.name is not None and not inside.sealed,
        HINGE: loss.space.kind == "binary" and finding.kind == "no link" and _is_hinge(loss),
        SVR: finding.family == "flat-topped Laplace",
        FRACTIONS: loss.space.facts.support == UNIT_INTERVAL and (finding.kind, finding.link) == ("proper", "σ(f)"),
        SHARED: finding.kind not in ("undecided", "batch-coupled") and _shares(loss, objective),
        GAMMA: (finding.kind, finding.family) == ("likelihood", "gamma, shape 1"),
    }
    return tuple(note for note, told in holds.items() if told)


def _shares(loss: Loss, objective: Objective) -> bool:
    """Whether a module's own reduction, which was switched off, couples the rows that are not."""
    switched_off = loss.objective is not objective
    return switched_off and answers_a_batch(objective, loss.space) and coupling(objective, loss.space) is not None


def _is_hinge(loss: Loss) -> bool:
    """Whether it is s·max(1 − u, 0) with some s > 0."""
    margin = torch.linspace(-MARGIN, MARGIN, 25, dtype=torch.float64)
    for target in (0.0, 1.0):
        value = loss.value(margin if target else -margin, torch.full_like(margin, target))
        hinge = torch.relu(1 - margin)
        size = float(value.max() / hinge.max())
        if size <= 0 or not torch.allclose(value, size * hinge, rtol=HINGE_ROUNDING, atol=HINGE_ROUNDING / 1000):
            return False
    return True
