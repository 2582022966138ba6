"""What one step of a lockstep leaves behind: a frozen record, and all that is told of the step is a function of it.

Weights and gradients are flat vectors (P,) in the lane's own precision, in the order of its own parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch._utils import _flatten_dense_tensors

from mlnn.objectives import Objective
from mlnn.training.batches import Batch


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All entries in one vector, a copy, in their own precision."""
    if len(tensors) == 1:  # which torch would give back as it is
        return tensors[0].detach().reshape(-1).clone()
    vector: Tensor = _flatten_dense_tensors(tensors).detach()
    return vector


@dataclass(frozen=True)
class Stop:
    """Where a lane went non-finite: the step, and the data row, raw output and target where it can be told.

    `what`: "loss", "gradient", or "weights", which are those after the step.
    """

    step: int
    what: str
    row: int | None = None
    output: object = None
    target: object = None


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A lane's answer to a batch at the weights it had: `loss` (a number), `output` (n, *positions[, m]), `target` (n, …),
    and the `gradient` (P,) of the objective alone, zeros where a weight is unused. `extras`: those of the rows, by name.

    Of a `Step` or an update of the lane's own: the raw outputs where they can be told, else (0,), and no target, (0,).
    """

    batch: Batch
    loss: float
    output: Tensor
    target: Tensor
    gradient: Tensor
    stop: Stop | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LaneStep:
    """One lane at one step: what it answered, and its weights before the step and after it.

    `stop`: where it stopped, in this step or earlier. A lane that has stopped keeps its last answer, with its batch.
    `shared`: of a left lane, `after` in right's coordinates (see `LaneRecipe.mapping`); of the others, `after`.
    """

    answer: Evaluated
    before: Tensor
    after: Tensor
    shared: Tensor
    stop: Stop | None

    @property
    def alive(self) -> bool:
        """Whether it goes on after this step."""
        return self.stop is None


@dataclass(frozen=True, eq=False)
class Stride:
    """One optimiser step of right beside left's, from left's weights and gradient: where each arrives."""

    left: Tensor
    right: Tensor


@dataclass(frozen=True, eq=False)
class Common:
    """Left, and right's recipe at left's weights, on the same batch in one precision; `gradient`: left's, in right's coordinates.

    `stride`: None where optimiser steps are not compared, or left has stopped. `null`: how far rounding alone moves (loss,
    gradient) here, where the precision is judged against it.
    """

    left: Evaluated
    right: Evaluated
    gradient: Tensor
    stride: Stride | None
    null: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Look:
    """What is asked at a few steps only, at left's weights before the step.

    `predictions`: (left's, right's) flat raw outputs on the probe rows in evaluation mode, by precision; None where a lane has
    stopped. `ask`: right's model on this batch under any objective, in a dtype, by name; it can be called until the next step is
    asked for. `half`: right's recipe on the first half of the rows, in float64, likewise; None where there is one row alone.
    """

    predictions: Mapping[str, tuple[Tensor, Tensor]] | None
    ask: Callable[[Objective, str], Evaluated]
    half: Callable[[], Evaluated | None]


FOLLOWER = "right_at_left"
"""The row of a block that is right's recipe at left's weights."""


@dataclass(frozen=True, eq=False)
class Block:
    """Lanes of one precision with their vectors as rows of a matrix, for measuring them in few kernels: `names` (L) of the lanes,
    `gradient` (L, P), `after` (L, P).

    The same numbers as in `StepRecord.lanes` and, in row FOLLOWER, as in `Common.right` and `Stride.right` (left's weights where
    no stride is compared). Of a lane that has stopped a row may be missing, and holds anything.
    """

    names: tuple[str, ...]
    gradient: Tensor
    after: Tensor


@dataclass(frozen=True, eq=False)
class StepRecord:
    """One step of all lanes. `lanes` by name, left among them; `common` by precision, for those whose left lane was still running,
    and empty where right was not `asked` at left's weights.

    `starts`: the first weights of every left lane, by its name, from which it has travelled.
    `predictions`: (left's, right's) raw outputs on the probe rows after the step, where both go on. `look`: at some steps.
    `settings_apart`: the first setting in which the two optimisers differ after the step, in words; `rates`: their learning rates
    after it, None where a side has none, or several; `rates_before`: before it, where no step before it has
    told. `gradient`: left's, in right's coordinates, where it was still running.
    `unlooked`: why the steps of the two optimisers were not compared here, though they are elsewhere. `blocks`: by precision,
    where an engine has its lanes as rows of matrices already, all in the same coordinates. `alone`: left's and right's answers at
    left's weights in the working precision by lanes alone, at steps where such an engine has asked them.
    """

    batch: Batch
    starts: Mapping[str, Tensor]
    lanes: Mapping[str, LaneStep]
    common: Mapping[str, Common]
    predictions: tuple[Tensor, Tensor] | None
    look: Look | None
    settings_apart: str | None = None
    rates: tuple[float, float] | None = None
    gradient: Tensor | None = None
    asked: bool = True
    unlooked: str | None = None
    rates_before: tuple[float, float] | None = None
    blocks: Mapping[str, Block] = field(default_factory=dict)
    alone: tuple[Evaluated, Evaluated] | None = None

    @property
    def right(self) -> Evaluated | None:
        """Right's answer in the working precision: its own lane's, or, where it does not train, that at left's weights."""
        if "right" in self.lanes:
            return self.lanes["right"].answer
        own = next(iter(self.common.values()), None)  # the working precision is the first
        return None if own is None else own.right

    @property
    def step(self) -> int:
        """The number of the step, from 0."""
        return self.batch.step

    def ran(self, name: str) -> bool:
        """Whether the lane is there, and was still running when the step began."""
        return name in self.lanes and self.lanes[name].answer.batch.step == self.step
