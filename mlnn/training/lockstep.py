"""All lanes of a comparison, advanced together: same weights at the start, same batches, same dropout masks."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.training.batches import Batch, batches
from mlnn.training.lane import Lane
from mlnn.training.optimizers import rates, settings_apart
from mlnn.training.recipe import Recipe, dtype_name
from mlnn.training.step import Common, Evaluated, LaneStep, Look, StepRecord, Stride, flat
from mlnn.training.twins import ALONE, null_draws

PROBE_ROWS = 64
"""Rows on which predictions are compared, at most: a forward pass of them is asked at every step."""


@dataclass(frozen=True, eq=False)
class Lockstep:
    """The lanes by name, the null twins' row orders, and the followers: right's recipe at left's weights, per dtype.

    `mirrors`: left's recipe at left's weights, in the dtypes in which left's own answer does not serve: float64 where the run's
    own float64 is not promoted, and float32 where the pair is judged there alone, against `null_eps`, which is then what rounding
    is drawn with. `ended`: the last steps of lanes that have stopped; `starts`: the first weights of every left lane.
    """

    recipe: Recipe
    lanes: dict[str, Lane]
    followers: dict[str, Lane]
    permuted: dict[str, torch.Generator] = field(default_factory=dict)
    mirrors: dict[str, Lane] = field(default_factory=dict)
    null_eps: float = 0.0
    draws_masks: bool = False
    ended: dict[str, LaneStep] = field(default_factory=dict)
    starts: dict[str, Tensor] = field(default_factory=dict)

    def steps(
        self, looks: Collection[int] = (), asked: Collection[int] | None = None, begin: int = 0
    ) -> Iterator[StepRecord]:
        """Train all lanes: one record a step, until the recipe's steps are done or neither side goes on. `begin`: how many
        steps are done already, the lanes standing where these have led.

        `looks`: the steps whose record has a `Look`. `asked`: those at which right is asked at left's weights; None: all, and so
        wherever a lane has an update of its own, whose state moves with every call.
        """
        if not begin:
            self.ended.clear()
            self.starts.update({name: flat(self.lanes[name].weights) for name in map(self._leads, self.followers)})
        before = {name: flat(lane.weights) for name, lane in self.lanes.items() if name not in self.ended}
        for batch in () if self.over else batches(self.recipe, begin):
            asks = asked is None or self.own_updates or batch.step in asked
            record = self.advance(batch, self.starts, before, self.ended, looks=batch.step in looks, asks=asks)
            before = {name: lane.after for name, lane in record.lanes.items() if lane.alive}
            self.ended.update({name: lane for name, lane in record.lanes.items() if not lane.alive})
            yield record
            del record  # a large network's record is not kept while the next one is made
            if self.over:
                return

    def advance(
        self,
        batch: Batch,
        starts: Mapping[str, Tensor],
        before: Mapping[str, Tensor],
        ended: Mapping[str, LaneStep],
        *,
        looks: bool,
        asks: bool = True,
    ) -> StepRecord:
        """One step of the lanes in `before`, which has their weights: every one answers, then every one that is still finite
        steps; in between all stand where they answered. `ended`: the last of those that have stopped. `asks`: whether right is
        asked at left's weights.

        Right's optimiser follows at every step, for a schedule, a hook or an optimiser of one's own may change at any.
        """
        running = {dtype: self._leads(dtype) for dtype in self.followers if self.leader(dtype).stopped is None}
        led = running if asks else {}
        beside = {dtype: self.right_at_left(dtype, batch) for dtype in led}
        nulls = {dtype: self._nulls(dtype, batch) for dtype in led if self.null_eps and dtype == ALONE}
        mirrored = {
            dtype: self._left_at_left(dtype, batch) for dtype in led if dtype in self.mirrors and dtype != ALONE
        }
        answers = {name: self.lanes[name].evaluate(self._own_rows(name, batch)) for name in before}
        told = {dtype: mirrored.get(dtype, answers[name]) for dtype, name in led.items()}
        gradients = {dtype: self.shared_gradient(dtype, told[dtype], dtype in mirrored) for dtype in led}
        own = self.shared_gradient(dtype_name(self.recipe.dtype), answers["left"]) if "left" in answers else None
        look = self.look(batch) if looks else None
        arrived = self._right_from_left(running, answers) if self.compares_steps else {}
        after = {name: self.lanes[name].update(answer) for name, answer in answers.items() if answer.stop is None}
        new = {
            name: self._lane_step(name, answer, before[name], after.get(name, before[name]))
            for name, answer in answers.items()
        }
        lanes = {name: new[name] if name in new else ended[name] for name in self.lanes if name in new or name in ended}
        common = {
            dtype: Common(
                told[dtype], beside[dtype], gradients[dtype], stride(lanes[name], arrived.get(dtype)),
                nulls.get(dtype, (0.0, 0.0)),
            )
            for dtype, name in led.items()
        }  # fmt: skip
        left, right = self.optimizers("right" in lanes)
        return StepRecord(
            batch, starts, lanes, common, self._predictions(batch) if "right" in lanes else None, look,
            settings_apart(left, right), rates(left, right), own, asks,
        )  # fmt: skip

    def right_at_left(self, dtype: str, batch: Batch) -> Evaluated:
        """Right's answer to a batch at left's weights."""
        follower = self.followers[dtype]
        follower.stopped = None
        follower.take_over(follower.wanted(self.leader(dtype)))
        return follower.evaluate(batch)

    def _mirror(self, dtype: str) -> Lane:
        """Left in the precision in which its follower computes, at its weights: itself, or its mirror."""
        if dtype not in self.mirrors:
            return self.leader(dtype)
        self.mirrors[dtype].take_over(self.mirrors[dtype].wanted(self.leader(dtype)))
        return self.mirrors[dtype]

    def _left_at_left(self, dtype: str, batch: Batch) -> Evaluated:
        """Left's answer to a batch at its weights by its mirror."""
        mirror = self._mirror(dtype)
        mirror.stopped = None
        return mirror.evaluate(batch)

    def _nulls(self, dtype: str, batch: Batch) -> tuple[float, float]:
        """How far rounding alone moves (loss, gradient) of either side at left's weights."""
        drawn = [(0.0, 0.0)]
        for lane in (self._mirror(dtype), self.followers[dtype]):
            lane.stopped = None
            lane.take_over(lane.wanted(self.leader(dtype)))
            drawn += null_draws(lane, batch, self.null_eps, not self.draws_masks)
        return max(value for value, _ in drawn), max(slope for _, slope in drawn)

    def _right_from_left(self, led: Collection[str], answers: Mapping[str, Evaluated]) -> dict[str, Tensor]:
        """Where right's optimiser arrives from left's weights and gradient, per dtype of a left that is still finite.

        A follower's optimiser has seen nothing but left's gradients so far, so the two steps can be compared, whatever
        state the optimisers keep.
        """
        arrived = {}
        for dtype in led:
            leader, follower = self.leader(dtype), self.followers[dtype]
            if leader.stopped is None:
                follower.take_over(follower.wanted(leader))
                arrived[dtype] = follower.follow(leader, answers[leader.name])
        return arrived

    def look(self, batch: Batch) -> Look:
        """Predictions at left's weights, and ways to ask right's model there later: another objective, or half the rows."""
        pairs = [(dtype, self.leader(dtype), follower) for dtype, follower in self.followers.items()]
        alive = all(lane.stopped is None for _, *pair in pairs for lane in pair)
        told = {
            dtype: found
            for dtype, _, follower in pairs
            if alive and (found := self._predicted(self._mirror(dtype), follower, batch.step)) is not None
        }
        later = ("float64", ALONE) if self.null_eps else ("float64",)
        state = {
            dtype: {name: tensor.detach().clone() for name, tensor in follower.wanted(leader).items()}
            for dtype, leader, follower in pairs
            if dtype in later
        }

        def ask(objective: Objective, dtype: str) -> Evaluated:
            self.followers[dtype].take_over(state[dtype])
            return self.followers[dtype].evaluate(batch, objective)

        def half() -> Evaluated | None:
            part, asked = batch.half(), self.followers["float64"]
            asked.take_over(state["float64"])
            return None if part is None else asked.evaluate(part)

        return Look(told or None, ask, half)

    def _predicted(self, left: Lane, right: Lane, step: int) -> tuple[Tensor, Tensor] | None:
        """Both lanes' raw outputs on the probe rows in evaluation mode, flat; None of steps: they may ask anything."""
        if not self.rowwise:
            return None
        rows = self.probe_rows
        return flat([left.predict(rows, step)]), flat([right.predict(rows, step)])

    def _predictions(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        left, right = self.lanes["left"], self.lanes["right"]
        if left.stopped is not None or right.stopped is not None or not self.rowwise:
            return None
        rows = self.probe_rows
        return left.predict(rows, batch.step), right.predict(rows, batch.step)

    @cached_property
    def probe_rows(self) -> Any:
        """Held-out rows for prediction gaps; the first training rows where none were held out."""
        return self.recipe.inputs(self.recipe.dataset.seen(PROBE_ROWS), self.recipe.dtype)

    def _lane_step(self, name: str, answer: Evaluated, before: Tensor, after: Tensor) -> LaneStep:
        lane = self.lanes[name]
        follower = next((other for dtype, other in self.followers.items() if self.leader(dtype) is lane), None)
        apart = follower is not None and follower.recipe.mapping is not None
        shared = flat(follower.translate(lane, lane.weights)) if follower is not None and apart else after
        return LaneStep(answer, before, after, shared, lane.stopped)

    def shared_gradient(self, dtype: str, answer: Evaluated, mirrored: bool = False) -> Tensor:
        """Left's gradient in place, that of `answer`, in right's coordinates; of left itself, or of its mirror."""
        leader, follower = self.mirrors[dtype] if mirrored else self.leader(dtype), self.followers[dtype]
        if follower.recipe.mapping is None:
            return answer.gradient
        return flat(follower.translate(leader, leader.gradients))

    def optimizers(self, trains: bool = True) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Left's, and right's: where right trains, that of its own lane, else that of its follower."""
        right = self.lanes["right"] if trains else self.followers[dtype_name(self.recipe.dtype)]
        return self.lanes["left"].optimizer, right.optimizer

    @property
    def over(self) -> bool:
        """Whether neither side goes on."""
        return self.ended.keys() >= {"left", "right"}

    @property
    def own_updates(self) -> bool:
        """Whether a side has an update of its own."""
        return any(self.lanes[side].own is not None for side in ("left", "right"))

    @property
    def compares_steps(self) -> bool:
        """Whether followers take steps of their own. L-BFGS evaluates its objective again, so it is compared only where
        settings differ.
        """
        searches = any(isinstance(self.lanes[side].optimizer, torch.optim.LBFGS) for side in ("left", "right"))
        # What an update does besides the gradient is seen in its steps alone, and its state has to follow.
        return self.optimizers_differ or self.own_updates or not searches

    @property
    def rowwise(self) -> bool:
        """Whether both sides are objectives of raw outputs, which can be asked row by row."""
        return all(self.lanes[side].recipe.rowwise for side in ("left", "right"))

    @property
    def optimizers_differ(self) -> bool:
        """Whether right's optimiser, one of its settings, or the prior on the weights, is not left's."""
        left, right = self.lanes["left"], self.lanes["right"]
        if left.recipe.prior != right.recipe.prior:
            return True
        return type(left.optimizer) is not type(right.optimizer) or left.optimizer.defaults != right.optimizer.defaults

    def leader(self, dtype: str) -> Lane:
        """The left lane of a precision."""
        return self.lanes[self._leads(dtype)]

    def _leads(self, dtype: str) -> str:
        return "left" if dtype == dtype_name(self.recipe.dtype) else f"left_{dtype}"

    def _own_rows(self, name: str, batch: Batch) -> Batch:
        if name not in self.permuted:
            return batch
        return batch.permuted(torch.randperm(len(batch.rows), generator=self.permuted[name]))


def stride(left: LaneStep, right: Tensor | None) -> Stride | None:
    """Both optimisers' steps from one place; None where one of them was not taken."""
    if right is None or not left.alive:
        return None
    return Stride(left.shared, right)
