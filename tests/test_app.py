"""The command line when all is well: help, exit codes, shipped configs, several runs at once."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from app_cases import BENCHMARKS, COMMANDS, CONFIGS, ROOT, SMALL, assert_short, command, listing

from mlnn.cli import app
from mlnn.cli.compose import composing, ladder, settings
from mlnn.cli.said import read
from mlnn.runs import read_run

GROUPS = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir())
YAMLS = sorted(CONFIGS.rglob("*.yaml"), key=str)
HELP = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    try:
        runpy.run_path(name, run_name="__main__")
    except SystemExit as end:
        assert end.code in (0, None), (name, end.code)
    print("END", "torch" in sys.modules)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def composed(
    name: str, *words: str, look: Callable[..., Any] = lambda own, _said: own.told() | {"config": own.config}
) -> Any:
    """What a task is told, or what `look` makes of its settings."""
    said = read(name, words)
    with composing(said):
        return look(settings(said), said)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("first", range(4))
def test_help_is_quick_and_lists_what_can_be_chosen(first: int) -> None:
    scripts = [str(ROOT / "experiments" / f"{name}.py") for name in COMMANDS[first::4]]
    done = subprocess.run([sys.executable, "-c", HELP, *scripts], capture_output=True, text=True, check=True)
    pages = done.stdout.split("END ")
    assert [page.splitlines()[0] for page in pages[1:]] == ["False"] * len(scripts), "--help imported torch"
    for page in pages[:-1]:
        assert all(f"\n{group}: " in page for group in GROUPS)


def test_every_command_has_a_config_with_help() -> None:
    assert sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "base") == sorted(
        (*COMMANDS, *BENCHMARKS)
    )
    for name in (*COMMANDS, *BENCHMARKS):
        says = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))["hydra"]["help"]
        assert says["app_name"] == name
        assert (f"{name}.py" if name in BENCHMARKS else f"mlnn {name}") in says["header"]


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_config_begins_with_a_comment(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ")
    assert len(lines[0]) > 5


@pytest.mark.sampled(2)
@pytest.mark.parametrize("path", sorted((CONFIGS / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_asks_a_question_and_composes_for_the_commands_it_names(path: Path) -> None:
    package, question = path.read_text(encoding="utf-8").splitlines()[:2]
    assert package == "# @package _global_"
    assert "?" in question
    meant = [name for name in COMMANDS if f"{name}.py" in question]
    assert meant, "the question is followed by the command that answers it"
    for name in meant:
        assert composed(name, f"experiment={path.stem}")["names"]["experiment"] == path.stem


@pytest.mark.sampled(9, 0)
@pytest.mark.parametrize("path", sorted((CONFIGS / "ladder").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_rung_of_every_ladder_composes(path: Path) -> None:
    rungs = yaml.safe_load(path.read_text(encoding="utf-8"))
    cells = composed("growth", f"ladder={path.stem}", "seeds=[7]", look=ladder)
    cells = [(name, cell.told()) for name, cell in cells]
    assert [(name, cell["seed"]) for name, cell in cells] == [(name, 7) for name in rungs]
    for name, cell in cells:
        for word in rungs[name]:
            key, _, value = word.partition("=")
            side = key.rpartition("@")[2]
            if side in cell["names"]:
                assert cell["names"][side] == value
            else:
                node = cell
                for part in key.split("."):
                    node = node[part]
                assert node == yaml.safe_load(value)


def test_a_choice_reaches_the_settings_with_its_name() -> None:
    found = composed("compare", *SMALL, "objective@right=bernoulli_nll", "lanes.right.accumulate=2", "seed=0")
    assert (found["steps"], found["batch_size"], found["seed"]) == (3, 16, 0)
    assert found["data"]["seed"] == 0
    assert found["right"]["_target_"] == "mlnn.objectives.Bernoulli"
    assert tuple(found["lanes"][side]["accumulate"] for side in ("left", "right")) == (1, 2)
    assert {key: found["names"][key] for key in ("model", "data", "left", "right")} == {
        "model": "logistic", "data": "spector", "left": "bce", "right": "bernoulli_nll",
    }  # fmt: skip
    assert "${seed}" in found["config"], "the stored config is what was composed, before references are filled in"


def test_a_comparison_that_meets_its_requirement_ends_with_0() -> None:
    done = command("compare", *SMALL, "null_twins=0", "require=indistinguishable", "domain=[-3, 3]", "out=here")
    assert (done.code, done.err) == (0, "")
    run = read_run("here")
    assert run.verdict is not None
    assert run.verdict["about"]["seed"] == 0
    assert list(run.trace["step"]) == [0, 1, 2]
    assert yaml.safe_load(run.config)["steps"] == 3
    for file in ("report.html", "trace.csv", "verdict.json"):
        assert f"here/{file}" in done.out.replace("\n", "")


def test_a_requirement_that_is_not_met_ends_with_1_and_the_run_is_kept() -> None:
    done = command("compare", *SMALL, "null_twins=0", "require=bitwise", "out=here")
    assert done.code == 1
    assert_short(done.err)
    verdict = read_run("here").verdict
    assert verdict is not None
    assert "required 'bitwise'" in done.err
    assert verdict["sentence"] in done.err


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("compare", "mlnn.comparing.configured.compare"),
        ("train", "mlnn.training.train"),
        ("growth", "mlnn.cli.cells.growth"),
        ("curves", "mlnn.comparing.curves.gather.source"),
    ],
)
def test_an_interrupted_command_leaves_nothing(name: str, where: str, tmp_path: Path) -> None:
    import mlnn.estimating.lesson.limits  # noqa: F401  # what it imports by name must not be what the patch puts there

    words = ("runs=[a]",) if name == "curves" else (*SMALL, "out=deep/here")
    words += ("ladder=precision", "seeds=[0]") if name == "growth" else ()
    with patch(where, side_effect=KeyboardInterrupt):
        done = command(name, *words)
    assert done.code == 130
    assert_short(done.err)
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    "problem", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_want_of_memory_is_no_answer_and_no_bug(problem: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with patch("mlnn.cli.app._run", side_effect=problem):
        assert app.start("train", []) == 4
    assert capsys.readouterr().err.startswith("error: ran out of memory: ")


def test_a_fault_of_mlnn_itself_ends_with_70_and_shows_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with patch("mlnn.settings.dataset", side_effect=ZeroDivisionError("planted")):
        assert app.start("train", []) == 70
    message = capsys.readouterr().err
    assert "ZeroDivisionError: planted" in message
    with pytest.raises(AssertionError):
        assert_short(message)


def test_a_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLNN_TRACEBACK", "1")
    assert "Traceback" in command("train", *SMALL, "batch_size=99").err


@pytest.mark.slow
def test_a_multirun_gives_every_job_its_own_folder_and_curves_reads_them() -> None:
    done = command("train", *SMALL, "seed=0,1", "out=both", "-m")
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in Path("both").iterdir() if path.is_dir()) == ["seed=0", "seed=1"]
    losses = [read_run(f"both/{name}").trace["loss"] for name in ("seed=0", "seed=1")]
    assert (losses[0] != losses[1]).any()
    drawn = command("curves", "both/seed=0", "both/seed=1", "page=both.html")
    assert (drawn.code, drawn.err) == (0, "")
    assert "differ in seed (0 against 1)" in " ".join(drawn.out.split())


def test_runs_without_a_folder_go_to_one_named_by_time() -> None:
    assert command("train", *SMALL).code == 0
    (folder,) = Path("runs/train").iterdir()
    assert json.loads((folder / "about.json").read_text(encoding="utf-8"))["model"] == "logistic"


def test_a_model_that_reads_no_input_trains_and_has_no_linear_estimate_beside_it() -> None:
    done = command("train", "data=spector", "model=free", "steps=2", "batch_size=16", "out=here")
    assert (done.code, done.err) == (0, "")
    assert not read_run("here").about["mle"]


def test_a_training_that_ends_non_finite_ends_with_4_and_is_kept() -> None:
    done = command("train", *SMALL, "optimizer=sgd", "optimizer.lr=1e38", "out=here")
    assert done.code == 4
    assert_short(done.err)
    assert "non-finite" in done.err
    assert read_run("here").about["stopped"]
