"""A sweep where Hydra's launchers take it: the same folder and the same bits, and nothing is lost where a launcher fails."""

import csv
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from app_cases import Result, assert_short, command
from launcher_cases import launching
from omegaconf import OmegaConf

from mlnn.cli.jobs import Job, await_others, has_ended, named, perform_job, queued
from mlnn.cli.launcher import EXTRAS
from mlnn.cli.launching import _at_once, _cells_each
from mlnn.cli.said import jobs, read
from mlnn.runs.jobs import DONE, QUEUED, RUNNING, JobRow, claimed, read_row, write_row

SMALL = ("data=spector", "steps=1", "batch_size=16", "model=logistic")
PLUGINS = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}
RUN = """
import sys
sys.argv = ["mlnn", *sys.argv[1:]]
from mlnn.cli import main
main()
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sweep(*words: str) -> Result:
    return command("train", "-m", *SMALL, *words)


def table(out: str) -> list[dict[str, str]]:
    with open(f"{out}/sweep.csv", newline="", encoding="utf-8") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def installed(name: str) -> bool:
    return find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.{PLUGINS[name]}") is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["basic", *PLUGINS])
def test_every_launcher_gives_the_table_and_the_bits_of_a_sweep_here(name: str) -> None:
    """In a process of its own: ray and loky leave threads and files that are this one's only while they are at work."""
    if name in PLUGINS and not installed(name):
        pytest.skip(f"hydra/launcher={name} is not installed")
    words = ("seed=0,1", "objective=bce,no_such_loss")
    assert sweep(*words, "out=here").code == 2
    done = subprocess.run(
        [sys.executable, "-c", RUN, "train", "-m", *SMALL, *words, f"hydra/launcher={name}", "out=there"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert table("there") == table("here")
    assert [row["status"] for row in table("there")] == ["done", "failed", "done", "failed"]
    for seed in (0, 1):
        name_of = f"seed={seed},objective=bce"
        assert Path(f"there/{name_of}/trace.csv").read_bytes() == Path(f"here/{name_of}/trace.csv").read_bytes()
        assert done.stdout.count(f"{name_of}: done (") == 1
    again = subprocess.run(
        [sys.executable, "-c", RUN, "train", "-m", *SMALL, *words, f"hydra/launcher={name}", "out=there", "retry=none"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "job " not in again.stdout, "none is run once more"


@pytest.mark.slow
@pytest.mark.parametrize("silent", [True, False], ids=["told", "raised"])
def test_what_a_launcher_did_not_run_is_named_and_the_next_call_runs_it(silent: bool) -> None:
    with launching(1, ConnectionError("the queue is gone"), silent):
        done = sweep("seed=0,1,2", "hydra/launcher=basic", "out=lost")
    assert done.code == 4
    assert_short(done.err.rpartition("\nto go on")[0])
    assert [row["exit_code"] for row in table("lost")] == ["0", "4", "4"]
    assert all("ConnectionError: the queue is gone" in row["error"] for row in table("lost")[1:])
    assert "Traceback" in Path("lost/seed=2.log").read_text(encoding="utf-8")
    again = sweep("seed=0,1,2", "out=lost")
    assert (again.code, [row["exit_code"] for row in table("lost")]) == (0, ["0", "0", "0"])
    assert "job 1 of 3" not in again.out


def test_a_launcher_that_is_not_installed_is_named_with_what_brings_it() -> None:
    missing = next((name for name in PLUGINS if not installed(name)), None)
    words = ("hydra/launcher=no_such",) if missing is None else (f"hydra/launcher={missing}",)
    done = sweep("seed=0,1", *words, "out=none")
    assert done.code == 2
    assert_short(done.err)
    assert missing is None or f"pip install 'mlnn[{EXTRAS[missing]}]'" in done.err
    assert not Path("none").exists()


@pytest.mark.parametrize(
    ("launcher", "words", "expected"),
    [
        ({"n_jobs": -1}, ("seeds=[0,1]",), ("jobs=1",)),
        ({"n_jobs": 1}, ("seeds=[0,1]",), ("jobs=8",)),
        ({"n_jobs": 3}, ("seeds=[0,1]",), ("jobs=2",)),
        ({"cpus_per_task": 4}, ("seeds=[0,1]",), ("jobs=4",)),
        ({"cpus_per_task": None}, ("seeds=[0,1]",), ("jobs=1",)),
        ({"ray": {"remote": {"num_cpus": 2}}}, ("seeds=[0,1]",), ("jobs=2",)),
        ({"ray": {"remote": {}}}, ("seeds=[0,1]",), ("jobs=1",)),
        ({}, ("seeds=[0,1]",), ()),
        ({"n_jobs": -1}, ("seeds=[0,1]", "jobs=3"), ()),
        ({"n_jobs": -1}, ("seed=0,1",), ()),
    ],
)
def test_cells_of_a_job_have_the_cores_that_its_launcher_gives_it(
    launcher: dict[str, object], words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    config = OmegaConf.create({"hydra": {"launcher": launcher}})
    with patch("joblib.cpu_count", lambda: 8):
        assert _cells_each(read("compare", ["-m", *words]), config) == expected


def test_the_cores_are_divided_by_the_threads_of_the_job_that_has_most() -> None:
    def at_once(*words: str) -> int:
        said = read("train", ["-m", *words])
        return _at_once(said, named(jobs(said)))

    with patch("joblib.cpu_count", lambda: 8):
        assert at_once("threads=1,4", "seed=0,1,2,3", "hydra/launcher=joblib") == 2
        assert at_once("threads=1,4", "seed=0,1,2,3", "hydra/launcher=joblib", "jobs=3") == 3
        assert at_once("seed=0,1,2") == 3


def a_job(folder: Path, **row: Any) -> Job:
    job = Job("seed=0", read("train", [*SMALL, "seed=0"]), {"seed": "0"})
    if row:
        write_row(folder, job.name, JobRow(swept=job.swept, **row))
    return job


def test_a_job_that_another_process_is_at_keeps_its_row_and_its_try(tmp_path: Path) -> None:
    job = a_job(tmp_path, status=RUNNING, tries=2)
    with claimed(tmp_path, job.name):
        (elsewhere,) = queued([job], tmp_path)
        row = read_row(tmp_path, job.name)
        assert row is not None
        assert (row.status, elsewhere.tries) == (RUNNING, 2)
        assert perform_job(elsewhere, tmp_path) == "elsewhere"
    write_row(tmp_path, job.name, JobRow(DONE, job.swept, 0, 1.0, tries=2))
    assert has_ended(elsewhere, tmp_path), "it has ended meanwhile, and is not run once more"
    assert perform_job(elsewhere, tmp_path) is None
    assert not (tmp_path / job.name).exists()


def test_a_job_that_is_elsewhere_is_waited_for_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = a_job(tmp_path, status=RUNNING, tries=1, where="node7:41")
    await_others([job.name], tmp_path)
    assert capsys.readouterr().out == ""
    looks = iter([True, True, False])
    with patch("mlnn.runs.jobs.held", lambda _folder, _name: next(looks)), patch("mlnn.cli.jobs.PATIENCE", 0.0):
        await_others([job.name], tmp_path)
    assert "waiting for seed=0: another process is at it (node7:41)" in capsys.readouterr().out
    assert next(looks, None) is None


def test_a_job_whose_process_has_died_waits_for_another_try(tmp_path: Path) -> None:
    job = a_job(tmp_path, status=RUNNING, tries=2)
    (again,) = queued([job], tmp_path)
    row = read_row(tmp_path, job.name)
    assert row is not None
    assert (row.status, row.tries, again.tries) == (QUEUED, 2, 3)
    assert not has_ended(again, tmp_path)


def test_a_row_says_that_its_job_runs_before_it_does_and_how_it_ended(tmp_path: Path) -> None:
    (job,) = queued([a_job(tmp_path)], tmp_path)
    seen: list[str] = []

    def act(job: Job, folder: Path) -> None:
        seen.append(json.loads((folder / f"{job.name}.json").read_text(encoding="utf-8"))["status"])
        time.sleep(0.01)

    with patch("mlnn.cli.jobs._perform", act):
        perform_job(job, tmp_path)
    row = read_row(tmp_path, job.name)
    assert row is not None
    assert (seen, row.status, row.code, row.tries) == ([RUNNING], DONE, 0, 1)
    assert row.seconds is not None
    assert row.seconds >= 0.01


@pytest.mark.parametrize(
    ("retry", "runs"), [("none", []), ("unanswered", ["raises"]), ("failed", ["diverges", "raises"])]
)
def test_retry_says_which_failures_a_later_call_runs_again(tmp_path: Path, retry: str, runs: list[str]) -> None:
    from mlnn.cli.sweep import _is_due
    from mlnn.runs import new_run

    rows = {"good": (0, True), "unmet": (1, True), "diverges": (4, True), "raises": (2, False)}
    for name, (code, whole) in rows.items():
        write_row(tmp_path, name, JobRow("done" if code < 2 else "failed", {}, code, 1.0, tries=1))
        if whole:
            with new_run(tmp_path / name, "train") as folder:
                folder.write_text("about.json", "{}")
    write_row(tmp_path, "begun", JobRow(RUNNING, tries=1))
    due = sorted(name for name in [*rows, "begun", "new"] if _is_due(tmp_path, name, retry))
    assert due == sorted([*runs, "begun", "new"])


def test_a_retry_that_is_none_of_the_words_is_refused() -> None:
    done = sweep("seed=0,1", "retry=maybe", "out=refused")
    assert (done.code, Path("refused").exists()) == (2, False)
    assert done.err.startswith("error: unknown retry 'maybe'")
