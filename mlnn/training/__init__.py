"""Training: recipes, batches shared by all lanes, and the lanes themselves."""

from mlnn.training.batches import Batch, batches
from mlnn.training.first import initial_model, nudged
from mlnn.training.following import Following
from mlnn.training.keeping import STILL, Keep
from mlnn.training.lane import Lane
from mlnn.training.lockstep import Lockstep
from mlnn.training.making import make_lockstep
from mlnn.training.many import Trained, train_many
from mlnn.training.recipe import DTYPES, LaneRecipe, Recipe, dtype_name, parse_device, parse_dtype
from mlnn.training.solo import lane_likelihood, train
from mlnn.training.stacking.checking import known
from mlnn.training.stacking.lockstep import StackedLockstep
from mlnn.training.stacking.making import stacked, stacked_together
from mlnn.training.stacking.stack import UnstackableError
from mlnn.training.step import Common, Evaluated, LaneStep, Look, StepRecord, Stop, flat

__all__ = [
    "DTYPES",
    "STILL",
    "Batch",
    "Common",
    "Evaluated",
    "Following",
    "Keep",
    "Lane",
    "LaneRecipe",
    "LaneStep",
    "Lockstep",
    "Look",
    "Recipe",
    "StackedLockstep",
    "StepRecord",
    "Stop",
    "Trained",
    "UnstackableError",
    "batches",
    "dtype_name",
    "flat",
    "initial_model",
    "known",
    "lane_likelihood",
    "make_lockstep",
    "nudged",
    "parse_device",
    "parse_dtype",
    "stacked",
    "stacked_together",
    "train",
    "train_many",
]
