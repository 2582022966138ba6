"""How an objective turns a batch into a number: per row, mean, sum, or something that couples the rows."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.objectives.grid import MANY
from mlnn.objectives.layout import Extras, sliced
from mlnn.objectives.objective import Objective
from mlnn.objectives.rowwise import one_batch
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

ROWS, FEW_ROWS = (7, 37), (3, 7)
"""Numbers of rows of the batches that are drawn; the few where one row holds more than MANY raw outputs."""
CLOSE = 1e-9
Drawn = tuple[Tensor, Tensor, dict[str, Tensor]]
SUMMED = 64.0
"""Unit roundoffs that a sum of 37 rows may be off, in whatever order it is taken: 37 at most, 4 were measured."""
KEPT = "mean over kept rows"


@dataclass(frozen=True)
class Reduction:
    """`kind`: "per row" (mlnn takes the mean), "mean", "sum", "mean over kept rows" (or positions: of those that are not ignored),
    "broadcast" (an n × n mean), "whole batch" (by an extra that belongs to the batch, never asked by the row) or "coupled" (none
    of these)."""

    kind: str

    @property
    def couples(self) -> bool:
        """Whether a row's part depends on the other rows."""
        return self.kind in (KEPT, "broadcast", "coupled")


def sizes(targets: TargetSpace) -> tuple[int, ...]:
    """Numbers of rows of the batches by which whole batches are judged."""
    return ROWS if targets.outputs <= MANY else FEW_ROWS


def drawn_batch(
    targets: TargetSpace, rows: int, scale: float = 1.0, positions: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor]:
    """A fixed random batch: raw outputs N(0, scale²), (n, *positions[, m]) float64, and targets of the space."""
    draws = generator(rows, "probe", str(replace(targets, raw=None)))
    shape = (rows, *positions, targets.outputs) if targets.outputs > 1 else (rows, *positions)
    output = scale * torch.randn(shape, generator=draws, dtype=torch.float64)
    return output, targets.draw(draws, (rows, *positions))


def drawn_rows(objective: Objective, rows: int, scale: float = 1.0) -> Drawn:
    """The same in an objective's own layout, with extras."""
    layout = objective.layout
    if layout.whole and layout.targets is not None:
        rows = len(layout.targets)
    output, target = drawn_batch(objective.targets, rows, scale, layout.positions)
    ours = layout.targets_of(rows)
    return output, target if ours is None else ours, layout.rows(rows)


def reduction(objective: Objective) -> Reduction | None:
    """Find the reduction from two random batches in float64; None where the objective refuses them."""
    if objective.layout.whole:  # a row alone has not the count that goes with its batch
        return Reduction("whole batch")
    kinds = set()
    for rows in sizes(objective.targets):
        batch = drawn_rows(objective, rows)
        try:
            with objective.twin(torch.float64):
                given = objective.rows(*batch[:2], **batch[2]).detach().to(torch.float64)
            if given.ndim and not _mean_of_rows(objective, batch, given):
                kinds.add("coupled")
            elif given.ndim and objective.targets.ignore is None:
                kinds.add("per row")
            else:  # also where mlnn takes the mean over what is kept
                kinds.add(_kind(objective, batch, one_batch(objective, *batch[:2], torch.float64, batch[2])[0]))
            if "coupled" in kinds:  # looking for a broadcast among more rows takes their square in calls
                break
        except Exception:  # whatever the objective raises, it has refused the batch; the probe reports refusals
            return None
    if kinds == {"mean", KEPT}:  # the mean is of a batch that had no row to ignore
        return Reduction(KEPT)
    return Reduction(kinds.pop() if len(kinds) == 1 else "coupled")


def unsteady(objective: Objective) -> str | None:
    """A sentence for an objective that answers the same call twice differently (state, randomness); None otherwise."""
    said = f"'{objective.name}' answered the same call twice differently (state or randomness)"
    if objective.inside is not None and objective.inside.moody:
        return said
    output, target, extras = drawn_rows(objective, sizes(objective.targets)[-1])
    try:
        answers = [one_batch(objective, output, target, torch.float64, extras) for _ in range(3)]
    except Exception:  # a refusal, which the curves report
        return None
    value, slope = answers[0]
    # The same NaN twice is no news here: that the side is not finite is told elsewhere.
    if all(repr(v) == repr(value) and torch.allclose(g, slope, 0, 0, equal_nan=True) for v, g in answers[1:]):
        return None
    return said


def _mean_of_rows(objective: Objective, batch: Drawn, given: Tensor) -> bool:
    (singles, _), close = _singles(objective, *batch), _close(objective)
    return bool(torch.allclose(objective.per_row(given, batch[1]), singles, rtol=close, atol=close, equal_nan=True))


def _kind(objective: Objective, batch: Drawn, given: float) -> str:
    output, target, extras = batch
    singles, ignored = _singles(objective, *batch)
    total, count, close = float(singles.nan_to_num(0.0).sum()), len(output), _close(objective)
    for kind, value in (
        ("mean", total / count),
        ("sum", total),
        (KEPT, _over_kept(objective, target, singles, ignored)),
    ):
        if abs(given - value) <= close * max(1.0, abs(value)):
            return kind
    if bool(ignored.all()):  # no row says anything alone
        return "coupled"
    pairs = [
        float(_singles(objective, output, target[i : i + 1].expand_as(target), extras)[0].mean()) for i in range(count)
    ]
    every = sum(pairs) / count
    return "broadcast" if abs(given - every) <= _close(objective) * max(1.0, abs(every)) else "coupled"


def _over_kept(objective: Objective, target: Tensor, singles: Tensor, ignored: Tensor) -> float:
    """The mean over the positions that count, of rows that are the means of theirs; NaN where there are none."""
    kept = objective.targets.kept(target)
    counts = (~ignored).double() if kept is None else kept.reshape(len(target), -1).sum(1).double()
    return float((singles.nan_to_num(0.0) * counts).sum() / counts.sum())


def _close(objective: Objective) -> float:
    """How near two answers of one objective have to be: where no promotion reaches it, it rounds as coarsely as it computes."""
    inside = objective.inside
    return max(CLOSE, SUMMED * inside.eps) if inside is not None and inside.sealed else CLOSE


def _singles(objective: Objective, output: Tensor, target: Tensor, extras: Extras) -> tuple[Tensor, Tensor]:
    """Value (n,) of each row alone, and a mask of the rows that are ignored: undefined (0/0), or 0 with a gradient of 0."""
    count = len(output)
    one = [slice(row, row + 1) for row in range(count)]
    rows = [_alone(objective, output[at], target[at], sliced(extras, at, count)) for at in one]
    value = torch.tensor([value for value, _ in rows], dtype=torch.float64)
    silent = torch.tensor([not bool(slope.any()) for _, slope in rows])
    return value, value.isnan() | (silent & (value == 0))


def _alone(objective: Objective, output: Tensor, target: Tensor, extras: Extras) -> tuple[float, Tensor]:
    """Value and gradient of one row; NaN and 0 where a loss over pairs of rows refuses it."""
    try:
        return one_batch(objective, output, target, torch.float64, extras)
    except Exception:  # whatever it raises: its batches are answered
        return math.nan, torch.zeros_like(output)
