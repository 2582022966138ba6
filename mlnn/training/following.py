"""Left trains alone, as in an ordinary loop; at some steps, its looks, right is asked where left stands, and steps from there."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from mlnn.training.batches import Batch, batches
from mlnn.training.carrying import carry, idle, stand
from mlnn.training.lane import Lane
from mlnn.training.lockstep import Lockstep
from mlnn.training.optimizers import rates, settings_apart
from mlnn.training.step import Evaluated, LaneStep, StepRecord, flat


@dataclass(frozen=True, eq=False)
class Following:
    """A lockstep of which left alone trains. At a look the control, left's precision twins and the followers are put where left
    stands (weights, buffers, the state of its optimiser), and take left's step beside it.

    A lane with an update of its own is followed at every step, for what it keeps moves with every call and cannot be carried.
    `taken`: how many steps each optimiser has taken, by the name of its lane; `starts`: the first weights of every left lane;
    `between`: is told how many steps are done after each that has no record.
    """

    lockstep: Lockstep
    taken: dict[str, int] = field(default_factory=dict)
    starts: dict[str, Tensor] = field(default_factory=dict)
    between: Callable[[int], None] | None = None
    REMADE: ClassVar[tuple[str, ...]] = ("between",)
    """What is no part of a state that is kept."""

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes of a record: left, control, and left's precision twins."""
        twins = {self.lockstep.leader(dtype).name for dtype in self.lockstep.followers}
        return {name: lane for name, lane in self.lockstep.lanes.items() if name in {"left", "control", *twins}}

    def steps(self, looks: Collection[int], asked: Collection[int], begin: int = 0) -> Iterator[StepRecord]:
        """Train left: one record a look, until the recipe's steps are done or left does not go on; its end is a record too.
        `begin`: how many steps are done already, left standing where these have led.

        `looks`: the steps whose record has a `Look`, some of `asked`.
        """
        left, always = self.lockstep.lanes["left"], self.lockstep.own_updates
        if not begin:
            start = flat(left.weights)
            self.starts.update({n: start.to(lane.dtype) for n, lane in self.lanes.items() if n != "control"})
        starts = self.starts
        for batch in () if left.stopped is not None else batches(self.lockstep.recipe, begin):
            record = None
            if always or batch.step in asked:
                record = self._beside(batch, starts, batch.step in looks)
            else:
                answer = left.evaluate(batch)
                if answer.stop is not None:  # left has not moved: right is asked at the place where it ends
                    left.stopped = None
                    record = self._beside(batch, starts, looks=False)
                else:
                    left.update(answer)
            if record is None and left.stopped is not None:
                yield _ended(batch, answer, left, starts)
            elif record is not None and (batch.step in asked or left.stopped is not None):
                yield record
            elif self.between is not None:
                self.between(batch.step + 1)
            del record  # a large network's record is not kept while left trains on
            if left.stopped is not None:
                return

    def _beside(self, batch: Batch, starts: Mapping[str, Tensor], looks: bool) -> StepRecord:
        """Left's step, with all others beside it."""
        lockstep, lanes = self.lockstep, self.lanes
        left = lanes["left"]
        others = [lane for lane in lanes.values() if lane is not left]
        why = self._placed(batch, [*others, *lockstep.followers.values()])
        before = {name: flat(lane.weights) for name, lane in lanes.items()}
        now = rates(*lockstep.optimizers(trains=False))
        record = replace(lockstep.advance(batch, starts, before, {}, looks=looks), rates_before=now)
        if lockstep.own_updates:
            return record
        control = record.lanes["control"]
        kept = settings_apart(left.optimizer, lanes["control"].optimizer) is None
        if (
            _answers_alike(record)
            and record.lanes["left"].alive
            and not torch.equal(record.lanes["left"].after, control.after)
        ):
            why = "left's optimizer keeps more than its state, and cannot be started where it stands"
        if why is not None:
            common = {dtype: replace(one, stride=None) for dtype, one in record.common.items()}
            record = replace(record, common=common, unlooked=why)
        # A setting that moves with the gradients is one of left's state: right's own has not followed.
        return record if kept else replace(record, settings_apart=None, rates=None)

    def _placed(self, batch: Batch, lanes: list[Lane]) -> str | None:
        """Put lanes where left stands, optimisers with it; why one of these could not be, in words."""
        left, reasons = self.lockstep.lanes["left"], []
        for lane in lanes:
            stand(lane, left)
            follows = lane.name not in self.lanes
            if self.lockstep.own_updates or (follows and not self.lockstep.compares_steps):
                continue
            missed = batch.step - self.taken.get(lane.name, 0)
            if missed and follows and lane.name not in self.taken:
                lane.update(lane.evaluate(batch))  # what its optimiser keeps is known once it has taken a step
                missed -= 1
            reasons += [idle(lane, missed), carry(lane, left, started=batch.step > 0)]
            stand(lane, left)
            self.taken[lane.name] = batch.step + 1
        return next((reason for reason in reasons if reason is not None), None)


def _answers_alike(record: StepRecord) -> bool:
    """Whether the control answered as left did, bit for bit."""
    left, control = record.lanes["left"].answer, record.lanes["control"].answer
    return left.loss == control.loss and torch.equal(left.gradient, control.gradient)


def _ended(batch: Batch, answer: Evaluated, left: Lane, starts: Mapping[str, Tensor]) -> StepRecord:
    """Left's end at weights that are not finite, where nobody was asked."""
    after = flat(left.weights)
    return StepRecord(
        batch, starts, {"left": LaneStep(answer, after, after, after, left.stopped)}, {}, None, None, asked=False
    )
