"""Does every data set load as its config promises, split, standardised and drawn as it says?"""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import mlnn.data
from mlnn.data import Dataset, spector, synthetic
from mlnn.data.prepare import split_rows
from mlnn.errors import ConfigError

CONFIGS = sorted((Path(__file__).parent.parent / "configs" / "data").glob("*.yaml"))
ROWS = {  # rows in all, shape of one row
    "breast_cancer": (569, (30,)),
    "breast_cancer_mean": (569, (10,)),
    "cpunish": (17, (6,)),
    "diabetes": (442, (10,)),
    "digits": (1797, (1, 8, 8)),
    "digits_3_vs_8": (357, (1, 8, 8)),
    "digits_parity": (1797, (1, 8, 8)),
    "iris": (150, (4,)),
    "iris_pair": (100, (4,)),
    "longley": (16, (6,)),
    "randhie": (20190, (9,)),
    "spector": (32, (3,)),
    "synthetic": (512, (4,)),
    "two_moons": (512, (2,)),
    "wine": (178, (13,)),
}
WHOLE = ("cpunish", "longley", "spector")  # small or classical: by default no row is held out
SPACES = {
    "cpunish": "counts",
    "diabetes": "real",
    "digits": "classes(10)",
    "iris": "classes(3)",
    "longley": "real",
    "randhie": "counts",
    "wine": "classes(3)",
}  # the others are binary


def load(name, **changes):
    """What a config says, called as Hydra would call it."""
    file = next(path for path in CONFIGS if path.stem == name)
    config = OmegaConf.merge({"seed": changes.pop("seed", 0), "data": OmegaConf.load(file)}, {"data": changes})
    arguments = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)["data"]
    function = arguments.pop("_target_")
    assert function == f"mlnn.data.{name}"
    return getattr(mlnn.data, name)(**arguments)


def test_every_config_is_tested():
    assert {path.stem for path in CONFIGS} == {*ROWS, "table"}
    made = {"Dataset", "Recorded", "Stream", "from_arrays", "from_batches", "from_steps"}
    assert set(mlnn.data.__all__) - made == {*ROWS, "table"}


@pytest.mark.parametrize("name", ROWS)
def test_config_loads(name):
    data = load(name)
    rows, shape = ROWS[name]
    held = 0 if name in WHOLE else round(rows * 0.2)
    assert isinstance(data, Dataset)
    assert data.x.dtype == data.x_held_out.dtype == torch.float64
    assert data.y.dtype == data.y_held_out.dtype == (torch.int64 if data.targets.kind == "classes" else torch.float64)
    assert tuple(data.x.shape) == (rows - held, *shape)
    assert data.input_shape == shape
    assert tuple(data.y.shape) == (rows - held,)
    assert tuple(data.x_held_out.shape) == (held, *shape)
    assert tuple(data.y_held_out.shape) == (held,)
    assert str(data.targets) == SPACES.get(name, "binary")
    assert not data.features or len(data.features) == shape[0]
    assert data.to_dict()["held_out"] == held
    assert load(name).fingerprint() == data.fingerprint()
    # Another seed holds other rows out, or draws others; where all are kept nothing changes.
    assert (load(name, seed=1).fingerprint() == data.fingerprint()) == (name in WHOLE)


@pytest.mark.parametrize("name", ROWS)
def test_held_out_rows_are_the_rest(name):
    own_units = {"standardize": False} | ({"standardize_target": False} if name == "diabetes" else {})
    whole = load(name, **own_units, held_out=0.0)
    split = load(name, **own_units, held_out=0.25)
    assert len(split.x_held_out) == round(0.25 * len(whole))
    parts = [(whole.x, whole.y), (split.x, split.y), (split.x_held_out, split.y_held_out)]
    original, train, held = (torch.cat([x.flatten(1), y[:, None]], 1).tolist() for x, y in parts)
    assert sorted(train + held) == sorted(original)


@pytest.mark.parametrize("name", [name for name in ROWS if name != "synthetic"])
def test_standardised_on_the_training_rows(name):
    raw, data = load(name, standardize=False, held_out=0.2), load(name, standardize=True, held_out=0.2)
    assert raw.standardised is None
    mean, scale = (torch.tensor(data.standardised[key], dtype=torch.float64) for key in ("mean", "scale"))
    moving = raw.x.flatten(1).amax(0) > raw.x.flatten(1).amin(0)
    assert bool(moving.all()) == (not name.startswith("digits"))  # the corner pixels of the digits never light up
    torch.testing.assert_close(data.x.flatten(1).mean(0), torch.zeros(len(mean)).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(data.x.flatten(1).std(0, correction=0)[moving], torch.ones(int(moving.sum())).double())
    assert bool((scale[~moving] == 1).all())
    assert bool((data.x.flatten(1)[:, ~moving] == 0).all())
    assert torch.equal((raw.x_held_out.flatten(1) - mean) / scale, data.x_held_out.flatten(1))
    # The held-out rows did not take part: their own mean is not zero.
    assert float(data.x_held_out.flatten(1).mean(0).abs().max()) > 1e-3


def test_values_of_known_data_sets():
    data = spector()
    assert data.features == ("GPA", "TUCE", "PSI")
    assert data.x[0].tolist() == [2.66, 20.0, 0.0]
    assert data.y.sum() == 11
    digits = load("digits_parity", held_out=0.0)
    assert digits.y[:10].tolist() == [0, 1] * 5
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    assert load("digits_3_vs_8", held_out=0.0).y.sum() == 174
    assert load("breast_cancer", held_out=0.0).y.sum() == 357
    assert load("iris_pair", held_out=0.0).y.sum() == 50
    assert load("two_moons", held_out=0.0).y.sum() == 256


def test_values_of_known_classes_numbers_and_counts():
    assert load("digits", held_out=0.0).y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert load("iris", held_out=0.0).y.bincount().tolist() == [50, 50, 50]
    assert load("wine", held_out=0.0).y.bincount().tolist() == [59, 71, 48]
    longley = load("longley")
    assert longley.features == ("GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR")
    assert longley.x[0].tolist() == [83.0, 234289.0, 2356.0, 1590.0, 107608.0, 1947.0]
    assert longley.y[0] == 60323
    assert load("cpunish").y.sum() == 74
    visits = load("randhie", held_out=0.0).y
    assert (visits.sum(), visits.max(), (visits == 0).sum()) == (57752, 77, 6308)


@pytest.mark.parametrize("name", ["diabetes", "longley"])
def test_a_standardised_target_can_be_put_back(name):
    raw = load(name, standardize_target=False, held_out=0.25)
    data = load(name, standardize_target=True, held_out=0.25)
    mean, scale = data.notes["target_mean"], data.notes["target_scale"]
    torch.testing.assert_close(data.y * scale + mean, raw.y)
    torch.testing.assert_close(data.y_held_out * scale + mean, raw.y_held_out)
    assert abs(float(data.y.mean())) < 1e-12
    assert float(data.y.std(correction=0)) == pytest.approx(1)
    assert abs(float(data.y_held_out.mean())) > 1e-3, "held-out rows took no part"
    assert "target_mean" not in raw.notes


def test_split_depends_on_the_seed_only():
    train, held = split_rows(50, 0.2, 0)
    assert len(held) == 10
    assert sorted([*train.tolist(), *held.tolist()]) == list(range(50))
    assert train.tolist() == sorted(train.tolist())
    assert torch.equal(held, split_rows(50, 0.2, 0)[1])
    assert not torch.equal(held, split_rows(50, 0.2, 1)[1])
    assert split_rows(5, 0.0, 3)[0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("share", [-0.1, 1.0, 20, float("nan")])
def test_bad_share(share):
    with pytest.raises(ConfigError, match=r"held_out: .*; must be a share of the rows"):
        split_rows(10, share, 0)


def test_share_that_leaves_nothing():
    with pytest.raises(ConfigError, match="leaves no training row of 3"):
        split_rows(3, 0.9, 0)


# --- known truth -----------------------------------------------------------------------------------------------------


MOMENTS = {  # mean and variance of y at raw output 0.5 with dispersion 2, by hand
    "bernoulli": (0.6224593312, 0.2350037122),
    "bernoulli_probit": (0.6914624613, 0.2133421258),
    "normal": (0.5, 4.0),
    "laplace": (0.5, 8.0),
    "poisson": (1.6487212707, 1.6487212707),
    "gamma": (1.6487212707, 1.3591409142),
    "negative_binomial": (1.6487212707, 3.0078621849),
}


@pytest.mark.parametrize("likelihood", MOMENTS)
def test_synthetic_draws_what_it_says(likelihood):
    rows, at = 40_000, {"features": 1, "weights": [0.0], "intercept": 0.5, "dispersion": 2.0}
    data = synthetic(likelihood=likelihood, rows=rows, held_out=0, **at)
    mean, variance = MOMENTS[likelihood]
    assert abs(float(data.y.mean()) - mean) < 5 * (variance / rows) ** 0.5
    spread = float(((data.y - mean) ** 2).var() / rows) ** 0.5
    assert abs(float(((data.y - mean) ** 2).mean()) - variance) < 5 * spread + 1e-9
    assert data.notes == {"true_weights": [0.0], "true_intercept": 0.5}


def test_synthetic_weights_reach_the_target():
    data = synthetic(likelihood="normal", weights=[1.0, -2.0, 0.0, 3.0], intercept=0.7, dispersion=1e-9, held_out=0)
    truth = torch.tensor(data.notes["true_weights"], dtype=torch.float64)
    torch.testing.assert_close(data.x @ truth + 0.7, data.y, atol=1e-8, rtol=0)
    # Standardising moves the truth along with the features.
    data = synthetic(likelihood="normal", weights=[1.0, -2.0, 0.0, 3.0], dispersion=1e-9, standardize=True)
    truth = torch.tensor(data.notes["true_weights"], dtype=torch.float64)
    assert truth.tolist() != [1.0, -2.0, 0.0, 3.0]
    torch.testing.assert_close(data.x @ truth + data.notes["true_intercept"], data.y, atol=1e-8, rtol=0)


@pytest.mark.parametrize("standardize", [False, True])
def test_synthetic_categorical(standardize):
    data = synthetic(likelihood="categorical", classes=4, features=2, rows=20_000, held_out=0, standardize=standardize)
    assert str(data.targets) == "classes(4)"
    assert data.y.dtype == torch.int64
    truth = torch.tensor(data.notes["true_weights"], dtype=torch.float64)
    assert tuple(truth.shape) == (2, 4)
    assert truth[:, 0].tolist() == [0, 0]
    p = (data.x @ truth + torch.tensor(data.notes["true_intercept"])).softmax(1)
    hits = torch.nn.functional.one_hot(data.y, 4).double()
    score = data.x.T @ (hits - p) / len(data)  # zero on average at the truth
    assert float(score.abs().max()) < 5 * 0.5 / len(data) ** 0.5


def test_synthetic_seeds():
    one, two = synthetic(seed=0), synthetic(seed=1)
    assert one.notes["true_weights"] != two.notes["true_weights"]
    # More rows do not change the truth: weights have a stream of their own.
    assert synthetic(rows=100).notes["true_weights"] == one.notes["true_weights"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"likelihood": "bernouli"}, "unknown likelihood 'bernouli'. Did you mean 'bernoulli'"),
        ({"rows": 0}, "data.rows: must be at least 1, found 0"),
        ({"features": 0}, "data.features: must be at least 1"),
        ({"classes": 1}, "data.classes: must be at least 2"),
        ({"dispersion": float("nan")}, "data.dispersion: must be positive and finite, found nan"),
        ({"weights": [1.0]}, r"data.weights: must be 4 finite numbers, found \[1.0\]"),
        ({"weights": [1.0, 2.0, 3.0, float("inf")]}, "data.weights: must be 4 finite numbers"),
        ({"weights": ["a"]}, "data.weights: must be 4 finite numbers"),
        ({"weights": [1.0] * 4, "likelihood": "categorical"}, "data.weights: must be 4 rows of 3 finite numbers"),
    ],
)
def test_bad_synthetic(arguments, message):
    with pytest.raises(ConfigError, match=message):
        synthetic(**arguments)


def test_bad_moons():
    with pytest.raises(ConfigError, match="rows ≥ 2 and a finite noise"):
        mlnn.data.two_moons(noise=-1.0)
