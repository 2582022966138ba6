"""Of two sides with one value and two gradients, the one whose gradient is not the derivative of its value is named."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mlnn.comparing.explaining.backward import FALLS, KNOWN, derivative, of_backward
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import trial_of
from mlnn.comparing.sample import Sample
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

REAL = TargetSpace("real")
_draws = torch.Generator().manual_seed(0)
SAMPLES = [Sample(*(torch.randn(8, generator=_draws, dtype=torch.float64) for _ in "fy")) for _ in range(2)]


def cosh(f: Tensor, y: Tensor) -> Tensor:
    return torch.log(torch.cosh(f - y)).mean()


def bent(by: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The same value; a share of the gradient more."""
    return lambda f, y: (1 + by) * cosh(f, y) - by * cosh(f, y).detach()


def higher(by: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A value that is more by a part without a gradient, relative to 1."""
    return lambda f, y: cosh(f, y) + by * torch.sin(f.sum()).detach()


def cause(left: Callable[[Tensor, Tensor], Tensor], right: Callable[[Tensor, Tensor], Tensor]) -> str:
    """The words, as far as what they add in brackets."""
    sides = Side(Objective.of(left, REAL), REAL), Side(Objective.of(right, REAL), REAL)
    trials = [trial_of(sides[0].objective, sides[1].objective, sample) for sample in SAMPLES]
    found = of_backward(sides, [trial for trial in trials if trial is not None])
    return found.words.partition(":")[0] if found else ""


RIGHT, LEFT = "right's gradient is not the derivative of its value, which is left's", (
    "left's gradient is not the derivative of its value, which is right's"
)  # fmt: skip


@pytest.mark.parametrize("by", [1.0, -1.0, -0.5, 1e-3, 1e-4])
def test_a_side_whose_gradient_is_not_the_derivative_is_named(by: float) -> None:
    assert cause(cosh, bent(by)) == RIGHT
    assert cause(bent(by), cosh) == LEFT


@pytest.mark.parametrize("by", [0.0, 1e-7, 0.1 * KNOWN / FALLS])
def test_what_differences_of_values_cannot_know_names_nobody(by: float) -> None:
    assert cause(cosh, bent(by)) == cause(bent(by), cosh) == ""


def test_two_sides_that_are_both_not_their_values_derivatives_name_nobody() -> None:
    assert cause(bent(0.5), bent(-0.5)) == ""
    assert cause(bent(0.5), bent(0.5)) == ""


@pytest.mark.parametrize("by", [1.0, -0.1, 1e-2])
def test_a_part_of_the_value_without_a_gradient_is_named(by: float) -> None:
    assert cause(cosh, higher(by)) == "right's value has a part without a gradient, and its gradient is left's"
    assert cause(higher(by), cosh) == "left's value has a part without a gradient, and its gradient is right's"


def test_a_small_part_that_changes_fast_is_named() -> None:
    def rippled(f: Tensor, y: Tensor) -> Tensor:
        return cosh(f, y) + 1e-6 * torch.sin(100 * f.sum()).detach()

    assert cause(cosh, rippled) == "right's value has a part without a gradient, and its gradient is left's"


def test_a_value_that_is_off_by_rounding_names_nobody() -> None:
    assert cause(cosh, higher(1e-10)) == cause(higher(1e-10), cosh) == ""


def test_another_loss_is_no_wrong_gradient() -> None:
    assert cause(cosh, lambda f, y: ((f - y) ** 2).mean()) == ""
    assert cause(cosh, lambda f, y: 1.5 * cosh(f, y)) == ""
    # its gradient is not its value's, and neither is the value the other's
    assert cause(cosh, lambda f, y: bent(0.5)(f, y) + 0.1 * torch.sin(f.sum())) == ""


def test_a_side_that_refuses_names_nobody() -> None:
    def far(f: Tensor, y: Tensor) -> Tensor:
        if not any(torch.equal(f.detach(), one.output) for one in SAMPLES):
            raise ValueError("here only")
        return bent(0.5)(f, y)

    assert cause(cosh, far) == ""


def test_three_slopes_give_the_derivative_to_the_sixth_power_of_the_step() -> None:
    """Of f(h) = a + b·h² + c·h⁴ nothing but a is left."""
    assert derivative([2.0 + 3.0 * h**2 + 5.0 * h**4 for h in (0.4, 0.2, 0.1)]) == pytest.approx(2.0, abs=1e-12)
