"""Small parts of likelihoods, each at both sides of where it turns: sides of draws, zeros, numbers that are free, questions."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import scipy
import torch
from torch import Tensor

from mlnn import objectives as o
from mlnn.errors import ConfigError
from mlnn.likelihoods import Likelihood, Ordinal
from mlnn.likelihoods.likelihood import adopted, freed
from mlnn.likelihoods.parameters import fraction, positive
from mlnn.likelihoods.probit import log_ndtr
from mlnn.likelihoods.zeros import (
    hurdle_questions,
    inflated_questions,
    log_one_minus_exp,
    log_softplus,
    mixed,
    past,
    zeros_aside,
)

f64 = torch.float64


def numbers(*given: float) -> Tensor:
    return torch.tensor(given, dtype=f64)


@pytest.mark.parametrize(
    ("made", "below"),
    [
        (o.Normal(2.0), 0.5), (o.Laplace(2.0), 0.5), (o.HuberDensity(0.5), 0.5), (o.HuberDensity(3.0), 0.5),
        (o.HyperbolicSecant(), 0.5), (o.StudentT(2.0), 0.5), (o.FlatToppedLaplace(0.1), 0.5),
        (o.FlatToppedLaplace(9.0), 0.5), (o.VonMises(2.0), 0.5), (o.AsymmetricLaplace(0.9), 0.9),
        (o.AsymmetricLaplace(0.2), 0.2),
    ],
)  # fmt: skip
def test_draws_fall_on_both_sides_of_the_raw_output(made: Likelihood, below: float) -> None:
    at = torch.full((4000,), 0.7, dtype=f64)
    share = float((made.sample(at, torch.Generator().manual_seed(1)) < at).double().mean())
    assert share == pytest.approx(below, abs=5 * math.sqrt(below * (1 - below) / 4000))


def test_a_pinball_has_the_slope_of_its_side() -> None:
    at = numbers(0.0, 0.0, 0.0).requires_grad_()
    value = o.AsymmetricLaplace(0.9).nll(at, numbers(2.0, -2.0, 0.0))
    torch.testing.assert_close(value.detach(), numbers(1.8, 0.2, 0.0) - math.log(0.09), rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(value.sum(), at)
    assert slope.tolist() == pytest.approx([-0.9, 0.1, 0.0], abs=1e-12)


def test_what_a_family_says_of_its_variance() -> None:
    at = numbers(0.0)
    assert [o.StudentT(df).variance(at) for df in (1.0, 2.0, 4.0)] == [None, None, 2.0]
    assert (o.Normal(3.0).variance(at), o.Normal(3.0).dispersion, o.StudentT().dispersion) == (1.0, 9.0, 1.0)
    with pytest.raises(ConfigError, match="a Student t with 1 degrees of freedom has no mean"):
        o.StudentT(1.0).mean(at)
    assert o.StudentT(1.1).mean(at) is at
    made = o.NormalLearnedVariance()
    assert [made.rescaled(2.0, 5.0, output) for output in (0, 1)] == [(2.0, 5.0), (1.0, 2 * math.log(2.0))]
    assert (o.Laplace().quantile, o.AsymmetricLaplace(0.9).quantile) == (0.5, 0.9)


def test_the_logarithm_of_a_normal_tail_on_both_sides() -> None:
    at = numbers(-40.0, -2.0, -0.1, 0.0, 0.1, 2.0, 8.0)
    torch.testing.assert_close(
        log_ndtr(at), torch.from_numpy(scipy.stats.norm.logcdf(at.numpy())), rtol=1e-12, atol=1e-30
    )


@pytest.mark.parametrize("place", [-9.0, -2.0, 2.0, 9.0])
def test_a_step_of_the_probit_has_its_digits_on_either_side(place: float) -> None:
    told = float(Ordinal("probit").nll(numbers(-place, -0.5)[None], torch.tensor([1])))
    ends = sorted((abs(place), abs(place + math.exp(-0.5))))
    wanted = -math.log(scipy.stats.norm.sf(ends[0]) - scipy.stats.norm.sf(ends[1]))
    assert told == pytest.approx(wanted, rel=1e-9)


def test_two_and_three_classes_have_their_probabilities() -> None:
    half = Ordinal().mean(numbers(0.0, math.log(3.0)))
    torch.testing.assert_close(half, numbers(0.5, 0.5, 0.25, 0.75).reshape(2, 2), rtol=1e-12, atol=0)
    # ζ = 0 and log 3: P(y ≤ 0) = 1/2, P(y ≤ 1) = 3/4
    three = Ordinal().mean(numbers(0.0, math.log(math.log(3.0)))[None])
    torch.testing.assert_close(three, numbers(0.5, 0.25, 0.25)[None], rtol=1e-12, atol=0)
    with pytest.raises(ConfigError, match=r"objective.link: unknown link 'logits'.*'logit'"):
        Ordinal("logits")


def test_an_ordinal_asks_whether_a_label_lies_above_and_below_its_thresholds() -> None:
    (question,) = Ordinal().questions(torch.tensor([0, 1, 2]))
    assert question.target.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert question.rows is not None
    assert question.beside is not None
    assert question.rows.tolist() == [1, 2, 0, 1]
    assert question.beside.tolist() == [[-1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [0.0, -1.0]]


@pytest.mark.parametrize(
    ("function", "wanted"),
    [(log_one_minus_exp, lambda v: math.log(-math.expm1(-math.exp(v)))),
     (log_softplus, lambda v: math.log(math.log1p(math.exp(v))))],
)  # fmt: skip
def test_logarithms_near_zero_last_beyond_what_an_exponential_does(
    function: Callable[[Tensor], Tensor], wanted: Callable[[float], float]
) -> None:
    places = (-800.0, -30.0, -20.1, -19.9, -3.0, 0.5, 3.0)
    at = numbers(*places).requires_grad_()
    found = function(at)
    (slope,) = torch.autograd.grad(found.sum(), at)
    assert found.tolist() == pytest.approx([v if v < -700 else wanted(v) for v in places], rel=1e-13)
    assert slope[:4].tolist() == pytest.approx([1.0] * 4, abs=1e-8)


def test_zeros_from_two_places_are_mixed_and_counts_are_past_a_hurdle() -> None:
    y, at = numbers(0.0, 3.0), numbers(0.0, 0.0)
    zero, count = numbers(-1.0, -1.0), numbers(9.0, 2.0)
    found = mixed(at, y, zero, count)
    torch.testing.assert_close(found, numbers(-math.log(0.5 + 0.5 / math.e), 2 + math.log(2)), rtol=1e-12, atol=0)
    found = past(at, y, zero, count)
    torch.testing.assert_close(found, numbers(math.log(2), 1 + math.log(2)), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("target", "weight", "mean", "share"),
    [
        ((0.0, 0.0, 2.0, 4.0), (1.0, 1.0, 1.0, 3.0), 3.5, 1 / 3),
        ((1.0, 0.0), (1.0, 1.0), 1.0, 0.5),
        ((0.0, 0.0), (1.0, 1.0), 1.0, 0.999),  # held off 0 and 1
        ((5.0, 7.0), (1.0, 1.0), 6.0, 0.001),
    ],
)
def test_counts_and_zeros_of_rows_that_share_raw_outputs(target: Any, weight: Any, mean: float, share: float) -> None:
    found = zeros_aside(numbers(*target), numbers(*weight))
    assert [float(part) for part in found] == pytest.approx([math.log(mean), share], abs=1e-12)


def test_questions_of_zeros_and_of_what_lies_above() -> None:
    y = numbers(0.0, 1.0, 5.0)
    counts, zeros = inflated_questions(y)
    assert (counts.target.tolist(), zeros.target.tolist()) == ([0.0, 1.0, 1.0], [1.0, 0.0, 0.0])
    above, crossing = hurdle_questions(y)
    assert above.rows is not None
    assert (above.target[1:].tolist(), above.rows.tolist()) == ([0.0, 1.0], [False, True, True])
    assert crossing.target.tolist() == [0.0, 1.0, 1.0]


def test_the_least_of_counts_at_nothing_and_above() -> None:
    y = numbers(0.0, 1.0, 2.0, 7.0)
    for made in (o.NegativeBinomial(2.0), o.Poisson()):
        outputs = torch.cat([numbers(-40.0), y[1:].log()])
        torch.testing.assert_close(made.least(y), made.nll(outputs, y), rtol=1e-9, atol=1e-12)
    assert o.HurdlePoisson().least(y)[:2].tolist() == [0.0, 0.0]
    assert float(o.HurdlePoisson().least(y)[2]) > 0.5


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan, True, "1", None])
def test_a_number_above_zero_is_needed(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"objective\.key: must be a finite number above 0"):
        positive("key", value)
    assert (positive("key", 3), positive("key", 1e-300)) == (3.0, 1e-300)


def test_a_fraction_lies_strictly_between_zero_and_one() -> None:
    assert (fraction("key", 0.999), fraction("key", 1e-9)) == (0.999, 1e-9)
    for value in (1.0, 1, 1.5):
        with pytest.raises(ConfigError, match=r"objective\.key: must lie strictly between 0 and 1"):
            fraction("key", value)


class Scaled:
    """A likelihood from elsewhere with a number, a switch and a word."""

    free: Any = "scale"

    def __init__(self, scale: float = 2.0, even: bool = True, word: str = "x") -> None:
        self.scale, self.even, self.word = scale, even, word

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        return (target - output).abs() / self.scale


def said(free: Any, scale: float = 2.0) -> Likelihood:
    made = adopted(Scaled(scale))
    made.given.free = free  # type: ignore[attr-defined]
    return made


def test_numbers_are_what_is_a_number_and_no_switch() -> None:
    assert adopted(Scaled()).numbers == {"scale": 2.0}
    assert (adopted(Scaled()).kind, o.Poisson().kind) == ("real", "counts")


@pytest.mark.parametrize(("free", "found"), [("scale", ("scale",)), (["scale"], ("scale",)), (None, ())])
def test_free_numbers_are_one_name_or_several(free: Any, found: tuple[str, ...]) -> None:
    assert freed(said(free)) == found


@pytest.mark.parametrize("free", ["even", ("scale", "other"), ("scale", 3), 3, {"scale": 1}])
def test_a_name_that_is_no_number_is_refused(free: Any) -> None:
    with pytest.raises(ConfigError, match=r"numbers that are to be estimated; .*\(scale\)"):
        freed(said(free))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_free_number_is_above_zero(scale: float) -> None:
    with pytest.raises(ConfigError, match="must be above 0 and stay so"):
        freed(said("scale", scale))
    assert freed(said("scale", 1e-9)) == ("scale",)


def test_a_class_that_keeps_no_number_says_none() -> None:
    class Bare:
        free = "scale"

        def nll(self, output: Tensor, target: Tensor) -> Tensor:
            return (target - output).abs()

    with pytest.raises(ConfigError, match=r"keeps under their own names \(none\)"):
        freed(adopted(Bare()))
    with pytest.raises(ConfigError, match="has no nll"):
        adopted(3)
    made = o.Normal()
    assert adopted(made) is made
