"""Is this network an MLE? Networks whose answer, flat directions and last layer are known by hand."""

import copy
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from app_cases import command, write
from torch import Tensor, nn

from mlnn.data import Dataset, from_arrays, spector
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import estimate
from mlnn.estimating.network import fisher
from mlnn.estimating.network.architecture import architecture_of
from mlnn.estimating.network.fisher import Network, stand
from mlnn.estimating.network.last_layer import last_layer
from mlnn.estimating.network.network import network_report
from mlnn.estimating.network.page import network_page
from mlnn.estimating.network.report import NetworkReport
from mlnn.estimating.network.saddle import least_curvature
from mlnn.estimating.network.words import answer
from mlnn.models import MLP, Logistic, Recurrent
from mlnn.objectives import Bernoulli, Categorical, Gamma, Laplace, Normal, Objective
from mlnn.training import LaneRecipe, Recipe, train

TO_THE_END = partial(
    torch.optim.LBFGS, max_iter=20, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe"
)


def rows(kind: str, n: int = 60, d: int = 3, noise: float = 1.0) -> Dataset:
    """Rows whose classes overlap (noise 1) or are separated (noise 0), or whose real target bends with x."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=(n, d))
    score = x @ np.arange(1.0, d + 1) + noise * draw.logistic(size=n) * 2
    y = {
        "binary": score > 0,
        "classes(3)": np.digitize(score, (-2, 2)),
        "real": np.tanh(score),
        "positive": np.exp(score),
    }
    return from_arrays(x, y[kind].astype(np.int64 if kind in ("binary", "classes(3)") else float), kind, held_out=0.2)


def trained(data: Dataset, likelihood: Any, make: Any, steps: int, seeds: int = 2, dtype: Any = torch.float64) -> list:
    objective = Objective.of(likelihood, data.targets)
    factory = partial(make, data.input_shape, objective.targets.outputs)
    recipes = (Recipe(data, factory, steps, None, dtype, seed=seed) for seed in range(seeds))
    return [train(one, LaneRecipe(objective, TO_THE_END), lambda _: None).module for one in recipes]


def network(make: Any, *sizes: Any, seed: int = 0, **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    return make(*sizes, **options).double()


@pytest.fixture(scope="module")
def linear() -> tuple[Dataset, NetworkReport]:
    data = rows("binary")
    return data, network_report(trained(data, Bernoulli(), Logistic, 20), Bernoulli(), data)


def test_the_linear_model_trained_to_the_end_is_the_mle(linear: tuple[Dataset, NetworkReport]) -> None:
    data, report = linear
    assert report.kind == "yes"
    assert report.flat == report.stopped_short == report.saddles == 0
    assert report.digits > 6
    assert answer(report).startswith("Yes, to ")
    assert report.standings[0].log_likelihood == pytest.approx(estimate("bernoulli", data).llf, rel=1e-12)
    assert report.spread.weights < 1e-5


def test_a_linear_model_that_stopped_early_is_not() -> None:
    data = rows("binary")
    report = network_report(trained(data, Bernoulli(), Logistic, 1, 1), Bernoulli(), data)
    early = network_report([network(Logistic, (3,), 1)], Bernoulli(), data)
    assert early.kind == "no"
    assert early.standings[0].gradient_relative > 0.1
    assert early.standings[0].gradient_in_errors > 1
    assert "gradient has not vanished" in answer(early)
    assert "nats below the maximum" in answer(early)
    assert early.standings[0].log_likelihood < report.standings[0].log_likelihood


def test_the_gradient_in_standard_errors_is_the_distance_to_the_mle() -> None:
    """Of a normal with fixed σ the likelihood is a parabola: half the square is the log-likelihood still to be gained."""
    data = rows("real")
    at = stand(network(Logistic, (3,), 1), Normal(0.5), data.x, data.y)
    found = estimate(Normal(0.5), data)
    assert found.llf - at.log_likelihood == pytest.approx(at.gradient_in_errors**2 / 2, rel=1e-10)


@pytest.mark.parametrize(
    ("kind", "likelihood"),
    [("binary", Bernoulli()), ("real", Normal(0.5)), ("positive", Gamma(2.0)), ("classes(3)", Categorical())],
)
def test_the_spectrum_of_a_linear_model_is_that_of_its_information(kind: str, likelihood: Any) -> None:
    data = rows(kind)
    module = network(Logistic, (3,), 3 if kind == "classes(3)" else 1)
    with torch.no_grad():
        raw, x = module(data.x), torch.cat([data.x, torch.ones(len(data), 1, dtype=torch.float64)], 1)
    if kind == "classes(3)":  # all K columns, not K−1: one flat direction per input
        p = torch.softmax(raw, 1)
        weight = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    else:
        variance = {"binary": torch.sigmoid(raw) * torch.sigmoid(-raw), "real": 4 + 0 * raw, "positive": 2 + 0 * raw}
        weight = variance[kind][:, :, None]
    information = torch.einsum("np,nab,nq->apbq", x, weight, x).reshape(x.shape[1] * weight.shape[1], -1)
    spectrum = stand(module, likelihood, data.x, data.y).spectrum
    expected = torch.linalg.eigvalsh(information).flip(0).numpy()
    np.testing.assert_allclose(spectrum.eigenvalues, expected, rtol=1e-10, atol=1e-12 * expected[0])
    assert spectrum.flat == (4 if kind == "classes(3)" else 0)
    assert spectrum.bound == len(data) * (2 if kind == "classes(3)" else 1)


class Scaled(nn.Module):
    """One ReLU layer that every row lights: a hidden unit's scale can be moved to the head, one flat direction each."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(inputs, units), nn.Linear(units, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.hidden(x)))


def dead(module: Scaled) -> None:
    module.hidden.bias[0] = -100


def duplicate(module: Scaled) -> None:
    module.hidden.weight[1], module.hidden.bias[1] = module.hidden.weight[0], module.hidden.bias[0]


@pytest.mark.parametrize(
    ("make", "change", "flat"),
    [
        (lambda: Scaled(3, 4), None, 4),  # the scale of each unit
        # of the dead unit its 4 weights and its weight in the head, and the scales of the other 3
        (lambda: Scaled(3, 4), dead, 5 + 3),
        # of two equal units only w₁h₁ + w₂h₂ counts: 5 + 5 parameters act through 4 numbers, the product of scale and weights
        (lambda: Scaled(3, 4), duplicate, 6 + 2),
        # deep linear: 4 + 20 + … parameters act through 3 slopes and a constant
        (lambda: MLP((3,), 1, depth=2, width=4, activation="identity"), None, 16 + 20 + 5 - 4),
        (lambda: MLP((3,), 1, depth=1, width=4, activation="tanh"), None, 0),
    ],
    ids=["scales", "dead unit", "equal units", "deep linear", "tanh"],
)
def test_flat_directions_are_those_counted_by_hand(make: Any, change: Any, flat: int) -> None:
    data, module = rows("binary", n=200), network(make, seed=1)
    if change:
        with torch.no_grad():
            change(module)
    spectrum = stand(module, Bernoulli(), data.x, data.y).spectrum
    assert spectrum.flat == flat
    assert {spectrum.below(at) for at in (1e-12, 1e-16, 1e-20, 1e-24)} == {flat}, "the count depends on the threshold"


def test_more_parameters_than_rows_leave_the_rest_flat() -> None:
    data, module = rows("binary", n=20), network(MLP, (3,), 1, depth=1, width=16, activation="tanh")
    spectrum = stand(module, Bernoulli(), data.x, data.y).spectrum
    assert spectrum.parameters - spectrum.flat == spectrum.bound == len(data) == 16


def test_a_deep_linear_network_is_the_mle_as_a_function() -> None:
    data = rows("binary")
    make = partial(MLP, depth=1, width=3, activation="identity")
    report = network_report(trained(data, Bernoulli(), make, 30), Bernoulli(), data)
    assert report.kind == "as a function"
    assert report.flat == 16 - 4
    assert report.digits > 5
    assert report.spread.weights > 0.5
    assert report.spread.relative < 1e-5
    with torch.no_grad():
        for weight in (zero := copy.deepcopy(network(make, (3,), 1))).parameters():
            weight.zero_()
    still = network_report([zero], Normal(), from_arrays(data.x, data.y - data.y.mean(), "real"))
    assert (still.stopped_short, still.kind) == (0, "no"), "a stationary point is not yet a maximum"
    assert "nats below the maximum" in answer(still)


def test_seeds_at_one_maximum_agree_as_a_function_and_a_seed_at_a_lower_one_is_told() -> None:
    data = rows("real", noise=0.3)
    modules = trained(data, Normal(), partial(MLP, depth=1, width=1, activation="tanh"), 60, 3)
    report = network_report(modules[:2], Normal(), data)
    assert (report.kind, report.flat) == ("as a function", 0)
    assert min(report.curvatures) > 0
    assert report.spread.relative < 1e-3
    assert "hidden units can change places or signs" in answer(report)
    assert network_report(modules[:1], Normal(), data).kind == "undecided"
    lower = network_report(modules, Normal(), data)
    assert (lower.kind, lower.stopped_short, lower.saddles) == ("no", 0, 0)
    assert "nats apart: at most the highest is the maximum" in answer(lower)


class Growth(nn.Module):
    """b₁ σ(b₃ x − b₂), NIST's Rat42."""

    def __init__(self, *b: float) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.b[0] * torch.sigmoid(self.b[2] * x[:, 0] - self.b[1])


def test_a_nonlinear_model_at_its_certified_maximum_is_the_mle() -> None:
    x = [9, 14, 21, 28, 42, 57, 63, 70, 79]
    y = [8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08]
    data = from_arrays(np.array(x, dtype=float), y, "real")
    certified = Growth(72.462237576, 2.6180768402, 0.067359200066)
    report = network_report([certified, certified], Normal(), data)
    assert (report.kind, report.flat, report.digits) == ("yes", 0, 16.0)
    rss = 2 * (-report.standings[0].log_likelihood - 4.5 * math.log(2 * math.pi))
    assert rss == pytest.approx(8.0565229338, rel=1e-10)
    assert network_report([Growth(72.5, 2.618, 0.06736)] * 2, Normal(), data).kind == "no"


def test_a_network_that_meets_every_row_is_at_the_highest_likelihood() -> None:
    data = rows("real", n=20)
    modules = trained(data, Normal(), partial(MLP, depth=1, width=12, activation="tanh"), 60)
    report = network_report(modules, Normal(), data)
    assert all(report.met)
    assert report.kind == "as a function"
    assert report.flat >= report.standings[0].spectrum.parameters - len(data)
    assert "no network can make these rows more likely" in answer(report)
    assert "held-out rows by" in answer(report)
    assert not any(network_report([network(MLP, (3,), 1)], Normal(), data).met)


def test_a_saddle_is_told() -> None:
    data, module = rows("real"), network(MLP, (3,), 1, depth=1, width=2, activation="tanh")
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
        module.head.bias.fill_(float(data.y.mean()))
    report = network_report([module, module], Normal(), data)
    assert (report.stopped_short, report.saddles, report.kind) == (0, 2, "no")
    assert "saddle" in answer(report)


def test_the_least_curvature_is_that_of_the_hessian() -> None:
    data, module = rows("real"), network(MLP, (3,), 1, depth=1, width=3, activation="tanh")
    at = Network(module, Normal())

    def total(weights: Tensor) -> Tensor:
        return Normal().nll(at.model.free(weights, data.x)[:, 0], data.y).sum()

    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(total, at.weights))
    assert least_curvature(at, data.x, data.y) == pytest.approx(float(values[0] / values.abs().max()), rel=1e-5)


@pytest.mark.rest
def test_separated_rows_have_no_mle_and_the_answer_says_so() -> None:
    data = rows("binary", noise=0.0)
    report = network_report(trained(data, Bernoulli(), Logistic, 5), Bernoulli(), data)
    deep = network_report(trained(data, Bernoulli(), partial(MLP, depth=1, width=4), 5), Bernoulli(), data)
    for one in (report, deep):
        assert (one.kind, one.separation) == ("no", "complete")
        assert "no MLE on 2 of 2 seeds, complete separation" in answer(one)


@pytest.mark.parametrize("change", [None, dead], ids=["all alive", "one dead"])
def test_the_last_layer_s_mle_is_that_of_its_features(change: Any) -> None:
    data, module = rows("binary", n=200), network(Scaled, 3, 4, seed=1)
    if change:
        with torch.no_grad():
            change(module)
    head = last_layer(module, Bernoulli(), data)
    assert head is not None
    assert head.classical is not None
    assert head.distance is not None
    with torch.no_grad():
        features = torch.relu(module.hidden(data.x))[:, 1 if change else 0 :]
        own = -float(Bernoulli().nll(module(data.x)[:, 0], data.y).sum())
    truth = estimate("bernoulli", (features, data.y))
    assert (head.features, head.independent, head.separation) == (4, 3 if change else 4, "none")
    np.testing.assert_allclose(head.classical.estimate.params, truth.params, rtol=1e-9)
    np.testing.assert_allclose(head.classical.estimate.bse, truth.bse, rtol=1e-9)
    assert head.distance.lr == pytest.approx(2 * (truth.llf - own), rel=1e-9)


def test_a_network_without_a_linear_last_layer_has_no_such_answer() -> None:
    data = rows("binary")
    module = nn.Sequential(nn.Linear(3, 1), nn.Tanh()).double()
    assert last_layer(module, Bernoulli(), data) is None


def test_permuting_hidden_units_changes_weights_and_no_prediction() -> None:
    data, module = rows("binary"), network(MLP, (3,), 1, depth=1, width=4)
    other = copy.deepcopy(module)
    with torch.no_grad():
        order = [2, 0, 3, 1]
        other.hidden[0][0].weight.copy_(module.hidden[0][0].weight[order])
        other.hidden[0][0].bias.copy_(module.hidden[0][0].bias[order])
        other.head.weight.copy_(module.head.weight[:, order])
    spread = network_report([module, other], Bernoulli(), data).spread
    assert spread.weights > 0.3
    assert max(spread.relative, spread.relative_held_out, spread.log_likelihood) < 1e-13


def test_a_module_is_read_in_evaluation_mode_and_left_as_it_is() -> None:
    data, module = rows("binary"), network(MLP, (3,), 1, depth=1, width=4, norm="batch", dropout=0.5).float().train()
    before = copy.deepcopy(module.state_dict())
    one, two = (stand(module, Bernoulli(), data.x, data.y) for _ in range(2))
    assert one.log_likelihood == two.log_likelihood
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_a_recurrent_network_is_read_row_by_row() -> None:
    data, module = rows("binary"), network(Recurrent, (3,), 1, width=3)
    at = Network(module, Bernoulli())
    whole = torch.autograd.functional.jacobian(lambda weights: at.model.free(weights, data.x), at.weights)
    torch.testing.assert_close(at.jacobian(data.x), whole, rtol=1e-10, atol=1e-12)


def test_a_large_network_is_told_by_its_leading_eigenvalues(monkeypatch: pytest.MonkeyPatch) -> None:
    data, module = rows("classes(3)", n=60), network(MLP, (3,), 3, depth=1, width=12, activation="tanh")
    whole = stand(module, Categorical(), data.x, data.y)
    monkeypatch.setattr(fisher, "WHOLE", 10)
    part = stand(module, Categorical(), data.x, data.y)
    assert not part.spectrum.whole
    for name in ("eigenvalues", "scaled"):
        found = getattr(part.spectrum, name)
        np.testing.assert_allclose(found, getattr(whole.spectrum, name)[: len(found)], rtol=1e-8)
    assert part.spectrum.flat == max(0, whole.spectrum.parameters - 2 * len(data)) <= whole.spectrum.flat
    assert math.isnan(part.gradient_in_errors)
    assert part.gradient_relative == whole.gradient_relative
    report = network_report([module], Categorical(), data)
    assert report.kind == "no"


def test_a_gradient_is_told_beside_the_terms_that_cancel_in_it() -> None:
    """|Σ s| / Σ |s| of each parameter, of which the largest; a parameter that nothing moves has neither."""
    data, module = rows("binary"), network(MLP, (3,), 1, depth=1, width=3, activation="relu")
    with torch.no_grad():
        module.hidden[0][0].bias[0] = -1e3  # a unit that no row wakes
    names = dict(module.named_parameters())
    scores = []
    for x, y in zip(data.x, data.y, strict=True):
        loss = Bernoulli().nll(module(x[None])[:, 0], y[None].double()).sum()
        scores.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(names.values()))]))
    each = torch.stack(scores)
    moved = each.abs().sum(0) > 0
    wanted = (each.sum(0).abs() / each.abs().sum(0))[moved].max()
    assert not moved.all()
    assert stand(module, Bernoulli(), data.x, data.y).gradient_relative == pytest.approx(float(wanted), rel=1e-9)


def test_many_rows_are_folded_without_losing_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    data, module = rows("binary", n=400), network(MLP, (3,), 1, depth=1, width=3, activation="tanh")
    once = stand(module, Bernoulli(), data.x, data.y)
    monkeypatch.setattr(fisher, "WHOLE", 16)
    monkeypatch.setattr(fisher, "NUMBERS", 16 * 16)
    folded = stand(module, Bernoulli(), data.x, data.y)
    assert folded.spectrum.whole
    np.testing.assert_allclose(folded.spectrum.eigenvalues, once.spectrum.eigenvalues, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"modules": []}, ConfigError, "at least one"),
        ({"likelihood": Laplace()}, ConfigError, "Laplace"),
        ({"likelihood": nn.MSELoss()}, ConfigError, "MSELoss"),
        ({"modules": [nn.Linear(3, 1), MLP((3,), 1)]}, ConfigError, "numbers of parameters"),
        ({"modules": [nn.Identity()]}, ConfigError, "no trainable"),
    ],
)
def test_bad_usage_is_told(change: dict[str, Any], error: type, words: str) -> None:
    given = {"modules": [nn.Linear(3, 1)], "likelihood": Bernoulli(), "data": rows("binary")} | change
    with pytest.raises(error, match=words):
        network_report(**given)


def test_a_network_that_diverged_is_told() -> None:
    module = nn.Linear(3, 1)
    with torch.no_grad():
        module.weight.fill_(math.nan)
    with pytest.raises(DataError, match="not finite"):
        network_report([module], Bernoulli(), rows("binary"))


def test_the_page_holds_every_answer_and_nothing_it_is_given_can_leave_its_place(
    linear: tuple[Dataset, NetworkReport],
) -> None:
    told = architecture_of("<b>mine</b>", (0, 1), linear[1])
    plain = told.to_dict()
    assert (plain["model"], plain["answer"]) == (told.model, told.answer)
    assert plain["twin"] == (told.classical and told.classical.to_dict())
    assert "classical" not in plain, "stored under the name that older files have"
    first = plain["seeds"][0]
    assert (first["seed"], first["stationary"]) == (0, told.seeds[0].stationary)
    assert first["log_likelihood"] == told.seeds[0].standing.log_likelihood
    assert first["spectrum"] == told.seeds[0].standing.spectrum.to_dict()
    page = network_page([told], {"data": "spector"})
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert "<b>mine</b>" not in page
    assert f"to {told.digits:.1f} digits" in page


@pytest.mark.slow
def test_the_command_answers_for_each_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"conf/ladder/one.yaml": "one: [model=logistic]\n"})
    words = (
        "--config-dir",
        "conf",
        "ladder=one",
        "data=spector",
        "data.held_out=0",
        "data.standardize=true",
        "steps=30",
    )
    done = command("beyond_one_node", *words, "seeds=[0,1]", "jobs=1", "out=here")
    assert (done.code, done.err) == (0, "")
    (found,) = json.loads(Path("here/network.json").read_text(encoding="utf-8"))
    assert (found["model"], found["kind"], [one["seed"] for one in found["seeds"]]) == ("one", "yes", [0, 1])
    assert found["seeds"][0]["log_likelihood"] == pytest.approx(
        estimate("bernoulli", spector(held_out=0.0)).llf, rel=1e-12
    )
    done = command("beyond_one_node", *words, "objective=hinge", "jobs=1", "out=there")
    assert done.code == 2
    assert "no likelihood is known" in done.err
