"""Temperatures, base measures and densities that are fitted: where a search starts, what it is held to, and when it is believed."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from asked_cases import asked, f64, normal, numbers, squared
from torch import Tensor

from mlnn.auditing import densities, fitting
from mlnn.auditing.densities import _around, _fit, _read, _start, _with_formula, named_density
from mlnn.auditing.density_forms import FORMS, Form
from mlnn.auditing.fitting import Places, _best, _places, _settled
from mlnn.auditing.known import Known

BY_NAME = {form.name: form for form in FORMS}
OUTPUTS = torch.randn(12, 2, generator=torch.Generator().manual_seed(0), dtype=f64)


class Search:
    """Stands for scipy's least squares: keeps how it was asked, and ends with a given misfit where it began."""

    def __init__(self, misfit: float) -> None:
        self.misfit, self.calls = misfit, []  # type: ignore[var-annotated]

    def __call__(self, function: Any, first: Any, *given: Any, **how: Any) -> Any:
        self.calls.append((function, [*first], given, how))
        return SimpleNamespace(fun=np.array([-self.misfit, 0.0]), x=np.array([*first]))


def searched(misfit: float, monkeypatch: pytest.MonkeyPatch) -> Search:
    found = Search(misfit)
    monkeypatch.setattr("scipy.optimize.least_squares", found)
    return found


# A temperature and a base measure.
PLACES = Places(
    torch.zeros(2, 3, dtype=f64), numbers(0, 1, 2, 0, 2, 4).reshape(2, 3), numbers(0, 1, 2, 0, 1, 2).reshape(1, 2, 3)
)


@pytest.mark.parametrize(("chosen", "free", "firsts", "ends"), [
    ((), True, [[0.0], [math.log(4)], [math.log(0.25)], [PLACES.size]], ([-10.0], [10.0])),
    ((0,), False, [[0.0]], ([-np.inf], [np.inf])),
    ((0,), True, [[0.0, 0.0], [math.log(4), 0.0], [math.log(0.25), 0.0], [PLACES.size, 0.0]],
     ([-10.0, -np.inf], [10.0, np.inf])),
])  # fmt: skip
def test_where_a_temperature_is_looked_for(
    chosen: tuple[int, ...], free: bool, firsts: Any, ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = searched(0.021, monkeypatch)
    assert _best(PLACES, chosen, free) is None
    assert [first for _, first, _, _ in far.calls] == [
        pytest.approx(first) for first in dict.fromkeys(map(tuple, firsts))
    ]
    assert far.calls[0][3]["bounds"] == ends
    near = searched(0.019, monkeypatch)
    found = _best(PLACES, chosen, free)
    assert found is not None
    assert found.tolist() == [0.0] * (1 + len(chosen))
    assert len(near.calls) == 1
    assert _best(PLACES, (), False) is None


def test_what_is_not_finite_is_far_off_and_steep_is_no_more_than_steep(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searched(1.0, monkeypatch)
    wide = Places(
        numbers(0, 0, 3e6, 3e6).reshape(2, 2), 0 * PLACES.value[:, :2], numbers(0, 1e150, 0, 0).reshape(1, 2, 2)
    )
    lost = Places(numbers(0, 0, math.nan, 0).reshape(2, 2), 0 * PLACES.value[:, :2], PLACES.terms[:, :, :2])
    for places in (wide, lost):
        _best(places, (0,), False)
    (off, _, (slope,), _), (nan, _, _, _) = search.calls
    assert np.abs(off(np.zeros(1))).tolist() == [1e6, 1e6]
    assert np.abs(slope(np.zeros(1))).max() == 1e100
    assert nan(np.zeros(1)).tolist() == [1e6, 1e6]


@pytest.mark.parametrize(("targets", "low", "high", "weight"), [
    ("real(raw=2)", -1101.3233, 1101.3233, 9.30685), ("positive(raw=2)", 0.0, 1.1008667e308, 718.15916),
    ("unit(raw=2)", 0.0, 1.0, -40.0),
])  # fmt: skip
def test_places_go_out_to_thousands_of_widths_or_to_the_ends_of_a_logit(
    targets: str, low: float, high: float, weight: float
) -> None:
    seen: list[Tensor] = []

    def loss(o: Tensor, y: Tensor) -> Tensor:
        seen.append(y)
        return 0 * y.clamp(-1, 1) + o.sum(1)

    made = asked(loss, targets)
    found = _places(made, [torch.square])
    assert found is not None
    assert (float(seen[-1].min()), float(seen[-1].max())) == (
        pytest.approx(low, abs=1e-15, rel=1e-6),
        pytest.approx(high, rel=1e-6),
    )
    assert float(found.weight[0][found.weight[0] > -1e299][-1]) == pytest.approx(weight, rel=1e-5)
    assert found.value.shape == (12, 1001)


def settled(off: float, log_z: Any, monkeypatch: pytest.MonkeyPatch, start: float = 0.0, free: bool = True) -> Any:
    asked_at: list[float] = []

    def at(_loss: object, given: Tensor, _terms: object) -> Tensor:
        asked_at.append(float(given[0]))
        return log_z(float(given[0])) * numbers(1.0, -1.0, 0.5)  # type: ignore[no-any-return]

    monkeypatch.setattr(fitting, "cloud", lambda *_: SimpleNamespace(off=off))
    monkeypatch.setattr(fitting, "_log_z", at)
    found = _settled(asked(squared), numbers(start), [], [], free)
    return (None if found is None else math.log(found.tau)), asked_at


@pytest.mark.parametrize(("off", "tau", "calls"), [
    (0.9e-8, math.log(0.75), 0), (1.1e-8, -0.3, 3), (0.099, -0.3, 3), (0.101, math.log(0.75), 0), (math.nan, math.log(0.75), 0),
])  # fmt: skip
def test_tidy_numbers_stand_where_z_is_one_number_or_far_from_it(
    off: float, tau: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, seen = settled(off, lambda at: at + 0.3, monkeypatch, math.log(0.75) + 1e-3)
    assert found == pytest.approx(tau, abs=1e-9)
    assert len(seen) == calls
    assert calls == 0 or seen[1] - seen[0] == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize(("log_z", "start", "tau"), [
    (lambda at: at - 9.9, 0.0, 9.9), (lambda at: at - 10.1, 0.0, None), (lambda at: at + 10.1, 0.0, None),
    (lambda at: at - 0.3 + 0.02 * (at - 0.3) ** 2, 0.0, 0.3), (lambda at: 0.5 + 1e-3 * at % 1, 0.0, None),
    (lambda at: at - 5e-9, 0.0, 5e-9), (lambda at: at - 0.5e-11, 0.0, 0.0), (lambda at: math.inf if at > 0 else 0.3, 0.0, 0.0),
    (lambda _: math.inf, 0.0, None),
])  # fmt: skip
def test_newtons_method_gets_nearer_and_stays_near(
    log_z: Any, start: float, tau: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = settled(0.05, log_z, monkeypatch, start)
    assert found == (None if tau is None else pytest.approx(tau, abs=1e-12, rel=1e-9))


# Which density it is.
def test_a_shape_is_looked_for_from_three_sides_to_all_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searched(1.0, monkeypatch)
    y = torch.linspace(-4, 4, 41, dtype=f64)
    assert _fit(BY_NAME["Student t"], y, -y.abs(), 0.2, 2.0) is None
    assert [first for _, first, _, _ in search.calls] == [[0.2, math.log(2.0), start] for start in (0.0, 1.5, -1.5)]
    for how in (call[3] for call in search.calls):
        assert [how[name] for name in ("xtol", "ftol", "gtol")] == [1e-15] * 3
    assert _start(BY_NAME["Poisson"], 0.05, 1.0, 0.0) == [math.log(0.1)]
    assert _start(BY_NAME["Poisson"], 0.2, 1.0, 0.0) == [math.log(0.2)]
    assert _start(BY_NAME["normal"], 0.05, 3.0, 0.0) == [0.05, math.log(3.0)]


@pytest.mark.parametrize(("size", "misfit", "fits"), [
    (0.1, 0.9e-7, True), (0.1, 1.1e-7, False), (100.0, 0.9e-5, True), (100.0, 1.1e-5, False),
])  # fmt: skip
def test_a_fit_is_held_to_seven_digits_of_the_largest_and_of_1(
    size: float, misfit: float, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(misfit, monkeypatch)
    y = torch.linspace(-1, 1, 41, dtype=f64)
    assert (_fit(BY_NAME["normal"], y, size * y, 0.0, 1.0) is not None) == fits


def test_a_misfit_is_no_larger_than_a_search_can_square(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searched(1.0, monkeypatch)
    nll = lambda *_: numbers(math.nan, math.inf, -math.inf, 1e9, -1e9, 2.0)  # noqa: E731
    form = Form("one", BY_NAME["normal"].support, BY_NAME["normal"].parameters, nll)
    y = torch.zeros(41, dtype=f64)
    monkeypatch.setattr(densities, "POINTS", 12)
    _fit(form, y[:6], y[:6], 0.0, 1.0)
    assert search.calls[0][0](np.zeros(2)).tolist() == [1e3, -1e3, 1e3, -1e6, 1e6, -2.0]


def test_a_density_is_looked_at_four_widths_around_its_top() -> None:
    base = torch.zeros_like
    y, middle, width = _around(
        asked(lambda o, y: 0.5 * ((y - 0.3) / 2) ** 2 + 0 * o.sum(1), "real(raw=2)"), OUTPUTS[0], 1.0, base
    )
    assert middle == pytest.approx(0.3)
    assert width == pytest.approx(2 * math.sqrt(2), abs=0.06)
    assert (float(y[0]), float(y[-1]), len(y)) == (
        pytest.approx(0.3 - 4.03 * width),
        pytest.approx(0.3 + 3.97 * width),
        41,
    )
    hot = _around(asked(lambda o, y: 0.5 * (y - 0.3) ** 2 + 0 * o.sum(1), "real(raw=2)"), OUTPUTS[0], 4.0, base)
    assert hot[1:] == (pytest.approx(0.3), pytest.approx(2 * math.sqrt(2), abs=0.06))
    counts = asked(lambda o, y: 3.0 - y * math.log(3) + torch.lgamma(y + 1) + 0 * o.sum(1), "counts(raw=2)")
    y, mean, variance = _around(counts, OUTPUTS[0], 1.0, base)
    assert y.tolist() == [*range(41)]
    assert (mean, variance) == (pytest.approx(3.0), pytest.approx(3.0))


@pytest.mark.parametrize(("values", "words"), [
    (lambda f: torch.exp(f[:, 1]), "standard deviation exp(f₂)"), (lambda f: torch.exp(f[:, 1] / 2), "variance exp(f₂)"),
    (lambda f: torch.exp(-f[:, 0] / 2), "variance exp(−f₁)"),
    (lambda f: torch.nn.functional.softplus(f[:, 0]) ** -0.5, "precision softplus(f₁)"),
    (lambda f: torch.exp(f[:, 1] / 2 + 0.5), "variance exp(f₂ + 1)"), (lambda f: 0 * f[:, 0] + 1.5, "standard deviation 1.5"),
    (lambda f: 1e-5 * torch.exp(0.01 * f[:, 0]), "standard deviation exp(0.01·f₁ − 11.5129)"),
    (lambda f: 1e-5 + 0.4e-9 * (f[:, 0] > f[0, 0]), "standard deviation 1e-05"), (lambda f: torch.exp(f.sum(1)), None),
])  # fmt: skip
def test_of_the_names_of_a_parameter_the_one_with_the_plainest_link_is_told(values: Any, words: str | None) -> None:
    found = _read(BY_NAME["normal"].parameters[1], OUTPUTS, values(OUTPUTS))
    assert (found and found.words) == words


def formed(
    fitted: tuple[str, ...], read: bool, targets: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Known, list[str]]:
    """Where densities of these names are fitted, and their parameters read or not; and which were tried."""
    tried: list[str] = []

    def fit(_loss: object, form: Form, outputs: Tensor, *_: object) -> Tensor | None:
        tried.append(f"{form.name}: {' '.join(one.aliases[0][0] for one in form.parameters)}")
        return torch.ones(len(outputs), len(form.parameters), dtype=f64) if form.name in fitted else None

    monkeypatch.setattr(densities, "_fitted", fit)
    monkeypatch.setattr(densities, "_mixture", lambda *_: None)
    one = lambda parameter, *_: SimpleNamespace(words=f"{parameter.aliases[0][0]} f₁") if read else None  # noqa: E731
    monkeypatch.setattr(densities, "_read", one)
    monkeypatch.setattr(densities, "_with_formula", lambda _loss, _form, name, *_: Known(name, "told", None))
    return named_density(asked(lambda o, y: y * o.sum(1), targets), OUTPUTS, 1.0, torch.zeros_like), tried


def test_a_density_is_named_by_the_first_that_fits_and_read_by_its_other_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, tried = formed((), True, "positive(raw=2)", monkeypatch)
    assert found == Known(None, None, None)
    assert len(tried) == 9, "of the half line, by other parameters too"
    found, tried = formed(("gamma",), False, "positive(raw=2)", monkeypatch)
    assert found == Known("gamma", None, None)
    assert [one for one in tried if one.startswith("gamma")] == [
        "gamma: mean shape",
        "gamma: shape rate",
        "gamma: shape scale",
    ]
    assert len(tried) == 7, "Weibulls and inverse Gaussians by theirs are none"
    found, tried = formed(("Weibull", "inverse Gaussian"), True, "positive(raw=2)", monkeypatch)
    assert found == Known("Weibull", "told", None)
    assert len(tried) == 3
    assert formed(("normal",), True, "real(raw=2)", monkeypatch)[0] == Known("normal, variance learned", "told", None)
    assert formed(("Laplace",), True, "real(raw=2)", monkeypatch)[0] == Known("Laplace", "told", None)
    monkeypatch.setattr(densities, "_mixture", lambda *_: Known("mixture", None, None))
    assert named_density(asked(normal, "real(raw=2)"), OUTPUTS, 1.0, torch.zeros_like) == Known("mixture", None, None)


@pytest.mark.parametrize(("off", "link", "known"), [
    (0.0, "f₁, standard deviation exp(f₂)", True), (1e-8, "f₁, standard deviation exp(f₂)", False), (1e-5, None, False),
])  # fmt: skip
def test_links_are_told_where_the_loss_is_their_formula_to_six_digits(
    off: float, link: str | None, known: bool
) -> None:
    form = BY_NAME["normal"]
    read = [_read(form.parameters[0], OUTPUTS, OUTPUTS[:, 0]), _read(form.parameters[1], OUTPUTS, OUTPUTS[:, 1].exp())]
    nll = lambda o, y: form.nll(y, o[:, 0], o[:, 1].exp()) * (1 + off * torch.cos(9 * y))  # noqa: E731
    found = _with_formula(asked(nll, "real(raw=2)"), form, "normal", read, OUTPUTS, 1.0, torch.zeros_like)  # type: ignore[arg-type]
    assert (found.link, found.reference is not None) == (link, known)
