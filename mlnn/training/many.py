"""The same network from many seeds: rows of one stack where that can be, else one training run after another."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlnn.arguments import first_line, whole
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.seeding import derive
from mlnn.training.batches import Batch, Rows, batches, places, rows_of_epoch
from mlnn.training.first import initial_model, with_inputs_for
from mlnn.training.lane import Lane
from mlnn.training.recipe import LaneRecipe, Recipe, dtype_name
from mlnn.training.solo import train
from mlnn.training.stacking.checking import known, near, still
from mlnn.training.stacking.lockstep import stop_of
from mlnn.training.stacking.making import check_lane, keeps_no_state, streams
from mlnn.training.stacking.optimizer import RowsOptimizer
from mlnn.training.stacking.stack import Answers, Stack, UnstackableError
from mlnn.training.step import Evaluated, Stop
from mlnn.world import MOST_THREADS, callback, own_world, seed_streams

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """What became of S seeds, in their order.

    `lanes`: each where its training ended, `stopped` saying where one went non-finite; their optimisers are new ones where the
    lanes were rows. `losses` (S, steps): of each step's batch, in the run's own precision, NaN where none was trained any more.
    `engine`: "stacked", or "plain" with the reason.
    """

    seeds: tuple[int, ...]
    lanes: tuple[Lane, ...]
    losses: Tensor
    engine: str


def train_many(
    recipe: Recipe,
    lane_recipe: LaneRecipe,
    seeds: Sequence[int],
    progress: Progress | None = None,
    threads: int | None = None,
) -> Trained:
    """Train one network once per seed, all at once where they can be rows of one computation; the recipe's own seed is not used.

    Each has the first weights, the order of rows and the results of `train` with its seed, within rounding; one that goes
    non-finite stops where it is and leaves the others alone. A model or an objective that draws random numbers (dropout) draws
    them from a stream per seed, which rows do not have: it is trained plain. `progress`: called with (steps of a seed done, all
    of them), from 0 again where a stack turns out not to answer as lanes alone do. threads: of torch, None keeps the number
    there is. Raises ConfigError as `train`.
    """
    seeds = tuple(whole("seeds: a seed", seed, -(2**64), 2**64) for seed in seeds)
    if not seeds:
        raise ConfigError("seeds: none is given; one run per seed is trained")
    threads = threads if threads is None else whole("threads", threads, 1, MOST_THREADS)
    lane_recipe = lane_recipe.wrapped(recipe.dataset)
    try:
        with own_world(threads, seeds[0]):
            return _Rows.of(recipe, lane_recipe, seeds).trained(progress)
    except UnstackableError as problem:
        return _one_by_one(recipe, lane_recipe, seeds, progress, threads, f"plain: {problem}")


def _one_by_one(
    recipe: Recipe,
    lane_recipe: LaneRecipe,
    seeds: tuple[int, ...],
    progress: Progress | None,
    threads: int | None,
    engine: str,
) -> Trained:
    losses = torch.full((len(seeds), recipe.steps), math.nan, dtype=recipe.dtype)
    lanes = []
    for place, seed in enumerate(seeds):

        def record(row: Mapping[str, float], own: Tensor = losses[place]) -> None:
            own[int(row["step"])] = row["loss"]

        def told(done: int, of: int, before: int = place) -> None:
            if progress:
                progress(before * of + done, len(seeds) * of)

        lanes.append(
            train(replace(recipe, seed=seed), lane_recipe, record, told if progress else None, threads=threads)
        )
    return Trained(seeds, tuple(lanes), losses, engine)


@dataclass(eq=False)
class _Rows:
    """Lanes of many seeds as rows of one stack. `trial`: a lane alone, of the first seed until it is put where a row stands;
    `living`: the rows that are trained still, None while all are; `losses`: (steps, S), on the device until the end; `gathered`:
    the last batch of each shape."""

    recipe: Recipe
    seeds: tuple[int, ...]
    lanes: tuple[Lane, ...]
    trial: Lane
    stack: Stack
    optimizer: RowsOptimizer
    losses: Tensor
    living: Tensor | None = None
    gathered: dict[tuple[int, ...], Rows] = field(default_factory=dict)

    @staticmethod
    def of(recipe: Recipe, lane_recipe: LaneRecipe, seeds: tuple[int, ...]) -> "_Rows":
        """The first weights of all seeds, stacked; UnstackableError where they cannot be."""
        recipe = replace(recipe, seed=seeds[0])
        recipe.table  # noqa: B018 - batches of the caller's own come once, for one seed
        model = initial_model(recipe)
        recipe = with_inputs_for(recipe, model)
        first = Lane("a seed's lane", lane_recipe, model, recipe.dtype)
        check_lane(first)
        batch = next(batches(recipe))
        trial = Lane(first.name, lane_recipe, model, recipe.dtype)
        _check_draws(trial, batch)
        records = keeps_no_state(first.module, first, batch)
        others = (initial_model(replace(recipe, seed=seed)) for seed in seeds[1:])
        lanes = (first, *(Lane(first.name, lane_recipe, other, recipe.dtype) for other in others))
        objective = lane_recipe.objective
        assert isinstance(objective, Objective)
        named = {str(place): lane for place, lane in enumerate(lanes)}
        try:
            stack = Stack.of(named, [(slice(0, len(lanes)), objective)], records)
        except (RuntimeError, KeyError) as problem:
            raise UnstackableError("the factory makes another network with another seed") from problem
        rows = RowsOptimizer(first, {dtype_name(recipe.dtype): slice(None)})
        losses = stack.weights.new_full((recipe.steps, len(seeds)), math.nan)
        return _Rows(recipe, seeds, lanes, trial, stack, rows, losses)

    def trained(self, progress: Progress | None) -> Trained:
        """All of the training; UnstackableError where rows turn out not to answer as lanes alone would."""
        steps, before = self.recipe.steps, torch.empty_like(self.stack.weights)
        checks, dtype = {0, steps // 4, steps // 2, steps - 1}, dtype_name(self.recipe.dtype)
        for step, order, rows in self._batches():
            answers = self._answers(step, rows)
            self._check_objective(step, order, rows, answers)
            if step in checks:
                self._check_answers(step, order, rows, answers)
            self.losses[step] = answers.losses
            before.copy_(self.stack.weights)
            self.optimizer.step({dtype: self.stack.weights}, {dtype: answers.gradients})
            if step == 0:
                self._check_step(order, rows, answers, before)
            if not self._all_finite(answers):
                self._settle(step, order, rows, answers, before)
                if self.living is not None and not len(self.living):
                    break
            if progress:
                with callback():
                    progress((step + 1) * len(self.seeds), steps * len(self.seeds))
        for place, lane in enumerate(self.lanes):
            if lane.stopped is None:
                lane.take_over(self.stack.state_of(str(place)))
            else:
                self.losses[lane.stopped.step + 1 :, place] = math.nan
        return Trained(self.seeds, self.lanes, self.losses.T.cpu().contiguous(), "stacked")

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

    def _answers(self, step: int, rows: Rows) -> Answers:
        try:
            return self.stack.answer(rows, None, self.recipe.steps - step)
        except UnstackableError:
            raise
        except Exception as problem:  # no rule for rows; an error of the user's own is raised again by a lane alone
            raise UnstackableError(first_line(problem)) from problem

    def _all_finite(self, answers: Answers) -> bool:
        """Whether losses, raw outputs, gradients and the weights after the step are finite in all that live: one transfer."""
        parts = (answers.losses, answers.outputs, answers.gradients, self.stack.weights)
        sums = [(part if self.living is None else part[self.living]).sum() for part in parts]
        return math.isfinite(sums[0] + sums[1] + sums[2] + sums[3])

    def _settle(self, step: int, order: Tensor, rows: Rows, answers: Answers, before: Tensor) -> None:
        """Stop the lanes that are not finite, where they are; a sum may have overflowed alone."""
        told, slopes, after = (
            part.isfinite().flatten(1).all(1).tolist()
            for part in (answers.outputs, answers.gradients, self.stack.weights)
        )
        losses = answers.losses.tolist()
        for place, lane in enumerate(self.lanes):
            if lane.stopped is not None:
                continue
            loss = losses[place] if told[place] else math.nan
            if not (math.isfinite(loss) and slopes[place]):
                own = self._own(place, rows)
                lane.stopped = stop_of(lane, self._batch_of(step, place, order, own), own, answers.outputs[place], loss)
                self.losses[step, place] = loss
                self.stack.weights[place] = before[place]
            elif not after[place]:
                lane.stopped = Stop(step, "weights")
            if lane.stopped is not None:
                lane.take_over(self.stack.state_of(str(place)))
        living = [place for place, lane in enumerate(self.lanes) if lane.stopped is None]
        self.living = None if len(living) == len(self.lanes) else torch.tensor(living, device=order.device)

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
            self.trial.take_over(self.stack.state_of(str(held[0][0])))
        for place, lane in held:
            told = lane.evaluate(self._batch_of(step, place, order, self._own(place, rows)))
            lane.stopped, slope = None, answers.gradients[place, : self.stack.size]
            finite = bool(answers.losses[place].isfinite() and slope.isfinite().all())
            if finite != (told.stop is None) or (finite and not near(told.gradient, slope)):
                raise UnstackableError(f"{lane.asked}: a row's gradient is not that of a lane alone")
            for weight in lane.weights:
                weight.grad = None

    def _check_step(self, order: Tensor, rows: Rows, answers: Answers, before: Tensor) -> None:
        """Hold the first step of the first row to that of its lane alone, from the same gradient."""
        size = self.stack.size
        told = self.trial.evaluate(self._batch_of(0, 0, order, self._own(0, rows)))
        if told.stop is None:
            self.trial.take_gradient(answers.gradients[0, :size])
            arrived = self.trial.update(told)
            if not near(arrived - before[0, :size], self.stack.weights[0, :size] - before[0, :size]):
                kind = type(self.trial.optimizer).__name__
                raise UnstackableError(f"{kind}: a row's step is not that of a lane alone")

    def _check_objective(self, step: int, order: Tensor, rows: Rows, answers: Answers) -> None:
        """Where steps are recorded, ask an objective of the user's own at every one: it may count its calls."""
        objective = self.trial.recipe.objective
        assert isinstance(objective, Objective)
        if not self.stack.plays or known(objective):
            return
        place = self._first_living()
        own, loss = self._own(place, rows), float(answers.losses[place])
        batch = self._batch_of(step, place, order, own)
        told = Evaluated(batch, loss, answers.outputs[place], own.y, answers.gradients[place], None, own.extras)
        if math.isfinite(loss) and not still(objective, told):
            raise UnstackableError(f"objective '{objective.name}' answers otherwise than when it was recorded")

    def _first_living(self) -> int:
        return next(place for place, lane in enumerate(self.lanes) if lane.stopped is None)


def _check_draws(lane: Lane, batch: Batch) -> None:
    """Raise UnstackableError where a lane, asked once, draws random numbers; whether it does is seen by the streams alone."""
    lane.evaluate(batch)
    drawn = _all_streams()
    seed_streams(batch.dropout_seed)
    if _all_streams() != drawn:
        raise UnstackableError("the model or the objective draws random numbers, and rows have no stream of their own")


def _all_streams() -> tuple[str, list[list[int]]]:
    """Where the process-wide random streams of Python, numpy and torch stand."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return streams(), [state.tolist() for state in (torch.get_rng_state(), *cuda)]
