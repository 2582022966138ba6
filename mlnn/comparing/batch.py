"""Both objectives on whole random batches: what single rows cannot show (reductions, broadcasting, coupling)."""

import math
from dataclasses import dataclass

import torch

from mlnn.comparing.evidence import Judged, allowed
from mlnn.objectives import Objective
from mlnn.objectives.reduction import ROWS, Reduction, drawn_batch, reduction
from mlnn.objectives.rowwise import one_batch
from mlnn.targets import TargetSpace

SCALES = (1.0, 4.0)


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
    targets: TargetSpace,
    shifted: bool,
    reach: float = math.inf,
    own: str = "float32",
) -> Whole:
    """Compare two objectives on batches of 7 and 37 rows, raw outputs of scale 1 and 4, in float32, float64 and the working dtype.

    Raw outputs are held within ±`reach`, where the two agree row by row: what differs here is then the batch's doing.
    """
    kinds = reduction(left, targets), reduction(right, targets)
    gradient, value = Judged(), Judged()
    factors: dict[int, float] = {}
    if None in kinds:
        return Whole(*kinds, factors, 0.0, 0.0)
    for rows in ROWS:
        for scale in SCALES:
            output, target = drawn_batch(targets, rows, scale)
            output = output.clamp(-reach, reach)
            try:
                at = {
                    name: [one_batch(side, output, target, getattr(torch, name)) for side in (left, right)]
                    for name in dict.fromkeys(("float32", "float64", own))
                }
            except Exception:  # refused at this scale, with whatever exception
                return Whole(None, None, {}, 0.0, 0.0)
            (_, a), (_, b) = at["float64"]
            square = float((a * a).sum())
            if not square > 0:
                continue
            factor = float((a * b).sum()) / square
            near = abs(factor - 1) <= allowed(1e-6)
            factor = factors.setdefault(rows, 1.0 if near or not factor > 0 else factor)
            slopes = {name: float((pair[1][1] - factor * pair[0][1]).norm()) for name, pair in at.items()}
            gradient.see(rows, slopes, factor * float(a.norm()))
            if not shifted:
                values = {name: abs(pair[1][0] - factor * pair[0][0]) for name, pair in at.items()}
                value.see(rows, values, abs(factor * at["float64"][0][0]))
    rough = max(
        (gap for judged in (gradient, value) if (found := judged.unexplained(own)) for _, gap in [found]), default=0.0
    )
    return Whole(*kinds, factors, gradient.real, value.real, rough)
