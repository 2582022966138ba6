"""A lockstep whose lanes are rows of stacks: the same records as lane by lane, from a few large operations a step."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.training.batches import Batch, Rows, batches
from mlnn.training.lane import Lane
from mlnn.training.lockstep import Lockstep, stride
from mlnn.training.recipe import dtype_name
from mlnn.training.stacking.checking import EVERY, control_is_left, near, settled, still, terms
from mlnn.training.stacking.finite import finite_rows, stop_of
from mlnn.training.stacking.optimizer import RowsOptimizer
from mlnn.training.stacking.stack import Answers, Stack, UnstackableError
from mlnn.training.step import FOLLOWER, Block, Common, Evaluated, LaneStep, Look, StepRecord, Stop


@dataclass(frozen=True, eq=False)
class _Asked:
    """One precision's part of a step: the batch of each row, all answers, and those of each row."""

    batches: Mapping[str, Batch]
    rows: Rows
    answers: Answers
    evaluated: Mapping[str, Evaluated]


@dataclass(eq=False)
class StackedLockstep:
    """The stacks by precision, and the lockstep whose lanes they train: those stand still, but for looks and at the end.

    `optimizers`: left's and right's; `alike`: they are the same, and one steps all rows but the last, FOLLOWER's, whose step from
    left's weights and gradient is then left's own. `settings_apart`, `rates`: of the two optimisers, whose settings never change.
    `strange`: the model or an objective has code that is neither torch's nor ours. `first`: left's first gradient, by precision.
    """

    plain: Lockstep
    stacks: Mapping[str, Stack]
    optimizers: Sequence[RowsOptimizer]
    alike: bool
    settings_apart: str | None
    rates: tuple[float, float] | None
    strange: bool
    ended: dict[str, LaneStep] = field(default_factory=dict)
    first: dict[str, Tensor] = field(default_factory=dict)

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes by name."""
        return self.plain.lanes

    def steps(self, looks: Collection[int] = (), asked: Collection[int] | None = None) -> Iterator[StepRecord]:
        """As `Lockstep.steps`. UnstackableError where a lane alone would answer otherwise, or the control has not left's bits."""
        starts = {
            self.plain.leader(dtype).name: stack.by_name(stack.weights)[self.plain.leader(dtype).name]
            for dtype, stack in self.stacks.items()
        }
        for batch in batches(self.plain.recipe):
            yield self._step(batch, starts, batch.step in looks, asked is None or batch.step in asked)
            if self.ended.keys() >= {"left", "right"}:
                break
        self._put_back()

    def _step(self, batch: Batch, starts: Mapping[str, Tensor], looks: bool, asks: bool) -> StepRecord:
        """Every row answers, then every row that is still finite steps."""
        wary = self.strange and bool(self.stacks[self._own].plays) and batch.step % EVERY == 0
        alone = self._alone(batch) if looks or wary or batch.step == 0 else {}
        asked = self._ask(batch)
        self._check_objectives(asked)
        self._check_lanes(alone, asked)
        look = self._look(batch) if looks else None
        before = {dtype: stack.weights for dtype, stack in self.stacks.items()}
        self._update(asked)
        if batch.step == 0:
            self._check_steps(asked, before)
        record = replace(self._record(batch, starts, asked, before, look), alone=alone.get(self._own))
        record = record if asks else replace(record, common={}, asked=False)
        if not control_is_left(record):
            raise UnstackableError("the control, a row beside left's, has other bits")
        self.ended |= {name: lane for name, lane in record.lanes.items() if not lane.alive}
        return record

    def _ask(self, batch: Batch) -> dict[str, _Asked]:
        """Every row's answer, by precision: all are asked before any is read."""
        met = {dtype: self._rows(stack, batch) for dtype, stack in self.stacks.items()}
        answers = {dtype: self._answers(dtype, met[dtype][1], batch) for dtype in self.stacks}
        read = finite_rows([*answers.values()])
        return {dtype: self._told(dtype, *met[dtype], answers[dtype], read) for dtype in self.stacks}

    def _answers(self, dtype: str, rows: Rows, batch: Batch) -> Answers:
        stack = self.stacks[dtype]
        stack.take_over(FOLLOWER, self.plain.leader(dtype).name)
        return stack.answer(rows, batch.dropout_seed, self.plain.recipe.steps - batch.step)

    def _told(
        self, dtype: str, own: Mapping[str, Batch], rows: Rows, answers: Answers, read: Iterator[tuple[float, bool]]
    ) -> _Asked:
        """Answers as those of each lane; read: loss of the next row, and whether it is finite."""
        outputs, targets = answers.outputs.unbind(), rows.y.unbind()
        extras = [dict(zip(rows.extras, parts, strict=True)) for parts in zip(*rows.extras.values(), strict=True)]
        gradients, evaluated = self.stacks[dtype].by_name(answers.gradients), {}
        for at, (name, (loss, finite)) in enumerate(zip(self.stacks[dtype].names, read, strict=False)):
            beside = extras[at] if extras else {}
            told = Evaluated(own[name], loss, outputs[at], targets[at], gradients[name], None, beside)
            evaluated[name] = self._stopped(self._lane(dtype, name), told, rows.x[at], finite)
        return _Asked(own, rows, answers, evaluated)

    def _rows(self, stack: Stack, batch: Batch) -> tuple[Mapping[str, Batch], Rows]:
        """A batch as each lane meets it, by name and as rows (R, n, …): a null twin may have an order of its own."""
        base, count = batch.at(stack.weights.dtype), len(batch.rows)
        drawn = {
            name: torch.randperm(count, generator=self.plain.permuted[name])
            for name in stack.names if name in self.plain.permuted
        }  # fmt: skip
        order = None
        if drawn:
            straight = torch.arange(count)
            order = torch.stack([drawn.get(name, straight) for name in stack.names]).to(base.y.device)

        def each(part: Tensor) -> Tensor:
            if order is not None and part.ndim and len(part) == count:
                return part[order]
            return part.expand(len(stack.names), *part.shape).contiguous()

        own = {name: batch.permuted(drawn[name]) if name in drawn else batch for name in stack.names}
        return own, Rows(each(base.x), each(base.y), {name: each(part) for name, part in base.extras.items()})

    def _stopped(self, lane: Lane, told: Evaluated, x: Tensor, finite: bool) -> Evaluated:
        """A row's answer as that of a lane, which stops where it is not finite; a follower stands anew at every step."""
        follows = lane is self.plain.followers.get(dtype_name(lane.dtype))
        if finite:
            lane.stopped = None if follows else lane.stopped
            return told
        stop = stop_of(lane, told.batch, Rows(x, told.target, dict(told.extras)), told.output, told.loss)
        lane.stopped = stop if follows else lane.stopped or stop
        slope = told.gradient if math.isfinite(told.loss) else torch.full_like(told.gradient, math.nan)
        return replace(told, gradient=slope, stop=stop)

    def _lane(self, dtype: str, name: str) -> Lane:
        return self.plain.followers[dtype] if name == FOLLOWER else self.plain.lanes[name]

    def _alone(self, batch: Batch) -> dict[str, tuple[Evaluated, Evaluated]]:
        """Left's and right's answers at left's weights by lanes alone, by precision; asked first, for rows change their buffers."""
        self._put_back()
        leaders = {dtype: self.plain.leader(dtype) for dtype in self.stacks}
        return {
            dtype: (leader.evaluate(batch), self.plain.followers[dtype].evaluate(batch))
            for dtype, leader in leaders.items()
            if leader.name not in self.ended
        }

    def _check_lanes(self, alone: Mapping[str, tuple[Evaluated, Evaluated]], asked: Mapping[str, _Asked]) -> None:
        """Hold answers to those of lanes alone, which may see what a row does not (a hook, a state of their own, a value that
        changes from call to call)."""
        for dtype, pair in alone.items():
            leader = self.plain.leader(dtype)
            for name, one in zip((leader.name, FOLLOWER), pair, strict=True):
                row = asked[dtype].evaluated[name]
                same = (one.stop is None) == (row.stop is None)
                least = terms(one.gradient, self.first.setdefault(dtype, one.gradient))
                if not same or (one.stop is None and not near(one.gradient, row.gradient, least)):
                    raise UnstackableError(f"{leader.asked}: a row's gradient is not that of a lane alone")

    def _check_steps(self, asked: Mapping[str, _Asked], before: Mapping[str, Tensor]) -> None:
        """Hold the first step of the rows to that of lanes alone, from left's weights and gradient: left's, and right's where its
        optimiser is another one."""
        for dtype, stack in self.stacks.items():
            leader, follower = self.plain.leader(dtype), self.plain.followers[dtype]
            told, start = asked[dtype].evaluated[leader.name], stack.by_name(before[dtype])[leader.name]
            if leader.stopped is not None or told.stop is not None:
                continue
            arrived = stack.by_name(stack.weights)
            for name, lane in [(leader.name, leader)] + ([] if self.alike else [(FOLLOWER, follower)]):
                lane.take_gradient(told.gradient)
                if not near(lane.update(told) - start, arrived[name] - start):
                    raise UnstackableError(f"{type(lane.optimizer).__name__}: a row's step is not that of a lane alone")

    def _check_objectives(self, asked: Mapping[str, _Asked]) -> None:
        """Where steps are recorded, ask an objective of the user's own at every one: it may count its calls."""
        for name in ("left", FOLLOWER) if self.stacks[self._own].plays else ():
            told, objective = asked[self._own].evaluated[name], self._lane(self._own, name).recipe.objective
            assert isinstance(objective, Objective)
            if told.stop is None and not settled(objective) and not still(objective, told):
                raise UnstackableError(f"objective '{objective.name}' answers otherwise than when it was recorded")

    @property
    def _own(self) -> str:
        return dtype_name(self.plain.recipe.dtype)

    def _look(self, batch: Batch) -> Look:
        self._put_back()
        return self.plain.look(batch)

    def _put_back(self) -> None:
        """Let the lanes stand where their rows do."""
        for dtype, stack in self.stacks.items():
            for name in stack.names:
                if name != FOLLOWER and name not in self.ended:
                    self.plain.lanes[name].take_over(stack.state_of(name))
            self.plain.followers[dtype].take_over(stack.state_of(self.plain.leader(dtype).name))

    def _update(self, asked: Mapping[str, _Asked]) -> None:
        """Step the rows; those that are not finite, now or before, stay where they are."""
        before = {dtype: stack.weights for dtype, stack in self.stacks.items()}
        after = {dtype: weights.clone() for dtype, weights in before.items()}
        gradients = {dtype: found.answers.gradients for dtype, found in asked.items()}
        if not self.alike:
            gradients = {dtype: self._led(dtype, slopes) for dtype, slopes in gradients.items()}
        for optimizer in self.optimizers:
            optimizer.step(after, gradients)
        self._settle(asked, before, after)
        for dtype, stack in self.stacks.items():
            if self.alike:
                after[dtype][-1] = after[dtype][self._left(dtype)]
            stack.weights = after[dtype]

    def _left(self, dtype: str) -> int:
        return self.stacks[dtype].names.index(self.plain.leader(dtype).name)

    def _led(self, dtype: str, gradients: Tensor) -> Tensor:
        """Gradients with left's in the follower's row, the last: what is seen of right's optimiser is what it makes of that one."""
        gradients = gradients.clone()
        gradients[-1] = gradients[self._left(dtype)]
        return gradients

    def _settle(self, asked: Mapping[str, _Asked], before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        """Take back the steps of lanes that have stopped, and stop those whose weights are not finite."""
        places = [(dtype, at, name) for dtype, stack in self.stacks.items() for at, name in enumerate(stack.names)]
        totals = torch.cat([weights.sum(1).double() for weights in after.values()]).tolist()
        for (dtype, at, name), total in zip(places, totals, strict=True):
            if name == FOLLOWER:
                continue
            lane = self.plain.lanes[name]
            if lane.stopped is not None:
                after[dtype][at] = before[dtype][at]
            elif not (math.isfinite(total) or bool(after[dtype][at].isfinite().all())):
                lane.stopped = Stop(asked[dtype].batches[name].step, "weights")

    def _record(
        self,
        batch: Batch,
        starts: Mapping[str, Tensor],
        asked: Mapping[str, _Asked],
        before: Mapping[str, Tensor],
        look: Look | None,
    ) -> StepRecord:
        lanes: dict[str, LaneStep] = {}
        common: dict[str, Common] = {}
        blocks = {}
        for dtype, stack in self.stacks.items():
            first, last = stack.by_name(before[dtype]), stack.by_name(stack.weights)
            for name in stack.names:
                if name != FOLLOWER:
                    told, stop = asked[dtype].evaluated[name], self.plain.lanes[name].stopped
                    new = LaneStep(told, first[name], last[name], last[name], stop)
                    lanes[name] = self.ended.get(name, new)
            leader = self.plain.leader(dtype).name
            if leader not in self.ended:
                own, other = asked[dtype].evaluated[leader], asked[dtype].evaluated[FOLLOWER]
                common[dtype] = Common(own, other, own.gradient, stride(lanes[leader], last[FOLLOWER]))
            blocks[dtype] = Block(
                stack.names, asked[dtype].answers.gradients[:, : stack.size], stack.weights[:, : stack.size]
            )
        in_order = {name: lanes[name] for name in self.plain.lanes}
        mine = common.get(self._own)
        return StepRecord(
            batch, starts, in_order, common, self._predictions(batch), look, self.settings_apart, self.rates,
            None if mine is None else mine.gradient, blocks=blocks,
        )  # fmt: skip

    def _predictions(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        lanes = [self.plain.lanes[side] for side in ("left", "right")]
        if any(lane.stopped is not None for lane in lanes):
            return None
        stack = self.stacks[self._own]
        first, last = stack.names.index("left"), stack.names.index("right")
        both = slice(first, last + 1, last - first)
        left, right = stack.predict(both, self.plain.probe_rows, batch.step, self.plain.recipe.steps - batch.step)
        return left, right
