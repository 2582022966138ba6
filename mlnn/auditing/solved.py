"""Finite targets of which the raw outputs say less than every probability: h solves Σ_y h_y exp(−loss_y/τ) = 1 at all outputs.

One output shared by K − 1 steps, proportional odds, binomial counts: the gradients leave many probabilities open, but for each
τ the base measure is the solution of one linear system, and τ is where that system has one. Two refutations need no τ: an
output at which every target's gradient points one way, and (for all τ tried) the system's least misfit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import Finding
from mlnn.auditing.ordered import ordered_name
from mlnn.auditing.record import Witness, raw_output, row
from mlnn.auditing.sound import moderate_outputs
from mlnn.seeding import generator

MOST_SOLVED = 40
"""Targets for which a system is solved: with more of them exponentials are so nearly dependent that anything fits."""
SOLVES = 1e-12
"""Misfit of the system, an absolute one of a sum of 1, that is rounding: CORAL with 3 to 12 labels leaves 1e-15 to 3e-13, and
with one of its steps weighted 1.0001 at least 5e-11."""
FAILS, FAILS_ABOVE = 1e-7, 1e-6
"""Least misfit at a temperature between its neighbours from which it is none that fits, and, per what exp(−loss/τ) varies by,
that of weights above 0 at any other; between these and SOLVES it is not decided. Where a temperature fits the one is ≤ 1e-12."""
FRESH = 10
"""As many times that may be left at outputs from which h was not solved."""
VALLEY = 1e4
"""By how much the misfit must fall at the temperature that fits: where it is small all around, anything fits."""
LOG_TAUS = np.arange(-6.0, 6.01, 0.125)
"""Where log τ is looked for, in units of what the loss varies by; the misfit of a true one rises over a few of these steps."""
TAU_EXACT = 1e-9
"""A temperature this near to 1 is 1."""
NARROWED = 75
"""Steps of golden section, 0.618 each, from two steps of that grid down to float64."""
RANK, TOLD_APART = 3e-16, 1e-8
"""Singular values of the system, columns scaled to 1, below this share say that h is not unique; between the two the labels'
exponentials are so nearly dependent that a loss beside a likelihood solves the system as well."""
SMALLEST_WEIGHT = 1e-9
"""Share of the largest probability that a target has at any output below which it has no weight, or a negative one."""
ONE_WAY = 1e-6
"""Share of the largest gradient by which all must point one way; far above the rounding of a gradient."""
DECADES = 6
"""A single output's labels are looked for from 10^−6 to 10^6 on both sides."""
NEAREST = 1e-3
"""Nearer than this labels change at 0 itself."""
BEYOND = 3.0
"""Outputs are laid out to this many times where the likeliest label last changes …"""
ORDINARY, AS_FAR = 4.0, 3.0
"""… and, if that is not within this factor of it, as far as ordinary training visits."""
PLAIN = 60
"""A weight within rounding of a fraction with no larger denominator is that fraction."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """The losses (F, K) at outputs (F,) or (F, m), and at one temperature the weights h (K,) and the misfit they leave."""

    output: Tensor
    value: Tensor
    tau: float
    log_h: Numbers
    sign: Numbers
    misfit: float
    null: Numbers
    apart: float

    def sums(self) -> Tensor:
        """Σ_y h_y exp(−loss_y/τ) (F,)."""
        return torch.from_numpy((np.exp(self.log_h - self.value.numpy() / self.tau) * self.sign).sum(1))


@dataclass(frozen=True)
class Search:
    """What was found over all temperatures: the best, the misfit a step away, and the least that weights above 0 leave at any."""

    best: System
    around: float
    least: float

    @property
    def fits(self) -> bool:
        """Whether the misfit falls deep at this temperature, and is not small all around it."""
        return self.around >= VALLEY * self.best.misfit


def examine_solved(loss: Loss) -> Finding:
    """What a loss is on labels of which its outputs leave the probabilities open."""
    reach = _reach(loss)
    pushed = _one_way(loss, reach)
    if pushed:
        said = "at some output every target pulls it the same way, so that its expectation is stationary for no probabilities"
        return Finding("no link", said=said, witness=pushed)
    if len(loss.space.inner_points) > MOST_SOLVED:
        return Finding("undecided", said=f"with more than {MOST_SOLVED} labels and fewer outputs than labels a base measure"
                       " is not looked for; the same formula can be audited with fewer")  # fmt: skip
    if len(_outputs(loss, reach)) < 2 * len(loss.space.inner_points):
        return Finding("undecided", said="the loss is finite at too few outputs for a base measure to be read")
    return _judged(loss, reach, _best(loss, reach))


def _judged(loss: Loss, reach: float, found: Search) -> Finding:
    """What the temperature that fits best says."""
    best = found.best
    if best.misfit <= SOLVES and best.apart < TOLD_APART:
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
    fresh = 1.37 * _outputs(loss, reach)[1::2] + 0.0123
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


def _reach(loss: Loss) -> float:
    """How far from 0 the likeliest label still changes, and a little beyond; several outputs are looked at as drawn."""
    if loss.space.outputs > 1:
        return ORDINARY
    far = torch.logspace(-DECADES, DECADES, 24 * DECADES + 1, dtype=torch.float64)
    line = torch.cat([-far.flip(0), far])
    value = loss.values(line, loss.space.inner_points)
    seen = torch.isfinite(value).all(1)
    changes = line[seen][1:][value[seen].argmin(1).diff() != 0].abs()
    furthest = float(changes.max()) * BEYOND if len(changes) else 0.0
    return furthest if furthest > NEAREST else ORDINARY


def _outputs(loss: Loss, reach: float) -> Tensor:
    """Uneven outputs out to `reach`, and as far as training goes, enough for the system to contradict itself: (F,) or (F, m)."""
    count = 33 + 4 * len(loss.space.inner_points)
    noise = generator(5, "audit")
    if loss.space.outputs > 1:
        return reach / 2 * torch.randn(count, loss.space.outputs, generator=noise, dtype=torch.float64)
    line = torch.linspace(-1, 1, count, dtype=torch.float64)
    line = line + (torch.rand(count, generator=noise, dtype=torch.float64) - 0.5) / count
    line = (line + line**3) / 2  # denser about 0
    found = reach * line if reach <= AS_FAR * ORDINARY else torch.cat([reach * line, ORDINARY * line])
    return found[torch.isfinite(loss.values(found, loss.space.inner_points)).all(1)]


def _one_way(loss: Loss, reach: float) -> Witness | None:
    """An output at which no probabilities make the expected gradient vanish: a likelihood's always does, at any τ and h."""
    outputs = torch.cat([moderate_outputs(loss.space), _outputs(loss, reach)])
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


def _best(loss: Loss, reach: float) -> Search:
    """The temperature whose system leaves the least misfit."""
    first, target = _outputs(loss, reach), loss.space.inner_points
    value = loss.values(first, target)
    varies = float((value.amax(1) - value.amin(1)).median()) or 1.0

    def system(log_tau: float) -> System:
        tau = math.exp(log_tau) * varies
        output = max(1.0, tau / varies) * first  # at a high temperature the loss must be seen to vary too
        there = loss.values(output, target) if tau > varies else value
        return _solve(output, there, tau) if bool(torch.isfinite(there).all()) else _solve(first, value, tau)

    itself = -math.log(varies)  # τ = 1
    grid = sorted({*LOG_TAUS.tolist(), itself})
    systems = [system(one) for one in grid]
    misfits = [one.misfit for one in systems]
    best, around = systems[grid.index(itself)], misfits[max(grid.index(itself) - 1, 0)]
    if best.misfit <= SOLVES:
        return Search(best, around, best.misfit)
    found = [Search(best, around, 0.0)]
    for at in range(1, len(grid) - 1):
        if misfits[at] <= min(misfits[at - 1], misfits[at + 1]):
            found.append(
                Search(_narrowed(system, grid[at - 1], grid[at + 1]), min(misfits[at - 1], misfits[at + 1]), 0.0)
            )
    deep = min(found, key=lambda one: one.best.misfit / max(one.around, SOLVES))
    if deep.best.misfit < FAILS and deep.fits:
        return deep
    looked = [*systems, *(one.best for one in found)]
    return replace(deep, least=min(_above(one) * max(1.0, one.tau / varies) for one in looked))


def _above(found: System) -> float:
    """The least misfit, in the mean square, of weights that are not negative."""
    scaled = torch.exp(-(found.value - found.value.amin(0)) / found.tau).numpy()
    try:
        return float(scipy.optimize.nnls(scaled, np.ones(len(scaled)))[1]) / math.sqrt(len(scaled))
    except RuntimeError:  # it did not end: nothing is known
        return 0.0


def _narrowed(system: Callable[[float], System], low: float, high: float) -> System:
    """The least misfit between two temperatures, by golden section down to float64: it falls to 0 as |τ − τ₀|."""
    ratio = (math.sqrt(5) - 1) / 2
    one, two = high - ratio * (high - low), low + ratio * (high - low)
    at_one, at_two = system(one), system(two)
    for _ in range(NARROWED):
        if at_one.misfit < at_two.misfit:
            high, two, at_two = two, one, at_one
            one = high - ratio * (high - low)
            at_one = system(one)
        else:
            low, one, at_one = one, two, at_two
            two = low + ratio * (high - low)
            at_two = system(two)
    found = min(at_one, at_two, key=lambda each: each.misfit)
    short = float(f"{found.tau:.8g}")
    near = _solve(found.output, found.value, short)
    return near if abs(short - found.tau) <= 1e-8 * found.tau and near.misfit <= SOLVES else found


def _solve(output: Tensor, value: Tensor, tau: float) -> System:
    """h of least squares, columns scaled to 1 at their largest so that no weight is lost in rounding."""
    least = value.amin(0)
    scaled = torch.exp(-(value - least) / tau).numpy()
    left, sizes, right = np.linalg.svd(scaled, full_matrices=False)
    kept = sizes > RANK * sizes[0]
    h = right[kept].T @ ((left[:, kept].T @ np.ones(len(scaled))) / sizes[kept])
    misfit = float(np.abs(scaled @ h - 1).max())
    with np.errstate(divide="ignore"):
        log_h = np.log(np.abs(h)) + least.numpy() / tau
    return System(output, value, tau, log_h, np.sign(h), misfit, right[~kept], float(sizes[kept][-1] / sizes[0]))


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
