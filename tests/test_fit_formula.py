"""What is asked of a fit that a formula made: new frames, offsets by column, classes by their labels."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from estimation_cases import furthest
from fit_cases import PRECISE
from torch import nn

import mlnn
from mlnn.errors import ConfigError, DataError

DRAWS = np.random.default_rng(5)
FRAME = pd.DataFrame({
    "group": DRAWS.choice(list("abc"), 240), "dose": DRAWS.uniform(0.5, 3, 240), "log_time": DRAWS.uniform(0, 1.5, 240),
    "species": DRAWS.choice(["finch", "gull", "tern"], 240),
})  # fmt: skip
FRAME["visits"] = DRAWS.poisson(np.exp(FRAME.log_time + 0.2 + 0.3 * (FRAME.group == "b") + 0.4 * np.log(FRAME.dose)))
NEW = pd.DataFrame({"dose": [1.0, 2.0], "group": ["c", "b"], "log_time": [0.0, 1.0]}, index=["p", "q"])
FORMULA = "visits ~ C(group) + log(dose)"


def test_new_frames_are_made_into_columns_as_the_rows_of_the_fit_were() -> None:
    found = mlnn.estimate("poisson", FORMULA, FRAME, offset="log_time")
    written = FORMULA.replace("log(", "np.log(")
    reference = smf.glm(written, FRAME, offset=FRAME["log_time"], family=sm.families.Poisson()).fit(**PRECISE)
    theirs = reference.get_prediction(NEW, offset=NEW["log_time"]).summary_frame()
    for ours in (found.predict(NEW, offset="log_time"), found.predict(pl.from_pandas(NEW), offset=[0.0, 1.0])):
        assert furthest(ours.mean, theirs["mean"]) < 1e-9
        assert furthest(ours.se, theirs["mean_se"]) < 1e-9
        assert furthest(ours.upper, theirs["mean_ci_upper"]) < 1e-9
    assert list(found.predict(NEW, offset="log_time").to_frame().index) == ["p", "q"]
    assert furthest(found.fitted, reference.fittedvalues) < 1e-9
    assert np.abs(found.residuals("deviance") - reference.resid_deviance).max() < 1e-9
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.predict(NEW, offset="log_time").se, found.predict(NEW, offset="log_time").se)
    assert found.params["C(group)[T.b]"] == pytest.approx(reference.params["C(group)[T.b]"], rel=1e-9)


def test_what_new_rows_lack_is_said() -> None:
    found = mlnn.estimate("poisson", FORMULA, FRAME, offset="log_time")
    with pytest.raises(ConfigError, match="new rows need theirs"):
        found.predict(NEW)
    with pytest.raises(DataError, match="offset: unknown column 'time'"):
        found.predict(NEW, offset="time")
    with pytest.raises(DataError, match="zebra"):
        found.predict(NEW.assign(group="zebra"), offset="log_time")
    with pytest.raises(DataError, match="unknown column 'dose'"):
        found.predict(NEW.drop(columns="dose"), offset="log_time")


def test_an_offset_lies_inside_the_model_that_estimates_its_coefficient() -> None:
    fixed = mlnn.estimate("poisson", FORMULA, FRAME, offset="log_time")
    free = mlnn.estimate("poisson", f"{FORMULA} + log_time", FRAME)
    assert mlnn.compare_fits(fixed, free).df == 1
    assert "the offset of a" in mlnn.compare_fits(mlnn.estimate("poisson", "visits ~ dose", FRAME, offset="log_time"),
                                                  mlnn.estimate("poisson", "visits ~ dose + C(group)", FRAME)).sentence  # fmt: skip
    interaction = mlnn.estimate("poisson", "visits ~ C(group) * log(dose)", FRAME, offset="log_time")
    assert mlnn.compare_fits(fixed, interaction).df == 2


def test_an_offset_is_handed_over() -> None:
    for likelihood in ("poisson", "negative_binomial"):
        found = mlnn.estimate(
            likelihood, FORMULA, FRAME.assign(visits=FRAME.visits * (1 + FRAME.index % 3)), offset="log_time"
        )
        theirs = found.to_statsmodels()
        assert list(theirs.params.index) == list(found.names)
        assert theirs.llf == pytest.approx(found.llf, rel=1e-12)
        assert furthest(theirs.bse, found.bse) < 1e-9
    shares = FRAME.assign(share=(FRAME.dose - 0.4) / 3)
    with pytest.raises(ConfigError, match="an offset: statsmodels' BetaModel has none"):
        mlnn.estimate("beta", "share ~ C(group)", shares, offset="log_time", cov="observed").to_statsmodels()
    with pytest.raises(ConfigError, match="QuantReg has neither weights nor an offset"):
        mlnn.estimate("laplace", "dose ~ C(group)", FRAME, offset="log_time").to_statsmodels()
    least = mlnn.estimate("normal", "dose ~ C(group)", FRAME, offset="log_time")
    assert type(least.to_statsmodels()).__name__ == "GLMResultsWrapper"
    assert furthest(least.to_statsmodels().bse, least.bse) < 1e-9


def test_classes_are_called_by_their_labels() -> None:
    found = mlnn.estimate("categorical", "species ~ dose", FRAME)
    assert found.params["dose", "species=gull"] == found.params[0, 0]
    told = found.predict(NEW)
    assert told.outputs == ("species=finch", "species=gull", "species=tern")
    assert told.to_frame()["species=tern"]["mean"].tolist() == told.mean[:, 2].tolist()


def test_a_model_beside_a_formula_predicts_from_frames() -> None:
    formula = "log_time ~ dose + C(group)"
    linear, model = (mlnn.estimate("normal", formula, FRAME, **how) for how in ({}, {"model": lambda: nn.Linear(3, 1)}))
    for name in ("mean", "se", "obs_upper"):
        assert furthest(getattr(model.predict(NEW), name), getattr(linear.predict(NEW), name)) < 1e-8


def test_rows_left_out_have_no_residual() -> None:
    holed = FRAME.assign(dose=FRAME.dose.where(FRAME.index % 10 != 3))
    found = mlnn.estimate("poisson", "visits ~ dose", holed, missing="drop")
    assert found.fitted.shape == found.residuals().shape == (216,)
    assert furthest(found.fitted, mlnn.estimate("poisson", "visits ~ dose", holed.dropna()).fitted) == 0


def test_an_offset_counts_where_columns_nearly_depend_on_each_other() -> None:
    """There the information comes from the rows by QR, at their raw outputs with the offset."""
    near = FRAME.assign(twin=FRAME.dose + 1e-5 * np.sin(np.arange(240.0)))
    found = mlnn.estimate("poisson", "visits ~ dose + twin", near, offset="log_time")
    plain = mlnn.estimate("poisson", (near[["dose", "twin"]], near["visits"]), offset=near["log_time"])
    mu, x = np.asarray(plain.fitted), np.column_stack([near["dose"], 1e5 * (near["twin"] - near["dose"]), np.ones(240)])
    turned = np.linalg.inv(
        (x * mu[:, None]).T @ x
    )  # of well-chosen columns: twin = dose + 1e-5 z, so b(twin) = 1e5 b(z)
    assert found.bse["twin"] == pytest.approx(1e5 * np.sqrt(turned[1, 1]), rel=1e-6)
    assert furthest(found.bse, plain.bse) < 1e-5
