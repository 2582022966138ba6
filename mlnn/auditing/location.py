"""Does the loss depend on y − f alone (or on log y − f, logit y − f), up to something of y? Then it is a family of densities.

Let u be the coordinate of y on the whole line. If ∂loss/∂f is a function of v = u − f only, then loss = ρ(u − f) + a(u), and
with the base measure e^(a(u)) du the integral of exp(−loss/τ) is ∫ e^(−ρ/τ): one for every f, and finite for all or none.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import SMALLEST, Finding
from mlnn.auditing.integrals import DIGITS, Z_ROUNDING, Reach, Total, integral, spread
from mlnn.auditing.located import Located
from mlnn.auditing.shapes import shape_name
from mlnn.auditing.tails import POWERS, slow_tail, tail_growth
from mlnn.targets import Coordinate

OUTPUTS = torch.tensor([-2.417, -1.713, -1.101, -0.377, 0.0, 0.293, 1.171, 1.907, 2.633], dtype=torch.float64)
"""Outputs that must see the same function of the residual: uneven, so that no period of the loss hides between them."""
SIZES = torch.logspace(-6, 2, 25, dtype=torch.float64)  # of the residuals looked at, in units of the width
FAR_OUT = (11.7, 23.9, 41.3)
"""Residuals looked at besides, in the target's own units: where rows of data may lie."""
OFF_ROUND = 1.00123
"""Factor by which residuals are moved off the round numbers, where densities have their kinks."""
NEAR_TURN = 3.0
"""Residuals of an angle are looked at up to this, a little less than half a turn."""
SLOPE_ROUNDING = 1e-8
"""Misfit of gradients that should be functions of y − f alone: y − f itself loses digits where y and f are large."""
SMALL_SLOPE = 1e-4
"""Share of the median gradient below which a gradient is measured by that share, not by itself."""
DRIFT_ROUNDING = 1e-9
"""Misfit of the values, relative to the largest at that residual, that a drift of the target leaves as rounding."""
BULK = 30.0
"""Residuals nearer than this must be known wherever any gradient is: there rows of data lie."""
H_ROUNDING = 1e-8
"""Misfit of log h that is rounding: the accuracy asked of the integrals that h is divided by."""
WRITTEN_OUT = 700
"""A log of h below this, short of where e to it overflows float64 (709), is written out as a number, else as a power of e."""
FADED_BY = 32
"""ρ where float64 has no more targets near 0 and 1: e^−32 is 1e-14."""
EDGE, LAST = 15.0, 18.0
"""Residuals of logit y at which ρ must have faded, and out to which it is integrated."""
EDGE_DIGITS = 1e-10
"""Relative error asked of that integral: logits near 18 have lost digits."""
LIGHT = 100.0
"""ρ above its least, in nats, at which a tail that is no power is nothing."""
STRAIGHTER = 10
"""A line beyond EDGE may miss what lies there by Z_ROUNDING over this."""
TURN = 2 * math.pi
"""Of an angle."""
SOME_OUTPUT = 0.3
"""Where an angle is looked at: at no place of symmetry."""
TURN_ROUNDING = 1e-10
"""What a turn of the target may change, relative; 2π added to it is itself rounded."""


def examine_location(loss: Loss) -> Finding | None:
    """The finding if the loss has this form on a whole line of residuals; None if it has not."""
    along = loss.space.coordinate
    if along is None or not along.endless or loss.space.outputs > 1:
        return None
    found = _located(loss, along)
    if found is None:
        return None
    growth, endless = tail_growth(found)
    if endless:
        return endless
    total = _integrals(found)
    if not total.within(Z_ROUNDING) or (along.beyond and not _fades(found)):
        closed = _closed(found)
        if closed is None:
            return None
        total = closed
    off = spread(total.z)
    if not total.within(Z_ROUNDING) or not off <= Z_ROUNDING:
        return None
    return _family(found, float(total.z.median()), off, growth)


def _located(loss: Loss, along: Coordinate) -> Located | None:
    """Width, drift and lowest ρ of a loss whose gradients depend on the residual alone; None for any other."""
    width = _width(loss, along)
    turns = loss.space.whole_line and _is_periodic(loss)
    v = _residuals(along, width, turns)
    alone, drift = _form(loss, along, v)
    if not alone:
        return None
    found = Located(loss, along, _width(loss, along, drift) if drift else width, turns, drift)
    rho = found.rho(torch.cat([v, torch.zeros(1, dtype=torch.float64)]))
    return replace(found, lowest=float(rho.nan_to_num(math.inf).min()))


def _residuals(along: Coordinate, width: float, turns: bool) -> Tensor:
    """Residuals v (R,) on both sides, from a millionth to a hundred widths, and out to where rows of data may lie."""
    sizes = torch.cat([SIZES * width, torch.tensor(FAR_OUT, dtype=torch.float64)]) * OFF_ROUND
    sizes = sizes[sizes <= (NEAR_TURN if turns else along.residual)]
    return torch.cat([-sizes.flip(0), sizes])


def _form(loss: Loss, along: Coordinate, v: Tensor) -> tuple[bool, float | None]:
    """Whether gradients depend on the residuals v (R,) alone, and the drift α if a(u) = αu; None where not."""
    u = OUTPUTS[:, None] + v
    value, gradient = loss.both(OUTPUTS.repeat_interleave(len(v)), along.target(u).reshape(-1))
    value, gradient = value.reshape(u.shape), gradient.reshape(u.shape)
    known = torch.isfinite(gradient).all(0) & torch.isfinite(value).all(0)
    if int(known.sum()) < len(v) // 2 or bool((torch.isfinite(gradient).any(0) & ~known & (v.abs() < BULK)).any()):
        return False, None
    one = gradient[len(OUTPUTS) // 2]
    floor = SMALL_SLOPE * gradient[:, known].abs().median().clamp_min(SMALLEST)
    off = float(((gradient - one).abs() / torch.maximum(one.abs(), floor))[:, known].max())
    if not off <= SLOPE_ROUNDING:
        return False, None
    moved = value - value[len(OUTPUTS) // 2]  # a(u) − a(v)
    size = value[:, known].abs().amax(0).clamp_min(1.0)
    steepest = float(moved[-1, known].median() / OUTPUTS[-1])
    # No drift at all, if that explains the values as well.
    drift = next((a for a in (0.0, steepest) if _explains(moved[:, known] - a * OUTPUTS[:, None], size)), None)
    return True, drift


def _explains(left: Tensor, size: Tensor) -> bool:
    return bool((left.abs() <= DRIFT_ROUNDING * size).all())


def _shape(found: Located) -> str | None:
    """The name of the density, from residuals seen from output 0, where they are exact however small."""
    loss, along, turns = found.loss, found.along, found.turns
    smallest = -9 if loss.space.whole_line else -5  # of log y and logit y the last digits are lost
    sizes = torch.logspace(smallest, 2, 34, dtype=torch.float64) * found.width * OFF_ROUND
    sizes = sizes[sizes <= (NEAR_TURN if turns else along.residual)]
    v = torch.cat([-sizes.flip(0), sizes])
    _, slope = loss.both(torch.zeros_like(v), along.target(v))
    return shape_name(-slope, along.name, turns, v)


def _integrals(found: Located) -> Total:
    """∫ exp(−(ρ − lowest)) dv as seen from every output (F,), from the loss itself."""

    turns = found.turns

    def log_density(points: Tensor) -> Tensor:
        v = points if turns else points * found.width
        u = (v[:, None] + OUTPUTS).reshape(-1)
        seen = found.loss.value(OUTPUTS.repeat(len(v)), found.along.target(u)) - found.shift(u)
        seen = found.told(v.repeat_interleave(len(OUTPUTS)), seen)
        return found.lowest - seen.reshape(len(v), -1) + (0.0 if turns else math.log(found.width))

    if turns:
        return integral(log_density, -math.pi, math.pi)
    if found.along.beyond:
        ends = LAST / found.width
        return integral(log_density, -ends, ends, EDGE_DIGITS)
    reach = Reach(OUTPUTS, torch.full_like(OUTPUTS, found.width), found.along)
    return integral(log_density, reach=reach)


def _closed(found: Located) -> Total | None:
    """The same with slow tails in closed form; None where a tail is neither nothing far out nor of a form that is known.

    Over t with v = sinh t, in which a power falls as an exponential.
    """
    if found.turns:
        return None
    scale = found.width if found.loss.space.whole_line else 1.0
    sides = [_side(found, side, scale) for side in (-1.0, 1.0)]
    (left, one), (right, two) = [side for side in sides if side] if all(sides) else ((0.0, math.inf), (0.0, math.inf))
    if not math.isfinite(one + two):
        return None

    def log_density(points: Tensor) -> Tensor:
        v = scale * torch.sinh(points)
        u = (v[:, None] + OUTPUTS).reshape(-1)
        seen = found.loss.value(OUTPUTS.repeat(len(v)), found.along.target(u)) - found.shift(u)
        return found.lowest - seen.reshape(len(v), -1) + (scale * torch.cosh(points)).log()[:, None]

    digits = EDGE_DIGITS if found.along.beyond else DIGITS
    inner = integral(log_density, -math.asinh(left / scale), math.asinh(right / scale), digits)
    return replace(inner, z=inner.z + one + two)


def _side(found: Located, side: float, scale: float) -> tuple[float, float] | None:
    """How far out on one side the integral is taken, and what lies beyond; None where that is not known."""
    if found.along.beyond:
        return _exponential(found, side)
    tail = slow_tail(found, side)
    if tail:
        return tail.start, tail.mass * math.exp(found.lowest)
    light = scale * (POWERS[1] if found.loss.space.whole_line else found.along.powers[1])
    height = float(found.rho(side * torch.tensor([light], dtype=torch.float64))[0]) - found.lowest
    return (light, 0.0) if height > LIGHT else None


def _exponential(found: Located, side: float) -> tuple[float, float] | None:
    """Towards 0 or 1, where float64 has no more targets: what lies beyond, if ρ is a line there; None where it is not."""
    height = found.rho(side * torch.tensor([EDGE, EDGE - 1, EDGE - 2], dtype=torch.float64)) - found.lowest
    rate, before = (float(height[k] - height[k + 1]) for k in (0, 1))
    if not rate > 0:
        return None
    mass = math.exp(-float(height[0])) / rate
    return (EDGE, mass) if mass * abs(before / rate - 1) <= Z_ROUNDING / STRAIGHTER else None


def _family(found: Located, total: float, residual: float, growth: float) -> Finding:
    """exp(−ρ) integrates to total·e^(−lowest); h(y) dy = e^(a(u)) du over that."""
    name = _shape(found)
    log_total = math.log(total) - found.lowest

    def log_base(target: Tensor) -> Tensor:
        u = found.along.back(target)
        return found.shift(u) - found.along.log_slope(u) - log_total

    def reference(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        u = found.along.back(target)
        seen = found.along.target(u - output)  # a residual is a residual
        _, slope = found.loss.both(torch.zeros_like(u), seen)
        value = found.rho(u - output) + found.shift(u)
        if not found.along.overflows:
            return value, slope
        lost = (seen == 0) | torch.isinf(seen)  # float64 has no target there: nothing to hold the loss to
        own, pull = found.loss.both(output, target)
        return torch.where(lost, own, value), torch.where(lost, pull, slope)

    some = torch.tensor(found.loss.space.facts.plain_points, dtype=torch.float64)
    log_h = log_base(some)
    itself = bool(log_h.abs().max() <= H_ROUNDING)
    return Finding(
        "likelihood" if itself else "likelihood family",
        name or "an unnamed density",
        1.0,
        found.loss.space.facts.link_name,
        log_base,
        ("1" if itself else _measure(some, log_h)) + (", on one turn of 2π" if found.turns else ""),
        residual,
        # ρ told by moving outputs would be compared with itself.
        reference=reference if found.drift is not None else None,
        turns=found.turns,
        free_below=growth,
    )


def _measure(y: Tensor, log_h: Tensor) -> str:
    """h in words: a constant, a power of y, or a function of y."""
    if float((log_h - log_h[0]).abs().max()) <= H_ROUNDING:
        return (
            f"1/{math.exp(-float(log_h[0])):.10g}"
            if abs(float(log_h[0])) < WRITTEN_OUT
            else f"exp({float(log_h[0]):.10g})"
        )
    if bool((y > 0).all()):
        design = torch.stack([y.log(), torch.ones_like(y)], 1)
        slope, level = torch.linalg.lstsq(design, log_h[:, None]).solution.squeeze(1).tolist()
        if float((log_h - slope * y.log() - level).abs().max()) <= H_ROUNDING:
            return f"{math.exp(level):.6g}·y^{slope:.6g}"
    return "a function of y"


def _width(loss: Loss, along: Coordinate, drift: float | None = 0.0) -> float:
    """How far from where it is least the loss, seen from output 0 and less its drift, has risen by 1; 1 where it never does."""
    sizes = torch.logspace(-9, 9, 73, dtype=torch.float64)
    v = torch.cat([-sizes.flip(0), sizes])
    value = loss.value(torch.zeros_like(v), along.target(v)) - (drift or 0.0) * v
    value = torch.where(torch.isfinite(value), value, math.inf)
    least = value.min()
    risen = value > least + 1
    if not bool(risen.any()):
        return 1.0
    from_zero, from_mode = v[risen].abs().min(), (v[risen] - v[value.argmin()]).abs().min()
    return float(max(from_zero, from_mode))


def _is_periodic(loss: Loss) -> bool:
    """Whether a turn of 2π of the target changes nothing: the target is an angle."""
    y = torch.tensor([-2.213, -1.171, -0.587, 0.0517, 0.313, 1.491, 2.917], dtype=torch.float64)
    here, there = (loss.both(torch.full_like(y, SOME_OUTPUT), y + turn) for turn in (0.0, TURN))
    return all(
        bool(torch.allclose(one, two, rtol=TURN_ROUNDING, atol=TURN_ROUNDING / 100))
        for one, two in zip(here, there, strict=True)
    )


def _fades(found: Located) -> bool:
    """Whether e^(−ρ) is nothing where float64 has no more targets near 0 and 1 to put there."""
    ends = torch.tensor([-EDGE, EDGE], dtype=torch.float64)
    return bool((found.rho(ends) - found.lowest > FADED_BY).all())
