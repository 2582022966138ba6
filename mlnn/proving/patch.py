"""A box of raw outputs and labels, and a graph on it as a series of either one."""

from dataclasses import dataclass

from flint import arb, arb_series, ctx, fmpq

from mlnn.proving.balls import Placed, States
from mlnn.proving.boxes import Box, float_of
from mlnn.proving.graph import Graph
from mlnn.proving.paving import finest
from mlnn.proving.rules import Series
from mlnn.proving.structure import OUTPUT, TARGET

NARROWEST = fmpq(1, 2**200)
"""Of labels: a logarithm of one has a scale of its own at each."""
PROBE = fmpq(15, 32), fmpq(17, 32)
"""Where a box is asked for a difference, as shares of it: not in its middle, which kinks like to go through."""
AXES = Z, Y = "raw output", "label"
Place = tuple[fmpq, fmpq]
"""A raw output and a label."""


@dataclass(frozen=True)
class Patch:
    """The raw outputs from `low` to `high` and the labels from `start` to `end`, exact."""

    low: fmpq
    high: fmpq
    start: fmpq
    end: fmpq

    @property
    def middle(self) -> Place:
        return (self.low + self.high) / 2, (self.start + self.end) / 2

    @property
    def probe(self) -> Place:
        return self.low + PROBE[0] * (self.high - self.low), self.start + PROBE[1] * (self.end - self.start)

    @property
    def radii(self) -> tuple[fmpq, fmpq]:
        return (self.high - self.low) / 2, (self.end - self.start) / 2

    @property
    def far(self) -> float:
        return max(abs(float_of(self.low)), abs(float_of(self.high)))

    def halves(self, axis: str) -> "tuple[Patch, Patch]":
        z, y = self.middle
        if axis == Z:
            return Patch(self.low, z, self.start, self.end), Patch(z, self.high, self.start, self.end)
        return Patch(self.low, self.high, self.start, y), Patch(self.low, self.high, y, self.end)

    @property
    def finest(self) -> bool:
        """Whether it is too narrow to be halved."""
        z, y = self.radii
        return bool(z < finest(Box(self.low, self.high)) or y < NARROWEST)


def constant(value: arb) -> Series:
    return arb_series([value], ctx.cap)


def moving(value: arb) -> Series:
    return arb_series([value, 1], ctx.cap)


class At(Placed):
    """A graph of a raw output and a label, both series of one variable."""

    def __init__(self, graph: Graph, z: Series, y: Series, terms: int, states: States | None = None) -> None:
        super().__init__(graph, {OUTPUT: z, TARGET: y}, terms, states)


def lebesgue(count: int) -> arb:
    """A bound of max_s Σ_j |ℓ_j(s)| for interpolation at so many Chebyshev nodes."""
    return 2 / arb.pi() * arb(count).log() + 1


def chebyshev(patch: Patch, count: int) -> list[Series]:
    """Balls of the Chebyshev nodes of a box's labels: as narrow as the digits allow, each with its node in it."""
    middle, radius = arb(patch.middle[1]), arb(patch.radii[1])
    return [constant(middle + radius * (arb.pi() * (2 * place + 1) / (2 * count)).cos()) for place in range(count)]
