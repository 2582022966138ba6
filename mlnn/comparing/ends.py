"""Why a domain ends: a side that overflows, clips or saturates there parts from the other for a numerical reason.

Any other end is a difference of the two objectives, however far out it lies.
"""

import math

import torch
from torch import Tensor

from mlnn.comparing.differences import DOUBLE, Both
from mlnn.comparing.domain import Interval, is_wide

Ends = dict[float, tuple[str | None, str | None]]
"""Per target, why the domain ends (below, above): empty where nothing differs beyond, None for no reason that is known."""
UNKNOWN = (None, None)
"""Ends that were not looked into."""
DEAD = 1e-6
"""A gradient that has fallen to this share of the other side's has gone; that of log(p + ε) falls like p/ε."""
FADED = 0.05
"""The same where probabilities are below a precision's unit roundoff: there two that part do so by 1e-12, and the last grid point
at which float64 still tells them apart is not far beyond (BCELoss at −32 has 1.3 % of its gradient left)."""
FLAT = 1e-6
"""A value that changes by less than this share of itself between the last two points has become constant."""


def why_it_ends(both: Both, domain: dict[float, Interval], dtype: torch.dtype) -> Ends:
    """The reason for each end of a domain in a dtype, from the grid points beyond it on which the two disagree."""
    apart = ~both.agreement(dtype)
    ends = {
        target: (_reason(both, apart[:, at], at, dtype, -1, low), _reason(both, apart[:, at], at, dtype, 1, high))
        for at, (target, (low, high)) in enumerate(domain.items())
    }
    one_end = (
        both.grid.output.ndim > 1
    )  # a radius for all directions and targets: it has a reason in all of them, or none
    if one_end and any(why is None for pair in ends.values() for why in pair):
        return dict.fromkeys(ends, UNKNOWN)
    return ends


def excusing(domain: dict[float, Interval], ends: Ends) -> dict[float, Interval]:
    """The domain with the ends alone that have a reason: what lies beyond the others excuses nothing."""
    if domain.keys() != ends.keys():
        return domain
    return {
        target: (low if ends[target][0] else -math.inf, high if ends[target][1] else math.inf)
        for target, (low, high) in domain.items()
    }


def unexcused(both: Both, domain: dict[float, Interval], ends: Ends) -> Tensor:
    """Mask (G, Y) of the moderate enough points that lie beyond an end without a reason."""
    strength = both.grid.strength
    columns = [
        (strength < low) & (ends[target][0] is None) | (strength > high) & (ends[target][1] is None)
        for target, (low, high) in domain.items()
    ]
    near = strength.abs() <= far(torch.float32)
    return torch.stack(columns, 1) & near[:, None] & is_wide(domain)


def far(dtype: torch.dtype) -> float:
    """The raw output beyond which a probability is below a precision's unit roundoff, in float64 below float32's."""
    return -math.log(torch.finfo(torch.float32 if dtype == DOUBLE else dtype).eps)


def told(domain: dict[float, Interval], ends: Ends) -> list[str]:
    """Each reason once; nothing where an end has none."""
    found = [why for target in domain for why in ends.get(target, UNKNOWN)]
    return [] if None in found else list(dict.fromkeys(why for why in found if why))


def _reason(both: Both, apart: Tensor, column: int, dtype: torch.dtype, sign: float, end: float) -> str | None:
    """Empty where the two do not part beyond an end; with several outputs the reason on all rays, or a clip that one ray shows."""
    strength = sign * both.grid.strength
    beyond = (strength > abs(end)) & apart
    if not math.isfinite(end) or not bool(beyond.any()):
        return ""
    found = _on(both, beyond, strength, column, dtype, end)
    if found is not None or both.grid.output.ndim == 1:
        return found
    rays = [beyond & (both.grid.ray == ray) for ray in both.grid.ray[beyond].unique()]
    return next((why for ray in rays if (why := _clip(both, ray, strength, column, dtype)) is not None), None)


def _clip(both: Both, beyond: Tensor, strength: Tensor, column: int, dtype: torch.dtype) -> str | None:
    """A clip that shows along one ray: there a side's value has stopped changing, and its gradient has gone beside the other's."""
    last = beyond & (strength == strength[beyond].max())
    for name, side, other in (("left", both.left, both.right), ("right", both.right, both.left)):
        one, two = side[dtype], other[dtype]
        dead = _dies(one.gradient[:, column], two.gradient[:, column], beyond, last, DEAD)
        every = two.gradient[last].nan_to_num(0.0, 0.0, 0.0)
        matters = float(two.gradient[last, column].abs().max()) > DEAD * float(every.abs().max())
        if dead and matters and _constant(one.value[:, column], beyond, strength):
            return f"{name} clips"
    return None


def _on(both: Both, beyond: Tensor, strength: Tensor, column: int, dtype: torch.dtype, end: float) -> str | None:
    first, last = (beyond & (strength == edge) for edge in (strength[beyond].min(), strength[beyond].max()))
    for name, side, other in (("left", both.left, both.right), ("right", both.right, both.left)):
        one, two = side[dtype], other[dtype]
        if bool((~one.finite & two.finite)[first, column].any()):
            return f"{name} overflows"
        constant, out = _constant(one.value[:, column], beyond, strength), abs(end) >= far(dtype)
        left = FADED if out else DEAD
        if (constant or out) and _dies(one.gradient[:, column], two.gradient[:, column], beyond, last, left):
            cut = constant and not bool(side[DOUBLE].gradient[beyond, column].any())
            return f"{name} clips" if cut else f"{name} saturates"
    return None


def _dies(one: Tensor, two: Tensor, beyond: Tensor, last: Tensor, left: float) -> bool:
    """Whether one side's gradient (G, m) is nowhere beyond the larger one, and no more than a share of the other's is left at the
    last of the points."""
    small, large = one.abs().amax(-1), two.abs().amax(-1)
    smaller = bool((small <= large)[beyond].all())
    return smaller and bool((small[last] <= left * large[last]).all())


def _constant(value: Tensor, beyond: Tensor, strength: Tensor) -> bool:
    """Whether a value (G,) has stopped changing at the last two strengths beyond."""
    levels = strength[beyond].unique()[-2:]
    ends = [value[beyond & (strength == level)] for level in levels]
    if len(ends) < 2 or len(ends[0]) != len(ends[1]):
        return False
    return bool(((ends[1] - ends[0]).abs() <= FLAT * ends[1].abs()).all())
