"""How an objective turns a batch into a number: per row, mean, sum, or something that couples the rows."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.objectives.grid import MANY
from mlnn.objectives.objective import Objective
from mlnn.objectives.rowwise import one_batch
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

ROWS, FEW_ROWS = (7, 37), (3, 7)
"""Numbers of rows of the batches that are drawn; the few where one row holds more than MANY raw outputs."""
CLOSE = 1e-9
KEPT = "mean over kept rows"


@dataclass(frozen=True)
class Reduction:
    """`kind`: "per row" (mlnn takes the mean), "mean", "sum", "mean over kept rows" (of those that are not ignored), "broadcast"
    (an n × n mean) or "coupled" (none of these)."""

    kind: str

    @property
    def couples(self) -> bool:
        """Whether a row's part depends on the other rows."""
        return self.kind in (KEPT, "broadcast", "coupled")


def sizes(targets: TargetSpace) -> tuple[int, ...]:
    """Numbers of rows of the batches by which whole batches are judged."""
    return ROWS if targets.outputs <= MANY else FEW_ROWS


def drawn_batch(targets: TargetSpace, rows: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """A fixed random batch: raw outputs N(0, scale²), (n,) or (n, K) float64, and targets of the space."""
    draws = generator(rows, "probe", str(targets))
    shape = (rows, targets.outputs) if targets.outputs > 1 else (rows,)
    output = scale * torch.randn(shape, generator=draws, dtype=torch.float64)
    return output, targets.draw(draws, (rows,))


def reduction(objective: Objective, targets: TargetSpace) -> Reduction | None:
    """Find the reduction from two random batches in float64; None where the objective refuses them."""
    kinds = set()
    for rows in sizes(targets):
        output, target = drawn_batch(targets, rows)
        try:
            given = objective.rows(output, target.clone())  # some losses write into their target
            if given.ndim:
                kinds.add("per row" if _mean_of_rows(objective, output, target, given) else "coupled")
                continue
            kinds.add(_kind(objective, output, target, float(given.detach())))
            if "coupled" in kinds:  # looking for a broadcast among more rows takes their square in calls
                break
        except Exception:  # whatever the objective raises, it has refused the batch; the probe reports refusals
            return None
    if kinds == {"mean", KEPT}:  # the mean is of a batch that had no row to ignore
        return Reduction(KEPT)
    return Reduction(kinds.pop() if len(kinds) == 1 else "coupled")


def unsteady(objective: Objective, targets: TargetSpace) -> str | None:
    """A sentence for an objective that answers the same call twice differently (state, randomness); None otherwise."""
    output, target = drawn_batch(targets, sizes(targets)[-1])
    try:
        answers = [one_batch(objective, output, target, torch.float64) for _ in range(3)]
    except Exception:  # a refusal, which the curves report
        return None
    value, slope = answers[0]
    # The same NaN twice is no news here: that the side is not finite is told elsewhere.
    if all(repr(v) == repr(value) and torch.allclose(g, slope, 0, 0, equal_nan=True) for v, g in answers[1:]):
        return None
    return f"'{objective.name}' answered the same call twice differently (state or randomness)"


def _mean_of_rows(objective: Objective, output: Tensor, target: Tensor, given: Tensor) -> bool:
    singles, _ = _singles(objective, output, target)
    return bool(torch.allclose(given.detach().to(torch.float64), singles, rtol=CLOSE, atol=CLOSE, equal_nan=True))


def _kind(objective: Objective, output: Tensor, target: Tensor, given: float) -> str:
    singles, ignored = _singles(objective, output, target)
    total, count = float(singles.nan_to_num(0.0).sum()), len(output)
    kept = count - int(ignored.sum())
    for kind, value in (("mean", total / count), ("sum", total), (KEPT, total / max(kept, 1))):
        if abs(given - value) <= CLOSE * max(1.0, abs(value)):
            return kind
    if not kept:  # no row says anything alone
        return "coupled"
    pairs = [float(_singles(objective, output, target[i : i + 1].expand_as(target))[0].mean()) for i in range(count)]
    every = sum(pairs) / count
    return "broadcast" if abs(given - every) <= CLOSE * max(1.0, abs(every)) else "coupled"


def _singles(objective: Objective, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Value (n,) of each row alone, and a mask of the rows that are ignored: undefined (0/0), or 0 with a gradient of 0."""
    rows = [_alone(objective, output[i : i + 1], target[i : i + 1]) for i in range(len(output))]
    value = torch.tensor([value for value, _ in rows], dtype=torch.float64)
    silent = torch.tensor([not bool(slope.any()) for _, slope in rows])
    return value, value.isnan() | (silent & (value == 0))


def _alone(objective: Objective, output: Tensor, target: Tensor) -> tuple[float, Tensor]:
    """Value and gradient of one row; NaN and 0 where a loss over pairs of rows refuses it."""
    try:
        return one_batch(objective, output, target, torch.float64)
    except Exception:  # whatever it raises: its batches are answered
        return math.nan, torch.zeros_like(output)
