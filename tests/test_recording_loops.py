"""Loops that do with their model, gradients and threads what a recorder does not expect: the training is never the worse for it."""

import copy
import io
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from recording_cases import Loop, adam, assert_same, data, end, net, plain, recorded, sgd
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import mlnn
from mlnn.errors import ConfigError
from mlnn.recording import read_capsule, read_recording, record


def averaged(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """An average of the weights in a copy of the model, which is called with gradients on, and saved whole."""
    x, y = data()
    average = torch.optim.swa_utils.AveragedModel(model)
    for step in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x[:16]), y[:16]).backward()
        optimizer.step()
        average.update_parameters(model)
        average(x[: step + 2])
        torch.save(model, io.BytesIO())


def test_a_copy_of_the_model_is_none_of_the_recording(tmp_path: Path) -> None:
    assert_same(end(averaged, None), end(averaged, tmp_path / "r"))
    assert [len(step.forwards) for step in read_recording(tmp_path / "r").steps] == [1, 1, 1]


def test_a_model_that_was_saved_while_it_was_recorded_runs_alone(tmp_path: Path) -> None:
    model, kept = net(), io.BytesIO()
    with record(model, sgd(model), tmp_path / "r", capsules=()):
        torch.save(model, kept)
        twin = copy.deepcopy(model)
    kept.seek(0)
    for other in (twin, torch.load(kept, weights_only=False)):
        assert torch.equal(other.eval()(data()[0]), model.eval()(data()[0]))


class Words(nn.Module):
    """Whole numbers in, an embedding whose gradient is sparse."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(11, 6, sparse=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.words((x[:, 0].abs() * 4).long().clamp(max=10)))
        return found


def words() -> nn.Module:
    torch.manual_seed(0)
    return Words()


def test_sparse_gradients(tmp_path: Path) -> None:
    found = recorded(plain(3), tmp_path / "r", sgd, words, capsules=(1,))
    (step, *_) = found.steps
    assert step.gradient is not None
    assert step.gradient.norms[0] > 0
    assert mlnn.replay(found.capsules[1], words).relation in ("bitwise", "indistinguishable")


def lbfgs(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(model.parameters(), max_iter=4)


def several(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    x, y = data()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[:16]), y[:16])
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)  # type: ignore[arg-type]


def test_what_lbfgs_asks_at_other_weights_is_no_part_of_a_capsule(tmp_path: Path) -> None:
    found = recorded(several, tmp_path / "r", lbfgs, lambda: net(0.0, norm=False), capsules=(1,))
    assert len(found.steps[1].losses) > 1
    kept = read_capsule(found.capsules[1])
    assert (len(kept.passes), len(kept.losses)) == (1, 1)
    assert mlnn.replay(kept, net(0.0, norm=False)).relation in ("bitwise", "indistinguishable")


def checkpointed() -> nn.Module:
    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net(norm=False)

        def forward(self, x: Tensor) -> Any:
            return checkpoint(self.inner, x, use_reentrant=False)

    return Once()


def test_a_replay_of_layers_that_compute_themselves_again_on_the_way_back(tmp_path: Path) -> None:
    found = recorded(plain(3), tmp_path / "r", sgd, checkpointed, capsules=(2,))
    assert mlnn.replay(found.capsules[2], checkpointed).relation in ("bitwise", "indistinguishable")


def together(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    x, y = data()
    output = model(x)
    torch.autograd.backward([F.cross_entropy(output, y), output.square().mean()])
    optimizer.step()


def by_hand(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    x, y = data()
    weights = list(model.parameters())
    for weight, slope in zip(weights, torch.autograd.grad(F.cross_entropy(model(x), y), weights), strict=True):
        weight.grad = slope
    optimizer.step()


def again(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    plain(1)(model, optimizer)
    optimizer.step()


def parts_alone(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    assert isinstance(model, nn.Sequential)
    x, y = data()
    F.cross_entropy(model[1:](model[0](x)), y).backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("loop", "note"),
    [(by_hand, "no backward pass began"), (again, "was not called since"), (parts_alone, "only parts of it")],
)
def test_what_was_not_seen_of_a_step_is_said(loop: Loop, note: str, tmp_path: Path) -> None:
    assert note in " ".join(recorded(loop, tmp_path / "r").steps[-1].notes)


def test_several_losses_in_one_backward_pass_are_their_sum_and_no_half_of_it(tmp_path: Path) -> None:
    model = net(0.0, norm=False)
    output, y = model(data()[0]).detach(), data()[1]
    found = recorded(together, tmp_path / "r", sgd, lambda: net(0.0, norm=False), capsules=(0,))
    (step,) = found.steps
    assert step.losses.tolist() == pytest.approx([float(F.cross_entropy(output, y) + output.square().mean())])
    assert "more than one number" in read_capsule(found.capsules[0]).unlifted


def test_losses_of_a_training_in_another_thread_are_none_of_this_one(tmp_path: Path) -> None:
    def beside(_step: int, _optimizer: torch.optim.Optimizer) -> None:
        other = nn.Linear(3, 1)
        thread = threading.Thread(target=lambda: other(torch.ones(2, 3)).sum().backward())
        thread.start()
        thread.join()

    def before(step: int, x: Tensor) -> Tensor:
        beside(step, optimizer)
        return x

    optimizer = adam(net())
    found = recorded(plain(3, change=before, after=beside), tmp_path / "r")
    assert [len(step.losses) for step in found.steps] == [1, 1, 1]


def test_a_model_that_is_compiled_while_it_is_recorded(tmp_path: Path) -> None:
    def compiled(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        torch._dynamo.reset()  # what was compiled before there were hooks calls none
        plain(2)(torch.compile(model, backend="eager"), optimizer)  # type: ignore[arg-type]

    found = recorded(compiled, tmp_path / "r", sgd, lambda: net(norm=False), capsules=())
    assert [(len(step.forwards), len(step.losses)) for step in found.steps] == [(1, 1), (1, 1)]


def test_imaginary_parts_are_seen(tmp_path: Path) -> None:
    def loop(turn: complex) -> Loop:
        def of(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
            (model(data()[0].to(torch.complex64)) * turn).imag.square().mean().backward()
            optimizer.step()

        return of

    def numbers() -> nn.Module:
        torch.manual_seed(0)
        return nn.Linear(10, 2, dtype=torch.complex64)

    one, two = (recorded(loop(turn), tmp_path / str(turn), sgd, numbers).steps[0] for turn in (1, 1j))
    assert one.gradient is not None
    assert two.gradient is not None
    model = numbers()
    model(data()[0].to(torch.complex64)).imag.square().mean().backward()
    assert one.gradient.norms[0] == pytest.approx(float(model.weight.grad.norm()), rel=1e-6)  # type: ignore[union-attr, operator]
    assert float(((one.gradient.sketch - two.gradient.sketch) ** 2).sum()) > 0.1 * one.gradient.norm**2


def test_what_goes_wrong_in_the_recorder_ends_the_recording_and_not_the_training(tmp_path: Path) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("of a kind that nobody thought of")

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        plain(2)(model, optimizer)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mlnn.recording.fingerprint.Printer.of", broken)
            plain(2)(model, optimizer)

    with pytest.warns(UserWarning, match="ends at step 2: RuntimeError: of a kind"):
        assert_same(end(loop, None), end(loop, tmp_path / "r"))
    found = read_recording(tmp_path / "r")
    assert (len(found), "of a kind" in (found.ended or "")) == (2, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is full")
def test_a_disk_that_is_full_to_the_end(tmp_path: Path) -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        with record(model, optimizer, tmp_path / "r", capsules=()) as recorder:
            plain(1)(model, optimizer)
            recorder.tape.file.close()
            recorder.tape.file = open("/dev/full", "wb")  # noqa: SIM115 - the recorder closes it, as far as it can
            plain(2)(model, optimizer)

    with pytest.warns(UserWarning, match="No space left"):
        end(loop, None)
    assert len(read_recording(tmp_path / "r")) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"out": None}, "out is a NoneType"),
        ({"capsules": 3}, "capsules: 3; steps are needed"),
        ({"model": lambda: nn.Sequential(nn.LazyLinear(3))}, "'0.weight' has no numbers yet"),
        ({"model": lambda: nn.Linear(2, 2, device="meta")}, "'weight' has no numbers yet"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_cannot_be_recorded_is_met_at_the_door(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    model = change.pop("model", net)()
    given = {"out": tmp_path / "r"} | change
    with pytest.raises(ConfigError, match=words), record(model, sgd(model), **given):
        pass


class Printed(torch.optim.SGD):
    """As people make their own: its step does more, and calls that of the class it is made from."""

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        return super().step(closure)


@pytest.mark.parametrize("made_before", [False, True])
def test_a_step_that_calls_another_class_s_step_is_one(made_before: bool, tmp_path: Path) -> None:
    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        if made_before:  # then torch calls hooks in the step of this class, too
            sgd(model)
        return Printed(model.parameters(), 0.1)

    found = recorded(plain(steps=3), tmp_path / "r", optimizer)
    alone = recorded(plain(steps=3), tmp_path / "alone", sgd)
    assert [len(step.losses) for step in found.steps] == [1, 1, 1]
    assert None not in [step.weights for step in found.steps]
    for step, other in zip(found.steps, alone.steps, strict=True):
        assert step.gradient is not None
        assert other.gradient is not None
        assert step.gradient.norm == other.gradient.norm
