"""A recorded step done again: the same code, another loss, other weights, and capsules that somebody else has written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from app_cases import assert_short, command, rewritten
from recording_cases import adam, end, net, plain, recorded, sgd
from torch import Tensor, nn
from torch.nn import functional as F

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.recording import Capsule, read_capsule
from mlnn.testing import assert_replays


@pytest.fixture(scope="module")
def capsule(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Step 1 of a training with dropout, batch norm and two micro-batches."""
    out, before = tmp_path_factory.mktemp("recorded") / "r", torch.get_num_threads()
    torch.set_num_threads(2)  # as many as a replay then uses
    try:
        recorded(plain(2, parts=2), out, capsules=(1,))
    finally:
        torch.set_num_threads(before)
    return out / "capsules" / "1"


def test_the_same_code_has_the_same_bits_and_leaves_the_world_alone(capsule: Path) -> None:
    model = net()
    before = [part.clone() for part in (*model.parameters(), *model.buffers())]
    torch.manual_seed(5)
    drawn = torch.rand(2)
    torch.manual_seed(5)
    found = mlnn.replay(capsule, model)
    assert found.relation == "bitwise"
    assert torch.equal(torch.rand(2), drawn)
    assert all(torch.equal(*pair) for pair in zip(before, (*model.parameters(), *model.buffers()), strict=True))
    assert all(part.grad is None for part in model.parameters())


def test_a_null_twin_is_recorded_with_it(capsule: Path) -> None:
    null = read_capsule(capsule).null
    assert null is not None
    assert null.again
    assert 1e-8 < null.gradient < 1e-6
    assert null.loss < 1e-6


LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str, float]] = {
    "by hand": (lambda z, y: -z.log_softmax(1).gather(1, y[:, None]).mean(), "equal", 1.0),
    "by rows": (lambda z, y: F.cross_entropy(z, y, reduction="none"), "equal", 1.0),
    "smoothed by 1e-6": (lambda z, y: F.cross_entropy(z, y, label_smoothing=1e-6), "different", 1.0),
    "a sum over 15 for a mean of 16": (lambda z, y: F.cross_entropy(z, y, reduction="sum") / 15, "scaled", 16 / 15),
    "twice": (lambda z, y: 2 * F.cross_entropy(z, y), "scaled", 2.0),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", LOSSES)
def test_another_loss_at_the_recorded_weights(name: str, capsule: Path) -> None:
    loss, relation, scale = LOSSES[name]
    found = mlnn.replay(capsule, net, loss=loss)
    assert found.relation == relation
    if relation == "scaled":
        assert found.scale == pytest.approx(scale, rel=1e-9)
    assert found.resolution is not None
    assert found.resolution <= 1e-12


def test_a_step_of_ones_own_at_the_recorded_weights(capsule: Path) -> None:
    found = mlnn.replay(capsule, net, step=lambda model, batch: F.cross_entropy(model(*batch.args), batch.target))
    assert found.relation in ("bitwise", "equal")
    wrong = mlnn.replay(
        capsule, net, step=lambda model, batch: F.cross_entropy(model(batch.args[0].clamp(-1, 1)), batch.target)
    )
    assert wrong.relation == "different"


class Rewritten(nn.Module):
    """The same network in other operations."""

    def __init__(self, slope: float = 0.0) -> None:
        super().__init__()
        own = net(0.0, norm=False)
        self.slope = slope
        for name, part in own.named_children():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        first, last = self.get_submodule("0"), self.get_submodule("3")
        hidden = (x @ first.weight.T + first.bias).clamp_min(0) + self.slope * x.sum()
        found: Tensor = (last.weight @ hidden.T).T + last.bias
        return found


@pytest.mark.parametrize(("slope", "relation"), [(0.0, ("bitwise", "indistinguishable")), (1e-4, ("different",))])
def test_another_implementation_of_the_model(slope: float, relation: tuple[str, ...], tmp_path: Path) -> None:
    recorded(plain(1), tmp_path / "r", sgd, lambda: net(0.0, norm=False), capsules=(0,))
    found = mlnn.replay(tmp_path / "r" / "capsules" / "0", Rewritten(slope))
    assert found.relation in relation
    assert found.resolution is not None
    assert 1e-8 < found.resolution < 1e-5


def test_a_gradient_that_was_clipped_before_the_step_is_scaled(tmp_path: Path) -> None:
    def clipping(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        x = torch.randn(16, 10)
        F.cross_entropy(model(x), torch.zeros(16, dtype=torch.int64)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-2)
        optimizer.step()

    recorded(clipping, tmp_path / "r", sgd, capsules=(0,))
    found = mlnn.replay(tmp_path / "r" / "capsules" / "0", net)
    assert (found.relation, found.value_relation) == ("scaled", "bitwise")
    assert "clipped" in found.sentence


def test_a_training_that_is_not_finite_or_dead_says_nothing(tmp_path: Path) -> None:
    recorded(plain(1, change=lambda _, x: x * torch.nan), tmp_path / "nan", capsules=(0,))
    assert mlnn.replay(tmp_path / "nan" / "capsules" / "0", net).relation == "undecided"
    recorded(plain(1, loss=lambda z, y: 0 * F.cross_entropy(z, y)), tmp_path / "dead", capsules=(0,))
    assert mlnn.replay(tmp_path / "dead" / "capsules" / "0", net).relation == "undecided"


def test_in_a_pytest(capsule: Path) -> None:
    assert assert_replays(capsule, net).relation == "bitwise"
    assert assert_replays(capsule, net, loss=LOSSES["by hand"][0]).relation == "equal"
    with pytest.raises(AssertionError, match="required 'equal', found 'different'") as caught:
        assert_replays(capsule, net, loss=LOSSES["smoothed by 1e-6"][0])
    assert caught.value.verdict.relation == "different"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (lambda: nn.Linear(10, 3), {}, "weight 'weight' was not there"),
        (lambda: nn.Sequential(nn.Linear(9, 16)), {}, r"weight '0.weight' had shape \(16, 10\), here \(16, 9\)"),
        (lambda: nn.Sequential(nn.Linear(10, 16)), {}, "no weight '1.bias', which the recorded one had"),
        ("net", {}, "a factory"),
        (nn.Linear, {}, "raised TypeError: Linear.__init__.. missing 2"),
        (net, {"loss": F.cross_entropy, "step": F.cross_entropy}, "not both"),
        (net, {"loss": "cross_entropy"}, "loss"),
        (net, {"loss": lambda z, _: z.sum(), "target": "labels"}, "target: 'labels'"),
    ],
)
def test_what_does_not_fit_a_capsule(model: Any, options: dict[str, Any], words: str, capsule: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        mlnn.replay(capsule, model, **options)


def damaged(capsule: Path, out: Path, change: Callable[[Path], None]) -> Path:
    """A copy of a capsule, changed."""
    out.mkdir()
    for file in capsule.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    change(out)
    return out


def _told(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        rewritten(folder / "capsule.json", change)

    return apply


def deep(told: dict[str, Any]) -> None:
    bones: Any = {"plain": 1}
    for _ in range(90):
        bones = {"list": [bones]}
    told["passes"][0]["arguments"] = bones


DAMAGE: dict[str, Callable[[Path], None]] = {
    "other tensors": lambda folder: (folder / "tensors.safetensors").write_bytes(b"\0" * 99),
    "no tensors": lambda folder: (folder / "tensors.safetensors").unlink(),
    "a pipe": lambda folder: ((folder / "tensors.safetensors").unlink(), os.mkfifo(folder / "tensors.safetensors")),  # type: ignore[func-returns-value]
    "no JSON": lambda folder: (folder / "capsule.json").write_text("{"),
    "a list": lambda folder: (folder / "capsule.json").write_text("[]"),
    "another format": _told(lambda told: told.update(format=99)),
    "no passes": _told(lambda told: told.update(passes=None)),
    "losses of words": _told(lambda told: told.update(losses=["a"])),
    "a step that is no number": _told(lambda told: told.update(step="x")),
    "autocast to what is no dtype": _told(lambda told: told.update(autocast=["cpu", "load"])),
    "autocast on another device": _told(lambda told: told.update(autocast=["meta", "bfloat16"])),
    "autocast of three words": _told(lambda told: told.update(autocast=["cpu", "bfloat16", "x"])),
    "operations that losses are not made of": _told(
        lambda told: told["objectives"][0]["operations"][0].update(name="aten.from_file.default")
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_capsule_is_one_short_error(name: str, capsule: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_capsule(damaged(capsule, tmp_path / "c", DAMAGE[name]))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "change", [deep, lambda told: told["passes"][0].update(arguments={"dict": {"args": {"tensor": "x"}}})]
)
def test_a_batch_that_is_damaged(change: Any, capsule: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="batch is damaged"):
        mlnn.replay(damaged(capsule, tmp_path / "c", _told(change)), net)


def test_no_capsule(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", "a\0b"):
        with pytest.raises(DataError):
            mlnn.replay(path, net)


class Counting(nn.Module):
    """Its mask hangs on how often it was called: a state that only Python knows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = net(0.0, norm=False), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        found: Tensor = self.inner(x) * (1 + 0.01 * self.calls)
        return found


def test_the_null_twin_leaves_a_models_own_state_alone(tmp_path: Path) -> None:
    found = recorded(plain(3), tmp_path / "r", adam, Counting, capsules=(0, 1))
    capsule = read_capsule(found.capsules[0])
    assert capsule.null is not None
    assert not capsule.null.again, "the copy counts on, and gives another loss: seen, and said"


def test_hooks_of_ones_own_are_not_called_more_often(tmp_path: Path) -> None:
    def hooked() -> nn.Module:
        model = net()
        model[0].register_forward_hook(lambda *_: calls.append(1))
        return model

    calls: list[int] = []
    end(plain(2), None, model=hooked)
    alone, calls[:] = len(calls), []
    found = recorded(plain(2), tmp_path / "r", model=hooked, capsules=(0,))
    assert len(calls) == 2 * alone
    assert read_capsule(found.capsules[0]).null is None


def test_a_capsule_of_a_batch_by_name(tmp_path: Path) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net(0.0)

        def forward(self, x: Tensor, labels: Tensor | None = None, **_: object) -> dict[str, Tensor]:
            logits = self.inner(x)
            return (
                {"loss": F.cross_entropy(logits, labels), "logits": logits}
                if labels is not None
                else {"logits": logits}
            )

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        out = model(x=torch.randn(8, 10), labels=torch.arange(8) % 3, flag=True, words=["a", None, 1.5])
        out["loss"].backward()
        optimizer.step()

    found = recorded(loop, tmp_path / "r", sgd, Named, capsules=(0,))
    capsule: Capsule = read_capsule(found.capsules[0])
    _, kwargs = capsule.passes[0].given()
    assert kwargs["flag"] is True
    assert kwargs["words"] == ["a", None, 1.5]
    assert mlnn.replay(capsule, Named).relation == "bitwise"
    assert mlnn.replay(capsule, Named, loss=LOSSES["by hand"][0]).relation == "equal"
    assert mlnn.replay(capsule, Named, step=lambda m, b: m(**b.kwargs)["loss"]).relation in ("bitwise", "equal")


CODE = """
from recording_cases import net
from torch.nn import functional as F
def make(): return net()
def smoothed(z, y): return F.cross_entropy(z, y, label_smoothing=1e-6)
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "replayed_code.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "replayed_code"


def test_from_the_command_line(capsule: Path, code: str, tmp_path: Path) -> None:
    same = command("replay", str(capsule), f"factory={code}:make", "require=bitwise")
    assert same.code == 0, same.err
    assert "bitwise" in same.out
    page = (tmp_path / "replay.html").read_text()
    assert "Recorded step 1, again" in page
    other = command(
        "replay", str(capsule), f"factory={code}:make", f"loss={code}:smoothed", "require=equal", "page=x.html"
    )
    assert other.code == 1
    assert "right is smoothed" in other.err
    assert "different" in (tmp_path / "x.html").read_text()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (["factory=CODE:make"], 2, "capsule: 0 given"),
        (["CAPSULE"], 2, "factory: none given"),
        (["CAPSULE", "factory=make"], 2, "factory: 'make' is not of the form"),
        (["CAPSULE", "factory=CODE:nope"], 2, "has no 'nope'"),
        (["CAPSULE", "factory=CODE:make", "require=same"], 2, "require"),
        (["capsule=[nowhere]", "factory=CODE:make"], 3, "no such folder"),
        (["-m", "CAPSULE", "factory=CODE:make"], 2, "it has no jobs"),
    ],
)
def test_a_command_line_that_is_wrong(words: list[str], exit_code: int, said: str, capsule: Path, code: str) -> None:
    found = command("replay", *(word.replace("CAPSULE", str(capsule)).replace("CODE", code) for word in words))
    assert found.code == exit_code, found.err
    assert said in found.err
    assert_short(found.err)
