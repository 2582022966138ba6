"""Variances that are a power of the mean, of any power and dispersion: beyond 3 their values are larger than float64's digits."""

import math

import pytest
import torch
from measure_cases import deviance, tweedie
from torch import Tensor

import mlnn
from mlnn.auditing import exponential, families
from mlnn.auditing.ask import Loss
from mlnn.auditing.guarded import guarded, target_space
from mlnn.auditing.tweedie import Power

f64 = torch.float64


def asked(loss, targets: str = "positive") -> Loss:
    return Loss(guarded(loss, target_space(targets), "raw", None), target_space(targets))


def certified(loss):
    made = asked(loss)
    form = families.exponential_form(made)
    assert form
    family = families.named_family(form, "(0, ∞)")
    assert family
    return exponential.examine_exponential(made, form, family)


@pytest.mark.parametrize("p", [2.2, 3.0, 3.6, 4.0, 5.0, 6.0, 8.0])
@pytest.mark.parametrize("factor", [1.0, 1 / 3, 1.7])
def test_every_power_beyond_2_is_its_family(p: float, factor: float) -> None:
    for loss in (tweedie(p, factor), lambda f, y: factor * deviance(p)(f, y)):
        found = certified(loss)
        assert found
        assert found.family == ("inverse Gaussian" if p == 3 else f"Tweedie, power {p:g}")
        assert (found.kind, found.scale, found.link) == ("likelihood family", 1.0, "exp(f)")
        assert found.residual < 1e-10


@pytest.mark.rest
def test_a_steep_deviance_is_told_to_the_end() -> None:
    found = mlnn.audit(deviance(5.0), "positive")
    assert (found.kind, found.family) == ("likelihood family", "Tweedie, power 5")
    law, y = Power(5.0, 0.5), torch.tensor([0.8, 2.3], dtype=f64)
    mean = torch.ones_like(y)
    h = (deviance(5.0)(0 * y, y) - law.nll(mean, y)).exp().tolist()
    assert found.base_measure
    assert [found.base_measure[one] for one in y.tolist()] == pytest.approx(h, rel=1e-6)


@pytest.mark.parametrize(("p", "factor"), [(2.5, 1.0), (4.0, 1 / 3), (6.0, 1.7), (8.0, 1.0)])
def test_mean_and_dispersion_are_read_to_rounding(p: float, factor: float) -> None:
    """A mean of 0.1 beside a target of 5000 has lost four digits where all targets weigh alike."""
    made = asked(tweedie(p, factor))
    mean, _ = families._mean(made, families.OUTPUTS)  # type: ignore[misc]
    assert float((mean / families.OUTPUTS.exp() - 1).abs().max()) < 1e-13
    form = families.exponential_form(made)
    assert form
    family, target = families.named_family(form, "(0, ∞)"), made.space.fitted_points
    wide = exponential._as_wide(form, family, target, made.values(families.OUTPUTS, target))  # type: ignore[arg-type]
    assert wide.nll
    one, read = torch.ones(1, dtype=f64), wide.kernel or wide.nll
    between = (read(one, 2 * one) - read(2 * one, 2 * one)).item()
    truth = [tweedie(p, factor)(f * one, 2 * one).item() for f in (0.0, math.log(2))]
    assert between == pytest.approx(truth[0] - truth[1], rel=1e-12)


@pytest.mark.parametrize("p", [4.0, 6.0, 8.0])
@pytest.mark.parametrize("beside", [
    lambda f, y: 1e-3 * torch.sin(f) * (y > 1), lambda f, y: 1e-4 * f * (y - 3) ** 2 * (y < 100),
    lambda f, y: 1e-6 * torch.exp(-f) / y, lambda f, y: 1e-3 * f + 0 * y,
])  # fmt: skip
def test_what_is_beside_a_steep_family_is_not_it(p: float, beside) -> None:
    made = asked(lambda f, y: deviance(p)(f, y) + beside(f, y))
    form = families.exponential_form(made)
    family = form and families.named_family(form, "(0, ∞)")
    assert not form or not family or exponential.examine_exponential(made, form, family) is None


def test_where_values_do_not_tell_gradients_do() -> None:
    """Of power 8 a deviance at 0.001 is 10¹⁶: a wave there is lost in its values, not in its gradients."""

    def waved(f: Tensor, y: Tensor) -> Tensor:
        return deviance(8.0)(f, y) + 0.01 * (y < 0.01) * torch.sin(3 * f)

    made, target = asked(waved), torch.tensor([1e-3], dtype=f64)
    form = families.exponential_form(asked(deviance(8.0)))
    assert form
    assert not exponential._affine_too(made, form, target)
    assert exponential._affine_too(asked(deviance(8.0)), form, target)
    family = families.named_family(form, "(0, ∞)")
    assert family
    assert exponential.examine_exponential(made, form, family) is None


def test_a_base_measure_that_is_rounding_is_not_told() -> None:
    """Of power 12 a deviance at 0.05 has no digit of its h left."""
    assert certified(deviance(12.0)) is None
    assert math.isclose(
        float(deviance(12.0)(torch.zeros(1), torch.tensor([0.05]).double())), 2 * 0.05**-10 / 110, rel_tol=1e-3
    )
