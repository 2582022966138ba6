"""Lanes of many seeds as rows of one stack: each its own first weights and order of rows, and stopped alone where it breaks."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlnn.objectives import Objective
from mlnn.seeding import derive
from mlnn.training.batches import Batch, Rows, batches, places, rows_of_epoch
from mlnn.training.first import initial_model, with_inputs_for
from mlnn.training.lane import Lane
from mlnn.training.recipe import LaneRecipe, Recipe, dtype_name
from mlnn.training.stacking.checking import near, settled, still, terms
from mlnn.training.stacking.finite import finite_rows, stop_of
from mlnn.training.stacking.making import check_draws, check_lane, keeps_no_state
from mlnn.training.stacking.optimizer import RowsOptimizer
from mlnn.training.stacking.stack import Answers, Stack, UnstackableError
from mlnn.training.step import Evaluated, Stop
from mlnn.world import callback


@dataclass(eq=False)
class SeedRows:
    """Lanes of many seeds as rows of one stack. `trial`: a lane alone, of the first seed until it is put where a row stands;
    `living`: the rows that are trained still, None while all are; `losses`: (steps, S), on the device until the end; `gathered`:
    the last batch of each shape; `first`: the first gradient that a lane alone has given."""

    recipe: Recipe
    seeds: tuple[int, ...]
    lanes: tuple[Lane, ...]
    trial: Lane
    stack: Stack
    optimizer: RowsOptimizer
    losses: Tensor
    living: Tensor | None = None
    gathered: dict[tuple[int, ...], Rows] = field(default_factory=dict)
    first: Tensor | None = None

    @staticmethod
    def of(recipe: Recipe, lane_recipe: LaneRecipe, seeds: tuple[int, ...]) -> "SeedRows":
        """The first weights of all seeds, stacked; UnstackableError where they cannot be."""
        recipe = replace(recipe, seed=seeds[0])
        recipe.table  # noqa: B018 - batches of the caller's own come once, for one seed
        model = initial_model(recipe)
        recipe = with_inputs_for(recipe, model)
        first = Lane("a seed's lane", lane_recipe, model, recipe.dtype)
        check_lane(first)
        batch = next(batches(recipe))
        trial = Lane(first.name, lane_recipe, model, recipe.dtype)
        check_draws(trial, batch)
        records = keeps_no_state(first.module, first, batch)
        others = (initial_model(replace(recipe, seed=seed)) for seed in seeds[1:])
        lanes = (first, *(Lane(first.name, lane_recipe, other, recipe.dtype) for other in others))
        objective = lane_recipe.objective
        assert isinstance(objective, Objective)
        try:
            stack = Stack.of(lanes, [(slice(0, len(lanes)), objective)], records)
        except (RuntimeError, KeyError) as problem:
            raise UnstackableError("the factory makes another network with another seed") from problem
        rows = RowsOptimizer(first, {dtype_name(recipe.dtype): slice(None)})
        losses = stack.weights.new_full((recipe.steps, len(seeds)), math.nan)
        return SeedRows(recipe, seeds, lanes, trial, stack, rows, losses)

    def train(self, progress: Callable[[int, int], None] | None) -> Tensor:
        """All of the training: the lanes are put where it ends; losses (S, steps), NaN where a seed was trained no more.

        UnstackableError where rows turn out not to answer as lanes alone would.
        """
        steps, dtype = self.recipe.steps, dtype_name(self.recipe.dtype)
        checks = {0, steps // 4, steps // 2, steps - 1}
        for step, order, rows in self._batches():
            answers = self.stack.answer(rows, None, steps - step)
            self._check_objective(step, order, rows, answers)
            if step in checks:
                self._check_answers(step, order, rows, answers)
            self.losses[step] = answers.losses
            if not self._all_finite(answers):
                self._stop(step, order, rows, answers)
                if self.living is not None and not len(self.living):
                    break
            start = self.stack.weights[0].clone() if step == 0 else None
            self.optimizer.step({dtype: self.stack.weights}, {dtype: answers.gradients})
            if start is not None:
                self._check_step(order, rows, answers, start)
            if progress:
                with callback():
                    progress((step + 1) * len(self.seeds), steps * len(self.seeds))
        self._stop_by_weights(steps)
        for place, lane in enumerate(self.lanes):
            if lane.stopped is None:
                lane.take_over(self.stack.state_of(place))
            else:
                self.losses[lane.stopped.step + 1 :, place] = math.nan
        return self.losses.T.cpu().contiguous()

    def _batches(self) -> Iterator[tuple[int, Tensor, Rows]]:
        """Of each step: its number, the rows of all seeds (S, n), and what they hold, (S, n, …), written over by a later step."""
        x, y, extras = self.recipe.whole_data(self.recipe.dtype)
        recipes = [replace(self.recipe, seed=seed) for seed in self.seeds]
        orders, drawn = torch.empty(0), -1
        several = self.recipe.batch_size is not None  # else every batch is all rows
        for step, epoch, at in places(self.recipe):
            if epoch != drawn and (several or step == 0):
                orders, drawn = torch.stack([rows_of_epoch(own, epoch) for own in recipes]).to(y.device), epoch
            order = orders[:, at]
            if several or step == 0:
                self._gather(order, Rows(x, y, extras))
            yield step, order, self.gathered[order.shape]

    def _gather(self, order: Tensor, data: Rows) -> None:
        """Put some rows of the data where those of the last batch of that shape were."""
        if order.shape not in self.gathered:

            def room(part: Tensor) -> Tensor:
                return part.new_empty(*order.shape, *part.shape[1:])

            self.gathered[order.shape] = Rows(
                room(data.x), room(data.y), {name: room(part) for name, part in data.extras.items()}
            )
        held, rows = self.gathered[order.shape], order.reshape(-1)
        for part, into in (
            (data.x, held.x),
            (data.y, held.y),
            *((data.extras[k], held.extras[k]) for k in held.extras),
        ):
            torch.index_select(part, 0, rows, out=into.view(-1, *part.shape[1:]))

    def _all_finite(self, answers: Answers) -> bool:
        """Whether losses, raw outputs, gradients and the weights they are of are finite in all that live: one transfer."""
        parts = (answers.losses, answers.outputs, answers.gradients, self.stack.weights)
        sums = [(part if self.living is None else part[self.living]).sum() for part in parts]
        return math.isfinite(sums[0] + sums[1] + sums[2] + sums[3])

    def _stop(self, step: int, order: Tensor, rows: Rows, answers: Answers) -> None:
        """Stop the lanes that are not finite, where they are; a sum may have overflowed alone. Their rows go on, for nobody."""
        if step:
            self._stop_by_weights(step)
        for place, (lane, (loss, finite)) in enumerate(zip(self.lanes, finite_rows([answers]), strict=True)):
            if lane.stopped is None and not finite:
                own = self._own(place, rows)
                lane.stopped = stop_of(lane, self._batch_of(step, place, order, own), own, answers.outputs[place], loss)
                lane.take_over(self.stack.state_of(place))
                self.losses[step, place] = loss
        living = [place for place, lane in enumerate(self.lanes) if lane.stopped is None]
        self.living = None if len(living) == len(self.lanes) else torch.tensor(living, device=order.device)

    def _stop_by_weights(self, step: int) -> None:
        """Stop the lanes whose weights were not finite after the step before this one; their running statistics have met one
        batch more."""
        all_finite = self.stack.weights.isfinite().all(1).tolist()
        for place, (lane, finite) in enumerate(zip(self.lanes, all_finite, strict=True)):
            if lane.stopped is None and not finite:
                lane.stopped = Stop(step - 1, "weights")
                lane.take_over(self.stack.state_of(place))

    def _own(self, place: int, rows: Rows) -> Rows:
        return Rows(rows.x[place], rows.y[place], {name: part[place] for name, part in rows.extras.items()})

    def _batch_of(self, step: int, place: int, order: Tensor, rows: Rows) -> Batch:
        """A batch as one seed alone meets it."""
        own = replace(self.recipe, seed=self.seeds[place])
        return Batch(step, order[place], derive(own.seed, "dropout", step), own, None, {self.recipe.dtype: rows})

    def _check_answers(self, step: int, order: Tensor, rows: Rows, answers: Answers) -> None:
        """Hold rows to what lanes alone answer, which may see what a row does not: all of them at the first step, and one at
        some later ones."""
        held = list(enumerate(self.lanes))
        if step:
            held = [(self._first_living(), self.trial)]
            self.trial.take_over(self.stack.state_of(held[0][0]))
        for place, lane in held:
            told = lane.evaluate(self._batch_of(step, place, order, self._own(place, rows)))
            lane.stopped, slope = None, answers.gradients[place, : self.stack.size]
            finite = bool(answers.losses[place].isfinite() and slope.isfinite().all())
            self.first = told.gradient if self.first is None else self.first
            least = terms(slope, self.first)
            if finite != (told.stop is None) or (finite and not near(told.gradient, slope, least)):
                raise UnstackableError(f"{lane.asked}: a row's gradient is not that of a lane alone")
            for weight in lane.weights:
                weight.grad = None

    def _check_step(self, order: Tensor, rows: Rows, answers: Answers, start: Tensor) -> None:
        """Hold the first step of the first row to that of its lane alone, from the same gradient."""
        size = self.stack.size
        told = self.trial.evaluate(self._batch_of(0, 0, order, self._own(0, rows)))
        if told.stop is None:
            self.trial.take_gradient(answers.gradients[0, :size])
            arrived = self.trial.update(told)
            if not near(arrived - start[:size], self.stack.weights[0, :size] - start[:size]):
                kind = type(self.trial.optimizer).__name__
                raise UnstackableError(f"{kind}: a row's step is not that of a lane alone")

    def _check_objective(self, step: int, order: Tensor, rows: Rows, answers: Answers) -> None:
        """Where steps are recorded, ask an objective of the user's own at every one: it may count its calls."""
        objective = self.trial.recipe.objective
        assert isinstance(objective, Objective)
        if not self.stack.plays or settled(objective):
            return
        place = self._first_living()
        own, loss = self._own(place, rows), float(answers.losses[place])
        batch = self._batch_of(step, place, order, own)
        told = Evaluated(batch, loss, answers.outputs[place], own.y, answers.gradients[place], None, own.extras)
        if math.isfinite(loss) and not still(objective, told):
            raise UnstackableError(f"objective '{objective.name}' answers otherwise than when it was recorded")

    def _first_living(self) -> int:
        return next(place for place, lane in enumerate(self.lanes) if lane.stopped is None)
