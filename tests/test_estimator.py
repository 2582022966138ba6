"""The commands of estimation: estimate, estimator, and what train and compare say of the classical estimate."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from app_cases import assert_short, command, write

import mlnn
from mlnn import data
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import check_estimate, estimate


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_estimate_prints_a_table_and_keeps_every_digit() -> None:
    done = command("estimate", "out=here")
    assert (done.code, done.err) == (0, "")
    assert "Log-likelihood:" in done.out
    assert "TUCE" in done.out
    told = json.loads(Path("here/estimate.json").read_text())
    assert told["params"] == pytest.approx([2.82611297201, 0.0951576702557, 2.37868772835, -13.0213483201], rel=1e-6)
    assert told["information"]["tau"] == pytest.approx(1, abs=4 * told["information"]["se"])
    assert told["beside"]["found"]["digits_least"] > 2
    assert Path("here/summary.txt").read_text().strip() in done.out
    assert "spector" in Path("here/report.html").read_text()


def test_estimate_takes_all_rows_in_their_own_units() -> None:
    assert command("estimate", "data=diabetes", "steps=0", "out=here").code == 0
    told = json.loads(Path("here/estimate.json").read_text())
    assert told["nobs"] == 442
    assert json.loads(Path("here/data.json").read_text())["rows"] == 442


@pytest.mark.rest
def test_estimate_refuses_where_there_is_no_estimate() -> None:
    done = command("estimate", "data=breast_cancer", "steps=5", "out=here", "require=mle")
    assert done.code == 1
    assert_short(done.err)
    assert "complete separation" in done.err
    assert "std err" not in done.out
    assert "No finite maximum-likelihood estimate" in done.out
    page = Path("here/report.html").read_text()
    assert "There is no finite maximum-likelihood estimate: complete separation." in page


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("likelihood=bernouli",), ("likelihood", "'bernoulli'")),
        (("cov=best",), ("cov", "expected")),
        (("dispersion=large",), ("dispersion",)),
        (("require=bitwise",), ("require",)),
        (("likelihood=gamma",), ("y", "positive")),
        (("modle=mlp",), ("'modle'", "'model'")),
    ],
)
def test_bad_usage_of_estimate(words: tuple[str, ...], named: tuple[str, ...], home: Path) -> None:
    done = command("estimate", *words, "out=here")
    assert done.code in (2, 3)
    assert_short(done.err)
    assert all(word in done.err for word in named), done.err
    assert not (home / "here").exists()


RACE = ("--config-dir", "conf", "passes=40", "data.rows=128", "ladder=two")


def test_estimator_says_who_gets_there_and_when() -> None:
    write(Path(), {"conf/ladder/two.yaml": "quick: [optimizer=lbfgs]\nslow: [optimizer=sgd, optimizer.lr=0.001]\n"})
    done = command("estimator", *RACE, "out=here")
    assert (done.code, done.err) == (0, "")
    with open("here/estimator.csv", encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert float(rows["quick"]["passes_to_2"]) < 40
    assert rows["slow"]["passes_to_2"] == ""
    assert float(rows["quick"]["digits_least"]) > float(rows["slow"]["digits_least"])
    assert float(rows["quick"]["passes"]) >= 40
    assert "quick comes nearest" in Path("here/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "named"),
    [(("model=mlp",), "classical estimate"), (("objective=hinge",), "hinge"), (("passes=0",), "passes")],
)
def test_bad_usage_of_estimator(words: tuple[str, ...], named: str) -> None:
    write(Path(), {"conf/ladder/two.yaml": "quick: [optimizer=lbfgs]\n"})
    done = command("estimator", *RACE, *words, "out=here")
    assert done.code == 2
    assert_short(done.err)
    assert named in done.err


def test_train_tells_the_distance_and_its_course() -> None:
    done = command("train", "experiment=one_node", "out=here")
    assert done.code == 0
    about = json.loads(Path("here/about.json").read_text())
    assert about["mle"]["digits_least"] > 3
    assert about["mle"]["sentence"].split(";")[0] in " ".join(done.out.split())
    course = Path("here/course.csv").read_text().splitlines()
    assert course[0].startswith("step,digits_least")
    assert "Digits of the maximum-likelihood estimate" in Path("here/report.html").read_text()


def test_a_deep_network_has_no_distance() -> None:
    assert command("train", "data=spector", "model=mlp", "steps=3", "batch_size=16", "out=here").code == 0
    assert json.loads(Path("here/about.json").read_text())["mle"] is None
    assert not Path("here/course.csv").exists()


def test_compare_tells_the_distance_of_both_sides() -> None:
    words = ("data=spector", "model=logistic", "steps=3", "batch_size=16", "null_twins=0", "out=here")
    assert command("compare", *words).code == 0
    told = json.loads(Path("here/verdict.json").read_text())["about"]["mle"]
    assert set(told) == {"left", "right"}
    assert told["left"]["separation"] == "none"


def test_the_check_of_an_estimate_knows_a_wrong_model_from_a_right_one() -> None:
    right = check_estimate(estimate("poisson", data.synthetic(likelihood="poisson", rows=3000, features=2)))
    assert right
    assert abs(right.tau - 1) < 4 * right.se
    wrong = check_estimate(estimate("poisson", data.synthetic(likelihood="negative_binomial", rows=3000, features=2)))
    assert wrong
    assert wrong.tau > 1.5
    assert check_estimate(estimate("laplace", data.diabetes())) is None


def test_a_check_of_many_rows_uses_the_mean_hessian(monkeypatch: pytest.MonkeyPatch) -> None:
    found = estimate("bernoulli", data.synthetic(likelihood="bernoulli", rows=3000, features=3))
    whole = check_estimate(found)
    monkeypatch.setattr("mlnn.estimating.linear.fitted.MOST_NUMBERS", 100)
    less = check_estimate(found)
    assert whole
    assert less
    assert less.tau == pytest.approx(whole.tau, rel=1e-9)
    assert torch.allclose(less.eigenvalues, whole.eigenvalues)


def test_a_small_network_is_estimated_through_its_hessian() -> None:
    done = command("estimate", "data=iris_pair", "model=logistic", "starts=1", "out=here")
    assert (done.code, done.err) == (0, "")
    told = json.loads(Path("here/estimate.json").read_text())
    linear = estimate("bernoulli", data.iris_pair(held_out=0.0, standardize=False))
    assert told["llf"] == pytest.approx(linear.llf, rel=1e-10)
    assert told["params"] == pytest.approx(linear.params.tolist(), rel=1e-6)
    assert told["bse"] == pytest.approx(linear.bse, rel=1e-5)
    assert "identified" in done.out


def test_a_model_by_the_public_name() -> None:
    rows = data.spector()
    found = mlnn.estimate("bernoulli", rows, model=lambda: torch.nn.Linear(3, 1), starts=2)
    linear = mlnn.estimate("bernoulli", (rows.x.numpy(), rows.y.numpy()))
    assert found.params == pytest.approx(linear.params, rel=1e-8)
    assert np.diag(found.cov_params()) ** 0.5 == pytest.approx(found.bse)
    assert found.conf_int() == pytest.approx(linear.conf_int(), rel=1e-6)
    assert (found.aic, found.bic) == pytest.approx((linear.aic, linear.bic))
    assert found.separation == "none"
    with pytest.raises(ConfigError, match="factory"):
        mlnn.estimate("bernoulli", rows, model=torch.nn.Linear(3, 1))
    with pytest.raises(ConfigError, match="made a int"):
        mlnn.estimate("bernoulli", rows, model=lambda: 3)


@pytest.mark.parametrize(
    ("made", "word"), [(data.digits_3_vs_8, "completely separated"), (data.digits_parity, "separated")]
)
def test_columns_without_a_coefficient_do_not_hide_a_separation(made: object, word: str) -> None:
    with pytest.raises(DataError, match=word):
        estimate("bernoulli", made())  # type: ignore[operator]
