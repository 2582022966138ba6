"""The information matrix check against simulation: what it calls a likelihood, a scaled one, and neither; and its error."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating import check_estimate, estimate
from mlnn.estimating.information import InformationCheck, information_check
from mlnn.seeding import generator

FAMILIES = ("bernoulli", "poisson", "normal")


def draw(kind: str, rows: int, columns: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = generator(seed, "data", kind)
    x = torch.randn(rows, columns, generator=rng, dtype=torch.float64)
    x[:, -1] = 1
    f = x @ torch.linspace(0.3, 0.6, columns, dtype=torch.float64)
    noise = torch.randn(rows, generator=rng, dtype=torch.float64)
    if kind == "bernoulli":
        return x, torch.bernoulli(torch.sigmoid(f), generator=rng)
    if kind == "poisson":
        return x, torch.poisson(f.exp(), generator=rng)
    if kind == "negative binomial":
        return x, torch.poisson(
            f.exp() * torch._standard_gamma(torch.full_like(f, 2.0), generator=rng) / 2, generator=rng
        )
    return x, f + noise * (torch.exp(0.5 * x[:, 0]) if kind == "heteroscedastic" else 1)


def derivatives(x: Tensor, y: Tensor, loss: str, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Rows' gradients (n, p) and Hessians (n, p, p) of a loss with its canonical link, at the minimum, by Newton."""
    b = torch.zeros(x.shape[1], dtype=torch.float64)
    for _ in range(30):
        f = x @ b
        mean = {"bernoulli": torch.sigmoid, "poisson": torch.exp, "normal": lambda z: z}[loss](f)
        weight = {"bernoulli": mean * (1 - mean), "poisson": mean, "normal": torch.ones_like(f)}[loss]
        b = b - torch.linalg.solve((x * weight[:, None]).T @ x, x.T @ (mean - y))
    rows = x[:, :, None] * x[:, None, :]
    return factor * (mean - y)[:, None] * x, factor * weight[:, None, None] * rows


def check(
    kind: str, loss: str, factor: float = 1.0, rows: int = 1500, columns: int = 4, seed: int = 0
) -> InformationCheck:
    return information_check(*derivatives(*draw(kind, rows, columns, seed), loss, factor))


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_likelihood_of_the_data_has_tau_1(kind: str) -> None:
    found = check(kind, kind)
    assert abs(found.tau - 1) < 3 * found.se < 0.3
    assert found.reading == "likelihood"
    assert "1 within its error" in found.sentence


def test_four_times_the_cross_entropy_has_tau_4() -> None:
    found, plain = check("bernoulli", "bernoulli", 4.0), check("bernoulli", "bernoulli")
    assert abs(found.tau - 4) < 3 * found.se < 0.5
    assert found.reading == "scaled likelihood"
    assert found.tau == pytest.approx(4 * plain.tau, rel=1e-9)
    assert found.se == pytest.approx(4 * plain.se, rel=1e-9)
    assert found.p_value == pytest.approx(plain.p_value, rel=1e-6)


def test_a_poisson_loss_on_overdispersed_counts_is_not_their_likelihood() -> None:
    found = check("negative binomial", "poisson")
    assert found.tau > 1 + 5 * found.se
    assert found.reading != "likelihood"


def test_squared_error_on_heteroscedastic_rows_is_misspecified() -> None:
    found = check("heteroscedastic", "normal")
    assert found.reading == "misspecified"
    assert "no multiple" in found.sentence
    assert found.eigenvalues[-1] > 1.5 * found.eigenvalues[0]


def test_one_parameter_cannot_tell_a_factor_from_a_wrong_model() -> None:
    found = check("negative binomial", "poisson", columns=1)
    assert (found.reading, found.p_value) == ("scaled likelihood", 1.0)
    assert "with one parameter" in found.sentence
    # Closed form: the mean is ȳ, A = ȳ, B = Σ (y − ȳ)²/n.
    y = draw("negative binomial", 1500, 1, 0)[1]
    assert found.tau == pytest.approx(float(y.var(correction=0) / y.mean()), rel=1e-12)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", FAMILIES)
def test_the_standard_error_covers(kind: str) -> None:
    """95 % intervals held tau = 1 in 93, 88 and 95 of 100 sets; fewer than 86 would have a chance of 1e-4."""
    found = [check(kind, kind, rows=600, columns=3, seed=seed) for seed in range(100)]
    away = torch.tensor([(one.tau - 1) / one.se for one in found])
    assert int((away.abs() < 1.96).sum()) >= 86
    spread = torch.tensor([one.tau for one in found]).std()
    mean_se = sum(one.se for one in found) / 100
    assert 0.75 < mean_se / float(spread) < 1.3, "and is not wide for nothing"
    assert sum(one.reading == "likelihood" for one in found) >= 94
    assert sum(one.p_value < 0.2 for one in found) >= 3, "the spread between directions is not called small throughout"


def test_the_mean_hessian_gives_the_same_tau_and_a_wider_error() -> None:
    scores, rows = derivatives(*draw("bernoulli", 1500, 4, 0), "bernoulli")
    by_rows, by_mean = information_check(scores, rows), information_check(scores, rows.mean(0))
    assert by_mean.tau == pytest.approx(by_rows.tau, rel=1e-12)
    assert by_mean.eigenvalues.tolist() == pytest.approx(by_rows.eigenvalues.tolist())
    assert by_mean.se > by_rows.se


def test_units_of_the_parameters_do_not_matter() -> None:
    scores, rows = derivatives(*draw("poisson", 500, 3, 1), "poisson")
    unit = torch.tensor([1e-6, 1.0, 1e5], dtype=torch.float64)
    one, other = information_check(scores, rows), information_check(scores * unit, rows * unit * unit[:, None])
    for name in ("tau", "se", "p_value"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-8)
    assert other.eigenvalues.tolist() == pytest.approx(one.eigenvalues.tolist())
    # tau by its definition
    a, b = rows.mean(0), scores.T @ scores / 500
    assert one.tau == pytest.approx(float(torch.linalg.solve(a, b).trace()) / 3, rel=1e-10)


SCORES = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("scores", "hessian", "words"),
    [
        (SCORES, torch.eye(3), r"need a Hessian \(p, p\)"),
        (SCORES[:, 0], torch.eye(2), "need a Hessian"),
        (SCORES[:2], torch.eye(2), "2 rows for 2 parameters"),
        (SCORES * math.nan, torch.eye(2), "NaN or infinity"),
        (SCORES, torch.eye(2) * math.inf, "NaN or infinity"),
        (SCORES, torch.diag(torch.tensor([1.0, -1.0])), "not positive definite"),
        (SCORES, torch.diag(torch.tensor([1.0, 0.0])), "not positive definite"),
        (SCORES + 0.05, torch.eye(2), "do not add up to zero"),
    ],
)
def test_what_is_no_minimum_or_does_not_fit_is_refused(scores: Tensor, hessian: Tensor, words: str) -> None:
    information_check(SCORES, torch.eye(2))
    with pytest.raises(DataError, match=words):
        information_check(scores, hessian)


def test_a_weight_is_so_many_rows() -> None:
    scores, rows = derivatives(*draw("poisson", 300, 3, 1), "poisson")
    count = torch.ones(300, dtype=torch.float64)
    # Only at equal numbers of every row do the gradients still add up to zero.
    one = information_check(scores, rows, weights=3 * count)
    other = information_check(scores.repeat(3, 1), rows.repeat(3, 1, 1))
    for name in ("tau", "se", "p_value"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9)


def test_a_number_estimated_from_the_same_rows_is_paid_for() -> None:
    """Of tau in 100 sets drawn from a normal the error was 1.8 times too large with σ taken as known."""
    found, known = [], []
    for seed in range(100):
        x, y = draw("normal", 600, 3, seed)
        scores, rows = derivatives(x, y, "normal")
        residual = scores[:, -1]  # the constant is last
        sigma = float(residual.square().mean().sqrt())
        at_sigma = (scores / sigma**2, rows / sigma**2)
        found.append(information_check(*at_sigma, others=(1 - (residual / sigma) ** 2)[:, None]))
        known.append(information_check(*at_sigma))
    spread = float(torch.tensor([one.tau for one in found]).std())
    assert 0.75 < sum(one.se for one in found) / 100 / spread < 1.3
    assert sum(one.se for one in known) / 100 / spread > 1.5


def drawn(likelihood: str, x: np.ndarray, y: np.ndarray, sets: int) -> Counter[str]:
    """Readings of data drawn from the fit to (x, y): the model is true."""
    fit, seen = estimate(likelihood, (x, y)), Counter[str]()
    assert fit.information is not None
    eta = torch.tensor(np.c_[x, np.ones(len(x))] @ fit.params)
    for seed in range(sets):
        found = estimate(likelihood, (x, fit.information.family.likelihood.sample(eta, generator(seed, "data"))))
        check = check_estimate(found) if found.separation == "none" else None
        seen[check.reading if check else "separated"] += 1
    return seen


@pytest.mark.parametrize(("name", "likelihood"), [("spector", "bernoulli"), ("cpunish", "poisson")])
def test_a_true_model_of_few_rows_is_not_rejected(name: str, likelihood: str) -> None:
    """Of 40 sets each, 0 were."""
    import statsmodels.api as sm

    table = getattr(sm.datasets, name).load_pandas()
    x = table.exog.to_numpy()
    seen = drawn(likelihood, (x - x.mean(0)) / x.std(0), table.endog.to_numpy(), 15)
    assert seen["likelihood"] >= 9
    assert seen["misspecified"] + seen["scaled likelihood"] <= 1


def test_poisson_of_few_overdispersed_counts_is_rejected() -> None:
    x, y = draw("negative binomial", 60, 3, 0)
    wide = estimate("poisson", (x[:, :-1], (3 * y).round()))
    found = check_estimate(wide)
    assert found
    assert found.tau > found.expected + 5 * found.se
    assert found.reading in ("scaled likelihood", "misspecified")
    right = estimate("poisson", draw_without_constant("poisson", 60))
    again = check_estimate(right)
    assert again
    assert (again.reading, again.draws) == ("likelihood", 200)
    assert "200 data sets drawn from the fitted likelihood" in again.sentence
    assert check_estimate(right) is not again
    assert vars(check_estimate(right))["tau"] == again.tau
    assert vars(check_estimate(right))["p_value"] == again.p_value, "the draws are the same every time"


def draw_without_constant(kind: str, rows: int) -> tuple[Tensor, Tensor]:
    x, y = draw(kind, rows, 3, 0)
    return x[:, :-1], y


def test_rows_too_few_for_a_check_are_not_judged() -> None:
    x = torch.tensor([[-3.0], [-2], [-1], [1], [-1.1], [2], [3], [4]])
    found = check_estimate(estimate("bernoulli", (x, torch.tensor([0.0, 0, 0, 0, 1, 1, 1, 1]))))
    assert found
    assert found.reading == "undecided"
    assert found.sentence.startswith("cannot be checked")
    assert math.isnan(found.se)


def test_weights_and_shares_are_the_rows_they_stand_for() -> None:
    x, y = draw_without_constant("bernoulli", 40)
    x, weights = x.round(), torch.arange(40) % 3
    once = check_estimate(estimate("bernoulli", (x, y), weights=weights))
    often = check_estimate(estimate("bernoulli", (x.repeat_interleave(weights, 0), y.repeat_interleave(weights))))
    assert once
    assert often
    assert once.tau == pytest.approx(often.tau, rel=1e-6)
    assert once.p_value == often.p_value
    x, trials = torch.linspace(-1, 1, 6)[:, None], torch.full((6,), 20)
    ones = torch.tensor([4, 6, 9, 10, 13, 17])
    shares = check_estimate(estimate("bernoulli", (x, ones / trials), weights=trials))
    single = torch.cat([torch.ones(6).repeat_interleave(ones), torch.zeros(6).repeat_interleave(trials - ones)])
    rows = torch.cat([x.repeat_interleave(ones, 0), x.repeat_interleave(trials - ones, 0)])
    each = check_estimate(estimate("bernoulli", (rows, single)))
    assert shares
    assert each
    assert shares.tau == pytest.approx(each.tau, rel=1e-6)
    large = check_estimate(estimate("bernoulli", (x, ones / trials), weights=trials * 1000))
    assert large
    assert large.draws == 0
    assert large.tau == pytest.approx(each.tau, rel=1e-6)


@pytest.mark.parametrize("likelihood", ["normal", "gamma"])
def test_the_dispersion_is_estimated_again_in_every_draw(likelihood: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = x[:, 0] + rng.normal(size=60) if likelihood == "normal" else rng.gamma(2.0, np.exp(x[:, 0]) / 2)
    found = check_estimate(estimate(likelihood, (x, y)))
    assert found
    assert (found.reading, found.draws) == ("likelihood", 200)
    kept = estimate(likelihood, (x, y)).information
    assert kept is not None
    known = check_estimate(estimate(kept.family.likelihood, (x, y)))
    assert known
    assert known.tau == pytest.approx(found.tau, rel=1e-6)
    assert known.se > 1.3 * found.se
