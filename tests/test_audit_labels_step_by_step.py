"""Losses of labels: weights, temperatures, laws and witnesses, each part by itself on both sides of its bounds."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from asked_cases import Function, asked, f64, numbers
from test_audit_constants import told, two
from test_audit_measures_bounds import implied, known_system
from torch import Tensor
from torch.nn.functional import softplus

from mlnn.auditing import ordered, shapes, solved, system, unbalanced, witness
from mlnn.auditing.finding import Finding
from mlnn.auditing.system import Search, System


def logistic(f: Tensor, y: Tensor) -> Tensor:
    return softplus((1 - 2 * y) * f)


# Weights.
def test_weights_are_put_to_outputs_from_which_they_were_not_solved() -> None:
    seen: list[Tensor] = []

    def loss(f: Tensor, y: Tensor) -> Tensor:
        seen.append(f.detach())
        return logistic(f, y)

    found = solved._likelihood(asked(loss, "binary"), 4.0, known_system(), 0)
    assert found.kind == "likelihood"
    fresh = seen[-1]
    assert 5.0 < float(fresh.abs().max()) < 5.8, "a third farther out"
    solved_at = system.outputs_of(asked(logistic, "binary"), 4.0)[1::2]
    assert (fresh.unique() - 1.37 * solved_at).tolist() == pytest.approx([0.0123] * len(solved_at))


@pytest.mark.parametrize(("misfit", "off", "plain"), [
    (1e-12, 0.0, True), (1e-14, 0.9e-9, False), (1e-9, 0.9e-9, True), (1e-16, 1e-12, False), (1e-16, 5e-15, True),
])  # fmt: skip
def test_a_weight_is_made_a_fraction_where_that_leaves_no_more_misfit(misfit: float, off: float, plain: bool) -> None:
    """Weights 1 + `off` add up to 1 here, and 1 does not."""
    value = torch.full((9, 2), math.log(2.0) + off, dtype=f64)
    found = solved._weights(replace(known_system(), value=value, misfit=misfit, log_h=np.array([off, off])))
    assert found is not None
    assert (found.log_h.tolist() == [0.0, 0.0]) == plain
    assert found.sign.tolist() == [1.0, 1.0]
    assert found.misfit == (pytest.approx(off, abs=1e-15) if plain else misfit)


@pytest.mark.parametrize(("h", "at"), [([1.9, 0.1], [1.0, 1.0]), ([3.0, 1.0], [2.0, 2.0]), ([4.0, 1.0], [2.5, 2.5])])
def test_the_least_weight_is_raised_as_far_as_1(h: list[float], at: list[float]) -> None:
    value = torch.full((9, 2), math.log(2.0), dtype=f64)
    null = np.array([[1.0, -1.0]]) / math.sqrt(2)
    found = solved._weights(replace(known_system(), value=value, log_h=np.log(h), null=null, misfit=9.0))
    assert found is not None
    if at[0] < 1.5:
        assert np.exp(found.log_h).tolist() == pytest.approx(at, rel=1e-6)
    assert float(np.exp(found.log_h).min()) / 2 >= 0.4999


@pytest.mark.parametrize(("sign", "log_h", "target"), [
    ([1.0, 1.0], [0.0, -30.0], 1), ([1.0, -1.0], [0.0, 0.0], 1), ([-1.0, 1.0], [0.0, -30.0], 0), ([1.0, 1.0], [-30.0, 0.0], 0),
])  # fmt: skip
def test_the_label_without_a_weight_is_shown(sign: list[float], log_h: list[float], target: int) -> None:
    found = solved._negative(replace(known_system(), sign=np.array(sign), log_h=np.array(log_h)))
    assert found.target == target
    assert isinstance(found.probability, tuple)
    p = sign[target] * math.exp(log_h[target]) / (1 + math.exp(-2.0))
    assert found.probability == pytest.approx((p,)), "at the output where it is likeliest"
    assert found.z == pytest.approx((1.0,))


@pytest.mark.parametrize(("loss", "targets", "pushed"), [
    (lambda f, y: torch.where(f < 0, math.nan, f * (1 + y)), "binary", True), (lambda f, y: -f * (1 + y), "binary", True),
    (lambda o, y: o[:, 0] * torch.where(y > 0, 1.0, -1.0) + 0.5e-3 * o[:, 1], "classes(2, raw=2)", False),
    (lambda o, y: o[:, 0] * torch.where(y > 0, 1.0, -1.0) + 2e-3 * o[:, 1], "classes(2, raw=2)", True),
    (lambda o, y: o[:, 0] * torch.where(y > 0, 1.0, -1.0) + math.nan * o[:, 1], "classes(2, raw=2)", False),
])  # fmt: skip
def test_a_push_of_labels_is_more_than_rounding(loss: Function, targets: str, pushed: bool) -> None:
    found = solved._one_way(asked(loss, targets), 4.0)
    assert (found is not None) == pushed


# Temperatures.
def test_the_temperature_is_looked_for_from_a_four_hundredth_to_four_hundred() -> None:
    grid = system.LOG_TAUS
    assert (float(grid[0]), float(grid[-1]), len(grid)) == (-6.0, 6.0, 97)
    one = system.best_of(asked(lambda f, y: 0.7 * logistic(f, y), "binary"), 4.0)
    assert one.best.tau == pytest.approx(0.7, rel=1e-9)
    itself = system.best_of(asked(logistic, "binary"), 4.0)
    assert (itself.best.tau, itself.least) == (1.0, itself.best.misfit)
    assert itself.fits
    flat = system.best_of(asked(lambda f, y: 0 * f + 0 * y + 0.3, "binary"), 4.0)
    assert flat.best.tau == pytest.approx(1.0), "where nothing varies nothing is scaled"


def solving(best: float, width: float = 0.3) -> Any:
    """A system whose misfit falls to 0 at one temperature."""

    def solve(output: Tensor, value: Tensor, tau: float) -> System:
        misfit = min(abs(math.log(tau) - math.log(best)) / width, 1.0)
        return replace(known_system(), output=output, value=value, tau=tau, misfit=misfit)

    return solve


@pytest.mark.parametrize("tau", [0.4, 2.5, math.pi, 30.0])
def test_a_temperature_is_narrowed_to_its_digits_and_made_short(tau: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_solve", solving(tau))
    found = system._narrowed(lambda log_tau: solving(tau)(known_system().output, known_system().value, math.exp(log_tau)),
                             math.log(tau) - 0.1, math.log(tau) + 0.15)  # fmt: skip
    assert found.tau == pytest.approx(tau, rel=1e-14)
    assert (found.tau == tau) == (tau != math.pi) or tau == math.pi
    monkeypatch.setattr(system, "_solve", solving(2 * tau))
    kept = system._narrowed(lambda log_tau: solving(tau)(known_system().output, known_system().value, math.exp(log_tau)),
                            math.log(tau) - 0.1, math.log(tau) + 0.15)  # fmt: skip
    assert kept.misfit < 1e-12, "a short one that solves nothing is not taken"


def test_where_no_temperature_fits_the_least_of_weights_above_zero_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    value = known_system().value
    assert system._above(known_system()) == pytest.approx(0.0, abs=1e-12)
    one_sided = replace(known_system(), value=torch.stack([value[:, 0], value[:, 0]], 1))
    assert 0.1 < system._above(one_sided) < 1
    monkeypatch.setattr("scipy.optimize.nnls", lambda *_: (_ for _ in ()).throw(RuntimeError))
    assert system._above(one_sided) == 0.0


@pytest.mark.parametrize(
    ("misfit", "around", "taken"), [(0.9e-7, 1.0, True), (1.1e-7, 1.0, False), (0.9e-7, 0.8e-3, False)]
)
def test_a_deep_fall_of_the_misfit_is_a_temperature_that_may_fit(
    misfit: float, around: float, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found between two neighbours: only then is the least of weights above 0 not asked for."""

    def solve(output: Tensor, value: Tensor, tau: float) -> System:
        near = 0.99 if abs(math.log(tau) - 1) < 0.1 else 1.0
        return replace(known_system(), output=output, value=value, tau=tau, misfit=around * near)

    monkeypatch.setattr(system, "_solve", solve)
    monkeypatch.setattr(system, "_narrowed", lambda *_: replace(known_system(), misfit=misfit, tau=2.7))
    monkeypatch.setattr(system, "_above", lambda _: 0.25)
    found = system.best_of(asked(logistic, "binary"), 4.0)
    assert (found.least == 0.0) == taken
    if taken:
        assert (found.best.tau, found.best.misfit) == (2.7, misfit)
    else:
        assert found.least == pytest.approx(0.25)


# Gradients that nothing balances.
SHARES = torch.stack(unbalanced._shares(implied(torch.zeros(1, 3, 3, dtype=f64))))


@pytest.mark.parametrize(("best", "kind", "link"), [
    (SHARES.log(), "proper", "softmax(f)"), (SHARES.logit(), "proper", "σ(f) of each entry"), (SHARES, "calibrated", None),
    ((SHARES + 1e-4).log(), "proper", "softmax(f)"), (SHARES.log() + numbers(3e-3, 0.0, 0.0), "calibrated", None),
    (0 * SHARES + 1.9e-4 * torch.eye(4, 3, dtype=f64), "no link", None),
    (0 * SHARES + 3e-4 * torch.eye(4, 3, dtype=f64), "calibrated", None),
    (torch.cat([SHARES.log(), 0 * SHARES[:, :1] + 9], 1), "calibrated", None), (None, "no link", None),
])  # fmt: skip
def test_what_best_outputs_of_labels_follow(
    best: Tensor | None, kind: str, link: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = object()
    monkeypatch.setattr(unbalanced, "_witness", lambda _: shown)

    def best_output(_loss: Any, _atoms: Tensor, share: Tensor) -> Tensor | None:
        at = int((SHARES - share).abs().sum(1).argmin())
        return None if best is None and at == 2 else (SHARES if best is None else best)[at]

    monkeypatch.setattr(unbalanced, "best_output", best_output)
    found: Finding | None = unbalanced.unbalanced(asked(logistic, "binary"), implied(torch.zeros(1, 3, 3, dtype=f64)))
    assert found is not None
    assert (found.kind, found.link, found.witness) == (kind, link, shown)
    assert ("goes on falling" in found.said) == (best is None)
    monkeypatch.setattr(unbalanced, "_witness", lambda _: None)
    assert unbalanced.unbalanced(asked(logistic, "binary"), implied(torch.zeros(1, 3, 3, dtype=f64))) is None


# Witnesses.
def test_the_target_whose_losses_differ_most_is_shown() -> None:
    value = torch.tensor([[1.0, 5.0], [1.1, 2.0], [1.05, 3.0]], dtype=f64)
    found = witness.flat_witness(told(two(0.5, 0.5, 0.5), value))
    assert found is not None
    assert (found.target, found.loss, found.probability) == (1, (5.0, 2.0), 0.5)
    apart = witness.flat_witness(told(two(0.5, 0.5 + 0.9e-9, 0.6), value))
    assert apart is not None
    assert apart.loss == (5.0, 2.0)
    assert witness.flat_witness(told(two(0.5, 0.5 + 3e-9, 0.6), value)) is None
    assert witness.flat_witness(told(two(1.0, 1.0, 0.0), value)) is None, "no probability strictly inside"


@pytest.mark.parametrize(("size", "shown"), [(0.9e-6, False), (1.1e-6, True)])
def test_two_losses_differ_by_a_millionth_of_the_largest(size: float, shown: bool) -> None:
    value = torch.tensor([[1.0, 100.0], [1.0 + 100 * size, 100.0]], dtype=f64)
    assert (witness.flat_witness(told(two(0.5, 0.5), value)) is not None) == shown
    assert (
        witness.sums_witness(told(two(0.5, 0.5), torch.tensor([[0.0, 50.0], [size, 50.0]], dtype=f64))) is not None
    ) == shown


@pytest.mark.parametrize(("step", "shown"), [(0.9e-5, False), (1.2e-5, True)])
def test_a_log_probability_moves_by_a_hundred_thousandth_before_it_tells_a_temperature(
    step: float, shown: bool
) -> None:
    line = told(two(0.5, 0.6), 0 * two(0.5, 0.6))
    ahead = torch.stack([line.p[:, 0], line.p[:, 1] * math.exp(step)], 1)
    beside = told(ahead, -numbers(1.0, 2.0)[:, None] * (ahead.log() - line.p.log()))
    found = witness.temperature_witness(line, beside)
    assert (found is not None) == shown
    if found:
        assert (found.target, found.temperature) == (1, pytest.approx((1.0, 2.0)))
    small = told(torch.stack([1 - ahead[:, 1] * 1e-5, ahead[:, 1] * 1e-5], 1), beside.value)
    assert witness.temperature_witness(small, small) is None, "digits of small ones are lost"


# Laws.
def test_every_step_must_be_a_line_and_all_of_one_slope() -> None:
    assert ordered._parallel([(1.0, 0.0), (1.0, 2.0)])
    assert not ordered._parallel([(1.0, 0.0), None])
    assert not ordered._parallel([None, None])
    for off, parallel in ((0.9e-7, True), (1.1e-7, False)):
        assert ordered._parallel([(-2.0, 0.0), (-2.0 * (1 + off), 2.0)]) == parallel
    for off, named in ((0.9e-7, True), (5e-7, False)):
        steps = [(1.0, math.log(2) + 2.0), (1.0, math.log(0.5) + 2.0 + off)]
        assert (ordered._binomial(steps) == "binomial, n = 2") == named  # type: ignore[arg-type]
    assert ordered._binomial([(1.0, 0.0), (2.0, 0.0)]) is None


# Names of densities.
V = torch.cat([-torch.logspace(-6, 2, 40, dtype=f64).flip(0), torch.logspace(-6, 2, 40, dtype=f64)])
NEAR = V[V.abs() < 3]
SHAPES: list[tuple[Tensor, str, bool, Tensor, str | None]] = [
    (torch.sin(NEAR), "y", True, NEAR, "von Mises"), (NEAR, "y", True, NEAR, None), (V, "y", False, V, "normal"),
    (V, "log y", False, V, "lognormal"), (V, "logit y", False, V, "logit-normal"), (V.sign(), "logit y", False, V, None),
    (2.5 * torch.expm1(NEAR), "log y", False, NEAR, "gamma, shape 2.5"), (3 * V.sign(), "log y", False, V, "log-Laplace"),
    (3 * V / (4 + V**2), "log y", False, V, "log-Student t"), (3 * V / (4 + V**2), "y", False, V, "Student t"),
    (V / (4 - V**2), "y", False, V, None), (V.sign(), "y", False, V, "Laplace"),
    (torch.where(V > 0, 1.0, -3.0).double(), "y", False, V, "asymmetric Laplace"),
    (2 * torch.tanh(2 * V), "y", False, V, "hyperbolic secant"),
    (2 * torch.tanh(3 * V), "y", False, V, "generalised logistic"),
    (V.sign() * (V.abs() > 1), "y", False, V, "flat-topped Laplace"),
    (torch.where(V.abs() > 1, 2.0, 1.0) * V.sign() * (V.abs() > 0.1), "y", False, V, None),
    (V.sign() * ((V.abs() < 1) | (V.abs() > 20)), "y", False, V, None), (V.clamp(-1, 1), "y", False, V, "Huber density"),
    (V.clamp(-1, 2), "y", False, V, None), (torch.where(V > 50, math.nan, V), "y", False, V, "normal"),
    (torch.where(V > 0, 2 * V, V), "y", False, V, None), (V * (V.abs() > 1), "y", False, V, None),
    (torch.where(V.abs() > 1, math.nan, V.sign()), "y", False, V, "Laplace"),
    (torch.where(V < 0, math.nan, 1.0) * (1 + V), "y", False, V, None),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(SHAPES)))
def test_a_density_is_named_by_its_influence(case: int) -> None:
    influence, along, turns, v, name = SHAPES[case]
    assert shapes.shape_name(influence, along, turns, v) == name


@pytest.mark.parametrize(("off", "same"), [(0.9e-7, True), (1.1e-7, False)])
def test_a_shape_is_the_same_to_a_ten_millionth_of_the_largest(off: float, same: bool) -> None:
    assert shapes._close(numbers(1.0, 100.0 * (1 + off)), numbers(1.0, 100.0)) == same
    assert not shapes._same(numbers())
    assert shapes._same(numbers(2.0))


def test_a_search_fits_as_its_best_does() -> None:
    assert Search(replace(known_system(), misfit=1e-13), 1e-9, 0.0).fits
    assert not Search(replace(known_system(), misfit=1e-12), 1e-9, 0.0).fits
