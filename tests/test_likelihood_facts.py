"""What a likelihood says of itself in closed form, against its own nll: Fisher information by quadrature, majorants by slopes."""

import inspect
import math

import pytest
import scipy
import torch
from torch import Tensor

from mlnn import objectives as o
from mlnn.likelihoods import Likelihood
from mlnn.likelihoods.bernoulli import bernoulli_nll_clipped
from mlnn.likelihoods.likelihood import adopted, freed
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


def all_targets(likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """All targets, or a fine grid of a coordinate of them, and how much of the space each stands for."""
    space = TargetSpace(likelihood.kind)
    if space.kind == "binary":
        return torch.tensor([0.0, 1.0], dtype=f64), torch.ones(2, dtype=f64)
    if space.kind == "counts":
        return torch.arange(4000, dtype=f64), torch.ones(4000, dtype=f64)
    if isinstance(likelihood, o.VonMises):
        turn = torch.linspace(-torch.pi, torch.pi, 20001, dtype=f64)[1:]
        return turn, torch.full_like(turn, 2 * torch.pi / 20000)
    target, step = LINE, torch.full_like(LINE, float(LINE[1] - LINE[0]))
    if space.kind == "positive":
        return target.exp(), step * target.exp()
    if space.kind == "unit":
        share = torch.sigmoid(target[target.abs() < 30])
        return share, step[0] * share * (1 - share)
    return target, step


def by_quadrature(likelihood: Likelihood, at: float) -> float:
    """E[(∂nll/∂f)²] at one raw output."""
    target, step = all_targets(likelihood)
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


ONE_OUTPUT = [
    name
    for name, made in SHIPPED.items()
    if made().samples and len(made().outputs) == 1 and made().kind not in ("classes", "ordinal")
]


@pytest.mark.parametrize("name", ONE_OUTPUT)
def test_draws_are_as_surprising_as_the_density_says(name: str) -> None:
    """The mean nll of draws is the entropy, which tails and middle exchanged, or a wrong scale, would not have."""
    likelihood, at = SHIPPED[name](), 0.4
    target, step = all_targets(likelihood)
    nll = likelihood.nll(torch.full_like(target, at), target)
    held = torch.where(torch.isfinite(nll), nll, 0.0)
    entropy = float((torch.exp(-nll).nan_to_num(0.0) * step * held).sum())
    draws = likelihood.sample(torch.full((20_000,), at, dtype=f64), torch.Generator().manual_seed(0))
    found = likelihood.nll(torch.full_like(draws, at), draws)
    assert float(found.mean()) == pytest.approx(entropy, abs=5 * float(found.std()) / 20_000**0.5 + 1e-3)


HUBER = math.sqrt(2 * math.pi) * (2 * scipy.stats.norm.cdf(1) - 1) + 2 * math.exp(-0.5)
"""The integral of exp(−r²/2) from −1 to 1 and of exp(½ − |r|) beyond."""
STANDARD: dict[str, tuple[float, float, float]] = {
    "Normal": (1.5, 0.5, scipy.stats.norm.logpdf(1.0)),
    "Laplace": (1.5, 0.5, scipy.stats.laplace.logpdf(1.0)),
    "StudentT": (1.5, 0.5, scipy.stats.t.logpdf(1.0, 4)),
    "HuberDensity": (3.0, 0.5, -2.0 - math.log(HUBER)),
    "FlatToppedLaplace": (1.5, 0.5, -0.9 - math.log(2.2)),
    "AsymmetricLaplace": (1.5, 0.5, scipy.stats.laplace.logpdf(1.0, scale=2)),
    "VonMises": (1.5, 0.5, scipy.stats.vonmises.logpdf(1.0, 1.0)),
    "Gamma": (1.5, 0.0, scipy.stats.expon.logpdf(1.5)),
    "Beta": (0.3, 0.0, 0.0),
    "NegativeBinomial": (3.0, 0.0, scipy.stats.geom.logpmf(4, 0.5)),
    "HurdleNegativeBinomial": (3.0, 0.0, math.log(0.5 * 0.0625 / 0.5)),
    "ZeroInflatedNegativeBinomial": (3.0, 0.0, math.log(0.5 * 0.0625)),
}  # fmt: skip
"""A target, a raw output, and what the family's standard member says of it: exponential, uniform, geometric …"""


@pytest.mark.parametrize("name", STANDARD)
def test_made_without_numbers_it_is_the_standard_one(name: str) -> None:
    target, output, wanted = STANDARD[name]
    likelihood = SHIPPED[name]()
    raw = torch.full((1, len(likelihood.outputs)), output, dtype=f64)
    told = likelihood.nll(raw if len(likelihood.outputs) > 1 else raw[:, 0], torch.tensor([target], dtype=f64))
    assert -float(told) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_a_bernoulli_s_quick_derivatives_are_those_of_its_nll_and_of_no_other_s() -> None:
    class Softer(o.Bernoulli):
        def nll(self, output: Tensor, target: Tensor) -> Tensor:
            return super().nll(output / 2, target)

    z = torch.tensor([-800.0, -3.0, 0.0, 2.0, 40.0], dtype=f64, requires_grad=True)
    y = torch.tensor([0.0, 1.0, 0.25, 1.0, 0.0], dtype=f64)
    told = o.Bernoulli().derivatives(z.detach(), y)
    assert told is not None
    nll, slope, bend = told
    torch.testing.assert_close(nll, o.Bernoulli().nll(z, y).detach())
    torch.testing.assert_close(slope, score(o.Bernoulli(), z.detach(), y))
    torch.testing.assert_close(bend, (torch.sigmoid(z) * torch.sigmoid(-z)).detach())
    assert Softer().derivatives(z.detach(), y) is None


@pytest.mark.parametrize(("z", "teaches"), [(15.0, True), (-15.0, True), (17.0, False), (-17.0, False)])
def test_a_clipped_nll_teaches_within_the_bound_that_it_says(z: float, teaches: bool) -> None:
    at = torch.tensor([z], dtype=f64, requires_grad=True)
    bernoulli_nll_clipped(at, torch.tensor([float(z < 0)], dtype=f64)).backward()
    assert at.grad is not None
    assert bool(at.grad) == teaches


class NllAlone(Likelihood):
    """What somebody writes who has read no further than `nll`."""

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        return (target - output).abs()


class WithMean(NllAlone):
    def mean(self, output: Tensor) -> Tensor:
        return output


class WithCentre(NllAlone):
    def centre(self, output: Tensor) -> Tensor:
        return output


class WithDraws(NllAlone):
    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return output + torch.randn(output.shape, generator=generator)


class Elsewhere:
    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        return (target - output).abs()


class ElsewhereWithMean(Elsewhere):
    def mean(self, output: Tensor) -> Tensor:
        return output


@pytest.mark.parametrize(
    ("made", "predicts", "samples"),
    [
        (o.Normal(), True, True),
        (NllAlone(), False, False),
        (WithMean(), True, False),
        (WithCentre(), True, False),
        (WithDraws(), False, True),
        (adopted(Elsewhere()), False, False),
        (adopted(ElsewhereWithMean()), True, False),
    ],
)
def test_what_a_class_can_do_is_what_it_has_written(made: Likelihood, predicts: bool, samples: bool) -> None:
    assert (made.predicts, made.samples) == (predicts, samples)


def test_a_family_is_a_class_whatever_its_numbers() -> None:
    made = [o.Normal(1.0), o.Laplace(1.0), adopted(Elsewhere()), adopted(ElsewhereWithMean())]
    others = [o.Normal(2.0), o.Laplace(3.0), adopted(Elsewhere()), adopted(ElsewhereWithMean())]
    for place, one in enumerate(made):
        assert [one.same(other) for other in others] == [place == at for at in range(4)]


def test_a_number_is_free_where_the_class_itself_says_so() -> None:
    class Mine(o.Normal):
        pass

    class Free(o.Normal):
        free = "sigma"

    class FreeByInheritance(Free):
        pass

    assert [freed(made(2.0)) for made in (Mine, Free, FreeByInheritance)] == [(), ("sigma",), ("sigma",)]


def test_a_beta_density_is_infinite_or_nothing_at_both_ends_alone() -> None:
    rows, why = o.Beta(2.0).impossible(torch.tensor([0.0, 1e-300, 0.5, 1.0], dtype=f64))
    assert rows.tolist() == [True, False, False, True]
    assert "0 or 1" in why


def test_half_a_poisson_deviance_is_nll_less_its_least_and_keeps_its_digits_at_large_counts() -> None:
    poisson, y = o.Poisson(), torch.tensor([0.0, 1.0, 4.0], dtype=f64)
    for at in (-1.0, 0.0, 2.0):
        f = torch.full_like(y, at)
        torch.testing.assert_close(poisson.above(f, y), poisson.nll(f, y) - poisson.least(y), rtol=1e-12, atol=1e-14)
    large = torch.tensor([1e12], dtype=f64)
    assert float(poisson.above(large.log() + 1e-6, large)) == pytest.approx(1e12 * 0.5e-12, rel=1e-3)
