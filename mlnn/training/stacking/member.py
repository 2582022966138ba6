"""The rows of one comparison: what its lanes are asked, what they have answered, and its record of a step, held to lanes alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.training.batches import Batch, Rows
from mlnn.training.lane import Lane
from mlnn.training.lockstep import Lockstep, stride
from mlnn.training.recipe import dtype_name
from mlnn.training.stacking.checking import EVERY, near, settled, still, terms
from mlnn.training.stacking.finite import stop_of
from mlnn.training.stacking.stack import UnstackableError
from mlnn.training.stacking.stacks import Met, Stacks, Told
from mlnn.training.step import FOLLOWER, Block, Common, Evaluated, LaneStep, Look, StepRecord, Stop

Pair = tuple[Evaluated, Evaluated]
Predictions = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Begun:
    """A step before its rows are asked: the batch, by precision as the rows meet it, and what left and right answer at left's
    weights as lanes alone."""

    batch: Batch
    met: Mapping[str, Met]
    alone: Mapping[str, Pair]


@dataclass(frozen=True, eq=False)
class Heard:
    """A step whose rows have answered: all of them as they stood, each lane's answer, by precision, and the look."""

    begun: Begun
    before: Mapping[str, Tensor]
    told: Mapping[str, Told]
    evaluated: Mapping[str, Mapping[str, Evaluated]]
    look: Look | None


@dataclass(eq=False)
class Member:
    """Rows of stacks, and the lockstep whose lanes they train: those stand still, but for looks and at the end.

    `names`: of the lanes, by precision, in the order of their rows: left's first, FOLLOWER last. `place`: among the comparisons
    whose rows the stacks hold. `settings_apart`, `rates`: of the two optimisers, whose settings never change. `strange`: the model
    or an objective has code that is neither torch's nor ours. `first`: left's first gradient, by precision.
    """

    plain: Lockstep
    names: Mapping[str, tuple[str, ...]]
    shared: Stacks
    settings_apart: str | None
    rates: tuple[float, float] | None
    strange: bool
    place: int = 0
    ended: dict[str, LaneStep] = field(default_factory=dict)
    first: dict[str, Tensor] = field(default_factory=dict)
    starts: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.starts = {
            names[0]: self._by_name(dtype, self._weights()[dtype])[names[0]] for dtype, names in self.names.items()
        }

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes by name."""
        return self.plain.lanes

    @property
    def over(self) -> bool:
        """Whether neither side goes on."""
        return self.ended.keys() >= {"left", "right"}

    def begin(self, batch: Batch, looks: bool) -> Begun:
        """A batch as the rows are asked it."""
        wary = self.strange and bool(self.shared.by_dtype[self.own].plays) and batch.step % EVERY == 0
        alone = self._alone(batch) if looks or wary or batch.step == 0 else {}
        return Begun(batch, {dtype: self._met(dtype, batch) for dtype in self.names}, alone)

    def hear(self, begun: Begun, told: Mapping[str, Told], looks: bool) -> Heard:
        """What the rows have answered, held to what lanes alone do; nobody has stepped yet."""
        evaluated = {dtype: self._evaluated(dtype, one) for dtype, one in told.items()}
        self._check_objectives(evaluated)
        self._check_lanes(begun.alone, evaluated)
        return Heard(begun, self._weights(), told, evaluated, self._look(begun.batch) if looks else None)

    def settle(self, heard: Heard, after: Mapping[str, Tensor], sums: Mapping[str, Sequence[float]]) -> None:
        """Take back the steps of lanes that have stopped, and stop those whose weights are not finite. after, sums: of all rows."""
        for dtype, names in self.names.items():
            weights, totals = (
                self.shared.of(after[dtype], self.place),
                sums[dtype][self.place :: self.shared.comparisons],
            )
            for at, (name, total) in enumerate(zip(names, totals, strict=True)):
                if name == FOLLOWER:
                    continue
                lane = self.plain.lanes[name]
                if lane.stopped is not None:
                    weights[at] = heard.before[dtype][at]
                elif not (math.isfinite(total) or bool(weights[at].isfinite().all())):
                    lane.stopped = Stop(heard.begun.batch.step, "weights")

    def finish(self, heard: Heard, predictions: Predictions | None, asks: bool) -> StepRecord:
        """The record of a step that all rows have taken."""
        if heard.begun.batch.step == 0:
            self._check_steps(heard)
        record = replace(self._record(heard, predictions), alone=heard.begun.alone.get(self.own))
        record = record if asks else replace(record, common={}, asked=False)
        self.ended |= {name: lane for name, lane in record.lanes.items() if not lane.alive}
        return record

    @property
    def predicts(self) -> bool:
        """Whether both sides go on, so that their predictions can be compared."""
        return all(self.plain.lanes[side].stopped is None for side in ("left", "right"))

    def _weights(self) -> dict[str, Tensor]:
        return {dtype: self.shared.of(weights, self.place) for dtype, weights in self.shared.weights().items()}

    def _by_name(self, dtype: str, part: Tensor) -> dict[str, Tensor]:
        """Each lane's own (P,) of its comparison's rows (L, P), without the padding."""
        return dict(zip(self.names[dtype], part[:, : self.shared.by_dtype[dtype].size].unbind(), strict=True))

    def _evaluated(self, dtype: str, told: Told) -> Mapping[str, Evaluated]:
        """Answers as those of each lane."""
        rows, answers, evaluated = told.met.rows, told.answers, {}
        extras = [dict(zip(rows.extras, parts, strict=True)) for parts in zip(*rows.extras.values(), strict=True)]
        gradients = self._by_name(dtype, answers.gradients)
        outputs, targets = answers.outputs.unbind(), rows.y.unbind()
        for at, (name, (loss, finite)) in enumerate(zip(self.names[dtype], told.read, strict=True)):
            beside = extras[at] if extras else {}
            one = Evaluated(told.met.batches[name], loss, outputs[at], targets[at], gradients[name], None, beside)
            evaluated[name] = self._stopped(self._lane(dtype, name), one, rows.x[at], finite)
        return evaluated

    def _met(self, dtype: str, batch: Batch) -> Met:
        """A batch as each lane meets it, by name and as rows (L, n, …): a null twin may have an order of its own."""
        names = self.names[dtype]
        base, count = batch.at(getattr(torch, dtype)), len(batch.rows)
        drawn = {
            name: torch.randperm(count, generator=self.plain.permuted[name])
            for name in names if name in self.plain.permuted
        }  # fmt: skip
        order = None
        if drawn:
            straight = torch.arange(count)
            order = torch.stack([drawn.get(name, straight) for name in names]).to(base.y.device)

        def each(part: Tensor) -> Tensor:
            if order is not None and part.ndim and len(part) == count:
                return part[order]
            return part.expand(len(names), *part.shape)

        own = {name: batch.permuted(drawn[name]) if name in drawn else batch for name in names}
        return Met(own, Rows(each(base.x), each(base.y), {name: each(part) for name, part in base.extras.items()}))

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

    def _alone(self, batch: Batch) -> dict[str, Pair]:
        """Left's and right's answers at left's weights by lanes alone, by precision; asked first, for rows change their buffers."""
        self.put_back()
        leaders = {dtype: self.plain.leader(dtype) for dtype in self.names}
        return {
            dtype: (leader.evaluate(batch), self.plain.followers[dtype].evaluate(batch))
            for dtype, leader in leaders.items()
            if leader.name not in self.ended
        }

    def _check_lanes(self, alone: Mapping[str, Pair], evaluated: Mapping[str, Mapping[str, Evaluated]]) -> None:
        """Hold answers to those of lanes alone, which may see what a row does not (a hook, a state of their own, a value that
        changes from call to call)."""
        for dtype, pair in alone.items():
            leader = self.plain.leader(dtype)
            for name, one in zip((leader.name, FOLLOWER), pair, strict=True):
                row = evaluated[dtype][name]
                same = (one.stop is None) == (row.stop is None)
                least = terms(one.gradient, self.first.setdefault(dtype, one.gradient))
                if not same or (one.stop is None and not near(one.gradient, row.gradient, least)):
                    raise UnstackableError(f"{leader.asked}: a row's gradient is not that of a lane alone")

    def _check_steps(self, heard: Heard) -> None:
        """Hold the first step of the rows to that of lanes alone, from left's weights and gradient: left's, and right's where its
        optimiser is another one."""
        for dtype, weights in self._weights().items():
            leader, follower = self.plain.leader(dtype), self.plain.followers[dtype]
            told, start = heard.evaluated[dtype][leader.name], self._by_name(dtype, heard.before[dtype])[leader.name]
            if leader.stopped is not None or told.stop is not None:
                continue
            arrived = self._by_name(dtype, weights)
            for name, lane in [(leader.name, leader)] + ([] if self.shared.alike else [(FOLLOWER, follower)]):
                lane.take_gradient(told.gradient)
                if not near(lane.update(told) - start, arrived[name] - start):
                    raise UnstackableError(f"{type(lane.optimizer).__name__}: a row's step is not that of a lane alone")

    def _check_objectives(self, evaluated: Mapping[str, Mapping[str, Evaluated]]) -> None:
        """Where steps are recorded, ask an objective of the user's own at every one: it may count its calls."""
        for name in ("left", FOLLOWER) if self.shared.by_dtype[self.own].plays else ():
            told, objective = evaluated[self.own][name], self._lane(self.own, name).recipe.objective
            assert isinstance(objective, Objective)
            if told.stop is None and not settled(objective) and not still(objective, told):
                raise UnstackableError(f"objective '{objective.name}' answers otherwise than when it was recorded")

    @property
    def own(self) -> str:
        """The run's own precision."""
        return dtype_name(self.plain.recipe.dtype)

    def _look(self, batch: Batch) -> Look:
        self.put_back()
        return self.plain.look(batch)

    def put_back(self) -> None:
        """Let the lanes stand where their rows do."""
        for dtype, names in self.names.items():
            for at, name in enumerate(names):
                if name != FOLLOWER and name not in self.ended:
                    self.plain.lanes[name].take_over(self._state_of(dtype, at))
            self.plain.followers[dtype].take_over(self._state_of(dtype, 0))

    def _state_of(self, dtype: str, lane: int) -> Mapping[str, Tensor]:
        return self.shared.by_dtype[dtype].state_of(lane * self.shared.comparisons + self.place)

    def _record(self, heard: Heard, predictions: Predictions | None) -> StepRecord:
        lanes: dict[str, LaneStep] = {}
        common: dict[str, Common] = {}
        blocks = {}
        for dtype, weights in self._weights().items():
            first, last = self._by_name(dtype, heard.before[dtype]), self._by_name(dtype, weights)
            evaluated, names = heard.evaluated[dtype], self.names[dtype]
            for name in names[:-1]:
                stop = self.plain.lanes[name].stopped
                new = LaneStep(evaluated[name], first[name], last[name], last[name], stop)
                lanes[name] = self.ended.get(name, new)
            leader, size = names[0], self.shared.by_dtype[dtype].size
            if leader not in self.ended:
                own, other = evaluated[leader], evaluated[FOLLOWER]
                common[dtype] = Common(own, other, own.gradient, stride(lanes[leader], last[FOLLOWER]))
            blocks[dtype] = Block(names, heard.told[dtype].answers.gradients[:, :size], weights[:, :size])
        mine = common.get(self.own)
        return StepRecord(
            heard.begun.batch, self.starts, {name: lanes[name] for name in self.plain.lanes}, common, predictions, heard.look,
            self.settings_apart, self.rates, None if mine is None else mine.gradient, blocks=blocks,
        )  # fmt: skip
