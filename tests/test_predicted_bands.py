"""What is predicted of a chunk of rows, and with which band: of one raw output or several, of means or of raw outputs."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.prediction import Errors, Prediction, _labels, _of_part, predict
from mlnn.targets import TargetSpace

f64 = torch.float64
RAW = torch.tensor([[0.5], [-1.0]], dtype=f64)
TWO = torch.tensor([[0.5, 0.2], [-1.0, 0.4]], dtype=f64)
SPREAD = torch.tensor([[[0.04]], [[0.09]]], dtype=f64)
SPREADS = torch.eye(2, dtype=f64).expand(2, 2, 2) * 0.04
ERRORS = Errors(torch.eye(1, dtype=f64), 2.0)


def part(
    name: str, raw: torch.Tensor, spread: Any, errors: Any, which: str = "mean", classes: int = 0
) -> list[np.ndarray]:
    family = family_of(name)
    family = family.over(TargetSpace("classes", classes)) if classes else family
    return [one.numpy() for one in _of_part(family, raw, spread, errors, which)]


def test_without_errors_a_mean_has_no_band() -> None:
    for spread, errors in ((None, None), (None, ERRORS), (SPREAD, None)):
        (mean,) = part("poisson", RAW, spread, errors)
        assert mean == pytest.approx(np.exp([0.5, -1.0]))
    (linear,) = part("poisson", RAW, None, None, "linear")
    assert linear.tolist() == [0.5, -1.0]
    assert part("normal_learned_variance", TWO, None, None, "linear")[0].tolist() == TWO.tolist()


def test_a_band_of_one_raw_output_is_carried_through_the_link() -> None:
    mean, se, low, high = part("poisson", RAW, SPREAD, ERRORS)
    assert se == pytest.approx(np.array([0.2, 0.3]) * mean)
    assert low == pytest.approx(np.exp([0.1, -1.6]))
    assert high == pytest.approx(np.exp([0.9, -0.4]))
    raw, error, low, high = part("poisson", RAW, SPREAD, ERRORS, "linear")
    assert (raw.tolist(), error.tolist()) == ([0.5, -1.0], pytest.approx([0.2, 0.3]))
    assert low == pytest.approx(np.array([0.1, -1.6]))
    assert high == pytest.approx(np.array([0.9, -0.4]))


def test_a_band_of_several_is_that_of_the_delta_method() -> None:
    mean, se, low, high = part("normal_learned_variance", TWO, SPREADS, ERRORS)
    assert mean.shape == (2,)
    assert se == pytest.approx(np.array([0.2, 0.2]))
    assert high - mean == pytest.approx(2 * se)
    assert mean - low == pytest.approx(2 * se)
    raw, error, low, high = part("normal_learned_variance", TWO, SPREADS, ERRORS, "linear")
    assert raw.shape == (2, 2)
    assert error == pytest.approx(np.full((2, 2), 0.2))
    assert high - low == pytest.approx(np.full((2, 2), 0.8))
    mean, se, low, high = part("categorical", RAW, SPREAD, ERRORS, classes=2)
    p = 1 / (1 + np.exp([-0.5, 1.0]))
    assert mean == pytest.approx(np.stack([1 - p, p], 1))
    assert se == pytest.approx(np.stack([p * (1 - p)] * 2, 1) * np.array([[0.2], [0.3]]))
    assert high[:, 1] == pytest.approx(1 / (1 + np.exp([-0.9, 0.4]))), "on the line of its log odds"


def rows(name: str, raw: torch.Tensor, spread: Any, offset: Any = None, classes: tuple[str, ...] = ()) -> Any:
    def parts(_x: Any, _known: Any, covariance: Any) -> Any:
        yield raw, None if covariance is None else spread

    design = SimpleNamespace(offset=offset)
    return SimpleNamespace(family=family_of(name), read=torch.as_tensor, parts=parts, design=design, classes=classes)


def predicted(held: Any, errors: Errors | None, x: Any = None, which: str = "mean", offset: Any = None) -> Prediction:
    return predict(held, errors, x, which=which, offset=offset, level=0.95)


def test_a_new_observation_has_an_interval_where_its_spread_is_known() -> None:
    held = rows("normal", RAW, SPREAD)
    spread = Errors(torch.eye(1, dtype=f64), 2.0, 0.96)
    found = predicted(held, spread)
    assert found.se is not None
    assert found.obs_upper is not None
    assert found.obs_upper - found.mean == pytest.approx(2 * np.sqrt([1.0, 1.05]))
    for without in (predicted(held, ERRORS), predicted(held, None), predicted(held, spread, which="linear")):
        assert (without.obs_lower, without.obs_upper) == (None, None)
    bare = predicted(held, None)
    assert (bare.se, bare.lower, bare.upper, bare.of) == (None, None, None, "mean")
    assert predicted(held, spread, which="linear").of == "linear"
    assert [name for name, _ in found._columns()] == ["mean", "se", "lower", "upper", "obs_lower", "obs_upper"]
    assert [name for name, _ in bare._columns()] == ["mean"]


def test_what_is_predicted_is_asked_for_as_it_can_be() -> None:
    held, moved = rows("poisson", RAW, SPREAD), rows("poisson", RAW, SPREAD, offset=torch.ones(2))
    assert predicted(held, None, torch.ones(2, 1)).mean.shape == (2,)
    assert predicted(moved, None, torch.ones(2, 1), offset=[0.0, 1.0]).mean.shape == (2,)
    for given, words, error in (
        ({"which": "median"}, "which: ", ConfigError), ({"offset": [0.0, 1.0]}, "is for new rows", ConfigError),
        ({"x": torch.ones(0, 1)}, "no rows to predict", DataError),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            predicted(held, None, **given)
    with pytest.raises(ConfigError, match="the fit had one"):
        predicted(moved, None, torch.ones(2, 1))
    dumb = rows("poisson", RAW, SPREAD)
    dumb.family = SimpleNamespace(name="it", likelihood=SimpleNamespace(predicts=False), labels=("",))
    with pytest.raises(ConfigError, match="has no mean"):
        predicted(dumb, None)
    assert predicted(dumb, None, which="linear").mean.tolist() == [0.5, -1.0]


def test_a_column_is_called_by_its_class_or_its_raw_output() -> None:
    held = rows("normal_learned_variance", TWO, SPREADS)
    assert _labels(held, "linear") == held.family.labels != ("",)
    assert _labels(held, "mean") == ("",)
    held.family = family_of("categorical").over(TargetSpace("classes", 3))
    assert _labels(held, "mean") == ("y=0", "y=1", "y=2")
    held.classes = ("y=no", "y=yes")
    assert _labels(held, "mean") == ("y=no", "y=yes")


def test_a_prediction_is_shown_up_to_a_dozen_rows() -> None:
    def shown(of: str, count: int, se: bool = True) -> tuple[list[list[str]], str]:
        part = np.arange(float(count))
        beside = part if se else None
        brief = Prediction(part, beside, beside, beside, level=0.9, of=of)._brief()
        return [list(row) for row in brief.table], brief.text()

    table, text = shown("quantile", 12)
    assert table[0] == ["", "quantile", "se", "lower", "upper"]
    assert len(table) == 13
    assert "confidence bands at 0.9" in text
    table, text = shown("mean", 13)
    assert table[-1][0] == "… and 1 more"
    assert "Predicted mean, 13 rows" in text
    table, text = shown("mean", 1, se=False)
    assert (table[0], "Predicted mean, 1 row" in text, "rows" in text, "confidence" in text) == (
        ["", "mean"],
        True,
        False,
        False,
    )
    both = Prediction(np.ones((2, 2)), None, None, None, level=0.9, outputs=("a", "b"))._brief().table
    assert [row[0] for row in both] == ["", "0 · a", "0 · b", "1 · a", "1 · b"]
    assert math.isclose(float(both[1][1]), 1.0)
