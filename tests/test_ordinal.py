"""Labels in an order: the printed table of MASS's polr, statsmodels' OrderedModel, thresholds far out, separation."""

import math

import mpmath
import numpy as np
import pytest
import scipy
import torch
from published_cases import housing
from statsmodels.miscmodels.ordinal_model import OrderedModel

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.likelihoods import Ordinal

POLR = {  # Sat ~ Infl + Type + Cont, weights = Freq, as printed in MASS: value, standard error
    "InflMedium": (0.5664, 0.1047), "InflHigh": (1.2888, 0.1272), "TypeApartment": (-0.5724, 0.1192),
    "TypeAtrium": (-0.3662, 0.1552), "TypeTerrace": (-1.0910, 0.1515), "ContHigh": (0.3603, 0.0955),
}  # fmt: skip
RNG = np.random.default_rng(5)
X = RNG.normal(size=(150, 2))
Y = np.digitize(X @ [0.8, -0.5] + RNG.logistic(size=150), [-1.0, 0.4, 1.5])
f64 = torch.float64


def test_the_renters_of_copenhagen_have_the_table_that_polr_prints() -> None:
    x, y, freq = housing()
    found = mlnn.estimate("ordinal", (x, y), weights=freq)
    printed = np.array([POLR[name] for name in found.names])
    assert found.params == pytest.approx(printed[:, 0], abs=5.1e-5)
    assert found.bse == pytest.approx(printed[:, 1], abs=5.1e-5)
    assert [found.ancillary[name] for name in ("0|1", "1|2")] == pytest.approx([-0.4961, 0.6907], abs=5.1e-5)
    assert [found.ancillary_bse[name] for name in ("0|1", "1|2")] == pytest.approx([0.1248, 0.1255], abs=1.1e-4)
    assert (found.deviance, found.aic) == pytest.approx((3479.149, 3495.149), abs=5.1e-4)
    assert (found.df_model, found.df_resid, found.parameters) == (6, 1681 - 8, 8)
    assert found.llr_pvalue is not None
    assert found.cov == "observed"
    assert "as MASS and pscl have them" in " ".join(found.notes)


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_a_link_gives_what_statsmodels_gives(link: str) -> None:
    found = mlnn.estimate(Ordinal(link), (X, Y))
    model = OrderedModel(Y, X, distr=link)
    start = np.r_[found.params, found.ancillary["0|1"], np.log(np.diff(list(found.ancillary.values())))]
    fit = model.fit(start_params=start, method="bfgs", disp=False, gtol=1e-7)
    assert found.llf == pytest.approx(fit.llf, abs=1e-8)
    assert found.params == pytest.approx(fit.params[:2], abs=1e-5)
    assert list(found.ancillary.values()) == pytest.approx(model.transform_threshold_params(fit.params)[1:-1], abs=1e-5)
    assert found.bse == pytest.approx(fit.bse[:2], rel=1e-3)
    robust = mlnn.estimate(Ordinal(link), (X, Y), cov="robust")
    assert robust.bse == pytest.approx(found.bse, rel=0.2)
    assert robust.bse != pytest.approx(found.bse, rel=1e-3)


def test_no_other_thresholds_are_likelier_under_the_complementary_log_log() -> None:
    def log_likelihood(flat: np.ndarray) -> float:
        places = np.r_[-np.inf, flat[2:], np.inf] - (X @ flat[:2])[:, None]
        below = -np.expm1(-np.exp(places))
        rows = np.arange(len(Y))
        return float(np.log(below[rows, Y + 1] - below[rows, Y]).sum())

    found = mlnn.estimate(Ordinal("cloglog"), (X, Y))
    top = np.r_[found.params, list(found.ancillary.values())]
    assert found.llf == pytest.approx(log_likelihood(top), rel=1e-12)
    for k, error in enumerate(np.r_[found.bse, list(found.ancillary_bse.values())]):
        step = 1e-2 * error * np.eye(len(top))[k]
        ahead, behind = log_likelihood(top + step), log_likelihood(top - step)
        assert max(ahead, behind) < found.llf
        assert abs(ahead - behind) < 1e-5


def test_two_classes_are_a_logistic_regression() -> None:
    y = (Y > 1).astype(int)
    found, binary = mlnn.estimate("ordinal", (X, y)), mlnn.estimate("bernoulli", (X, y))
    assert found.params == pytest.approx(binary.params[:2], rel=1e-8)
    assert found.ancillary["0|1"] == pytest.approx(-binary.params[2], rel=1e-8)
    assert found.ancillary_bse["0|1"] == pytest.approx(binary.bse[2], rel=1e-7)
    assert found.llf == pytest.approx(binary.llf, rel=1e-12)


def test_no_scale_of_the_columns_matters_and_numbers_of_rows_may_be_weights() -> None:
    plain = mlnn.estimate("ordinal", (X, Y))
    far = mlnn.estimate("ordinal", (1e5 * X + 1e6, Y))
    assert far.llf == pytest.approx(plain.llf, rel=1e-12)
    assert 1e5 * far.params == pytest.approx(plain.params, rel=1e-9)
    twice = mlnn.estimate("ordinal", (X, Y), weights=np.full(150, 2.0))
    assert twice.params == pytest.approx(plain.params, rel=1e-9)
    assert twice.bse == pytest.approx(plain.bse / math.sqrt(2), rel=1e-9)


def test_rows_that_thresholds_part_have_no_maximum() -> None:
    line = np.arange(30.0)
    apart = np.repeat([0, 1, 2], 10)
    gone = mlnn.estimate("ordinal", (line, apart))
    assert (gone.separation, gone.llf, gone.bse) == ("complete", 0.0, None)
    assert gone.params.tolist() == [math.inf]
    assert "x0 → +∞" in gone.summary()
    group = np.c_[line % 7, line >= 20]
    quasi = mlnn.estimate("ordinal", (group, np.where(line >= 20, 2, line % 2).astype(int)))
    assert quasi.separation == "quasi"
    assert math.isnan(quasi.params[0])
    assert quasi.params[1] == math.inf
    assert math.isnan(quasi.llf)
    assert "below its supremum" in quasi.summary()
    near = apart.copy()
    near[9], near[10] = 1, 0
    found = mlnn.estimate("ordinal", (line, near))
    assert found.separation == "none"
    assert np.isfinite(found.bse).all()


def test_what_it_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"objective.link: unknown link 'loglog'"):
        Ordinal("loglog")
    with pytest.raises(ConfigError, match="thresholds in its place; leave it True"):
        mlnn.estimate("ordinal", (X, Y), intercept=False)
    with pytest.raises(DataError, match="no row of class 1"):
        mlnn.estimate("ordinal", (X, 2 * (Y > 1)))
    with pytest.raises(ConfigError, match="has no raw output to choose"):
        mlnn.estimate("ordinal", (X, Y), constant="steps")
    with pytest.raises(DataError, match="depend on the others"):
        mlnn.estimate("ordinal", (np.c_[X, X[:, 0]], Y))


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("step", [-30.0, -14.0, -13.0, -2.0, 1.0])
def test_a_step_however_short_keeps_its_probability(link: str, step: float) -> None:
    """log(F(u) − F(l)) is log F′ + the logarithm of a short step, and that of the tail where the step is long."""
    density = {
        "logit": scipy.stats.logistic.logpdf,
        "probit": scipy.stats.norm.logpdf,
        "cloglog": lambda c: c - np.exp(c),
    }
    for place in (-8.0, -0.5, 2.0):
        output = torch.tensor([[-place, step]], dtype=f64, requires_grad=True)
        value = Ordinal(link).nll(output, torch.tensor([1]))
        (slope,) = torch.autograd.grad(value.sum(), output)
        assert torch.isfinite(slope).all()
        if step < -10:
            middle = place + math.exp(step) / 2
            assert value.item() == pytest.approx(-float(density[link](middle)) - step, abs=1e-9)
            assert float(slope[0, 1]) == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("step", [-16.0, -13.5, -11.0, -7.5, -3.0])
@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_the_probability_between_two_thresholds_has_ten_digits(link: str, step: float) -> None:
    below = {
        "logit": lambda c: 1 / (1 + mpmath.exp(-c)),
        "probit": mpmath.ncdf,
        "cloglog": lambda c: -mpmath.expm1(-mpmath.exp(c)),
    }[link]
    for place in (-3.0, -0.5, 1.5):
        with mpmath.workdps(50):
            low = mpmath.mpf(place)
            wanted = -float(mpmath.log(below(low + mpmath.exp(mpmath.mpf(step))) - below(low)))
        told = Ordinal(link).nll(torch.tensor([[-place, step]], dtype=f64), torch.tensor([1]))
        assert float(told) == pytest.approx(wanted, abs=2e-10)


def test_whatever_a_network_answers_is_a_distribution() -> None:
    raw = 20 * torch.randn(200, 4, dtype=f64, generator=torch.Generator().manual_seed(0))
    for link in ("logit", "probit"):
        p = Ordinal(link).mean(raw)
        assert p.shape == (200, 5)
        assert (p.sum(1) - 1).abs().max() < 1e-12
        assert (p >= 0).all()
