"""Both objectives on whole random batches: what single rows cannot show (reductions, broadcasting, coupling)."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlnn.comparing.evidence import NULLS, Judged
from mlnn.objectives import Objective
from mlnn.objectives.layout import Extras, sliced
from mlnn.objectives.reduction import ROWS, Reduction, drawn_rows, reduction
from mlnn.objectives.rowwise import one_batch

SCALES = (1.0, 4.0)
"""Of the raw outputs drawn: about those of an untrained network, and of one that is sure."""
ROUNDED = 1e-6
"""What float32 rounding makes of a batch's gradient, by which a float64 factor near 1 is told from 1."""
Answer = tuple[float, Tensor]


@dataclass(frozen=True)
class Whole:
    """`factors`: g_right = c·g_left per number of rows; `gradient`, `value`: largest real difference beyond that factor; `rough`:
    largest difference in the working dtype that rounding does not explain.

    The reductions are None where an objective refused the batches; nothing is then known of whole batches.
    """

    left: Reduction | None
    right: Reduction | None
    factors: dict[int, float]
    gradient: float
    value: float
    rough: float = 0.0

    @property
    def known(self) -> bool:
        """Whether both objectives answered."""
        return self.left is not None and self.right is not None


def whole_batches(
    left: Objective,
    right: Objective,
    shifted: bool,
    reach: float = math.inf,
    own: str = "float32",
) -> Whole:
    """Compare two objectives on batches of 7 and 37 rows, raw outputs of scale 1 and 4, in float32, float64 and the working dtype.

    Raw outputs are held within ±`reach`, where the two agree row by row: what differs here is then the batch's doing.
    """
    kinds = reduction(left), reduction(right)
    unknown = Whole(None, None, {}, 0.0, 0.0)
    if None in kinds:
        return replace(unknown, left=kinds[0], right=kinds[1])
    seen = _Seen()
    seen.computes_in(left, right)
    precisions = {name: getattr(torch, name) for name in ("float32", "float64", own)}
    for rows, scale in itertools.product(ROWS, SCALES):
        output, target, extras = drawn_rows(left, rows, scale)
        batch = output.clamp(-reach, reach), target
        try:
            answers = {
                name: (one_batch(left, *batch, kind, extras), one_batch(right, *batch, kind, extras))
                for name, kind in precisions.items()
            }
            nulls = (
                [null_draws(side, *batch, extras) for side in (left, right)] if seen.gradient.alone else [(0.0, 0.0)]
            )
        except Exception:  # refused at this scale, with whatever exception
            return unknown
        seen.see(rows, answers, shifted, (max(value for value, _ in nulls), max(slope for _, slope in nulls)))
    odd = [found[1] for judged in (seen.gradient, seen.value) if (found := judged.unexplained(own))]
    return Whole(*kinds, seen.factors, seen.gradient.real, seen.value.real, max(odd, default=0.0))


def null_draws(objective: Objective, output: Tensor, target: Tensor, extras: Extras) -> tuple[float, float]:
    """What rounding alone makes of a batch's value and gradient (norm) in float32: its rows in another order, its raw outputs
    moved by one unit roundoff of what the objective computes in."""
    value, slope = one_batch(objective, output, target, torch.float32, extras)
    order = torch.arange(len(output)).flip(0)
    sign = torch.where(torch.arange(output.numel()).reshape(output.shape) % 3 == 0, 1.0, -1.0)
    eps = max(torch.finfo(torch.float32).eps, objective.inside.eps if objective.inside else 0.0)
    moved, aslant = one_batch(objective, output * (1 + sign * eps), target, torch.float32, extras)
    turned, askew = one_batch(
        objective, output[order], target[order], torch.float32, sliced(extras, order, len(output))
    )
    return (
        max(abs(moved - value), abs(turned - value)),
        max(float((aslant - slope).norm()), float((askew[order] - slope).norm())),
    )


@dataclass
class _Seen:
    """What the batches have shown so far."""

    factors: dict[int, float] = field(default_factory=dict)
    gradient: Judged = field(default_factory=Judged)
    value: Judged = field(default_factory=Judged)

    def computes_in(self, left: Objective, right: Objective) -> None:
        """Say what the two compute in: see `Judged`."""
        insides = [side.inside for side in (left, right) if side.inside]
        for judged in (self.gradient, self.value):
            judged.floor = max((inside.eps for inside in insides), default=0.0)
            judged.alone = any(inside.sealed for inside in insides)

    def see(
        self, rows: int, answers: Mapping[str, tuple[Answer, Answer]], shifted: bool, null: tuple[float, float]
    ) -> None:
        """Take in one batch: (value, gradient) of left and of right, by precision, and what rounding alone makes of each."""
        (value, a), (_, b) = answers["float32" if self.gradient.alone else "float64"]
        square = float((a * a).sum())
        if not square > 0:
            return
        found = float((a * b).sum()) / square
        near = abs(found - 1) <= max(self.gradient.explained_by(ROUNDED), NULLS * null[1] / math.sqrt(square))
        factor = self.factors.setdefault(rows, 1.0 if near or not found > 0 else found)
        slopes = {name: float((two[1] - factor * one[1]).norm()) for name, (one, two) in answers.items()}
        self.gradient.see(rows, slopes, factor * float(a.norm()), null[1])
        if not shifted:
            values = {name: abs(two[0] - factor * one[0]) for name, (one, two) in answers.items()}
            self.value.see(rows, values, abs(factor * value), null[0])
