"""The wheel: does what people install hold the configs, and does it run where there is no checkout?"""

import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from app_cases import CONFIGS, ROOT

USE = """
import sys
from pathlib import Path

import mlnn
from mlnn import shipped
from mlnn.cli import compose, said

home = Path(mlnn.__file__).parent
assert Path(sys.prefix) in home.parents, home
assert shipped.config_dir() == home / "configs", shipped.config_dir()

import torch

x = torch.linspace(-2, 2, 24).reshape(12, 2)
y = (x.sum(1) > torch.arange(12) % 3 - 1).double()
result = mlnn.compare(
    lambda: torch.nn.Linear(2, 1), torch.nn.BCEWithLogitsLoss(), torch.nn.BCEWithLogitsLoss(), (x, y),
    optimizer=lambda p: torch.optim.SGD(p, lr=0.1), steps=3, batch_size=4, null_twins=0,
)
assert result.verdict.relation == "bitwise", result.verdict.sentence
result.save("saved")

from mlnn.runs import read_run

assert list(read_run("saved").trace["step"]) == [0, 1, 2]
words = said.read("compare", ["data=iris_pair", "model=logistic", "steps=7"])
with compose.composing(words):
    found = compose.settings(words)
assert (found.steps, found.names["data"]) == (7, "iris_pair")
print("used", mlnn.__version__)
"""


def call(*line: str | Path, cwd: Path) -> str:
    # PYTHONPATH would put the checkout back on the path.
    plain = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([str(word) for word in line], cwd=cwd, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_every_module_config_and_template(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"mlnn/configs/{path.relative_to(CONFIGS)}" for path in CONFIGS.rglob("*.yaml")}
    sources = {
        str(path.relative_to(ROOT)) for kind in ("*.py", "*.html") for path in (ROOT / "mlnn").rglob(kind)
    }  # fmt: skip
    assert len(configs) > 30
    assert configs <= inside
    assert sources <= inside
    assert "mlnn/py.typed" in inside
    assert not [name for name in inside if name.startswith(("tests/", "experiments/"))]


@pytest.mark.slow
def test_the_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", home, cwd=tmp_path)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet")
    call(*pip, "--no-deps", "--no-index", wheel, cwd=tmp_path)
    (site,) = home.glob("lib/python*/site-packages")
    # Dependencies come from this environment; its own links to the checkout (.pth files) are not followed from here.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    assert call(python, "-W", "error", "-c", USE, cwd=tmp_path).startswith("used ")
    # The installed command, as a newcomer types it.
    small = ("model=mlp", "data=spector", "steps=3", "batch_size=16", "null_twins=0")
    assert "verdict" in call(home / "bin" / "mlnn", "compare", *small, cwd=tmp_path)
    assert "no link" in call(home / "bin" / "mlnn", "audit", "objective=hinge", cwd=tmp_path)
    assert call(python, "-m", "mlnn", "--version", cwd=tmp_path).strip() == version("mlnn")
