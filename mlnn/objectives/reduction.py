"""How an objective turns a batch into a number: per row, mean, sum, or something that couples the rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.objectives.objective import Objective
from mlnn.objectives.rowwise import one_batch
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

ROWS = (7, 37)
CLOSE = 1e-9
SUMMED = 64.0
"""Unit roundoffs that a sum of 37 rows may be off, in whatever order it is taken: 37 at most, 4 were measured."""


@dataclass(frozen=True)
class Reduction:
    """`kind`: "per row" (mlnn takes the mean), "mean", "sum", "broadcast" (an n × n mean) or "coupled" (none of these)."""

    kind: str

    @property
    def couples(self) -> bool:
        """Whether a row's part depends on the other rows."""
        return self.kind in ("broadcast", "coupled")


def drawn_batch(targets: TargetSpace, rows: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """A fixed random batch: raw outputs N(0, scale²), (n,) or (n, K) float64, and targets of the space."""
    draws = generator(rows, "probe", str(targets))
    shape = (rows, targets.outputs) if targets.outputs > 1 else (rows,)
    output = scale * torch.randn(shape, generator=draws, dtype=torch.float64)
    return output, targets.draw(draws, (rows,))


def reduction(objective: Objective, targets: TargetSpace) -> Reduction | None:
    """Find the reduction from two random batches in float64; None where the objective refuses them."""
    kinds = set()
    for rows in ROWS:
        output, target = drawn_batch(targets, rows)
        try:
            with objective.twin(torch.float64):
                given = objective.rows(output, target).detach().to(torch.float64)
            if given.ndim:
                kinds.add("per row" if _mean_of_rows(objective, output, target, given) else "coupled")
                continue
            kinds.add(_kind(objective, output, target, float(given)))
            if "coupled" in kinds:  # looking for a broadcast among more rows takes their square in calls
                break
        except Exception:  # whatever the objective raises, it has refused the batch; the probe reports refusals
            return None
    return Reduction(kinds.pop() if len(kinds) == 1 else "coupled")


def unsteady(objective: Objective, targets: TargetSpace) -> str | None:
    """A sentence for an objective that answers the same call twice differently (state, randomness); None otherwise."""
    said = f"'{objective.name}' answered the same call twice differently (state or randomness)"
    if objective.inside is not None and objective.inside.moody:
        return said
    output, target = drawn_batch(targets, 37)
    try:
        answers = [one_batch(objective, output, target, torch.float64) for _ in range(3)]
    except Exception:  # a refusal, which the curves report
        return None
    value, slope = answers[0]
    # The same NaN twice is no news here: that the side is not finite is told elsewhere.
    if all(repr(v) == repr(value) and torch.allclose(g, slope, 0, 0, equal_nan=True) for v, g in answers[1:]):
        return None
    return said


def _mean_of_rows(objective: Objective, output: Tensor, target: Tensor, given: Tensor) -> bool:
    singles = _singles(objective, output, target)
    return bool(torch.allclose(given, singles, rtol=_close(objective), atol=_close(objective)))


def _kind(objective: Objective, output: Tensor, target: Tensor, given: float) -> str:
    singles = _singles(objective, output, target)
    for kind, value in (("mean", float(singles.mean())), ("sum", float(singles.sum()))):
        if abs(given - value) <= _close(objective) * max(1.0, abs(value)):
            return kind
    count = len(output)
    pairs = [float(_singles(objective, output, target[i : i + 1].expand_as(target)).mean()) for i in range(count)]
    every = sum(pairs) / count
    return "broadcast" if abs(given - every) <= _close(objective) * max(1.0, abs(every)) else "coupled"


def _close(objective: Objective) -> float:
    """How near two answers of one objective have to be: where no promotion reaches it, it rounds as coarsely as it computes."""
    inside = objective.inside
    return max(CLOSE, SUMMED * inside.eps) if inside is not None and inside.sealed else CLOSE


def _singles(objective: Objective, output: Tensor, target: Tensor) -> Tensor:
    rows = [one_batch(objective, output[i : i + 1], target[i : i + 1], torch.float64)[0] for i in range(len(output))]
    return torch.tensor(rows, dtype=torch.float64)
