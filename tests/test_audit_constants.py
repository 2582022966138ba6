"""The bounds of an audit from both sides: what lies a little within each passes, and what lies a little beyond does not."""

import math
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import Function, asked, f64, numbers, squared
from torch import Tensor, nn

from mlnn import objectives as o
from mlnn.auditing import (
    ask,
    certificate,
    domain,
    exponential,
    families,
    finite,
    implied,
    integrals,
    known,
    links,
    location,
    notes,
    numeric,
    refute,
    several,
    sound,
    tails,
    unproven,
    witness,
)
from mlnn.auditing.ask import Loss, TooSlowError
from mlnn.auditing.certificate import Certificate
from mlnn.auditing.curves import _settled, curves
from mlnn.auditing.finding import Finding, by_formula
from mlnn.auditing.implied import Implied, null_probabilities
from mlnn.auditing.integrals import Reach, Total
from mlnn.auditing.shapes import WHOLE_LINE, _is_huber
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.signature import Real, TwoOutputs
from mlnn.targets import COUNTS, HALF_LINE, LINE, TargetSpace


def with_slope(function: Function, extra: Function) -> Function:
    """The values of a loss, with something added to its gradient."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        more = extra(f, y)
        return function(f, y) + more - more.detach()

    return loss


# What is drawn is what was asked.
def test_curves_of_numbers_are_the_density_as_it_stands_where_no_factor_is_known() -> None:
    found = curves(asked(squared), Finding("proper"))
    assert found.output == pytest.approx([k / 2 - 2 + 0.00123 for k in range(9)])
    assert found.densities is not None
    assert list(found.densities) == [-1.0, 0.0, 1.0]
    assert found.target is not None
    for f, row in found.densities.items():
        assert row == pytest.approx([math.exp(-((y - f) ** 2) / 2) for y in found.target])
    assert found.z == pytest.approx([math.sqrt(2 * math.pi)] * 9)
    assert found.z_held is None
    held = curves(
        asked(squared),
        Finding("likelihood family", scale=2.0, log_base=lambda y: torch.full_like(y, -0.5 * math.log(4 * math.pi))),
    )
    assert held.z_held == pytest.approx([1.0] * 9)
    assert held.densities is not None
    assert max(held.densities[0.0]) == pytest.approx(1 / math.sqrt(4 * math.pi), rel=1e-3)
    for endless in (
        Finding("unnormalisable"),
        Finding("likelihood family", scale=1.0, log_base=torch.zeros_like, turns=True),
    ):
        assert (curves(asked(squared), endless).z, curves(asked(squared), endless).z_held) == ((), None)


def test_curves_of_labels_are_the_probabilities_implied_and_declared() -> None:
    found = curves(asked(o.brier, "binary"), Finding("proper"))
    line = [k / 10 - 6 + 0.00123 for k in range(121)]
    assert found.output == pytest.approx(line)
    sigma = [1 / (1 + math.exp(-f)) for f in line]
    assert found.implied == pytest.approx(sigma)
    assert found.declared == pytest.approx(sigma)
    assert (found.about, found.z_held) == (1, None)
    told = curves(
        asked(o.bce_with_logits, "binary"),
        Finding("likelihood", scale=1.0, log_base=lambda y: torch.zeros_like(y, dtype=f64)),
    )
    assert told.z_held == pytest.approx([1.0] * 121)
    several = curves(asked(o.cross_entropy, "classes(3)"), Finding("proper"))
    assert several.about == 0
    assert several.declared == pytest.approx([math.exp(f) / (math.exp(f) + 2) for f in line])


def test_z_is_drawn_where_it_is_known_to_six_digits() -> None:
    one = torch.ones(2, dtype=f64)
    assert _settled(Total(one, 3e-7, one)) == (1.0, 1.0)
    assert _settled(Total(one, 3e-5, one)) == ()
    assert _settled(Total(one * math.inf, 0.0, one)) == ()


# Where floating point still holds it.
def test_a_value_may_be_five_percent_off_and_a_small_one_a_twentieth() -> None:
    def near(value: float, truth: float, slope: float = 1.0, kept: float = 0.05) -> bool:
        found, true = (numbers(value), numbers(slope)), (numbers(truth), numbers(1.0))
        return bool(domain._near(found, true, (1, 1), kept)[0])

    assert near(104.0, 100.0)
    assert not near(106.0, 100.0)
    assert near(0.04, 0.0)
    assert not near(0.06, 0.0)
    assert near(1.0, 1.0, 1.04)
    assert not near(1.0, 1.0, 1.06)
    assert not near(1.0, 1.0, math.nan)
    assert not near(1.002, 1.0, kept=domain.PAPER)
    assert near(1.0005, 1.0, kept=domain.PAPER)


@pytest.mark.parametrize(("off", "dtype", "holds"), [
    (1e-8, torch.float64, True), (5e-6, torch.float64, False), (5e-3, torch.float64, False),
    (5e-3, torch.float32, True), (0.1, torch.float32, False),
])  # fmt: skip
def test_paper_is_kept_where_a_loss_is_steadily_off_and_a_working_precision_to_a_twentieth(
    off: float, dtype: torch.dtype, holds: bool
) -> None:
    finding = Finding("likelihood", reference=by_formula(lambda f, y: (1 + off) * squared(f, y)))
    assert bool(domain._holds(asked(squared), finding, numbers(1.3), dtype)[0]) == holds


def test_without_a_formula_a_gradient_is_held_to_differences_of_the_value() -> None:
    wrong = asked(with_slope(squared, lambda f, y: 0.1 * squared(f, y)))
    for loss, holds in ((asked(squared), True), (wrong, False)):
        for dtype in (torch.float32, torch.float64):
            assert bool(domain._holds(loss, Finding("likelihood"), numbers(1.3), dtype)[0]) == holds
    coarse = asked(lambda f, y: squared(f, y) if f.dtype == f64 else 1.1 * squared(f, y))
    assert not bool(domain._holds(coarse, Finding("likelihood"), numbers(1.3), torch.float32)[0])
    even = Finding("likelihood", scale=1.0, log_base=lambda y: torch.zeros_like(y, dtype=f64))
    odd = Finding("likelihood", scale=1.0, log_base=lambda y: torch.full_like(y, 0.1, dtype=f64))
    for finding, holds in ((even, True), (odd, False)):
        assert bool(domain._holds(asked(o.bce_with_logits, "binary"), finding, numbers(1.3), torch.float32)[0]) == holds


def test_z_is_summed_as_far_as_it_is_one() -> None:
    normal = asked(o.Normal(), "real")
    assert domain._summed(normal, Finding("likelihood"), 8.0) == (-8.0, 8.0)
    wide = Finding(
        "scaled likelihood",
        scale=2.0,
        log_base=lambda y: torch.full_like(y, 0.25 * math.log(2 * math.pi) - 0.5 * math.log(4 * math.pi)),
    )
    assert domain._summed(normal, wide, 8.0) == (-8.0, 8.0)
    assert domain._summed(normal, Finding("likelihood", scale=2.0), 8.0) == (0.0, 0.0)
    bent = asked(lambda f, y: o.Normal().nll(f, y) + torch.where(f > 3.2, 0.01, 0.0))
    assert domain._summed(bent, Finding("likelihood"), 8.0) == (-8.0, 3.0)
    assert [domain._meet(one, two) for one, two in (("all", "all"), ("all", (-1.0, 2.0)), ((-3.0, 1.0), (-1.0, 2.0)))] == [
        "all", (-1.0, 2.0), (-1.0, 1.0)]  # fmt: skip


# Exponential families by their variance function.
MEANS = torch.linspace(1.1, 3.7, 17, dtype=f64)
VARIANCES: dict[str, tuple[Function, str, str | None, float, bool]] = {
    "normal": (lambda m, _: 0 * m + 4.0, LINE, "normal", 1.0, True),
    "normal on counts": (lambda m, _: 0 * m + 4.0, COUNTS, "normal", 1.0, False),
    "poisson": (lambda m, _: m, COUNTS, "Poisson", 1.0, True),
    "poisson over 2": (lambda m, _: 0.5 * m, COUNTS, "Poisson", 2.0, True),
    "shifted poisson": (lambda m, _: 1 + m, COUNTS, "Poisson", 1.0, False),
    "gamma": (lambda m, _: m**2 / 3, HALF_LINE, "gamma, shape 3", 1.0, True),
    "gamma on a line": (lambda m, _: m**2 / 3, LINE, "gamma, shape 3", 1.0, False),
    "shifted gamma": (lambda m, _: (m + 1) ** 2, HALF_LINE, "shifted gamma", 1.0, False),
    "negative binomial": (lambda m, _: m + m**2 / 2, COUNTS, "negative binomial, θ = 2", 1.0, True),
    "negative binomial, shifted": (lambda m, _: -1 + m**2, COUNTS, "negative binomial, θ = 0", 1.0, False),
    "binomial": (lambda m, _: m * (1 - m / 5), COUNTS, "binomial", 1.0, False),
    "hyperbolic secant": (lambda m, _: 1 + m**2, LINE, None, 1.0, False),
    "inverse Gaussian": (lambda m, _: m**3 / 2, HALF_LINE, "inverse Gaussian", 1.0, True),
    "inverse Gaussian on a line": (lambda m, _: m**3 / 2, LINE, "inverse Gaussian", 1.0, False),
    "Tweedie": (lambda m, _: m**1.5, HALF_LINE, "Tweedie, power 1.5", 1.0, False),
    "power 4": (lambda m, _: m**4, HALF_LINE, "Tweedie, power 4", 1.0, True),
    "power 4 on a line": (lambda m, _: m**4, LINE, "Tweedie, power 4", 1.0, False),
    "power −1": (lambda m, _: m**-1, LINE, "Tweedie, power -1", 1.0, True),
    "power ½": (lambda m, _: m**0.5, HALF_LINE, "Tweedie, power 0.5", 1.0, False),
    "power 4, not quite": (lambda m, noise: m**4 * (1 + 3e-6 * noise), HALF_LINE, None, 1.0, False),
    "another": (lambda m, _: torch.exp(m), HALF_LINE, None, 1.0, False),
    "poisson, nearly": (lambda m, noise: m * (1 + 1e-9 * noise), COUNTS, "Poisson", 1.0, True),
    "poisson, not quite": (lambda m, noise: m * (1 + 3e-6 * noise), COUNTS, None, 1.0, False),
    "inverse Gaussian, not quite": (lambda m, _: m**3.00001, HALF_LINE, "Tweedie, power 3.00001", 1.0, True),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANCES)
def test_a_family_is_named_by_its_variance_function(name: str) -> None:
    variance, support, family, tau, lives = VARIANCES[name]
    form = families.Exponential(MEANS, variance(MEANS, (-1.0) ** torch.arange(17)), "f")
    found = families.named_family(form, support)
    assert (found and found.name) == family
    if found:
        assert found.tau == pytest.approx(tau)
        assert (found.nll is not None) == lives


def test_the_mean_is_read_where_gradients_are_affine_to_rounding() -> None:
    for bend, read in ((1e-14, True), (3e-10, False)):
        loss = asked(lambda f, y, bend=bend: squared(f, y) + bend * f * y**2)
        assert (families._mean(loss, families.OUTPUTS) is not None) == read
    turns = families._mean_slope(asked(o.Poisson(), "counts"))
    assert turns is not None
    torch.testing.assert_close(turns, torch.exp(families.OUTPUTS), rtol=1e-9, atol=0)
    assert families.OUTPUTS.abs().max() < 2.2
    assert bool((families.OUTPUTS.diff() > 0.2).all())
    assert bool(((families.OUTPUTS - families.OUTPUTS.round(decimals=1)).abs() > 1e-3).all()), "no round number"
    falling = asked(lambda f, y: -squared(f, y))
    assert families.exponential_form(falling) is None, "its expectation is largest at the mean"
    assert families.exponential_form(asked(lambda f, y: squared(f.abs(), y))) is None, "the mean turns back"


def of_two_outputs(f: TwoOutputs, y: Real) -> Tensor:
    return squared(f[:, 0] if f.ndim > 1 else f, y)


def test_a_form_of_one_output_is_not_looked_for_among_several() -> None:
    assert families.exponential_form(asked(squared)) is not None
    assert families.exponential_form(asked(of_two_outputs)) is None
    assert refute.elicits(asked(of_two_outputs)) == (False, None)
    assert location.examine_location(asked(of_two_outputs)) is None
    assert refute.worse_everywhere(asked(of_two_outputs)) is None
    assert several.examine_several(asked(of_two_outputs)).kind == "likelihood family"


def test_a_number_is_its_eight_digit_neighbour_where_it_is_near() -> None:
    assert families.tidy(0.123456784) == 0.123456784
    assert families.tidy(0.3 + 3e-10) == 0.3
    assert families.tidy(0.12345678 * (1 + 3e-9)) == 0.12345678


@pytest.mark.parametrize(("loss", "found"), [
    (lambda f, y: o.Normal().nll(f, y), True),
    (lambda f, y: o.Normal().nll(f, y) + 5e-7 * torch.sin(f), False),
    (lambda f, y: o.Normal(1e-3).nll(f, y) * 1e-6, True),
])  # fmt: skip
def test_the_values_must_be_those_of_the_family(loss: Function, found: bool) -> None:
    form = families.Exponential(families.OUTPUTS, torch.ones(17, dtype=f64), "f")
    family = families.named_family(form, LINE)
    assert family is not None
    assert (exponential.examine_exponential(asked(loss), form, family) is not None) == found


def test_h_is_looked_at_near_zero_where_it_is_no_difference_of_large_numbers() -> None:
    for sd, found in ((1e-3, True), (1e-4, False)):
        form = families.Exponential(families.OUTPUTS, torch.full((17,), sd**2, dtype=f64), "f")
        family = families.named_family(form, LINE)
        assert family is not None
        assert (exponential.examine_exponential(asked(o.Normal(sd)), form, family) is not None) == found


# Probabilities read off gradients.
def told(p: Tensor, value: Tensor | None = None, output: Tensor | None = None) -> Implied:
    value = -p.abs().log() if value is None else value
    output = torch.linspace(-2, 2, len(p), dtype=f64) if output is None else output
    return Implied(output, value, torch.zeros(*p.shape, 1, dtype=f64), told=p)


def two(*p: float) -> Tensor:
    return torch.stack([1 - numbers(*p), numbers(*p)], 1)


def test_a_probability_is_valid_inside_and_plain_to_rounding() -> None:
    at = told(two(-1e-7, -1e-10, 1e-10, 1e-7, 5e-5, 1.2e-4, 5e-4, 0.5, 1 + 1e-10, 1 + 1e-7, math.nan))
    assert at.valid.tolist() == [False, True, True, True, True, True, True, True, True, False, False]
    assert at.interior.tolist() == [False, False, False, True, True, True, True, True, False, False, False]
    assert at.plain.tolist() == [False] * 5 + [True, True, True] + [False] * 3
    many = torch.full((2, 30), 1 / 30, dtype=f64)
    many[0, 0], many[1, 0] = 2e-5, 5e-6
    assert told(many).plain.tolist() == [True, False]


def test_a_sum_is_one_number_to_rounding() -> None:
    for off, one in ((1e-14, True), (1e-10, False)):
        value = torch.tensor([[0.5, 1.0], [0.5 + off, 1.0 + off]], dtype=f64)
        found = told(two(0.5, 0.5), value).constant
        assert (found is not None) == one
    apart = torch.tensor([[1000.0, 1000.5], [1000.0 + 2e-10, 1000.5 + 2e-10]], dtype=f64)
    assert told(two(0.5, 0.5), apart).constant is not None, "a share of the loss"


def test_probabilities_are_read_where_the_gradients_tell_them() -> None:
    for apart, defined in ((1e-12, True), (1e-15, False)):
        p = null_probabilities(torch.tensor([[[1.0], [1.0 + apart]]], dtype=f64))
        assert bool(torch.isfinite(p).all()) == defined
    base = torch.tensor([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]], dtype=f64).T
    for rest, defined in ((0.0, True), (1e-12, True), (1e-8, False)):
        gradient = base.clone()[None]
        gradient = torch.cat([gradient, torch.full((1, 3, 1), rest, dtype=f64)], 2)
        assert bool(torch.isfinite(null_probabilities(gradient)).all()) == defined
    alike = torch.ones(1, 3, 2, dtype=f64) * torch.tensor([1.0, 1.0], dtype=f64)
    assert bool(torch.isnan(null_probabilities(alike)).all()), "more than one set fits"


def test_outputs_that_tell_are_uneven_inside_two_or_where_the_loss_wants_them() -> None:
    line = implied.telling_outputs(asked(o.bce_with_logits, "binary"))
    steps = line.diff()
    assert len(line) == 81
    assert bool((steps > 0).all())
    assert float(steps.std() / steps.mean()) > 0.2
    assert 1.9 < float(line.abs().max()) < 2.05
    for tau in (1e-4, 0.01):
        far = implied.telling_outputs(asked(lambda f, y, tau=tau: o.bce_with_logits(f / tau, y), "binary"))
        assert 3.5 * tau < float(far.abs().max()) < 5 * tau  # p from 0.01 to 0.99
    cloud = implied.telling_outputs(asked(o.cross_entropy, "classes(3)"))
    assert 0.8 < float(cloud.std()) < 1.2
    for tau in (1e-3, 0.03):
        found = implied.telling_outputs(asked(lambda f, y, tau=tau: o.cross_entropy(f / tau, y), "classes(3)"))
        assert 0.1 * tau < float(found.std()) < 4 * tau


def test_scales_are_tried_the_nearest_first() -> None:
    decades = [round(2 * abs(math.log10(scale))) / 2 for scale in implied.SCALES]
    assert decades == sorted(decades)
    assert (decades[0], decades[-1]) == (0.5, 6.0)
    assert sum(scale < 1 for scale in implied.SCALES) == 5
    ahead = implied.direction(torch.zeros(2, 3, dtype=f64))
    assert ahead.tolist() == [pytest.approx([1.0, 0.2, -0.6])] * 2
    assert implied.direction(torch.zeros(2, dtype=f64)).tolist() == [1.0, 1.0]


# Labels: one temperature and one constant per target.
BINARY = asked(o.bce_with_logits, "binary")
EVEN = told(two(*torch.sigmoid(torch.linspace(-2, 2, 40, dtype=f64)).tolist()))


@pytest.mark.parametrize(("tau", "shift", "kind", "measure"), [
    (1 + 1e-11, (0.0, 0.0), "likelihood", "1"),
    (1 + 1e-7, (0.0, 0.0), "scaled likelihood", "1"),
    (1.0, (1e-11, -1e-11), "likelihood", "1"),
    (1.0, (1e-7, 1e-7), "likelihood", "1.0000001"),
    (1.0, (1e-7, 3e-7), "likelihood", "one constant per target"),
    (2.0, (math.log(4), math.log(4)), "scaled likelihood", "2"),
])  # fmt: skip
def test_a_temperature_near_1_and_a_constant_near_0_are_none(
    tau: float, shift: tuple[float, float], kind: str, measure: str
) -> None:
    found = finite._likelihood(BINARY, EVEN, tau, numbers(*shift), 0.0)
    assert (found.kind, found.measure) == (kind, measure)
    assert (found.scale == 1.0) == (kind == "likelihood")
    assert found.reference is not None
    f, y = numbers(0.4, -2.0), numbers(1.0, 0.0)
    value = found.reference(f, y)[0]
    torch.testing.assert_close(value, found.scale * o.Bernoulli().nll(f, y) + numbers(*shift).flip(0))


@pytest.mark.parametrize(("residual", "off", "kind"), [
    (1e-12, 0.0, "likelihood"), (1e-8, 0.0, "undecided"), (1e-12, 1e-7, "undecided"), (1e-12, 1e-11, "likelihood"),
])  # fmt: skip
def test_a_fit_is_one_to_rounding_and_its_probabilities_add_up(residual: float, off: float, kind: str) -> None:
    assert finite._fitted(BINARY, EVEN, 1.0, numbers(off, off), residual).kind == kind


def test_a_fit_has_its_own_misfit() -> None:
    exact = finite._fit(told(EVEN.p, -2 * EVEN.p.log() + numbers(0.3, 0.7)))
    assert exact[0] == pytest.approx(2.0)
    assert exact[1].tolist() == pytest.approx([0.3, 0.7])
    assert exact[2] < 1e-13
    off = -2 * EVEN.p.log()
    off[3, 1] += 0.1
    assert 0.02 < finite._fit(told(EVEN.p, off))[2] < 0.1
    still = finite._fit(told(two(*[0.5] * 40), off))
    assert math.isnan(still[0])


def test_a_probability_stands_still_where_nearly_all_of_it_does() -> None:
    p = two(*[0.5] * 20)
    for moving, flat in ((0, True), (1, True), (3, False)):
        beside = p.clone()
        beside[:moving] = two(0.6)[0]
        assert finite._is_flat(told(p), told(beside)) == flat
    assert finite._is_flat(told(two(0.5, 0.5)), told(two(0.5 + 1e-11, 0.5)))
    assert not finite._is_flat(told(two(0.5, 0.5)), told(two(0.5 + 1e-7, 0.5 + 1e-7)))
    assert finite._is_flat(told(two(0.0, 1.0)), told(two(0.5, 0.5))), "no probability strictly inside"


def test_enough_outputs_must_tell_and_enough_of_them_plainly() -> None:
    def unread(p: Tensor) -> str | None:
        at = told(p, torch.cat([-(1 - two(*[0.5] * len(p)))]).clone())
        found = finite._unread(BINARY, told(p, -p.clamp_min(1e-12).log(), at.output), told(p + 0.01 * numbers(-1, 1)))
        return found and found.said

    nothing = [math.nan] * 40
    inner = torch.sigmoid(torch.linspace(-2, 2, 40, dtype=f64)).tolist()
    assert unread(two(*inner)) is None
    assert unread(two(*inner[:12], *nothing[12:])) is None, "three in ten are told"
    assert "cannot be read off" in (unread(two(*inner[:8], *nothing[8:])) or "")
    assert "strictly between 0 and 1" in (unread(two(*[0.0, 1.0] * 20)) or "")
    assert "too few of the outputs" in (unread(two(*inner[:7], *[1e-6 * (1 + k / 40) for k in range(33)])) or "")
    factors = finite.FARTHER_OUT
    assert (factors[0], factors[-1]) == (2.0, 10.0)
    assert list(factors) == sorted(factors)


# Witnesses: two numbers that differ by more than rounding.
@pytest.mark.parametrize(("off", "shown"), [(1e-8, False), (1e-5, True)])
def test_two_numbers_are_shown_as_different_where_rounding_leaves_no_doubt(off: float, shown: bool) -> None:
    p = two(0.5, 0.5)
    sums = told(p, torch.tensor([[1.0, 2.0], [1.0, 2.0]], dtype=f64) + numbers(0.0, 2 * off)[:, None])
    assert (witness.sums_witness(sums) is not None) == shown
    assert (witness.flat_witness(sums) is not None) == shown
    line = told(two(0.3, 0.5, 0.7), 0 * two(0.3, 0.5, 0.7))
    ahead = two(0.31, 0.51, 0.71)
    taus = numbers(1.0, 1.0, 1 + 3 * off)[:, None]
    beside = told(ahead, -taus * (ahead.log() - line.p.log()))
    assert (witness.temperature_witness(line, beside) is not None) == shown


def test_a_temperature_is_told_by_probabilities_that_move_enough() -> None:
    line = told(two(0.3, 0.7), 0 * two(0.3, 0.7))
    for step, shown in ((1e-4, True), (1e-7, False)):
        ahead = two(0.3 + step, 0.7 + step)
        beside = told(ahead, -numbers(1.0, 2.0)[:, None] * (ahead.log() - line.p.log()))
        assert (witness.temperature_witness(line, beside) is not None) == shown
    single = told(two(0.3), 0 * two(0.3))
    assert witness.temperature_witness(single, told(two(0.4), two(0.4))) is None, "one output has one temperature"


@pytest.mark.parametrize(("gain", "shown"), [(1e-7, True), (1e-11, False), (-1.0, False)])
def test_another_output_has_the_smaller_risk_by_more_than_rounding(gain: float, shown: bool) -> None:
    at = told(two(0.5), torch.tensor([[1.0, 1.0]], dtype=f64))
    far = told(two(0.9), torch.tensor([[1.0 - gain, 1.0 - gain]], dtype=f64))
    assert (witness.risk_witness(at, far) is not None) == shown
    assert witness.risk_witness(told(two(1.0), at.value), far) is None, "no probability strictly inside"


# Links by name.
LINE_OF = torch.linspace(-2, 2, 21, dtype=f64)
LINKS: dict[str, tuple[Function | Callable[[Tensor], Tensor], str | None]] = {
    "logit": (torch.sigmoid, "σ(f)"),
    "another slope": (lambda f: torch.sigmoid(2 * f - 0.3), "σ(2·f − 0.3)"),
    "backwards": (lambda f: torch.sigmoid(-f + 0.3), "σ(−f + 0.3)"),
    "probit": (torch.special.ndtr, "Φ(f)"),
    "half margin": (lambda f: 0.5 + 0.2 * f, "0.2·f + 0.5"),
    "of a hinge": (lambda f: ((1 + 0.4 * f) / 2), "0.2·f + 0.5"),
    "complementary log-log": (lambda f: 1 - torch.exp(-torch.exp(0.7 * f)), "1 − exp(−exp(0.7·f))"),
    "cauchit": (lambda f: 0.5 + torch.atan(f) / math.pi, "½ + arctan(f)/π"),
    "none": (lambda f: torch.sigmoid(f + 0.1 * f**3), None),
    "nearly a logit": (lambda f: torch.sigmoid(f + 1e-10 * f**3), "σ(f)"),
    "not quite a logit": (lambda f: torch.sigmoid(f + 1e-6 * f**3), None),
    "nearly no shift": (lambda f: torch.sigmoid(f + 1e-10), "σ(f)"),
    "a small shift": (lambda f: torch.sigmoid(f + 1e-6), "σ(f + 1e-06)"),
}  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_a_link_is_named_by_what_makes_it_straight(name: str) -> None:
    link, said = LINKS[name]
    assert links.probability_link(LINE_OF, link(LINE_OF)) == said  # type: ignore[call-arg]


def test_a_link_needs_a_slope_and_points_that_have_their_digits() -> None:
    assert links.probability_link(LINE_OF / 2, (1 + LINE_OF / 2) / 2) == "(1+f)/2"
    assert links.mean_link(LINE_OF, 3 + 0 * LINE_OF) is None
    assert links.mean_link(LINE_OF, 3 + 1e-9 * LINE_OF) is None
    assert links.mean_link(LINE_OF, torch.exp(LINE_OF)) == "exp(f)"
    assert links.affine(LINE_OF, 1e-3 * LINE_OF + 1e-6 * LINE_OF**2) is None
    assert links.log_odds(LINE_OF[:3], torch.sigmoid(LINE_OF[:3])) is None, "three points contradict nothing"
    far = torch.cat([LINE_OF, numbers(9.6, -9.6)])  # 7e-5 from 0 and from 1
    near = torch.cat([LINE_OF, numbers(6.0)])  # 2.5e-3 from 1
    for outputs, seen in ((far, False), (near, True)):
        p = torch.sigmoid(outputs)
        p[21:] = p[21:] + 1e-5 * (0.5 - p[21:])
        assert (links.log_odds(outputs, p) is None) == seen
        assert (links.probability_link(outputs, p) is None) == seen


def test_a_softmax_has_one_slope_and_counts_small_probabilities() -> None:
    f = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=f64)
    assert links.softmax_link(f, torch.softmax(f, 1)) == "softmax(f)"
    assert links.softmax_link(f, torch.softmax(2 * f, 1)) == "softmax(2·f)"
    assert links.softmax_link(f, torch.softmax(f + numbers(0, 1, 2), 1)) == "softmax(f + (0, 1, 2))"
    assert links.softmax_link(f, torch.softmax(f * numbers(1, 2, 3), 1)) is None
    assert links.softmax_link(f[:3], torch.softmax(f[:3], 1)) is None
    for low, seen in ((1e-4, True), (1e-8, False)):
        p = torch.softmax(f, 1)
        p[0] = numbers(low, 0.7, 0.3 - low)
        assert (links.softmax_link(f, p) is None) == seen


# Location families.
V = numbers(-2, -1, -0.5, 0.5, 1, 2)
ALONG = asked(squared).space.coordinate
assert ALONG is not None


def test_where_a_location_family_is_looked_at() -> None:
    outputs, far = location.OUTPUTS, location.FAR_OUT
    assert bool((outputs.diff() > 0.2).all())
    assert outputs.abs().max() < 3
    assert float(outputs[len(outputs) // 2]) == 0
    assert len({round(float(step), 3) for step in outputs.diff()}) == len(outputs) - 1, "uneven"
    assert list(far) == sorted(far)
    assert far[-1] == max(map(abs, TargetSpace("real").facts.fitted_points)), "as far as families are told from others"
    assert far[0] > 10
    assert far[1] < location.BULK < far[2]
    assert 1 < location.OFF_ROUND < 1.01
    assert 0.9 * math.pi < location.NEAR_TURN < math.pi
    assert ALONG is not None
    v = location._residuals(ALONG, 1.0, False)
    assert v.tolist() == pytest.approx((-v.flip(0)).tolist())
    assert float((v - 41.3 * 1.00123).abs().min()) < 1e-9
    assert float(location._residuals(ALONG, 1.0, True).max()) <= 3.0


@pytest.mark.parametrize(("bend", "v", "alone"), [
    (1e-10, V, True), (1e-7, V, False), (1e-11, torch.cat([V, numbers(1e-3)]), False), (1e-13, torch.cat([V, numbers(1e-3)]), True),
])  # fmt: skip
def test_gradients_depend_on_the_residual_alone_to_rounding(bend: float, v: Tensor, alone: bool) -> None:
    assert ALONG is not None
    loss = asked(lambda f, y: squared(f, y) + bend * f**2)
    assert location._form(loss, ALONG, v)[0] == alone


@pytest.mark.parametrize(("wave", "drift"), [(0.0, 0.3), (1e-11, 0.3), (1e-7, None)])
def test_what_is_added_is_a_drift_to_rounding(wave: float, drift: float | None) -> None:
    assert ALONG is not None
    alone, found = location._form(asked(lambda f, y: squared(f, y) + 0.3 * y + wave * torch.sin(3 * y)), ALONG, V)
    assert alone
    assert found == (None if drift is None else pytest.approx(drift))
    assert location._form(asked(squared), ALONG, V) == (True, 0.0)


def test_h_in_words() -> None:
    y = numbers(0.05, 0.8, 2.3, 30.0)
    flat = torch.full((4,), -math.log(3.0), dtype=f64)
    assert location._measure(y, flat) == "1/3"
    assert location._measure(y, flat + 1e-10 * y.sign() * numbers(1, -1, 1, -1)) == "1/3"
    assert location._measure(y, flat + 1e-6 * numbers(1, -1, 1, -1)) == "a function of y"
    assert location._measure(y, 2 * y.log() + math.log(5.0)) == "5·y^2"
    assert location._measure(-y, 2 * y.log()) == "a function of y"
    assert location._measure(y, flat - 800) == f"exp({-800 - math.log(3.0):.10g})"


@pytest.mark.parametrize(("rate", "fades"), [(2.0, False), (2.2, True)])
def test_a_density_has_faded_where_float64_has_no_more_fractions(rate: float, fades: bool) -> None:
    found = SimpleNamespace(rho=lambda v: rate * v.abs(), lowest=0.0)
    assert location._fades(found) == fades  # type: ignore[arg-type]
    assert location.LAST == location.EDGE + 3
    assert integrals.DIGITS < location.EDGE_DIGITS < location.SLOPE_ROUNDING


def test_a_turn_changes_nothing_to_rounding() -> None:
    seen: list[float] = []

    def turning(f: Tensor, y: Tensor, bend: float = 0.0) -> Tensor:
        seen.append(float(y.abs().max()))
        return (1 - torch.cos(f - y)) * (1 + bend * y)

    assert location._is_periodic(asked(turning))
    assert max(seen) < 3 * math.pi, "a turn and a half at most"
    assert location._is_periodic(asked(lambda f, y: turning(f, y, 1e-13)))
    assert not location._is_periodic(asked(lambda f, y: turning(f, y, 1e-9)))
    assert ALONG is not None
    assert location._width(asked(lambda f, y: 0 * (f + y)), ALONG) == 1.0
    assert 1.2 < location._width(asked(squared), ALONG) < 2.6


def test_a_shape_is_that_of_its_whole_influence() -> None:
    v = torch.cat([-torch.logspace(-6, 2, 30, dtype=f64).flip(0), torch.logspace(-6, 2, 30, dtype=f64)])
    assert not _is_huber(v.sign(), v), "a Laplace"
    assert _is_huber(v.clamp(-1, 1), v)
    assert not WHOLE_LINE["normal"](v * (1 + 1e-5 * v.sign()), v)
    assert WHOLE_LINE["normal"](v * (1 + 1e-9 * v.sign()), v)


# Tails.
def located(growth: Callable[[Tensor], Tensor], whole_line: bool = True) -> Any:
    space = SimpleNamespace(whole_line=whole_line)
    along = SimpleNamespace(tail=(1e3, 1e4, 1e5), name="y", powers=(20.0, 600.0))
    return SimpleNamespace(rho=growth, width=1.0, turns=False, along=along, loss=SimpleNamespace(space=space))


def decades(near: float, far: float) -> Any:
    """ρ that grows so much per e-fold over the first and the second decade, on both sides."""
    at = {1e3: 0.0, 1e4: near * math.log(10), 1e5: (near + far) * math.log(10)}
    return located(lambda v: numbers(*[at.get(abs(one), 0.0) for one in v.tolist()]))


@pytest.mark.parametrize(("near", "far", "power"), [
    (2.0, 2.0, 2.0), (2.0, 2.01, 2.01), (2.0, 2.1, math.inf), (2.6, 2.5, 2.0), (3.0, 2.0, 1.0), (1.06, 1.06, 1.06),
    (900.0, 900.0, 900.0), (1100.0, 1100.0, math.inf),
])  # fmt: skip
def test_the_power_of_a_tail_is_what_it_may_still_fall_to(near: float, far: float, power: float) -> None:
    slowest, heavy = tails.tail_growth(decades(near, far))
    assert heavy is None
    assert slowest == pytest.approx(power)


@pytest.mark.parametrize("power", [1.04, 1.001, 1.00005])
def test_a_tail_that_is_a_power_above_1_is_not_heavy(power: float) -> None:
    slowest, heavy = tails.tail_growth(located(lambda v: power * torch.log1p(v.abs())))
    assert heavy is None
    assert slowest == pytest.approx(power, abs=1e-9)
    wave = tails.tail_growth(located(lambda v: 1.04 * torch.log1p(v.abs()) + 1e-3 * torch.sin(v)))[1]
    assert wave is not None
    assert "too near to 1" in wave.said


@pytest.mark.parametrize(("power", "kind", "says"), [
    (1.0000001, "undecided", "at the border"), (1.0, "unnormalisable", "grows as 1"),
    (0.5, "unnormalisable", "grows as 0.5"), (0.0, "unnormalisable", "grows as 0"), (math.nan, "undecided", "is NaN"),
])  # fmt: skip
def test_a_heavy_tail_is_one_that_grows_no_faster_than_the_logarithm(power: float, kind: str, says: str) -> None:
    heavy = tails.tail_growth(located(lambda v: power * torch.log1p(v.abs())))[1]
    assert heavy is not None
    assert heavy.kind == kind
    assert says in heavy.said
    other = tails.tail_growth(located(lambda v: 0.5 * torch.log1p(v.abs()), whole_line=False))[1]
    assert other is not None
    assert other.kind == "undecided"
    one_side = tails.tail_growth(located(lambda v: torch.where(v > 0, 0.5, 2.0) * torch.log1p(v.abs())))[1]
    assert one_side is not None


def test_how_far_a_tail_is_followed() -> None:
    farther = [math.log10(one) for one in tails.FARTHER]
    assert farther == sorted(farther)
    assert farther == pytest.approx([5, 7, 10, 15, 20, 30, 40, 60])
    assert [later / earlier for earlier, later in pairwise(tails.DOUBLED)] == [2, 2, 2]
    assert tails.DOUBLED[0] == 100
    for power, endless in ((1.4, True), (1.6, False)):
        assert (
            tails._endless(located(lambda v, power=power: power * torch.log1p(v.abs())), 1.0) is not None
        ) == endless
    ends_late = located(lambda v: torch.where(v.abs() > 1e50, 5.0, 0.5) * torch.log1p(v.abs()))
    heavy = tails.tail_growth(ends_late)[1]
    assert heavy is not None
    assert "whether it goes on so" in heavy.said


# Sums and integrals.
def test_an_integral_is_taken_to_a_trillionth() -> None:
    found = integrals.integral(lambda v: -(v[:, None] - 0.3).abs())
    assert found.error <= 5e-12
    assert float(found.z[0]) == pytest.approx(2.0, rel=1e-11)


@pytest.mark.parametrize(("error", "settles"), [(1e-10, True), (1e-7, False)])
def test_an_integral_that_ran_out_of_steps_may_have_settled(
    error: float, settles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SimpleNamespace(estimate=[1.0], error=[error], status="not_converged")
    monkeypatch.setattr("scipy.integrate.cubature", lambda *_, **__: done)
    assert math.isfinite(integrals.integral(lambda v: -(v[:, None] ** 2)).error) == settles


@pytest.mark.parametrize(
    ("more", "left", "settles"), [(1e-16, 0.0, True), (1e-12, 0.0, False), (0.0, 1e-10, True), (0.0, 1e-7, False)]
)
def test_a_sum_over_counts_has_settled_where_nothing_more_comes_in(
    more: float, left: float, settles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terms(_loss: Loss, output: Tensor, target: Tensor, *_: Any) -> Tensor:
        found = torch.zeros(len(output), len(target), dtype=f64)
        found[:, 0], found[:, -1] = 1.0, more * math.log2(len(target))
        return found

    monkeypatch.setattr(integrals, "_terms", terms)
    monkeypatch.setattr(integrals, "_beyond", lambda *_: numbers(left))
    monkeypatch.setattr(integrals, "far_sum", lambda *_: (numbers(0.0), numbers(math.inf)))
    found = integrals.count_sum(asked(o.Poisson(), "counts"), numbers(0.0), 1.0, None)
    assert math.isfinite(found.error) == settles
    assert bool(torch.isfinite(found.z).all()) == settles


def test_a_density_has_faded_where_float64_ends() -> None:
    assert ALONG is not None
    reach = Reach(numbers(0.0), numbers(1.0), ALONG)
    for share, faded in ((1e-11, True), (1e-7, False)):
        density = lambda v, share=share: torch.where(v.abs() > 1, math.log(share) - v.abs().log(), 0.0)[:, None]  # noqa: E731
        assert integrals._fades(density, numbers(1.0), reach, False).tolist() == [faded]
    jump = Reach(numbers(0.0), numbers(1.0), TargetSpace("positive").coordinate)  # type: ignore[arg-type]
    masked = [
        bool(
            integrals._fades(
                lambda v: torch.where((v.abs() - 590).abs() < 1, 0.0, -torch.inf)[:, None], numbers(1.0), jump, m
            )[0]
        )
        for m in (True, False)
    ]
    assert masked == [False, False], "590 is looked at, masked or not"
    between = [
        bool(
            integrals._fades(lambda v: torch.where(v.abs() > 580, -torch.inf, -40.0)[:, None], numbers(1.0), jump, m)[0]
        )
        for m in (True, False)
    ]
    assert between == [True, True]


@pytest.mark.parametrize(
    ("inner", "to", "outer", "settles"),
    [
        (1.0, 9.0, 1.0, True),
        (1.001, 19.0, 1.0, False),
        (1.00001, 19.0, 1.0, True),
        (3.0, 10.0, 1.0, True),
        (0.1, 0.0, -0.1, False),
    ],
)
def test_beyond_the_ends_a_density_falls_at_one_rate(inner: float, to: float, outer: float, settles: bool) -> None:
    one = Total(numbers(1.0), 0.0, numbers(0.0))

    def log_density(v: Tensor) -> Tensor:
        """−rate·|v|, of one rate inside `to` and another beyond."""
        return -(inner * v.abs().clamp(max=to) + outer * (v.abs() - to).clamp(min=0))[:, None]

    found = integrals._with_ends(one, log_density, -20.0, 20.0)
    assert (found.why == "") == settles
    if inner == outer:
        assert float(found.z[0]) == pytest.approx(1 + 2 * math.exp(-20), rel=1e-12)
    turning = integrals._with_ends(
        one, lambda v: -(1e-4 * v.abs().clamp(max=19) + (v.abs() - 19).clamp(min=0))[:, None], -20.0, 20.0
    )
    assert float(turning.errors[0]) == pytest.approx(2 * math.exp(-1.0019)), "at most all that lies beyond"
    steep = integrals._with_ends(one, lambda v: (-800 - v**2)[:, None], -20.0, 20.0)
    assert steep.why == "", "nothing is left of it there"


@pytest.mark.parametrize(
    ("sd", "f", "width"),
    [
        (0.3, 0.0, 0.9),
        (0.3, 50.0, 0.9),
        (100.0, 0.0, 10.0),
        (0.01, 0.0, 0.03),
        (1e-11, 1.0, 3e-11),
        (1e-29, 0.0, 3e-29),
    ],
)
def test_a_bulk_is_as_wide_as_it_is(sd: float, f: float, width: float) -> None:
    assert ALONG is not None
    middle, found = integrals._bulk(asked(lambda f, y: 0.5 * ((y - f) / sd) ** 2), numbers(f), ALONG)
    assert float(middle[0]) == pytest.approx(f, abs=max(0.2, 0.1))
    assert width / 2 <= float(found[0]) <= 2 * width


@pytest.mark.parametrize(
    ("finite", "unknown", "fades", "why"),
    [
        (True, True, True, "NaN at some targets"),
        (False, True, False, "NaN at some targets"),
        (False, False, False, "overflows float64"),
        (True, False, False, "has not faded"),
        (True, False, True, "adaptive quadrature leaves a relative error of 1e-05"),
    ],
)
def test_the_gravest_reason_is_told_first(finite: bool, unknown: bool, fades: bool, why: str) -> None:
    masks = (torch.tensor([True, one]) for one in (finite, unknown, fades))
    good, lost, faded = masks
    assert why in integrals._why(good, lost & torch.tensor([False, True]), faded, 1e-5)


def test_what_is_known_of_a_total() -> None:
    total = Total(numbers(1.0, 100.0), 1e-7, numbers(1e-7, 1e-3))
    assert total.within(1e-8)
    assert not total.within(1e-10)
    assert total.known(1e-6).tolist() == [True, False]
    assert integrals.spread(numbers(1.0, 1.0, 1.1)) == pytest.approx(0.1)
    assert integrals.spread(numbers(1.0, 0.0)) == integrals.spread(numbers(1.0, math.inf)) == math.inf


# Numbers: known densities, temperatures, proofs that there is none.
def test_a_density_is_known_by_its_values() -> None:
    y, f = numbers(-0.1, 0.1), numbers(-0.2, 0.0, 0.2)
    for wave, same in ((1e-11, True), (1e-7, False)):
        loss = asked(lambda f, y, wave=wave: o.Normal().nll(f, y) + 3.0 + wave * torch.sin(9 * f * y + f))
        assert (known._same(loss, o.Normal().nll, f, y, "normal", "f") is not None) == same
    for precision, found in ((7.0, True), (5e5, True), (3e6, False)):
        read = known._precision(asked(o.Beta(precision), "unit"))
        assert (read is not None) == found
        if read:
            assert read == pytest.approx(precision, rel=1e-9)


def test_where_z_is_computed() -> None:
    line = numeric.some_outputs(asked(squared))
    assert bool((line.diff() > 0.2).all())
    assert 1.6 < float(line.abs().max()) < 1.95
    assert numeric.OTHER_TAUS[0] * numeric.OTHER_TAUS[1] == 1
    assert numeric.OTHER_TAUS[1] == 2
    roots = list(numeric._roots(lambda t: t - 0.3))
    assert roots == pytest.approx([0.3])
    assert numeric.Z_DIFFERS == 1e4 * integrals.Z_ROUNDING


@pytest.mark.parametrize(("size", "said"), [(1e-3, "over the targets, differs"), (1e-5, "is less than certain")])
def test_z_differs_from_a_ten_thousandth_on(size: float, said: str) -> None:
    loss = asked(lambda f, y: squared(f, y) + size * torch.tanh(f))
    outputs = numeric.some_outputs(loss)
    total = integrals.partition(loss, outputs)
    found = unproven.not_proven(loss, outputs, total, None, integrals.spread(total.z), numeric.Z_DIFFERS)
    assert said in found.said


@pytest.mark.parametrize(("apart", "agree"), [(1e-8, True), (1e-4, False)])
def test_two_quadratures_agree_to_six_digits(apart: float, agree: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    one = numbers(1.0, 1.0)
    monkeypatch.setattr(unproven, "partition", lambda *_, **__: Total(one + apart, 0.0, 0 * one))
    why, rows = unproven._disagrees(asked(squared), one, Total(one, 0.0, 0 * one))
    assert (why == "") == agree
    assert bool(rows.any()) == (not agree)


@pytest.mark.parametrize(("cut", "said"), [(0.0, "but 2 at output"), (1.0, "two quadratures")])
def test_what_settled_far_from_zero_is_cut_otherwise_before_it_is_believed(
    cut: float, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every Z has settled the other quadrature has the last word; where one has not, it is not asked."""
    calls = []

    def partition(_: object, outputs: Tensor, **options: object) -> Total:
        calls.append(options)
        z = torch.full((len(outputs),), 2.0 + cut * len(options), dtype=torch.float64)
        return Total(z, 0.0, 0 * z)

    monkeypatch.setattr(unproven, "partition", partition)
    assert said in unproven.far_from_zero(asked(squared), 1.0)[0]
    assert len(calls) == 2
    open_ = lambda _, outputs, **__: Total(0 * outputs + 2, 9.0, 0 * outputs + 1.0, "it is wild")  # noqa: E731
    monkeypatch.setattr(unproven, "partition", open_)
    assert "(it is wild)" in unproven.far_from_zero(asked(squared), 1.0)[0]


@pytest.mark.parametrize(("level", "told"), [(1e3, True), (1e12, False)])
def test_a_density_that_does_not_fall_is_called_infinite_where_there_are_digits_to_tell(
    level: float, told: bool
) -> None:
    plateau = asked(lambda f, y: level + torch.log1p(y.abs()) + 0 * f)
    assert (unproven.infinite(plateau, numbers(0.0)) is not None) == told
    assert unproven.infinite(asked(lambda f, y: 2 * torch.log1p((y - f).abs())), numbers(0.0)) is None


@pytest.mark.parametrize(("level", "worse"), [(1.0, 1e-8), (1e-3, 1e-11)])
def test_one_output_is_worse_everywhere_by_more_than_rounding(level: float, worse: float) -> None:
    assert refute.worse_everywhere(asked(lambda f, y: level + worse * f + 0 * y, "counts")) is not None
    assert refute.worse_everywhere(asked(lambda f, y: level + 1e-3 * worse * f + 0 * y, "counts")) is None
    assert refute.worse_everywhere(asked(squared)) is None
    counts = refute.FAR_COUNTS
    assert list(counts) == sorted(set(counts))
    assert (counts[0], counts[-1]) == (1e3, 1e9)


@pytest.mark.parametrize(("off", "name"), [(0.0, "f"), (0.005, "f"), (0.05, None)])
def test_the_best_output_is_told_to_the_step_of_its_grid(off: float, name: str | None) -> None:
    assert refute.elicits(asked(lambda f, y: squared(f - off, y))) == (True, name)


# What must hold before anything is asked.
def test_moderate_outputs_are_those_of_ordinary_training() -> None:
    line = sound.moderate_outputs(TargetSpace("real"))
    assert line.tolist() == pytest.approx([k / 5 - 4 + 0.00321 for k in range(41)])
    cloud = sound.moderate_outputs(TargetSpace("classes", 5))
    assert 1.3 < float(cloud.std()) < 1.7
    assert len(sound.moderate_outputs(TargetSpace("classes", 300))) == 8


@pytest.mark.parametrize(("off", "right"), [(1e-8, True), (1e-5, False)])
def test_a_gradient_is_the_derivative_to_a_millionth(off: float, right: bool) -> None:
    everywhere = asked(with_slope(squared, lambda f, y: off * squared(f, y)))
    assert (sound.cannot_be_read(everywhere) is None) == right
    # Where the gradient is a hundredth of the largest, too: it is measured by itself.
    steep = lambda f, _: torch.exp(2 * f)  # noqa: E731
    small = asked(
        with_slope(lambda f, y: steep(f, y) + 1e-9 * y, lambda f, _: off * torch.where(f < 1, torch.exp(2 * f), 0.0))
    )
    assert (sound.cannot_be_read(small) is None) == right


def test_a_difference_is_right_for_smooth_losses_kinks_and_steep_ones() -> None:
    f, y = numbers(1.3, -0.2, 1e-9), numbers(0.4, 0.4, 0.4)
    for function in (squared, lambda f, y: torch.sin(3 * f) * y):
        loss = asked(function)
        _, slope = loss.both(f, y)
        off = sound.slope_error(loss, f, y, slope, torch.ones(3, dtype=f64))
        assert float(off.max()) < 1e-8
        off = sound.slope_error(loss, f, y, slope * (1 + 1e-4), torch.full((3,), 1e-9, dtype=f64))
        assert off.tolist() == pytest.approx([1e-4] * 3, rel=1e-2)
    assert sound.cannot_be_read(asked(lambda f, y: (f - y).abs())) is None
    assert sound.cannot_be_read(asked(lambda f, y: squared(f, y) + 1e-3 * torch.sin(300 * f))) is None


@pytest.mark.parametrize(("by", "coupled"), [(1e-12, False), (1e-7, True)])
def test_a_batch_is_the_sum_of_its_rows_to_rounding_also_where_it_is_large(by: float, coupled: bool) -> None:
    """Below a hundred rows nothing is coupled: the parts against the whole tell."""
    space = TargetSpace("real")
    rows = Objective.of(lambda f, y: squared(f, y) + (by if len(f) == 512 else 0.0), space, name="loss")
    means = Objective.of(lambda f, y: squared(f, y).mean() + (by if len(f) == 512 else 0.0), space, name="loss")
    assert (sound.coupling(rows, space) is not None) == coupled
    assert (sound.coupling(means, space) is not None) == coupled
    assert sound.coupling(Objective.of(lambda f, y: squared(f, y).sum(), space, name="loss"), space) is None


@pytest.mark.parametrize(("loss", "is_hinge"), [
    (lambda f, y: 2 * o.hinge(f, y), True),
    (lambda f, y: 2 * o.hinge(f, y) * (1 + 1e-7 * torch.cos(f)), False),
    (lambda f, y: torch.nn.functional.softplus(50 * (1 - (2 * y - 1) * f)) / 50, False),
    (lambda f, y: o.hinge(f, torch.ones_like(y)), False),
    (lambda f, y: -o.hinge(f, y), False),
])  # fmt: skip
def test_a_hinge_is_known_by_both_its_sides_and_its_kink(loss: Function, is_hinge: bool) -> None:
    assert notes._is_hinge(asked(loss, "binary")) == is_hinge


# What a certificate says in words.
def held(**changed: Any) -> Certificate:
    told: dict[str, Any] = {"kind": "likelihood", "name": "loss", "targets": "real", "sentence": "It holds."}
    return Certificate(**told | changed)


def test_what_a_certificate_states_as_single_values() -> None:
    assert certificate.certificate_facts(held()) == [("targets", "real")]
    full = {
        "kind": "scaled likelihood", "targets": "classes(3)", "family": "categorical", "scale": 2.0, "link": "softmax(f)",
        "measure": "1", "residual": 0.5, "domains": {"float32": "all"}, "constants": {0.0: 0.0}, "unreachable": 0.25,
    }  # fmt: skip
    assert certificate.certificate_facts(held(**full)) == [
        ("targets", "classes(3)"), ("distribution", "categorical"), ("τ", "2"), ("probability", "softmax(f)"), ("h(y)", "1"),
        ("c(y)", "0 nats"), ("residual", "0.5"), ("holds in float32", "everywhere"), ("outputs that imply no probability", "25 %"),
    ]  # fmt: skip
    assert ("link", "f") in certificate.certificate_facts(held(link="f"))
    assert [certificate.distribution(held(family=one)) for one in (None, "none", "normal")] == ["–", "–", "normal"]
    assert [certificate.temperature(held(kind=kind, scale=2.0)) for kind in ("likelihood", "likelihood family")] == [
        "2",
        "free",
    ]
    finite = [certificate.is_finite(held(targets=one)) for one in ("binary", "classes(3)", "real", "counts")]
    assert finite == [True, True, False, False]
    told = [None, {}, {0.0: 1.5, 1.0: 1.5}, {0.0: 1.5, 1.0: 1.5 + 1e-12}, {0.0: 1.5, 1.0: 1.6}]
    assert [certificate.constant(held(constants=one)) for one in told] == [None, None, "1.5", "1.5", None]
    assert [certificate.nats(one) for one in (1e-12, -1e-12, 1e-6)] == ["0", "0", "1e-6"]
    domains: list[Any] = ["all", "none", (-2.0, 3.0), (-math.inf, 3.0), (-2.0, math.inf)]
    assert [certificate.where(one) for one in domains] == ["everywhere", "–", "[-2, 3]", "f ≤ 3", "f ≥ -2"]


def test_what_is_required_is_met_by_its_own_kind_and_likelihood_by_all_three() -> None:
    kinds = certificate.KINDS
    met = {need: {kind for kind in kinds if certificate.unmet([held(kind=kind)], need) is None} for need in kinds}
    assert met == {need: {need} for need in kinds} | {
        "likelihood": {"likelihood", "scaled likelihood", "likelihood family"}
    }
    assert certificate.unmet([held(kind="proper")], None) is None
    missed = certificate.unmet([held(kind="proper", name=str(k)) for k in range(9)], "likelihood") or ""
    assert "7 (proper) …: It holds." in missed
    assert "…" not in (certificate.unmet([held(kind="proper")] * 8, "likelihood") or "")
    certificate.check_kind(None)
    certificate.check_kind("proper")
    with pytest.raises(ConfigError, match="require: "):
        certificate.check_kind("propre")


@pytest.mark.parametrize(
    ("targets", "outputs"), [("classes(3)", 81), ("classes(20)", 81), ("classes(21)", 25), ("classes(257)", 8)]
)
def test_of_more_classes_fewer_outputs_are_looked_at(targets: str, outputs: int) -> None:
    assert len(implied.telling_outputs(asked(o.cross_entropy, targets))) == outputs


WEIGHTS = numbers(1, 2, 3)
NOTED: dict[str, tuple[Any, str, Finding, str | None]] = {
    "hinge": (o.hinge, "binary", Finding("no link"), notes.HINGE),
    "hinge, of another kind": (o.hinge, "binary", Finding("proper"), None),
    "no hinge": (o.mae_on_sigmoid, "binary", Finding("no link"), None),
    "support vectors": (o.epsilon_insensitive, "real", Finding("likelihood family", "flat-topped Laplace"), notes.SVR),
    "another density": (o.l1, "real", Finding("likelihood family", "Laplace"), None),
    "fractions": (o.bce_with_logits, "unit", Finding("proper", link="σ(f)"), notes.FRACTIONS),
    "fractions by another link": (o.bce_with_logits, "unit", Finding("proper", link="Φ(f)"), None),
    "labels": (o.bce_with_logits, "binary", Finding("proper", link="σ(f)"), None),
    "gamma": (o.gamma_loss, "positive", Finding("likelihood", "gamma, shape 1"), notes.GAMMA),
    "gamma of another shape": (o.gamma_loss, "positive", Finding("likelihood", "gamma, shape 2"), None),
    "class weights": (
        nn.CrossEntropyLoss(WEIGHTS),
        "classes(3)",
        Finding("proper"),
        notes.SHARED,
    ),
    "class weights, undecided": (
        nn.CrossEntropyLoss(WEIGHTS),
        "classes(3)",
        Finding("undecided"),
        None,
    ),
    "a plain mean": (nn.CrossEntropyLoss(), "classes(3)", Finding("likelihood"), None),
    "rows as they are": (
        nn.CrossEntropyLoss(WEIGHTS, reduction="none"),
        "classes(3)",
        Finding("proper"),
        None,
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_a_note_is_told_where_it_holds(name: str) -> None:
    function, targets, finding, note = NOTED[name]
    space = TargetSpace.parse(targets)
    made = Objective.of(function, space, name="loss")
    assert notes.notes(Loss(made, space), made, finding) == (() if note is None else (note,))


# Asked one by one, with many classes, and outwards.
def test_rows_that_are_asked_alone_are_counted() -> None:
    alone, rowwise = asked(lambda f, y: squared(f, y).mean()), asked(squared)
    assert (alone.reduces, rowwise.reduces) == (True, False)
    rowwise._count(torch.zeros(10**6))
    alone._count(torch.zeros(6000))
    with pytest.raises(TooSlowError):
        alone._count(torch.zeros(1))


def test_with_many_classes_the_gradients_must_vanish_under_the_probabilities_told() -> None:
    f = torch.tensor([[0.3, -0.2, 1.0]], dtype=f64)
    p = torch.softmax(f, 1)
    value, slope = -p.log(), p[:, None, :] - torch.eye(3, dtype=f64)
    finding = Finding("likelihood", scale=1.0, log_base=lambda y: torch.zeros(len(y), dtype=f64))
    target = torch.arange(3)
    assert domain._adds_up(value, slope, finding, target).tolist() == [True]
    assert domain._adds_up(value, slope + 0.2, finding, target).tolist() == [False]
    assert domain._adds_up(value + 0.1, slope, finding, target).tolist() == [False]
    labels, two_p = torch.arange(2), two(0.3)
    apart = torch.tensor([[[0.3], [-0.7]]], dtype=f64)
    assert domain._adds_up(-two_p.log(), apart, finding, labels).tolist() == [True]
    assert domain._adds_up(-two_p.log(), apart + 0.2, finding, labels).tolist() == [False]


def test_an_excess_that_still_falls_at_an_end_may_turn_round_farther_out() -> None:
    value = torch.tensor([[3.0, 2.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 2.0, 1.0]], dtype=f64)
    assert refute._grows_outwards(value, False).tolist()[0] == [True, True, True]
    assert refute._grows_outwards(value, False).tolist()[2] == [False, False, True]
    left = torch.tensor([[1.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]], dtype=f64)
    assert [bool(refute._grows_outwards(left, counts)[0, 1]) for counts in (True, False)] == [True, False]
    rises = asked(lambda f, y: 20 + f * (2 + torch.tanh(y)), "counts")
    assert refute.worse_everywhere(rises) is not None
    falls = asked(lambda f, y: 20 + f * torch.exp(-y / 1e9), "counts")
    assert refute.worse_everywhere(falls) is None


def test_outputs_are_asked_in_parts_of_so_many_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, target = asked(o.cross_entropy, "classes(5)"), torch.arange(5)
    output = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=f64)
    whole = loss.cross(output, target), loss.values(output, target)
    for most, parts in ((200, 1), (199, 2), (50, 4), (1, 8)):
        monkeypatch.setattr(ask, "MOST_NUMBERS", most)
        assert len(loss._parts(output, target)) == parts
        again = loss.cross(output, target), loss.values(output, target)
        torch.testing.assert_close(again, whole, rtol=0, atol=1e-14)
    monkeypatch.setattr(ask, "MOST_NUMBERS", 20)
    assert len(loss._parts(output[:, 0], target)) == 2


def test_the_base_measure_of_a_family_in_words() -> None:
    counts = torch.arange(8, dtype=f64)
    ways = -torch.lgamma(counts + 1)
    assert exponential._measure(ways, counts, True) == "1"
    assert exponential._measure(ways, counts, False) == "1/y!"
    assert exponential._measure(ways + 1e-5, counts, False) == "a function of y"
    halves = counts + 0.5
    assert exponential._measure(-torch.lgamma(halves + 1), halves, False) == "a function of y"


# Whether a loss still answers as it did.


def by_call(*answers: Any) -> Loss:
    """A loss that gives these answers, a row each, one call after the other; an exception is raised."""
    waiting, started = list(answers), []

    def loss(output: Tensor, target: Tensor) -> Tensor:
        if not started or len(output) != ask.FIRST_ROWS:
            return squared(output, target)  # asked how it reduces, and in which shape it answers
        answer = waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return torch.full_like(output, answer) + 0 * target

    found = asked(loss)
    started.append(True)
    found.first = found._first_answer()
    return found


@pytest.mark.parametrize(
    ("answers", "changed"),
    [
        ((1.0, 1.0), False), ((1.0, 1.0 + 1e-15), True), ((math.nan, math.nan), False), ((math.nan, 0.0), True),
        ((0.0, math.nan), True), ((1.0, ValueError()), True), ((ValueError(), 1.0), True), ((ValueError(), ValueError()), False),
    ],
)  # fmt: skip
def test_an_answer_has_changed_where_any_bit_of_it_has(answers: tuple[Any, ...], changed: bool) -> None:
    assert by_call(*answers).has_changed() is changed


def test_targets_outside_the_space_are_not_asked_for() -> None:
    several = asked(lambda o, y: (o[:, 0] - y.log()) ** 2 + o[:, 1] ** 2, TargetSpace("positive", raw=2))
    outputs = torch.ones(3, 2, dtype=f64)
    assert several._there(numbers(1.0, 2.0, 3.0)) is None
    assert several._there(numbers(0.0, math.inf, -1.0)) is None, "none is left"
    there = several._there(numbers(1.0, math.inf, 0.0))
    assert there is not None
    assert there.tolist() == [True, False, False]
    assert several.value(outputs, numbers(1.0, math.inf, 0.0)).isnan().tolist() == [False, True, True]
    assert asked(squared)._there(numbers(1.0, math.inf)) is None, "one raw output is asked everywhere"


def test_crossed_outputs_are_asked_in_parts_and_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, output, target = asked(squared), numbers(-1.0, 0.0, 2.0, 3.0, 5.0), numbers(0.5, 1.0, 1.5)
    whole = (*loss.cross(output, target), loss.values(output, target))
    assert whole[2].tolist() == [[0.5 * (y - f) ** 2 for y in target.tolist()] for f in output.tolist()]
    assert whole[1].squeeze(-1).tolist() == [[f - y for y in target.tolist()] for f in output.tolist()]
    for most, parts in ((1, 5), (6, 3), (15, 1)):
        monkeypatch.setattr(ask, "MOST_NUMBERS", most)
        assert len(loss._parts(output, target)) == parts
        assert all(map(torch.equal, (*loss.cross(output, target), loss.values(output, target)), whole))
    assert len(loss._parts(torch.ones(4, 5, dtype=f64), target)) == 4, "15 numbers are one output of five"
