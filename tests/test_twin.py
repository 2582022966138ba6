"""A trained network beside its classical estimate: which models have one, how far they are, and when there is none to reach."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlnn import data
from mlnn.estimating import Trajectory, classical_estimate, estimate
from mlnn.estimating.classical import affine_coefficients
from mlnn.likelihoods import adopted
from mlnn.models import MLP, Logistic, SigmoidNode
from mlnn.objectives import Bernoulli, Categorical, Laplace, Normal, Poisson


def at_the_mle(model: nn.Linear, params: np.ndarray, intercept: bool) -> None:
    """Put estimated coefficients (p,) into a linear layer."""
    with torch.no_grad():
        weights = torch.from_numpy(params)
        model.weight.copy_(weights[:-1] if intercept else weights)
        if intercept:
            model.bias.copy_(weights[-1:])


@pytest.mark.parametrize(
    ("form", "intercept", "likelihood", "made"),
    [
        (Logistic, True, Bernoulli(), data.spector),
        (SigmoidNode, False, Bernoulli(), data.spector),
        (Logistic, True, Normal(), data.diabetes),
        (Logistic, True, Poisson(), data.cpunish),
    ],
)
def test_weights_put_at_the_mle_have_all_its_digits(
    form: type, intercept: bool, likelihood: object, made: object
) -> None:
    rows = made()  # type: ignore[operator]
    name = {Bernoulli: "bernoulli", Normal: "normal", Poisson: "poisson"}[type(likelihood)]
    found = estimate(name, rows, intercept=intercept)
    module = form(rows.input_shape, 1).double()
    at_the_mle(module.head, found.params, intercept)
    classical = classical_estimate(module, likelihood, rows)  # type: ignore[arg-type]
    assert classical
    assert classical.exists
    distance = classical.distance(module)
    assert distance.digits.min() > 9
    assert distance.digits.max() <= 16, "float64 holds no more, equal to the last bit or not"
    assert np.abs(distance.errors).max() < 1e-8
    assert distance.lr == pytest.approx(0, abs=1e-9)
    assert distance.lr_pvalue == pytest.approx(1, abs=1e-6)
    assert distance.gradient < 1e-6
    assert "no test on these data" in classical.sentence(distance)


def test_one_standard_error_off_is_one_standard_error_off() -> None:
    rows = data.spector()
    found = estimate("bernoulli", rows)
    assert found.bse is not None
    module = Logistic(rows.input_shape, 1).double()
    moved = found.params.copy()
    moved[1] += found.bse[1]
    at_the_mle(module.head, moved, True)
    classical = classical_estimate(module, Bernoulli(), rows)
    assert classical
    distance = classical.distance(module)
    assert distance.errors.reshape(-1) == pytest.approx([0, 1, 0, 0], abs=1e-7)
    assert distance.digits.reshape(-1)[1] == pytest.approx(
        -math.log10(found.bse[1] / abs(found.params[1])) if found.bse[1] < found.params[1] else 0
    )
    nll = Bernoulli().nll(module(rows.x).squeeze(1), rows.y).sum()
    assert distance.lr == pytest.approx(2 * (found.llf + float(nll.detach())), rel=1e-9)
    assert 0 < distance.lr_pvalue < 1


def test_a_softmax_network_is_compared_relative_to_its_first_class() -> None:
    rows = data.synthetic(likelihood="categorical", rows=300, features=2, classes=3)
    found = estimate("categorical", rows)
    module = Logistic(rows.input_shape, 3).double()
    with torch.no_grad():
        free = torch.from_numpy(found.params).T
        module.head.weight.copy_(torch.cat([torch.zeros(1, 2), free[:, :-1]]) + torch.tensor([0.3, -0.7]))
        module.head.bias.copy_(torch.cat([torch.zeros(1), free[:, -1]]) + 5.0)
    classical = classical_estimate(module, Categorical(), rows)
    assert classical
    assert classical.distance(module).digits.min() > 9


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("made", "word"),
    [
        (data.breast_cancer, "complete separation"),
        (data.iris, "quasi separation"),
        (data.digits_parity, "no unique estimate"),
    ],
)
def test_where_there_is_no_estimate_none_is_compared_with(made: object, word: str) -> None:
    rows = made()  # type: ignore[operator]
    likelihood = Categorical() if rows.targets.kind == "classes" else Bernoulli()
    module = Logistic(rows.input_shape, rows.targets.outputs)
    classical = classical_estimate(module, likelihood, rows)
    assert classical
    assert not classical.exists
    distance = classical.distance(module)
    assert np.isnan(distance.digits).all()
    assert math.isfinite(distance.norm)
    assert word in classical.sentence(distance)
    assert classical.finding(distance).to_dict()["coefficients"] == []


class Deep(nn.Module):
    """Two linear layers and nothing between them: still affine."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def test_an_estimate_is_found_by_what_a_model_does_not_by_its_name() -> None:
    rows = data.spector()
    assert classical_estimate(Deep(), Bernoulli(), rows) is not None
    assert classical_estimate(MLP(rows.input_shape, 1, depth=0), Bernoulli(), rows) is not None
    assert classical_estimate(MLP(rows.input_shape, 1, depth=1), Bernoulli(), rows) is None
    assert classical_estimate(nn.Bilinear(3, 3, 1), Bernoulli(), rows) is None  # refuses the call


class Offset(nn.Module):
    """A constant that is not called bias; `learned`: and one that training does not move."""

    def __init__(self, params: np.ndarray, learned: bool) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.from_numpy(params[:-1].copy()))
        offset = torch.from_numpy(params[-1:].copy())
        if learned:
            self.offset = nn.Parameter(offset)
        else:
            self.register_buffer("offset", offset)

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.w + self.offset)[:, None]


def test_a_constant_is_known_by_what_it_does() -> None:
    rows = data.spector()
    found = estimate("bernoulli", rows)
    module = Offset(found.params, True)
    classical = classical_estimate(module, Bernoulli(), rows)
    assert classical
    assert classical.distance(module).digits.min() > 9
    assert classical_estimate(Offset(found.params, False), Bernoulli(), rows) is None


def test_affine_coefficients_are_those_of_the_layer() -> None:
    module = Logistic((2, 3), 2)
    found = affine_coefficients(module, torch.randn(5, 2, 3), True)
    assert found is not None
    assert torch.equal(found[:-1].float(), module.head.weight.T)
    assert torch.allclose(found[-1].float(), module.head.bias)


def test_a_likelihood_with_a_kink_has_digits_and_standard_errors_by_a_kernel() -> None:
    rows = data.diabetes()
    module = Logistic(rows.input_shape, 1)
    classical = classical_estimate(module, Laplace(), rows)
    assert classical
    distance = classical.distance(module)
    assert np.isfinite(distance.digits).all()
    assert np.isfinite(distance.errors).all()
    assert distance.lr > 0
    assert math.isnan(distance.gradient)
    assert "standard errors" in classical.sentence(distance)


def test_a_likelihood_of_the_users_own_has_the_same_estimate() -> None:
    class Mine:
        def nll(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.softplus(output) - target * output

    rows = data.spector()
    mine, known = (
        classical_estimate(Logistic(rows.input_shape, 1), one, rows) for one in (adopted(Mine()), Bernoulli())
    )
    assert mine is not None
    assert known is not None
    assert mine.estimate.params == pytest.approx(known.estimate.params, rel=1e-9)


def test_a_likelihood_that_fails_has_none_and_says_why() -> None:
    class Fails:
        def nll(self, _output: torch.Tensor, _target: torch.Tensor) -> torch.Tensor:
            raise KeyError("mine")

    rows = data.spector()
    classical = classical_estimate(Logistic(rows.input_shape, 1), adopted(Fails()), rows)
    assert classical is not None
    assert classical.estimate is None
    assert "KeyError" in str(classical.why)


def test_a_course_looks_ever_more_rarely_and_at_the_end() -> None:
    rows = data.spector()
    module = Logistic(rows.input_shape, 1)
    course = Trajectory(Bernoulli(), rows, 1000)
    for done in range(1001):
        course.watch(done, module)
    steps = [look.step for look in course.looks]
    assert steps[:4] == [0, 1, 2, 3]
    assert steps[-1] == 1000
    assert 30 < len(steps) < 70
    assert course.found(module)
    nothing = Trajectory(None, rows, 10)
    nothing.watch(0, module)
    assert (nothing.looks, nothing.found(module)) == ([], None)


def test_training_draws_nearer() -> None:
    rows = data.synthetic(likelihood="bernoulli", rows=200, features=3)
    module = Logistic(rows.input_shape, 1).double()
    course = Trajectory(Bernoulli(), rows, 300)
    step = partial(torch.optim.SGD, lr=1.0)(module.parameters())
    for done in range(301):
        course.watch(done, module)
        step.zero_grad()
        Bernoulli().nll(module(rows.x).squeeze(1), rows.y).mean().backward()
        step.step()
    assert course.looks[-1].distance.digits_least > course.looks[0].distance.digits_least + 2
    assert course.looks[-1].distance.lr < 1e-3 < course.looks[0].distance.lr


@pytest.mark.slow
def test_without_a_maximum_the_norm_grows_like_the_logarithm_of_the_steps() -> None:
    """Two points x = ±1: the gradient flow on the mean loss has w + e^w = t + 1 (w(10) = 2.177325, w(100) = 4.57…)."""
    rows = data.from_arrays(torch.tensor([[1.0], [-1.0]]), torch.tensor([1.0, 0.0]), "binary")
    module = SigmoidNode(rows.input_shape, 1).double()
    torch.nn.init.zeros_(module.head.weight)
    course = Trajectory(Bernoulli(), rows, 10_000)
    step = torch.optim.SGD(module.parameters(), lr=0.01)
    for done in range(10_001):
        course.watch(done, module)
        step.zero_grad()
        Bernoulli().nll(module(rows.x).squeeze(1), rows.y).mean().backward()
        step.step()
    assert course.classical
    assert not course.classical.exists
    norm = {round(look.step * 0.01, 2): look.distance.norm for look in course.looks}
    for time, w in ((t, w) for t, w in norm.items() if t >= 1):
        assert w + math.exp(w) == pytest.approx(time + 1, rel=0.01)
    assert norm[100.0] == pytest.approx(math.log(101 - norm[100.0]), abs=0.01)


def test_a_first_row_of_zeros_does_not_hide_that_a_slope_is_learned() -> None:
    """As the first row of a table of dummies is: at 0 no slope moves the output, whatever it is."""
    rows = data.from_arrays(np.array([[0.0], [1], [0], [1], [0], [1]]), np.array([0.0, 1, 1, 0, 0, 1]))
    assert classical_estimate(Logistic((1,), 1), Bernoulli(), rows)
    assert classical_estimate(SigmoidNode((1,), 1), Bernoulli(), rows)
