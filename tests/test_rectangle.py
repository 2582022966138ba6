"""Proofs of losses of soft labels, on the rectangle of raw outputs and labels."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.proving import prove
from mlnn.proving.replay import replay

Loss = Callable[[Tensor, Tensor], Tensor]


def squared(z: Tensor, y: Tensor) -> Tensor:
    return (torch.sigmoid(z) - y) ** 2


def weighted(z: Tensor, y: Tensor) -> Tensor:
    return torch.exp(y) * F.softplus((1 - 2 * y) * z, threshold=1e9)


EQUAL: dict[str, tuple[Loss, Loss]] = {
    "a threshold beyond the rectangle": (weighted, lambda z, y: -torch.exp(y) * F.logsigmoid((2 * y - 1) * z)),
    "and one of 88": (weighted, lambda z, y: torch.exp(y) * F.softplus((1 - 2 * y) * z, threshold=88.5)),
    "clips beyond it": (squared, lambda z, y: (torch.sigmoid(z.clamp(-89, 89)) - y.clamp(-1, 2)) ** 2),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", EQUAL)
def test_a_switch_that_has_one_state_on_the_rectangle_is_none(name: str) -> None:
    found = prove(*EQUAL[name], "unit", slopes=False)
    assert (found.answer, found.targets.startswith("every target")) == ("proved", True), found.sentence
    assert replay(found).holds, replay(found)


def test_a_threshold_within_the_rectangle_is_found() -> None:
    within = prove(
        weighted, lambda z, y: torch.exp(y) * F.softplus((1 - 2 * y) * z, threshold=20), "unit", slopes=False
    )
    assert within.answer == "differs", within.sentence


BUMPS: dict[str, Loss] = {
    "in the label": lambda z, y: torch.sigmoid(z) * torch.exp(-(((y - 0.3337) / 1e-6) ** 2)),
    "a step in the label": lambda z, y: torch.sigmoid(z) * (y > 0.61803),
    "in the gradient's label": lambda z, y: z * torch.relu(1 - ((y - 0.7001) / 1e-6).abs()),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", BUMPS)
def test_a_bump_in_the_label_is_found_where_it_is(name: str) -> None:
    found = prove(squared, lambda z, y: squared(z, y) + 1e-9 * BUMPS[name](z, y), "unit", slopes=False)
    assert found.answer == "differs", found.sentence
    assert replay(found).holds, replay(found)


@pytest.mark.sampled(2, 1)
@pytest.mark.parametrize("height", [1e-10, 1e-14])
def test_a_term_that_is_0_at_both_ends_is_found(height: float) -> None:
    found = prove(squared, lambda z, y: squared(z, y) + height * y * (1 - y) * torch.sigmoid(z), "unit", slopes=False)
    assert found.answer == "differs", found.sentence


@pytest.mark.rest
def test_a_bump_that_no_line_meets_is_found_on_the_rectangle() -> None:
    def bump(z: Tensor, y: Tensor) -> Tensor:
        return 1e-9 * torch.exp(-(((y - 0.3337) / 1e-6) ** 2) - ((z - 1.234567) / 1e-6) ** 2)

    found = prove(squared, lambda z, y: squared(z, y) + bump(z, y), "unit", slopes=False)
    assert found.answer == "differs", found.sentence
    assert "values differ at raw output t, y = 0.3337" in found.sentence
    assert "by up to 1e-09 near 1.23456699" in found.sentence
    assert replay(found).holds, replay(found)


@pytest.mark.parametrize(("boxes", "answer", "told"), [
    (40, "undecided", "equal for the targets 0.1"), (6000, "differs", "are proved equal on [1, 2] for raw output t, y = 0.33299")
])  # fmt: skip
def test_what_no_line_meets_takes_boxes_to_be_found_and_nothing_is_said_of_other_labels(
    boxes: int, answer: str, told: str
) -> None:
    def bump(z: Tensor, y: Tensor) -> Tensor:  # no switch of which looks at the label alone
        return 1e-9 * torch.relu(1e-6 - (z + y - 1.5675678).abs() - (z - y - 0.9015678).abs())

    found = prove(squared, lambda z, y: squared(z, y) + bump(z, y), "unit", domain=(1, 2), slopes=False, boxes=boxes)
    assert found.answer == answer, found.sentence
    assert told in found.sentence


def signed(z: Tensor, y: Tensor) -> Tensor:
    return (1 - 2 * y) * z


def smooth(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(signed(z, y), threshold=1e9)


def kinked(z: Tensor, y: Tensor) -> Tensor:
    return F.relu(signed(z, y)) + torch.log1p(torch.exp(-signed(z, y).abs()))


def twice(u: Tensor) -> Tensor:
    return 2 * torch.sin(u) * torch.cos(u)


ONE_NUMBER: dict[str, tuple[Loss, Loss, str]] = {
    "a kink along a curve": (smooth, kinked, "u = (1 − 2·y)·z"),
    "written out": (lambda z, y: torch.sin(2 * z - 4 * y * z), lambda z, y: twice(signed(z, y)), "u = (1 − 2·y)·z"),
    "with weights": (
        lambda z, y: (1 + y) * torch.sin(2 * y * z) + torch.xlogy(y, y),
        lambda z, y: (1 + y) * twice(y * z) + torch.xlogy(y, y), "u = y·z",
    ),
    "a residual": (lambda z, y: torch.sin(2 * (z - y)), lambda z, y: twice(z - y), "u = z − 1·y"),
    "a threshold that no label reaches all of": (smooth, lambda z, y: F.softplus(signed(z, y), threshold=40), "u = (1 − 2·y)·z"),
    "a label beside": (lambda z, y: torch.sin(2 * (z * y - y)), lambda z, y: twice(z * y - y), "u = y·z − 1·y"),
}  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ONE_NUMBER)
def test_losses_that_hang_on_one_number_of_both_are_proved_for_every_label(name: str) -> None:
    left, right, told = ONE_NUMBER[name]
    domain = (-50, 50) if "threshold" in name else (-6, 5)
    found = prove(left, right, "unit", domain=domain, slopes=name == "with weights")
    assert (found.answer, found.targets) == ("proved", f"every target, by {told.replace('1·y', 'y')}"), found.sentence
    assert not found.findings
    assert replay(found).holds, replay(found)


@pytest.mark.rest
def test_a_kink_along_a_curve_is_told_by_the_number_that_it_is_met_at() -> None:
    found = prove(smooth, kinked, "unit", domain=(-6, 5), slopes=False)
    assert found.points == ((0.0, 0.5),)
    assert "at u = 0 alone gradients differ by 0.5" in found.sentence


@pytest.mark.sampled(2)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_error_function_and_what_is_left_of_it_are_one_form(sign: int) -> None:
    found = prove(
        lambda z, y: torch.log1p(-sign * torch.erf(y * z)), lambda z, y: torch.log(torch.erfc(sign * y * z)), "unit"
    )
    assert found.answer == "proved", found.sentence


class AtNothing(torch.autograd.Function):
    """softplus of (1 − 2y)·z whose gradient is 0.1 off where that is exactly 0: at y = ½ for all raw outputs."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, y: Tensor, plain: bool) -> Tensor:
        ctx.save_for_backward(z, y)
        return smooth(z, y) if plain else kinked(z, y)

    @staticmethod
    def backward(ctx: Any, up: Tensor) -> Any:  # type: ignore[override]
        z, y = ctx.saved_tensors
        s = signed(z, y)
        return up * (torch.sigmoid(s) * (1 - 2 * y) + 0.1 * (s == 0)), None, None


@pytest.mark.parametrize("plain", [True, False], ids=["by the form", "by one number"])
def test_a_gradient_that_is_off_at_one_label_for_all_raw_outputs_is_no_single_place(plain: bool) -> None:
    found = prove(smooth, lambda z, y: AtNothing.apply(z, y, plain), "unit", domain=(-6, 5), slopes=False)
    assert found.answer == "differs", found.sentence
    assert "gradients differ at y = 0.5" in found.sentence


WRONG: dict[str, tuple[Loss, str]] = {
    "a hump in the label": (lambda _, y: 1e-12 * y * (1 - y), "differs"),
    "a step in the label": (lambda _, y: 1e-9 * (y > 0.61803), "differs"),
    "a bump in both": (
        lambda z, y: 1e-9 * torch.exp(-(((y - 0.7137) * 1e6) ** 2) - ((z - 1.23) * 1e6) ** 2), "undecided",
    ),
    "0 at every label that is looked at": (
        lambda z, y: 1e-9 * y * (y - 0.1) * (y - 0.3) * (y - 0.5) * (y - 0.9) * (y - 0.999) * signed(z, y), "differs",
    ),
}  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", WRONG)
def test_what_is_next_to_equal_is_not_proved(name: str) -> None:
    more, answer = WRONG[name]
    found = prove(smooth, lambda z, y: kinked(z, y) + more(z, y), "unit", domain=(-2, 2), slopes=False, boxes=500)
    assert found.answer == answer, found.sentence


@pytest.fixture(scope="module")
def stored() -> Any:
    def near(z: Tensor, y: Tensor) -> Tensor:
        return twice(signed(z, y)) + 1e-16 * torch.sin(signed(z, y))

    left, *_ = ONE_NUMBER["written out"]
    found = prove(left, near, "unit", domain=(-6, 5), slopes=False).to_dict()
    return json.loads(json.dumps(found))


def _sides(stored: Any) -> Any:
    return next(part for part in stored["paper"] if part.get("kind") == "sides")


def _narrower(stored: Any) -> None:
    for part in stored["paper"]:
        if "questions" in part:
            part["domain"] = ["-5", "5"]


def _at_a_label(stored: Any) -> None:
    part = next(part for part in stored["paper"] if part["target"] == "what is free of w")
    part["nodes"].append(["lin", [], ["0"]])
    last = len(part["nodes"]) - 1
    part["questions"].append({"name": "gradient", "plus": last, "minus": last, "slope": False,
                              "boxes": [["-6", "0", "equal", []], ["0", "0", "point", []], ["0", "6", "equal", []]]})  # fmt: skip


CHANGED: dict[str, tuple[Callable[[Any], None], str]] = {
    "another number": (lambda one: _sides(one).update(inner=["1", "-1", "0"]), "do not add up"),
    "one that is larger": (lambda one: _sides(one).update(inner=["2", "-4", "0"]), "larger than 1"),
    "none": (lambda one: _sides(one).pop("inner"), "of another"),
    "boxes of less than the rectangle": (_narrower, "boxes of what is free of w are of another"),
    "a gradient at one label": (_at_a_label, "at y = 0.5 fails for all raw outputs"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_stored_proof_by_one_number_that_was_changed_is_not_found_true(stored: Any, name: str) -> None:
    assert replay(stored).holds, replay(stored)
    changed = copy.deepcopy(stored)
    change, said = CHANGED[name]
    change(changed)
    failed = replay(changed).failed
    assert any(said in one for one in failed), failed
