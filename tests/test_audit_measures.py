"""Base measures that a linear system gives, and arguments that decide for every one of them."""

import math

import pytest
import torch
from measure_cases import EVERY, LABELS, SPARED, Told, coral, sibuya, student, yule
from torch import Tensor

import mlnn
from mlnn.auditing.ask import Loss
from mlnn.auditing.counting import far_sum
from mlnn.auditing.guarded import guarded
from mlnn.auditing.powers import Stretch, power_tail
from mlnn.auditing.solved import _judged
from mlnn.auditing.system import FAILS, Search, System, best_of, reach_of
from mlnn.auditing.tweedie import Power

REFUTED = ("no link", "calibrated", "proper")


@pytest.mark.sampled(12, 5)
@pytest.mark.parametrize("name", EVERY)
def test_every_loss_is_told_right(name: str) -> None:
    told = EVERY[name]
    found = mlnn.audit(told.loss, told.targets, name=name)
    assert found.kind == told.kind, found.sentence
    if not found.is_likelihood:
        assert told.kind not in REFUTED or found.witness, "a no has a witness"
        assert (found.base_measure, found.scale) == (None, None)
        return
    assert found.family == told.family
    assert found.scale == pytest.approx(told.scale, rel=1e-9)
    assert found.residual is not None
    assert found.residual <= 1e-8
    _check_measure(found.base_measure or {}, told)


def _check_measure(base: dict[float, float], told: Told) -> None:
    """h as far as it is determined: of labels up to e^(by) where an output shifts, here never."""
    assert base
    if told.h is not None:
        assert base == {y: pytest.approx(told.h(y), rel=1e-6) for y in base}


def test_at_least_sixty_cases_of_every_kind() -> None:
    assert len(EVERY) >= 60
    kinds = [told.kind for told in EVERY.values()]
    for kind, least in (("likelihood", 10), ("scaled likelihood", 5), ("likelihood family", 15), ("no link", 10),
                        ("calibrated", 5), ("undecided", 3), ("unnormalisable", 2)):  # fmt: skip
        assert kinds.count(kind) >= least, kind


@pytest.mark.rest
@pytest.mark.sampled(9)
@pytest.mark.parametrize("name", SPARED)
def test_a_density_of_another_measure_is_never_refuted(name: str) -> None:
    assert mlnn.audit(*SPARED[name]).kind not in REFUTED


@pytest.mark.parametrize(("weight", "kinds"), [
    (1.0, ("likelihood",)), (1 + 1e-9, ("undecided",)), (1 + 1e-5, ("undecided", "no link")), (1.01, ("no link",)),
])  # fmt: skip
def test_a_system_is_solved_to_rounding_or_not_at_all(weight: float, kinds: tuple[str, ...]) -> None:
    assert mlnn.audit(coral(1.0, 0.0, -1.2, weights=(1.0, weight, 1.0)), LABELS).kind in kinds


SQUASHED = {
    "σ": lambda f: 3 * torch.sigmoid(f), "tanh": lambda f: 1.5 + 1.5 * torch.tanh(f), "clamped": lambda f: f.clamp(0, 3),
    "Φ": lambda f: 3 * torch.special.ndtr(f), "beyond the labels": lambda f: 5 * torch.sigmoid(f) - 1,
}  # fmt: skip


@pytest.mark.parametrize("name", SQUASHED)
@pytest.mark.parametrize("power", [2.0, 4.0])
def test_a_mean_that_is_squashed_is_refuted_at_an_ordinary_temperature(name: str, power: float) -> None:
    """Where τ is large a loss that is bounded hardly varies, and weights of both signs add up to 1 to rounding at any."""
    loss = Loss(guarded(lambda f, y: (SQUASHED[name](f) - y).abs() ** power, LABELS, "raw", None), LABELS)
    found = best_of(loss, reach_of(loss))
    assert not found.fits
    assert found.best.misfit > FAILS
    assert _judged(loss, reach_of(loss), found).kind == "no link"


def _search(misfit: float, around: float, least: float, apart: float = 1e-9) -> Search:
    output = torch.linspace(-1, 1, 8, dtype=torch.float64)
    value = (output[:, None] - torch.arange(4)) ** 2
    nothing = torch.zeros(4, dtype=torch.float64).numpy()
    best = System(output, value, 1000.0, nothing, nothing + 1, misfit, nothing[:0].reshape(0, 4), apart)
    return Search(best, around, least)


@pytest.mark.parametrize(("misfit", "around", "fits"), [
    (0.0, 1e-13, False), (1e-17, 1e-13, False), (1e-15, 1e-6, True), (1e-13, 1e-10, False), (0.0, 1e-11, True),
])  # fmt: skip
def test_a_misfit_of_0_is_one_of_rounding(misfit: float, around: float, fits: bool) -> None:
    assert _search(misfit, around, 0.0).fits == fits


@pytest.mark.parametrize(("least", "around", "kind"), [
    (3e-3, 1e-13, "no link"), (1e-9, 1e-13, "undecided"), (3e-3, 1e-6, "undecided"),
])  # fmt: skip
def test_what_any_weights_fit_is_refuted_by_those_above_0(least: float, around: float, kind: str) -> None:
    loss = Loss(guarded(EVERY["squared error of 3σ"].loss, LABELS, "raw", None), LABELS)
    assert _judged(loss, 4.0, _search(1e-14, around, least)).kind == kind


def test_a_negative_weight_is_shown() -> None:
    def loss(f: Tensor, y: Tensor) -> Tensor:  # adds up only where label 2 counts −1
        s = torch.sigmoid(f)
        p = torch.stack(
            [0.8 - 0.3 * s, 0.2 + 0.4 * s**2, 0.3 + 0.4 * s**2 - 0.2 * s**3, 0.3 + 0.3 * s - 0.2 * s**3], -1
        )
        return -p.gather(-1, y[:, None]).squeeze(-1).log()

    found = mlnn.audit(loss, LABELS)
    assert found.kind == "no link"
    assert found.witness
    assert found.witness.probability
    assert found.witness.probability[0] < 0  # type: ignore[index]


# What the arguments stand on.
FAR = (1e10, 1e20, 1e60, 1e140)


@pytest.mark.parametrize(("height", "power", "of_log", "sums"), [
    (lambda v: 0.65 * torch.log1p(v * v / 0.3), 1.3, None, True),
    (lambda v: 0.5 * torch.log1p(v * v), 1.0, 0.0, False),
    (lambda v: 1.00001 * torch.log1p(v), 1.00001, None, True),
    (lambda v: torch.log1p(v) + 2 * torch.log1p(torch.log1p(v)), 1.0, 2.0, True),
    (lambda v: torch.log1p(v) + torch.log1p(torch.log1p(v)), 1.0, 1.0, None),
    (lambda v: 1 - torch.exp(-v), 0.0, None, False),
])  # fmt: skip
def test_the_power_of_a_tail_is_read_off(height, power: float, of_log: float | None, sums: bool | None) -> None:
    found = power_tail(height, Stretch(1e3, 1e8, FAR))
    assert found
    assert found.power == pytest.approx(power, abs=1e-9)
    assert found.of_log == (None if of_log is None else pytest.approx(of_log, abs=1e-6))
    assert found.sums is sums


@pytest.mark.parametrize("height", [
    lambda v: torch.log1p(v * v) + 0.1 * torch.sin(v), lambda v: torch.where(v > 1e50, 5.0, 0.5) * torch.log1p(v),
    lambda v: v.sqrt(), lambda v: torch.where(v > 1e6, torch.nan, torch.log1p(v)),
])  # fmt: skip
def test_what_is_no_power_all_the_way_has_none(height) -> None:
    assert power_tail(height, Stretch(1e3, 1e8, FAR)) is None


def test_the_mass_beyond_is_that_of_the_cauchy() -> None:
    found = power_tail(lambda v: torch.log1p(v * v), Stretch(20.0, 600.0))
    assert found
    assert found.mass == pytest.approx(math.pi / 2 - math.atan(600.0), rel=1e-10)


@pytest.mark.parametrize(("loss", "outputs"), [
    (yule, (-1.8, -5.0, 0.0)), (sibuya, (-1.5, 0.5)),
    (lambda f, y: torch.lgamma(y + 1) + f.exp() - y * f, (8.0, 11.0, 12.6)),  # Poisson, up to a mean of 300,000
    (lambda f, y: -torch.nn.functional.logsigmoid(f) - y * torch.nn.functional.logsigmoid(-f), (-8.0, -2.0)),
])  # fmt: skip
def test_a_long_sum_of_probabilities_is_1(loss, outputs: tuple[float, ...]) -> None:
    f = torch.tensor(outputs, dtype=torch.float64)[:, None]
    start = 8192
    so_far = torch.exp(-loss(f, torch.arange(start, dtype=torch.float64))).sum(1)
    rest, error = far_sum(lambda y: -loss(f, y), start, so_far)
    assert (so_far + rest).tolist() == pytest.approx([1.0] * len(f), abs=2e-7)
    assert float(error.max()) <= 1e-6


def test_a_sum_without_end_has_no_error_that_is_finite() -> None:
    for power in (0.9, 1.0, -1.0):
        _, error = far_sum(lambda y, power=power: -power * torch.log1p(y)[None], 8192, torch.ones(1).double())
        assert error.tolist() == [math.inf]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("p", "c"), [(2.1, 1.0), (2.5, 1.0), (4.0, 0.7), (10.0, 1.0), (-1.0, 1.0)])
def test_a_density_of_a_power_variance_adds_up_with_its_mean(p: float, c: float) -> None:
    mean = torch.tensor(2.0, dtype=torch.float64)
    v = (
        torch.linspace(-20, 60, 40001, dtype=torch.float64)
        if p > 2
        else torch.linspace(-58, 20, 4001, dtype=torch.float64)
    )
    y, jacobian = (v.exp(), v.exp()) if p > 2 else (v, torch.ones_like(v))
    density = torch.exp(-Power(p, c).nll(mean.expand_as(y), y)) * jacobian
    assert float(torch.trapezoid(density, v)) == pytest.approx(1.0, rel=1e-6)
    assert float(torch.trapezoid(density * y, v)) == pytest.approx(2.0, rel=1e-5)


def test_the_inverse_gaussian_is_the_third_power() -> None:
    y = torch.tensor([0.05, 0.8, 2.3, 30.0], dtype=torch.float64)
    mean = torch.full_like(y, 1.3)
    truth = (y - mean) ** 2 / (2 * mean**2 * y) + 0.5 * (math.log(2 * math.pi) + 3 * y.log())
    assert Power(3.0, 1.0).nll(mean, y).tolist() == pytest.approx(truth.tolist(), abs=1e-11)


@pytest.mark.rest
def test_the_border_is_said() -> None:
    assert "1 / r log r" in EVERY
    found = mlnn.audit(EVERY["1 / r log r"].loss, "real")
    assert found.kind == "undecided"
    assert mlnn.audit(student(1e-9), "real").kind == "undecided"
