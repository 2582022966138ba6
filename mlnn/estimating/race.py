"""Which optimiser reaches the classical estimate, to how many digits, in how many passes over the data?"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from mlnn import settings as build
from mlnn.errors import ConfigError
from mlnn.estimating.distance import DistanceSummary, Finding
from mlnn.estimating.trajectory import Look, Trajectory
from mlnn.keys import EstimatorSettings
from mlnn.objectives import Objective, likelihood_of
from mlnn.runs import csv_text, write_file
from mlnn.training import LaneRecipe, train
from mlnn.training.keeping import Keep

DIGITS = (2, 4, 6, 8)
"""Of the worst coefficient: from two, enough for most purposes, to eight, half of what float64 holds."""
COLUMNS = ("name", "seed", "passes", "digits_least", "digits_median", "standard_errors", "lr", "gradient_in_errors",
           *(f"passes_to_{digits}" for digits in DIGITS))  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One line of the table: where an optimiser ended after `passes`, and the passes (None: never) to each of `DIGITS`."""

    name: str
    seed: int
    passes: float
    distance: DistanceSummary
    reached: tuple[float | None, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain data, the columns of the table."""
        numbers = asdict(self.distance)
        del numbers["norm"]  # without a maximum it has a figure of its own
        reached = {f"passes_to_{digits}": at for digits, at in zip(DIGITS, self.reached, strict=True)}
        return {"name": self.name, "seed": self.seed, "passes": self.passes} | numbers | reached


@dataclass(frozen=True)
class Runner:
    """One optimiser's training: where it stood on its way, what there is to say of its end, and its line of the table."""

    name: str
    course: tuple[Look, ...]
    found: Finding
    result: Result

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return {
            "name": self.name,
            "course": [look.to_dict() for look in self.course],
            "found": self.found.to_dict(),
            "row": self.result.to_dict(),
        }


class Counted:
    """An objective's function that counts the rows it is asked for: a line search asks more than once a step."""

    def __init__(self, objective: Objective) -> None:
        self.function, self.rows = objective.function, 0

    def __call__(self, output: Tensor, target: Tensor, **extras: Tensor) -> Tensor:
        self.rows += len(output)
        return self.function(output, target, **extras)


def race(
    name: str,
    settings: EstimatorSettings,
    progress: Callable[[int, int], None] | None = None,
    keep: Keep | None = None,
) -> Runner:
    """Train one model with one optimiser for `passes` over the data, looking at steps that thin out like a logarithm. keep: where
    its state is kept, and from which it goes on.

    Raises ConfigError where the objective has no likelihood or the model no classical estimate.
    """
    build.pin_threads(settings)
    data = build.dataset(settings)
    objective = build.objective(settings.objective, settings, data.targets, "objective", settings.outputs)
    likelihood, rows = likelihood_of(objective), len(data)
    if likelihood is None:
        raise ConfigError(f"objective: no likelihood is known for '{objective.name}', so there is no estimate to reach")
    steps = max(1, round(settings.passes * rows / (settings.batch_size or rows)))
    recipe = build.recipe(settings, data, objective.targets.outputs, steps)
    counted, trajectory = Counted(objective), Trajectory(likelihood, data, steps)
    course: list[Look] = []

    def watch(done: int, module: torch.nn.Module) -> bool:
        over = bool(counted.rows >= settings.passes * rows)
        trajectory.watch(done, module)
        if over:
            trajectory.look(done, module)
        new = trajectory.looks[len(course) :]
        course.extend(dataclasses.replace(look, passes=counted.rows / rows) for look in new)
        return over

    lane_recipe = LaneRecipe(dataclasses.replace(objective, function=counted), build.optimizer_factory(settings))
    lane = train(recipe, lane_recipe, lambda _row: None, progress, watch, keep=keep)
    found = trajectory.found(lane.module)
    if found is None:
        raise ConfigError(
            f"model: '{settings.names['model']}' has no classical estimate, its output is not affine in x"
        )
    return Runner(name, tuple(course), found, _result(name, settings.seed, course))


def _result(name: str, seed: int, course: Sequence[Look]) -> Result:
    """Where a training ended, and the first pass at which the worst coefficient had 2, 4, 6, 8 digits."""
    reached = (
        next((look.passes for look in course if look.distance.digits_least >= digits), None) for digits in DIGITS
    )
    return Result(name, seed, course[-1].passes or 0.0, course[-1].distance, tuple(reached))


def write_rows(results: Sequence[Result], path: Path) -> None:
    """CSV, one line per optimiser and seed, full precision; empty where digits were never reached."""
    write_file(path, csv_text(COLUMNS, [one.to_dict() for one in results]))
