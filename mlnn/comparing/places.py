"""Where a local probe looks: a model's own raw outputs put elsewhere, its last matrix scaled, its weights moved."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.training import Lane
from mlnn.training.outputs import Place, Told, watched

SCALES = (0.0, 0.1, 3.0, 10.0, 100.0)
"""Of the raw outputs as they are: none, an untrained network's, a trained one's, and those of one that is surer than any."""
WEIGHT_SCALES = (*SCALES, 1000.0)
"""Of the last matrix where raw outputs cannot be put: of a head that starts at 0.02 a hundredfold may not reach a cap at 30."""
MOVES = (-100.0, -10.0, 10.0, 100.0)
"""Added to all raw outputs together: a softmax does not see it, a cap on its logits does."""
DRAWN = (1.0, 10.0, 100.0)
"""Size of a draw that is added to each raw output: of a head that starts at zero no multiple is anywhere else."""
STRAYED = (0.3, 1.0)
"""Size of a draw added to each weight, relative to the root mean square of its tensor: terms that no raw output shows."""
LEAST = 1e-2
"""That root mean square where it is smaller: tensors of zeros (biases, a zero-initialised head) move too."""
Push = Callable[[Lane], None]


@dataclass(frozen=True)
class Visit:
    """One place: `outputs` puts raw outputs, `push` moves the weights of left's lane; `name` as "raw outputs × 10"."""

    name: str
    outputs: Place | None = None
    push: Push | None = None


HERE = Visit("the first weights")


def of_outputs() -> Iterator[Visit]:
    """Places of the raw outputs, nearer ones first."""
    for scale in SCALES:
        yield Visit(name := f"raw outputs × {scale:g}", Place(name, scale=scale))
    for size in MOVES:
        yield Visit(name := f"raw outputs {size:+g}, moved together", Place(name, moved=size))
    for size in DRAWN:
        yield Visit(name := f"raw outputs moved at random by about {size:g}", Place(name, drawn=size))


def of_the_last_matrix() -> Iterator[Visit]:
    """Places of the last matrix of weights, for a step that does not call the model as a whole."""
    for scale in WEIGHT_SCALES:
        yield Visit(f"the last matrix × {scale:g}", push=_scaling(scale))
    for size in MOVES:
        yield Visit(f"the rows of the last matrix moved together by {size:+g}", push=_together(size))


def of_weights() -> Iterator[Visit]:
    """Places of all weights, each entry moved at random."""
    for number, size in enumerate(STRAYED):
        yield Visit(f"weights moved at random by {size:g} of their size", push=_straying(size, number))


@contextmanager
def standing(leader: Lane, others: Sequence[Lane], visit: Visit) -> Iterator[Told]:
    """Inside, lanes stand at a place, left's and those that are to take over from it; afterwards left's weights are as before."""
    kept = [tensor.detach().clone() for tensor in _tensors(leader)]
    if visit.push:
        with torch.no_grad():
            visit.push(leader)
    try:
        with watched(leader.module, visit.outputs) as told:
            if not others:
                yield told
                return
            with watched(others[0].module, visit.outputs):
                yield told
    finally:
        with torch.no_grad():
            for tensor, value in zip(_tensors(leader), kept, strict=True):
                tensor.copy_(value)


def _tensors(lane: Lane) -> list[Tensor]:
    return [*lane.module.parameters(), *lane.module.buffers()]


def _last_matrix(lane: Lane) -> Tensor:
    """The last weight with rows and columns; the last weight of all where there is none."""
    return next((weight for weight in reversed(lane.weights) if weight.ndim > 1), lane.weights[-1])


def _scaling(scale: float) -> Push:
    def push(lane: Lane) -> None:
        _last_matrix(lane).mul_(scale)

    return push


def _together(size: float) -> Push:
    """One row, of norm `size`, added to all rows: every raw output of a row of data moves by the same."""

    def push(lane: Lane) -> None:
        matrix = _last_matrix(lane)
        row = _draw(matrix[0].shape, 0)
        matrix.add_((size * row / row.norm()).to(matrix))

    return push


def _straying(size: float, number: int) -> Push:
    def push(lane: Lane) -> None:
        for place, weight in enumerate(lane.weights):
            spread = max(float(weight.double().square().mean().sqrt()), LEAST)
            weight.add_((size * spread * _draw(weight.shape, 1 + place + 1000 * number)).to(weight))

    return push


def _draw(shape: Sequence[int], number: int) -> Tensor:
    draws = torch.Generator().manual_seed(number)
    return torch.randn(tuple(shape), generator=draws, dtype=torch.float64)
