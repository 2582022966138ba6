"""Data sets: every function here returns a checked `Dataset`; `from_arrays` makes one from your own arrays."""

from mlnn.data.arrays import from_arrays
from mlnn.data.bundled import breast_cancer, breast_cancer_mean, digits_3_vs_8, digits_parity, iris_pair, spector
from mlnn.data.bundled_numbers import cpunish, diabetes, digits, iris, longley, randhie, wine
from mlnn.data.dataset import Dataset
from mlnn.data.stream import Recorded, Stream, from_batches, from_steps
from mlnn.data.synthetic import synthetic, two_moons
from mlnn.data.table import table

__all__ = [
    "Dataset",
    "Recorded",
    "Stream",
    "breast_cancer",
    "breast_cancer_mean",
    "cpunish",
    "diabetes",
    "digits",
    "digits_3_vs_8",
    "digits_parity",
    "from_arrays",
    "from_batches",
    "from_steps",
    "iris",
    "iris_pair",
    "longley",
    "randhie",
    "spector",
    "synthetic",
    "table",
    "two_moons",
    "wine",
]
