"""Many runs in one folder: whatever ends a growth, a second call trains what is missing, and the table is the same."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from app_cases import ROOT, Result, assert_short, command, listing, rewritten, write

from mlnn.cli.cells import how_to_go_on
from mlnn.cli.said import Said
from mlnn.errors import RunFolderError
from mlnn.runs.jobs import QUEUED, RUNNING, JobRow, write_row
from mlnn.runs.study import STUDY, Study, differences, open_study

LADDER = "# Two rungs.\nnode: [model=sigmoid_node]\ndeep: [model=mlp, model.depth=2, model.width=4]\n"
WORDS = ("--config-dir", "conf", "data=spector", "steps=30", "batch_size=16", "null_twins=1", "ladder=two",
         "seeds=[4,0,1]", "jobs=1")  # fmt: skip
CELLS = 6
MODULE = """
import os
from torch.nn.functional import softplus


def fickle(output, target):
    if os.path.exists("fail") and len(output) == 16 and target.sum() == 6:
        raise ValueError("planted")
    return softplus(output) - target * output
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ladder, and the growth that nothing interrupted in ./whole."""
    folder = tmp_path_factory.mktemp("study")
    shape = "# Fickle.\n_target_: my_zoo.fickle\n_partial_: true\n"
    write(folder, {"conf/ladder/two.yaml": LADDER, "my_zoo.py": MODULE, "conf/objective/fickle.yaml": shape})
    done = grow(folder, "whole")
    assert (done.code, done.err) == (0, "")
    return folder


def grow(home: Path, out: str, *words: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        return command("growth", *WORDS, *words, f"out={out}")


def sealed(folder: Path) -> dict[str, int]:
    """When each cell was sealed, by its name."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("cells/[!.]*/checksums.json")}


def ends_like_the_whole(home: Path, out: str, before: dict[str, int], *words: str) -> None:
    """A second call trains the missing cells only, and its table is the whole one's, byte for byte."""
    done = grow(home, out, *words)
    assert (done.code, done.err) == (0, "")
    after = sealed(home / out)
    assert len(after) == CELLS
    assert {name: after[name] for name in before} == before, "a finished cell was trained again"
    assert not list((home / out).rglob(".*")), "nothing is left over"
    if not words:
        assert (home / out / "growth.csv").read_bytes() == (home / "whole/growth.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_growth_that_a_signal_ends_goes_on(home: Path, number: signal.Signals) -> None:
    out = number.name
    line = [sys.executable, "-m", "mlnn", "growth", *WORDS, f"out={out}"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(line, cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not sealed(home / out) and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(number)
    _, words = first.communicate(timeout=60)
    before = sealed(home / out)
    assert 0 < len(before) < CELLS, "it was not interrupted half-way"
    if number == signal.SIGKILL:
        assert first.returncode == -number
        time.sleep(1)  # its workers notice and end
    else:
        assert first.returncode == 130
        assert f"{len(before)} finished are kept" in words
        assert f"to go on: {Path(sys.executable)} -m mlnn growth" in words.replace(
            os.path.relpath(sys.executable, home), sys.executable
        )
        assert f"out={out}" in words
    ends_like_the_whole(home, out, before)


@pytest.mark.slow
def test_a_cell_that_fails_leaves_the_others_and_is_named(home: Path) -> None:
    mine = ("trust=[my_zoo]", "objective@right=fickle", "steps=4")
    (home / "fail").touch()
    first = grow(home, "fickle", *mine)
    (home / "fail").unlink()
    before = sealed(home / "fickle")
    assert first.code == 2
    assert 0 < len(before) < CELLS
    missing = {f"{rung}-seed{seed}" for rung in ("node", "deep") for seed in (4, 0, 1)} - set(before)
    assert f"{len(missing)} of {CELLS} cells failed" in first.err
    assert any(f"{name}: objective 'fickle' raised ValueError" in first.err for name in missing)
    for name in missing:
        assert "planted" in (home / f"fickle/cells/{name}.log").read_text(encoding="utf-8")
    assert (home / "fickle/growth.csv").read_text(encoding="utf-8").count("\n") == 1 + len(before)
    ends_like_the_whole(home, "fickle", before, *mine)


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_page_keeps_every_cell(home: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
    try:
        first = grow(home, "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert first.code == 5
    assert "report.html" in first.err
    assert "to go on: " in first.err
    before = sealed(home / "full")
    assert len(before) == CELLS
    ends_like_the_whole(home, "full", before)


@pytest.mark.slow
def test_a_finished_one_says_so_and_other_settings_are_refused(home: Path) -> None:
    before = sealed(home / "whole")
    again = grow(home, "whole")
    assert (again.code, again.err) == (0, "")
    assert "is finished; nothing is left to train" in again.out
    assert sealed(home / "whole") == before
    other = grow(home, "whole", "optimizer.lr=0.2", "seeds=[4,0,2]")
    assert other.code == 5
    assert "optimizer.lr: 0.1 → 0.2" in other.err
    assert "seed2" in other.err
    assert sealed(home / "whole") == before


@pytest.mark.slow
def test_a_damaged_cell_is_trained_again(home: Path) -> None:
    assert grow(home, "damaged", "seeds=[4]").code == 0
    trace = home / "damaged/cells/node-seed4/trace.csv"
    whole, table = trace.read_bytes(), (home / "damaged/growth.csv").read_bytes()
    for finished in (False, True):
        if not finished:
            (home / "damaged/checksums.json").unlink()
        trace.write_bytes(whole[:-3])
        done = grow(home, "damaged", "seeds=[4]")
        assert done.code == 0
        assert ("node-seed4/trace.csv has changed since" in " ".join(done.out.split())) is finished
        assert trace.read_bytes() == whole
        assert (home / "damaged/growth.csv").read_bytes() == table
    assert "nothing is left to train" in grow(home, "damaged", "seeds=[4]").out


@pytest.mark.slow
def test_seeds_of_a_comparison_go_on_too(home: Path) -> None:
    words = ("data=spector", "steps=5", "batch_size=16", "model=logistic", "null_twins=0", "seeds=[0,1,2]", "out=many")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert command("compare", *words).code == 0
        Path("many/checksums.json").unlink()
        kept = Path("many/seeds/logistic-seed1/checksums.json")
        kept.unlink()
        before = {path: path.stat().st_mtime_ns for path in Path("many").glob("seeds/*/checksums.json")}
        assert command("compare", *words).code == 0
        assert kept.exists()
        assert all(path.stat().st_mtime_ns == at for path, at in before.items())


def begin(path: Path, *, overwrite: bool = False, steps: int = 3, act: Callable[[Study], object] = bool) -> None:
    with open_study(path, "growth", {"cells": {"a": {"steps": steps}}, "data": []}, {}, overwrite) as study:
        act(study)


def seal_one(study: Study) -> None:
    write(study.final, {"cells/a/checksums.json": "{}"})


def stop(_study: Study) -> None:
    raise KeyboardInterrupt


def test_a_study_without_one_finished_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "deep/here", act=stop)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("tries", [0, 1])
def test_jobs_that_were_begun_stay_and_those_that_waited_do_not(tmp_path: Path, tries: int) -> None:
    def stopped(study: Study) -> None:
        write_row(study.final, "seed=0", JobRow(RUNNING if tries else QUEUED, {"seed": "0"}, tries=tries))
        raise KeyboardInterrupt

    here = tmp_path / "here"
    said = Said("train", ("seed=0,1",), many=True, called=("mlnn", "train"))
    words = (
        "none has finished, and what 1 have begun is kept.*\nto go on: mlnn train -m seed=0,1 out=" if tries else "^$"
    )
    with pytest.raises(KeyboardInterrupt, match=words), how_to_go_on(said, here):
        begin(here, act=stopped)
    assert listing(tmp_path) == (["here", "here/.lock", "here/seed=0.json", "here/study.json"] if tries else [])


def test_what_a_study_notes_is_held_to_its_form(tmp_path: Path) -> None:
    here = tmp_path / "here"
    begin(here, act=seal_one)
    changes: list[dict[str, object]] = [
        {"of": "words"}, {"of": []}, {"of": {"cells": []}}, {"of": {"cells": {"../up": {}}}}, {"of": {}}, {"environment": 3},
    ]  # fmt: skip
    for change in changes:
        rewritten(here / STUDY, lambda told, new=change: told.update({"kind": "growth", "of": {"cells": {}}} | new))
        with pytest.raises(RunFolderError, match=r"study\.json is damaged"):
            begin(here)
    rewritten(
        here / STUDY, lambda told: told.update(of={"cells": {"a": {"steps": "3\n" * 999}}, "data": []}, environment={})
    )
    with pytest.raises(RunFolderError) as met:
        begin(here)
    assert_short(f"error: {met.value}")


def test_two_processes_do_not_write_in_one_folder(tmp_path: Path) -> None:
    def second(study: Study) -> None:
        seal_one(study)
        with pytest.raises(RunFolderError, match="another process is writing"):
            begin(tmp_path / "here")
        with pytest.raises(RunFolderError, match="another process is writing"):
            begin(tmp_path / "here", overwrite=True)
        assert Study.kept(tmp_path / "here") == 1

    begin(tmp_path / "here", act=second)
    begin(tmp_path / "here", act=Study.seal)  # the lock goes with its holder
    assert not (tmp_path / "here/.lock").exists()


def test_what_is_replaced_stays_until_the_new_one_is_finished(tmp_path: Path) -> None:
    here = tmp_path / "here"
    begin(here, act=lambda study: (seal_one(study), study.seal()))
    with pytest.raises(RunFolderError, match="steps: 3 → 4"):
        begin(here, steps=4)
    with pytest.raises(KeyboardInterrupt):
        begin(here, steps=4, overwrite=True, act=stop)
    assert '"steps": 3' in (here / STUDY).read_text(encoding="utf-8"), "nothing of the new one: the old one is back"
    begin(here, steps=4, overwrite=True, act=lambda study: (seal_one(study), study.seal()))
    assert '"steps": 4' in (here / STUDY).read_text(encoding="utf-8")
    assert listing(tmp_path) == ["here", "here/cells", "here/cells/a", "here/cells/a/checksums.json",
                                 "here/checksums.json", "here/study.json"]  # fmt: skip


def test_a_cell_that_is_being_written_is_not_one_that_is_kept(tmp_path: Path) -> None:
    write(
        tmp_path,
        dict.fromkeys(("cells/a/checksums.json", "cells/.b.partial-1-1/checksums.json", "checksums.json"), "{}"),
    )
    assert Study.kept(tmp_path) == 1


def test_somebody_elses_folder_is_not_touched(tmp_path: Path) -> None:
    write(tmp_path, {"here/mine.txt": "mine"})
    for overwrite in (False, True):
        with pytest.raises(RunFolderError):
            begin(tmp_path / "here", overwrite=overwrite)
    assert listing(tmp_path) == ["here", "here/mine.txt"]


def test_differences_name_the_key_and_both_values() -> None:
    before = {"a": {"b": 1, "c": ["x", "y"]}, "d": None}
    assert differences(before, before) == []
    assert differences(before, {"a": {"b": 2, "c": ["x", "z"]}, "e": 0}) == [
        "a.b: 1 → 2", "a.c: y → z", "e: None → 0",
    ]  # fmt: skip
