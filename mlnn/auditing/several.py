"""Densities of several raw outputs: is exp(−loss), at some temperature and under some base measure, one for every output?

As for one output each step is exact where it answers: Z constant as it stands, near and far out; at a temperature and under a
base measure that are found by fitting, and checked by Z; a proof that there is none (see `dominated`, `sliced`, `shifted`).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.densities import named_density
from mlnn.auditing.dominated import dominated, worse_of_two
from mlnn.auditing.finding import Finding
from mlnn.auditing.fitting import Fitted, fitted
from mlnn.auditing.following import follows
from mlnn.auditing.integrals import Z_ROUNDING, Base
from mlnn.auditing.known import Known, known_density
from mlnn.auditing.record import Witness
from mlnn.auditing.shifted import shifted
from mlnn.auditing.sliced import sliced
from mlnn.auditing.unproven import not_proven, say
from mlnn.auditing.vouching import Cloud, cloud, once_more, vouched

Z_DIFFERS = 1e-4
"""Relative spread of Z from which it differs; between Z_ROUNDING and this it is not decided."""
Proof = Callable[[Loss, Tensor], Witness | None]
PROOFS: tuple[Proof, ...] = (worse_of_two, dominated, sliced, shifted)
"""Each a witness that there is no base measure at any temperature, given some outputs; the cheapest first."""
MOVES = 1e-3
"""By so much, in nats, losses of two outputs must differ between targets: its square is far above the rounding of Z."""
OTHER_TAUS = (0.5, 2.0)
"""Temperatures tried to see whether the dispersion is free; beyond them nothing is promised."""


def examine_several(loss: Loss) -> Finding:
    """What a loss of several raw outputs is on counts, real, positive or unit targets."""
    here = cloud(loss)
    if here.off > Z_ROUNDING:
        again = once_more(loss, here)
        here = again if again.off < math.inf else here
    if _hardly_moves(loss, here):
        return Finding(
            "undecided", said="it hardly varies with its outputs: any Z is one number then, and says nothing"
        )
    if here.off <= Z_ROUNDING:
        return _certified(loss, here, Fitted(1.0, None, "1"))
    proven = _refuted(loss, here, (worse_of_two,)) if here.off > Z_DIFFERS else None
    if proven:
        return proven
    found = fitted(loss)
    if found:
        return _certified(loss, cloud(loss, found.tau, found.log_base), found)
    if here.off < Z_DIFFERS:
        said = f"Z varies by {here.off:.1g}: more than rounding, less than certain"
        return Finding("undecided", residual=here.off, said=said)
    return _refuted(loss, here) or not_proven(loss, here.outputs, here.total, None, here.off, Z_DIFFERS)


def _hardly_moves(loss: Loss, here: Cloud) -> bool:
    """Whether at all outputs it is nearly the same function of the target, up to a number each."""
    value = loss.values(here.outputs, torch.tensor(loss.space.facts.fitted_points, dtype=torch.float64))
    apart = value - value[:1]
    apart = (apart - apart[:, :1])[torch.isfinite(apart)]
    return not bool((apart.abs() > MOVES).any())


def _certified(loss: Loss, here: Cloud, found: Fitted) -> Finding:
    """The finding where Z is one number near 0: a likelihood, if it is so farther out too."""
    tau, log_total = found.tau, math.log(here.middle)
    known = _known(loss, here, found)
    reach = math.inf
    if known.reference is None:
        far = vouched(loss, here.middle, tau, found.log_base)
        if far.why:
            return _refuted(loss, here) or _not_vouched(here, far.why, far.witness)
        reach = far.radius
    even = found.log_base is None
    itself = even and abs(log_total) <= Z_ROUNDING
    free = even and tau == 1 and not itself and _is_free(loss)
    return Finding(
        "likelihood family" if free else "likelihood" if tau == 1 else "scaled likelihood",
        known.name or f"an unnamed density with {loss.space.outputs} raw outputs",
        tau,
        known.link,
        _less(found.log_base, log_total),
        "1" if itself else f"1/{here.middle:.10g}" if even else found.measure,
        here.off,
        reference=known.reference,
        free_below=OTHER_TAUS[1],
        reach=reach,
    )


def _known(loss: Loss, here: Cloud, found: Fitted) -> Known:
    """Name, link and formula of the density, as far as they are known."""
    if found.log_base is None and found.tau == 1:
        known = known_density(loss, here.outputs, loss.space.wide_points)
        if known:
            return known
    return named_density(loss, here.outputs, found.tau, _less(found.log_base, math.log(here.middle)))


def _less(log_base: Base | None, log_total: float) -> Base:
    """The base measure with the normaliser in it."""
    if log_base is None:
        return lambda y: torch.full_like(y, -log_total, dtype=torch.float64)
    return lambda y: log_base(y) - log_total


def _is_free(loss: Loss) -> bool:
    """Whether Z is one number at other temperatures too."""
    return all(cloud(loss, tau).off <= Z_ROUNDING for tau in OTHER_TAUS)


def _not_vouched(here: Cloud, why: str, witness: Witness | None) -> Finding:
    said = f"Z is {here.middle:.6g} near output 0, "
    if witness:
        said += f"but {witness.z[1]:.6g} at output {say(witness.outputs[1])}"
    else:
        said += f"but a little farther out it did not settle ({why})"
    return Finding("undecided", residual=here.off, witness=witness, said=said)


def _refuted(loss: Loss, here: Cloud, proofs: Sequence[Proof] = PROOFS) -> Finding | None:
    """The finding where it is proven that no temperature and no base measure make it a likelihood; None where it is not."""
    for proof in proofs:
        proven = proof(loss, here.outputs)
        if proven is not None:
            kind, link, said = follows(loss)
            residual = here.off if Z_DIFFERS < here.off < math.inf else None
            return Finding(kind, link=link, said=said, residual=residual, witness=proven)
    return None
