"""A loss that stays as it is when its target and some of its outputs are moved together leaves one base measure for each τ.

Let u be the coordinate of y on a line, and L(f + td, u + t) = L(f, u) + a(u + t) − a(u) for all t. If h·exp(−L/τ) has the integral
1 for every f, then so has its average over all such shifts, and that is e^(a(u)/τ) du and a constant (Choquet & Deny 1960 on the
equation μ∗k = 1; the translations are an amenable group). So there is a base measure if and only if this one does it, and it is
left to see whether at any τ its Z is one number. log Z is convex in 1/τ: between two temperatures it lies below its chord and
above its tangents, so that two outputs' Z are told apart on whole intervals of τ, not at points.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.careful import careful_z
from mlnn.auditing.integrals import NOTHING
from mlnn.auditing.record import Witness, raw_output, row
from mlnn.auditing.vouching import shell
from mlnn.targets import Coordinate

PLACES = torch.tensor([-2.713, -1.401, -0.577, -0.113, 0.237, 0.829, 1.619, 2.391], dtype=torch.float64)
"""Coordinates of targets at which a shift is looked for."""
SHIFTS = (0.731, -1.917)
ROUNDING = 1e-9
"""Share of the values to which a shift must leave a loss as it is."""
STEP = 1e-5
"""Of a central difference in the target."""
MOST_ENTRIES = 5
"""With more outputs than this only one entry, all together, or those that slopes say are moved."""
LOG_TAUS = tuple(k / 4 for k in range(-28, 29))
"""τ is looked at from e^−7 to e^7; beyond, log Z of two outputs must go on apart as it does there."""
APART = 1e-4
"""By which two log Z must differ; per unit of loss/τ where that is less than 1."""
ERRORS = 30.0
"""And by so many times what they change by when every other place is left out: kinks lie where they like between places."""
FADED = 1e-7
"""Share of Z that may lie at the end of the places."""
DEPTH = 14
"""Halvings of an interval of 1/τ, at most."""
GOES_ON = 0.5
"""Share of a difference, per 1/τ, that must still be there when τ is once more doubled or halved."""


@dataclass(frozen=True)
class Shift:
    """The entries that move with the target, `way` (m,), and `level` a(u) (P,) at the places u (P,) with weights e^`weight`."""

    way: Tensor
    places: Tensor
    weight: Tensor
    level: Tensor


@dataclass(frozen=True)
class At:
    """At 1/τ = `beta`: log Z (F,), its `slope` in that (F,), and its `error` (F,)."""

    beta: float
    total: Tensor
    slope: Tensor
    error: Tensor

    @property
    def needed(self) -> Tensor:
        """By how much the log Z of two outputs (F, F) must differ."""
        return APART * min(1.0, self.beta) + ERRORS * (self.error[:, None] + self.error[None])


def shifted(loss: Loss, outputs: Tensor) -> Witness | None:
    """Two outputs whose Z differ under the one measure there could be, at every temperature; None where none were found."""
    along = loss.space.coordinate
    if along is None or along.beyond or not along.endless:
        return None
    way = _way(loss, along, outputs)
    if way is None:
        return None
    asked = torch.cat([outputs, shell(loss.space.outputs, 2.0)])
    shift = _places(loss, along, way, asked)
    value = loss.values(asked, along.target(shift.places))
    held = shift.level - value.nan_to_num(math.inf, math.inf, math.inf)
    held, weight = held.nan_to_num(NOTHING, NOTHING, NOTHING), shift.weight
    if not _seen_whole(loss, along, asked, shift, _at(held, weight, 1.0)):
        return None
    found = [_at(held, weight, math.exp(-log_tau)) for log_tau in reversed(LOG_TAUS)]  # 1/τ ascending
    looks = [one for one in found if one is not None]
    if len(looks) < len(found):
        return None
    between = partial(_at, held, weight)
    if not all(_apart(one, two, between, DEPTH) for one, two in itertools.pairwise(looks)):
        return None
    if not _goes_on(looks[1], looks[0]) or not _goes_on(looks[-2], looks[-1]):
        return None
    totals = torch.stack([look.total for look in looks])
    spread = totals.amax(1) - totals.amin(1)
    closest = int(spread.argmin())
    one, two = int(totals[closest].argmin()), int(totals[closest].argmax())
    ratio = float(torch.exp(totals[closest, two] - totals[closest, one]))
    return Witness(
        outputs=(raw_output(asked[one]), raw_output(asked[two])),
        z=row(torch.tensor([1.0, ratio], dtype=torch.float64)),
        says=f"the loss stays as it is when the target and {_said(way)} move together, which leaves one base measure for each τ;"
        f" under it no τ makes all outputs' sums one number: at the τ where they are closest, {1 / looks[closest].beta:.4g},"
        " these two are so many times as large",
    )


def _seen_whole(loss: Loss, along: Coordinate, asked: Tensor, shift: Shift, found: At | None) -> bool:
    """Whether at τ = 1 the places give every output's Z that another quadrature gives, which cuts wherever a peak may be."""
    if found is None:
        return False
    start = asked[:1] - asked[:1] * shift.way.ne(0)

    def log_base(y: Tensor) -> Tensor:
        u = along.back(y)
        return loss.value(start + u[:, None] * shift.way, y) - along.log_slope(u)

    again = torch.tensor([careful_z(loss, output, 1.0, log_base)[0] for output in asked], dtype=torch.float64).log()
    apart = (again - again[0]) - (found.total - found.total[0])
    return bool((apart.abs() <= APART + ERRORS * (found.error + found.error[0])).all())


def _said(way: Tensor) -> str:
    moved = [f"f{k + 1}" for k in way.nonzero().squeeze(1).tolist()]
    return moved[0] if len(moved) == 1 else ", ".join(moved[:-1]) + " and " + moved[-1]


def _way(loss: Loss, along: Coordinate, outputs: Tensor) -> Tensor | None:
    """The entries (m,), 0 and 1, that move with the target; None where there are none."""
    count = loss.space.outputs
    ways = [torch.eye(count, dtype=torch.float64)[k] for k in range(count)] + [torch.ones(count, dtype=torch.float64)]
    if count <= MOST_ENTRIES:
        ways += [
            torch.tensor(way, dtype=torch.float64) for way in itertools.product((0.0, 1.0), repeat=count) if any(way)
        ]
    told = _told_by_slopes(loss, along, outputs)
    for way in [*([] if told is None else [told]), *ways]:
        if _leaves_it(loss, along, outputs, way):
            return way
    return None


def _told_by_slopes(loss: Loss, along: Coordinate, outputs: Tensor) -> Tensor | None:
    """∂loss/∂u + Σ d_k ∂loss/∂f_k does not depend on the output: d (m,) by least squares, rounded."""
    _, gradient = loss.cross(outputs, along.target(PLACES))
    ahead, back = (loss.values(outputs, along.target(PLACES + side * STEP)) for side in (1, -1))
    slope = (ahead - back) / (2 * STEP)
    design, wanted = gradient - gradient.mean(0), slope - slope.mean(0)
    if not bool(torch.isfinite(design).all() & torch.isfinite(wanted).all()):
        return None
    found = torch.linalg.lstsq(design.reshape(-1, design.shape[-1]), -wanted.reshape(-1, 1)).solution.squeeze(1).round()
    return found if bool(found.any()) else None


def _leaves_it(loss: Loss, along: Coordinate, outputs: Tensor, way: Tensor) -> bool:
    """Whether the loss, its target and those entries moved, is what it was but for a function of the target."""
    here = loss.values(outputs, along.target(PLACES))
    for shift in SHIFTS:
        moved = loss.values(outputs + shift * way, along.target(PLACES + shift))
        apart = moved - here
        size = (moved.abs() + here.abs()).clamp_min(1.0)
        if not bool(((apart - apart[:1]).abs() <= ROUNDING * (size + size[:1])).all()):
            return False
    return True


def _places(loss: Loss, along: Coordinate, way: Tensor, asked: Tensor) -> Shift:
    """Where Z is integrated: dense near 0, out to where coordinates end."""
    ends = math.asinh(10 * (max(along.far) if along.overflows else 1e9))
    t = torch.linspace(-ends, ends, 8001, dtype=torch.float64)
    u = torch.sinh(t) / 10
    weight = torch.log(torch.cosh(t) / 10 * (t[1] - t[0]))
    from_zero = asked[:1] - asked[:1] * way.ne(0)  # its moving entries at 0
    level = loss.value(from_zero + u[:, None] * way, along.target(u))
    return Shift(way, u, weight, level - float(loss.values(from_zero, along.target(torch.zeros(1).double()))))


def _at(held: Tensor, weight: Tensor, beta: float) -> At | None:
    """None where exp(−loss/τ) has not faded at the ends, or is not finite."""
    log_density = (weight + beta * held).nan_to_num(NOTHING, NOTHING, NOTHING)
    total = torch.logsumexp(log_density, 1)
    p = torch.exp(log_density - total[:, None])
    if not bool(torch.isfinite(total).all()) or float(p[:, [0, -1]].max()) > FADED:
        return None
    others = [torch.logsumexp(log_density[:, start::2], 1) + math.log(2) for start in (0, 1)]
    error = torch.stack([(one - total).abs() for one in others]).amax(0)
    return At(beta, total, (p * torch.where(p > 0, held, 0.0)).sum(1), error)


def _apart(one: At, two: At, between: Callable[[float], At | None], depth: int) -> bool:
    """Whether for every 1/τ between the two some two outputs' log Z are apart; halved where that cannot be told at once.

    Where the tangents at both ends meet, the lower bound of one output is nearest to the chord of another.
    """
    width = two.beta - one.beta
    meet = (
        ((two.total - one.total - two.slope * width) / (one.slope - two.slope))
        .nan_to_num(0.0, 0.0, 0.0)
        .clamp(0, width)
    )
    below = one.total + one.slope * meet
    chord = (
        one.total[None] + (two.total - one.total)[None] * (meet / width)[:, None]
    )  # (F, F): of the second, where the first's meet
    ends = torch.minimum(*(look.total[:, None] - look.total[None] - look.needed for look in (one, two)))
    if bool((torch.minimum(ends, below[:, None] - chord - torch.maximum(one.needed, two.needed)) > 0).any()):
        return True
    middle = between(math.sqrt(one.beta * two.beta)) if depth else None
    return middle is not None and _apart(one, middle, between, depth - 1) and _apart(middle, two, between, depth - 1)


def _goes_on(inner: At, outer: At) -> bool:
    """Whether some two outputs' log Z, per 1/τ, are as far apart at the outer τ as at the inner one, or nearly."""
    near, far = ((look.total[:, None] - look.total[None]) / look.beta for look in (inner, outer))
    return bool(((far * outer.beta > outer.needed) & (far >= GOES_ON * near)).any())
