"""What a target space is a record of: the facts of one position, whatever the batch around it looks like.

Functions take tensors of any shape, a target an entry; raw outputs have a last axis more where a position has several, and so
have targets that are several numbers (an event).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

LINE, HALF_LINE, UNIT_INTERVAL, COUNTS = "the whole line", "(0, ∞)", "[0, 1]", "0, 1, 2, …"
"""Supports that distributions are named by."""


@dataclass(frozen=True)
class Coordinate:
    """A number v on a line for each target of a continuous space, over which densities are integrated.

    `name`: v in words. `target(v)`, log |dy/dv|, and `back(y)`. The other numbers are places v.
    """

    name: str
    target: Callable[[Tensor], Tensor]
    log_slope: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    span: tuple[float, float]
    """Targets (not v) between which a density is drawn."""
    low: float = -math.inf
    high: float = math.inf
    """How far is integrated."""
    digits: float = 1e-12
    """Relative error that an integral may be left with."""
    beyond: bool = False
    """Whether targets lie beyond `low` and `high` too, where float64 has too few digits left for them."""
    overflows: bool = False
    """Whether `target(v)` far out is 0 or infinite in float64, and then no target."""
    far: tuple[float, ...] = ()
    """Where, on both sides, a density must have faded, or never had any weight; none on an interval."""
    farthest: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """Places outwards, above and below, at which a density that still does not fall is taken to be infinite in all."""
    residual: float = math.inf
    """How far from its output a target is told from its neighbours."""
    tail: tuple[float, float, float] | None = None
    """Residuals, a decade apart, between which the tail of a density is measured; None where it ends before."""
    powers: tuple[float, float] = (20.0, 600.0)
    """Residuals over which a tail is read as a power of the coordinate, where they are not widths."""
    dense: float = 60.0
    """Out to where a dense grid of targets is laid."""

    @property
    def endless(self) -> bool:
        """Whether v may be any number: of an angle it may not."""
        return self.beyond or math.isinf(self.high)


@dataclass(frozen=True)
class Facts:
    """The facts of one target space: what it holds, what a model's raw output says of it, and where to look."""

    support: str
    """The values of a target, in words."""
    inside: Callable[[Tensor], Tensor]
    """Mask of the finite float64 numbers that are targets, or parts of one."""
    link: Callable[[Tensor], Tensor]
    """From raw output to the mean of the target: what `outputs="probabilities"` applies."""
    inverse: Callable[[Tensor], Tensor]
    """From a mean back to a raw output."""
    link_name: str
    means: tuple[float, float]
    """The ends of what a mean may be; of labels, a probability."""
    probe_points: Sequence[float] | Sequence[Sequence[float]]
    """Targets at which two objectives are compared, those on the boundary of the space included."""
    wide_points: Sequence[float] | Sequence[Sequence[float]]
    """Targets out to where rows of ordinary data lie: a loss is finite there, with a true gradient, at moderate outputs."""
    draw: Callable[[Tensor], Tensor]
    """Targets of any ordinary kind, from uniform numbers in [0, 1), as many as a target has."""
    follow: Callable[[Tensor, Tensor, Tensor, Generator], Tensor]
    """Targets (…) that depend on raw outputs (…, m), given uniform numbers (…), N(0, 1) noise (…, m), and more to draw from."""
    usual: str
    """The likelihood of a generalised linear model on such targets, where none is named."""
    outputs: int = 1
    """Raw outputs per position that a model needs."""
    variance: Callable[[Tensor], Tensor] | None = None
    """Of a target, from its mean, where the mean tells it whatever the distribution."""
    event: int | None = None
    """Numbers that one target is, on a last axis; None: a target is one number."""
    dtype: torch.dtype = torch.float64
    values: Sequence[float] | None = None
    """Every target, where they are finitely many."""
    coordinate: Coordinate | None = None
    """None where targets are summed over."""
    extreme: Callable[[Any], Any] | None = None
    """Mask (of a tensor or an array) of the targets that grow likelier without end along raw outputs; None: none does."""
    separable: bool = False
    """Whether rows of such targets may leave a likelihood without a maximum; a density has no finite value there at all."""
    fitted_points: Sequence[float] = ()
    """Targets so far apart that a function of the target that fits there is that function."""
    plain_points: Sequence[float] = ()
    """A few targets, none of them special (0, an end)."""
    ordered_points: tuple[float, float, float] = (1.0, 2.0, 3.0)
    """Targets whose best raw outputs, if they follow the target, lie inside ±8 and well apart."""
    far_points: tuple[float, ...] = ()
    """Targets far out where there is no coordinate to go out along."""
    near_output: float = 1.8
    """Raw outputs inside ± this have the bulk of every density where float64 has all its digits …"""
    far_output: float = 5.0
    """… inside this Σ or ∫ exp(−loss) over the targets is still had to six digits …"""
    farthest_output: float = 8.0
    """… and inside this to three."""
