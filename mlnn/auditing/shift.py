"""What a shift leaves: if loss = ρ(u − f) + a(u), a base measure h solves ∫ h(u) k(u − f) du = 1 at every f, with k = e^(−ρ/τ).

A constant h does where k has a finite integral. Where the ends of k forbid it no h ≥ 0 does, at no τ > 0: if k grows without
end on one side, Z does as f moves away from that side (Fatou); if k tends to c > 0 on a side, h has a finite mass M, and Z
tends to c·M there and to c'·M on the other side, so that c = c'; and if k is nowhere below c, Z > c·M wherever k is above it.
"""

import math

import torch
from torch import Tensor

from mlnn.auditing.finding import Finding
from mlnn.auditing.located import Located
from mlnn.auditing.record import Witness, row
from mlnn.auditing.refute import FOLLOWS, elicits

ENDS = (12.0, 24.0, 48.0, 96.0, 192.0)
"""Where the ends of ρ are read, in units of the coordinate, or of the width on a whole line."""
FLAT, SETTLES, STILL = 1e-4, 0.75, 1e-14
"""Change of ρ over the last doubling below which it has come to a limit, if each doubling changed it by no more than that share
of what the one before did, or by rounding: a logarithm changes by as much at each."""
FALLS = 1e-3
"""By how much ρ must fall at each doubling, and as fast again, to fall without end."""
APART = 1e-3
"""By how much two limits, or ρ and its limit, must differ, in nats."""


def no_measure(found: Located) -> Finding | None:
    """That no base measure makes it a likelihood at any temperature, where the ends of ρ say so; None where they do not."""
    scale = found.width if found.loss.space.whole_line else 1.0
    places = scale * torch.tensor(ENDS, dtype=torch.float64)
    left, right = _end(found.rho(-places)), _end(found.rho(places))
    if left is None or right is None:
        return None
    if min(left, right) == -math.inf:
        says = "exp(−loss) grows without end as the output moves away from any one target, and so would its sum, whatever h"
    elif min(left, right) == math.inf:
        return None
    elif abs(left - right) > APART:
        says = (
            "exp(−loss) tends to two different numbers as the output moves away on either side: Z would too, whatever h"
        )
    elif _peaks(found, max(left, right), scale):
        says = "exp(−loss) is largest near the output and tends to one number far from it: Z would be larger near the targets"
    else:
        return None
    follows, link = elicits(found.loss)
    kind, said = FOLLOWS[follows]
    outputs = torch.tensor([-places[-1], places[-1]], dtype=torch.float64)
    target = found.along.target(torch.zeros(1, dtype=torch.float64))
    witness = Witness(
        outputs=row(outputs), targets=row(target), says=says,
        loss=tuple(row(found.loss.values(one[None], target)[0]) for one in outputs),
    )  # fmt: skip
    return Finding(kind, link=link, witness=witness, said=said)


def _end(rho: Tensor) -> float | None:
    """What ρ (5,) tends to outwards: a number, ∞ (it rises), −∞ (it falls as far again at each doubling), None (not known)."""
    if bool(torch.isnan(rho).any()):
        return None
    if not bool(torch.isfinite(rho).all()):
        return (
            math.inf
            if bool((rho[torch.isinf(rho)] > 0).all()) and bool((rho.diff().nan_to_num(0.0) >= 0).all())
            else None
        )
    steps = rho.diff()
    size = steps.abs()
    settles = bool((size[1:] <= SETTLES * size[:-1] + STILL * (1 + float(rho.abs().max()))).all())
    if float(size[-1]) <= FLAT and settles:
        return float(rho[-1])
    if bool((steps < -FALLS).all()) and bool((steps[1:] <= steps[:-1]).all()):
        return -math.inf
    return math.inf if bool((steps[-2:] > FLAT).all()) else None


def _peaks(found: Located, limit: float, scale: float) -> bool:
    """Whether ρ lies nowhere above its limit, and below it somewhere."""
    inner = torch.linspace(-ENDS[1], ENDS[1], 2401, dtype=torch.float64) * scale
    rho = found.rho(inner)
    return bool(torch.isfinite(rho).all()) and float(rho.max()) <= limit + FLAT and float(rho.min()) < limit - APART
