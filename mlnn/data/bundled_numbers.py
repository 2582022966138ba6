"""Data sets with classes, real targets and counts that ship with scikit-learn and statsmodels: nothing is downloaded.

All take `standardize`, `held_out` (share of rows kept from training) and `seed` (which decides the rows held out).
scikit-learn and statsmodels are imported inside the functions: `import mlnn` must stay light.
"""

import dataclasses

import torch

from mlnn.data.dataset import Dataset
from mlnn.data.extras import optional
from mlnn.data.prepare import moments, prepare
from mlnn.targets import TargetSpace

REAL, COUNTS = TargetSpace("real"), TargetSpace("counts")


def digits(*, standardize: bool = False, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """Which handwritten digit? 1,797 images, `x` (n, 1, 8, 8) with pixels in [0, 1], 10 classes. Completely separable."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(raw.images).unsqueeze(1) / 16
    y = torch.from_numpy(raw.target)
    return prepare(
        "digits", images, y, TargetSpace("classes", 10), standardize=standardize, held_out=held_out, seed=seed
    )


def iris(*, standardize: bool = True, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """Which iris: setosa (0), versicolor (1), virginica (2)? 150 rows, 4 features in cm. Quasi-separable: no finite MLE."""
    from sklearn.datasets import load_iris

    return _classes("iris", load_iris(), standardize, held_out, seed)


def wine(*, standardize: bool = True, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """Which of three cultivars? 178 rows, 13 chemical features. Completely separable: no finite MLE."""
    from sklearn.datasets import load_wine

    return _classes("wine", load_wine(), standardize, held_out, seed)


def diabetes(
    *, standardize: bool = True, standardize_target: bool = True, held_out: float = 0.2, seed: int = 0
) -> Dataset:
    """Disease progression after a year (25 to 346): 442 rows, 10 features in their own units.

    `standardize_target` takes the training rows' mean and standard deviation off the target; `notes` records them.
    """
    from sklearn.datasets import load_diabetes

    raw = load_diabetes(scaled=False)
    x, y = torch.from_numpy(raw.data), torch.from_numpy(raw.target)
    data = prepare(
        "diabetes", x, y, REAL, standardize=standardize, held_out=held_out, seed=seed, features=raw.feature_names
    )
    return _standardise_target(data) if standardize_target else data


def longley(
    *, standardize: bool = False, standardize_target: bool = False, held_out: float = 0.0, seed: int = 0
) -> Dataset:
    """Longley (1967): US employment 1947 to 1962, 16 rows, 6 features, condition number 4.9e9. Needs statsmodels.

    By default neither split nor standardised, so that estimates compare with the certified ones; too ill-conditioned
    then for a network: standardise both for that.
    """
    data = _statsmodels("longley", REAL, standardize, held_out, seed)
    return _standardise_target(data) if standardize_target else data


def randhie(*, standardize: bool = True, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """How many outpatient visits in a year? The RAND health insurance experiment: 20,190 rows, 9 features.

    Counts from 0 to 77, variance seven times the mean. Needs statsmodels.
    """
    return _statsmodels("randhie", COUNTS, standardize, held_out, seed)


def cpunish(*, standardize: bool = True, held_out: float = 0.0, seed: int = 0) -> Dataset:
    """How many executions in a US state in 1997? Gill (2001): 17 rows, 6 features, counts 1 to 37. Needs statsmodels."""
    return _statsmodels("cpunish", COUNTS, standardize, held_out, seed)


def _classes(name: str, raw: object, standardize: bool, held_out: float, seed: int) -> Dataset:
    x, y, features = (getattr(raw, part) for part in ("data", "target", "feature_names"))
    return prepare(
        name,
        torch.from_numpy(x),
        torch.from_numpy(y),
        TargetSpace("classes", 3),
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=[str(feature) for feature in features],
    )


def _statsmodels(name: str, space: TargetSpace, standardize: bool, held_out: float, seed: int) -> Dataset:
    raw = optional(f"statsmodels.datasets.{name}", f"data={name}").load_pandas()
    return prepare(
        name,
        torch.tensor(raw.exog.to_numpy("float64")),
        torch.tensor(raw.endog.to_numpy("float64")),
        space,
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=[str(column) for column in raw.exog.columns],
    )


def _standardise_target(data: Dataset) -> Dataset:
    """Targets less the training rows' mean, over their standard deviation, both kept in `notes`."""
    mean, scale = moments(data.y[:, None], f"{data.name}: target")
    y, held = ((part - mean) / scale for part in (data.y, data.y_held_out))
    notes = data.notes | {"target_mean": float(mean), "target_scale": float(scale)}
    return dataclasses.replace(data, y=y, y_held_out=held, notes=notes)
