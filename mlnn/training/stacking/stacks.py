"""The stacks of all precisions, asked and stepped as one: their rows are the lanes of one comparison, or of several that differ in
their seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.training.batches import Batch, Rows
from mlnn.training.stacking.finite import finite_rows
from mlnn.training.stacking.optimizer import RowsOptimizer
from mlnn.training.stacking.stack import Answers, Stack


@dataclass(frozen=True, eq=False)
class Met:
    """What the lanes of one comparison in one precision are asked: the batch of each, by name, and all as rows (L, n, …)."""

    batches: Mapping[str, Batch]
    rows: Rows


@dataclass(frozen=True, eq=False)
class Told:
    """What they answered, and of each the loss and whether all of its answer is finite."""

    met: Met
    answers: Answers
    read: Sequence[tuple[float, bool]]


@dataclass(frozen=True, eq=False)
class Stacks:
    """The stacks by precision. Of S comparisons row r is lane r // S of comparison r % S: left's are the first S, those of right's
    recipe at left's weights, the followers', the last.

    `optimizers`: left's and right's; `alike`: they are the same, and one steps all rows but the followers', whose step from left's
    weights and gradient is then left's own.
    """

    by_dtype: Mapping[str, Stack]
    optimizers: Sequence[RowsOptimizer]
    alike: bool
    comparisons: int = 1

    def of(self, part: Tensor, place: int) -> Tensor:
        """The rows of the comparison at a place."""
        return part[place :: self.comparisons]

    def weights(self) -> dict[str, Tensor]:
        """All rows' weights (R, P) by precision, as they stand: a step makes others."""
        return {dtype: stack.weights for dtype, stack in self.by_dtype.items()}

    def ask(
        self, met: Sequence[Mapping[str, Met]], seed: int | None, remaining: int
    ) -> tuple[list[dict[str, Told]], dict[str, Tensor]]:
        """(What each comparison's rows answer, by precision; all gradients (R, P), by precision): all are asked before any is read.

        met: of each comparison; seed: of what is drawn, None where nothing is; remaining: steps still to come.
        """
        answers: dict[str, Answers] = {}
        for dtype, stack in self.by_dtype.items():
            stack.put_last_where_first(self.comparisons)
            answers[dtype] = stack.answer(_interleaved([own[dtype].rows for own in met]), seed, remaining)
        rows = list(finite_rows([*answers.values()]))
        told: list[dict[str, Told]] = [{} for _ in met]
        for dtype, found in answers.items():
            count = len(found.losses)
            read, rows = rows[:count], rows[count:]
            for place, own in enumerate(met):
                mine = Answers(*(self.of(part, place) for part in (found.losses, found.outputs, found.gradients)))
                told[place][dtype] = Told(own[dtype], mine, read[place :: self.comparisons])
        return told, {dtype: found.gradients for dtype, found in answers.items()}

    def stepped(self, gradients: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
        """Where a step of each row leads, (R, P) by precision, and the sums of these weights by row: one transfer."""
        after = {dtype: weights.clone() for dtype, weights in self.weights().items()}
        if not self.alike:
            gradients = {dtype: self._led(slopes) for dtype, slopes in gradients.items()}
        for optimizer in self.optimizers:
            optimizer.step(after, gradients)
        sums = iter(torch.cat([weights.sum(1).double() for weights in after.values()]).tolist())
        return after, {dtype: [next(sums) for _ in weights] for dtype, weights in after.items()}

    def _led(self, gradients: Tensor) -> Tensor:
        """Gradients with left's in the followers' rows: what is seen of right's optimiser is what it makes of that one."""
        gradients = gradients.clone()
        gradients[-self.comparisons :] = gradients[: self.comparisons]
        return gradients

    def stand(self, after: Mapping[str, Tensor]) -> None:
        """Let all rows stand where a step has led them."""
        for dtype, stack in self.by_dtype.items():
            if self.alike:
                after[dtype][-self.comparisons :] = after[dtype][: self.comparisons]
            stack.weights = after[dtype]

    def predict(self, dtype: str, right: int, x: Tensor, seed: int | None, remaining: int) -> tuple[Tensor, Tensor]:
        """Raw outputs (S, n, …) of left's rows and of those of lane number `right`, in evaluation mode, for x (2 S, n, …)."""
        both = self.by_dtype[dtype].predict(self.comparisons, slice(0, right + 1, right), x, seed, remaining)
        return both[: self.comparisons], both[self.comparisons :]


def _interleaved(parts: Sequence[Rows]) -> Rows:
    """The rows of several comparisons as those of one stack, each lane's beside one another."""

    def joined(own: Sequence[Tensor]) -> Tensor:
        return own[0].contiguous() if len(own) == 1 else torch.stack(list(own), 1).flatten(0, 1)

    extras = {name: joined([rows.extras[name] for rows in parts]) for name in parts[0].extras}
    return Rows(joined([rows.x for rows in parts]), joined([rows.y for rows in parts]), extras)
