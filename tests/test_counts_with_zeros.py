"""Zero-inflated and hurdle counts: printed tables, models inside, boundaries, poor scales, a constant alone."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from published_cases import published

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.likelihoods import HurdleNegativeBinomial, HurdlePoisson, ZeroInflatedNegativeBinomial, ZeroInflatedPoisson

ARTICLES = published("bioChemists", "art")
LIKELIEST = {  # log-likelihoods of the articles of biochemists, every regressor in both parts, as pscl and Stata print them
    "zero_inflated_poisson": -1604.773, "zero_inflated_negative_binomial": -1549.991, "hurdle_poisson": -1605.312,
    "hurdle_negative_binomial": -1552.597,
}  # fmt: skip
f64 = torch.float64


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", LIKELIEST)
def test_the_articles_have_the_likelihood_that_is_printed_whatever_the_scale_of_the_columns(name: str) -> None:
    x, y = ARTICLES
    found = mlnn.estimate(name, (x, y))
    assert found.llf == pytest.approx(LIKELIEST[name], abs=1e-3)
    assert found.params.shape == found.bse.shape == (6, 2)
    assert found.cov == "observed"
    assert found.parameters == 12 + name.endswith("negative_binomial")
    far = mlnn.estimate(name, (1e4 * x + 3e5, y))
    assert far.llf == pytest.approx(found.llf, rel=1e-12)
    assert 1e4 * far.params[:5] == pytest.approx(found.params[:5], rel=1e-7)
    if "theta" in found.ancillary:
        printed = {"zero": (math.exp(0.97633), 0.13547), "hurdle": (math.exp(0.60347), 0.22500)}[name.split("_")[0]]
        assert found.ancillary["theta"] == pytest.approx(printed[0], rel=1e-4)
        assert found.ancillary_bse["theta"] / found.ancillary["theta"] == pytest.approx(printed[1], rel=1e-3)


PSCL = {  # zeroinfl(art ~ . | .): count value, error, zero value, error
    "fem": (-0.209145, 0.063405, 0.109747, 0.280082), "mar": (0.103751, 0.071111, -0.354013, 0.317612),
    "kid5": (-0.143320, 0.047429, 0.217100, 0.196482), "phd": (-0.006166, 0.031009, 0.001272, 0.145265),
    "ment": (0.018098, 0.002295, -0.134114, 0.045247), "const": (0.640838, 0.121307, -0.577060, 0.509387),
}  # fmt: skip


def test_zero_inflation_is_as_it_is_printed_and_as_statsmodels_has_it() -> None:
    x, y = ARTICLES
    mine = mlnn.estimate("zero_inflated_poisson", (x, y))
    printed = np.array([PSCL[name] for name in mine.names])
    assert mine.params == pytest.approx(printed[:, [0, 2]], abs=1e-5)
    assert mine.bse == pytest.approx(printed[:, [1, 3]], abs=1e-5)
    table = sm.add_constant(np.asarray(x, dtype=float), prepend=False)
    model = sm.ZeroInflatedPoisson(y.to_numpy(), table, exog_infl=table)
    theirs = model.fit(start_params=np.r_[mine.params[:, 1], mine.params[:, 0]], method="newton", disp=False)
    # Of its standard errors, up to 9 % off those of minus the second derivative of its own log-likelihood, nothing is asked.
    assert mine.params.T[::-1].reshape(-1) == pytest.approx(theirs.params, abs=1e-7)
    assert mine.llf == pytest.approx(theirs.llf, rel=1e-12)


@pytest.mark.parametrize("name", ["hurdle_poisson", "hurdle_negative_binomial"])
def test_a_hurdle_is_a_logistic_regression_and_a_model_of_what_is_above(name: str) -> None:
    x, y = ARTICLES
    found = mlnn.estimate(name, (x, y))
    above = mlnn.estimate("bernoulli", (x, (y > 0).astype(float)))
    assert found.params[:, 1] == pytest.approx(above.params, rel=1e-7)
    assert found.bse[:, 1] == pytest.approx(above.bse, rel=1e-7)


def test_a_raw_output_may_have_a_constant_alone() -> None:
    x, y = ARTICLES
    found = mlnn.estimate("zero_inflated_poisson", (x, y), constant="logit_inflation")
    assert found.llf == pytest.approx(-1620.784, abs=1e-3)
    assert found.params[-1, 1] == pytest.approx(-1.68135, abs=1e-4)
    assert found.params[:-1, 1].tolist() == [0] * 5
    assert np.isnan(found.bse[:-1, 1]).all()
    assert np.isfinite(found.bse[:, 0]).all()
    assert (found.parameters, found.df_model, found.df_resid) == (7, 5, 908)
    table = found.summary()
    assert "a constant alone: logit_inflation" in table
    assert table.count("\nfem ") == 1
    hurdle = mlnn.estimate("hurdle_poisson", (x, y), constant=["logit_above_zero"])
    assert hurdle.params[-1, 1] == pytest.approx(math.log((y > 0).sum() / (y == 0).sum()), rel=1e-9)
    spread = mlnn.estimate("normal_learned_variance", (x, y.astype(float)), constant="log_variance")
    flat = mlnn.estimate("normal", (x, y.astype(float)), dispersion="ml")
    assert spread.params[:, 0] == pytest.approx(flat.params, abs=1e-9)
    assert math.exp(spread.params[-1, 1] / 2) == pytest.approx(flat.ancillary["sigma"], rel=1e-9)
    assert spread.bse[:, 0] == pytest.approx(flat.bse, rel=1e-7)


def test_a_constant_alone_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="constant: unknown raw output 'inflation'"):
        mlnn.estimate("zero_inflated_poisson", ARTICLES, constant="inflation")
    with pytest.raises(ConfigError, match="poisson has no raw output to choose"):
        mlnn.estimate("poisson", ARTICLES, constant="log_mean")
    with pytest.raises(ConfigError, match="a constant alone here"):
        mlnn.estimate("hurdle_poisson", ARTICLES, constant="log_mean", intercept=False)
    with pytest.raises(ConfigError, match="not for model="):
        mlnn.estimate("hurdle_poisson", ARTICLES, constant="log_mean", model=lambda: None)


DRAWS = np.random.default_rng(0)
FREE = DRAWS.normal(size=200)
GROUP = (np.arange(200) < 50).astype(float)
COUNTS = DRAWS.poisson(1.2, 200)


@pytest.mark.rest
def test_more_zeros_than_there_are_cannot_come_from_elsewhere() -> None:
    x, y = ARTICLES
    with pytest.raises(DataError, match="no more zeros than 'negative_binomial' has already; use 'negative_binomial'"):
        mlnn.estimate("zero_inflated_negative_binomial", (x, y), constant="logit_inflation")
    few = np.where((COUNTS == 0) & (np.arange(200) % 3 > 0), 1, COUNTS)
    with pytest.raises(
        DataError, match=r"zero_inflated_poisson: no finite maximum: the share of zeros .* use 'poisson'"
    ):
        mlnn.estimate("zero_inflated_poisson", (FREE, few), constant="logit_inflation")
    y = np.where(np.arange(200) % 2 == 0, 0, 4 + np.arange(200) % 3)
    with pytest.raises(DataError, match="use 'zero_inflated_poisson', or give theta"):
        mlnn.estimate("zero_inflated_negative_binomial", (FREE, y))


def test_a_group_of_zeros_is_separated() -> None:
    x, y = np.c_[GROUP, FREE], COUNTS * (1 - GROUP)
    hurdle = mlnn.estimate("hurdle_poisson", (x, y))
    assert hurdle.separation == "quasi"
    assert hurdle.params[0, 1] == -math.inf
    assert np.isnan(np.delete(hurdle.params.reshape(-1), 1)).all()
    assert hurdle.aic is None
    assert "logit_above_zero: x0 → −∞" in hurdle.summary()
    mixed = mlnn.estimate("zero_inflated_poisson", (x, y))
    assert mixed.separation == "quasi"
    assert np.isnan(mixed.params).all(), "either raw output may run, or both"
    assert "may have a finite limit" in mixed.summary()


@pytest.mark.rest
def test_counts_of_one_alone_and_no_zeros_are_separated() -> None:
    ones = mlnn.estimate("hurdle_poisson", (FREE, (COUNTS > 0).astype(float)))
    assert ones.separation == "quasi"
    assert ones.params[-1, 0] == -math.inf
    none = mlnn.estimate("hurdle_negative_binomial", (FREE, COUNTS + 1))
    assert none.separation == "quasi"
    assert none.params[-1, 1] == math.inf
    here = mlnn.estimate("hurdle_poisson", (FREE, COUNTS))
    assert here.separation == "none"


def test_linear_programmes_are_asked_where_a_maximum_is_doubtful_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("no raw output is far out")

    monkeypatch.setattr("mlnn.estimating.linear.jointly.separated_parts", asked)
    assert mlnn.estimate("hurdle_poisson", (FREE, COUNTS)).separation == "none"


def test_a_count_far_out_keeps_its_probability() -> None:
    """A mean so small that 1 − e^(−μ) is rounding: above zero there is then one, and two with probability μ/2."""
    z = torch.tensor([[-100.0, 40.0]], dtype=f64)
    for likelihood in (HurdlePoisson(), HurdleNegativeBinomial(0.7)):
        one, two = (float(likelihood.nll(z, torch.tensor([y], dtype=f64))) for y in (1.0, 2.0))
        assert one == pytest.approx(0, abs=1e-12)
        more = math.log(2) if isinstance(likelihood, HurdlePoisson) else math.log(2 * 0.7 / 1.7)
        assert two == pytest.approx(100 + more, rel=1e-12)
        assert float(likelihood.mean(z)) == pytest.approx(1, rel=1e-12)
        assert set(likelihood.sample(z.expand(1000, 2)).tolist()) == {1.0}
    for mixture in (ZeroInflatedPoisson(), ZeroInflatedNegativeBinomial(0.7)):
        far = torch.tensor([[800.0, -5.0], [-1000.0, 5.0]], dtype=f64, requires_grad=True)
        value = mixture.nll(far, torch.zeros(2, dtype=f64))
        (slope,) = torch.autograd.grad(value.sum(), far)
        assert torch.isfinite(value).all()
        assert torch.isfinite(slope).all()
        assert value[1].item() == pytest.approx(0, abs=1e-12)
