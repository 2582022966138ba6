"""What a comparison has seen so far: running maxima and firsts, so that memory does not grow with the number of steps."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch

from mlnn.comparing.explaining.carried import Carried
from mlnn.comparing.explaining.rates import Rates
from mlnn.comparing.gaps import CommonGap
from mlnn.comparing.sample import Sample
from mlnn.comparing.standing import Standing
from mlnn.objectives.promotion import Inside
from mlnn.training import Stop

SHRINK = 1e6
"""Rounding shrinks by about 2^29 = 5.4e8 from float32 to float64, a real difference by 1; the line between them."""
EXPLAINED = 300.0
"""Counted in each precision's own ulps, rounding is about the same in both; on one step, a working precision this many times
worse than float64 computes something else (a fast approximation, a lower precision inside)."""
EXPLAINED_ON_AVERAGE = 20.0
"""The same for the geometric mean over steps, which is steadier: between 0.2 and 3 on equal pairs."""
BEYOND_NULLS = 5.0
"""In a half precision, the root mean square over steps of the pair's gap is at most this many times that of null draws: 0.4 to
2.8 was measured on 108 runs of equal pairs in bfloat16 and float16, 6 to 3,000 on faults of 5 % and more."""
FEW_ULPS = 16.0
"""A float64 gap of fewer unit roundoffs than this counts as this many, so that a step exact by luck explains its rounding too."""
FLOOR = 1e-14
"""A float64 gap up to this is rounding (measured on equal pairs: 1e-16 to 6e-15)."""
SAME_FACTOR = 1e-12
"""A factor this near to 1 is 1: as a ratio of float64 gradients it is known to about 1e-15 times their condition."""
MOST_COARSE = 1e-3
"""A float32 gap above this is no rounding, and explains no more of a float64 gap than one of this size would."""
NULLS = 3.0
"""Judged in float32 alone, a gap this many times the largest null draw's is no rounding: equal kernels stayed within 1.4 of it on
gradients, on 48 runs of four draws a step."""
ALONE_ULPS = 4.0
"""Nor is one of fewer unit roundoffs than this: losses of equal kernels were up to 2.3 apart where no draw had moved them."""
LENGTH = 0.5
"""Unit roundoffs of float64 more for each raw output of a row: a logsumexp taken one entry after the other is off by 0.17·K
(K = 1000) to 0.22·K (K = 8192), in chunks of 50 by up to 2·√K, in chunks of 128 no more than the framework's own; softmax over the
second axis of (n, 1000, t) by 0.32·K, where float32 is summed in double and does not tell of it."""
SMALL = 1e-3
"""Gaps are relative to the batch's own gradient (or loss), but to no less than this share of the largest so far: on a
batch that is fitted almost perfectly the gradient vanishes, and rounding would look large against it."""


@dataclass
class Judged:
    """One quantity (gradient or value at common weights) in float32 and float64 over the steps inside the domain.

    `length`: raw outputs that a row's value sums over, where there are many. `floor`: unit roundoff of the coarsest float that a
    side computes in whatever it is given, 0 where there is none; `alone`: float64 cannot be reached, and float32 is judged
    against `null`, the largest gap that rounding alone made there. `drawn`: sums of squares of the working precision's gap and
    of its null draws, where those are made.
    """

    steps: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    real: float = 0.0
    first_real: tuple[int, float] | None = None
    log_shrink: float = 0.0
    shrinks: int = 0
    log_excess: dict[str, float] = field(default_factory=dict)
    rough: dict[str, tuple[int, float]] = field(default_factory=dict)
    most_ulps: float = FEW_ULPS
    scale: float = 0.0
    coarse: float = 0.0
    floor: float = 0.0
    length: int = 0
    alone: bool = False
    null: float = 0.0
    drawn: tuple[float, float] = (0.0, 0.0)

    def see_draw(self, gap: float, null: float) -> None:
        """Take in the working precision's gap on a step beside that of null draws, where they are made."""
        self.drawn = self.drawn[0] + gap * gap, self.drawn[1] + null * null

    def see(self, step: int, differences: Mapping[str, float], size: float, null: float = 0.0) -> None:
        """Take in the differences of one step by dtype, and the size of left's gradient (or loss) they are measured against.

        A float64 gap that float32 rounding cannot explain is real. null: the difference that rounding alone makes in float32,
        where that is judged alone.
        """
        self.steps += 1
        self.scale = max(self.scale, size)
        scale = max(size, SMALL * self.scale)
        # Two zeros are no gap: a network whose last layer starts at zero predicts nothing but zeros.
        gaps = {name: 0.0 if gap == 0 else gap / scale if scale else math.inf for name, gap in differences.items()}
        for name, gap in gaps.items():
            self.largest[name] = max(self.largest.get(name, 0.0), _or_infinite(gap))
        if self.alone:
            self.null = max(self.null, null / scale if scale else 0.0)
            self._see_real(step, 0.0, gaps["float32"])
            return
        self._see_shrink(gaps["float32"], gaps["float64"])
        self._see_excess(step, gaps)
        self._see_real(step, gaps["float32"] * self._finer, gaps["float64"])

    def _see_shrink(self, coarse: float, fine: float) -> None:
        if 0 < coarse < math.inf and 0 < fine < math.inf:
            self.log_shrink += math.log(coarse / fine)
            self.shrinks += 1

    def _see_excess(self, step: int, gaps: Mapping[str, float]) -> None:
        """Each precision in its own ulps, against those of float64, on this step and on average."""
        fine = gaps["float64"] / _eps("float64")
        self.most_ulps = max(self.most_ulps, fine)
        for name, gap in gaps.items():
            ulps = gap / max(_eps(name), 0.0 if name == "float64" else self.floor)
            if 0 < gap < math.inf:
                self.log_excess[name] = self.log_excess.get(name, 0.0) + math.log(ulps / max(fine, 1.0))
            if not ulps <= EXPLAINED * self.most_ulps:
                self.rough.setdefault(name, (step, gap))

    def _see_real(self, step: int, coarse: float, fine: float) -> None:
        self.coarse = max(self.coarse, coarse)  # the largest so far: on a single step float32 can be exact by luck
        if not fine <= self.allowed:
            self.real = max(self.real, _or_infinite(fine))
            self.first_real = self.first_real or (step, _or_infinite(fine))

    @property
    def allowed(self) -> float:
        """The gap that counts as rounding: in float64 what float32's explains; judged alone, what null draws explain in float32."""
        if self.alone:
            return max(ALONE_ULPS * _eps("float32"), NULLS * self.null)
        return max(allowed(self.coarse), LENGTH * self.length * _eps("float64"))

    @property
    def _finer(self) -> float:
        """What a float32 gap counts as, where a side rounds to a still lower float in it: its own rounding is so much less."""
        return _eps("float32") / max(_eps("float32"), self.floor)

    def explained_by(self, coarse: float) -> float:
        """The float64 gap that this float32 gap explains; judged alone, `allowed`."""
        return self.allowed if self.alone else allowed(coarse * self._finer)

    def excess(self, name: str) -> float:
        """How many times more ulps a dtype is off than float64, geometric mean over the steps; about 1 for rounding."""
        return math.exp(self.log_excess.get(name, 0.0) / self.steps) if self.steps else 0.0

    def unexplained(self, name: str) -> tuple[int, float] | None:
        """(step, gap) where a dtype is further off than its rounding explains, on one step or on average; None if nowhere."""
        if name == "float64":
            return None
        if name in self.rough:
            return self.rough[name]
        if self.drawn[1] and _eps(name) > _eps("float32"):
            gap, null = self.drawn
            return (0, self.largest[name]) if gap > BEYOND_NULLS**2 * null else None
        return (0, self.largest[name]) if self.excess(name) > EXPLAINED_ON_AVERAGE else None

    def odd(self, name: str) -> tuple[int, float] | None:
        """(step, gap) of the first real difference, else of what a dtype's rounding does not explain; None if nowhere."""
        return self.first_real or self.unexplained(name)

    @property
    def shrink(self) -> float | None:
        """Geometric mean over the steps of float32 gap ÷ float64 gap; None where nothing differed."""
        return math.exp(self.log_shrink / self.shrinks) if self.shrinks else None


def allowed(coarse: float) -> float:
    """The float64 gap that a float32 gap explains as rounding. A float32 gap counts up to MOST_COARSE, NaN as none."""
    return max(FLOOR, min(coarse if coarse == coarse else 0.0, MOST_COARSE) / SHRINK)


@dataclass
class Evidence:
    """All that the verdict rests on besides the probe.

    `planned`: steps at which right was to be asked at left's weights, `steps`: at which it was; `trained`: all steps of training.
    `factors`: the factor found, per batch size, and `loss_factors` that of the losses; `diverged`: the sides that stopped where
    the other objective is not finite either; `decay`: each side's weight decay and prior, in words, where the priors differ;
    `rowwise`: whether both sides are objectives of raw outputs (gradients of steps that are not even parallel have no factor);
    `own_update`: whether a side has an update of its own; `values_alike`: whether losses are the same, whatever the gradients'
    factor. `spared`: steps judged without the rows that the domain excuses,
    `left_out`: those on which it excuses every row; `idle`: steps on which left's gradient was 0; `settings`: (step, words) where
    the optimisers' settings first differ; `unlooked`: why optimiser steps are not compared, at some steps or at any; `witness`: the
    batch with the largest gap.
    """

    own: str
    planned: int = 0
    steps: int = 0
    trained: int = 0
    bitwise: bool = True
    moved: bool = False
    control: str | None = None
    first_difference: dict[str, object] | None = None
    stops: dict[str, Stop] = field(default_factory=dict)
    diverged: set[str] = field(default_factory=set)
    one_sided: tuple[int, str, str] | None = None
    gradient: Judged = field(default_factory=Judged)
    value: Judged = field(default_factory=Judged)
    update: Judged = field(default_factory=Judged)
    prediction: Judged = field(default_factory=Judged)
    factors: dict[int, float] = field(default_factory=dict)
    loss_factors: dict[int, float] = field(default_factory=dict)
    rows: int = 0
    rows_outside: int = 0
    raw_low: float = math.inf
    raw_high: float = -math.inf
    decay: str | None = None
    values_alike: bool = True
    rowwise: bool = True
    own_update: bool = False
    spared: int = 0
    left_out: int = 0
    idle: int = 0
    settings: tuple[int, str] | None = None
    unlooked: str | None = None
    witness: Sample | None = None
    witnessed: float = 0.0
    rates: Rates = field(default_factory=Rates)
    carried: tuple[Carried, Carried] = field(default_factory=lambda: (Carried("right"), Carried("left")))
    stood: Standing = field(default_factory=Standing)
    paper: Standing = field(default_factory=Standing)  # rows on isolated points of the probe, and where the proof looks

    @property
    def thinned(self) -> bool:
        """Whether right was asked at some of the steps only."""
        return self.trained > self.steps

    def see_rows(self, rows: int, outside: int, outputs: tuple[float, float] | None) -> None:
        """Count the rows of the left lane, and those outside the domain of the working dtype; `outputs`: its lowest and highest raw
        output, None of a step that tells none."""
        self.rows += rows
        self.rows_outside += outside
        if outputs is not None:
            self.raw_low, self.raw_high = min(self.raw_low, outputs[0]), max(self.raw_high, outputs[1])

    def computes_in(self, insides: Sequence[Inside], outputs: int) -> None:
        """Say what the two compute in, and over how many raw outputs, before anything is seen: see `Judged`."""
        for judged in (self.gradient, self.value):
            judged.floor = max((inside.eps for inside in insides), default=0.0)
            judged.alone = any(inside.sealed for inside in insides)
            judged.length = outputs if outputs > 1 else 0

    def see_common(
        self,
        step: int,
        rows: int,
        gaps: Mapping[str, CommonGap],
        shifted: bool,
        null: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Take in right-at-left's-weights of one step, as far as it is judged.

        null: what rounding alone makes of gradient and value in float32, where that is judged alone.
        """
        exact = gaps["float32" if self.gradient.alone else "float64"]
        if not all(all(gap.finite) for gap in gaps.values()):
            return
        if exact.idle:
            self.idle += 1
            if not bool(exact.right_gradient.any()):  # two that do not train agree about nothing
                return
        if rows not in self.factors:
            self.factors[rows] = self._factor(exact, gaps["float32"].gradient)
        factor = self.factors[rows]
        size = factor * exact.size
        self.gradient.see(step, {name: gap.residual(factor) for name, gap in gaps.items()}, size, null[0])
        if not shifted:
            factor = factor if self.rowwise else exact.of_loss(factor)
            self.loss_factors.setdefault(rows, factor)
            values = {name: abs(gap.right - factor * gap.left) for name, gap in gaps.items()}
            self.value.see(step, values, abs(factor * exact.left), null[1])
            self.values_alike &= abs(exact.right - exact.left) <= self.value.allowed * abs(exact.left)

    def _factor(self, exact: CommonGap, coarse: float) -> float:
        """The factor between the two gradients; 1 where they differ by rounding, or by more than a factor."""
        near_one = abs(exact.factor - 1) <= max(SAME_FACTOR, self.gradient.explained_by(coarse))
        beside = exact.residual(exact.factor) > MOST_COARSE * float(exact.right_gradient.double().norm())
        steep = exact.factor > 0 and math.isfinite(exact.factor)
        return 1.0 if near_one or beside or not steep else exact.factor

    def see_witness(self, gaps: Mapping[str, CommonGap], sample: Callable[[], Sample]) -> None:
        """Keep the batch on which the two are furthest apart."""
        gap = max((gap.gradient for gap in gaps.values() if math.isfinite(gap.gradient)), default=0.0)
        if gap > self.witnessed:
            self.witnessed, self.witness = gap, sample()


def one_sided(step: int, gaps: Mapping[str, CommonGap]) -> tuple[int, str, str] | None:
    """(step, precision, side) of the first side that is not finite where the other is; None where there is none."""
    odd = [(name, gap.finite[0]) for name, gap in gaps.items() if gap.finite[0] != gap.finite[1]]
    return next(((step, name, "right" if left else "left") for name, left in odd), None)


def _or_infinite(gap: float) -> float:
    """A gap that could not be measured is as large as can be."""
    return math.inf if math.isnan(gap) else gap


@cache
def _eps(name: str) -> float:
    return float(torch.finfo(getattr(torch, name)).eps)
