"""A recorder in loops of every kind: it changes no bit, and tells what happened."""

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recording_cases import adam, assert_same, data, end, net, plain, recorded, sgd
from torch import Tensor, nn
from torch.nn import functional as F

import mlnn
from mlnn.errors import ConfigError, DataError, RunFolderError
from mlnn.recording import read_capsule, read_recording, record
from mlnn.recording.fingerprint import same_bits
from mlnn.recording.streams import put_back, streams, told


def test_a_plain_loop(tmp_path: Path) -> None:
    found = recorded(plain(parts=2), tmp_path / "r", capsules=(0, 2), about={"commit": "abc"})
    assert (found.ended, found.torn, len(found), sorted(found.capsules)) == ("finished", None, 4, [0, 2])
    assert found.settings.optimizer == "Adam"
    assert found.settings.about == {"commit": "abc"}
    assert found.settings.groups[0]["lr"] == "0.01"
    assert found.settings.names == ("0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias")
    for step in found.steps:
        assert len(step.losses) == len(step.forwards) == 2
        assert step.rates == (0.01,)
        assert [forward.batch.rows for forward in step.forwards] == [16, 16]
        assert step.gradient is not None
        assert step.weights is not None
        assert step.gradient.finite
    words = {step.forwards[0].random["torch"] for step in found.steps}
    assert len(words) == 4, "dropout draws, so the stream moves on"
    assert len({step.buffers for step in found.steps}) == 4


def test_the_recorded_loss_gradient_and_weights_are_those_of_the_training(tmp_path: Path) -> None:
    model, (x, y) = net(dropout=0.0, norm=False), data()
    optimizer = sgd(model)
    with record(model, optimizer, tmp_path / "r", capsules=()):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        gradient = [weight.grad.clone() for weight in model.parameters()]
        optimizer.step()
    (step,) = read_recording(tmp_path / "r").steps
    assert step.losses.tolist() == [loss.item()]
    assert step.gradient is not None
    np.testing.assert_allclose(step.gradient.norms, [float(part.norm()) for part in gradient], rtol=1e-6)
    assert step.weights is not None
    np.testing.assert_allclose(step.weights.norms, [part.norm().item() for part in model.parameters()], rtol=1e-6)


def closures(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    x, y = data()
    for at in range(3):

        def closure(rows: slice = slice(16 * at, 16 * at + 16)) -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            return loss

        optimizer.step(closure)


@pytest.mark.parametrize("kind", [torch.optim.LBFGS, torch.optim.SGD])
def test_a_backward_pass_inside_of_the_step(kind: Any, tmp_path: Path) -> None:
    found = recorded(closures, tmp_path / "r", lambda model: kind(model.parameters(), 0.1), lambda: net(0.0, False))
    assert len(found) == 3
    for step in found.steps:
        assert step.gradient is not None
        assert step.gradient.norm > 0
        assert len(step.losses) == (1 if kind is torch.optim.SGD else len(step.forwards))


def test_what_is_asked_without_gradients_is_no_part_of_it(tmp_path: Path) -> None:
    x, y = data()

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            model.eval()
            with torch.no_grad():
                model(x)
            model.train()
            optimizer.step()

    assert [len(step.forwards) for step in recorded(loop, tmp_path / "r").steps] == [1, 1]


def test_a_gradient_scaler_that_skips_a_step(tmp_path: Path) -> None:
    x, y = data()

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for step in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y) * (torch.inf if step == 1 else 1.0)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()

    found = recorded(loop, tmp_path / "r", sgd, lambda: net(0.0), capsules=(0,))
    assert [bool(step.skipped) for step in found.steps] == [False, True, False]
    assert [step.scale for step in found.steps] == [1024.0, 1024.0, 512.0]
    assert sorted(found.capsules) == [0, 1]
    first = read_capsule(found.capsules[0])
    assert first.scale == 1024.0
    assert first.losses[0] == 1024 * F.cross_entropy(net(0.0)(x), y).item()
    assert read_capsule(found.capsules[1]).reason == "not finite"


def test_the_first_step_that_is_not_finite_is_kept_as_it_was_before(tmp_path: Path) -> None:
    def bad(step: int, x: Tensor) -> Tensor:
        return x * torch.nan if step >= 2 else x

    found = recorded(plain(change=bad), tmp_path / "r", capsules=(0,))
    assert sorted(found.capsules) == [0, 2]
    capsule = read_capsule(found.capsules[2])
    assert capsule.reason == "not finite"
    assert all(bool(part.isfinite().all()) for part in (*capsule.weights.values(), *capsule.buffers.values()))
    assert bool(capsule.passes[0].given()[0][0].isnan().all())
    assert "was not chosen" in capsule.unlifted
    assert not recorded(plain(change=bad), tmp_path / "none", capsules=()).capsules


def test_gradients_at_some_steps_and_losses_at_all(tmp_path: Path) -> None:
    found = recorded(plain(steps=7), tmp_path / "r", capsules=(), every=3)
    assert [step.step for step in found.steps if step.gradient is not None] == [0, 3, 6]
    assert all(len(step.losses) == 1 for step in found.steps)


def test_the_same_training_twice_has_the_same_prints_and_another_has_not(tmp_path: Path) -> None:
    one, two = (recorded(plain(), tmp_path / name, capsules=()) for name in "ab")
    other = recorded(plain(loss=lambda z, y: F.cross_entropy(z, y, label_smoothing=1e-3)), tmp_path / "c", capsules=())
    assert same_bits(one.start, other.start)
    for first, second, third in zip(one.steps, two.steps, other.steps, strict=True):
        assert same_bits(first.weights, second.weights)
        assert not same_bits(first.gradient, third.gradient)


def test_recorders_one_at_a_time(tmp_path: Path) -> None:
    model, other = net(), net()
    with (
        record(model, adam(model), tmp_path / "a", capsules=()),
        pytest.raises(ConfigError, match="one at a time"),
        record(other, adam(other), tmp_path / "b", capsules=()),
    ):
        pass
    assert_same(end(plain(1), None), end(plain(1), tmp_path / "c"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": torch.nn.functional.relu}, "nn.Module that the loop calls"),
        ({"optimizer": "adam"}, "torch.optim.Optimizer is needed"),
        ({"optimizer": adam(net())}, "none of the model's weights belong to this Adam"),
        ({"every": 0}, "every"),
        ({"capsules": (-1,)}, "capsules"),
        ({"max_bytes": 1000}, "more than max_bytes=1,000; choose fewer"),
        ({"model": nn.ReLU()}, "no weights that are trained"),
    ],
)
def test_what_cannot_be_recorded(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    model = net()
    given = {"model": model, "optimizer": adam(model), "out": tmp_path / "r", **change}
    with pytest.raises(ConfigError, match=words), record(**given):
        pass
    assert not (tmp_path / "r").exists()


def test_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(RunFolderError, match="something is there"):
        end(plain(1), tmp_path)
    assert (tmp_path / "x").read_text() == "mine"


def test_a_training_that_raises_leaves_what_was_recorded_and_no_hook(tmp_path: Path) -> None:
    model, (x, y) = net(), data()
    optimizer = adam(model)

    def train() -> None:
        with record(model, optimizer, tmp_path / "r", capsules=()):
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            raise KeyboardInterrupt

    before = torch.autograd.backward, torch.amp.GradScaler.step
    with pytest.raises(KeyboardInterrupt):
        train()
    found = read_recording(tmp_path / "r")
    assert (found.ended, len(found)) == ("KeyboardInterrupt", 1)
    assert (torch.autograd.backward, torch.amp.GradScaler.step) == before
    assert not model._forward_pre_hooks
    assert not model._forward_hooks
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_a_disk_that_fills_ends_the_recording_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlnn.recording import tape

    alone = end(plain(), None)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    model = net()
    optimizer = adam(model)
    torch.manual_seed(2)
    with record(model, optimizer, tmp_path / "r", capsules=()):
        monkeypatch.setattr(tape, "write_frame", full)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            plain()(model, optimizer)
    assert [str(one.message) for one in told if "the recording ends at step 0" in str(one.message)]
    assert_same(alone, [*(part.detach() for part in (*model.parameters(), *model.buffers())), torch.rand(3)])
    assert len(read_recording(tmp_path / "r")) == 0


def test_a_torn_end_is_told_and_what_is_before_it_read(tmp_path: Path) -> None:
    recorded(plain(), tmp_path / "r", capsules=())
    file = tmp_path / "r" / "steps.bin"
    content = file.read_bytes()
    for cut in (1, 9, 200):
        file.write_bytes(content[:-cut])
        found = read_recording(tmp_path / "r")
        assert len(found) == 3
        assert found.torn is not None
        assert "torn" in found.torn or "a part of one" in found.torn
    (tmp_path / "r" / "ended.json").unlink()
    assert read_recording(tmp_path / "r").ended is None


@pytest.mark.parametrize("name", ["steps.bin", "recording.json"])
def test_a_damaged_recording_is_one_short_error(name: str, tmp_path: Path) -> None:
    recorded(plain(2), tmp_path / "r", capsules=())
    file = tmp_path / "r" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    with pytest.raises(DataError) as caught:
        read_recording(tmp_path / "r")
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_no_recording(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, "a\0b", 3):
        with pytest.raises(DataError):
            read_recording(path)


def test_random_streams_are_told_apart_and_put_back() -> None:

    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.gauss(0, 1)
    kept = streams()
    drawn = torch.rand(3), random.random(), random.gauss(0, 1), np.random.rand(3)  # noqa: NPY002
    after = told(streams())
    assert all(after[name] != told(kept)[name] for name in ("torch", "python", "numpy"))
    put_back(kept)
    assert told(streams()) == told(kept)
    assert torch.equal(torch.rand(3), drawn[0])
    assert (random.random(), random.gauss(0, 1)) == drawn[1:3]
    assert np.array_equal(np.random.rand(3), drawn[3])  # noqa: NPY002
    with pytest.raises(DataError, match="'torch' is damaged"):
        put_back({**kept, "torch": torch.zeros(3, dtype=torch.uint8)})


def test_record_is_a_public_name() -> None:
    assert mlnn.record is record


@pytest.mark.parametrize("place", [0, 623])
def test_a_random_state_of_no_such_words_is_damaged(place: int) -> None:
    """Words of the twister are 32 bits, without a sign."""
    found = streams()
    found["numpy"][place] = -1
    with pytest.raises(DataError, match="random state 'numpy' is damaged"):
        put_back(found)
