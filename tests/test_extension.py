"""Your own model and loss from outside the repository: a module, two YAML files, and `trust` on the command line."""

import subprocess
import sys
from pathlib import Path

import pytest
from app_cases import ROOT, assert_short, listing, write

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


def compare(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user types it in a folder of their own."""
    script = str(ROOT / "experiments" / "compare.py")
    line = [sys.executable, "-W", "error", script, "--config-dir", "my/conf", *WORDS, *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def my_folder(tmp_path: Path) -> None:
    write(tmp_path, FILES)


def test_a_trusted_module_trains(tmp_path: Path) -> None:
    done = compare(tmp_path, "trust=[my_zoo]", "null_twins=0", "right.factor=2.0", "model.hidden=5")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "imported").exists()
    run = read_run(tmp_path / "here")
    assert (run.about["model"], run.about["right"]) == ("my_net", "my_loss")
    assert run.about["parameters"] == 3 * 5 + 5 + 5 + 1
    assert run.verdict is not None
    assert run.verdict["relation"] == "scaled", "the factor of 2 reached the loss"
    assert run.verdict["scale"] == pytest.approx(2, rel=1e-6)


def test_without_trust_it_is_refused_and_not_imported(tmp_path: Path) -> None:
    before = listing(tmp_path)
    done = compare(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert_short(done.stderr)
    assert "trust=[my_zoo]" in done.stderr
    assert listing(tmp_path) == before, "importing my_zoo would have left a file"
