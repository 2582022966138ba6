"""Numbers as code holds them, and powers that the target says: what is meant is what is proved of."""

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from flint import arb
from torch import Tensor

import mlnn
from mlnn.proving.algebra import exp, inv, mul, power, square
from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.core import sigmoid
from mlnn.proving.graph import Graph, Id
from mlnn.proving.literals import constant

Loss = Callable[[Tensor, Tensor], Tensor]
HALF = Fraction(1, 2)


def value(graph: Graph, one: Id) -> arb:
    with digits(256, 1):
        return Evaluation(graph, arb(0), {}, 1)[one][0]


def pi(exponent: float = 1) -> arb:
    with digits(256, 1):
        return arb.pi() ** arb(exponent)


MEANT = {
    "√2": (math.sqrt(2), lambda: arb(2).sqrt()),
    "1/√2": (1 / math.sqrt(2), lambda: 1 / arb(2).sqrt()),
    "√½": (math.sqrt(0.5), lambda: 1 / arb(2).sqrt()),
    "−2√2": (-2 * math.sqrt(2), lambda: -arb(8).sqrt()),
    "√7/3": (math.sqrt(7) / 3, lambda: arb(7).sqrt() / 3),
    "π": (math.pi, pi),
    "−π/2": (-math.pi / 2, lambda: -pi() / 2),
    "1/π": (1 / math.pi, lambda: 1 / pi()),
    "√π": (math.sqrt(math.pi), lambda: pi().sqrt()),
    "√2π": (math.sqrt(2 * math.pi), lambda: (2 * pi()).sqrt()),
    "1/√2π": (1 / math.sqrt(2 * math.pi), lambda: 1 / (2 * pi()).sqrt()),
    "2/√π": (2 / math.sqrt(math.pi), lambda: 2 / pi().sqrt()),
    "√(2/π)": (math.sqrt(2 / math.pi), lambda: (2 / pi()).sqrt()),
    "e": (math.e, lambda: arb(1).exp()),
    "1/e": (math.exp(-1), lambda: arb(-1).exp()),
    "ln 2": (math.log(2), lambda: arb(2).log()),
    "−ln 12": (-math.log(12), lambda: -arb(12).log()),
    "1/ln 10": (1 / math.log(10), lambda: 1 / arb(10).log()),
    "log₂ e": (math.log2(math.e), lambda: 1 / arb(2).log()),
    "½ ln 2π": (0.5 * math.log(2 * math.pi), lambda: (2 * pi()).log() / 2),
    "ln √2π": (math.log(math.sqrt(2 * math.pi)), lambda: (2 * pi()).log() / 2),
    "ln π/2": (math.log(math.pi / 2), lambda: (pi() / 2).log()),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANT)
def test_a_root_or_a_multiple_of_pi_is_meant_to_its_last_digit(name: str) -> None:
    held, meant = MEANT[name]
    graph = Graph()
    with digits(256, 1):
        assert abs(value(graph, constant(graph, held)) - meant()) < 1e-60


@pytest.mark.parametrize(
    "held", [0.044715, 1.4142135, 1.41421356237, 2.718281828459, 2.718281828459047, 1e-7, 1e-12, 1e300, 3.14159,
             0.693147180559, 0.6931471805599449,
             1 - 2**-52, 1 + 2**-52, 1.5 - 2**-52, 2 / 3 + 2**-53,
             math.sqrt(2) * (1 + 1e-15), math.pi * (1 - 2e-15), math.sqrt(101), math.pi * 101, 5e-324, -0.0],
)  # fmt: skip
def test_any_other_number_is_what_it_is(held: float) -> None:
    graph = Graph()
    assert graph.number(constant(graph, held)) == graph.number(graph.const(held))


@pytest.mark.parametrize("held", [math.nan, math.inf])
def test_what_is_no_number_is_refused(held: float) -> None:
    with pytest.raises(ValueError, match="a constant that is"):
        constant(Graph(), held)


def test_roots_of_numbers_are_one_form() -> None:
    graph = Graph()
    two, z = graph.const(2), graph.var("z", 0)
    root, under = power(graph, two, HALF), power(graph, two, -HALF)
    assert graph.number(square(graph, root)) == 2
    assert graph.number(mul(graph, root, under)) == 1
    assert inv(graph, root) == under == power(graph, graph.const(HALF), HALF) == graph.scale(HALF, root)
    assert power(graph, graph.const(8), HALF) == graph.scale(2, root)
    assert graph.number(power(graph, graph.const(Fraction(9, 4)), -HALF)) == Fraction(2, 3)
    assert mul(graph, mul(graph, root, z), root) == graph.scale(2, z)
    assert power(graph, graph.const(72), HALF) == graph.scale(6, root)
    large = power(graph, graph.const(10**6 + 3), HALF)
    assert mul(graph, large, large) == graph.const(10**6 + 3)
    below = power(graph, graph.const(-2), HALF)  # no number, whose square is none
    assert graph.number(mul(graph, below, below)) is None


def test_what_is_above_0_by_its_form_is_known_as_such() -> None:
    """So that 0 times its logarithm is 0: 1 − e^(−e^z) of a complementary log-log, and what a saturating form has left."""
    graph = Graph()
    z = graph.var("z", 0)
    grown, share = exp(graph, z), sigmoid(graph, z)
    fallen = exp(graph, graph.neg(grown))

    def total(constant: float, *terms: tuple[float, Id]) -> bool:
        return graph.positive[graph.linear([(Fraction(factor), one) for factor, one in terms], constant)]

    assert total(1, (-1, fallen))
    assert total(1, (-0.5, fallen), (-0.5, share), (3, grown))
    assert total(0, (1, grown))
    assert not total(1, (-1, grown)), "e^z is above 1 somewhere"
    assert not total(0.75, (-1, share)), "σ is"
    assert not total(1, (-0.5, fallen), (-0.75, share))
    assert not total(1, (-1, exp(graph, graph.linear([(Fraction(-1), grown)], 0.5)))), "its exponent is ½ − e^z"
    assert not total(1, (-1, exp(graph, graph.neg(z))))
    assert not total(1, (1, z))


def cloglog(z: Tensor, y: Tensor) -> Tensor:
    return torch.where(y > 0.5, -torch.log(-torch.expm1(-torch.exp(z))), torch.exp(z))


def test_a_complementary_log_log_is_proved_far_out() -> None:
    def by_probability(z: Tensor, y: Tensor) -> Tensor:
        p = 1 - torch.exp(-torch.exp(z))
        return -(y * torch.log(p) + (1 - y) * torch.log1p(-p))

    found = mlnn.prove(cloglog, by_probability, "binary", domain=(-10, 20))
    assert (found.answer, found.relation) == ("proved", "equal")


def probit(z: Tensor, y: Tensor) -> Tensor:
    return -torch.special.log_ndtr((2 * y - 1) * z)


def by_hand(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log(0.5 * torch.erfc((1 - 2 * y) * z / math.sqrt(2)))


def of_digits(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log(0.5 * torch.erfc((1 - 2 * y) * z * 0.70710678))


def test_a_root_that_code_has_rounded_is_no_difference_and_one_of_eight_digits_is() -> None:
    found = mlnn.prove(probit, by_hand, "binary", domain=(-30, 30))
    assert (found.answer, found.relation) == ("proved", "equal")
    found = mlnn.prove(probit, of_digits, "binary", domain=(-3, 3))
    assert found.answer == "differs"


def focal(z: Tensor, y: Tensor) -> Tensor:
    """One exponent for each target, as asymmetric losses have it, of a base that is 0 on a whole interval."""
    lost = 1 - (1.05 - z.sigmoid()).clamp(max=1)
    return torch.pow(lost, 4 * (1 - y) + y)


def even(z: Tensor, y: Tensor) -> Tensor:
    return z ** (2 + 2 * y)


RAISED: dict[str, tuple[Loss, Loss, str]] = {
    "of 0 on an interval": (
        focal, lambda z, y: torch.where(y > 0.5, (z.sigmoid() - 0.05).relu(), (z.sigmoid() - 0.05).relu() ** 4), "proved"
    ),
    "of numbers below 0": (even, lambda z, y: torch.where(y > 0.5, z**4, z**2), "proved"),
    "odd ones": (lambda z, y: z ** (3 - 2 * y), lambda z, y: y * z + (1 - y) * z**3, "proved"),
    "0 to 0": (lambda z, y: torch.pow(z - z, y) + z, lambda z, y: 1 - y + z, "proved"),
    "another one": (even, lambda z, y: torch.where(y > 0.5, z**4, z**2 + 1e-6 * z), "differs"),
    "an odd one for an even one": (even, lambda z, y: torch.where(y > 0.5, z**4, z.abs() ** 3), "differs"),
}  # fmt: skip


@pytest.mark.parametrize("name", RAISED)
def test_a_power_that_the_target_says_is_a_fixed_one_for_each_target(name: str) -> None:
    left, right, answer = RAISED[name]
    found = mlnn.prove(left, right, "binary", domain=(-20, 20))
    assert found.answer == answer, found
    assert "no value" not in str(found)


def test_a_root_that_the_target_says_has_no_value_below_0() -> None:
    found = mlnn.prove(lambda z, y: z ** (0.5 + y), even, "binary", domain=(-20, 20))
    assert found.answer == "differs"
    assert "one side has no value" in str(found)


def test_powers_alike_at_both_labels_are_not_alike_between() -> None:
    """y·(1 − y) is 0 at both, and nothing is said of what lies between."""
    found = mlnn.prove(lambda z, y: z ** (2 + y * (1 - y)), lambda z, y: z**2 + 0 * y, "binary", domain=(-20, 20))
    assert found.answer == "proved"
    assert "soft" not in str(found)
