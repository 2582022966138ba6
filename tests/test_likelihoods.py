"""The catalogue of likelihoods against scipy, integrals, samples and refits; each check fails on a planted fault."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from likelihood_cases import CASES, Reference
from objective_cases import batch, space_of
from torch import Tensor

from mlnn import objectives as o
from mlnn.errors import ConfigError
from mlnn.objectives import Likelihood
from mlnn.targets import TargetSpace

f64 = torch.float64


every = pytest.mark.parametrize("name", CASES)
COUNTS_OF_TWO = ("ZeroInflatedPoisson", "ZeroInflatedNegativeBinomial", "HurdlePoisson", "HurdleNegativeBinomial")
LABELS = {"Categorical": 3, "Ordinal": 4}


def outputs_for(name: str, rows: int, at: float = 0.4) -> Tensor:
    """The same raw output in every row."""
    two = torch.tensor([0.4, -0.8])
    shapes = {"Categorical": torch.tensor([0.4, -0.3, 1.0]), "Ordinal": torch.tensor([0.4, -0.3, 0.2])}
    shapes |= dict.fromkeys(("NormalLearnedVariance", *COUNTS_OF_TWO), two)
    return shapes[name].to(f64).expand(rows, -1) if name in shapes else torch.full((rows,), at, dtype=f64)


def check_values(likelihood: Likelihood, reference: Reference, targets: TargetSpace) -> None:
    z, y = batch(targets, f64, rows=200)
    torch.testing.assert_close(
        likelihood.nll(z, y), torch.as_tensor(reference(y.numpy(), z.numpy())), rtol=1e-12, atol=1e-12
    )


@every
def test_values_are_those_of_another_source(name: str) -> None:
    likelihood, reference = CASES[name]
    targets = o.Objective.of(likelihood, space_of(likelihood)).targets
    check_values(likelihood, reference, targets)
    with pytest.raises(AssertionError):
        check_values(likelihood, lambda y, f: reference(y, f) + 1e-9, targets)
    with pytest.raises(AssertionError):
        check_values(likelihood, lambda y, f: reference(y, f + 1e-6 * np.arange(f.ndim, f.ndim + f.shape[-1])), targets)


def test_every_likelihood_of_the_catalogue_is_here() -> None:
    found = {name for name in o.__all__ if hasattr(getattr(o, name), "nll")} - {"Likelihood"}
    assert found == set(CASES)


def mass(nll: Callable[[Tensor, Tensor], Tensor], name: str, kind: str) -> float:
    """Σ or ∫ of exp(−nll) over all targets at one raw output; by substitution on grids fine enough for 1e-9."""
    if kind in ("binary", "classes", "counts", "ordinal"):
        y = torch.arange({"binary": 2, "classes": 3, "ordinal": 4}.get(kind, 400))
        y = y if kind in ("classes", "ordinal") else y.to(f64)
        return float(torch.exp(-nll(outputs_for(name, len(y)), y)).sum())
    if name == "VonMises":
        y = torch.linspace(-math.pi, math.pi, 2001, dtype=f64)[1:]
        return float(torch.exp(-nll(outputs_for(name, 2000), y)).sum() * 2 * math.pi / 2000)
    # y = sinh(½π sinh t)-like maps send the whole line to a few units of t; kinks sit on the panels' ends.
    total = 0.0
    for low, high in panels(name):
        t = torch.linspace(-4.2, 4.2, 4001, dtype=f64)
        double = 0.5 * math.pi * torch.sinh(t)
        slope = 0.5 * math.pi * torch.cosh(t)
        if math.isinf(low) or math.isinf(high):
            sign, end = (1, low) if math.isinf(high) else (-1, high)
            y, weight = end + sign * torch.exp(double), torch.exp(double) * slope
        else:
            y = low + (high - low) * torch.sigmoid(2 * double)
            weight = (high - low) * 2 * slope * torch.sigmoid(2 * double) * torch.sigmoid(-2 * double)
        inside = (y > low) & (y < high) & (weight > 0) & torch.isfinite(y)
        y, weight = y[inside], weight[inside]
        total += float((torch.exp(-nll(outputs_for(name, len(y)), y)) * weight).sum()) * 8.4 / 4000
    return total


def panels(name: str) -> list[tuple[float, float]]:
    f = 0.4
    if name == "Gamma":
        return [(0.0, 1.0), (1.0, math.inf)]
    if name == "Beta":
        return [(0.0, 0.5), (0.5, 1.0)]
    reach = {"HuberDensity": 1.3, "FlatToppedLaplace": 0.4}.get(name)
    ends = [f] if reach is None else [f - reach, f + reach]
    return list(zip([-math.inf, *ends], [*ends, math.inf], strict=True))


@every
def test_probabilities_add_up_to_one(name: str) -> None:
    likelihood = CASES[name][0]
    kind = space_of(likelihood).kind
    assert mass(likelihood.nll, name, kind) == pytest.approx(1, abs=1e-9)
    assert mass(lambda z, y: likelihood.nll(z, y) + 1e-8, name, kind) != pytest.approx(1, abs=1e-9)


def refit(name: str, drawn: Tensor) -> Tensor:
    """The raw output that maximises the likelihood of the draws, by Newton-like steps (L-BFGS) from zero."""
    start = torch.zeros_like(outputs_for(name, 1)[0]).requires_grad_()
    optimizer = torch.optim.LBFGS([start], max_iter=60, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = CASES[name][0].nll(start.expand(len(drawn), *start.shape), drawn).mean()
        value.backward()
        return value

    optimizer.step(closure)
    found = start.detach()
    return found - found[0] if name == "Categorical" else found


@every
def test_samples_refit_to_the_truth_and_follow_the_generator(name: str) -> None:
    """The sampler and the nll agree: fitted on 40,000 draws, the raw output comes back within five standard errors."""
    rows, z = 40_000, outputs_for(name, 40_000)

    def draw(seed: int) -> Tensor:
        return CASES[name][0].sample(z, torch.Generator().manual_seed(seed))

    drawn, state = draw(0), torch.get_rng_state()
    truth = z[0] - z[0][0] if name == "Categorical" else z[0]
    # No likelihood here knows less than 0.04 nats per row about any of its raw outputs: five standard errors ≤ 0.125.
    bound = 5 / math.sqrt(0.04 * rows)
    assert drawn.shape == (rows,)
    assert (refit(name, drawn) - truth).abs().max() < bound
    assert (refit(name, drawn) - truth - 0.2).abs().max() > bound
    assert torch.equal(drawn, draw(0))
    assert not torch.equal(drawn, draw(1))
    assert torch.equal(torch.get_rng_state(), state)
    space_of(CASES[name][0]).check(drawn)


@every
def test_the_mean_is_that_of_the_draws(name: str) -> None:
    """Within five standard errors of the draws (a direction, for angles; a frequency, for classes)."""
    rows, likelihood = 40_000, CASES[name][0]
    drawn = likelihood.sample(outputs_for(name, rows), torch.Generator().manual_seed(3))
    mean = likelihood.mean(outputs_for(name, 1))[0]
    values = {
        **{one: lambda k=k: torch.nn.functional.one_hot(drawn, k).to(f64) - mean for one, k in LABELS.items()},
        "VonMises": lambda: torch.sin(drawn - mean)[:, None],
    }.get(name, lambda: (drawn - mean)[:, None])()
    bound = 5 * values.std(0) / math.sqrt(rows)
    assert (values.mean(0).abs() < bound).all()
    assert ((values + 0.1).mean(0).abs() > bound).all()


@every
def test_no_raw_output_beats_the_saturated_model(name: str) -> None:
    likelihood = CASES[name][0]
    targets = space_of(likelihood)
    _, y = batch(targets, f64, rows=25)
    least = likelihood.least(y)
    if name == "NormalLearnedVariance":
        assert least.isneginf().all()
        return
    grid = torch.linspace(-40, 40, 16001, dtype=f64)
    if least is None:  # of the hurdle over negative binomial counts it is not known
        assert name == "HurdleNegativeBinomial"
        return
    if name == "Ordinal":  # a step as long as it takes, or the end that is wanted
        far = torch.tensor([[-40.0, 0, 0], [20, 3.7, 0], [20, -30, 3.7], [40, -30, -30]], dtype=f64)
        tried = torch.stack([likelihood.nll(row.expand(25, 3), y) for row in far], 1)
    elif name in COUNTS_OF_TWO:
        ends = torch.tensor([-40.0, 40.0], dtype=f64)
        pairs = torch.cartesian_prod(grid[::4], ends)
        tried = likelihood.nll(pairs.repeat(25, 1), y.repeat_interleave(len(pairs))).reshape(25, -1)
    elif name == "Categorical":
        tried = torch.stack([likelihood.nll(40 * torch.eye(4, dtype=f64)[k].expand(25, 4), y) for k in range(4)], 1)
    else:
        tried = likelihood.nll(grid.repeat(25), y.repeat_interleave(len(grid))).reshape(25, -1)
    best = tried.amin(1)
    assert (least <= best + 1e-12).all()
    assert (best - least < 1e-2).all(), "and one comes near"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: o.Normal(0.0), "objective.sigma: must be a finite number above 0, found 0.0"),
        (lambda: o.Laplace(-1.0), "objective.scale"),
        (lambda: o.AsymmetricLaplace(1.0), "objective.tau: must lie strictly between 0 and 1"),
        (lambda: o.FlatToppedLaplace(math.inf), "objective.epsilon"),
        (lambda: o.HuberDensity(math.nan), "objective.delta"),
        (lambda: o.VonMises("1"), "objective.concentration"),
        (lambda: o.Gamma(True), "objective.shape"),
        (lambda: o.NegativeBinomial(0), "objective.theta"),
        (lambda: o.Beta(0), "objective.precision"),
        (lambda: o.StudentT(0), "objective.df"),
        (lambda: o.StudentT(1.0).mean(torch.zeros(1)), "has no mean; take df > 1"),
    ],
)
def test_numbers_that_make_no_density_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_the_probit_keeps_its_gradient_where_the_framework_loses_it() -> None:
    """d/dz −log Φ(z) at z = −1000 is 1000 + 1/1000; torch.special.log_ndtr gives 956 in float32."""
    for function, right in (
        (lambda z: -o.BernoulliProbit().nll(z, torch.ones(1)), True),
        (torch.special.log_ndtr, False),
    ):
        z = torch.tensor([-1000.0], requires_grad=True)
        (gradient,) = torch.autograd.grad(function(z).sum(), z)
        assert (abs(gradient.item() - 1000.001) < 1e-3) == right
