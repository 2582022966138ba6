"""What two recordings are compared by, in frozen records: of each common step how far they are apart, and in what."""

import math
from dataclasses import dataclass

from mlnn.visible import shown


@dataclass(frozen=True)
class Apart:
    """How far two tensors, or two numbers, are from each other: `distance` ‖b − a‖ / ‖a‖; `factor` c of the least ‖b − c·a‖, and
    `residual`, that least over ‖b‖; `same`: whether all bits are equal."""

    distance: float
    factor: float
    residual: float
    same: bool


@dataclass(frozen=True)
class Row:
    """One step that both recordings have: `step` in A, `other` in B, each by its own count.

    `batch`: "same", "reordered" (the same rows in another order), "recut" (the same rows in other micro-batches or processes),
    "other" rows, or "unknown". `streams`: random streams that stood elsewhere. `rates`: whether the learning rates are the same.
    `losses`: of A and B, summed over micro-batches, averaged over processes; `cut`: micro-batches of each. `before`:
    relative distance of the weights before the step, None where that was not recorded; `followed`: whether it is just that, or,
    where the step before was not printed, that after the step. `loss`, `gradient`, `weights` (after the step) and `update` (what
    the step added to them): None where one of them was not recorded; `moved`: the size of A's update, relative to the weights.
    `finite`, `skipped`: of A and B.
    """

    step: int
    other: int
    batch: str
    streams: tuple[str, ...]
    rates: bool
    losses: tuple[float, float]
    cut: tuple[int, int]
    before: float | None
    loss: Apart | None
    gradient: Apart | None
    weights: Apart | None
    update: Apart | None
    moved: float = math.nan
    buffers: bool = True
    finite: tuple[bool, bool] = (True, True)
    skipped: tuple[str, str] = ("", "")
    followed: bool = True

    @property
    def same(self) -> bool:
        """Whether every bit of it that both have is the same."""
        parts = [part for part in (self.loss, self.gradient, self.weights) if part is not None]
        return all(part.same for part in parts) and self.rates and self.buffers and self.skipped[0] == self.skipped[1]


@dataclass(frozen=True)
class ParameterApart:
    """A parameter's norms in A and B at the step where the recordings part, and whether its bits are the same."""

    name: str
    norms: tuple[float, float]
    same: bool

    @property
    def distance(self) -> float:
        """|b − a| / a of the norms; ∞ where a alone is 0."""
        a, b = self.norms
        return abs(b - a) / a if a else (0.0 if b == a else math.inf)


@dataclass(frozen=True)
class Setting:
    """Something that was set otherwise: what, and both values in words. `told`: whether it is part of what the sentence says;
    `steers`: whether it is one of the optimiser by which another step is made of the same gradient."""

    what: str
    values: tuple[str, str]
    told: bool = False
    steers: bool = False

    def words(self) -> str:
        """As in "weight_decay 0.01 against 0"."""
        return f"{shown(self.what)} {shown(self.values[0])} against {shown(self.values[1])}"
