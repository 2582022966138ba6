"""What is taken where nothing is said: every default of the shipped losses and likelihoods, against its closed form by hand."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mlnn import objectives as o
from mlnn.likelihoods import Likelihood
from mlnn.objectives import losses, losses_by_hand, losses_without_likelihood
from mlnn.signature import Classes, spaces

f64 = torch.float64
LOG_TWO_PI = math.log(2 * math.pi)


def sigma(z: float) -> float:
    return 1 / (1 + math.exp(-z))


# The value of a loss or likelihood, made with nothing, at a raw output and a target: by math alone, and each with the number
# far from where another value of the argument would give the same.
AT: dict[str, tuple[Any, Any, float]] = {
    "huber": (3.0, 0.5, 1.0 * (2.5 - 0.5)),
    "smooth_l1": (3.0, 0.5, 2.5 - 0.5),
    "pinball": (3.0, 0.5, 0.5 * 2.5),
    "epsilon_insensitive": (3.0, 0.5, 2.5 - 0.1),
    "negative_binomial_loss": (0.5, 3.0, 4 * math.log(1 + math.exp(0.5)) - 1.5),
    "focal": (0.5, 1.0, -((1 - sigma(0.5)) ** 2) * math.log(sigma(0.5))),
    "weighted_bce": (0.5, 1.0, -2 * math.log(sigma(0.5))),
    "label_smoothing": ([0.4, -0.3], 1, math.log(1 + math.exp(0.7)) - 0.05 * 0.7),
    "weighted_cross_entropy": ([0.4, -0.3], 1, 2 * math.log(1 + math.exp(0.7))),
    "bernoulli_nll_clipped": (20.0, 0.0, -math.log(1e-7)),
    "Normal": (3.0, 0.5, 2.5**2 / 2 + LOG_TWO_PI / 2),
    "Laplace": (3.0, 0.5, 2.5 + math.log(2)),
    "AsymmetricLaplace": (3.0, 0.5, 0.5 * 2.5 - math.log(0.25)),
    "FlatToppedLaplace": (3.0, 0.5, 2.4 + math.log(2.2)),
    "HuberDensity": (3.0, 0.5, 2.0 + math.log(math.sqrt(2 * math.pi) * math.erf(math.sqrt(0.5)) + 2 * math.exp(-0.5))),
    "StudentT": (3.0, 0.5, 2.5 * math.log(1 + 2.5**2 / 4) - math.log(3 / 8)),
    "VonMises": (3.0, 0.5, -math.cos(2.5) + math.log(2 * math.pi * 1.2660658777520084)),
    "Gamma": (0.5, 3.0, 0.5 + 3 * math.exp(-0.5)),
    "NegativeBinomial": (0.5, 3.0, 4 * math.log(1 + math.exp(0.5)) - 1.5),
    "ZeroInflatedNegativeBinomial": ([0.5, -0.2], 3.0, -math.log(1 - sigma(-0.2)) + 4 * math.log(1 + math.exp(0.5)) - 1.5),
    "HurdleNegativeBinomial": (
        [0.5, -0.2], 3.0,
        -math.log(sigma(-0.2)) + 4 * math.log(1 + math.exp(0.5)) - 1.5 + math.log(1 - 1 / (1 + math.exp(0.5))),
    ),
    "Ordinal": ([0.5, -0.2], 1, -math.log(sigma(-0.5 + math.exp(-0.2)) - sigma(-0.5))),
    "Beta": (0.5, 0.3, math.lgamma(2 * sigma(0.5)) + math.lgamma(2 * sigma(-0.5))
             - (2 * sigma(0.5) - 1) * math.log(0.3) - (2 * sigma(-0.5) - 1) * math.log(0.7)),
}  # fmt: skip
UNSEEN = {"gamma_loss": ("shape", 1.0)}  # an argument that only says as what the loss is read


def with_defaults() -> dict[str, Callable[..., Any]]:
    """Everything that ships and has an argument of its own with a default."""
    modules = (losses, losses_by_hand, losses_without_likelihood)
    found = {name: getattr(o, name) for name in o.__all__}
    ours = {
        name: one
        for name, one in found.items()
        if (
            inspect.isfunction(one)
            and (one.__module__ in {m.__name__ for m in modules} or name.startswith("bernoulli_"))
        )
        or (inspect.isclass(one) and issubclass(one, Likelihood) and one is not Likelihood)
    }
    return {
        name: one
        for name, one in ours.items()
        if any(part.default is not part.empty for part in inspect.signature(one).parameters.values())
    }


def test_every_default_stands_in_the_table() -> None:
    assert with_defaults().keys() == AT.keys() | UNSEEN.keys()


@pytest.mark.parametrize("name", AT)
def test_the_default_is_that_of_the_closed_form(name: str) -> None:
    output, target, value = AT[name]
    made = getattr(o, name)
    function = made().nll if inspect.isclass(made) else made
    labels = spaces(function) in (spaces(o.cross_entropy), spaces(o.Ordinal.nll))
    z = torch.tensor([output], dtype=f64)
    y = torch.tensor([target], dtype=torch.int64 if labels else f64)
    assert float(function(z, y)) == pytest.approx(value, rel=1e-9)


def test_a_loss_and_its_likelihood_have_the_same_defaults() -> None:
    """`likelihood_of` hands over the arguments that are given, and none that are not."""
    for loss, likelihood in o.PARTNERS.items():
        own = {
            name: part.default
            for name, part in inspect.signature(loss).parameters.items()
            if part.default is not part.empty
        }
        partner = inspect.signature(likelihood).parameters
        assert own == {name: partner[name].default for name in own}, loss.__name__


@pytest.mark.parametrize("name", UNSEEN)
def test_an_argument_that_does_not_enter_says_what_the_loss_is_read_as(name: str) -> None:
    argument, value = UNSEEN[name]
    assert inspect.signature(getattr(o, name)).parameters[argument].default == value


def test_three_classes_weigh_one_two_and_three() -> None:
    z = torch.zeros(3, 3, dtype=f64)
    assert o.weighted_cross_entropy(z, torch.arange(3)).tolist() == pytest.approx([k * math.log(3) for k in (1, 2, 3)])
    given = o.weighted_cross_entropy(z, torch.arange(3), [0.5, 1.0, 4.0])
    assert given.tolist() == pytest.approx([k * math.log(3) for k in (0.5, 1, 4)])


class Bare(Likelihood):
    """A likelihood that says nothing of itself."""

    def nll(self, output: Any, _target: Classes) -> Any:
        return output


def test_what_a_likelihood_is_taken_to_be_that_does_not_say() -> None:
    bare = Bare()
    y, mean = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 4.0])
    assert (bare.quantile, bare.flat, bare.dispersion, bare.rescaled(3.0, 7.0, 0)) == (0.5, 0.0, 1.0, (3.0, 7.0))
    assert bare.pearson(y, mean).tolist() == [4.0, 9.0]
    assert not bare.samples
    assert o.Normal().samples
    for silent in (
        bare.least(y),
        bare.information(y),
        bare.typical(y),
        bare.impossible(y),
        bare.level(y, y),
        bare.no_number(True),
    ):
        assert silent is None
