"""What trainers of all kinds do to a loop, done here by hand: a recording holds each step's rows and losses once."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from recording_cases import Loop, data, net, plain, recorded, sgd
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mlnn.recording import RecordedStep, Recording, read_capsule, read_recording, record

UNSEEN = ("the model itself was not called, only parts of it: its batches are not recorded",)


def loop_of(loss: Callable[[nn.Module, Tensor, Tensor], Tensor], steps: int = 3) -> Loop:
    """A loop whose loss is of the model and the same 64 rows."""
    x, y = data()

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model, x, y).backward()
            optimizer.step()

    return loop


def shapes(step: RecordedStep) -> list[dict[str, tuple[int, ...]]]:
    return [one.batch.shapes for one in step.forwards]


def assert_once_each(found: Recording, steps: int = 3) -> None:
    assert [(len(step.losses), shapes(step), step.notes) for step in found.steps] == [
        (1, [{"args.0": (64, 10)}], ())
    ] * steps


class CallsItself(nn.Module):
    """A model whose forward pass is another one of its own, as Lightning's strategies make `training_step`."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Any, y: Tensor | None = None) -> Tensor:
        """The loss of rows and targets, or raw outputs of rows."""
        return self.net(x) if y is None else F.cross_entropy(self(x), y)


def test_a_forward_pass_inside_of_another_is_the_one_that_counts(tmp_path: Path) -> None:
    found = recorded(loop_of(lambda model, x, y: model(x, y)), tmp_path / "a", model=CallsItself, capsules=(0,))
    assert_once_each(found)
    capsule = read_capsule(found.capsules[0])
    assert capsule.unlifted == ""
    assert len(capsule.passes) == 1


def test_a_forward_pass_that_is_made_once_more_on_the_way_back(tmp_path: Path) -> None:
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(checkpoint(model, x, use_reentrant=False), y)

    assert_once_each(recorded(loop_of(loss), tmp_path / "a", model=lambda: net(norm=False), capsules=()))


def test_a_forward_pass_that_raises_and_is_caught(tmp_path: Path) -> None:
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with pytest.raises(RuntimeError):
            model(x[:, :3])
        return F.cross_entropy(model(x), y)

    found = recorded(loop_of(loss), tmp_path / "a", capsules=())
    assert [shapes(step)[-1] for step in found.steps] == [{"args.0": (64, 10)}] * 3


def test_a_loop_that_calls_parts_of_the_model(tmp_path: Path) -> None:
    def loss(model: Any, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model[4](model[0](x)), y)

    found = recorded(loop_of(loss), tmp_path / "a", optimizer=sgd)
    assert [(len(step.losses), step.forwards, step.notes) for step in found.steps] == [(1, (), UNSEEN)] * 3
    assert found.capsules == {}
    assert found.steps[0].losses[0] > found.steps[2].losses[0] > 0


@pytest.mark.parametrize("calls", ["the model", "parts"])
def test_a_batch_that_is_offered_counts_where_the_model_is_not_called(calls: str, tmp_path: Path) -> None:
    x, y = data()
    model = net()
    optimizer = sgd(model)
    with record(model, optimizer, tmp_path / "a", capsules=(0, 1)) as recorder:
        for _ in range(3):
            recorder.offer((x, y))
            optimizer.zero_grad()
            F.cross_entropy(model(x) if calls == "the model" else model[4](model[0](x)), y).backward()
            optimizer.step()
        with torch.no_grad():
            recorder.offer((x, y))
    found = read_recording(tmp_path / "a")
    rows = {"args.0": (64, 10)} if calls == "the model" else {"args.0.0": (64, 10), "args.0.1": (64,)}
    assert [(len(step.losses), shapes(step), step.notes) for step in found.steps] == [(1, [rows], ())] * 3
    for folder in found.capsules.values():
        capsule = read_capsule(folder)
        assert [sorted(one.tensors) for one in capsule.passes] == [sorted(rows)]
        assert bool(capsule.unlifted) == (calls == "parts")


@pytest.mark.parametrize("replaced", [False, True])
def test_there_is_no_yardstick_where_a_copy_would_still_be_the_model(replaced: bool, tmp_path: Path) -> None:
    def model() -> nn.Module:
        made = net(norm=False)
        forward = made.forward
        if replaced:
            made.forward = lambda x: forward(x).float()  # type: ignore[method-assign]
        return made

    null = read_capsule(recorded(plain(1), tmp_path / "a", model=model, capsules=(0,)).capsules[0]).null
    assert (null is None) == replaced
    assert replaced or (null is not None and null.gradient > 1e-9 and null.again)


def test_another_models_losses_are_none_of_this_ones(tmp_path: Path) -> None:
    x, y = data()
    other = nn.Linear(10, 3)

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(3):
            F.cross_entropy(other(x), y).backward()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    assert_once_each(recorded(loop, tmp_path / "a", capsules=()))


@pytest.mark.parametrize("unscaled", [False, True])
def test_a_fused_kernel_that_skips_a_step(unscaled: bool, tmp_path: Path) -> None:
    x, y = data()

    def loop(model: Any, optimizer: torch.optim.Optimizer) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for step in range(4):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            if step == 2:
                model[4].weight.grad[0] = float("inf")
            if unscaled:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()

    def fused(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), 1e-2, fused=True)

    found = recorded(loop, tmp_path / "a", optimizer=fused, capsules=(1,))
    assert [bool(step.skipped) for step in found.steps] == [False, False, True, False]
    assert [step.scale for step in found.steps] == [1024.0, 1024.0, 1024.0, 512.0]
    gradient = found.steps[1].gradient
    kept = read_capsule(found.capsules[1]).gradient
    assert gradient is not None
    assert [float(kept[name].norm()) for name in found.settings.names] == pytest.approx(gradient.norms, rel=1e-6)
    assert read_capsule(found.capsules[2]).reason == "not finite"


def test_a_gradient_is_divided_by_its_scale_once(tmp_path: Path) -> None:
    x, y = data()
    slopes: list[Tensor] = []

    def loop(model: Any, optimizer: torch.optim.Optimizer) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        slopes.append(model[4].bias.grad / 1024)
        model[4].weight.grad[0] = float("inf")
        scaler.step(optimizer)

    found = recorded(loop, tmp_path / "a", capsules=(0,))
    assert torch.equal(read_capsule(found.capsules[0]).gradient["4.bias"], slopes[-1])


def test_a_recording_that_nobody_ends_makes_room_for_the_next(tmp_path: Path) -> None:
    ended: list[str] = []
    model = net()
    with ExitStack() as stack:
        first = stack.enter_context(record(model, sgd(model), tmp_path / "a", capsules=()))

        def leave() -> None:
            ended.append("first")
            stack.close()

        first.left = leave
        recorded(plain(2), tmp_path / "b", capsules=())
    assert ended == ["first"]
    assert read_recording(tmp_path / "a").ended == "finished"
