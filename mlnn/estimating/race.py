"""Which optimiser reaches the classical estimate, to how many digits, in how many passes over the data?"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlnn import settings as build
from mlnn.errors import ConfigError
from mlnn.estimating import Course
from mlnn.keys import EstimatorSettings
from mlnn.objectives import Objective, likelihood_of
from mlnn.runs import csv_text, write_file
from mlnn.training import LaneRecipe, train

DIGITS = (2, 4, 6, 8)
COLUMNS = ("name", "seed", "passes", "digits_least", "digits_median", "standard_errors", "lr", "gradient_in_errors",
           *(f"passes_to_{digits}" for digits in DIGITS))  # fmt: skip


class Counted:
    """An objective's function that counts the rows it is asked for: a line search asks more than once a step."""

    def __init__(self, objective: Objective) -> None:
        self.function, self.rows = objective.function, 0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        self.rows += len(output)
        return self.function(output, target)


def race(name: str, settings: EstimatorSettings, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Train one model with one optimiser for `passes` over the data; {"name", "course", "found", "row"}.

    course: `Distance.summary` with `step` and `passes`, at steps that thin out like a logarithm. Raises ConfigError where
    the objective has no likelihood or the model no classical twin.
    """
    build.pin_threads(settings)
    data = build.dataset(settings)
    objective = build.objective(settings.objective, settings, data.targets, "objective", settings.outputs)
    likelihood, rows = likelihood_of(objective), len(data)
    if likelihood is None:
        raise ConfigError(f"objective: no likelihood is known for '{objective.name}', so there is no estimate to reach")
    steps = max(1, round(settings.passes * rows / (settings.batch_size or rows)))
    recipe = build.recipe(settings, data, objective.targets.outputs, steps)
    counted, course = Counted(objective), Course(likelihood, data, steps)

    def watch(done: int, module: torch.nn.Module) -> bool:
        over = counted.rows >= settings.passes * rows
        before = len(course.rows)
        course.watch(done, module)
        if over:
            course.look(done, module)
        for row in course.rows[before:]:
            row["passes"] = counted.rows / rows
        return over

    lane_recipe = LaneRecipe(dataclasses.replace(objective, function=counted), build.optimizer_factory(settings))
    lane = train(recipe, lane_recipe, lambda _row: None, progress, watch)
    found = course.found(lane.module)
    if found is None:
        raise ConfigError(f"model: '{settings.names['model']}' has no classical twin, its output is not affine in x")
    return {"name": name, "course": course.rows, "found": found, "row": _row(name, settings.seed, course.rows)}


def _row(name: str, seed: int, course: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """One line of the table: where it ended, and the first pass at which the worst coefficient had 2, 4, 6, 8 digits."""
    row: dict[str, Any] = {"name": name, "seed": seed} | {key: course[-1][key] for key in COLUMNS[2:8]}
    for digits in DIGITS:
        held = [at["passes"] for at in course if at["digits_least"] >= digits]
        row[f"passes_to_{digits}"] = held[0] if held else None
    return row


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """CSV, one line per optimiser and seed, full precision; empty where digits were never reached."""
    write_file(path, csv_text(COLUMNS, rows))
