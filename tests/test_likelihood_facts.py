"""What a likelihood says of itself in closed form, against its own nll: Fisher information by quadrature, majorants by slopes."""

import inspect

import pytest
import torch
from torch import Tensor

from mlnn import objectives as o
from mlnn.likelihoods import Likelihood
from mlnn.targets import TargetSpace

f64 = torch.float64
SHIPPED = {
    name: made
    for name in o.__all__
    if inspect.isclass(made := getattr(o, name)) and issubclass(made, Likelihood) and made is not Likelihood
}
LINE = torch.linspace(-60, 60, 240001, dtype=f64)
OUTPUTS = (-1.3, 0.4, 1.1)


def score(likelihood: Likelihood, output: Tensor, target: Tensor) -> Tensor:
    output = output.clone().requires_grad_()
    (slope,) = torch.autograd.grad(likelihood.nll(output, target).sum(), output)
    return slope.detach()


def by_quadrature(likelihood: Likelihood, at: float) -> float:
    """E[(∂nll/∂f)²] at one raw output: over all targets, or a fine grid of a coordinate of them."""
    space = TargetSpace(likelihood.kind)
    if space.kind == "binary":
        target, step = torch.tensor([0.0, 1.0], dtype=f64), torch.ones(2, dtype=f64)
    elif space.kind == "counts":
        target = torch.arange(4000, dtype=f64)
        step = torch.ones_like(target)
    elif isinstance(likelihood, o.VonMises):
        target = torch.linspace(-torch.pi, torch.pi, 20001, dtype=f64)[1:]
        step = torch.full_like(target, 2 * torch.pi / 20000)
    else:
        target, step = LINE, torch.full_like(LINE, float(LINE[1] - LINE[0]))
        if space.kind == "positive":
            target, step = LINE.exp(), step * LINE.exp()
    output = torch.full_like(target, at)
    weight = torch.exp(-likelihood.nll(output, target)).nan_to_num(0.0) * step
    return float((weight * score(likelihood, output, target).nan_to_num(0.0) ** 2).sum())


@pytest.mark.parametrize("name", SHIPPED)
def test_fisher_information_is_the_expected_square_of_the_score(name: str) -> None:
    likelihood = SHIPPED[name]()
    for at in OUTPUTS:
        told = likelihood.information(torch.tensor([at], dtype=f64)) if name != "Categorical" else None
        if told is not None:
            assert float(told) == pytest.approx(by_quadrature(likelihood, at), rel=2e-3)


def test_most_have_a_closed_form() -> None:
    told = {name for name, made in SHIPPED.items() if "information" in vars(made)}
    assert told >= {
        "HuberDensity",
        "HyperbolicSecant",
        "StudentT",
        "VonMises",
        "Gamma",
        "NegativeBinomial",
        "BernoulliProbit",
    }


@pytest.mark.parametrize("name", [name for name, made in SHIPPED.items() if made().robust])
def test_a_majorant_is_the_slope_over_the_residual_and_its_limit_at_zero(name: str) -> None:
    likelihood = SHIPPED[name]()
    residual = torch.tensor([-7.0, -1.0, -0.3, 1e-4, 0.5, 1.0, 2.5, 40.0], dtype=f64)
    wanted = score(likelihood, -residual, torch.zeros_like(residual)) / -residual
    torch.testing.assert_close(likelihood.majorant(residual), wanted, rtol=1e-9, atol=1e-12)
    nothing = likelihood.majorant(torch.zeros(1, dtype=f64))
    torch.testing.assert_close(nothing, likelihood.majorant(torch.full((1,), 1e-6, dtype=f64)), rtol=1e-6, atol=0)
