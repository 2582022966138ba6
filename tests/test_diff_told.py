"""What a diff says of settings, weights and losses that other loops treat otherwise: the right cause, or none."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diff_cases import Plan, net, rows, step_of, train
from torch import nn
from torch.nn import functional as F

import mlnn
from mlnn.errors import DataError
from mlnn.recording import record

Change = Callable[[nn.Module, torch.optim.Optimizer, int], None]


def nothing(_model: nn.Module, _optimizer: torch.optim.Optimizer, _step: int) -> None:
    """A loop as it is."""


def looped(
    out: Path, change: Change = nothing, *, before: Change = nothing, adam: bool = False, **options: object
) -> Path:
    """A training of six steps in which something is done before each step's forward pass, or between backward pass and step."""
    plan = Plan()
    model = net(plan)
    before(model, None, -1)  # type: ignore[arg-type]
    chosen = torch.optim.Adam if adam else torch.optim.SGD
    optimizer = chosen(model.parameters(), 0.01 if adam else 0.1, **options)  # type: ignore[arg-type]
    torch.manual_seed(5)
    with record(model, optimizer, out, capsules=()):
        for step in range(plan.steps):
            before(model, optimizer, step)
            optimizer.zero_grad()
            step_of(plan, model, step)
            change(model, optimizer, step)
            optimizer.step()
    return out


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"betas": (0.9, 0.95)}, "betas (0.9, 0.999) against (0.9, 0.95)"),
        ({"weight_decay": 1e-4}, "weight_decay 0 against 0.0001"),
    ],
)
def test_a_setting_that_moves_adam_little_at_each_step(setting: dict[str, object], words: str, tmp_path: Path) -> None:
    found = mlnn.diff(looped(tmp_path / "a", adam=True), looped(tmp_path / "b", adam=True, **setting))
    assert (found.relation, found.stage) == ("different", "weights")
    assert words in found.sentence


def test_a_setting_that_moves_nothing_that_can_be_told_is_named(tmp_path: Path) -> None:
    found = mlnn.diff(looped(tmp_path / "a", adam=True), looped(tmp_path / "b", adam=True, eps=1.1e-8))
    assert found.relation == "equal"
    assert "no more than can be told: eps 1e-08 against 1.1e-08" in found.sentence


def test_another_implementation_of_an_optimiser_is_no_setting_that_steers(tmp_path: Path) -> None:
    found = mlnn.diff(looped(tmp_path / "a", adam=True), looped(tmp_path / "b", adam=True, fused=True))
    assert found.relation in ("bitwise", "equal")
    assert "Set otherwise" not in found.sentence


def test_groups_in_another_order_are_no_other_settings(tmp_path: Path) -> None:
    def grouped(out: Path, turn: int) -> Path:
        model = net(Plan())
        decayed, plain = list(model.parameters())[::2], list(model.parameters())[1::2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.Adam(groups[::turn], 0.01)
        with record(model, optimizer, out, capsules=()):
            for step in range(3):
                optimizer.zero_grad()
                step_of(Plan(), model, step)
                optimizer.step()
        return out

    found = mlnn.diff(grouped(tmp_path / "a", 1), grouped(tmp_path / "b", -1))
    assert found.relation in ("bitwise", "equal")
    assert not any(setting.steers for setting in found.settings)


def frozen_until(at: int) -> Change:
    def change(model: nn.Module, _optimizer: torch.optim.Optimizer, step: int) -> None:
        if step in (-1, at):
            model[0].requires_grad_(step == at)  # type: ignore[operator, index]

    return change


def test_a_layer_that_thaws_is_told(tmp_path: Path) -> None:
    found = mlnn.diff(looped(tmp_path / "a", before=frozen_until(99)), looped(tmp_path / "b", before=frozen_until(2)))
    assert found.relation == "different"
    assert "In B, from step 2 on: '0.weight', '0.bias' can be trained, and was frozen" in found.sentence
    other = mlnn.diff(looped(tmp_path / "c"), tmp_path / "a")
    assert (other.relation, "is not in B, or frozen there" in other.sentence) == ("undecided", True)


def test_weights_that_are_changed_between_steps_are_told(tmp_path: Path) -> None:
    def change(model: nn.Module, _optimizer: torch.optim.Optimizer, step: int) -> None:
        if step == 3:
            with torch.no_grad():
                model[0].weight.mul_(1.001)  # type: ignore[operator, index, union-attr]

    found = mlnn.diff(looped(tmp_path / "a"), looped(tmp_path / "b", before=change))
    assert (found.relation, found.step) == ("different", 3)
    assert "In B, from step 3 on: the weights were changed since the step before" in found.sentence
    assert "targets" in found.sentence, "that the loss differs is what was seen, and not why"


def test_a_factor_that_is_divided_out_again_is_a_factor(tmp_path: Path) -> None:
    def undone(model: nn.Module, _optimizer: torch.optim.Optimizer, _step: int) -> None:
        for weight in model.parameters():
            weight.grad /= 1000  # type: ignore[operator]

    plan = Plan(times=1000.0)
    model = net(plan)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with record(model, optimizer, tmp_path / "b", capsules=()):
        for step in range(plan.steps):
            optimizer.zero_grad()
            step_of(plan, model, step)
            undone(model, optimizer, step)
            optimizer.step()
    found = mlnn.diff(looped(tmp_path / "a"), tmp_path / "b")
    assert (found.relation, found.stage) == ("scaled", "loss")
    assert found.scale == pytest.approx(1000, rel=1e-5)
    assert "taken out" not in found.sentence


def test_a_clipped_gradient_is_no_factor_of_all_steps(tmp_path: Path) -> None:
    def clipped(model: nn.Module, _optimizer: torch.optim.Optimizer, _step: int) -> None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.2)

    found = mlnn.diff(looped(tmp_path / "a"), looped(tmp_path / "b", clipped))
    assert (found.relation, found.stage) == ("scaled", "gradient")
    assert "gradients were clipped, or scaled after the backward pass; no later step can tell" in found.sentence


def test_gradients_that_were_made_without_a_loss_are_compared(tmp_path: Path) -> None:
    def by_hand(out: Path, times: float) -> Path:
        model = net(Plan())
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        weights, (x, y) = list(model.parameters()), rows()
        with record(model, optimizer, out, capsules=()):
            for step in range(3):
                part = slice(16 * step, 16 * step + 16)
                loss = F.cross_entropy(model(x[part]), y[part]) * times
                for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                    weight.grad = slope
                optimizer.step()
        return out

    plain = looped(tmp_path / "plain")
    found = mlnn.diff(plain, by_hand(tmp_path / "a", 1.0))
    assert found.relation == "bitwise"
    assert "In B, from step 0 on: no backward pass began at a loss" in found.sentence
    found = mlnn.diff(plain, by_hand(tmp_path / "b", 2.0))
    assert (found.relation, found.stage, found.scale) == ("scaled", "gradient", pytest.approx(2))


def test_a_capsule_for_a_recording_and_a_recording_for_a_capsule(tmp_path: Path) -> None:
    out = train(tmp_path / "r", steps=1, capsules=(0,))
    with pytest.raises(DataError, match=f"is one step of a recording; the recording is {out}"):
        mlnn.diff(out, out / "capsules" / "0")
    with pytest.raises(DataError, match="is a whole recording; give a step of it"):
        mlnn.replay(out, net(Plan()))
