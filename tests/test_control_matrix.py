"""A sample of the matrix in which a control has left's bits and two processes each other's; and that what has not is found."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import control_matrix
import pytest
import torch
from control_matrix import (
    DTYPES,
    MODELS,
    OPTIMIZERS,
    PROCESSES,
    SHIPPED,
    Answer,
    Cell,
    answers,
    cells,
    run,
    threads_differ,
    wrong,
)
from torch import Tensor

from mlnn import models
from mlnn.shipped import config_dir
from mlnn.workers import Call, supervised

SAMPLE = [
    Cell("mlp_dropout_batch_norm", "float32", 0, "adam", 1, "auto"),
    Cell("recurrent", "float64", 1, "sgd", 2, "plain"),
    Cell("free", "bfloat16", 2, "adam", 1, "plain"),
]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_matrix, "ROWS", 32)
    monkeypatch.setattr(control_matrix, "BATCH", 16)


def test_the_matrix_has_every_shipped_architecture_and_all_that_is_promised() -> None:
    assert set(SHIPPED) == {path.stem for path in (config_dir() / "model").glob("*.yaml")}
    assert {getattr(models, name) for name in models.__all__} == set(SHIPPED.values())
    found = cells({"engines": "auto", "models": ",".join(SHIPPED)})
    assert len(found) == len(set(found)) == len(SHIPPED) * 3 * 3 * 2 * 2
    assert {cell.dtype for cell in found} == set(DTYPES) == {"float32", "float64", "bfloat16"}
    assert ({cell.optimizer for cell in found}, {cell.threads for cell in found}) == (set(OPTIMIZERS), {1, 2})
    assert len(cells({})) == len(MODELS) * 36 * 2


@pytest.mark.sampled(24)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("model", MODELS)
def test_the_control_has_lefts_bits_and_so_has_the_same_again(model: str, dtype: str) -> None:
    cell = Cell(model, dtype, 0, "adam", 1, "auto")
    found = [run(cell, process, steps=2) for process in PROCESSES]
    assert wrong(found, [cell]) == []
    assert run(replace(cell, seed=7), steps=2).digest != found[0].digest


@pytest.mark.slow
def test_two_processes_give_the_same_bits(tmp_path: Path) -> None:
    asked = [*SAMPLE, *(Cell(model, "float32", 1, "sgd", 1, "auto") for model in SHIPPED)]
    calls = [Call(run, (cell, process), tmp_path / "log") for process in PROCESSES for cell in asked]
    found = [outcome.result() for outcome in supervised(calls, fresh=True)]
    assert wrong(found, asked) == []


def drifting() -> Callable[[Tensor, Tensor], Tensor]:
    """A loss that is another one at every call."""
    calls = 0

    def loss(output: Tensor, target: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.nn.functional.softplus(output) - target * output + 1e-3 * calls * output * (len(output) == 16)

    return loss


def test_a_loss_that_differs_from_call_to_call_is_found_in_the_control_and_in_the_digests() -> None:
    cell, shared = replace(SAMPLE[2], dtype="float64"), drifting()
    found = [run(cell, process, steps=2, left=shared) for process in PROCESSES]
    told = wrong(found, [cell])
    assert sum("control" in fault for fault in told) == 2
    assert f"{cell.name}: two processes differ" in told


def test_a_cell_that_one_process_lacks_or_gives_otherwise_is_named(tmp_path: Path) -> None:
    cell, path = SAMPLE[0], tmp_path / "control.jsonl"
    one = Answer(cell.name, "first", "bitwise", "stacked", "a")
    assert wrong([one], [cell]) == [f"{cell.name}: not run by the second process"]
    assert wrong([one, replace(one, process="second")], [cell]) == []
    assert wrong([one, replace(one, process="second", digest="b")], [cell]) == [f"{cell.name}: two processes differ"]
    assert wrong([replace(one, control="differs"), one], [cell, replace(cell, seed=1)])
    path.write_text(f"{control_matrix.json.dumps(asdict(one))}\n" + '{"name": "torn', encoding="utf-8")
    assert answers(path) == [one]
    two = replace(one, name=replace(cell, threads=2).name)
    assert threads_differ([one, two]) == (0, 1)
    assert threads_differ([one, replace(two, digest="b")]) == (1, 1)
