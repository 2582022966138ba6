"""The estimate of a model: a linear network is the linear path, number and all; separation and what beats it are said."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from app_cases import command
from estimation_cases import X, Y, progression, synthetic
from torch import Tensor, nn

import mlnn
from mlnn import data
from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import ModelFit, fit_model
from mlnn.estimating.catalogue import LIKELIHOODS, family_of
from mlnn.estimating.network import starts
from mlnn.models import MLP, Logistic
from mlnn.objectives import Bernoulli, Gamma, Laplace, NegativeBinomial, Normal, StudentT

Data = Dataset | tuple[Any, Any]

# Every shipped data set that has a maximum, by target space. longley in its own units is met by a density of unit scale
# nowhere near: with heavy tails or on a circle its likelihood has many maxima.
SHIPPED: dict[str, list[Callable[[], Dataset]]] = {
    "binary": [data.spector, data.iris_pair, data.breast_cancer_mean],
    "real": [data.diabetes, data.longley],
    "counts": [data.cpunish, data.randhie],
}
SLOW = {
    ("beta", "diabetes"),
    ("gamma", "diabetes"),
    ("negative_binomial", "randhie"),
    ("bernoulli_probit", "breast_cancer_mean"),
}
"""Seconds each, and equal to 1e-12 when measured; the same families on other rows and the same rows elsewhere stay."""
WITH_ZEROS = tuple(name for name in LIKELIHOODS if name.startswith(("zero_inflated", "hurdle")))
MANY_MAXIMA = ("student_t", "von_mises", "normal_learned_variance")


def rows_of(name: str) -> list[tuple[str, Data]]:
    """Data for one likelihood: drawn from it, and what ships for its target space."""
    kind = family_of(name).space.kind
    x, y = progression()
    found: list[tuple[str, Data]] = [("drawn", synthetic(name))]
    found += [(make.__name__, make()) for make in SHIPPED.get(kind, [])]
    found += [("diabetes", (x, y))] * (kind == "positive") + [("diabetes", (x, (y - 20) / 400))] * (kind == "unit")
    none = {("negative_binomial", "cpunish")} | {(one, "longley") for one in MANY_MAXIMA}
    none |= {
        (one, where) for one in WITH_ZEROS for where in ("cpunish", "randhie")
    }  # 17 rows for 16 numbers; seconds each
    none |= SLOW
    return [(where, rows) for where, rows in found if (name, where) not in none]


def contrasts(params: np.ndarray, width: int, outputs: int, classes: bool) -> np.ndarray:
    """Parameters of a linear layer as the linear estimate has its coefficients: (p,) or (p, m), the constant last."""
    table = np.vstack([params[: width * outputs].reshape(outputs, width).T, params[width * outputs :]])
    table = table[:, 1:] - table[:, :1] if classes else table
    return table[:, 0] if table.shape[1] == 1 else table


CASES = [
    (name, where)
    for name, kind in LIKELIHOODS.items()
    if kind.constant_after is None  # a network's steps between thresholds depend on x
    for where, _ in rows_of(name)
]


@pytest.mark.sampled(18)
@pytest.mark.parametrize(("name", "where"), CASES)
def test_a_linear_network_is_the_linear_path(name: str, where: str) -> None:
    rows = dict(rows_of(name))[where]
    linear = mlnn.estimate(name, rows)
    width = len(linear.names) - 1
    outputs = len(linear.outputs) + (family_of(name).space.kind == "classes")
    found = mlnn.estimate(name, rows, model=partial(nn.Linear, width, outputs), starts=1)
    assert found.separation == linear.separation == "none"
    assert found.llf == pytest.approx(linear.llf, rel=1e-11, abs=1e-8)
    assert found.ancillary == pytest.approx(linear.ancillary, rel=1e-8)
    assert (found.aic, found.bic) == pytest.approx((linear.aic, linear.bic), rel=1e-9)
    assert linear.bse is not None
    params = contrasts(found.params, width, outputs, family_of(name).space.kind == "classes")
    finite = bool(np.isfinite(linear.bse).all())
    error = linear.bse if finite else 1e-3 * np.abs(linear.params)
    assert np.abs((params - linear.params) / error).max() < 1e-6
    assert np.isnan(found.bse).all() == (not finite or outputs > 2), "softmax outputs are free up to a constant"
    if np.isfinite(found.bse).all():
        assert contrasts(found.bse, width, outputs, False) == pytest.approx(linear.bse, rel=1e-6)
        assert found.identified


BREAKS = """26 30 54 25 70 52 51 26 67 18 21 29 17 12 18 35 30 36 36 21 24 18 10 43 28 15 26
            27 14 29 19 29 31 41 20 44 42 26 19 16 39 28 21 39 29 20 21 24 17 13 15 15 16 28"""


def test_warp_breaks_have_the_theta_of_the_textbooks() -> None:
    """Tippett (1950); R's glm.nb(breaks ~ wool + tension): AIC 408.76, so llf −199.38, θ 9.94."""
    y = np.array(BREAKS.split(), dtype=float)
    wool, tension = np.repeat([0, 1], 27), np.tile(np.repeat([0, 1, 2], 9), 2)
    x = np.column_stack([wool, tension == 1, tension == 2]).astype(float)
    found = mlnn.estimate("negative_binomial", (x, y), model=partial(nn.Linear, 3, 1), starts=1)
    assert found.llf == pytest.approx(-199.38, abs=0.005)
    assert found.aic == pytest.approx(408.76, abs=0.01)
    assert found.ancillary["theta"] == pytest.approx(9.94, abs=0.01)
    assert "theta is estimated by maximum likelihood; AIC and BIC count it" in found.notes[0]
    kept = mlnn.estimate(NegativeBinomial(), (x, y), model=partial(nn.Linear, 3, 1), starts=1)
    assert kept.llf == pytest.approx(-233.75, abs=0.005)
    assert kept.notes == ("kept as given or by default: theta=1",)
    assert kept.notes[0] in kept.summary()


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (NegativeBinomial(theta=2.0), synthetic("negative_binomial")),
        (Gamma(shape=3.0), synthetic("gamma")),
        (Normal(sigma=50.0), progression()),
        (StudentT(df=3.0, scale=40.0), progression()),
        (Laplace(scale=3.0), progression()),
    ],
    ids=lambda part: type(part).__name__,
)
def test_the_numbers_of_an_object_are_kept(given: Any, rows: Data) -> None:
    linear = mlnn.estimate(given, rows)
    found = mlnn.estimate(given, rows, model=partial(nn.Linear, len(linear.names) - 1, 1), starts=1)
    assert found.ancillary == linear.ancillary
    assert found.llf == pytest.approx(linear.llf, rel=1e-11)
    assert found.aic == pytest.approx(linear.aic, rel=1e-11)
    if not isinstance(given, Laplace):
        assert found.bse == pytest.approx(linear.bse, rel=1e-7)
        assert found.conf_int() == pytest.approx(linear.conf_int(), rel=1e-6)
    assert "kept as given" in found.notes[0]


@pytest.mark.parametrize("name", ["normal", "gamma"])
def test_the_dispersion_has_the_same_two_conventions(name: str) -> None:
    for kind in ("unbiased", "ml"):
        linear = mlnn.estimate(name, synthetic(name), dispersion=kind)
        found = mlnn.estimate(name, synthetic(name), dispersion=kind, model=partial(nn.Linear, 3, 1), starts=1)
        assert (found.dispersion_kind, found.use_t) == (linear.dispersion_kind, linear.use_t)
        assert found.dispersion == pytest.approx(linear.dispersion, rel=1e-9)
        assert found.bse == pytest.approx(linear.bse, rel=1e-8)


def test_a_binomial_table_counts_its_ways() -> None:
    trials = np.arange(200) % 4 + 1
    share = np.random.default_rng(0).binomial(trials, 1 / (1 + np.exp(-X[:, 0]))) / trials
    linear = mlnn.estimate("bernoulli", (X, share), weights=trials)
    found = mlnn.estimate("bernoulli", (X, share), weights=trials, model=partial(nn.Linear, 3, 1), starts=1)
    assert (found.llf, found.bic) == pytest.approx((linear.llf, linear.bic), rel=1e-11)
    assert found.nobs == linear.nobs == 200


# --- separation -----------------------------------------------------------------------------------------------------


def corners(width: int, top: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows on a line, told apart by the sign of the first feature but for `top`, which a quasi separation leaves open."""
    x = np.random.default_rng(1).normal(size=(40, width))
    return x, (x[:, 0] > 0).astype(float) * top


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("make", "likelihood", "kind"),
    [
        (data.iris, "categorical", "quasi"),
        (data.wine, "categorical", "complete"),
        (data.breast_cancer, "bernoulli", "complete"),
        (data.iris_pair, "bernoulli", "none"),
        (data.spector, "bernoulli", "none"),
    ],
)
def test_separation_is_asked_of_a_linear_network(make: Any, likelihood: str, kind: str) -> None:
    rows = make()
    linear = mlnn.estimate(likelihood, rows)
    factory = partial(nn.Linear, rows.x.shape[1], rows.targets.outputs)
    found = mlnn.estimate(likelihood, rows, model=factory, starts=1)
    assert found.separation == linear.separation == kind
    assert found.llf == pytest.approx(linear.llf, rel=1e-9, abs=1e-9)
    if kind == "none":
        return
    assert (found.aic, found.bic, found.identified) == (None, None, False)
    assert np.isnan(found.bse).all()
    assert not np.isfinite(found.params).any()
    assert f"{kind} separation: no finite maximum" in found.sentence
    assert "No finite maximum-likelihood estimate" in found.summary()
    if rows.targets.kind == "binary":
        np.testing.assert_array_equal(found.params, linear.params)
        assert found.direction == pytest.approx(linear.direction)


def test_what_stays_finite_beside_a_separation_is_the_linear_path_s() -> None:
    rows = (np.column_stack([X, Y * (np.arange(200) % 7 == 0)]), Y)
    linear = mlnn.estimate("bernoulli", rows)
    found = mlnn.estimate("bernoulli", rows, model=partial(nn.Linear, 4, 1))
    assert found.separation == "quasi"
    np.testing.assert_allclose(found.params, linear.params, rtol=1e-7)
    assert np.isfinite(found.params).any()
    assert np.isinf(found.params).any()
    with pytest.raises(DataError, match="none can: quasi separation"):
        fit_model(Bernoulli(), nn.Linear(4, 1).double(), torch.tensor(rows[0]), torch.tensor(rows[1]))


class Tied(nn.Module):
    """One weight for two features and a constant that nothing moves: linear in its parameter all the same."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))
        self.register_buffer("constant", torch.tensor(constant))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * (x[:, 0] + x[:, 1]) + self.constant


@pytest.mark.rest
def test_separation_is_that_of_what_the_parameters_can_do() -> None:
    x, y = corners(2)  # separated by x0, and not by x0 + x1
    assert mlnn.estimate("bernoulli", (x, y), intercept=False).separation == "complete"
    for constant in (0.0, 0.5):
        assert mlnn.estimate("bernoulli", (x, y), model=partial(Tied, constant)).separation == "none"
        apart = (x, x.sum(1) > 0)
        assert mlnn.estimate("bernoulli", apart, model=partial(Tied, constant)).separation == "complete"


def deep(*sizes: int) -> nn.Module:
    return nn.Sequential(*[nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])


class Squared(nn.Module):
    """w² x: affine in x, and half of the affine functions only."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        return self.w**2 * x[:, 0]


@pytest.mark.rest
def test_a_deep_linear_network_is_affine_and_asked_too() -> None:
    overlapping = mlnn.estimate("bernoulli", data.spector(), model=partial(deep, 3, 2, 1), starts=1)
    assert overlapping.separation == "none"
    assert overlapping.llf == pytest.approx(mlnn.estimate("bernoulli", data.spector()).llf, rel=1e-9)
    assert mlnn.estimate("bernoulli", corners(2), model=partial(deep, 2, 2, 1), starts=1).separation == "complete"
    x = np.linspace(-1, 1, 20)[:, None]
    with pytest.raises(DataError, match=r"may not exist \(separation\)"):  # w = 0, where steps on w² never end
        mlnn.estimate("bernoulli", (x, x[:, 0] < 0), model=Squared, starts=1)


def test_of_another_model_it_is_said_that_it_cannot_be_told() -> None:
    net = partial(MLP, (3,), 1, depth=1, width=1, activation="tanh")
    found = mlnn.estimate("bernoulli", synthetic("bernoulli"), model=net, starts=1, seed=1)
    assert found.separation == "unknown"
    assert "whether there is a finite maximum cannot be told" in found.sentence
    assert np.isfinite(found.params).all()
    normal = mlnn.estimate("normal", synthetic("normal"), model=net, starts=1)
    assert normal.separation == "none", "no normal is separated, whatever the model"
    assert "separation" not in normal.sentence


def test_a_network_that_tells_every_row_rightly_has_no_maximum() -> None:
    net = partial(MLP, (2,), 1, depth=1, width=2, activation="tanh")
    x, y = corners(2)
    found = mlnn.estimate("bernoulli", (x, y), model=net, starts=1)
    assert found.separation == "complete"
    assert found.llf == 0
    assert "no finite maximum" in found.sentence


def test_every_reason_is_named_of_a_model_too() -> None:
    x, _ = corners(2)
    found = mlnn.estimate("bernoulli", (x[:4][:, [0, 1, 0, 1, 0]], [0, 1, 1, 0]), model=partial(nn.Linear, 5, 1))
    assert found.separation != "none" or not found.identified
    for words in ("of 6 directions leave the likelihood as it is", "there are 4 rows for 6 parameters"):
        assert words in found.sentence
    assert found.sentence.startswith("complete separation")


@pytest.mark.parametrize(("name", "code"), [("breast_cancer", 1), ("iris_pair", 0)])
def test_the_command_requires_what_it_says(
    name: str, code: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("estimate", f"data={name}", "model=logistic", "starts=1", "require=mle", "out=here")
    assert done.code == code
    page = (tmp_path / "here/report.html").read_text()
    assert ("There is no finite maximum-likelihood estimate" in page) == (code == 1)
    if code:
        assert "complete separation" in done.err


# --- what does not converge ------------------------------------------------------------------------------------------


class TwoValleys(nn.Module):
    """A valley with a kink at θ = 0, where Newton's steps never end, and a higher, smooth one at θ = 5."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.t = nn.Parameter(torch.tensor(start))

    def forward(self, x: Tensor) -> Tensor:
        return torch.minimum(self.t.abs() + 0.1 * self.t, 0.5 + 0.2 * (self.t - 5) ** 2).expand(len(x))


def valleys(start: float, starts: int, seed: int = 0) -> ModelFit:
    rows = (np.ones((6, 1)), np.array([-1.0, -1.1, -0.9, -1.2, -0.8, -1.0]))
    return mlnn.estimate("normal", rows, model=lambda: TwoValleys(start), starts=starts, seed=seed)


@pytest.mark.rest
def test_a_likelier_end_that_did_not_converge_is_said() -> None:
    alone = valleys(4.5, 1)
    assert alone.params == pytest.approx([5.0], abs=1e-6)
    assert alone.identified
    assert alone.likelier is None
    seed = next(s for s in range(20) if valleys(4.5, 2, s).likelier is not None)
    beaten = valleys(4.5, 2, seed)
    assert beaten.params == alone.params
    assert beaten.likelier is not None
    assert beaten.likelier > beaten.llf + 1
    assert not beaten.identified
    assert np.isnan(beaten.bse).all()
    assert beaten.sentence.startswith("not the highest likelihood seen")
    assert f"{beaten.likelier:.10g}" in beaten.sentence
    assert f"{beaten.llf:.10g}" in beaten.sentence


@pytest.mark.rest
def test_separation_is_not_spoken_of_where_there_can_be_none() -> None:
    with pytest.raises(DataError, match="none of 1 starts reached a maximum") as caught:
        valleys(0.5, 1)
    assert "separat" not in str(caught.value)
    assert "kink" in str(caught.value)
    x, y = torch.ones(6, 1, dtype=torch.float64), torch.tensor([0.0, 0, 1, 0, 0, 0])
    with pytest.raises(DataError, match=r"may not exist \(separation\)"):
        fit_model(Bernoulli(), TwoValleys(0.5).double(), x, y, starts=1)


class Decay(nn.Module):
    """b₀ e^(−b₁ x), a few dozen steps from where it starts."""

    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.tensor([20.0, 4.0], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.b[0] * torch.exp(-self.b[1] * x[:, 0])


def test_an_end_that_is_likelier_is_taken_further(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.linspace(0, 3, 24, dtype=torch.float64)[:, None]
    y = 2 * torch.exp(-0.7 * x[:, 0]) + 0.01 * torch.sin(50 * x[:, 0])
    monkeypatch.setattr(starts, "BOLD", 2)
    monkeypatch.setattr(starts, "NEWTON", 2)
    monkeypatch.setattr(starts, "MANY", 6)
    further = fit_model(Normal(), Decay(), x, y, starts=1)
    assert further.params == pytest.approx([2.0, 0.7], abs=0.02)
    assert further.gradient_norm < 1e-9
    monkeypatch.setattr(starts, "ROUNDS", 0)
    with pytest.raises(DataError, match="none of 1 starts"):
        fit_model(Normal(), Decay(), x, y, starts=1)


def test_covariances_of_other_kinds_are_refused_not_ignored() -> None:
    with pytest.raises(ConfigError, match="HC3 divides by 1 − leverage"):
        mlnn.estimate("bernoulli", data.spector(), model=partial(Logistic, (3,), 1), cov="HC3")
    with pytest.raises(ConfigError, match="kinks"):
        mlnn.estimate("laplace", data.diabetes(), model=partial(MLP, (10,), 1, depth=1, width=2))


@pytest.mark.rest
def test_an_estimate_tells_of_its_steps_and_of_how_many_there_may_be() -> None:
    told: list[tuple[int, int]] = []
    found = mlnn.estimate(
        "bernoulli",
        data.spector(),
        model=lambda: MLP((3,), 1, depth=1, width=2, activation="tanh"),
        starts=2,
        progress=lambda done, most: told.append((done, most)),
    )
    assert isinstance(found, ModelFit)
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert {most for _, most in told} == {
        2 * (starts.BOLD + starts.NEWTON) + starts.ROUNDS * (starts.MANY + starts.MOST_STEPS)
    }
    assert told[-1][0] <= told[-1][1]
