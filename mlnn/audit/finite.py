"""Finite targets: which probabilities make the expected gradient vanish, and is the loss their −log?

At output f let G_k = ∂loss(f, k)/∂f. If the loss is minimised at f when the targets have probabilities p, then Σ p_k G_k = 0:
p(f) is read off the gradients, whatever the temperature and the base measure. The loss is then τ times an NLL if and
only if loss(f, k) = −τ log p_k(f) + c_k for one τ > 0 and one c_k per target.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.audit.ask import Loss
from mlnn.audit.finding import Finding
from mlnn.audit.links import log_odds, probability_link, softmax_link
from mlnn.audit.sound import moderate_outputs, shown_targets
from mlnn.audit.witness import flat_witness, temperature_witness
from mlnn.objectives.bernoulli import Bernoulli
from mlnn.objectives.categorical import Categorical

ROUNDING = 1e-10
"""Residuals of true NLLs stay below 1e-13, those of the losses known not to be one above 1e-2."""
REAL = 1e-7
"""Between the two it is not decided."""
FLAT = 1e-9
PLAIN = 1e-4
"""Probabilities smaller than this have lost digits by the time they are read off two gradients."""
APART = 1e-3


@dataclass(frozen=True)
class Implied:
    """At outputs (F,) or (F, m): `p` (F, K) that the gradients imply, NaN where none or many; `valid`: a probability."""

    output: Tensor
    value: Tensor
    gradient: Tensor
    p: Tensor

    @property
    def defined(self) -> Tensor:
        return torch.isfinite(self.p).all(1)

    @property
    def valid(self) -> Tensor:
        return self.defined & (self.p > -FLAT).all(1) & (self.p < 1 + FLAT).all(1)

    @property
    def interior(self) -> Tensor:
        return self.valid & (self.p > FLAT).all(1)


def implied(loss: Loss, output: Tensor) -> Implied:
    """The probabilities that the gradients at these outputs imply."""
    value, gradient = loss.cross(output, shown_targets(loss.space))
    return Implied(output, value, gradient, null_probabilities(gradient))


def null_probabilities(gradient: Tensor) -> Tensor:
    """p (F, K) with Σ_k p_k G_k = 0 and Σ p_k = 1 for gradients (F, K, m); NaN where there is none, or more than one."""
    if gradient.shape[1:] == (2, 1):  # in closed form, so that small probabilities keep their digits
        zero, one = gradient[:, 0, 0], gradient[:, 1, 0]
        apart = zero - one
        defined = apart.abs() > 1e-14 * (zero.abs() + one.abs())
        return torch.where(defined[:, None], torch.stack([-one, zero], 1) / apart[:, None], torch.nan)
    count, classes, outputs = gradient.shape
    padded = torch.cat([gradient.mT, torch.zeros(count, max(0, classes - outputs), classes, dtype=torch.float64)], 1)
    _, sizes, right = torch.linalg.svd(padded)
    null = right[:, -1]
    unique = (sizes[:, classes - 1] <= 1e-10 * sizes[:, 0]) & (sizes[:, classes - 2] > 1e-10 * sizes[:, 0])
    total = null.sum(1, keepdim=True)
    return torch.where((unique & (total.squeeze(1).abs() > 1e-10))[:, None], null / total, torch.nan)


def examine_finite(loss: Loss) -> Finding:
    """What a loss is on binary targets or classes."""
    at = implied(loss, moderate_outputs(loss.space, 61))
    beside = implied(loss, at.output + APART * _direction(at.output))
    unreachable = 1 - float(at.valid.double().mean())
    if not bool(at.interior.any()):
        return _no_link(at, unreachable, "it implies no probability strictly between 0 and 1 at any output")
    if _is_flat(at, beside):
        return _no_link(at, unreachable, "the probability it implies does not move with the output")
    if not _is_minimum(at, beside):
        said = "where its expected gradient vanishes it is largest, not smallest"
        return Finding("no link", said=said, unreachable=unreachable)
    tau, shift, residual = _fit(at)
    link = _link(at)
    likely = unreachable == 0 and tau > 0
    if likely and residual <= ROUNDING:
        return _likelihood(loss, at, tau, shift, residual, link)
    if likely and residual < REAL:
        return Finding("undecided", residual=residual, said=f"it is within {residual:.1g} of an NLL: more than"
                       " rounding, less than any loss known not to be one")  # fmt: skip
    said = "" if unreachable == 0 else f"{unreachable:.0%} of the outputs looked at imply no probability at all"
    found = Finding(
        "proper" if link else "calibrated", link=link, residual=residual, unreachable=unreachable, said=said
    )
    return replace(found, witness=temperature_witness(at, beside, APART))


def _likelihood(loss: Loss, at: Implied, tau: float, shift: Tensor, residual: float, link: str | None) -> Finding:
    itself = abs(tau - 1) <= 1e-9
    tau = 1.0 if itself else tau

    def base(target: Tensor) -> Tensor:
        return torch.exp(shift[target.long()] / tau)

    return Finding(
        "likelihood" if itself else "scaled likelihood",
        "Bernoulli" if loss.space.kind == "binary" else "categorical",
        tau,
        link or "a link without a name",
        base,
        "1" if float(shift.abs().max()) <= 1e-9 else "one constant per target",
        residual,
        reference=_reference(at, tau, shift, link),
    )


def _reference(at: Implied, tau: float, shift: Tensor, link: str | None) -> Callable[[Tensor, Tensor], Tensor] | None:
    """τ·NLL + c by mlnn's own stable likelihoods, for the logit and the plain softmax link."""
    if at.output.ndim == 1:
        line = log_odds(at.output, at.p[:, 1])
        if line is None:
            return None
        slope, level = line
        return lambda f, y: tau * Bernoulli().nll(slope * f + level, y.double()) + shift[y.long()]
    if link == "softmax(f)":
        return lambda f, y: tau * Categorical().nll(f, y) + shift[y]
    return None


def _no_link(at: Implied, unreachable: float, said: str) -> Finding:
    return Finding("no link", said=said, unreachable=unreachable, residual=_fit(at)[2], witness=flat_witness(at))


def _fit(at: Implied) -> tuple[float, Tensor, float]:
    """τ, c (K,) and the largest misfit of loss = −τ log p + c, relative to the spread of the loss."""
    seen = at.valid & (at.p > PLAIN).all(1)
    if not bool(seen.any()):
        return float("nan"), torch.zeros(at.value.shape[1], dtype=torch.float64), 1.0
    surprise, value = -at.p[seen].log(), at.value[seen]
    middle = [side - side.mean(0) for side in (surprise, value)]  # one intercept per target
    size = float((middle[0] ** 2).sum())
    tau = float((middle[0] * middle[1]).sum()) / size if size > FLAT else float("nan")
    slope = tau if size > FLAT else 0.0
    shift = value.mean(0) - slope * surprise.mean(0)
    off = (value - slope * surprise - shift).abs().max()
    return tau, shift, float(off / middle[1].abs().max().clamp_min(1e-300))


def _is_flat(at: Implied, beside: Implied) -> bool:
    """Whether the implied probability stands still wherever it lies strictly between 0 and 1."""
    seen = at.interior & beside.defined
    moved = (at.p - beside.p).abs().amax(1)[seen]
    return bool((moved <= FLAT).double().mean() > 0.9)


def _is_minimum(at: Implied, beside: Implied) -> bool:
    """Whether the expected loss under p(f) rises on leaving f: its slope a little ahead points ahead."""
    ahead = _direction(at.output)
    turn = (at.p[..., None] * (beside.gradient - at.gradient)).sum(1)
    rise = (turn * ahead).sum(-1) if at.output.ndim > 1 else turn.squeeze(-1) * ahead
    return bool((rise[at.interior] > 0).double().mean() > 0.9)


def _direction(output: Tensor) -> Tensor:
    """One direction for all outputs: 1, or away from the diagonal, along which softmax does not move."""
    if output.ndim == 1:
        return torch.ones_like(output)
    return torch.linspace(1, -0.6, output.shape[1], dtype=torch.float64).expand_as(output)


def _link(at: Implied) -> str | None:
    seen = at.valid
    return (
        probability_link(at.output[seen], at.p[seen, 1])
        if at.output.ndim == 1
        else softmax_link(at.output[seen], at.p[seen])
    )
