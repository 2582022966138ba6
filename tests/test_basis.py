"""What the estimate beside a training run stands for is said: rows, scale, constant; and carried back to the data's units."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from app_cases import command

from mlnn import data
from mlnn.data import Dataset
from mlnn.estimating import Trajectory, classical_estimate, estimate
from mlnn.estimating.basis import own_scale
from mlnn.estimating.classical_page import distances
from mlnn.models import Logistic, SigmoidNode
from mlnn.objectives import Bernoulli, Categorical, Normal, NormalLearnedVariance, Poisson, VonMises


def told(rows: Dataset, likelihood: Any, form: Any = Logistic, outputs: int = 1) -> dict[str, Any]:
    torch.manual_seed(0)
    module = form(rows.input_shape, outputs)
    classical = classical_estimate(module, likelihood, rows)
    assert classical
    return classical.beside(module).to_dict()


def on_raw_rows(own: dict[str, Any], found: Any) -> None:
    """`own` against the estimate of the same rows as they came."""
    mle = np.array([one["mle"] for one in own["coefficients"]]).reshape(found.params.shape)
    error = np.array([one["se"] for one in own["coefficients"]]).reshape(found.params.shape)
    assert np.abs((mle - found.params) / found.bse).max() < 1e-6
    assert error == pytest.approx(found.bse, rel=1e-7)
    assert own["llf"] == pytest.approx(found.llf, rel=1e-10)
    assert own["ancillary"] == pytest.approx(found.ancillary, rel=1e-9)
    for name, one in zip(found.names, own["coefficients"][:: max(1, found.params[0].size)], strict=True):
        assert one["name"].endswith(name)


@pytest.mark.parametrize(
    ("make", "name", "likelihood"),
    [
        (data.breast_cancer_mean, "bernoulli", Bernoulli()),
        (data.cpunish, "poisson", Poisson()),
        (data.iris_pair, "bernoulli", Bernoulli()),
    ],
)
def test_the_estimate_on_the_data_s_own_scale_is_that_of_the_raw_rows(make: Any, name: str, likelihood: Any) -> None:
    rows = make(standardize=True)
    on_raw_rows(told(rows, likelihood)["basis"]["own"], estimate(name, make(standardize=False)))


@pytest.mark.parametrize("features", [True, False])
@pytest.mark.parametrize("make", [data.diabetes, data.longley])
def test_a_standardised_target_is_carried_back_too(make: Any, features: bool) -> None:
    rows = make(standardize=features, standardize_target=True)
    raw = estimate("normal", make(standardize=False, standardize_target=False))
    on_raw_rows(told(rows, Normal())["basis"]["own"], raw)


def test_classes_and_two_outputs_are_carried_back() -> None:
    raw = data.synthetic(likelihood="categorical", rows=300, features=2, classes=3)
    x = 3 + 5 * raw.x
    mean, scale = x.mean(0), x.std(0, correction=0)
    made = {"mean": mean.tolist(), "scale": scale.tolist()}
    rows = replace(raw, x=(x - mean) / scale, standardised=made)
    own = told(rows, Categorical(), outputs=3)["basis"]["own"]
    found = estimate("categorical", (x, raw.y))
    assert [one["mle"] for one in own["coefficients"]] == pytest.approx(found.params.ravel(), rel=1e-7)
    assert [one["se"] for one in own["coefficients"]] == pytest.approx(found.bse.ravel(), rel=1e-7)  # type: ignore[union-attr]
    bent, plain = (data.diabetes(standardize_target=kind) for kind in (True, False))
    kept = {"standardised": None}
    moved = own_scale(estimate("normal_learned_variance", bent), replace(bent, **kept), NormalLearnedVariance())
    raw_two = estimate("normal_learned_variance", plain)
    assert moved
    assert [one.mle for one in moved.coefficients] == pytest.approx(raw_two.params.ravel(), rel=1e-5)
    assert moved.llf == pytest.approx(raw_two.llf, rel=1e-9)
    assert own_scale(estimate("von_mises", bent), bent, VonMises()) is None, "an angle has no other scale"


def test_rows_scale_and_constant_are_said() -> None:
    held = told(data.breast_cancer_mean(), Bernoulli())
    assert held["basis"]["rows"] == 455
    for words in ("the 455 rows trained on (114 more are held out)", "features standardised", "with a constant", "and 5 more",
                  "An estimate of the whole table has other numbers"):  # fmt: skip
        assert words in held["sentence"]
    plain = told(data.spector(), Bernoulli())
    assert plain["sentence"].endswith("The MLE stands for all 32 rows, in their own units, with a constant.")
    assert plain["basis"]["own"] is None
    bare = told(data.spector(), Bernoulli(), SigmoidNode)
    assert "without a constant. An estimate with a constant has other numbers." in bare["sentence"]
    target = told(data.diabetes(held_out=0.0), Normal())
    assert "all 442 rows, features and target standardised, with a constant" in target["sentence"]


def test_without_a_constant_one_appears_that_is_tied() -> None:
    rows = data.spector(standardize=True)
    own = told(rows, Bernoulli(), SigmoidNode)["basis"]["own"]
    *slopes, tied = own["coefficients"]
    assert tied["name"] == "const (tied)"
    raw = data.spector(standardize=False)
    scores = raw.x.numpy() @ [one["mle"] for one in slopes] + tied["mle"]
    found = estimate("bernoulli", rows, intercept=False)
    assert scores == pytest.approx(rows.x.numpy() @ found.params, rel=1e-9, abs=1e-9)
    assert own["llf"] == found.llf
    assert math.isfinite(tied["se"])


def test_where_there_is_no_maximum_rows_and_scale_are_said_all_the_same() -> None:
    twice = data.from_arrays(data.spector().x[:, [0, 1, 0]], data.spector().y, held_out=0.2)
    for rows in (data.breast_cancer(), twice):
        found = told(rows, Bernoulli())
        assert found["basis"]["own"] is None
        assert "rows trained on" in found["sentence"]
        assert found["coefficients"] == []


def test_both_sides_of_a_comparison_say_it_once() -> None:
    rows, modules = data.breast_cancer_mean(), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        modules.append(Logistic(rows.input_shape, 1))
    classical = classical_estimate(modules[0], Bernoulli(), rows)
    assert classical
    sides = {side: classical.beside(one).to_dict() for side, one in zip(("left", "right"), modules, strict=True)}
    lines = distances(sides)
    assert len(lines) == 3
    assert [line.count("The MLE stands for") for line in lines] == [0, 0, 1]
    assert lines[2].startswith("Of both sides: The MLE stands for the 455 rows")
    (both,) = distances({"left": sides["left"], "right": sides["left"]})
    assert both.count("The MLE stands for") == 1
    old = {side: {"sentence": side * 3} for side in ("left", "right")}  # as older runs have it
    assert distances(old) == ["Left: leftleftleft", "Right: rightrightright"]


def test_a_course_carries_it() -> None:
    rows = data.spector(standardize=True)
    module = Logistic(rows.input_shape, 1)
    course = Trajectory(Bernoulli(), rows, 1)
    course.watch(0, module)
    found = course.found(module)
    assert found
    assert found.basis
    assert found.basis.features
    assert json.loads(json.dumps(found.to_dict()))["basis"]["own"]["llf"] == pytest.approx(
        estimate("bernoulli", data.spector()).llf
    )


def test_train_says_it_on_console_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("train", "data=iris_pair", "model=logistic", "steps=3", "out=here")
    assert done.code == 0
    page = Path("here/report.html").read_text()
    said = "The MLE stands for the 80 rows trained on (20 more are held out), features standardised, with a"
    assert said in " ".join(done.out.split())
    assert "is that of the 80 rows that were trained on (20 more are held out), with a constant." in page
    assert "here the weights are carried back to the units of the data" in page
    raw = estimate("bernoulli", data.iris_pair(standardize=False))
    assert f"const {raw.params[-1]:.5g} ± {raw.bse[-1]:.3g}" in " ".join(done.out.split())  # type: ignore[index]
