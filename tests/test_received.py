"""What a folder of configs from somebody else can do: add choices. Everything else is refused, and acts on nothing."""

import os
from pathlib import Path

import pytest
from app_cases import SMALL, assert_short, command, listing, write

HEAD = "# @package _global_\n"
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
EXPERIMENTS = {
    # what an experiment file holds, and what the message must name
    "task overrides": (HEAD + "hydra: {overrides: {task: ['trust=[os]']}}\n", "hydra"),
    "sweeper": (HEAD + "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}\n", "hydra"),
    "mode": (HEAD + "hydra.mode: MULTIRUN\n", "hydra.mode"),
    "run dir": (HEAD + "hydra: {run: {dir: elsewhere}}\n", "hydra"),
    "output folder": (HEAD + "hydra: {output_subdir: elsewhere}\n", "hydra"),
    "sweep dir": (HEAD + "hydra: {sweep: {dir: elsewhere}}\n", "hydra"),
    "chdir": (HEAD + "hydra: {job: {chdir: true}}\n", "hydra"),
    "callbacks": (HEAD + "hydra: {callbacks: {x: {_target_: shutil.copyfile, src: a, dst: b}}}\n", "hydra"),
    "environment": (HEAD + "hydra: {job: {env_set: {PATH: here}}}\n", "hydra"),
    "logging": (HEAD + "hydra: {job_logging: {handlers: {x: {class: logging.FileHandler, filename: b}}}}\n", "hydra"),
    "search path": (HEAD + "hydra: {searchpath: ['file:///tmp']}\n", "hydra"),
    "launcher group": (HEAD + "defaults:\n  - override /hydra/launcher: basic\n", "hydra/launcher"),
    "logging group": (HEAD + "defaults:\n  - /hydra/job_logging@hydra.job_logging: default\n", "hydra/job_logging"),
    "a choice sent to hydra": (HEAD + "defaults:\n  - /model@hydra.run: mlp\n", "model@hydra.run"),
    "a choice sent to trust": (HEAD + "defaults:\n  - /model@trust: mlp\n", "model@trust"),
    "package hydra": ("# @package hydra.run\ndir: elsewhere\n", "@package hydra.run"),
    "package hydra after global": ("# @package _global_.hydra.callbacks.x\n_target_: os.system\n", "hydra.callbacks.x"),
    "package hydra after two": ("# @package a._global_.hydra.run\ndir: elsewhere\n", "hydra.run"),
    "package out after global": ("# @package _global_._global_\nout: elsewhere\n", "out"),
    "a choice sent around": (HEAD + "defaults:\n  - /model@_global_.hydra.callbacks.x: mlp\n", "hydra.callbacks.x"),
    "a choice sent far around": (HEAD + "defaults:\n  - /model@a._global_.hydra.run: [mlp]\n", "hydra.run"),
    "a choice sent around to out": (HEAD + "defaults:\n  - /model@a._global_.out: mlp\n", "out"),
    "package trust": ("# @package trust\na: os\n", "@package trust"),
    "trust": (HEAD + "trust: [os]\n", "trust"),
    "out": (HEAD + "out: elsewhere\n", "out"),
    "overwrite": (HEAD + "overwrite: true\n", "overwrite"),
    "loss": (HEAD + "loss: os:getcwd\n", "loss"),
    "most jobs": (HEAD + "most_jobs: 1000000\n", "most_jobs"),
    "most bytes": (HEAD + "most_config_bytes: 1000000000\n", "most_config_bytes"),
    "most rows below": (HEAD + "data: {most_rows: 1000000000}\n", "data.most_rows"),
    "secret": (HEAD + "device: ${oc.env:HOME}\n", "resolver"),
    "secret in the defaults": (HEAD + "defaults:\n  - override /model: ${oc.env:HOME}\n", "resolver"),
    "hidden resolver": (HEAD + "dtype: oc.env\ndevice: ${${dtype}:HOME}\n", "resolver"),
    "climbing defaults": (HEAD + "defaults:\n  - ../../other\n", ".."),
    "climbing choice": (HEAD + "defaults:\n  - override /data: ../../secret\n", ".."),
    "absolute choice": (HEAD + "defaults:\n  - override /data: /etc/passwd\n", "/etc/passwd"),
    "alias bomb": (HEAD + BOMB, "50000 nodes"),
    "alias in itself": (HEAD + "a: &a [*a]\n", "alias"),
    "deep": (HEAD + "a: " + "[" * 5000 + "]" * 5000 + "\n", "deep"),
    "large": (HEAD + "a: " + "x" * 1_000_001 + "\n", "1000000 bytes"),
    "code": (HEAD + "device: !!python/object/apply:os.system [touch acted]\n", "python"),
    "not a mapping": ("- 1\n- 2\n", "list"),
    "not text": (HEAD + "a: \x00\n", "unacceptable"),
    "cells": (HEAD + "ladder: {a: [model=mlp, 'trust=[os]']}\n", "trust"),
}
LADDERS = {
    "trust": ("a: [model=mlp, 'trust=[os]']\n", "trust"),
    "added trust": ("a: [model=mlp, '+trust=[os]']\n", "trust"),
    "forced out": ("a: [++out=elsewhere]\n", "out"),
    "launcher": ("a: [hydra/launcher=basic]\n", "hydra/launcher"),
    "run dir": ("a: [hydra.run.dir=elsewhere]\n", "hydra.run.dir"),
    "to hydra": ("a: [+model@hydra.run=mlp]\n", "model@hydra.run"),
    "around to hydra": ("a: [+model@_global_.hydra.callbacks.x=mlp, model=logistic]\n", "hydra.callbacks.x"),
    "around to trust": ("a: [+model@b._global_.trust=mlp]\n", "trust"),
    "bounds": ("a: [++data.most_rows=1000000000]\n", "most_rows"),
    "name climbs": ("../a: [model=mlp]\n", "'../a'"),
    "name is absolute": ("/tmp/a: [model=mlp]\n", "'/tmp/a'"),
    "name hides": (".a: [model=mlp]\n", "'.a'"),
    "name acts": ('"a\\e[2J": [model=mlp]\n', r"a\x1b[2J"),
    "choice climbs": ("a: [data=../../secret]\n", ".."),
    "secret": ("a: ['device=${oc.env:HOME}']\n", "resolver"),
}
SPOKEN = [
    (("model=../../other",), ".."),
    (("hydra.run.dir=elsewhere",), "hydra.run.dir"),
    (("hydra.searchpath=[file:///tmp]",), "hydra.searchpath"),
    (("hydra/launcher=basic",), "add -m"),
    (("--config-path", "/tmp"), "--config-path"),
    (("-cn", "other"), "-cn"),
    (("--experimental-rerun", "job.pickle"), "--experimental-rerun"),
    (("-m", "seed=range(10000000)"), "most_jobs"),
    (("-m", "seed=range(100)", "steps=range(1,100)"), "most_jobs"),
    (("-m", "seed=interval(0,1)"), "interval"),
    (("--package", "x"), "--cfg job"),
    (("--resolve",), "--cfg job"),
]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, {"secret.yaml": "_target_: os.system\ncommand: touch acted\n", "conf/model/mine.yaml": "# Mine.\n"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(named: str, name: str, *words: str) -> None:
    before = listing(Path())
    done = command(name, *words)
    assert (done.code, done.out.strip()) == (2, ""), done
    assert_short(done.err)
    assert named in done.err
    assert listing(Path()) == before


@pytest.mark.sampled(3)
@pytest.mark.parametrize("sample", EXPERIMENTS)
def test_an_experiment_sets_mlnns_own_keys_only(sample: str) -> None:
    text, named = EXPERIMENTS[sample]
    write(Path(), {"conf/experiment/sent.yaml": text})
    name = "audit" if sample == "loss" else "growth" if sample == "cells" else "compare"
    refused(named, name, "--config-dir", "conf", "experiment=sent")


def test_what_finds_another_way_to_hydra_is_met_after_composing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlnn.cli.received.root_of", lambda package: package.split(".")[0])
    text, _ = EXPERIMENTS["a choice sent around"]
    write(Path(), {"conf/experiment/sent.yaml": text})
    refused("hydra.callbacks: is set by a config file", "compare", "--config-dir", "conf", "experiment=sent")
    for page in ("--help", "--cfg=job", "--info=all"):
        refused("hydra.callbacks", "compare", "--config-dir", "conf", "experiment=sent", page)


@pytest.mark.parametrize("sample", LADDERS)
def test_a_ladder_says_no_more_than_a_file_may(sample: str) -> None:
    text, named = LADDERS[sample]
    write(Path(), {"conf/ladder/sent.yaml": text})
    refused(named, "growth", "--config-dir", "conf", *SMALL[:3], "ladder=sent", "seeds=[0]")


def test_a_loss_in_a_catalogue_is_not_imported() -> None:
    write(
        Path(), {"conf/catalogue/sent.yaml": "a: [objective=bce, 'loss=mine:f']\n", "mine.py": "open('acted', 'w')\n"}
    )
    refused("loss", "audit", "--config-dir", "conf", "catalogue=sent")


@pytest.mark.parametrize("group", ["model", "data", "optimizer"])
def test_a_group_file_with_the_global_package_is_held_to_the_same(group: str) -> None:
    write(Path(), {f"conf/{group}/sent.yaml": HEAD + "trust: [os]\n"})
    refused("trust", "compare", "--config-dir", "conf", f"{group}=sent")


def test_files_that_are_no_files_are_not_read(tmp_path: Path) -> None:
    for name in ("pipe", "zero", "out", "loop"):
        write(tmp_path, {"conf/experiment/fine.yaml": HEAD})
        path = tmp_path / f"conf/experiment/{name}.yaml"
        if name == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to({"zero": "/dev/zero", "out": "../../secret.yaml", "loop": path}[name])
        refused(name, "compare", "--config-dir", "conf", f"experiment={name}")
        path.unlink()


def test_a_shipped_config_is_not_replaced() -> None:
    sent = {"conf/base.yaml": "seed: 7\n", "conf/compare.yaml": "hydra: {run: {dir: elsewhere}}\nsteps: 7\n"}
    write(Path(), sent | {"conf/model/logistic.yaml": "_target_: os.system\ncommand: touch acted\n"})
    assert command("compare", "--config-dir", "conf", *SMALL, "null_twins=0", "out=here").code == 0
    text = Path("here/config.yaml").read_text(encoding="utf-8")
    assert "steps: 3" in text
    assert "seed: 0" in text
    assert "os.system" not in text


def test_what_may_be_said_is_read() -> None:
    text = (
        HEAD + "# Fine.\ndefaults:\n  - override /model: mine\n  - override /data: spector\nsteps: 2\nbatch_size: 1e1\n"
    )
    mine = "# Mine.\n_target_: mlnn.models.MLP\n_partial_: true\ndepth: &d 1\nwidth: *d\n"
    write(Path(), {"conf/experiment/sent.yaml": text.replace("1e1", "10"), "conf/model/mine.yaml": mine})
    done = command("compare", "--config-dir", "conf", "experiment=sent", "null_twins=0", "out=here")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(("words", "named"), SPOKEN, ids=[" ".join(words) for words, _ in SPOKEN])
def test_what_is_not_to_be_said_on_the_command_line_either(words: tuple[str, ...], named: str) -> None:
    refused(named, "compare", *words)


@pytest.mark.slow
def test_more_jobs_are_allowed_where_they_are_asked_for() -> None:
    done = command("compare", "-m", "seed=1,2,3", "most_jobs=2", *SMALL)
    assert (done.code, "most_jobs" in done.err) == (2, True)
    done = command("train", "-m", "seed=1,2", "most_jobs=2", *SMALL, "out=here")
    assert (done.code, done.err) == (0, "")
