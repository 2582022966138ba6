"""Data sets that ship with scikit-learn and statsmodels: nothing is downloaded.

All take `standardize`, `held_out` (share of rows kept from training) and `seed` (which decides the rows held out).
scikit-learn and statsmodels are imported inside the functions: `import mlnn` must stay light.
"""

import torch

from mlnn.data.dataset import Dataset
from mlnn.data.extras import optional
from mlnn.data.prepare import prepare
from mlnn.targets import TargetSpace

BINARY = TargetSpace("binary")


def digits_parity(*, standardize: bool = False, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """Is the handwritten digit odd? 1,797 images, `x` (n, 1, 8, 8) with pixels in [0, 1]. Completely separable."""
    images, digit = _digits()
    return prepare("digits_parity", images, digit % 2, BINARY, standardize=standardize, held_out=held_out, seed=seed)


def digits_3_vs_8(*, standardize: bool = False, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """Three (0) or eight (1)? 357 images, `x` (n, 1, 8, 8) with pixels in [0, 1]."""
    images, digit = _digits()
    kept = (digit == 3) | (digit == 8)
    y = digit[kept] == 8
    return prepare("digits_3_vs_8", images[kept], y, BINARY, standardize=standardize, held_out=held_out, seed=seed)


def breast_cancer(*, standardize: bool = True, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """Malignant (0) or benign (1) tumour: 569 rows, 30 features. Completely separable with a bias: no finite MLE."""
    return _breast_cancer("breast_cancer", 30, standardize, held_out, seed)


def breast_cancer_mean(*, standardize: bool = True, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """`breast_cancer` with its first 10 features (the means over the cell nuclei): the MLE is finite."""
    return _breast_cancer("breast_cancer_mean", 10, standardize, held_out, seed)


def iris_pair(*, standardize: bool = True, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """Iris versicolor (0) or virginica (1): 100 rows, 4 features in cm. The MLE is finite."""
    from sklearn.datasets import load_iris

    raw = load_iris()
    x, species = torch.from_numpy(raw.data), torch.from_numpy(raw.target)
    kept = species > 0
    return prepare(
        "iris_pair",
        x[kept],
        species[kept] - 1,
        BINARY,
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=raw.feature_names,
    )


def spector(*, standardize: bool = False, held_out: float = 0.0, seed: int = 0) -> Dataset:
    """Did the grade improve? Spector & Mazzeo (1980): 32 rows; GPA, TUCE, PSI → GRADE.

    By default neither split nor standardised, so that estimates compare with the published ones. Needs statsmodels.
    """
    raw = optional("statsmodels.datasets.spector", "data=spector").load_pandas()
    return prepare(
        "spector",
        torch.tensor(raw.exog.to_numpy("float64")),
        torch.tensor(raw.endog.to_numpy("float64")),
        BINARY,
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=[str(column) for column in raw.exog.columns],
    )


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    raw = load_digits()
    return torch.from_numpy(raw.images).unsqueeze(1) / 16, torch.from_numpy(raw.target)


def _breast_cancer(name: str, count: int, standardize: bool, held_out: float, seed: int) -> Dataset:
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    return prepare(
        name,
        torch.from_numpy(raw.data[:, :count]),
        torch.from_numpy(raw.target),
        BINARY,
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=[str(feature) for feature in raw.feature_names[:count]],
    )
