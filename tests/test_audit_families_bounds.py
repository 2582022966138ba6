"""Natural exponential families: each condition under which one is read, named and certified, on both its sides."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from asked_cases import Function, asked, f64, numbers, squared
from torch import Tensor

from mlnn import objectives as o
from mlnn.auditing import exponential, families, known
from mlnn.auditing.families import Exponential, Family, exponential_form, named_family
from mlnn.targets import COUNTS, HALF_LINE, LINE

MEANS = torch.linspace(1.1, 3.7, 17, dtype=f64)


# What is read off gradients.
@pytest.mark.parametrize(("loss", "targets", "read"), [
    (squared, "real", True), (lambda f, y: squared(-f, y), "real", True), (lambda f, y: -squared(f, y), "real", False),
    (lambda f, y: squared(f - 10, y), "counts", False),  # no mean that counts may have
    (lambda f, y: squared(f + 10, y), "counts", True), (lambda f, y: squared(f + 10, y), "unit", False),
    (lambda f, y: squared(f**2, y), "real", False), (lambda f, y: f**2 + 0 * y, "real", False),
    (lambda f, y: squared(f, y) + 1e-6 * f * y**2, "real", False),
    (lambda f, y: torch.where(y > 30, math.inf, 1.0) * f.exp() - y * f, "real", False),
])  # fmt: skip
def test_a_mean_is_read_where_it_moves_one_way_among_the_means_of_the_targets(
    loss: Function, targets: str, read: bool
) -> None:
    found = exponential_form(asked(loss, targets))
    assert (found is not None) == read
    if found:
        assert found.variance.tolist() == pytest.approx([1.0] * 17, rel=1e-8)
        assert abs(float(found.mean.diff()[0])) == pytest.approx(0.25)


@pytest.mark.parametrize("lost", [None, 0, 1, 2, 3])
def test_the_slope_of_a_mean_needs_all_four_of_its_neighbours(
    lost: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_at: list[float] = []

    def mean(_loss: object, outputs: Tensor) -> tuple[Tensor, Tensor] | None:
        asked_at.append(float(outputs[0]))
        return None if len(asked_at) - 1 == lost else (outputs**3, outputs)

    monkeypatch.setattr(families, "_mean", mean)
    found = families._mean_slope(asked(squared))
    assert (found is None) == (lost is not None)
    if found is not None:
        first = -2.1 + 0.00321
        assert asked_at == pytest.approx([first + 1e-3, first - 1e-3, first + 2e-3, first - 2e-3])
        assert float(found[0]) == pytest.approx(3 * first**2, rel=1e-11)


# What a variance function is called.
@pytest.mark.parametrize(
    ("power", "name"), [(1 + 0.9e-7, None), (1 + 3e-7, "Tweedie"), (2 - 0.9e-7, None), (2 - 3e-7, "Tweedie")]
)
def test_a_power_is_none_of_the_quadratics_by_a_ten_millionth(power: float, name: str | None) -> None:
    means = torch.logspace(-8, 8, 17, dtype=f64)
    found = named_family(Exponential(means, means**power, "f"), HALF_LINE)
    assert (found and found.name.partition(",")[0]) == name


def test_a_power_has_positive_means_and_variances() -> None:
    assert families._power(MEANS, 2 * MEANS**1.5)[:2] == pytest.approx((1.5, 2.0))
    for mean, variance in ((MEANS - 2, MEANS), (MEANS, MEANS - 2), (-MEANS, -MEANS)):
        assert families._power(mean, variance) == (0.0, 0.0, math.inf)


def test_parts_of_a_variance_are_dropped_where_others_are_left() -> None:
    assert families._quadratic(MEANS, 3 * MEANS)[:3] == (0.0, pytest.approx(3.0), 0.0)
    assert all(families._quadratic(MEANS, 2 + 3 * MEANS + MEANS**2)[:3])
    wild = torch.where(torch.arange(17) % 2 == 0, 1.0, 9.0).double()
    *parts, off = families._quadratic(MEANS, wild)
    assert any(parts), "all of them are less than a hundred times the misfit"
    assert 0.3 < off < 1


@pytest.mark.parametrize(("support", "a", "b", "lives", "here", "tau"), [
    (LINE, 2.0, 0.0, LINE, True, 1.0), (LINE, -2.0, 0.0, LINE, False, 1.0), (COUNTS, 2.0, 0.0, LINE, False, 1.0),
    (COUNTS, 0.0, 0.5, "multiples of 0.5", True, 2.0), (COUNTS, 0.0, -0.5, "multiples of -0.5", False, -2.0),
    (COUNTS, 1.0, 0.5, "multiples of 0.5 less 2", False, 2.0), (LINE, 0.0, 0.5, "multiples of 0.5", False, 2.0),
])  # fmt: skip
def test_where_a_family_of_a_linear_variance_lives(
    support: str, a: float, b: float, lives: str, here: bool, tau: float
) -> None:
    found = families._linear_family(support, a, b)
    assert (found.lives, found.nll is not None, found.tau) == (lives, here, tau)
    assert found.free == (b == 0)


@pytest.mark.parametrize(("support", "a", "b", "here"), [
    (COUNTS, 0.0, 1.0, True), (LINE, 0.0, 1.0, False), (COUNTS, -1.0, 1.0, False), (COUNTS, 0.0, -1.0, False),
    (COUNTS, 0.0, 0.0, False),
])  # fmt: skip
def test_a_negative_binomial_has_all_counts(support: str, a: float, b: float, here: bool) -> None:
    found = families._negative_binomial(support, a, b, 0.5)
    assert (found.nll is not None) == here
    assert found.tau == (1.0 if b >= 0 else -1.0)
    assert families._negative_binomial(COUNTS, 0.0, 2.0, 0.5).tau == 0.5


@pytest.mark.parametrize(("a", "b", "c", "name"), [
    (0.0, 0.0, 0.5, "gamma, shape 2"), (0.0, 1.0, 0.5, "negative binomial, θ = 2"), (1.0, 2.0, 1.0, "shifted gamma"),
    (1.0 + 0.9e-7, 2.0, 1.0, "shifted gamma"), (1.0 + 1.5e-7, 2.0, 1.0, None), (0.9, 2.0, 1.0, "negative binomial, θ = 2"),
    (1.0, 0.0, 1.0, None), (0.0, 1.0, -0.1, "binomial"), (0.0, 1.0, 0.0, "Poisson"), (1.0, 0.0, 0.0, "normal"),
])  # fmt: skip
def test_a_quadratic_is_named_by_its_roots(a: float, b: float, c: float, name: str | None) -> None:
    found = families._quadratic_family(COUNTS, a, b, c)
    assert (found and found.name) == name


def test_a_family_stands_as_it_is_unless_told() -> None:
    bare = Family("of none", "nowhere")
    assert (bare.tau, bare.free, bare.nll) == (1.0, False, None)
    named = families._named("of none", "nowhere", None)
    assert (named.tau, named.nll, named.of_log) == (1.0, None, None)
    by_log = families._named("log", "here", lambda log, y: log + y, 3.0)
    assert by_log.nll is not None
    assert float(by_log.nll(numbers(math.e), numbers(2.0))) == pytest.approx(3.0)


@pytest.mark.parametrize(("nll", "value"), [
    (families._normal(2.0), 0.9**2 / 4 + 0.5 * math.log(4 * math.pi)),
    (families._inverse_gaussian(3.0),
     3 * 0.9**2 / (2 * 0.4**2 * 1.3) + 0.5 * math.log(2 * math.pi * 1.3**3 / 3)),
])  # fmt: skip
def test_families_by_their_formulas(nll: Callable[[Tensor, Tensor], Tensor], value: float) -> None:
    assert float(nll(numbers(0.4), numbers(1.3))) == pytest.approx(value, rel=1e-12)


# What is certified.
def certified(loss: Function, family: Family, variance: float = 1.0, targets: str = "real") -> Any:
    form = Exponential(families.OUTPUTS, torch.full((17,), variance, dtype=f64), "f")
    return exponential.examine_exponential(asked(loss, targets), form, family)


@pytest.mark.parametrize(("extra", "found"), [
    (lambda f, y: 0 * f + 0 * y, True), (lambda f, y: 1e-3 * (y > 30) * torch.sin(f), False),
    (lambda f, y: 2e-6 * (y > 30) * torch.sin(f), True), (lambda f, y: 5e-7 * (y.abs() < 1) * torch.sin(f), False),
])  # fmt: skip
def test_values_are_the_familys_to_a_hundred_thousandth_of_a_nat(extra: Function, found: bool) -> None:
    """Of a normal of width 0.1 a value is 10⁵ beyond 30, and a millionth beside 1."""
    family = named_family(Exponential(MEANS, 0 * MEANS + 1e-2, "f"), LINE)
    assert family is not None
    loss = certified(lambda f, y: o.Normal(0.1).nll(f, y) + extra(f, y), family, 1e-2)
    assert (loss is not None) == found


@pytest.mark.parametrize(("free", "shift", "tau", "kind", "measure"), [
    (True, 0.0, 1.0, "likelihood", "1"), (True, 0.3, 1.0, "likelihood family", "a function of y"),
    (False, 0.3, 1.0, "likelihood", "a function of y"), (False, 0.0, 2.0, "scaled likelihood", "1"),
    (True, 0.9e-7, 1.0, "likelihood", "1"), (True, 1.1e-7, 1.0, "likelihood family", "a function of y"),
])  # fmt: skip
def test_a_free_family_is_one_where_something_was_dropped(
    free: bool, shift: float, tau: float, kind: str, measure: str
) -> None:
    nll = families._normal(1.0)
    found = certified(lambda f, y: tau * (nll(f, y) + shift), Family("normal", LINE, nll, tau, free))
    assert (found.kind, found.measure, found.scale) == (kind, measure, tau)
    f, y = numbers(0.4, -2.0), numbers(1.0, 0.5)
    value, slope = found.reference(f, y)
    assert value.tolist() == pytest.approx((tau * (nll(f, y) + shift)).tolist())
    assert slope.tolist() == pytest.approx((tau * (f - y)).tolist())


def test_a_kernel_stands_for_the_nll_where_that_takes_an_integral() -> None:
    whole, kernel = families._normal(1.0), squared
    found = certified(squared, Family("Tweedie", LINE, whole, free=True, kernel=lambda mean, y: kernel(mean, y)))
    assert found.kind == "likelihood family"
    assert found.log_base(numbers(0.3)).tolist() == pytest.approx([-0.5 * math.log(2 * math.pi)])
    assert float(found.reference(numbers(0.4), numbers(1.0))[0]) == pytest.approx(0.18)


@pytest.mark.parametrize(("link", "by_log", "value"), [
    ("f", True, 0.7), ("exp(f)", True, 100.7), ("exp(f)", False, math.exp(0.7)), ("σ(f)", True, 1 / (1 + math.exp(-0.7))),
    ("f + 1", True, None), (None, True, None),
])  # fmt: skip
def test_a_reference_goes_by_the_log_of_the_mean_where_that_is_the_output(
    link: str | None, by_log: bool, value: float | None
) -> None:
    of_log: Any = (lambda log, y: log + 100 + 0 * y) if by_log else None
    family = Family("one", LINE, lambda mean, y: mean + 0 * y, 2.0, of_log=of_log)
    found = exponential._reference(family, link, lambda y: 0 * y + 0.25)
    assert (found is None) == (value is None)
    if found and value:
        assert float(found(numbers(0.7), numbers(1.0))[0]) == pytest.approx(2 * (value + 0.25))


# Densities known by their values.
@pytest.mark.parametrize(("loss", "targets", "name"), [
    (lambda o, y: 0.5 * ((y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]) + o[:, 1]), "real(raw=2)", "normal, variance learned"),
    (lambda o, y: 0.5 * ((y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]) + o[:, 1]), "real(raw=3)", None),
    (lambda o, y: 0.5 * ((y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]) + o[:, 1]), "positive(raw=2)", None),
    (lambda f, y: o.Beta(7.0).nll(f, y), "unit", "beta, precision 7"), (lambda f, y: o.Beta(7.0).nll(f, y), "positive", None),
    (lambda f, y: o.Beta(7.0).nll(f[:, 0], y) + 0 * f[:, 1], "unit(raw=2)", None), (squared, "unit", None),
    (lambda f, y: squared(f, y), "real", None),
])  # fmt: skip
def test_only_a_normal_of_two_outputs_and_a_beta_of_one_are_known(
    loss: Function, targets: str, name: str | None
) -> None:
    made = asked(loss, targets)
    count = made.space.outputs
    outputs = torch.linspace(-1, 1, 4 * count, dtype=f64).reshape(4, count) if count > 1 else numbers(-0.5, 0.2, 0.9)
    found = known.known_density(made, outputs, numbers(0.2, 0.5, 0.8))
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("size", "wave", "same"), [(1.0, 2e-9, False), (1.0, 0.4e-9, True), (1e4, 2e-6, True), (1e4, 2e-5, False)]
)
def test_values_agree_to_a_billionth_of_the_largest_and_of_1(size: float, wave: float, same: bool) -> None:
    nll = lambda f, y: size * squared(f, y) / 2  # noqa: E731  at most `size`
    loss = asked(lambda f, y: nll(f, y) + 3.0 + wave * torch.sign(f))
    found = known._same(loss, nll, numbers(-1.0, 1.0), numbers(1.0), "normal", "f")
    assert (found is not None) == same
    if found and found.reference:
        assert float(found.reference(numbers(0.4), numbers(1.0))[0]) == pytest.approx(size * 0.09 + 3.0, abs=1e-5)


def test_a_precision_is_looked_for_on_the_unit_interval() -> None:
    for slope, precision in ((-2.5, 7.0), (1.0, None), (-4.9e5, 980002.0), (-6e5, None)):
        found = known._precision(asked(lambda f, y, s=slope: s * (y * (1 - y)).log() + 0 * f, "unit"))
        assert found == (None if precision is None else pytest.approx(precision))
