"""How fast does ρ grow far from the output? Then e^−ρ has an integral over the target, has none, or it cannot be told."""

import itertools
import math

import torch
from torch import Tensor

from mlnn.auditing.finding import Finding
from mlnn.auditing.integrals import integral
from mlnn.auditing.located import Located
from mlnn.auditing.powers import PowerTail, Stretch, power_tail
from mlnn.auditing.record import Witness
from mlnn.auditing.shift import no_measure

FARTHER = (1e5, 1e7, 1e10, 1e15, 1e20, 1e30, 1e40, 1e60)
"""Residuals, in widths, out to which a tail must go on as slowly before its integral is said to be infinite."""
BORDER = 1e-4
"""How far above 1 a tail may grow and still be too near to it: growth is read off differences of logarithms."""
POWERS = (1e3, 1e8)
"""Residuals, in widths, over which a tail is read as a power …"""
STILL_SO = (1e10, 1e15, 1e20, 1e30, 1e40, 1e60, 1e100, 1e140)
"""… and where it must still be that power; targets beyond have squares that float64 does not hold."""
SAFE = 1.05
"""A tail that grows at least so fast is integrable beyond doubt."""
EXPONENTIAL = 1e3
"""A tail that grows faster than this is no power: lighter than any."""
STEEPENS = 1.01
"""A tail steeper than the decade before by this factor is on the way to steeper still."""
FALLING = 5.0
"""A growth that falls from one decade to the next falls by up to that many times as much beyond: k·log log|v| by about 4."""
DOUBLED = (100.0, 200.0, 400.0, 800.0)
"""Widths out to which an integral is taken to show that it grows without end."""
KEEPS_GROWING = 0.5
"""Share of the first step that the last must still have: a harmonic series keeps all of it."""


def tail_growth(found: Located) -> tuple[float, Finding | None]:
    """The power of the tail, |v|^−growth (inf: lighter than any), and a finding where it is too heavy to integrate."""
    slowest = math.inf
    if found.turns or not found.along.tail:
        return slowest, None
    # Widths of a residual y − f; a log y − f is no farther from its target for being wide.
    places = (found.width if found.loss.space.whole_line else 1.0) * torch.tensor(found.along.tail, dtype=torch.float64)
    for side in (-1, 1):
        rho = found.rho(side * places)
        near, far = (float(rho[k + 1] - rho[k]) / math.log(10) for k in (0, 1))
        if float(rho[-1]) == math.inf or far > EXPONENTIAL:
            continue
        if near > EXPONENTIAL and not math.isfinite(float(rho[-1])):
            continue  # ∞ − ∞, of a formula that overflows there
        if far > SAFE:
            # Steeper than a decade before: on the way to steeper still. Less steep: how far it goes on falling is not seen.
            slowest = min(
                slowest, max(1.0, far - FALLING * max(near - far, 0.0)) if far < STEEPENS * near else math.inf
            )
            continue
        slow = slow_tail(found, side)
        if slow is None or not slow.sums:
            return far, _heavy(found, side, far, slow)
        slowest = min(slowest, slow.power)
    return slowest, None


def slow_tail(found: Located, side: float) -> PowerTail | None:
    """The tail on one side, where it falls as a power, or as 1/v and a power of log v; None for any other."""
    if found.loss.space.whole_line:
        over = Stretch(
            found.width * POWERS[0], found.width * POWERS[1], tuple(found.width * place for place in STILL_SO)
        )
    else:
        over = Stretch(*found.along.powers)
    return power_tail(lambda v: found.rho(side * v), over)


def _heavy(found: Located, side: float, growth: float, slow: PowerTail | None) -> Finding:
    """What is said of a tail ρ ~ growth·log|v|, |v|^−growth, that is hardly steep enough to integrate, or not."""
    what = f"log|{found.along.name} − f|"
    if math.isnan(growth):
        return Finding("undecided", said="the loss is NaN, or not finite on the way, at targets far from the output")
    if slow is not None and slow.sums is None:
        of_log = "" if slow.of_log is None else f" + {slow.of_log:.4g}·log {what}"
        said = f"its tail grows as {slow.power:.8g}·{what}{of_log}, at the border where the integral becomes infinite"
        return Finding("undecided", said=said)
    if growth > 1 + BORDER and slow is None:
        said = (
            f"its tail grows as {growth:.4g}·{what}, too near to 1, where the integral over the target becomes infinite"
        )
        return Finding("undecided", said=said)
    if not found.loss.space.whole_line or growth < -BORDER:
        none = no_measure(found)
        if none:
            return none
    if not found.loss.space.whole_line:
        said = f"as a density of {found.along.name} it cannot be normalised, and whether another measure helps is not known"
        return Finding("undecided", said=said)
    farther = found.rho(side * found.width * torch.tensor(FARTHER, dtype=torch.float64))
    on = farther.diff() / (torch.tensor(FARTHER, dtype=torch.float64).log().diff())
    witness = _endless(found, side) if bool((on <= 1 + BORDER).all()) or slow is not None else None
    if witness is None:
        said = f"its tail grows as {growth:.3g}·{what} at first, but whether it goes on so, without end, cannot be told"
        return Finding("undecided", said=said)
    said = (
        f"its tail grows as {max(growth if slow is None else slow.power, 0.0):.3g}·log|y−f|, and more than 1 is needed"
    )
    if slow is not None and slow.of_log:
        said = f"its tail grows as log|y−f| + {slow.of_log:.3g}·log log|y−f|, and more than 1 of the latter is needed"
    return Finding("unnormalisable", "none", witness=witness, said=said, residual=math.inf)


def _endless(found: Located, side: float) -> Witness | None:
    """The integral from 0 out to R and to 2R, 4R, …; None unless it keeps growing."""
    ends = [found.width * size for size in DOUBLED]

    def log_density(v: Tensor) -> Tensor:
        return -found.rho(v)[:, None]

    totals = [float(integral(log_density, min(0.0, side * end), max(0.0, side * end)).z) for end in ends]
    steps = [later - before for before, later in itertools.pairwise(totals)]
    if not all(step > 0 for step in steps) or steps[-1] < KEEPS_GROWING * steps[0]:
        return None
    return Witness(
        outputs=(0.0,),
        ranges=tuple(side * end for end in ends),
        z=tuple(totals),
        says="the integral of exp(−loss) over the target grows without end as the range is doubled",
    )
