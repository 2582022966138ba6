"""Standard errors of the numbers that are estimated with the coefficients, against printed tables, statsmodels and closed forms."""

import json
import math
from functools import partial

import numpy as np
import pytest
from numpy.random import default_rng
from scipy.special import polygamma
from scipy.stats import nbinom
from torch import nn

import mlnn
from mlnn.likelihoods import Gamma, Laplace, NegativeBinomial

NOISE = default_rng(3)
X = NOISE.standard_normal((400, 2))
ETA = X @ [0.4, -0.3] + 1
Y = {
    "normal": ETA + 0.7 * NOISE.standard_normal(400),
    "gamma": NOISE.gamma(3, np.exp(ETA) / 3),
    "negative_binomial": NOISE.poisson(np.exp(ETA) * NOISE.gamma(2, 1 / 2, 400)).astype(float),
    "beta": NOISE.beta(*(6 / (1 + np.exp(sign * (ETA - 1))) for sign in (-1, 1))),
    "laplace": ETA + NOISE.laplace(0, 0.5, 400),
}
# Prater (1956): yield in percent, temperature, batch.
GASOLINE = np.array(
    [
        (12.2, 205, 1),
        (22.3, 275, 1),
        (34.7, 345, 1),
        (45.7, 407, 1),
        (8, 218, 2),
        (13.1, 273, 2),
        (26.6, 347, 2),
        (7.4, 212, 3),
        (18.2, 272, 3),
        (30.4, 340, 3),
        (6.9, 235, 4),
        (15.2, 300, 4),
        (26, 365, 4),
        (33.6, 410, 4),
        (14.4, 307, 5),
        (26.8, 367, 5),
        (34.9, 395, 5),
        (10, 267, 6),
        (24.8, 360, 6),
        (31.7, 402, 6),
        (2.8, 235, 7),
        (6.4, 275, 7),
        (16.1, 358, 7),
        (27.8, 416, 7),
        (5, 285, 8),
        (17.6, 365, 8),
        (32.1, 444, 8),
        (14, 351, 9),
        (23.2, 424, 9),
        (8.5, 365, 10),
        (14.7, 379, 10),
        (18, 428, 10),
    ]
)


def test_precision_of_the_gasoline_data_is_as_betareg_prints_it() -> None:
    yields, temperature, batch = GASOLINE.T
    x = np.c_[np.arange(1, 10) == batch[:, None], temperature]
    found = mlnn.estimate("beta", (x, yields / 100))
    assert found.ancillary["precision"] == pytest.approx(440.27838, abs=1e-5)
    assert found.ancillary_bse["precision"] == pytest.approx(110.02562, abs=1e-5)


def test_sigma_and_shape_are_as_their_closed_forms() -> None:
    found = mlnn.estimate("normal", (X, Y["normal"]))
    sigma = math.sqrt(np.mean((Y["normal"] - X @ found.params[:2] - found.params[2]) ** 2))
    assert found.ancillary_bse["sigma"] == pytest.approx(sigma / math.sqrt(800), rel=1e-9)
    ml = mlnn.estimate("normal", (X, Y["normal"]), dispersion="ml")
    assert ml.ancillary_bse == found.ancillary_bse
    found = mlnn.estimate("gamma", (X, Y["gamma"]))
    shape = found.ancillary["shape"]
    assert found.ancillary_bse["shape"] == pytest.approx(
        1 / math.sqrt(400 * (polygamma(1, shape) - 1 / shape)), rel=1e-9
    )


def test_theta_is_as_statsmodels_has_it() -> None:
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")
    design = np.c_[X, np.ones(400)]
    reference = discrete.NegativeBinomial(Y["negative_binomial"], design).fit(disp=0, method="newton")
    alpha, error = reference.params[-1], reference.bse[-1]
    found = mlnn.estimate("negative_binomial", (X, Y["negative_binomial"]), cov="observed")
    assert found.ancillary["theta"] == pytest.approx(1 / alpha, rel=1e-5)
    assert found.ancillary_bse["theta"] == pytest.approx(error / alpha**2, rel=1e-5)
    # MASS::theta.ml: the corner alone, as expected information has no term between theta and the coefficients
    theta, y, mean = found.ancillary["theta"], Y["negative_binomial"], np.exp(design @ found.params)
    corner = (
        polygamma(1, theta)
        - polygamma(1, theta + y)
        - 1 / theta
        + 2 / (mean + theta)
        - (y + theta) / (mean + theta) ** 2
    )
    expected = mlnn.estimate("negative_binomial", (X, Y["negative_binomial"]))
    assert expected.ancillary_bse["theta"] == pytest.approx(1 / math.sqrt(corner.sum()), rel=1e-6)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ["normal", "gamma"])
def test_robust_errors_are_those_of_numbers_that_vary_from_sample_to_sample(name: str) -> None:
    """Leave-one-out: the jackknife's variance is the sandwich's to order 1/n."""
    x, y = X[:60], Y[name][:60]
    found = mlnn.estimate(name, (x, y), cov="robust")
    (key,) = found.ancillary_bse
    keep = ~np.eye(60, dtype=bool)
    left = np.array([mlnn.estimate(name, (x[part], y[part])).ancillary[key] for part in keep])
    jackknife = math.sqrt(59 / 60 * ((left - left.mean()) ** 2).sum())
    assert found.ancillary_bse[key] == pytest.approx(jackknife, rel=0.2)
    assert found.ancillary_bse[key] != pytest.approx(mlnn.estimate(name, (x, y)).ancillary_bse[key], rel=1e-3)


def test_robust_error_of_theta_is_the_sandwich_of_all_scores() -> None:
    y, design, step = Y["negative_binomial"], np.c_[X, np.ones(400)], 1e-4
    found = mlnn.estimate("negative_binomial", (X, y), cov="robust")
    at, one = np.r_[found.params, math.log(found.ancillary["theta"])], step * np.eye(4)

    def scores(place: np.ndarray) -> np.ndarray:
        def nll(where: np.ndarray) -> np.ndarray:
            theta = math.exp(where[3])
            return -nbinom.logpmf(y, theta, theta / (theta + np.exp(design @ where[:3])))

        return np.stack([(nll(place + k) - nll(place - k)) / (2 * step) for k in one], axis=1)

    bread = np.linalg.inv(np.stack([(scores(at + k) - scores(at - k)).sum(0) / (2 * step) for k in one]))
    sandwich = bread @ scores(at).T @ scores(at) @ bread
    assert found.ancillary_bse["theta"] == pytest.approx(math.sqrt(sandwich[3, 3]) * found.ancillary["theta"], rel=1e-5)
    np.testing.assert_allclose(found.bse, np.sqrt(np.diag(sandwich))[:3], rtol=1e-5)  # type: ignore[arg-type]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("cov", ["expected", "observed", "robust"])
@pytest.mark.parametrize("name", list(Y))
def test_rows_of_weight_two_are_two_rows(name: str, cov: str) -> None:
    x, y = X[:80], Y[name][:80]
    if name == "laplace":
        cov = "kernel"
    weights = 1 + np.arange(80) % 3
    found = mlnn.estimate(name, (x, y), weights=weights, cov=cov)
    again = mlnn.estimate(name, (np.repeat(x, weights, axis=0), np.repeat(y, weights)), cov=cov)
    assert found.ancillary_bse.keys() == again.ancillary_bse.keys()
    assert len(found.ancillary_bse) == 1
    for key, error in found.ancillary_bse.items():
        assert error == pytest.approx(again.ancillary_bse[key], rel=1e-7)


def test_numbers_that_are_given_have_no_error() -> None:
    given = mlnn.estimate(NegativeBinomial(theta=2.0), (X, Y["negative_binomial"]))
    assert given.ancillary == {"theta": 2.0}
    assert given.ancillary_bse == {}
    assert "theta:" in given.summary()
    for likelihood, name in ((Gamma(2.0), "gamma"), (Laplace(0.5), "laplace")):
        assert mlnn.estimate(likelihood, (X, Y[name])).ancillary_bse == {}
    assert mlnn.estimate("poisson", (X, Y["negative_binomial"])).ancillary_bse == {}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", list(Y))
def test_a_model_of_the_same_form_has_the_same(name: str) -> None:
    found = mlnn.estimate(name, (X, Y[name]))
    model = mlnn.estimate(name, (X, Y[name]), model=partial(nn.Linear, 2, 1), starts=1)
    assert model.ancillary_bse == pytest.approx(found.ancillary_bse, rel=1e-6)
    np.testing.assert_allclose(model.bse, found.bse, rtol=1e-6)  # type: ignore[arg-type]
    np.testing.assert_allclose(model.conf_int(), found.conf_int(), rtol=1e-6)
    (key,) = found.ancillary_bse
    assert f"({model.ancillary_bse[key]:.4g})" in model.summary()
    assert f"({model.ancillary_bse[key]:.4g})" in repr(model)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("cov", ["observed", "robust", "HC0", "HC1"])
@pytest.mark.parametrize("name", ["normal", "gamma", "negative_binomial"])
def test_every_covariance_has_its_own(name: str, cov: str) -> None:
    found, plain = (mlnn.estimate(name, (X, Y[name]), cov=kind) for kind in (cov, "robust"))
    model = mlnn.estimate(name, (X, Y[name]), model=partial(nn.Linear, 2, 1), starts=1, cov=cov)
    assert model.ancillary_bse == pytest.approx(found.ancillary_bse, rel=1e-6)
    (key,) = found.ancillary_bse
    ratio = {"HC1": math.sqrt(400 / 397), "robust": 1.0, "HC0": 1.0}
    if cov in ratio:
        assert found.ancillary_bse[key] == pytest.approx(ratio[cov] * plain.ancillary_bse[key], rel=1e-12)


def test_they_are_told_wherever_the_number_is() -> None:
    found = mlnn.estimate("negative_binomial", (X, Y["negative_binomial"]))
    told = f"{found.ancillary['theta']:.6g} ({found.ancillary_bse['theta']:.4g})"
    assert told in found.summary()
    assert "theta (std err):" in found.summary()
    assert told in repr(found)
    assert told in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["ancillary_bse"] == found.ancillary_bse
