"""Small trainings, with all that the page of one is made of."""

from functools import partial
from typing import Any

import numpy as np
import torch

from mlnn.comparing.train_page import train_page
from mlnn.comparing.trained import Trained
from mlnn.data import Dataset, from_arrays
from mlnn.estimating.lesson import words
from mlnn.estimating.lesson.lesson import Watch, lesson_of
from mlnn.models import Logistic
from mlnn.objectives import Objective, likelihood_of
from mlnn.training import LaneRecipe, Recipe, lane_likelihood, train


class Ran:
    """A small training, and all that its page is made of."""

    def __init__(
        self, rows: Dataset, loss: Any, model: type = Logistic, steps: int = 20, size: int | None = None, **how: Any
    ):
        self.objective = Objective.of(loss, rows.targets)
        outputs = self.objective.targets.outputs
        self.recipe = recipe = Recipe(rows, lambda: model(rows.input_shape, outputs), steps, size, torch.float64)
        watch = Watch(likelihood_of(self.objective), recipe)
        self.course = watch.course
        made = partial(torch.optim.SGD, **{"lr": 0.1} | how)
        trace: list[dict[str, float]] = []
        self.lane = train(recipe, LaneRecipe(self.objective, made), trace.append, None, watch)
        self.trace = {key: np.array([row[key] for row in trace]) for key in ("step", "loss")}
        self.lesson = lesson_of(watch, recipe, self.lane)
        reading, found = lane_likelihood(recipe, self.lane), self.course.found(self.lane.module)
        self.run = Trained("loss", "logistic", "rows", "sgd", steps, "float64", 0, size or len(rows.x), reading, found,
                           self.lane.stopped)  # fmt: skip

    @property
    def headline(self) -> str:
        return words.headline(self.lesson, self.run.mle, self.run.likelihood, self.run.stopped)

    @property
    def details(self) -> str:
        return " ".join(words.details(self.lesson, self.run.mle, self.run.likelihood))

    def page(self) -> str:
        return train_page(self.trace, self.run, self.course.looks, self.lesson)


def one_feature(n: int = 40, seed: int = 0) -> Dataset:
    draws = np.random.default_rng(seed)
    x = draws.uniform(0.5, 6, n)
    y = (draws.random(n) < 1 / (1 + np.exp(4 - 1.5 * x))).astype(float)
    return from_arrays(x[:, None], y, targets="binary", standardize=True)
