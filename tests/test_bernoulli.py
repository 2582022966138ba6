"""The Bernoulli likelihood, and what may be given as an objective."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_cases import BINARY, at, binary
from torch import Tensor, nn

from mlnn.errors import ConfigError
from mlnn.objectives import Bernoulli, Objective, bce, bernoulli_nll_clipped, bernoulli_nll_log1p
from mlnn.targets import TargetSpace

BERNOULLI = Bernoulli()
Z, Y = torch.tensor([-1.5, 0.0, 2.0]), torch.tensor([0.0, 1.0, 1.0])


def assert_same_likelihood(product: Tensor, summed: Tensor) -> None:
    """∏ against exp(−Σ nll). The sum, below 225, is rounded to 15 · 225 · eps = 7e-13 at most; so is its exponential."""
    assert product > 0, "underflow: nothing to compare"
    assert product.item() == pytest.approx(math.exp(-summed.item()), rel=1e-12, abs=0)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(-15, 5), st.integers(0, 1)), min_size=1, max_size=15))
def test_the_likelihood_is_exp_of_minus_the_summed_nll(rows: list[tuple[float, int]]) -> None:
    z, y = (torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True))
    # Above z = 5 the product knows 1 − p = 1/(1 + e^z) less well than 1e-13, since p is rounded before.
    product, rowwise = BERNOULLI.likelihood(z, y), BERNOULLI.nll(z, y)
    assert_same_likelihood(product, rowwise.sum())
    with pytest.raises(AssertionError):
        assert_same_likelihood(product, rowwise.sum() + 1e-10)


def test_the_product_underflows_and_its_logarithm_does_not() -> None:
    z, y = torch.zeros(2000, dtype=torch.float64), torch.ones(2000, dtype=torch.float64)
    assert BERNOULLI.likelihood(z, y) == 0
    assert BERNOULLI.nll(z, y).sum().item() == pytest.approx(2000 * math.log(2), rel=1e-12)


def test_the_probabilities_of_both_targets_add_up_to_one() -> None:
    z = torch.linspace(-30, 30, 121, dtype=torch.float64)
    both = [torch.exp(-at(BERNOULLI.nll, z, y)[0]) for y in (0.0, 1.0)]
    torch.testing.assert_close(both[0] + both[1], torch.ones_like(z), rtol=0, atol=1e-15)
    torch.testing.assert_close(both[1], BERNOULLI.mean(z), rtol=1e-14, atol=0)


def test_draws_have_the_right_frequency_and_follow_the_generator() -> None:
    z = torch.tensor([-2.0, 0.0, 1.0], dtype=torch.float64)
    rows = z.repeat(20_000, 1)

    def draw(seed: int) -> Tensor:
        return BERNOULLI.sample(rows.flatten(), torch.Generator().manual_seed(seed)).reshape(rows.shape)

    drawn, p = draw(0), torch.sigmoid(z)
    assert drawn.dtype == z.dtype
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    bound = 5 * (p * (1 - p) / len(rows)).sqrt()  # five standard errors
    assert ((drawn.mean(0) - p).abs() < bound).all()
    assert ((drawn.mean(0) - torch.sigmoid(z + 0.2)).abs() > bound).all()
    assert torch.equal(drawn, draw(0))
    assert not torch.equal(drawn, draw(1))
    state = torch.get_rng_state()
    draw(0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("given", "options", "name"),
    [
        (bernoulli_nll_log1p, {}, "bernoulli_nll_log1p"),
        (functools.partial(bernoulli_nll_clipped, epsilon=1e-9), {}, "bernoulli_nll_clipped"),
        (BERNOULLI, {}, "Bernoulli"),
        (nn.BCEWithLogitsLoss(), {}, "BCEWithLogitsLoss"),
        (nn.BCEWithLogitsLoss(reduction="none"), {}, "BCEWithLogitsLoss"),
        (nn.BCELoss(), {"outputs": "probabilities"}, "BCELoss"),
        (bce, {"name": "mine"}, "mine"),
    ],
)
def test_functions_partials_losses_and_likelihoods_are_objectives(
    given: object, options: dict[str, str], name: str
) -> None:
    objective = Objective.of(given, BINARY, **options)
    assert objective.name == name
    expected = BERNOULLI.nll(Z, Y)
    value = objective.rows(Z, Y)
    torch.testing.assert_close(value, expected if value.ndim else expected.mean(), rtol=1e-6, atol=0)
    torch.testing.assert_close(objective(Z, Y), expected.mean(), rtol=1e-6, atol=0)
    assert Objective.of(objective, BINARY) is objective


def test_the_link_of_the_target_space_is_applied_for_probabilities() -> None:
    seen = binary(lambda p, y: p + 0 * y, outputs="probabilities")
    assert torch.equal(seen.rows(Z, Y), torch.sigmoid(Z))
    counts = Objective.of(lambda p, y: p + 0 * y, TargetSpace("counts"), "probabilities")
    assert torch.equal(counts.rows(Z, Y), torch.exp(Z))
    rows = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    nll = nn.NLLLoss(reduction="none")
    classes = Objective.of(lambda p, y: nll(p.log(), y), TargetSpace("classes", 4), "probabilities")
    target = torch.tensor([0, 3, 2])
    torch.testing.assert_close(classes.rows(rows, target), nn.CrossEntropyLoss(reduction="none")(rows, target))


@pytest.mark.parametrize(
    ("given", "outputs", "message"),
    [
        (Bernoulli, "raw", r"Bernoulli is a class; give an instance, Bernoulli\(\)"),
        (nn.BCELoss, "raw", r"BCELoss is a class"),
        (3, "raw", r"3 is neither callable nor a likelihood"),
        ("bce", "raw", r"'bce' is neither callable"),
        (bce, "probability", r"outputs: unknown kind of outputs 'probability'.*Did you mean 'probabilities'"),
    ],
)
def test_what_is_no_objective_is_refused(given: object, outputs: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Objective.of(given, BINARY, outputs)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z, y: bernoulli_nll_log1p(z[:, None], y), r"returned shape \(3, 3\) .*did it broadcast"),
        (lambda z, y: bernoulli_nll_log1p(z, y)[1:], r"returned shape \(2,\) for output \(3,\)"),
        (lambda z, y: bernoulli_nll_log1p(z, y)[:, None], r"returned shape \(3, 1\)"),
        (lambda z, y: bernoulli_nll_log1p(z, y).sum().item(), r"returned float, not a tensor"),
    ],
)
def test_an_answer_of_another_shape_is_refused(function: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        binary(function).rows(Z, Y)
