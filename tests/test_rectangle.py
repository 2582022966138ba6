"""Proofs of losses of soft labels, on the rectangle of raw outputs and labels."""

from collections.abc import Callable

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


@pytest.mark.parametrize("name", BUMPS)
def test_a_bump_in_the_label_is_found_where_it_is(name: str) -> None:
    found = prove(squared, lambda z, y: squared(z, y) + 1e-9 * BUMPS[name](z, y), "unit", slopes=False)
    assert found.answer == "differs", found.sentence
    assert replay(found).holds, replay(found)


@pytest.mark.parametrize("height", [1e-10, 1e-14])
def test_a_term_that_is_0_at_both_ends_is_found(height: float) -> None:
    found = prove(squared, lambda z, y: squared(z, y) + height * y * (1 - y) * torch.sigmoid(z), "unit", slopes=False)
    assert found.answer == "differs", found.sentence


def test_what_no_line_meets_is_undecided_and_says_of_which_targets_it_is_equal() -> None:
    def bump(z: Tensor, y: Tensor) -> Tensor:
        return 1e-9 * torch.exp(-(((y - 0.3337) / 1e-6) ** 2) - ((z - 1.234567) / 1e-6) ** 2)

    found = prove(squared, lambda z, y: squared(z, y) + bump(z, y), "unit", slopes=False)
    assert found.answer == "undecided", found.sentence
    assert "equal for the targets 0.1" in found.sentence
