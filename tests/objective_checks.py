"""The checks that every objective goes through; what they fail on is in test_objectives.py."""

import pytest
import torch
from objective_cases import BINARY, Function, at, batch, point, reference
from torch import Tensor

from mlnn.targets import TargetSpace


def check_rows(function: Function, targets: TargetSpace = BINARY) -> None:
    """One value per row, that row's own, in the dtype of the output; finite, and not negative where the target is discrete.

    (A likelihood of a binary or class target is a probability, and no loss of one is negative either.)
    """
    for dtype in (torch.float32, torch.float64):
        z, y = batch(targets, dtype)
        value = function(z, y)
        assert value.shape == z.shape[:1]
        assert value.dtype == dtype
        assert torch.isfinite(value).all()
        assert (value >= 0).all() or targets.kind not in ("binary", "classes")
        alone = torch.cat([function(z[i : i + 1], y[i : i + 1]) for i in range(len(z))])
        # A vector unit may round differently from the scalar code of a single row.
        assert (alone - value).abs().max() <= 4 * torch.finfo(dtype).eps * value.abs().max()


def gradient_of(function: Function, z: Tensor, y: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(z, y).sum(), z)
    return gradient


def check_derivative(function: Function, targets: TargetSpace = BINARY) -> None:
    """Gradient against a central difference in float64, off by step² × third derivative and rounding/step: 1e-9 of it.

    No drawn row lies within a step of a kink (of a hinge, an absolute value): there no difference would be small.
    """
    step = 1e-5
    z, y = batch(targets, torch.float64)
    gradient = gradient_of(function, z, y).reshape(len(z), -1)
    for column, slope in enumerate(gradient.T):
        move = torch.zeros_like(z.reshape(len(z), -1))
        move[:, column] = step
        difference = function(z + move.reshape(z.shape), y) - function(z - move.reshape(z.shape), y)
        scale = 1 + slope.abs() + function(z, y).detach().abs()
        assert ((slope - difference / (2 * step)).abs() < 2e-9 * scale).all()


def on_interval(targets: TargetSpace, low: float, high: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Raw outputs over an interval and the targets of a batch against each; with several outputs one runs, the rest are 0."""
    z = torch.linspace(low, high, 301, dtype=torch.float64).to(dtype)
    _, y = batch(targets, dtype)
    z, y = z.repeat_interleave(len(y)), y.repeat(len(z))
    if targets.outputs > 1:
        z = torch.cat([torch.zeros(len(z), targets.outputs - 1, dtype=dtype), z[:, None]], 1)
    return z, y


def check_own(function: Function, targets: TargetSpace, low: float, high: float) -> None:
    """float32 within 64 eps of float64 at the very same raw outputs and targets, values and gradients.

    The yardstick is the size of the terms that a formula adds up: value, gradient, and output times target.
    """
    z, y = on_interval(targets, low, high, torch.float32)
    exact = y if y.dtype == torch.int64 else y.double()
    eps = torch.finfo(torch.float32).eps
    strength = z.double().reshape(len(z), -1)[:, -1].abs()
    terms = (1 + strength) * (1 + exact.abs())
    value, true = function(z, y).double(), function(z.double(), exact)
    assert ((value - true).abs() <= 64 * eps * (terms + true.abs())).all()
    slope, true_slope = gradient_of(function, z, y).double(), gradient_of(function, z.double(), exact)
    wide = (terms + true.abs()).reshape(-1, *[1] * (z.ndim - 1))
    assert torch.isfinite(true_slope).all()
    assert ((slope - true_slope).abs() <= 64 * eps * (wide + true_slope.abs())).all()


def check_domain(function: Function, low: float, high: float, through_p: bool, dtype: torch.dtype) -> None:
    """Values within 2 eps of max(1, |z|), gradients within 2 eps, against the stable float64 reference.

    log(1 − p) from a p known to two units in its last place, eps/2 each, may be off by eps/(1 − p) ≈ eps · e^z more.
    """
    eps = torch.finfo(dtype).eps
    z = torch.linspace(low, high, 2001, dtype=torch.float64).to(dtype)
    for y in (0.0, 1.0):
        value, gradient = at(function, z, y, dtype)
        true_value, true_gradient = reference(z, torch.tensor(y))
        allowed = 2 * eps * z.double().abs().clamp(min=1)
        if through_p:
            allowed = allowed + eps * z.double().exp()
        assert ((value.double() - true_value).abs() <= allowed).all()
        assert ((gradient.double() - true_gradient).abs() <= 2 * eps).all()


def check_exact_far_out(function: Function, dtype: torch.dtype) -> None:
    for z, y, expected in (
        (1000.0, 0.0, (1000, 1)),
        (1000.0, 1.0, (0, 0)),
        (-1000.0, 0.0, (0, 0)),
        (-1000.0, 1.0, (1000, -1)),
    ):
        assert point(function, z, y, dtype) == expected


def check_hundred_far_out(function: Function, dtype: torch.dtype) -> None:
    for z, y, expected in ((1000.0, 0.0, 100), (1000.0, 1.0, 0), (-1000.0, 0.0, 0), (-1000.0, 1.0, 100)):
        assert point(function, z, y, dtype) == (expected, 0)


def check_clipped_far_out(function: Function, dtype: torch.dtype) -> None:
    low = torch.tensor(1e-7, dtype=dtype)
    edges = {0.0: 1 - (1 - low), 1.0: low}  # the probability left for a wrong target; 1 − 1e-7 rounds in float32
    for z, y in ((1000.0, 0.0), (-1000.0, 1.0)):
        assert point(function, z, y, dtype) == (pytest.approx(-edges[y].log().item(), rel=1e-6), 0)
        assert point(function, -z, y, dtype) == (pytest.approx(1e-7, rel=0.2), 0)


def check_nan_far_out(function: Function, dtype: torch.dtype) -> None:
    """0 · log 0 where the answer is right; ∞ where it is wrong; the gradient is NaN in both."""
    for z, y in ((1000.0, 0.0), (1000.0, 1.0), (-1000.0, 0.0), (-1000.0, 1.0)):
        value, gradient = at(function, z, y, dtype)
        assert value.isnan() if (z > 0) == (y == 1) else value.isposinf()
        assert gradient.isnan()


def check_overflow_far_out(function: Function, dtype: torch.dtype) -> None:
    """e^(−u) overflows for a wrong answer: ∞ and no gradient; a right one is 0 and flat."""
    for z, y in ((1000.0, 0.0), (-1000.0, 1.0)):
        value, gradient = at(function, z, y, dtype)
        assert value.isposinf()
        assert gradient.isnan()
        assert point(function, -z, y, dtype) == (0, 0)


FAR_OUT = {
    "bce": check_hundred_far_out,
    "bce_with_logits": check_exact_far_out,
    "bernoulli_nll": check_exact_far_out,
    "bernoulli_nll_clipped": check_clipped_far_out,
    "bernoulli_nll_log1p": check_exact_far_out,
    "bernoulli_nll_naive": check_nan_far_out,
    "soft_margin": check_overflow_far_out,
}
