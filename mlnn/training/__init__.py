"""Training: recipes, batches shared by all lanes, and the lanes themselves."""

from mlnn.training.batches import Batch, batches
from mlnn.training.lane import Lane, Stop, initial_model, nudged
from mlnn.training.lockstep import Lockstep, make_lockstep
from mlnn.training.recipe import DTYPES, LaneRecipe, Recipe, dtype_name, parse_device, parse_dtype
from mlnn.training.solo import lane_likelihood, train

__all__ = [
    "DTYPES",
    "Batch",
    "Lane",
    "LaneRecipe",
    "Lockstep",
    "Recipe",
    "Stop",
    "batches",
    "dtype_name",
    "initial_model",
    "lane_likelihood",
    "make_lockstep",
    "nudged",
    "parse_device",
    "parse_dtype",
    "train",
]
