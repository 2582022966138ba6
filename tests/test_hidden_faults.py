"""Faults that hide: in one precision, in a few steps, in parameter groups, in buffers, behind a divergence, at a kink."""

from collections.abc import Callable, Iterable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from training_cases import ADAM, SGD, compare, lane_recipe, verdict

from mlnn.errors import ConfigError
from mlnn.objectives import bce, bce_with_logits, bernoulli_nll_log1p
from mlnn.testing import assert_same_objective

BCE = nn.BCEWithLogitsLoss()


def in_precision(dtype: torch.dtype, factor: float, rows: Callable[[int], bool]) -> Callable[[Tensor, Tensor], Tensor]:
    """BCE, but times a factor in one dtype on batches of certain sizes."""
    return lambda z, y: BCE(z, y) * (factor if z.dtype == dtype and rows(len(z)) else 1.0)


def test_a_fault_of_float32_on_rare_batches_is_caught() -> None:
    right = in_precision(torch.float32, 0.0, lambda n: 20 < n < 30)  # only the short last batch of an epoch
    found = verdict(BCE, right, batch_size=36, steps=12)
    assert found.relation == "different"
    assert "more than its rounding explains" in found.sentence


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("dtype", "factor"), [(torch.bfloat16, 2.0), (torch.float16, 1.25)])
def test_a_fault_of_a_half_precision_is_caught_and_its_rounding_is_not_a_fault(
    dtype: torch.dtype, factor: float
) -> None:
    right = in_precision(dtype, factor, lambda n: n > 2)
    assert verdict(BCE, right, dtype=dtype).relation == "different"
    with pytest.raises(AssertionError, match="more than its rounding explains"):
        assert_same_objective(BCE, right, dtype=dtype)
    assert assert_same_objective(BCE, bernoulli_nll_log1p, dtype=dtype).relation == "equal"


def two_rates(weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    first, *rest = weights
    return torch.optim.SGD([{"params": [first]}, {"params": rest, "lr": 0.2}], lr=0.1)


def without_the_last_layer(weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return SGD(list(weights)[:2])


def clipped(weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    weights = list(weights)
    optimizer = SGD(weights)

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(weights, 0.01)

    optimizer.register_step_pre_hook(clip)
    return optimizer


@pytest.mark.parametrize("optimizer", [two_rates, without_the_last_layer, clipped])
def test_optimizers_whose_settings_look_alike_are_still_compared(
    optimizer: Callable[..., torch.optim.Optimizer],
) -> None:
    found = verdict(lane_recipe(), lane_recipe(optimizer=optimizer))
    assert found.relation == "different"
    assert "optimizers take steps that differ" in found.sentence


def batch_norm(momentum: float = 0.1) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=momentum), nn.ReLU(), nn.Linear(8, 1))


def test_buffers_that_only_evaluation_shows_are_compared() -> None:
    right = lane_recipe(model=partial(batch_norm, 0.9))
    found = verdict(lane_recipe(), right, model=batch_norm)
    assert found.relation == "different"
    assert "in evaluation mode" in found.sentence
    assert verdict(lane_recipe(), lane_recipe(model=batch_norm), model=batch_norm).relation == "bitwise"


def test_weights_that_one_side_freezes_are_met_at_the_door() -> None:
    def frozen() -> nn.Module:
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        model[2].requires_grad_(False)
        return model

    with pytest.raises(ConfigError, match=r"left trains 49 weights in 4 tensors, right 40 in 2"):
        verdict(lane_recipe(), lane_recipe(model=frozen))


def test_a_factor_that_depends_on_the_batch_is_different() -> None:
    found = verdict(bernoulli_nll_log1p, lambda z, y: bernoulli_nll_log1p(z, y).sum() / 36, batch_size=36)
    assert found.relation == "different"
    assert "1 on batches of 36 rows" in found.sentence
    assert found.meets("scaled") is False


def test_a_training_that_diverges_under_a_loss_that_raises_is_recorded_not_a_crash() -> None:
    result = compare(bce, bernoulli_nll_log1p, optimizer=partial(torch.optim.SGD, lr=1e30), steps=40)
    assert result.verdict.relation == "undecided"
    assert result.lanes["left"]["stopped"]["step"] <= 2


def test_a_run_that_ends_in_its_first_step_decides_nothing() -> None:
    vanishing = partial(torch.optim.Adam, lr=1e-3)  # its eps of 1e-8 is 0 in float16
    found = verdict(BCE, bernoulli_nll_log1p, optimizer=vanishing, dtype=torch.float16, steps=20)
    assert found.relation == "undecided"
    assert "only 1 of 20 steps" in found.sentence


@pytest.mark.parametrize(
    ("left", "right", "targets"),
    [
        (nn.L1Loss(), lambda f, y: torch.where(f > y, f - y, y - f), "real"),
        (lambda z, y: torch.relu(1 - (2 * y - 1) * z), lambda z, y: (1 - (2 * y - 1) * z).clamp(min=0), "binary"),
    ],
    ids=["L1", "hinge"],
)
def test_another_subgradient_at_a_kink_is_no_difference(left: object, right: object, targets: str) -> None:
    assert assert_same_objective(left, right, targets).relation in ("bitwise", "equal")


@pytest.mark.parametrize(
    ("left", "right", "targets", "words"),
    [
        (
            bce_with_logits,
            lambda z, y: torch.relu(z) - y * z + torch.log1p(torch.exp(-z.abs())),
            "binary",
            "raw output 0",
        ),
        (nn.L1Loss(), lambda f, y: torch.sqrt((f - y) ** 2), "real", "= target exactly right.s gradient is not finite"),
    ],
    ids=["half of the gradient at 0", "NaN at residual 0"],
)
def test_a_wrong_gradient_just_at_a_kink_is_caught(left: object, right: object, targets: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        assert_same_objective(left, right, targets)


@pytest.mark.parametrize("size", [1, 2])
def test_the_smallest_batches_are_decided(size: int) -> None:
    assert verdict(BCE, bernoulli_nll_log1p, batch_size=size, optimizer=ADAM).relation == "equal"


def test_class_weights_follow_the_precision_of_the_lane() -> None:
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    assert assert_same_objective(weighted, weighted, "classes(3)").relation == "bitwise"


def test_a_domain_the_wrong_way_round_allows_nothing() -> None:
    with pytest.raises(ConfigError, match="lower raw output comes first"):
        assert_same_objective(bce, bernoulli_nll_log1p, domain=(100, -100))


def test_an_objective_with_weights_of_its_own_is_refused() -> None:
    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))

        def forward(self, z: Tensor, y: Tensor) -> Tensor:
            return torch.exp(-self.w) * BCE(z, y) + self.w

    with pytest.raises(ConfigError, match="weights of its own"):
        assert_same_objective(BCE, Learned())


def test_the_callers_own_network_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(4, 1))
    before = net[0].weight.detach().clone()
    compare(BCE, bernoulli_nll_log1p, model=lambda: net, dtype=torch.float64)
    assert net[0].weight.dtype == torch.float32
    assert torch.equal(net[0].weight, before)
    assert net[0].weight.grad is None
