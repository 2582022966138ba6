"""The objective of a recorded training: from a capsule on disk, in Python and from the command line."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from app_cases import assert_short, command, rewritten
from lift_cases import CLASSES, IDS, LABELS, TOKENS, Hidden, Single, X
from torch import Tensor, nn

import mlnn
from mlnn.errors import ConfigError, DataError, NoAnswerError
from mlnn.lifting.rows import RowLoss
from mlnn.objectives import Objective
from mlnn.recording import described


def recorded(folder: Path, loss: Any, model: nn.Module, *given: Tensor, parts: int = 1, scale: float = 1.0) -> Path:
    """The capsule of the second step of a loop; loss(what the model returned)."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with mlnn.record(model, optimizer, folder, capsules=(1,)):
        for _ in range(2):
            optimizer.zero_grad()
            for _ in range(parts):
                (loss(model(*given)) * scale / parts).backward()
            optimizer.step()
    return folder / "capsules" / "1"


@pytest.fixture(scope="module")
def capsule(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a mean over the rows of a mean over 5, where there are 6."""
    folder = tmp_path_factory.mktemp("lift") / "run"
    return recorded(folder, lambda z: F.cross_entropy(z, LABELS, reduction="sum") / 5, Single(CLASSES), X)


def test_a_capsule_holds_what_its_training_minimises(capsule: Path) -> None:
    objective = mlnn.lift(capsule)
    assert described(objective) == "minimises 1.200000 × −log of the categorical likelihood, mean over rows."
    again = mlnn.lift(mlnn.recording.read_capsule(capsule))
    assert again.targets == objective.targets


def test_the_loss_inside_of_a_model_and_half_of_two_micro_batches(tmp_path: Path) -> None:
    found = mlnn.lift(recorded(tmp_path / "r", lambda out: out["loss"], Hidden(), IDS, TOKENS, parts=2))
    assert isinstance(found.function, RowLoss)
    assert found.function.rows is not None
    assert found.function.rows.kept == 7
    said = described(found)
    assert said.startswith("minimises 0.500000 × −log of the categorical likelihood, mean over kept tokens; ")
    assert "the first of 2 micro-batches" in said


def test_a_training_of_which_no_objective_was_kept(tmp_path: Path) -> None:
    path = recorded(tmp_path / "r", lambda z: F.cross_entropy(F.dropout(z), LABELS), Single(CLASSES), X)
    with pytest.raises(NoAnswerError, match=r"holds no objective: the loss draws random numbers"):
        mlnn.lift(path)
    with pytest.raises(DataError, match="no capsule here"):
        mlnn.lift(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is none of what enters"):
        mlnn.lift(recorded(tmp_path / "s", lambda z: F.cross_entropy(z, LABELS), Single(CLASSES), X), target="y")


def test_lift_from_the_command_line(capsule: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("lift", str(capsule), "require=likelihood")
    assert done.code == 0, done.err
    assert "The training minimises 1.200000 × −log of the categorical likelihood" in " ".join(done.out.split())
    assert "scaled likelihood" in (tmp_path / "lift.html").read_text(encoding="utf-8")
    missed = command("lift", str(capsule), "require=proper", "page=p.html")
    assert missed.code == 1
    assert (tmp_path / "p.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "one folder is needed"),
        (["CAPSULE", "CAPSULE"], 2, "2 given"),
        (["nowhere"], 3, "no capsule here"),
        (["CAPSULE", "target=x"], 2, "none of what enters"),
        (["CAPSULE", "targets=classes"], 2, "not a target space"),
        (["CAPSULE", 'targets="real(2)"'], 2, "goes with none"),
        (["CAPSULE", "require=good"], 2, "unknown kind"),
        (["CAPSULE", "-m"], 2, "has no jobs"),
    ],
)
def test_what_cannot_be_lifted_is_a_short_error(
    words: list[str], code: int, said: str, capsule: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("lift", *(str(capsule) if word == "CAPSULE" else word for word in words))
    assert done.code == code
    assert_short(done.err)
    assert said in done.err
    assert not (tmp_path / "lift.html").exists()


def test_rows_that_do_not_stand_alone_are_said_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = torch.tensor([1.0, 2.0, 3.0])
    path = recorded(tmp_path / "r", lambda z: F.cross_entropy(z, LABELS, weight=weights), Single(CLASSES), X)
    done = command("lift", str(path))
    assert done.code == 0, done.err
    assert "does not separate into rows: its positions do not count alike" in " ".join(done.out.split())
    assert command("lift", str(path), "require=likelihood").code == 1


def test_an_operation_that_somebody_put_into_a_capsule_is_an_error(capsule: Path, tmp_path: Path) -> None:
    import shutil

    path = Path(shutil.copytree(capsule, tmp_path / "c"))
    name = "aten.from_file.default"
    rewritten(path / "capsule.json", lambda told: told["objectives"][0]["operations"][0].update(name=name))
    with pytest.raises(DataError, match="none of the operations that losses are made of"):
        mlnn.lift(path)
    assert isinstance(mlnn.lift(capsule), Objective)
