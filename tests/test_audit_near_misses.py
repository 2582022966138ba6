"""Losses one slip away from a likelihood, and likelihoods as torch writes them: told apart, without a crash, and soon."""

import math
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, distributions
from torch.nn import functional

import mlnn
from mlnn.auditing.ask import Loss
from mlnn.auditing.sound import long_slope_error
from mlnn.auditing.unproven import endless
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

Function = Callable[[Tensor, Tensor], Tensor]
SLOW = 10.0
"""Seconds of processor time; an audit takes a second or two, and the losses here took 20 and more."""


def _of(make: Callable[[Tensor], distributions.Distribution]) -> Function:
    return lambda f, y: -make(f).log_prob(y)


def _normal(f: Tensor, y: Tensor, level: float = 1.0, added: float = 0.0) -> Tensor:
    return level * f[:, 1] / 2 + (y - f[:, 0]) ** 2 / (f[:, 1].exp() + added) / 2


@pytest.mark.sampled(6, 1)
@pytest.mark.parametrize(("loss", "targets", "family"), [
    (_of(lambda f: distributions.InverseGamma(torch.tensor(3.0), f.exp())), "positive", "inverse gamma, shape 3"),
    (_of(lambda f: distributions.Weibull(f.exp(), torch.tensor(1.7))), "positive", "Weibull, shape 1.7"),
    (_of(lambda f: distributions.FisherSnedecor(f.exp() + 0.1, torch.tensor(5.0))), "positive", None),
])  # fmt: skip
def test_densities_that_overflow_or_refuse_far_out_are_told(loss: Function, targets: str, family: str | None) -> None:
    """Far out torch's log densities are ∞ − ∞, or refuse a target that float64 has rounded to 0."""
    start = time.process_time()
    found = mlnn.audit(loss, targets)
    assert (found.kind, found.family) == ("likelihood", family)
    assert time.process_time() - start < SLOW


def test_a_tail_that_overflows_where_it_is_flat_is_not_taken_for_a_light_one() -> None:
    """Lighter than any power before it is lost: that is what makes it nothing. A flat one that is lost is not known."""

    def lost(f: Tensor, y: Tensor) -> Tensor:
        r = y.log() - f
        return torch.where(r > 300, math.nan, 0.2 * torch.relu(r) + 3 * torch.relu(-r))

    assert not mlnn.audit(lost, "positive").is_likelihood


@pytest.mark.parametrize("reduce", [False, True])
def test_rows_of_infinite_loss_do_not_couple_a_batch(reduce: bool) -> None:
    """∞ in the batch and ∞ in its part is no difference; a loss that does couple rows is still found beside one."""
    row = _of(lambda f: distributions.Kumaraswamy(f.exp(), torch.tensor(2.0)))
    assert mlnn.audit(lambda f, y: row(f, y).mean() if reduce else row(f, y), "unit").kind != "batch-coupled"

    def coupled(f: Tensor, y: Tensor) -> Tensor:
        return torch.where(y > 0.99, math.inf, (f - y) ** 2 + f.mean())

    assert reduce or mlnn.audit(coupled, "unit").kind == "batch-coupled"


def test_two_raw_outputs_of_a_binary_target_are_a_softmax() -> None:
    found = mlnn.audit(lambda f, y: functional.cross_entropy(f, y.long(), reduction="none"), "binary(raw=2)")
    assert (found.kind, found.link) == ("likelihood", "softmax(f)")


@pytest.mark.parametrize(("share", "kind"), [(1e-4, "proper"), (0.0, "likelihood")])
def test_a_penalty_on_the_logits_leaves_no_probabilities_that_balance_the_gradients(share: float, kind: str) -> None:
    def loss(f: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(f, y, reduction="none") + share * torch.logsumexp(f, 1) ** 2

    found = mlnn.audit(loss, "classes(3)")
    assert (found.kind, found.link) == (kind, "softmax(f)")
    assert (found.witness is not None) == (kind == "proper")


def test_one_against_the_others_is_proper_and_no_likelihood() -> None:
    def loss(f: Tensor, y: Tensor) -> Tensor:
        one = functional.one_hot(y, 3).to(f.dtype)
        return functional.binary_cross_entropy_with_logits(f, one, reduction="none").sum(1)

    found = mlnn.audit(loss, "classes(3)")
    assert (found.kind, found.link) == ("proper", "σ(f) of each entry")
    assert found.witness is not None
    assert "linearly independent" in found.witness.says


def test_a_temperature_next_to_1_is_told_from_1() -> None:
    """1.001 before the logarithm of the width is a likelihood to the power 1.001, of a variance 1.001 times as large."""
    found = mlnn.audit(lambda f, y: _normal(f, y, level=1.001), "real(raw=2)")
    assert found.kind == "scaled likelihood"
    assert found.scale == pytest.approx(1.001, abs=1e-9)


def _counts(rate: float, level: float, theta: float | None = None, less: float = 0.0) -> Function:
    """`level` times the loss of counts around rate·exp(f), of a base measure rate^y: Poisson, or negative binomial of `theta`."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        if theta is None:
            return level * (rate * f.exp() - (y + less) * f + torch.lgamma(y + 1))
        return level * (
            (y + theta) * (theta + rate * f.exp()).log() - y * f + torch.lgamma(y + 1) - torch.lgamma(y + theta)
        )

    return loss


@pytest.mark.sampled(8)
@pytest.mark.parametrize("theta", [None, 2.0, 50.0])
@pytest.mark.parametrize("rate", [1e-6, 1e-3, 3e3, 3.1e4, 3e5, 3e6, 1e8, 328861042.7, 1e10])
def test_counts_in_another_unit_are_never_refuted(rate: float, theta: float | None) -> None:
    """A part of the variance that is nothing at the means read is no other lattice, and no far count is out of sight."""
    for level in (1.0, 1.7):
        found = mlnn.audit(_counts(rate, level, theta), "counts")
        assert found.is_likelihood or found.kind == "undecided", found.sentence
        assert found.kind != "undecided" or "not decided: " in found.sentence
        if found.is_likelihood:
            assert found.scale == pytest.approx(level, rel=1e-3)
            assert (found.base_measure or {})[1.0] / (found.base_measure or {})[0.0] == pytest.approx(rate, rel=1e-2)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("rate", [1e-2, 3e3, 3e4, 3e5])
def test_counts_in_another_unit_are_a_poisson(rate: float) -> None:
    for level in (1.0, 2.0):
        found = mlnn.audit(_counts(rate, level), "counts")
        assert (found.family, found.scale) == ("Poisson", level), found.sentence
        assert (found.base_measure or {})[2.0] == pytest.approx(rate**2, rel=1e-6)


@pytest.mark.parametrize(("rate", "less", "kind"), [(1.0, 1e-5, "proper"), (3e3, 1e-5, "undecided"), (3e5, 1e-3, "undecided"),
                                                    (3e5, 1e-1, "proper")])  # fmt: skip
def test_counts_less_a_little_are_no_poisson(rate: float, less: float, kind: str) -> None:
    """Of large losses a share of 1e-8 is more than Z may vary by."""
    assert mlnn.audit(_counts(rate, 1.0, less=less), "counts").kind == kind


@pytest.mark.rest
def test_a_number_added_to_one_of_two_variances_is_seen() -> None:
    found = mlnn.audit(lambda f, y: _normal(f, y, added=1e-3), "real(raw=2)")
    assert not found.is_likelihood
    assert found.witness is not None


@pytest.mark.parametrize(("loss", "targets"), [
    (lambda f, y: (f.exp() + 1) * torch.log1p(y), "positive"), (lambda f, y: (1 - f.exp()) * y.log(), "unit"),
])  # fmt: skip
def test_a_forgotten_normaliser_is_refuted_where_losses_come_to_nothing(loss: Function, targets: str) -> None:
    """Towards one end both losses are 0, so that none is larger there by a number."""
    found = mlnn.audit(loss, targets)
    assert found.kind == "no link"
    assert found.witness is not None


@pytest.mark.parametrize("end", [5.0, 30.0])
def test_a_term_far_out_ends_the_domain_and_is_no_rounding(end: float) -> None:
    """A hundredth of a nat per unit beside a square of a thousand: far less than a thousandth, and there all the same."""
    found = mlnn.audit(lambda f, y: (f - y) ** 2 + 0.01 * torch.relu(f - end), "real")
    domain = found.domains["float64"]
    assert not isinstance(domain, str)
    assert list(domain) == pytest.approx([-math.inf, end], rel=0.01)
    assert any("not by rounding" in note for note in found.notes)
    plain = mlnn.audit(torch.nn.MSELoss(), "real")
    assert plain.domains["float64"] == "all"
    assert not any("not by rounding" in note for note in plain.notes)


def test_differences_of_terms_that_cancel_are_not_taken_for_a_wrong_gradient() -> None:
    """1 − σ has three digits left at 29: a difference quotient has none, and autograd's gradient is right."""

    def cumulative(f: Tensor, y: Tensor) -> Tensor:
        first, second, third = f[:, 1], f[:, 1] + f[:, 2].exp(), f[:, 1] + f[:, 2].exp() + f[:, 3].exp()
        inner = [torch.sigmoid(cut - f[:, 0]) for cut in (first, second, third)]
        ends = torch.stack([torch.zeros_like(first), *inner, torch.ones_like(first)], 1)
        return -torch.log((ends[:, 1:] - ends[:, :-1]).gather(1, y.long()[:, None])[:, 0])

    assert mlnn.audit(cumulative, "classes(4, raw=4)").family == "categorical"
    wrong = mlnn.audit(lambda f, y: cumulative(f, y) + 1e-3 * f[:, 0].sin().detach(), "classes(4, raw=4)")
    assert "not the derivative" in wrong.sentence


def test_a_long_difference_sees_a_small_fault_of_a_gradient() -> None:
    space = TargetSpace("real")
    line = torch.linspace(-2, 2, 9, dtype=torch.float64) + 0.013
    right = Loss(Objective("right", lambda f, y: (f - y).cosh(), "raw", space), space)
    wrong = Loss(Objective("wrong", lambda f, y: (f - y).cosh() + 1e-4 * (f - f.detach()), "raw", space), space)
    assert bool((long_slope_error(right, line, line + 1) <= 1e-6).all())
    assert bool((long_slope_error(wrong, line, line + 1) > 1e-6).all())


def test_what_adds_up_without_end_is_not_integrated() -> None:
    """A mixture with a floor of 1e-4 under its density took 20 s."""

    def floored(f: Tensor, y: Tensor) -> Tensor:
        parts = torch.log_softmax(f[:, :2], 1) - ((y[:, None] - f[:, 2:4]) / f[:, 4:6].exp()) ** 2 / 2 - f[:, 4:6]
        return -torch.log(torch.logsumexp(parts, 1).exp() + 1e-4)

    start = time.process_time()
    assert "is infinite" in mlnn.audit(floored, "real(raw=6)").sentence
    assert time.process_time() - start < SLOW
    space = TargetSpace("real", raw=2)
    loss = Loss(Objective("Cauchy", lambda f, y: torch.log1p((y - f[:, 0]) ** 2), "raw", space), space)
    some = torch.zeros(2, 2, dtype=torch.float64)
    assert not endless(loss, some)
    assert endless(loss, some, 1.0, lambda y: torch.log1p(y**2))
    assert endless(loss, some, 3.0)


@pytest.mark.rest
def test_fits_of_a_temperature_do_not_overflow() -> None:
    """Its losses go to 10³⁰⁰ at some targets, and derivatives by the temperature with them."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        z = f[:, 1].exp() * (y.log() - f[:, 0])
        return 2 * functional.softplus(z) - z + y.log()

    assert mlnn.audit(loss, "positive(raw=2)").kind == "no link"


@pytest.mark.parametrize(("share", "kind"), [(0.0, "likelihood"), (1e-3, "undecided")])
def test_fractions_whose_mass_lies_beyond_the_logits_of_float64_are_summed(share: float, kind: str) -> None:
    """At output −5 a density y^(a − 1) has its bulk below e^−100."""
    found = mlnn.audit(lambda f, y: -f - (f.exp() - 1) * y.log() + share * torch.relu(f - 3), "unit")
    assert found.kind == kind


def _half_clamped(f: Tensor, y: Tensor) -> Tensor:
    return f[:, 1] + ((y - f[:, 0]) / f[:, 1].clamp(min=-2).exp()) ** 2 / 2


def _clamped(f: Tensor, y: Tensor) -> Tensor:
    return f[:, 1].clamp(min=-2) + ((y - f[:, 0]) / f[:, 1].clamp(min=-2).exp()) ** 2 / 2


def _short(f: Tensor, y: Tensor) -> Tensor:
    some = torch.arange(30, dtype=f.dtype)
    return torch.lgamma(y + 1) - y * f + torch.logsumexp(some * f[..., None] - torch.lgamma(some + 1), -1)


def _doubled(f: Tensor, y: Tensor) -> Tensor:
    loss = functional.binary_cross_entropy_with_logits(f, y, reduction="none")
    return loss * torch.where(f.abs() < 3, 1.0, 2.0)


@pytest.mark.parametrize(("loss", "targets", "kind"), [
    (_clamped, "real(raw=2)", "likelihood"), (_half_clamped, "real(raw=2)", "undecided"), (_short, "counts", "undecided"),
    (_doubled, "binary", "undecided"),
])  # fmt: skip
def test_a_clamp_leaves_a_likelihood_and_a_clamp_of_one_part_does_not(loss: Function, targets: str, kind: str) -> None:
    """Near 0 each is a density, by formula; at 3 or 4 three of them add up to another number than 1."""
    assert mlnn.audit(loss, targets).kind == kind
