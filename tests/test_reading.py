"""exp(−loss) read as a likelihood: closed forms, caveats, and what train.py shows of it."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from app_cases import assert_short, command
from objective_cases import batch
from torch import Tensor, nn

import mlnn
from mlnn import objectives as o
from mlnn.data import from_arrays
from mlnn.errors import ConfigError
from mlnn.objectives import Objective, Reading, read_likelihood
from mlnn.targets import TargetSpace
from mlnn.testing import assert_same_objective

f64 = torch.float64
LINE = nn.Linear(1, 1)
Y = torch.tensor([1.0, 2.0, 4.0, 5.0], dtype=f64)


def read(given: object, kind: str, output: Tensor, y: Tensor = Y, module: nn.Module = LINE) -> Reading:
    found = read_likelihood(Objective.of(given, TargetSpace.parse(kind)), module, output, y)
    assert found is not None
    return found


def test_the_normal_reading_in_closed_form() -> None:
    """At the mean 3 the squares add up to 10: ll = −½(10 + 4 log 2π), deviance 10; two weights."""
    for given in (o.mse, o.Normal()):
        found = read(given, "real", torch.full((4,), 3.0, dtype=f64))
        total = -0.5 * (10 + 4 * math.log(2 * math.pi))
        assert (found.likelihood, found.rows, found.parameters) == ("Normal(sigma=1)", 4, 2)
        assert found.log_likelihood == pytest.approx(total, rel=1e-14)
        assert found.per_row == pytest.approx(total / 4, rel=1e-14)
        assert found.geometric_mean == pytest.approx(math.exp(total / 4), rel=1e-14)
        assert found.deviance == pytest.approx(10, rel=1e-14)
        assert found.aic == pytest.approx(4 - 2 * total, rel=1e-14)
        assert found.bic == pytest.approx(2 * math.log(4) - 2 * total, rel=1e-14)


def test_a_published_poisson_fit_is_read_as_published() -> None:
    """Dobson's randomised trial: deviance 5.12914107700115, log-likelihood −23.380659200978837."""
    counts = torch.tensor([18.0, 17, 15, 20, 10, 20, 25, 13, 12], dtype=f64)
    outcome = torch.tensor([21, 40 / 3, 47 / 3], dtype=f64).log().repeat(3)
    for given in (o.poisson_nll, o.Poisson()):
        found = read(given, "counts", outcome, counts)
        assert found.log_likelihood == pytest.approx(-23.380659200978837, rel=1e-13)
        assert found.deviance == pytest.approx(5.12914107700115, rel=1e-12)


def test_the_bernoulli_reading_is_the_product_itself() -> None:
    z, y = torch.tensor([-1.0, 0.5, 2.0], dtype=f64), torch.tensor([0.0, 0.0, 1.0], dtype=f64)
    found = read(o.bce, "binary", z, y)
    assert math.exp(found.log_likelihood) == pytest.approx(o.Bernoulli().likelihood(z, y).item(), rel=1e-14)
    assert found.deviance == pytest.approx(-2 * found.log_likelihood, rel=1e-14)
    assert found.geometric_mean**3 == pytest.approx(o.Bernoulli().likelihood(z, y).item(), rel=1e-14)


def test_a_density_may_exceed_one_and_deviance_may_not_exist() -> None:
    found = read(o.NormalLearnedVariance(), "real", torch.stack([Y, torch.full((4,), -4.0, dtype=f64)], 1))
    assert found.geometric_mean == pytest.approx(math.exp(2) / math.sqrt(2 * math.pi), rel=1e-14)
    assert found.deviance is None
    assert any("unbounded" in caveat for caveat in found.caveats)
    assert read(o.Normal(1e-320), "real", Y).geometric_mean == math.inf


@pytest.mark.parametrize(
    ("word", "module", "z", "y"),
    [
        ("not meaningful", nn.Linear(5, 1), [0.1, -1], [0, 1]),
        ("non-regular", nn.Sequential(nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 1)), [0.1, -1], [0, 1]),
        ("separated", LINE, [-3, 3, 0.1], [0, 1, 1]),
        ("Dropout", nn.Sequential(LINE, nn.Dropout(0.5)), [0.1, -1, 0], [0, 1, 1]),
        ("BatchNorm1d", nn.Sequential(nn.BatchNorm1d(1), LINE), [0.1, -1, 0], [0, 1, 1]),
        ("no finite likelihood", LINE, [math.inf, 0, 0], [0, 1, 1]),
    ],
)
def test_a_caveat_is_there_where_it_belongs(word: str, module: nn.Module, z: list[float], y: list[float]) -> None:
    tensors = (torch.tensor(z, dtype=f64), torch.tensor(y, dtype=f64))
    assert any(word in caveat for caveat in read(o.Bernoulli(), "binary", *tensors, module).caveats)
    plain = read(o.Bernoulli(), "binary", torch.tensor([0.1, -1.0, 0.0]), torch.tensor([0.0, 1.0, 1.0]))
    assert not any(word in caveat for caveat in plain.caveats)
    assert len(plain.caveats) == 1
    assert "presume the maximum" in plain.caveats[0]


def test_nan_stays_nan_and_is_said() -> None:
    found = read(o.Bernoulli(), "binary", torch.tensor([math.nan, 0.0]), torch.tensor([0.0, 1.0]))
    assert math.isnan(found.geometric_mean)
    assert math.isnan(found.log_likelihood)
    assert "some rows have no finite likelihood" in found.caveats


def test_a_loss_without_a_likelihood_is_not_read() -> None:
    z, y = batch(TargetSpace("binary"), f64)
    assert read_likelihood(Objective.of(o.hinge, TargetSpace("binary")), LINE, z, y) is None


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def about(*words: str) -> dict[str, object]:
    done = command("train", *words, "out=here", "overwrite=true")
    assert (done.code, done.err) == (0, "")
    reading = json.loads(Path("here/about.json").read_text(encoding="utf-8"))["likelihood"]
    for text in (done.out, Path("here/report.html").read_text(encoding="utf-8")):
        assert (reading["likelihood"] if reading else "none is known for this objective") in text
    return reading


def test_training_reports_the_likelihood_of_all_its_rows() -> None:
    """Full batch, float64, a step so small that nothing moves: the reading is rows times the loss of the only step."""
    words = ("steps=1", "data=spector", "batch_size=null", "model=logistic", "dtype=float64", "optimizer.lr=1e-30")
    found = about(*words, "objective=bce")
    (loss,) = (float(line.split(",")[1]) for line in Path("here/trace.csv").read_text().splitlines()[1:])
    assert found["log_likelihood"] == pytest.approx(-32 * loss, rel=1e-12)
    assert found["parameters"] == 4
    assert set(found) == {field.name for field in dataclasses.fields(Reading)}
    assert about(*words, "objective=hinge") is None


def test_the_pytest_gate_builds_a_model_with_the_outputs_that_are_read() -> None:
    found = assert_same_objective(o.gaussian_nll, o.NormalLearnedVariance(), "real", "shifted", domain=(-13, 13))
    assert found.relation == "shifted"
    with pytest.raises(ConfigError, match="left reads 2 raw outputs per row and right 1"):
        mlnn.compare(
            lambda: nn.Linear(1, 2), o.gaussian_nll, o.mse, from_arrays(Y, Y, "real"),
            optimizer=torch.optim.SGD, steps=1, batch_size=2,
        )  # fmt: skip


def test_data_of_another_target_space_end_with_2() -> None:
    for words in (
        ("train", "objective=poisson"),
        ("compare", "pair=categorical"),
        ("compare", "objective@right=normal"),
    ):
        done = command(*words, "data=spector" if "normal" not in words[1] else "data=iris", "steps=1", "batch_size=8")
        assert done.code == 2
        assert_short(done.err)
        assert "takes" in done.err
        assert "the data's are" in done.err


def test_a_side_that_reads_more_outputs_ends_with_2() -> None:
    done = command(
        "compare", "objective@left=mse", "objective@right=normal_learned_variance", "data=diabetes", "steps=1"
    )
    assert done.code == 2
    assert "left reads 1 raw outputs per row and right 2" in done.err
