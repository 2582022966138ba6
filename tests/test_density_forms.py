"""Densities by their formulas: torch's own where it has them, and what they add up to where it has not."""

from typing import Any

import pytest
import torch
from asked_cases import f64, numbers

from mlnn.auditing.density_forms import FORMS, WIDTH_LINKS, log_softplus

BY_NAME = {form.name: form for form in FORMS}
D = torch.distributions
A, B, C, P = (torch.tensor(x, dtype=f64) for x in (0.7, 1.3, 4.0, 0.3))
LINE, HALF, UNIT, COUNT = numbers(-2.0, 0.1, 3.0), numbers(0.2, 1.0, 3.0), numbers(0.2, 0.5, 0.9), numbers(0, 1, 5)
TORCH = {
    "normal": (LINE, (A, B), D.Normal(A, B)), "Laplace": (LINE, (A, B), D.Laplace(A, B)),
    "Gumbel": (LINE, (A, B), D.Gumbel(A, B)), "Cauchy": (LINE, (A, B), D.Cauchy(A, B)),
    "Student t": (LINE, (A, B, C), D.StudentT(C, A, B)), "lognormal": (HALF, (A, B), D.LogNormal(A, B)),
    "gamma": (HALF, (A, B), D.Gamma(B, B / A)), "Weibull": (HALF, (A, B), D.Weibull(A, B)),
    "beta": (UNIT, (P, C), D.Beta(P * C, (1 - P) * C)), "Kumaraswamy": (UNIT, (A, B), D.Kumaraswamy(A, B)),
    "Poisson": (COUNT, (A,), D.Poisson(A)), "negative binomial": (COUNT, (A, B), D.NegativeBinomial(B, A / (A + B))),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_a_density_is_the_one_of_its_name(name: str) -> None:
    y, parameters, truth = TORCH[name]
    assert BY_NAME[name].nll(y, *parameters).tolist() == pytest.approx((-truth.log_prob(y)).tolist(), rel=1e-9)


@pytest.mark.parametrize(("name", "parameters", "plain"), [
    ("zero-inflated Poisson", (A, P), "Poisson"), ("zero-inflated negative binomial", (A, B, P), "negative binomial"),
])  # fmt: skip
def test_extra_zeros_are_added_to_those_of_the_counts(name: str, parameters: Any, plain: str) -> None:
    held = torch.exp(-BY_NAME[plain].nll(COUNT, *parameters[:-1]))
    wanted = P * (COUNT == 0) + (1 - P) * held
    assert torch.exp(-BY_NAME[name].nll(COUNT, *parameters)).tolist() == pytest.approx(wanted.tolist())


def test_a_hurdle_has_a_probability_of_none() -> None:
    every = torch.arange(60, dtype=f64)
    p = torch.exp(-BY_NAME["hurdle Poisson"].nll(every, A, P))
    assert (float(p[0]), float(p.sum())) == (pytest.approx(0.3), pytest.approx(1.0))


def test_an_inverse_gaussian_has_its_mean() -> None:
    y = torch.linspace(1e-4, 60, 200001, dtype=f64)
    mass = torch.exp(-BY_NAME["inverse Gaussian"].nll(y, A, B))
    assert float(torch.trapezoid(mass, y)) == pytest.approx(1.0, abs=1e-6)
    assert float(torch.trapezoid(mass * y, y)) == pytest.approx(0.7, abs=1e-6)


def test_widths_of_a_mixture_by_their_links() -> None:
    x = numbers(-40.0, -29.0, 0.0, 2.0)
    soft = torch.log1p(x.exp()).log()
    assert log_softplus(x).tolist() == pytest.approx(soft.tolist(), rel=1e-9)
    wanted = {
        "standard deviations exp": x, "variances exp": x / 2, "standard deviations softplus": soft,
        "variances softplus": soft / 2,
    }  # fmt: skip
    found = {name.removesuffix("({})"): link(x).tolist() for name, link in WIDTH_LINKS.items()}
    assert found == {name: pytest.approx(value.tolist(), rel=1e-9) for name, value in wanted.items()}
