"""Finite targets: is the loss −log of the probabilities that make its expected gradient vanish?

At output f let G_k = ∂loss(f, k)/∂f. If the loss is least at f when the targets have probabilities p, then Σ p_k G_k = 0:
p(f) is read off the gradients, whatever the temperature and the base measure. The loss is then τ times an NLL if and
only if loss(f, k) = −τ log p_k(f) + c_k for one τ > 0 and one c_k per target.
"""

from dataclasses import replace

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import SMALLEST, Finding, Reference, by_formula
from mlnn.auditing.implied import FLAT, LARGE, Implied, direction, implied, telling_outputs
from mlnn.auditing.links import log_odds, probability_link, softmax_link
from mlnn.auditing.solved import examine_solved
from mlnn.auditing.sound import MANY, moderate_outputs
from mlnn.auditing.unbalanced import unbalanced
from mlnn.auditing.witness import flat_witness, risk_witness, sums_witness, temperature_witness
from mlnn.likelihoods.bernoulli import Bernoulli
from mlnn.likelihoods.categorical import Categorical

FIT_ROUNDING, FIT_DIFFERS = 1e-10, 1e-7
"""Misfits of true NLLs stay below 1e-13, those of the losses known not to be one above 1e-2; between, it is not decided.
Measured on the catalogue and the tests' losses on labels: likelihoods up to 1.4e-15, the nearest loss that is none 0.069."""
SUM_ROUNDING = 1e-9
"""By how much the probabilities of a likelihood may miss a sum of 1: the misfit of each, added up."""
EXACTLY = 1e-9
"""A temperature this near to 1 is 1, and a constant of a target this near to 0 is none."""
BESIDE = 1e-3
"""Share of the largest output, halved, by which the outputs beside are moved: what a link does there can be seen, and is smooth."""
DEFINED = 0.25
"""Share of the outputs at which one set of probabilities must be defined, or they are not read off the gradients."""
ENOUGH_PLAIN, ENOUGH_LINK = 8, 4
"""Outputs with plain probabilities that are needed to fit τ and every c, and to name a link."""
STILL = 0.9
"""Share of the outputs at which the probability must stand still before it is said not to move."""
FARTHER_OUT = (2.0, 4.0, 10.0)
"""Factors on the outputs at which an expected loss is asked too, in case it falls out there."""
LOOKED_FAR = 10
"""So many of the outputs, or up to twice as many, are looked at there."""
USUAL, USUAL_LARGE = 61, 15
"""Moderate outputs of which the share that imply no probability is told; fewer with many classes."""


def examine_finite(loss: Loss) -> Finding:
    """What a loss is on binary targets or classes."""
    at = implied(loss, telling_outputs(loss))
    total = at.constant
    if total is not None:
        return _likelihood(loss, replace(at, told=torch.exp(-at.value - total)), 1.0,
                           torch.full(at.value.shape[1:], -total, dtype=torch.float64), 0.0)  # fmt: skip
    if loss.space.outputs < at.value.shape[1] - 1:  # the gradients leave the probabilities open
        return examine_solved(loss)
    if loss.space.outputs > MANY:
        return Finding("undecided", said=f"Σ exp(−loss) is not one number at every output, and with more than {MANY} classes no"
                       " probabilities are read off the gradients; the same formula can be audited with fewer",
                       witness=sums_witness(at))  # fmt: skip
    usual = implied(loss, moderate_outputs(loss.space, USUAL if loss.space.outputs <= LARGE else USUAL_LARGE))
    unreachable = float((usual.defined & ~usual.valid).double().mean())
    found = _with_link(loss, at)
    return replace(found, unreachable=unreachable) if found.log_base is None and found.kind != "undecided" else found


def _with_link(loss: Loss, at: Implied) -> Finding:
    step = BESIDE * at.output.abs().max() / 2
    beside = implied(loss, at.output + step * direction(at.output))
    unread = _unread(loss, at, beside)
    if unread:
        return unread
    tau, shift, residual = _fit(at)
    if tau > 0 and residual < FIT_DIFFERS:
        return _fitted(loss, at, tau, shift, residual)
    link, witness = _link(at), temperature_witness(at, beside)
    if witness is None:
        said = "no two outputs were found that ask for different temperatures"
        return Finding("undecided", residual=residual, said=said)
    return Finding("proper" if link else "calibrated", link=link, residual=residual, witness=witness)


def _unread(loss: Loss, at: Implied, beside: Implied) -> Finding | None:
    """The finding where no probabilities, or too few, can be read off the gradients; None where they can."""
    if float(at.defined.double().mean()) < DEFINED:
        said = "at most of the outputs looked at no one set of probabilities makes its expected gradient vanish, so they cannot be"
        return unbalanced(loss, at) or Finding("undecided", said=f"{said} read off it")
    risk = risk_witness(at, _far(loss, at))
    if risk:
        said = "where its expected gradient vanishes its expectation is not smallest"
        return Finding("no link", said=said, witness=risk)
    if not bool(at.interior.any()):
        return _no_link(at, "it implies no probability strictly between 0 and 1 at any output")
    if _is_flat(at, beside):
        return _no_link(at, "the probability it implies does not move with the output")
    if int(at.plain.sum()) < ENOUGH_PLAIN:
        said = "too few of the outputs looked at imply probabilities that float64 can tell from 0 and 1"
        return Finding("undecided", said=said)
    return None


def _fitted(loss: Loss, at: Implied, tau: float, shift: Tensor, residual: float) -> Finding:
    """The finding where loss = −τ log p + c up to rounding, or nearly."""
    if residual > FIT_ROUNDING:
        return Finding("undecided", residual=residual, said=f"it is within {residual:.1g} of an NLL: more than"
                       " rounding, less than any loss known not to be one")  # fmt: skip
    sums = torch.exp(-(at.value - shift) / tau).sum(1)
    if float((sums - 1).abs().max()) <= SUM_ROUNDING:
        return _likelihood(loss, at, tau, shift, residual)
    return Finding("undecided", residual=residual, said="it is −log of its probabilities at some outputs only")


def _likelihood(loss: Loss, at: Implied, tau: float, shift: Tensor, residual: float) -> Finding:
    itself = abs(tau - 1) <= EXACTLY
    tau = 1.0 if itself else tau
    link = _link(at)
    if float(shift.abs().max()) <= EXACTLY:
        measure = "1"
    else:
        even = float((shift - shift[0]).abs().max()) <= EXACTLY
        measure = f"{float(torch.exp(shift[0] / tau)):.10g}" if even else "one constant per target"
    return Finding(
        "likelihood" if itself else "scaled likelihood",
        "categorical" if loss.space.labels else "Bernoulli",
        tau,
        link,
        lambda target: shift[target.long()] / tau,
        measure,
        residual,
        reference=_reference(at, tau, shift, link),
    )


def _reference(at: Implied, tau: float, shift: Tensor, link: str | None) -> Reference | None:
    """τ·NLL + c by mlnn's own stable likelihoods, for the logit and the plain softmax link."""
    if at.output.ndim == 1 and link and link.startswith("σ"):
        line = log_odds(at.output, at.p[:, 1])
        if line is None:
            return None
        slope, level = line
        return by_formula(lambda f, y: tau * Bernoulli().nll(slope * f + level, y.double()) + shift[y.long()])
    if link == "softmax(f)":
        return by_formula(lambda f, y: tau * Categorical().nll(f, y.long()) + shift[y.long()])
    return None


def _far(loss: Loss, at: Implied) -> Implied:
    """The same outputs at several times their size, to see whether an expected loss falls out there."""
    some = at.output[:: max(1, len(at.output) // LOOKED_FAR)]
    return implied(loss, torch.cat([factor * some for factor in FARTHER_OUT]))


def _no_link(at: Implied, said: str) -> Finding:
    witness = flat_witness(at) or sums_witness(at)
    if witness is None:
        return Finding("undecided", said=f"{said}, and no two outputs were found that show it to be no likelihood")
    return Finding("no link", said=said, residual=_fit(at)[2], witness=witness)


def _fit(at: Implied) -> tuple[float, Tensor, float]:
    """τ, c (K,) and the largest misfit of loss = −τ log p + c, relative to the spread of the loss."""
    seen = at.plain
    if not bool(seen.any()):
        return float("nan"), torch.zeros(at.value.shape[1], dtype=torch.float64), 1.0
    surprise, value = -at.p[seen].log(), at.value[seen]
    middle = [side - side.mean(0) for side in (surprise, value)]  # one intercept per target
    size = float((middle[0] ** 2).sum())
    tau = float((middle[0] * middle[1]).sum()) / size if size > FLAT else float("nan")
    slope = tau if size > FLAT else 0.0
    shift = value.mean(0) - slope * surprise.mean(0)
    off = (value - slope * surprise - shift).abs().max()
    return tau, shift, float(off / middle[1].abs().max().clamp_min(SMALLEST))


def _is_flat(at: Implied, beside: Implied) -> bool:
    """Whether the implied probability stands still wherever it lies strictly between 0 and 1."""
    seen = at.interior & beside.defined
    moved = (at.p - beside.p).abs().amax(1)[seen]
    return not len(moved) or bool((moved <= FLAT).double().mean() > STILL)


def _link(at: Implied) -> str | None:
    seen = at.plain
    if int(seen.sum()) < ENOUGH_LINK:
        return None
    if at.output.ndim == 1 and at.p.shape[1] > 2:  # no one link: each label has its own
        return None
    if at.output.ndim == 1:
        return probability_link(at.output[seen], at.p[seen, 1])
    return softmax_link(at.output[seen], at.p[seen])
