"""What a probe found, in one record: both sides on the grid, where they agree, and what else they gave away of themselves."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlnn.comparing.batch import Whole
from mlnn.comparing.domain import Interval, is_wide, meet
from mlnn.comparing.ends import Ends, excusing
from mlnn.comparing.explaining.trial import Cause
from mlnn.comparing.kinks import Point
from mlnn.comparing.on_paper import OnPaper
from mlnn.comparing.undefined import LeftOut
from mlnn.objectives.grid import Curves, Grid
from mlnn.objectives.promotion import Inside


@dataclass(frozen=True)
class Part:
    """What the probe says of values, or of gradients: relation, largest real difference (relative), and where it is.

    `output`: the raw output, several of them, or of more than SHOWN the largest in size; `place`: in words, where it is no raw
    output and target.
    """

    relation: str
    size: float = 0.0
    output: float | list[float] | None = None
    target: float | list[float] | None = None
    place: str | None = None


@dataclass(frozen=True)
class Probe:
    """Both objectives on the grid. `domain`: per target, the interval of raw outputs (or of their largest entry) on which
    they agree in the working dtype; `domain64` the same in float64. `factor`, `shift`: right = factor·left + shift(target).
    `nearer`: the side whose gradient is the more accurate; `unsteady`: why the answers cannot be trusted;
    `computing`: what left and right compute in; `lowered`: how far that moves values and gradients apart, beyond what the working
    dtype's own rounding explains (relative). `ends`, `ends64`: why the domains end; `beyond`: where the two differ outside though
    no numerical reason is known. `points`: isolated raw outputs at which a side's gradient is wrong. `left_out`: the points that
    say nothing. `upstream`: the side whose backward pass does not follow the upstream gradient. `writes`: what either side writes
    into, in words. `paper`: what is proved. Of a local probe (see `local_probe`): `visited`, the places in words; `broke`, where a
    side alone is not finite; `backward`: that one side's gradient is not the derivative of the value that both have.
    """

    grid: Grid
    dtype: torch.dtype
    left: Curves
    right: Curves
    value: Part
    gradient: Part
    factor: float
    shift: dict[float, float]
    domain: dict[float, Interval]
    domain64: dict[float, Interval]
    per_target: bool
    event: tuple[int, ...] = ()
    nearer: str | None = None
    notes: list[str] = field(default_factory=list)
    unsteady: str | None = None
    whole: Whole | None = None
    computing: tuple[Inside, Inside] = (Inside(), Inside())
    lowered: tuple[float, float] = (0.0, 0.0)
    visited: str | None = None
    broke: str | None = None
    ends: Ends = field(default_factory=dict)
    ends64: Ends = field(default_factory=dict)
    beyond: Part | None = None
    points: list[Point] = field(default_factory=list)
    left_out: LeftOut | None = None
    upstream: str | None = None
    backward: Cause | None = None
    writes: list[str] = field(default_factory=list)
    paper: OnPaper | None = None

    @property
    def alone(self) -> bool:
        """Whether single rows say nothing, so that the two are judged on whole batches alone."""
        return self.left_out is not None and self.left_out.alone

    @property
    def why(self) -> str | None:
        """What it has to say of itself: why it is undecided, or how a backward pass goes astray."""
        if self.upstream:
            astray = f"{self.upstream}'s backward does not follow the upstream gradient"
            return f"{astray}: it is wrong as soon as rows, or the loss, are weighted"
        whole = self.whole
        if self.alone and not (whole and whole.known and whole.answered):
            return (
                "one row alone says nothing on either side, and no whole batch of the probe has a finite answer on both"
            )
        if "undecided" in (self.value.relation, self.gradient.relation):
            return "neither side is finite on any ordinary raw output of the probe"
        return None

    @property
    def interval(self) -> Interval:
        """The interval on which the two agree for every target."""
        return meet(self.domain)

    def covers(self, low: float, high: float, double: bool = False) -> bool:
        """Whether raw outputs from `low` to `high` lie inside the domain, whatever their targets: then `inside` says so of all."""
        domain = self.domain64 if double else self.domain
        first, last = meet(domain)
        strongest = max(abs(low), abs(high))  # of several raw outputs, and of a step's, the size counts
        return not is_wide(domain) or (first <= low and high <= last and strongest <= last)

    def inside(
        self, output: Tensor, target: Tensor, double: bool = False, known: bool = False, rows: int = 0
    ) -> Tensor:
        """Mask (n,) of the rows all of whose positions lie inside the domain: by their own target where targets are few, else
        by the interval. Raw outputs (n, *positions[, m]).

        `known`: count as inside what lies beyond an end that has no numerical reason. Objectives that part already on
        [−1, 1] have no domain; then every row is judged, as where a step tells no raw outputs of its `rows` rows.
        """
        if not len(output):
            return torch.ones(rows, dtype=torch.bool)
        domain = self.domain64 if double else self.domain
        if known:
            domain = excusing(domain, self.ends64 if double else self.ends)
        if not is_wide(domain):
            return torch.ones(len(output), dtype=torch.bool, device=output.device)
        if self.visited:  # a step's raw outputs: no target is told of them
            strength = output.abs().reshape(len(output), -1).amax(1)
        else:
            several = output.ndim > target.ndim - len(self.event)
            strength = output.abs().amax(-1) if several else output
        low, high = meet(domain)
        mask = (strength >= low) & (strength <= high)
        if self.per_target:
            for label, (low, high) in domain.items():
                mask = torch.where(target == label, (strength >= low) & (strength <= high), mask)
        return mask.reshape(len(mask), -1).all(1)
