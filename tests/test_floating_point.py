"""Where the Bernoulli formula stops being itself in floating point: the measured facts that the verdicts rest on."""

import math

import pytest
import torch
from objective_cases import Function, at, point, reference
from torch import Tensor
from torch.nn import functional

from mlnn.objectives import bce, bce_with_logits, bernoulli_nll_clipped, bernoulli_nll_log1p, bernoulli_nll_naive

f16, bf16, f32, f64 = torch.float16, torch.bfloat16, torch.float32, torch.float64


def smallest(holds: Function, low: float, high: float) -> float:
    """By bisection in float64, the smallest z in [low, high] at which `holds` (false at low, true at high) is true."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@pytest.mark.parametrize(("dtype", "expected"), [(f64, 36.74), (f32, 16.64), (f16, 8.32), (bf16, 6.23)], ids=str)
def test_the_smallest_output_whose_sigmoid_is_one(dtype: torch.dtype, expected: float) -> None:
    found = smallest(lambda z: torch.sigmoid(torch.tensor(z, dtype=dtype)).item() == 1.0, 0.0, 40.0)
    assert round(found, 2) == expected


@pytest.mark.parametrize(
    ("dtype", "edge", "alive"), [(f64, 36.74, 27.5), (f32, 16.64, 16.5), (bf16, 6.25, 6.0)], ids=str
)
def test_bce_says_100_with_gradient_0_beyond_it(dtype: torch.dtype, edge: float, alive: float) -> None:
    assert point(bce, edge, 0.0, dtype) == (100.0, 0.0)
    assert point(bce, edge - 0.1, 0.0, dtype)[0] < 40
    assert point(bce, alive, 0.0, dtype)[1] > 0.9


def test_bce_has_a_nan_gradient_in_float16() -> None:
    value, gradient = point(bce, 9.0, 0.0, f16)
    assert value == 100.0
    assert gradient != gradient


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_the_gradient_of_bce_dies_below_minus_27_63(dtype: torch.dtype) -> None:
    """Where p < 1e-12 the framework divides by 1e-12: the gradient is −p/1e-12, and the truth is −1."""
    eps = torch.finfo(dtype).eps
    edge = -smallest(lambda z: abs(point(bce, -z, 1.0, dtype)[1] + 1) > 1e-3, 27.0, 28.0)
    assert round(edge, 2) == -27.63
    assert point(bce, -27.5, 1.0, dtype)[1] == pytest.approx(-1 / (1 + math.exp(-27.5)), rel=2 * eps, abs=0)
    assert point(bce, -30.0, 1.0, dtype) == (
        pytest.approx(30, rel=4 * eps),
        pytest.approx(-torch.sigmoid(torch.tensor(-30.0)).item() / 1e-12, rel=1e-6),
    )
    assert point(bce, -1000.0, 1.0, dtype) == (100.0, 0.0)
    assert point(bernoulli_nll_log1p, -30.0, 1.0, dtype) == pytest.approx((30, -1), rel=1e-12, abs=0)


@pytest.mark.parametrize("dtype", [f32, f64, bf16], ids=str)
def test_a_right_and_confident_answer_is_nan_in_the_textbook_formula(dtype: torch.dtype) -> None:
    def clamped(z: Tensor, y: Tensor) -> Tensor:
        p = torch.sigmoid(z)
        return -(y * torch.log(p).clamp(min=-100) + (1 - y) * torch.log(1 - p).clamp(min=-100))

    def xlogy(z: Tensor, y: Tensor) -> Tensor:
        p = torch.sigmoid(z)
        return -(torch.xlogy(y, p) + torch.xlogy(1 - y, 1 - p))

    value, gradient = point(bernoulli_nll_naive, 40.0, 1.0, dtype)
    assert value != value
    assert gradient != gradient
    for mended in (clamped, xlogy):  # the right value, and a gradient that ends the training all the same
        value, gradient = point(mended, 40.0, 1.0, dtype)
        assert value == 0
        assert gradient != gradient


@pytest.mark.parametrize("dtype", [f16, bf16], ids=str)
def test_clipping_does_nothing_in_half_precision(dtype: torch.dtype) -> None:
    assert torch.tensor(1 - 1e-7, dtype=dtype) == 1
    value, gradient = point(bernoulli_nll_clipped, 40.0, 1.0, dtype)
    assert value != value
    assert gradient != gradient
    assert point(bernoulli_nll_clipped, 40.0, 1.0, f32)[1] == 0


def test_bce_with_logits_loses_its_gradient_near_the_right_answer() -> None:
    true = reference(torch.tensor(15.0), torch.tensor(1.0))[1].item()
    assert point(bce_with_logits, 15.0, 1.0, f32)[1] / true - 1 == pytest.approx(0.17, abs=0.005)
    assert point(bce_with_logits, 16.9, 1.0, f64)[1] < 0
    assert all(point(bce_with_logits, z, 1.0, f32)[1] == 0 for z in (17.0, 20.0, 50.0))
    kept = point(lambda z, y: -functional.logsigmoid(z) * y, 15.0, 1.0, f32)[1]
    assert kept == pytest.approx(true, rel=1e-6, abs=0)


def test_softplus_is_off_just_above_its_threshold_in_float64() -> None:
    def gap(z: float) -> float:
        return point(lambda z, _: functional.softplus(z), z, 0.0)[0] - point(bernoulli_nll_log1p, z, 0.0)[0]

    assert abs(gap(20.0)) < 1e-14
    assert gap(20.0 + 1e-9) == pytest.approx(-2.06e-9, rel=1e-2)


def test_maximum_gives_half_the_gradient_at_zero_and_clamp_all_of_it() -> None:
    def clamp_form(z: Tensor, y: Tensor) -> Tensor:
        return z.clamp(min=0) - y * z + torch.log1p(torch.exp(-z.abs()))

    assert point(bernoulli_nll_log1p, 0.0, 0.0)[1] == 0.5
    assert point(clamp_form, 0.0, 0.0)[1] == 1.0


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_bce_and_the_log1p_form_agree_to_two_roundoffs(dtype: torch.dtype) -> None:
    """Gradients on all of [−27, 16]; values where p is not near 1, or where log p and not log(1 − p) is taken."""
    eps = torch.finfo(dtype).eps
    for y, low, high in ((0.0, -27.0, 0.0), (1.0, -27.0, 16.0)):
        z = torch.linspace(low, high, 2001)
        left, right = at(bce, z, y, dtype)[0], at(bernoulli_nll_log1p, z, y, dtype)[0]
        assert ((left - right).abs() <= 2 * eps * right.clamp(min=1)).all()
    for y in (0.0, 1.0):
        z = torch.linspace(-27, 16, 2001)
        assert (at(bce, z, y, dtype)[1] - at(bernoulli_nll_log1p, z, y, dtype)[1]).abs().max() <= 2 * eps
    assert abs(point(bce, 15.5, 0.0, f32)[0] - 15.5) > 1e-2  # log(1 − p) knows only the last bits of p
