"""What the audit says of Z: that it differs, that it did not settle, or that it is infinite; each only where it was tested."""

import math
import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import mlnn

LOG_2PI = math.log(2 * math.pi)
DIFFERS = re.compile(r"differs: (\S+) at output (\S+) and (\S+) at (\S+);|near output 0, but (\S+) at output")


def log_logistic(shape: float):
    return lambda f, y: -math.log(shape) - shape * (y.log() - f) + y.log() + 2 * F.softplus(shape * (y.log() - f))


def log_logistic_by_powers(shape: float):
    return lambda f, y: (
        -math.log(shape) + shape * f - (shape - 1) * y.log() + 2 * torch.log1p((y * torch.exp(-f)) ** shape)
    )


def student(df: float):
    constant = math.lgamma(df / 2) - math.lgamma((df + 1) / 2) + 0.5 * math.log(df * math.pi)
    return lambda f, y: constant + (df + 1) / 2 * torch.log1p((y - f) ** 2 / df)


def narrow(sd: float):
    def nll(f: Tensor, y: Tensor) -> Tensor:
        log_sd = math.log(sd) + f / 4
        return log_sd + 0.5 * ((y - f) * torch.exp(-log_sd)) ** 2 + LOG_2PI / 2

    return nll


def contaminated(share: float, sd: float):
    """A normal, with a share of a wide one."""

    def nll(f: Tensor, y: Tensor) -> Tensor:
        r = (y - f) ** 2 / 2
        return LOG_2PI / 2 - torch.logaddexp(math.log1p(-share) - r, math.log(share / sd) - r / sd**2)

    return nll


LIKELY = {
    "log-Cauchy": (lambda f, y: math.log(math.pi) + y.log() + torch.log1p((y.log() - f) ** 2), "positive"),
    "logit-Laplace, wide": (lambda f, y: (torch.logit(y) - f).abs() / 10, "unit"),
    "counts about 3000·e^f, some 0": (
        lambda f, y: torch.where(
            y == 0,
            -math.log(0.3) + 0 * f,
            3000 * f.exp() - y * (f + math.log(3000)) + torch.lgamma(y + 1) - math.log(0.7),
        ),
        "counts",
    ),
    "log-logistic, shape 0.3": (log_logistic(0.3), "positive"),
    "log-logistic, shape 1": (log_logistic(1.0), "positive"),
    "log-logistic, shape 1.5": (log_logistic(1.5), "positive"),
    "log-logistic, shape 3": (log_logistic(3.0), "positive"),
    "log-logistic by powers, shape 0.5": (log_logistic_by_powers(0.5), "positive"),
    "Weibull, shape ½": (lambda f, y: 0.5 * (f + y.log()) + math.log(2) + (y * torch.exp(-f)) ** 0.5, "positive"),
    "half-Cauchy": (lambda f, y: math.log(math.pi / 2) + f + torch.log1p((y * torch.exp(-f)) ** 2), "positive"),
    "Lomax": (lambda f, y: -math.log(0.5) + f + 1.5 * torch.log1p(y * torch.exp(-f)), "positive"),
    "Student t, df 1": (student(1.0), "real"),
    "Student t, df 2": (student(2.0), "real"),
    "normal of width e^f": (lambda f, y: f + 0.5 * (y * torch.exp(-f)) ** 2 + LOG_2PI / 2, "real"),
    "narrow, 0.01": (narrow(0.01), "real"),
    "a tenth ten times as wide": (contaminated(0.1, 10.0), "real"),
    "oscillating": (lambda f, y: 0.5 * (y - f) ** 2 + 0.3 * torch.sin(10 * (y - f)), "real"),
}


@pytest.mark.sampled(9, 4)
@pytest.mark.parametrize("name", LIKELY)
def test_a_density_with_an_unusual_tail_or_peak_is_a_likelihood(name: str) -> None:
    loss, targets = LIKELY[name]
    found = mlnn.audit(loss, targets, name=name)
    assert found.is_likelihood, found.sentence
    assert found.residual is not None
    assert found.residual <= 1e-8
    assert found.domain == "all" or found.domain[0] <= -1 <= 1 <= found.domain[1]


# Densities, or what may be one, whose integral float64 or a quadrature does not hold: never said to differ.
UNSETTLED = {
    "logit-Cauchy": (lambda f, y: math.log(math.pi) + torch.log1p((y.logit() - f) ** 2) + (y * (1 - y)).log(), "unit",
                     "does not fall off as a power towards 0 or 1"),
    "slow and oscillating": (lambda f, y: (y - f).abs().sqrt() * (2 + torch.sin(50 * (y - f))), "real",
                             "adaptive quadrature leaves a relative error of"),
    "NaN beyond 700": (lambda f, y: torch.where(y > 700, torch.nan, torch.log1p((y - f.sin()) ** 2)), "real", ""),
}  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", UNSETTLED)
def test_an_integral_that_did_not_settle_is_not_said_to_differ(name: str) -> None:
    loss, targets, why = UNSETTLED[name]
    found = mlnn.audit(loss, targets, name=name)
    assert found.kind == "undecided", found.sentence
    assert "did not settle" in found.sentence
    assert why in found.sentence
    assert not DIFFERS.search(found.sentence)
    assert "infinite" not in found.sentence
    assert (found.residual, found.witness) == (None, None)


# Z as the loss stands, in closed form or not, where it does differ.
DIFFERENT = {
    "Yule-Simon, an argument one too small": (
        lambda f, y: torch.lgamma(y + 2.5 + f.exp()) - torch.lgamma(2.5 + f.exp()) - torch.lgamma(y + 1)
        - torch.log(1.5 + f.exp()), "counts", lambda f: (1.5 + math.exp(f)) ** 2 / (0.5 + math.exp(f))),
    "a constant too many": (lambda f, y: 1.001 * torch.log1p(f**2) + 0.5 * ((y - f) / (1 + f**2)) ** 2, "real",
                            lambda f: math.sqrt(2 * math.pi) * (1 + f * f) ** -0.001),
    "narrow, a constant too many": (lambda f, y: narrow(1e-3)(f, y) + 0.01 * f, "real", lambda f: math.exp(-0.01 * f)),
    "doubled Lomax": (lambda f, y: -2 * f + 2 * (f.exp() + 1) * torch.log1p(y), "positive",
                      lambda f: math.exp(2 * f) / (2 * math.exp(f) + 1)),
}  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", DIFFERENT)
def test_a_z_that_differs_is_shown_with_its_numbers(name: str) -> None:
    loss, targets, z = DIFFERENT[name]
    found = mlnn.audit(loss, targets, name=name)
    assert found.kind == "undecided", found.sentence
    assert DIFFERS.search(found.sentence), found.sentence
    assert "settle" not in found.sentence
    assert found.witness
    assert found.witness.z == pytest.approx([z(f) for f in found.witness.outputs], rel=1e-6)
    assert found.witness.z[0] < found.witness.z[1]
    assert found.residual
    assert found.residual > 1e-4


INFINITE = {
    "scale without enough tail": (lambda f, y: f + 0.5 * torch.log1p((y * torch.exp(-f)) ** 2), "real"),
    "for some outputs only": (lambda f, y: f.exp() * torch.log1p(y.abs()) - f, "real"),
    "log-Cauchy of width e^f, without its 1/y": (
        lambda f, y: f + torch.log1p((y.log() * torch.exp(-f)) ** 2),
        "positive",
    ),
    "a floor under Poisson": (
        lambda f, y: -torch.log(torch.exp(y * f - f.exp() - torch.lgamma(y + 1)) + 1e-6),
        "counts",
    ),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", INFINITE)
def test_an_infinite_integral_is_called_infinite_as_the_loss_stands(name: str) -> None:
    loss, targets = INFINITE[name]
    found = mlnn.audit(loss, targets, name=name)
    assert found.kind == "undecided", found.sentence
    assert re.search(r"as it stands, its (sum|integral) over the targets is infinite at output", found.sentence)
    assert not DIFFERS.search(found.sentence)
    assert found.witness
    y, loss_at = (torch.tensor(part, dtype=torch.float64) for part in (found.witness.targets, found.witness.loss[0]))
    fall = loss_at.diff() / y.abs().log().diff()
    assert bool((fall <= 1 + 1e-3).all())  # no faster than 1/|y|


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (contaminated(0.01, 1e6), "at first"),
        (contaminated(0.5, 1e7), "at first"),
        (lambda f, y: (y - f).abs().clamp(max=3) + ((y - f) / 1e8) ** 2, "at first"),
        (lambda f, y: torch.where((y - f).abs() > 5000, torch.nan, torch.log1p((y - f) ** 2)), "NaN"),
        (lambda f, y: 0.51 * torch.log1p((y - f) ** 2) + 1e-3 * torch.sin(y - f), "too near to 1"),
    ],
)
def test_a_plateau_that_ends_far_out_is_not_called_endless(loss, says: str) -> None:
    found = mlnn.audit(loss, "real")
    assert found.kind == "undecided", found.sentence
    assert says in found.sentence


@pytest.mark.parametrize(
    "loss",
    [
        lambda f, y: 1 - torch.exp(-0.5 * (y - f) ** 2),
        lambda f, y: (0.5 * (y - f) ** 2).clamp(max=20),
        lambda f, y: torch.where(y > f, 0.5 * torch.log1p((y - f) ** 2), (y - f) ** 2),
    ],
)
def test_a_plateau_without_end_still_is(loss) -> None:
    assert mlnn.audit(loss, "real").kind == "unnormalisable"


def test_a_tail_that_grows_ever_less_does_not_promise_more_dispersion_than_it_has() -> None:
    found = mlnn.audit(
        lambda f, y: 0.75 * torch.log1p((y - f) ** 2) + 0.5 * torch.log1p(torch.log1p((y - f) ** 2)), "real"
    )
    limit = re.search(r"for every τ below (\S+),", found.sentence)
    assert limit
    assert 1 < float(limit[1]) <= 1.5


def test_a_steep_loss_is_not_said_to_have_a_wrong_gradient() -> None:
    def weibull(f: Tensor, y: Tensor) -> Tensor:  # of shape e^f: at f = 4 and y = 200 the loss is 1e126
        return -f - (f.exp() - 1) * y.log() + y ** f.exp()

    assert "not the derivative" not in mlnn.audit(weibull, "positive").sentence
    assert "not the derivative" in mlnn.audit(lambda f, y: weibull(f.detach(), y) + f * 1e-3, "positive").sentence


@pytest.mark.rest
@pytest.mark.sampled(2)
@pytest.mark.parametrize("sd", [1e-4, 1e-6])
def test_the_base_measure_of_a_very_narrow_density_is_not_rounding(sd: float) -> None:
    found = mlnn.audit(lambda f, y: 0.5 * ((y - f) / sd) ** 2, "real")
    assert found.is_likelihood, found.sentence
    assert found.base_measure
    assert list(found.base_measure.values()) == pytest.approx([1 / (sd * math.sqrt(2 * math.pi))] * 4, rel=1e-6)


def test_a_domain_is_never_turned_around() -> None:
    found = mlnn.audit(lambda f, y: 3000 * torch.exp(f) - y * f + torch.lgamma(y + 1), "counts")
    assert found.is_likelihood
    low, high = found.domain
    assert low < 0 <= high
