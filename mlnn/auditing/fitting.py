"""At which temperature, and under which base measure, is Σ or ∫ exp(−loss/τ)·h(y) one number for every output?

h is looked for among exp(Σ b_k T_k(y)) for the few T that losses drop: log y!, log y, log(1−y), y, y². Both are fitted to Z at a
cloud of outputs on fixed places, made tidy, and are no more than candidates: whether Z is one number is then computed.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.integrals import NOTHING, Z_ROUNDING, Base
from mlnn.auditing.vouching import NEAR, cloud, near_zero
from mlnn.targets import COUNTS, HALF_LINE, LINE, UNIT_INTERVAL

Term = Callable[[Tensor], Tensor]
TERMS: dict[str, dict[str, Term]] = {
    COUNTS: {"y!": lambda y: torch.lgamma(y + 1), "exp(y)": lambda y: y},
    HALF_LINE: {"y": torch.log, "exp(y)": lambda y: y},
    UNIT_INTERVAL: {"y": torch.log, "(1−y)": lambda y: torch.log1p(-y)},
    LINE: {"exp(y)": lambda y: y, "exp(y²)": torch.square},
}
"""By the support of the targets: T as the power b of e^T is written."""
OUTPUTS = 12
"""Outputs at which Z is made one number: three times the numbers that are fitted, and more."""
SUMMED = 2048
"""Counts that are summed here."""
MOST_NAN = 0.5
"""Share of the places at which a loss may be NaN: far out y is 0 or infinite."""
SMALLEST_SIZE = 1e-4
"""A loss that varies less than this, or more than its inverse, is not looked for at a temperature of its own."""
STARTS = tuple(map(math.log, (1.0, 4.0, 0.25)))
"""Of log τ."""
FARTHEST = 10.0
"""log τ is looked for up to this, and down."""
MOST_STEPS = 80
"""Of a fit; one that has a solution takes about ten."""
NEARLY = 0.02
"""Share by which Z may still vary on fixed places, which miss kinks and tails, before it is not looked at closer."""
CLOSER = 3
"""Rounds of Newton's method on Z itself, where the tidy numbers next to what was fitted are not it."""
TOO_FAR = 0.1
"""Share by which Z varies at tidy numbers from which there are none next to them."""
NEARER = 0.1
"""Share of what Z varied by that a round of Newton's method may leave."""
STEEPEST = 1e100
"""A derivative larger than this is one: its square must not overflow."""
ROUNDED = 1e-11
"""Share by which Z varies where its numbers are found: far below Z_ROUNDING, and above what integrals leave of it."""
STEP = 1e-4
"""Of its differences."""
TIDY = 0.01
"""A fitted number is the tidy one next to it if that is so near."""
TIDIEST = (1, 2, 4, 5, 10)
"""Denominators of tidy numbers."""


@dataclass(frozen=True)
class Fitted:
    """τ, log h (None: one number), and h in words."""

    tau: float
    log_base: Base | None
    measure: str


@dataclass(frozen=True)
class Places:
    """Fixed places for every output: log of their weights and slopes (F, P), the loss (F, P), and each T (k, F, P)."""

    weight: Tensor
    value: Tensor
    terms: Tensor

    @property
    def size(self) -> float:
        """log of how much a loss usually varies over the places where it is smallest, in units of 1: its τ is about that."""
        low = self.value.sort(1).values
        return float((low[:, low.shape[1] // 10] - low[:, 0]).median().clamp(SMALLEST_SIZE, 1 / SMALLEST_SIZE).log())

    def log_z(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """log Z (F,) at (log τ, b…), and its derivatives (F, 1 + k)."""
        beta = torch.exp(-numbers[0])
        log_density = self.weight - beta * self.value + torch.einsum("k,kfp->fp", numbers[1:], self.terms)
        total = torch.logsumexp(log_density, 1)
        p = torch.exp(log_density - total[:, None])
        by_tau = beta * (p * self.value).sum(1)
        return total, torch.stack([by_tau, *((p * term).sum(1) for term in self.terms)], 1)


def fitted(loss: Loss) -> Fitted | None:
    """The temperature and base measure at which Z near 0 is one number; None where there are none of the form looked for."""
    terms = TERMS[loss.space.facts.support]
    places = _places(loss, list(terms.values()))
    if places is None:
        return None
    names = list(terms)
    for count in range(len(names) + 1):
        for chosen in itertools.combinations(range(len(names)), count):
            for free in (False, True):
                numbers = _best(places, chosen, free)
                if numbers is None:
                    continue
                found = _settled(loss, numbers, [names[k] for k in chosen], [terms[names[k]] for k in chosen], free)
                if found and cloud(loss, found.tau, found.log_base).off <= Z_ROUNDING:
                    return found
    return None


def _places(loss: Loss, terms: list[Term]) -> Places | None:
    """Places around the bulk of every output, dense there, out to thousands of its widths; None where the loss is NaN."""
    outputs = near_zero(loss.space, OUTPUTS, 6)
    along = loss.space.coordinate
    if along is None:
        y = torch.arange(SUMMED, dtype=torch.float64).expand(OUTPUTS, -1)
        weight = torch.zeros_like(y)
    else:
        t = torch.linspace(-10, 10, 1001, dtype=torch.float64)
        v = torch.sinh(t) / 10 if along.endless and not along.beyond else t * 4
        slope = torch.cosh(t).log() if along.endless and not along.beyond else torch.zeros_like(t)
        y = along.target(v).expand(OUTPUTS, -1)
        weight = (slope + along.log_slope(v)).expand(OUTPUTS, -1)
    value = loss.value(outputs.repeat_interleave(y.shape[1], 0), y.reshape(-1)).reshape(y.shape)
    kept = [torch.where(torch.isfinite(value), term(y), 0.0).nan_to_num(0.0, 0.0, 0.0) for term in terms]
    if float(torch.isnan(value).double().mean()) > MOST_NAN:
        return None
    weight = torch.where(torch.isfinite(value), weight, NOTHING)
    return Places(weight, value.nan_to_num(0.0, 0.0, 0.0), torch.stack(kept))


def _best(places: Places, chosen: tuple[int, ...], free: bool) -> Tensor | None:
    """(log τ, b…) of the chosen terms at which Z nearly is one number; None where there is none. `free`: τ is fitted too."""
    mine = Places(places.weight, places.value, places.terms[list(chosen)])

    @lru_cache(maxsize=2)
    def at_numbers(given: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.array(given)
        at = torch.from_numpy(numbers.copy() if free else np.concatenate([[0.0], numbers]))
        total, slope = mine.log_z(at)
        # Times τ: as τ grows every Z becomes one number, and says nothing.
        off, slope = (total - total.mean()) * torch.exp(at[0]), (slope - slope.mean(0)) * torch.exp(at[0])
        slope[:, 0] += off
        slope = slope[:, 0 if free else 1 :].nan_to_num(0.0, 0.0, 0.0).clamp(-STEEPEST, STEEPEST)
        return off.nan_to_num(1e6, 1e6, -1e6).clamp(-1e6, 1e6).numpy(), slope.numpy()

    if not chosen and not free:
        return None
    starts = dict.fromkeys((*STARTS, places.size))
    for start in starts if free else (0.0,):
        first = [start] * free + [0.0] * len(chosen)
        ends = ([-FARTHEST] * free + [-np.inf] * len(chosen), [FARTHEST] * free + [np.inf] * len(chosen))
        with np.errstate(all="ignore"):
            done = scipy.optimize.least_squares(
                lambda x: at_numbers(tuple(x))[0],
                first,
                lambda x: at_numbers(tuple(x))[1],
                bounds=ends,
                x_scale="jac",
                max_nfev=MOST_STEPS,
            )
        if np.abs(done.fun).max() <= NEARLY:
            return torch.from_numpy(done.x if free else np.concatenate([[0.0], done.x]))
    return None


def _settled(loss: Loss, numbers: Tensor, names: list[str], terms: list[Term], free: bool) -> Fitted | None:
    """The tidy numbers next to those fitted if Z is one number with them, else those that Newton's method gives.

    None where that runs away: at a temperature without end any loss is nothing beside h.
    """
    tau, powers = _tidy(math.exp(float(numbers[0])), zero=False), [_tidy(power) for power in numbers[1:].tolist()]
    found = _made(tau, powers, names, terms)
    tidy = cloud(loss, found.tau, found.log_base)
    if tidy.off <= Z_ROUNDING or not tidy.off <= TOO_FAR:
        return found
    before = math.inf
    for _ in range(CLOSER):
        here = _log_z(loss, numbers, terms)
        left = float((here - here.mean()).abs().max())
        if left <= ROUNDED:  # there is no getting nearer
            break
        if not left <= NEARER * before:  # Newton's method on numbers that are there gets nearer by far more
            return None
        before = left
        moved = range(0 if free else 1, len(numbers))
        ways = [numbers + STEP * torch.eye(len(numbers), dtype=torch.float64)[k] for k in moved]
        slopes = torch.stack([(_log_z(loss, way, terms) - here) / STEP for way in ways], 1)
        slopes, here = slopes - slopes.mean(0), here - here.mean()
        if not bool(torch.isfinite(slopes).all() & torch.isfinite(here).all()):
            return found
        step = torch.linalg.lstsq(slopes, -here[:, None]).solution.squeeze(1)
        numbers = numbers.clone()
        numbers[list(moved)] += step
        if not abs(float(numbers[0])) <= FARTHEST:
            return None
    return _made(math.exp(float(numbers[0])), numbers[1:].tolist(), names, terms)


def _log_z(loss: Loss, numbers: Tensor, terms: list[Term]) -> Tensor:
    made = _made(math.exp(float(numbers[0])), numbers[1:].tolist(), [""] * len(terms), terms)
    return cloud(loss, made.tau, made.log_base).total.z[:NEAR].log()  # of which there are more at some numbers


def _made(tau: float, powers: list[float], names: list[str], terms: list[Term]) -> Fitted:
    used = [(power, name, term) for power, name, term in zip(powers, names, terms, strict=True) if power]
    if not used:
        return Fitted(tau, None, "1")

    def log_base(y: Tensor) -> Tensor:
        return sum((power * term(y) for power, _, term in used), torch.zeros_like(y))

    return Fitted(tau, log_base, " · ".join(_written(power, name) for power, name, _ in used))


def _written(power: float, name: str) -> str:
    """e^(b·T) in words, T given by its name."""
    if name.startswith("exp"):
        return f"exp({power:.6g}·{name[4:-1]})"
    return f"1/{name}" if power == -1 else name if power == 1 else f"{name}^{power:.6g}"


def _tidy(value: float, zero: bool = True) -> float:
    """The nearest number with a small denominator, if it is near; `zero`: it may be 0."""
    for denominator in TIDIEST:
        near = round(value * denominator) / denominator
        if (near or zero) and abs(value - near) <= TIDY * (abs(near) or 1 / denominator):
            return near
    return value
