"""Does the loss depend on y − f alone (or on log y − f), up to something of y? Then it is a family of densities.

If ∂loss/∂f is a function of the residual v = u − f only, u = y or log y, then loss = ρ(u − f) + a(u), and with the base
measure e^(a(u)) du the integral of exp(−loss/τ) is ∫ e^(−ρ/τ), the same for every f and finite or not for all f alike.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mlnn.audit.ask import Loss
from mlnn.audit.finding import Finding
from mlnn.audit.integrals import COORDINATES, integral, spread
from mlnn.audit.shapes import shape_name

OUTPUTS = torch.linspace(-2.4, 2.6, 9, dtype=torch.float64)
RESIDUALS = torch.tensor([-5.317, -2.213, -1.171, -0.587, -0.1003, 0.0517, 0.313, 0.773, 1.491, 2.917, 5.711],
                         dtype=torch.float64)  # fmt: skip
ROUNDING = 1e-9
FAR = (1e4, 1e5)
TURN = 2 * math.pi


def examine_location(loss: Loss) -> Finding | None:
    """The finding if the loss has this form on a whole line of residuals; None if it has not, or u has ends."""
    along = COORDINATES.get(loss.space.kind)
    if loss.space.kind not in ("real", "positive") or along is None or loss.space.outputs > 1:
        return None
    u = OUTPUTS[:, None] + RESIDUALS
    _, slope = loss.both(OUTPUTS.repeat_interleave(len(RESIDUALS)), along.target(u).reshape(-1))
    slope = slope.reshape(u.shape)
    off = float((slope - slope[:1]).abs().max() / slope.abs().max())
    if not off <= ROUNDING:
        return None
    density = _density(loss, along.target)
    turns = loss.space.kind == "real" and _is_periodic(loss)
    if not turns:
        endless = _tails(loss, along.target)
        if endless:
            return endless
    low, high = (-math.pi, math.pi) if turns else (-math.inf, math.inf)
    z, error = integral(density, low, high)
    if not error <= ROUNDING * float(z.max()):
        return Finding("undecided", said="the integral of exp(−loss) does not settle")
    name = shape_name(-slope[0], loss.space.kind, turns, RESIDUALS)
    return _family(loss, float(z.median()), max(spread(z), off), turns, name)


def _family(loss: Loss, total: float, residual: float, turns: bool, name: str | None) -> Finding:
    """exp(−ρ) integrates to `total`; h(y) dy = e^(a(u)) du / total. `name` of the density e^(−ρ)."""
    positive = loss.space.kind == "positive"

    def base(target: Tensor) -> Tensor:
        u = target.log() if positive else target
        constant = loss.value(torch.zeros_like(u), target) - _rho(loss, u, positive)
        return torch.exp(constant - (u if positive else 0.0)) / total

    some = torch.tensor([0.05, 0.8, 2.3, 30.0] if positive else [-2.53, -0.4, 0.71, 10.3], dtype=torch.float64)
    h = base(some)
    itself = bool((h - 1).abs().max() <= 1e-8)
    measure = "1" if itself else f"1/{total:.10g}" if spread(h) <= 1e-8 else _power(some, h)
    measure += ", on one turn of 2π" if turns else ""
    kind = "likelihood" if itself else "likelihood family"
    link = "exp(f)" if positive else "f"
    return Finding(kind, name or "an unnamed density", 1.0, link, base, measure, residual, turns=turns)


def _power(y: Tensor, h: Tensor) -> str:
    """h in words: a power of y, or a function of y."""
    slope, level = torch.linalg.lstsq(torch.stack([y.log().nan_to_num(), torch.ones_like(y)], 1),
                                      h.log()[:, None]).solution.squeeze(1).tolist()  # fmt: skip
    if bool((y > 0).all()) and float((h.log() - slope * y.log() - level).abs().max()) <= 1e-8:
        return f"{math.exp(level):.6g}·y^{slope:.6g}"
    return "a function of y"


def _rho(loss: Loss, v: Tensor, positive: bool) -> Tensor:
    """ρ(v) up to a constant: the target kept at u = 0, the output moved to −v."""
    start = torch.ones_like(v) if positive else torch.zeros_like(v)
    return loss.value(-v, start)


def _density(loss: Loss, target: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """(P,) residuals to −ρ(v) as every output sees it (P, F): loss less a(u), a(u) taken at output 0."""

    positive = loss.space.kind == "positive"

    def log_density(v: Tensor) -> Tensor:
        u = (v[:, None] + OUTPUTS).reshape(-1)
        y = target(u)
        constant = loss.value(torch.zeros_like(u), y) - _rho(loss, u, positive)
        seen = loss.value(OUTPUTS.repeat(len(v)), y) - constant
        return -seen.reshape(len(v), -1)

    return log_density


def _is_periodic(loss: Loss) -> bool:
    """Whether a turn of 2π of the target changes nothing: the target is an angle."""
    y = RESIDUALS
    here, there = (loss.both(torch.full_like(y, 0.3), y + turn) for turn in (0.0, TURN))
    return all(bool(torch.allclose(one, two, rtol=1e-10, atol=1e-12)) for one, two in zip(here, there, strict=True))


def _tails(loss: Loss, target: Callable[[Tensor], Tensor]) -> Finding | None:
    """A finding where e^(−ρ) has too heavy a tail: ∫ is finite only if ρ grows faster than log |v| on both sides."""
    positive = loss.space.kind == "positive"
    for side in (-1.0, 1.0):
        near, far = _rho(loss, side * torch.tensor(FAR, dtype=torch.float64), positive).tolist()
        growth = (far - near) / math.log(FAR[1] / FAR[0])
        if far == math.inf:
            continue
        if math.isnan(growth) or 1 < growth < 1.05:
            return Finding(
                "undecided", said=f"its tail grows as {growth:.4g}·log|y−f|: too near the border to integrate"
            )
        if growth <= 1:
            return Finding("unnormalisable", "none", residual=math.inf, witness=_endless(loss, target, side),
                           said=f"its tail grows as {max(growth, 0.0):.3g}·log|y−f|, and more than 1 is needed")  # fmt: skip
    return None


def _endless(loss: Loss, target: Callable[[Tensor], Tensor], side: float) -> dict:
    """The integral from 0 out to R and to 2R, 4R, …: it does not stop growing."""
    density, ends = _density(loss, target), [100.0, 200.0, 400.0, 800.0]
    totals = [float(integral(density, *sorted((0.0, side * end)))[0][len(OUTPUTS) // 2]) for end in ends]
    return {
        "outputs": [float(OUTPUTS[len(OUTPUTS) // 2])],
        "ranges": [side * end for end in ends],
        "z": totals,
        "says": "the integral of exp(−loss) over the target grows without end as the range is doubled",
    }
