"""The audit commands: one loss, one from outside, the catalogue, a model."""

import json
from pathlib import Path

import pytest
import yaml
from app_cases import CONFIGS, assert_short, command, write
from objective_cases import CONFIGS as OBJECTIVES


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


OWN = """
import torch
from torch.nn import functional as F

def three_times(output, target):
    return 3 * F.binary_cross_entropy_with_logits(output, target, reduction="none")

class Root(torch.nn.Module):
    def forward(self, output, target):
        return ((output - target) ** 2).mean().sqrt()

def broken(output, target):
    raise ValueError("not today")

def wants(scale):
    return None

number = 3
"""


def told(folder: str = "here") -> dict:
    return json.loads((Path(folder) / "certificate.json").read_text())


def test_an_objective_is_audited_at_the_targets_it_is_for() -> None:
    done = command("audit", "objective=poisson_nll", "out=here")
    assert (done.code, done.err) == (0, "")
    assert (told()["kind"], told()["targets"], told()["measure"]) == ("likelihood", "counts", "1/y!")
    assert told()["sentence"].split(":")[0] in " ".join(done.out.replace("│", " ").split())
    assert "poisson_nll" in Path("here/report.html").read_text()
    assert {"config.yaml", "environment.json"} <= {path.name for path in Path("here").iterdir()}


def test_arguments_and_targets_may_be_changed() -> None:
    assert command("audit", "objective=mse", "targets=counts", "prove=false", "out=one").code == 0
    assert told("one")["kind"] == "proper"
    assert command("audit", "objective=cross_entropy", "classes=7", "prove=false", "out=two").code == 0
    assert told("two")["targets"] == "classes(7)"
    assert (
        command(
            "audit", "objective=huber_density", "objective.delta=2.5", "dtype=float16", "prove=false", "out=three"
        ).code
        == 0
    )
    assert "float16" in told("three")["domains"]


def test_a_loss_from_outside() -> None:
    write(Path(), {"my_losses_a.py": OWN})
    assert command("audit", "loss=my_losses_a:three_times", "out=one").code == 0
    assert (told("one")["kind"], told("one")["scale"]) == ("scaled likelihood", pytest.approx(3))
    assert command("audit", "loss=my_losses_a:Root", "targets=real", "out=two").code == 0
    assert told("two")["kind"] == "batch-coupled"
    assert command("audit", "loss=torch.nn:MSELoss", "targets=real", "out=three").code == 0
    assert told("three")["family"] == "normal"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("loss=my_losses_b",), ("loss", "my_module:my_loss")),
        (("loss=my_losses_b:three_tims",), ("'three_times'",)),
        (("loss=nowhere_at_all:x",), ("nowhere_at_all",)),
        (("loss=my_losses_b:number",), ("int",)),
        (("loss=my_losses_b:broken",), ("refuses every target", "not today")),
        (("objective=hing",), ("'hinge'",)),
        (("objective=hinge", "targets=real"), ("hinge", "binary")),
        (("require=maybe",), ("require", "likelihood")),
        (("dtype=int8",), ("dtype",)),
        (("experiment=mine",), ("loss", "command line")),
    ],
)
def test_bad_usage(words: tuple[str, ...], named: tuple[str, ...], home: Path) -> None:
    write(home, {"my_losses_b.py": OWN, "conf/experiment/mine.yaml": "# @package _global_\nloss: my_losses_b:broken\n"})
    done = command("audit", "--config-dir", "conf", *words, "out=here")
    assert done.code == 2, done.err
    assert_short(done.err)
    assert all(word in done.err for word in named), done.err
    assert not (home / "here").exists()


def test_a_requirement_decides_the_exit_code() -> None:
    assert command("audit", "objective=mse", "require=likelihood", "out=one").code == 0
    done = command("audit", "objective=hinge", "require=likelihood", "out=two")
    assert done.code == 1
    assert_short(done.err)
    assert "hinge (no link)" in done.err
    assert told("two")["kind"] == "no link", "the certificate is kept"


def test_the_catalogue_holds_every_objective() -> None:
    entries = yaml.safe_load((CONFIGS / "catalogue" / "losses.yaml").read_text())
    for name in OBJECTIVES:
        assert entries[name] == [f"objective={name}"]


def test_a_catalogue_is_one_page() -> None:
    write(Path(), {"conf/catalogue/few.yaml": "bce: [objective=bce]\nlabels: [objective=mse, targets=binary]\n"})
    done = command("audit", "--config-dir", "conf", "catalogue=few", "out=here")
    assert (done.code, done.err) == (0, "")
    assert [(one["name"], one["kind"]) for one in told()] == [("bce", "likelihood"), ("labels", "proper")]  # type: ignore[index]
    page = Path("here/report.html").read_text()
    assert "Minimising 1 of 2 losses is maximum likelihood" in page


@pytest.mark.slow
def test_several_losses_in_a_multirun_have_a_folder_each() -> None:
    done = command("audit", "-m", "objective=bce,hinge", "out=many")
    assert done.code == 0
    kinds = {path.parent.name: json.loads(path.read_text())["kind"] for path in Path("many").glob("*/certificate.json")}
    assert sorted(kinds.values()) == ["likelihood", "no link"]


def test_a_model_is_audited_with_its_optimiser() -> None:
    done = command("audit_model", "model=mlp", "model.norm=batch", "data=spector", "out=here")
    assert (done.code, done.err) == (0, "")
    found = json.loads(Path("here/model.json").read_text())
    assert (found["model"]["training"]["coupled"], found["model"]["evaluation"]["coupled"]) == (True, False)
    assert found["prior"]["is_prior"] is False
    assert "BatchNorm1d" in done.out
    assert "AdamW is not a Gaussian prior" in Path("here/report.html").read_text()
    assert command("audit_model", "model=logistic", "data=spector", "optimizer=adam", "out=plain").code == 0
    assert json.loads(Path("plain/model.json").read_text())["prior"] is None
