"""The callbacks with the real libraries: pip install '.[integrations]'. Every training ends at the bits it ends at without."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import torch
from process_cases import side_by_side
from recording_cases import assert_same
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mlnn import diff
from mlnn.errors import ConfigError
from mlnn.recording import Recording, read_capsule, read_recording, record
from mlnn.recording.batchprint import together
from mlnn.recording.fingerprint import distance, factor

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
Train = Callable[[Any], Sequence[Tensor]]


def recorded(train: Train, callback: Any, out: Path) -> Recording:
    """The recording of a training, once it was seen to end where it ends without one."""
    assert_same(train(None), train(callback))
    return read_recording(out)


def counts(found: Recording) -> list[tuple[int, int]]:
    """(losses, forward passes) of every step."""
    return [(len(step.losses), len(step.forwards)) for step in found.steps]


def rows(count: int = 64) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    x = torch.randn(count, 5, generator=drawn)
    return x, (x.sum(1) > 0).long()


def state(model: nn.Module) -> list[Tensor]:
    return [part.detach().clone() for part in (*model.parameters(), *model.buffers())]


# --- Hugging Face's Trainer


class Tokens(nn.Module):
    """A language model of 11 words; its loss is inside, as theirs are."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.drop, self.head = nn.Embedding(11, 8), nn.Dropout(0.1), nn.Linear(8, 11)

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """(n, t) words → loss and logits (n, t, 11)."""
        logits = self.head(self.drop(self.embed(input_ids)))
        return {"loss": F.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


class TokensOfAnything(Tokens):
    """The same, with a `**kwargs` that a Trainer takes for a promise to divide by `num_items_in_batch`."""

    def forward(self, input_ids: Tensor, labels: Tensor, **_: Any) -> dict[str, Tensor]:
        """(n, t) words → loss and logits (n, t, 11)."""
        return super().forward(input_ids, labels)


def trainer(model: nn.Module, folder: Path, batch: int, parts: int, callbacks: Sequence[Any], **options: Any) -> Any:
    from transformers import Trainer, TrainingArguments

    drawn = torch.Generator().manual_seed(3)
    words = torch.randint(0, 11, (160, 6), generator=drawn)
    labels = torch.randint(0, 11, (160, 6), generator=drawn)
    data = [{"input_ids": one, "labels": other} for one, other in zip(words, labels, strict=True)]
    settings = TrainingArguments(
        output_dir=str(folder / "trainer"), per_device_train_batch_size=batch, gradient_accumulation_steps=parts, max_steps=4,
        eval_strategy="steps", eval_steps=2, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
        learning_rate=1e-2, logging_strategy="no", **options,
    )  # fmt: skip
    return Trainer(model=model, args=settings, train_dataset=data, eval_dataset=data[:16], callbacks=list(callbacks))


def hugging_face(
    kind: Callable[[], nn.Module], folder: Path, batch: int = 16, parts: int = 1, dropout: float = 0.1, **options: Any
) -> Train:
    def train(callback: Any) -> Sequence[Tensor]:
        torch.manual_seed(0)
        model = kind()
        for part in model.modules():
            if isinstance(part, nn.Dropout):
                part.p = dropout
        trainer(model, folder, batch, parts, [callback] if callback else [], **options).train()
        return state(model)

    return train


@pytest.mark.parametrize(("batch", "parts", "bf16"), [(16, 1, False), (16, 2, False), (16, 2, True)])
def test_a_trainer(batch: int, parts: int, bf16: bool, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from mlnn.integrations.transformers import RecordCallback

    out = tmp_path / "recording"
    train = hugging_face(Tokens, tmp_path, batch, parts, bf16=bf16)
    found = recorded(train, RecordCallback(out, capsules=(1,), about={"mine": "1"}), out)
    assert counts(found) == [(parts, parts)] * 4
    assert (found.ended, found.torn, found.settings.names[0]) == ("finished", None, "embed.weight")
    assert found.steps[0].forwards[0].batch.shapes == {"kwargs.input_ids": (batch, 6), "kwargs.labels": (batch, 6)}
    assert found.settings.about["gradient_accumulation_steps"] == str(parts)
    assert found.settings.about["mine"] == "1"
    assert [step.rates[0] for step in found.steps] == pytest.approx([1e-2, 7.5e-3, 5e-3, 2.5e-3])
    assert read_capsule(found.capsules[1]).unlifted == ""


@pytest.mark.parametrize(("kind", "times"), [(TokensOfAnything, 2.0), (Tokens, 1.0)])
def test_accumulation_with_and_without_keyword_arguments(kind: Any, times: float, tmp_path: Path) -> None:
    """Two recordings tell a factor of 2: micro-batches whose losses nobody has divided (transformers#47688)."""
    pytest.importorskip("transformers")
    from mlnn.integrations.transformers import RecordCallback

    found = []
    for batch, parts in ((32, 1), (16, 2)):
        out = tmp_path / f"{batch}x{parts}"
        hugging_face(kind, tmp_path, batch, parts, dropout=0.0)(RecordCallback(out, capsules=()))
        found.append(read_recording(out))
    one, two = (recording.steps[0] for recording in found)
    assert (
        together([each.batch for each in one.forwards])[0] == together([each.batch for each in two.forwards])[0] == 32
    )
    assert one.gradient is not None
    assert two.gradient is not None
    assert factor(one.gradient, two.gradient) == pytest.approx(times, rel=1e-6)
    assert distance(one.gradient.scaled(times), two.gradient) / one.gradient.norm < 2e-6
    told = diff(*found)
    assert told.relation == ("equal" if times == 1 else "scaled")
    assert times == 1 or "they were not divided by the number of micro-batches" in told.sentence


@pytest.mark.parametrize("block", [False, True])
def test_a_trainer_that_raises(block: bool, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from transformers import TrainerCallback

    from mlnn.integrations.transformers import RecordCallback

    class Stops(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            if state.global_step == 2:
                raise KeyError("mine")

    backward = torch.autograd.backward
    callback = RecordCallback(tmp_path / "a", capsules=())
    with pytest.raises(KeyError), callback if block else nullcontext():
        trainer(Tokens(), tmp_path, 16, 1, [callback, Stops()]).train()
    assert (torch.autograd.backward is backward) == block
    found = read_recording(tmp_path / "a")
    assert (len(found.steps), found.ended) == (2, "KeyError" if block else None)
    hugging_face(Tokens, tmp_path)(RecordCallback(tmp_path / "b", capsules=()))
    assert torch.autograd.backward is backward
    assert (len(read_recording(tmp_path / "b")), read_recording(tmp_path / "b").ended) == (4, "finished")
    assert read_recording(tmp_path / "a").ended == ("KeyError" if block else "TrainingLeft")


def test_a_model_of_theirs(tmp_path: Path) -> None:
    """Its labels are shifted inside, its loss divided by the tokens of the whole batch: 16×1 and 8×2 are equal."""
    pytest.importorskip("transformers")
    from transformers import LlamaConfig, LlamaForCausalLM

    from mlnn.integrations.transformers import RecordCallback

    config = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    found = []
    for batch, parts in ((16, 1), (8, 2)):
        out = tmp_path / f"{batch}x{parts}"
        train = hugging_face(lambda: LlamaForCausalLM(config), tmp_path, batch, parts)
        found.append(recorded(train, RecordCallback(out, capsules=(0,)), out))
    assert [counts(one)[0] for one in found] == [(1, 1), (2, 2)]
    one, two = (recording.steps[0].gradient for recording in found)
    assert one is not None
    assert two is not None
    assert distance(one, two) / one.norm < 2e-6
    assert two.norm > 0


# --- Lightning


def lightning_module(kind: str) -> Any:
    import lightning

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
            self.other = nn.Linear(5, 2) if kind == "two" else None
            self.automatic_optimization = kind in ("automatic", "parts", "lbfgs")

        def forward(self, x: Tensor) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, _index: int) -> Any:
            x, y = batch
            if self.automatic_optimization:
                return F.cross_entropy((self.net if kind == "parts" else self)(x), y)
            steppers = self.optimizers() if kind == "two" else [self.optimizers()]
            for asked, stepper in zip((self, self.other), steppers, strict=False):
                stepper.zero_grad()
                self.manual_backward(F.cross_entropy(asked(x), y))
                stepper.step()
            return None

        def validation_step(self, batch: Any, _index: int) -> None:
            self.log("validation", F.cross_entropy(self(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            if kind == "lbfgs":
                return torch.optim.LBFGS(self.net.parameters(), lr=0.1, max_iter=3)
            first = torch.optim.Adam(self.net.parameters(), 1e-2)
            return (first, torch.optim.SGD(self.other.parameters(), 0.1)) if kind == "two" else first

    return Module()


def fit(kind: str, parts: int = 1, precision: str = "32-true", devices: int = 1) -> Train:
    def train(callback: Any) -> Sequence[Tensor]:
        import lightning

        torch.manual_seed(0)
        module = lightning_module(kind)
        x, y = rows()
        lightning.Trainer(
            max_epochs=2, accelerator="cpu", devices=devices, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=1, accumulate_grad_batches=parts, precision=precision,
            callbacks=[callback] if callback else [],
        ).fit(module, DataLoader(TensorDataset(x, y), 16, shuffle=True), DataLoader(TensorDataset(x, y), 16))  # fmt: skip
        return state(module)

    return train


@pytest.mark.parametrize(
    ("kind", "parts", "precision", "found"),
    [
        ("automatic", 1, "32-true", [1] * 8),
        ("automatic", 3, "32-true", [3, 1, 3, 1]),
        ("automatic", 1, "bf16-mixed", [1] * 8),
        ("automatic", 1, "bf16-true", [1] * 8),
        ("parts", 2, "32-true", [2] * 4),
        ("manual", 1, "32-true", [1] * 8),
        ("lbfgs", 1, "32-true", [3] * 8),
    ],
)
def test_lightning(kind: str, parts: int, precision: str, found: list[int], tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    from mlnn.integrations.lightning import Record

    out = tmp_path / "recording"
    recording = recorded(fit(kind, parts, precision), Record(out, capsules=(1,)), out)
    assert counts(recording) == [(count, count) for count in found]
    assert (recording.ended, recording.settings.names[0]) == ("finished", "net.0.weight")
    assert recording.settings.about["accumulate_grad_batches"] == str(parts)
    one = {"args.0": (16, 5)} if kind != "parts" else {"args.0.0": (16, 5), "args.0.1": (16,)}
    assert recording.steps[0].forwards[0].batch.shapes == one
    assert {step.notes for step in recording.steps} == {()}
    rows_seen = {together([each.batch for step in recording.steps[at:][: len(found) // 2] for each in step.forwards])
                 for at in (0, len(found) // 2)} if kind != "lbfgs" else set()  # fmt: skip
    assert len(rows_seen) == (1 if kind != "lbfgs" else 0), "both epochs have the same rows"


def test_lightning_with_two_optimisers(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    from mlnn.integrations.lightning import Record

    with pytest.raises(ConfigError, match="2 optimisers, and one is recorded: optimizer=0"):
        fit("two")(Record(tmp_path / "a"))
    with pytest.raises(ConfigError, match="there is no optimizer=2; the module has 2"):
        fit("two")(Record(tmp_path / "b", optimizer=2))
    found = recorded(fit("two"), Record(tmp_path / "c", optimizer=0, capsules=()), tmp_path / "c")
    assert counts(found) == [(1, 1)] * 8
    assert found.settings.optimizer == "Adam"


def test_lightning_that_raises(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    import lightning

    from mlnn.integrations.lightning import Record

    class Stops(lightning.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, *_: Any) -> None:
            raise KeyError("mine")

    backward = torch.autograd.backward
    x, y = rows()
    with pytest.raises(KeyError):
        lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[Record(tmp_path / "a", capsules=()), Stops()],
        ).fit(lightning_module("automatic"), DataLoader(TensorDataset(x, y), 16))  # fmt: skip
    assert torch.autograd.backward is backward
    assert read_recording(tmp_path / "a").ended == "KeyError"


# --- accelerate


def accelerated(parts: int, precision: str = "no") -> Train:
    def train(out: Any) -> Sequence[Tensor]:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        from mlnn.integrations.accelerate import record as record_prepared

        AcceleratorState._reset_state(reset_partial_state=True)
        torch.manual_seed(0)
        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=parts, mixed_precision=precision)
        x, y = rows()
        plain = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
        model, optimizer, batches = accelerator.prepare(
            plain, torch.optim.Adam(plain.parameters(), 1e-2), DataLoader(TensorDataset(x, y), 16, shuffle=True)
        )
        around = nullcontext() if out is None else record_prepared(accelerator, model, optimizer, out, capsules=(1,))
        with around:
            for _ in range(2):
                for rows_of_one, targets in batches:
                    with accelerator.accumulate(model):
                        accelerator.backward(F.cross_entropy(model(rows_of_one), targets))
                        accelerator.clip_grad_norm_(model.parameters(), 1.0)
                        optimizer.step()
                        optimizer.zero_grad()
                with torch.inference_mode():
                    model(x)
        return state(plain)

    return train


@pytest.mark.parametrize(
    ("parts", "precision", "found"), [(1, "no", [1] * 8), (3, "no", [3, 1, 3, 1]), (1, "bf16", [1] * 8)]
)
def test_accelerate(parts: int, precision: str, found: list[int], tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    out = tmp_path / "recording"
    recording = recorded(accelerated(parts, precision), out, out)
    assert counts(recording) == [(count, count) for count in found]
    assert (recording.ended, recording.settings.names[0]) == ("finished", "0.weight")
    assert recording.settings.optimizer == "Adam"
    assert recording.settings.about["mixed_precision"] == precision
    assert recording.settings.about["gradient_accumulation_steps"] == str(parts)


def test_accelerate_takes_what_was_prepared(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from accelerate import Accelerator

    from mlnn.integrations.accelerate import record as record_prepared

    model = nn.Linear(5, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    around = record_prepared(Accelerator(cpu=True), model, optimizer, tmp_path / "a")
    with pytest.raises(ConfigError, match=r"what accelerator.prepare\(model, optimizer\) returned"), around:
        pass
    with record(model, optimizer, tmp_path / "b", capsules=()):
        pass


# --- in two processes


def test_two_processes_by_every_trainer(tmp_path: Path) -> None:
    """Lightning's DDP calls the model with the batch of `training_step`, inside of which the model is called: that counts."""
    for library in ("transformers", "lightning", "accelerate"):
        pytest.importorskip(library)
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    side_by_side("trainer_cases.py", str(tmp_path), str(port))
    both = {"args.0.0": (16, 5), "args.0.1": (16,)}
    words = {"kwargs.input_ids": (8, 6), "kwargs.labels": (8, 6)}
    cases = {
        "automatic": ({"args.0": (16, 5)}, "net.0.weight"),
        "parts": (both, "net.0.weight"),
        "accelerate": ({"args.0": (16, 5)}, "0.weight"),
        "transformers": (words, "embed.weight"),
    }
    for kind, (shapes, name) in cases.items():
        found = read_recording(tmp_path / kind)
        assert (found.settings.ranks, len(found), found.ended, found.findings) == (2, 4, "finished", ())
        assert [[each.batch.shapes for each in step.forwards] for step in found.steps] == [[shapes] * 2] * 4
        assert {(len(step.losses), step.notes) for step in found.steps} == {(2, ())}
        assert found.settings.names[0] == name
