"""Your own model and loss from outside the repository: a module, two YAML files, and `trust` on the command line."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_cases import ROOT, Result, assert_short, command, listing, write

from mlnn.runs import read_run

MODULE = """
open("imported", "w").close()

import torch
from torch import nn


class MyNet(nn.Module):
    def __init__(self, input_shape, outputs, hidden=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(input_shape[0], hidden), nn.Tanh(), nn.Linear(hidden, outputs))

    def forward(self, x):
        return self.body(x)


def my_loss(output, target, factor=1.0):
    return factor * (torch.nn.functional.softplus(output) - target * output)
"""
FILES = {
    "my_zoo.py": MODULE,
    "my/conf/model/my_net.yaml": "# Three hidden units.\n_target_: my_zoo.MyNet\n_partial_: true\nhidden: 3\n",
    "my/conf/objective/my_loss.yaml": "# Softplus form.\n_target_: my_zoo.my_loss\n_partial_: true\nfactor: 1.0\n",
}
WORDS = ("model=my_net", "objective@right=my_loss", "data=spector", "steps=3", "batch_size=16", "out=here")


DOUBLED = ("trust=[my_zoo]", "null_twins=0", "right.factor=2.0", "model.hidden=5")


def compare(*words: str) -> Result:
    """The command in a folder of the user's own."""
    return command("compare", "--config-dir", "my/conf", *WORDS, *words)


@pytest.fixture(autouse=True)
def my_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("my_zoo", "my_loop", "namesake_zoo"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_the_command_as_it_is_typed(tmp_path: Path) -> None:
    script = str(ROOT / "experiments" / "compare.py")
    for words, code in ((DOUBLED, 0), (DOUBLED[1:], 2)):
        line = [sys.executable, "-W", "error", script, "--config-dir", "my/conf", *WORDS, *words]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert done.stderr == "" if code == 0 else "trust=[my_zoo]" in done.stderr


def test_a_trusted_module_trains(tmp_path: Path) -> None:
    done = compare(*DOUBLED)
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "imported").exists()
    run = read_run(tmp_path / "here")
    assert (run.about["model"], run.about["right"]) == ("my_net", "my_loss")
    assert run.about["parameters"] == 3 * 5 + 5 + 5 + 1
    assert run.verdict is not None
    assert run.verdict["relation"] == "scaled", "the factor of 2 reached the loss"
    assert run.verdict["scale"] == pytest.approx(2, rel=1e-6)


def test_without_trust_it_is_refused_and_not_imported(tmp_path: Path) -> None:
    before = listing(tmp_path)
    done = compare()
    assert (done.code, done.out) == (2, "")
    assert_short(done.err)
    assert "trust=[my_zoo]" in done.err
    assert "my_zoo" not in sys.modules
    assert listing(tmp_path) == before, "importing my_zoo would have left a file"


OPTIONS = ("outputs", "accumulate", "compile", "autocast", "optimizer", "model", "mapping", "prior")
NAMESAKE = """
from torch.nn.functional import softplus


def namesake(output, target, {arguments}):
    return {product} * (softplus(output) - target * output)
"""


@pytest.fixture
def namesake(tmp_path: Path) -> tuple[str, ...]:
    """Words that choose a loss whose eight arguments have the names of a lane's options: each a factor, 3 in all."""
    arguments = ", ".join(f"{name}=1.0" for name in OPTIONS)
    yaml = "# Namesake.\n_target_: namesake_zoo.namesake\n_partial_: true\n" + "".join(f"{n}: 1.0\n" for n in OPTIONS)
    module = NAMESAKE.format(arguments=arguments, product=" * ".join(OPTIONS))
    write(tmp_path, {"namesake_zoo.py": module, "my/conf/objective/namesake.yaml": yaml})
    return ("--config-dir", "my/conf", "trust=[namesake_zoo]", "data=spector", "steps=3", "batch_size=16", "seed=0")


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_an_argument_of_an_objective_is_never_taken_for_an_option_of_its_lane(
    option: str, namesake: tuple[str, ...]
) -> None:
    words = (*namesake, "model=logistic", "null_twins=0", "objective@right=namesake", f"right.{option}=3.0", "out=here")
    done = command("compare", *words)
    assert (done.code, done.err) == (0, "")
    verdict = read_run("here").verdict
    assert verdict is not None
    assert (verdict["relation"], round(verdict["scale"], 6)) == ("scaled", 3.0)


@pytest.mark.slow
def test_a_namesake_is_built_alike_by_every_command(namesake: tuple[str, ...]) -> None:
    losses = []
    for name, value in (("one", 1.0), ("three", 3.0)):
        words = (*namesake, "model=logistic", "objective=namesake", f"objective.prior={value}", f"out={name}")
        assert command("train", *words).code == 0
        losses.append(read_run(name).trace["loss"][0])
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-6)
    write(Path(), {"my/conf/ladder/one.yaml": "# One.\nnode: [model=sigmoid_node]\n"})
    words = (*namesake, "ladder=one", "seeds=[0]", "null_twins=0", "objective@right=namesake", "right.prior=3.0")
    assert command("growth", *words, "jobs=1", "out=grown").code == 0
    verdict = read_run("grown/cells/node-seed0").verdict
    assert verdict is not None
    assert (verdict["relation"], round(verdict["scale"], 6)) == ("scaled", 3.0)


LOOP = """
import torch


class Clipped:
    def __call__(self, model, optimizer, batches):
        optimizer.zero_grad()
        (x, y), = batches
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x).squeeze(-1), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
        return loss.item()
"""


def test_a_lane_may_have_an_update_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, {"my_loop.py": LOOP})
    words = (
        "trust=[my_zoo,my_loop]",
        "null_twins=0",
        "objective@left=bce_with_logits",
        "objective@right=bce_with_logits",
    )
    done = compare(*words, "lanes.right.update=my_loop.Clipped")
    assert (done.code, done.err) == (0, "")
    verdict = read_run(tmp_path / "here").verdict
    assert verdict is not None
    assert (verdict["relation"], verdict["value_relation"]) == ("different", "equal"), (
        "the loss is left's, its gradient clipped"
    )
    refused = compare(*words[1:], "lanes.right.update=my_loop.Clipped", "overwrite=true")
    assert refused.code == 2
    assert "trust=" in refused.err
