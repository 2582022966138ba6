"""The proof of sweeps by force, in its short form; and that it finds what it is there to find."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_by_force import BAD, Force, by_force, lost, prepare

from mlnn.runs.jobs import read_row, write_row

pytestmark = pytest.mark.slow

SHORT = Force(jobs=9, bad=6, kills=2, timeout=30)


def test_the_bad_jobs_are_all_there_and_spread() -> None:
    for force in (SHORT, Force()):
        names = force.names
        bad = [name for name in names if not name.startswith("good")]
        assert (len(names), len(set(names)), len(bad)) == (force.jobs, force.jobs, force.bad)
        assert {name.partition("_")[0] for name in bad} == set(BAD)


@pytest.fixture(scope="module")
def forced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forced")
    assert by_force(folder, SHORT) == []
    return folder


def test_nothing_is_lost_and_the_harness_sees_what_would_be(forced: Path, tmp_path: Path) -> None:
    kills = (forced / "kills.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["code"] for line in kills] == [-9, -9]
    good = next(name for name in SHORT.names if name.startswith("good"))
    bad = next(name for name in SHORT.names if name.startswith("raises"))

    def damaged(name: str) -> Path:
        copy = tmp_path / name
        shutil.copytree(forced, copy)
        return copy

    gone = damaged("gone")
    (gone / f"sweep/objective={good}.json").unlink()
    assert any("has not ended" in fault for fault in lost(gone, SHORT))
    unnamed = damaged("unnamed")
    row = read_row(unnamed / "sweep", f"objective={bad}")
    assert row is not None
    write_row(unnamed / "sweep", f"objective={bad}", replace(row, error="something"))
    assert any("is named by 'something'" in fault for fault in lost(unnamed, SHORT))
    again = damaged("again")
    ended = json.loads(kills[-1])["ended"]
    with open(again / "begun", "a", encoding="utf-8") as file:
        file.write(f"{next(iter(ended))}\n")
    assert any("was begun again after it had ended" in fault for fault in lost(again, SHORT))
    torn = damaged("torn")
    trace = torn / f"sweep/objective={good}/trace.csv"
    trace.write_bytes(trace.read_bytes()[:-2])
    assert any("is not whole" in fault for fault in lost(torn, SHORT))


def test_every_objective_of_the_harness_has_its_config(tmp_path: Path) -> None:
    prepare(tmp_path, SHORT)
    assert len(list((tmp_path / "conf/objective").iterdir())) == SHORT.jobs
