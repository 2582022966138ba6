"""Z(f) = ∫ exp(−loss(f, y)/τ) h(y) dy, or the sum over counts, for several outputs at once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.counting import far_sum
from mlnn.targets import Coordinate

Z_ROUNDING = 1e-8
"""Relative spread of Z that is rounding. Measured on the catalogue and the tests' losses: likelihoods spread by up to 1.4e-11."""
DIGITS = 1e-12
"""Relative error asked of an integral where nothing else is said: thousands of roundoffs of float64, far below Z_ROUNDING."""
CONVERGED = 1e-9
"""Relative error at which an integral that ran out of subdivisions has settled all the same."""
SUBDIVISIONS = 250
"""Of adaptive quadrature, at most: it bounds the time; an integral that needs more has not settled."""
NOTHING = -1e300
"""Stands for a height that is not finite."""
COUNTED = 1e-14
"""A sum over counts that changes by no more than this share when it is doubled has settled."""
FIRST_COUNTS = 2048
"""Counts that are summed at first: a second mode far out is not to be missed."""
MOST_COUNTS = 8192
"""Counts that are summed at most; what lies beyond is estimated by steps and must have faded."""
RATES_AGREE = 1e-4
"""Share to which the rate at which a density falls near 0 or 1 must be the same a little farther in."""
WIDTHS = (0.1, 10.0)
"""A bulk is taken to be no narrower and no wider than this, in units of the coordinate; narrower peaks are looked into."""
PEAK = 5
"""Points of a refined grid that a peak must cover before it counts as seen."""
OVERFLOW = 600.0
"""Where a coordinate is beyond this, e^v may overflow and inf − inf be NaN: the density there is taken as 0, if it fades before."""
FADED = 1e-9
"""Share of Z that may be left where the targets that float64 holds end."""
INWARD = 0.05
"""How much farther in, as a share of the range, the fall of a density towards 0 and 1 is looked at again."""
FINEST, FINEST_SHARE = 1e-30, 1e-13
"""A peak narrower than this, or than this share of where it is (a thousand roundoffs), is not looked into."""
BETWEEN = 0.1
"""How far apart, in units of the coordinate, a density is compared to tell the rate at which it falls."""
SHORT_OF_IT = 10.0
"""How far short of OVERFLOW the last place is at which a density that is NaN beyond is looked at."""
LEAST = -700.0
"""A log density below this is none."""
Base = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Total:
    """Z (F,), its estimated `errors` (F,), and `error` of all together, infinite if they did not settle: then `why` not."""

    z: Tensor
    error: float
    errors: Tensor
    why: str = ""

    def within(self, share: float) -> bool:
        """Whether every Z is known to that share of the largest."""
        return self.error <= share * float(self.z.abs().max())

    def known(self, share: float) -> Tensor:
        """Mask (F,) of the outputs whose own Z is known to that share of itself, whatever the others'."""
        return self.errors <= share * self.z.abs()


@dataclass(frozen=True)
class Reach:
    """Points p stand for coordinates middle + width·p, (F,) each, on a line that goes on beyond float64."""

    middle: Tensor
    width: Tensor
    along: Coordinate

    def at(self, points: Tensor) -> Tensor:
        """Sizes (P, F) of the coordinates of points (P,)."""
        return (self.middle + self.width * points[:, None]).abs()


def integral(
    log_density: Callable[[Tensor], Tensor],
    low: float = -np.inf,
    high: float = np.inf,
    digits: float = DIGITS,
    reach: Reach | None = None,
    breaks: Sequence[float] = (0.0,),
) -> Total:
    """∫ exp(log_density(v)) dv at every output; log_density: (P,) to (P, F). `digits`: relative; `breaks`: first cuts.

    Adaptive Gauss–Kronrod, so kinks are found. It does not settle where an error is left, a density is NaN, or (with
    `reach`) it is cut off by the ends of float64 before it has faded.
    """
    lost, masked = torch.tensor(False), torch.tensor(False)  # (F,) once asked: a density was NaN in reach; beyond it

    def density(points: np.ndarray) -> np.ndarray:
        nonlocal lost, masked
        v = torch.from_numpy(points[:, 0].copy())
        found = torch.exp(log_density(v))
        at = v.abs()[:, None] if reach is None else reach.at(v)
        far, unknown = at >= OVERFLOW, torch.isnan(found)
        if reach and reach.along.overflows:  # there is no target out there
            unknown |= torch.isinf(found) & far
        lost, masked = lost | (unknown & ~far).any(0), masked | (unknown & far).any(0)
        return torch.where(unknown, 0.0, found).numpy()

    with np.errstate(all="ignore"):
        done = scipy.integrate.cubature(
            density, [low], [high], rule="gk21", rtol=digits, atol=digits / 10, max_subdivisions=SUBDIVISIONS,
            points=[[at] for at in breaks],
        )  # fmt: skip
    value, errors = torch.from_numpy(np.asarray(done.estimate)), torch.from_numpy(np.asarray(done.error))
    error, converged = float(np.max(done.error)), done.status == "converged"
    finite = torch.isfinite(value)
    fades = _fades(log_density, value, reach, bool(masked.any())) if reach else torch.ones_like(finite)
    open_ = ~finite | lost | ~fades
    settled = converged or error <= CONVERGED * float(np.max(np.abs(done.estimate)))
    why = _why(finite, lost, fades, float((errors / value.abs()).max()))
    errors = torch.where(open_ | errors.isnan(), torch.inf, errors)
    if not settled or bool(open_.any()):
        return Total(value, np.inf, errors, why)
    return Total(value, error, errors)


def _fades(log_density: Callable[[Tensor], Tensor], value: Tensor, reach: Reach, masked: bool) -> Tensor:
    """Mask (F,): whether at the last place that still has a density, far out on both sides, there is nothing left of it.

    A density that jumps to 0 there has met the end of float64, not its own. `masked`: a NaN was taken as 0 far out.
    """
    places = sorted({OVERFLOW - SHORT_OF_IT, *reach.along.far} if masked else {*reach.along.far})
    count, found = len(value), torch.ones(len(value), dtype=torch.bool)
    for side in (-1, 1):
        at = side * torch.tensor(places, dtype=torch.float64)
        points = (at[:, None] - reach.middle) / reach.width.expand(count)  # (P, F)
        density = torch.exp(log_density(points.reshape(-1))).reshape(len(at), count, count).diagonal(dim1=1, dim2=2)
        held = torch.where(torch.isfinite(density), density * points.abs(), 0.0)
        there = (held > 0).double() * torch.arange(1, len(at) + 1, dtype=torch.float64)[:, None]
        last = held.gather(0, there.argmax(0, keepdim=True)).squeeze(0)
        found &= last <= FADED * value.abs()
    return found


def _why(finite: Tensor, unknown: Tensor, fades: Tensor, error: float) -> str:
    """What kept an integral from settling, the gravest first."""
    if bool(unknown.any()):
        return "exp(−loss) is NaN at some targets"
    if not bool(finite.all()):
        return "exp(−loss) overflows float64"
    if not bool(fades.all()):
        return "exp(−loss) has not faded where the targets that float64 holds end"
    return f"adaptive quadrature leaves a relative error of {error:.1g}"


def partition(
    loss: Loss, output: Tensor, tau: float = 1.0, log_base: Base | None = None, *, shells: bool = False
) -> Total:
    """Z at outputs (F,) or (F, m), h = 1 unless given. `shells`: cut by decades around the bulk, to see every scale there."""
    along = loss.space.coordinate
    if along is None:
        return count_sum(loss, output, tau, log_base)
    middle, width = _bulk(loss, output, along)

    def log_density(points: Tensor) -> Tensor:
        v = middle + width * points[:, None]  # (P, F): every output in units of its own bulk
        y = along.target(v).T.reshape(-1)
        value = loss.value(output.repeat_interleave(len(points), 0), y).reshape(len(output), -1).T
        weight = 0.0 if log_base is None else log_base(y).reshape(len(output), -1).T
        return weight - value / tau + along.log_slope(v) + width.log()

    low, high = (float(((end - middle) / width).max() if end < 0 else ((end - middle) / width).min())
                 for end in (along.low, along.high))  # fmt: skip
    reach = Reach(middle, width, along) if along.far else None
    cuts = [at for at in _decades(float(width.min())) if low < at < high] if shells else [0.0]
    total = integral(log_density, low, high, along.digits, reach, cuts)
    if along.overflows and not total.within(CONVERGED):  # a power of y is an exponential of log y
        reached = OVERFLOW - SHORT_OF_IT
        ends = (float(((-reached - middle) / width).max()), float(((reached - middle) / width).min()))
        closed = _with_ends(integral(log_density, *ends, along.digits), log_density, *ends)
        return closed if closed.within(CONVERGED) else total
    return _with_ends(total, log_density, low, high) if along.beyond else total


def _decades(width: float) -> list[float]:
    """0 and ± powers of ten, from a hundredth of the width to ten thousand of the coordinate's own units."""
    sizes = [10.0**k for k in range(-2, math.ceil(4 - math.log10(width)) + 1)]
    return sorted([0.0, *sizes, *(-size for size in sizes)])


def _with_ends(total: Total, log_density: Callable[[Tensor], Tensor], low: float, high: float) -> Total:
    """With what lies beyond both ends where the density falls off as e^(−rate·|v|), which it does near 0 and 1.

    Where it does not fall off there, or at another rate a little farther in, the integral has not settled.
    """
    beyond, errors, why = torch.zeros(()), total.errors, total.why
    deeper = INWARD * (high - low)
    for end, inner, deep in ((low, low + BETWEEN, low + deeper), (high, high - BETWEEN, high - deeper)):
        far, near = log_density(torch.tensor([end, inner], dtype=torch.float64))
        rate = (near - far) / abs(end - inner)
        part = torch.exp(far) / rate
        beyond = beyond + part
        far_in, near_in = log_density(torch.tensor([deep, deep + inner - end], dtype=torch.float64))
        rate_in = (near_in - far_in) / abs(end - inner)
        unlike = ((rate - rate_in).abs() > RATES_AGREE * rate.abs()) & (far > LEAST)
        rising = ~(rate > 0) & (far > LEAST)
        errors = torch.where(unlike, errors + part.abs() * (rate / rate_in - 1).abs().clamp_max(1.0), errors)
        errors = torch.where(rising, torch.inf, errors)
        if bool((unlike | rising).any()):
            why = why or "exp(−loss) does not fall off as a power towards 0 or 1"
    error = max(total.error, float(errors.max())) if bool((errors > total.errors).any()) else total.error
    return Total(total.z + beyond, error, errors, why)


def _bulk(loss: Loss, output: Tensor, along: Coordinate) -> tuple[Tensor, Tensor]:
    """Where exp(−loss) is largest over v, and how wide it is there: (F,) and (F,). Of an interval, its middle and half."""
    if not along.endless:  # one interval for every output, so that both its ends are met exactly
        one = torch.ones(len(output), dtype=torch.float64)
        return (along.low + along.high) / 2 * one, (along.high - along.low) / 2 * one
    v = torch.linspace(max(along.low, -60.0), min(along.high, 60.0), 1201, dtype=torch.float64)
    height = -loss.values(output, along.target(v)) + along.log_slope(v)
    height = height.nan_to_num(NOTHING, NOTHING, NOTHING)
    top = height.amax(1, keepdim=True)
    inside = (height > top - 1).double().sum(1)
    best = height.argmax(1)
    middle, width = v[best], (inside * float(v[1] - v[0])).clamp(*WIDTHS)
    narrow = (inside <= 1) & (best > 0) & (best < len(v) - 1)  # than the grid is fine; at its end it is no peak
    for row in narrow.nonzero().squeeze(1).tolist():
        middle[row], width[row] = _peak(loss, output[row : row + 1], along, float(middle[row]), float(v[1] - v[0]))
    return middle, width


def _peak(loss: Loss, output: Tensor, along: Coordinate, middle: float, half: float) -> tuple[float, float]:
    """Where a narrow peak near `middle` is highest, and how wide it is: the grid around it is refined until it shows."""
    while True:
        v = torch.linspace(max(along.low, middle - half), min(along.high, middle + half), 41, dtype=torch.float64)
        height = (-loss.values(output, along.target(v))[0] + along.log_slope(v)).nan_to_num(NOTHING, NOTHING, NOTHING)
        middle, step = float(v[height.argmax()]), half / 20
        inside = int((height > height.max() - 1).sum())
        if inside >= PEAK or step <= max(FINEST_SHARE * abs(middle), FINEST):
            return middle, min(max(inside, 1) * step, WIDTHS[0])
        half = 2 * step


def count_sum(loss: Loss, output: Tensor, tau: float, log_base: Base | None) -> Total:
    """Sums over 0 … N, N doubled until nothing more comes in."""
    count, before = FIRST_COUNTS, None
    last = torch.full((len(output),), torch.nan, dtype=torch.float64)
    while count <= MOST_COUNTS:
        target = torch.arange(count, dtype=torch.float64)
        now = _terms(loss, output, target, tau, log_base).sum(1)
        if bool(torch.isnan(now).any()):
            return Total(now, np.inf, torch.full_like(now, torch.inf), "exp(−loss) is NaN at some counts")
        if before is not None:
            last = (now - before).abs() / now
            if bool(((now - before).abs() <= COUNTED * now).all()):  # 0 and 0 too
                break
        count, before = 2 * count, now
    settled = (last <= COUNTED) & (now > 0)
    if bool(settled.any()):
        settled &= _beyond(loss, output, tau, log_base) <= FADED * now
    errors = torch.where(settled, COUNTED, torch.inf).double()
    if bool(settled.all()):
        return Total(now, COUNTED, errors)
    summed = min(count, MOST_COUNTS)
    open_ = (~settled).nonzero().squeeze(1)
    rest, off = far_sum(lambda y: _log_terms(loss, output[open_], y, tau, log_base), summed, now[open_])
    errors[open_] = off
    lost = ~torch.isfinite(errors)
    why = f"the sum over the first {summed} counts is not all of it" if bool(lost.any()) else ""
    return Total(now.index_add(0, open_, rest).masked_fill(lost, torch.nan), float(errors.max()), errors, why)


def _terms(loss: Loss, output: Tensor, target: Tensor, tau: float, log_base: Base | None) -> Tensor:
    """exp(−loss/τ)·h of every output (F,) at every count (Y,), (F, Y)."""
    return torch.exp(_log_terms(loss, output, target, tau, log_base))


def _log_terms(loss: Loss, output: Tensor, target: Tensor, tau: float, log_base: Base | None) -> Tensor:
    """−loss/τ + log h of every output (F,) at every count (Y,), (F, Y)."""
    weight = 0.0 if log_base is None else log_base(target)
    return weight - loss.values(output, target) / tau


def _beyond(loss: Loss, output: Tensor, tau: float, log_base: Base | None) -> Tensor:
    """Roughly what counts beyond those summed add (F,), by steps of a five-hundredth out to a million."""
    target = torch.logspace(math.log10(MOST_COUNTS), 6, 2400, dtype=torch.float64).round()
    terms = _terms(loss, output, target[:-1], tau, log_base).nan_to_num(0.0)
    return (terms * target.diff()).sum(1)


def spread(z: Tensor) -> float:
    """How far Z (F,) is from constant: largest relative distance from its median; infinite unless finite and positive."""
    if not bool((torch.isfinite(z) & (z > 0)).all()):
        return float("inf")
    return float((z / z.median() - 1).abs().max())
