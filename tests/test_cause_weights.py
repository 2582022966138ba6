"""Weights of targets, and of a divisor, that are read off a side: told, planted, and not told where there are none."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from test_cause_planted import entropy, log_loss, squares
from test_columns import numbers, side, told
from torch import Tensor
from torch.nn import functional as F

from mlnn.comparing.explaining.weighings import _told, divisors, weighings
from mlnn.comparing.sample import Sample, answer
from mlnn.objectives.reduction import drawn_rows

f64 = torch.float64


@pytest.mark.parametrize(("ratio", "scaled", "words"), [
    ([1, 0, 1], False, "ignores targets of 1, but counts them in its divisor"), ([1, 0, 1], True, "ignores targets of 1"),
    ([1, 3, 1], False, "gives targets of 1 a weight of 3, and divides as if it did not"),
    ([1, 3, 1], True, "gives targets of 1 a weight of 3, and divides by the sum of the weights"),
    ([1, 3, 2], True, "gives targets of 0 a weight of 1, 1 a weight of 3, 2 a weight of 2"),
    ([1, 0, 0], True, "gives targets of 0 a weight of 1, 1 a weight of 0, 2 a weight of 0"),
    ([1, 0.5e-9, 1], True, "ignores targets of 1"),
    ([1, 1e-6, 1], True, "gives targets of 1 a weight of 1e-06, and divides by the sum"),
    ([1 + 0.5e-9, 3, 1], True, "gives targets of 1 a weight of 3, and divides by the sum of the weights"),
    ([1 + 1e-6, 3, 1], True, "gives targets of 0 a weight of 1, 1 a weight of 3, 2 a weight of 1, and divides by the sum"),
])  # fmt: skip
def test_weights_of_targets_in_words(ratio: list[float], scaled: bool, words: str) -> None:
    assert _told(torch.tensor([0.0, 1.0, 2.0]), torch.tensor(ratio, dtype=f64), scaled).startswith(words)


def weighted(*weights: float, divided: bool = False, plain: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """Rows weighted by their targets (or not, where `plain`), over their number or over the sum of the weights."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        weight = torch.tensor(weights, dtype=z.dtype)[y.long()]
        value = log_loss(z, y) if z.ndim == 1 else entropy(z, y)
        return (value if plain else weight * value).sum() / (weight.sum() if divided else len(z))

    return loss


def read(how: Any, sound: Any, odd: Any, space: str) -> list[str]:
    """What is said of the odd side, but for which side it is; what is planted into the sound one is what the words say."""
    one, other = side(sound, space), side(odd, space)
    found = list(how("right", one, other))
    sample = Sample(*drawn_rows(one.objective, 41))
    held = []
    for words, fault in found:
        output = sample.output.clone().requires_grad_()
        (slope,) = torch.autograd.grad(fault(one, Sample(output, sample.target), 1.0), output)
        if torch.allclose(slope, answer(other.objective, sample)[1], rtol=1e-9, atol=1e-15):
            held.append(words.removeprefix("right "))
    return held if held or not found else ["planted otherwise"]


@pytest.mark.parametrize(("odd", "space", "words"), [
    (weighted(1.0, 3.0), "binary", ["gives targets of 1 a weight of 3, and divides as if it did not"]),
    (weighted(1.0, 3.0, divided=True), "binary", ["gives targets of 1 a weight of 3, and divides by the sum of the weights"]),
    (weighted(1.0, 0.0, 1.0), "classes(3)", ["ignores targets of 1, but counts them in its divisor"]),
    (weighted(1.0, 0.0, 1.0, divided=True), "classes(3)", ["ignores targets of 1"]),
    (weighted(1.0, 1.0), "binary", []), (weighted(2.0, 2.0), "binary", []), (weighted(-1.0, -2.0), "binary", []),
    (weighted(-1.0, 2.0), "binary", ["gives targets of 0 a weight of -1, 1 a weight of 2, and divides as if it did not"]),
    (lambda z, y: (log_loss(z, y) * (1 + y * (z.detach() > 0))).mean(), "binary", []),
    (lambda z, y: (log_loss(z, y) * (1 + y)).mean() + 1e-6 * z.mean(), "binary", []),
    (lambda *_: 1 / 0, "binary", []),
])  # fmt: skip
def test_weights_of_targets_are_read_off_and_planted(odd: Any, space: str, words: list[str]) -> None:
    plain = weighted(*[1.0] * (2 if space == "binary" else 3))
    assert read(weighings, plain, odd, space) == words


@pytest.mark.parametrize(("count", "told_"), [(32, True), (33, False)])
def test_of_many_targets_no_weights_are_told(count: int, told_: bool) -> None:
    plain, odd = weighted(*[1.0] * count), weighted(*[1.0] * (count - 1), 2.0)
    assert bool(list(weighings("right", side(plain, f"classes({count})"), side(odd, f"classes({count})")))) is told_


def on_all(z: Tensor, y: Tensor, by: float = 0.0) -> Tensor:
    """A part of the gradient at what is ignored, of size `by`."""
    return F.cross_entropy(z, y, ignore_index=-1) + by * (z * (y == -1)[:, None]).sum()


@pytest.mark.parametrize(("left", "right", "told_"), [(0.0, 0.0, True), (0.1, 0.0, False), (0.0, 0.1, False)])
def test_of_what_is_ignored_neither_side_has_a_gradient(left: float, right: float, told_: bool) -> None:
    def odd(z: Tensor, y: Tensor) -> Tensor:
        return (
            F.cross_entropy(z, y, torch.tensor([1.0, 3.0, 1.0], dtype=z.dtype), ignore_index=-1)
            + on_all(z, y, right)
            - on_all(z, y)
        )

    space = "classes(3, ignore=-1)"
    found = list(weighings("right", side(partial(on_all, by=left), space), side(odd, space)))
    assert bool(found) is told_


@pytest.mark.parametrize(("odd", "space", "words"), [
    (weighted(1.0, 3.0, divided=True, plain=True), "binary", [
        "divides by the sum of weights per target (0 a weight of 1, 1 a weight of 3)"]),
    (weighted(1.0, 1.0, plain=True), "binary", []), (weighted(2.0, 2.0, divided=True, plain=True), "binary", []),
    (weighted(1.0, 3.0, divided=True), "binary", []), (lambda z, y: log_loss(z, y).sum() / (len(z) + 1), "binary", []),
    (lambda z, y: log_loss(z, y).mean() + 1e-6 * z.mean(), "binary", []), (lambda *_: 1 / 0, "binary", []),
    (weighted(*map(float, range(1, 9)), divided=True, plain=True), "classes(8)", ["divides by the sum of weights per target ("
     + ", ".join(f"{k} a weight of {k + 1}" for k in range(8)) + ")"]),
    (weighted(*map(float, range(1, 10)), divided=True, plain=True), "classes(9)", []),
])  # fmt: skip
def test_weights_of_a_divisor_are_read_off_and_planted(odd: Any, space: str, words: list[str]) -> None:
    plain = weighted(*[1.0] * (2 if space == "binary" else 9))
    assert read(divisors, plain, odd, space) == words


def test_a_space_without_end_has_no_weights_of_its_targets() -> None:
    for how in (weighings, divisors):
        assert (
            read(how, lambda f, y: squares(f, y).mean(), lambda f, y: (squares(f, y) * (1 + (y > 0))).mean(), "real")
            == []
        )
    assert told(numbers(1.0, 0.0), numbers(2.0, 0.0), "real(2)") == [], "an output that neither side has a gradient in"
    half = "where the sound side has none in some entries, and the odd one has"
    assert told(lambda f, y: ((f - y).clamp_min(0) ** 2).mean(), numbers(1.0, 4.0), "real(2)") == [], half
