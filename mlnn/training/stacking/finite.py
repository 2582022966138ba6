"""Which rows of a stack are finite, and where one that is not went wrong."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.training.batches import Batch, Rows
from mlnn.training.broken import first_row
from mlnn.training.lane import Lane, answers_finitely
from mlnn.training.stacking.stack import Answers
from mlnn.training.step import Stop


def finite_rows(asked: Sequence[Answers]) -> Iterator[tuple[float, bool]]:
    """Every row's loss, NaN where a raw output is not finite, and whether loss and gradient are finite; one transfer."""
    # A sum that is finite has finite terms; one that is not may have overflowed alone.
    sums = [
        torch.stack([answers.losses, answers.outputs.flatten(1).sum(1), answers.gradients.sum(1)]).double()
        for answers in asked
    ]
    read = iter(torch.cat(sums, 1).T.tolist())
    for answers in asked:
        for row, (loss, output, gradient) in zip(range(len(answers.losses)), read, strict=False):
            whole = math.isfinite(output) or bool(answers.outputs[row].isfinite().all())
            known = math.isfinite(gradient) or bool(answers.gradients[row].isfinite().all())
            yield (loss, math.isfinite(loss) and known) if whole else (math.nan, False)


def stop_of(lane: Lane, batch: Batch, rows: Rows, output: Tensor, loss: float) -> Stop:
    """Where a lane went non-finite, and the data row at which its objective did."""
    objective = lane.recipe.objective
    assert isinstance(objective, Objective)
    what = "gradient" if math.isfinite(loss) else "loss"
    place = first_row(partial(answers_finitely, objective, rows), output)
    if place is None:
        return Stop(batch.step, what)
    return Stop(batch.step, what, int(batch.rows[place]), output[place].tolist(), rows.y[place].tolist())
