"""The MLE of a small network: certified digits, another program's digits, and flat directions told as such."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlnn.errors import ConfigError, DataError
from mlnn.estimating.network.nonlinear import ModelFit, fit_model
from mlnn.models import MLP, Logistic, SigmoidNode
from mlnn.objectives import Bernoulli, Categorical, Laplace, Normal, Poisson

# NIST, Statistical Reference Datasets, Rat42: pasture yield y over growing time x, y = b1 / (1 + exp(b2 − b3 x)).
RAT42 = torch.tensor(
    [[8.93, 9], [10.80, 14], [18.59, 21], [22.33, 28], [39.35, 42], [56.11, 57], [61.73, 63], [64.62, 70], [67.08, 79]],
    dtype=torch.float64,
)
CERTIFIED = {
    "params": [72.462237576, 2.6180768402, 0.067359200066],
    "bse": [1.7340283401, 0.088295217536, 0.0034465663377],
}
RSS = 8.0565229338
ONES = torch.ones(2, dtype=torch.float64)
NIST_STARTS = [(100, 1, 0.1), (75, 2.5, 0.07)]


class OneSigmoid(nn.Module):
    """b1 σ(b3 x − b2): one hidden node."""

    def __init__(self, b: tuple[float, float, float]) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.b[0] * torch.sigmoid(self.b[2] * x[:, 0] - self.b[1])


def assert_certified(fit: ModelFit) -> None:
    assert fit.params == pytest.approx(CERTIFIED["params"], rel=1e-10, abs=0)
    assert fit.bse == pytest.approx(CERTIFIED["bse"], rel=1e-10, abs=0)
    assert fit.dispersion is not None
    assert fit.dispersion * (9 - 3) == pytest.approx(RSS, rel=1e-10, abs=0)


@pytest.mark.parametrize("start", NIST_STARTS)
def test_one_hidden_sigmoid_reaches_the_certified_digits(start: tuple[float, float, float]) -> None:
    model = OneSigmoid(start)
    fit = fit_model(Normal(sigma=3), model, RAT42[:, 1:], RAT42[:, 0], starts=1)
    assert_certified(fit)
    assert fit.identified
    assert fit.gradient_norm <= 1e-12
    assert fit.names == ("b[0]", "b[1]", "b[2]")
    # The profiled log-likelihood by hand, and by the Normal at σ̂.
    assert fit.llf == pytest.approx(-4.5 * (math.log(2 * math.pi * RSS / 9) + 1), rel=1e-10)
    best = OneSigmoid(tuple(fit.params))
    nll = Normal(math.sqrt(RSS / 9)).nll(best(RAT42[:, 1:]), RAT42[:, 0]).detach()
    assert fit.llf == pytest.approx(-float(nll.sum()), rel=1e-10)
    assert model.b.tolist() == pytest.approx(start), "the model given stays as it was"
    with pytest.raises(AssertionError):
        assert_certified(fit_model(Normal(), model, RAT42[:, 1:], RAT42[:, 0] * (1 + 1e-9), starts=1))


def test_observed_information_is_the_hessian_of_the_profiled_likelihood() -> None:
    x, y = RAT42[:, 1:], RAT42[:, 0]
    fit = fit_model(Normal(), OneSigmoid(NIST_STARTS[1]), x, y, starts=1)

    def profiled(b: Tensor) -> Tensor:
        return 4.5 * torch.log(((y - b[0] * torch.sigmoid(b[2] * x[:, 0] - b[1])) ** 2).sum())

    by_hand = torch.func.jacrev(torch.func.grad(profiled))(torch.from_numpy(fit.params)).numpy()
    assert fit.information == pytest.approx(by_hand, rel=1e-8)
    assert len(fit.eigenvalues) == 3
    assert (np.diff(fit.eigenvalues) > 0).all()


def spector() -> tuple[Tensor, Tensor]:
    import statsmodels.api as sm

    data = sm.datasets.spector.load_pandas()
    return torch.tensor(data.exog.to_numpy("float64")), torch.tensor(data.endog.to_numpy("float64"))


@pytest.mark.parametrize("bias", [True, False])
def test_one_node_reaches_the_numbers_of_a_logit_program(bias: bool) -> None:
    import statsmodels.api as sm

    x, y = spector()
    torch.manual_seed(0)
    model = (Logistic if bias else SigmoidNode)((3,), 1).double()
    fit = fit_model(Bernoulli(), model, x, y, starts=2)
    exog = sm.add_constant(x.numpy(), prepend=False) if bias else x.numpy()
    logit = sm.Logit(y.numpy(), exog).fit(method="newton", tol=1e-14, disp=0)
    assert fit.params == pytest.approx(logit.params, rel=1e-11)
    assert fit.bse == pytest.approx(logit.bse, rel=1e-10)
    assert fit.llf == pytest.approx(logit.llf, rel=1e-13)
    assert fit.information == pytest.approx(-logit.model.hessian(logit.params), rel=1e-9)
    assert (fit.dispersion, fit.identified) == (None, True)
    assert fit.names[0] == "head.weight[0,0]"


def test_weights_count_rows() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(30, 2, generator=rng, dtype=torch.float64)
    y = torch.poisson(torch.exp(x[:, 0]), generator=rng)
    times = torch.arange(30) % 3
    for likelihood in (Poisson(), Normal()):
        torch.manual_seed(0)
        model = Logistic((2,), 1).double()
        by_weight = fit_model(likelihood, model, x, y, weights=times, starts=1)
        repeated = fit_model(likelihood, model, x.repeat_interleave(times, 0), y.repeat_interleave(times), starts=1)
        assert by_weight.params == pytest.approx(repeated.params, rel=1e-9)
        assert by_weight.bse == pytest.approx(repeated.bse, rel=1e-9)
        assert by_weight.llf == pytest.approx(repeated.llf, rel=1e-12)
        assert by_weight.llf != pytest.approx(fit_model(likelihood, model, x, y, starts=1).llf, rel=1e-3)


class Product(nn.Module):
    """a b x: only the product a b is determined."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (0.5, 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.a * self.b * x[:, 0]


def dead_unit() -> nn.Module:
    """Two hidden units of which one is off on every row; so are its three weights and its output weight."""
    torch.manual_seed(1)
    model = MLP((2,), 1, depth=1, width=2, activation="relu").double()
    with torch.no_grad():
        model.hidden[0][0].bias.copy_(torch.tensor([5.0, -50.0]))
    return model


@pytest.mark.parametrize(("model", "flat"), [(Product(), 1), (dead_unit(), 5)], ids=["product", "dead unit"])
def test_flat_directions_are_told_and_have_no_standard_errors(model: nn.Module, flat: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(40, 2, generator=rng, dtype=torch.float64)
    y = 3 * x[:, 0] + 0.1 * torch.randn(40, generator=rng, dtype=torch.float64)
    fit = fit_model(Normal(), model, x, y, starts=1)
    assert not fit.identified
    assert np.isnan(fit.bse).all()
    # Of the second: all four parameters of the dead unit, and the scale of the live one, which bends within the rows.
    assert f"{flat} of {len(fit.params)} directions leave the likelihood as it is" in fit.sentence
    assert math.isfinite(fit.llf)
    if flat == 1:
        assert fit.params.prod() == pytest.approx(float((x[:, 0] @ y) / (x[:, 0] @ x[:, 0])), rel=1e-9)


def test_softmax_logits_are_free_up_to_a_constant() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(60, 2, generator=rng, dtype=torch.float64)
    y = Categorical().sample(x @ torch.randn(2, 3, generator=rng, dtype=torch.float64), rng)
    torch.manual_seed(0)
    fit = fit_model(Categorical(), Logistic((2,), 3).double(), x, y, starts=1)
    assert "not identified: 3 of 9 directions" in fit.sentence
    assert fit.gradient_norm <= 1e-12


def product_from(a: float, b: float, starts: int = 1) -> ModelFit:
    model = Product()
    with torch.no_grad():
        model.a.fill_(a)
        model.b.fill_(b)
    x = torch.linspace(0.1, 1, 10, dtype=torch.float64)[:, None]
    return fit_model(Normal(), model, x, 3 * x[:, 0] + 0.1 * torch.sin(9 * x[:, 0]), starts=starts)


def test_a_saddle_is_not_called_a_maximum() -> None:
    saddle = product_from(0, 0)
    assert (saddle.identified, saddle.sentence.split(":")[0]) == (False, "not a maximum")
    assert np.isnan(saddle.bse).all()
    better = product_from(0, 0, starts=3)
    assert better.sentence.startswith("not identified: 1 of 2")
    assert better.llf > saddle.llf + 1, "other starts leave it, and the best is kept"


def test_a_start_where_the_likelihood_curves_the_wrong_way_is_left_uphill() -> None:
    model = nn.Sequential(SigmoidNode((1,), 1), nn.Tanh()).double()
    with torch.no_grad():
        model[0].head.weight.fill_(-2)  # the curvature of (y − tanh w)² is negative below w = −0.39
    y = torch.tensor([0.9, 0.7], dtype=torch.float64)
    fit = fit_model(Normal(), model, ONES[:, None], y, starts=1)
    assert fit.params == pytest.approx([math.atanh(0.8)], rel=1e-12)


def test_starts_repeat_with_their_seed() -> None:
    model = OneSigmoid((60, 2, 0.05))
    fits = [fit_model(Normal(), model, RAT42[:, 1:], RAT42[:, 0], starts=3, seed=seed) for seed in (0, 0, 1)]
    assert fits[0].params.tolist() == fits[1].params.tolist()
    for fit in fits:
        assert_certified(fit)


def test_no_maximum_is_refused_and_never_returned() -> None:
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    with pytest.raises(DataError, match="none of 2 starts reached a maximum"):
        fit_model(Bernoulli(), SigmoidNode((1,), 1).double(), x, torch.tensor([0.0, 1.0]), starts=2)
    with pytest.raises(DataError, match="none of 1 starts"):  # a median has kinks and no curvature
        fit_model(Laplace(), SigmoidNode((1,), 1).double(), x, torch.tensor([0.0, 1.0]), starts=1)
    with pytest.raises(DataError, match="meets every target exactly"):
        fit_model(Normal(), Logistic((1,), 1).double(), x, torch.tensor([0.0, 1.0]), starts=1)


def test_no_rows_left_for_the_dispersion_leaves_no_standard_errors() -> None:
    x = torch.ones(1, 1, dtype=torch.float64)
    fit = fit_model(Normal(), SigmoidNode((1,), 1).double(), x.repeat(2, 1), torch.tensor([1.0, 2.0]), starts=1)
    assert fit.bse == pytest.approx([0.5])
    fit = fit_model(
        Normal(), SigmoidNode((1,), 1).double(), x.repeat(2, 1), torch.tensor([1.0, 2.0]), torch.full((2,), 0.5), 1
    )
    assert np.isnan(fit.bse).all()
    assert "no rows for the dispersion" in fit.sentence


@pytest.mark.parametrize(
    ("model", "y", "weights", "starts", "words"),
    [
        (SigmoidNode((1,), 1), ONES, None, 1, "must be float64"),
        (nn.Identity(), ONES, None, 1, "must have weights"),
        (SigmoidNode((1,), 1).double(), ONES, None, 0, "at least 1"),
        (SigmoidNode((1,), 1).double(), torch.ones(3), None, 1, r"y \(3,\)"),
        (SigmoidNode((1,), 1).double(), ONES[:, None], None, 1, r"y \(2, 1\)"),
        (SigmoidNode((1,), 1).double(), ONES * math.nan, None, 1, "must be finite"),
        (SigmoidNode((1,), 1).double(), ONES, -ONES, 1, "not negative"),
        (SigmoidNode((1,), 1).double(), ONES, torch.ones(1), 1, r"weights \(1,\)"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    model: nn.Module, y: Tensor, weights: Tensor | None, starts: int, words: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=words):
        fit_model(Normal(), model, ONES[:, None], y, weights, starts)


def test_whole_number_counts_lose_no_digits() -> None:
    x, y = torch.ones(3, 1, dtype=torch.float64), torch.tensor([3, 70, 11])
    fit = fit_model(Poisson(), SigmoidNode((1,), 1).double(), x, y, starts=1)
    log = math.log(84 / 3)
    assert fit.params == pytest.approx([log], rel=1e-13)
    assert fit.llf == pytest.approx(84 * log - 84 - sum(math.lgamma(k + 1) for k in (3, 70, 11)), rel=1e-13)


@pytest.mark.parametrize(
    ("likelihood", "kind", "apart", "separation"),
    [
        (Normal(), "bounded", False, "none"),
        (Bernoulli(), "linear", False, "none"),
        (Bernoulli(), "linear", True, "complete"),
        (Bernoulli(), "bounded", False, "unknown"),
        (Bernoulli(), "hidden", True, "complete"),
    ],
)
def test_whether_a_maximum_can_be_missing_is_told(likelihood: object, kind: str, apart: bool, separation: str) -> None:
    torch.manual_seed(0)
    layers = {
        "linear": [nn.Linear(1, 1)],
        "bounded": [nn.Linear(1, 1), nn.Tanh()],
        "hidden": [nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1)],
    }
    model = nn.Sequential(*layers[kind]).double()
    x = torch.linspace(-2, 2, 24, dtype=torch.float64)[:, None]
    y = (x[:, 0] + (0 if apart else 1) * torch.sin(9 * x[:, 0]) > 0).double()
    if separation == "complete":
        with pytest.raises(DataError, match="none can"):
            fit_model(likelihood, model, x, y, starts=1)
    else:
        assert fit_model(likelihood, model, x, y, starts=1).separation == separation
