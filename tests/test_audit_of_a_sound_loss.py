"""What must hold before any question of probability is asked of a loss, each part by itself and on both sides of its bounds."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import Function, asked, f64, normal, numbers, squared
from test_audit_constants import with_slope
from torch import Tensor

from mlnn.auditing import sound
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace


# Whether it answers.
def refusing(says: str, most: float = math.inf) -> Function:
    """A loss that refuses every target up to `most`."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        if bool((y <= most).any()):
            raise ValueError(says)
        return 0.5 * (f.sum(-1) if f.ndim > 1 else f) ** 2 + y

    return loss


@pytest.mark.parametrize(("function", "targets", "says", "never"), [
    (refusing("boom"), "real", "boom", ";"), (refusing("a scalar type of Long"), "real", "takes targets='classes(K)'", "outputs="),
    (refusing("a scalar type of Long"), "classes(3)", "int64): ValueError: a scalar", ";"),
    (refusing("input must lie in [0, 1]"), "real", "takes outputs='probabilities'", "classes(K)"),
    (refusing("boom", most=0.0), "real", None, ""), (lambda f, y: math.nan * (f + y), "real", None, ""),
    (squared, "real", None, ""),
])  # fmt: skip
def test_a_loss_that_refuses_every_target_is_told_what_it_may_want(
    function: Function, targets: str, says: str | None, never: str
) -> None:
    space = TargetSpace.parse(targets)
    objective = Objective.of(function, space, name="loss")
    if says is None:
        sound.check_answers(objective, space)
        return
    with pytest.raises(ConfigError) as raised:
        sound.check_answers(objective, space)
    assert says in str(raised.value)
    assert never not in str(raised.value)


def computing(
    value: Callable[[Tensor], Tensor],
    slope: float = 1.0,
    answers: Any = f64,
    sealed: Any = "none",
    name: str = "float16",
) -> Any:
    """A loss of a space, by what was found of it; `sealed` "none": nothing was."""
    inside = None if sealed == "none" else SimpleNamespace(sealed=sealed, name=name)
    return SimpleNamespace(
        objective=SimpleNamespace(inside=inside), answers_in=answers, space=TargetSpace("real"),
        both=lambda f, _: (value(f), torch.full_like(f, slope)), value=lambda f, _: value(f),
    )  # fmt: skip


def single(f: Tensor) -> Tensor:
    return f.float().double()


@pytest.mark.parametrize(("loss", "says"), [
    (computing(torch.sin), None), (computing(single), "less than float64"), (computing(single, slope=0.0), None),
    (computing(lambda f: f, answers=None), None), (computing(lambda f: f, answers=torch.float32), "float32"),
    (computing(lambda f: f, sealed="a kernel"), "float16, which no promotion reaches,"),
    (computing(lambda f: f, sealed=None), None),
    (computing(single, sealed=None), "less than float64"), (computing(lambda f: torch.where(f > 0, f, single(f))), None),
])  # fmt: skip
def test_a_loss_computes_in_less_than_float64_where_it_cannot_tell_outputs_apart(loss: Any, says: str | None) -> None:
    found = sound.too_coarse(loss)
    assert (found is None) == (says is None)
    assert says is None or f"it computes in {says} whatever" in (found or "")


# Whether rows are on their own.
class Batches:
    """An objective whose answer to a batch is made of its rows' numbers."""

    name = "loss"

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        self.answer = answer

    @contextmanager
    def twin(self, _: torch.dtype) -> Iterator[None]:
        yield

    def rows(self, output: Tensor, _target: Tensor) -> Tensor:
        return self.answer(output)


def whole(f: Tensor) -> bool:
    return len(f) == sound.WHOLE


COUPLED: dict[str, tuple[Callable[[Tensor], Tensor], str, bool, bool]] = {
    "rows": (lambda f: f, "per row", False, False), "rows, off by rounding": (lambda f: f + 0.9e-9 * whole(f), "per row"
    , False, False),
    "rows, off": (lambda f: 1e-3 * f + 2e-9 * whole(f), "per row", False, True),
    "large rows, off by rounding": (lambda f: 1e4 * f.clamp(-1, 1) + 3e-6 * whole(f), "per row", False, False),
    "rows that are nowhere": (lambda f: torch.where(f > 0, math.nan, torch.where(f < -1, math.inf, f)), "per row", False, False),
    "rows that are nowhere alone": (lambda f: torch.where(f > 0, f, math.nan if whole(f) else f), "per row", False, True),
    "rows infinite together": (lambda f: torch.where(f > 0, f, math.inf if whole(f) else f), "per row", False, True),
    "rows that were seen to couple": (lambda f: f, "coupled", True, True), "a mean": (lambda f: f.mean(), "mean", False, False),
    "a sum": (lambda f: f.sum(), "sum", False, False), "a mean taken for a sum": (lambda f: f.mean(), "sum", False, True),
    "a sum taken for a mean": (lambda f: f.sum(), "mean", False, True),
    "a mean, off by rounding": (lambda f: f.mean() + 0.9e-9 * whole(f), "mean", False, False),
    "a mean, off": (lambda f: f.mean() + 3e-9 * whole(f), "mean", False, True),
    "a large mean, off by rounding": (lambda f: 1e4 + f.mean() + 3e-6 * whole(f), "mean", False, False),
    "an infinite mean": (lambda f: f.mean() + math.inf, "mean", False, False),
    "an infinite mean of a batch": (lambda f: f.mean() + (math.inf if whole(f) else 0.0), "mean", False, True),
    "an infinite mean of its parts": (lambda f: f.mean() + (0.0 if whole(f) else math.inf), "mean", False, True),
    "an infinite mean that was seen to couple": (lambda f: f.mean() + math.inf, "coupled", True, True),
    "a mean that was seen to couple": (lambda f: f.mean(), "coupled", True, True),
}  # fmt: skip


@pytest.mark.parametrize("name", COUPLED)
def test_rows_couple_where_a_batch_is_not_what_its_parts_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, kind, couples, coupled = COUPLED[name]
    monkeypatch.setattr(sound, "reduction", lambda _: SimpleNamespace(kind=kind, couples=couples))
    found = sound.coupling(Batches(answer), TargetSpace("real"))  # type: ignore[arg-type]
    assert (found is not None) == coupled
    if found:
        assert (found.rows, len(found.loss)) == (512, 2)
        assert ("a row's loss" in found.says) == (kind == "per row")


def test_of_a_loss_that_refuses_a_batch_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "reduction", lambda _: None)
    assert sound.coupling(Batches(lambda f: f), TargetSpace("real")) is None  # type: ignore[arg-type]


# Whether its values and gradients can be read.
@pytest.mark.parametrize(("function", "targets", "says"), [
    (squared, "real", None), (lambda f, y: squared(f, y) + 0 / torch.where(y > 35, 0.0, 1.0), "real", "the loss is nan"),
    (lambda f, y: torch.where((f < -3.5) & (y > 30), math.inf, squared(f, y)), "real", "is inf at output -3.997 and target 35.7"),
    (lambda f, y: squared(f, y) + 1e-9 * torch.sqrt((f - f.detach()).abs()), "real", "the gradient is not finite at output -3.997"),
    (lambda f, y: 0 * f + y**2, "real", "ignores the output"), (lambda f, y: f**2 + 0 * y, "real", "ignores its target"),
    (lambda f, y: squared(f.detach(), y) + 0 * f, "real", "no gradient reaches"),
    (lambda f, y: squared(f, y) + 0.1 * f.detach(), "real", "is not the derivative of the loss (output -3.997, target -40.3)"),
    (normal, "real(raw=2)", None), (lambda o, y: 0 * o.sum(-1) + y, "real(raw=2)", "ignores the output"),
    (lambda o, y: normal(o, y) + 0.1 * o[:, 1].detach(), "real(raw=2)", "not the derivative of the loss (output ("),
    (lambda o, y: torch.where(o[:, 0] > 2.5, math.inf, normal(o, y)), "real(raw=2)", None),
    (lambda o, y: torch.where(o[:, 0] > 1.0, math.inf, normal(o, y)), "real(raw=2)", "the loss is inf at output ("),
    (lambda f, y: torch.where(f > 3.9, math.inf, squared(f, y)), "real", "the loss is inf at output 4.003"),
    (lambda o, y: torch.where(o[:, 0] > 3.2, math.inf, o.logsumexp(1) - o[:, 0] * y), "classes(3)", "the loss is inf"),
])  # fmt: skip
def test_what_keeps_a_loss_from_being_read(function: Function, targets: str, says: str | None) -> None:
    found = sound.cannot_be_read(asked(function, targets))
    assert (found is None) == (says is None), found
    assert says is None or says in (found or "")


@pytest.mark.parametrize(("few", "kept"), [(2, True), (3, False)])
def test_a_few_losses_may_be_infinite(few: int, kept: bool) -> None:
    value = torch.arange(10, dtype=f64).reshape(2, 5)
    value[0, :few] = math.inf
    value[1, 1] = -math.inf
    slope = torch.ones(2, 5, 3, dtype=f64)
    seen, pulls = sound._without_impossible(value, slope)
    assert seen[0, :few].tolist() == ([0.0] if kept else [math.inf]) * few
    assert pulls[0, :few].unique().tolist() == ([0.0] if kept else [1.0])
    assert seen[1].tolist() == [5.0, -math.inf, 7.0, 8.0, 9.0]
    assert bool((pulls[1] == 1).all())


@pytest.mark.parametrize("raw", [1, 2])
def test_a_difference_is_short_near_zero_and_told_by_the_larger_of_two_sizes(raw: int) -> None:
    def bent(f: Tensor, y: Tensor) -> Tensor:
        return (torch.sin(3000 * f) / 3000).reshape(len(y), -1).sum(1) + 0 * y

    loss = asked(bent, "real" if raw == 1 else "real(raw=2)")
    f = torch.full((2, 2), 1e-9, dtype=f64)[:, :raw].squeeze(1)
    y = numbers(0.5, 1.5)
    slope = loss.both(f, y)[1]
    assert float(sound.slope_error(loss, f, y, slope, torch.ones(2, dtype=f64)).max()) < 1e-6
    off = sound.slope_error(loss, f, y, 1.5 * slope, torch.full((2,), 1e-3, dtype=f64))
    assert off.tolist() == pytest.approx([1 / 3] * 2, rel=1e-4)
    small = sound.slope_error(loss, f, y, 1.5 * slope, torch.full((2,), 50.0, dtype=f64))
    assert bool((small < 0.05).all())
    assert float(small.max()) > 0


@pytest.mark.parametrize("raw", [1, 2])
@pytest.mark.parametrize("off", [0.0, 1e-5])
def test_a_long_difference_is_right_to_a_millionth(raw: int, off: float) -> None:
    def steep(f: Tensor, y: Tensor) -> Tensor:
        return torch.exp(f).reshape(len(y), -1).sum(1) + 0 * y

    loss = asked(with_slope(steep, lambda f, y: off * steep(f, y)), "real" if raw == 1 else "real(raw=2)")
    f = torch.tensor([[0.3, 1.0], [-1.0, 0.2]], dtype=f64)[:, :raw].squeeze(1)
    found = sound.long_slope_error(loss, f, numbers(0.0, 1.0))
    assert found.tolist() == pytest.approx([off] * 2, rel=0.5, abs=1e-9)
    noisy = asked(lambda f, y: squared(f, y) + 1e-6 * torch.sin(1e9 * f.detach()))
    assert float(sound.long_slope_error(noisy, numbers(0.3), numbers(2.0))) == 0.0


@pytest.mark.parametrize(("function", "right"), [
    (lambda f, y: (f - y.round()).abs() + squared(f, y), True),
    (with_slope(squared, lambda f, y: 1e-4 * squared(f, y) * ((f.abs() < 4.5) & (y > 35))), False),
    (with_slope(squared, lambda f, y: 1e-4 * squared(f, y) * (f > 3.99) * (f < 4.1) * (y > 35)), False),
    (lambda f, y: torch.cosh(200 * f) ** 0.01 + squared(f, y), True),
])  # fmt: skip
def test_a_gradient_is_wrong_where_no_difference_agrees_with_it(function: Function, right: bool) -> None:
    loss = asked(function)
    found = sound._wrong_gradient(loss, sound.moderate_outputs(loss.space), loss.space.wide_points)
    assert (found is None) == right


def test_an_output_in_words() -> None:
    assert sound._say(numbers(1.23456)[0]) == "1.235"
    assert sound._say(numbers(1.23456, -2.0)) == "(1.235, -2)"
