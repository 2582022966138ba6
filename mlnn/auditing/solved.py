"""Finite targets of which the raw outputs say less than every probability: h solves Σ_y h_y exp(−loss_y/τ) = 1 at all outputs.

One output shared by K − 1 steps, proportional odds, binomial counts: the gradients leave many probabilities open, but for each
τ the base measure is the solution of one linear system (see `system`), and τ is where that system has one. A refutation that
needs no τ comes first: an output at which every target's gradient points one way.
"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import scipy
import torch

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import Finding
from mlnn.auditing.ordered import ordered_name
from mlnn.auditing.record import Witness, raw_output, row
from mlnn.auditing.sound import moderate_outputs
from mlnn.auditing.system import FAILS, FAILS_ABOVE, SOLVES, TOLD_APART, Search, System, best_of, outputs_of, reach_of

MOST_SOLVED = 40
"""Targets for which a system is solved: with more of them exponentials are so nearly dependent that anything fits."""
FRESH = 10
"""As many times that may be left at outputs from which h was not solved."""
TAU_EXACT = 1e-9
"""A temperature this near to 1 is 1."""
SMALLEST_WEIGHT = 1e-9
"""Share of the largest probability that a target has at any output below which it has no weight, or a negative one."""
ONE_WAY = 1e-6
"""Share of the largest gradient by which all must point one way; far above the rounding of a gradient."""
PLAIN = 60
"""A weight within rounding of a fraction with no larger denominator is that fraction."""


def examine_solved(loss: Loss) -> Finding:
    """What a loss is on labels of which its outputs leave the probabilities open."""
    reach = reach_of(loss)
    pushed = _one_way(loss, reach)
    if pushed:
        said = "at some output every target pulls it the same way, so that its expectation is stationary for no probabilities"
        return Finding("no link", said=said, witness=pushed)
    if len(loss.space.inner_points) > MOST_SOLVED:
        return Finding("undecided", said=f"with more than {MOST_SOLVED} labels and fewer outputs than labels a base measure"
                       " is not looked for; the same formula can be audited with fewer")  # fmt: skip
    if len(outputs_of(loss, reach)) < 2 * len(loss.space.inner_points):
        return Finding("undecided", said="the loss is finite at too few outputs for a base measure to be read")
    return _judged(loss, reach, best_of(loss, reach))


def _judged(loss: Loss, reach: float, found: Search) -> Finding:
    """What the temperature that fits best says."""
    best = found.best
    # At a τ of no depth anything adds up, with weights of both signs; with none below 0 it does not.
    refuted = not found.fits and found.least >= FAILS_ABOVE
    if best.misfit <= SOLVES and best.apart < TOLD_APART and not refuted:
        return Finding("undecided", residual=best.misfit, said="its exp(−loss/τ) of one label is so nearly a sum of the others'"
                       " that a base measure cannot be told from one beside it; the same formula can be audited with fewer"
                       " labels")  # fmt: skip
    if best.misfit <= SOLVES and found.fits:
        weighted = _weights(best)
        if weighted is None:
            said = "the only base measure that makes exp(−loss/τ) add up has a negative weight, or none, on a target"
            return Finding("no link", said=said, residual=best.misfit, witness=_negative(best))
        return _likelihood(loss, reach, weighted, len(best.null))
    if (best.misfit < FAILS and found.fits) or found.least < FAILS_ABOVE:
        return Finding("undecided", residual=best.misfit, said=f"a base measure is found that leaves a misfit of"
                       f" {best.misfit:.1g}: more than rounding, less than certain")  # fmt: skip
    z = best.sums()
    ends = [int(z.argmin()), int(z.argmax())]
    witness = Witness(
        outputs=tuple(map(raw_output, best.output[ends])), z=row(z[ends]),
        says=f"at τ = {best.tau:.4g}, the best of the temperatures, and with the h that comes nearest, exp(−loss/τ)·h still"
        " adds up to two different numbers over the targets",
    )  # fmt: skip
    said = "its output is fewer numbers than there are probabilities, and no base measure makes one law of them"
    return Finding("no link", said=said, residual=best.misfit, witness=witness)


def _likelihood(loss: Loss, reach: float, found: System, several: int) -> Finding:
    """The certificate, if the weights hold at outputs that they were not solved from."""
    fresh = 1.37 * outputs_of(loss, reach)[1::2] + 0.0123
    seen = replace(found, output=fresh, value=loss.values(fresh, loss.space.inner_points))
    off = float((seen.sums() - 1).abs().max())
    if not off <= FRESH * SOLVES:
        return Finding(
            "undecided",
            residual=off,
            said=f"the base measure that fits at some outputs misses 1 by {off:.1g} at others",
        )
    itself = abs(found.tau - 1) <= TAU_EXACT
    tau, log_h = 1.0 if itself else found.tau, torch.from_numpy(found.log_h)
    even = float((log_h - log_h[0]).abs().max()) <= TAU_EXACT
    measure = _written(float(log_h[0].exp())) if even else ", ".join(_written(float(h)) for h in log_h[:8].exp())
    measure += " by label" * (not even) + ", one of several" * bool(several)
    p = torch.exp(log_h - seen.value / tau)
    return Finding(
        "likelihood" if itself else "scaled likelihood", ordered_name(fresh, p) or "categorical", tau, None,
        lambda target: log_h[target.long()], measure, max(off, found.misfit),
    )  # fmt: skip


def _written(h: float) -> str:
    return f"{h:.6g}"


def _one_way(loss: Loss, reach: float) -> Witness | None:
    """An output at which no probabilities make the expected gradient vanish: a likelihood's always does, at any τ and h."""
    outputs = torch.cat([moderate_outputs(loss.space), outputs_of(loss, reach)])
    value, slope = loss.cross(outputs, loss.space.inner_points)
    size = slope.abs().amax((1, 2))
    for at in (size > 0).nonzero().squeeze(1).tolist():
        scaled = (slope[at] / size[at]).T.numpy()  # (m, K)
        if not np.isfinite(scaled).all():
            continue
        if loss.space.outputs == 1:
            pushed = float(scaled.min()) > ONE_WAY or float(scaled.max()) < -ONE_WAY
        else:
            system = np.vstack([scaled, np.ones(scaled.shape[1])])
            pushed = scipy.optimize.nnls(system, np.append(np.zeros(len(scaled)), 1.0))[1] > math.sqrt(ONE_WAY)
        if pushed:
            return Witness(
                outputs=(raw_output(outputs[at]),), targets=row(loss.space.inner_points[:3].double()), loss=(row(value[at, :3]),),
                says="the loss of every target falls in one direction from this output, so that Σ exp(−loss/τ)·h rises there",
            )  # fmt: skip
    return None


def _weights(found: System) -> System | None:
    """With h > 0 on every target; of several solutions the one whose least probability is largest. None where there is none."""
    least = found.value.amin(0).numpy() / found.tau
    h = found.sign * np.exp(found.log_h - least)  # the largest probability of each target
    if len(found.null):
        free = len(found.null)
        bounds = np.hstack([-found.null.T, np.ones((len(h), 1))])
        done = scipy.optimize.linprog(
            [0.0] * free + [-1.0], A_ub=bounds, b_ub=h, bounds=[(None, None)] * free + [(None, 1.0)]
        )
        if done.status != 0:
            return None
        h = h + done.x[:free] @ found.null
    if float(h.min()) <= SMALLEST_WEIGHT * float(h.max()):
        return None
    log_h = np.array([_plain(one) for one in np.log(h) + least])
    rounded = replace(found, log_h=log_h, sign=np.ones(len(h)))
    off = float((rounded.sums() - 1).abs().max())
    exact = replace(found, log_h=np.log(h) + least, sign=np.ones(len(h)))
    return replace(rounded, misfit=off) if off <= 10 * max(found.misfit, 1e-15) else exact


def _plain(log_h: float) -> float:
    """The log of a small fraction, if h is within rounding of one."""
    if abs(log_h) > math.log(1e6):
        return log_h
    near = Fraction(math.exp(log_h)).limit_denominator(PLAIN)
    return math.log(near) if near and abs(float(near) - math.exp(log_h)) <= TAU_EXACT * float(near) else log_h


def _negative(found: System) -> Witness:
    """The output at which the target of the least weight would be likeliest, and its probability there."""
    p = found.sign * np.exp(found.log_h - found.value.numpy() / found.tau)
    target = int(p.max(0).argmin() if (p >= 0).all() else p.min(0).argmin())
    at = int(np.abs(p[:, target]).argmax())
    return Witness(
        outputs=(raw_output(found.output[at]),), target=target, probability=(float(p[at, target]),),
        z=(float(np.exp(-found.value.numpy()[at]).sum()),),
        says="the one h with Σ exp(−loss/τ)·h = 1 at all outputs gives this target no positive probability",
    )  # fmt: skip
